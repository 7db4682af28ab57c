// Package replication runs the catalog's scenarios of replicated systems as
// Ginkgo specs, on every runtime that this machine has, and shows that the
// planted bugs are found. Package specs says how.
package replication

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"

	"github.com/cleancut/cleancut/suites"
	"github.com/cleancut/cleancut/suites/specs"
)

func TestReplication(t *testing.T) { specs.Run(t, "Replication") }

var _ = Describe("Replicated systems keep their promises", func() { specs.Hold("replication", "etcd") })

var _ = Describe("Planted bugs are found", func() {
	specs.Found(suites.Sim,
		specs.Plant{Bug: "stale-local-read", Scenario: "replication/raft-swarm", Checker: "linearizable", Seeds: 20},
		specs.Plant{Bug: "ack-on-append", Scenario: "replication/raft-swarm", Checker: "linearizable", Seeds: 20},
		specs.Plant{Bug: "send-before-fsync", Scenario: "replication/raft-swarm", Checker: "crashes", Seeds: 100},
		specs.Plant{Bug: "snapshot-off-by-one", Scenario: "replication/raft-swarm", Checker: "invariants", Seeds: 50},
		specs.Plant{Bug: "retry-non-idempotent", Scenario: "replication/raft-swarm", Checker: "linearizable", Seeds: 100},
		specs.Plant{Bug: "vote-not-persisted", Scenario: "replication/raft-votes", Checker: "invariants", Seeds: 1000},
		specs.Plant{Bug: "no-check-quorum", Scenario: "replication/raft-deaf-leader", Checker: "failover", Seeds: 5},
	)
	specs.Found(suites.Docker,
		specs.Plant{Bug: "stale-local-read", Scenario: "replication/raft-partitions", Checker: "linearizable", Seeds: 4},
		specs.Plant{Bug: "ack-on-append", Scenario: "replication/raft-partitions", Checker: "linearizable", Seeds: 4},
		specs.Plant{Bug: "send-before-fsync", Scenario: "replication/raft-power-loss", Seeds: 4},
	)
})
