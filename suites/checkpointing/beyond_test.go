package checkpointing

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/suites"
)

// What comes here is more than the service claims to survive. Then work is
// lost, and what can be asked of it is that it says so and does nothing wrong.
var _ = Describe("Beyond what the levels of storage tolerate", func() {
	for _, c := range []struct {
		scenario, level string
		// lost tells that the level itself says that it has nothing, so that the
		// checkers can prove the loss.
		lost bool
	}{
		{"checkpointing/coordinated-transfer-crashes", "local-every", true},
		{"checkpointing/chandy-lamport-stencil-crashes", "local-every", true},
		{"checkpointing/unaligned-pipeline-crashes", "partner-every", false},
	} {
		It(c.scenario+" loses all that it saved with "+c.level+" alone, and says so", Label(suites.Quick, "runtime:sim"), func(ctx SpecContext) {
			for seed := range uint64(5) {
				run := simulated(ctx, c.scenario, seed+1, func(s *harness.Scenario) {
					for _, level := range []string{"partner-every", "local-every", "store-every"} {
						s.Settings[level] = "0"
					}
					s.Settings[c.level] = "1"
					plan, err := faults.Parse("at 4s wipe-disk(all:workers) for 300ms")
					Expect(err).NotTo(HaveOccurred())
					s.Plan = plan
				})
				told := false
				for _, e := range run.Evidence.Record {
					if e.Kind == record.Failure {
						told = true
						Expect(e.Reason).To(MatchRegexp("cannot restore round|cannot be restored"))
					}
				}
				Expect(told).To(BeTrue(), "seed %d: all checkpoints are gone, and nobody says so", seed+1)
				for _, v := range run.Result.Checkers {
					if v.Checker == "restorable" && c.lost {
						Expect(v.Verdict).To(Equal(checkers.Invalid), "seed %d: what was acknowledged is gone", seed+1)
						Expect(v.Reason).To(ContainSubstring("was acknowledged and is missing from every level"))
						continue
					}
					Expect(v.Verdict).NotTo(Equal(checkers.Invalid), "seed %d: %s: %s", seed+1, v.Checker, v.Reason)
				}
			}
		})
	}
})
