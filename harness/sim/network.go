package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/rng"
)

// link is one direction between two ends.
type link struct {
	from, to int16
	stream   *rand.PCG // of messages between nodes; clients have their own
	rules    []*rule   // in the order in which they came into force
	inflight int
	last     int64 // arrival of the last message, for ordered links
}

// rule is an impairment in force on some links.
type rule struct {
	w       *world
	what    cluster.Impairment
	links   []*link
	salt    uint64
	removed bool

	seen, dropped, delayed, duplicated int64
}

// link returns the link between two ends.
func (w *world) link(from, to int16) *link {
	return &w.links[int(from)*len(w.ends)+int(to)]
}

// send puts a message of a node on its way.
func (w *world) send(from, to *machine, m node.Message, x uint64) {
	l := w.link(from.index, to.index)
	if l.stream == nil {
		l.stream = rng.Source(w.spec.Seed, "network/"+from.name+">"+to.name)
	}
	w.note(kindSend, from.index, from.epoch, x)
	w.transmit(l, l.stream, true, payload{
		kind: kindMessage, from: from.index, node: to.index, epoch: to.generation, b: x, msg: m,
	})
}

// Salts keep the decisions about one message apart.
const (
	saltLatency = 0x9e3779b97f4a7c15 * (iota + 1) & (1<<64 - 1)
	saltLoss
	saltDuplicate
	saltCopy
	saltRules
)

// transmit decides a message's fate. It draws once from the stream for each
// message and derives all decisions from that number: what a rule decides
// depends neither on other rules nor on the profile, and a rule more or less
// leaves the latencies of all messages as they were.
func (w *world) transmit(l *link, stream *rand.PCG, noisy bool, p payload) {
	r := stream.Uint64()
	delay := w.profile.Latency.draw(remix(r ^ saltLatency))
	copies := 1
	if noisy {
		if chance(remix(r^saltLoss), w.profile.Loss) {
			w.note(kindDrop, p.node, p.epoch, p.b)
			return
		}
		if chance(remix(r^saltDuplicate), w.profile.Duplicate) {
			copies = 2
		}
	}
	lost := false
	for _, u := range l.rules {
		drop, extra, twice := u.apply(remix(r^saltRules), noisy)
		lost = lost || drop
		delay += extra
		if twice {
			copies = 2
		}
	}
	if lost {
		w.note(kindDrop, p.node, p.epoch, p.b)
		return
	}
	w.forward(l, p, w.now+delay)
	if copies == 2 {
		again := w.profile.Latency.draw(remix(r ^ saltCopy))
		w.forward(l, p, w.now+max(delay, again))
	}
}

// forward schedules a message's arrival.
func (w *world) forward(l *link, p payload, at int64) {
	if l.inflight >= linkMax {
		w.note(kindDrop, p.node, p.epoch, p.b)
		return
	}
	l.inflight++
	if w.profile.Ordered {
		at = max(at, l.last)
		l.last = at
	}
	w.schedule(at, p)
}

// chance is true with a probability in millionths.
func chance(r uint64, millionths int) bool {
	return scale(r, cluster.Million) < uint64(millionths)
}

// apply decides what the rule does to a message. All rules of a link decide on
// each message, whatever the others decide, so that the receipt of one does
// not depend on what else is in force. Connections hide doubled
// packets, so messages of clients, which are not noisy, are never doubled.
func (u *rule) apply(r uint64, noisy bool) (lost bool, extra int64, twice bool) {
	u.seen++
	r = remix(r ^ u.salt)
	if chance(r, u.what.Loss) {
		u.dropped++
		return true, 0, false
	}
	if u.what.Delay > 0 || u.what.Jitter > 0 {
		r = remix(r)
		extra = int64(u.what.Delay) + int64(scale(r, uint64(u.what.Jitter)))
		u.delayed++
	}
	if noisy && chance(remix(r^saltDuplicate), u.what.Duplicate) {
		u.duplicated++
		twice = true
	}
	return false, extra, twice
}

// delayMax bounds the delay and jitter of a rule.
const delayMax = time.Hour

// CanImpair implements cluster.Linker: the simulator can do everything that
// makes sense.
func (w *world) CanImpair(i cluster.Impairment) error {
	switch {
	case i.Loss < 0 || i.Loss > cluster.Million:
		return fmt.Errorf("loss of %d millionths: want 0 to %d", i.Loss, cluster.Million)
	case i.Duplicate < 0 || i.Duplicate > cluster.Million:
		return fmt.Errorf("duplication of %d millionths: want 0 to %d", i.Duplicate, cluster.Million)
	case i.Delay < 0 || i.Delay > delayMax:
		return fmt.Errorf("delay of %v: want 0 to %v", i.Delay, delayMax)
	case i.Jitter < 0 || i.Jitter > delayMax:
		return fmt.Errorf("jitter of %v: want 0 to %v", i.Jitter, delayMax)
	case i == cluster.Impairment{}:
		return fmt.Errorf("an impairment that impairs nothing: want loss, delay, jitter or duplication")
	}
	return nil
}

