package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
)

// Failure model: timing. The process is alive and does nothing, as under a
// long garbage collection or a live migration; peers see time-outs, not
// resets, and the node goes on with what it believed before.
var pauseDefinition = Definition{
	Name: "pause", Model: history.Timing, Usage: "pause(leader)",
	Doc:   "stops the victims' processes (SIGSTOP); healing lets them go on (SIGCONT)",
	parse: victimsOnly(func(w Who) Fault { return Pause{w} }),
	draw: func(r *rand.Rand, nodes int) Fault {
		return Pause{drawWho(r, "leader", "leader", "one", "minority", "followers")}
	},
}

// Pause stops processes of nodes and lets them go on when healed.
type Pause struct{ Who Who }

// Name implements Fault.
func (Pause) Name() string { return "pause" }

// Victims implements Fault.
func (f Pause) Victims() Who { return f.Who }

// String implements Fault.
func (f Pause) String() string { return fmt.Sprintf("pause(%s)", f.Who) }

// Available implements Fault.
func (f Pause) Available(c cluster.Cluster) error {
	_, err := need[cluster.Pauser](c, "pause processes")
	return errors.Join(err, f.Who.exist(c))
}

// Inject implements Fault. A node that is down is paused as soon as it comes
// up.
func (f Pause) Inject(ctx context.Context, s *Site) (*Injection, error) {
	p, err := need[cluster.Pauser](s.Cluster, "pause processes")
	if err != nil {
		return nil, err
	}
	nodes, note, err := f.Who.resolve(ctx, s)
	if err != nil {
		return nil, err
	}
	defer s.lock(ctx)()
	inj := &Injection{Nodes: nodes, Frozen: Pause{named(nodes)}.String(), proof: "processes_stopped"}
	if note != "" {
		inj.receipt.Note("%s", note)
	}
	for i, n := range nodes {
		if s.holds.down[n] == 0 && s.holds.paused[n] == 0 {
			err = p.Pause(ctx, n)
		}
		if err != nil {
			for _, m := range nodes[:i] {
				_, healErr := s.resume(context.WithoutCancel(ctx), p, m)
				err = errors.Join(err, healErr)
			}
			return nil, fmt.Errorf("%s: %w", inj.Frozen, err)
		}
		s.holds.paused[n]++
	}
	inj.heal = func(ctx context.Context) (sum cluster.Receipt, err error) {
		defer s.lock(ctx)()
		for _, n := range nodes {
			r, nodeErr := s.resume(ctx, p, n)
			sum.Add(r)
			err = errors.Join(err, nodeErr)
		}
		return sum, err
	}
	return inj, nil
}

// resume releases one hold on n and resumes it if it was the last. The caller
// holds the lock.
func (s *Site) resume(ctx context.Context, p cluster.Pauser, n string) (r cluster.Receipt, err error) {
	if s.holds.paused[n]--; s.holds.paused[n] > 0 {
		r.Note("%s stays paused: another fault holds it", n)
		r.Count("processes_stopped", 1)
		return r, nil
	}
	if s.holds.down[n] > 0 {
		r.Note("%s is held down by another fault", n)
		r.Count("processes_stopped", 1)
		return r, nil
	}
	r, err = p.Resume(ctx, n)
	r.Count("processes_stopped", r.Counts["pauses"])
	return r, err
}
