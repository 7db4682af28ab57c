package docker

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/nearest"
)

// Times of wires.
const (
	// wireRetry is the pause before a node that cannot be reached is tried
	// again. What a node reaches within so long after its start is missed.
	wireRetry = 10 * time.Millisecond
	// armMax is how long Trip waits until the nodes that run have the wire.
	armMax = 2 * time.Second
)

// pointer is a target whose programs have named points.
type pointer interface{ Points() []string }

// CanTrip implements cluster.Tripper.
func (c *Cluster) CanTrip(point string) error {
	var known []string
	if p, ok := c.target.(pointer); ok {
		known = p.Points()
	}
	for _, m := range c.machines {
		if _, ok := m.command.Ports[cluster.PointsPort]; !ok || len(known) == 0 {
			return fmt.Errorf("docker: a program of %s cannot be stopped at a point (%w): its nodes have no port for that", c.target.Name(), cluster.ErrUnavailable)
		}
	}
	if !slices.Contains(known, point) {
		return fmt.Errorf("%s has no point %q%s", c.target.Name(), point, nearest.Hint(point, known))
	}
	return nil
}

// wire is a cluster.Wire: a connection to each node that it concerns, through
// the agent, on which the node's process says that it stands at the point. The
// wire counts, and lets it go on, or kills it there.
type wire struct {
	c      *Cluster
	what   cluster.Tripwire
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when it was tripped
	arming sync.WaitGroup

	mu   sync.Mutex
	left int
	node string
	err  error
}

// Trip implements cluster.Tripper. It returns when all nodes that run have
// the wire.
func (c *Cluster) Trip(ctx context.Context, t cluster.Tripwire) (cluster.Wire, error) {
	if t.Nth < 1 {
		return nil, fmt.Errorf("docker: tripwire at %q: the %d-th time: want at least 1", t.Point, t.Nth)
	}
	if err := c.CanTrip(t.Point); err != nil {
		return nil, fmt.Errorf("docker: tripwire: %w", err)
	}
	names := t.Nodes
	if names == nil {
		names = c.spec.Nodes
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("docker: tripwire at %q: an empty list of nodes: want nil for any, or at least one", t.Point)
	}
	machines := make([]*machine, len(names))
	for i, name := range names {
		m, err := c.machine(name)
		if err != nil {
			return nil, fmt.Errorf("docker: tripwire at %q: %w", t.Point, err)
		}
		machines[i] = m
	}
	w := &wire{c: c, what: t, left: t.Nth, done: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancel(c.executor.ctx)
	for _, m := range machines {
		w.arming.Add(1)
		go w.watch(m, sync.OnceFunc(w.arming.Done))
	}
	armed := make(chan struct{})
	go func() { w.arming.Wait(); close(armed) }()
	limit := time.NewTimer(armMax)
	defer limit.Stop()
	select {
	case <-armed:
	case <-limit.C: // a node that is paused has it when it goes on
	case <-ctx.Done():
		w.cancel()
		return nil, ctx.Err()
	}
	return w, nil
}

// watch keeps the wire armed at one node, whatever happens to that.
func (w *wire) watch(m *machine, armed func()) {
	defer armed()
	port := m.command.Ports[cluster.PointsPort]
	for w.ctx.Err() == nil {
		if conn, err := m.agent.Dial(w.ctx, port); err == nil {
			stop := context.AfterFunc(w.ctx, func() { _ = conn.Close() })
			w.serve(m, conn, armed)
			stop()
			_ = conn.Close()
		}
		armed() // it is down, or was armed
		select {
		case <-w.ctx.Done():
		case <-w.done:
			return
		case <-time.After(wireRetry):
		}
	}
}

// serve answers one life of a node's process.
func (w *wire) serve(m *machine, conn net.Conn, armed func()) {
	if _, err := fmt.Fprintf(conn, "arm %s\n", w.what.Point); err != nil {
		return
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		verb, _, _ := strings.Cut(lines.Text(), " ")
		if verb == "armed" {
			armed()
			continue
		}
		tripped := w.touch(m.name)
		if tripped && w.what.Kill {
			w.kill(m)
			return
		}
		if tripped {
			close(w.done)
		}
		if _, err := fmt.Fprintln(conn, "go"); err != nil || tripped {
			return
		}
	}
}

// touch counts a node that stands at the point and reports whether that trips
// the wire.
func (w *wire) touch(node string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left == 0 {
		return false // tripped by another
	}
	if w.left--; w.left > 0 {
		return false
	}
	w.node = node
	return true
}

// kill kills the process that stands at the point.
func (w *wire) kill(m *machine) {
	m.mu.Lock()
	_, err := m.kill(w.c.executor.ctx)
	m.mu.Unlock()
	w.mu.Lock()
	w.err = err
	w.mu.Unlock()
	close(w.done)
}

// Await implements cluster.Wire.
func (w *wire) Await(ctx context.Context) (string, error) {
	select {
	case <-w.done:
	case <-ctx.Done():
		select {
		case <-w.done:
		default:
			return "", ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.node, w.err
}

// Disarm implements cluster.Wire.
func (w *wire) Disarm() { w.cancel() }
