package graph

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// sides are choices given by the edges of both sides.
type sides [][2][]Step

func (s sides) Choices() int { return len(s) }

func (s sides) Side(choice int32, second bool, f func(Step)) {
	for _, e := range s[choice][which(second)] {
		f(e)
	}
}

func which(second bool) int {
	if second {
		return 1
	}
	return 0
}

// randomSides draws choices between edges of the transactions of a graph.
func randomSides(r *rand.Rand, n int32, choices, most int) sides {
	s := make(sides, choices)
	for c := range s {
		for i := range s[c] {
			for range 1 + r.IntN(most) {
				if e := (Step{r.Int32N(n), r.Int32N(n), Kind(r.IntN(3))}); e.From != e.To {
					s[c][i] = append(s[c][i], e)
				}
			}
		}
	}
	return s
}

// with returns a graph together with the sides that an assignment takes.
func (s sides) with(g *Graph, taken int) *Graph {
	b := NewBuilder(int(g.Real), 0)
	b.nodes = g.Nodes()
	for v := int32(0); v < g.Nodes(); v++ {
		g.Out(v, func(to int32, k Kind) { b.Edge(v, to, k) })
	}
	for c := range s {
		s.Side(int32(c), taken>>c&1 == 1, func(e Step) { b.Edge(e.From, e.To, e.Kind) })
	}
	return b.Build()
}

func (g *Graph) refuted(si bool) bool {
	if si {
		g = g.Doubled(All)
	}
	return len(g.Components(All)) > 0
}

// direct lists the steps between transactions, those through auxiliary nodes
// included.
func direct(g *Graph) map[Step]bool {
	all := map[Step]bool{}
	for v := int32(0); v < g.Real; v++ {
		var walk func(at int32)
		walk = func(at int32) {
			g.Out(at, func(to int32, k Kind) {
				if to >= g.Real {
					walk(to)
				} else {
					all[Step{v, to, k}] = true
				}
			})
		}
		walk(v)
	}
	for grown := true; grown; { // a process comes before all that it does later
		grown = false
		for a := range all {
			for b := range all {
				if c := (Step{a.From, b.To, SO}); a.Kind == SO && b.Kind == SO && a.To == b.From && !all[c] {
					all[c], grown = true, true
				}
			}
		}
	}
	return all
}

// proves reports whether refuted sides show that no choice will do: each
// assignment takes all sides that one of the cycles needs.
func proves(s sides, known map[Step]bool, refuted []Refuted, si bool) bool {
	for _, x := range refuted {
		for i, e := range x.Cycle {
			if e.To != x.Cycle[(i+1)%len(x.Cycle)].From || len(x.Cycle) < 2 || si && adjacent(x.Cycle) {
				return false
			}
		}
	}
	for taken := range 1 << len(s) {
		has := func(e Step) bool {
			return known[e] || slices.ContainsFunc(s.taken(taken), func(side []Step) bool { return slices.Contains(side, e) })
		}
		if !slices.ContainsFunc(refuted, func(x Refuted) bool {
			return !slices.ContainsFunc(x.Cycle, func(e Step) bool { return !has(e) })
		}) {
			return false
		}
	}
	return true
}

// taken returns the sides of an assignment.
func (s sides) taken(taken int) [][]Step {
	var list [][]Step
	for c := range s {
		list = append(list, s[c][taken>>c&1])
	}
	return list
}

func TestChoicesAreThoseOfEnumeration(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	var count [3]int
	for i := range 20_000 {
		g, si := random(r), i%2 == 1
		s := randomSides(r, g.Real, r.IntN(6), 2)
		if i%100 < 2 { // of which conflicts have several choices
			g = NewBuilder(10, 0).Build()
			s = randomSides(r, g.Real, 9, 4)
		}
		possible := false
		for taken := range 1 << len(s) {
			possible = possible || !s.with(g, taken).refuted(si)
		}
		got, refuted := g.Choose(s, si, NewBudget(context.Background(), 1<<20, 1<<40))
		count[got]++
		if (got == Possible) != possible || got == Open {
			t.Fatalf("si %v: outcome %d, possible: %v; %v of %v", si, got, possible, s, direct(g))
		}
		if got == Impossible && !proves(s, direct(g), refuted, si) {
			t.Fatalf("si %v: %v is no proof; %v of %v", si, refuted, s, direct(g))
		}
	}
	if min(count[Possible], count[Impossible]) < 3_000 {
		t.Errorf("the instances are too much alike: %v", count)
	}
}

// larger is an instance on which sides conflict only several at a time.
func larger(r *rand.Rand, choices int) (*Graph, sides) {
	const n = 40
	return NewBuilder(n, 0).Build(), randomSides(r, n, choices, 1)
}

func TestSearchStopsAtItsBoundsAndSaysWhich(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		steps  int
		memory int64
		want   error
	}{
		{"enough of all", context.Background(), 1 << 20, 1 << 30, nil},
		{"no steps for the edges of the sides", context.Background(), 10, 1 << 30, ErrSteps},
		{"no steps for the search", context.Background(), 400, 1 << 30, ErrSteps},
		{"no memory for the search", context.Background(), 1 << 20, 10_000, ErrMemory},
		{"no memory for conflicts", context.Background(), 1 << 20, 200_000, ErrMemory},
		{"no time", cancelled, 1 << 20, 1 << 30, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, s := larger(rand.New(rand.NewPCG(5, 1)), 110)
			budget := NewBudget(c.ctx, c.steps, c.memory)
			got, _ := g.Choose(s, false, budget)
			if !errors.Is(budget.Err(), c.want) || (got == Open) != (c.want != nil) {
				t.Errorf("outcome %d, %v; expected %v", got, budget.Err(), c.want)
			}
		})
	}
}

func TestSearchTakesNoMoreMemoryThanItPaysFor(t *testing.T) {
	for seed := range uint64(20) {
		for _, si := range []bool{false, true} {
			g, s := larger(rand.New(rand.NewPCG(seed, 2)), 60+10*int(seed))
			budget := NewBudget(context.Background(), 1<<18, 1<<30)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			g.Choose(s, si, budget)
			runtime.ReadMemStats(&after)
			took, paid := int64(after.TotalAlloc-before.TotalAlloc), int64(1<<30)-budget.Memory()
			if took > paid+paid/10 || took < paid/4 {
				t.Errorf("seed %d, si %v: it took %d bytes and paid for %d", seed, si, took, paid)
			}
		}
	}
}

// A side of many edges, each of which moves many nodes, ends with the steps:
// the readers of one version, all of which come before the writer of another
// and its readers.
func TestChooseEndsWithTheStepsWithinASide(t *testing.T) {
	const n = 3_000
	b := NewBuilder(2+2*n, 0)
	side := [2][]Step{{{0, 1, WW}}, {{1, 0, WW}}}
	for i := range int32(n) {
		b.Edge(1, 2+i, WR)
		b.Edge(0, 2+n+i, WR)
		side[0] = append(side[0], Step{2 + n + i, 1, RW})
		side[1] = append(side[1], Step{2 + i, 0, RW})
	}
	budget := NewBudget(context.Background(), 10*n, 1<<40)
	if outcome, _ := b.Build().Choose(sides{side}, false, budget); outcome != Open || !errors.Is(budget.Err(), ErrSteps) {
		t.Fatalf("outcome %d: %v", outcome, budget.Err())
	}
	if budget.steps < -20*n {
		t.Errorf("%d steps were followed too many", -budget.steps)
	}
}
