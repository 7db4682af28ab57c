package models

import (
	"context"
	"fmt"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// UniqueIDs judges that no two ok results of generate are equal, as
// jepsen.checker/unique-ids does. Linear time. Identifiers of different keys
// may not be equal either. It does not check whether they grow.
func UniqueIDs() checkers.Checker {
	return judge("unique-ids", "hash table", func(ctx context.Context, ops []history.Operation) judged { return uniqueIDs(newWatch(ctx), ops) })
}

func uniqueIDs(w *watch, ops []history.Operation) judged {
	in := newInterner()
	var firsts []*history.Operation
	var counts []int
	var pair []history.Operation
	attempted, acked := 0, 0
	for i := range ops {
		o := &ops[i]
		if o.F != Generate {
			continue
		}
		if w.over(0) {
			return unknown("time ran out after %d of %s", i, plural(len(ops), "operation"))
		}
		attempted++
		if o.Outcome != history.OK {
			continue
		}
		acked++
		id := in.id(o.Output)
		if id == len(firsts) {
			firsts, counts = append(firsts, o), append(counts, 0)
		}
		if counts[id]++; counts[id] == 2 && pair == nil {
			pair = []history.Operation{*firsts[id], *o}
		}
	}
	duplicated := 0
	for _, n := range counts {
		if n > 1 {
			duplicated++
		}
	}
	m := map[string]float64{"attempted": float64(attempted), "acknowledged": float64(acked), "duplicated": float64(duplicated)}
	switch {
	case pair != nil:
		return with(invalid("duplicate", fmt.Sprintf("the identifier %s was given out twice; %s in all", pair[0].Output, plural(duplicated, "duplicated identifier")), pair...), m)
	case acked == 0:
		return with(unknown("no identifier was given out"), m)
	}
	return with(valid("%s, none given out twice", plural(acked, "identifier")), m)
}
