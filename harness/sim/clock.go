package sim

import (
	"math/rand/v2"
	"time"
)

// driftMax bounds drift, in parts per million.
const driftMax = 100_000

// started is what wall clocks that are not off show when a run begins.
var started = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// clock is a node's pair of clocks: a monotonic one that runs too fast or too
// slow, and a wall clock that is off as well.
type clock struct {
	offset int64 // of the wall clock, in nanoseconds
	drift  int64 // in parts per million
}

func drawClock(r *rand.PCG, p *Profile) clock {
	offset, drift := int64(p.ClockOffset), int64(p.ClockDrift)
	return clock{
		offset: int64(scale(r.Uint64(), uint64(2*offset+1))) - offset,
		drift:  int64(scale(r.Uint64(), uint64(2*drift+1))) - drift,
	}
}

const parts = 1_000_000

// local is how much this clock advances in d of true time.
func (c *clock) local(d int64) int64 {
	if c.drift == 0 {
		return d
	}
	return d + d/parts*c.drift + d%parts*c.drift/parts // in two steps, so as not to overflow
}

// wait is the least true time after which this clock, which has run for
// elapsed, has advanced by d.
func (c *clock) wait(elapsed, d int64) int64 {
	if c.drift == 0 || d <= 0 {
		return max(d, 0)
	}
	rate := parts + c.drift
	from := c.local(elapsed)
	t := d/rate*parts + d%rate*parts/rate
	for t > 0 && c.local(elapsed+t-1)-from >= d {
		t--
	}
	for c.local(elapsed+t)-from < d {
		t++
	}
	return t
}

// timer is a named timer of a node. Setting a pending timer to a later time
// schedules nothing: the pending event moves on when it comes due. So a timer
// has one event on the agenda however often it is set, unless it is set to an
// earlier time.
type timer struct {
	name   string
	digest uint64
	armed  bool
	at     int64  // when it expires, if armed
	queued bool   // an event is on the agenda
	event  int64  // when that comes due
	serial uint64 // tells that event from older ones
}

// forget disarms the timer of a process that died, whose epoch voids the event.
func (t *timer) forget() {
	t.armed, t.queued = false, false
}

// set arms the timer.
func (t *timer) set(w *world, n *machine, i int, at int64) {
	t.armed, t.at = true, at
	if !t.queued || t.event > at {
		t.push(w, n, i)
	}
}

func (t *timer) push(w *world, n *machine, i int) {
	t.serial++
	t.queued, t.event = true, t.at
	w.schedule(t.at, payload{kind: kindTimer, node: n.index, epoch: n.epoch, a: uint64(i), b: t.serial})
}

// due reports whether the event p of the timer is one that the process sees.
func (t *timer) due(w *world, n *machine, p payload) bool {
	if p.b != t.serial {
		return false
	}
	t.queued = false
	if t.armed && t.at > w.now {
		t.push(w, n, int(p.a))
		return false
	}
	return t.armed
}

// fire disarms the timer if it has expired. It has not if the process has set
// it anew since, while the event waited for the end of a pause.
func (t *timer) fire(now int64) bool {
	if !t.armed || t.at > now {
		return false
	}
	t.armed = false
	return true
}
