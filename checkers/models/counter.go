package models

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// CounterBounds judges that every read of a counter lies within bounds, as
// jepsen.checker/counter does, extended to negative amounts. Operations are
// add n and read; the counter begins with initial. With D the sum of the
// amounts of acknowledged adds that completed before the read was invoked,
// and M those of all other adds that did not fail and were invoked before the
// read completed, the value must lie between D + (sum of the negative amounts
// in M) and D + (sum of the positive ones).
//
// It is only a bound: a value within it may still be impossible (amounts that
// do not add up to it, or reads that contradict each other), so valid says no
// more than that no read left its bounds. To decide exactly is to solve
// subset-sum problems. O(n log n); keys are judged alone.
func CounterBounds(initial int64) checkers.Checker {
	return judge("counter-bounds", "bounds per read (necessary, not sufficient)", func(_ context.Context, ops []history.Operation) judged {
		return perKey(ops, knowing(func(ops []history.Operation) judged { return counterBounds(ops, initial) }, Add, Read))
	})
}

// change is a point in the order of events at which a bound moves.
type change struct {
	at         int64
	down, up   int64 // of the bounds if the add may have happened
	definitely int64 // amount that is certain from here on
}

func counterBounds(ops []history.Operation, initial int64) judged {
	var changes []change
	var reads []*history.Operation
	sum := newAmounts(initial)
	for i := range ops {
		o := &ops[i]
		switch {
		case o.F == Read && o.Outcome == history.OK:
			reads = append(reads, o)
		case o.F == Add && o.Outcome != history.Fail:
			n, ok := sum.take(o.Input)
			if !ok {
				return sum.refused(o)
			}
			changes = append(changes, change{at: o.Call, down: min(n, 0), up: max(n, 0)})
			if o.Outcome == history.OK {
				changes = append(changes, change{at: o.Return, definitely: n})
			}
		}
	}
	if len(reads) == 0 {
		return unknown("the counter was never read")
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.at, b.at) })
	// Sums of the changes before each of them. A read's M is what was possible
	// at its completion less what was certain at its invocation.
	type limits struct{ down, up, sureDown, sureUp int64 }
	sums := make([]limits, len(changes)+1)
	for i, c := range changes {
		s := sums[i]
		sums[i+1] = limits{s.down + c.down, s.up + c.up, s.sureDown + min(c.definitely, 0), s.sureUp + max(c.definitely, 0)}
	}
	before := func(at int64) limits {
		n, _ := slices.BinarySearchFunc(changes, at, func(c change, at int64) int { return cmp.Compare(c.at, at) })
		return sums[n]
	}
	var wrong *history.Operation
	var low, high int64
	errors := 0
	for _, r := range reads {
		v, ok := r.Output.AsInt()
		if !ok {
			return unknown("a read returned %s; expected an integer", r.Output)
		}
		sure, possible := before(r.Call), before(r.Return)
		lo := initial + sure.sureUp + possible.down
		hi := initial + sure.sureDown + possible.up
		if v >= lo && v <= hi {
			continue
		}
		if errors++; wrong == nil {
			wrong, low, high = r, lo, hi
		}
	}
	m := map[string]float64{"reads": float64(len(reads)), "errors": float64(errors)}
	if wrong != nil {
		m["low"], m["high"] = float64(low), float64(high)
		side := "too high: no more than %d can have been added by then"
		bound := high
		v, _ := wrong.Output.AsInt()
		tooLow := v < low
		if tooLow {
			side, bound = "too low: %d had certainly been added by then", low
		}
		return with(invalid("out of bounds", fmt.Sprintf("a read returned %s, which is "+side, wrong.Output, bound), certainAdds(ops, wrong, initial, tooLow)...), m)
	}
	return with(valid("%s kept to the bounds, which is necessary and not sufficient", every(len(reads), "read")), m)
}

// certainAdds are the read and, one after the other until they contradict it,
// the adds that completed before it and that narrow the bound it breaks:
// positive ones if it is too low, negative ones if it is too high.
func certainAdds(ops []history.Operation, read *history.Operation, initial int64, tooLow bool) []history.Operation {
	v, _ := read.Output.AsInt()
	evidence, bound := []history.Operation{*read}, initial
	for i := range ops {
		if tooLow && v < bound || !tooLow && v > bound {
			break
		}
		o := &ops[i]
		if n, _ := o.Input.AsInt(); o.F == Add && o.Outcome == history.OK && (n > 0) == tooLow && precedes(o, read) {
			evidence = append(evidence, *o)
			bound += n
		}
	}
	return evidence
}

