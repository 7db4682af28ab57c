package txn

import (
	"context"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// openOrder is an order of versions that the history leaves open in part.
type openOrder interface {
	graph.Alternatives
	explainer
	// edges adds the known dependencies.
	edges(b *graph.Builder)
	// key and words name a choice: of which key, and what its side says.
	key(choice int32) int32
	words(choice int32, second bool) string
	// assumes reports whether a refuted side rests on it that nothing comes
	// between two versions, which holds only where no cycle of one rw is
	// allowed, or that versions come in the order of real time.
	assumes(side graph.Refuted) (atomic, timed bool)
	// evidence are the micro-operations that make it a choice.
	evidence(choice int32) []place
}

// decide seeks an order of versions that makes no cycle which the level
// forbids: such an order exists if and only if the level holds. It is the
// polygraph of Papadimitriou (JACM 26(4), 1979), for snapshot isolation as in
// PolySI (Huang et al., VLDB 2023). What shows that there is none is returned
// as a finding; where the outcome is open, the error says why.
func (r *run) decide(ctx context.Context, w openOrder, committed []bool, m rule) (graph.Outcome, Anomaly, *Finding, error) {
	b, err := r.builder()
	if err != nil {
		return graph.Open, "", nil, err
	}
	w.edges(b)
	addOrder(b, r.h, committed, m.order)
	budget := r.budget(ctx)
	outcome, refuted := b.Build().Choose(w, m.level == levelSI, budget)
	r.spent(budget)
	if outcome != graph.Impossible {
		return outcome, "", nil, budget.Err()
	}
	name, f := describeChoices(r.h, w, refuted)
	return outcome, name, &f, nil
}

// rank orders the kinds of cycles from the one that most models forbid.
var rank = []Anomaly{G0, G1c, GSingleItem, GNonadjacentItem, G2Item}

// describeChoices explains why no order of versions will do: one circle for
// each side of each choice that matters. Its name is that of the circle that
// the fewest models forbid: those forbid all the other ones, too.
func describeChoices(h *History, w openOrder, refuted []graph.Refuted) (Anomaly, Finding) {
	f := Finding{Cycle: refuted[0].Cycle}
	kind, suffix := 0, 0
	keys := map[int32]bool{}
	choices := map[int32]bool{}
	for _, side := range refuted {
		one := describeCycle(h, w, side.Cycle)
		f.parts = append(f.parts, one.parts...)
		name := classify(side.Cycle)
		atomic, timed := w.assumes(side)
		if atomic {
			kind = max(kind, slices.Index(rank, GSingleItem))
		}
		if timed {
			suffix = 2
		}
		for i, s := range []Anomaly{"", processSuffix, realtimeSuffix} {
			for j, k := range rank {
				if name == k+s {
					kind, suffix = max(kind, j), max(suffix, i)
				}
			}
		}
		if side.Choice >= 0 {
			key := w.key(side.Choice)
			keys[key], choices[side.Choice] = true, true
			f.Key = h.KeyName(key)
			f.parts = append(f.parts, w.evidence(side.Choice)...)
			f.Lines = append(f.Lines, fmt.Sprintf("If %s: %s.", w.words(side.Choice, side.Second), one.Summary))
		}
		f.Lines = append(f.Lines, one.Lines...)
	}
	f.Summary = describeCycle(h, w, refuted[0].Cycle).Summary
	if len(choices) > 0 {
		names := make([]string, 0, len(keys))
		for _, k := range sorted32(keys) {
			names = append(names, h.KeyName(k))
		}
		f.Summary = fmt.Sprintf("the order of some versions of key %s is open, and whichever is taken makes a circle (%d circles): %s", join(names), len(refuted), f.Summary)
	}
	if len(keys) > 1 {
		f.Key = ""
	}
	return rank[kind] + []Anomaly{"", processSuffix, realtimeSuffix}[suffix], f
}

func sorted32(set map[int32]bool) []int32 {
	list := make([]int32, 0, len(set))
	for k := range set {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// undecided says why nothing is proven.
func undecided(l level, keys int, why error) string {
	what := "serializability"
	if l == levelSI {
		what = "snapshot isolation"
	}
	return fmt.Sprintf("no violation was found, but the history leaves the order of versions of %d keys open, and whether one of them agrees with %s was not decided: %v; read each key before it is written, or allow more", keys, what, why)
}

// refutes reports whether a model is refuted by what was found already.
func (r *run) refutes(m Model) bool {
	return strength.has(r.refuted(r.found.types()), m)
}
