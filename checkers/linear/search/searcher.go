package search

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// searcher is the state of a search. Calls and returns are nodes of a doubly
// linked list in order of time, numbered from 1; node 0 is its head and node
// end its tail. Placing an operation takes its nodes out, so that the calls
// before the first return are those that may come next.
type searcher struct {
	ctx    context.Context
	p      *Problem
	budget Budget
	left   int   // configurations
	work   int64 // steps
	due    int64 // work at which to look at the context and the rival

	op         []int32 // node → operation if it is a call, its complement if a return
	call, ret  []int32 // operation → its nodes, noReturn if it has none
	next, prev []int32
	// node → nothing is open before it: what was called before has returned,
	// so that the nodes before it are two for each operation.
	cut []bool
	end int32

	memo     memo
	placed   hash
	state    int32
	stuck    int32 // the last node of a return that stood in the way
	gone     int32 // operations placed or left out, and those of earlier legs
	required int32 // operations that must still be placed
	all      int32 // operations that must be placed
	stack    []frame
	legs     []leg
	leg, at  int   // the leg explored last, and from which start
	base     int64 // bytes of what does not grow
	paths    int64 // bytes of the paths in legs
	peak     int64

	rival  *rival
	alone  bool    // there is no rival, and there will be none
	rivals outcome // of the rival, if it came to an end
	given  int64   // steps of a rival that there was no memory for
}

// frame is a placed operation: what to go back to.
type frame struct {
	// node is that of the call if the operation was one of several that could
	// come next, its complement if it was placed without a choice, and that of
	// the return if the operation was left out.
	node   int32
	before int32 // state
}

const (
	bound    = int32(math.MinInt32) // op of head and tail
	noReturn = int32(math.MaxInt32)
)

func newSearcher(ctx context.Context, p *Problem, b Budget) *searcher {
	n := len(p.Ops)
	s := &searcher{ctx: ctx, p: p, budget: b, left: b.Configurations, memo: newMemo(), state: p.Initial}
	calls, returns := make([]int32, n), make([]int32, 0, n)
	for i := range p.Ops {
		calls[i] = int32(i)
		if p.Ops[i].Return != Never {
			returns = append(returns, int32(i))
		}
		if !p.Ops[i].Maybe {
			s.all++
		} else if p.Ops[i].Return != Never {
			s.alone = true // porcupine does not know such
		}
	}
	s.required, s.due = s.all, soon(n)
	nearlySorted(calls, func(i int32) int64 { return p.Ops[i].Call })
	nearlySorted(returns, func(i int32) int64 { return p.Ops[i].Return })
	nodes := n + len(returns) + 2
	slab := make([]int32, 3*nodes+2*n)
	s.op, s.next, s.prev = slab[:nodes], slab[nodes:2*nodes], slab[2*nodes:3*nodes]
	s.call, s.ret = slab[3*nodes:3*nodes+n], slab[3*nodes+n:]
	s.cut = make([]bool, nodes)
	s.end = int32(nodes - 1)
	s.op[0], s.op[s.end] = bound, bound
	open, at := 0, int32(1)
	for len(calls) > 0 || len(returns) > 0 {
		// A call at the instant of a return comes first: they are concurrent.
		if len(calls) > 0 && (len(returns) == 0 || p.Ops[calls[0]].Call <= p.Ops[returns[0]].Return) {
			s.op[at], s.call[calls[0]], s.ret[calls[0]], s.cut[at] = calls[0], at, noReturn, open == 0
			calls = calls[1:]
			open++
		} else {
			s.op[at], s.ret[returns[0]] = ^returns[0], at
			returns = returns[1:]
			open--
		}
		at++
	}
	s.base = int64(len(slab))*4 + int64(nodes) + int64(n)*8
	return s
}

