package models

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/history"
)

// durabilityOracle follows the definitions of Durability word by word.
func durabilityOracle(e *checkers.Evidence, o DurabilityOptions) (checkers.Validity, map[string]float64) {
	m := map[string]float64{}
	var faults []checkers.FaultWindow
	firstFault := history.Never
	for _, f := range e.Faults {
		if f.Model != "" {
			faults, firstFault = append(faults, f), min(firstFault, f.Start)
		}
	}
	if len(faults) == 0 {
		return checkers.NotApplicable, m
	}
	slices.SortFunc(faults, func(a, b checkers.FaultWindow) int {
		return cmp.Or(int(a.Start-b.Start), int(a.End-b.End), strings.Compare(a.Fault, b.Fault))
	})
	m["faults"], m["availability_gap_seconds"] = float64(len(faults)), quiet(e.Operations).Seconds()
	lost, kept := make([][]*history.Operation, len(faults)), make([][]*history.Operation, len(faults))
	for j := range e.Operations {
		w := &e.Operations[j]
		if !mutation(w) || w.Outcome != history.OK {
			continue
		}
		there := lastThere(e.Operations, w)
		x, healed := belongs(e.Operations, there, w.Node, faults)
		if _, older, gone := toldOf(e.Operations, w, max(healed, there), o.Initial); x >= 0 && (older || gone) {
			lost[x] = append(lost[x], w)
			continue
		}
		x, healed = belongs(e.Operations, w.Completed, w.Node, faults)
		told, older, gone := toldOf(e.Operations, w, max(healed, w.Completed), o.Initial)
		if x >= 0 && told && (!older && !gone || there > max(healed, w.Completed)) {
			kept[x] = append(kept[x], w)
		}
	}
	looked, bad := 0, false
	for x, fault := range faults {
		looked += len(lost[x]) + len(kept[x])
		notPrefix, age := 0, time.Duration(0)
		for _, w := range lost[x] {
			if w.Completed <= fault.Start {
				age = max(age, fault.Start-w.Completed)
			} else {
				age = max(age, fault.End-w.Completed)
			}
			if slices.ContainsFunc(kept[x], func(k *history.Operation) bool { return k.Key == w.Key && over(w, k) }) {
				notPrefix++
			}
		}
		n := len(lost[x])
		m["rpo_operations"] = max(m["rpo_operations"], float64(n))
		m["rpo_seconds"] = max(m["rpo_seconds"], age.Seconds())
		m["not_prefix"] = max(m["not_prefix"], float64(notPrefix))
		allowed := (o.Operations > 0 || o.Time > 0) && notPrefix == 0 && (o.Operations == 0 || n <= o.Operations) && (o.Time == 0 || age <= o.Time)
		bad = bad || n > 0 && !allowed
		recoveryOracle(e.Operations, fault.Start, firstFault, m)
	}
	for i := range e.Operations {
		w := &e.Operations[i]
		if !mutation(w) || w.Outcome != history.Fail || !inserts(w) && (left(w).IsNil() || left(w).Equal(o.Initial)) {
			continue
		}
		if slices.ContainsFunc(e.Operations, func(r history.Operation) bool {
			has := inserts(w) && holds(r.Output, w.Input) || !inserts(w) && r.Output.Equal(left(w))
			return r.Key == w.Key && r.F == Read && r.Outcome == history.OK && has && !over(&r, w) &&
				!slices.ContainsFunc(e.Operations, func(x history.Operation) bool {
					return x.Key == w.Key && mutation(&x) && x.Outcome != history.Fail && left(&x).Equal(left(w)) && !over(&r, &x)
				})
		}) {
			m["resurrected"]++
		}
	}
	switch {
	case bad || m["resurrected"] > 0:
		return checkers.Invalid, m
	case looked == 0:
		return checkers.Unknown, m
	}
	return checkers.Valid, m
}

