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
// out (see bridge). The budget pays for the edges that it follows; when
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
		seen: make([]int32, int(g.Nodes())*states), parent: make([]int32, int(g.Nodes())*states), via: make([]Kind, int(g.Nodes())*states), met: make([]int32, g.Real)}
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
	metSOLast             // its last edge is of kind SO
	states    = 16
)

type search struct {
	g      *Graph
	spec   Spec
	allow  Mask
	member []int32
	budget *Budget
	u, v   int32 // the anchor
	steps  int   // of the paths at hand
	round  int32
	seen   []int32 // by state: the round in which it was reached
	parent []int32 // by state: the state before it, or -1
	via    []Kind  // by state: the kind of the edge that reached it
	// level holds the states that are so many steps from the start, next those
	// that are one step further.
	level, next []int32
	best        []Step
	met         []int32 // of each transaction: the last cycle that it was on
	walks       int32
}

// from seeks a cycle that begins with the anchor edge u→v.
func (s *search) from(u, v int32) {
	s.u, s.v = u, v
	s.round++
	start := v * states
	if s.spec.RW == NonadjacentRW {
		start += metRWLast
	}
	if s.spec.Order.Has(s.spec.Anchor) {
		start += metOrder
	}
	s.seen[start], s.parent[start], s.via[start] = s.round, -1, s.spec.Anchor
	s.level = append(s.level[:0], start)
	for s.steps = 1; len(s.level) > 0; s.steps++ {
		// What belongs to the last step comes before all that takes another.
		for i := 0; i < len(s.level); i++ {
			if !s.expand(s.level[i], true, &s.level) {
				return
			}
		}
		s.next = s.next[:0]
		for _, state := range s.level {
			if !s.expand(state, false, &s.next) {
				return
			}
		}
		s.level, s.next = s.next, s.level
	}
}

// expand appends to list the states that edges lead to: with same those that
// belong to the step that reached the state, as edges that leave an auxiliary
// node do and those that go on within a process, otherwise all others. It
// returns false when the search from this anchor is over.
func (s *search) expand(state int32, same bool, list *[]int32) bool {
	node := state / states
	inProcess := state&metSOLast != 0
	if node >= s.g.Real != same && !(inProcess && node < s.g.Real) {
		return true
	}
	length := s.steps // of a cycle that an edge from here closes
	if !same {
		length++
	}
	if s.best != nil && length >= len(s.best) {
		return false
	}
	for e := s.g.off[node]; e < s.g.off[node+1]; e++ {
		s.budget.steps--
		to, kind := s.g.to[e], s.g.kind[e]
		if inProcess && node < s.g.Real && (kind == SO) != same {
			continue
		}
		reached, ok := s.follow(state, e)
		switch {
		case !ok || to == s.u && !s.closes(reached):
		case to == s.u:
			if cycle := s.walk(state, kind, length); cycle != nil {
				s.best = cycle
				return false
			}
		case s.seen[reached] != s.round:
			s.seen[reached], s.parent[reached], s.via[reached] = s.round, state, kind
			*list = append(*list, reached)
		}
	}
	return s.budget.Err() == nil
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
	met &^= metSOLast
	if k == SO {
		met |= metSOLast
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
// and comes back from state to u by an edge of kind last, which makes it so
// long; nil if it meets a transaction twice, or if there is no memory for it.
func (s *search) walk(state int32, last Kind, length int) []Step {
	s.budget.steps -= length
	if !s.budget.take(walkBytes * int64(length)) {
		return nil
	}
	cycle := append(make([]Step, 0, length+1), Step{0, s.u, last})
	for at := state; at >= 0; at = s.parent[at] {
		node := at / states
		if node >= s.g.Real {
			continue
		}
		cycle[len(cycle)-1].From = node
		// All edges on the way through auxiliary nodes are of one kind, so
		// that of the last one tells.
		cycle = append(cycle, Step{0, node, s.via[at]})
	}
	cycle[len(cycle)-1].From = s.u
	if s.v >= s.g.Real || len(cycle) == 1 {
		cycle[len(cycle)-1].Kind = s.spec.Anchor
	}
	slices.Reverse(cycle)
	cycle = bridge(cycle)
	s.walks++
	for _, step := range cycle {
		if s.met[step.From] == s.walks {
			return nil
		}
		s.met[step.From] = s.walks
	}
	return cycle
}

// walkBytes are those of a step of a cycle that is found, and of steps within
// a process that are left out of it.
const walkBytes = 3 * 12

// bridge makes one step of several within one process that follow each other:
// what it did in between explains nothing. The last step of the cycle may go on
// in the first. The list given is used for the result.
func bridge(steps []Step) []Step {
	list := steps[:0]
	for _, s := range steps {
		if last := len(list) - 1; last >= 0 && s.Kind == SO && list[last].Kind == SO && s.To != list[last].From {
			list[last].To = s.To
		} else {
			list = append(list, s)
		}
	}
	if last := len(list) - 1; last > 1 && list[0].Kind == SO && list[last].Kind == SO {
		list[0].From = list[last].From
		list = list[:last]
	}
	return list
}

// Through returns a cycle of edges in allow with the fewest steps among those
// that pass through transaction v, or nil if v is on none. Steps within one
// process that follow each other are one (see bridge), so that v itself may be
// left out.
func (g *Graph) Through(v int32, allow Mask) []Step {
	// A state is a node and whether an edge of kind SO reached it.
	parent, via := make([]int32, 2*g.Nodes()), make([]Kind, 2*g.Nodes())
	for i := range parent {
		parent[i] = -1
	}
	// expand is that of search, which keeps more.
	expand := func(state int32, same bool, list *[]int32) bool {
		node, inProcess := state/2, state%2 == 1
		if node >= g.Real != same && !inProcess {
			return true
		}
		for e := g.off[node]; e < g.off[node+1]; e++ {
			reached, kind := 2*g.to[e], g.kind[e]
			if !allow.Has(kind) || inProcess && (kind == SO) != same {
				continue
			}
			if kind == SO && g.to[e] != v {
				reached++
			}
			if parent[reached] >= 0 {
				continue
			}
			parent[reached], via[reached] = state, kind
			if g.to[e] == v {
				return false
			}
			*list = append(*list, reached)
		}
		return true
	}
	level, next := []int32{2 * v}, []int32(nil)
	for len(level) > 0 {
		for i := 0; i < len(level); i++ {
			if !expand(level[i], true, &level) {
				return g.back(v, parent, via)
			}
		}
		next = next[:0]
		for _, state := range level {
			if !expand(state, false, &next) {
				return g.back(v, parent, via)
			}
		}
		level, next = next, level
	}
	return nil
}

// back returns the steps of the cycle through v that the parents of states
// tell of.
func (g *Graph) back(v int32, parent []int32, via []Kind) []Step {
	cycle := []Step{{0, v, via[2*v]}}
	for at := parent[2*v]; at != 2*v; at = parent[at] {
		if node := at / 2; node < g.Real {
			cycle[len(cycle)-1].From = node
			cycle = append(cycle, Step{0, node, via[at]})
		}
	}
	cycle[len(cycle)-1].From = v
	slices.Reverse(cycle)
	return bridge(cycle)
}
