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

// Failure model: timing. Packets come late, and with jitter out of order.
var delayDefinition = Definition{
	Name: "delay", Model: history.Timing, Usage: "delay(50ms,20ms,all)",
	Doc:   "delays packets between the victims and all other nodes by a fixed time plus a random jitter",
	parse: parseDelay,
	draw: func(r *rand.Rand, nodes int) Fault {
		return Delay{
			time.Duration(10+r.IntN(140)) * time.Millisecond, time.Duration(r.IntN(150)) * time.Millisecond,
			drawWho(r, "leader", "all", "one", "minority"),
		}
	},
}

// Delay delays packets on the links of nodes.
type Delay struct {
	Fixed, Jitter time.Duration
	Who           Who
}

// Name implements Fault.
func (Delay) Name() string { return "delay" }

// Victims implements Fault.
func (f Delay) Victims() Who { return f.Who }

// String implements Fault.
func (f Delay) String() string { return fmt.Sprintf("delay(%v,%v,%s)", f.Fixed, f.Jitter, f.Who) }

func (f Delay) impairment() cluster.Impairment {
	return cluster.Impairment{Delay: f.Fixed, Jitter: f.Jitter}
}

// Available implements Fault.
func (f Delay) Available(c cluster.Cluster) error {
	return errors.Join(canImpair(c, f.impairment()), f.Who.exist(c))
}

// Inject implements Fault.
func (f Delay) Inject(ctx context.Context, s *Site) (*Injection, error) {
	return f.Who.impair(ctx, s, f.impairment(), "packets_delayed", func(w Who) Fault { return Delay{f.Fixed, f.Jitter, w} })
}

// delayMax bounds a delay: a longer one is a cut, and would need a queue
// without bound.
const delayMax = 10 * time.Second

func parseDelay(args []string) (Fault, error) {
	if len(args) != 3 {
		return nil, fmt.Errorf("expected delay, jitter and victims, as in delay(50ms,20ms,leader)")
	}
	var d [2]time.Duration
	for i := range d {
		var err error
		if d[i], err = time.ParseDuration(args[i]); err != nil || d[i] < 0 || d[i] > delayMax {
			return nil, fmt.Errorf("%q: expected a duration up to %v", args[i], delayMax)
		}
	}
	if d[0]+d[1] == 0 {
		return nil, fmt.Errorf("a delay of nothing delays nothing")
	}
	who, err := parseWho(args[2])
	return Delay{d[0], d[1], who}, err
}
