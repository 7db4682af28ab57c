package specs

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/match"
	"github.com/cleancut/cleancut/suites"
)

// Unclaimed is a property that a scenario's target does not claim, and does
// not have: Checker finds it violated, and what is claimed holds all the same.
type Unclaimed struct {
	Scenario string
	Checker  checkers.Checker
	// Measure, if it is not "", must be at least Least in some run, by the
	// same or another checker of the scenario.
	Measure string
	Least   float64
	// Seeds is within how many runs that must be seen.
	Seeds int
}

// Missed makes a spec of each property that is not claimed: it is seen to be
// violated.
func Missed(list ...Unclaimed) {
	for _, u := range list {
		It(fmt.Sprintf("%s of %s in the simulator", u.Checker.Name(), u.Scenario), Label(suites.Quick, "runtime:sim"), func(ctx SpecContext) {
			u.see(ctx)
		}, SpecTimeout(5*time.Minute))
	}
}

func (u Unclaimed) see(ctx SpecContext) {
	GinkgoHelper()
	s := Plant{Scenario: u.Scenario}.scenario()
	claimed := len(s.Checkers)
	s.Checkers = append(s.Checkers[:claimed:claimed], u.Checker)
	violated, reached := false, u.Measure == ""
	for n := range u.Seeds {
		run := execute(ctx, suites.Sim, s, n)
		for _, v := range run.Result.Checkers {
			if v.Checker != u.Checker.Name() {
				Expect(v.Verdict).NotTo(Equal(checkers.Invalid), "%s is claimed: %s (%s)", v.Checker, v.Reason, run.Result.Reproduce)
			}
			reached = reached || v.Measures[u.Measure] >= u.Least && u.Measure != ""
		}
		found, err := match.HaveFound(u.Checker.Name()).Match(run)
		Expect(err).NotTo(HaveOccurred())
		violated = violated || found
		if violated && reached {
			GinkgoWriter.Printf("seen in run %d of at most %d: %s\n", n+1, u.Seeds, run.Result.Reproduce)
			return
		}
	}
	Fail(fmt.Sprintf("in %d runs %s was violated: %t; %s of at least %g: %t", u.Seeds, u.Checker.Name(), violated, u.Measure, u.Least, reached))
}
