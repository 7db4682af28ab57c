package graph

import "slices"

// Alternatives are edges of which it is open which ones hold: of each choice
// either those of its first side or those of its second.
type Alternatives interface {
	// Choices returns the number of choices.
	Choices() int
	// Side calls f for each edge of one side of a choice.
	Side(choice int32, second bool, f func(Step))
}

// Outcome is what Choose found out.
type Outcome uint8

// The outcomes of Choose.
const (
	Open       Outcome = iota // the budget was used up
	Possible                  // some choice of sides makes no cycle
	Impossible                // every choice of sides makes a cycle
)

// Refuted says that one side of a choice closes a cycle with edges of the
// graph and of sides of other choices. Its choice is -1 if the cycle needs
// none.
type Refuted struct {
	Choice int32
	Second bool
	Cycle  []Step
}

// Choose seeks a side for each choice so that graph and chosen sides together
// have no cycle; with si, cycles with two consecutive edges of kind RW are
// allowed (see Doubled). For each way to choose, an impossible outcome names a
// cycle that has only edges of the graph and of the sides taken. Where the outcome is open, the budget tells
// why; it pays for each edge of a side, each edge followed, and each choice in
// a conflict, and for all memory but that of the sides themselves.
//
// Only edges inside a component of the graph with all sides at once can be on
// a cycle; all others are left out at first. The rest is searched in depth: a
// topological order is kept under insertion (Pearce and Kelly, "A Dynamic
// Topological Sort Algorithm for Directed Acyclic Graphs", JEA 11, 2006), and
// a choice of which both sides fail goes back to the last choice that took
// part in either cycle (Prosser's conflict-directed backjumping, 1993).
func (g *Graph) Choose(a Alternatives, si bool, budget *Budget) (Outcome, []Refuted) {
	sides, ok := weigh(a, budget)
	if !ok || !budget.take(chooseBytes(int64(g.Nodes()), int64(len(g.to)), sides, int64(a.Choices()), si)) {
		return Open, nil
	}
	b := NewBuilder(int(g.Nodes()), len(g.to)+int(sides))
	for v := int32(0); v < g.Nodes(); v++ {
		g.Out(v, func(to int32, k Kind) { b.Edge(v, to, k) })
	}
	for c := range int32(a.Choices()) {
		for _, second := range []bool{false, true} {
			a.Side(c, second, func(s Step) { b.Edge(s.From, s.To, s.Kind) })
		}
	}
	components := b.Build().Components(All)
	if len(components) == 0 {
		return Possible, nil
	}
	s := newChooser(g, a, si, budget, components)
	if !s.sort() {
		return Impossible, []Refuted{{Choice: -1, Cycle: s.known()}}
	}
	if proof := s.prune(); proof != nil {
		return Impossible, proof.list()
	}
	return s.search()
}

// weigh counts the edges of all sides, which cost a step each, and reports
// whether the budget lasts.
func weigh(a Alternatives, budget *Budget) (edges int64, ok bool) {
	for c := range int32(a.Choices()) {
		before := edges
		for _, second := range []bool{false, true} {
			a.Side(c, second, func(Step) { edges++ })
		}
		budget.steps -= int(edges - before)
		if budget.Err() != nil {
			return edges, false
		}
	}
	return edges, true
}

// chooseBytes estimates what a search takes before it meets a conflict: the
// graph with all sides (see the package comment), and the chooser's arrays, of
// which those of arcs grow by doubling.
func chooseBytes(nodes, known, sides, choices int64, si bool) int64 {
	all := nodes*(4+13+16) + (known+sides)*14
	doubled := int64(1)
	if si {
		doubled = 2
	}
	perNode := int64(4+4+4+4) + doubled*(2*24+2*24+3*4+3*4+20)
	perArc := doubled*(3*16+2*20) + closureBytes
	return 4096 + all + nodes*perNode + (known+sides)*perArc + choices*(3*4+1+6*closureBytes)
}

// arc is an edge between nodes of the search: under snapshot isolation an
// edge of the graph stands for one or two.
type arc struct {
	from, to int32
	kind     Kind
	choice   int32 // that it belongs to, or -1
}

// proof is why a side, or a set of them, is refuted: by a cycle, or because
// other proofs leave no side of some choice.
type proof struct {
	refuted Refuted // without cycle if only reasons count
	reasons []*proof
}

// list returns all refuted sides that a proof rests on.
func (p *proof) list() []Refuted {
	var list []Refuted
	met := map[*proof]bool{}
	for stack := []*proof{p}; len(stack) > 0; {
		q := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if met[q] {
			continue
		}
		met[q] = true
		if len(q.refuted.Cycle) > 0 {
			list = append(list, q.refuted)
		}
		for i := len(q.reasons) - 1; i >= 0; i-- {
			stack = append(stack, q.reasons[i])
		}
	}
	return list
}

// conflict is a proof that the sides taken of some choices, in rising order,
// cannot all be right.
type conflict struct {
	choices []int32
	proof   *proof
}

// frame is a choice that was made.
type frame struct {
	choice int32
	arcs   int       // there were before
	next   int       // where to look for the next choice
	other  *conflict // why the other side fails, if it was tried
	second bool
}

