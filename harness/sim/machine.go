package sim

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/harness/rng"
)

// machine is a node: what outlives its processes, and the process that runs.
type machine struct {
	w     *world
	index int16
	name  string
	rand  *rand.Rand
	disk  *disk
	clock clock
	log   logRing

	// generation counts power losses and machine kills: messages in flight
	// to an older one are lost.
	generation uint32

	// epoch changes with every birth and death of a process: what was
	// scheduled for another one is void.
	epoch    uint32
	boots    int
	bootRand *rand.PCG
	booting  bool
	starters []waiter

	env     *env // of the process that runs, nil while none does
	program node.Program
	timers  []timer
	timerOf map[string]int
	pauses  []pause
	backlog []payload // what came in while the process was paused

	incarnation int         // as the record counts them
	recorded    record.Kind // the last event recorded, "" for none

	requests map[node.RequestID]*call // not answered yet; nil if the client gave up
	lastID   node.RequestID
	floor    node.RequestID // requests up to here are forgotten
}

func newMachine(w *world, index int, name string) *machine {
	seed := w.spec.Seed
	n := &machine{
		w: w, index: int16(index), name: name,
		rand:     rng.Stream(seed, "node/"+name),
		bootRand: rng.Source(seed, "boot/"+name),
		clock:    drawClock(rng.Source(seed, "clock/"+name), w.profile),
		timerOf:  map[string]int{},
		requests: map[node.RequestID]*call{},
	}
	n.log.limit = w.options.LogBytes
	n.disk = newDisk(n, rng.Source(seed, "disk/"+name))
	return n
}

func (n *machine) up() bool     { return n.env != nil }
func (n *machine) paused() bool { return len(n.pauses) > 0 && n.pauses[len(n.pauses)-1].open() }

// boot starts a process, which comes to life later.
func (n *machine) boot() {
	n.booting = true
	at := n.w.now + n.w.profile.Boot.draw(n.bootRand.Uint64())
	n.w.schedule(at, payload{kind: kindBoot, node: n.index, epoch: n.epoch})
}

// bootNow brings the process to life.
func (n *machine) bootNow() {
	w := n.w
	first := n.boots == 0
	program, err := w.target.Program(w.spec.Bug)
	if err != nil {
		w.fail(fmt.Errorf("target %q makes no program: %w", w.target.Name(), err))
		return
	}
	n.booting = false
	n.epoch++
	n.boots++
	n.program = program
	n.env = newEnv(n)
	n.lastID, n.floor = 0, 0
	n.log.printf(w.now, "=== boot %s", n.env.boot)
	n.run(payload{kind: kindBoot})
	for _, v := range n.starters {
		w.wake(v)
	}
	n.starters = n.starters[:0]
	if first {
		n.booted()
	}
}

// booted counts down to the start of the body.
func (n *machine) booted() {
	w := n.w
	if w.booting--; w.booting == 0 {
		w.body.queued = true
		w.ready.push(w.body)
	}
}

// arrive takes a message or a request from the network.
func (n *machine) arrive(p payload) {
	w := n.w
	switch {
	case p.epoch != n.generation:
		w.note(kindDrop, n.index, n.epoch, p.b)
	case n.up():
		n.accept(p)
	case p.kind == kindRequest:
		w.count(p.kind, n.index, n.epoch, p.b)
		p.ref.(*call).back(n, kindRefused, p.b)
	default:
		w.note(kindDrop, n.index, n.epoch, p.b)
	}
}

// accept handles an event of the process now, or when it is resumed.
func (n *machine) accept(p payload) {
	if n.paused() || len(n.backlog) > 0 {
		if len(n.backlog) < backlogMax {
			n.backlog = append(n.backlog, p)
		} else {
			n.w.note(kindDrop, n.index, n.epoch, p.b)
		}
		return
	}
	n.run(p)
}

// drain handles what came in during a pause, in order.
func (n *machine) drain() {
	for i := 0; i < len(n.backlog) && !n.paused(); i++ {
		p := n.backlog[i]
		n.backlog[i].kind = kindDrain // handled, should the process die or be paused in between
		n.run(p)
		if !n.up() {
			return // death has emptied the backlog
		}
	}
	n.backlog = slices.DeleteFunc(n.backlog, func(p payload) bool { return p.kind == kindDrain })
}

