package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/spf13/pflag"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/rundir"
)

func TestASweepKeepsEveryFindUnderItsSignature(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	got := cleancut(t, "sweep", "replication/raft-swarm", "replication/raft-trio", "--bug", "ack-on-append", "--seeds", "1..12", "--time", "5s",
		"--workers", "2", "--keep-going", "--json", "--junit", "ci/sweep.xml", "--max-inconclusive", "100%")
	g.Expect(got.code).To(Equal(exitInvalid), got.err)
	var said struct {
		printed
		Sweep sweepOutcome `json:"sweep"`
	}
	g.Expect(json.Unmarshal([]byte(got.out), &said)).To(Succeed(), got.out)
	kept, err := os.ReadFile(filepath.Join(said.Sweep.Folder, sweepFile))
	g.Expect(err).NotTo(HaveOccurred())
	var file sweepOutcome
	g.Expect(json.Unmarshal(kept, &file)).To(Succeed())
	g.Expect(file).To(Equal(said.Sweep), "the file holds what was printed")

	invalid, directories := 0, map[string]bool{}
	for _, s := range file.Scenarios {
		g.Expect(s.Seeds).To(Equal(12), "seeds go to both in turn")
		g.Expect(s.Valid + s.Invalid + s.Inconclusive + s.Errors).To(Equal(12))
		invalid += s.Invalid
		kept := map[uint64]bool{}
		for _, f := range s.Finds {
			g.Expect(f.Count).To(Equal(len(f.Seeds)))
			g.Expect(slices.IsSortedFunc(f.Seeds, func(a, b foundSeed) int { return int(a.Seed) - int(b.Seed) })).To(BeTrue())
			g.Expect(f.Report).To(BeARegularFile(), f.Signature)
			var r rundir.Result
			text, err := os.ReadFile(filepath.Join(f.Run, rundir.ResultFile))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(json.Unmarshal(text, &r)).To(Succeed())
			g.Expect(r.Seed).To(Equal(f.Seeds[0].Seed), "the lowest seed has a run directory")
			g.Expect(f.Seeds[0].Reproduce).To(Equal(r.Reproduce))
			directories[f.Run] = true
			for _, s := range f.Seeds {
				kept[s.Seed] = true
			}
		}
		g.Expect(kept).To(HaveLen(s.Invalid), "every seed that was invalid is recorded")
	}
	g.Expect(invalid).To(BeNumerically(">", 1))
	g.Expect(said.Results).To(HaveLen(len(directories)))
	for _, path := range []string{"ci/sweep.xml", filepath.Join(file.Folder, rundir.JUnitFile)} {
		xml, err := os.ReadFile(path)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(xml)).To(ContainSubstring(`classname="replication.raft-swarm" name="sweep"`))
	}
}

func TestAGreenSweepLeavesEvidenceToo(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	got := cleancut(t, "sweep", "replication/raft-crashes", "--seeds", "1..3", "--time", "5s", "--max-inconclusive", "100%")
	g.Expect(got.code).To(Equal(exitValid), got.err)
	g.Expect(got.out).To(HavePrefix("VALID  sweep of 3 seeds in 1 scenarios"))
	files, err := filepath.Glob("runs/sweep/*/sweep.json")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(files).To(HaveLen(1))
	text, err := os.ReadFile(files[0])
	g.Expect(err).NotTo(HaveOccurred())
	var o sweepOutcome
	g.Expect(json.Unmarshal(text, &o)).To(Succeed())
	s := o.Scenarios[0]
	g.Expect(o.Version).NotTo(BeEmpty())
	g.Expect(s.Simulated).To(BeNumerically(">", 10))
	injected := 0
	for _, n := range s.Faults {
		injected += n.Injected
		g.Expect(n.Receipts).To(BeNumerically("<=", n.Injected))
	}
	g.Expect(injected).To(BeNumerically(">", 0))
	g.Expect(filepath.Join(o.Folder, rundir.JUnitFile)).To(BeARegularFile())
}

func TestASweepThatProvedNothingIsNeverGreen(t *testing.T) {
	t.Chdir(t.TempDir())
	got := cleancut(t, "sweep", "replication/raft-quiet", "--seeds", "1..2", "--time", "2s", "--clients", "1", "--rate", "2", "--max-inconclusive", "100%")
	if got.code != exitInconclusive || !strings.Contains(got.out, "none of 2 seeds proved anything") || !strings.Contains(got.err, "inconclusive 2 times") {
		t.Errorf("%d: %s%s", got.code, got.out, got.err)
	}
}