// chooser is a search under way.
type chooser struct {
	g      *Graph
	a      Alternatives
	si     bool
	budget *Budget
	number []int32 // of each node of g among the nodes of the search, or -1
	orig   []int32 // the reverse
	group  []int32 // component of each node of the search
	n      int32   // nodes, without those added for snapshot isolation

	arcs    []arc
	out, in [][]int32 // arcs of each node
	ord     []int32   // position of each node in a topological order
	choices []int32   // that matter, by component
	taken   []int8    // of each choice: 0 not, 1 the first side, 2 the second, for good if without frame
	reason  map[int32]*proof
	frames  []frame
	last    int32 // the choice that failed last

	// Of the search for cycles: the arc that reached each node in the round
	// of its stamp, the nodes met on both sides, and the arcs of the cycle.
	parent, stamp       []int32
	round               int32
	ahead, behind, free []int32
	cycle               []int32
}

func newChooser(g *Graph, a Alternatives, si bool, budget *Budget, components [][]int32) *chooser {
	s := &chooser{g: g, a: a, si: si, budget: budget, number: make([]int32, g.Nodes()), taken: make([]int8, a.Choices()), reason: map[int32]*proof{}, last: -1}
	for i := range s.number {
		s.number[i] = -1
	}
	for i, c := range components {
		slices.Sort(c)
		for _, v := range c {
			s.number[v] = int32(len(s.orig))
			s.orig, s.group = append(s.orig, v), append(s.group, int32(i))
		}
	}
	s.n = int32(len(s.orig))
	nodes := s.n
	if si {
		nodes *= 2
	}
	s.out, s.in = make([][]int32, nodes), make([][]int32, nodes)
	s.ord, s.parent, s.stamp = make([]int32, nodes), make([]int32, nodes), make([]int32, nodes)
	for i, v := range s.orig {
		g.Out(v, func(to int32, k Kind) {
			if w := s.number[to]; w >= 0 && s.group[w] == s.group[i] {
				s.expand(Step{v, to, k}, func(from, to int32) bool {
					s.push(arc{from, to, k, -1})
					return true
				})
			}
		})
	}
	byGroup := make([][]int32, len(components))
	for c := range int32(a.Choices()) {
		inside := int32(-1)
		for _, second := range []bool{false, true} {
			a.Side(c, second, func(e Step) {
				if v, w := s.number[e.From], s.number[e.To]; e.From != e.To && v >= 0 && w >= 0 && s.group[v] == s.group[w] {
					inside = s.group[v]
				}
			})
		}
		if inside >= 0 {
			byGroup[inside] = append(byGroup[inside], c)
		}
	}
	s.choices = slices.Concat(byGroup...)
	return s
}

// expand calls f for the arcs that an edge of the graph stands for, as
// Doubled has it, until f returns false.
func (s *chooser) expand(e Step, f func(from, to int32) bool) bool {
	v, w := s.number[e.From], s.number[e.To]
	switch {
	case v < 0 || w < 0 || s.group[v] != s.group[w] || v == w:
		return true
	case !s.si:
		return f(v, w)
	case e.Kind != RW:
		return f(v, w) && (e.To >= s.g.Real || f(v, w+s.n))
	case e.From < s.g.Real:
		return f(v+s.n, w)
	}
	return f(v, w)
}

func (s *chooser) push(a arc) {
	n := int32(len(s.arcs))
	s.arcs = append(s.arcs, a)
	s.out[a.from], s.in[a.to] = append(s.out[a.from], n), append(s.in[a.to], n)
}

// pop takes back all arcs from the given one on.
func (s *chooser) pop(to int) {
	for i := len(s.arcs) - 1; i >= to; i-- {
		a := s.arcs[i]
		s.out[a.from], s.in[a.to] = s.out[a.from][:len(s.out[a.from])-1], s.in[a.to][:len(s.in[a.to])-1]
	}
	s.arcs = s.arcs[:to]
}

// try adds a side of a choice, or returns why it fails. When the budget is used
// up it says nothing; whoever goes on must ask.
func (s *chooser) try(choice int32, second bool) *conflict {
	mark, ok := len(s.arcs), true
	s.budget.take(2 * closureBytes)
	s.a.Side(choice, second, func(e Step) {
		s.budget.take(closureBytes)
		ok = ok && s.budget.Err() == nil && s.expand(e, func(from, to int32) bool { return s.insert(arc{from, to, e.Kind, choice}) })
	})
	if ok || s.budget.Err() != nil {
		return nil
	}
	c := &conflict{proof: &proof{refuted: Refuted{Choice: choice, Second: second, Cycle: s.steps()}}}
	for _, id := range s.cycle {
		switch other := s.arcs[id].choice; {
		case other < 0 || other == choice:
		case s.reason[other] != nil:
			if !slices.Contains(c.proof.reasons, s.reason[other]) {
				c.proof.reasons = append(c.proof.reasons, s.reason[other])
			}
		default:
			c.choices = append(c.choices, other)
		}
	}
	slices.Sort(c.choices)
	c.choices = slices.Compact(c.choices)
	s.pop(mark)
	s.pay(len(c.choices), 12*cap(c.proof.refuted.Cycle)+8*cap(c.proof.reasons)+4*cap(c.choices))
	return c
}

