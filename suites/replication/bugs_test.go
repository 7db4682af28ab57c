package replication

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/match"
	"github.com/cleancut/cleancut/suites"
)

// plant is a planted bug, the scenario that must find it, and the checker
// that must be among those that do.
type plant struct {
	bug, scenario, checker string
	seeds                  int // within which the simulator must find it
}

func (p plant) scenarioWithBug() harness.Scenario {
	found, err := suites.Find([]string{p.scenario})
	Expect(err).NotTo(HaveOccurred())
	s := found[0]
	s.Bug = p.bug
	return s
}

var _ = Describe("Planted bugs are found", func() {
	for _, p := range []plant{
		{"stale-local-read", "replication/raft-swarm", "linearizable", 20},
		{"ack-on-append", "replication/raft-swarm", "linearizable", 20},
		{"send-before-fsync", "replication/raft-swarm", "crashes", 50},
		{"snapshot-off-by-one", "replication/raft-swarm", "invariants", 50},
		{"retry-non-idempotent", "replication/raft-swarm", "linearizable", 50},
		{"vote-not-persisted", "replication/raft-votes", "invariants", 1000},
	} {
		It(fmt.Sprintf("%s in the simulator", p.bug), Label(suites.Quick, "runtime:sim", "bug:"+p.bug), func(ctx SpecContext) {
			s := p.scenarioWithBug()
			for n := range p.seeds {
				run := execute(ctx, suites.Sim, s, n)
				if ok, err := match.HaveFound(p.checker).Match(run); err == nil && ok {
					GinkgoWriter.Printf("%s found by seed %d of at most %d: %s\n", p.bug, n+1, p.seeds, run.Result.Reproduce)
					Expect(run).To(match.BeInvalid())
					return
				}
			}
			Fail(fmt.Sprintf("%s was not found by %s in %d seeds", p.bug, p.checker, p.seeds))
		}, SpecTimeout(5*time.Minute))
	}

	for _, p := range []plant{
		{"stale-local-read", "replication/raft-partitions", "linearizable", 4},
		{"ack-on-append", "replication/raft-partitions", "linearizable", 4},
		{"send-before-fsync", "replication/raft-power-loss", "", 4},
	} {
		It(fmt.Sprintf("%s in containers", p.bug), Label(suites.Full, "runtime:docker", "bug:"+p.bug), func(ctx SpecContext) {
			needDocker(ctx)
			s := p.scenarioWithBug()
			for n := range p.seeds {
				run := execute(ctx, suites.Docker, s, n)
				if ok, _ := match.BeInvalid().Match(run); !ok {
					continue
				}
				if p.checker != "" {
					Expect(run).To(match.HaveFound(p.checker))
				}
				return
			}
			Fail(fmt.Sprintf("%s was not found in %d runs", p.bug, p.seeds))
		}, SpecTimeout(5*time.Minute))
	}
})
