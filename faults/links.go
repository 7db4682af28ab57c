package faults

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/cleancut/cleancut/harness/cluster"
)

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
	nodes, note = s.hittable(ctx, w, nodes, note)
	inj := &Injection{Nodes: nodes, Frozen: freeze(named(nodes)).String(), proof: proof}
	if note != "" {
		inj.receipt.Note("%s", note)
	}
	links := Partition{Shape: Isolate}.victimLinks(s.Cluster.Nodes(), nodes)
	rule, err := s.Cluster.(cluster.Linker).Impair(ctx, links, i)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", inj.Frozen, err)
	}
	return inj, inj.prove(ctx, rule)
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
