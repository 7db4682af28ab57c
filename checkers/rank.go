package checkers

import "slices"

// Rank says where in the chain from cause to symptom a checker looks. It is a
// property of the checker; one that has none stands in the middle.
type Rank int

// The ranks, in the order in which violations are told.
const (
	// Cause is a decision or an act of the system that is wrong in itself.
	Cause Rank = iota - 2
	// Effect is a state of the system to which no right act leads.
	Effect
	middle
	// Symptom is what the outside sees of it.
	Symptom
)

// Ranked gives a checker a rank.
func Ranked(r Rank, c Checker) Checker { return ranked{c, r} }

type ranked struct {
	Checker
	rank Rank
}

func rankOf(c Checker) Rank {
	if r, ok := c.(ranked); ok {
		return r.rank
	}
	return middle
}

// CausesFirst orders the verdicts that are invalid by rank, among the places
// that they have; the others stay where they are.
func CausesFirst(verdicts []Verdict) {
	var places []int
	var invalid []Verdict
	for i, v := range verdicts {
		if v.Verdict == Invalid {
			places, invalid = append(places, i), append(invalid, v)
		}
	}
	slices.SortStableFunc(invalid, func(a, b Verdict) int { return int(a.Rank - b.Rank) })
	for k, i := range places {
		verdicts[i] = invalid[k]
	}
}
