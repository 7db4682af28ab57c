package txn

import (
	"context"
	"slices"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/rng"
)

// reportable lists every anomaly that a check can report: the severity of
// each decides in which order they are.
func reportable() []Anomaly {
	cycles := []Anomaly{}
	for _, s := range sought {
		cycles = append(cycles, s.name, s.name+processSuffix, s.name+realtimeSuffix)
	}
	for a := range severity {
		if severity[a]%3 == 0 && !slices.Contains(cycles, a) {
			cycles = append(cycles, a)
		}
	}
	cycles = append(cycles, EmptyGraph)
	slices.Sort(cycles)
	return cycles
}

// anomalyCase is a history that shows an anomaly, and one that differs from
// it as little as may be and satisfies the model.
type anomalyCase struct {
	anomaly   Anomaly
	model     Model
	o         Options
	good, bad []string
	late      int // the number, from 1, of a transaction that completes after all others
}

var anomalyCases = []anomalyCase{
	{G0, ReadUncommitted, Options{},
		[]string{`0 ok: [:append :x 1] [:append :y 1]`, `|1 ok: [:append :x 2] [:append :y 2]`, `2 ok: [:r :x [1 2]] [:r :y [1 2]]`},
		[]string{`0 ok: [:append :x 1] [:append :y 1]`, `|1 ok: [:append :x 2] [:append :y 2]`, `2 ok: [:r :x [1 2]] [:r :y [2 1]]`}, 0},
	{G0 + processSuffix, StrongSessionReadUncommitted, Options{},
		[]string{`0 ok: [:append :x 1]`, `0 ok: [:append :x 2]`, `1 ok: [:r :x [1 2]]`},
		[]string{`0 ok: [:append :x 1]`, `0 ok: [:append :x 2]`, `1 ok: [:r :x [2 1]]`}, 0},
	{G0 + realtimeSuffix, StrongReadUncommitted, Options{},
		[]string{`0 ok: [:append :x 1]`, `|1 ok: [:append :x 2]`, `2 ok: [:r :x [2 1]]`},
		[]string{`0 ok: [:append :x 1]`, `1 ok: [:append :x 2]`, `2 ok: [:r :x [2 1]]`}, 0},
	{G1a, ReadCommitted, Options{},
		[]string{`0 info: [:append :x 1]`, `1 ok: [:r :x [1]]`},
		[]string{`0 fail: [:append :x 1]`, `1 ok: [:r :x [1]]`}, 0},
	{G1b, ReadCommitted, Options{},
		[]string{`0 ok: [:append :x 1] [:append :x 2]`, `|1 ok: [:r :x [1 2]]`},
		[]string{`0 ok: [:append :x 1] [:append :x 2]`, `|1 ok: [:r :x [1]]`}, 0},
	{G1c, ReadCommitted, Options{},
		[]string{`0 ok: [:append :x 1] [:r :y nil]`, `|1 ok: [:append :y 2] [:r :x [1]]`},
		[]string{`0 ok: [:append :x 1] [:r :y [2]]`, `|1 ok: [:append :y 2] [:r :x [1]]`}, 0},
	{G1c + processSuffix, StrongSessionReadCommitted, Options{},
		[]string{`1 ok: [:r :x [1]]`, `0 ok: [:append :x 1]`},
		[]string{`0 ok: [:r :x [1]]`, `0 ok: [:append :x 1]`}, 0},
	{G1c + realtimeSuffix, StrongReadCommitted, Options{},
		[]string{`0 ok: [:r :x [1]]`, `|1 ok: [:append :x 1]`},
		[]string{`0 ok: [:r :x [1]]`, `1 ok: [:append :x 1]`}, 0},
	{GSingleItem, SnapshotIsolation, Options{},
		[]string{`0 ok: [:append :x 1] [:append :y 1]`, `1 ok: [:r :x [1]] [:r :y [1]]`},
		[]string{`0 ok: [:append :x 1] [:append :y 1]`, `1 ok: [:r :x [1]] [:r :y nil]`}, 0},
	{GSingleItem + processSuffix, StrongSessionSnapshotIsolation, Options{},
		[]string{`0 ok: [:append :x 1]`, `1 ok: [:r :x nil]`, `2 ok: [:r :x [1]]`},
		[]string{`0 ok: [:append :x 1]`, `0 ok: [:r :x nil]`, `2 ok: [:r :x [1]]`}, 0},
	// The last transaction read its own write to x, which says nothing.
	{GSingleItem + processSuffix, StrongSessionSerializable, Options{Workload: RWRegister},
		[]string{`0 ok: [:w :y 1] [:w :x 2]`, `0 ok: [:w :x 3] [:w :y 5]`, `0 ok: [:w :x 6] [:r :x 6] [:r :y 5]`},
		[]string{`0 ok: [:w :y 1] [:w :x 2]`, `0 ok: [:w :x 3] [:w :y 5]`, `0 ok: [:w :x 6] [:r :x 6] [:r :y 1]`}, 0},
	{GSingleItem + realtimeSuffix, StrongSnapshotIsolation, Options{},
		[]string{`0 ok: [:append :x 1]`, `|1 ok: [:r :x nil]`, `2 ok: [:r :x [1]]`},
		[]string{`0 ok: [:append :x 1]`, `1 ok: [:r :x nil]`, `2 ok: [:r :x [1]]`}, 0},
	{GNonadjacentItem, SnapshotIsolation, Options{},
		[]string{`0 ok: [:append :x 1]`, `1 ok: [:append :y 1]`, `2 ok: [:r :x [1]] [:r :y nil]`, `3 ok: [:r :x [1]] [:r :y [1]]`},
		[]string{`0 ok: [:append :x 1]`, `1 ok: [:append :y 1]`, `2 ok: [:r :x [1]] [:r :y nil]`, `3 ok: [:r :x nil] [:r :y [1]]`}, 0},
	{GNonadjacentItem + processSuffix, StrongSessionSnapshotIsolation, Options{},
		[]string{`0 ok: [:append :x 1]`, `0 ok: [:r :y nil]`, `1 ok: [:append :y 1]`, `2 ok: [:r :x nil]`},
		[]string{`0 ok: [:append :x 1]`, `0 ok: [:r :y nil]`, `1 ok: [:append :y 1]`, `1 ok: [:r :x nil]`}, 0},
	{GNonadjacentItem + realtimeSuffix, StrongSnapshotIsolation, Options{},
		[]string{`0 ok: [:append :y 1]`, `|1 ok: [:r :x [1]] [:r :y nil]`, `|2 info: [:append :x 1]`, `|3 ok: [:r :x nil]`},
		[]string{`0 ok: [:append :y 1]`, `|1 ok: [:r :x [1]] [:r :y nil]`, `|2 info: [:append :x 1]`, `3 ok: [:r :x nil]`}, 2},
	{G2Item, Serializable, Options{},
		[]string{`0 ok: [:r :x nil] [:append :y 1]`, `|1 ok: [:r :y [1]] [:append :x 1]`},
		[]string{`0 ok: [:r :x nil] [:append :y 1]`, `|1 ok: [:r :y nil] [:append :x 1]`}, 0},
	{G2Item + processSuffix, StrongSessionSerializable, Options{},
		[]string{`0 ok: [:append :y 1]`, `2 ok: [:r :x nil]`, `|1 ok: [:append :x 1] [:r :y nil]`},
		[]string{`0 ok: [:append :y 1]`, `0 ok: [:r :x nil]`, `|1 ok: [:append :x 1] [:r :y nil]`}, 0},
	{G2Item + realtimeSuffix, StrictSerializable, Options{},
		[]string{`0 ok: [:append :y 1]`, `|1 ok: [:append :x 1] [:r :y nil]`, `|2 ok: [:r :x nil]`},
		[]string{`0 ok: [:append :y 1]`, `|1 ok: [:append :x 1] [:r :y nil]`, `2 ok: [:r :x nil]`}, 2},
	{DuplicateElements, ReadUncommitted, Options{},
		[]string{`0 ok: [:append :x 1]`, `1 ok: [:append :x 2]`, `1 ok: [:r :x [1 2]]`},
		[]string{`0 ok: [:append :x 1]`, `1 ok: [:append :x 2]`, `1 ok: [:r :x [1 2 1]]`}, 0},
	{GarbageRead, ReadUncommitted, Options{},
		[]string{`0 ok: [:append :x 1]`, `1 ok: [:r :x [1]]`},
		[]string{`0 ok: [:append :x 1]`, `1 ok: [:r :x [1 7]]`}, 0},
	{GarbageRead, ReadCommitted, Options{Workload: RWRegister},
		[]string{`0 ok: [:w :x 1]`, `1 ok: [:r :x 1]`},
		[]string{`0 ok: [:w :x 1]`, `1 ok: [:r :x 7]`}, 0},
	{IncompatibleOrder, ReadCommitted, Options{},
		[]string{`0 ok: [:append :x 1]`, `|1 ok: [:append :x 2]`, `1 ok: [:r :x [1]]`, `1 ok: [:r :x [1 2]]`},
		[]string{`0 ok: [:append :x 1]`, `|1 ok: [:append :x 2]`, `1 ok: [:r :x [2]]`, `1 ok: [:r :x [1 2]]`}, 0},
	{DirtyUpdate, ReadCommitted, Options{},
		[]string{`0 info: [:append :x 1]`, `1 ok: [:append :x 2]`, `1 ok: [:r :x [1 2]]`},
		[]string{`0 fail: [:append :x 1]`, `1 ok: [:append :x 2]`, `1 ok: [:r :x [1 2]]`}, 0},
	{FutureRead, ReadCommitted, Options{},
		[]string{`0 ok: [:append :x 1] [:r :x [1]]`, `1 ok: [:r :x [1]]`},
		[]string{`0 ok: [:r :x [1]] [:append :x 1]`, `1 ok: [:r :x [1]]`}, 0},
	{Internal, Serializable, Options{},
		[]string{`0 ok: [:append :x 1] [:r :x [1]]`, `1 ok: [:r :x [1]]`},
		[]string{`0 ok: [:append :x 1] [:r :x nil]`, `1 ok: [:r :x [1]]`}, 0},
	{LostUpdate, SnapshotIsolation, Options{},
		[]string{`0 ok: [:r :x nil] [:append :x 1]`, `|1 ok: [:r :x [1]] [:append :x 2]`},
		[]string{`0 ok: [:r :x nil] [:append :x 1]`, `|1 ok: [:r :x nil] [:append :x 2]`}, 0},
	{LostUpdate, SnapshotIsolation, Options{Workload: RWRegister},
		[]string{`0 ok: [:w :x 1]`, `0 ok: [:r :x 1] [:w :x 2]`, `1 ok: [:r :x 2] [:w :x 3]`},
		[]string{`0 ok: [:w :x 1]`, `0 ok: [:r :x 1] [:w :x 2]`, `1 ok: [:r :x 1] [:w :x 3]`}, 0},
	{FracturedRead, ReadAtomic, Options{Workload: RWRegister},
		[]string{`0 ok: [:w :x 1] [:w :y 1]`, `|1 ok: [:r :x 1] [:r :y 1]`},
		[]string{`0 ok: [:w :x 1] [:w :y 1]`, `|1 ok: [:r :x 1] [:r :y nil]`}, 0},
	{CyclicVersions, StrictSerializable, Options{Workload: RWRegister, LinearizableKeys: true},
		[]string{`0 ok: [:w :x 1]`, `|1 ok: [:w :x 2]`, `0 ok: [:r :x 1]`, `1 ok: [:r :x 1]`},
		[]string{`0 ok: [:w :x 1]`, `|1 ok: [:w :x 2]`, `0 ok: [:r :x 1]`, `1 ok: [:r :x 2]`, `0 ok: [:r :x 1]`}, 0},
	{EmptyGraph, Serializable, Options{},
		[]string{`0 ok: [:append :x 1]`, `1 ok: [:r :x [1]]`},
		[]string{`0 ok: [:append :x 1]`, `1 ok: [:append :y 1]`}, 0},
}

