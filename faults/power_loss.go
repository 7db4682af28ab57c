package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
)

// Failure model: crash-recovery with loss of what was written and not synced.
var powerLossDefinition = Definition{
	Name: "power-loss", Model: history.CrashRecovery, Usage: "power-loss(all)",
	Doc:   "takes the power from the victims at one instant, so that unsynced writes are lost; healing starts them again",
	parse: victimsOnly(func(w Who) Fault { return PowerLoss{w} }),
	draw: func(r *rand.Rand, nodes int) Fault {
		return PowerLoss{drawWho(r, "all", "majority", "leader", "one")}
	},
}

// PowerLoss takes the power from nodes at one instant.
type PowerLoss struct{ Who Who }

// Name implements Fault.
func (PowerLoss) Name() string { return "power-loss" }

// Victims implements Fault.
func (f PowerLoss) Victims() Who { return f.Who }

// String implements Fault.
func (f PowerLoss) String() string { return fmt.Sprintf("power-loss(%s)", f.Who) }

// Available implements Fault. Whether the target keeps unsynced writes where
// a power loss can take them is known to the runtime.
func (f PowerLoss) Available(c cluster.Cluster) error {
	_, start := need[cluster.Crasher](c, "start processes again")
	_, cut := need[cluster.PowerCutter](c, "cut the power of this target's nodes")
	return errors.Join(start, cut, f.Who.exist(c))
}

// Inject implements Fault.
func (f PowerLoss) Inject(ctx context.Context, s *Site) (*Injection, error) {
	if err := f.Available(s.Cluster); err != nil {
		return nil, err
	}
	return f.Who.takeDown(ctx, s, takeDown{
		fault: func(w Who) Fault { return PowerLoss{w} },
		down:  s.Cluster.(cluster.PowerCutter).CutPower,
		up:    s.Cluster.(cluster.Crasher).Start,
	})
}
