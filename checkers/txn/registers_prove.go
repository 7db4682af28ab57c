package txn

import (
	"context"
	"errors"
	"fmt"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// complete reports whether the order of the versions of every key is known,
// and if not, of which key it is not: all written versions of committed
// transactions, and the initial one, must form a chain.
func (r *registers) complete() (key int32, ok bool) {
	versions := make([]int32, r.keys) // final ones of committed transactions
	for v := range r.writes {
		if r.by(int32(v)) != none && r.final[v] {
			versions[r.keyOf(int32(v))]++
		}
	}
	for k := range versions {
		if versions[k] < 2 {
			continue // the initial version comes first
		}
		// Following the chain must meet every version once. A version may have
		// several known successors, of which the nearest is the one from which
		// all others are reached.
		if r.longest(int32(k)) != versions[k] {
			return int32(k), false
		}
	}
	return 0, true
}

// longest returns the number of versions on the longest chain of a key; it is
// that of all versions if and only if they are in one known order.
func (r *registers) longest(key int32) int32 {
	depth := map[int32]int32{}
	missing := map[int32]int32{}
	successors := func(v int32, f func(int32)) {
		for _, list := range [][]int32{r.next[v], r.chained[v]} {
			for _, n := range list {
				if r.by(n) != none && r.final[n] {
					f(n)
				}
			}
		}
	}
	stack, seen := []int32{}, map[int32]bool{}
	for _, v := range r.versionsOf(key) {
		seen[v] = true
		successors(v, func(n int32) { missing[n]++ })
	}
	for v := range seen {
		if missing[v] == 0 {
			stack = append(stack, v)
		}
	}
	most := int32(0)
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !r.isInitial(v) {
			depth[v]++
		}
		most = max(most, depth[v])
		successors(v, func(n int32) {
			depth[n] = max(depth[n], depth[v])
			if missing[n]--; missing[n] == 0 {
				stack = append(stack, n)
			}
		})
	}
	return most
}

// versionsOf returns the initial version of a key and the final ones of
// committed transactions.
func (r *registers) versionsOf(key int32) []int32 {
	if r.byKey == nil {
		r.byKey = make([][]int32, r.keys)
		for v := range r.writes {
			if k := r.keyOf(int32(v)); r.by(int32(v)) != none && r.final[v] {
				r.byKey[k] = append(r.byKey[k], int32(v))
			}
		}
	}
	return append([]int32{r.initial(key)}, r.byKey[key]...)
}

// errNoOrder says that no explaining order was found, because there is none
// or because the search gave up.
var errNoOrder = errors.New("no order of the transactions was found that explains all reads")

// serialize seeks an order of the committed transactions that explains every
// read and extends the given order: a proof that the history is serializable.
// It runs transactions one by one, takes back the last one where none can
// follow, and gives up when steps are used up.
func (r *registers) serialize(ctx context.Context, o order, steps *int) error {
	b := graph.NewBuilder(r.txns, 4*r.txns)
	r.edges(b)
	addOrder(b, r.h, r.committed, o)
	s := &serializer{registers: r, g: b.Build(), current: make([]int32, r.keys), pending: make([]int32, len(r.readers)), steps: steps}
	s.missing = make([]int32, s.g.Nodes())
	for v := int32(0); v < s.g.Nodes(); v++ {
		s.g.Out(v, func(to int32, _ graph.Kind) { s.missing[to]++ })
	}
	for k := range s.current {
		s.current[k] = r.initial(int32(k))
	}
	for v := range r.readers {
		s.pending[v] = int32(len(r.readers[v]))
	}
	total := 0
	var ready []int32
	for v := int32(0); v < s.g.Nodes(); v++ {
		if v < s.g.Real && !r.committed[v] {
			continue
		}
		total++
		if s.missing[v] == 0 {
			ready = append(ready, v)
		}
	}
	return s.search(ctx, ready, total)
}

type serializer struct {
	*registers
	g       *graph.Graph
	missing []int32 // predecessors yet to run
	current []int32 // version of each key
	pending []int32 // readers of each version yet to run
	steps   *int
}

// ran is a transaction that was run, and what to do if it is taken back.
type ran struct {
	node  int32
	ready []int32 // when it was chosen
	tried int     // of them
	old   []pair  // key and version before
}

func (s *serializer) search(ctx context.Context, ready []int32, total int) error {
	var done []ran
	tried := 0
	for len(done) < total {
		if *s.steps--; *s.steps < 0 {
			return fmt.Errorf("%w: the steps were used up", errNoOrder)
		}
		if len(done)%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		for tried < len(ready) && !s.can(ready[tried]) {
			tried++
			*s.steps--
		}
		if tried < len(ready) {
			step := ran{node: ready[tried], ready: ready, tried: tried}
			*s.steps -= len(ready) // they are copied
			ready = s.run(&step)
			done = append(done, step)
			tried = 0
			continue
		}
		// Running a transaction that writes nothing never closes a way, so
		// that only writers are taken back.
		for {
			if len(done) == 0 {
				return errNoOrder
			}
			last := done[len(done)-1]
			done = done[:len(done)-1]
			s.undo(&last)
			ready, tried = last.ready, last.tried+1
			if len(last.old) > 0 {
				break
			}
		}
	}
	return nil
}

// can reports whether a node may run now: it reads what is current, and
// overwrites nothing that others have yet to read.
func (s *serializer) can(node int32) bool {
	if node >= s.g.Real {
		return true
	}
	ok := true
	s.external(node, func(key, read, written int32) {
		if read != none && s.current[key] != read {
			ok = false
		}
		if written != none {
			left := s.pending[s.current[key]]
			if read != none {
				left--
			}
			ok = ok && left <= 0
		}
	})
	return ok
}

// run runs a node and returns the nodes that are ready then.
func (s *serializer) run(step *ran) []int32 {
	ready := make([]int32, 0, len(step.ready)+1)
	ready = append(append(ready, step.ready[:step.tried]...), step.ready[step.tried+1:]...)
	s.g.Out(step.node, func(to int32, _ graph.Kind) {
		if s.missing[to]--; s.missing[to] == 0 {
			ready = append(ready, to)
		}
	})
	if step.node < s.g.Real {
		s.external(step.node, func(key, read, written int32) {
			if read != none {
				s.pending[read]--
			}
			if written != none {
				step.old = append(step.old, pair{key, s.current[key]})
				s.current[key] = written
			}
		})
	}
	return ready
}

func (s *serializer) undo(step *ran) {
	s.g.Out(step.node, func(to int32, _ graph.Kind) { s.missing[to]++ })
	if step.node < s.g.Real {
		for _, p := range step.old {
			s.current[p.before] = p.after
		}
		s.external(step.node, func(_, read, _ int32) {
			if read != none {
				s.pending[read]++
			}
		})
	}
}
