package checkpointing

import (
	"math"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/checkers/recovery"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/match"
	"github.com/cleancut/cleancut/suites"
)

// completion is what one simulated run took.
func completion(ctx SpecContext, interval time.Duration, seed uint64, quiet bool) recovery.IntervalRun {
	GinkgoHelper()
	run := simulated(ctx, "checkpointing/coordinated-montecarlo-interval", seed, func(s *harness.Scenario) {
		s.Settings["interval"], s.NoFaults = interval.String(), quiet
	})
	if !quiet {
		Expect(run).To(match.BeValid())
	}
	for _, c := range run.Result.Checkers {
		if r, ended := recovery.CompletionOf(interval, seed, c.Measures); ended {
			return r
		}
	}
	Fail("the job did not end")
	return recovery.IntervalRun{}
}

// The simulated service is held against a model of the literature, which no
// part of it knows: that its work is lost, saved and repeated as it should be
// shows in how long the job takes.
var _ = Describe("The best interval between checkpoints", func() {
	It("is the one that Daly's formula says, and the job takes as long as Daly's model says", Label(suites.Quick, "runtime:sim"), func(ctx SpecContext) {
		study := recovery.IntervalStudy{Bare: completion(ctx, time.Hour, 1, true)}
		for _, interval := range []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second} {
			study.Quiet = append(study.Quiet, completion(ctx, interval, 1, true))
			for seed := range uint64(8) {
				study.Failing = append(study.Failing, completion(ctx, interval, seed+1, false))
			}
		}
		curve, err := study.Curve()
		Expect(err).NotTo(HaveOccurred())
		GinkgoWriter.Println(curve)
		Expect(math.Abs(curve.Deviation())).To(BeNumerically("<=", 0.2), "%s", curve)
		for _, p := range curve.Points {
			Expect(p.Slowdown).To(BeNumerically("~", p.Model, 0.1), "%s", curve)
		}
	}, SpecTimeout(5*time.Minute))
})