// conflictBytes are those of a conflict and its proof without their lists,
// closureBytes those of a function that is handed to Alternatives.Side.
const (
	conflictBytes = 128
	closureBytes  = 64
)

// pay deducts what a conflict costs.
func (s *chooser) pay(choices, bytes int) {
	s.budget.steps -= choices
	s.budget.take(int64(conflictBytes + 5*bytes))
}

// merge tells what follows if both sides of a choice fail.
func (s *chooser) merge(choice int32, a, b *conflict) *conflict {
	s.pay(len(a.choices)+len(b.choices), 8*(len(a.choices)+len(b.choices)))
	c := &conflict{choices: slices.Concat(a.choices, b.choices), proof: &proof{reasons: []*proof{a.proof, b.proof}}}
	slices.Sort(c.choices)
	c.choices = slices.DeleteFunc(slices.Compact(c.choices), func(x int32) bool { return x == choice })
	return c
}

// passes bounds how often prune goes through all choices.
const passes = 8

// prune takes for good the sides whose opposite fails by itself; it returns a
// proof if both sides of some choice do.
func (s *chooser) prune() *proof {
	for range passes {
		changed := false
		for _, c := range s.choices {
			if s.taken[c] != 0 {
				continue
			}
			if s.budget.Err() != nil {
				return nil
			}
			// What it prefers may change with the order that a try leaves.
			mark, preferred := len(s.arcs), s.prefers(c)
			first := s.try(c, preferred)
			s.pop(mark)
			second := s.try(c, !preferred)
			if first == nil {
				s.pop(mark)
			}
			switch {
			case first != nil && second != nil:
				return s.merge(c, first, second).proof
			case first == nil && second == nil:
				continue
			case second != nil:
				s.try(c, !second.proof.refuted.Second)
				s.fix(c, second)
			default:
				s.fix(c, first)
			}
			changed = true
		}
		if !changed {
			break
		}
	}
	return nil
}

// fix takes for good the side whose opposite failed.
func (s *chooser) fix(c int32, failed *conflict) {
	s.taken[c] = side(!failed.proof.refuted.Second)
	s.reason[c] = failed.proof
}

func side(second bool) int8 {
	if second {
		return 2
	}
	return 1
}

// prefers returns the side of a choice that agrees with the topological
// order at hand.
func (s *chooser) prefers(c int32) (second bool) {
	s.a.Side(c, false, func(e Step) {
		if v, w := s.number[e.From], s.number[e.To]; v >= 0 && w >= 0 && s.ord[v] > s.ord[w] {
			second = true
		}
	})
	return second
}

// pick returns a choice that is yet to be made, that which failed last
// before all others, or -1.
func (s *chooser) pick(next *int) int32 {
	if s.last >= 0 && s.taken[s.last] == 0 {
		return s.last
	}
	for ; *next < len(s.choices); *next++ {
		if c := s.choices[*next]; s.taken[c] == 0 {
			return c
		}
	}
	return -1
}

// search makes all choices.
func (s *chooser) search() (Outcome, []Refuted) {
	for {
		if s.budget.Err() != nil {
			return Open, nil
		}
		next := 0
		if n := len(s.frames); n > 0 {
			next = s.frames[n-1].next
		}
		c := s.pick(&next)
		if c < 0 {
			return Possible, nil
		}
		f := frame{choice: c, arcs: len(s.arcs), next: next, second: s.prefers(c)}
		failed := s.try(c, f.second)
		if failed != nil {
			f.second, f.other = !f.second, failed
			if failed = s.try(c, f.second); failed != nil {
				s.last = c
				if failed = s.back(s.merge(c, f.other, failed)); failed != nil {
					return Impossible, failed.proof.list()
				}
				continue
			}
		}
		s.frames, s.taken[c] = append(s.frames, f), side(f.second)
	}
}

// back goes back to the last choice of a conflict whose other side may do,
// and takes that; if there is none, it returns the conflict that remains.
func (s *chooser) back(why *conflict) *conflict {
	for len(s.frames) > 0 {
		f := s.frames[len(s.frames)-1]
		s.frames = s.frames[:len(s.frames)-1]
		s.pop(f.arcs)
		s.taken[f.choice] = 0
		if _, ok := slices.BinarySearch(why.choices, f.choice); !ok {
			continue
		}
		if f.other == nil {
			failed := s.try(f.choice, !f.second)
			if failed == nil {
				s.pay(len(why.choices), 4*len(why.choices))
				why = &conflict{choices: slices.DeleteFunc(slices.Clone(why.choices), func(c int32) bool { return c == f.choice }), proof: why.proof}
				f.second, f.other = !f.second, why
				s.frames, s.taken[f.choice] = append(s.frames, f), side(f.second)
				return nil
			}
			f.other = failed
		}
		why = s.merge(f.choice, f.other, why)
	}
	return why
}
