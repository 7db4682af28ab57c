package edn

import (
	"cmp"
	"slices"
	"unsafe"

	"github.com/cleancut/cleancut/harness/history"
)

// Order says what orders operations.
type Order string

// The orders.
const (
	// ByLine is the default: that of the lines, which indices, if there are
	// any, must agree with.
	ByLine Order = ""
	// ByTime is that of the times, which every operation must have. Indices are
	// left out of account.
	ByTime Order = "time"
)

// keep keeps an operation until all are there.
func (b *builder) keep(o operation) error {
	if !o.timed {
		return fieldError("time", "missing, and the operations are to be ordered by it")
	}
	if b.left -= int64(unsafe.Sizeof(o)) + Size(o.value); b.left < 0 {
		return ErrTooLarge
	}
	o.indexed = false
	b.kept = append(b.kept, o)
	return nil
}

// inOrder adds what was kept in order of time. Of operations at the same time
// those of a process stay as they are, and of others invocations come before
// completions: then the operations overlap, as closed intervals that touch do.
func (b *builder) inOrder() error {
	slices.SortStableFunc(b.kept, func(x, y operation) int { return cmp.Compare(x.time, y.time) })
	for from := 0; from < len(b.kept); {
		to := from + 1
		for to < len(b.kept) && b.kept[to].time == b.kept[from].time {
			to++
		}
		touching(b.kept[from:to])
		for i := from; i < to; i++ {
			o := &b.kept[i]
			b.left += Size(o.value) // what it is in stays until the end
			if err := b.add(o); err != nil {
				return &history.SyntaxError{Line: o.line, Err: err}
			}
			*o = operation{}
		}
		from = to
	}
	b.kept = nil
	return nil
}

// touching puts operations at one time in order: a completion goes behind all
// invocations that need not wait for one of their own process.
func touching(ops []operation) {
	begins := map[int]int{} // process → invocations to come
	for i := range ops {
		if ops[i].kind == history.Invoke {
			begins[ops[i].process]++
		}
	}
	rank := make([]int, len(ops))
	waits := map[int]int{} // process → how late its next operation is at the earliest
	for i := range ops {
		o := &ops[i]
		switch {
		case o.kind == history.Invoke:
			begins[o.process]--
			rank[i] = waits[o.process]
		case begins[o.process] > 0: // an invocation of its process waits for it
			rank[i] = waits[o.process] + 1
			waits[o.process] = rank[i] + 1
		default:
			rank[i] = 2 * len(ops)
		}
	}
	order := make([]int, len(ops))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rank[a], rank[b]) })
	sorted := make([]operation, len(ops))
	for i, at := range order {
		sorted[i] = ops[at]
	}
	copy(ops, sorted)
}
