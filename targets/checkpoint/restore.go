package checkpoint

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/cleancut/cleancut/harness/record"
)

// loading is a part on its way back from stable storage.
type loading struct {
	round  int
	levels []string // still to be tried; the first one is being tried
	seq    uint64   // of the request under way
	sent   time.Duration
	// doubt tells that a level did not answer: it may have the part.
	doubt  bool
	pieces [][]byte // of the store level
}

// partnerWait is how long the partner may take to answer at a restore before
// the next level is tried.
const partnerWait = 500 * time.Millisecond

// retryWait is the pause before all levels are tried again, if one of them did
// not answer.
const retryWait = 500 * time.Millisecond

// restore begins to set the worker back as an order says. Whatever it was
// doing is over.
func (w *worker) restore(o order) {
	again := w.target == o.target && w.state == running && w.cfg.Bug == restoreNotIdempotent
	if contains(o.committed, w.round) {
		w.round, w.saving = 0, nil // it was committed, and nobody had said so
	}
	w.abandon()
	w.calls.forget()
	w.emitting = false
	w.resetChannels()
	w.protocol, w.loading = nil, nil
	w.epoch, w.target, w.frozen = o.epoch, o.target, false
	if w.cfg.Bug == latestByName {
		for round := range w.local.bases {
			w.target = max(w.target, round)
		}
	}
	if w.cfg.Bug == wrongLevelOrder {
		w.target = w.newestInStore(o)
	}
	w.env.Point("restore.begin")
	if again {
		w.restoredAt("", &part{round: w.target, state: w.app.AppendState(nil)}, true)
		return
	}
	w.state = restoring
	if w.target == 0 {
		app, err := w.newApp()
		if err != nil {
			panic("a job that could be made once cannot be made again: " + err.Error())
		}
		w.app = app
		w.restoredAt("", &part{}, false)
		return
	}
	w.loading = &loading{round: w.target, levels: w.cfg.levelsOf(w.target)}
	w.load()
}

// newestInStore is the bug wrong-level-order: the newest round that the store
// has is taken, although a newer one may be at hand.
func (w *worker) newestInStore(o order) int {
	for _, round := range slices.Backward(o.committed) {
		if round <= o.target && due(w.cfg.StoreEvery, round) {
			return round
		}
	}
	return o.target
}

// load tries the next level.
func (w *worker) load() {
	l := w.loading
	if len(l.levels) == 0 {
		if l.doubt {
			l.sent = w.env.Now()
			return // loadTick begins again
		}
		w.loading = nil
		w.state = unrestorable
		if !contains(w.gone, l.round) {
			w.gone = append(w.gone, l.round)
		}
		w.env.Logf("round %d cannot be restored from any level", l.round)
		w.beat()
		return
	}
	l.sent = w.env.Now()
	switch l.levels[0] {
	case levelPartner:
		w.calls.last++
		l.seq = w.calls.last
		w.env.Send(w.partner.name(), Message{kind: partnerGet, seq: l.seq, round: l.round})
	case levelLocal:
		b, err := w.local.load(l.round)
		switch {
		case err == nil:
			w.unpack(b)
		case errors.Is(err, fs.ErrNotExist):
			w.bad("missing")
		case errors.Is(err, errCorrupt):
			w.bad("corrupt")
		default:
			w.env.Logf("%v", err)
			l.doubt = true
			w.bad("unreadable")
		}
	case levelStore:
		l.pieces = nil
		w.loadPiece()
	}
}

// bad notes that a level has no part that can be loaded, and goes on with the
// next.
func (w *worker) bad(why string) {
	l := w.loading
	w.note(record.Event{Kind: record.CheckpointBad, Ckpt: checkpointID(w.env.Self(), l.round), Level: l.levels[0], Reason: why})
	l.levels = l.levels[1:]
	w.load()
}

// loadTick gives up a partner that does not answer, and begins again if no
// level that answered has the part.
func (w *worker) loadTick() {
	l := w.loading
	switch {
	case l == nil:
	case len(l.levels) == 0 && w.since(l.sent, retryWait):
		l.levels, l.doubt = w.cfg.levelsOf(l.round), false
		w.load()
	case len(l.levels) > 0 && l.levels[0] == levelPartner && w.since(l.sent, partnerWait):
		l.doubt = true
		w.bad("unreadable")
	}
}

// loaded takes the answer of a level that keeps whole sealed parts.
func (w *worker) loaded(seq uint64, level string, found bool, b []byte) {
	l := w.loading
	if l == nil || len(l.levels) == 0 || l.levels[0] != level || seq != l.seq {
		return
	}
	if !found {
		w.bad("missing")
		return
	}
	_, payload, err := unseal(b, w.env.Self(), l.round, w.cfg.Bug != noChecksum)
	if err != nil {
		w.bad("corrupt")
		return
	}
	w.unpack(payload)
}

// loadPiece asks the coordinator for the next piece of the part in the store.
// It is asked until it answers: the store is there for good.
func (w *worker) loadPiece() {
	l := w.loading
	w.calls.ask(call{op: callGet, epoch: w.epoch, round: l.round, piece: len(l.pieces)}, func(found bool, body []byte) {
		pieces, piece, ok := splitPiece(body)
		switch {
		case !found:
			w.bad("missing")
		case !ok || pieces <= len(l.pieces):
			w.bad("corrupt")
		default:
			l.pieces = append(l.pieces, piece)
			if len(l.pieces) < pieces {
				w.loadPiece()
				return
			}
			var whole []byte
			for _, p := range l.pieces {
				whole = append(whole, p...)
			}
			w.loaded(l.seq, levelStore, true, whole)
		}
	})
}

