package checkers

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
)

// okFrom is a read that was answered within a second.
func okFrom(t time.Duration) history.Operation {
	return history.Operation{F: "read", Invoked: t, Completed: t + time.Second, Outcome: history.OK}
}

func TestTroubleOfTheHarnessExcusesWhatDidNotHappenAndNothingElse(t *testing.T) {
	t.Parallel()
	trouble := []cluster.Trouble{{At: 9 * time.Second, Step: cluster.TroubleOutside, Nodes: []string{"n3"}, Text: "its container was removed"}}
	failed := history.Operation{F: "read", Invoked: 11 * time.Second, Completed: 12 * time.Second, Outcome: history.Fail}
	alive := []Phase{{Name: LivenessPhase, Start: 10 * time.Second, End: 20 * time.Second}, {Name: "final", Start: 20 * time.Second, End: 21 * time.Second}}
	for name, c := range map[string]struct {
		checker  Checker
		evidence Evidence
		excused  bool
	}{
		"a node is down":        {Convergence(), Evidence{Finals: []Final{final("n1", 9, "aa"), {Node: "n3", Err: "down", Process: ProcessDown}}}, true},
		"a node is behind":      {Convergence(), Evidence{Finals: []Final{final("n1", 9, "aa"), final("n3", 8, "bb")}}, true},
		"nodes differ in state": {Convergence(), Evidence{Finals: []Final{final("n1", 9, "aa"), final("n3", 9, "bb")}}, false},
		"nothing succeeds":      {Liveness(LivenessBounds{}), Evidence{Phases: alive, Operations: []history.Operation{failed}}, true},
		"nothing for too long":  {Availability(AvailabilityBounds{Gap: time.Second}), Evidence{Operations: []history.Operation{okFrom(11 * time.Second), okFrom(20 * time.Second)}}, true},
		"a node panics":         {Crashes(), Evidence{Logs: map[string][]byte{"n1": []byte("panic: oh\n")}}, false},
	} {
		judged := func(e Evidence) Verdict { return Check(context.Background(), &e, []Checker{c.checker}, Options{})[0] }
		if v := judged(c.evidence); v.Verdict != Invalid || v.Witness.Conditional != c.excused {
			t.Errorf("%s, without trouble: %s (%s)", name, v.Verdict, v.Reason)
		}
		c.evidence.Trouble = trouble
		v := judged(c.evidence)
		switch {
		case !c.excused && v.Verdict != Invalid:
			t.Errorf("%s: %s (%s), although no trouble explains that", name, v.Verdict, v.Reason)
		case c.excused && (v.Verdict != Unknown || v.Witness != nil):
			t.Errorf("%s: %s (%s), although a container was removed", name, v.Verdict, v.Reason)
		case c.excused && (!strings.Contains(v.Reason, "n3 was disturbed from outside: its container was removed") || strings.Contains(v.Reason, "everything was healed")):
			t.Errorf("%s: it says %s", name, v.Reason)
		}
	}
}

func TestASilentNodeIsConvictedOnlyByLivenessAndOnlyIfItWasAskedEnough(t *testing.T) {
	t.Parallel()
	ok := okFrom(11 * time.Second)
	silent := Final{
		Node: "n3", Err: "no answer", Process: ProcessSilent,
		Tries: silentTries, Asked: 30 * time.Second, Until: 30*time.Second + silentBound,
	}
	for name, c := range map[string]struct {
		change func(f *Final)
		want   Validity
	}{
		"asked enough":               {func(*Final) {}, Invalid},
		"one try too few":            {func(f *Final) { f.Tries-- }, Valid},
		"an instant too short":       {func(f *Final) { f.Until-- }, Valid},
		"nobody knows if it runs":    {func(f *Final) { f.Process = ProcessUnknown }, Valid},
		"it does not run":            {func(f *Final) { f.Process = ProcessDown }, Valid}, // for Convergence
		"the nodes were not settled": {func(f *Final) { f.Unsettled = true }, Valid},
	} {
		f := silent
		c.change(&f)
		e := &Evidence{
			Finals: []Final{final("n1", 9, "aa"), f}, Operations: []history.Operation{ok},
			Phases: []Phase{{Name: LivenessPhase, Start: 10 * time.Second, End: 20 * time.Second}, {Name: "final", Start: 20 * time.Second, End: 41 * time.Second}},
		}
		if v := Liveness(LivenessBounds{}).Check(context.Background(), e); v.Verdict != c.want {
			t.Errorf("%s: %s (%s)", name, v.Verdict, v.Reason)
		}
		if v := Convergence().Check(context.Background(), e); f.Process != ProcessDown && v.Verdict != Unknown {
			t.Errorf("%s: convergence says %s (%s)", name, v.Verdict, v.Reason)
		}
	}
}
