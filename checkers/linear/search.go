package linear

import (
	"context"

	"github.com/cleancut/cleancut/checkers/linear/search"
)

// answer is what an algorithm says of a problem.
type answer = search.Answer

const (
	undecided = search.Undecided
	legal     = search.Legal
	illegal   = search.Illegal
)

// budget is what the searches for one key may still use, all together, so
// that reducing a witness cannot run away.
type budget struct {
	ctx            context.Context
	configurations int
	memory         int64
	bytes          int64 // the most that one of them held
	defect         bool  // one of them found an order that is none
	in             *interner
	stuck          int64 // the return that the last one, if illegal, did not get past
	limits         limits
}

// interner returns an interner for a history of so many operations, the same
// for all parts that a worker judges.
func (b *budget) interner(operations int) *interner {
	if b.in == nil {
		b.in = newInterner(operations)
	}
	b.in.memory, b.in.ctx = b.memory, b.ctx
	return b.in
}

// pay takes memory from b for good.
func (b *budget) pay(bytes int64) {
	b.memory = max(1, b.memory-bytes)
	b.bytes = max(b.bytes, bytes)
}

// spend decides p and takes what that costs from b.
func (b *budget) spend(p *search.Problem) answer {
	return b.take(search.Decide(b.ctx, p, search.Budget{Configurations: max(0, b.configurations), Memory: b.memory}))
}

// oracle is spend with porcupine.
func (b *budget) oracle(p *search.Problem) answer {
	return b.take(search.Oracle(b.ctx, p, search.Budget{Configurations: max(0, b.configurations), Memory: b.memory}))
}

func (b *budget) take(r search.Result) answer {
	b.configurations -= r.Configurations
	b.bytes = max(b.bytes, r.Bytes)
	b.defect = b.defect || r.Defect
	b.stuck = r.Stuck
	return r.Answer
}

// register is the specification of one register. States are ids of values.
type register struct{ ops []op }

// Step implements search.Model.
func (m *register) Step(state, at int32) (next int32, ok bool) {
	switch o := &m.ops[at]; o.kind {
	case read:
		return state, o.value == state
	case differs:
		return state, o.expect != state
	case write:
		return o.value, true
	default:
		return o.value, o.expect == state
	}
}

// posed is ops as a problem for the search.
func posed(ops []op, initial int32, values int) *search.Problem {
	ops = tighten(ops, initial, values)
	p := &search.Problem{Ops: make([]search.Op, len(ops)), Initial: initial, Model: &register{ops}}
	writer := soleWriters(ops, initial, values)
	pairs := map[[2]int32]int32{}
	for i := range ops {
		o, x := &ops[i], &p.Ops[i]
		*x = search.Op{Call: o.call, Return: o.ret, Maybe: o.maybe}
		switch {
		case o.kind == read || o.kind == differs || o.kind == cas && o.expect == o.value && !o.maybe:
			x.Pure = true
		case writer[o.value] == i: // like no other
		case o.kind == write:
			x.Class = o.value + 1
		default:
			pair := [2]int32{o.expect, o.value}
			if pairs[pair] == 0 {
				pairs[pair] = int32(values + 1 + len(pairs))
			}
			x.Class = pairs[pair]
		}
	}
	return p
}

// search decides whether ops can be linearized from the initial value. It is
// undecided when the budget is used up or the context ends.
func decideBySearch(b *budget, ops []op, initial int32, values int) answer {
	if len(ops) == 0 {
		return legal
	}
	if int64(len(ops))*(actBytes-registerBytes) > b.memory {
		return undecided // the problem alone takes more
	}
	return b.spend(posed(ops, initial, values))
}

// decideByOracle is decideBySearch by porcupine.
func decideByOracle(b *budget, ops []op, initial int32, values int) answer {
	return b.oracle(posed(ops, initial, values))
}
