package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/record"
)

// world is one simulation: everything that there is in it, and the scheduler.
// It is the cluster.Cluster that the body gets.
type world struct {
	spec    cluster.Spec
	target  cluster.Simulated
	options Options
	profile *Profile

	now    int64 // nanoseconds since the run began
	agenda agenda
	trace  trace

	nodes   []*machine
	index   map[string]int16
	ends    []string // names of the nodes, then cluster.ClientEnd
	links   []link   // by sender and receiver: see link
	rules   []*rule  // in force
	clients map[string]*client
	points  map[string]*point

	monitors   []node.Monitor
	monitoring bool // a monitor is running: a panic is its own
	findings   []node.Finding
	recorded   []record.Event
	unrecorded int // events beyond the bound

	tasks   []*task
	gone    int // tasks that are done and still in tasks
	spawned uint64
	ready   queue
	current *task
	foreign []waiter // parked under contexts other than their own

	outer    context.Context // the caller's
	root     context.Context // the activities'
	cancel   context.CancelCauseFunc
	canceled bool // outer's cancellation was passed on
	body     *task
	bodyErr  error
	booting  int // nodes whose first boot is outstanding
	fatal    error
	ended    bool
	scratch  []byte
}

var (
	_ cluster.Cluster     = (*world)(nil)
	_ cluster.Crasher     = (*world)(nil)
	_ cluster.PowerCutter = (*world)(nil)
	_ cluster.Rebooter    = (*world)(nil)
	_ cluster.Pauser      = (*world)(nil)
	_ cluster.Linker      = (*world)(nil)
	_ cluster.Tripper     = (*world)(nil)
	_ cluster.Observer    = (*world)(nil)
	_ cluster.Tracer      = (*world)(nil)
	_ cluster.Recorder    = (*world)(nil)
	_ cluster.Grouper     = (*world)(nil)
	_ cluster.Disker      = (*world)(nil)
	_ Checkpointer        = (*world)(nil)
)

func newWorld(ctx context.Context, spec cluster.Spec, target cluster.Simulated, o Options) *world {
	w := &world{
		spec: spec, target: target, options: o, profile: o.Profile,
		index:   map[string]int16{},
		ends:    append(slices.Clone(spec.Nodes), cluster.ClientEnd),
		clients: map[string]*client{},
		points:  map[string]*point{},
		outer:   ctx,
	}
	w.root, w.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	w.trace.window, w.trace.names = o.Trace, w.ends
	w.links = make([]link, len(w.ends)*len(w.ends))
	for i := range w.links {
		w.links[i].from, w.links[i].to = int16(i/len(w.ends)), int16(i%len(w.ends))
	}
	for i, name := range spec.Nodes {
		w.index[name] = int16(i)
		w.nodes = append(w.nodes, newMachine(w, i, name))
	}
	for _, name := range target.Points() {
		w.points[name] = newPoint(name)
	}
	w.monitors = target.Monitors(w.Nodes())
	w.trace.record(0, kindBoot, -1, 0, digest(binary.BigEndian.AppendUint64(nil, spec.Seed)))
	w.trace.record(0, kindBoot, -1, 0, digestString(strings.Join(spec.Nodes, " ")+" "+spec.Bug))
	return w
}

// start schedules the first boots; the body runs when all nodes have booted.
func (w *world) start(body func(context.Context, cluster.Cluster) error) {
	w.body = w.newTask("body", func(ctx context.Context) { w.bodyErr = body(ctx, w) })
	w.booting = len(w.nodes)
	for _, n := range w.nodes {
		n.boot()
	}
}

// pollEvery is how many steps pass between two looks at the caller's context.
const pollEvery = 1024

// loop runs until the body has returned or the run has failed.
func (w *world) loop() {
	for step := 0; !w.body.done && w.fatal == nil; step++ {
		if step%pollEvery == 0 {
			w.poll()
		}
		if w.trace.events >= w.options.Events {
			w.fail(fmt.Errorf("%w: %d events at %v%s", ErrLimit, w.options.Events, w.Now(), w.waiting()))
			return
		}
		if t := w.ready.pop(); t != nil {
			w.resume(t)
			continue
		}
		if len(w.agenda.heap) == 0 {
			w.fail(fmt.Errorf("%w at %v: nothing is left to happen%s", ErrDeadlock, w.Now(), w.waiting()))
			return
		}
		if at := w.agenda.heap[0].at; at > int64(w.options.Time) {
			w.fail(fmt.Errorf("%w: %v of virtual time%s", ErrLimit, w.options.Time, w.waiting()))
			return
		}
		at, p := w.agenda.pop()
		w.now = at
		w.dispatch(p)
	}
}

