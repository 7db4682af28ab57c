package checkers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// AvailabilityBounds are what availability must not fall below. A zero field
// asks for nothing, so that the checker only measures.
type AvailabilityBounds struct {
	// AnsweredPercent is the least share of answered operations over the whole
	// run, 0 to 100.
	AnsweredPercent float64
	// Gap is the longest time without an answer.
	Gap time.Duration
	// Failover is the longest time to fail over of any fault.
	Failover time.Duration
}

// Validate says which bound cannot be.
func (b AvailabilityBounds) Validate() error {
	switch {
	case !(b.AnsweredPercent >= 0 && b.AnsweredPercent <= 100):
		return fmt.Errorf("availability: AnsweredPercent is %v, expected 0 to 100", b.AnsweredPercent)
	case b.Gap < 0:
		return fmt.Errorf("availability: Gap is %s, expected 0 (no bound) or more", b.Gap)
	case b.Failover < 0:
		return fmt.Errorf("availability: Failover is %s, expected 0 (no bound) or more", b.Failover)
	}
	return nil
}

// Availability measures how well the system served. It is invalid if a bound
// is exceeded: by more than nothing, for what equals a bound is within it. It
// is unknown if no operation was invoked, or if a fault's time to fail over is
// bounded and cannot be told; see below.
//
// What counts is that the system answered: a compare-and-set that it refused was
// served (history.Operation.Answered).
//
// Its measures are:
//
//   - answered_percent: the share of answered ones among all operations; answered_percent_in_faults
//     and answered_percent_outside_faults the same for operations that were invoked
//     while a fault was, or no fault was, in force: from its start to its end,
//     both included. Neither is there without such operations.
//   - longest_gap_seconds: the longest interval without an answer
//     between the first invocation and the last event of an operation, both
//     ends included. When an operation of unknown outcome was given up is
//     taken from the events, and left out where there are none.
//   - failover_seconds_max and failover_seconds_median: over all faults, the
//     time from the start of the fault's injection to the first answer to
//     an operation that was invoked after it. This is RTO: it contains the
//     length of that operation, and is small for a fault that the clients did
//     not notice. The median of an even number is the longer of the two in the
//     middle. Faults after which something was invoked and nothing was ok are
//     counted by failovers_never; they and faults after which nothing was
//     invoked take part in neither figure.
//
// Where nothing was answered any more, the time to fail over exceeds its bound if an
// operation was invoked later than the bound allows, or one that was invoked
// after the fault failed later; else the run was over too soon to tell.
//
// It does not check that service was fast, nor tell one key or node from
// another.
func Availability(bounds AvailabilityBounds) Checker {
	return Func("availability", func(_ context.Context, e *Evidence) Verdict {
		return availability(bounds, e)
	})
}

// excess is a bound that was exceeded.
type excess struct {
	class, text string
	from, to    time.Duration
}

func availability(bounds AvailabilityBounds, e *Evidence) Verdict {
	if err := bounds.Validate(); err != nil {
		return Verdict{Verdict: Unknown, Reason: err.Error()}
	}
	if len(e.Operations) == 0 {
		return Verdict{Verdict: Unknown, Reason: "no operation was invoked"}
	}
	ops := byInvocation(e.Operations)
	m := map[string]float64{}
	shares(ops, e.Faults, m)
	last := lastEvent(ops, e.Events)
	gapFrom, gap := longestGap(ops, last)
	m["longest_gap_seconds"] = gap.Seconds()
	f := failovers(ops, e.Faults)
	f.measure(m)
	v := Verdict{Verdict: Valid, Algorithm: "intervals", Measures: m}
	v.Reason = fmt.Sprintf("%.1f%% of %d operations were answered; the longest gap was %s", m["answered_percent"], len(ops), history.At(gap))
	var found []excess
	if m["answered_percent"] < bounds.AnsweredPercent {
		found = append(found, excess{"too few answered", fmt.Sprintf("%.1f%% of the operations were answered, at least %.1f%% are required", m["answered_percent"], bounds.AnsweredPercent), ops[0].Invoked, last})
	}
	if bounds.Gap > 0 && gap > bounds.Gap {
		found = append(found, excess{"gap", fmt.Sprintf("nothing was answered for %s from %s on, at most %s are allowed", history.At(gap), history.At(gapFrom), history.At(bounds.Gap)), gapFrom, gapFrom + gap})
	}
	late, undecided := f.beyond(bounds.Failover)
	if late != nil {
		found = append(found, *late)
	}
	switch {
	case len(found) > 0:
		v.Verdict, v.Reason = Invalid, found[0].text
		v.Witness = &Witness{Class: found[0].class, Summary: found[0].text, From: found[0].from, To: found[0].to, Conditional: true}
		for _, x := range found[1:] {
			v.Witness.Lines = append(v.Witness.Lines, x.text)
		}
	case undecided != nil:
		v.Verdict = Unknown
		v.Reason = fmt.Sprintf("nothing was answered after %s at %s, and the run was over before failing over exceeded the %s that are allowed", undecided.Fault, history.At(undecided.Start), history.At(bounds.Failover))
	}
	return v
}

// byInvocation returns operations in order of invocation.
func byInvocation(ops []history.Operation) []history.Operation {
	order := func(a, b history.Operation) int { return cmp.Compare(a.Invoked, b.Invoked) }
	if slices.IsSortedFunc(ops, order) {
		return ops
	}
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, order)
	return ops
}

