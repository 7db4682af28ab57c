package checkers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// AvailabilityBounds are what availability must not fall below. A zero field
// asks for nothing, so that the checker only measures.
type AvailabilityBounds struct {
	// OKPercent is the least share of ok operations over the whole run.
	OKPercent float64
	// Gap is the longest time without an ok completion.
	Gap time.Duration
	// Failover is the longest time to fail over of any fault.
	Failover time.Duration
}

// Availability measures how well the system served. It is valid unless a
// bound is exceeded, and unknown if no operation was invoked.
//
// Its measures are:
//
//   - ok_percent: the share of ok among all operations; ok_percent_in_faults
//     and ok_percent_outside_faults the same for operations that were invoked
//     while a fault was, or no fault was, in force.
//   - longest_gap_seconds: the longest interval without an ok completion
//     between the first invocation and the last event of an operation, both
//     ends included.
//   - failover_seconds_max and failover_seconds_median: over all faults, the
//     time from the start of the fault's injection to the first completion of
//     an ok operation that was invoked after it. This is RTO: it contains the
//     length of that operation, and is small for a fault that the clients did
//     not notice. Faults after which nothing was ok are counted by
//     failovers_never and take part in neither figure.
//
// It does not check that service was fast, nor tell one key or node from
// another.
func Availability(bounds AvailabilityBounds) Checker {
	return Func("availability", func(_ context.Context, e *Evidence) Verdict {
		return availability(bounds, e)
	})
}

func availability(bounds AvailabilityBounds, e *Evidence) Verdict {
	if len(e.Operations) == 0 {
		return Verdict{Verdict: Unknown, Reason: "no operation was invoked"}
	}
	m := map[string]float64{}
	okShares(e, m)
	gapFrom, gap := longestGap(e.Operations)
	m["longest_gap_seconds"] = gap.Seconds()
	worst, failover := failovers(e, m)
	v := Verdict{Verdict: Valid, Algorithm: "intervals", Measures: m}
	v.Reason = fmt.Sprintf("%.1f%% of %d operations succeeded; the longest gap was %s", m["ok_percent"], len(e.Operations), history.At(gap))
	var exceeded []string
	w := &Witness{Class: "unavailable"}
	if m["ok_percent"] < bounds.OKPercent {
		exceeded = append(exceeded, fmt.Sprintf("%.1f%% of the operations succeeded, at least %.1f%% are required", m["ok_percent"], bounds.OKPercent))
		w.To = lastEvent(e.Operations)
	}
	if bounds.Gap > 0 && gap > bounds.Gap {
		exceeded = append(exceeded, fmt.Sprintf("nothing succeeded for %s from %s on, at most %s are allowed", history.At(gap), history.At(gapFrom), history.At(bounds.Gap)))
		w.From, w.To = gapFrom, gapFrom+gap
	}
	if bounds.Failover > 0 && worst != nil && failover > bounds.Failover {
		took := "took " + history.At(failover)
		if failover == history.Never {
			took = "never came to an end"
		}
		exceeded = append(exceeded, fmt.Sprintf("failing over after %s at %s %s, at most %s are allowed", worst.Fault, history.At(worst.Start), took, history.At(bounds.Failover)))
		w.From, w.To = worst.Start, max(worst.End, worst.Start)
	}
	if len(exceeded) > 0 {
		v.Verdict, v.Reason = Invalid, exceeded[0]
		w.Summary, w.Lines = exceeded[0], exceeded[1:]
		v.Witness = w
	}
	return v
}

func okShares(e *Evidence, m map[string]float64) {
	within := union(e.Faults)
	var all, in, out struct{ n, ok int }
	for i := range e.Operations {
		o := &e.Operations[i]
		part := &out
		if within.contains(o.Invoked) {
			part = &in
		}
		all.n++
		part.n++
		if o.Outcome == history.OK {
			all.ok++
			part.ok++
		}
	}
	m["ok_percent"] = percent(all.ok, all.n)
	if in.n > 0 {
		m["ok_percent_in_faults"] = percent(in.ok, in.n)
	}
	if out.n > 0 {
		m["ok_percent_outside_faults"] = percent(out.ok, out.n)
	}
}

func percent(part, whole int) float64 { return 100 * float64(part) / float64(whole) }

func lastEvent(ops []history.Operation) time.Duration {
	var last time.Duration
	for i := range ops {
		last = max(last, ops[i].Invoked)
		if ops[i].Completed != history.Never {
			last = max(last, ops[i].Completed)
		}
	}
	return last
}

// longestGap returns when the longest time without ok began, and its length.
func longestGap(ops []history.Operation) (from, gap time.Duration) {
	times := okTimes(ops)
	before := ops[0].Invoked
	for _, t := range append(times, lastEvent(ops)) {
		if t-before > gap {
			from, gap = before, t-before
		}
		before = t
	}
	return from, gap
}

func okTimes(ops []history.Operation) []time.Duration {
	var times []time.Duration
	for i := range ops {
		if ops[i].Outcome == history.OK {
			times = append(times, ops[i].Completed)
		}
	}
	slices.Sort(times)
	return times
}

// failovers measures the time to fail over of each fault and returns the
// worst, history.Never if nothing was ok any more after a fault although
// something was invoked.
func failovers(e *Evidence, m map[string]float64) (worst *FaultWindow, longest time.Duration) {
	// Operations are in order of invocation: for each, the earliest ok
	// completion of itself and all later ones.
	first := make([]time.Duration, len(e.Operations)+1)
	first[len(e.Operations)] = history.Never
	for i := len(e.Operations) - 1; i >= 0; i-- {
		first[i] = first[i+1]
		if e.Operations[i].Outcome == history.OK {
			first[i] = min(first[i], e.Operations[i].Completed)
		}
	}
	var took []time.Duration
	never := 0
	for i := range e.Faults {
		f := &e.Faults[i]
		next, _ := slices.BinarySearchFunc(e.Operations, f.Start, func(o history.Operation, t time.Duration) int {
			if o.Invoked <= t {
				return -1
			}
			return 1
		})
		if next == len(e.Operations) {
			continue // nobody asked
		}
		d := history.Never
		if first[next] != history.Never {
			d = first[next] - f.Start
			took = append(took, d)
		} else {
			never++
		}
		if worst == nil || d > longest {
			worst, longest = f, d
		}
	}
	if len(took) > 0 {
		slices.Sort(took)
		m["failover_seconds_max"] = took[len(took)-1].Seconds()
		m["failover_seconds_median"] = took[len(took)/2].Seconds()
	}
	if never > 0 {
		m["failovers_never"] = float64(never)
	}
	return worst, longest
}

// windows are disjoint intervals of time in rising order.
type windows []struct{ from, to time.Duration }

// union merges the windows of faults.
func union(faults []FaultWindow) windows {
	sorted := slices.Clone(faults)
	slices.SortFunc(sorted, func(a, b FaultWindow) int { return cmp.Compare(a.Start, b.Start) })
	var u windows
	for _, f := range sorted {
		if n := len(u); n > 0 && f.Start <= u[n-1].to {
			u[n-1].to = max(u[n-1].to, f.End)
			continue
		}
		u = append(u, struct{ from, to time.Duration }{f.Start, f.End})
	}
	return u
}

func (u windows) contains(t time.Duration) bool {
	i, found := slices.BinarySearchFunc(u, t, func(w struct{ from, to time.Duration }, t time.Duration) int { return cmp.Compare(w.from, t) })
	return found || i > 0 && t < u[i-1].to
}
