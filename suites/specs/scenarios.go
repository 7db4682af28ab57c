package specs

import (
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/match"
	"github.com/cleancut/cleancut/suites"
)

// simulatedSeeds is how many seeds a spec runs in the simulator: together they
// take less time than one run in containers.
const simulatedSeeds = 20

// inconclusiveMax is how many of them may prove nothing.
const inconclusiveMax = 2

// Hold makes a spec of each scenario of these groups, for each runtime that it
// is meant for.
func Hold(groups ...string) {
	for _, s := range suites.Scenarios() {
		group, _, _ := strings.Cut(s.Name, "/")
		if !slices.Contains(groups, group) {
			continue
		}
		labels := Label(s.Labels...)
		if on(suites.Sim, s) {
			It(s.Name+" in the simulator", labels, Label("runtime:sim"), func(ctx SpecContext) {
				simulate(ctx, s)
			}, SpecTimeout(5*time.Minute))
		}
		if on(suites.Docker, s) {
			It(s.Name+" in containers", labels, Label("runtime:docker"), func(ctx SpecContext) {
				needDocker(ctx)
				Expect(execute(ctx, suites.Docker, s, 0)).To(match.BeValid())
			}, SpecTimeout(15*time.Minute))
		}
	}
}

// simulate runs a scenario with several seeds. None may be invalid, and the
// first seed, run twice, must take the same course.
func simulate(ctx SpecContext, s harness.Scenario) {
	inconclusive := 0
	for n := range simulatedSeeds {
		run := execute(ctx, suites.Sim, s, n)
		Expect(run).To(match.NotBeInvalid())
		if ok, _ := match.BeValid().Match(run); !ok {
			inconclusive++
			GinkgoWriter.Printf("inconclusive: %s: %v\n", run.Result.Reproduce, run.Result.Reasons)
		}
		if n == 0 {
			again := execute(ctx, suites.Sim, s, n)
			Expect(again.Result.TraceHash).To(Equal(run.Result.TraceHash), "%s is not deterministic", run.Result.Reproduce)
		}
	}
	Expect(inconclusive).To(BeNumerically("<=", inconclusiveMax), "runs that prove nothing, of %d", simulatedSeeds)
}
