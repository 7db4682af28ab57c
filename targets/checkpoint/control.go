package checkpoint

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/workloads/jobs"
)

// controlTimer drives the coordinator.
const controlTimer = "control"

// firstEpoch is that in which the workers begin to compute.
const firstEpoch = 1

// controlTick is how often it looks around.
const controlTick = 50 * time.Millisecond

// control is a control node: a replica of the store, and, while that leads,
// the coordinator.
type control struct {
	cfg     Config
	env     node.Env
	workers []string
	replica *replica
	vault   vault
	book    book
	links   links
	owner   string // this process, as an owner of the ledger
	noted   int    // epoch of the last recovery that this process has recorded

	// What follows is the coordinator's, and void unless active.
	active   bool
	reading  bool // the ledger is being read, to take over
	ledger   ledger
	at       string  // the ledger's root in the store
	change   *change // on its way, nil if none
	since    time.Duration
	members  []member
	began    time.Duration // the round under way
	next     time.Duration // when the next round is due
	fallback *fallback     // under way, nil if none
	settled  int           // round that began when all workers were final, 0 for none
	finished bool          // and that was committed: results are final
	sinks    map[string][][]byte
	shown    map[string]bool     // outputs that this process has recorded as visible
	logs     map[string]*sinkLog // by worker: what a sink without rounds has of it
	known    []int               // by worker: its newest checkpoint of which it knows that it counts
	unknown  bool                // known has not been looked at yet
	garbage  []garbage
	listings []listing // checkpoints that wait for the catalogue
}

// member is what the coordinator knows of a worker.
type member struct {
	beat  beat
	heard time.Duration // when, 0 for never
	gone  map[uint64]bool
}

// change is a change of the ledger that is on its way to the store.
type change struct {
	to   ledger
	as   image
	then func()
	sent time.Duration
	busy bool
}

func newControl(cfg Config, env node.Env, peers, workers []string) (*control, error) {
	c := &control{cfg: cfg, env: env, workers: workers}
	var err error
	if c.replica, err = newReplica(cfg.Store, env, peers); err != nil {
		return nil, err
	}
	c.vault = vault{c.replica}
	job, err := jobs.Lookup(cfg.Job)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	c.links = linksOf(job, len(workers))
	c.owner = env.Self() + "." + strconv.FormatUint(env.Rand().Uint64(), 16)
	c.book = book{shelf: c.vault, owner: c.owner}
	env.SetTimer(controlTimer, controlTick)
	return c, nil
}

func (c *control) note(e record.Event) {
	e.Epoch = c.ledger.Epoch
	c.env.Record(e)
}

// timer is called at every controlTick.
func (c *control) timer() {
	c.env.SetTimer(controlTimer, controlTick)
	switch {
	case !c.replica.leads():
		c.stepDown("another control node leads")
	case !c.active:
		c.takeOver()
	case c.change != nil:
		c.try()
	default:
		c.supervise()
		c.sweep()
		c.settleKnown()
	}
}

func (c *control) stepDown(why string) {
	if c.active {
		c.env.Logf("no longer the coordinator: %s", why)
	}
	c.active, c.change, c.fallback = false, nil, nil
}

// takeOver makes this node the coordinator: it reads the ledger and puts its
// own name into it.
func (c *control) takeOver() {
	if c.reading {
		return
	}
	c.reading = true
	c.book.read(func(at string, l ledger, err error) {
		c.reading = false
		if err != nil && !errors.Is(err, errUnread) {
			c.env.Logf("%v", err)
		}
		if err != nil {
			return // the next tick tries again
		}
		next := l.clone()
		next.Version++
		next.Owner, next.Pending = c.owner, 0
		m := c.book.lay(next)
		c.book.write(at, m, func(f fate) {
			if f == done && c.replica.leads() {
				c.book.drop(at)
				c.begin(next, m.root, l.Pending)
			}
		})
	})
}

// begin is called when the ledger is this node's.
func (c *control) begin(l ledger, at string, aborted int) {
	now := c.env.Now()
	c.env.Logf("coordinator from version %d on: epoch %d, round %d committed", l.Version, l.Epoch, l.newest())
	c.active, c.ledger, c.at, c.change, c.fallback = true, l, at, nil, nil
	c.since, c.next = now, now+c.cfg.Interval
	c.members = make([]member, len(c.workers))
	for i := range c.members {
		c.members[i].gone = map[uint64]bool{}
	}
	c.settled, c.finished, c.sinks, c.shown, c.garbage = 0, false, map[string][][]byte{}, map[string]bool{}, nil
	c.listings = nil
	c.logs, c.known = map[string]*sinkLog{}, make([]int, len(c.workers))
	if aborted != 0 {
		c.note(record.Event{Kind: record.RoundAbort, Round: aborted, Reason: "the coordinator was replaced"})
	}
	if round := l.newest(); round != 0 {
		// Whoever committed it may have died before it could say so.
		c.note(record.Event{Kind: record.RoundCommit, Round: round, Line: c.line(round)})
	}
	c.env.Point("coordinator.elected")
	switch {
	case l.Phase == recovering && solo(c.cfg.Protocol):
		c.gather(nil, garbage{})
	case l.Phase == recovering:
		// It goes on as it is. Whoever decided it may have died before it could
		// say so.
		c.noteRecovery(nil)
		c.broadcast()
	default:
		c.broadcast()
	}
}