// lastThere is when a mutation was last there.
func lastThere(ops []history.Operation, w *history.Operation) time.Duration {
	there := w.Completed
	for i := range ops {
		r := &ops[i]
		if r.Key != w.Key || r.F != Read || r.Outcome != history.OK {
			continue
		}
		switch {
		case inserts(w) && !holds(r.Output, w.Input), !inserts(w) && !r.Output.Equal(left(w)):
			continue
		case !inserts(w) && slices.ContainsFunc(ops, func(x history.Operation) bool {
			return x.Key == w.Key && mutation(&x) && x.Outcome != history.Fail && left(&x).Equal(left(w)) && x.Call > w.Call && !over(r, &x)
		}):
			continue
		}
		there = max(there, r.Invoked)
	}
	return there
}

// belongs is the fault to which what was there at some time belongs, and when
// all were healed to which it may; faults are in order.
func belongs(ops []history.Operation, at time.Duration, node string, faults []checkers.FaultWindow) (charged int, healed time.Duration) {
	charged, next := -1, history.Never
	within := map[int]bool{}
	for i, f := range faults {
		back := history.Never
		for _, o := range ops {
			if served(&o) && o.Invoked >= f.End {
				back = min(back, o.Completed)
			}
		}
		if back == history.Never {
			back = f.End
		}
		within[i] = f.Start < at && at <= back
		if f.Start >= at {
			next = min(next, f.Start)
		}
	}
	outside := !slices.Contains(slices.Collect(maps.Values(within)), true)
	for i, f := range faults {
		if outside && f.Start == next && next >= at || within[i] {
			healed = max(healed, f.End)
			if charged < 0 || slices.Contains(f.Nodes, node) || !slices.Contains(faults[charged].Nodes, node) {
				charged = i
			}
		}
	}
	return charged, healed
}

// toldOf says what reads invoked after some time tell of a mutation: anything at
// all, that one returned what is older, or that none has it.
func toldOf(ops []history.Operation, w *history.Operation, after time.Duration, initial history.Value) (told, older, gone bool) {
	reads, seen := false, false
	for k := range ops {
		r := &ops[k]
		if r.Key != w.Key || r.F != Read || r.Outcome != history.OK || r.Invoked <= after {
			continue
		}
		outdated, known := age(ops, r, w, initial)
		reads = true
		seen = seen || inserts(w) && holds(r.Output, w.Input)
		older = older || !inserts(w) && known && outdated
		told = told || !inserts(w) && known
	}
	removed := inserts(w) && slices.ContainsFunc(ops, func(r history.Operation) bool {
		return r.Key == w.Key && r.F == "remove" && r.Outcome != history.Fail && r.Input.Equal(w.Input) && !over(&r, w)
	})
	gone = inserts(w) && reads && !seen && !removed
	return told || seen || gone, older, gone
}

// served is what was ok, or a compare-and-set whose value was another.
func served(o *history.Operation) bool {
	return o.Outcome == history.OK || o.Outcome == history.Fail && o.F == CAS && o.Error == ""
}

func mutation(w *history.Operation) bool {
	return inserts(w) || w.F == Write || w.F == Delete || w.F == CAS
}

func inserts(w *history.Operation) bool { return w.F == Add || w.F == Append || w.F == Enqueue }

// over says whether a's completion, if it has one that tells what happened, is
// among the events before b's invocation.
func over(a, b *history.Operation) bool {
	for event := range b.Call {
		if event == a.Return && (a.Outcome == history.OK || a.Outcome == history.Fail) {
			return true
		}
	}
	return false
}

// quiet is the longest time between two ok completions with none in between, or
// between the last one and the last invocation.
func quiet(ops []history.Operation) (longest time.Duration) {
	for _, a := range ops {
		if !served(&a) {
			continue
		}
		next, last := history.Never, a.Completed
		for _, b := range ops {
			if last = max(last, b.Invoked); served(&b) && b.Completed > a.Completed {
				next = min(next, b.Completed)
			}
		}
		if next == history.Never {
			next = last
		}
		longest = max(longest, next-a.Completed)
	}
	return longest
}

// slowest is the 99 % quantile of fewer than a hundred latencies, 0 of none.
func slowest(latencies []time.Duration) (most time.Duration) {
	for _, l := range latencies {
		most = max(most, l)
	}
	return most
}

// left is the value that a mutation leaves.
func left(w *history.Operation) history.Value {
	if pair, _ := w.Input.AsList(); w.F == CAS {
		return pair[1]
	}
	return w.Input // nil of a delete
}

