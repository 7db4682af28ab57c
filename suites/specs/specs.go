// Package specs makes Ginkgo specs of scenarios: that a scenario holds on the
// runtimes that it is meant for, and that a planted bug is found within so
// many seeds. The suites beside it say which.
//
// Without a label filter a suite runs the quick tier. Under CI=true a missing
// Docker daemon fails the container specs; elsewhere they are skipped, and say
// so. Each spec's seed derives from the suite's seed and the spec's text:
// --seed repeats a suite, --focus repeats a spec within it.
package specs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/report"
	"github.com/cleancut/cleancut/harness/rng"
	"github.com/cleancut/cleancut/suites"
)

// Run runs all specs of a suite.
func Run(t *testing.T, name string) {
	RegisterFailHandler(Fail)
	BeforeEach(func() {
		latest = made{}
		DeferOnFailure(keepEvidence)
	})
	suite, reporter := GinkgoConfiguration()
	if suite.LabelFilter == "" {
		suite.LabelFilter = "tier: containsAny quick"
	}
	RunSpecs(t, name, suite, reporter)
}

// runs takes the run directories: CLEANCUT_RUNS, or a folder that goes with
// the machine's other temporary files.
func runs() string {
	if dir := os.Getenv("CLEANCUT_RUNS"); dir != "" {
		return dir
	}
	return filepath.Join(os.TempDir(), "cleancut-runs")
}

// execute runs a scenario for the spec that is at it. Its seed is the spec's,
// or that of the n-th of several runs in it.
func execute(ctx SpecContext, runtime string, s harness.Scenario, n int) *harness.Finished {
	GinkgoHelper()
	seed := specSeed(n)
	args := []string{"cleancut", "run", s.Name, "--runtime", runtime, "--seed", fmt.Sprint(seed)}
	if s.Bug != "" {
		args = append(args, "--bug", s.Bug)
	}
	out := runs()
	if runtime == suites.Sim {
		out = "" // evidence of simulations is made again where it is needed
	}
	o := harness.Options{Runtime: suites.New(runtime, s, seed), Seed: seed, Out: out, Reproduce: strings.Join(args, " ")}
	finished, err := harness.Run(ctx, s, o)
	Expect(err).NotTo(HaveOccurred(), o.Reproduce)
	latest = made{s, o, finished}
	return finished
}

// made is a run that the current spec made; latest is the last of them.
type made struct {
	scenario harness.Scenario
	options  harness.Options
	finished *harness.Finished
}

var latest made

// keepEvidence says how to repeat the run that failed a spec and leaves its
// report. A simulation is run again for it.
func keepEvidence() {
	f := latest.finished
	if f == nil {
		return
	}
	if f.Dir == "" {
		o := latest.options
		o.Out = runs()
		o.Runtime = suites.New(suites.Sim, latest.scenario, o.Seed)
		if again, err := harness.Run(context.Background(), latest.scenario, o); err == nil {
			f = again
		}
	}
	AddReportEntry("report", f.ReportPath())
	AddReportEntry("reproduce", f.Result.Reproduce)
	Expect(report.Text(GinkgoWriter, &f.Result, f.ReportPath())).To(Succeed())
}

// specSeed derives the seed of the n-th run of the current spec.
func specSeed(n int) uint64 {
	r := CurrentSpecReport()
	name := fmt.Sprintf("%s/%d/%d", r.FullText(), r.NumAttempts, n)
	return rng.Derive(uint64(GinkgoRandomSeed()), name) % 1_000_000_000
}

// needDocker skips a spec where there is no daemon, and fails it under
// CI=true.
func needDocker(ctx SpecContext) {
	GinkgoHelper()
	if _, _, err := suites.Choose(ctx, suites.Docker); err != nil {
		if os.Getenv("CI") == "true" {
			Fail("CI=true, and the container specs cannot run: " + err.Error())
		}
		Skip("no containers here: " + err.Error())
	}
}

// on tells whether a scenario is meant for a runtime.
func on(runtime string, s harness.Scenario) bool {
	return slices.Contains(suites.RuntimesOf(s), runtime)
}
