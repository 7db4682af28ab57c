package models

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Monotonic judges counters that only grow: a read returns an integer, or a
// map from names to integers (nil for one that is absent, less than all
// others). There must be an order of all reads of a key that agrees with real
// time and in which no name goes back. A read that returned less than one that
// had completed before *went back*; reads that can be put into no order for
// another reason are a *contradiction*: jepsen.tests.monotonic-cycle finds the
// same cycles, without real time.
//
// Exact, O(n·log n) for n names in all reads. It does not check that values
// were written.
func Monotonic() checkers.Checker {
	return judge("monotonic", "prefix maxima, chains of reads", func(ctx context.Context, ops []history.Operation) judged {
		return perKey(ctx, ops, monotonic)
	})
}

// level is what a read saw of one name.
type level struct {
	op *history.Operation
	n  int64
}

func monotonic(w *watch, ops []history.Operation) judged {
	in := newInterner()
	var byName [][]level // by number of the name; 0 is that of a read of one number
	in.id(history.Nil)
	var reads []*history.Operation
	for i := range ops {
		o := &ops[i]
		if o.F != Read || o.Outcome != history.OK {
			continue
		}
		if w.over(8) {
			return unknown("time ran out after %s", plural(len(reads), "read"))
		}
		reads = append(reads, o)
		pairs, isMap := o.Output.AsMap()
		if !isMap {
			pairs = []history.Pair{{Value: o.Output}}
		}
		for _, p := range pairs {
			n, ok := p.Value.AsInt()
			if p.Value.IsNil() {
				n, ok = -1<<63, true
			}
			if !ok {
				return unknown("a read returned %s; expected integers", o.Output)
			}
			name := 0
			if isMap {
				name = in.id(history.List(p.Key))
			}
			for len(byName) <= name {
				byName = append(byName, nil)
			}
			byName[name] = append(byName[name], level{o, n})
		}
	}
	if len(reads) == 0 {
		return unknown("nothing was read")
	}
	for name, levels := range byName {
		if w.over(len(levels)) {
			return unknown("time ran out after %d of %s", name, plural(len(byName), "name"))
		}
		if a, b := backwards(levels); a != nil {
			which := ""
			if name > 0 {
				which = fmt.Sprintf(": %s went back", in.values[name].At(0))
			}
			return invalid("went back", fmt.Sprintf("a read returned %s after another one had returned %s%s", b.Output, a.Output, which), *a, *b)
		}
	}
	circle := contradiction(w, reads, byName)
	if w.over(0) {
		return unknown("time ran out while an order of %s was looked for", plural(len(reads), "read"))
	}
	if circle != nil {
		return invalid("contradiction", fmt.Sprintf("of %s each has something greater than the next one, or came after it, in a circle: values that only grow never stood so", plural(len(circle), "read")), circle...)
	}
	return valid("%s never went back", plural(len(reads), "read"))
}

// backwards finds two reads, one after the other, of which the later one
// returned less.
func backwards(levels []level) (a, b *history.Operation) {
	byReturn := slices.Clone(levels)
	slices.SortFunc(byReturn, func(x, y level) int { return cmp.Compare(x.op.Return, y.op.Return) })
	slices.SortFunc(levels, func(x, y level) int { return cmp.Compare(x.op.Call, y.op.Call) })
	var top *level
	next := 0
	for i := range levels {
		for next < len(byReturn) && byReturn[next].op.Return < levels[i].op.Call {
			if top == nil || byReturn[next].n > top.n {
				top = &byReturn[next]
			}
			next++
		}
		if top != nil && levels[i].n < top.n {
			return top.op, levels[i].op
		}
	}
	return nil, nil
}

// contradiction finds reads that can be put into no order, nil if there are
// none. For each name and for real time there is a chain of auxiliary nodes: a
// read leads to the node of its value, and that to the reads of the next value.
func contradiction(w *watch, reads []*history.Operation, byName [][]level) []history.Operation {
	b := newBefore(len(reads), w)
	node := make(map[*history.Operation]int32, len(reads))
	for i, o := range reads {
		node[o] = int32(i)
	}
	aux := func(last int32) int32 {
		next := b.auxiliary()
		if last >= 0 {
			b.add(last, next, becauseKnown)
		}
		return next
	}
	for _, list := range byName {
		if w.over(len(list)) {
			return nil
		}
		slices.SortStableFunc(list, func(x, y level) int { return cmp.Compare(x.n, y.n) })
		last, next := int32(-1), int32(-1)
		for i, l := range list {
			if i == 0 || list[i-1].n != l.n {
				last, next = next, aux(next)
			}
			if last >= 0 {
				b.add(last, node[l.op], becauseKnown)
			}
			b.add(node[l.op], next, becauseKnown)
		}
	}
	byReturn, byCall := slices.Clone(reads), slices.Clone(reads)
	slices.SortFunc(byReturn, func(x, y *history.Operation) int { return cmp.Compare(x.Return, y.Return) })
	slices.SortFunc(byCall, func(x, y *history.Operation) int { return cmp.Compare(x.Call, y.Call) })
	last, done := int32(-1), 0
	for _, o := range byCall {
		for done < len(byReturn) && byReturn[done].Return < o.Call {
			last = aux(last)
			b.add(node[byReturn[done]], last, becauseKnown)
			done++
		}
		if last >= 0 {
			b.add(last, node[o], becauseKnown)
		}
	}
	if b.order() != nil {
		return nil
	}
	var circle []history.Operation
	for _, e := range b.cycle() {
		if int(e.to) < len(reads) {
			circle = append(circle, *reads[e.to])
		}
	}
	return circle
}
