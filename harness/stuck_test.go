package harness_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/rundir"
)

// register is the scenario of these tests: a kill that is healed soon.
func register(t *testing.T, lasts string) harness.Scenario {
	t.Helper()
	s := with(t, "at 200ms kill(n2) for "+lasts)
	s.Target = newRegister()
	s.Time, s.LivenessMax, s.OpTimeout, s.Rate = time.Second, 500*time.Millisecond, 100*time.Millisecond, 200
	s.Checkers = []checkers.Checker{
		checkers.Liveness(checkers.LivenessBounds{}), checkers.Convergence(),
		checkers.Availability(checkers.AvailabilityBounds{Gap: 5 * time.Second}),
	}
	return s
}

// runStuck runs a scenario with all bounds divided by 20, and checks that it
// comes to an end.
func runStuck(ctx context.Context, t *testing.T, r *stuck, s harness.Scenario) *harness.Finished {
	t.Helper()
	done := make(chan *harness.Finished, 1)
	go func() {
		f, err := harness.Run(ctx, s, harness.Hasten(harness.Options{Runtime: r, Seed: 1, Out: t.TempDir()}, 20))
		if err != nil {
			t.Error(err)
		}
		done <- f
	}()
	select {
	case f := <-done:
		if f == nil {
			t.FailNow()
		}
		return f
	case <-time.After(60 * time.Second):
		t.Fatal("the run hangs")
		return nil
	}
}

func TestCallsThatNeverReturnDoNotHangARunAndConvictNobody(t *testing.T) {
	for _, c := range []struct {
		hang []string
		step cluster.TroubleStep
	}{
		{[]string{"start n2"}, cluster.TroubleHeal},
		{[]string{"kill n2"}, cluster.TroubleHeal}, // it was begun, and nobody knows how far it went
		{[]string{"status n2"}, cluster.TroubleAsk},
		{[]string{"invoke"}, cluster.TroubleClients},
		{[]string{"record"}, cluster.TroubleCollect},
		{[]string{"findings"}, cluster.TroubleCollect},
		{[]string{"start n2", "status n1", "status n2", "status n3", "record", "findings", "invoke"}, cluster.TroubleHeal},
	} {
		t.Run(strings.Join(c.hang, ", "), func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			f := runStuck(context.Background(), t, &stuck{hang: c.hang}, register(t, "100ms"))
			g.Expect(f.Result.Verdict).To(Equal(rundir.Inconclusive), "%v", f.Result.Reasons)
			g.Expect(f.Result.Trouble).To(ContainElement(HaveField("Step", c.step)))
			g.Expect(f.Result.Faults).To(HaveLen(1))
			if c.step == cluster.TroubleHeal {
				g.Expect(f.Result.Faults[0].Bit).To(BeFalse(), "a fault that was not healed has no receipt")
				g.Expect(f.Result.Faults[0].Error).To(ContainSubstring("did not come to an end"))
			}
			dir, err := rundir.Open(f.Dir)
			g.Expect(err).NotTo(HaveOccurred())
			e, err := dir.Evidence()
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(e.Trouble).To(Equal(f.Result.Trouble), "what is judged again is what was seen")
		})
	}
}

func TestAnInterruptionEndsARunOfWhichEverythingHangs(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	time.AfterFunc(600*time.Millisecond, cancel)
	r := &stuck{hang: []string{"start n2", "status n1", "status n2", "status n3", "record", "findings", "invoke"}}
	f := runStuck(ctx, t, r, register(t, "700ms"))
	g.Expect(f.Result.Verdict).To(Equal(rundir.Inconclusive))
	g.Expect(f.Result.Reasons[0]).To(ContainSubstring("interrupted in phase faults"))
	g.Expect(f.Result.Faults[0].Error).To(ContainSubstring("healing:"))
}

// answering is a runtime whose n2 answers so, once the fault has struck.
func answering(err error) *stuck {
	return &stuck{status: func(name string) error {
		if name == "n2" {
			return err
		}
		return nil
	}}
}

func TestWhatANodeSaysAtTheEndIsAskedMoreThanOnce(t *testing.T) {
	var once atomic.Bool
	down, silent := fmt.Errorf("n2: %w", cluster.ErrDown), errors.New("no answer")
	stopped := answering(down)
	stopped.trouble = []cluster.Trouble{{Step: cluster.TroubleOutside, Nodes: []string{"n2"}, Text: "somebody stopped it"}}
	for name, c := range map[string]struct {
		runtime *stuck
		want    rundir.Outcome
		reason  string
	}{
		"nothing at all": {&stuck{}, rundir.Valid, ""},
		"one slow answer": {&stuck{status: func(n string) error {
			if n == "n2" && !once.Swap(true) {
				return silent
			}
			return nil
		}}, rundir.Valid, ""},
		"a process that does not run":                             {answering(down), rundir.Invalid, "the process of n2 does not run"},
		"a process that does not run, as somebody stopped it":     {stopped, rundir.Inconclusive, "somebody stopped it"},
		"a machine that cannot be reached":                        {answering(fmt.Errorf("n2 %w", cluster.ErrUnreachable)), rundir.Inconclusive, "n2 could not be asked"},
		"a process that is silent, but was not asked long enough": {answering(silent), rundir.Inconclusive, "although its process runs"},
		"nothing but trouble": {&stuck{
			trouble: []cluster.Trouble{{Step: cluster.TroubleOutside, Text: "somebody was here"}},
		}, rundir.Inconclusive, "somebody was here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			s := register(t, "100ms")
			f := runStuck(context.Background(), t, c.runtime, s)
			reasons := strings.Join(f.Result.Reasons, "\n")
			g.Expect(f.Result.Verdict).To(Equal(c.want), reasons)
			g.Expect(reasons).To(ContainSubstring(c.reason))
			if c.want != rundir.Inconclusive {
				return
			}
			g.Expect(reasons).NotTo(ContainSubstring("everything was healed"))
			if len(f.Result.Trouble) == 0 {
				return
			}
			// The account may be lost: the result remembers.
			dir, err := rundir.Open(f.Dir)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(dir.WriteFile(rundir.TroubleFile, nil)).To(Succeed())
			again, err := harness.Rejudge(context.Background(), dir, s.WithDefaults(), checkers.Options{})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(again.Verdict).To(Equal(rundir.Inconclusive), "%v", again.Reasons)
		})
	}
}
