package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
)

// Failure model: Byzantine storage. Files that were written and synced end
// too early, as after a repair by fsck or a restore that was cut off.
var truncateDefinition = Definition{
	Name: "truncate", Model: history.Byzantine, Usage: "truncate(ckpt-*,one)", Asked: true,
	Doc: "cuts the victims' files that match a pattern at a random place; nothing undoes it",
	parse: func(args []string) (Fault, error) {
		if len(args) != 2 {
			return nil, errors.New("expected a pattern of file names and victims")
		}
		pattern, err := parsePattern(args[0])
		if err != nil {
			return nil, err
		}
		who, err := parseWho(args[1])
		return Truncate{pattern, who}, err
	},
	draw: func(r *rand.Rand, nodes int) Fault { return Truncate{"*", "one"} },
}

// Truncate cuts files.
type Truncate struct {
	Files string // pattern, see cluster.Disker
	Who   Who
}

// Name implements Fault.
func (Truncate) Name() string { return "truncate" }

// Victims implements Fault.
func (f Truncate) Victims() Who { return f.Who }

// String implements Fault.
func (f Truncate) String() string { return fmt.Sprintf("truncate(%s,%s)", f.Files, f.Who) }

// Available implements Fault.
func (f Truncate) Available(c cluster.Cluster) error {
	return errors.Join(canDamage(c), f.Who.exist(c))
}

// Inject implements Fault.
func (f Truncate) Inject(ctx context.Context, s *Site) (*Injection, error) {
	return f.Who.damage(ctx, s, "bytes_cut", func(w Who) Fault { return Truncate{f.Files, w} },
		func(ctx context.Context, node string) (cluster.Receipt, error) {
			return s.Cluster.(cluster.Disker).Truncate(ctx, node, f.Files, s.Rand.Uint64())
		})
}
