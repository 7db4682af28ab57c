package checkpoint

import (
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/harness/record"
)

// The policies for a round that cannot be restored although the outside world
// has seen output of it: what comes before it would be done again, and would
// put out the same once more.
//
// fail: the job is given up, loudly.
//
// deduplicate: the job goes back all the same, and the sink takes none of the
// outputs that the world had seen, by producer and number. That is right where
// work that is done again puts out the same.
const (
	failLoudly  = "fail"
	deduplicate = "deduplicate"
)

var fallbackNames = []string{failLoudly, deduplicate}

// voidOutput is what the sink has for a round's output that will never be
// visible: it keeps a coordinator that was deposed from making it so.
const voidOutput = "void"

// fallback is the attempt to give up a committed round that cannot be
// restored.
type fallback struct {
	round  int
	worker string   // that cannot restore it
	left   int      // workers whose output is not void yet
	failed bool     // an answer of the store is missing: begin again
	ghosts []string // workers whose output is visible
}

// fallBack gives the newest round up and begins a recovery from the one
// before. With a transactional sink, the output of that round is made void
// first, so that nobody makes it visible any more; where it is visible already,
// the policy decides.
func (c *control) fallBack(worker string) {
	if c.fallback != nil {
		return
	}
	round := c.ledger.Target
	f := &fallback{round: round, worker: worker, left: len(c.workers)}
	c.fallback = f
	c.env.Logf("%s cannot restore round %d", worker, round)
	if c.cfg.Sink != transactionalSink || c.cfg.Bug == fallbackDup {
		c.fallenBack(f)
		return
	}
	for _, w := range c.workers {
		c.vault.swap(sinkKey(w, round), "", voidOutput, func(ft fate, found string) {
			switch {
			case c.fallback != f:
			case ft == mismatch && found != voidOutput && c.cfg.Fallback == failLoudly:
				c.giveUp(fmt.Sprintf("%s cannot restore round %d from any level, and output of %s in that round is visible already", f.worker, round, w))
			case ft == mismatch && found != voidOutput:
				f.ghosts = append(f.ghosts, w)
				c.settle(f, true)
			default:
				c.settle(f, ft == done || ft == mismatch)
			}
		})
	}
}

// settle notes that it is known what became of the output of one worker.
func (c *control) settle(f *fallback, ok bool) {
	f.left--
	f.failed = f.failed || !ok
	if f.left == 0 && c.fallback == f {
		c.fallenBack(f)
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
	c.recover([]string{f.worker}, before, f)
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

// sweep removes some of the parts that are garbage from the store: the more
// there are, the more at once.
func (c *control) sweep() {
	if c.change != nil {
		return
	}
	for range min(len(c.garbage), 1+len(c.garbage)/sweepShare) {
		c.sweepOne()
	}
}

// sweepShare is the part of the garbage that is removed in a tick.
const sweepShare = 50

func (c *control) sweepOne() {
	g := c.garbage[0]
	c.garbage = c.garbage[1:]
	i := slices.Index(c.workers, g.worker)
	if contains(c.ledger.Committed, g.round) || contains(c.ledger.numbers(i), g.round) {
		return
	}
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
