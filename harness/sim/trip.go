package sim

import (
	"context"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/nearest"
)

// point is a named place in node programs.
type point struct {
	digest uint64
	count  int
	wires  []*wire // armed
}

func newPoint(name string) *point { return &point{digest: digestString(name)} }

// wire is an armed tripwire.
type wire struct {
	w       *world
	what    cluster.Tripwire
	left    int    // how many times more the point must be reached
	nodes   []bool // by index; nil for any
	tripped bool
	node    string // that tripped it
	waiters []waiter
}

// reached is called when a process reaches a point. It panics if the process
// is to die there.
func (w *world) reached(n *machine, name string) {
	p := w.points[name]
	if p == nil {
		p = newPoint(name)
		w.points[name] = p
	}
	p.count++
	w.note(kindPoint, n.index, n.epoch, p.digest)
	if len(p.wires) == 0 {
		return
	}
	kill := false
	for _, x := range p.wires {
		if x.touch(n) {
			kill = kill || x.what.Kill
		}
	}
	p.wires = slices.DeleteFunc(p.wires, func(x *wire) bool { return x.tripped })
	if kill {
		n.die("killed at point "+name, true)
		panic(crash{})
	}
}

// touch counts a node at the wire's point and reports whether that trips it.
func (x *wire) touch(n *machine) bool {
	if x.nodes != nil && !x.nodes[n.index] {
		return false
	}
	if x.left--; x.left > 0 {
		return false
	}
	x.tripped, x.node = true, n.name
	for _, v := range x.waiters {
		x.w.wake(v)
	}
	return true
}

// CanTrip implements cluster.Tripper.
func (w *world) CanTrip(point string) error {
	if known := w.target.Points(); !slices.Contains(known, point) {
		return fmt.Errorf("%s has no point %q%s", w.target.Name(), point, nearest.Hint(point, known))
	}
	return nil
}

// Trip implements cluster.Tripper. A wire without Kill is noticed by Await as
// soon as the program has returned from what it did at the point.
func (w *world) Trip(ctx context.Context, t cluster.Tripwire) (cluster.Wire, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if t.Nth < 1 {
		return nil, fmt.Errorf("tripwire at %q: the %d-th time: want at least 1", t.Point, t.Nth)
	}
	if err := w.CanTrip(t.Point); err != nil {
		return nil, fmt.Errorf("tripwire: %w", err)
	}
	x := &wire{w: w, what: t, left: t.Nth}
	if t.Nodes != nil {
		x.nodes = make([]bool, len(w.nodes))
		for _, name := range t.Nodes {
			n, err := w.machine(name)
			if err != nil {
				return nil, fmt.Errorf("tripwire at %q: %w", t.Point, err)
			}
			x.nodes[n.index] = true
		}
		if len(t.Nodes) == 0 {
			return nil, fmt.Errorf("tripwire at %q: an empty list of nodes: want nil for any, or at least one", t.Point)
		}
	}
	p := w.points[t.Point]
	p.wires = append(p.wires, x)
	return x, nil
}

// Await implements cluster.Wire.
func (x *wire) Await(ctx context.Context) (string, error) {
	for !x.tripped {
		v, err := x.w.begin(ctx)
		if err != nil {
			return "", err
		}
		x.waiters = append(x.waiters, v)
		if err := x.w.park(ctx, "a node at point", x.what.Point); err != nil && !x.tripped {
			return "", err
		}
	}
	return x.node, nil
}

// Disarm implements cluster.Wire.
func (x *wire) Disarm() {
	p := x.w.points[x.what.Point]
	p.wires = slices.DeleteFunc(p.wires, func(o *wire) bool { return o == x })
}

// Points implements cluster.Tracer. It lists the target's points, those that
// were never reached with zero.
func (w *world) Points() map[string]int {
	m := make(map[string]int, len(w.points))
	for name, p := range w.points {
		m[name] = p.count
	}
	return m
}