// Impair implements cluster.Linker. Naming a link twice is the same as naming
// it once.
func (w *world) Impair(ctx context.Context, links []cluster.Link, i cluster.Impairment) (cluster.Rule, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := w.CanImpair(i); err != nil {
		return nil, err
	}
	if len(links) == 0 {
		return nil, fmt.Errorf("impairing no links: want at least one, such as %v", cluster.Link{From: w.ends[0], To: cluster.ClientEnd})
	}
	u := &rule{w: w, what: i}
	for _, l := range links {
		from, to := slices.Index(w.ends, l.From), slices.Index(w.ends, l.To)
		if from < 0 || to < 0 || from == to {
			return nil, fmt.Errorf("link %v: %w; want two of %s", l, cluster.ErrNoNode, strings.Join(w.ends, ", "))
		}
		if at := w.link(int16(from), int16(to)); !slices.Contains(u.links, at) {
			u.links = append(u.links, at)
		}
	}
	u.salt = w.saltFor(i)
	for _, l := range u.links {
		l.rules = append(l.rules, u)
	}
	w.rules = append(w.rules, u)
	w.note(kindRule, -1, 0, u.salt)
	return u, nil
}

// saltFor makes equal rules that are in force at the same time decide
// differently, and a rule decide the same whatever other rules there are.
func (w *world) saltFor(i cluster.Impairment) uint64 {
	base := digestString(fmt.Sprintf("%d %d %d %d", i.Loss, i.Delay, i.Jitter, i.Duplicate))
	for ordinal := uint64(0); ; ordinal++ {
		salt := remix(base + ordinal)
		if !slices.ContainsFunc(w.rules, func(u *rule) bool { return u.salt == salt }) {
			return salt
		}
	}
}

// Receipt implements cluster.Rule.
func (u *rule) Receipt(context.Context) (cluster.Receipt, error) {
	var r cluster.Receipt
	r.Count("packets_seen", u.seen)
	if u.what.Loss > 0 {
		r.Count("packets_dropped", u.dropped)
	}
	if u.what.Delay > 0 || u.what.Jitter > 0 {
		r.Count("packets_delayed", u.delayed)
	}
	if u.what.Duplicate > 0 {
		r.Count("packets_duplicated", u.duplicated)
	}
	return r, nil
}

// Probe implements cluster.Prober. What the rule decides on probes is drawn from
// its salt and leaves what it decides on messages as it was.
func (u *rule) Probe(context.Context) (cluster.Receipt, error) {
	var r cluster.Receipt
	trial := rule{what: u.what, salt: u.salt}
	r.Count("probes_sent", 0)
	for _, l := range u.links {
		if u.removed || !slices.Contains(l.rules, u) || !u.w.alive(l.from) || !u.w.alive(l.to) {
			continue
		}
		noisy := l.from != u.w.outside() && l.to != u.w.outside()
		for n := range uint64(cluster.ProbesMax) {
			trial.apply(remix(u.salt+uint64(l.from)<<32+uint64(l.to)<<16+n), noisy)
			if trial.dropped+trial.delayed+trial.duplicated > 0 {
				break
			}
		}
	}
	r.Count("probes_sent", trial.seen)
	for name, n := range map[string]int64{
		"probes_dropped": trial.dropped, "probes_delayed": trial.delayed, "probes_duplicated": trial.duplicated,
	} {
		if n > 0 {
			r.Count(name, n)
		}
	}
	return r, nil
}

// alive reports whether an end can send and receive: the clients always can, a
// node while its process runs.
func (w *world) alive(end int16) bool {
	return end == w.outside() || w.nodes[end].env != nil
}

// outside is the end of all clients.
func (w *world) outside() int16 { return int16(len(w.ends) - 1) }

// Remove implements cluster.Rule. It works after the context is canceled, so
// that a run that was interrupted heals.
func (u *rule) Remove(ctx context.Context) (cluster.Receipt, error) {
	if !u.removed {
		u.removed = true
		is := func(o *rule) bool { return o == u }
		for _, l := range u.links {
			l.rules = slices.DeleteFunc(l.rules, is)
		}
		u.w.rules = slices.DeleteFunc(u.w.rules, is)
		u.w.note(kindRule, -1, 1, u.salt)
	}
	return u.Receipt(ctx)
}
