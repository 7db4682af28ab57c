package checkpoint

import (
	"fmt"
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/workloads/jobs"
)

// Timers of a worker.
const (
	beatTimer   = "beat"
	stepTimer   = "step"
	resendTimer = "resend"
)

// worker is one process of the job: it computes, exchanges messages, takes
// part in rounds, and restores what it is told to.
type worker struct {
	cfg     Config
	env     node.Env
	control []string
	workers []string
	index   int // of this worker among them
	job     jobs.Job
	app     jobs.App

	tos   []int       // workers that it sends to, ascending
	froms []int       // workers that send to it, ascending
	outs  []*outgoing // by worker, nil where there is no channel
	ins   []*incoming

	boot        uint64
	beats       uint64
	state       workerState
	epoch       int
	target      int    // round that was restored, or is to be
	order       order  // the newest one
	coordinator string // who sent it
	protocol    protocol
	solo        soloProtocol // nil where there are rounds
	soloist     *soloist
	units       int64 // last reported
	result      string
	frozen      bool   // with the bug abort-leaks-pause: stopped for a round that was aborted
	late        func() // with the bug late-record: what is to be done after the next message

	calls    *caller
	local    *local
	partner  partner
	taking   *part   // captured, its channel state not complete
	saving   *saving // complete, on its way to stable storage
	round    int     // under way here, not yet committed or aborted; 0 for none
	captured int     // newest round for which the state was captured
	doneAt   int     // newest round that is durable at all its levels
	failed   int     // newest round that could not be saved
	loading  *loading
	gone     []int // checkpoints that could not be restored from any level
	last     savedPart
	held     map[int][]string // by round: the levels that have it, as far as this process knows

	emitting bool     // outputs are on their way to a sink without rounds
	outputs  []output // produced since the last committed round, or not known to be visible
	cut      int      // how many of them were when the round under way was captured
	txns     []txn    // of committed rounds, not known to be visible
}

func newWorker(cfg Config, env node.Env, control, workers []string) (*worker, error) {
	w := &worker{cfg: cfg, env: env, control: control, workers: workers, index: slices.Index(workers, env.Self())}
	var err error
	if w.job, err = jobs.Lookup(cfg.Job); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	if w.app, err = w.newApp(); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	n := len(workers)
	w.outs, w.ins = make([]*outgoing, n), make([]*incoming, n)
	for _, c := range w.job.Channels(n) {
		switch w.index {
		case c[0]:
			w.tos = append(w.tos, c[1])
			w.outs[c[1]] = &outgoing{to: workers[c[1]]}
		case c[1]:
			w.froms = append(w.froms, c[0])
			w.ins[c[0]] = &incoming{from: workers[c[0]]}
		}
	}
	slices.Sort(w.tos)
	slices.Sort(w.froms)
	w.calls = &caller{w: w, open: map[uint64]*openCall{}}
	w.held = map[int][]string{}
	w.partner = partner{w: w, parts: map[string]map[int][]byte{}}
	w.boot = env.Rand().Uint64()
	w.local, err = openLocal(env, env.Self(), cfg.Bug != noChecksum)
	if err != nil {
		return nil, err
	}
	for _, round := range w.local.damaged {
		w.note(record.Event{Kind: record.CheckpointBad, Ckpt: checkpointID(env.Self(), round), Level: levelLocal, Reason: "corrupt"})
	}
	w.resetChannels()
	if solo(cfg.Protocol) {
		if w.solo, w.soloist, err = newSolo(w); err != nil {
			return nil, err
		}
	}
	env.SetTimer(beatTimer, cfg.Beat)
	env.SetTimer(stepTimer, cfg.Step)
	env.SetTimer(resendTimer, cfg.ResendAfter)
	return w, nil
}

func (w *worker) newApp() (jobs.App, error) {
	return w.job.New(w.index, len(w.workers), w.cfg.JobSeed, w.cfg.Size)
}

func (w *worker) resetChannels() {
	for _, i := range w.tos {
		w.outs[i].reset()
	}
	for _, i := range w.froms {
		w.ins[i].reset()
	}
}

func (w *worker) note(e record.Event) {
	if e.Epoch == 0 {
		e.Epoch = w.epoch
	}
	w.env.Record(e)
}

