package graph

import "slices"

// RWRule says how many edges of kind RW a cycle must have.
type RWRule uint8

// The rules about edges of kind RW.
const (
	NoRW          RWRule = iota // none
	OneRW                       // exactly one
	NonadjacentRW               // two or more, no two of them consecutive
	ManyRW                      // two or more
)

// Spec says which cycles are sought.
type Spec struct {
	// Allow are the kinds other than RW that may be used.
	Allow Mask
	// Anchor is a kind that each such cycle has; RW unless RW is NoRW.
	Anchor Kind
	RW     RWRule
	// Order are the kinds of which the cycle must have at least one edge; 0
	// asks for nothing.
	Order Mask
}

// Step is an edge between two transactions on a cycle.
type Step struct {
	From, To int32
	Kind     Kind
}

// Shortest returns a cycle that meets spec and has the fewest transactions,
// or nil if there is none; of a process, what it did between two steps is left
// out (see Bridge). The budget pays for the edges that it follows; when
// that is used up, it returns the best cycle so far, with complete false. It visits no transaction twice on a cycle.
//
// It is a breadth-first search from each edge of kind Anchor, over pairs of a
// node and what the path has met so far.
func (g *Graph) Shortest(spec Spec, budget *Budget) (cycle []Step, complete bool) {
	allow := spec.Allow
	if spec.RW != NoRW {
		allow |= Of(RW)
	}
	member := Membership(g.Nodes(), g.Components(allow))
	s := &search{g: g, spec: spec, allow: allow, member: member, budget: budget,
		seen: make([]int32, int(g.Nodes())*states), parent: make([]int32, int(g.Nodes())*states), via: make([]Kind, int(g.Nodes())*states)}
	for v := int32(0); v < g.Real; v++ {
		for e := g.off[v]; e < g.off[v+1]; e++ {
			if g.kind[e] != spec.Anchor || member[v] < 0 || member[v] != member[g.to[e]] {
				continue
			}
			s.from(v, g.to[e])
			if budget.Err() != nil {
				return s.best, false
			}
			if len(s.best) == 2 {
				return s.best, true
			}
		}
	}
	return s.best, true
}

// What a path has met so far.
const (
	metOrder  = 1 << iota // an edge of Spec.Order
	metMany               // a second edge of kind RW
	metRWLast             // its last edge is of kind RW
	states    = 8
)

type search struct {
	g      *Graph
	spec   Spec
	allow  Mask
	member []int32
	budget *Budget
	round  int32
	seen   []int32 // by state: the round in which it was reached
	parent []int32 // by state: the state before it, or -1
	via    []Kind  // by state: the kind of the edge that reached it
	best   []Step
}

// from seeks a cycle that begins with the anchor edge u→v.
func (s *search) from(u, v int32) {
	s.round++
	start := v * states
	if s.spec.RW == NonadjacentRW {
		start += metRWLast
	}
	if s.spec.Order.Has(s.spec.Anchor) {
		start += metOrder
	}
	s.seen[start], s.parent[start], s.via[start] = s.round, -1, s.spec.Anchor
	level := []int32{start}
	for length := 2; len(level) > 0 && (s.best == nil || length < len(s.best)); length++ {
		// Edges that leave an auxiliary node belong to the step that entered
		// it, so they lead to states of the same level, as do those that go
		// on within a process.
		var next []int32
		for i := 0; i < len(level); i++ {
			state := level[i]
			node := state / states
			for e := s.g.off[node]; e < s.g.off[node+1]; e++ {
				s.budget.steps--
				to := s.g.to[e]
				reached, ok := s.follow(state, e)
				if !ok {
					continue
				}
				if to == u && s.closes(reached) {
					if cycle := s.walk(u, v, state, s.g.kind[e]); cycle != nil {
						s.best = cycle
						return
					}
					continue
				}
				if s.seen[reached] == s.round || to == u {
					continue
				}
				s.seen[reached], s.parent[reached], s.via[reached] = s.round, state, s.g.kind[e]
				if node >= s.g.Real || s.g.kind[e] == SO && s.via[state] == SO {
					level = append(level, reached)
				} else {
					next = append(next, reached)
				}
			}
			if s.budget.Err() != nil {
				return
			}
		}
		level = next
	}
}