// decide changes the ledger, and then, once that is durable, acts. There is
// one change at a time; callers look at c.change before.
func (c *control) decide(edit func(*ledger), then func()) {
	to := c.ledger.clone()
	edit(&to)
	to.Version++
	c.change = &change{to: to, as: c.book.lay(to), then: then}
	c.try()
}

// try sends the change to the store, again if it is not known what became of
// it before.
func (c *control) try() {
	ch := c.change
	if ch.busy {
		return
	}
	ch.busy, ch.sent = true, c.env.Now()
	c.book.write(c.at, ch.as, func(f fate) {
		ch.busy = false
		switch {
		case c.change != ch:
		case f == mismatch:
			c.stepDown("the ledger has another owner")
		case f == done:
			c.book.drop(c.at)
			c.change = nil
			c.ledger, c.at = ch.to, ch.as.root
			ch.then()
			c.broadcast()
		}
	})
}

// broadcast sends the order to all workers.
func (c *control) broadcast() {
	if !c.active || c.ledger.Epoch == 0 {
		return
	}
	for i, w := range c.workers {
		c.env.Send(w, Message{kind: orderMessage, body: c.ledger.order(c.links, i).append(nil)})
	}
}

// receive handles a message of a worker.
func (c *control) receive(from string, m Message) {
	if m.kind == storeMessage {
		c.replica.within(func() { c.replica.program.Receive(from, m.inner) })
		return
	}
	i := slices.Index(c.workers, from)
	if i < 0 || !c.active {
		return
	}
	switch m.kind {
	case beatMessage:
		if t, err := decodeBeat(m.body); err == nil && c.hear(i, t) && c.ledger.Epoch > 0 {
			c.env.Send(from, Message{kind: orderMessage, body: c.ledger.order(c.links, i).append(nil)})
		}
	case callMessage:
		if q, err := decodeCall(m.body); err == nil {
			c.serve(i, m.seq, q)
		}
	default:
		c.env.Logf("dropped a message of kind %d from %s: not for a control node", m.kind, from)
	}
}

// hear takes a beat; it reports false for one that is out of date.
func (c *control) hear(i int, t beat) bool {
	m := &c.members[i]
	switch {
	case m.gone[t.boot], m.heard != 0 && m.beat.boot == t.boot && m.beat.number >= t.number:
		return false
	case m.heard != 0 && m.beat.boot != t.boot:
		m.gone[m.beat.boot] = true
	}
	m.beat, m.heard = t, max(1, c.env.Now())
	if t.known > c.known[i] {
		c.known[i], c.unknown = t.known, true
	}
	return true
}

// silent tells that a worker has not been heard of for too long.
func (c *control) silent(i int) bool {
	last := max(c.members[i].heard, c.since)
	return c.env.Now()-last >= c.cfg.SuspectAfter
}

// failed lists the workers that must be set back: they have lost their state,
// or nothing is heard of them.
func (c *control) failed() (names []string) {
	for i, m := range c.members {
		lost := m.heard != 0 && (m.beat.epoch != c.ledger.Epoch || m.beat.state != running && m.beat.state != restored ||
			c.ledger.Boots != nil && m.beat.boot != c.ledger.Boots[i])
		if lost || c.silent(i) {
			names = append(names, c.workers[i])
		}
	}
	return names
}

// all tells that a condition holds for every worker, each of which was heard
// of in this epoch.
func (c *control) all(holds func(beat) bool) bool {
	for _, m := range c.members {
		if m.heard == 0 || m.beat.epoch != c.ledger.Epoch || !holds(m.beat) {
			return false
		}
	}
	return true
}

// line names the checkpoint of a round of every worker.
func (c *control) line(round int) map[string]string {
	line := make(map[string]string, len(c.workers))
	for _, w := range c.workers {
		line[w] = checkpointID(w, round)
	}
	return line
}

// supervise decides what is to be decided now.
func (c *control) supervise() {
	if solo(c.cfg.Protocol) {
		c.superviseSolo()
		return
	}
	switch c.ledger.Phase {
	case recovering:
		c.watchRecovery()
	case computing:
		failed := c.failed()
		switch {
		case c.cfg.Bug == wedgeOnDead && c.ledger.Pending != 0:
			c.watchRound()
		case len(failed) > 0:
			c.recover(failed, c.target(), nil)
		case c.ledger.Pending != 0:
			c.watchRound()
		case c.env.Now() >= c.next:
			c.beginRound()
		}
	}
}

