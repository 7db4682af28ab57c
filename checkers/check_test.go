package checkers

import (
	"context"
	"encoding/json"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/node"
)

func says(v Validity) Checker {
	return Func(string(v), func(context.Context, *Evidence) Verdict {
		return Verdict{Verdict: v, Reason: "because", Witness: &Witness{Summary: "so"}}
	})
}

func TestPanicOfACheckerIsUnknownAndTheOthersGoOn(t *testing.T) {
	panics := Func("broken", func(context.Context, *Evidence) Verdict { panic("index out of range") })
	got := Check(t.Context(), &Evidence{}, []Checker{panics, says(Valid)}, Options{})
	if got[0].Verdict != Unknown || !strings.Contains(got[0].Reason, "index out of range") || !strings.Contains(got[0].Reason, "check_test.go") {
		t.Errorf("the one that panicked: %+v", got[0])
	}
	if got[1].Verdict != Valid || got[1].Checker != "valid" || got[1].Witness != nil {
		t.Errorf("the other: %+v", got[1])
	}
}

func TestCheckerThatDoesNotReturnIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		deaf := Func("deaf", func(context.Context, *Evidence) Verdict { <-release; return Verdict{Verdict: Valid} })
		polite := Func("polite", func(ctx context.Context, _ *Evidence) Verdict {
			<-ctx.Done()
			return Verdict{Verdict: Unknown, Reason: "half done"}
		})
		got := Check(t.Context(), &Evidence{}, []Checker{deaf, polite}, Options{Timeout: time.Minute})
		if got[0].Verdict != Unknown || got[0].Reason != "the checker did not return within 1m0s" {
			t.Errorf("deaf: %+v", got[0])
		}
		if got[1].Verdict != Unknown || got[1].Reason != "half done" {
			t.Errorf("polite: %+v", got[1])
		}
	})
}

func TestCheckerThatEndsItsGoroutineIsUnknownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		ends := Func("ends", func(context.Context, *Evidence) Verdict { runtime.Goexit(); return Verdict{} })
		got := Check(t.Context(), &Evidence{}, []Checker{ends}, Options{Timeout: time.Minute})[0]
		if got.Verdict != Unknown || got.Reason != "the checker ended its goroutine and gave no verdict" || time.Since(begun) > 0 {
			t.Errorf("after %s: %+v", time.Since(begun), got)
		}
	})
}

func TestCheckerThatIsCancelledIsNotSaidToHaveTakenItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		defer close(release)
		deaf := Func("deaf", func(context.Context, *Evidence) Verdict { cancel(); <-release; return Verdict{} })
		got := Check(ctx, &Evidence{}, []Checker{deaf}, Options{})[0]
		if got.Verdict != Unknown || got.Reason != "the checker did not return when it was told to: context canceled" || got.Seconds > 1 {
			t.Errorf("%+v", got)
		}
	})
}

func TestMeasuresThatAreNoNumbersAreLeftOut(t *testing.T) {
	measures := map[string]float64{"share": math.NaN(), "rate": math.Inf(1), "n": 3}
	c := Func("measures", func(context.Context, *Evidence) Verdict {
		return Verdict{Verdict: Valid, Reason: "all is well", Measures: measures}
	})
	got := Check(t.Context(), &Evidence{}, []Checker{c}, Options{})[0]
	if got.Verdict != Valid || len(got.Measures) != 1 || got.Measures["n"] != 3 || len(measures) != 3 ||
		got.Reason != "all is well; the measure rate was +Inf and is left out; the measure share was NaN and is left out" {
		t.Errorf("%+v of %v", got, measures)
	}
	if _, err := json.Marshal(got); err != nil {
		t.Error(err)
	}
}

func TestInvalidNeedsAWitnessAndVerdictsMustBeVerdicts(t *testing.T) {
	bare := Func("bare", func(context.Context, *Evidence) Verdict { return Verdict{Verdict: Invalid, Reason: "trust me"} })
	mute := Func("mute", func(context.Context, *Evidence) Verdict {
		return Verdict{Verdict: Invalid, Reason: "trust me", Witness: &Witness{Class: "lost"}}
	})
	idle := Func("idle", func(context.Context, *Evidence) Verdict {
		return Verdict{Verdict: NotApplicable, Reason: "nothing crashed"}
	})
	silent := Func("silent", func(context.Context, *Evidence) Verdict { return Verdict{Verdict: NotApplicable} })
	got := Check(t.Context(), &Evidence{}, []Checker{bare, says("maybe"), says(Invalid), mute, idle, silent}, Options{})
	if got[4].Verdict != NotApplicable || got[5].Verdict != Unknown || !strings.Contains(got[5].Reason, "not what did not occur") {
		t.Errorf("nothing to judge, with and without what did not occur: %+v %+v", got[4], got[5])
	}
	if got[3].Verdict != Unknown || got[3].Reason != got[0].Reason || got[3].Witness != nil {
		t.Errorf("mute: %+v", got[3])
	}
	if got[0].Verdict != Unknown || got[0].Reason != "the checker said invalid without a witness. trust me" {
		t.Errorf("bare: %+v", got[0])
	}
	if got[1].Verdict != Unknown || got[1].Witness != nil || !strings.Contains(got[1].Reason, `"maybe", which is no verdict`) {
		t.Errorf("maybe: %+v", got[1])
	}
	if got[2].Verdict != Invalid || got[2].Witness == nil {
		t.Errorf("invalid: %+v", got[2])
	}
}

