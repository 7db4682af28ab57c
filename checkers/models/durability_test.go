package models

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// done is an ok operation that takes a tenth of a second.
func done(f string, value, result history.Value, atTenths int64, process int) history.Operation {
	at := time.Duration(atTenths) * 100 * time.Millisecond
	return history.Operation{
		Process: process, F: f, Input: value, Output: result, Outcome: history.OK,
		Invoked: at, Completed: at + 50*time.Millisecond, Call: 2 * atTenths, Return: 2*atTenths + 1,
	}
}

func TestDurabilityCountsWhatACrashLostAndHowLongItTook(t *testing.T) {
	n := history.Int
	base := func(read history.Value) *checkers.Evidence {
		e := &checkers.Evidence{Faults: []checkers.FaultWindow{{Fault: "kill(n1)", Kind: "kill", Model: history.CrashRecovery, Start: 1010 * time.Millisecond, End: 1500 * time.Millisecond}}}
		for i := range int64(10) {
			e.Operations = append(e.Operations, done(Add, n(i), n(i), i, 0))
		}
		for i := int64(20); i < 60; i++ {
			e.Operations = append(e.Operations, done(Read, history.Nil, read, i, 0))
		}
		return e
	}
	all := make([]history.Value, 10)
	for i := range all {
		all[i] = n(int64(i))
	}
	for name, c := range map[string]struct {
		o        DurabilityOptions
		read     history.Value
		verdict  checkers.Validity
		class    string
		measures map[string]float64
	}{
		"nothing is lost":          {DurabilityOptions{}, history.List(all...), checkers.Valid, "", map[string]float64{"rpo_operations": 0, "rpo_seconds": 0, "rto_first_seconds": 1.04, "rto_steady_seconds": 0, "availability_gap_seconds": 1.1}},
		"the last two are lost":    {DurabilityOptions{}, history.List(all[:8]...), checkers.Invalid, "lost", map[string]float64{"rpo_operations": 2, "rpo_seconds": 0.16, "not_prefix": 0}},
		"a loss that is allowed":   {DurabilityOptions{Operations: 2, Time: time.Second}, history.List(all[:8]...), checkers.Valid, "", map[string]float64{"rpo_operations": 2}},
		"a loss that is too old":   {DurabilityOptions{Time: 100 * time.Millisecond}, history.List(all[:8]...), checkers.Invalid, "lost", nil},
		"a loss that is too large": {DurabilityOptions{Operations: 1}, history.List(all[:8]...), checkers.Invalid, "lost", nil},
		"a loss that is no suffix": {DurabilityOptions{Operations: 9}, history.List(all[2:]...), checkers.Invalid, "lost, not a suffix", map[string]float64{"rpo_operations": 2, "rpo_seconds": 0.96, "not_prefix": 2}},
	} {
		t.Run(name, func(t *testing.T) {
			v := Durability(c.o).Check(context.Background(), base(c.read))
			if v.Verdict != c.verdict || v.Witness != nil && v.Witness.Class != c.class {
				t.Fatalf("%s: %s %+v", v.Verdict, v.Reason, v.Witness)
			}
			for name, want := range c.measures {
				if got := v.Measures[name]; got < want-1e-9 || got > want+1e-9 {
					t.Errorf("%s is %v, want %v", name, got, want)
				}
			}
		})
	}
}

func TestDurabilityOfRegistersAndOfWhatFailed(t *testing.T) {
	n := history.Int
	crash := []checkers.FaultWindow{{Fault: "kill(n1)", Kind: "kill", Model: history.CrashRecovery, Start: 400 * time.Millisecond, End: 500 * time.Millisecond}}
	for _, c := range []struct {
		read  history.Value
		class string
	}{{n(2), ""}, {n(1), "lost"}, {history.Nil, "lost"}, {n(3), "resurrected"}} {
		e := &checkers.Evidence{Faults: crash, Operations: []history.Operation{
			done(Write, n(1), n(1), 0, 0), done(Write, n(2), n(2), 1, 0), done(Write, n(3), n(3), 2, 0), done(Read, history.Nil, c.read, 9, 0),
		}}
		e.Operations[2].Outcome = history.Fail
		v := Durability(DurabilityOptions{}).Check(context.Background(), e)
		if (v.Witness == nil) != (c.class == "") || v.Witness != nil && v.Witness.Class != c.class {
			t.Errorf("read %s: %s (%s) %+v, want the class %q", c.read, v.Verdict, v.Reason, v.Witness, c.class)
		}
	}
}