func shares(ops []history.Operation, faults []FaultWindow, m map[string]float64) {
	within := union(faults)
	var all, in, out struct{ n, answered int }
	for i := range ops {
		o := &ops[i]
		part := &out
		if within.contains(o.Invoked) {
			part = &in
		}
		all.n++
		part.n++
		if o.Answered() {
			all.answered++
			part.answered++
		}
	}
	m["answered_percent"] = percent(all.answered, all.n)
	if in.n > 0 {
		m["answered_percent_in_faults"] = percent(in.answered, in.n)
	}
	if out.n > 0 {
		m["answered_percent_outside_faults"] = percent(out.answered, out.n)
	}
}

func percent(part, whole int) float64 { return 100 * float64(part) / float64(whole) }

// lastEvent is when the last operation was invoked or ended; that of one of
// unknown outcome is known from events only.
func lastEvent(ops []history.Operation, events []history.Event) time.Duration {
	last := ops[0].Invoked
	for i := range ops {
		last = max(last, ended(&ops[i]))
	}
	for i := len(events) - 1; i >= 0; i-- {
		switch events[i].Kind {
		case history.Invoke, history.OK, history.Fail, history.Info:
			return max(last, events[i].Time)
		}
	}
	return last
}

// ended is when an operation was ok or failed, or else was invoked.
func ended(o *history.Operation) time.Duration {
	if o.Outcome == history.Info || o.Completed == history.Never {
		return o.Invoked
	}
	return max(o.Invoked, o.Completed)
}

// longestGap returns when the longest time without an answer began, and its length.
func longestGap(ops []history.Operation, last time.Duration) (from, gap time.Duration) {
	before := ops[0].Invoked
	for _, t := range append(answers(ops), last) {
		if t-before > gap {
			from, gap = before, t-before
		}
		before = t
	}
	return from, gap
}

func answers(ops []history.Operation) []time.Duration {
	var times []time.Duration
	for i := range ops {
		if ops[i].Answered() {
			times = append(times, ops[i].Completed)
		}
	}
	slices.Sort(times)
	return times
}

// failover is what came of one fault. If nothing was answered after it, took is
// history.Never, and tried until when after its start operations that came
// after it were invoked or failed.
type failover struct {
	*FaultWindow
	took, tried time.Duration
	asked       bool // something was invoked after it
}

type failoverList []failover

// failovers finds what came of each fault; ops are in order of invocation.
func failovers(ops []history.Operation, faults []FaultWindow) (list failoverList) {
	// For each operation, of itself and all later ones: the earliest
	// answer, and the last event.
	first, last := make([]time.Duration, len(ops)+1), make([]time.Duration, len(ops)+1)
	first[len(ops)], last[len(ops)] = history.Never, -history.Never
	for i := len(ops) - 1; i >= 0; i-- {
		first[i], last[i] = first[i+1], max(last[i+1], ended(&ops[i]))
		if ops[i].Answered() {
			first[i] = min(first[i], ops[i].Completed)
		}
	}
	for i := range faults {
		f := &faults[i]
		next := sort.Search(len(ops), func(i int) bool { return ops[i].Invoked > f.Start })
		x := failover{FaultWindow: f, took: history.Never, asked: next < len(ops)}
		if first[next] != history.Never {
			x.took = first[next] - f.Start
		} else if x.asked {
			x.tried = last[next] - f.Start
		}
		list = append(list, x)
	}
	return list
}

func (list failoverList) measure(m map[string]float64) {
	var took []time.Duration
	never := 0
	for _, f := range list {
		switch {
		case f.took != history.Never:
			took = append(took, f.took)
		case f.asked:
			never++
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
}

// beyond returns the failover that exceeded a bound by most, one that never
// came to an end first, and the first fault of which nobody can tell.
func (list failoverList) beyond(bound time.Duration) (late *excess, undecided *FaultWindow) {
	if bound == 0 {
		return nil, nil
	}
	var worst *failover
	for i := range list {
		f := &list[i]
		switch {
		case f.took == history.Never && f.tried <= bound:
			undecided = cmp.Or(undecided, f.FaultWindow)
		case f.took > bound && (worst == nil || f.took > worst.took):
			worst = f
		}
	}
	if worst == nil {
		return nil, undecided
	}
	how, to := "took "+history.At(worst.took), worst.took
	if worst.took == history.Never {
		how, to = "never came to an end", worst.tried
	}
	text := fmt.Sprintf("failing over after %s at %s %s, at most %s are allowed", worst.Fault, history.At(worst.Start), how, history.At(bound))
	return &excess{"slow failover", text, worst.Start, worst.Start + to}, undecided
}

// windows are disjoint intervals of time in rising order, ends included.
type windows []struct{ from, to time.Duration }

// union merges the windows of faults. One that ends before it starts is taken
// for the instant of its start.
func union(faults []FaultWindow) windows {
	sorted := slices.Clone(faults)
	slices.SortFunc(sorted, func(a, b FaultWindow) int { return cmp.Compare(a.Start, b.Start) })
	var u windows
	for _, f := range sorted {
		f.End = max(f.Start, f.End)
		if n := len(u); n > 0 && f.Start <= u[n-1].to {
			u[n-1].to = max(u[n-1].to, f.End)
			continue
		}
		u = append(u, struct{ from, to time.Duration }{f.Start, f.End})
	}
	return u
}

func (u windows) contains(t time.Duration) bool {
	i := sort.Search(len(u), func(i int) bool { return u[i].from > t })
	return i > 0 && t <= u[i-1].to
}