// age reports whether a read of a register returned what only what had been
// over before a mutation can have set, the initial value included, and whether
// anybody can have set it.
func age(ops []history.Operation, r, w *history.Operation, initial history.Value) (outdated, known bool) {
	outdated, known = true, r.Output.IsNil() || r.Output.Equal(initial)
	for i := range ops {
		if x := &ops[i]; x.Key == r.Key && mutation(x) && x.Outcome != history.Fail && left(x).Equal(r.Output) && !over(r, x) {
			outdated, known = outdated && over(x, w), true
		}
	}
	return outdated, known
}

func recoveryOracle(ops []history.Operation, start, firstFault time.Duration, m map[string]float64) {
	soonest, last := history.Never, time.Duration(0)
	var baseline []time.Duration
	for _, o := range ops {
		last = max(last, o.Invoked)
		if !served(&o) {
			continue
		}
		if o.Invoked >= start {
			soonest = min(soonest, o.Completed)
		}
		if o.Invoked < firstFault && o.Completed <= firstFault {
			baseline = append(baseline, o.Completed-o.Invoked)
		}
	}
	if soonest == history.Never {
		m["never_served_again"]++
		return
	}
	m["rto_first_seconds"] = max(m["rto_first_seconds"], (soonest - start).Seconds())
	for t := start; t+10*time.Millisecond <= last; t += time.Millisecond {
		var latencies []time.Duration
		n := 0
		for _, o := range ops {
			if o.Invoked >= t && o.Invoked < t+10*time.Millisecond {
				if n++; served(&o) {
					latencies = append(latencies, o.Completed-o.Invoked)
				}
			}
		}
		if n > 0 && float64(len(latencies)) >= 0.6*float64(n) && (len(baseline) == 0 || slowest(latencies) <= 2*slowest(baseline)) {
			m["rto_steady_seconds"] = max(m["rto_steady_seconds"], (t - start).Seconds())
			return
		}
	}
	m["never_steady_again"]++
}

// drawDurable draws a register or a collection that is hit by faults; values are
// seldom unique. Some operations never return, and of some faults nobody knows
// what they do.
func drawDurable(r *rand.Rand) *checkers.Evidence {
	collection := r.IntN(2) == 0
	value := func() history.Value { return history.Int(int64(r.IntN(4))) }
	n, drawn := 3+r.IntN(9), 0
	e := &checkers.Evidence{Operations: randomOps(r, n, func(r *rand.Rand) history.Operation {
		o := history.Operation{Key: fmt.Sprint(r.IntN(6) / 5), Outcome: outcome(r)}
		drawn++
		switch c := (r.IntN(14) + 8*(n-drawn)/n) / 2; { // reads come late, mostly
		case c < 4 && collection:
			o.F, o.Output = Read, history.List(value(), value())
		case c < 4:
			if o.F, o.Output = Read, value(); r.IntN(4) == 0 {
				o.Output = history.Nil
			}
		case c == 4 && collection:
			o.F, o.Input = "remove", value()
		case c == 4 && r.IntN(2) == 0:
			o.F = Delete
		case c == 4:
			o.F, o.Input = CAS, history.List(value(), value())
		case collection:
			o.F, o.Input = []string{Add, Append, Enqueue}[r.IntN(3)], value()
		default:
			o.F, o.Input = Write, value()
		}
		return o
	})}
	for i := range e.Operations {
		o := &e.Operations[i]
		if o.Outcome == history.Info && r.IntN(2) == 0 {
			o.Return = -1
		}
		o.Node = []string{"", "n1", "n2"}[r.IntN(3)]
		if o.Outcome == history.Fail && r.IntN(2) == 0 {
			o.Error = "unreachable"
		}
	}
	end := e.Operations[len(e.Operations)-1].Invoked
	for range 1 + r.IntN(3) {
		at := time.Duration(int64(end)/8+r.Int64N(int64(end)*5/8+2)) / time.Millisecond * time.Millisecond
		f := checkers.FaultWindow{Fault: "kill", Kind: "kill", Model: history.CrashRecovery, Start: at, End: at + time.Duration(r.IntN(3))*time.Millisecond}
		switch r.IntN(4) {
		case 0:
			f.Model = ""
		case 1:
			f.Fault, f.Kind, f.Model = "partition", "partition", history.Omission
			f.End += time.Duration(r.IntN(6)) * time.Millisecond
		}
		if r.IntN(3) > 0 {
			f.Nodes = []string{"n1", "n2"}[r.IntN(2):][:1]
		}
		f.Fault += fmt.Sprint(f.Nodes)
		e.Faults = append(e.Faults, f)
	}
	return e
}

