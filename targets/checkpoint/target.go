package checkpoint

import (
	"context"
	"maps"
	"slices"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/server"
	"github.com/cleancut/cleancut/targets/store"
	"github.com/cleancut/cleancut/workloads"
)

// Target is the checkpointing service as a system under test.
type Target struct{ values map[string]string }

var (
	_ cluster.Simulated    = (*Target)(nil)
	_ cluster.Contained    = (*Target)(nil)
	_ cluster.Configurable = (*Target)(nil)
	_ cluster.Grouped      = (*Target)(nil)
)

// New returns the target with its default settings.
func New() *Target { return &Target{} }

// Name implements cluster.Target.
func (*Target) Name() string { return "checkpoint" }

// Doc implements cluster.Target.
func (*Target) Doc() string {
	return "the reference checkpointing service: workers that compute together, a coordinator that saves and restores their common state, stable storage in levels"
}

// Claims implements cluster.Target.
func (*Target) Claims() []cluster.Claim {
	const under = "any crashes, power losses, pauses and partitions of any nodes, and loss, delay, reordering and duplication of messages"
	const source = "targets/checkpoint: package documentation"
	return []cluster.Claim{
		{Guarantee: "the job ends with the result of a run without failures", Under: under, Source: source},
		{Guarantee: "what is restored is a consistent cut with its messages in transit", Under: under, Source: source},
		{Guarantee: "output becomes visible exactly once, with the sinks transactional and idempotent; at least once with the third", Under: under, Source: source},
	}
}

// Budget implements cluster.Target: a minority of the control nodes may be
// down; workers may be down in any number, and the job waits for them.
func (*Target) Budget(int) cluster.Budget { return cluster.Budget{Down: 1, Safe: true} }

// Functions implements cluster.Target.
func (*Target) Functions() []string {
	return []string{workloads.Progress, workloads.Result, workloads.Outputs}
}

// Bugs implements cluster.Target.
func (*Target) Bugs() []cluster.Bug { return slices.Clone(catalog) }

// Settings implements cluster.Configurable.
func (t *Target) Settings() (list []cluster.Setting) {
	c, err := configure(SimConfig(), t.values)
	if err != nil {
		panic("settings that were accepted before: " + err.Error())
	}
	for _, s := range settings {
		list = append(list, cluster.Setting{Name: s.name, Doc: s.doc, Default: s.show(&c), Allowed: s.allowed})
	}
	return list
}

// With implements cluster.Configurable.
func (t *Target) With(values map[string]string) (cluster.Target, error) {
	all := maps.Clone(t.values)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, values)
	if _, err := configure(SimConfig(), all); err != nil {
		return nil, err
	}
	return &Target{all}, nil
}

// Groups implements cluster.Grouped.
func (*Target) Groups(nodes []string) []cluster.Group {
	n := min(controlNodes, len(nodes))
	return []cluster.Group{
		{Name: "control", Doc: "the control nodes", Nodes: nodes[:n]},
		{Name: "workers", Doc: "the processes of the job", Nodes: nodes[n:]},
		{Name: "coordinator", Doc: "the control node that coordinates"},
	}
}

// Connect implements cluster.Target.
func (*Target) Connect(net cluster.Network, bug string) (cluster.Client, error) {
	if err := checkBug(bug); err != nil {
		return nil, err
	}
	return newClient(net), nil
}

// Program implements cluster.Simulated.
func (t *Target) Program(bug string) (node.Program, error) {
	return program(SimConfig(), bug, t.values)
}

// ContainerProgram returns a program for a process of its own: that of the
// command checkpoint-node.
func ContainerProgram(bug string, values map[string]string) (node.Program, error) {
	return program(DefaultConfig(), bug, values)
}

func program(cfg Config, bug string, values map[string]string) (node.Program, error) {
	cfg.Bug = bug
	cfg, err := configure(cfg, values)
	if err != nil {
		return nil, err
	}
	p, err := NewProgram(cfg)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Monitors implements cluster.Simulated: those of the embedded store.
func (*Target) Monitors([]string) []node.Monitor { return store.New().Monitors(nil) }

// Points implements cluster.Simulated.
func (*Target) Points() []string {
	all := slices.Clone(ownPoints)
	for _, p := range store.New().Points() {
		all = append(all, storePrefix+p)
	}
	return all
}

// Image implements cluster.Contained.
func (*Target) Image() cluster.Image {
	return cluster.Image{Package: "github.com/cleancut/cleancut/targets/checkpoint/cmd/checkpoint-node"}
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
