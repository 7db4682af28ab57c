package search

import (
	"context"
	"math"
)

// rival walks through the configurations in the very order in which porcupine
// does: of the operations that may come next always the one that was called
// first, and one of unknown outcome that is not legal is placed without effect.
//
// The search takes another order. Where few of many orders are legal, either
// may come upon one long before the other. So neither is trusted alone: once
// the search has not ended soon it lets the rival walk a little every now and
// then, and the first of the two to end gives the answer. What that costs is
// counted in steps and does not depend on the machine: with R steps of the
// search for each of the rival, a search that takes s steps alone, and
// porcupine p, together they take no more than
//
//	soon + slice + min((1 + 1/R) s, (1 + R) p)
//
// where a step takes a fraction of the time of one of porcupine's.
type rival struct {
	s          *searcher // whose list of calls and returns it has its own links in
	next, prev []int32
	memo       memo
	placed     hash
	state      int32
	required   int32
	entry      int32 // the call to try next, or a return in the way
	stuck      int32
	stack      []frame // its nodes are complements where the operation had no effect
	work, due  int64
	tried      int // steps of the model, as porcupine takes them
	left       int // configurations; in Decide the rival is bounded by its share of the steps
}

const (
	// soonEach and soonMore are how many steps the search takes before it has
	// a rival, for each operation and besides. Porcupine cannot be much faster:
	// it must place each operation, and has to sort them all.
	soonEach, soonMore = 4, 1 << 9
	// slice is how many steps the rival takes at a time.
	slice = 1 << 8
	// visitWork is how many steps it takes to look up a configuration.
	visitWork = 4
	// ratioLeast is how many steps the search takes for each of the rival's.
	// A step of porcupine's is the longer the longer the history: one more for
	// each ratioPer operations.
	ratioLeast, ratioPer = 1, 1000
)

// ratio is how many steps the search takes for each step of the rival.
func ratio(operations int) int64 { return ratioLeast + int64(operations)/ratioPer }

func soon(operations int) int64 { return soonMore + soonEach*int64(operations) }

// rivalBytes is what a rival takes beside its memo and its stack.
func (s *searcher) rivalBytes() int64 { return int64(len(s.next)) * 8 }

func newRival(s *searcher) *rival {
	v := &rival{s: s, left: math.MaxInt, memo: newMemo(), state: s.p.Initial, required: s.all}
	nodes := len(s.next)
	slab := make([]int32, 2*nodes)
	v.next, v.prev = slab[:nodes], slab[nodes:]
	for i := range v.next {
		v.next[i], v.prev[i] = int32(i)+1, int32(i)-1
	}
	v.entry = v.next[0]
	return v
}

// bytes is what the rival holds.
func (v *rival) bytes() int64 {
	return v.s.rivalBytes() + v.memo.bytes() + int64(cap(v.stack))*8
}

// walk goes on for so many steps. The outcome is crossed if it is not at the
// end by then, and gaveUp if it cannot go on.
func (v *rival) walk(steps int64) outcome {
	s := v.s
	for v.due += steps; v.work < v.due; v.work++ {
		op := s.op[v.entry]
		if op < 0 {
			if v.entry < s.end {
				v.stuck = max(v.stuck, v.entry)
			}
			if !v.takeBack() {
				return failed
			}
			continue
		}
		v.tried++
		next, ok := s.p.Model.Step(v.state, op)
		note := v.entry
		if !ok && s.p.Ops[op].Maybe {
			next, ok, note = v.state, true, ^v.entry
		}
		if ok {
			v.work += visitWork
			if !v.afford() {
				return gaveUp
			}
			if placed := v.placed.xor(ofOp(op)); v.memo.add(placed.xor(ofState(next))) {
				v.placed = placed
				if v.place(op, next, note); v.required == 0 {
					return succeeded
				}
				continue
			}
		}
		v.entry = v.next[v.entry]
	}
	return crossed
}

