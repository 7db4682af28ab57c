package checkpoint

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/record"
)

// soloTimer says when the next checkpoint is due.
const soloTimer = "solo"

// numbersMax is how many checkpoints a worker may take in one epoch. Their
// numbers begin with that of the epoch, of which no two processes are part, so
// that none is ever used twice.
const numbersMax = 100_000

// soloProtocol is a protocol without rounds, seen from a worker. Each embeds
// the soloist, and changes what it does otherwise.
type soloProtocol interface {
	protocol
	// send hands a message of the job to its channel, now or later; e records
	// it. left is the last one that was.
	send(to int, f frame, e record.Event)
	left(to int) uint64
	// step lets the job work.
	step()
	// deliver hands one to the job.
	deliver(from int, f frame)
	// due: it is time for a checkpoint.
	due()
	// fill adds what the protocol needs to a part, and restored takes it back.
	fill(p *part)
	restored(p *part)
	// resumed: the worker computes again.
	resumed()
	// listed: the newest checkpoint is in the catalogue.
	listed()
	// let: all checkpoints of this worker before that number are gone.
	let(oldest int)
	// idle tells that nothing waits in the protocol, and failing that it
	// cannot do what it has to.
	idle() bool
	failing() bool
	// synced reports a sync that is not of a checkpoint, and retry is called
	// every now and then.
	synced(token uint64, err error)
	retry()
}

// soloist takes checkpoints of one worker on its own. It lives as long as the
// process does, for those who do not fail keep their state.
type soloist struct {
	w      *worker
	part   *part          // captured, and not in the catalogue yet; nil for none
	told   []record.Event // its commits, which count from then on
	asked  time.Duration
	count  int    // checkpoints in this epoch
	last   string // digest of what the newest one captured, "" if it is not known
	known  map[int]bool
	newest int // of known
	txns   int // closed transactions of output, ever
	index  int // of the last checkpoint, with cic
}

func newSolo(w *worker) (soloProtocol, *soloist, error) {
	s := &soloist{w: w, known: map[int]bool{}}
	switch w.cfg.Protocol {
	case cicProtocol:
		return &cic{soloist: s}, s, nil
	case msglogProtocol:
		m, err := newMsglog(s)
		return m, s, err
	}
	return &independent{s}, s, nil
}

// The soloist has no part in rounds.
func (*soloist) begin(int)                {}
func (*soloist) marker(int, int)          {}
func (*soloist) arrived(int, frame) bool  { return false }
func (*soloist) end(int, bool)            {}
func (*soloist) blocked(int) bool         { return false }
func (*soloist) stopped() bool            { return false }
func (*soloist) fill(*part)               {}
func (*soloist) restored(*part)           {}
func (*soloist) listed()                  {}
func (*soloist) let(int)                  {}
func (*soloist) idle() bool               { return true }
func (*soloist) failing() bool            { return false }
func (*soloist) synced(uint64, error)     {}
func (*soloist) retry()                   {}
func (s *soloist) left(to int) uint64     { return s.w.outs[to].msgs }
func (s *soloist) step()                  { s.w.app.Step((*emitter)(s.w)) }
func (s *soloist) deliver(i int, f frame) { s.w.deliver(i, f) }
func (s *soloist) due()                   { s.capture(0, false) }

func (s *soloist) send(to int, f frame, e record.Event) {
	s.w.note(e)
	s.w.outs[to].add(s.w.env, s.w.epoch, f)
}

// capture takes a checkpoint, unless one is on its way, or nothing has changed
// since the one before.
func (s *soloist) capture(index int, forced bool) {
	w := s.w
	if s.part != nil || w.state != running || s.count == numbersMax-1 {
		return
	}
	number := w.epoch*numbersMax + s.count + 1
	if len(w.outputs) > 0 {
		s.txns++
		w.txns = append(w.txns, txn{round: s.txns, outputs: w.outputs})
		w.outputs = nil
	}
	p := w.shot(number)
	p.closed, p.index = s.txns, index
	for _, i := range w.tos {
		p.logs = append(p.logs, slices.Clone(w.outs[i].log))
	}
	digest := digestOf(appendNumbers(appendNumbers(p.state, p.outs), p.ins))
	if digest == s.last && !forced {
		return
	}
	s.count++
	s.last, s.part, s.index, s.asked = digest, p, index, w.env.Now()
	w.solo.fill(p)
	w.round, w.captured = number, number
	w.began(p, record.Event{Forced: forced, Index: index})
	w.env.Point("solo.captured")
	s.save()
}

