package txn

import (
	"context"
	"slices"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/rng"
)

// Whatever is asked for together, and however few steps there are for short
// cycles: a model that cycles refute is never called valid.
func TestModelsAskedForTogetherAreInvalidIfOneOfThemIsListed(t *testing.T) {
	all := Models()
	for _, w := range []Workload{ListAppend, RWRegister} {
		t.Run(w.String(), func(t *testing.T) {
			r := rng.Stream(5+trials.Seed(), t.Name())
			count := map[checkers.Validity]int{}
			for range trials.Rounds(60_000) {
				h := randomHistory(r, w, 5)
				var asked []Model
				for range 1 + r.IntN(3) {
					asked = append(asked, all[r.IntN(len(all))])
				}
				steps := []int{0, 1, 3, 10}[r.IntN(4)]
				a := Analyze(context.Background(), h, Options{Workload: w, Models: asked, Steps: steps})
				not := listed(a)
				refuted := slices.ContainsFunc(asked, func(m Model) bool { return not[m] })
				if refuted != (a.Verdict == checkers.Invalid) || a.Verdict == checkers.Unknown && steps == 0 && a.Count[EmptyGraph] == 0 {
					t.Fatalf("%v in %d steps: %s (%s), and refuted are %v and %v%s", asked, steps, a.Verdict, a.Reason, a.Not, a.AlsoNot, h.text())
				}
				count[a.Verdict]++
			}
			if len(count) < 3 {
				t.Errorf("the histories are too much alike: %v", count)
			}
		})
	}
}

func TestCausalIsRefutedByProcessesAlsoBesideAModelOfRealTime(t *testing.T) {
	both := Options{Models: []Model{Causal, StrongReadUncommitted}}
	lines := []string{`0 ok: [:r :x [1]]`, `0 ok: [:append :x 1]`}
	a := Analyze(context.Background(), script(t, ListAppend, lines...), both)
	if a.Verdict != checkers.Invalid || !slices.Contains(a.Types, G1c+processSuffix) {
		t.Errorf("%s: %v (%s)", a.Verdict, a.Types, a.Reason)
	}
	lines[1] = `1 ok: [:append :x 1]`
	if a := Analyze(context.Background(), script(t, ListAppend, lines...), both); a.Verdict != checkers.Valid {
		t.Errorf("by another process it is %s: %s", a.Verdict, a.Reason)
	}
}

func TestCycleThatStepsDoNotReachIsShownBesideAWeakerOne(t *testing.T) {
	// T0 and T1 skew each other's writes, which snapshots allow; T2, T3 and T4
	// make a longer cycle, which they do not.
	lines := []string{
		`0 ok: [:r :x []] [:append :y 1]`, `|1 ok: [:r :y []] [:append :x 1]`,
		`|2 ok: [:append :p 1] [:append :q 1]`, `|3 ok: [:r :q []] [:append :s 1]`, `|4 ok: [:r :s [1]] [:r :p []]`,
	}
	for _, steps := range []int{0, 1} {
		o := Options{Models: []Model{SnapshotIsolation}, Steps: steps}
		if a := Analyze(context.Background(), script(t, ListAppend, lines...), o); a.Verdict != checkers.Valid {
			t.Errorf("%d steps: without the longer one it is %s: %s", steps, a.Verdict, a.Reason)
		}
		bad := slices.Clone(lines)
		bad[3] = `|3 ok: [:r :q [1]] [:append :s 1]`
		a := Analyze(context.Background(), script(t, ListAppend, bad...), o)
		if a.Verdict != checkers.Invalid || !slices.Contains(a.Types, GSingleItem) {
			t.Errorf("%d steps: %s: %v (%s)", steps, a.Verdict, a.Types, a.Reason)
		}
	}
}

// What was found refutes a model, although another one cannot be judged.
func TestWhatIsFoundCountsAlthoughAModelCannotBeJudged(t *testing.T) {
	lines := []string{`0 ok: [:append :z 1]`, `0 info: [:append :x 1]`, `0 ok: [:r :x [1]]`}
	a := Analyze(context.Background(), script(t, ListAppend, lines...), Options{Models: []Model{Causal}})
	if a.Verdict != checkers.Unknown {
		t.Errorf("a process that goes on after an unknown outcome is %s: %s", a.Verdict, a.Reason)
	}
	lines = append(lines, `1 ok: [:r :x [1 7]]`)
	a = Analyze(context.Background(), script(t, ListAppend, lines...), Options{Models: []Model{Causal}})
	if a.Verdict != checkers.Invalid || !slices.Equal(a.Types, []Anomaly{GarbageRead}) {
		t.Errorf("with a read of what nobody wrote it is %s: %v (%s)", a.Verdict, a.Types, a.Reason)
	}
	if a := Analyze(context.Background(), script(t, ListAppend, lines...), Options{Models: []Model{Serializable}, Memory: 4000}); a.Verdict != checkers.Invalid {
		t.Errorf("without memory for the graph it is %s: %s", a.Verdict, a.Reason)
	}
}

