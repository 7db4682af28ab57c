package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
)

// Failure model: crash-recovery, of the whole machine: connections break and
// the network namespace goes with them.
var rebootDefinition = Definition{
	Name: "reboot", Model: history.CrashRecovery, Usage: "reboot(one)",
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
