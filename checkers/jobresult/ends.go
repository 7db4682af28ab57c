package jobresult

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/workloads"
)

// Ends judges whether a job that is done says so: when all processes that
// worked have recorded that they have ended, all faults have been healed, and
// no failure was told, a process's result is given within a bound. It is
// invalid (no-result) if that was asked for in vain for so long, without a pause
// in which nobody asked, and unknown if the job never committed a checkpoint: its
// checkpoints may be rarer than the run is long, and results may be given with
// them. What does not get that far is for others to judge:
// see progress and terminates of checkers/recovery.
func Ends(bound time.Duration) checkers.Checker {
	return checkers.Ranked(checkers.Symptom, checkers.Func("job-ends", func(_ context.Context, e *checkers.Evidence) checkers.Verdict {
		ended, open := endOf(e.Record)
		switch {
		case open == "":
			return idle("no process recorded that it worked")
		case ended < 0:
			return idle(open + ", so that no result is due")
		}
		asked, answered := 0, 0
		var first, last *history.Operation // of the vain ones at the end
		for i := range e.Operations {
			o := &e.Operations[i]
			if o.F != workloads.Result {
				continue
			}
			if asked++; o.Outcome == history.OK {
				answered++
				first, last = nil, nil
				continue
			}
			if last == nil || o.Invoked-last.Completed > bound/4 || o.Key != last.Key {
				first = o
			}
			last = o
		}
		switch {
		case asked == 0:
			return idle("nobody asked for a result")
		case last == nil:
			return checkers.Verdict{Verdict: checkers.Valid, Reason: fmt.Sprintf("%d results were given", answered)}
		}
		if !committed(e.Record) {
			return checkers.Verdict{Verdict: checkers.Unknown, Reason: fmt.Sprintf("the result of %s was asked for in vain, and nothing was ever committed: where results are given with what is committed, none was due", last.Key)}
		}
		since := max(ended, first.Invoked)
		for _, f := range e.Faults {
			since = max(since, f.End)
		}
		if waited := last.Completed - since; waited >= bound {
			summary := fmt.Sprintf("%s (at %s), no failure was told, no fault was in force from %s on, and the result of %s was asked for in vain for %s, until %s",
				open, history.At(ended), history.At(since), last.Key, waited.Round(time.Millisecond), history.At(last.Completed))
			w := &checkers.Witness{Class: "no-result", Summary: summary, Key: last.Key, Operations: []history.Operation{*first, *last}, From: first.Invoked, To: last.Completed}
			return checkers.Verdict{Verdict: checkers.Invalid, Reason: summary, Witness: w}
		}
		return checkers.Verdict{Verdict: checkers.Unknown, Reason: fmt.Sprintf("the result of %s was asked for in vain for less than %s after all processes had ended", last.Key, bound)}
	}))
}

// committed reports whether a checkpoint was ever committed.
func committed(events []record.Event) bool {
	return slices.ContainsFunc(events, func(e record.Event) bool {
		return e.Kind == record.CheckpointCommit || e.Kind == record.RoundCommit
	})
}

func idle(why string) checkers.Verdict {
	return checkers.Verdict{Verdict: checkers.NotApplicable, Reason: why}
}

// endOf is when the last of the processes that worked ended, or less than 0
// with what speaks against that they all have.
func endOf(events []record.Event) (at time.Duration, what string) {
	worked, ended := map[string]bool{}, map[string]time.Duration{}
	for i := range events {
		switch e := &events[i]; e.Kind {
		case record.Work:
			worked[e.Proc] = true
		case record.Crash, record.Start, record.Restore:
			delete(ended, e.Proc)
		case record.Final:
			ended[e.Proc] = e.T
			worked[e.Proc] = true
		case record.Failure:
			return -1, "a failure was told"
		}
	}
	if len(worked) == 0 {
		return -1, ""
	}
	for p := range worked {
		t, ok := ended[p]
		if !ok {
			return -1, "not all processes have ended"
		}
		at = max(at, t)
	}
	return at, fmt.Sprintf("all %d processes had ended", len(worked))
}
