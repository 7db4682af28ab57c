package checkpoint

import (
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/harness/wire"
)

// The coordinator of the protocols without rounds. It has nothing to say about
// when checkpoints are taken; it keeps the catalogue of those that there are,
// and computes at a recovery where everybody has to stand. A recovery has
// three steps, each of them a change of the ledger:
//
//	gathering   everybody stops, and tells where it stands; the dead come back
//	recovering  the line is decided; those who are not where it passes restore
//	computing   all go on, and send again what their channels may have lost
//
// Nobody's state moves between the report and the decision, so that states
// that are not in the catalogue can be in the line: survivors stay as they are
// where the line does not ask for more.

// listing is a checkpoint that a worker wants to have in the catalogue.
type listing struct {
	worker int
	seq    uint64
	entry
}

// list takes the wish of a worker. What cannot be listed now is asked for
// again, until the worker is told that it is over.
func (c *control) list(i int, seq uint64, q call) {
	r := reader{wire.Over(q.data)}
	e := entry{number: q.round, txns: r.Number(), result: r.Uvarint(), counts: r.counts()}
	if !r.Done() || len(e.sent) != len(c.links.tos[i]) || len(e.received) != len(c.links.froms[i]) ||
		q.epoch != c.ledger.Epoch || c.ledger.Phase != computing || c.ledger.Boots == nil || c.ledger.Boots[i] != c.members[i].beat.boot {
		return
	}
	c.listings = append(slices.DeleteFunc(c.listings, func(l listing) bool { return l.worker == i && l.number == e.number }), listing{i, seq, e})
	if _, large := paged(c.at); c.change == nil && !large {
		c.enter() // a large ledger changes at most once in a tick
	}
}

// enter puts what was asked for into the catalogue, and lets go of what is not
// needed with it.
func (c *control) enter() {
	listings := c.listings
	c.listings = nil
	var dropped []garbage
	if err := c.ledger.full(); err != nil {
		c.env.Logf("%d checkpoints wait: %v", len(listings), err)
		return
	}
	c.env.Point("catalogue.before")
	c.decide(func(l *ledger) {
		for _, n := range listings {
			list := l.Stable[n.worker]
			if k := len(list); k == 0 || list[k-1].number < n.number {
				l.Stable[n.worker] = append(list, n.entry)
			}
		}
		dropped = l.settle(c.links, replays(c.cfg.Protocol), c.cfg.Retain, c.workers, c.known)
	}, func() {
		c.env.Point("catalogue.after")
		for _, n := range listings {
			c.env.Send(c.workers[n.worker], Message{kind: callAnswer, seq: n.seq, found: true})
		}
		c.letGo(dropped)
	})
}

// settleKnown settles what workers have come to know since.
func (c *control) settleKnown() {
	if !c.unknown || c.change != nil || c.ledger.Phase != computing || c.ledger.Stable == nil {
		return
	}
	c.unknown = false
	settle := func(l *ledger) []garbage {
		return l.settle(c.links, replays(c.cfg.Protocol), c.cfg.Retain, c.workers, c.known)
	}
	after := c.ledger.clone()
	if dropped := settle(&after); len(dropped) == 0 && slices.Equal(after.Shown, c.ledger.Shown) {
		return
	}
	var dropped []garbage
	c.decide(func(l *ledger) { dropped = settle(l) }, func() { c.letGo(dropped) })
}

// letGo has what was dropped from the catalogue removed from the store.
func (c *control) letGo(dropped []garbage) {
	c.garbage = append(c.garbage, slices.DeleteFunc(dropped, func(g garbage) bool { return !due(c.cfg.StoreEvery, g.round) })...)
	if len(dropped) > 0 {
		c.env.Point("gc.decided")
	}
}

// gather begins a recovery. Those that it names count as dead, whatever they
// still have; drop is a checkpoint that cannot be restored.
func (c *control) gather(failed []string, drop garbage) {
	c.env.Point("recovery.decide")
	n := len(c.workers)
	c.decide(func(l *ledger) {
		l.Epoch++
		l.Phase, l.Lost, l.Line, l.Boots, l.Owed = gathering, nil, nil, nil, nil
		if l.Stable == nil {
			l.Stable, l.Gone, l.Shown = make([][]entry, n), make([]int, n), make([]int, n)
		}
		for i, w := range c.workers {
			if slices.Contains(failed, w) {
				l.Lost = append(l.Lost, i)
			}
			if w == drop.worker {
				l.Stable[i] = slices.DeleteFunc(l.Stable[i], func(e entry) bool { return e.number == drop.round })
			}
		}
	}, func() { c.listings = nil })
}

