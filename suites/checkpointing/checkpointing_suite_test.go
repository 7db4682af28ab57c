// Package checkpointing runs the catalog's scenarios of checkpointed
// computations as Ginkgo specs, on every runtime that this machine has, and
// shows that the planted bugs are found. Package specs says how.
package checkpointing

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/recovery"
	"github.com/cleancut/cleancut/suites"
	"github.com/cleancut/cleancut/suites/specs"
)

func TestCheckpointing(t *testing.T) { specs.Run(t, "Checkpointing") }

var _ = Describe("Checkpointed computations recover", func() { specs.Hold("checkpointing") })

// unclaimed returns the checker of a model that a protocol does not claim.
func unclaimed(model string) checkers.Checker {
	list, err := recovery.Checkers(recovery.Options{}, model)
	if err != nil {
		panic(err)
	}
	return list[0]
}

var _ = Describe("What is not claimed is missed", func() {
	specs.Missed(
		specs.Unclaimed{Scenario: independent + "crashes", Checker: unclaimed("no-domino"), Measure: "domino_depth", Least: 2, Seeds: 20},
		specs.Unclaimed{Scenario: independent + "crashes", Checker: unclaimed("no-useless-checkpoints"), Measure: "useless_checkpoints", Least: 2, Seeds: 20},
	)
})

const (
	independent = "checkpointing/independent-transfer-"
	cic         = "checkpointing/cic-transfer-"
	msglog      = "checkpointing/msglog-transfer-"
	transfer    = "checkpointing/chandy-lamport-transfer-"
	pipeline    = "checkpointing/coordinated-pipeline-"
)