// nearlySorted sorts by key what is almost in order, as the events of a
// history are.
func nearlySorted(list []int32, key func(int32) int64) {
	moves := 32 * len(list)
	for i := 1; i < len(list); i++ {
		x, k, j := list[i], key(list[i]), i
		for ; j > 0 && key(list[j-1]) > k; j-- {
			list[j] = list[j-1]
			moves--
		}
		list[j] = x
		if moves < 0 {
			slices.SortStableFunc(list, func(a, b int32) int { return cmp.Compare(key(a), key(b)) })
			return
		}
	}
}

// link makes a list of the nodes from from up to but without to.
func (s *searcher) link(from, to int32) {
	for i := from; i < to; i++ {
		s.next[i], s.prev[i] = i+1, i-1
	}
	s.next[0], s.prev[from] = from, 0
	if to < s.end { // the last node of a leg ends the list
		s.next[to-1] = s.end
	}
	s.prev[s.end] = to - 1
}

func (s *searcher) unlink(i int32) {
	s.next[s.prev[i]], s.prev[s.next[i]] = s.next[i], s.prev[i]
}

func (s *searcher) relink(i int32) {
	s.next[s.prev[i]], s.prev[s.next[i]] = i, i
}

// place takes an operation out of what is left, with the node to note for
// takeBack.
func (s *searcher) place(call, op, state, note int32) {
	s.stack = append(s.stack, frame{note, s.state})
	s.state = state
	s.placed = s.placed.xor(ofOp(op))
	s.gone++
	s.unlink(call)
	if r := s.ret[op]; r != noReturn {
		s.unlink(r)
	}
	if !s.p.Ops[op].Maybe {
		s.required--
	}
}

// operation returns the operation of a frame, and whether it was placed.
func (s *searcher) operation(f frame) (op int32, placed bool) {
	if f.node < 0 {
		return s.op[^f.node], true
	}
	if op = s.op[f.node]; op < 0 {
		return ^op, false
	}
	return op, true
}

// takeBack undoes the last choice and all that followed from it. It returns
// the next call to try, and false if nothing is left.
func (s *searcher) takeBack() (int32, bool) {
	for len(s.stack) > 0 {
		f := s.stack[len(s.stack)-1]
		s.stack = s.stack[:len(s.stack)-1]
		op, placed := s.operation(f)
		if r := s.ret[op]; r != noReturn {
			s.relink(r)
		}
		s.relink(s.call[op])
		s.state = f.before
		s.placed = s.placed.xor(ofOp(op))
		s.gone--
		if !s.p.Ops[op].Maybe {
			s.required++
		}
		if f.node >= 0 && placed { // else there was no choice, or it was the last
			return s.next[f.node], true
		}
	}
	return 0, false
}

// enter places all pure operations that are possible in a configuration that
// was just reached, and asks at every cut on the way whether to stop there.
func (s *searcher) enter(reached func() bool) (o outcome, stop bool) {
	last := int32(0) // everything between the head and e that stays
	for {
		e := s.next[last]
		if last == 0 && (e == s.end || s.cut[e] && s.gone == (e-1)/2) {
			if s.required == 0 {
				return succeeded, true
			}
			if reached() {
				return crossed, true
			}
		}
		op := s.op[e]
		if op < 0 {
			return succeeded, s.required == 0
		}
		s.work++
		if s.p.Ops[op].Pure {
			if _, ok := s.p.Model.Step(s.state, op); ok {
				s.place(e, op, s.state, ^e)
				continue
			}
		}
		last = e
	}
}

// dominated reports whether an operation of the same class can come next and
// need not return later. Trying that one is enough: in an order that has e
// next the two can be exchanged, or e be replaced if the other one is not in
// the order at all.
func (s *searcher) dominated(e int32) bool {
	op := s.op[e]
	class := s.p.Ops[op].Class
	if class == 0 {
		return false
	}
	maybe := s.p.Ops[op].Maybe
	for f := s.next[0]; s.op[f] >= 0; f = s.next[f] {
		other := s.op[f]
		s.work++
		if f == e || s.p.Ops[other].Class != class || s.p.Ops[other].Maybe && !maybe || s.ret[other] > s.ret[op] {
			continue
		}
		if s.ret[other] < s.ret[op] || maybe != s.p.Ops[other].Maybe || f < e {
			return true
		}
	}
	return false
}