// unpack takes a part whose checksum was right.
func (w *worker) unpack(b []byte) {
	l := w.loading
	p, err := decodePart(b)
	if err == nil && (len(p.outs) != len(w.tos) || len(p.ins) != len(w.froms) || len(p.channel) != len(w.froms)) {
		err = errPart
	}
	if err == nil {
		err = w.app.LoadState(p.state)
	}
	if err != nil {
		w.env.Logf("round %d from level %s: %v", l.round, l.levels[0], err)
		w.bad("corrupt")
		return
	}
	level := l.levels[0]
	w.loading = nil
	w.held[p.round] = w.cfg.levelsOf(p.round)
	w.restoredAt(level, p, false)
}

// restoredAt makes a part the state of this worker. It computes when it is
// told that all have been restored.
func (w *worker) restoredAt(level string, p *part, skipped bool) {
	if !skipped {
		for k, i := range w.tos {
			w.outs[i].msgs = 0
			if len(p.outs) > 0 {
				w.outs[i].msgs = p.outs[k]
			}
		}
		for k, i := range w.froms {
			w.ins[i].msgs = 0
			if len(p.ins) > 0 {
				w.ins[i].msgs = p.ins[k]
				if w.cfg.Bug != channelNotReplayed {
					w.ins[i].held = p.channel[k]
				}
			}
		}
		w.txns, w.outputs, w.cut = p.txns, nil, 0
		if w.solo != nil {
			w.soloist.back(p)
		}
		switch {
		case w.cfg.Sink != transactionalSink:
			w.outputs = p.outputs
		case len(p.outputs) > 0:
			w.txns = append(w.txns, txn{round: p.round, outputs: p.outputs})
		}
		if w.cfg.Bug == commitLost {
			w.txns = nil
		}
	}
	w.state, w.last, w.result = restored, savedPart{}, ""
	w.units = w.app.Units()
	if w.epoch == firstEpoch && w.target == 0 {
		w.beat() // it begins: nothing is set back
		return
	}
	e := record.Event{
		Kind: record.Restore, Ckpt: checkpointID(w.env.Self(), w.target), Level: level, Round: w.target,
		Digest: digestOf(w.app.AppendState(nil)), Offsets: w.app.Offsets(),
	}
	if w.solo != nil {
		e.Round, e.Index = 0, w.soloist.index
	}
	if v, ok := w.app.Value(); ok {
		e.Value = &v
	}
	w.note(e)
	w.env.Point("restored")
	w.beat()
}

// resume goes on computing.
func (w *worker) resume() {
	w.state = running
	w.protocol = newProtocol(w.cfg.Protocol, w, max(w.order.begun, w.target))
	if w.epoch > firstEpoch {
		w.note(record.Event{Kind: record.Resume})
	}
	w.release()
	w.publish()
	w.emit()
	w.beat()
}

// publish has the output of committed rounds made visible.
func (w *worker) publish() {
	for i := range w.txns {
		t := &w.txns[i]
		if t.asked || w.solo != nil && t.round > w.order.shown {
			continue
		}
		t.asked = true
		round := t.round
		body := appendOutputs(nil, t.outputs)
		pieces := max(1, (len(body)+pieceBytes-1)/pieceBytes)
		// The piece that makes all of them visible is the first one, and it
		// goes last.
		w.publishPiece(round, body, pieces, pieces-1)
	}
}

func (w *worker) publishPiece(round int, body []byte, pieces, piece int) {
	q := call{op: callSink, epoch: w.epoch, round: round, piece: piece, pieces: pieces,
		data: body[piece*pieceBytes : min((piece+1)*pieceBytes, len(body))]}
	w.calls.ask(q, func(ok bool, _ []byte) {
		switch {
		case !ok:
			w.again(round)
		case piece > 0:
			w.publishPiece(round, body, pieces, piece-1)
		default:
			for i, t := range w.txns {
				if t.round == round {
					w.txns = append(w.txns[:i:i], w.txns[i+1:]...)
					break
				}
			}
			w.beat()
		}
	})
}

// again has the output of a round published once more, at the next tick.
func (w *worker) again(round int) {
	for i := range w.txns {
		if w.txns[i].round == round {
			w.txns[i].asked = false
		}
	}
}

// joinPiece and splitPiece put the number of pieces before a piece.
func joinPiece(pieces int, piece []byte) string {
	return strconv.Itoa(pieces) + "|" + encodePiece(piece)
}

func splitPiece(b []byte) (pieces int, piece []byte, ok bool) {
	for i, c := range b {
		if c != '|' {
			continue
		}
		n, err := strconv.Atoi(string(b[:i]))
		if err != nil || n < 1 || n > bodyMax/pieceBytes+1 {
			return 0, nil, false
		}
		piece, ok = decodePiece(string(b[i+1:]))
		return n, piece, ok
	}
	return 0, nil, false
}
