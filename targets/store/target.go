package store

import (
	"context"
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/server"
)

// Target is the store as a system under test.
type Target struct{}

var (
	_ cluster.Simulated = (*Target)(nil)
	_ cluster.Contained = (*Target)(nil)
)

// New returns the target.
func New() *Target { return &Target{} }

// Name implements cluster.Target.
func (*Target) Name() string { return "store" }

// Doc implements cluster.Target.
func (*Target) Doc() string {
	return "the reference replicated store: a key-value store on Raft (go.etcd.io/raft) with sessions and linearizable reads"
}

// Claims implements cluster.Target.
func (*Target) Claims() []cluster.Claim {
	const under = "any crashes, power losses, pauses, partitions, loss, delay and duplication of messages, and clock skew"
	const source = "targets/store: package documentation"
	return []cluster.Claim{
		{Guarantee: "linearizable", Under: under, Source: source},
		{Guarantee: "no acknowledged write is lost", Under: under, Source: source},
		{Guarantee: "writes of a session are executed exactly once", Under: under, Source: source},
	}
}

// Budget implements cluster.Target: a minority may be down, and safety holds
// whatever happens.
func (*Target) Budget(nodes int) cluster.Budget {
	return cluster.Budget{Down: max(0, (nodes-1)/2), Safe: true, Failover: failoverMax}
}

// failoverMax is five times the longest election: a leader that is cut off steps
// down, votes may be split, a node that was started again reads its disk, and a
// client asks one node after the other.
const failoverMax = 7 * time.Second

// Functions implements cluster.Target.
func (*Target) Functions() []string { return []string{fRead, fWrite, fCAS, fDelete} }

// Bugs implements cluster.Target.
func (*Target) Bugs() []cluster.Bug { return slices.Clone(catalog) }

// Connect implements cluster.Target.
func (*Target) Connect(net cluster.Network, bug string) (cluster.Client, error) {
	if err := checkBug(bug); err != nil {
		return nil, err
	}
	return newClient(net, bug), nil
}

// Program implements cluster.Simulated. The program draws Raft's election
// timeouts from the node's random stream: see Config.Seeded.
func (*Target) Program(bug string) (node.Program, error) {
	cfg := SimConfig()
	cfg.Bug = bug
	return program(cfg)
}

// ContainerProgram returns a program for a process of its own: that of the
// command store-node. The store has no settings.
func ContainerProgram(bug string, _ map[string]string) (node.Program, error) {
	cfg := DefaultConfig()
	cfg.Bug = bug
	return program(cfg)
}

func program(cfg Config) (node.Program, error) {
	p, err := NewProgram(cfg)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Monitors implements cluster.Simulated.
func (*Target) Monitors([]string) []node.Monitor { return newMonitors() }

// Points implements cluster.Simulated.
func (*Target) Points() []string { return slices.Clone(points) }

// Image implements cluster.Contained.
func (*Target) Image() cluster.Image {
	return cluster.Image{Package: "github.com/cleancut/cleancut/targets/store/cmd/store-node"}
}

// Command implements cluster.Contained.
func (*Target) Command(cfg cluster.NodeConfig) (cluster.Command, error) {
	if err := checkBug(cfg.Bug); err != nil {
		return cluster.Command{}, err
	}
	return server.Command(cfg), nil
}

// Probe implements cluster.Contained: it asks for /health.
func (*Target) Probe(ctx context.Context, cfg cluster.NodeConfig, dial cluster.Dialer) (node.Status, error) {
	return server.Probe(ctx, cfg.Name, dial)
}
