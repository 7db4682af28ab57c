package checkpoint

// serve does what a worker asks for.
func (c *control) serve(i int, seq uint64, q call) {
	worker := c.workers[i]
	answer := func(found bool, body []byte) {
		c.env.Send(worker, Message{kind: callAnswer, seq: seq, found: found, body: body})
	}
	switch q.op {
	case callPut:
		if q.epoch != c.ledger.Epoch || q.round != c.ledger.Pending {
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
	case callEmit:
		c.emit(worker, q, answer)
	}
}
