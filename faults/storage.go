package faults

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
)

// canDamage says whether a cluster's disks can be damaged.
func canDamage(c cluster.Cluster) error {
	d, err := need[cluster.Disker](c, "damage disks")
	if err != nil {
		return err
	}
	return d.CanDamage()
}

// parsePattern checks a pattern of file names.
func parsePattern(s string) (string, error) {
	bad := fmt.Errorf("%q: expected a pattern of file names such as ckpt-* or *.log", s)
	if s == "" || len(s) > 128 {
		return "", bad
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '*' && c != '?' && c != '.' && c != '-' && c != '_' {
			return "", bad
		}
	}
	_, err := path.Match(s, "")
	return s, err
}

// damage does something to the disks of the victims that nothing undoes.
func (w Who) damage(ctx context.Context, s *Site, proof string, freeze func(Who) Fault, do func(ctx context.Context, node string) (cluster.Receipt, error)) (*Injection, error) {
	if err := canDamage(s.Cluster); err != nil {
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
	// Damage cannot be taken back: what was done before an error counts.
	r, err := each(do)(ctx, nodes)
	inj.receipt.Add(r)
	if err != nil && !inj.Bit(inj.receipt) {
		return nil, fmt.Errorf("%s: %w", inj.Frozen, err)
	}
	if err != nil {
		inj.receipt.Note("%v", err)
	}
	inj.heal = func(context.Context) (cluster.Receipt, error) { return cluster.Receipt{}, nil }
	return inj, nil
}

// Limits of what can be asked for.
const (
	rotMax      = 1_000_000
	slowDiskMax = 10 * time.Second
)

func parseCount(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%q: expected a number from 1 to %d", s, most)
	}
	return n, nil
}

// slowDown puts a delay on the victims' syncs.
func (w Who) slowDown(ctx context.Context, s *Site, delay time.Duration, freeze func(Who) Fault) (*Injection, error) {
	d, err := need[cluster.Disker](s.Cluster, "slow disks down")
	if err != nil {
		return nil, err
	}
	nodes, note, err := w.resolve(ctx, s)
	if err != nil {
		return nil, err
	}
	inj := &Injection{Nodes: nodes, Frozen: freeze(named(nodes)).String(), proof: "syncs_delayed"}
	if note != "" {
		inj.receipt.Note("%s", note)
	}
	var rules []cluster.Rule
	inj.heal = func(ctx context.Context) (sum cluster.Receipt, err error) {
		for _, rule := range rules {
			r, ruleErr := rule.Remove(ctx)
			sum.Add(r)
			err = errors.Join(err, ruleErr)
		}
		return sum, err
	}
	for _, n := range nodes {
		rule, err := d.SlowSync(ctx, n, delay)
		if err != nil {
			_, healErr := inj.heal(context.WithoutCancel(ctx))
			return nil, errors.Join(fmt.Errorf("%s: %w", inj.Frozen, err), healErr)
		}
		rules = append(rules, rule)
	}
	return inj, nil
}
