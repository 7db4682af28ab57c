package graph

import (
	"context"
	"math/rand/v2"
	"testing"
)

// timeline draws dependencies of transactions that follow each other, with
// the order of processes and of real time: once as a checker has it, with an
// edge from each to the next of its process and a chain of auxiliary nodes,
// and once with an edge for each pair.
func timeline(r *rand.Rand) (chained, pairs *Graph) {
	n := 2 + r.IntN(4)
	a, b := NewBuilder(n, 0), NewBuilder(n, 0)
	both := func(from, to int32, k Kind) {
		a.Edge(from, to, k)
		b.Edge(from, to, k)
	}
	for range 1 + r.IntN(2*n) {
		both(r.Int32N(int32(n)), r.Int32N(int32(n)), Kind(r.IntN(3)))
	}
	last, process := map[int]int32{}, make([]int, n)
	chain := int32(-1)
	for v := range int32(n) {
		process[v] = r.IntN(2)
		if p, ok := last[process[v]]; ok {
			a.Edge(p, v, SO)
		}
		last[process[v]] = v
		if chain >= 0 {
			a.Edge(chain, v, RT)
		}
		next := a.Node()
		if chain >= 0 {
			a.Edge(chain, next, RT)
		}
		chain = next
		a.Edge(v, chain, RT)
		for u := range v {
			b.Edge(u, v, RT)
			if process[u] == process[v] {
				b.Edge(u, v, SO)
			}
		}
	}
	return a.Build(), b.Build()
}

// The order of processes and of real time is transitive, so a cycle never
// needs two steps of it in a row, nor a detour.
func TestShortestCyclesTakeTheOrderInOneStep(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for range 20_000 {
		chained, pairs := timeline(r)
		all := cycles(pairs)
		for _, order := range []Kind{SO, RT} {
			for _, spec := range []Spec{
				{Allow: Of(WW, order), Anchor: WW, Order: Of(order)},
				{Allow: Of(WW, WR, order), Anchor: WR, Order: Of(order)},
				{Allow: Of(WW, WR, order), Anchor: RW, RW: OneRW, Order: Of(order)},
			} {
				shortest := 0
				for _, c := range all {
					if spec.meets(c) && (shortest == 0 || len(c) < shortest) {
						shortest = len(c)
					}
				}
				got, _ := chained.Shortest(spec, NewBudget(context.Background(), 1<<20, 1<<40))
				if got != nil && !spec.meets(got) {
					t.Fatalf("%v does not meet %v", got, spec)
				}
				if len(got) != shortest {
					t.Fatalf("%v: found %v, the shortest has %d steps", spec, got, shortest)
				}
			}
		}
		for v := range chained.Real {
			through(t, all, chained, v)
		}
	}
}

// through checks the cycle through a transaction. A process's own step may
// leave it out, so one as short as any through it is what counts.
func through(t *testing.T, all [][]Step, g *Graph, v int32) {
	shortest := 0
	for _, c := range all {
		for _, s := range c {
			if s.From == v && (shortest == 0 || len(c) < shortest) {
				shortest = len(c)
			}
		}
	}
	if got := g.Through(v, All); len(got) > shortest || (got == nil) != (shortest == 0) {
		t.Fatalf("through %d: %v, the shortest has %d steps", v, got, shortest)
	}
}
