package checkpoint

import (
	"fmt"

	"github.com/cleancut/cleancut/harness/record"
)

// msglog is independent checkpoints with pessimistic message logging (Borg,
// Baumbach and Glazer, SOSP 1983; Elnozahy et al. 2002, section 4.1): what a
// worker does follows from its checkpoint and from the messages that it
// received, in their order. So only who failed goes back, and does the same
// again.
//
// Determinants (which message, of whom, after how many steps) go to the
// worker's disk. No message of the job leaves before all that it depends on is
// on stable storage there: else others would depend on what may be forgotten.
// The contents are in the logs of the senders, which have to be able to send
// again anyway what a checkpoint does not cover (sender-based logging, Johnson
// and Zwaenepoel, FTCS 1987); a sender that has failed as well makes them
// again in its own replay, in the order in which they came about.
type msglog struct {
	*soloist
	log     *determinants
	steps   uint64 // units of the job's own work, ever
	cause   uint64 // position of what the job is doing now
	sent    bool   // it has sent a message
	held    []heldSend
	gone    []uint64 // by worker: the last message that has left
	told    uint64   // up to here determinants were recorded as stable
	wanted  bool     // a checkpoint is due, and waits until no message does
	at      map[int]uint64
	replay  []determinant // still to be done again
	repeats bool          // a replay is under way
	broken  bool          // and cannot be completed
}

// heldSend is a message that must not leave yet.
type heldSend struct {
	to   int
	f    frame
	e    record.Event
	from uint64 // position of the determinant that it waits for
}

func newMsglog(s *soloist) (*msglog, error) {
	m := &msglog{soloist: s, at: map[int]uint64{}, gone: make([]uint64, len(s.w.workers))}
	var err error
	m.log, err = openLog(s.w.env, m.stable)
	return m, err
}

// send holds a message back until what it depends on is stable.
func (m *msglog) send(to int, f frame, e record.Event) {
	m.sent = true
	m.held = append(m.held, heldSend{to, f, e, m.cause})
	if m.w.cfg.Bug == asyncDeterminant {
		m.release()
	}
}

// release lets go what may leave, in order.
func (m *msglog) release() {
	w := m.w
	for len(m.held) > 0 && (m.held[0].from <= m.log.stable || w.cfg.Bug == asyncDeterminant) && w.state == running {
		h := m.held[0]
		m.held = m.held[1:]
		w.note(h.e)
		m.gone[h.to] = h.f.msg
		w.outs[h.to].add(w.env, w.epoch, h.f)
	}
	if len(m.held) > 0 || w.state != running {
		return
	}
	if m.repeats && len(m.replay) == 0 {
		m.replayed()
	}
	if m.wanted && !m.repeats {
		m.wanted = false
		m.log.rotate()
		m.capture(0, false)
		w.drain()
	}
}

// stable is called when more of the log is on stable storage.
func (m *msglog) stable() {
	for ; m.told < m.log.stable; m.told++ {
		m.tellStable(m.log.all[m.told+1])
	}
	m.release()
	m.w.drain()
}

func (m *msglog) tellStable(d determinant) {
	if d.from != none {
		m.w.note(record.Event{Kind: record.LogStable, ID: d.id(m.w.env.Self())})
	}
}

// step lets the job work. That it got so far is logged if others will see it.
func (m *msglog) step() {
	w := m.w
	m.cause, m.sent = m.log.next, false
	if !w.app.Step((*emitter)(w)) {
		return
	}
	m.steps++
	if m.sent {
		m.log.add(w.epoch, m.steps, none, 0)
	}
}

// deliver logs a message before the job gets it, or notes that the next one
// of the log has come again.
func (m *msglog) deliver(from int, f frame) {
	w := m.w
	var d determinant
	if m.repeats && len(m.replay) > 0 {
		d = m.replay[0]
		m.replay = m.replay[1:]
	} else {
		d = m.log.add(w.epoch, m.steps, from, f.msg)
	}
	m.cause = d.pos
	w.note(record.Event{Kind: record.Nondet, ID: d.id(w.env.Self()), Digest: messageID(w.workers[from], w.env.Self(), f.msg)})
	m.soloist.deliver(from, f)
	if m.repeats {
		w.env.Point("replay.delivered")
		m.repeat()
	}
}

