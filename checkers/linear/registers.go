package linear

import (
	"context"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// registers is a map of independent registers.
type registers struct{ spec Spec }

func (registers) split(_ []history.Operation, p part) []part { return []part{p} }

func (r registers) judge(b *budget, all []history.Operation, k part, a Algorithm) judgement {
	p, err := compile(b.interner(len(all)), k.key, r.spec, all, k.at)
	if err != nil {
		return judgement{err: err}
	}
	b.limits.bind(p.ops)
	b.limits.bind(p.whole)
	j := judgement{operations: len(p.ops) + len(p.refused)}
	zoned := false
	var conflict []int32
	if a == Automatic {
		j.answer, conflict, zoned = decideByZones(p.ops, p.initial, len(p.values))
		j.algorithm = "zones"
	}
	if zoned && j.answer == legal && p.refused != nil {
		if proof := p.refusals(); proof != nil {
			j.answer = illegal
			j.explain = func(b *budget) (explained, bool) { return p.explainRefusal(b, proof) }
			return j
		}
	}
	nowhere := -1
	if !zoned && a != Porcupine {
		nowhere = impossible(p.ops, p.initial, len(p.values))
	}
	switch {
	case nowhere >= 0:
		p.refused, j.answer, j.algorithm = nil, illegal, supply
		j.explain = func(b *budget) (explained, bool) { return p.explainImpossible(b, nowhere) }
		return j
	case zoned && (j.answer == illegal || p.refused == nil):
		p.refused = nil
	default:
		j.algorithm, j.answer = p.searched(b, a == Porcupine, zoned)
	}
	if stuck := b.stuck; j.answer == illegal {
		j.explain = func(b *budget) (explained, bool) {
			if p.refused != nil {
				return p.explainRefusal(b, p.complete())
			}
			return p.explain(b, conflict, stuck)
		}
	}
	return j
}

// searched decides p by search, or by porcupine. Legal says that it is known
// to be legal but for refused cas.
func (p *problem) searched(b *budget, porcupine, legal bool) (string, answer) {
	ops := p.ops
	if p.refused != nil {
		if porcupine || legal || decideBySearch(b, ops, p.initial, len(p.values)) != illegal {
			ops = p.complete()
		} else {
			p.refused = nil
			return "search", illegal
		}
	}
	if !porcupine {
		if a := decideBySearch(b, ops, p.initial, len(p.values)); !b.defect {
			return "search", a
		}
	}
	return "porcupine", decideByOracle(b, ops, p.initial, len(p.values))
}

// explain reduces a violation to a small one that porcupine rejects. It
// reports false if porcupine does not. The conflict is that of the zones, nil
// if a search found the violation.
func (p *problem) explain(b *budget, conflict []int32, stuck int64) (explained, bool) {
	r := &reducer{budget: b, initial: p.initial, values: len(p.values)}
	var closed []op
	if conflict != nil {
		closed = firstConflict(p, conflict)
	} else {
		closed = r.firstIllegalPrefix(p.ops, stuck)
	}
	return p.small(r, closed)
}

// explainImpossible is explain where the operation at nowhere found what
// nothing can have set by then. All who would have set it belong to that.
func (p *problem) explainImpossible(b *budget, nowhere int) (explained, bool) {
	r := &reducer{budget: b, initial: p.initial, values: len(p.values)}
	return p.small(r, closeOver(p.ops, p.ops[nowhere:nowhere+1], len(p.values)))
}

// small reduces operations that are closed and illegal.
func (p *problem) small(r *reducer, closed []op) (explained, bool) {
	b, x := r.budget, &explanation{problem: p}
	few := renumber(closed, p.initial)
	r.initial, r.values = few.initial, len(few.old)
	small := r.reduce(few.ops)
	switch decideByOracle(b, small.ops, few.initial, len(few.old)) {
	case legal:
		return explained{}, false
	case undecided:
		x.unconfirmed = true
	}
	x.ops, x.minimal = few.back(small.ops), small.minimal
	x.end = lastReturn(x.ops)
	return explained{len(x.ops), x.end, x.witness, x.picture, b.memory}, true
}

// Linearizable reports whether operations on registers certainly can be
// linearized, in O(n log n). False says nothing: they may be, where the
// preconditions of the exact algorithm do not hold, or time or memory, in
// bytes, do not suffice.
func Linearizable(ctx context.Context, spec Spec, ops []history.Operation, memory int64) bool {
	c := checker{object: registers{spec}, o: Options{Configurations: 1, Memory: memory, Workers: 1}.withDefaults(), bare: true}
	return c.Check(ctx, &checkers.Evidence{Operations: ops}).Verdict == checkers.Valid
}

// lastReturn is when the last of ops returned.
func lastReturn(ops []op) int64 {
	var last int64
	for _, o := range ops {
		if o.ret != never {
			last = max(last, o.ret)
		}
	}
	return last
}
