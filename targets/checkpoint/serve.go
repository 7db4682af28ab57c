package checkpoint

import (
	"slices"
	"strconv"

	"github.com/cleancut/cleancut/harness/record"
)

// serve does what a worker asks for.
func (c *control) serve(i int, seq uint64, q call) {
	worker := c.workers[i]
	answer := func(found bool, body []byte) {
		c.env.Send(worker, Message{kind: callAnswer, seq: seq, found: found, body: body})
	}
	switch q.op {
	case callPut:
		if q.epoch != c.ledger.Epoch || q.round != c.ledger.Pending && !(solo(c.cfg.Protocol) && c.ledger.Phase == computing) {
			return // that round is over; the worker will hear of it
		}
		c.vault.put(partKey(worker, q.round, q.piece), joinPiece(q.pieces, q.data), func(f fate) {
			if f == done {
				answer(true, nil)
			}
		})
	case callGet:
		c.vault.get(partKey(worker, q.round, q.piece), func(f fate, value string) {
			switch f {
			case done:
				answer(true, []byte(value))
			case absent:
				answer(false, nil)
			}
		})
	case callSink:
		c.sink(worker, q, answer)
	case callList:
		if solo(c.cfg.Protocol) {
			c.list(i, seq, q)
		}
	}
}

// released returns the highest round of a worker whose output may be seen:
// where there are no rounds, its transactions are numbered instead.
func (c *control) released(worker string) int {
	if i := slices.Index(c.workers, worker); c.ledger.Shown != nil {
		return c.ledger.Shown[i]
	}
	return c.ledger.newest()
}

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
			c.visible(worker, q.round, slices.Concat(pieces...))
			delete(c.sinks, key)
			answer(true, nil)
		case f == done:
			answer(true, nil)
		case f == mismatch:
			answer(false, nil)
		}
	})
}

func pieceKey(key string, piece int) string { return key + ":" + strconv.Itoa(piece) }

// visible records that the outside world can see the output of a round. A
// transaction may be recorded again by the next coordinator, under the same
// name: it became visible once.
func (c *control) visible(worker string, round int, body []byte) {
	r := reader{b: body}
	txn := checkpointID(worker, round)
	list := r.outputs()
	if solo(c.cfg.Protocol) {
		round = 0
	}
	for _, o := range list {
		c.note(record.Event{Kind: record.OutputCommit, Sink: sinkName, ID: o.id, Digest: digestOf(o.data), Txn: txn, Round: round})
	}
	if len(list) > 0 {
		c.env.Point("output.committed")
	}
}

// outputBatch is how many rounds of a worker are read from the sink at once.
const outputBatch = 32

// readSink collects what the outside world sees of a worker, in order of
// rounds, and then calls then; ok tells that all of it could be read.
func (c *control) readSink(worker string, then func(list []output, ok bool)) {
	var rounds []int
	for r := 1; r <= max(c.ledger.Begun, c.released(worker)); r++ {
		rounds = append(rounds, r)
	}
	if c.cfg.Bug == outputBeforeCommit {
		for n := range sinkUnitsMax {
			rounds = append(rounds, earlyRound+n)
		}
	}
	var all []output
	var next func(from int)
	next = func(from int) {
		batch := rounds[from:min(from+outputBatch, len(rounds))]
		if len(batch) == 0 {
			then(all, true)
			return
		}
		lists, left, failed := make([][]output, len(batch)), len(batch), false
		for i, round := range batch {
			c.readRound(sinkKey(worker, round), func(list []output, ok bool) {
				lists[i] = list
				failed = failed || !ok
				if left--; left > 0 {
					return
				}
				if failed {
					then(nil, false)
					return
				}
				all = append(all, slices.Concat(lists...)...)
				next(from + len(batch))
			})
		}
	}
	next(0)
}

// readRound reads what became of the output of one round.
func (c *control) readRound(key string, then func([]output, bool)) {
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
		r := reader{b: body}
		list := r.outputs()
		then(list, r.done())
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

// sinkUnitsMax bounds the transactions that are looked for with the bug
// output-before-commit.
const sinkUnitsMax = 4096
