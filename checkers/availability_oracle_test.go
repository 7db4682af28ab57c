package checkers

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/history"
)

// availabilityOracle follows the comment of Availability word by word, at every
// instant of the grid.
func availabilityOracle(b AvailabilityBounds, e *Evidence) (Validity, map[string]float64) {
	if len(e.Operations) == 0 {
		return Unknown, nil
	}
	m := map[string]float64{}
	exceeded, unclear := false, false
	for name, counts := range map[string]func(o history.Operation) bool{
		"answered_percent":                func(history.Operation) bool { return true },
		"answered_percent_in_faults":      func(o history.Operation) bool { return inForce(e.Faults, o.Invoked) },
		"answered_percent_outside_faults": func(o history.Operation) bool { return !inForce(e.Faults, o.Invoked) },
	} {
		n, ok := 0, 0
		for _, o := range e.Operations {
			if !counts(o) {
				continue
			}
			if n++; served(o) {
				ok++
			}
		}
		if n > 0 {
			m[name] = 100 * (float64(ok) / float64(n))
		}
		exceeded = exceeded || name == "answered_percent" && float64(100*ok) < b.AnsweredPercent*float64(n)
	}
	gap := longestQuiet(e)
	m["longest_gap_seconds"] = gap.Seconds()
	exceeded = exceeded || b.Gap != 0 && gap > b.Gap
	var took []time.Duration
	for _, f := range e.Faults {
		d, asked, ok, tried := failingOver(e.Operations, f.Start)
		switch {
		case ok:
			took = append(took, d)
			exceeded = exceeded || b.Failover != 0 && d > b.Failover
			continue
		case asked:
			m["failovers_never"]++
		}
		if b.Failover != 0 && tried > b.Failover {
			exceeded = true
		} else if b.Failover != 0 {
			unclear = true
		}
	}
	if len(took) > 0 {
		slices.Sort(took)
		for len(took) > 2 {
			took = took[1 : len(took)-1]
		}
		m["failover_seconds_median"] = slices.Max(took).Seconds()
		m["failover_seconds_max"] = 0
	}
	for _, f := range e.Faults {
		if d, _, ok, _ := failingOver(e.Operations, f.Start); ok {
			m["failover_seconds_max"] = max(m["failover_seconds_max"], d.Seconds())
		}
	}
	switch {
	case exceeded:
		return Invalid, m
	case unclear:
		return Unknown, m
	}
	return Valid, m
}

// served is what was ok, or a compare-and-set whose value was another.
func served(o history.Operation) bool {
	return o.Outcome == history.OK || o.Outcome == history.Fail && o.F == "cas" && o.Error != "unreachable"
}

func inForce(faults []FaultWindow, at time.Duration) bool {
	for _, f := range faults {
		if f.Start == at || f.Start <= at && at <= f.End {
			return true
		}
	}
	return false
}

// longestQuiet tries every pair of instants between the first invocation and
// the last event of an operation.
func longestQuiet(e *Evidence) (longest time.Duration) {
	first, last := time.Duration(math.MaxInt64), time.Duration(math.MinInt64)
	ok := map[time.Duration]bool{}
	for _, o := range e.Operations {
		first, last = min(first, o.Invoked), max(last, o.Invoked)
		if o.Outcome == history.OK || o.Outcome == history.Fail {
			last = max(last, o.Completed)
		}
		if served(o) {
			ok[o.Completed] = true
		}
	}
	for _, ev := range e.Events {
		if ev.Process != history.NemesisProcess {
			last = max(last, ev.Time)
		}
	}
	for a := first; a <= last; a += tick {
		for b := a + tick; b <= last; b += tick {
			if longest = max(longest, b-a); ok[b] {
				break // it lasts no longer
			}
		}
	}
	return longest
}

// failingOver goes from the start of a fault from instant to instant until an
// operation that was invoked after it is ok, and tells else whether one was
// invoked, and how long any was seen to be invoked or to fail.
func failingOver(ops []history.Operation, start time.Duration) (took time.Duration, asked, ok bool, tried time.Duration) {
	for at := start; at < start+2*span*tick; at += tick {
		for _, o := range ops {
			switch {
			case o.Invoked <= start:
			case served(o) && o.Completed == at:
				return at - start, true, true, 0
			case o.Invoked == at, o.Outcome == history.Fail && o.Completed == at:
				asked, tried = true, at-start
			}
		}
	}
	return 0, asked, false, tried
}

func drawAvailabilityBounds(r *rand.Rand) AvailabilityBounds {
	return AvailabilityBounds{
		AnsweredPercent: []float64{0, 0, 25, 50, 60, 75, 100}[r.IntN(7)],
		Gap:             time.Duration(r.IntN(2)*r.IntN(span)) * tick,
		Failover:        time.Duration(r.IntN(2)*r.IntN(span)) * tick,
	}
}

