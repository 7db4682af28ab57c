package models

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Stats judges that every function succeeded at least once, as
// jepsen.checker/stats does: a function none of whose operations was ok makes
// the history invalid, as whatever else was judged says nothing about it.
// Linear time.
func Stats() checkers.Checker {
	return judge("stats", "count", func(_ context.Context, ops []history.Operation) judged { return stats(ops) })
}

func stats(ops []history.Operation) judged {
	ok, sample := map[string]int{}, map[string]history.Operation{}
	m := map[string]float64{}
	for _, o := range ops {
		sample[o.F] = o
		m[o.Outcome.String()]++
		if o.Outcome == history.OK {
			ok[o.F]++
		}
	}
	var never []string
	for f := range sample {
		if ok[f] == 0 {
			never = append(never, f)
		}
	}
	slices.Sort(never)
	switch {
	case len(ops) == 0:
		return unknown("the history has no operations")
	case len(never) > 0:
		return with(invalid("never ok", fmt.Sprintf("no operation of %s was ever ok", strings.Join(never, ", ")), sample[never[0]]), m)
	}
	return with(valid("every function was ok at least once"), m)
}
