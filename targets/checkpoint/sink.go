package checkpoint

import (
	"slices"
	"strconv"

	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/harness/wire"
)

// The sinks that there are.
//
// transactional: output is part of the checkpoint until its round commits, and
// becomes visible with it, in one write. Exactly once.
//
// idempotent: output becomes visible when it is produced, unless the sink has
// one of the same producer and number already. Exactly once, and sooner, if work
// that is done again puts out the same.
//
// at-least-once: output becomes visible when it is produced, as often as it
// arrives. What is done again is seen again.
const (
	transactionalSink = "transactional"
	idempotentSink    = "idempotent"
	atLeastOnceSink   = "at-least-once"
)

var sinkNames = []string{transactionalSink, idempotentSink, atLeastOnceSink}

// sinkName is what the outside world is called in the record.
const sinkName = "sink"

// sink makes the output of a worker's round visible: once, in one write, and
// only if the round was committed and the worker is of this epoch.
func (c *control) sink(worker string, q call, answer func(bool, []byte)) {
	early := c.cfg.Bug == outputBeforeCommit && q.round >= earlyRound
	fenced := q.epoch != c.ledger.Epoch && c.cfg.Bug != noEpochFence
	if fenced || c.ledger.Phase != computing || q.round > c.released(worker) && !early {
		return
	}
	key := sinkKey(worker, q.round)
	pieces := c.sinks[key]
	if len(pieces) != q.pieces {
		pieces = make([][]byte, q.pieces)
		c.sinks[key] = pieces
	}
	pieces[q.piece] = append([]byte{}, q.data...)
	value := joinPiece(q.pieces, q.data)
	if q.piece > 0 {
		c.vault.put(pieceKey(key, q.piece), value, func(f fate) {
			if f == done {
				answer(true, nil)
			}
		})
		return
	}
	if slices.ContainsFunc(pieces, func(p []byte) bool { return p == nil }) {
		answer(false, nil) // of a coordinator before this one: the worker begins again
		return
	}
	c.vault.swap(key, "", value, func(f fate, found string) {
		switch {
		case f == done && !c.shown[key]:
			c.shown[key] = true
			delete(c.sinks, key)
			c.visible(worker, q.round, slices.Concat(pieces...), answer)
		case f == done:
			answer(true, nil)
		case f == mismatch:
			answer(early, nil) // what was shown early stays: it is done again for nothing
		}
	})
}

func pieceKey(key string, piece int) string { return key + ":" + strconv.Itoa(piece) }

// visible records that the outside world can see the output of a round, but
// for what it had seen before a fall-back. A transaction may be recorded again
// by the next coordinator, under the same name: it became visible once.
func (c *control) visible(worker string, round int, body []byte, answer func(bool, []byte)) {
	r := reader{wire.Over(body)}
	list, txn, told := r.outputs(), checkpointID(worker, round), round
	if solo(c.cfg.Protocol) {
		told = 0
	}
	c.before(worker, round, c.ledger.Ghosts[worker], func(ghosts []output, ok bool) {
		if !ok {
			delete(c.shown, sinkKey(worker, round))
			return // the worker calls again
		}
		for _, o := range c.deduplicated(append(ghosts, list...))[len(ghosts):] {
			c.note(record.Event{Kind: record.OutputCommit, Sink: sinkName, ID: o.id, Digest: digestOf(o.data), Txn: txn, Round: told})
		}
		if len(list) > 0 {
			c.env.Point("output.committed")
		}
		answer(true, nil)
	})
}

// before reads the outputs of those of a worker's rounds that are before one.
func (c *control) before(worker string, round int, rounds []int, then func([]output, bool)) {
	n, _ := slices.BinarySearch(rounds, round)
	c.readFrom(0, n-1, func(i int) string { return sinkKey(worker, rounds[i]) }, nil, func(list []output, ok bool) {
		then(c.deduplicated(list), ok)
	})
}

// sinkBatch is how many values of a worker are read from the sink at once.
const sinkBatch = 32

// readSink collects what the outside world sees of a worker, in order, and
// then calls then; ok tells that all of it could be read.
func (c *control) readSink(worker string, then func(list []output, ok bool)) {
	key := func(n int) string { return emitKey(worker, n) }
	values := openEnd
	if c.cfg.Sink == transactionalSink {
		values = max(c.ledger.Begun, c.released(worker))
		if c.cfg.Bug == outputBeforeCommit {
			values += c.cfg.Size * len(c.workers) // no worker has more units of work
		}
		key = func(n int) string {
			if c.cfg.Bug == outputBeforeCommit && n > c.ledger.Begun {
				n += earlyRound - c.ledger.Begun - 1
			}
			return sinkKey(worker, n)
		}
	}
	c.readFrom(1, values, key, nil, func(all []output, ok bool) { then(c.deduplicated(all), ok) })
}

// openEnd has values read until one is not there.
const openEnd = -2

// readFrom reads the values from the n-th on, up to last.
func (c *control) readFrom(n, last int, key func(int) string, all []output, then func([]output, bool)) {
	to := n + sinkBatch - 1
	if last != openEnd {
		to = min(to, last)
	}
	if to < n {
		then(all, true)
		return
	}
	lists, left, failed := make([][]output, to-n+1), to-n+1, false
	for i := range lists {
		c.readValue(key(n+i), func(list []output, ok bool) {
			lists[i] = list
			failed = failed || !ok
			if left--; left > 0 {
				return
			}
			switch {
			case failed:
				then(nil, false)
			case last == openEnd && len(lists[len(lists)-1]) == 0:
				then(append(all, slices.Concat(lists...)...), true)
			default:
				c.readFrom(to+1, last, key, append(all, slices.Concat(lists...)...), then)
			}
		})
	}
}

// deduplicated leaves out, where that is the policy, what the outside world
// has seen before.
func (c *control) deduplicated(all []output) []output {
	if c.cfg.Sink != transactionalSink || c.cfg.Fallback != deduplicate || c.cfg.Bug == fallbackDup {
		return all
	}
	seen := make(map[string]bool, len(all))
	return slices.DeleteFunc(all, func(o output) bool {
		again := seen[o.id]
		seen[o.id] = true
		return again
	})
}

// readValue reads one value of the sink: none, if there is none or it is void.
func (c *control) readValue(key string, then func([]output, bool)) {
	c.vault.get(key, func(f fate, value string) {
		pieces, body, ok := splitPiece([]byte(value))
		switch {
		case f == absent || f == done && value == voidOutput:
			then(nil, true)
		case f != done || !ok:
			then(nil, false)
		default:
			c.readPieces(key, pieces, 1, body, then)
		}
	})
}

func (c *control) readPieces(key string, pieces, piece int, body []byte, then func([]output, bool)) {
	if piece == pieces {
		r := reader{wire.Over(body)}
		list := r.outputs()
		then(list, r.Done())
		return
	}
	c.vault.get(pieceKey(key, piece), func(f fate, value string) {
		_, more, ok := splitPiece([]byte(value))
		if f != done || !ok {
			then(nil, false)
			return
		}
		c.readPieces(key, pieces, piece+1, append(body, more...), then)
	})
}
