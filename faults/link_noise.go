package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
)

// Failure model: omission, with a probability.
var lossDefinition = Definition{
	Name: "loss", Model: Omission, Usage: "loss(20%,leader)",
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

// Failure model: timing. Packets come late, and with jitter out of order.
var delayDefinition = Definition{
	Name: "delay", Model: Timing, Usage: "delay(50ms,20ms,all)",
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

// Failure model: timing. A packet arrives twice, as after a spurious
// retransmission below the transport.
var duplicateDefinition = Definition{
	Name: "duplicate", Model: Timing, Usage: "duplicate(30%,all)",
	Doc: "delivers packets between the victims and all other nodes twice, with a probability",
	parse: func(args []string) (Fault, error) {
		p, who, err := parseShare(args)
		return Duplicate{p, who}, err
	},
	draw: func(r *rand.Rand, nodes int) Fault {
		return Duplicate{150_000 + 50_000*r.IntN(8), drawWho(r, "leader", "all", "one")}
	},
}

// Duplicate delivers packets on the links of nodes twice.
type Duplicate struct {
	Millionths int // probability
	Who        Who
}

// Name implements Fault.
func (Duplicate) Name() string { return "duplicate" }

// Victims implements Fault.
func (f Duplicate) Victims() Who { return f.Who }

// String implements Fault.
func (f Duplicate) String() string {
	return fmt.Sprintf("duplicate(%s,%s)", percent(f.Millionths), f.Who)
}

func (f Duplicate) impairment() cluster.Impairment {
	return cluster.Impairment{Duplicate: f.Millionths}
}

// Available implements Fault.
func (f Duplicate) Available(c cluster.Cluster) error {
	return errors.Join(canImpair(c, f.impairment()), f.Who.exist(c))
}

// Inject implements Fault.
func (f Duplicate) Inject(ctx context.Context, s *Site) (*Injection, error) {
	return f.Who.impair(ctx, s, f.impairment(), "packets_duplicated", func(w Who) Fault { return Duplicate{f.Millionths, w} })
}

func canImpair(c cluster.Cluster, i cluster.Impairment) error {
	if len(c.Nodes()) < 2 {
		return fmt.Errorf("impairing links needs two nodes or more, this cluster has %d: %w", len(c.Nodes()), cluster.ErrUnavailable)
	}
	l, err := need[cluster.Linker](c, "impair links")
	if err != nil {
		return err
	}
	return l.CanImpair(i)
}

// impair puts an impairment on all links between the victims and other nodes.
func (w Who) impair(ctx context.Context, s *Site, i cluster.Impairment, proof string, freeze func(Who) Fault) (*Injection, error) {
	if err := canImpair(s.Cluster, i); err != nil {
		return nil, err
	}
	nodes, note, err := w.resolve(ctx, s)
	if err != nil {
		return nil, err
	}
	inj := &Injection{Nodes: nodes, Frozen: freeze(named(nodes)).String(), proof: proof}
	if note != "" {
		inj.receipt.Note("%s", note)
	}
	links := Partition{Shape: Isolate}.victimLinks(s.Cluster.Nodes(), nodes)
	rule, err := s.Cluster.(cluster.Linker).Impair(ctx, links, i)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", inj.Frozen, err)
	}
	inj.heal = rule.Remove
	return inj, nil
}

func parseShare(args []string) (millionths int, w Who, err error) {
	if len(args) != 2 {
		return 0, "", fmt.Errorf("expected a share and victims, as in 20%%,leader")
	}
	if millionths, err = parsePercent(args[0]); err != nil {
		return 0, "", err
	}
	w, err = parseWho(args[1])
	return millionths, w, err
}

// parsePercent reads "20%" or "0.05%", exactly, into millionths.
func parsePercent(s string) (int, error) {
	bad := fmt.Errorf("%q: expected a share above 0%% and up to 100%%, in steps of 0.0001%%", s)
	number, ok := strings.CutSuffix(s, "%")
	whole, fraction, _ := strings.Cut(number, ".")
	if !ok || len(whole) > 3 || len(fraction) > 4 {
		return 0, bad
	}
	n, err := strconv.ParseUint(whole+fraction+strings.Repeat("0", 4-len(fraction)), 10, 32)
	if err != nil || whole == "" || n == 0 || n > cluster.Million {
		return 0, bad
	}
	return int(n), nil
}

// percent is the inverse of parsePercent.
func percent(millionths int) string {
	s := fmt.Sprintf("%d.%04d", millionths/10_000, millionths%10_000)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") + "%"
}