// A cycle of data is one of processes, too, and counts once.
func TestCyclesOfDataCountOnceWhereThoseOfAnOrderAreSought(t *testing.T) {
	h := script(t, ListAppend, `0 ok: [:append :x 1] [:r :y [1]]`, `|1 ok: [:append :y 1] [:r :x [1]]`)
	for _, name := range []Anomaly{G1c, "G1-process", "G1c-realtime"} {
		a := Analyze(context.Background(), h, Options{Anomalies: []Anomaly{name}})
		if a.Verdict != checkers.Invalid || a.Count[G1c] != 1 {
			t.Errorf("%s: %s, %v", name, a.Verdict, a.Count)
		}
	}
}

// What nothing looks for must not be asked for: it would never be seen.
func TestAnomaliesThatNothingLooksForAreRefused(t *testing.T) {
	for _, name := range []Anomaly{"write-skew", "G-SIa", "G-SIb", "G-cursor", EmptyGraph} {
		if err := (Options{Anomalies: []Anomaly{name}}).Validate(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// Cycles that are asked for by name may hide in an order of versions that the
// history leaves open, just as a model may.
func TestCyclesAskedForByNameAreSoughtInAllOrdersOfVersions(t *testing.T) {
	models := map[Anomaly]Model{
		"G2": Serializable, G2Item + processSuffix: StrongSessionSerializable, "G-single": SnapshotIsolation,
		"G-nonadjacent": SnapshotIsolation, GSingleItem + realtimeSuffix: StrongSnapshotIsolation,
	}
	names := sorted(map[Anomaly]bool{"G2": true, G2Item + processSuffix: true, "G-single": true, "G-nonadjacent": true, GSingleItem + realtimeSuffix: true})
	for _, w := range []Workload{ListAppend, RWRegister} {
		t.Run(w.String(), func(t *testing.T) {
			r := rng.Stream(11+trials.Seed(), t.Name())
			count := map[checkers.Validity]int{}
			for i := range trials.Rounds(20_000) {
				h, name := drawnHistory(r, w, 4), names[i%len(names)]
				if i%2 == 0 {
					h = randomHistory(r, w, 4)
				}
				a := Analyze(context.Background(), h, Options{Workload: w, Anomalies: []Anomaly{name}, Steps: []int{0, 0, 2}[i%3]})
				count[a.Verdict]++
				holds := judge(h, models[name])
				if a.Verdict == checkers.Invalid && holds || a.Verdict == checkers.Valid && !holds && len(a.Count) == 0 {
					t.Fatalf("%s: %s (%s), though %s holds: %t%s", name, a.Verdict, a.Reason, models[name], holds, h.text())
				}
			}
			if n := trials.Rounds(500); count[checkers.Invalid] < n || count[checkers.Valid] < n {
				t.Errorf("the histories are too much alike: %v", count)
			}
		})
	}
	hidden := []string{`0 ok: [:w :x 1] [:w :z 1]`, `|1 ok: [:w :x 2] [:w :y 1]`, `|2 ok: [:r :x 1] [:r :y 1]`, `|3 ok: [:r :x 2] [:r :z 1]`}
	for _, c := range []struct {
		o    Options
		want checkers.Validity
	}{
		{Options{Anomalies: []Anomaly{"G2"}}, checkers.Invalid},
		{Options{Anomalies: []Anomaly{"G1"}}, checkers.Valid},
		{Options{Anomalies: []Anomaly{"G2"}, Steps: 1}, checkers.Unknown},
	} {
		c.o.Workload = RWRegister
		if a := Analyze(context.Background(), script(t, RWRegister, hidden...), c.o); a.Verdict != c.want {
			t.Errorf("%v in %d steps: %s: %s", c.o.Anomalies, c.o.Steps, a.Verdict, a.Reason)
		}
	}
}

func TestFracturedReadsNeedAModelThatSaysWhatIsOne(t *testing.T) {
	if err := (Options{Anomalies: []Anomaly{FracturedRead}}).Validate(); err == nil {
		t.Error("they are accepted without one")
	}
	if err := (Options{Anomalies: []Anomaly{FracturedRead}, Models: []Model{ReadAtomic}}).Validate(); err != nil {
		t.Error(err)
	}
}
