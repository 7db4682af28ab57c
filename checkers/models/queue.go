package models

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// TotalQueue judges that what goes in comes out, as
// jepsen.checker/total-queue does: operations enqueue v, dequeue (its result
// is the element; nil means that there was none, and so does a failure without
// an error, or with one that says empty or exhausted: any other may be that of
// the client) and drain (its result is the list of all that was left).
//
//   - *unexpected*: an element came out that nobody tried to enqueue;
//   - *lost*: an enqueue was acknowledged, and the element never came out,
//     although the queue was found empty afterwards: by a drain, or by a
//     dequeue that found nothing, invoked after the enqueue completed.
//   - *duplicated*: an element came out more often than it was put in: a
//     measure, as a queue with delivery at least once does so, or invalid if
//     exactlyOnce is set.
//
// Jepsen takes any acknowledged element that did not come out for lost; here,
// where nobody found the queue empty, or where a dequeue or drain of unknown
// outcome may have swallowed it, the verdict is unknown. An element that
// comes out although its enqueue failed is *aborted*, which is invalid.
//
// Linear time, but for sorting. Keys are judged alone. It does not check the
// order of elements.
func TotalQueue(exactlyOnce bool) checkers.Checker {
	return judge("total-queue", "multisets", func(ctx context.Context, ops []history.Operation) judged {
		return perKey(ctx, ops, knowing(func(_ *watch, ops []history.Operation) judged { return totalQueue(ops, exactlyOnce) }, Enqueue, Dequeue, Drain))
	})
}

// item is what is known of one value in a queue.
type item struct {
	puts, takes []*history.Operation // acknowledged or not; failed puts are apart
	acked       int
	failed      *history.Operation
}

// bag is the account of a queue.
type bag struct {
	in       *interner
	items    []item
	emptied  []*history.Operation // who found it empty
	soonest  []*history.Operation // see emptiness
	swallows []*history.Operation // dequeues of unknown outcome
	drains   []*history.Operation // drains of unknown outcome, in order of invocation
	took     int
	odd      judged // why nothing can be said
}

func newBag(ops []history.Operation) *bag {
	b := &bag{in: newInterner()}
	at := func(v history.Value) *item {
		id := b.in.id(v)
		if id == len(b.items) {
			b.items = append(b.items, item{})
		}
		return &b.items[id]
	}
	for i := range ops {
		o := &ops[i]
		switch {
		case o.F == Enqueue && o.Outcome == history.Fail:
			at(o.Input).failed = o
		case o.F == Enqueue:
			e := at(o.Input)
			e.puts = append(e.puts, o)
			if o.Outcome == history.OK {
				e.acked++
			}
		case o.F == Dequeue && o.Outcome == history.Info:
			b.swallows = append(b.swallows, o)
		case o.F == Dequeue && o.Outcome == history.Fail && !o.FoundEmpty():
		case o.F == Dequeue && (o.Outcome == history.Fail || o.Output.IsNil()):
			b.emptied = append(b.emptied, o)
		case o.F == Dequeue:
			e := at(o.Output)
			e.takes = append(e.takes, o)
			b.took++
		case o.F == Drain && o.Outcome == history.Info:
			b.drains = append(b.drains, o)
		case o.F == Drain && o.Outcome == history.OK && !o.Output.IsList() && !o.Output.IsNil():
			b.odd = first(b.odd, unknown("the drain at event %d returned %s; expected a list of elements", o.Call, o.Output))
		case o.F == Drain && o.Outcome == history.OK:
			b.emptied = append(b.emptied, o)
			for _, v := range o.Output.Elements() {
				e := at(v)
				e.takes = append(e.takes, o)
				b.took++
			}
		}
	}
	return b
}

// hollow is unknown if there is nothing to judge, or something that cannot be.
func (b *bag) hollow() judged {
	if b.odd.Verdict == "" && len(b.items) == 0 {
		return unknown("nothing was put into the queue or taken out of it")
	}
	return b.odd
}

func totalQueue(ops []history.Operation, exactlyOnce bool) judged {
	b := newBag(ops)
	if bad := b.hollow(); bad.Verdict != "" {
		return bad
	}
	b.emptiness()
	var lost []missed
	var missing, duplicated, recovered []history.Value
	var worst judged
	for id := range b.items {
		e, v := &b.items[id], b.in.values[id]
		switch {
		case len(e.takes) > 0 && len(e.puts) == 0 && e.failed == nil:
			worst = first(worst, invalid("unexpected", fmt.Sprintf("%s came out of the queue, but nobody tried to put it in", v), *e.takes[0]))
		case len(e.takes) > 0 && len(e.puts) == 0:
			worst = first(worst, invalid("aborted", fmt.Sprintf("%s came out of the queue, but its enqueue failed", v), *e.takes[0], *e.failed))
		case len(e.takes) > len(e.puts):
			duplicated = append(duplicated, v)
			if exactlyOnce {
				worst = first(worst, invalid("duplicated", fmt.Sprintf("%s was put in %s and came out %d times", v, times(len(e.puts)), len(e.takes)), operations(e.puts, e.takes)...))
			}
		}
		if len(e.takes) > e.acked {
			recovered = append(recovered, v)
		}
		if e.acked <= len(e.takes) {
			continue
		}
		losses := b.losses(e, v)
		if len(losses) == 0 {
			missing = append(missing, v)
		}
		lost = append(lost, losses...)
	}
	worst = first(worst, b.unexplained(lost))
	m := map[string]float64{
		"lost": float64(len(lost)), "missing": float64(len(missing)), "duplicated": float64(len(duplicated)),
		"recovered": float64(len(recovered)), "dequeued": float64(b.took),
	}
	switch {
	case worst.Verdict != "":
		return with(worst, m)
	case len(lost) > 0:
		vs := make([]history.Value, len(lost))
		for i, l := range lost {
			vs[i] = l.value
		}
		return with(unknown("%s did not come out (%s), but %s of unknown outcome may have swallowed it",
			plural(len(lost), "acknowledged element"), few(vs), plural(len(b.swallows)+len(b.drains), "dequeue")), m)
	case len(missing) > 0:
		return with(unknown("%s did not come out (%s), and nobody found the queue empty afterwards: drain it at the end",
			plural(len(missing), "acknowledged element"), few(missing)), m)
	}
	return with(valid("all acknowledged elements came out; %s came out more often than put in", plural(len(duplicated), "element")), m)
}