// disguised is the same at another time, by other processes on other keys, with
// faults in another order and one more of which nobody knows what it does.
func disguised(e *checkers.Evidence, r *rand.Rand) *checkers.Evidence {
	d := &checkers.Evidence{Operations: slices.Clone(e.Operations), Faults: slices.Clone(e.Faults)}
	later := time.Duration(r.IntN(1000)) * time.Second
	for i := range d.Operations {
		o := &d.Operations[i]
		o.Process, o.Key, o.Invoked = 100-o.Process, "key "+o.Key, o.Invoked+later
		if o.Completed != history.Never {
			o.Completed += later
		}
	}
	d.Faults = append(d.Faults, checkers.FaultWindow{Fault: "kill(n1)", Kind: "kill", End: history.Never - later})
	for i := range d.Faults {
		d.Faults[i].Start, d.Faults[i].End = d.Faults[i].Start+later, d.Faults[i].End+later
	}
	r.Shuffle(len(d.Faults), func(i, j int) { d.Faults[i], d.Faults[j] = d.Faults[j], d.Faults[i] })
	return d
}

func TestDurabilityAgreesWithItsDefinitionOnRandomHistories(t *testing.T) {
	t.Parallel()
	r := trials.Rand(41, 5)
	counts := map[checkers.Validity]int{}
	for round := range trials.Rounds(100_000) {
		e := drawDurable(r)
		o := DurabilityOptions{Operations: r.IntN(3), Time: time.Duration(r.IntN(3)) * 2 * time.Millisecond, Window: 10 * time.Millisecond, Share: 0.6, Factor: 2}
		if r.IntN(2) == 0 {
			o.Initial = history.Int(3)
		}
		got := Durability(o).Check(context.Background(), e)
		want, m := durabilityOracle(e, o)
		counts[want]++
		if got.Verdict != want {
			t.Fatalf("%s (%s), by the definition %s\n%v\n%s", got.Verdict, got.Reason, want, e.Faults, show(e.Operations))
		}
		for _, measures := range []map[string]float64{got.Measures, m} {
			for name := range measures {
				if got.Measures[name] != m[name] {
					t.Fatalf("%s is %v, by the definition %v\n%v\n%s", name, got.Measures[name], m[name], e.Faults, show(e.Operations))
				}
			}
		}
		if round%8 == 0 {
			again := Durability(o).Check(context.Background(), disguised(e, r))
			if again.Verdict != want || !maps.Equal(again.Measures, got.Measures) {
				t.Fatalf("later, by others and with faults in another order: %s %v, before %s %v\n%v\n%s", again.Verdict, again.Measures, want, got.Measures, e.Faults, show(e.Operations))
			}
		}
		if got.Witness == nil {
			continue
		}
		witness := &checkers.Evidence{Operations: got.Witness.Operations, Faults: e.Faults}
		o.Operations, o.Time = 0, 0 // which fault is charged may differ; that something is lost may not
		if again, _ := durabilityOracle(witness, o); again != checkers.Invalid {
			t.Fatalf("the definition says %s of the witness (%s) with %+v\n%v\n%s\nof\n%s", again, got.Reason, o, e.Faults, show(witness.Operations), show(e.Operations))
		}
	}
	t.Logf("%v", counts)
	if len(counts) < 3 {
		t.Errorf("one-sided: %v", counts)
	}
}

// holds reports whether a value is a list or set that has an element.
func holds(list, element history.Value) bool {
	for _, e := range list.Elements() {
		if e.Equal(element) {
			return true
		}
	}
	return false
}
