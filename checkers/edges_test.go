package checkers

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/node"
)

func TestAvailabilityAtTheEdges(t *testing.T) {
	gaveUp := []history.Event{{Index: 3, Time: secs(9), Kind: history.Info}, {Index: 4, Time: secs(30), Kind: history.PhaseStart, Process: history.NemesisProcess}}
	beforeZero := ops(1, 2, 3, 4)
	for i := range beforeZero {
		beforeZero[i].Invoked -= secs(10)
		beforeZero[i].Completed -= secs(10)
	}
	kill := func(from, to float64) FaultWindow {
		return FaultWindow{Fault: "kill(n1)", Start: secs(from), End: secs(to)}
	}
	for name, c := range map[string]struct {
		bounds AvailabilityBounds
		e      Evidence
		want   Validity
		reason string
		m      map[string]float64
	}{
		"an operation that was given up ends the gap":                {AvailabilityBounds{Gap: secs(7)}, Evidence{Operations: ops(0, 1, 2, 0), Events: gaveUp}, Invalid, "nothing was answered for 8.000 s from 1.000 s on", nil},
		"without events nobody knows when":                           {AvailabilityBounds{Gap: secs(7)}, Evidence{Operations: ops(0, 1, 2, 0)}, Valid, "the longest gap was 1.000 s", nil},
		"before zero":                                                {AvailabilityBounds{Gap: secs(2)}, Evidence{Operations: beforeZero}, Valid, "", nil},
		"in another order":                                           {AvailabilityBounds{Failover: secs(2)}, Evidence{Operations: ops(6, 9, 3, 4, 0, 1), Faults: []FaultWindow{kill(2, 3)}}, Valid, "", map[string]float64{"failover_seconds_max": 2}},
		"one fault within another":                                   {AvailabilityBounds{}, Evidence{Operations: ops(1, 2, 5, 6), Faults: []FaultWindow{kill(1, 5), kill(5, 5)}}, Valid, "", map[string]float64{"answered_percent_in_faults": 100}},
		"a fault of no length":                                       {AvailabilityBounds{}, Evidence{Operations: ops(5, 6, 6, 7), Faults: []FaultWindow{kill(5, 5)}}, Valid, "", map[string]float64{"answered_percent_in_faults": 100, "answered_percent_outside_faults": 100}},
		"a fault after which nobody asked":                           {AvailabilityBounds{Failover: secs(60)}, Evidence{Operations: ops(1, 2), Faults: []FaultWindow{kill(1, 2)}}, Unknown, "nothing was answered after kill(n1) at 1.000 s", nil},
		"the run was over too soon":                                  {AvailabilityBounds{Failover: secs(60)}, Evidence{Operations: ops(1, 2, 3, -4), Faults: []FaultWindow{kill(2, 3)}}, Unknown, "over before failing over exceeded the 60.000 s", nil},
		"too soon for one fault, another took too long":              {AvailabilityBounds{Failover: secs(3)}, Evidence{Operations: ops(1, 9), Faults: []FaultWindow{kill(8, 9), kill(0, 9)}}, Invalid, "failing over after kill(n1) at 0.000 s took 9.000 s", nil},
		"the median of two is the longer":                            {AvailabilityBounds{}, Evidence{Operations: ops(3, 4), Faults: []FaultWindow{kill(2, 3), kill(1, 2)}}, Valid, "", map[string]float64{"failover_seconds_median": 3}},
		"a share that is no number":                                  {AvailabilityBounds{AnsweredPercent: math.NaN()}, Evidence{Operations: ops(1, 2)}, Unknown, "AnsweredPercent is NaN, expected 0 to 100", nil},
		"more than all":                                              {AvailabilityBounds{AnsweredPercent: 101}, Evidence{Operations: ops(1, 2)}, Unknown, "AnsweredPercent is 101", nil},
		"a negative gap":                                             {AvailabilityBounds{Gap: -1}, Evidence{Operations: ops(1, 2)}, Unknown, "Gap is -1ns", nil},
		"a negative time to fail over":                               {AvailabilityBounds{Failover: -1}, Evidence{Operations: ops(1, 2)}, Unknown, "Failover is -1ns", nil},
		"a fault that was never healed is in force until the end":    {AvailabilityBounds{}, Evidence{Operations: ops(1, 2, 9, 0), Faults: []FaultWindow{kill(5, 9)}}, Valid, "", map[string]float64{"answered_percent_in_faults": 0}},
		"an ok operation invoked with the fault is not one after it": {AvailabilityBounds{}, Evidence{Operations: ops(5, 6, 7, 8), Faults: []FaultWindow{kill(5, 6)}}, Valid, "", map[string]float64{"failover_seconds_max": 3}},
	} {
		v := judgeOne(Availability(c.bounds), &c.e)
		if v.Verdict != c.want || !strings.Contains(v.Reason, c.reason) {
			t.Errorf("%s: %s: %s", name, v.Verdict, v.Reason)
		}
		for m, want := range c.m {
			if got, ok := v.Measures[m]; !ok || got != want {
				t.Errorf("%s: %s is %v, want %v", name, m, got, want)
			}
		}
	}
}