func (c *anomalyCase) history(t *testing.T, lines []string) *History {
	h := script(t, c.o.Workload, lines...)
	if c.late > 0 {
		h.Txns[c.late-1].Complete = 1000
	}
	return h
}

func TestEveryAnomalyIsReportedAndItsNeighbourIsAccepted(t *testing.T) {
	for _, c := range anomalyCases {
		t.Run(string(c.anomaly)+"/"+c.o.Workload.String(), func(t *testing.T) {
			c.o.Models = []Model{c.model}
			good, bad := c.history(t, c.good), c.history(t, c.bad)
			if a := Analyze(context.Background(), good, c.o); a.Verdict != checkers.Valid || len(a.Types) > 0 || !judge(good, c.model) {
				t.Errorf("the neighbour is %s (%s), by the definition %v", a.Verdict, a.Reason, judge(good, c.model))
			}
			a := Analyze(context.Background(), bad, c.o)
			if !slices.Contains(a.Types, c.anomaly) {
				t.Fatalf("it is %s: %v (%s)", a.Verdict, a.Types, a.Reason)
			}
			if c.anomaly == EmptyGraph {
				if a.Verdict != checkers.Unknown {
					t.Errorf("%s proves nothing, but it is %s", c.anomaly, a.Verdict)
				}
				return
			}
			if a.Verdict != checkers.Invalid || judge(bad, c.model) {
				t.Errorf("it is %s (%s), by the definition %v", a.Verdict, a.Reason, judge(bad, c.model))
			}
			checkAlone(t, &c, a)
		})
	}
}