var _ = Describe("Planted bugs are found", func() {
	specs.Found(suites.Sim,
		specs.Plant{Bug: "manifest-early", Scenario: transfer + "crashes", Checker: "atomic-rounds", Seeds: 100},
		specs.Plant{Bug: "ack-before-durable", Scenario: transfer + "laggard", Checker: "atomic-rounds", Seeds: 20},
		specs.Plant{Bug: "no-channel-state", Scenario: transfer + "crashes", Checker: "channel-state", Seeds: 50},
		specs.Plant{Bug: "channel-not-replayed", Scenario: transfer + "transit", Checker: "channel-state", Seeds: 20},
		specs.Plant{Bug: "late-record", Scenario: transfer + "crashes", Checker: "consistent-cut", Seeds: 50},
		specs.Plant{Bug: "marker-overtakes", Scenario: transfer + "crashes", Checker: "channel-state", Seeds: 50},
		specs.Plant{Bug: "non-fifo-channel", Scenario: transfer + "crashes", Checker: "channel-state", Seeds: 50},
		specs.Plant{Bug: "no-epoch-fence", Scenario: transfer + "transit", Checker: "fencing", Seeds: 20},
		specs.Plant{Bug: "gc-before-complete", Scenario: transfer + "crashes", Checker: "gc-safety", Seeds: 50},
		specs.Plant{Bug: "gc-shared-base", Scenario: transfer + "swarm", Checker: "gc-safety", Seeds: 300},
		specs.Plant{Bug: "latest-by-name", Scenario: transfer + "moments", Checker: "atomic-rounds", Seeds: 20},
		specs.Plant{Bug: "no-checksum", Scenario: transfer + "rot", Checker: "job-result", Seeds: 100},
		specs.Plant{Bug: "output-before-commit", Scenario: pipeline + "crashes", Checker: "output-commit", Seeds: 50},
		specs.Plant{Bug: "commit-lost", Scenario: pipeline + "crashes", Checker: "job-outputs", Seeds: 200},
		specs.Plant{Bug: "restore-not-idempotent", Scenario: transfer + "crashes", Checker: "job-result", Seeds: 100},
		specs.Plant{Bug: "no-dependency-vector", Scenario: independent + "crashes", Checker: "recovery-line", Seeds: 20},
		specs.Plant{Bug: "log-gc-early", Scenario: independent + "crashes", Checker: "gc-safety", Seeds: 20},
		specs.Plant{Bug: "replay-no-dedup", Scenario: independent + "crashes", Checker: "channel-state", Seeds: 20},
		specs.Plant{Bug: "forced-after-delivery", Scenario: cic + "crashes", Checker: "index", Seeds: 20},
		specs.Plant{Bug: "index-not-carried", Scenario: cic + "crashes", Checker: "no-useless-checkpoints", Seeds: 20},
		specs.Plant{Bug: "async-determinant", Scenario: msglog + "crashes", Checker: "no-orphans", Seeds: 20},
		specs.Plant{Bug: "replay-order", Scenario: msglog + "crashes", Checker: "replay", Seeds: 20},
		specs.Plant{Bug: "wrong-offset", Scenario: msglog + "crashes", Checker: "replay", Seeds: 60},
		specs.Plant{Bug: "replay-no-dedup", Scenario: msglog + "crashes", Checker: "channel-state", Seeds: 20},
		specs.Plant{Bug: "log-gc-early", Scenario: msglog + "crashes", Checker: "gc-safety", Seeds: 20},
		specs.Plant{Bug: "fallback-dup", Scenario: pipeline + "fallback", Checker: "exactly-once", Seeds: 50},
		specs.Plant{Bug: "sink-forgets", Scenario: pipeline + "idempotent", Checker: "exactly-once", Seeds: 50},
		specs.Plant{Bug: "wrong-level-order", Scenario: transfer + "crashes", Checker: "atomic-rounds", Seeds: 50},
		specs.Plant{Bug: "wedge-on-dead", Scenario: "checkpointing/coordinated-stencil-crashes", Checker: "progress", Seeds: 100},
		specs.Plant{Bug: "abort-leaks-pause", Scenario: "checkpointing/coordinated-montecarlo-swarm", Checker: "progress", Seeds: 300},
	)
	// In containers, each bug has the scenario whose plan leads to where it
	// bites, so that chance has no part in it; further seeds are for a machine
	// that was too slow for the plan. Each run costs a start of seven
	// containers: the full tier takes bugs of different kinds, found by
	// different checkers, and leaves the others to the soak tier.
	specs.Found(suites.Docker,
		specs.Plant{Bug: "ack-before-durable", Scenario: transfer + "laggard", Checker: "atomic-rounds", Seeds: 2},
		specs.Plant{Bug: "gc-before-complete", Scenario: transfer + "laggard", Checker: "gc-safety", Seeds: 2},
		specs.Plant{Bug: "late-record", Scenario: transfer + "laggard", Seeds: 3},
		specs.Plant{Bug: "no-channel-state", Scenario: transfer + "transit", Checker: "channel-state", Seeds: 2},
		specs.Plant{Bug: "restore-not-idempotent", Scenario: transfer + "moments", Seeds: 2},
		specs.Plant{Bug: "commit-lost", Scenario: pipeline + "moments", Checker: "job-outputs", Seeds: 2},
		specs.Plant{Bug: "sink-forgets", Scenario: pipeline + "idempotent-moments", Checker: "exactly-once", Seeds: 2},

		specs.Plant{Bug: "manifest-early", Scenario: transfer + "laggard", Checker: "atomic-rounds", Seeds: 2, Soak: true},
		specs.Plant{Bug: "output-before-commit", Scenario: pipeline + "laggard", Checker: "output-commit", Seeds: 2, Soak: true},
		specs.Plant{Bug: "channel-not-replayed", Scenario: transfer + "transit", Checker: "channel-state", Seeds: 2, Soak: true},
		specs.Plant{Bug: "latest-by-name", Scenario: transfer + "moments", Checker: "atomic-rounds", Seeds: 2, Soak: true},
		specs.Plant{Bug: "wrong-level-order", Scenario: transfer + "moments", Checker: "atomic-rounds", Seeds: 2, Soak: true},
		specs.Plant{Bug: "wedge-on-dead", Scenario: transfer + "moments", Checker: "progress", Seeds: 2, Soak: true},
		// What is late is drawn, and the network decides: 13 of 13 runs found it.
		specs.Plant{Bug: "no-epoch-fence", Scenario: transfer + "transit", Checker: "fencing", Seeds: 3, Soak: true},
		// Where the rot strikes is drawn: in the simulator 38 of 40 seeds meet it.
		specs.Plant{Bug: "no-checksum", Scenario: "checkpointing/coordinated-stencil-rotten", Seeds: 4, Soak: true},
	)
})
