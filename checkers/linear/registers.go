package linear

import (
	"github.com/cleancut/cleancut/harness/history"
)

// registers is a map of independent registers.
type registers struct{ spec Spec }

func (registers) split(_ []history.Operation, p part) []part { return []part{p} }

func (r registers) judge(b *budget, all []history.Operation, k part, a Algorithm) judgement {
	p, err := compile(newInterner(), k.key, r.spec, all, k.at)
	if err != nil {
		return judgement{err: err}
	}
	j := judgement{operations: len(p.ops)}
	switch {
	case a == Porcupine:
		j.algorithm, j.answer = "porcupine", decideByOracle(b, p.ops, p.initial, len(p.values))
	case a == Automatic:
		var applies bool
		if j.answer, _, applies = decideByZones(p.ops, p.initial, len(p.values)); applies {
			j.algorithm = "zones"
			break
		}
		fallthrough
	default:
		j.algorithm, j.answer = "search", decideBySearch(b, p.ops, p.initial, len(p.values))
		if b.defect {
			j.algorithm, j.answer = "porcupine", decideByOracle(b, p.ops, p.initial, len(p.values))
		}
	}
	if j.answer == illegal {
		j.explain = func(b *budget) (explained, bool) { return p.explain(b, j.algorithm == "zones") }
	}
	return j
}

// explain reduces a violation to a small one that porcupine rejects. It
// reports false if porcupine does not.
func (p *problem) explain(b *budget, zoned bool) (explained, bool) {
	r := &reducer{budget: b, initial: p.initial, values: len(p.values)}
	x := &explanation{problem: p}
	var closed []op
	if zoned {
		closed = firstConflict(p)
	} else {
		closed = r.firstIllegalPrefix(p.ops)
	}
	small := r.reduce(closed)
	x.ops, x.minimal = small.ops, small.minimal
	switch decideByOracle(b, x.ops, p.initial, len(p.values)) {
	case legal:
		return explained{}, false
	case undecided:
		x.unconfirmed = true
	}
	x.end = lastReturn(x.ops)
	return explained{len(x.ops), x.end, x.witness}, true
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