func (s *soloist) save() {
	s.told = nil
	s.w.save(s.part)
}

// durable is called when all levels have the checkpoint: it is to be listed.
func (s *soloist) durable() {
	w, p := s.w, s.part
	if p == nil {
		return
	}
	body := binary.AppendUvarint(nil, uint64(p.closed))
	body = counts{p.outs, p.ins}.append(binary.AppendUvarint(body, s.resultOf(p)))
	w.env.Point("solo.durable")
	w.calls.ask(call{op: callList, epoch: w.epoch, round: p.round, data: body}, func(bool, []byte) { s.enlisted(p.round) })
}

// resultOf is the hash of the result of a captured state, 0 if the job was not
// done there.
func (s *soloist) resultOf(p *part) uint64 {
	app, err := s.w.newApp()
	if err == nil {
		err = app.LoadState(p.state)
	}
	if err != nil || !app.Done() {
		return 0
	}
	return resultHash(app.Result())
}

// resultHash is never 0.
func resultHash(result string) uint64 {
	return 1 + uint64(crc32.Checksum([]byte(result), castagnoli))
}

// enlisted is called when the checkpoint is known to be in the catalogue.
func (s *soloist) enlisted(number int) {
	if s.part == nil || s.part.round != number {
		return
	}
	w := s.w
	for _, e := range s.told {
		w.note(e)
	}
	s.know(number)
	s.part, s.told = nil, nil
	w.round, w.saving = 0, nil
	w.env.Point("solo.listed")
	w.solo.listed()
	w.drain()
}

// know notes that a checkpoint is in the catalogue, and has been told of.
func (s *soloist) know(number int) {
	s.known[number] = true
	s.newest = max(s.newest, number)
}

// tell records the commits of checkpoints that are in the catalogue, and of
// which the process that took them may not have been able to tell.
func (s *soloist) tell(numbers []int) {
	w := s.w
	for _, number := range numbers {
		if s.known[number] {
			continue
		}
		s.know(number)
		w.held[number] = w.cfg.levelsOf(number)
		for _, level := range w.held[number] {
			e := record.Event{Kind: record.CheckpointCommit, Ckpt: checkpointID(w.env.Self(), number), Level: level}
			if level == levelLocal {
				base, ok := w.local.bases[number]
				if !ok || contains(w.local.damaged, number) {
					continue
				}
				e.Base = checkpointID(w.env.Self(), base)
			}
			w.note(e)
		}
	}
}

// lost lists the checkpoints in the catalogue that no level has: those that
// could not be restored, and those that were nowhere but on this worker's disk
// and were found damaged there at the start.
func (s *soloist) lost() (list []int) {
	w := s.w
	for _, number := range w.order.committed {
		if contains(w.gone, number) || contains(w.local.damaged, number) && slices.Equal(w.cfg.levelsOf(number), []string{levelLocal}) {
			list = append(list, number)
		}
	}
	return list
}

// follow does what the coordinator wants.
func (s *soloist) follow(o order) {
	w := s.w
	if s.part != nil && contains(o.committed, s.part.round) {
		s.enlisted(s.part.round)
	}
	switch {
	case o.phase == givenUp:
		if w.state == running || w.state == frozen {
			w.halt()
		}
	case o.phase == gathering && o.epoch > w.epoch:
		s.gather(o)
	case o.phase == recovering && (o.epoch > w.epoch || w.state == frozen || w.state == fresh):
		s.line(o)
	case o.phase == computing && o.epoch == w.epoch && w.state == restored && o.boot == w.boot:
		s.resume()
		s.obey(o)
	case o.phase == computing && o.epoch == w.epoch && w.state == running:
		s.obey(o)
	}
}

