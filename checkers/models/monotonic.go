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
// others), and no read may return less, for any name, than a read of the same
// key that completed before it was invoked. Two reads of a map that overlap
// must not contradict each other either: one of them has to be at least the
// other for every name that both have, as in jepsen.tests.monotonic-cycle,
// where that is a cycle of two.
//
// O(n·log n) for each name in order of real time; overlapping reads are
// compared with the one before them in order of size. It does not check that
// values were written, nor cycles of more than two reads over different sets
// of names.
func Monotonic() checkers.Checker {
	return judge("monotonic", "prefix maxima", func(_ context.Context, ops []history.Operation) judged {
		return perKey(ops, monotonic)
	})
}

// level is what a read saw of one name.
type level struct {
	op *history.Operation
	n  int64
}

func monotonic(ops []history.Operation) judged {
	byName := map[string][]level{}
	var reads []*history.Operation
	for i := range ops {
		o := &ops[i]
		if o.F != Read || o.Outcome != history.OK {
			continue
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
			name := ""
			if isMap {
				name = p.Key.String()
			}
			byName[name] = append(byName[name], level{o, n})
		}
	}
	if len(reads) == 0 {
		return unknown("nothing was read")
	}
	var names []string
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if a, b := backwards(byName[name]); a != nil {
			return invalid("went back", fmt.Sprintf("a read returned %s after another one had returned %s%s", b.Output, a.Output, of(name)), *a, *b)
		}
	}
	if a, b := crossed(reads); a != nil {
		return invalid("contradiction", fmt.Sprintf("of the reads %s and %s each has something greater than the other: values that only grow never stood so at two times", a.Output, b.Output), *a, *b)
	}
	return valid("%s never went back", plural(len(reads), "read"))
}

func of(name string) string {
	if name == "" {
		return ""
	}
	return ": " + name + " went back"
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

// crossed finds two snapshots of the same names of which neither is at least
// the other. Sorted lexicographically, a chain has each at least the one
// before it.
func crossed(reads []*history.Operation) (a, b *history.Operation) {
	var maps []*history.Operation
	for _, o := range reads {
		if _, ok := o.Output.AsMap(); ok {
			maps = append(maps, o)
		}
	}
	slices.SortStableFunc(maps, func(x, y *history.Operation) int {
		return cmp.Or(compareNames(x.Output, y.Output), x.Output.Compare(y.Output))
	})
	for i := 1; i < len(maps); i++ {
		x, y := maps[i-1].Output, maps[i].Output
		if compareNames(x, y) != 0 {
			continue
		}
		p, _ := x.AsMap()
		q, _ := y.AsMap()
		for j := range p {
			if p[j].Value.Compare(q[j].Value) > 0 {
				return maps[i-1], maps[i]
			}
		}
	}
	return nil, nil
}

func compareNames(x, y history.Value) int {
	p, _ := x.AsMap()
	q, _ := y.AsMap()
	return slices.CompareFunc(p, q, func(a, b history.Pair) int { return a.Key.Compare(b.Key) })
}
