package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/checkers/recovery"
)

func TestAnIntervalStudyLeavesTableAndPlotAndEvidence(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	args := []string{"interval", "--set", "size=1500", "--time", "100s", "--mtbf", "5s", "--intervals", "200ms,400ms,800ms,1600ms,3200ms", "--seeds", "1..3"}
	got := cleancut(t, args...)
	g.Expect(got.code).To(Equal(exitValid), got.err)
	g.Expect(got.out).To(And(ContainSubstring("15 runs under failures"), ContainSubstring("by Young"), ContainSubstring("again    cleancut "+strings.Join(
		[]string{"interval checkpointing/coordinated-montecarlo-interval --mtbf 5s --set size=1500 --time 1m40s --seeds 1..3 --intervals 200ms,400ms,800ms,1.6s,3.2s"}, ""))))
	found, err := filepath.Glob("runs/checkpointing/coordinated-montecarlo-interval/interval-*/interval.json")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).To(HaveLen(1))
	text, err := os.ReadFile(found[0])
	g.Expect(err).NotTo(HaveOccurred())
	var o intervalOutcome
	g.Expect(json.Unmarshal(text, &o)).To(Succeed())
	g.Expect(o.Study.Failing).To(HaveLen(15))
	again, err := o.Study.Curve()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.out).To(ContainSubstring(again.String()), "the study as it was saved has the same outcome")
	page, err := os.ReadFile(strings.TrimSuffix(found[0], "json") + "html")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(page)).To(And(ContainSubstring("<svg"), ContainSubstring("Daly"), Not(ContainSubstring("ZgotmplZ"))))
}

// A job that dies faster than it gets on does not end: the runs that did would
// tell of the lucky ones only.
func TestAnIntervalStudyWhoseJobsDoNotEndSaysSo(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	got := cleancut(t, "interval", "--set", "size=6000", "--time", "20s", "--seeds", "1..2")
	g.Expect(got.code).To(Equal(exitInconclusive))
	g.Expect(got.err).To(ContainSubstring("the job does not end in the time that the scenario has; raise --time"))
	g.Expect(got.out).To(BeEmpty())
}

func TestCompletionsThatAreMissingAreNoRuns(t *testing.T) {
	if _, ended := recovery.CompletionOf(1, 1, map[string]float64{"completion_failures": 3}); ended {
		t.Error("a job without an end has ended")
	}
}