// gather stops the worker, and tells what there is. A state that counts as
// lost is given up.
func (s *soloist) gather(o order) {
	w := s.w
	survives := !o.lost && (w.state == running || w.state == restored || w.state == frozen)
	w.epoch = o.epoch
	w.calls.forget()
	for i := range w.txns {
		w.txns[i].asked = false
	}
	w.resetChannels()
	w.saving, w.loading = nil, nil
	w.local.cancel()
	s.count = 0
	if w.state = frozen; !survives {
		w.abandon()
		w.state = fresh
	}
	s.tell(o.committed)
	w.env.Point("gathered")
	w.beat()
}

// line takes the worker to where the line passes.
func (s *soloist) line(o order) {
	w := s.w
	switch {
	case o.stay && w.state == frozen && o.epoch == w.epoch:
		w.state, w.target = restored, o.target
		w.beat()
	case o.stay:
		w.epoch, w.state = o.epoch, fresh // and the coordinator has to think again
		w.beat()
	default:
		s.tell(o.committed)
		s.count = 0
		w.restore(o)
	}
}

// abandon forgets the checkpoint that is on its way.
func (s *soloist) abandon() { s.part, s.told, s.last = nil, nil, "" }

// back takes the state of the job's surroundings from a part; an empty one is
// the beginning.
func (s *soloist) back(p *part) {
	w := s.w
	s.txns, s.index, s.last = p.closed, p.index, ""
	for k, i := range w.tos {
		w.outs[i].log = nil
		if len(p.logs) > 0 {
			w.outs[i].log = p.logs[k]
		}
	}
	w.solo.restored(p)
}

// resume goes on computing. What may not have arrived is sent again: whoever
// has it drops it.
func (s *soloist) resume() {
	w := s.w
	w.state, w.protocol = running, w.solo
	for _, i := range w.tos {
		for _, f := range w.outs[i].log {
			if f.msg <= w.solo.left(i) {
				w.outs[i].add(w.env, w.epoch, f)
			}
		}
	}
	if s.part != nil {
		s.save() // of a worker that stayed as it was
	}
	// Workers that began together would go on in step.
	w.env.SetTimer(soloTimer, w.cfg.Interval/2+time.Duration(w.env.Rand().Int64N(int64(w.cfg.Interval))))
	w.solo.resumed()
	w.publish()
	w.beat()
}

// resumed records that the worker computes again.
func (s *soloist) resumed() {
	if s.w.epoch > firstEpoch {
		s.w.note(record.Event{Kind: record.Resume})
	}
}

// tick is called when a checkpoint is due.
func (s *soloist) tick() {
	w := s.w
	w.env.SetTimer(soloTimer, w.cfg.Interval*3/4+time.Duration(w.env.Rand().Int64N(int64(w.cfg.Interval)/2+1)))
	if w.state == running {
		w.solo.due()
	}
}

// obey does what an order says about checkpoints, messages and output.
func (s *soloist) obey(o order) {
	w := s.w
	w.collect(o.committed)
	for k, i := range w.tos {
		covered := uint64(0)
		if k < len(o.covered) {
			covered = o.covered[k]
		}
		if w.cfg.Bug == logGCEarly {
			covered = w.outs[i].msgs - min(w.outs[i].msgs, uint64(len(w.outs[i].queue)))
		}
		s.prune(i, covered)
	}
	if o.oldest > 0 {
		w.solo.let(o.oldest)
	}
	w.publish()
	w.drain()
}

// prune forgets the messages up to one that nobody will ask for again.
func (s *soloist) prune(to int, covered uint64) {
	w := s.w
	out := w.outs[to]
	n := 0
	for n < len(out.log) && out.log[n].msg <= covered {
		w.note(record.Event{Kind: record.LogDelete, Msg: messageID(w.env.Self(), out.to, out.log[n].msg)})
		n++
	}
	if n > 0 {
		out.log = slices.Clone(out.log[n:])
		w.env.Point("log.pruned")
	}
}

// counts are those of the present state.
func (w *worker) counts() (c counts) {
	for _, i := range w.tos {
		c.sent = append(c.sent, w.outs[i].msgs)
	}
	for _, i := range w.froms {
		c.received = append(c.received, w.ins[i].msgs)
	}
	return c
}
