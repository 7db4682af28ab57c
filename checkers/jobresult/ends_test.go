package jobresult

import (
	"slices"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/workloads"
)

// asked is a result of n4 that is asked for each second, in vain.
func asked(from, to int) (ops []history.Operation) {
	for s := from; s < to; s++ {
		at := time.Duration(s) * time.Second
		ops = append(ops, history.Operation{F: workloads.Result, Key: "n4", Outcome: history.Fail, Invoked: at, Completed: at + time.Second})
	}
	return ops
}

func TestAJobThatHasEndedGivesItsResult(t *testing.T) {
	const bound = 15 * time.Second
	event := func(s int, proc string, k record.Kind) record.Event {
		return record.Event{T: time.Duration(s) * time.Second, Proc: proc, Kind: k}
	}
	ended := []record.Event{event(1, "n4", record.Work), event(1, "n5", record.Work), event(2, "n1", record.RoundCommit), event(5, "n4", record.Final), event(6, "n5", record.Final)}
	answer := history.Operation{F: workloads.Result, Key: "n4", Outcome: history.OK, Invoked: 26 * time.Second, Completed: 27 * time.Second}
	paused := append(asked(10, 14), asked(20, 31)...)
	for _, c := range []struct {
		name   string
		events []record.Event
		ops    []history.Operation
		healed time.Duration
		want   checkers.Validity
	}{
		{"no result within the bound", ended, asked(10, 26), 9 * time.Second, checkers.Invalid},
		{"nothing was ever committed", slices.Delete(slices.Clone(ended), 2, 3), asked(10, 26), 9 * time.Second, checkers.Unknown},
		{"a result at last", ended, append(asked(10, 26), answer), 9 * time.Second, checkers.Valid},
		{"less than the bound", ended, asked(10, 24), 9 * time.Second, checkers.Unknown},
		{"a fault was healed late", ended, asked(10, 26), 12 * time.Second, checkers.Unknown},
		{"nobody asked for a while", ended, paused, 9 * time.Second, checkers.Unknown},
		{"one process ended late", append(slices.Clone(ended), event(12, "n5", record.Restore), event(13, "n5", record.Final)), asked(10, 26), 9 * time.Second, checkers.Unknown},
		{"one process was set back", append(slices.Clone(ended), event(7, "n5", record.Restore)), asked(10, 26), 9 * time.Second, checkers.NotApplicable},
		{"a failure was told", append(slices.Clone(ended), event(7, "n1", record.Failure)), asked(10, 26), 9 * time.Second, checkers.NotApplicable},
		{"nobody asked", ended, nil, 9 * time.Second, checkers.NotApplicable},
		{"nobody worked", nil, asked(10, 26), 9 * time.Second, checkers.NotApplicable},
	} {
		e := &checkers.Evidence{Operations: c.ops, Record: c.events, Faults: []checkers.FaultWindow{{Kind: "kill", End: c.healed}}}
		v := checkers.Check(t.Context(), e, []checkers.Checker{Ends(bound)}, checkers.Options{})[0]
		if v.Verdict != c.want {
			t.Errorf("%s: %s: %s; expected %s", c.name, v.Verdict, v.Reason, c.want)
		}
		if v.Verdict == checkers.Invalid && v.Witness.Class != "no-result" {
			t.Errorf("%s: class %q", c.name, v.Witness.Class)
		}
	}
}
