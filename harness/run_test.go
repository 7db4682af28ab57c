package harness_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/linear"
	"github.com/cleancut/cleancut/checkers/models"
	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/rundir"
	"github.com/cleancut/cleancut/harness/sim"
	"github.com/cleancut/cleancut/targets/store"
	"github.com/cleancut/cleancut/workloads"
)

// scenario is the reference store under everything that can be drawn.
func scenario() harness.Scenario {
	return harness.Scenario{
		Name: "test/swarm", Target: store.New(), Workload: workloads.CASRegister(), Nodes: 3, Time: 5 * time.Second,
		Drawing: faults.Drawing{Points: store.New().Points(), Pairs: true, Swarm: true},
		Checkers: []checkers.Checker{
			linear.Checker(linear.Spec{}, linear.Options{}), checkers.Availability(checkers.AvailabilityBounds{}),
			checkers.Liveness(checkers.LivenessBounds{}), checkers.Convergence(), checkers.Crashes(),
		},
	}
}

// with returns the scenario under a given plan.
func with(t *testing.T, plan string) harness.Scenario {
	t.Helper()
	s := scenario()
	var err error
	if s.Plan, err = faults.Parse(plan); err != nil {
		t.Fatal(err)
	}
	return s
}

func run(t *testing.T, s harness.Scenario, o harness.Options) *harness.Finished {
	t.Helper()
	if o.Runtime == nil {
		o.Runtime = sim.New(sim.Options{})
	}
	f, err := harness.Run(context.Background(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTheCorrectStoreIsNeverInvalid(t *testing.T) {
	g := NewWithT(t)
	for seed := range uint64(30) {
		f := run(t, scenario(), harness.Options{Seed: seed})
		g.Expect(f.Result.Verdict).To(BeElementOf(rundir.Valid, rundir.Inconclusive), "seed %d: %v", seed, f.Result.Reasons)
	}
}

func TestARunGoesThroughAllPhasesAndKeepsTheEvidence(t *testing.T) {
	g := NewWithT(t)
	f := run(t, with(t, "at 1s kill(leader) for 1s; at 3s partition(isolate,n2) for 1s"), harness.Options{Seed: 4, Out: t.TempDir(), Reproduce: "this"})
	g.Expect(f.Result.Verdict).To(Equal(rundir.Valid), "%v", f.Result.Reasons)
	var names []string
	for _, p := range f.Result.Phases {
		names = append(names, p.Name)
		g.Expect(p.End).To(BeNumerically(">=", p.Start))
	}
	g.Expect(names).To(Equal([]string{"provision", "warm-up", "faults", "heal", "liveness", "final"}))
	g.Expect(f.Result.Faults).To(HaveLen(2))
	for _, fault := range f.Result.Faults {
		g.Expect(fault.Bit).To(BeTrue())
		g.Expect(fault.HealedAt).To(BeNumerically("~", fault.At+time.Second, 100*time.Millisecond))
	}

	dir, err := rundir.Open(f.Dir)
	g.Expect(err).NotTo(HaveOccurred())
	again, err := harness.Rejudge(context.Background(), dir, scenario(), checkers.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again.Verdict).To(Equal(f.Result.Verdict))
	g.Expect(again.Reasons).To(Equal(f.Result.Reasons))

	var setup harness.Setup
	g.Expect(dir.Scenario(&setup)).To(Succeed())
	g.Expect(setup.Plan).To(Equal("at 1s kill(leader) for 1s; at 3s partition(isolate,n2) for 1s"))
	rebuilt, err := setup.Apply(scenario())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(run(t, rebuilt, harness.Options{Seed: setup.Seed}).Result.TraceHash).To(Equal(f.Result.TraceHash))
}

func TestAFaultThatIsNotProvenMakesARunInconclusive(t *testing.T) {
	for plan, want := range map[string]string{
		"at 1s kill(one) for 1s; on snapshot.installed kill(self) for 1s": "", // refused: no such point
		"on snapshot.sent#999 kill(self) for 1s":                          "not injected: no node reached snapshot.sent for the 999. time",
		"at 1s duplicate(0.0001%,n1) for 100ms":                           "left no receipt",
		"at 1s duplicate(0.0001%,n1) for 200ms; at 2s kill(n2) for 1s":    "left no receipt",
	} {
		f, err := harness.Run(context.Background(), with(t, plan), harness.Options{Runtime: sim.New(sim.Options{}), Seed: 1})
		if want == "" {
			if !errors.Is(err, harness.ErrRefused) {
				t.Errorf("%s: got %v, want a refusal", plan, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Result.Verdict != rundir.Inconclusive || !strings.Contains(strings.Join(f.Result.Reasons, "\n"), want) {
			t.Errorf("%s: %s %q, want inconclusive and %q", plan, f.Result.Verdict, f.Result.Reasons, want)
		}
		if seen := len(f.Evidence.Faults); seen != len(f.Result.Faults) && !strings.HasPrefix(want, rundir.NotInjected) || seen > 0 && strings.HasPrefix(want, rundir.NotInjected) {
			t.Errorf("%s: checkers see %+v, entered are %+v", plan, f.Evidence.Faults, f.Result.Faults)
		}
	}
}

func TestATriggerThatMayFireMayAlsoNot(t *testing.T) {
	f := run(t, with(t, "at 1s kill(n2) for 1s; maybe on snapshot.sent#999 kill(self) for 1s"), harness.Options{Seed: 1})
	NewWithT(t).Expect(f.Result.Verdict).To(Equal(rundir.Valid), "%v", f.Result.Reasons)
}

func TestARunWithoutFaultsWhereNoneAreWantedIsValid(t *testing.T) {
	s := scenario()
	s.NoFaults = true
	f := run(t, s, harness.Options{Seed: 1})
	NewWithT(t).Expect(f.Result.Verdict).To(Equal(rundir.Valid), "%v", f.Result.Reasons)
}

func TestACheckerThatDoesNotKnowMakesARunInconclusive(t *testing.T) {
	g := NewWithT(t)
	s := scenario()
	s.NoFaults = true
	s.Checkers = append(s.Checkers, checkers.Func("oracle", func(context.Context, *checkers.Evidence) checkers.Verdict {
		return checkers.Verdict{Verdict: checkers.Unknown, Reason: "the stars are hidden"}
	}))
	f := run(t, s, harness.Options{Seed: 1})
	g.Expect(f.Result.Verdict).To(Equal(rundir.Inconclusive))
	g.Expect(f.Result.Reasons).To(ContainElement("oracle could not decide: the stars are hidden"))
}

func TestACheckerWithNothingToJudgeLeavesARunWhatItIsWithoutIt(t *testing.T) {
	s := scenario()
	s.NoFaults = true
	s.Checkers = append(s.Checkers, models.Durability(models.DurabilityOptions{}))
	g := NewWithT(t)
	f := run(t, s, harness.Options{Seed: 1})
	g.Expect(f.Result.Verdict).To(Equal(rundir.Valid), "%v", f.Result.Reasons)
	g.Expect(f.Result.Reasons).To(ContainElement("durability had nothing to judge: no fault that can cost data was in force"))

	s.Checkers = s.Checkers[len(s.Checkers)-1:]
	s.Target = unwatched{store.New()}
	f = run(t, s, harness.Options{Seed: 1})
	g.Expect(f.Result.Verdict).To(Equal(rundir.Inconclusive), "%v", f.Result.Reasons)
	g.Expect(f.Result.Reasons).To(ContainElement("durability had nothing to judge: no fault that can cost data was in force"))
}

// unwatched is a target without invariants.
type unwatched struct{ *store.Target }

func (unwatched) Monitors([]string) []node.Monitor { return nil }

func TestAViolationBeatsWhatIsInconclusive(t *testing.T) {
	g := NewWithT(t)
	s := with(t, "at 1s duplicate(0.0001%,n1) for 100ms; at 1s partition(isolate,leader) for 3s")
	s.Bug = "stale-local-read"
	f := run(t, s, harness.Options{Seed: 1})
	g.Expect(f.Result.Verdict).To(Equal(rundir.Invalid), "%v", f.Result.Reasons)
}

// fragile is the store with a target's budget that claims nothing beyond one
// node.
type fragile struct{ *store.Target }

func (fragile) Budget(int) cluster.Budget { return cluster.Budget{Down: 1} }

func TestViolationsBeyondTheBudgetAreThePlansFaultUnlessTheTargetClaimsSafety(t *testing.T) {
	g := NewWithT(t)
	for plan, want := range map[string]rundir.Outcome{
		"at 1s partition(isolate,n1) for 3s":                            rundir.Invalid,
		"at 1s pause(n2+n3) for 3s; at 1s partition(isolate,n1) for 3s": rundir.Inconclusive,
	} {
		s := with(t, plan)
		s.Target, s.Bug = fragile{store.New()}, "stale-local-read"
		f := run(t, s, harness.Options{Seed: 1})
		g.Expect(f.Result.Verdict).To(Equal(want), "%s: %v", plan, f.Result.Reasons)
	}
}

func TestAHistoryThatIsTooWeakProvesNothing(t *testing.T) {
	g := NewWithT(t)
	s := scenario()
	s.NoFaults, s.Clients, s.Rate = true, 1, 2
	f := run(t, s, harness.Options{Seed: 1})
	g.Expect(f.Result.Verdict).To(Equal(rundir.Inconclusive))
	g.Expect(strings.Join(f.Result.Reasons, "\n")).To(ContainSubstring("too weak"))
}

func TestScenariosThatMakeNoSenseAreRefused(t *testing.T) {
	for want, change := range map[string]func(*harness.Scenario){
		"needs a target and a workload":       func(s *harness.Scenario) { s.Target = nil },
		"-1 nodes":                            func(s *harness.Scenario) { s.Nodes = -1 },
		"a time of 1ns":                       func(s *harness.Scenario) { s.Time = 1 },
		`no planted bug "x"`:                  func(s *harness.Scenario) { s.Bug = "x" },
		`no fault is named "x"`:               func(s *harness.Scenario) { s.Drawing.Kinds = []string{"x"} },
		"has a plan of faults and yet wants":  func(s *harness.Scenario) { s.Plan, s.NoFaults = make(faults.Plan, 1), true },
		`needs the operation "enqueue"`:       func(s *harness.Scenario) { s.Workload = queue{} },
		"a rate of -1 operations/s; expected": func(s *harness.Scenario) { s.Rate = -1 },
	} {
		s := scenario()
		change(&s)
		out := t.TempDir()
		_, err := harness.Run(context.Background(), s, harness.Options{Runtime: sim.New(sim.Options{}), Out: out})
		if !errors.Is(err, harness.ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want a refusal with %q", err, want)
		}
		if left, _ := os.ReadDir(out); len(left) > 0 {
			t.Errorf("%s: %v was left", want, left)
		}
	}
}

// queue is a workload that no register can do.
type queue struct{ workloads.Keyed }

func (queue) Functions() []string { return []string{"enqueue"} }

func TestAPlanThatTheClusterCannotSufferIsRefusedAndADrawnOneGoesWithoutIt(t *testing.T) {
	g := NewWithT(t)
	out := t.TempDir()
	written := with(t, "at 1s pause(one) for 1s")
	_, err := harness.Run(context.Background(), written, harness.Options{Runtime: limited{sim.New(sim.Options{})}, Out: out})
	g.Expect(err).To(MatchError(harness.ErrRefused))
	g.Expect(err).To(MatchError(ContainSubstring("cannot pause processes")))
	g.Expect(filepath.Glob(filepath.Join(out, "*/*/*"))).To(BeEmpty())

	drawn := scenario()
	drawn.Drawing = faults.Drawing{Kinds: []string{"pause", "kill"}}
	drawn.Time = 10 * time.Second
	f := run(t, drawn, harness.Options{Runtime: limited{sim.New(sim.Options{})}, Seed: 1, Out: out})
	g.Expect(f.Result.Unavailable).To(ContainElement(ContainSubstring("cannot pause processes")))
	for _, fault := range f.Result.Faults {
		g.Expect(fault.Kind).To(Equal("kill"))
	}
	dir, err := rundir.Open(f.Dir)
	g.Expect(err).NotTo(HaveOccurred())
	var setup harness.Setup
	g.Expect(dir.Scenario(&setup)).To(Succeed())
	g.Expect(setup.Plan).NotTo(ContainSubstring("pause"), "what is recorded is what was carried out")
}

// limited is a runtime whose clusters can be killed, and nothing else.
type limited struct{ cluster.Runtime }

func (l limited) Run(ctx context.Context, spec cluster.Spec, body func(context.Context, cluster.Cluster) error) error {
	return l.Runtime.Run(ctx, spec, func(ctx context.Context, c cluster.Cluster) error {
		return body(ctx, struct {
			cluster.Cluster
			cluster.Crasher
		}{c, c.(cluster.Crasher)})
	})
}

func TestAnInterruptedRunHealsJudgesAndReports(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(context.Background())
	s := with(t, "at 1s kill(all) for 3s")
	interrupting := &interruptAt{Runtime: sim.New(sim.Options{}), after: 2 * time.Second, cancel: cancel}
	f, err := harness.Run(ctx, s, harness.Options{Runtime: interrupting, Seed: 1, Out: t.TempDir()})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(f.Result.Verdict).To(Equal(rundir.Inconclusive))
	g.Expect(f.Result.Reasons[0]).To(ContainSubstring("interrupted in phase"))
	g.Expect(f.Result.Faults[0].HealedAt).To(BeNumerically(">", 0))
	g.Expect(f.ReportPath()).To(BeARegularFile())
	g.Expect(f.Result.Operations.Total).To(BeNumerically(">", 0))
}

// interruptAt cancels the run at a time of its own clock.
type interruptAt struct {
	cluster.Runtime
	after  time.Duration
	cancel func()
}

func (i *interruptAt) Run(ctx context.Context, spec cluster.Spec, body func(context.Context, cluster.Cluster) error) error {
	return i.Runtime.Run(ctx, spec, func(ctx context.Context, c cluster.Cluster) error {
		c.Go("somebody who presses Ctrl-C", func(ctx context.Context) {
			_ = c.Sleep(ctx, i.after)
			i.cancel()
		})
		return body(ctx, c)
	})
}

func TestARuntimeThatFailsGivesAReportThatSaysSo(t *testing.T) {
	g := NewWithT(t)
	f, err := harness.Run(context.Background(), scenario(), harness.Options{Runtime: broken{}, Out: t.TempDir()})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(f.Result.Verdict).To(Equal(rundir.Error))
	g.Expect(f.Result.Reasons[0]).To(ContainSubstring("the machine is on fire"))
	g.Expect(f.ReportPath()).To(BeARegularFile())
}

type broken struct{}

func (broken) Name() string { return "broken" }
func (broken) Run(context.Context, cluster.Spec, func(context.Context, cluster.Cluster) error) error {
	return errors.New("the machine is on fire")
}

func TestTheResultSurvivesItsJSON(t *testing.T) {
	g := NewWithT(t)
	s := scenario()
	s.Bug = "stale-local-read"
	f := run(t, s, harness.Options{Seed: 2, Out: t.TempDir()})
	dir, err := rundir.Open(f.Dir)
	g.Expect(err).NotTo(HaveOccurred())
	read, err := dir.Result()
	g.Expect(err).NotTo(HaveOccurred())
	want, _ := json.Marshal(f.Result)
	got, _ := json.Marshal(read)
	g.Expect(got).To(MatchJSON(want))
}
