package checkpoint

import (
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/harness/record"
)

// voidOutput is what the sink has for a round's output that will never be
// visible: it keeps a coordinator that was deposed from making it so.
const voidOutput = "void"

// fallback is the attempt to give up a committed round that cannot be
// restored.
type fallback struct {
	round  int
	worker string // that cannot restore it
	left   int    // workers whose output is not void yet
	failed bool   // an answer of the store is missing: begin again
}

// fallBack gives the newest round up and begins a recovery from the one
// before. That would be wrong if the outside world has seen output of that
// round: the work would be done again, and its output would appear twice. So
// the output is made void first; where it is visible already, the job is
// given up.
func (c *control) fallBack(worker string) {
	if c.fallback != nil {
		return
	}
	round := c.ledger.Target
	f := &fallback{round: round, worker: worker, left: len(c.workers)}
	c.fallback = f
	c.env.Logf("%s cannot restore round %d", worker, round)
	for _, w := range c.workers {
		c.vault.swap(sinkKey(w, round), "", voidOutput, func(ft fate, found string) {
			if c.fallback != f {
				return
			}
			f.left--
			switch {
			case ft == mismatch && found != voidOutput:
				c.giveUp(fmt.Sprintf("%s cannot restore round %d from any level, and output of %s in that round is visible already", f.worker, round, w))
				return
			case ft != done:
				f.failed = true
			}
			if f.left == 0 {
				c.fallenBack(f)
			}
		})
	}
}

func (c *control) fallenBack(f *fallback) {
	c.fallback = nil
	if f.failed || c.change != nil || c.ledger.Target != f.round {
		return // the next tick tries again
	}
	before := 0
	for _, r := range c.ledger.Committed {
		if r < f.round {
			before = r
		}
	}
	if before == 0 && c.ledger.Trimmed > 0 {
		// The initial state is no substitute: output of rounds that were let
		// go is visible.
		c.giveUp(fmt.Sprintf("%s cannot restore round %d from any level, and no older round is kept", f.worker, f.round))
		return
	}
	c.recover([]string{f.worker}, before, []int{f.round})
}

// giveUp ends the job, loudly.
func (c *control) giveUp(why string) {
	if c.change != nil || c.ledger.Phase == givenUp {
		return
	}
	c.decide(func(l *ledger) { l.Phase, l.Pending, l.Failure = givenUp, 0, why }, func() {
		c.env.Logf("the job is given up: %s", why)
		c.note(record.Event{Kind: record.Failure, Reason: why})
	})
}

// garbage is a worker's part of a round that the store need not keep.
type garbage struct {
	worker string
	round  int
}

// discard notes that the parts of rounds in the store are garbage. It is a
// coordinator's own list: what one does not come to, nobody does, and it costs
// space and nothing else.
func (c *control) discard(rounds ...int) {
	for _, round := range rounds {
		if due(c.cfg.StoreEvery, round) {
			for _, w := range c.workers {
				c.garbage = append(c.garbage, garbage{w, round})
			}
		}
	}
}

// sweep removes one part from the store.
func (c *control) sweep() {
	if len(c.garbage) == 0 || c.change != nil {
		return
	}
	g := c.garbage[0]
	i := slices.Index(c.workers, g.worker)
	if contains(c.ledger.Committed, g.round) || contains(c.ledger.numbers(i), g.round) {
		c.garbage = c.garbage[1:]
		return
	}
	c.garbage = c.garbage[1:]
	c.vault.get(partKey(g.worker, g.round, 0), func(f fate, value string) {
		pieces, _, ok := splitPiece([]byte(value))
		if f != done || !ok {
			return
		}
		for i := range pieces {
			c.vault.remove(partKey(g.worker, g.round, i), func(fate) {})
		}
		c.env.Point("gc.store")
	})
}
