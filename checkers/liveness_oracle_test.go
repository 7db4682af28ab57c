package checkers

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/history"
)

// livenessOracle follows the comment of Liveness word by word: it goes from
// instant to instant until enough operations are ok, or the bound is reached.
func livenessOracle(b LivenessBounds, e *Evidence) (Validity, map[string]float64) {
	phases := slices.DeleteFunc(slices.Clone(e.Phases), func(p Phase) bool { return p.Name != LivenessPhase })
	if len(phases) != 1 {
		return Unknown, nil
	}
	p := phases[0]
	tried := slices.DeleteFunc(slices.Clone(e.Operations), func(o history.Operation) bool { return o.Invoked < p.Start || p.End < o.Invoked })
	required, bound := b.Operations, p.Start+b.Within
	if required == 0 {
		required = 1
	}
	if b.Within == 0 {
		bound = p.End
	}
	m := map[string]float64{"answered_operations": 0}
	okBy := func(at time.Duration) (n int) {
		for _, o := range tried {
			if served(o) && o.Completed <= at {
				n++
			}
		}
		return n
	}
	for at := p.Start; at <= bound; at += tick {
		m["answered_operations"] = float64(okBy(at))
		if _, known := m["recovery_seconds"]; !known && okBy(at) >= required {
			m["recovery_seconds"] = (at - p.Start).Seconds()
		}
	}
	_, enough := m["recovery_seconds"]
	last := e.Phases[len(e.Phases)-1] == p
	switch {
	case enough:
		return Valid, m
	case !slices.ContainsFunc(tried, func(o history.Operation) bool {
		return o.Invoked <= bound && (!served(o) || o.Completed > bound)
	}):
		return Unknown, m
	case p.End < bound:
		return Unknown, m
	case last && !slices.ContainsFunc(tried, func(o history.Operation) bool { return o.Invoked > bound }):
		return Unknown, m
	}
	return Invalid, m
}

func TestLivenessAgreesWithItsDefinitionOnRandomEvidence(t *testing.T) {
	t.Parallel()
	r := trials.Rand(12, 1)
	counts := map[Validity]int{}
	for range trials.Rounds(100_000) {
		e := drawEvidence(r)
		b := LivenessBounds{Operations: r.IntN(4), Within: time.Duration(r.IntN(2)*r.IntN(span)) * tick}
		checker := Liveness(b)
		got := checker.Check(context.Background(), e)
		want, m := livenessOracle(b, e)
		if counts[want]++; got.Verdict != want || !alike(got.Measures, m) {
			t.Fatalf("%+v: %s (%s) %v\nby the definition %s %v\n%s", b, got.Verdict, got.Reason, got.Measures, want, m, shown(e))
		}
		d := disguised(r, e, time.Hour)
		if again := checker.Check(context.Background(), d); again.Verdict != want || !alike(again.Measures, got.Measures) {
			t.Fatalf("%+v: an hour later, by others and in another order: %s (%s) %v\nbefore %s %v\n%s", b, again.Verdict, again.Reason, again.Measures, want, got.Measures, shown(e))
		}
		switch {
		case got.Verdict == Invalid:
			w := got.Witness
			alone := within(e, w.From, w.To)
			// What began before is not in the window, nor that the phase went on.
			alone.Operations = slices.DeleteFunc(alone.Operations, func(o history.Operation) bool { return !begins(e, o) })
			alone.Operations = append(alone.Operations, history.Operation{Invoked: w.To + tick, Completed: history.Never, Outcome: history.Info})
			if again, _ := livenessOracle(b, alone); again != Invalid || w.Summary == "" || w.Class == "" {
				t.Fatalf("%+v: the definition says %s of what was from %s to %s: %+v\n%s\nof\n%s", b, again, w.From, w.To, w, shown(alone), shown(e))
			}
		case got.Verdict == Valid:
			changedLiveness(t, r, b, e, got)
		}
	}
	if t.Logf("%v", counts); len(counts) < 3 {
		t.Errorf("one-sided: %v", counts)
	}
}

// begins reports whether an operation was invoked when a part of it says.
func begins(e *Evidence, part history.Operation) bool {
	return slices.ContainsFunc(e.Operations, func(o history.Operation) bool { return o.Process == part.Process && o.Invoked == part.Invoked })
}

// changedLiveness adds an operation that is ok, which changes nothing for the
// worse; asks for exactly what there was, which is enough; and then for more, or
// takes one away, which is not.
func changedLiveness(t *testing.T, r *rand.Rand, b LivenessBounds, e *Evidence, got Verdict) {
	judge := func(b LivenessBounds, e *Evidence) Verdict { return Liveness(b).Check(context.Background(), e) }
	i := slices.IndexFunc(e.Phases, func(p Phase) bool { return p.Name == LivenessPhase })
	d, start := e.changed(), e.Phases[i].Start
	more := history.Operation{F: "read", Invoked: start, Completed: start, Outcome: history.OK}
	d.Operations = slices.Insert(d.Operations, r.IntN(len(d.Operations)+1), more)
	if v := judge(b, d); v.Verdict != Valid || v.Measures["answered_operations"] != got.Measures["answered_operations"]+1 || v.Measures["recovery_seconds"] > got.Measures["recovery_seconds"] {
		t.Fatalf("%+v: with one more that is ok: %s (%s) %v, before %v\n%s", b, v.Verdict, v.Reason, v.Measures, got.Measures, shown(d))
	}
	exact := LivenessBounds{Operations: int(got.Measures["answered_operations"]), Within: b.Within}
	if v := judge(exact, e); v.Verdict != Valid {
		t.Fatalf("%+v is what there was: %s (%s)\n%s", exact, v.Verdict, v.Reason, shown(e))
	}
	if v := judge(LivenessBounds{Operations: exact.Operations + 1, Within: b.Within}, e); v.Verdict == Valid {
		t.Fatalf("one more than %+v: %s (%s)\n%s", exact, v.Verdict, v.Reason, shown(e))
	}
	took := LivenessBounds{Operations: b.Operations, Within: time.Duration(math.Round(got.Measures["recovery_seconds"] * 1e9))}
	if v := judge(took, e); took.Within > 0 && v.Verdict != Valid {
		t.Fatalf("%+v is how long it took: %s (%s)\n%s", took, v.Verdict, v.Reason, shown(e))
	}
	if took.Within--; took.Within > 0 {
		if v := judge(took, e); v.Verdict == Valid {
			t.Fatalf("%+v is less than it took: %s (%s)\n%s", took, v.Verdict, v.Reason, shown(e))
		}
	}
	for j := range d.Operations {
		d.Operations[j].Outcome, d.Operations[j].Error = history.Fail, "unreachable"
	}
	if v := judge(b, d); v.Verdict == Valid {
		t.Fatalf("%+v: when all failed: %s (%s)\n%s", b, v.Verdict, v.Reason, shown(d))
	}
}