func TestTheShareThatMayProveNothingDecides(t *testing.T) {
	for _, c := range []struct {
		valid, invalid, inconclusive, errors int
		limit                                float64
		want                                 rundir.Outcome
	}{
		{97, 0, 3, 0, 3, rundir.Valid},
		{96, 0, 4, 0, 3, rundir.Inconclusive},
		{9, 0, 1, 0, 0, rundir.Inconclusive},
		{10, 0, 0, 0, 0, rundir.Valid},
		{0, 0, 10, 0, 100, rundir.Inconclusive},
		{0, 0, 0, 0, 100, rundir.Inconclusive},
		{96, 1, 3, 0, 100, rundir.Invalid},
		{96, 1, 3, 1, 100, rundir.Error},
	} {
		s := newTally("a/b")
		for v, n := range map[rundir.Outcome]int{rundir.Valid: c.valid, rundir.Invalid: c.invalid, rundir.Inconclusive: c.inconclusive, rundir.Error: c.errors} {
			for range n {
				s.add(swept{Verdict: v})
			}
		}
		if s.close(c.limit); s.Verdict != c.want {
			t.Errorf("%+v: %s", c, s.Verdict)
		}
	}
}

func TestFindsAreBoundedAndTheirCountsAreNot(t *testing.T) {
	s := newTally("a/b")
	for seed := uint64(5 * seedsKept); seed > 0; seed-- {
		s.add(swept{Seed: seed, Verdict: rundir.Invalid, Signatures: []violation{{"x", "r"}, {fmt.Sprint("y", seed), "r"}}})
		s.add(swept{Seed: seed, Verdict: rundir.Inconclusive, Reasons: []string{fmt.Sprint("reason ", seed)}})
	}
	s.close(0)
	if f := s.Finds[0]; f.Signature != "x" || f.Count != 5*seedsKept || len(f.Seeds) != seedsKept || f.Seeds[0].Seed != 1 {
		t.Errorf("%s: %d, %d kept, the lowest %d", f.Signature, f.Count, len(f.Seeds), f.Seeds[0].Seed)
	}
	if len(s.Finds)+s.MoreFinds != 5*seedsKept+1 || len(s.Finds) > signaturesKept || len(s.Why) != reasonsKept+1 {
		t.Errorf("%d signatures and %d more, %d reasons", len(s.Finds), s.MoreFinds, len(s.Why))
	}
}

func TestSignaturesTellViolationsApart(t *testing.T) {
	r := &rundir.Result{Verdict: rundir.Invalid, Findings: []node.Finding{{Invariant: "one-leader", Text: "two"}, {Invariant: "one-leader"}, {Invariant: "log"}},
		Checkers: []checkers.Verdict{
			{Checker: "linearizable", Verdict: checkers.Invalid, Reason: "no", Witness: &checkers.Witness{Class: "stale read"}},
			{Checker: "invariants", Verdict: checkers.Invalid}, {Checker: "convergence", Verdict: checkers.Valid}, {Checker: "no-class", Verdict: checkers.Invalid},
		}}
	var got []string
	for _, v := range violationsOf(r) {
		got = append(got, v.Signature)
	}
	if want := []string{"linearizable/stale read", "invariants/one-leader", "invariants/log", "no-class"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSweepsWithoutNamesTakeWhatTheSimulatorCanRun(t *testing.T) {
	for bug, want := range map[string]string{"": "replication/", "ack-on-append": "replication/"} {
		f := sweepFlags{}
		f.run.scenario.register(pflag.NewFlagSet("sweep", pflag.ContinueOnError))
		f.run.scenario.bug = bug
		got, err := f.chosen(nil)
		if err != nil || len(got) < 3 {
			t.Fatalf("%q: %d scenarios, %v", bug, len(got), err)
		}
		for _, s := range got {
			if bug != "" && !strings.HasPrefix(s.Name, want) || strings.HasPrefix(s.Name, "etcd/") {
				t.Errorf("--bug %q: %s", bug, s.Name)
			}
		}
	}
}