// repeat works on to where the log has the next message.
func (m *msglog) repeat() {
	w := m.w
	for len(m.replay) > 0 && !m.broken {
		d := m.replay[0]
		m.cause = d.pos
		for m.steps < d.steps {
			if !w.app.Step((*emitter)(w)) {
				m.fail(fmt.Sprintf("the log has step %d before its record %d, and the job cannot do it", d.steps, d.pos))
				return
			}
			m.steps++
			w.worked()
		}
		if d.from != none {
			break
		}
		m.replay = m.replay[1:]
	}
	m.release()
}

// replayed is called when all has been done again, and seen by whoever was to
// see it.
func (m *msglog) replayed() {
	w := m.w
	for k, i := range w.tos {
		if k < len(w.order.owed) && w.outs[i].msgs < w.order.owed[k] {
			m.fail(fmt.Sprintf("after the replay %d messages were sent to %s, which has received %d", w.outs[i].msgs, w.outs[i].to, w.order.owed[k]))
			return
		}
	}
	m.repeats = false
	w.note(record.Event{Kind: record.ReplayEnd, Digest: digestOf(w.app.AppendState(nil))})
	m.soloist.resumed()
	w.env.Point("replay.end")
}

// fail gives up: the log is not what it was.
func (m *msglog) fail(why string) {
	m.broken = true
	m.w.env.Logf("the replay fails: %s", why)
	m.w.beat()
}

// blocked admits nothing while messages wait to leave and, in a replay, only
// the message that is next in the log.
func (m *msglog) blocked(from int) bool {
	in := m.w.ins[from]
	switch {
	case len(in.pending) > 0 && in.pending[0].msg <= in.msgs:
		return false // it is dropped
	case m.wanted:
		return true
	case !m.repeats:
		// Nothing is taken in before what waits has left: it would have to
		// wait for that to be logged as well, and so on.
		return len(m.held) > 0
	case len(m.replay) == 0 || m.broken:
		return true
	case m.w.cfg.Bug == replayOrder:
		return false
	}
	d := m.replay[0]
	return d.from != from || len(in.pending) > 0 && d.msg != in.pending[0].msg
}

func (m *msglog) stopped() bool { return m.repeats || m.wanted }

func (m *msglog) idle() bool { return len(m.held) == 0 && !m.repeats }

func (m *msglog) failing() bool { return m.broken }

// due has a checkpoint taken as soon as no message waits for the log: what is
// in a checkpoint has left.
func (m *msglog) due() {
	if m.repeats || m.part != nil {
		return
	}
	m.wanted = true
	m.release()
}

func (m *msglog) fill(p *part) {
	p.steps, p.logged = m.steps, m.log.next-1
	m.at[p.round] = p.logged
}

func (m *msglog) restored(p *part) {
	w := m.w
	m.steps, m.held, m.wanted, m.broken = p.steps, nil, false, false
	for k, i := range w.tos {
		m.gone[i] = 0
		if len(p.outs) > 0 {
			m.gone[i] = p.outs[k]
		}
	}
	m.at[p.round] = p.logged
	m.replay = m.log.after(p.logged)
	m.told = p.logged
	m.repeats = w.epoch > firstEpoch
}

func (m *msglog) resumed() {
	m.wanted = false
	if m.repeats {
		m.w.env.Point("replay.begin")
		if m.w.cfg.Bug == wrongOffset {
			m.capture(0, true)
		}
		m.repeat()
		return
	}
	m.soloist.resumed()
	m.release()
}

// left is the last message to a worker that has left.
func (m *msglog) left(to int) uint64 { return m.gone[to] }

// let forgets what was logged before the oldest checkpoint that there is.
func (m *msglog) let(oldest int) {
	if pos, ok := m.at[oldest]; ok {
		m.log.forget(pos)
		for number := range m.at { // the order does not matter
			if number < oldest {
				delete(m.at, number)
			}
		}
	}
}

func (m *msglog) synced(token uint64, err error) { m.log.done(token, err) }

func (m *msglog) retry() { m.log.write() }
