package txn

import (
	"cmp"
	"context"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// maxChoices bounds the choices between two orders, of choiceBytes each with
// what the list of them leaves behind as it grows, that are searched through.
const (
	maxChoices  = 2_000_000
	choiceBytes = 5 * 12
)

// mostChoices returns how many choices may be listed.
func (r *run) mostChoices() int {
	return int(min(maxChoices, int64(r.o.Steps), r.memory.left/2/choiceBytes))
}

// settle decides snapshot isolation where several appends to a key were read
// by nobody. It returns why one of the models is not proven, or "".
func (r *run) settle(ctx context.Context, l *lists) (doubt string) {
	for _, m := range r.searched() {
		if rules[m].level == levelSI && !r.refutes(m) {
			doubt = cmp.Or(doubt, r.settleModel(ctx, l, m))
			if r.refutes(m) {
				doubt = cmp.Or(doubt, r.unnamed(m))
			}
		}
	}
	return doubt
}

func (r *run) settleModel(ctx context.Context, l *lists, m Model) string {
	tails, ok := newOpenTails(l, r.components, r.mostChoices())
	if err := r.memory.take(int64(len(tails.pairs))*choiceBytes+2*r.size.tailBytes(), "the choices between orders of appends that nobody read"); err != nil {
		return err.Error()
	}
	if !ok {
		return "several transactions appended to a key what nobody read, in too many possible orders; read each key at the end"
	}
	if len(tails.pairs) == 0 {
		return ""
	}
	outcome, name, f, err := r.decide(ctx, tails, l.committed, rules[m])
	switch outcome {
	case graph.Open:
		return undecided(levelSI, tails.keys, err)
	case graph.Impossible:
		r.found.add(name, func() Finding { return *f })
		r.a.refuted[m] = true
	}
	return ""
}
