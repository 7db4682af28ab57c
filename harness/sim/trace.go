package sim

import (
	"fmt"
	"io"
	"math/bits"
	"time"

	"github.com/cespare/xxhash/v2"
)

// CheckpointEvery is the number of events between two checkpoints of a trace.
const CheckpointEvery = 10_000

// Checkpoint is the state of a trace after a number of events.
type Checkpoint struct {
	Events uint64        `json:"events"`
	At     time.Duration `json:"at_ns"`
	Hash   string        `json:"hash"`
}

// Checkpointer is a cluster that keeps checkpoints of its trace, one every
// CheckpointEvery events: those of two runs tell where they parted.
type Checkpointer interface {
	Checkpoints() []Checkpoint
}

// FirstDivergence compares the checkpoints of two runs that should have been
// equal. It returns the bounds (from, to] of the events among which they
// parted first, and false if the checkpoints that both have agree: the runs
// are then equal, or parted after the last of these. Running both again with
// Options.Trace set to these bounds shows the event itself.
func FirstDivergence(a, b []Checkpoint) (from, to uint64, diverged bool) {
	n := min(len(a), len(b))
	// Once apart, rolling hashes stay apart: a binary search would do, but
	// there are at most some thousands.
	for i := range n {
		if a[i] != b[i] {
			return from, max(a[i].Events, b[i].Events), true
		}
		from = a[i].Events
	}
	return from, 0, false
}

// TraceWindow asks for the events of a run in words, one line each: the number
// of the event, the time in nanoseconds, what happened, to which process (or
// end of a link), and a digest of the particulars. What happened within an
// event follows it under its number.
type TraceWindow struct {
	// From and To bound the events, counted from 1, that are written.
	From, To uint64
	Writer   io.Writer
}

// trace is a rolling 128-bit hash over everything that happens. It is made
// to tell runs apart, not to withstand an adversary.
type trace struct {
	a, b        uint64
	events      uint64
	checkpoints []mark
	window      TraceWindow
	names       []string // of ends, for the window
}

type mark struct {
	events uint64
	at     int64
	a, b   uint64
}

const (
	mixA = 0xa0761d6478bd642f // wyhash's constants (Wang Yi): odd, half their bits set
	mixB = 0xe7037ed1a0b428db
)

// fold is the folded multiplication of wyhash: all bits of the 128-bit
// product of x and y in 64.
func fold(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}

// record adds something that happened to a node (or to the end of that index)
// to the hash.
func (t *trace) record(at int64, k kind, node int16, epoch uint32, x uint64) {
	t.a = fold(t.a^uint64(at), mixA^(uint64(k)|uint64(uint16(node))<<8|uint64(epoch)<<24))
	t.b = fold(t.b^x, mixB^t.a)
	if t.window.Writer != nil {
		t.write(at, k, node, epoch, x)
	}
}

func (t *trace) write(at int64, k kind, node int16, epoch uint32, x uint64) {
	if t.events < t.window.From || t.events > t.window.To {
		return
	}
	name := "-"
	if node >= 0 && int(node) < len(t.names) {
		name = t.names[node]
	}
	// A writer that fails spoils the window, not the run.
	fmt.Fprintf(t.window.Writer, "%d %d %s %s.%d %016x\n", t.events, at, kindNames[k], name, epoch, x)
}

// event counts an event, and keeps a checkpoint now and then.
func (t *trace) event(at int64) {
	t.events++
	if t.events%CheckpointEvery == 0 {
		t.checkpoints = append(t.checkpoints, mark{t.events, at, t.a, t.b})
	}
}

func (t *trace) hash() string { return hexHash(t.a, t.b) }

func hexHash(a, b uint64) string { return fmt.Sprintf("%016x%016x", a, b) }

func (t *trace) list() []Checkpoint {
	list := make([]Checkpoint, len(t.checkpoints))
	for i, m := range t.checkpoints {
		list[i] = Checkpoint{m.events, time.Duration(m.at), hexHash(m.a, m.b)}
	}
	return list
}

// digest condenses bytes for the trace.
func digest(b []byte) uint64 { return xxhash.Sum64(b) }

func digestString(s string) uint64 { return xxhash.Sum64String(s) }