// timer handles the timers of a worker.
func (w *worker) timer(name string) {
	switch name {
	case beatTimer:
		w.env.SetTimer(beatTimer, w.cfg.Beat)
		w.beat()
	case stepTimer:
		w.env.SetTimer(stepTimer, w.cfg.Step)
		w.step()
	case soloTimer:
		w.soloist.tick()
	case resendTimer:
		w.env.SetTimer(resendTimer, w.cfg.ResendAfter)
		for _, i := range w.tos {
			w.outs[i].resend(w.env, w.epoch, w.cfg.ResendAfter)
		}
		w.calls.tick()
		w.saveTick()
		if w.solo != nil {
			w.solo.retry()
		}
		w.loadTick()
		w.drain()
		if w.state == running {
			w.publish()
		}
	}
}

// beat reports to all control nodes.
func (w *worker) beat() {
	w.beats++
	t := beat{
		boot: w.boot, number: w.beats, state: w.state, version: w.order.version, epoch: w.epoch, target: w.target,
		done: w.doneAt, failed: w.failed, units: w.app.Units(),
		hidden: len(w.outputs) > 0 || len(w.txns) > 0,
	}
	if t.final = w.state == running && w.app.Done() && w.quiet(); t.final {
		t.digest = w.app.Result()
		t.value, _ = w.app.Value()
	}
	if w.state == frozen {
		t.counts = w.counts()
	}
	if w.solo != nil {
		t.broken, t.bad, t.known = w.solo.failing(), w.soloist.lost(), w.soloist.newest
	}
	body := t.append(nil)
	for _, c := range w.control {
		w.env.Send(c, Message{kind: beatMessage, body: body})
	}
}

// quiet tells that nothing that was sent or taken in here is on its way.
func (w *worker) quiet() bool {
	if w.solo != nil && !w.solo.idle() {
		return false
	}
	for _, i := range w.tos {
		if len(w.outs[i].queue) > 0 {
			return false
		}
	}
	for _, i := range w.froms {
		if len(w.ins[i].pending)+len(w.ins[i].held) > 0 {
			return false
		}
	}
	return true
}

// receive handles a message.
func (w *worker) receive(from string, m Message) {
	switch m.kind {
	case frameMessage:
		w.receiveFrame(slices.Index(w.workers, from), m)
	case frameAck:
		if i := slices.Index(w.workers, from); i >= 0 && w.outs[i] != nil && m.epoch == w.epoch {
			w.outs[i].ack(w.env, w.epoch, m.seq)
		}
	case orderMessage:
		if o, err := decodeOrder(m.body); err == nil && slices.Contains(w.control, from) {
			w.follow(from, o)
		}
	case callAnswer:
		w.calls.answered(m)
	case partnerPut, partnerKept, partnerGet, partnerPart:
		w.partner.receive(from, m)
	default:
		w.env.Logf("dropped a message of kind %d from %s: not for a worker", m.kind, from)
	}
}

// receiveFrame takes a frame of a channel in. Frames of other epochs are from
// processes that have not heard of a recovery, or of which this one has not:
// they are neither taken nor acknowledged.
func (w *worker) receiveFrame(from int, m Message) {
	if from < 0 || w.ins[from] == nil {
		return
	}
	c := w.ins[from]
	if m.epoch < w.epoch && w.cfg.Bug == noEpochFence && w.state == running {
		w.zombie(from, m)
		return
	}
	if m.epoch != w.epoch || w.state != restored && w.state != running {
		return
	}
	switch {
	case w.state == running:
	case w.solo != nil:
		return // the order to go on will come, and the frame again
	default:
		// Somebody goes on, and so everybody has been restored.
		w.resume()
	}
	switch f, err := decodeFrame(m.body); {
	case err != nil:
		return
	case w.cfg.Bug == nonFIFO && m.seq > c.seq && c.ahead[m.seq] == nil && len(c.ahead) < aheadMax:
		c.ahead[m.seq] = m.body
		c.pending = append(c.pending, f)
		for c.ahead[c.seq+1] != nil {
			c.seq++
			delete(c.ahead, c.seq)
		}
	case w.cfg.Bug == markerOvertakes && m.seq == 0:
		w.protocol.marker(from, f.round)
		return
	case w.cfg.Bug != nonFIFO:
		c.take(m.seq, m.body)
	}
	w.drain()
	w.env.Send(c.from, Message{kind: frameAck, epoch: w.epoch, seq: c.seq})
}

// zombie is the bug no-epoch-fence: a message of an earlier epoch is taken.
func (w *worker) zombie(from int, m Message) {
	f, err := decodeFrame(m.body)
	if err == nil && !f.marker {
		w.deliver(from, f)
	}
	w.env.Send(w.ins[from].from, Message{kind: frameAck, epoch: m.epoch, seq: m.seq})
}