func alike(a, b map[string]float64) bool {
	return maps.EqualFunc(a, b, func(x, y float64) bool { return math.Abs(x-y) < 1e-9 })
}

func TestAvailabilityAgreesWithItsDefinitionOnRandomEvidence(t *testing.T) {
	t.Parallel()
	r := trials.Rand(11, 1)
	counts := map[Validity]int{}
	for range trials.Rounds(100_000) {
		e, b := drawEvidence(r), drawAvailabilityBounds(r)
		checker := Availability(b)
		got := checker.Check(context.Background(), e)
		want, m := availabilityOracle(b, e)
		if counts[want]++; got.Verdict != want || !alike(got.Measures, m) {
			t.Fatalf("%+v: %s (%s) %v\nby the definition %s %v\n%s", b, got.Verdict, got.Reason, got.Measures, want, m, shown(e))
		}
		if again := checker.Check(context.Background(), disguised(r, e, time.Hour)); again.Verdict != want || !maps.Equal(again.Measures, got.Measures) {
			t.Fatalf("%+v: an hour later, by others and in another order: %s (%s) %v\nbefore %s %v\n%s", b, again.Verdict, again.Reason, again.Measures, want, got.Measures, shown(e))
		}
		if got.Verdict == Invalid {
			w := got.Witness
			alone := within(e, w.From, w.To)
			if again, _ := availabilityOracle(b, alone); again != Invalid || w.Summary == "" || w.Class == "" {
				t.Fatalf("%+v: the definition says %s of what was from %s to %s: %+v\n%s\nof\n%s", b, again, w.From, w.To, w, shown(alone), shown(e))
			}
		}
		if want == Valid {
			betterAvailability(t, r, b, e, got)
			worseAvailability(t, r, b, e, got)
		}
	}
	if t.Logf("%v", counts); len(counts) < 3 {
		t.Errorf("one-sided: %v", counts)
	}
}

// betterAvailability adds an operation that is ok at once while others go on,
// and a fault that another one hides: neither makes anything worse.
func betterAvailability(t *testing.T, r *rand.Rand, b AvailabilityBounds, e *Evidence, got Verdict) {
	d := e.changed()
	o := d.Operations[r.IntN(len(d.Operations))]
	o.Completed, o.Outcome, o.Error = o.Invoked, history.OK, ""
	d.Operations = append(d.Operations, o)
	if len(d.Faults) > 0 {
		f := d.Faults[r.IntN(len(d.Faults))]
		f.End = min(f.End, f.Start+tick)
		d.Faults = append(d.Faults, f)
	}
	v := Availability(b).Check(context.Background(), d)
	worse := v.Measures["answered_percent"] < got.Measures["answered_percent"] || v.Measures["longest_gap_seconds"] > got.Measures["longest_gap_seconds"]
	if v.Verdict != Valid || worse {
		t.Fatalf("%+v: with one more that is ok: %s (%s) %v, before %v\n%s", b, v.Verdict, v.Reason, v.Measures, got.Measures, shown(d))
	}
}

// worseAvailability sets each bound to what was measured, which is within it,
// and then a bit closer, which is not.
func worseAvailability(t *testing.T, r *rand.Rand, b AvailabilityBounds, e *Evidence, got Verdict) {
	gap := time.Duration(math.Round(got.Measures["longest_gap_seconds"] * 1e9))
	longest := time.Duration(math.Round(got.Measures["failover_seconds_max"] * 1e9))
	share := got.Measures["answered_percent"]
	var exact, closer AvailabilityBounds
	switch r.IntN(3) {
	case 0:
		exact, closer = AvailabilityBounds{Gap: gap}, AvailabilityBounds{Gap: gap - 1}
	case 1:
		exact, closer = AvailabilityBounds{AnsweredPercent: share}, AvailabilityBounds{AnsweredPercent: math.Nextafter(share, 101)}
	case 2:
		exact, closer = AvailabilityBounds{Failover: longest}, AvailabilityBounds{Failover: longest - 1}
	}
	if v := Availability(exact).Check(context.Background(), e); v.Verdict == Invalid {
		if exact.Failover == 0 || v.Reason == "" || got.Measures["failovers_never"] == 0 {
			t.Fatalf("%+v is what was measured: %s (%s)\n%s", exact, v.Verdict, v.Reason, shown(e))
		}
	}
	if closer.Validate() == nil && closer != (AvailabilityBounds{}) {
		if v := Availability(closer).Check(context.Background(), e); v.Verdict != Invalid {
			t.Fatalf("%+v is closer than what was measured: %s (%s)\n%s", closer, v.Verdict, v.Reason, shown(e))
		}
	}
}
