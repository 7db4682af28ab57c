package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
)

// Failure model: omission, with a probability.
var lossDefinition = Definition{
	Name: "loss", Model: history.Omission, Usage: "loss(20%,leader)",
	Doc: "drops packets between the victims and all other nodes, in both directions, with a probability",
	parse: func(args []string) (Fault, error) {
		p, who, err := parseShare(args)
		return Loss{p, who}, err
	},
	draw: func(r *rand.Rand, nodes int) Fault {
		return Loss{150_000 + 50_000*r.IntN(8), drawWho(r, "leader", "all", "one", "minority")}
	},
}

// Loss drops packets on the links of nodes.
type Loss struct {
	Millionths int // probability
	Who        Who
}

// Name implements Fault.
func (Loss) Name() string { return "loss" }

// Victims implements Fault.
func (f Loss) Victims() Who { return f.Who }

// String implements Fault.
func (f Loss) String() string { return fmt.Sprintf("loss(%s,%s)", percent(f.Millionths), f.Who) }

func (f Loss) impairment() cluster.Impairment { return cluster.Impairment{Loss: f.Millionths} }

// Available implements Fault.
func (f Loss) Available(c cluster.Cluster) error {
	return errors.Join(canImpair(c, f.impairment()), f.Who.exist(c))
}

// Inject implements Fault.
func (f Loss) Inject(ctx context.Context, s *Site) (*Injection, error) {
	return f.Who.impair(ctx, s, f.impairment(), "packets_dropped", func(w Who) Fault { return Loss{f.Millionths, w} })
}