// missed is an acknowledged element that did not come out although the queue was
// found empty.
type missed struct {
	value history.Value
	item  *item
	by    *history.Operation // the first to find it empty
}

// losses returns an element for each time that e certainly was in the queue, did
// not come out, and was not there when the queue was found empty. Of several
// equal ones those acknowledged first are held to have come out.
func (b *bag) losses(e *item, v history.Value) (list []missed) {
	var acked []*history.Operation
	for _, put := range e.puts {
		if put.Outcome == history.OK {
			acked = append(acked, put)
		}
	}
	slices.SortFunc(acked, func(x, y *history.Operation) int { return cmp.Compare(x.Return, y.Return) })
	for _, put := range acked[len(e.takes):] {
		if by := b.soonest[sort.Search(len(b.emptied), func(i int) bool { return precedes(put, b.emptied[i]) })]; by != nil {
			list = append(list, missed{v, e, by})
		}
	}
	return list
}

// emptiness puts those who found the queue empty in order of invocation, and
// notes for each who was done first, of itself and those after it.
func (b *bag) emptiness() {
	slices.SortStableFunc(b.emptied, func(x, y *history.Operation) int { return cmp.Compare(x.Call, y.Call) })
	b.soonest = make([]*history.Operation, len(b.emptied)+1)
	for i := len(b.emptied) - 1; i >= 0; i-- {
		if b.soonest[i] = b.emptied[i]; b.soonest[i+1] != nil && b.soonest[i+1].Return < b.emptied[i].Return {
			b.soonest[i] = b.soonest[i+1]
		}
	}
}

// unexplained finds a loss that no dequeue or drain of unknown outcome can have
// swallowed, each dequeue one at most, and invoked before the queue was found
// empty: those that were found missing first are explained first.
func (b *bag) unexplained(lost []missed) judged {
	lost = slices.Clone(lost)
	slices.SortStableFunc(lost, func(x, y missed) int { return cmp.Compare(x.by.Return, y.by.Return) })
	swallows := 0 // those that were invoked first explain most
	for _, l := range lost {
		if len(b.drains) > 0 && b.drains[0].Call < l.by.Return {
			continue
		}
		if swallows < len(b.swallows) && b.swallows[swallows].Call < l.by.Return {
			swallows++
			continue
		}
		evidence := operations(l.item.puts, l.item.takes)
		for _, other := range lost {
			if other.by.Return <= l.by.Return && swallows > 0 {
				evidence = append(evidence, operations(other.item.puts, other.item.takes)...)
				evidence = append(evidence, *other.by)
			}
		}
		evidence = append(append(evidence, operations(b.swallows[:swallows])...), *l.by)
		return invalid("lost", fmt.Sprintf("%s was acknowledged, and never came out, although the queue was found empty afterwards", l.value), evidence...)
	}
	return judged{}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// first keeps the first verdict.
func first(a, b judged) judged {
	if a.Verdict != "" {
		return a
	}
	return b
}

func operations(lists ...[]*history.Operation) (ops []history.Operation) {
	for _, list := range lists {
		for _, o := range list {
			ops = append(ops, *o)
		}
	}
	return ops
}

// UnorderedQueue judges that every element that comes out has been put in
// before, and not more often than it was put in, as jepsen.checker/queue does
// with an unordered queue: in the order of events, an enqueue that did not
// fail counts from its invocation, a dequeue from its completion. What is
// never taken out is no matter. Linear time; keys are judged alone. It does
// not check order or loss.
func UnorderedQueue() checkers.Checker {
	return judge("unordered-queue", "multisets", func(ctx context.Context, ops []history.Operation) judged {
		return perKey(ctx, ops, knowing(unorderedQueue, Enqueue, Dequeue, Drain))
	})
}

func unorderedQueue(_ *watch, ops []history.Operation) judged {
	b := newBag(ops)
	if bad := b.hollow(); bad.Verdict != "" {
		return bad
	}
	for id := range b.items {
		e := &b.items[id]
		slices.SortFunc(e.takes, func(x, y *history.Operation) int { return cmp.Compare(x.Return, y.Return) })
		for i, take := range e.takes {
			if i >= len(e.puts) || e.puts[i].Call > take.Return {
				return invalid("unexpected", fmt.Sprintf("%s came out of the queue %s before it had been put in as often", b.in.values[id], times(i+1)), operations(e.puts, e.takes[:i+1])...)
			}
		}
	}
	return valid("%s had been put in before", every(b.took, "dequeued element"))
}
