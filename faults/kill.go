package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
)

// Failure model: crash-recovery. The process dies without warning (SIGKILL)
// and is started again when the fault is healed. Network namespace, address
// and disk stay.
var killDefinition = Definition{
	Name: "kill", Model: history.CrashRecovery, Usage: "kill(leader)",
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
