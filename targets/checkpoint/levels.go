package checkpoint

import (
	"time"

	"github.com/cleancut/cleancut/harness/record"
)

// The levels of stable storage, in the order in which they are written, and
// tried at a restore.
const (
	levelPartner = "partner"
	levelLocal   = "local"
	levelStore   = "store"
)

// levelsOf lists the levels that hold a round.
func (c Config) levelsOf(round int) (levels []string) {
	if due(c.PartnerEvery, round) {
		levels = append(levels, levelPartner)
	}
	if due(c.LocalEvery, round) {
		levels = append(levels, levelLocal)
	}
	if due(c.StoreEvery, round) {
		levels = append(levels, levelStore)
	}
	return levels
}

// saving is a part on its way to its levels, one after the other.
type saving struct {
	round   int
	blob    []byte
	channel []string // ids of the messages in it
	levels  []string // still to be written; the first one is being written
	sent    time.Duration
	pieces  int // of the store level that are not acknowledged
}

// save begins to write a part.
func (w *worker) save(p *part) {
	s := &saving{round: p.round, blob: p.encode(), levels: w.cfg.levelsOf(p.round)}
	for i, frames := range p.channel {
		for _, f := range frames {
			s.channel = append(s.channel, messageID(w.ins[w.froms[i]].from, w.env.Self(), f.msg))
		}
	}
	w.saving = s
	if w.cfg.Bug == ackBeforeDurable {
		w.doneAt = s.round
		w.beat()
	}
	w.saveNext()
}

// saveNext writes the next level, or reports that all are written.
func (w *worker) saveNext() {
	s := w.saving
	if len(s.levels) == 0 {
		w.saving = nil
		w.doneAt = s.round
		w.env.Point("part.durable")
		if w.solo != nil {
			w.soloist.durable()
			return
		}
		w.beat()
		return
	}
	switch s.levels[0] {
	case levelPartner:
		w.partner.put(s)
	case levelLocal:
		w.saveLocal(s)
	case levelStore:
		w.saveRemote(s)
	}
}

// saved is called when the level being written has the part.
func (w *worker) saved(s *saving, bytes, base int) {
	if w.saving != s {
		return
	}
	e := record.Event{
		Kind: record.CheckpointCommit, Ckpt: checkpointID(w.env.Self(), s.round), Round: s.round, Level: s.levels[0],
		Channel: s.channel, Bytes: int64(bytes), Base: checkpointID(w.env.Self(), base),
	}
	if w.solo == nil {
		w.note(e)
	} else {
		e.Round = 0
		w.soloist.told = append(w.soloist.told, e)
	}
	w.held[s.round] = append(w.held[s.round], s.levels[0])
	if s.levels[0] == levelLocal {
		w.last = savedPart{round: s.round, blob: s.blob}
	}
	if s.levels = s.levels[1:]; len(s.levels) > 0 {
		w.env.Point("levels.between")
	}
	w.saveNext()
}

func (w *worker) saveFailed(s *saving, why error) {
	if w.saving != s {
		return
	}
	w.env.Logf("round %d cannot be saved: %v", s.round, why)
	w.saving = nil
	if w.solo != nil {
		return // saveTick tries again
	}
	w.failed = s.round
	w.beat()
}

// saveLocal writes the part to the disk, as an increment of the round before
// if that was committed and the chain is short.
func (w *worker) saveLocal(s *saving) {
	base, payload := 0, s.blob
	if b := w.last; b.round != 0 && contains(w.order.committed, b.round) && w.local.chain(b.round)+1 < w.cfg.FullEvery {
		if d := delta(b.blob, s.blob); len(d) < len(s.blob) {
			base, payload = b.round, d
		}
	}
	size := 0
	size = w.local.write(s.round, base, payload, func(err error) {
		if err != nil {
			w.saveFailed(s, err)
			return
		}
		w.env.Point("local.written")
		w.saved(s, size, base)
	})
}

// saveRemote writes the part to the store.
func (w *worker) saveRemote(s *saving) {
	sealed := seal(w.env.Self(), s.round, 0, s.blob)
	pieces := (len(sealed) + pieceBytes - 1) / pieceBytes
	s.pieces = pieces
	for i := range pieces {
		q := call{op: callPut, epoch: w.epoch, round: s.round, piece: i, pieces: pieces,
			data: sealed[i*pieceBytes : min((i+1)*pieceBytes, len(sealed))]}
		w.calls.ask(q, func(ok bool, _ []byte) {
			if s.pieces--; s.pieces == 0 {
				w.env.Point("store.written")
				w.saved(s, len(sealed), 0)
			}
		})
	}
}

// saveTick repeats what may have been lost.
func (w *worker) saveTick() {
	if w.solo != nil && w.state == running && w.soloist.part != nil && w.saving == nil && w.doneAt != w.round {
		w.soloist.save()
	}
	if s := w.saving; s != nil && len(s.levels) > 0 && s.levels[0] == levelPartner && w.since(s.sent, callRetry) {
		w.partner.put(s)
	}
}

func contains(list []int, n int) bool {
	for _, x := range list {
		if x == n {
			return true
		}
	}
	return false
}
