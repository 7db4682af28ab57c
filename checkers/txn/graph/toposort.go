package graph

import (
	"container/heap"
	"slices"
)

// sort finds a topological order of the nodes, one that follows their numbers
// where it is free to, and reports whether there is one.
func (s *chooser) sort() bool {
	missing := make([]int32, len(s.out))
	ready := &rising{n: s.n}
	for v := range s.out {
		missing[v] = int32(len(s.in[v]))
		if missing[v] == 0 {
			ready.nodes = append(ready.nodes, int32(v))
		}
	}
	heap.Init(ready)
	placed := int32(0)
	for ; len(ready.nodes) > 0; placed++ {
		v := heap.Pop(ready).(int32)
		s.ord[v] = placed
		for _, id := range s.out[v] {
			to := s.arcs[id].to
			if missing[to]--; missing[to] == 0 {
				heap.Push(ready, to)
			}
		}
	}
	return int(placed) == len(s.out)
}

// rising is a heap of nodes; the two nodes of a transaction are neighbours.
type rising struct {
	nodes []int32
	n     int32
}

func (r *rising) Len() int           { return len(r.nodes) }
func (r *rising) Less(i, j int) bool { return r.key(i) < r.key(j) }
func (r *rising) Swap(i, j int)      { r.nodes[i], r.nodes[j] = r.nodes[j], r.nodes[i] }
func (r *rising) Push(v any)         { r.nodes = append(r.nodes, v.(int32)) }
func (r *rising) Pop() any {
	v := r.nodes[len(r.nodes)-1]
	r.nodes = r.nodes[:len(r.nodes)-1]
	return v
}

func (r *rising) key(i int) int32 {
	if v := r.nodes[i]; v >= r.n {
		return 2*(v-r.n) + 1
	}
	return 2 * r.nodes[i]
}

// known returns a cycle that needs no choice.
func (s *chooser) known() []Step {
	g := s.g
	if s.si {
		g = s.g.Doubled(All)
	}
	components := g.Components(All)
	v := slices.Min(slices.MinFunc(components, func(a, b []int32) int { return len(a) - len(b) }))
	cycle := g.Through(v, All)
	for i := range cycle {
		cycle[i].From, cycle[i].To = cycle[i].From%s.g.Nodes(), cycle[i].To%s.g.Nodes()
	}
	return Contract(cycle, s.g.Real)
}

// Contract leaves auxiliary nodes, those from real on, out of a cycle, and what a
// process did between two steps (see bridge).
func Contract(cycle []Step, real int32) []Step {
	for i := range cycle {
		if cycle[i].From < real {
			cycle = append(cycle[i:len(cycle):len(cycle)], cycle[:i]...)
			break
		}
	}
	var short []Step
	for _, s := range cycle {
		if s.From < real {
			short = append(short, s)
		} else {
			short[len(short)-1].To = s.To
		}
	}
	return bridge(short)
}

// insert adds an arc and mends the order. It reports false if the arc closes
// a cycle, which is then in s.cycle with the arc as the last one of s.arcs;
// the caller takes it back.
func (s *chooser) insert(a arc) bool {
	s.push(a)
	s.budget.steps--
	if s.ord[a.from] < s.ord[a.to] {
		return true
	}
	s.round++
	if !s.forward(a.to, a.from) {
		s.cycle = append(s.cycle[:0], int32(len(s.arcs)-1))
		for v := a.from; v != a.to; v = s.arcs[s.parent[v]].from {
			s.cycle = append(s.cycle, s.parent[v])
		}
		slices.Reverse(s.cycle[1:])
		return false
	}
	s.backward(a.from, s.ord[a.to])
	s.reorder()
	return true
}

// forward visits what v leads to, up to the position of target, in breadth
// so that cycles are short; it reports false if it meets target.
func (s *chooser) forward(v, target int32) bool {
	s.ahead = append(s.ahead[:0], v)
	s.stamp[v] = s.round
	for i := 0; i < len(s.ahead); i++ {
		for _, id := range s.out[s.ahead[i]] {
			s.budget.steps--
			to := s.arcs[id].to
			if s.ord[to] > s.ord[target] || s.stamp[to] == s.round {
				continue
			}
			s.stamp[to], s.parent[to] = s.round, id
			if to == target {
				return false
			}
			s.ahead = append(s.ahead, to)
		}
	}
	return true
}

// backward visits what leads to v, from the given position on.
func (s *chooser) backward(v, from int32) {
	s.behind = append(s.behind[:0], v)
	s.stamp[v] = s.round
	for i := 0; i < len(s.behind); i++ {
		for _, id := range s.in[s.behind[i]] {
			s.budget.steps--
			if w := s.arcs[id].from; s.ord[w] >= from && s.stamp[w] != s.round {
				s.stamp[w] = s.round
				s.behind = append(s.behind, w)
			}
		}
	}
}

// reorder gives the positions of all visited nodes out again: first to those
// behind the new arc, then to those ahead of it.
func (s *chooser) reorder() {
	s.budget.steps -= len(s.behind) + len(s.ahead)
	byOrder := func(a, b int32) int { return int(s.ord[a]) - int(s.ord[b]) }
	slices.SortFunc(s.behind, byOrder)
	slices.SortFunc(s.ahead, byOrder)
	free := s.free[:0]
	for _, list := range [][]int32{s.behind, s.ahead} {
		for _, v := range list {
			free = append(free, s.ord[v])
		}
	}
	slices.Sort(free)
	for i, v := range s.behind {
		s.ord[v] = free[i]
	}
	for i, v := range s.ahead {
		s.ord[v] = free[len(s.behind)+i]
	}
	s.free = free
}

// steps returns the cycle that was found as steps between transactions.
func (s *chooser) steps() []Step {
	var cycle []Step
	for _, id := range s.cycle {
		a := s.arcs[id]
		cycle = append(cycle, Step{s.orig[a.from%s.n], s.orig[a.to%s.n], a.kind})
	}
	return Contract(cycle, s.g.Real)
}
