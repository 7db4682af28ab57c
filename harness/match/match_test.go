package match

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/rundir"
)

func run(o rundir.Outcome, verdicts ...checkers.Verdict) *harness.Finished {
	return &harness.Finished{Result: rundir.Result{
		Verdict: o, Reasons: []string{"the reason"}, Reproduce: "cleancut run x", Checkers: verdicts,
	}}
}

func TestVerdictsMatchAndInconclusiveIsNotValid(t *testing.T) {
	g := NewWithT(t)
	g.Expect(run(rundir.Valid)).To(BeValid())
	g.Expect(run(rundir.Inconclusive)).NotTo(BeValid())
	g.Expect(run(rundir.Inconclusive)).To(NotBeInvalid())
	g.Expect(run(rundir.Error)).NotTo(NotBeInvalid())
	g.Expect(run(rundir.Invalid)).To(BeInvalid())
}

func TestAFailureSaysWhyAndHowToRunItAgain(t *testing.T) {
	g := NewWithT(t)
	g.Expect(BeValid().FailureMessage(run(rundir.Invalid))).To(And(
		ContainSubstring("to be judged valid"), ContainSubstring("the reason"), ContainSubstring("cleancut run x")))
}

func TestACheckerThatFoundSomethingIsNamed(t *testing.T) {
	g := NewWithT(t)
	r := run(rundir.Invalid, checkers.Verdict{Checker: "linearizable", Verdict: checkers.Invalid}, checkers.Verdict{Checker: "liveness", Verdict: checkers.Valid})
	g.Expect(r).To(HaveFound("linearizable"))
	g.Expect(r).NotTo(HaveFound("liveness"))
	_, err := HaveFound("linearisable").Match(r)
	g.Expect(err).To(MatchError(ContainSubstring(`no checker named "linearisable"`)))
	_, err = BeValid().Match(42)
	g.Expect(err).To(MatchError("expected a *harness.Finished, got int"))
}
