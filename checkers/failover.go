package checkers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// FailoverBounds are what a system claims of the time that it needs to serve
// again.
type FailoverBounds struct {
	// Within is how long it may not serve after a fault began or ended.
	Within time.Duration
	// Down is how many nodes may be hit for that to hold, not counting Free.
	Down int
	Free map[string]bool
	// Who claims it: the target's name.
	Who string
}

// FaultsPhase is the name of the phase from whose beginning on Failover looks.
const FaultsPhase = "faults"

// Failover judges whether the system served whenever it claims to: in a stretch
// of time in which no fault began or ended and no more nodes were hit than it
// claims to tolerate, something must be answered
// (history.Operation.Answered) at least every so often. What was hit at the
// beginning of the stretch stays hit: a leader that is cut off must be replaced.
//
// Time counts only while an operation was open or under way, from the beginning
// of the phase "faults" on, and a gap in which nothing at all was recorded for
// longer than the bound does not: then the harness stood still. It is not
// applicable if there was no such stretch longer than the bound in which
// something was asked, and unknown if there is no bound.
//
// Its measures are stretches, how many could have shown a violation, and
// serve_gap_seconds_max, the longest time without an answer in any.
//
// An invalid is Conditional: trouble of the harness, such as a fault that it could
// not heal, excuses it.
//
// It does not check that service was fast or the same on all nodes, nor what
// happens while more nodes are hit.
func Failover(b FailoverBounds) Checker {
	return Func("failover", func(_ context.Context, e *Evidence) Verdict {
		if b.Within <= 0 {
			return Verdict{Verdict: Unknown, Reason: fmt.Sprintf("failover: Within is %s, expected more than 0", b.Within)}
		}
		return b.judge(e)
	})
}

// serving are the times at which something was asked, recorded and answered.
type serving struct {
	answered []time.Duration // in order
	recorded []time.Duration // invocations and completions, in order
	asked    windows         // when operations were open
}

func newServing(e *Evidence) *serving {
	s := &serving{answered: answers(e.Operations)}
	var open []FaultWindow
	last := time.Duration(0)
	for i := range e.Events {
		last = max(last, e.Events[i].Time)
	}
	for i := range e.Operations {
		o := &e.Operations[i]
		end := o.Completed
		if end == history.Never {
			end = last
		}
		open = append(open, FaultWindow{Start: o.Invoked, End: end})
		s.recorded = append(s.recorded, o.Invoked)
		if o.Completed != history.Never {
			s.recorded = append(s.recorded, o.Completed)
		}
	}
	for i := range e.Events {
		if e.Events[i].Kind == history.Info {
			s.recorded = append(s.recorded, e.Events[i].Time)
		}
	}
	slices.Sort(s.recorded)
	s.asked = union(open)
	return s
}

func (b FailoverBounds) judge(e *Evidence) Verdict {
	v := Verdict{Verdict: Valid, Algorithm: "stretches between faults", Measures: map[string]float64{}}
	at := slices.IndexFunc(e.Phases, func(p Phase) bool { return p.Name == FaultsPhase })
	if at < 0 {
		v.Verdict, v.Reason = Unknown, "the run had no phase named "+FaultsPhase
		return v
	}
	s := newServing(e)
	var worst Stretch // a gap, with who was hit
	shown := 0
	for _, x := range Stretches(e.Faults, b.Free) {
		if len(x.Hit) > b.Down {
			continue
		}
		x.From = max(x.From, e.Phases[at].Start)
		gap, could := s.longest(x, b.Within)
		if could {
			shown++
		}
		if gap.To-gap.From > worst.To-worst.From {
			worst = gap
		}
	}
	longest := worst.To - worst.From
	v.Measures["stretches"], v.Measures["serve_gap_seconds_max"] = float64(shown), longest.Seconds()
	switch {
	case longest > b.Within:
		hit := "although nothing was hit any more"
		if len(worst.Hit) > 0 {
			hit = fmt.Sprintf("although only %s was hit", strings.Join(worst.Hit, ", "))
		}
		v.Verdict = Invalid
		v.Reason = fmt.Sprintf("nothing was answered from %s to %s, %s, and no fault began or ended meanwhile: %s claims to serve again within %s",
			history.At(worst.From), history.At(worst.To), hit, b.Who, b.Within)
		v.Witness = &Witness{Class: "not available", Summary: v.Reason, From: worst.From, To: worst.To, Conditional: true, Lines: inForceLines(e.Faults, worst)}
	case shown == 0:
		v.Verdict = NotApplicable
		v.Reason = fmt.Sprintf("there was no time of more than %s after a fault in which none began or ended and at most %d nodes were hit", b.Within, b.Down)
	default:
		v.Reason = fmt.Sprintf("in %d stretches between faults, with at most %d nodes hit, something was answered at least every %s (%s claims %s)",
			shown, b.Down, history.At(longest), b.Who, b.Within)
	}
	return v
}

// longest finds the longest time in a stretch in which something was asked,
// recorded, and not answered, and whether it could have been longer than a bound.
func (s *serving) longest(x Stretch, within time.Duration) (gap Stretch, could bool) {
	for _, w := range s.asked {
		from, to := max(w.from, x.From), min(w.to, x.To)
		if from >= to {
			continue
		}
		could = could || to-from > within
		i, _ := slices.BinarySearch(s.answered, from)
		for ; from < to; i++ {
			next := to
			if i < len(s.answered) {
				next = min(next, s.answered[i])
			}
			if next-from > gap.To-gap.From && !s.silent(from, next, within) {
				gap = Stretch{from, next, x.Hit}
			}
			from = next
		}
	}
	return gap, could
}

// silent reports whether nothing was recorded for longer than a bound.
func (s *serving) silent(from, to, within time.Duration) bool {
	i, _ := slices.BinarySearch(s.recorded, from)
	for last := from; ; i++ {
		next := to
		if i < len(s.recorded) {
			next = min(next, s.recorded[i])
		}
		if next-last > within {
			return true
		}
		if next == to {
			return false
		}
		last = next
	}
}

// inForceLines name the faults that were in force in a gap.
func inForceLines(faults []FaultWindow, gap Stretch) (lines []string) {
	for _, f := range faults {
		if f.Start <= gap.From && gap.To <= max(f.Start, f.End) && len(lines) < logLinesMax {
			lines = append(lines, fmt.Sprintf("%s was in force from %s to %s", f.Fault, history.At(f.Start), history.At(f.End)))
		}
	}
	return lines
}
