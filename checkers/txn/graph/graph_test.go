package graph

import (
	"context"
	"math/rand/v2"
	"testing"
)

// cycles lists all simple cycles of g as their kinds, by brute force, with
// auxiliary nodes contracted.
func cycles(g *Graph) [][]Step {
	var all [][]Step
	edges := make([][]Step, g.Real)
	for v := int32(0); v < g.Real; v++ {
		var walk func(at int32, k Kind, first bool)
		walk = func(at int32, k Kind, first bool) {
			g.Out(at, func(to int32, kind Kind) {
				if first {
					k = kind
				}
				if to >= g.Real {
					walk(to, k, false)
				} else {
					edges[v] = append(edges[v], Step{v, to, k})
				}
			})
		}
		walk(v, 0, true)
	}
	var path []Step
	on := make([]bool, g.Real)
	var visit func(root, at int32)
	visit = func(root, at int32) {
		for _, s := range edges[at] {
			path = append(path, s)
			if s.To == root {
				all = append(all, append([]Step(nil), path...))
			} else if s.To > root && !on[s.To] {
				on[s.To] = true
				visit(root, s.To)
				on[s.To] = false
			}
			path = path[:len(path)-1]
		}
	}
	for v := int32(0); v < g.Real; v++ {
		visit(v, v)
	}
	return all
}

func count(c []Step, k Kind) int {
	n := 0
	for _, s := range c {
		if s.Kind == k {
			n++
		}
	}
	return n
}

func adjacent(c []Step) bool {
	for i, s := range c {
		if s.Kind == RW && c[(i+1)%len(c)].Kind == RW {
			return true
		}
	}
	return false
}

func (s Spec) meets(c []Step) bool {
	order, rw := 0, count(c, RW)
	for _, step := range c {
		if step.Kind != RW && !s.Allow.Has(step.Kind) {
			return false
		}
		if s.Order.Has(step.Kind) {
			order++
		}
	}
	if s.Order != 0 && order == 0 || s.RW == NoRW && (rw > 0 || count(c, s.Anchor) == 0) {
		return false
	}
	return s.RW == NoRW || s.RW == OneRW && rw == 1 || s.RW == ManyRW && rw > 1 || s.RW == NonadjacentRW && rw > 1 && !adjacent(c)
}

func random(r *rand.Rand) *Graph {
	n := 2 + r.IntN(5)
	b := NewBuilder(n, 0)
	for range r.IntN(2 * n) {
		from, to := int32(r.IntN(n)), int32(r.IntN(n))
		b.Edge(from, to, Kind(r.IntN(int(RT)+1)))
	}
	if r.IntN(2) == 0 {
		var from, to []int32
		for v := range n {
			if r.IntN(2) == 0 {
				from = append(from, int32(v))
			}
			if r.IntN(2) == 0 {
				to = append(to, int32(v))
			}
		}
		b.LinkAll(from, to, RW)
	}
	return b.Build()
}

func TestShortestCyclesAreThoseOfBruteForce(t *testing.T) {
	specs := []Spec{
		{Allow: Of(WW), Anchor: WW},
		{Allow: Of(WW, WR), Anchor: WR},
		{Allow: Of(WW, WR), Anchor: RW, RW: OneRW},
		{Allow: Of(WW, WR), Anchor: RW, RW: ManyRW},
		{Allow: Of(WW, WR, RT), Anchor: WR, Order: Of(RT)},
		{Allow: Of(WW, WR, SO), Anchor: RW, RW: OneRW, Order: Of(SO)},
		{Allow: Of(WW, WR), Anchor: RW, RW: NonadjacentRW},
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		g := random(r)
		all := cycles(g)
		for i, spec := range specs {
			shortest := 0
			for _, c := range all {
				if spec.meets(c) && (shortest == 0 || len(c) < shortest) {
					shortest = len(c)
				}
			}
			got, complete := g.Shortest(spec, NewBudget(context.Background(), 1<<20, 1<<40))
			if !complete {
				t.Fatal("the budget was used up")
			}
			if got != nil && !spec.meets(got) {
				t.Fatalf("spec %d: %v does not meet it", i, got)
			}
			// A closed walk that meets a transaction twice can hide a simple
			// cycle where both are sought by the kinds that they must have.
			if exact := spec.Order == 0 && spec.RW < NonadjacentRW; exact && len(got) != shortest {
				t.Fatalf("spec %d: found %v, the shortest has %d steps", i, got, shortest)
			}
		}
	}
}

func TestComponentsAreEmptyExactlyWithoutCycles(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	for range 20_000 {
		g := random(r)
		all := cycles(g)
		si := false
		for _, c := range all {
			si = si || !adjacent(c)
		}
		if got := len(g.Components(All)) > 0; got != (len(all) > 0) {
			t.Fatalf("components %v, cycles %v", g.Components(All), all)
		}
		if got := len(g.Doubled(All).Components(All)) > 0; got != si {
			t.Fatalf("doubled: %v, expected %v of %v", got, si, all)
		}
		for _, c := range g.Components(All) {
			for _, v := range c {
				if v < g.Real && g.Through(v, All) == nil {
					t.Fatalf("no cycle through %d of component %v", v, c)
				}
			}
		}
		sub, original := g.Induce(g.Components(All))
		if len(cycles(sub)) != len(all) || len(original) != int(sub.Nodes()) {
			t.Fatalf("the induced graph has %d cycles of %d", len(cycles(sub)), len(all))
		}
	}
}