// poll passes the cancellation of the caller's context on.
func (w *world) poll() {
	if w.canceled || w.outer.Err() == nil {
		return
	}
	w.canceled = true
	w.cancel(context.Cause(w.outer))
	w.wakeCanceled()
}

// fail ends the run. The first failure stands.
func (w *world) fail(err error) {
	if w.fatal == nil {
		w.fatal = err
	}
}

// schedule puts an event on the agenda.
func (w *world) schedule(at int64, p payload) {
	if w.agenda.full() {
		w.fail(fmt.Errorf("%w: %d events are scheduled at once at %v", ErrLimit, pendingMax, w.Now()))
		return
	}
	w.agenda.push(at, p)
}

// dispatch makes an event happen, unless it has become void.
func (w *world) dispatch(p payload) {
	switch p.kind {
	case kindWake:
		w.wake(waiter{p.ref.(*task), p.a})
		return
	case kindResponse, kindRefused, kindReset:
		w.count(p.kind, p.from, p.epoch, p.b)
		w.link(p.from, w.clientEnd()).inflight--
		p.ref.(*call).settle(p.kind)
		return
	}
	n := w.nodes[p.node]
	switch p.kind {
	case kindBoot:
		if p.epoch == n.epoch {
			w.count(p.kind, p.node, p.epoch, 0)
			n.bootNow()
		}
	case kindMessage:
		w.link(p.from, p.node).inflight--
		n.arrive(p)
	case kindRequest:
		w.link(w.clientEnd(), p.node).inflight--
		n.arrive(p)
	case kindSynced:
		n.disk.synced(p)
		if p.epoch == n.epoch {
			n.accept(p)
		}
	case kindTimer:
		if p.epoch == n.epoch && n.timers[p.a].due(w, n, p) {
			n.accept(p)
		}
	case kindDrain:
		n.drain()
	}
}

// count enters an event into the trace.
func (w *world) count(k kind, node int16, epoch uint32, x uint64) {
	w.trace.event(w.now)
	w.trace.record(w.now, k, node, epoch, x)
}

// note enters something that happened within an event into the trace.
func (w *world) note(k kind, node int16, epoch uint32, x uint64) {
	w.trace.record(w.now, k, node, epoch, x)
}

func (w *world) clientEnd() int16 { return int16(len(w.nodes)) }

// machine finds a node by name.
func (w *world) machine(name string) (*machine, error) {
	i, ok := w.index[name]
	if !ok {
		return nil, fmt.Errorf("%q: %w; there are %s", name, cluster.ErrNoNode, strings.Join(w.spec.Nodes, ", "))
	}
	return w.nodes[i], nil
}

// found keeps a finding, as long as there is room or it is the first of its
// kind: a crash loop must not hide what an invariant found.
func (w *world) found(n *machine, invariant, text string) {
	n.log.printf(w.now, "!!! %s: %s", invariant, text)
	same := func(f node.Finding) bool { return f.Invariant == invariant }
	if len(w.findings) < w.options.Findings || !slices.ContainsFunc(w.findings, same) {
		w.findings = append(w.findings, node.Finding{At: w.Now(), Node: n.name, Invariant: invariant, Text: text})
	}
}

// Groups implements cluster.Grouper.
func (w *world) Groups() []cluster.Group { return cluster.GroupsOf(w.target, w.spec.Nodes) }

// Runtime implements cluster.Cluster.
func (w *world) Runtime() string { return Name }

// Nodes implements cluster.Cluster.
func (w *world) Nodes() []string { return slices.Clone(w.spec.Nodes) }

// Now implements cluster.Executor.
func (w *world) Now() time.Duration { return time.Duration(w.now) }

// Findings implements cluster.Observer.
func (w *world) Findings() []node.Finding { return slices.Clone(w.findings) }

// TraceHash implements cluster.Tracer.
func (w *world) TraceHash() string { return w.trace.hash() }

// Events implements cluster.Tracer.
func (w *world) Events() uint64 { return w.trace.events }

// Checkpoints implements Checkpointer.
func (w *world) Checkpoints() []Checkpoint { return w.trace.list() }