func TestWitnessOfAvailabilityNamesTheFirstBoundAndItsWindow(t *testing.T) {
	e := &Evidence{Operations: ops(1, 2, 3, -4, 10, 11), Faults: []FaultWindow{{Fault: "kill(n1)", Start: secs(2.5), End: secs(3)}}}
	for _, c := range []struct {
		bounds   AvailabilityBounds
		class    string
		from, to float64
		lines    int
	}{
		{AvailabilityBounds{AnsweredPercent: 99, Gap: secs(1), Failover: secs(1)}, "too few answered", 1, 11, 2},
		{AvailabilityBounds{Gap: secs(1), Failover: secs(1)}, "gap", 2, 11, 1},
		{AvailabilityBounds{Failover: secs(1)}, "slow failover", 2.5, 11, 0},
	} {
		w := judgeOne(Availability(c.bounds), e).Witness
		if w == nil || w.Class != c.class || w.From != secs(c.from) || w.To != secs(c.to) || len(w.Lines) != c.lines {
			t.Errorf("%+v: %+v", c.bounds, w)
		}
	}
}

func TestLivenessAtTheEdges(t *testing.T) {
	long := []Phase{{LivenessPhase, secs(10), secs(40)}, {"final", secs(40), secs(50)}}
	for name, c := range map[string]struct {
		bounds LivenessBounds
		ops    []history.Operation
		phases []Phase
		want   Validity
		reason string
	}{
		"cut short, but the bound had passed and others came later":    {LivenessBounds{Within: secs(5)}, ops(11, 0, 16, 17), long[:1], Invalid, "0 of 1 operations were answered within 5.000 s"},
		"cut short, and nobody came later":                             {LivenessBounds{Within: secs(5)}, ops(11, 0, 15, 16), long[:1], Unknown, "the run was cut short"},
		"the phase was shorter than the bound":                         {LivenessBounds{Within: secs(60)}, ops(11, 0, 12, -13), long, Unknown, "the liveness phase was cut off after 30.000 s of 60.000 s"},
		"an operation that was ok after the phase, within the bound":   {LivenessBounds{Within: secs(60)}, ops(11, 45), long, Valid, "the first 1 within 35.000 s"},
		"an operation that was ok after the phase, which is the bound": {LivenessBounds{}, ops(11, 45), long, Invalid, "0 of 1 operations were answered within 30.000 s"},
		"ok at the bound":                              {LivenessBounds{Within: secs(2)}, ops(10, 12), long, Valid, "within 2.000 s"},
		"invoked at the end":                           {LivenessBounds{}, ops(40, 40), long, Valid, "within 30.000 s"},
		"all that was tried succeeded, and is too few": {LivenessBounds{Operations: 2, Within: secs(5)}, ops(11, 12, 16, -17), long, Unknown, "all 1 operations that were invoked within 5.000 s of the liveness phase were answered"},
		"nothing was tried within the bound":           {LivenessBounds{Within: secs(5)}, ops(16, 17), long, Unknown, "all 0 operations"},
		"a bound as long as time":                      {LivenessBounds{Within: history.Never}, ops(11, 12), long, Valid, "1 operations were answered"},
		"a phase that ends before it starts":           {LivenessBounds{}, ops(11, 12), []Phase{{LivenessPhase, secs(20), secs(10)}, long[1]}, Unknown, "no operation was invoked"},
		"two phases":                                   {LivenessBounds{}, ops(11, 12), []Phase{long[0], long[0]}, Unknown, "2 phases named liveness, expected one"},
		"fewer than none":                              {LivenessBounds{Operations: -1}, ops(11, 12), long, Unknown, "Operations is -1, expected 0 (for 1) or more"},
		"a negative time":                              {LivenessBounds{Within: -1}, ops(11, 12), long, Unknown, "Within is -1ns"},
	} {
		v := judgeOne(Liveness(c.bounds), &Evidence{Operations: c.ops, Phases: c.phases})
		if v.Verdict != c.want || !strings.Contains(v.Reason, c.reason) {
			t.Errorf("%s: %s: %s", name, v.Verdict, v.Reason)
		}
	}
}

