package checkpointing

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/match"
	"github.com/cleancut/cleancut/suites"
)

// So many workers that what the coordinator has decided does not fit into one
// value of its store, and coordinators that die while they write it.
var _ = Describe("Sixty workers", func() {
	for _, scenario := range []string{independent, cic, msglog, transfer} {
		scenario += "crashes"
		It("recover: "+scenario, Label(suites.Quick, "runtime:sim"), func(ctx SpecContext) {
			run := simulated(ctx, scenario, 3, func(s *harness.Scenario) {
				s.Nodes = 63
				s.Settings["size"] = "150"
				if strings.HasPrefix(scenario, independent) {
					s.Settings["size"], s.Settings["step"] = "40", "300ms" // or all would go back to the beginning
				}
				plan, err := faults.Parse("at 700ms power-loss(one:coordinator) for 500ms; at 2s kill(8:workers) for 500ms; " +
					"at 2500ms kill(one:coordinator) for 500ms; at 5s kill(one:workers) for 1s")
				Expect(err).NotTo(HaveOccurred())
				s.Plan = plan
			})
			Expect(run).To(match.BeValid())
		})
	}
})
