package sim

import (
	"context"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/harness/cluster"
)

// Kill implements cluster.Crasher. The process dies between two events; its
// unsynced writes stay readable for the next one, and are still lost should
// the power fail. Messages in flight survive it, clients that wait for an
// answer see their connection reset.
func (w *world) Kill(ctx context.Context, name string) (cluster.Receipt, error) {
	var r cluster.Receipt
	n, err := w.machine(name)
	if err != nil {
		return r, err
	}
	if err := ctx.Err(); err != nil {
		return r, err
	}
	n.kill(&r, "killed", true)
	return r, nil
}

// kill ends the process, or its birth, if there is one.
func (n *machine) kill(r *cluster.Receipt, cause string, reset bool) {
	switch {
	case n.up():
		r.Count("processes_killed", 1)
		r.Note("%s was killed", n.env.boot)
		n.die(cause, reset)
	case n.booting:
		r.Count("processes_killed", 1)
		r.Note("%s was killed while it started", n.name)
		n.epoch++
		n.booting = false
		for _, v := range n.starters {
			n.w.wake(v)
		}
		n.starters = n.starters[:0]
	default:
		r.Note("%s was down", n.name)
	}
}

// Start implements cluster.Crasher.
func (w *world) Start(ctx context.Context, name string) (cluster.Receipt, error) {
	var r cluster.Receipt
	n, err := w.machine(name)
	if err != nil {
		return r, err
	}
	if n.up() {
		r.Note("%s was running", n.env.boot)
		return r, nil
	}
	v, err := w.begin(ctx)
	if err != nil {
		return r, err
	}
	before := n.boots
	if !n.booting {
		n.boot()
	}
	n.starters = append(n.starters, v)
	if err := w.park(ctx, "the start of", name); err != nil {
		return r, err
	}
	if n.boots > before {
		r.Count("boots", 1)
		r.Note("%s.%d after %s.%d", n.name, n.boots, n.name, before)
	}
	if !n.up() {
		return r, fmt.Errorf("%s was started and is down again, see its log: %w", name, cluster.ErrDown)
	}
	return r, nil
}

// CutPower implements cluster.PowerCutter. Naming a node twice is the same as
// naming it once. Unsynced writes of nodes whose process was dead are lost as
// well. Messages in flight to the nodes are lost.
func (w *world) CutPower(ctx context.Context, names []string) (cluster.Receipt, error) {
	var r cluster.Receipt
	if len(names) == 0 {
		return r, fmt.Errorf("cutting the power of no node: want at least one of %v", w.spec.Nodes)
	}
	if err := ctx.Err(); err != nil {
		return r, err
	}
	hit := make([]bool, len(w.nodes))
	for _, name := range names {
		n, err := w.machine(name)
		if err != nil {
			return r, err
		}
		hit[n.index] = true
	}
	for i, n := range w.nodes {
		if hit[i] {
			n.powerOff(&r)
		}
	}
	return r, nil
}

// powerOff takes a machine's power.
func (n *machine) powerOff(r *cluster.Receipt) {
	n.kill(r, "power lost", false)
	n.generation++
	r.Count("bytes_discarded", n.disk.losePower())
	n.log.printf(n.w.now, "=== power lost")
}

// KillMachine implements cluster.Rebooter. A machine that goes away takes its
// page cache with it: this is a power loss of that node.
func (w *world) KillMachine(ctx context.Context, name string) (cluster.Receipt, error) {
	return w.CutPower(ctx, []string{name})
}

// StartMachine implements cluster.Rebooter.
func (w *world) StartMachine(ctx context.Context, name string) (cluster.Receipt, error) {
	return w.Start(ctx, name)
}

// pause is a stretch of time for which a process was stopped.
type pause struct{ from, to int64 }

const stillOpen = -1

func (p *pause) open() bool { return p.to == stillOpen }

func (p *pause) close(now int64) {
	if p.open() {
		p.to = now
	}
}

// Pause implements cluster.Pauser. Pauses nest: the process goes on when all
// have been resumed. A process that is killed while paused ends them.
func (w *world) Pause(ctx context.Context, name string) error {
	n, err := w.machine(name)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !n.up() {
		return fmt.Errorf("pausing %s: %w", name, cluster.ErrDown)
	}
	w.note(kindPause, n.index, n.epoch, 1)
	n.pauses = append(n.pauses, pause{w.now, stillOpen})
	return nil
}

// Resume implements cluster.Pauser. It ends the oldest pause in force, else it
// accounts for the oldest that ended with its process; without either its
// receipt counts nothing. It works after the context is canceled, so that a
// run that was interrupted heals.
func (w *world) Resume(_ context.Context, name string) (cluster.Receipt, error) {
	var r cluster.Receipt
	n, err := w.machine(name)
	if err != nil {
		return r, err
	}
	if len(n.pauses) == 0 {
		r.Note("%s was not paused", name)
		return r, nil
	}
	i := max(0, slices.IndexFunc(n.pauses, func(p pause) bool { return p.open() }))
	p := n.pauses[i]
	n.pauses = slices.Delete(n.pauses, i, i+1)
	p.close(w.now)
	r.Count("pauses", 1)
	r.Count("milliseconds_paused", (p.to-p.from)/1e6)
	w.note(kindPause, n.index, n.epoch, 0)
	if n.up() && !n.paused() && len(n.backlog) > 0 {
		w.schedule(w.now, payload{kind: kindDrain, node: n.index})
	}
	return r, nil
}
