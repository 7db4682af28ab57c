package harness_test

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/linear"
	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/rundir"
	"github.com/cleancut/cleancut/harness/sim"
	"github.com/cleancut/cleancut/targets/store"
	"github.com/cleancut/cleancut/workloads"
)

// scenario is the reference store under everything that can be drawn.
func scenario() harness.Scenario {
	return harness.Scenario{
		Name: "test/swarm", Target: store.New(), Workload: workloads.CASRegister(), Nodes: 3, Time: 10 * time.Second,
		Drawing: faults.Drawing{Points: store.New().Points(), Pairs: true, Swarm: true},
		Checkers: []checkers.Checker{
			linear.Checker(linear.Spec{}, linear.Options{}), checkers.Availability(checkers.AvailabilityBounds{}),
			checkers.Liveness(checkers.LivenessBounds{}), checkers.Convergence(), checkers.Crashes(),
		},
	}
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
	for seed := range uint64(20) {
		f := run(t, scenario(), harness.Options{Seed: seed})
		g.Expect(f.Result.Verdict).To(BeElementOf(rundir.Valid, rundir.Inconclusive), "seed %d: %v", seed, f.Result.Reasons)
		t.Logf("seed %d: %s %v %v %+v", seed, f.Result.Verdict, f.Result.Reasons, f.Result.Operations, f.Result.Strength)
	}
}