// afford reports whether another configuration may be added to the memo.
func (s *searcher) afford() bool {
	if s.left--; s.left < 0 {
		return false
	}
	if !s.memo.full() || s.grow(&s.memo) {
		return true
	}
	if s.rival != nil { // it goes first
		s.dismiss()
		return s.grow(&s.memo)
	}
	return false
}

// grow makes room in a memo if there is memory.
func (s *searcher) grow(m *memo) bool {
	need := s.held() + m.grown() - m.bytes()
	if need > s.budget.Memory {
		return false
	}
	s.peak = max(s.peak, need)
	m.grow()
	return true
}

// held is how many bytes the search holds.
func (s *searcher) held() int64 {
	bytes := s.base + s.paths + s.memo.bytes() + int64(cap(s.stack))*8
	if m, ok := s.p.Model.(Sizer); ok {
		bytes += m.Bytes()
	}
	if s.rival != nil {
		bytes += s.rival.bytes()
	}
	return bytes
}

// stuckAt returns the time of the last return that stood in the way.
func (s *searcher) stuckAt() int64 {
	last := s.stuck
	if s.rivals == failed && s.rival != nil {
		last = s.rival.stuck
	}
	if last == 0 {
		return Never
	}
	return s.p.Ops[^s.op[last]].Return
}

// outcome is how the exploration of a leg ended.
type outcome uint8

const (
	failed    outcome = iota + 1 // nothing more to find
	succeeded                    // everything that must be placed is placed
	crossed                      // the end of the leg, or a cut, was reached
	gaveUp                       // the budget or the context ended
	settled                      // the rival came to an end
)

// run goes on from the current configuration, beginning with the call entry,
// until reached says that a configuration is worth stopping at. A fresh
// configuration is one that was just entered.
func (s *searcher) run(entry int32, fresh bool, reached func() bool) outcome {
	for {
		if fresh {
			if o, stop := s.enter(reached); stop {
				return o
			}
			entry, fresh = s.next[0], false
		}
		if s.work++; s.work >= s.due {
			if o := s.look(); o != crossed {
				return o
			}
		}
		op := s.op[entry]
		if op < 0 {
			if entry < s.end {
				s.stuck = max(s.stuck, entry)
			}
			done, o := s.leaveOut(op)
			if o != crossed {
				return o
			}
			if fresh = done; done {
				continue
			}
			again, ok := s.takeBack()
			if !ok {
				return failed
			}
			entry = again
			continue
		}
		if !s.p.Ops[op].Pure && !s.dominated(entry) {
			if next, ok := s.p.Model.Step(s.state, op); ok {
				is, ok := s.visit(op, next)
				if !ok {
					return gaveUp
				}
				if is {
					s.place(entry, op, next, entry)
					fresh = true
					continue
				}
			}
		}
		entry = s.next[entry]
	}
}

// visit notes the configuration in which op comes next, or is left out, and
// reports whether it is new. It reports false as ok if it cannot be afforded.
func (s *searcher) visit(op, state int32) (isNew, ok bool) {
	s.work += visitWork
	if !s.afford() {
		return false, false
	}
	return s.memo.add(s.placed.xor(ofOp(op)).xor(ofState(state))), true
}

// leaveOut decides that the operation whose return stands in the way, given
// by its node's op, never happened, if that can be and leads to something
// new. The outcome is gaveUp if it cannot be afforded, else crossed.
func (s *searcher) leaveOut(node int32) (done bool, o outcome) {
	if node == bound || !s.p.Ops[^node].Maybe {
		return false, crossed
	}
	op := ^node
	isNew, ok := s.visit(op, s.state)
	if !ok {
		return false, gaveUp
	}
	if isNew {
		s.place(s.call[op], op, s.state, s.ret[op])
	}
	return isNew, crossed
}
