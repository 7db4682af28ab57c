package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/cleancut/cleancut/harness/cluster"
)

// takeDown is what faults have in common that stop nodes and start them again.
type takeDown struct {
	fault func(Who) Fault
	down  func(ctx context.Context, nodes []string) (cluster.Receipt, error)
	up    starter
}

// takeDown stops the victims now and, when healed, starts those that no other
// fault holds down. A victim that was down already is held down: the receipt
// counts it as "held_down", which proves the effect as a kill does.
func (w Who) takeDown(ctx context.Context, s *Site, t takeDown) (*Injection, error) {
	nodes, note, err := w.resolve(ctx, s)
	if err != nil {
		return nil, err
	}
	defer s.lock(ctx)()
	inj := &Injection{Nodes: nodes, Frozen: t.fault(named(nodes)).String(), proof: "processes_stopped"}
	if note != "" {
		inj.receipt.Note("%s", note)
	}
	var running []string
	for _, n := range nodes {
		if s.holds.down[n] == 0 {
			running = append(running, n)
		}
	}
	var r cluster.Receipt
	if len(running) > 0 {
		r, err = t.down(ctx, running)
	}
	if err != nil {
		for _, n := range running { // leave nothing broken
			_, upErr := t.up(context.WithoutCancel(ctx), n)
			err = errors.Join(err, upErr)
		}
		return nil, fmt.Errorf("%s: %w", inj.Frozen, err)
	}
	if s.Seized && slices.Contains(running, s.Self) {
		r.Count("processes_killed", 1)
		r.Note("%s died at the trigger's point", s.Self)
	}
	inj.receipt.Add(r)
	if held := int64(len(nodes) - len(running)); held > 0 {
		inj.receipt.Count("held_down", held)
	}
	inj.receipt.Count("processes_stopped", r.Counts["processes_killed"]+int64(len(nodes)-len(running)))
	for _, n := range nodes {
		s.holds.down[n]++
	}
	for _, n := range running {
		s.holds.up[n] = t.up
	}
	inj.heal = func(ctx context.Context) (cluster.Receipt, error) { return s.bringUp(ctx, nodes) }
	return inj, nil
}

// bringUp releases the hold on nodes and starts those that nothing holds any
// more. A node that another fault keeps paused is paused again.
func (s *Site) bringUp(ctx context.Context, nodes []string) (r cluster.Receipt, err error) {
	defer s.lock(ctx)()
	for _, n := range nodes {
		if s.holds.down[n]--; s.holds.down[n] > 0 {
			r.Note("%s stays down: another fault holds it", n)
			continue
		}
		up, upErr := s.holds.up[n](ctx, n)
		r.Add(up)
		if errors.Is(upErr, cluster.ErrDown) {
			// It ran and died: by a trigger that struck meanwhile, whose fault
			// starts it again, or by itself, which checkers will see.
			r.Note("%v", upErr)
			continue
		}
		err = errors.Join(err, upErr)
		if p, ok := s.Cluster.(cluster.Pauser); ok && s.holds.paused[n] > 0 && upErr == nil {
			err = errors.Join(err, p.Pause(ctx, n))
		}
	}
	return r, err
}

// each does one node after the other and adds up the receipts.
func each(f func(context.Context, string) (cluster.Receipt, error)) func(context.Context, []string) (cluster.Receipt, error) {
	return func(ctx context.Context, nodes []string) (sum cluster.Receipt, err error) {
		for _, n := range nodes {
			r, nodeErr := f(ctx, n)
			sum.Add(r)
			err = errors.Join(err, nodeErr)
		}
		return sum, err
	}
}

// victimsOnly parses the arguments of a fault that takes nothing but victims.
func victimsOnly(make func(Who) Fault) func([]string) (Fault, error) {
	return func(args []string) (Fault, error) {
		if len(args) != 1 {
			return nil, fmt.Errorf("expected one argument, the victims, got %d", len(args))
		}
		w, err := parseWho(args[0])
		if err != nil {
			return nil, err
		}
		return make(w), nil
	}
}

func drawWho(r *rand.Rand, choices ...string) Who { return Who(choices[r.IntN(len(choices))]) }