// FinalCounter judges a replicated counter that need only agree in the end,
// as Maelstrom's pn-counter does: every *final* read, one that was invoked
// after every other add had completed or will never do so, must return the
// initial value plus the sum of the acknowledged amounts plus that of some of
// the adds of unknown outcome; which ones may differ between reads. Other
// reads are left out, and without a final one it is unknown.
//
// The possible sums are enumerated, at most 2^20 of them in at most 2^26
// additions; beyond that it is unknown. Keys are judged alone. It does not check that final reads agree.
func FinalCounter(initial int64) checkers.Checker {
	return judge("final-counter", "possible sums", func(ctx context.Context, ops []history.Operation) judged {
		return perKey(ops, knowing(func(ops []history.Operation) judged { return finalCounter(ctx, ops, initial) }, Add, Read))
	})
}

func finalCounter(ctx context.Context, ops []history.Operation, initial int64) judged {
	certain, lastAdd := initial, int64(-1)
	open := map[int64]int{} // amounts of unknown outcome, and how often each
	sum := newAmounts(initial)
	for i := range ops {
		o := &ops[i]
		if o.F != Add || o.Outcome == history.Fail {
			continue
		}
		n, ok := sum.take(o.Input)
		if !ok {
			return sum.refused(o)
		}
		lastAdd = max(lastAdd, o.Call, o.Return)
		if o.Outcome == history.OK {
			certain += n
		} else {
			open[n]++
		}
	}
	sums, v := possibleSums(ctx, open)
	if sums == nil {
		return v
	}
	final := 0
	for i := range ops {
		o := &ops[i]
		v, ok := o.Output.AsInt()
		if o.F != Read || o.Outcome != history.OK || o.Call < lastAdd {
			continue
		}
		if final++; !ok || !sums[v-certain] {
			return invalid("impossible sum", fmt.Sprintf("a final read returned %s, but acknowledged adds come to %d, and no choice among those of unknown outcome makes up the difference", o.Output, certain), addsAnd(o, ops)...)
		}
	}
	if final == 0 {
		return unknown("the counter was not read after all adds were over")
	}
	return valid("%s returned a possible sum", every(final, "final read"))
}

// Bounds of the sums that are enumerated, and of the additions that it takes.
const (
	maxSums      = 1 << 20
	maxAdditions = 1 << 26
)

// possibleSums enumerates what some of the amounts, each so many times, add up
// to. Without sums, the verdict says why.
func possibleSums(ctx context.Context, amounts map[int64]int) (map[int64]bool, judged) {
	sums, additions := map[int64]bool{0: true}, 0
	for _, n := range sortedKeys(amounts) {
		if ctx.Err() != nil {
			return nil, unknown("time ran out while possible sums of adds of unknown outcome were enumerated")
		}
		if additions += len(sums); additions > maxAdditions {
			return nil, unknown("the possible sums of adds of unknown outcome take more than %d additions", maxAdditions)
		}
		var more []int64
		for s := range sums {
			// A sum that is known goes on by itself, as far and farther.
			for next, often := s+n, amounts[n]; often > 0 && !sums[next] && len(sums)+len(more) <= maxSums; often-- {
				more = append(more, next)
				next += n
			}
		}
		for _, s := range more {
			sums[s] = true
		}
		if len(sums) > maxSums {
			return nil, unknown("adds of unknown outcome have more than %d possible sums", maxSums)
		}
	}
	return sums, judged{}
}

// amounts are integers whose sums, whichever are taken, are within 64 bits.
type amounts struct{ left int64 }

func newAmounts(initial int64) *amounts {
	a := &amounts{left: maxTotal}
	if _, ok := a.take(history.Int(initial)); !ok {
		a.left = -1
	}
	return a
}

// take returns an amount, and whether it is one and not too large.
func (a *amounts) take(v history.Value) (int64, bool) {
	n, ok := v.AsInt()
	if !ok || n > maxTotal || n < -maxTotal {
		return 0, false
	}
	a.left -= max(n, -n)
	return n, a.left >= 0
}

func (a *amounts) refused(o *history.Operation) judged {
	return unknown("an add of %s; expected integers that come to at most %d, whatever their signs", o.Input, int64(maxTotal))
}

// maxTotal keeps all sums and their differences within 64 bits.
const maxTotal = 1 << 61

// addsAnd are a read and all adds that count, but only the read if they are
// too many to look at.
func addsAnd(read *history.Operation, ops []history.Operation) []history.Operation {
	const most = 1000
	evidence := []history.Operation{*read}
	for _, o := range ops {
		if o.F == Add && o.Outcome != history.Fail {
			evidence = append(evidence, o)
		}
	}
	if len(evidence) > most {
		return evidence[:1]
	}
	return evidence
}
