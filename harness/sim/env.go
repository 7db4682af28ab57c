package sim

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/record"
)

// env is the world as one process sees it. It is of no use once that is dead.
type env struct {
	n    *machine
	boot string // "n1.3": the third process of n1
	born int64
	dead bool
}

var _ node.Env = (*env)(nil)

func newEnv(n *machine) *env {
	return &env{n: n, boot: n.name + "." + strconv.Itoa(n.boots), born: n.w.now}
}

// alive stops a dead process that goes on, because it recovered from the
// panic by which it died.
func (e *env) alive() {
	if e.dead {
		panic(crash{})
	}
}

// Self implements node.Env.
func (e *env) Self() string { return e.n.name }

// Peers implements node.Env.
func (e *env) Peers() []string { return e.n.w.spec.Nodes }

// Now implements node.Env.
func (e *env) Now() time.Duration {
	return time.Duration(e.n.clock.local(e.n.w.now - e.born))
}

// Wall implements node.Env.
func (e *env) Wall() time.Time {
	return started.Add(time.Duration(e.n.clock.offset + e.n.clock.local(e.n.w.now)))
}

// Rand implements node.Env.
func (e *env) Rand() *rand.Rand { return e.n.rand }

// Send implements node.Env.
func (e *env) Send(to string, m node.Message) {
	e.alive()
	w := e.n.w
	i, ok := w.index[to]
	if !ok || i == e.n.index {
		panic(fmt.Sprintf("sending to %q, which is no other node", to))
	}
	b, err := m.AppendBinary(w.scratch[:0])
	if err != nil {
		panic(fmt.Errorf("sending to %q: a message that cannot be encoded: %w", to, err))
	}
	w.scratch = b
	w.send(e.n, w.nodes[i], m, digest(b))
}

// SetTimer implements node.Env.
func (e *env) SetTimer(name string, d time.Duration) {
	e.alive()
	n := e.n
	i, ok := n.timerOf[name]
	if !ok {
		i = len(n.timers)
		n.timerOf[name] = i
		n.timers = append(n.timers, timer{name: name, digest: digestString(name)})
	}
	d = min(d, 2*timeMax)
	n.timers[i].set(n.w, n, i, n.w.now+n.clock.wait(n.w.now-e.born, int64(d)))
}

// StopTimer implements node.Env.
func (e *env) StopTimer(name string) {
	e.alive()
	if i, ok := e.n.timerOf[name]; ok {
		e.n.timers[i].armed = false
	}
}

// Reply implements node.Env.
func (e *env) Reply(id node.RequestID, r node.Response) {
	e.alive()
	n := e.n
	c, open := n.requests[id]
	switch {
	case open:
		delete(n.requests, id)
	case id == 0 || id > n.lastID:
		panic(fmt.Sprintf("answering request %d, which was never made", id))
	case id > n.floor:
		panic(fmt.Sprintf("answering request %d a second time", id))
	}
	x := digest(r.Body) + uint64(r.Status)
	n.w.note(kindReply, n.index, n.epoch, x)
	if c != nil {
		c.response = r
		c.back(n, kindResponse, x)
	}
}

// Disk implements node.Env.
func (e *env) Disk() node.Disk { return (*directory)(e) }

// Point implements node.Env.
func (e *env) Point(name string) {
	e.alive()
	e.n.w.reached(e.n, name)
}

// Observe implements node.Env.
func (e *env) Observe(fact node.Fact) {
	e.alive()
	w := e.n.w
	b, err := fact.AppendBinary(w.scratch[:0])
	if err != nil {
		panic(fmt.Errorf("observing a fact that cannot be encoded: %w", err))
	}
	w.scratch = b
	w.note(kindFact, e.n.index, e.n.epoch, digest(b))
	for _, m := range w.monitors {
		w.monitoring = true
		err := m.Observe(w.Now(), e.n.name, fact)
		w.monitoring = false
		if err != nil {
			w.found(e.n, m.Name(), err.Error())
		}
	}
}

// Record implements node.Env.
func (e *env) Record(event record.Event) {
	e.alive()
	e.n.record(event)
}

// Logf implements node.Env.
func (e *env) Logf(format string, args ...any) {
	e.n.log.printf(e.n.w.now, format, args...)
}
