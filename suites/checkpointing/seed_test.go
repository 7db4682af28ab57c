package checkpointing

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/suites"
	"github.com/cleancut/cleancut/workloads"
	"github.com/cleancut/cleancut/workloads/jobs"
)

// jobSeed is what the processes say that their job was drawn from.
func jobSeed(ctx SpecContext, seed uint64, set string) uint64 {
	GinkgoHelper()
	run := simulated(ctx, transfer+"crashes", seed, func(s *harness.Scenario) {
		s.NoFaults = true
		if set != "" {
			s.Settings[cluster.JobSeedSetting] = set
		}
	})
	for _, o := range run.Evidence.Operations {
		if text, ok := o.Output.AsString(); ok && o.F == workloads.Result {
			r, err := jobs.ParseReport(text)
			Expect(err).NotTo(HaveOccurred())
			return r.Seed
		}
	}
	Fail("no result was read")
	return 0
}

var _ = Describe("A job", func() {
	It("is another one for each seed, and the one that is asked for", Label(suites.Quick, "runtime:sim"), func(ctx SpecContext) {
		one := jobSeed(ctx, 1, "")
		Expect(jobSeed(ctx, 1, "")).To(Equal(one))
		Expect(jobSeed(ctx, 2, "")).NotTo(Equal(one))
		Expect(jobSeed(ctx, 2, "77")).To(BeEquivalentTo(77))
	})
})