func TestInvalidBeatsUnknownBeatsValidBeatsNotApplicable(t *testing.T) {
	for _, c := range []struct {
		in   []Validity
		want Validity
	}{
		{nil, Unknown},
		{[]Validity{Valid, Valid}, Valid},
		{[]Validity{Valid, Unknown}, Unknown},
		{[]Validity{Unknown, Invalid, Valid}, Invalid},
		{[]Validity{Valid, ""}, Unknown},
		{[]Validity{NotApplicable, Valid}, Valid},
		{[]Validity{NotApplicable, NotApplicable}, NotApplicable},
		{[]Validity{Unknown, NotApplicable}, Unknown},
		{[]Validity{NotApplicable, Invalid}, Invalid},
	} {
		var verdicts []Verdict
		for _, v := range c.in {
			verdicts = append(verdicts, Verdict{Verdict: v})
		}
		if got := Merge(verdicts); got != c.want {
			t.Errorf("%v merge to %s, want %s", c.in, got, c.want)
		}
	}
}

// ops builds operations from the seconds at which they were invoked and
// completed; a completion of 0 stands for an unknown outcome, a negative one
// for a failure.
func ops(times ...float64) []history.Operation {
	var list []history.Operation
	for i := 0; i < len(times); i += 2 {
		o := history.Operation{F: "write", Invoked: secs(times[i]), Completed: secs(times[i+1]), Outcome: history.OK}
		if times[i+1] == 0 {
			o.Completed, o.Outcome, o.Error = history.Never, history.Info, "timed out"
		} else if times[i+1] < 0 {
			o.Completed, o.Outcome = -o.Completed, history.Fail
		}
		list = append(list, o)
	}
	return list
}