// follow returns the state that edge e leads to, and whether it may be used.
func (s *search) follow(state, e int32) (int32, bool) {
	k, to := s.g.kind[e], s.g.to[e]
	node, met := state/states, state%states
	if !s.allow.Has(k) || s.member[to] != s.member[node] {
		return 0, false
	}
	if node >= s.g.Real { // on with the same step
		return to*states + met, true
	}
	if k != RW {
		met &^= metRWLast
	} else {
		switch s.spec.RW {
		case OneRW:
			return 0, false
		case NonadjacentRW:
			if met&metRWLast != 0 {
				return 0, false
			}
			met |= metRWLast
		}
		met |= metMany
	}
	if s.spec.Order.Has(k) {
		met |= metOrder
	}
	return to*states + met, true
}

// closes reports whether a path in that state, back where it began, is a
// cycle as sought.
func (s *search) closes(state int32) bool {
	met := state % states
	switch {
	case s.spec.Order != 0 && met&metOrder == 0:
		return false
	case s.spec.RW == NonadjacentRW && met&metRWLast != 0:
		return false // the anchor, which is RW, comes next
	case s.spec.RW == NonadjacentRW || s.spec.RW == ManyRW:
		return met&metMany != 0
	}
	return true
}

// walk returns the steps of the cycle that begins with the anchor edge u→v
// and comes back from state to u by an edge of kind last; nil if it meets a
// transaction twice.
func (s *search) walk(u, v, state int32, last Kind) []Step {
	cycle := []Step{{0, u, last}}
	met := map[int32]bool{u: true}
	for at := state; at >= 0; at = s.parent[at] {
		node := at / states
		if node >= s.g.Real {
			continue
		}
		if met[node] {
			return nil
		}
		met[node] = true
		cycle[len(cycle)-1].From = node
		// All edges on the way through auxiliary nodes are of one kind, so
		// that of the last one tells.
		cycle = append(cycle, Step{0, node, s.via[at]})
	}
	cycle[len(cycle)-1].From = u
	if v >= s.g.Real || len(cycle) == 1 {
		cycle[len(cycle)-1].Kind = s.spec.Anchor
	}
	slices.Reverse(cycle)
	return Bridge(cycle, true)
}

// Bridge makes one step of several within one process that follow each other:
// what it did in between explains nothing. Of a cycle the last step may go on
// in the first.
func Bridge(steps []Step, cycle bool) []Step {
	list := steps[:0:0]
	for _, s := range steps {
		if last := len(list) - 1; last >= 0 && s.Kind == SO && list[last].Kind == SO && s.To != list[last].From {
			list[last].To = s.To
		} else {
			list = append(list, s)
		}
	}
	if last := len(list) - 1; cycle && last > 1 && list[0].Kind == SO && list[last].Kind == SO {
		list[0].From = list[last].From
		list = list[:last]
	}
	return list
}

// Through returns a cycle of edges in allow with the fewest steps among those
// that pass through transaction v, or nil if v is on none. Steps within one
// process that follow each other are one (see Bridge), so that v itself may be
// left out.
func (g *Graph) Through(v int32, allow Mask) []Step {
	n := g.Nodes()
	parent, via := make([]int32, n), make([]Kind, n)
	for i := range parent {
		parent[i] = -1
	}
	for level := []int32{v}; len(level) > 0; {
		var next []int32
		for i := 0; i < len(level); i++ {
			node := level[i]
			for e := g.off[node]; e < g.off[node+1]; e++ {
				to := g.to[e]
				if !allow.Has(g.kind[e]) || parent[to] >= 0 {
					continue
				}
				parent[to], via[to] = node, g.kind[e]
				if to == v {
					return g.back(v, parent, via)
				}
				if node >= g.Real || g.kind[e] == SO && node != v && via[node] == SO {
					level = append(level, to)
				} else {
					next = append(next, to)
				}
			}
		}
		level = next
	}
	return nil
}

// back returns the steps of the cycle through v that parent tells of.
func (g *Graph) back(v int32, parent []int32, via []Kind) []Step {
	cycle := []Step{{0, v, via[v]}}
	for at := parent[v]; at != v; at = parent[at] {
		if at < g.Real {
			cycle[len(cycle)-1].From = at
			cycle = append(cycle, Step{0, at, via[at]})
		}
	}
	cycle[len(cycle)-1].From = v
	slices.Reverse(cycle)
	return Bridge(cycle, true)
}
