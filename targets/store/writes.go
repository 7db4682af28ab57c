package store

import (
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/cleancut/cleancut/harness/node"
)

// writes are the requests that this node proposed and has not answered.
type writes struct {
	p    *Program
	next uint64 // id of the last request; starts at random in each incarnation
	open map[uint64]*pendingWrite
	// order has the open ones in order of their deadlines, and answered ones
	// whose deadline has not passed.
	order []*pendingWrite
}

type pendingWrite struct {
	id       uint64
	request  node.RequestID
	deadline time.Duration
}

// propose hands a write to Raft, which forwards it to the leader.
func (w *writes) propose(request node.RequestID, c *call) {
	p := w.p
	if len(w.open) >= p.cfg.MaxPending {
		p.env.Reply(request, refuse(503, codeUnavailable, "too many requests are in progress at this node"))
		return
	}
	w.next++
	cmd := command{op: c.op, origin: p.id, id: w.next, session: c.session, seq: c.seq, key: []byte(c.key), value: c.value, expected: c.expected}
	open := &pendingWrite{id: w.next, request: request, deadline: p.env.Now() + p.cfg.RequestTimeout}
	w.open[open.id] = open
	if len(w.order) >= 2*p.cfg.MaxPending {
		w.order = slices.DeleteFunc(w.order, func(o *pendingWrite) bool { return w.open[o.id] == nil })
	}
	w.order = append(w.order, open)
	data := cmd.append(make([]byte, 0, 32+len(c.key)+len(c.value)+len(c.expected)))
	if err := p.raft.Propose(data); err != nil {
		delete(w.open, open.id)
		p.env.Reply(request, refuse(503, codeUnavailable, "no leader is known, or it is overloaded; nothing was done"))
	}
}

// executed answers the request of a command that was applied, if it is one of
// this node's.
func (w *writes) executed(c *command, r result) {
	if c.origin != w.p.id {
		return
	}
	if open, ok := w.open[c.id]; ok {
		w.answer(open, answerWrite(r))
	}
}

// acknowledgeEarly is the bug ack-on-append.
func (w *writes) acknowledgeEarly(e *pb.Entry) {
	c, err := decodeCommand(e.Data)
	if err == nil && (c.op == opPut || c.op == opDelete) {
		w.executed(&c, result{outcome: outcomeOK, index: e.GetIndex()})
	}
}

func (w *writes) answer(open *pendingWrite, r node.Response) {
	delete(w.open, open.id)
	w.p.env.Reply(open.request, r)
	if r.Status == 200 {
		w.p.env.Point("write.acknowledged")
	}
}

// expire answers what has waited too long. The write may be in a log
// somewhere, and be executed later.
func (w *writes) expire(now time.Duration) {
	for len(w.order) > 0 && w.order[0].deadline <= now {
		w.fail(w.order[0], "no result in time; the write may be executed yet")
		w.order = w.order[1:]
	}
}

func (w *writes) failAll(why string) {
	for _, open := range w.order {
		w.fail(open, why)
	}
	w.order = nil
}

func (w *writes) fail(open *pendingWrite, why string) {
	if _, ok := w.open[open.id]; ok {
		w.answer(open, refuse(504, codeMaybeApplied, why))
	}
}