func TestDurabilityKnowsAllThatSetsOrTakesAway(t *testing.T) {
	n, none := history.Int, history.Nil
	pair := func(a, b int64) history.Value { return history.List(n(a), n(b)) }
	op := func(f string, value history.Value, at int64) history.Operation { return done(f, value, value, at, 0) }
	open := func(o history.Operation) history.Operation {
		o.Outcome, o.Output, o.Completed, o.Return = history.Info, none, history.Never, -1
		return o
	}
	failed := func(o history.Operation) history.Operation { o.Outcome = history.Fail; return o }
	reads := func(v history.Value) history.Operation { return done(Read, none, v, 9, 1) }
	crash := []checkers.FaultWindow{{Fault: "kill(n1)", Kind: "kill", Model: history.CrashRecovery, Start: 400 * time.Millisecond, End: 500 * time.Millisecond}}
	for name, c := range map[string]struct {
		ops     []history.Operation
		initial history.Value
		verdict checkers.Validity
		class   string
	}{
		"deleted before the crash":               {[]history.Operation{op(Write, n(1), 0), op(Delete, none, 1), reads(none)}, none, checkers.Valid, ""},
		"a delete that may have happened":        {[]history.Operation{op(Write, n(1), 0), open(op(Delete, none, 1)), reads(none)}, none, checkers.Valid, ""},
		"a delete that was over before":          {[]history.Operation{op(Delete, none, 0), op(Write, n(1), 1), reads(none)}, none, checkers.Invalid, "lost"},
		"deleted after the crash":                {[]history.Operation{op(Write, n(1), 0), op(Delete, none, 6), reads(none)}, none, checkers.Valid, ""},
		"a delete is lost":                       {[]history.Operation{op(Write, n(1), 0), op(Delete, none, 1), reads(n(1))}, none, checkers.Invalid, "lost"},
		"a cas survives":                         {[]history.Operation{op(Write, n(1), 0), op(CAS, pair(1, 2), 1), reads(n(2))}, none, checkers.Valid, ""},
		"a cas is lost":                          {[]history.Operation{op(Write, n(1), 0), op(CAS, pair(1, 2), 1), reads(n(1))}, none, checkers.Invalid, "lost"},
		"written again after the crash":          {[]history.Operation{op(Write, n(1), 0), op(Write, n(2), 1), op(Write, n(1), 6), reads(n(1))}, none, checkers.Valid, ""},
		"back to an initial value that is given": {[]history.Operation{op(Write, n(1), 0), reads(n(0))}, n(0), checkers.Invalid, "lost"},
		"a value from nowhere tells nothing":     {[]history.Operation{op(Write, n(1), 0), reads(n(7))}, none, checkers.Unknown, ""},
		"the initial value, whose write failed":  {[]history.Operation{failed(op(Write, n(0), 0)), op(Read, none, 1), reads(n(0))}, n(0), checkers.Unknown, ""},
		"a value whose write failed once":        {[]history.Operation{failed(op(Write, n(1), 0)), op(Write, n(1), 1), reads(n(1))}, none, checkers.Valid, ""},
		"a cas that failed is there":             {[]history.Operation{failed(op(CAS, pair(1, 2), 0)), op(Write, n(1), 1), reads(n(2))}, none, checkers.Invalid, "resurrected"},
		"removed":                                {[]history.Operation{op(Add, n(1), 0), op("remove", n(1), 1), reads(history.List())}, none, checkers.Unknown, ""},
		"removed before it was added":            {[]history.Operation{op("remove", n(1), 0), op(Add, n(1), 1), reads(history.List())}, none, checkers.Invalid, "lost"},
		"an element whose add failed once":       {[]history.Operation{failed(op(Add, n(1), 0)), op(Add, n(1), 1), reads(history.List(n(1)))}, none, checkers.Valid, ""},
		"a read of an offset":                    {[]history.Operation{op(Append, n(1), 0), done(Read, n(0), n(1), 9, 1)}, none, checkers.Unknown, ""},
		"a read that is no collection":           {[]history.Operation{op(Append, n(1), 0), reads(n(1))}, none, checkers.Unknown, ""},
		"an operation that it does not know":     {[]history.Operation{op(Write, n(1), 0), op("swap", n(2), 1), reads(n(1))}, none, checkers.Unknown, ""},
		"a register that holds lists":            {[]history.Operation{op(Write, pair(1, 1), 0), op(Write, pair(2, 2), 1), reads(pair(1, 1))}, none, checkers.Invalid, "lost"},
	} {
		v := Durability(DurabilityOptions{Initial: c.initial}).Check(context.Background(), &checkers.Evidence{Operations: c.ops, Faults: crash})
		if v.Verdict != c.verdict || v.Witness != nil && v.Witness.Class != c.class {
			t.Errorf("%s: %s (%s) %+v, want %s %s", name, v.Verdict, v.Reason, v.Witness, c.verdict, c.class)
		}
	}
}

