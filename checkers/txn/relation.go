package txn

import (
	"fmt"
	"math/bits"
	"slices"
)

// set is a set of nodes of a relation, a bit for each.
type set uint64

// relation is what follows from what among a few names: the transitive
// closure of a small graph, in both directions. Verdicts of short histories
// spend their time here, so it is made once.
type relation[T ~string] struct {
	nodes    []T // in alphabetical order
	at       map[T]int
	down, up []set // of each node: what can be reached from it and what reaches it, itself included
}

// newRelation closes the graph g, which has further nodes without edges. It
// panics where these are more than a set can hold.
func newRelation[T ~string](g map[T][]T, further ...T) *relation[T] {
	r := &relation[T]{at: map[T]int{}}
	r.nodes = append(r.nodes, further...)
	for from, list := range g {
		r.nodes = append(append(r.nodes, from), list...)
	}
	slices.Sort(r.nodes)
	r.nodes = slices.Compact(r.nodes)
	if n := len(r.nodes); n > 64 {
		panic(fmt.Sprintf("txn: a relation of %d names; expected at most 64", n))
	}
	r.down, r.up = make([]set, len(r.nodes)), make([]set, len(r.nodes))
	for i, x := range r.nodes {
		r.at[x] = i
	}
	for i := range r.nodes {
		stack := []int{i}
		for len(stack) > 0 {
			j := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if r.down[i]>>j&1 == 1 {
				continue
			}
			r.down[i] |= 1 << j
			r.up[j] |= 1 << i
			for _, to := range g[r.nodes[j]] {
				stack = append(stack, r.at[to])
			}
		}
	}
	return r
}

// of returns the set of names, without those that the relation does not know.
func (r *relation[T]) of(names ...T) (s set) {
	for _, x := range names {
		if i, ok := r.at[x]; ok {
			s |= 1 << i
		}
	}
	return s
}

func (r *relation[T]) has(s set, x T) bool { return s&r.of(x) != 0 }

// below returns s and all that can be reached from it.
func (r *relation[T]) below(s set) (all set) { return union(s, r.down) }

// above returns s and all from which it can be reached.
func (r *relation[T]) above(s set) (all set) { return union(s, r.up) }

func union(s set, of []set) (all set) {
	for ; s != 0; s &= s - 1 {
		all |= of[bits.TrailingZeros64(uint64(s))]
	}
	return all
}

// list returns the names in a set, in alphabetical order.
func (r *relation[T]) list(s set) []T {
	list := slices.Grow([]T(nil), bits.OnesCount64(uint64(s)))
	for ; s != 0; s &= s - 1 {
		list = append(list, r.nodes[bits.TrailingZeros64(uint64(s))])
	}
	return list
}
