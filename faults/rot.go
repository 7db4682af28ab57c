package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
)

// Failure model: Byzantine storage. What was written and synced reads back
// otherwise, without an error: bit rot at rest (Bairavasundaram et al., "An
// analysis of data corruption in the storage stack", FAST 2008).
var rotDefinition = Definition{
	Name: "rot", Model: history.Byzantine, Usage: "rot(ckpt-*,8,one)", Asked: true,
	Doc: "flips bits of that many bytes in the victims' files that match a pattern; nothing undoes it",
	parse: func(args []string) (Fault, error) {
		if len(args) != 3 {
			return nil, errors.New("expected a pattern of file names, a number of bytes and victims")
		}
		pattern, err := parsePattern(args[0])
		if err != nil {
			return nil, err
		}
		n, err := parseCount(args[1], rotMax)
		if err != nil {
			return nil, err
		}
		who, err := parseWho(args[2])
		return Rot{pattern, n, who}, err
	},
	draw: func(r *rand.Rand, nodes int) Fault { return Rot{"*", 1 + r.IntN(16), "one"} },
}

// Rot flips bits in files.
type Rot struct {
	Files string // pattern, see cluster.Disker
	Bytes int
	Who   Who
}

// Name implements Fault.
func (Rot) Name() string { return "rot" }

// Victims implements Fault.
func (f Rot) Victims() Who { return f.Who }

// String implements Fault.
func (f Rot) String() string { return fmt.Sprintf("rot(%s,%d,%s)", f.Files, f.Bytes, f.Who) }

// Available implements Fault.
func (f Rot) Available(c cluster.Cluster) error {
	return errors.Join(canDamage(c), f.Who.exist(c))
}

// Inject implements Fault.
func (f Rot) Inject(ctx context.Context, s *Site) (*Injection, error) {
	return f.Who.damage(ctx, s, "bytes_flipped", func(w Who) Fault { return Rot{f.Files, f.Bytes, w} },
		func(ctx context.Context, node string) (cluster.Receipt, error) {
			return s.Cluster.(cluster.Disker).Rot(ctx, node, f.Files, f.Bytes, s.Rand.Uint64())
		})
}
