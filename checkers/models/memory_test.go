package models

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// sampled are long histories, by name, with a checker of each.
func sampled(n int) map[string]struct {
	checker checkers.Checker
	ops     []history.Operation
} {
	all := map[string]struct {
		checker checkers.Checker
		ops     []history.Operation
	}{}
	r := rand.New(rand.NewPCG(1, 2))
	add := func(name string, c checkers.Checker, ops []history.Operation) {
		all[name] = struct {
			checker checkers.Checker
			ops     []history.Operation
		}{c, ops}
	}
	for _, name := range sortedKeys(subjects) {
		next := int64(0)
		add(name, subjects[name].checker, randomOps(r, n/4, subjects[name].draw(&next)))
	}
	for _, keys := range []int{1, 100} {
		registers, lists := sound(r, n, keys)
		for _, g := range guarantees {
			add(fmt.Sprintf("%s of registers, %d keys", g, keys), Session(g, history.Nil), registers)
			add(fmt.Sprintf("%s of lists, %d keys", g, keys), SessionList(g), lists)
		}
		add(fmt.Sprintf("pram, %d keys", keys), PRAM(history.Nil), registers)
		add(fmt.Sprintf("sequential, %d keys", keys), Sequential(history.Nil), registers)
		add(fmt.Sprintf("staleness, %d keys", keys), Staleness(StalenessOptions{}), registers)
		add(fmt.Sprintf("stale lists, %d keys", keys), StaleLists(StalenessOptions{}), lists)
		for kind, ops := range map[string][]history.Operation{"registers": registers, "lists": lists} {
			crashed := &checkers.Evidence{Operations: ops, Faults: []checkers.FaultWindow{{Fault: "kill(n1)", Kind: "kill", Model: history.CrashRecovery, Start: time.Second, End: 2 * time.Second}}}
			add(fmt.Sprintf("durability of %s, %d keys", kind, keys), checkers.Func("durability", func(ctx context.Context, _ *checkers.Evidence) checkers.Verdict {
				return Durability(DurabilityOptions{}).Check(ctx, crashed)
			}), ops)
		}
	}
	return all
}

// sound draws n operations of four processes on registers and on lists, one
// after the other, so that every model holds.
func sound(r *rand.Rand, n, keys int) (registers, lists []history.Operation) {
	last, all := map[string]history.Value{}, map[string][]history.Value{}
	for i := range int64(n) {
		o := history.Operation{Process: r.IntN(4), Key: fmt.Sprint(r.IntN(keys)), F: Read, Call: 2 * i, Return: 2*i + 1, Outcome: history.OK,
			Invoked: time.Duration(2*i) * time.Millisecond, Completed: time.Duration(2*i+1) * time.Millisecond}
		list := o
		if value := history.Int(i + 1); r.IntN(2) == 0 {
			o.F, o.Input, o.Output, last[o.Key] = Write, value, value, value
			list.F, list.Input, all[o.Key] = Append, value, append(all[o.Key], value)
		} else {
			o.Output, list.Output = last[o.Key], history.List(all[o.Key]...)
		}
		registers, lists = append(registers, o), append(lists, list)
	}
	return registers, lists
}

func TestNoModelTakesMoreMemoryThanIsCounted(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // little garbage
	for name, s := range sampled(3_000) {
		need, elements := needs(s.ops)
		var v checkers.Verdict
		grown := checkers.HeapGrowth(func() { v = run(s.checker, s.ops) })
		if limit := need*11/10 + 1<<20; grown > limit {
			t.Errorf("%s: %d operations with %d elements took %d bytes, %d were counted", name, len(s.ops), elements, grown, need)
		}
		if b := run(Bounded(s.checker, need-1), s.ops); b.Verdict != checkers.Unknown || !strings.Contains(b.Reason, fmt.Sprintf("may take %d bytes, and %d are allowed", need, need-1)) {
			t.Errorf("%s: a byte less than counted: %s (%s)", name, b.Verdict, b.Reason)
		}
		if b := run(Bounded(s.checker, 2*need), s.ops); b.Verdict != v.Verdict || b.Reason != v.Reason {
			t.Errorf("%s: %s (%s), and with enough memory %s (%s)", name, v.Verdict, v.Reason, b.Verdict, b.Reason)
		}
	}
}

func TestClocksAndConclusionsAreWithinTheMemory(t *testing.T) {
	registers, _ := sound(rand.New(rand.NewPCG(1, 3)), 4_000, 1)
	for i := range registers {
		registers[i].Process = i % 1000
	}
	// The last read is of another key, and late: it is sequential, not linearizable.
	late := &registers[3_998]
	late.Key, late.F, late.Input, late.Output = "late", Write, history.Int(1), history.Int(1)
	late = &registers[3_999]
	late.Key, late.F, late.Input, late.Output = "late", Read, history.Nil, history.Nil
	need, _ := needs(registers)
	clocks := int64(4_000 * 1_000 * clockBytes)
	for _, c := range []checkers.Checker{Session(Causal, history.Nil), Session(CausalConvergent, history.Nil), Sequential(history.Nil)} {
		if v := run(Bounded(c, need+clocks), registers); v.Verdict != checkers.Unknown || !strings.Contains(v.Reason, "clocks") {
			t.Errorf("%s: %s (%s), half of the memory is not enough for clocks", c.Name(), v.Verdict, v.Reason)
		}
		grown := checkers.HeapGrowth(func() {
			if v := run(Bounded(c, need+2*clocks), registers); v.Verdict != checkers.Valid {
				t.Errorf("%s: %s (%s), want valid", c.Name(), v.Verdict, v.Reason)
			}
		})
		if grown > (need+2*clocks)*11/10 {
			t.Errorf("%s took %d bytes of %d", c.Name(), grown, need+2*clocks)
		}
	}
}
