package linear

import (
	"context"

	"github.com/anishathalye/porcupine"
)

// answer is what an algorithm says of a problem.
type answer uint8

const (
	undecided answer = iota
	legal
	illegal
)

// budget is what a search may still use. Steps are shared by the searches for
// one key, so that reducing a witness cannot run away.
type budget struct {
	ctx    context.Context
	steps  int
	memory int64
}

// configurationBytes is what porcupine keeps per configuration beside the bit
// set: map entry, cache entry and call entry, measured.
const configurationBytes = 160

// search decides by porcupine whether ops can be linearized from the initial
// value. It is undecided when the budget is used up or the context ends.
func search(b *budget, ops []op, initial int32, values int) answer {
	if len(ops) == 0 {
		return legal
	}
	ops = tighten(ops, initial, values)
	m := &meter{budget: b, configurations: b.memory / int64(len(ops)/8+configurationBytes)}
	history := make([]porcupine.Operation, len(ops))
	for i := range ops {
		o := &ops[i]
		history[i] = porcupine.Operation{ClientId: 0, Input: o, Call: o.call, Return: o.ret}
	}
	ok := porcupine.CheckOperations(model(initial, boxes(values), m), history)
	switch {
	case ok:
		// A complete linearization is one, even if the budget ended on its
		// last step.
		return legal
	case m.exhausted:
		return undecided
	}
	return illegal
}

// meter counts what a search uses. When the budget is exhausted, it makes
// every further step illegal, which ends the search soon: each operation
// placed so far is taken back once.
type meter struct {
	*budget
	configurations int64
	exhausted      bool
}

// contextEvery is how many steps lie between two looks at the context.
const contextEvery = 1 << 12

func (m *meter) allow() bool {
	if m.exhausted {
		return false
	}
	if m.steps--; m.steps < 0 || m.steps%contextEvery == 0 && m.ctx.Err() != nil {
		m.exhausted = true
	}
	return !m.exhausted
}

func (m *meter) legal() bool {
	if m.configurations--; m.configurations < 0 {
		m.exhausted = true
	}
	return !m.exhausted
}

// boxes returns the ids of values as interfaces, so that a step allocates
// nothing.
func boxes(values int) []any {
	b := make([]any, values)
	for i := range b {
		b[i] = int32(i)
	}
	return b
}

// model is the specification of one register for porcupine. States are ids of
// values, inputs are *op.
//
// An operation of unknown outcome need not have happened. Porcupine places
// every operation, but such a one has no return, so that it may come last,
// where a write or delete disturbs no one. A cas may then find another value
// than it expected: it is allowed to, and has no effect.
func model(initial int32, boxed []any, m *meter) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return boxed[initial] },
		Step: func(state, input, _ any) (bool, any) {
			if m != nil && !m.allow() {
				return false, state
			}
			o, s := input.(*op), state.(int32)
			next := state
			switch o.kind {
			case read:
				if o.value != s {
					return false, state
				}
			case write:
				next = boxed[o.value]
			case cas:
				if o.expect == s {
					next = boxed[o.value]
				} else if !o.maybe {
					return false, state
				}
			}
			if m != nil && !m.legal() {
				return false, state
			}
			return true, next
		},
		Equal: func(a, b any) bool { return a.(int32) == b.(int32) },
		Hash:  func(state any) uint64 { return uint64(state.(int32)+1) * 0x9e3779b97f4a7c15 },
	}
}