func TestTimesToRecoverAreFoundInTimeThatDoesNotGrowWithTheClock(t *testing.T) {
	last := done(Read, history.Nil, history.Nil, 9, 1)
	last.Invoked, last.Completed = history.Never-2, history.Never-1
	e := &checkers.Evidence{
		Operations: []history.Operation{done(Write, history.Int(1), history.Int(1), 0, 0), last},
		Faults:     []checkers.FaultWindow{{Fault: "kill(n1)", Kind: "kill", Model: history.CrashRecovery, Start: 400 * time.Millisecond, End: 500 * time.Millisecond}},
	}
	if v := Durability(DurabilityOptions{}).Check(context.Background(), e); v.Verdict != checkers.Invalid {
		t.Errorf("%s: %s", v.Verdict, v.Reason)
	}
}

func TestDurabilityDoesNotTakeForLostWhatWasRemovedOrWrittenAgain(t *testing.T) {
	n := history.Int
	crash := []checkers.FaultWindow{{Fault: "kill(n1)", Kind: "kill", Model: history.CrashRecovery, Start: 400 * time.Millisecond, End: 500 * time.Millisecond}}
	one, two := done(Write, n(1), n(1), 0, 0), done(Write, n(2), n(2), 1, 0)
	failed := one
	failed.Outcome = history.Fail
	for name, ops := range map[string][]history.Operation{
		"deleted":               {one, done(Delete, history.Nil, history.Nil, 1, 0), done(Read, history.Nil, history.Nil, 9, 0)},
		"replaced by a cas":     {one, two, done(CAS, history.List(n(2), n(1)), history.Nil, 2, 0), done(Read, history.Nil, n(1), 9, 0)},
		"removed":               {done(Add, n(1), n(1), 0, 0), done(Add, n(2), n(2), 1, 0), done("remove", n(1), n(1), 2, 0), done(Read, history.Nil, history.List(n(2)), 9, 0)},
		"failed and then tried": {failed, done(Write, n(1), n(1), 1, 0), done(Read, history.Nil, n(1), 9, 0)},
	} {
		if v := Durability(DurabilityOptions{}).Check(context.Background(), &checkers.Evidence{Faults: crash, Operations: ops}); v.Verdict != checkers.Valid {
			t.Errorf("%s: %s (%s), want valid", name, v.Verdict, v.Reason)
		}
	}
}

func TestDurabilityPassesOverTimeInWhichNothingWasInvoked(t *testing.T) {
	e := &checkers.Evidence{
		Faults:     []checkers.FaultWindow{{Fault: "kill(n1)", Kind: "kill", Model: history.CrashRecovery, Start: 400 * time.Millisecond, End: 500 * time.Millisecond}},
		Operations: []history.Operation{done(Add, history.Int(1), history.Int(1), 0, 0), done(Read, history.Nil, history.List(history.Int(1)), 1<<35, 0), done(Read, history.Nil, history.List(history.Int(1)), 1<<36, 0)},
	}
	v := Durability(DurabilityOptions{}).Check(context.Background(), e)
	if first, steady := v.Measures["rto_first_seconds"], v.Measures["rto_steady_seconds"]; v.Verdict != checkers.Valid || steady < first-2 || steady > first {
		t.Errorf("%s (%s) %v", v.Verdict, v.Reason, v.Measures)
	}
}

