package checkpoint

import (
	"strconv"

	"github.com/cleancut/cleancut/harness/record"
)

// emitMax is how many outputs go to a sink without rounds at once.
const emitMax = 16

// emit sends the oldest outputs of which it is not known that the sink has
// them, a batch after the other.
func (w *worker) emit() {
	if w.cfg.Sink == transactionalSink || w.emitting || w.state != running || len(w.outputs) == 0 {
		return
	}
	n := min(emitMax, len(w.outputs))
	body := appendOutputs(nil, w.outputs[:n])
	for len(body) > pieceBytes && n > 1 {
		n /= 2
		body = appendOutputs(nil, w.outputs[:n])
	}
	w.emitting = true
	w.calls.ask(call{op: callEmit, epoch: w.epoch, pieces: 1, data: body}, func(bool, []byte) {
		w.emitting = false
		w.outputs = w.outputs[n:]
		w.emit()
	})
}

// emitKey names the n-th value of a worker in a sink without rounds.
func emitKey(worker string, n int) string { return "out:" + worker + ":" + strconv.Itoa(n) }

// sinkLog is what a coordinator knows of a worker's values in a sink without
// rounds: how many there are and, if the sink is idempotent, their ids.
type sinkLog struct {
	n     int
	taken map[string]bool
	busy  bool // values are being added
}

// emit puts outputs of a worker into a sink without rounds, if the worker is of
// this epoch.
func (c *control) emit(worker string, q call, answer func(bool, []byte)) {
	if q.epoch != c.ledger.Epoch && c.cfg.Bug != noEpochFence || c.ledger.Phase != computing {
		return
	}
	r := reader{b: q.data}
	list := r.outputs()
	if !r.done() {
		return
	}
	if l := c.logs[worker]; l != nil {
		if !l.busy { // else the call is made again while the first is being served
			l.busy = true
			c.append(worker, l, list, answer)
		}
		return
	}
	l := &sinkLog{taken: map[string]bool{}, busy: true}
	c.logs[worker] = l
	c.readSink(worker, func(before []output, ok bool) {
		switch {
		case c.logs[worker] != l:
		case !ok:
			delete(c.logs, worker)
		default:
			for _, o := range before {
				l.add(o)
			}
			if n := len(before); n > 0 {
				// Whoever added the last one may have died before it could say so.
				c.added(worker, n, before[n-1])
			}
			c.append(worker, l, list, answer)
		}
	})
}

func (l *sinkLog) add(o output) {
	l.n++
	l.taken[o.id] = true
}

// append puts the outputs after those that are there, one after the other,
// each in one write that fails if another coordinator was faster.
func (c *control) append(worker string, l *sinkLog, list []output, answer func(bool, []byte)) {
	for len(list) > 0 && c.cfg.Sink == idempotentSink && l.taken[list[0].id] && c.cfg.Bug != sinkForgets {
		list = list[1:]
	}
	if len(list) == 0 {
		l.busy = false
		answer(true, nil)
		return
	}
	o := list[0]
	key := emitKey(worker, l.n+1)
	c.vault.swap(key, "", joinPiece(1, appendOutputs(nil, []output{o})), func(f fate, _ string) {
		switch {
		case c.logs[worker] != l:
		case f == done:
			l.add(o)
			c.added(worker, l.n, o)
			c.env.Point("output.committed")
			c.append(worker, l, list[1:], answer)
		default: // unknown, or of a coordinator in between: it is read anew
			delete(c.logs, worker)
		}
	})
}

// added records that the outside world can see the n-th value of a worker.
func (c *control) added(worker string, n int, o output) {
	c.note(record.Event{Kind: record.OutputCommit, Sink: sinkName, ID: o.id, Digest: digestOf(o.data), Txn: worker + "@" + strconv.Itoa(n)})
}
