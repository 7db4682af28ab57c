// Package search decides linearizability of any deterministic sequential
// object by search: Wing and Gong's algorithm (JPDC 17, 1993) with Lowe's
// memo of visited configurations (CCPE 29(4), 2017).
//
// A configuration is kept as a 128-bit Zobrist hash of the operations placed
// so far and of the state: 16 bytes, however long the history is. Operations
// that never change the state are placed as soon as they are legal, without
// a choice; of interchangeable operations only the one that must come first
// is tried; operations of unknown outcome need not be placed. At instants at
// which nothing is open the memo can be forgotten, and only the possible
// states are carried on. Legal is said only after the order that was found
// has been replayed. Illegal relies on distinct configurations having
// distinct hashes: with m of them, a mistake has probability m²/2¹²⁹.
//
// The search is exponential in the number of operations that are open at
// once. It is deterministic and bounded in configurations and in bytes. A
// search that does not end soon goes on in porcupine's order, too, by turns,
// so that it never takes many more steps than porcupine (see rival.go).
// Oracle decides the same problems by porcupine, independently.
package search

import (
	"context"
	"math"
)

// Never is the return of an operation that may take effect at any time.
const Never = int64(math.MaxInt64)

// Op is the interval of an operation, and what may be assumed of it.
type Op struct {
	// Call and Return bound the interval, ends included. Return is Never for
	// an operation that may take effect at any later time.
	Call, Return int64
	// Maybe says that the operation may never have happened. If it did, it
	// did so within its interval all the same.
	Maybe bool
	// Pure says that it never changes the state. Pure operations that are
	// maybe must be left out: they prove nothing.
	Pure bool
	// Class is the same for operations with the same effect that are legal in
	// the same states; 0 for operations that are like no other. Classes are
	// small positive numbers.
	Class int32
}

// Model is the sequential object. States and operations are numbers that the
// model gives a meaning; equal states must have equal numbers.
type Model interface {
	// Step returns the state after operation op took effect in state, and
	// whether it can have the outcome that it had.
	Step(state, op int32) (next int32, ok bool)
}

// Sizer is a Model whose tables grow while it is used.
type Sizer interface {
	// Bytes returns what the tables occupy.
	Bytes() int64
}

// Problem is a history of one object.
type Problem struct {
	Ops     []Op
	Initial int32
	Model   Model
}

// Budget bounds a search. Both bounds are counted, not measured, so that the
// same problem always gets the same answer.
type Budget struct {
	// Configurations is how many the search may visit; each costs 16 to 43
	// bytes and, typically, 50 to 200 ns. Its rival may take as many steps more.
	Configurations int
	// Memory is how many bytes the search may hold at once.
	Memory int64
}

// Answer is what a search says.
type Answer uint8

// The three answers. Undecided means that the budget was used up or the
// context ended.
const (
	Undecided Answer = iota
	Legal
	Illegal
)

func (a Answer) String() string { return [...]string{"undecided", "legal", "illegal"}[a] }

// Result is an answer with what it cost.
type Result struct {
	Answer Answer
	// Order is a linearization if the answer is Legal: indices of Ops, in
	// which those that are maybe can be missing.
	Order []int32
	// Configurations is how many were visited, without those of a rival.
	Configurations int
	// Steps is how much was looked at: configurations and all that led there.
	// Porcupine's are those of its model.
	Steps int64
	// Stuck is the return that no order got past, if the answer is Illegal:
	// what was known then is illegal already.
	Stuck int64
	// Bytes is the most that the search held at once.
	Bytes int64
	// Defect is set if an order was found that is no linearization, which
	// cannot be; the answer is Undecided then.
	Defect bool
}

// Decide searches for a linearization of p.
func Decide(ctx context.Context, p *Problem, b Budget) Result {
	s := newSearcher(ctx, p, b)
	answer := s.decide()
	r := Result{Answer: answer, Configurations: b.Configurations - max(0, s.left), Steps: s.steps(), Bytes: max(s.peak, s.held())}
	if answer == Illegal {
		r.Stuck = s.stuckAt()
	}
	if answer == Legal {
		r.Order = s.order()
		if !Replay(p, r.Order) {
			r.Answer, r.Order, r.Defect = Undecided, nil, true
		}
	}
	return r
}

// Replay reports whether order is a linearization of p: every operation that
// is not maybe comes once, none comes twice or before one that had returned
// when it was called, and each is legal where it comes.
func Replay(p *Problem, order []int32) bool {
	placed := make([]bool, len(p.Ops))
	state, latest := p.Initial, int64(math.MinInt64)
	for _, i := range order {
		if placed[i] || p.Ops[i].Return < latest {
			return false
		}
		placed[i] = true
		latest = max(latest, p.Ops[i].Call)
		next, ok := p.Model.Step(state, i)
		if !ok {
			return false
		}
		state = next
	}
	for i := range p.Ops {
		if !placed[i] && !p.Ops[i].Maybe {
			return false
		}
	}
	return true
}
