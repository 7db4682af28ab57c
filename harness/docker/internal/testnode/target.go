package testnode

import (
	"context"
	"errors"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/server"
)

// Target puts the program into containers.
type Target struct{}

var _ cluster.Contained = Target{}

// Name is "testnode".
func (Target) Name() string { return "testnode" }

// Doc says what it is for.
func (Target) Doc() string { return "a node for tests of runtimes" }

// Claims is empty.
func (Target) Claims() []cluster.Claim { return nil }

// Budget allows anything.
func (Target) Budget(nodes int) cluster.Budget { return cluster.Budget{Down: nodes, Safe: true} }

// Functions is empty.
func (Target) Functions() []string { return nil }

// Bugs lists the one that makes starts fail.
func (Target) Bugs() []cluster.Bug { return []cluster.Bug{{ID: Bug, Doc: "a start fails"}} }

// Connect is not offered: tests use cluster.Network.
func (Target) Connect(cluster.Network, string) (cluster.Client, error) {
	return nil, errors.New("testnode has no client")
}

// Image builds the command next to this package.
func (Target) Image() cluster.Image {
	return cluster.Image{Package: "github.com/cleancut/cleancut/harness/docker/internal/testnode/cmd/testnode"}
}

// Points lists the program's only one.
func (Target) Points() []string { return []string{Point} }

// Command is the one of every server.Main.
func (Target) Command(cfg cluster.NodeConfig) (cluster.Command, error) {
	return server.Command(cfg), nil
}

// Probe asks the health endpoint.
func (Target) Probe(ctx context.Context, cfg cluster.NodeConfig, dial cluster.Dialer) (node.Status, error) {
	return server.Probe(ctx, cfg.Name, dial)
}
