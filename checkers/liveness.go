package checkers

import (
	"context"
	"fmt"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// LivenessPhase is the name of the phase in which Liveness looks.
const LivenessPhase = "liveness"

// LivenessBounds say what the system must do after everything was healed.
type LivenessBounds struct {
	// Operations is how many operations invoked in the liveness phase must be
	// ok; 0 means 1.
	Operations int
	// Within is how long that may take from the beginning of the phase; 0
	// means until the phase ends.
	Within time.Duration
}

// Liveness judges whether the system served again after everything had been
// healed: at least so many operations that were invoked in the phase named
// "liveness" must be ok within the bound. It is unknown if there was no such
// phase or nothing was invoked in it, and instead of invalid if the run was
// cut short in it: no other phase followed.
//
// Its measure recovery_seconds is the time from the beginning of the phase
// until the last of the required operations was ok. A real system that needs
// longer than the bound is called invalid although it might have served in
// the end: the bound is part of what is claimed.
func Liveness(b LivenessBounds) Checker {
	b.Operations = max(1, b.Operations)
	return Func("liveness", func(_ context.Context, e *Evidence) Verdict {
		for i, p := range e.Phases {
			if p.Name == LivenessPhase {
				return b.judge(p, i == len(e.Phases)-1, e)
			}
		}
		return Verdict{Verdict: Unknown, Reason: "the run had no phase named " + LivenessPhase + " (it was cut short)"}
	})
}

func (b LivenessBounds) judge(p Phase, cut bool, e *Evidence) Verdict {
	end := p.End
	if b.Within > 0 {
		end = p.Start + b.Within
	}
	v := Verdict{Algorithm: "counting", Measures: map[string]float64{}}
	var done []history.Operation
	invoked, last := 0, ""
	for _, o := range e.Operations {
		if o.Invoked < p.Start || o.Invoked > p.End {
			continue
		}
		invoked++
		if o.Outcome == history.OK && o.Completed <= end {
			done = append(done, o)
		} else if o.Error != "" {
			last = o.Error
		}
	}
	v.Measures["ok_operations"] = float64(len(done))
	switch {
	case len(done) >= b.Operations:
		times := okTimes(done)
		took := times[b.Operations-1] - p.Start
		v.Measures["recovery_seconds"] = took.Seconds()
		v.Verdict = Valid
		v.Reason = fmt.Sprintf("%d operations succeeded after healing, the first %d within %s", len(done), b.Operations, history.At(took))
	case invoked == 0:
		v.Verdict, v.Reason = Unknown, "no operation was invoked in the liveness phase"
	case cut:
		v.Verdict, v.Reason = Unknown, fmt.Sprintf("the run was cut short after %s of the liveness phase, when %d operations had succeeded and at least %d are required", history.At(p.End-p.Start), len(done), b.Operations)
	case b.Within > 0 && p.End < end && invoked < b.Operations:
		v.Verdict, v.Reason = Unknown, fmt.Sprintf("the liveness phase was cut off after %s, before %d operations could be tried", history.At(p.End-p.Start), b.Operations)
	default:
		v.Verdict = Invalid
		v.Reason = fmt.Sprintf("after everything was healed at %s, %d of %d operations succeeded within %s, at least %d are required", history.At(p.Start), len(done), invoked, history.At(end-p.Start), b.Operations)
		v.Witness = &Witness{Class: "not live", Summary: v.Reason, From: p.Start, To: end}
		if last != "" {
			v.Witness.Lines = []string{"the last error was: " + last}
		}
	}
	return v
}