func secs(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func judgeOne(c Checker, e *Evidence) Verdict {
	return Check(context.Background(), e, []Checker{c}, Options{})[0]
}

func TestAvailabilityMeasuresSharesGapsAndFailover(t *testing.T) {
	e := &Evidence{
		Operations: ops(0, 1, 1, 2, 3, 0, 4, -5, 6, 8, 9, 10),
		Faults:     []FaultWindow{{Fault: "kill(leader)", Start: secs(2.5), End: secs(5)}, {Fault: "pause(one)", Start: secs(4.5), End: secs(5.5)}},
	}
	v := judgeOne(Availability(AvailabilityBounds{}), e)
	if v.Verdict != Valid {
		t.Fatalf("without bounds: %s: %s", v.Verdict, v.Reason)
	}
	for name, want := range map[string]float64{
		"answered_percent": 400.0 / 6, "answered_percent_in_faults": 0, "answered_percent_outside_faults": 100,
		"longest_gap_seconds": 6, "failover_seconds_max": 5.5, "failover_seconds_median": 5.5,
	} {
		if got := v.Measures[name]; got != want {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
	for _, c := range []struct {
		within, beyond AvailabilityBounds
		want           string
	}{
		{AvailabilityBounds{AnsweredPercent: 60}, AvailabilityBounds{AnsweredPercent: 70}, "66.7% of the operations were answered, at least 70.0% are required"},
		{AvailabilityBounds{Gap: secs(6)}, AvailabilityBounds{Gap: secs(5)}, "nothing was answered for 6.000 s from 2.000 s on, at most 5.000 s are allowed"},
		{AvailabilityBounds{Failover: secs(5.5)}, AvailabilityBounds{Failover: secs(5)}, "failing over after kill(leader) at 2.500 s took 5.500 s, at most 5.000 s are allowed"},
	} {
		if v := judgeOne(Availability(c.within), e); v.Verdict != Valid {
			t.Errorf("within %+v: %s", c.within, v.Reason)
		}
		if v := judgeOne(Availability(c.beyond), e); v.Verdict != Invalid || v.Witness.Summary != c.want {
			t.Errorf("beyond %+v: %s: %s", c.beyond, v.Verdict, v.Reason)
		}
	}
	if v := judgeOne(Availability(AvailabilityBounds{}), &Evidence{}); v.Verdict != Unknown {
		t.Errorf("without operations: %s", v.Verdict)
	}
	e.Faults = append(e.Faults, FaultWindow{Fault: "kill(all)", Start: secs(8.5), End: secs(20)})
	e.Operations[5].Outcome = history.Info
	if v := judgeOne(Availability(AvailabilityBounds{Failover: secs(60)}), e); v.Verdict != Unknown || v.Measures["failovers_never"] != 1 {
		t.Errorf("a fault that nothing survived, and less than 60 s were seen of: %s: %s", v.Verdict, v.Reason)
	}
	e.Operations = append(e.Operations, ops(68, 0, 69, -70)...)
	v = judgeOne(Availability(AvailabilityBounds{Failover: secs(61)}), e)
	if want := "failing over after kill(all) at 8.500 s never came to an end, at most 61.000 s are allowed"; v.Verdict != Invalid || v.Reason != want {
		t.Errorf("a fault that nothing survived: %s: %s", v.Verdict, v.Reason)
	}
	if v := judgeOne(Availability(AvailabilityBounds{Failover: secs(61.5)}), e); v.Verdict != Unknown {
		t.Errorf("a fault that nothing survived, of which 61.5 s were seen: %s: %s", v.Verdict, v.Reason)
	}
}

func TestLivenessWantsProgressAfterHealing(t *testing.T) {
	phases := []Phase{{"faults", 0, secs(10)}, {LivenessPhase, secs(10), secs(20)}, {"final reads", secs(20), secs(25)}}
	bounds := LivenessBounds{Operations: 2, Within: secs(5)}
	for name, c := range map[string]struct {
		ops    []history.Operation
		phases []Phase
		want   Validity
		reason string
	}{
		"served":                {ops(11, 12, 12, 14), phases, Valid, "2 operations were answered after healing, the first 2 within 4.000 s"},
		"one too few":           {ops(11, 12, 12, 0), phases, Invalid, "1 of 2 operations were answered within 5.000 s, at least 2 are required"},
		"too late":              {ops(11, 12, 12, 15.5), phases, Invalid, "1 of 2 operations were answered within 5.000 s"},
		"before healing only":   {ops(1, 2, 9, 11, 22, 23), phases, Unknown, "no operation was invoked in the liveness phase"},
		"no such phase":         {ops(11, 12, 12, 14), phases[:1], Unknown, "the run had no phase named liveness"},
		"phase was interrupted": {ops(11, 12), []Phase{{LivenessPhase, secs(10), secs(12)}, {"final", secs(12), secs(13)}}, Unknown, "was cut off after 2.000 s"},
		"run was interrupted":   {ops(11, 0, 12, 0), phases[:2], Unknown, "the run was cut short after 10.000 s of the liveness phase"},
		"served, then cut off":  {ops(11, 12, 12, 14), phases[:2], Valid, "2 operations were answered after healing"},
	} {
		v := judgeOne(Liveness(bounds), &Evidence{Operations: c.ops, Phases: c.phases})
		if v.Verdict != c.want || !strings.Contains(v.Reason, c.reason) {
			t.Errorf("%s: %s: %s", name, v.Verdict, v.Reason)
		}
	}
}

func final(name string, applied uint64, hash string) Final {
	return Final{Node: name, Status: node.Status{Node: name, Role: "follower", Applied: applied, StateHash: hash}}
}

func TestConvergenceWantsEqualStateEverywhere(t *testing.T) {
	for name, c := range map[string]struct {
		finals []Final
		want   Validity
		reason string
	}{
		"equal":        {[]Final{final("n1", 9, "aa"), final("n2", 9, "aa")}, Valid, "all 2 nodes applied 9 entries"},
		"diverged":     {[]Final{final("n1", 9, "aa"), final("n2", 9, "bb"), {Node: "n3", Err: "down", Process: ProcessDown}}, Invalid, "the same 9 entries are in 2 different states"},
		"lagging":      {[]Final{final("n1", 9, "aa"), final("n2", 8, "bb")}, Invalid, "not all nodes have applied the same entries"},
		"absent":       {[]Final{final("n1", 9, "aa"), {Node: "n2", Err: "connection refused", Process: ProcessDown}}, Invalid, "the process of n2 does not run"},
		"all absent":   {[]Final{{Node: "n2", Err: "connection refused"}}, Unknown, "no node gave its final state: node n2 gave no status: connection refused"},
		"nobody asked": {nil, Unknown, "no node was asked"},
		"cut short":    {[]Final{final("n1", 9, "aa"), {Node: "n2", Err: "starting", Unsettled: true}}, Unknown, "the run was cut short"},
		"no hash":      {[]Final{final("n1", 9, "aa"), final("n2", 9, "")}, Unknown, "no state hash from n2"},
	} {
		v := judgeOne(Convergence(), &Evidence{Finals: c.finals})
		if v.Verdict != c.want || !strings.Contains(v.Reason, c.reason) {
			t.Errorf("%s: %s: %s", name, v.Verdict, v.Reason)
		}
	}
}

func TestCrashesAreSeenInFindingsAndLogs(t *testing.T) {
	logs := func(text string) map[string][]byte {
		return map[string][]byte{"n1": []byte("fine\n"), "n2": []byte(text)}
	}
	for name, c := range map[string]struct {
		e      Evidence
		want   Validity
		reason string
	}{
		"quiet":              {Evidence{Logs: logs("elected\nstepped down\n")}, Valid, "no node died by itself"},
		"panic":              {Evidence{Logs: logs("elected\npanic: runtime error: index out of range\n\ngoroutine 1 [running]:\n")}, Invalid, "the log of node n2 says: panic: runtime error: index out of range"},
		"word panic":         {Evidence{Logs: logs("client asked to panic: no\ndon't panic: all is well\n")}, Valid, "no node died"},
		"fatal error":        {Evidence{Logs: logs("fatal error: concurrent map writes")}, Invalid, "concurrent map writes"},
		"zap":                {Evidence{Logs: logs(`{"level":"fatal","msg":"failed to open WAL"}`)}, Invalid, "failed to open WAL"},
		"finding":            {Evidence{Findings: []node.Finding{{At: secs(2), Node: "n3", Invariant: FindingExit, Text: "status 2"}}}, Invalid, "exit on node n3 at 2.000 s: status 2"},
		"other finding":      {Evidence{Findings: []node.Finding{{Node: "n3", Invariant: "election safety"}}}, Valid, "no node died"},
		"nothing to look at": {Evidence{}, Unknown, "neither logs of nodes nor findings"},
	} {
		v := judgeOne(Crashes(), &c.e)
		if v.Verdict != c.want || !strings.Contains(v.Reason, c.reason) {
			t.Errorf("%s: %s: %s", name, v.Verdict, v.Reason)
		}
	}
}

func TestBrokenInvariantsAreReportedApartFromCrashes(t *testing.T) {
	e := &Evidence{Findings: []node.Finding{
		{At: secs(3), Node: "n1", Invariant: FindingPanic, Text: "boom"},
		{At: secs(5), Node: "n1", Invariant: "log matching", Text: "entry 7 differs"},
		{At: secs(4), Node: "n2", Invariant: "election safety", Text: "n1 and n2 both lead term 3"},
	}}
	v := judgeOne(Invariants(3), e)
	if v.Verdict != Invalid || v.Witness.Class != "election safety" || v.Reason != "election safety on node n2 at 4.000 s: n1 and n2 both lead term 3" || len(v.Witness.Lines) != 1 {
		t.Errorf("%s: %+v", v.Verdict, v)
	}
	if v := judgeOne(Invariants(3), &Evidence{Findings: e.Findings[:1]}); v.Verdict != Valid {
		t.Errorf("a panic alone: %s: %s", v.Verdict, v.Reason)
	}
	if v := judgeOne(Invariants(0), &Evidence{}); v.Verdict != NotApplicable {
		t.Errorf("nobody watched: %s", v.Verdict)
	}
}

// is64MiB says whether a growth of the heap is that of 64 MiB, give or take what
// else goes on in the process: garbage that was counted before is freed meanwhile.
func is64MiB(growth int64) bool { return growth > 60<<20 && growth < 80<<20 }

func TestMemoryOfACheckerIsTheGrowthOfTheHeap(t *testing.T) {
	var kept []byte
	greedy := Func("greedy", func(context.Context, *Evidence) Verdict {
		kept = make([]byte, 64<<20)
		return Verdict{Verdict: Valid}
	})
	list := []Checker{greedy, Func("modest", func(context.Context, *Evidence) Verdict { return Verdict{Verdict: Valid} })}
	v := Check(context.Background(), &Evidence{}, list, Options{Memory: true})
	if len(kept) == 0 || !is64MiB(*v[0].Memory) || *v[1].Memory > 8<<20 {
		t.Errorf("%d and %d bytes, for 64 MiB and nothing", *v[0].Memory, *v[1].Memory)
	}
	if v := Check(context.Background(), &Evidence{}, list, Options{}); v[0].Memory != nil {
		t.Errorf("%d bytes were measured, and nobody asked", *v[0].Memory)
	}
}

func TestGrowthOfTheHeapIsSeenWhenItIsOverBeforeTheEnd(t *testing.T) {
	ticks := make(chan time.Time)
	grown := heapGrowth(func() {
		b := make([]byte, 64<<20)
		ticks <- time.Time{}
		ticks <- time.Time{} // the first one has been looked at
		runtime.KeepAlive(b)
		runtime.GC()
	}, ticks)
	if !is64MiB(grown) {
		t.Errorf("%d bytes, for 64 MiB that were given back", grown)
	}
}
