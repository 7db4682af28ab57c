package checkpoint

import (
	"maps"
	"slices"

	"github.com/cleancut/cleancut/harness/record"
)

// savedPart is the last part that this process wrote to its disk: what the
// next one can be an increment of.
type savedPart struct {
	round int
	blob  []byte
}

// shot takes the state of the job and of what surrounds it.
func (w *worker) shot(round int) *part {
	p := &part{round: round, state: w.app.AppendState(nil), channel: make([][]frame, len(w.froms))}
	c := w.counts()
	p.outs, p.ins = c.sent, c.received
	p.outputs, p.txns = slices.Clone(w.outputs), slices.Clone(w.txns)
	return p
}

// capture takes the state of the job: here the cut passes.
func (w *worker) capture(round int) {
	p := w.shot(round)
	if w.cfg.Sink == transactionalSink {
		w.cut = len(w.outputs)
	}
	w.taking, w.round, w.captured = p, round, round
	w.began(p, record.Event{Round: round})
}

// began records that a part was captured; e has what is particular about it.
func (w *worker) began(p *part, e record.Event) {
	e.Kind, e.Ckpt = record.CheckpointBegin, checkpointID(w.env.Self(), p.round)
	e.Digest, e.Offsets = digestOf(p.state), w.app.Offsets()
	if v, ok := w.app.Value(); ok {
		e.Value = &v
	}
	w.note(e)
}

// mark sends a marker in every channel.
func (w *worker) mark(round int) {
	f := frame{marker: true, round: round}
	for _, i := range w.tos {
		if w.cfg.Bug == markerOvertakes {
			w.env.Send(w.outs[i].to, Message{kind: frameMessage, epoch: w.epoch, body: f.append(nil)})
		}
		w.outs[i].add(w.env, w.epoch, f)
	}
}

// record notes a message as channel state of the round under way.
func (w *worker) record(from int, f frame) {
	i := slices.Index(w.froms, from)
	w.taking.channel[i] = append(w.taking.channel[i], f)
}

// complete has the part written, now that its channel state is known.
func (w *worker) complete() {
	p := w.taking
	w.taking = nil
	if w.cfg.Bug == noChannelState {
		p.channel = make([][]frame, len(w.froms))
	}
	w.save(p)
}

// abandon gives up the round under way.
func (w *worker) abandon() {
	if w.round == 0 {
		return
	}
	round := w.round
	w.taking, w.saving, w.round, w.cut, w.late = nil, nil, 0, 0, nil
	w.local.cancel()
	if w.solo != nil {
		w.soloist.abandon()
	}
	if w.captured == round {
		w.note(record.Event{Kind: record.CheckpointAbort, Ckpt: checkpointID(w.env.Self(), round), Reason: "the round was given up"})
	}
	if _, ok := w.local.bases[round]; ok && w.local.remove(round) {
		w.note(record.Event{Kind: record.CheckpointDelete, Ckpt: checkpointID(w.env.Self(), round), Level: levelLocal, Reason: "the round was given up"})
	}
	if w.last.round == round {
		w.last = savedPart{}
	}
	switch {
	case w.protocol == nil:
	case w.cfg.Bug == abortLeaksPause && w.protocol.stopped():
		w.frozen = true
	default:
		w.protocol.end(round, false)
	}
}

// committed is called when the round under way has been committed: its output
// may be seen.
func (w *worker) committed() {
	round := w.round
	w.round = 0
	if w.cut > 0 {
		w.txns = append(w.txns, txn{round: round, outputs: slices.Clone(w.outputs[:w.cut])})
		w.outputs = w.outputs[w.cut:]
	}
	w.cut = 0
	w.protocol.end(round, true)
	w.publish()
}

// stop and proceed enclose the time in which a round keeps the job from
// computing.
func (w *worker) stop(round int) {
	w.note(record.Event{Kind: record.Stop, Round: round})
}

func (w *worker) proceed(round int) {
	w.note(record.Event{Kind: record.Go, Round: round})
	w.release()
}

// release hands over what was held back.
func (w *worker) release() {
	for _, from := range w.froms {
		c := w.ins[from]
		held := c.held
		c.held = nil
		for _, f := range held {
			w.deliver(from, f)
		}
	}
}

// follow does what the coordinator wants.
func (w *worker) follow(from string, o order) {
	if o.version < w.order.version {
		return // of a coordinator that was replaced, or overtaken on its way
	}
	fresher := o.version > w.order.version
	w.order, w.coordinator = o, from
	switch {
	case w.solo != nil:
		w.soloist.follow(o)
	case o.phase == givenUp:
		if w.state == running {
			w.halt()
		}
	case o.phase == recovering && (o.epoch > w.epoch || w.state == fresh):
		w.restore(o)
	case o.phase == computing && o.epoch == w.epoch && w.state == restored:
		w.resume()
		w.takePart(o)
		w.drain()
	case o.phase == computing && o.epoch == w.epoch && w.state == running:
		w.takePart(o)
		w.drain()
	}
	if fresher {
		w.beat()
	}
}

// takePart does what an order says about rounds.
func (w *worker) takePart(o order) {
	if w.round != 0 && o.begun >= w.round {
		switch {
		case slices.Contains(o.committed, w.round):
			w.committed()
		case o.pending != w.round:
			w.abandon()
		}
	}
	w.collect(o.committed)
	if o.pending > w.round && o.pending > w.doneAt && o.pending > w.failed {
		if w.cfg.Bug == gcBeforeComplete {
			w.collect([]int{o.pending})
		}
		w.protocol.begin(o.pending)
	}
}

// collect lets go of checkpoints that no retained round needs.
func (w *worker) collect(committed []int) {
	if len(committed) == 0 {
		return
	}
	last := committed[len(committed)-1]
	old := slices.DeleteFunc(slices.Collect(maps.Keys(w.held)), func(r int) bool { return r > last || contains(committed, r) })
	slices.Sort(old)
	deleted := func(round int, level string) {
		w.note(record.Event{Kind: record.CheckpointDelete, Ckpt: checkpointID(w.env.Self(), round), Level: level, Reason: "garbage"})
	}
	w.env.Point("gc")
	for _, round := range w.local.keep(committed, w.cfg.Bug != gcSharedBase) {
		deleted(round, levelLocal)
	}
	// The partner and the coordinator let go of theirs on their own.
	for _, round := range old {
		for _, level := range w.held[round] {
			if level != levelLocal {
				deleted(round, level)
			}
		}
		delete(w.held, round)
	}
	w.partner.collect(w.order.ward)
}

// halt stops the job for good.
func (w *worker) halt() {
	w.abandon()
	w.state = unrestorable
	w.env.Logf("the job was given up")
}
