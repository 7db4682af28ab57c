package search

import (
	"context"
	"slices"

	"github.com/anishathalye/porcupine"
)

// Porcupine keeps a bit for every operation in every configuration, and
// configurationBytes beside it: map entry, cache entry and call entry,
// measured.
const configurationBytes = 160

// entryBytes is what porcupine allocates for an operation before it begins, for
// entries and their list, measured.
const entryBytes = 900

// boundedMax is for how many operations that are maybe and have a return
// Oracle tries every choice.
const boundedMax = 12

// Oracle decides p by porcupine, which shares nothing with Decide but the
// model. Memory is estimated as configurations × (operations/8 + 160) and 900
// bytes for each operation; it is undecided at once where these do not fit.
// Porcupine cannot leave out an operation that has a return: every choice of
// those that are maybe is tried, and with more than 12 of them Oracle is
// undecided.
func Oracle(ctx context.Context, p *Problem, b Budget) Result {
	var bounded []int
	for i := range p.Ops {
		if p.Ops[i].Maybe && p.Ops[i].Return != Never {
			bounded = append(bounded, i)
		}
	}
	if len(bounded) > boundedMax {
		return Result{}
	}
	entries := entryBytes * int64(len(p.Ops))
	if ctx.Err() != nil || entries > b.Memory {
		return Result{}
	}
	b.Memory -= entries
	m := NewMeter(ctx, b, len(p.Ops))
	ok := false
	for choice := 0; choice < 1<<len(bounded) && !ok; choice++ {
		ok = legalWith(p, bounded, choice, m)
	}
	r := Result{Configurations: b.Configurations - max(0, m.steps), Bytes: entries + b.Memory - max(0, m.configurations)*m.each}
	switch {
	case ok:
		// A complete linearization is one, even if the budget ended on its
		// last step.
		r.Answer = Legal
	case !m.Exhausted():
		r.Answer = Illegal
	}
	return r
}

// legalWith asks porcupine about p if, of the bounded operations, those whose
// bit is set in choice happened.
func legalWith(p *Problem, bounded []int, choice int, m *Meter) bool {
	ops := Operations(p)
	if len(bounded) > 0 {
		q := *p
		q.Ops = slices.Clone(p.Ops)
		p = &q
	}
	for k := len(bounded) - 1; k >= 0; k-- {
		if at := bounded[k]; choice>>k&1 == 1 {
			p.Ops[at].Maybe = false
		} else {
			ops = slices.Delete(ops, at, at+1)
		}
	}
	return len(ops) == 0 || porcupine.CheckOperations(Porcupine(p, m), ops)
}

// Operations returns the operations of p for porcupine. Inputs are indices.
func Operations(p *Problem) []porcupine.Operation {
	ops := make([]porcupine.Operation, len(p.Ops))
	for i := range p.Ops {
		ops[i] = porcupine.Operation{Input: int32(i), Call: p.Ops[i].Call, Return: p.Ops[i].Return}
	}
	return ops
}

// ticksMax is how many steps lie between two looks at the context.
const ticksMax = 1 << 12

// Meter counts what porcupine uses. When the budget is exhausted, it makes
// every further step illegal, which ends the search soon: each operation
// placed so far is taken back once.
type Meter struct {
	ctx            context.Context
	steps          int
	configurations int64
	each           int64 // bytes of a configuration
	exhausted      bool
}

// NewMeter returns a meter for a history of n operations. Steps are bounded
// by the budget's configurations.
func NewMeter(ctx context.Context, b Budget, n int) *Meter {
	each := int64(n/8 + configurationBytes)
	return &Meter{ctx: ctx, steps: b.Configurations, each: each, configurations: b.Memory / each}
}

// Exhausted reports whether the budget was used up or the context ended.
func (m *Meter) Exhausted() bool { return m.exhausted }

func (m *Meter) step() bool {
	if m.exhausted {
		return false
	}
	if m.steps--; m.steps < 0 || m.steps%ticksMax == 0 && m.ctx.Err() != nil {
		m.exhausted = true
	}
	return !m.exhausted
}

func (m *Meter) legal() bool {
	if m.configurations--; m.configurations < 0 {
		m.exhausted = true
	}
	return !m.exhausted
}

// Porcupine returns the model of p for porcupine, for operations whose inputs
// are indices. A nil meter means no bound.
//
// An operation that is maybe need not have happened. Porcupine places every
// operation, but such a one has no return, so that it may come last. Where it
// is not legal it is allowed, and has no effect.
func Porcupine(p *Problem, m *Meter) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return p.Initial },
		Step: func(state, input, _ any) (bool, any) {
			if m != nil && !m.step() {
				return false, state
			}
			s, op := state.(int32), input.(int32)
			next, ok := p.Model.Step(s, op)
			if !ok {
				if !p.Ops[op].Maybe {
					return false, state
				}
				next = s
			}
			if m != nil && !m.legal() {
				return false, state
			}
			if next == s {
				return true, state
			}
			return true, next
		},
		Equal: func(a, b any) bool { return a.(int32) == b.(int32) },
		Hash:  func(state any) uint64 { return uint64(state.(int32)+1) * 0x9e3779b97f4a7c15 },
	}
}
