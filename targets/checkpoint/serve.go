package checkpoint

import "slices"

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
	case callEmit:
		c.emit(worker, q, answer)
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