func TestOfCrashesThatBeganAtOnceTheOneHealedLastCounts(t *testing.T) {
	crash := func(until int64) checkers.FaultWindow {
		return checkers.FaultWindow{Fault: "kill(n1)", Kind: "kill", Model: history.CrashRecovery, Start: 400 * time.Millisecond, End: time.Duration(until) * time.Millisecond}
	}
	e := &checkers.Evidence{Operations: []history.Operation{
		done(Add, history.Int(1), history.Nil, 0, 0), done(Read, history.Nil, history.List(), 6, 0), done(Read, history.Nil, history.List(history.Int(1)), 9, 0),
	}}
	for _, until := range [][2]int64{{500, 700}, {700, 500}} {
		e.Faults = []checkers.FaultWindow{crash(until[0]), crash(until[1])}
		if v := Durability(DurabilityOptions{}).Check(context.Background(), e); v.Verdict != checkers.Valid {
			t.Errorf("healed at %v: %s (%s), want valid", until, v.Verdict, v.Reason)
		}
		e.Faults = []checkers.FaultWindow{crash(until[0] + 300), crash(until[1] + 300)}
		if v := Durability(DurabilityOptions{}).Check(context.Background(), e); v.Verdict != checkers.Unknown {
			t.Errorf("healed at %v + 300: %s (%s), want unknown: nothing was read after both", until, v.Verdict, v.Reason)
		}
	}
}

func TestWitnessOfALossShowsAsManyAsAreTooManyAndWhoWroteWhatWasRead(t *testing.T) {
	n := history.Int
	crash := []checkers.FaultWindow{{Fault: "kill(n1)", Kind: "kill", Model: history.CrashRecovery, Start: 400 * time.Millisecond, End: 500 * time.Millisecond}}
	ops := []history.Operation{
		done(Write, n(1), n(1), 0, 0), done(Write, n(2), n(2), 1, 0), done(Write, n(3), n(3), 2, 0), done(Write, n(4), n(4), 3, 0), done(Read, history.Nil, n(1), 9, 0),
	}
	for _, c := range []struct {
		o    DurabilityOptions
		want int // operations: the lost, the read, and the write of what it returned
	}{{DurabilityOptions{}, 3}, {DurabilityOptions{Operations: 1}, 4}, {DurabilityOptions{Operations: 2}, 5}, {DurabilityOptions{Operations: 2, Time: 240 * time.Millisecond}, 3}} {
		v := Durability(c.o).Check(context.Background(), &checkers.Evidence{Faults: crash, Operations: ops})
		if v.Verdict != checkers.Invalid || len(v.Witness.Operations) != c.want {
			t.Errorf("%+v: %s (%s) %+v, want %d operations", c.o, v.Verdict, v.Reason, v.Witness, c.want)
			continue
		}
		again := Durability(c.o).Check(context.Background(), &checkers.Evidence{Faults: crash, Operations: v.Witness.Operations})
		if again.Verdict != checkers.Invalid {
			t.Errorf("%+v: the witness alone is %s (%s)", c.o, again.Verdict, again.Reason)
		}
	}
}

