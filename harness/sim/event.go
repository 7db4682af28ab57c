package sim

import "github.com/cleancut/cleancut/harness/node"

// kind says what an event or a trace record is. The numbers feed the trace
// hash: a new kind goes to the end.
type kind uint8

const (
	kindBoot kind = iota
	kindMessage
	kindTimer
	kindSynced
	kindRequest
	kindResponse
	kindRefused
	kindReset
	kindWake
	kindDrain
	// Kinds from here on are records of the trace only, never scheduled.
	kindResume
	kindSend
	kindDrop
	kindWrite
	kindPoint
	kindFact
	kindDeath
	kindReply
	kindPause
	kindRule
	kindRecord
)

var kindNames = [...]string{
	"boot", "message", "timer", "synced", "request", "response", "refused", "reset", "wake", "drain",
	"resume", "send", "drop", "write", "point", "fact", "death", "reply", "pause", "rule", "record",
}

// payload is what is to happen when an event comes due.
type payload struct {
	kind kind
	from int16 // sender of a message
	node int16 // whom it concerns
	// epoch is the incarnation that the event belongs to; for messages and
	// requests it is the receiver's machine generation.
	epoch uint32
	a, b  uint64
	msg   node.Message
	ref   any // *call, *task or *inode
}

// entry is a scheduled event: its time, and its sequence number in the high
// bits above the payload's slot. Sequence numbers are unique, so that no two
// entries compare equal and ties of time go to what was scheduled first.
type entry struct {
	at  int64
	key uint64
}

const (
	slotBits   = 22
	pendingMax = 1 << slotBits // scheduled events at any moment
)

func (e entry) before(o entry) bool {
	return e.at < o.at || e.at == o.at && e.key < o.key
}

// agenda is a priority queue of events: a 4-ary heap of 16-byte entries
// without pointers (four children fill a cache line), and payloads in slots
// that are used again.
type agenda struct {
	heap  []entry
	slots []payload
	free  []uint32
	seq   uint64
}

// full reports whether no further event can be scheduled.
func (g *agenda) full() bool { return len(g.heap) >= pendingMax }

// push schedules p. The caller has made sure that the agenda is not full.
func (g *agenda) push(at int64, p payload) {
	var slot uint32
	if n := len(g.free); n > 0 {
		slot = g.free[n-1]
		g.free = g.free[:n-1]
		g.slots[slot] = p
	} else {
		slot = uint32(len(g.slots))
		g.slots = append(g.slots, p)
	}
	g.seq++
	e := entry{at, g.seq<<slotBits | uint64(slot)}
	g.heap = append(g.heap, e)
	i := len(g.heap) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(g.heap[parent]) {
			break
		}
		g.heap[i] = g.heap[parent]
		i = parent
	}
	g.heap[i] = e
}

// pop takes the earliest event. The agenda must not be empty.
func (g *agenda) pop() (at int64, p payload) {
	top := g.heap[0]
	last := len(g.heap) - 1
	e := g.heap[last]
	g.heap = g.heap[:last]
	if last > 0 {
		g.sink(e)
	}
	slot := uint32(top.key & (pendingMax - 1))
	p = g.slots[slot]
	g.slots[slot] = payload{} // lets go of what it referred to
	g.free = append(g.free, slot)
	return top.at, p
}

// sink places e into the heap, whose root is vacant.
func (g *agenda) sink(e entry) {
	h := g.heap
	n := len(h)
	i := 0
	for {
		child := 4*i + 1
		if child >= n {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, n); c++ {
			if h[c].before(h[least]) {
				least = c
			}
		}
		if !h[least].before(e) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = e
}
