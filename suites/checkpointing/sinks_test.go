package checkpointing

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/jobresult"
	"github.com/cleancut/cleancut/checkers/recovery"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/suites"
)

// simulated runs a scenario, changed, and returns what it left.
func simulated(ctx SpecContext, name string, seed uint64, change func(*harness.Scenario)) *harness.Finished {
	GinkgoHelper()
	found, err := suites.Find([]string{name})
	Expect(err).NotTo(HaveOccurred())
	s := found[0]
	change(&s)
	run, err := harness.Run(ctx, s, harness.Options{Runtime: suites.New(suites.Sim, s, seed), Seed: seed})
	Expect(err).NotTo(HaveOccurred())
	return run
}

// judged is what the checkers of exactly-once output say of a run.
func judged(ctx SpecContext, run *harness.Finished) map[string]checkers.Validity {
	GinkgoHelper()
	list, err := recovery.Checkers(recovery.Options{}, "exactly-once", "at-least-once")
	Expect(err).NotTo(HaveOccurred())
	said := map[string]checkers.Validity{}
	for _, v := range checkers.Check(ctx, run.Evidence, append(list, jobresult.Outputs(false)), checkers.Options{}) {
		said[v.Checker] = v.Verdict
	}
	return said
}

var _ = Describe("What a sink does not claim is shown", func() {
	It("a sink that delivers at least once delivers more than once after crashes, and loses nothing", Label(suites.Quick, "runtime:sim"), func(ctx SpecContext) {
		doubled := 0
		for seed := range uint64(10) {
			said := judged(ctx, simulated(ctx, pipeline+"at-least-once", seed+1, func(*harness.Scenario) {}))
			Expect(said["at-least-once"]).To(Equal(checkers.Valid), "seed %d", seed+1)
			Expect(said["exactly-once"]).To(Equal(said["job-outputs"]), "seed %d: what clients read and what processes recorded", seed+1)
			if said["exactly-once"] == checkers.Invalid {
				doubled++
			}
		}
		Expect(doubled).To(BeNumerically(">=", 5))
	})

	It("a service that may not fall back behind visible output gives up, loudly, and shows nothing twice", Label(suites.Quick, "runtime:sim"), func(ctx SpecContext) {
		gaveUp := 0
		for seed := range uint64(20) {
			run := simulated(ctx, pipeline+"fallback", seed+1, func(s *harness.Scenario) { s.Settings["fallback"] = "fail" })
			for _, v := range run.Result.Checkers {
				Expect(v.Verdict).NotTo(Equal(checkers.Invalid), "seed %d: %s: %s", seed+1, v.Checker, v.Reason)
			}
			for _, e := range run.Evidence.Record {
				if e.Kind == record.Failure {
					Expect(e.Reason).To(Or(ContainSubstring("is visible already"), ContainSubstring("no older round is kept")))
					if strings.Contains(e.Reason, "is visible already") {
						gaveUp++
						break
					}
				}
			}
		}
		Expect(gaveUp).To(BeNumerically(">=", 5))
	})
})