// Which fault is charged: the one in which a value was last there, of those in
// force the one that hit the node which acknowledged it.
func TestALossIsChargedToTheFaultInWhichTheValueWasLastThere(t *testing.T) {
	at := func(tenths int64) time.Duration { return time.Duration(tenths) * 100 * time.Millisecond }
	fault := func(text, node string, from, to int64) checkers.FaultWindow {
		return checkers.FaultWindow{Fault: text, Model: history.Omission, Nodes: []string{node}, Start: at(from), End: at(to)}
	}
	on := func(node string, o history.Operation) history.Operation { o.Node = node; return o }
	add := func(n, tenths int64) history.Operation { return done(Add, history.Int(n), history.Nil, tenths, 0) }
	read := func(tenths int64, elements ...int64) history.Operation {
		list := make([]history.Value, len(elements))
		for i, x := range elements {
			list[i] = history.Int(x)
		}
		return done(Read, history.Nil, history.List(list...), tenths, 1)
	}
	cut, other, kill := fault("cut(n1)", "n1", 10, 30), fault("slow(n2)", "n2", 12, 31), fault("kill(n3)", "n3", 50, 51)
	for name, c := range map[string]struct {
		faults []checkers.FaultWindow
		ops    []history.Operation
		say    string // "" if nothing is lost
	}{
		"acknowledged while it lasted":            {[]checkers.FaultWindow{cut, kill}, []history.Operation{on("n1", add(1, 20)), read(40), read(60)}, "acknowledged by n1 at 2.050 s, during cut(n1)"},
		"by the node that was hit, of two":        {[]checkers.FaultWindow{cut, other}, []history.Operation{on("n1", add(1, 20)), read(40)}, "acknowledged by n1 at 2.050 s, during cut(n1)"},
		"by the other one":                        {[]checkers.FaultWindow{cut, other}, []history.Operation{on("n2", add(1, 20)), read(40)}, "acknowledged by n2 at 2.050 s, during slow(n2)"},
		"by a node that nobody named":             {[]checkers.FaultWindow{cut, other}, []history.Operation{add(1, 20), read(40)}, "acknowledged at 2.050 s, during slow(n2)"},
		"seen after it, and lost by the next":     {[]checkers.FaultWindow{cut, kill}, []history.Operation{on("n1", add(1, 20)), read(32, 1), read(40, 1), read(60)}, "acknowledged by n1 at 2.050 s, before kill(n3)"},
		"before any, and after the first one":     {[]checkers.FaultWindow{cut, kill}, []history.Operation{on("n1", add(1, 2)), read(32, 1), read(40, 1), read(60)}, "before kill(n3)"},
		"just after it, until service was back":   {[]checkers.FaultWindow{cut}, []history.Operation{on("n1", func() history.Operation { o := add(1, 29); o.Completed = at(31); o.Return = 63; return o }()), read(32), read(33)}, "just after cut(n1)"},
		"acknowledged while it lasted, and there": {[]checkers.FaultWindow{cut, kill}, []history.Operation{on("n1", add(1, 20)), read(40, 1), read(60, 1)}, ""},
		"gone while it lasted, and there again":   {[]checkers.FaultWindow{cut}, []history.Operation{on("n1", add(1, 20)), read(25), read(40, 1)}, ""},
	} {
		v := Durability(DurabilityOptions{}).Check(context.Background(), &checkers.Evidence{Operations: c.ops, Faults: c.faults})
		if c.say == "" && v.Verdict != checkers.Valid || c.say != "" && (v.Verdict != checkers.Invalid || !strings.Contains(v.Reason, c.say)) {
			t.Errorf("%s: %s (%s), want %q", name, v.Verdict, v.Reason, c.say)
		}
	}
}

func TestAFaultOfWhichNobodyKnowsWhatItDoesIsNotCharged(t *testing.T) {
	e := &checkers.Evidence{
		Operations: []history.Operation{done(Write, history.Int(1), history.Int(1), 0, 0), done(Read, history.Nil, history.Nil, 9, 0)},
		Faults:     []checkers.FaultWindow{{Fault: "kill(n1)", Kind: "kill", Start: 400 * time.Millisecond, End: 500 * time.Millisecond}},
	}
	if v := Durability(DurabilityOptions{}).Check(context.Background(), e); v.Verdict != checkers.NotApplicable {
		t.Errorf("without a model: %s (%s)", v.Verdict, v.Reason)
	}
	e.Faults[0].Model = history.Timing
	if v := Durability(DurabilityOptions{}).Check(context.Background(), e); v.Verdict != checkers.Invalid {
		t.Errorf("with one: %s (%s)", v.Verdict, v.Reason)
	}
}