func TestConvergenceSeesWhatIsWrongBesideWhatItCannotTell(t *testing.T) {
	for name, c := range map[string]struct {
		finals []Final
		want   Validity
		reason string
	}{
		"two differ, the third has no hash":       {[]Final{final("n1", 9, "aa"), final("n2", 9, "bb"), final("n3", 9, "")}, Invalid, "the same 9 entries are in 2 different states: n1, n2"},
		"one is absent, another has no hash":      {[]Final{final("n1", 9, ""), {Node: "n2", Err: "down", Process: ProcessDown}}, Invalid, "the process of n2 does not run"},
		"one lags, another has no hash":           {[]Final{final("n1", 9, "aa"), final("n2", 8, "bb"), final("n3", 9, "")}, Invalid, "n2 applied 8; n1 applied 9"},
		"the one that lags has no hash":           {[]Final{final("n1", 9, "aa"), final("n2", 0, "")}, Unknown, "no state hash from n2"},
		"two differ in a run that was cut short":  {[]Final{final("n1", 9, "aa"), {Node: "n2", Status: node.Status{Applied: 9, StateHash: "bb"}, Unsettled: true}}, Unknown, "the run was cut short"},
		"one node alone agrees with itself":       {[]Final{final("n1", 9, "aa")}, Valid, "all 1 nodes applied 9 entries"},
		"nobody has a hash, and nothing is wrong": {[]Final{final("n1", 9, ""), final("n2", 8, "")}, Unknown, "no state hash from n1, n2"},
	} {
		v := judgeOne(Convergence(), &Evidence{Finals: c.finals})
		if v.Verdict != c.want || !strings.Contains(v.Reason, c.reason) {
			t.Errorf("%s: %s: %s", name, v.Verdict, v.Reason)
		}
	}
}

func TestCrashesNameTheFirstFindingAndWantSomethingToLookAt(t *testing.T) {
	late, early := node.Finding{At: secs(3), Node: "n1", Invariant: FindingExit}, node.Finding{At: secs(2), Node: "n2", Invariant: FindingStart}
	for name, c := range map[string]struct {
		e      Evidence
		want   Validity
		reason string
	}{
		"in another order":             {Evidence{Findings: []node.Finding{late, early}}, Invalid, "start on node n2 at 2.000 s"},
		"somebody watched":             {Evidence{Findings: []node.Finding{}}, Valid, "no node died by itself"},
		"nobody watched, empty logs":   {Evidence{Logs: map[string][]byte{"n1": {}, "n2": nil}}, Unknown, "neither logs of nodes nor findings"},
		"nobody watched, one has logs": {Evidence{Logs: map[string][]byte{"n1": {}, "n2": []byte("\n")}}, Valid, "no node died by itself"},
	} {
		v := judgeOne(Crashes(), &c.e)
		if v.Verdict != c.want || !strings.Contains(v.Reason, c.reason) {
			t.Errorf("%s: %s: %s", name, v.Verdict, v.Reason)
		}
		if v.Witness != nil && (v.Witness.From != 2*time.Second || len(v.Witness.Lines) != 2) {
			t.Errorf("%s: %+v", name, v.Witness)
		}
	}
}
