package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
)

// Failure model: timing. A packet arrives twice, as after a spurious
// retransmission below the transport.
var duplicateDefinition = Definition{
	Name: "duplicate", Model: history.Timing, Usage: "duplicate(30%,all)",
	Doc: "delivers packets between the victims and all other nodes twice, with a probability",
	parse: func(args []string) (Fault, error) {
		p, who, err := parseShare(args)
		return Duplicate{p, who}, err
	},
	draw: func(r *rand.Rand, nodes int) Fault {
		return Duplicate{150_000 + 50_000*r.IntN(8), drawWho(r, "leader", "all", "one")}
	},
}

// Duplicate delivers packets on the links of nodes twice.
type Duplicate struct {
	Millionths int // probability
	Who        Who
}

// Name implements Fault.
func (Duplicate) Name() string { return "duplicate" }

// Victims implements Fault.
func (f Duplicate) Victims() Who { return f.Who }

// String implements Fault.
func (f Duplicate) String() string {
	return fmt.Sprintf("duplicate(%s,%s)", percent(f.Millionths), f.Who)
}

func (f Duplicate) impairment() cluster.Impairment {
	return cluster.Impairment{Duplicate: f.Millionths}
}

// Available implements Fault.
func (f Duplicate) Available(c cluster.Cluster) error {
	return errors.Join(canImpair(c, f.impairment()), f.Who.exist(c))
}

// Inject implements Fault.
func (f Duplicate) Inject(ctx context.Context, s *Site) (*Injection, error) {
	return f.Who.impair(ctx, s, f.impairment(), "packets_duplicated", func(w Who) Fault { return Duplicate{f.Millionths, w} })
}
