package search

// Where nothing is open, all that matters of the past is the state. Such a
// cut splits the history into legs. The search runs through a leg as far as
// it must to find one state at its end, forgets the configurations, and goes
// on from there. Only if that leads nowhere it comes back for the other
// states at the end of the leg. Every leg is explored at most twice from each
// state, and memory is that of the longest leg.

// legAtLeast is how many configurations must have been visited before they
// are forgotten at a cut: fewer cost nothing.
var legAtLeast = 1 << 16 // tests make it smaller

// leg is the nodes between two cuts.
type leg struct {
	from, to int32 // to is 0 while the end is open
	required int32 // operations to place from here to the end of all
	starts   []start
	known    map[int32]bool // states among starts
	next     int            // first of starts that was not tried
	done     int            // first of starts whose ends are not all known
}

// start is a state in which a leg can begin.
type start struct {
	state  int32
	parent int     // in the leg before
	path   []int32 // operations of the leg before that lead here
}

func (s *searcher) decide() Answer {
	s.peak = s.held()
	if s.peak > s.budget.Memory {
		return Undecided
	}
	s.addLeg(1)
	s.addStart(0, start{state: s.p.Initial})
	for k := 0; ; {
		l := &s.legs[k]
		if l.next == len(l.starts) {
			back, o := s.comeBack(k)
			if o != crossed {
				return s.answerOf(o)
			}
			k = back
			continue
		}
		at := l.next
		l.next++
		switch o := s.explore(k, at, false); o {
		case succeeded, gaveUp, settled:
			return s.answerOf(o)
		case crossed:
			k++
		}
	}
}

func (s *searcher) answerOf(o outcome) Answer {
	if o == settled {
		o = s.rivals
	}
	return map[outcome]Answer{failed: Illegal, succeeded: Legal, gaveUp: Undecided}[o]
}

// comeBack finds more states in which leg k or one before it can begin, and
// returns which leg that is.
func (s *searcher) comeBack(k int) (int, outcome) {
	for k--; k >= 0; k-- {
		before := len(s.legs[k+1].starts)
		for l := &s.legs[k]; l.done < l.next; l.done++ {
			if o := s.explore(k, l.done, true); o != failed {
				return 0, o
			}
		}
		if len(s.legs[k+1].starts) > before {
			return k + 1, crossed
		}
		if l := &s.legs[k]; l.next < len(l.starts) {
			return k, crossed
		}
	}
	return 0, failed
}

func (s *searcher) addLeg(from int32) {
	s.legs = append(s.legs, leg{from: from, required: s.required, known: map[int32]bool{}})
}

func (s *searcher) addStart(k int, at start) {
	l := &s.legs[k]
	l.known[at.state] = true
	l.starts = append(l.starts, at)
	s.paths += int64(len(at.path))*4 + 64
}

// explore searches leg k from one of its starts, for a state at its end that
// is not known yet, or for all of them.
func (s *searcher) explore(k, from int, all bool) outcome {
	l := &s.legs[k]
	s.leg, s.at = k, from
	to := l.to
	if to == 0 {
		to = s.end
	}
	s.link(l.from, to)
	s.state, s.required = l.starts[from].state, l.required
	s.placed, s.stack, s.gone = hash{}, s.stack[:0], (l.from-1)/2
	if s.memo.n > 0 {
		s.memo.forget()
	}
	return s.run(0, true, func() bool {
		first := s.next[0]
		switch l := &s.legs[k]; {
		case l.to != 0: // the end is known
			if first != s.end || s.legs[k+1].known[s.state] {
				return false
			}
		case first == s.end || first == l.from || s.memo.n < legAtLeast:
			return false
		default:
			l.to = first
			s.addLeg(first)
		}
		s.addStart(k+1, start{state: s.state, parent: from, path: s.path()})
		return !all
	})
}

// path returns the operations placed in the current leg, in order.
func (s *searcher) path() []int32 {
	path := make([]int32, 0, len(s.stack))
	for _, f := range s.stack {
		if op, placed := s.operation(f); placed {
			path = append(path, op)
		}
	}
	return path
}

// order returns the operations in the order that was found.
func (s *searcher) order() []int32 {
	if s.rivals == succeeded {
		return s.rival.order()
	}
	parts := [][]int32{s.path()}
	n := len(parts[0])
	for k, at := s.leg, s.at; k > 0; k-- {
		x := s.legs[k].starts[at]
		parts = append(parts, x.path)
		n += len(x.path)
		at = x.parent
	}
	order := make([]int32, 0, n)
	for i := len(parts) - 1; i >= 0; i-- {
		order = append(order, parts[i]...)
	}
	return order
}
