package models

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

func drawList(next *int64) func(r *rand.Rand) history.Operation {
	return func(r *rand.Rand) history.Operation {
		if r.IntN(2) == 0 {
			*next++
			outcomes := []history.Outcome{history.OK, history.OK, history.OK, history.OK, history.Info, history.Fail}
			return history.Operation{F: Append, Input: history.Int(*next), Output: history.Int(*next), Outcome: outcomes[r.IntN(len(outcomes))]}
		}
		var vs []history.Value
		for v := range *next {
			if r.IntN(12) > 0 {
				vs = append(vs, history.Int(v+1))
			}
		}
		if r.IntN(2) == 0 && len(vs) > 0 {
			vs = vs[:len(vs)-r.IntN(min(3, len(vs)+1))]
		}
		if r.IntN(16) == 0 {
			r.Shuffle(len(vs), func(a, b int) { vs[a], vs[b] = vs[b], vs[a] })
		}
		return history.Operation{F: Read, Output: history.List(vs...), Outcome: outcome(r)}
	}
}

// shown are the reads that count, unless one has an element twice or one that
// nobody appended or whose append failed.
func shown(ops []history.Operation) (reads []history.Operation, ok bool) {
	for _, o := range ops {
		if o.F != Read || o.Outcome != history.OK {
			continue
		}
		list, _ := o.Output.AsList()
		for i, v := range list {
			if slices.ContainsFunc(list[:i], v.Equal) {
				return nil, false
			}
			if !slices.ContainsFunc(ops, func(a history.Operation) bool { return a.F == Append && a.Outcome != history.Fail && a.Input.Equal(v) }) {
				return nil, false
			}
		}
		reads = append(reads, o)
	}
	return reads, true
}

// staleListsOracle tries every order of the appends that happened of which each
// read is a beginning, and takes the least that each read is behind in one.
func staleListsOracle(ops []history.Operation, most int, oldest time.Duration) checkers.Validity {
	reads, ok := shown(ops)
	if !ok {
		return checkers.Invalid
	}
	var appends []int
	for i, a := range ops {
		read := slices.ContainsFunc(reads, func(r history.Operation) bool { return has(r.Output, a.Input) })
		if a.F == Append && (a.Outcome == history.OK || a.Outcome == history.Info && read) {
			appends = append(appends, i)
		}
	}
	versions, ages := make([]int, len(reads)), make([]time.Duration, len(reads))
	for i := range reads {
		versions[i], ages[i] = 100, time.Hour
	}
	possible := false
	orders(appends, func(order []int) bool {
		for _, r := range reads {
			list, _ := r.Output.AsList()
			for at, v := range list {
				if !ops[order[at]].Input.Equal(v) {
					return false
				}
			}
		}
		possible = true
		for i := range reads {
			list, _ := reads[i].Output.AsList()
			behind, age := 0, time.Duration(0)
			for at := len(list); at < len(order); at++ {
				if a := &ops[order[at]]; precedes(a, &reads[i]) {
					behind = at + 1 - len(list)
					age = max(age, reads[i].Invoked-a.Completed)
				}
			}
			versions[i], ages[i] = min(versions[i], behind), min(ages[i], age)
		}
		return false
	})
	switch {
	case !possible:
		return checkers.Invalid
	case len(reads) == 0:
		return checkers.Unknown
	}
	for i := range reads {
		if most > 0 && versions[i] > most || oldest > 0 && ages[i] > oldest {
			return checkers.Invalid
		}
	}
	return checkers.Valid
}

// finalListsOracle tries every order of the elements of final reads.
func finalListsOracle(ops []history.Operation) checkers.Validity {
	reads, ok := shown(ops)
	if !ok {
		return checkers.Invalid
	}
	var appends []int
	over := int64(-1)
	for i, a := range ops {
		if a.F == Append && a.Outcome != history.Fail {
			appends = append(appends, i)
			over = max(over, a.Call, a.Return)
		}
	}
	reads = slices.DeleteFunc(reads, func(r history.Operation) bool { return r.Call < over })
	if len(appends) == 0 && len(ops) == 0 || len(reads) == 0 {
		return checkers.Unknown
	}
	for i := range reads {
		r := &reads[i]
		for _, w := range appends {
			if has(r.Output, ops[w].Input) {
				continue
			}
			if ops[w].Outcome == history.OK {
				return checkers.Invalid
			}
			for j := range reads {
				if precedes(&reads[j], r) && has(reads[j].Output, ops[w].Input) {
					return checkers.Invalid
				}
			}
		}
	}
	parts := func(order []int) bool {
		for _, r := range reads {
			list, _ := r.Output.AsList()
			for _, w := range order {
				if len(list) > 0 && ops[w].Input.Equal(list[0]) {
					list = list[1:]
				}
			}
			if len(list) > 0 {
				return false
			}
		}
		return true
	}
	if !orders(appends, parts) {
		return checkers.Invalid
	}
	return checkers.Valid
}