// checkAlone makes sure that the witness of the anomaly is refused by the
// definition and by the checker, for the
// same anomaly.
func checkAlone(t *testing.T, c *anomalyCase, a *Analysis) {
	shown := 0
	for _, f := range a.Findings {
		if f.Anomaly != c.anomaly {
			continue
		}
		shown++
		again := Analyze(context.Background(), f.Witness, c.o)
		if judge(f.Witness, c.model) || again.Verdict != checkers.Invalid || !slices.Contains(again.Types, c.anomaly) {
			t.Errorf("the witness alone is %s (%v), by the definition %v:%s", again.Verdict, again.Types, judge(f.Witness, c.model), f.Witness.text())
		}
		if len(f.Lines) < len(f.Cycle) || f.Summary == "" {
			t.Errorf("%d lines explain %d steps: %q", len(f.Lines), len(f.Cycle), f.Summary)
		}
	}
	if shown == 0 {
		t.Error("it is counted, but not shown")
	}
}

func TestCasesCoverEveryAnomalyThatCanBeReported(t *testing.T) {
	covered := map[Anomaly]bool{}
	for _, c := range anomalyCases {
		covered[c.anomaly] = true
	}
	if got, want := sorted(covered), reportable(); !slices.Equal(got, want) {
		t.Errorf("there are cases of %v, reported can be %v", got, want)
	}
	for a := range covered {
		if a != EmptyGraph && !knownAnomaly(a) {
			t.Errorf("%s is reported but cannot be asked for", a)
		}
	}
}

// TestNoOtherAnomalyIsEverReported holds reportable against what the checks
// of random histories find.
func TestNoOtherAnomalyIsEverReported(t *testing.T) {
	known := map[Anomaly]bool{}
	for _, a := range reportable() {
		known[a] = true
	}
	r := rng.Stream(1, t.Name())
	seen := map[Anomaly]bool{}
	for i := range 20_000 {
		w := Workload(i % 2)
		models := []Model{StrictSerializable, StrongSessionSerializable, SnapshotIsolation, Causal, ReadAtomic}
		o := Options{Workload: w, Models: []Model{models[i%len(models)]}, LinearizableKeys: w == RWRegister && i%3 == 0}
		for a := range Analyze(context.Background(), randomHistory(r, w, 5), o).Count {
			seen[a] = true
			if !known[a] {
				t.Fatalf("%s is reported", a)
			}
		}
	}
	t.Logf("seen: %v", sorted(seen))
}
