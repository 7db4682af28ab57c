package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
)

// Failure model: timing. Syncs complete late, as on a disk that is worn out
// or shared; reads and writes to the cache are as fast as ever.
var slowDiskDefinition = Definition{
	Name: "slow-disk", Model: history.Timing, Usage: "slow-disk(100ms,one)", Asked: true,
	Doc: "lets every sync of the victims take longer by a fixed time",
	parse: func(args []string) (Fault, error) {
		if len(args) != 2 {
			return nil, errors.New("expected a delay and victims")
		}
		d, err := time.ParseDuration(args[0])
		if err != nil || d <= 0 || d > slowDiskMax {
			return nil, fmt.Errorf("%q: expected a positive duration up to %v", args[0], slowDiskMax)
		}
		who, err := parseWho(args[1])
		return SlowDisk{d, who}, err
	},
	draw: func(r *rand.Rand, nodes int) Fault {
		return SlowDisk{time.Duration(5+r.IntN(195)) * time.Millisecond, drawWho(r, "one", "leader", "all")}
	},
}

// SlowDisk delays syncs.
type SlowDisk struct {
	Delay time.Duration
	Who   Who
}

// Name implements Fault.
func (SlowDisk) Name() string { return "slow-disk" }

// Victims implements Fault.
func (f SlowDisk) Victims() Who { return f.Who }

// String implements Fault.
func (f SlowDisk) String() string { return fmt.Sprintf("slow-disk(%v,%s)", f.Delay, f.Who) }

// Available implements Fault.
func (f SlowDisk) Available(c cluster.Cluster) error {
	d, err := need[cluster.Disker](c, "slow disks down")
	if err != nil {
		return err
	}
	return errors.Join(d.CanSlowSync(), f.Who.exist(c))
}

// Inject implements Fault.
func (f SlowDisk) Inject(ctx context.Context, s *Site) (*Injection, error) {
	return f.Who.slowDown(ctx, s, f.Delay, func(w Who) Fault { return SlowDisk{f.Delay, w} })
}