// watchGathering decides the line when everybody has told where it stands.
func (c *control) watchGathering() {
	if !c.all(func(t beat) bool { return t.state == frozen || t.state == fresh }) {
		return
	}
	if lost := c.lost(); len(lost) > 0 {
		c.decide(func(l *ledger) {
			for _, g := range lost {
				i := slices.Index(c.workers, g.worker)
				l.Stable[i] = slices.DeleteFunc(l.Stable[i], func(e entry) bool { return e.number == g.round })
			}
		}, func() {})
		return
	}
	c.env.Point("line.compute")
	l := &c.ledger
	all := make([][]counts, len(c.workers))
	for i := range all {
		all[i] = l.candidates(c.links, i)
		if t := c.members[i].beat; t.state == frozen {
			if len(t.sent) != len(c.links.tos[i]) || len(t.received) != len(c.links.froms[i]) {
				return // of another version; it will say so again
			}
			all[i] = append(all[i], t.counts)
		}
	}
	places, ok := c.links.recoveryLine(all)
	if replays(c.cfg.Protocol) || c.cfg.Bug == noDependencyVector {
		places, ok = make([]int, len(all)), true
		for i := range all {
			places[i] = len(all[i]) - 1
			ok = ok && len(all[i]) > 0
		}
	}
	if !ok {
		c.giveUp("the checkpoints that are left make no consistent line")
		return
	}
	line := make([]int, len(all))
	for i, place := range places {
		if c.members[i].beat.state == frozen && place == len(all[i])-1 {
			line[i] = stays
			continue
		}
		e, _ := l.at(i, place)
		if e.txns < l.Shown[i] {
			c.giveUp(fmt.Sprintf("the latest consistent line of what is left takes %s back behind output that is visible already", c.workers[i]))
			return
		}
		line[i] = e.number
	}
	var failed []string
	for i, m := range c.members {
		if m.beat.state == fresh {
			failed = append(failed, c.workers[i])
		}
	}
	c.decideLine(line, failed)
}

// lost lists the checkpoints in the catalogue that workers know to be lost.
func (c *control) lost() (list []garbage) {
	for i, m := range c.members {
		for _, number := range m.beat.bad {
			if contains(c.ledger.numbers(i), number) {
				list = append(list, garbage{c.workers[i], number})
			}
		}
	}
	return list
}

// decideLine has everybody restored to a line, which was computed with some
// that had failed. Others may do so while it is being decided; they are for the
// next one.
func (c *control) decideLine(line []int, failed []string) {
	var dropped []garbage
	var owed [][]uint64
	if replays(c.cfg.Protocol) {
		owed = c.owed(line)
	}
	c.decide(func(l *ledger) {
		l.Phase, l.Line, l.Owed = recovering, line, owed
		for i, number := range line {
			if number == stays {
				continue
			}
			for k := len(l.Stable[i]); k > 0 && l.Stable[i][k-1].number > number; k-- {
				dropped = append(dropped, garbage{c.workers[i], l.Stable[i][k-1].number})
				l.Stable[i] = l.Stable[i][:k-1]
			}
		}
	}, func() {
		c.garbage = append(c.garbage, slices.DeleteFunc(dropped, func(g garbage) bool { return !due(c.cfg.StoreEvery, g.round) })...)
		if c.ledger.Epoch == firstEpoch {
			return // the workers begin: nothing is set back
		}
		e := record.Event{Kind: record.Recovery, Line: map[string]string{}, Failed: failed}
		for i, w := range c.workers {
			if line[i] != stays {
				e.Line[w] = checkpointID(w, line[i])
			}
		}
		if len(e.Line) > 0 {
			c.note(e)
		}
		c.env.Point("recovery.decided")
	})
}

// owed is what those who stay as they are have received.
func (c *control) owed(line []int) [][]uint64 {
	all := make([][]uint64, len(line))
	for p := range all {
		for _, q := range c.links.tos[p] {
			n := uint64(0)
			if line[q] == stays {
				k, _ := slices.BinarySearch(c.links.froms[q], p)
				n = c.members[q].beat.received[k]
			}
			all[p] = append(all[p], n)
		}
	}
	return all
}

// watchLine lets the workers compute when all stand on the line, and begins
// anew when one of them cannot get there.
func (c *control) watchLine() {
	for i, m := range c.members {
		here := m.heard != 0 && m.beat.epoch == c.ledger.Epoch
		number := c.ledger.Line[i]
		switch {
		case here && m.beat.state == unrestorable && number > 0:
			c.env.Logf("%s cannot restore its checkpoint %d", c.workers[i], number)
			c.gather([]string{c.workers[i]}, garbage{c.workers[i], number})
			return
		case here && m.beat.state == fresh && number == stays:
			c.gather([]string{c.workers[i]}, garbage{})
			return
		}
	}
	if !c.all(func(t beat) bool { return t.state == restored || t.state == running }) {
		return
	}
	c.decide(func(l *ledger) {
		l.Phase, l.Boots = computing, make([]uint64, len(c.members))
		for i, m := range c.members {
			l.Boots[i] = m.beat.boot
		}
	}, func() {
		c.since = c.env.Now()
		c.env.Point("recovery.end")
	})
}

// superviseSolo decides what is to be decided now.
func (c *control) superviseSolo() {
	switch c.ledger.Phase {
	case gathering:
		c.watchGathering()
	case recovering:
		c.watchLine()
	case computing:
		failed := c.failed()
		broken := slices.IndexFunc(c.members, func(m member) bool { return m.heard != 0 && m.beat.epoch == c.ledger.Epoch && m.beat.broken })
		switch {
		case broken >= 0:
			c.giveUp(c.workers[broken] + " has lost a part of its log that others depend on")
		case len(failed) > 0:
			c.gather(failed, garbage{})
		case len(c.listings) > 0:
			c.enter()
		}
	}
}

// lasting tells that what all workers have come to can never be undone: the
// safe line has the results that they tell.
func (c *control) lasting() bool {
	line, ok := c.ledger.safeLine(c.links, replays(c.cfg.Protocol))
	if !ok {
		return false
	}
	for p, place := range line {
		e, there := c.ledger.at(p, place)
		if !there || e.result != resultHash(c.members[p].beat.digest) {
			return false
		}
	}
	return true
}
