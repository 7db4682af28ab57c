package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cleancut/cleancut/harness/cluster"
)

// Failure model: crash-recovery. The process dies without warning (SIGKILL)
// and is started again when the fault is healed. Network namespace, address
// and disk stay.
var killDefinition = Definition{
	Name: "kill", Model: CrashRecovery, Usage: "kill(leader)",
	Doc:   "kills the victims' processes (SIGKILL); healing starts them again",
	parse: victimsOnly(func(w Who) Fault { return Kill{w} }),
	draw: func(r *rand.Rand, nodes int) Fault {
		return Kill{drawWho(r, "leader", "leader", "one", "follower", "minority", "all")}
	},
}

// Kill kills processes of nodes and starts them again when healed.
type Kill struct{ Who Who }

// Name implements Fault.
func (Kill) Name() string { return "kill" }

// Victims implements Fault.
func (f Kill) Victims() Who { return f.Who }

// String implements Fault.
func (f Kill) String() string { return fmt.Sprintf("kill(%s)", f.Who) }

// Available implements Fault.
func (f Kill) Available(c cluster.Cluster) error {
	_, err := need[cluster.Crasher](c, "kill processes")
	return errors.Join(err, f.Who.exist(c))
}

// Inject implements Fault.
func (f Kill) Inject(ctx context.Context, s *Site) (*Injection, error) {
	c, err := need[cluster.Crasher](s.Cluster, "kill processes")
	if err != nil {
		return nil, err
	}
	return f.Who.takeDown(ctx, s, takeDown{
		fault: func(w Who) Fault { return Kill{w} },
		down:  each(c.Kill),
		up:    c.Start,
	})
}

// Failure model: crash-recovery, of the whole machine: connections break and
// the network namespace goes with them.
var rebootDefinition = Definition{
	Name: "reboot", Model: CrashRecovery, Usage: "reboot(one)",
	Doc:   "kills the victims' whole machines (containers); healing starts them again at the same address",
	parse: victimsOnly(func(w Who) Fault { return Reboot{w} }),
	draw: func(r *rand.Rand, nodes int) Fault {
		return Reboot{drawWho(r, "leader", "one", "minority")}
	},
}

// Reboot kills whole machines and starts them again when healed.
type Reboot struct{ Who Who }

// Name implements Fault.
func (Reboot) Name() string { return "reboot" }

// Victims implements Fault.
func (f Reboot) Victims() Who { return f.Who }

// String implements Fault.
func (f Reboot) String() string { return fmt.Sprintf("reboot(%s)", f.Who) }

// Available implements Fault.
func (f Reboot) Available(c cluster.Cluster) error {
	_, err := need[cluster.Rebooter](c, "kill whole machines")
	return errors.Join(err, f.Who.exist(c))
}

// Inject implements Fault.
func (f Reboot) Inject(ctx context.Context, s *Site) (*Injection, error) {
	c, err := need[cluster.Rebooter](s.Cluster, "kill whole machines")
	if err != nil {
		return nil, err
	}
	return f.Who.takeDown(ctx, s, takeDown{
		fault: func(w Who) Fault { return Reboot{w} },
		down:  each(c.KillMachine),
		up:    c.StartMachine,
	})
}

// Failure model: crash-recovery with loss of what was written and not synced.
var powerLossDefinition = Definition{
	Name: "power-loss", Model: CrashRecovery, Usage: "power-loss(all)",
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