// target is the round that a recovery begins with.
func (c *control) target() int {
	if c.cfg.Bug == latestByName {
		return max(c.ledger.newest(), c.ledger.Pending)
	}
	return c.ledger.newest()
}

// beginRound begins a round if all workers compute and have heard of the
// round before.
func (c *control) beginRound() {
	if !c.all(func(t beat) bool { return t.state == running && t.version >= c.ledger.Version }) {
		return
	}
	round := c.ledger.Begun + 1
	final := c.all(func(t beat) bool { return t.final })
	c.decide(func(l *ledger) { l.Begun, l.Pending = round, round }, func() {
		c.began, c.next = c.env.Now(), c.env.Now()+c.cfg.Interval
		if c.settled == 0 && final {
			c.settled = round
		}
		c.note(record.Event{Kind: record.RoundBegin, Round: round})
		c.env.Point("round.begin")
	})
}

// watchRound commits the round under way when all parts are durable, and
// aborts it when that takes too long.
func (c *control) watchRound() {
	round := c.ledger.Pending
	durable := 0
	for _, m := range c.members {
		if m.heard != 0 && m.beat.epoch == c.ledger.Epoch && m.beat.done == round {
			durable++
		}
	}
	failed := slices.ContainsFunc(c.members, func(m member) bool { return m.beat.failed == round })
	switch {
	case durable == len(c.workers), c.cfg.Bug == manifestEarly && durable == len(c.workers)-1:
		c.commit(round)
	case failed:
		c.abort(round, "a part could not be saved")
	case c.env.Now()-c.began >= c.cfg.RoundTimeout && c.cfg.Bug != wedgeOnDead:
		c.abort(round, fmt.Sprintf("%d of %d parts were durable after %v", durable, len(c.workers), c.cfg.RoundTimeout))
	}
}

func (c *control) commit(round int) {
	var dropped []int
	c.env.Point("round.commit.before")
	c.decide(func(l *ledger) {
		l.Pending = 0
		l.Committed = append(l.Committed, round)
		if n := len(l.Committed) - c.cfg.Retain; n > 0 {
			dropped = slices.Clone(l.Committed[:n])
			l.Committed = l.Committed[n:]
			l.Trimmed = dropped[n-1]
		}
	}, func() {
		c.note(record.Event{Kind: record.RoundCommit, Round: round, Line: c.line(round)})
		if c.settled != 0 && round >= c.settled {
			c.finished = true
		}
		c.discard(dropped...)
		c.env.Point("round.commit.after")
	})
}

func (c *control) abort(round int, why string) {
	c.decide(func(l *ledger) { l.Pending = 0 }, func() {
		c.note(record.Event{Kind: record.RoundAbort, Round: round, Reason: why})
		if c.settled == round {
			c.settled = 0
		}
		c.discard(round)
	})
}

// recover begins a new epoch: everybody restores a round. It may be the
// outcome of falling back behind another round.
func (c *control) recover(failed []string, target int, from *fallback) {
	pending := c.ledger.Pending
	c.env.Point("recovery.decide")
	c.decide(func(l *ledger) {
		l.Epoch++
		l.Phase, l.Target, l.Pending = recovering, target, 0
		if from == nil {
			return
		}
		l.Committed = slices.DeleteFunc(l.Committed, func(r int) bool { return r == from.round })
		for _, w := range from.ghosts {
			l.Ghosts[w] = append(slices.Clone(l.Ghosts[w]), from.round)
			slices.Sort(l.Ghosts[w])
		}
	}, func() {
		if pending != 0 {
			c.note(record.Event{Kind: record.RoundAbort, Round: pending, Reason: "recovery"})
			c.discard(pending)
		}
		c.settled, c.finished, c.fallback = 0, false, nil
		if c.ledger.Epoch > firstEpoch {
			c.noteRecovery(failed)
			c.env.Point("recovery.decided")
		}
	})
}

// noteRecovery records the recovery that is under way, unless this process has.
// In the first epoch the workers begin, and nothing is set back.
func (c *control) noteRecovery(failed []string) {
	if c.ledger.Epoch > firstEpoch && c.ledger.Epoch != c.noted {
		c.noted = c.ledger.Epoch
		c.note(record.Event{Kind: record.Recovery, Round: c.ledger.Target, Line: c.line(c.ledger.Target), Failed: failed})
	}
}

// watchRecovery lets the workers compute when all are restored, and looks for
// another round when one of them cannot be.
func (c *control) watchRecovery() {
	for i, m := range c.members {
		if m.heard != 0 && m.beat.epoch == c.ledger.Epoch && m.beat.state == unrestorable && m.beat.target == c.ledger.Target {
			c.fallBack(c.workers[i])
			return
		}
	}
	if c.all(func(t beat) bool { return t.state == restored || t.state == running }) {
		c.decide(func(l *ledger) { l.Phase = computing }, func() {
			c.next = c.env.Now() + c.cfg.Interval
			c.since = c.env.Now()
			c.env.Point("recovery.end")
		})
	}
}
