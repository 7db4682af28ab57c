package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
)

// Failure model: crash-recovery with loss of stable storage. The process dies,
// and starts again on an empty disk, as after a disk was replaced.
var wipeDiskDefinition = Definition{
	Name: "wipe-disk", Model: history.CrashRecovery, Usage: "wipe-disk(one)", Asked: true,
	Doc:   "kills the victims' processes and removes all of their files; healing starts them again on an empty disk",
	parse: victimsOnly(func(w Who) Fault { return WipeDisk{w} }),
	draw:  func(r *rand.Rand, nodes int) Fault { return WipeDisk{"one"} },
}

// WipeDisk kills nodes and removes their files.
type WipeDisk struct{ Who Who }

// Name implements Fault.
func (WipeDisk) Name() string { return "wipe-disk" }

// Victims implements Fault.
func (f WipeDisk) Victims() Who { return f.Who }

// String implements Fault.
func (f WipeDisk) String() string { return fmt.Sprintf("wipe-disk(%s)", f.Who) }

// Available implements Fault.
func (f WipeDisk) Available(c cluster.Cluster) error {
	_, err := need[cluster.Crasher](c, "kill processes")
	return errors.Join(err, canDamage(c), f.Who.exist(c))
}

// Inject implements Fault. Nodes that another fault keeps down lose their
// files as well: nothing starts them before this fault is healed.
func (f WipeDisk) Inject(ctx context.Context, s *Site) (*Injection, error) {
	if err := f.Available(s.Cluster); err != nil {
		return nil, err
	}
	c := s.Cluster.(cluster.Crasher)
	inj, err := f.Who.takeDown(ctx, s, takeDown{
		fault: func(w Who) Fault { return WipeDisk{w} },
		down:  each(c.Kill),
		up:    c.Start,
	})
	if err != nil {
		return nil, err
	}
	inj.proof = "files_wiped"
	wiped, err := each(s.Cluster.(cluster.Disker).Wipe)(ctx, inj.Nodes)
	inj.receipt.Add(wiped)
	if err != nil {
		_, healErr := inj.Heal(context.WithoutCancel(ctx))
		return nil, errors.Join(fmt.Errorf("%s: %w", inj.Frozen, err), healErr)
	}
	return inj, nil
}
