package store

import (
	"encoding/binary"
	"slices"
	"time"

	"go.etcd.io/raft/v3"

	"github.com/cleancut/cleancut/harness/node"
)

// readContextSize is the length of a read context: the incarnation's random
// number and the batch's.
const readContextSize = 16

// readBatchesMax bounds the read batches that wait for their index at once.
// Reads beyond it share the next batch.
const readBatchesMax = 8

// reads answers linearizable reads (Raft thesis, section 6.4): the leader
// names its commit index and makes sure that it is still leader; the reads
// are answered when this node has applied up to it.
//
// Every request to the leader has a context of its own, never used again,
// not even for a repetition: an answer to an earlier request must not be
// taken for one to a later (etcd#20418).
type reads struct {
	p     *Program
	nonce uint64
	last  uint64 // number of the last read, for the invariants
	batch uint64 // number of the last batch

	fresh []pendingRead // not asked for yet
	open  map[uint64]*readBatch
	asked []*readBatch // the open ones in order, and answered ones before them
	ready []*readBatch // index known, in order of arrival
	count int          // reads in all of these
}

type pendingRead struct {
	request  node.RequestID
	key      string
	number   uint64
	deadline time.Duration
}

type readBatch struct {
	id    uint64
	sent  time.Duration
	index uint64
	reads []pendingRead
}

// begin takes a read in.
func (q *reads) begin(request node.RequestID, key string) {
	p := q.p
	if q.count >= p.cfg.MaxPending {
		p.env.Reply(request, refuse(503, codeUnavailable, "too many requests are in progress at this node"))
		return
	}
	q.last++
	q.count++
	r := pendingRead{request, key, q.nonce + q.last, p.env.Now() + p.cfg.RequestTimeout}
	p.observe(Fact{Kind: FactReadBegan, Read: r.number})
	if p.cfg.Bug == staleLocalRead {
		q.answer(r, p.machine.index)
		return
	}
	q.fresh = append(q.fresh, r)
	q.ask(p.env.Now())
}

// ask sends a request for the fresh reads, if a leader is known.
func (q *reads) ask(now time.Duration) {
	if len(q.fresh) == 0 || q.p.leader == raft.None || len(q.open) >= readBatchesMax {
		return
	}
	q.batch++
	b := &readBatch{id: q.batch, sent: now, reads: q.fresh}
	q.fresh = nil
	q.open[b.id] = b
	if len(q.asked) >= 2*readBatchesMax {
		q.asked = slices.DeleteFunc(q.asked, func(b *readBatch) bool { return q.open[b.id] == nil })
	}
	q.asked = append(q.asked, b)
	ctx := binary.LittleEndian.AppendUint64(make([]byte, 0, readContextSize), q.nonce)
	q.p.raft.ReadIndex(binary.LittleEndian.AppendUint64(ctx, b.id))
}

// confirmed takes the leader's answer.
func (q *reads) confirmed(s raft.ReadState) {
	ctx := s.RequestCtx
	if len(ctx) != readContextSize || binary.LittleEndian.Uint64(ctx) != q.nonce {
		return // an answer to another incarnation
	}
	b, ok := q.open[binary.LittleEndian.Uint64(ctx[8:])]
	if !ok {
		return // a second answer, or one that was given up
	}
	delete(q.open, b.id)
	b.index = s.Index
	q.ready = append(q.ready, b)
}

// serve answers the reads whose index has been applied.
func (q *reads) serve() {
	if len(q.ready) == 0 {
		return
	}
	waiting := q.ready[:0]
	for _, b := range q.ready {
		if b.index > q.p.machine.index && q.p.cfg.Bug != readIndexNoWait {
			waiting = append(waiting, b)
			continue
		}
		for _, r := range b.reads {
			q.answer(r, b.index)
		}
	}
	clear(q.ready[len(waiting):])
	q.ready = waiting
	q.ask(q.p.env.Now())
}

func (q *reads) answer(r pendingRead, index uint64) {
	m := q.p.machine
	q.count--
	q.p.observe(Fact{Kind: FactReadServed, Read: r.number, Index: index, Applied: m.index})
	value, found := m.get(r.key)
	q.p.env.Reply(r.request, answerRead(value, found, m.index))
}

// tick takes requests without answer for lost, and gives up reads that have
// waited too long.
func (q *reads) tick(now time.Duration) {
	var again []pendingRead
	for len(q.asked) > 0 && now-q.asked[0].sent >= q.p.cfg.ReadRetry {
		b := q.asked[0]
		q.asked = q.asked[1:]
		if _, lost := q.open[b.id]; lost {
			delete(q.open, b.id)
			again = append(again, b.reads...)
		}
	}
	q.fresh = q.expire(append(again, q.fresh...), now)
	waiting := q.ready[:0]
	for _, b := range q.ready {
		if b.reads = q.expire(b.reads, now); len(b.reads) > 0 {
			waiting = append(waiting, b)
		}
	}
	clear(q.ready[len(waiting):])
	q.ready = waiting
	q.ask(now)
}

// expire answers the reads that have waited too long and returns the others.
func (q *reads) expire(rs []pendingRead, now time.Duration) []pendingRead {
	keep := rs[:0]
	for _, r := range rs {
		if r.deadline > now {
			keep = append(keep, r)
			continue
		}
		q.fail(r, "no leader has confirmed the read in time")
	}
	return keep
}

func (q *reads) fail(r pendingRead, why string) {
	q.count--
	q.p.env.Reply(r.request, refuse(503, codeUnavailable, why))
}

func (q *reads) failAll(why string) {
	for _, b := range q.asked {
		if _, open := q.open[b.id]; open {
			q.ready = append(q.ready, b)
		}
	}
	for _, b := range q.ready {
		for _, r := range b.reads {
			q.fail(r, why)
		}
	}
	for _, r := range q.fresh {
		q.fail(r, why)
	}
	*q = reads{p: q.p, nonce: q.nonce, open: map[uint64]*readBatch{}}
}