func (v *rival) place(op, state, note int32) {
	v.stack = append(v.stack, frame{note, v.state})
	v.state = state
	v.unlink(v.s.call[op])
	if r := v.s.ret[op]; r != noReturn {
		v.unlink(r)
	}
	if !v.s.p.Ops[op].Maybe {
		v.required--
	}
	v.entry = v.next[0]
}

func (v *rival) unlink(i int32) {
	v.next[v.prev[i]], v.prev[v.next[i]] = v.next[i], v.prev[i]
}

func (v *rival) relink(i int32) {
	v.next[v.prev[i]], v.prev[v.next[i]] = i, i
}

// takeBack undoes the last choice and goes on to the next call.
func (v *rival) takeBack() bool {
	if len(v.stack) == 0 {
		return false
	}
	f := v.stack[len(v.stack)-1]
	v.stack = v.stack[:len(v.stack)-1]
	node := max(f.node, ^f.node)
	op := v.s.op[node]
	if r := v.s.ret[op]; r != noReturn {
		v.relink(r)
	}
	v.relink(node)
	v.state = f.before
	v.placed = v.placed.xor(ofOp(op))
	if !v.s.p.Ops[op].Maybe {
		v.required++
	}
	v.entry = v.next[node]
	return true
}

// afford reports whether another configuration may be visited.
func (v *rival) afford() bool {
	if v.left--; v.left < 0 {
		return false
	}
	return !v.memo.full() || v.s.grow(&v.memo)
}

// order returns the operations that took effect, in order.
func (v *rival) order() []int32 {
	order := make([]int32, 0, len(v.stack))
	for _, f := range v.stack {
		if f.node >= 0 {
			order = append(order, v.s.op[f.node])
		}
	}
	return order
}

// look is taken from time to time: whether the context has ended, and whether
// the rival has come to an end. The search goes on if the outcome is crossed.
func (s *searcher) look() outcome {
	s.due += slice * ratio(len(s.p.Ops))
	if s.ctx.Err() != nil {
		return gaveUp
	}
	if s.alone {
		return crossed
	}
	if s.rival == nil {
		if s.held()+s.rivalBytes() > s.budget.Memory {
			s.alone = true
			return crossed
		}
		s.rival = newRival(s)
	}
	switch o := s.rival.walk(slice); {
	case o == gaveUp: // there is not memory enough for two
		s.dismiss()
		return crossed
	case o == crossed:
		return crossed
	default:
		s.rivals = o
		return settled
	}
}

// Rival decides p in porcupine's order alone. It is what the promise of
// Decide is measured by, and takes the same steps as Oracle. Operations that
// are maybe must have no return.
func Rival(ctx context.Context, p *Problem, b Budget) Result {
	s := newSearcher(ctx, p, b)
	s.due = math.MaxInt64
	s.rival = newRival(s)
	s.rival.left = b.Configurations
	for s.rivals = crossed; s.rivals == crossed && ctx.Err() == nil; {
		s.rivals = s.rival.walk(1 << 12)
	}
	r := Result{Answer: s.answerOf(s.rivals), Configurations: b.Configurations - max(0, s.rival.left), Steps: s.rival.work, Bytes: max(s.peak, s.held())}
	if r.Answer == Legal {
		r.Order = s.order()
	}
	return r
}

// MostSteps bounds the steps of Decide for a history in which operations that
// are maybe have no return and of which Rival takes the given steps, if memory
// suffices for both.
func MostSteps(operations int, rival int64) int64 {
	r := ratio(operations)
	return soon(operations) + (1+r)*(rival+slice+visitWork) + 2*int64(operations)
}

// dismiss ends the rival for want of memory.
func (s *searcher) dismiss() {
	s.given += s.rival.work
	s.rival, s.alone = nil, true
}

// steps is what both took together.
func (s *searcher) steps() int64 {
	if s.rival == nil {
		return s.work + s.given
	}
	return s.work + s.given + s.rival.work
}