// run calls the program. It may die by a panic or at a point.
func (n *machine) run(p payload) {
	w := n.w
	defer n.guard()
	switch p.kind {
	case kindBoot:
		if err := n.program.Start(n.env); err != nil {
			w.found(n, "start", "the program cannot start: "+err.Error())
			n.die("start failed", true)
		}
	case kindMessage:
		w.count(p.kind, n.index, n.epoch, p.b)
		m := p.msg
		if w.options.CarryBytes {
			if m = n.carry(p); m == nil {
				return
			}
		}
		n.program.Receive(w.ends[p.from], m)
	case kindTimer:
		t := &n.timers[p.a]
		if !t.fire(w.now) {
			return
		}
		w.count(p.kind, n.index, n.epoch, t.digest)
		n.program.Timer(t.name)
	case kindSynced:
		w.count(p.kind, n.index, n.epoch, p.a)
		n.program.Synced(p.a, nil)
	case kindRequest:
		w.count(p.kind, n.index, n.epoch, p.b)
		n.request(p.ref.(*call))
	}
}

// carry returns a message as its receiver decodes it, or nil if it would be
// another one than was sent.
func (n *machine) carry(p payload) node.Message {
	var again []byte
	b, err := p.msg.AppendBinary(nil)
	if err == nil && digest(b) != p.b {
		n.w.found(n, "message", fmt.Sprintf("a message of %s was changed after it had been sent: %T", n.w.ends[p.from], p.msg))
		return nil
	}
	var m node.Message
	if err == nil {
		m, err = n.program.Decode(b)
	}
	if err == nil {
		again, err = m.AppendBinary(nil)
	}
	if err != nil || !bytes.Equal(b, again) {
		n.w.found(n, "message", fmt.Sprintf("a message of %s does not survive encoding and decoding: %T, %d bytes, then %d: %v",
			n.w.ends[p.from], p.msg, len(b), len(again), err))
		return nil
	}
	return m
}

// request hands a client's request to the program.
func (n *machine) request(c *call) {
	if len(n.requests) >= requestsMax {
		n.forget()
		if len(n.requests) >= requestsMax {
			c.back(n, kindRefused, 0)
			return
		}
	}
	n.lastID++
	c.id, c.epoch = n.lastID, n.epoch
	if c.gone {
		n.requests[c.id] = nil
	} else {
		n.requests[c.id] = c
	}
	n.program.Request(c.id, c.request)
}

// forget lets go of requests whose clients have given up.
func (n *machine) forget() {
	for id, c := range n.requests {
		if c == nil {
			delete(n.requests, id)
		}
	}
	n.floor = n.lastID
}

// crash is what a process panics with that dies at a point.
type crash struct{}

// guard ends a process that panicked. It is deferred around every call of a
// program.
func (n *machine) guard() {
	r := recover()
	if r == nil {
		return
	}
	if _, ok := r.(crash); ok {
		return // dead already
	}
	if n.w.monitoring {
		n.w.fail(fmt.Errorf("%w: a monitor panicked at %v: %v; at %s", ErrActivity, n.w.Now(), r, callers()))
		return
	}
	n.w.found(n, "panic", fmt.Sprintf("the program panicked: %v; at %s", r, callers()))
	n.die("panic", true)
}

// callers prints the functions on the stack of a panic, innermost first,
// without addresses: the text is the same in every run of one binary.
func callers() string {
	pcs := make([]uintptr, 48)
	frames := goruntime.CallersFrames(pcs[:goruntime.Callers(3, pcs)])
	var parts []string
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, "sim.(*machine).") || len(parts) == 12 {
			break
		}
		if !strings.HasPrefix(f.Function, "runtime.") {
			parts = append(parts, fmt.Sprintf("%s (%s:%d)", f.Function, filepath.Base(f.File), f.Line))
		}
		if !more {
			break
		}
	}
	return strings.Join(parts, " < ")
}

// die ends the process. Connections are reset if the machine lives on.
func (n *machine) die(cause string, reset bool) {
	w := n.w
	n.log.printf(w.now, "=== end of %s: %s", n.env.boot, cause)
	w.note(kindDeath, n.index, n.epoch, digestString(cause))
	n.recordCrash(cause)
	n.env.dead = true
	n.env, n.program = nil, nil
	n.epoch++
	for i := range n.timers {
		n.timers[i].forget()
	}
	for i := range n.pauses {
		n.pauses[i].close(w.now)
	}
	if reset {
		n.resetClients()
	}
	clear(n.backlog)
	n.backlog = n.backlog[:0]
	clear(n.requests)
}

// resetClients breaks the connections of clients that wait for an answer.
func (n *machine) resetClients() {
	ids := make([]node.RequestID, 0, len(n.requests))
	for id, c := range n.requests {
		if c != nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		n.requests[id].back(n, kindReset, 0)
	}
	for _, p := range n.backlog {
		if p.kind == kindRequest {
			p.ref.(*call).back(n, kindReset, 0)
		}
	}
}
