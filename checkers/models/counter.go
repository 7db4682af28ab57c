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
	return judge("counter-bounds", "bounds per read (necessary, not sufficient)", func(ctx context.Context, ops []history.Operation) judged {
		return perKey(ctx, ops, knowing(func(_ *watch, ops []history.Operation) judged { return counterBounds(ops, initial) }, Add, Read))
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
		return with(outOfBounds(ops, wrong, initial, tooLow, fmt.Sprintf("a read returned %s, which is "+side, wrong.Output, bound)), m)
	}
	return with(valid("%s kept to the bounds, which is necessary and not sufficient", every(len(reads), "read")), m)
}

// Bounds of a witness of a counter: the adds that it lists, and how many it
// lists where more are needed.
const (
	maxAdds   = 1000
	someOfAll = 100
)

// outOfBounds shows the read and, the greatest first until they contradict it,
// the adds that completed before it and that narrow the bound it breaks:
// positive ones if it is too low, negative ones if it is too high.
func outOfBounds(ops []history.Operation, read *history.Operation, initial int64, tooLow bool, summary string) judged {
	var adds []*history.Operation
	for i := range ops {
		o := &ops[i]
		if n, _ := o.Input.AsInt(); o.F == Add && o.Outcome == history.OK && n != 0 && (n > 0) == tooLow && precedes(o, read) {
			adds = append(adds, o)
		}
	}
	slices.SortStableFunc(adds, func(a, b *history.Operation) int { return cmp.Compare(size(b), size(a)) })
	v, _ := read.Output.AsInt()
	bound, needed := initial, 0
	for ; needed < len(adds) && !(tooLow && v < bound || !tooLow && v > bound); needed++ {
		n, _ := adds[needed].Input.AsInt()
		bound += n
	}
	return listing(summary, "out of bounds", read, adds[:needed], initial)
}

// size is how much an add changes.
func size(o *history.Operation) int64 {
	n, _ := o.Input.AsInt()
	return max(n, -n)
}

// listing is a witness of a read and adds: all of them, or some and a line that
// says how many there are. What it lists contradicts the read, too.
func listing(summary, class string, read *history.Operation, adds []*history.Operation, initial int64) judged {
	listed := adds
	if len(adds) > maxAdds {
		listed = adds[:someOfAll]
	}
	evidence, sum := []history.Operation{*read}, initial
	for _, o := range listed {
		n, _ := o.Input.AsInt()
		evidence, sum = append(evidence, *o), sum+n
	}
	v, isInt := read.Output.AsInt()
	if len(listed) < len(adds) && isInt && v == sum {
		evidence = evidence[:len(evidence)-1]
	}
	bad := invalid(class, summary, evidence...)
	if len(listed) < len(adds) {
		bad.Witness.Lines = []string{fmt.Sprintf("Of %s that contradict the read %d are listed.", plural(len(adds), "add"), len(evidence)-1)}
	}
	return bad
}

// FinalCounter judges a replicated counter that need only agree in the end,
// as Maelstrom's pn-counter does: every *final* read, one that was invoked
// after every other add had completed or will never do so, must return the
// initial value plus the sum of the acknowledged amounts plus that of some of
// the adds of unknown outcome; which ones may differ between reads. Other
// reads are left out, and without a final one it is unknown.
//
// The possible sums are enumerated, at most 2^20 of them in at most 2^26
// additions; beyond that a read is invalid only if it lies outside all sums, or
// differs by what the greatest common divisor of the amounts does not divide, and
// else unknown. Keys are judged alone. It does not check that final reads agree.
func FinalCounter(initial int64) checkers.Checker {
	return judge("final-counter", "possible sums", func(ctx context.Context, ops []history.Operation) judged {
		return perKey(ctx, ops, knowing(func(_ *watch, ops []history.Operation) judged { return finalCounter(ctx, ops, initial) }, Add, Read))
	})
}

func finalCounter(ctx context.Context, ops []history.Operation, initial int64) judged {
	f, bad := newFinalSums(ops, initial)
	if bad.Verdict != "" {
		return bad
	}
	if len(f.reads) == 0 {
		return unknown("the counter was not read after all adds were over")
	}
	for _, r := range f.reads {
		if v, ok := r.Output.AsInt(); !ok || !f.possible(v) {
			return f.impossible(r)
		}
	}
	sums, v := possibleSums(ctx, f.open)
	if sums == nil {
		return v
	}
	for _, r := range f.reads {
		if v, _ := r.Output.AsInt(); !sums[v-f.certain] {
			return f.impossible(r)
		}
	}
	return valid("%s returned a possible sum", every(len(f.reads), "final read"))
}

// finalSums is what final reads of a counter may return.
type finalSums struct {
	initial, certain int64                // certain: with all that was acknowledged
	adds             []*history.Operation // that did not fail, those acknowledged first
	open             map[int64]int        // amounts of unknown outcome, and how often each
	down, up         int64                // what all negative and all positive ones of these come to
	step             int64                // divides all of them; 0 if there are none
	reads            []*history.Operation // the final ones
}

func newFinalSums(ops []history.Operation, initial int64) (*finalSums, judged) {
	f := &finalSums{initial: initial, certain: initial, open: map[int64]int{}}
	sum, last := newAmounts(initial), int64(-1)
	var maybe []*history.Operation
	for i := range ops {
		o := &ops[i]
		if o.F != Add || o.Outcome == history.Fail {
			continue
		}
		n, ok := sum.take(o.Input)
		if !ok {
			return nil, sum.refused(o)
		}
		last = max(last, o.Call, o.Return)
		if o.Outcome == history.OK {
			f.certain += n
			f.adds = append(f.adds, o)
			continue
		}
		f.open[n]++
		f.down, f.up, f.step = f.down+min(n, 0), f.up+max(n, 0), divisor(f.step, n)
		maybe = append(maybe, o)
	}
	f.adds = append(f.adds, maybe...)
	for i := range ops {
		if o := &ops[i]; o.F == Read && o.Outcome == history.OK && o.Call > last {
			f.reads = append(f.reads, o)
		}
	}
	return f, judged{}
}

// divisor is the greatest one that two numbers have in common.
func divisor(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return max(a, -a)
}

// possible reports whether nothing simple speaks against a value: it is not
// beyond all sums, nor between any two that follow each other.
func (f *finalSums) possible(v int64) bool {
	if v < f.certain+f.down || v > f.certain+f.up {
		return false
	}
	return f.step == 0 || (v-f.certain)%f.step == 0
}

func (f *finalSums) impossible(read *history.Operation) judged {
	summary := fmt.Sprintf("a final read returned %s, but acknowledged adds come to %d, and no choice among those of unknown outcome makes up the difference", read.Output, f.certain)
	if len(f.open) == 0 {
		summary = fmt.Sprintf("a final read returned %s, but acknowledged adds come to %d, and there are no others", read.Output, f.certain)
	}
	return listing(summary, "impossible sum", read, f.adds, f.initial)
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
	adds := 0
	for _, often := range amounts {
		adds += often
	}
	open := fmt.Sprintf("%s of unknown outcome (%s)", plural(adds, "add"), plural(len(amounts), "amount"))
	for _, n := range sortedKeys(amounts) {
		if ctx.Err() != nil {
			return nil, unknown("time ran out while the possible sums of %s were enumerated", open)
		}
		if additions += len(sums); additions > maxAdditions {
			return nil, unknown("final reads lie between the least and the greatest sum that is possible, but which sums %s can have takes more than %d additions", open, maxAdditions)
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
			return nil, unknown("final reads lie between the least and the greatest sum that is possible, but %s have more than %d possible sums", open, maxSums)
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
