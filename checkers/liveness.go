package checkers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// LivenessPhase is the name of the phase in which Liveness looks.
const LivenessPhase = "liveness"

// LivenessBounds say what the system must do after everything was healed.
type LivenessBounds struct {
	// Operations is how many operations invoked in the liveness phase must be
	// answered; 0 means 1.
	Operations int
	// Within is how long that may take from the beginning of the phase; 0
	// means until the phase ends.
	Within time.Duration
}

// Validate says which bound cannot be.
func (b LivenessBounds) Validate() error {
	switch {
	case b.Operations < 0:
		return fmt.Errorf("liveness: Operations is %d, expected 0 (for 1) or more", b.Operations)
	case b.Within < 0:
		return fmt.Errorf("liveness: Within is %s, expected 0 (until the phase ends) or more", b.Within)
	}
	return nil
}

// Liveness judges whether the system served again after everything had been
// healed: at least so many operations that were invoked in the phase named
// "liveness", from its start to its end, both included, must be answered
// (history.Operation.Answered) within the bound, and be it after the phase. Else it is invalid, but unknown
//
//   - if there was no such phase, or several;
//   - if all that was invoked in it until the bound was answered within it, or
//     nothing was invoked: too little was tried;
//   - if the phase ended before the bound;
//   - if the run was cut short in it: no other phase followed, and nothing was
//     invoked in it later than the bound. Without a bound that is so in every
//     run that was cut short there.
//
// It is invalid, too, if a node that was asked at least silentTries times over
// silentBound, after all that, did not answer once although its process ran:
// others may serve without it, but it is not live.
//
// Both are Conditional: trouble of the harness excuses them.
//
// Its measures are answered_operations, how many were
// answered so, and if they were enough
// recovery_seconds, the time from the beginning of the phase until the last of
// the required ones was answered. A real system that needs longer than the bound is
// called invalid although it might have served in the end: the bound is part
// of what is claimed.
func Liveness(b LivenessBounds) Checker {
	return Func("liveness", func(_ context.Context, e *Evidence) Verdict {
		if err := b.Validate(); err != nil {
			return Verdict{Verdict: Unknown, Reason: err.Error()}
		}
		at, n := 0, 0
		for i, p := range e.Phases {
			if p.Name == LivenessPhase {
				at = i
				n++
			}
		}
		switch n {
		case 0:
			return Verdict{Verdict: Unknown, Reason: "the run had no phase named " + LivenessPhase + " (it was cut short)"}
		case 1:
			return silent(b.judge(e.Phases[at], at == len(e.Phases)-1, e), e.Finals)
		}
		return Verdict{Verdict: Unknown, Reason: fmt.Sprintf("the run had %d phases named %s, expected one", n, LivenessPhase)}
	})
}

func (b LivenessBounds) judge(p Phase, cut bool, e *Evidence) Verdict {
	b.Operations = max(1, b.Operations)
	end := p.End
	if b.Within > 0 {
		end = p.Start + min(b.Within, history.Never-max(0, p.Start))
	}
	v := Verdict{Algorithm: "counting", Measures: map[string]float64{}}
	var done []time.Duration
	invoked, tried, last := 0, 0, ""
	for _, o := range e.Operations {
		if o.Invoked < p.Start || o.Invoked > p.End {
			continue
		}
		invoked++
		if o.Invoked > end {
			continue
		}
		tried++
		if o.Answered() && o.Completed <= end {
			done = append(done, o.Completed)
		} else if o.Error != "" {
			last = o.Error
		}
	}
	v.Measures["answered_operations"] = float64(len(done))
	switch {
	case len(done) >= b.Operations:
		slices.Sort(done)
		took := done[b.Operations-1] - p.Start
		v.Measures["recovery_seconds"] = took.Seconds()
		v.Verdict = Valid
		after := "healing"
		if len(e.Trouble) > 0 {
			after = "the try to heal"
		}
		v.Reason = fmt.Sprintf("%d operations were answered after %s, the first %d within %s", len(done), after, b.Operations, history.At(took))
	case invoked == 0:
		v.Verdict, v.Reason = Unknown, "no operation was invoked in the liveness phase"
	case cut && invoked == tried:
		v.Verdict, v.Reason = Unknown, fmt.Sprintf("the run was cut short after %s of the liveness phase, when %d operations had been answered and at least %d are required", history.At(p.End-p.Start), len(done), b.Operations)
	case p.End < end:
		v.Verdict, v.Reason = Unknown, fmt.Sprintf("the liveness phase was cut off after %s of %s, when %d operations had been answered and at least %d are required", history.At(p.End-p.Start), history.At(end-p.Start), len(done), b.Operations)
	case tried == len(done):
		v.Verdict, v.Reason = Unknown, fmt.Sprintf("all %d operations that were invoked within %s of the liveness phase were answered, and at least %d are required", tried, history.At(end-p.Start), b.Operations)
	default:
		v.Verdict = Invalid
		v.Reason = fmt.Sprintf("after everything was healed at %s, %d of %d operations were answered within %s, at least %d are required", history.At(p.Start), len(done), tried, history.At(end-p.Start), b.Operations)
		v.Witness = &Witness{Class: "not live", Summary: v.Reason, From: p.Start, To: end, Conditional: true}
		if last != "" {
			v.Witness.Lines = []string{"the last error was: " + last}
		}
	}
	return v
}

// What it takes to call a node silent.
const (
	silentTries = 10
	silentBound = 10 * time.Second
)

// silent turns a verdict that is not invalid into one if a node never answered.
func silent(v Verdict, finals []Final) Verdict {
	for i := range finals {
		f := &finals[i]
		if v.Verdict == Invalid || f.Unsettled || f.Process != ProcessSilent || f.Tries < silentTries || f.Until-f.Asked < silentBound {
			continue
		}
		v.Verdict, v.Reason = Invalid, "after everything was healed, "+f.silence()
		v.Witness = &Witness{Class: "silent node", Summary: v.Reason, From: f.Asked, To: f.Until, Conditional: true}
	}
	return v
}