// drain looks at what the channels have taken in.
func (w *worker) drain() {
	if w.state != running {
		return
	}
	// A marker can unblock a channel that was passed over.
	for busy := true; busy; {
		busy = false
		for _, from := range w.froms {
			for c := w.ins[from]; len(c.pending) > 0 && !w.protocol.blocked(from); busy = true {
				f := c.pending[0]
				c.pending = c.pending[1:]
				w.look(from, f)
			}
		}
	}
}

// look does what a frame is for.
func (w *worker) look(from int, f frame) {
	switch c := w.ins[from]; {
	case f.marker:
		w.protocol.marker(from, f.round)
	case w.solo != nil && f.msg <= c.msgs && w.cfg.Bug != replayNoDedup: // it was sent again
	case w.solo != nil:
		w.solo.deliver(from, f)
	case w.protocol.arrived(from, f) || len(c.held) > 0:
		c.held = append(c.held, f)
	default:
		w.deliver(from, f)
	}
}

// deliver hands a message to the job.
func (w *worker) deliver(from int, f frame) {
	c := w.ins[from]
	c.msgs = f.msg
	w.note(record.Event{Kind: record.Recv, Msg: messageID(c.from, w.env.Self(), f.msg), Peer: c.from, Digest: digestOf(f.data)})
	if err := w.app.Deliver(from, f.data, (*emitter)(w)); err != nil {
		w.env.Logf("the job refuses a message from %s: %v", c.from, err)
		w.note(record.Event{Kind: record.Failure, Reason: "the job refuses a message from " + c.from + ": " + err.Error()})
	}
	w.worked()
	w.overdue()
}

// overdue is the bug late-record.
func (w *worker) overdue() {
	if late := w.late; late != nil {
		w.late = nil
		late()
	}
}

// step lets the job do a unit of work.
func (w *worker) step() {
	if w.state != running || w.frozen || w.protocol.stopped() {
		return
	}
	for _, i := range w.tos {
		if len(w.outs[i].queue) >= queueSoft {
			return
		}
	}
	if w.solo != nil {
		w.solo.step()
	} else {
		w.app.Step((*emitter)(w))
	}
	w.worked()
	w.overdue()
}

// worked records what the job has done.
func (w *worker) worked() {
	if n := w.app.Units(); n > w.units {
		w.note(record.Event{Kind: record.Work, Units: n - w.units})
		w.units = n
	}
	if !w.app.Done() {
		return
	}
	if r := w.app.Result(); r != w.result {
		w.result = r
		e := record.Event{Kind: record.Final, Digest: r}
		if v, ok := w.app.Value(); ok {
			e.Value = &v
		}
		w.note(e)
	}
}

// emitter is how the job reaches the rest of the world.
type emitter worker

// Send implements jobs.Out.
func (e *emitter) Send(to int, payload []byte, value int64) {
	w := (*worker)(e)
	o := w.outs[to]
	o.msgs++
	ev := record.Event{Kind: record.Send, Msg: messageID(w.env.Self(), o.to, o.msgs), Peer: o.to, Digest: digestOf(payload)}
	if value != 0 {
		ev.Value = &value
	}
	f := frame{msg: o.msgs, data: payload}
	if w.solo == nil {
		w.note(ev)
		o.add(w.env, w.epoch, f)
		return
	}
	ev.Index, f.index = w.soloist.index, w.soloist.index
	if w.cfg.Bug == indexNotCarried {
		f.index = 0
	}
	o.log = append(o.log, f)
	w.solo.send(to, f, ev)
}

// Input implements jobs.Out.
func (e *emitter) Input(source string, offset int64) {
	(*worker)(e).note(record.Event{Kind: record.Input, Source: source, Offset: offset})
}

// Output implements jobs.Out.
func (e *emitter) Output(id string, payload []byte) {
	w := (*worker)(e)
	w.note(record.Event{Kind: record.Output, Sink: sinkName, ID: id, Digest: digestOf(payload)})
	w.outputs = append(w.outputs, output{id: id, data: payload})
	w.emit()
	if w.cfg.Bug == outputBeforeCommit {
		w.txns = append(w.txns, txn{round: earlyRound + int(w.app.Units()), outputs: w.outputs})
		w.outputs = nil
		w.publish()
	}
}

// earlyRound numbers transactions of the bug output-before-commit apart from
// rounds.
const earlyRound = 1 << 30

// since reports whether d has passed since at.
func (w *worker) since(at, d time.Duration) bool { return w.env.Now()-at >= d }
