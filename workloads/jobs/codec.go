package jobs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cleancut/cleancut/harness/wire"
)

// errForm means that bytes are not what a writer of this package made.
var errForm = errors.New("malformed bytes")

// writer appends values to bytes.
type writer struct{ b []byte }

func (w *writer) uint(n uint64) { w.b = binary.AppendUvarint(w.b, n) }
func (w *writer) int(n int64)   { w.b = binary.AppendVarint(w.b, n) }
func (w *writer) word(n uint64) { w.b = binary.LittleEndian.AppendUint64(w.b, n) }
func (w *writer) text(s string) { w.b = wire.AppendString(w.b, s) }
func (w *writer) bool(v bool)   { w.b = wire.AppendBool(w.b, v) }

// reader reads what a writer wrote.
type reader struct{ wire.Reader }

// end reports whether all was there and nothing is left.
func (r *reader) end() error {
	if !r.Done() {
		return errForm
	}
	return nil
}

// write puts the identity in front of a state.
func (id identity) write(w *writer) {
	w.text(id.job)
	w.uint(uint64(id.proc))
	w.uint(uint64(id.procs))
	w.word(id.seed)
	w.uint(uint64(id.size))
}

// check reads an identity and compares it with this one.
func (id identity) check(r *reader) error {
	got := identity{job: r.Text(), proc: int(r.Max(ProcsMax)), procs: int(r.Max(ProcsMax)), seed: r.Uint64(), size: int(r.Max(SizeMax))}
	if r.Failed() {
		return fmt.Errorf("job %s: state of process %d: %w", id.job, id.proc, errForm)
	}
	if got != id {
		return fmt.Errorf("job %s: the state is of process %d of %d of %q with seed %d and size %d; expected process %d of %d with seed %d and size %d",
			id.job, got.proc, got.procs, got.job, got.seed, got.size, id.proc, id.procs, id.seed, id.size)
	}
	return nil
}

// finish turns a reader's end into an error that names the state.
func (id identity) finish(r *reader) error {
	if err := r.end(); err != nil {
		return fmt.Errorf("job %s: state of process %d: %w", id.job, id.proc, err)
	}
	return nil
}

// refuse is the error for a message that its sender could not have sent.
func (id identity) refuse(from int, why string) error {
	return fmt.Errorf("job %s: message from process %d to %d: %s", id.job, from, id.proc, why)
}

// writeStream and readStream keep the position of a random stream.
func writeStream(w *writer, p *rand.PCG) {
	b, _ := p.MarshalBinary() // never fails, by its contract
	w.text(string(b))
}

func readStream(r *reader) *rand.PCG {
	p := new(rand.PCG)
	if err := p.UnmarshalBinary([]byte(r.Text())); err != nil {
		r.Fail()
	}
	return p
}

// mix is a bijection that spreads a change of one bit over all 64 (the
// finalizer of SplitMix64; Steele, Lea, Flood, OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

// inbox is what a process knows of what another one sent it: the number of
// the next message, and whether the last one came.
type inbox struct {
	next  int64
	ended bool
}

func (i inbox) write(w *writer) {
	w.uint(uint64(i.next))
	w.bool(i.ended)
}

func readInbox(r *reader) inbox { return inbox{next: r.Max(1 << 40), ended: r.Bool()} }

// take notes message n and reports whether it was the one that was due.
func (i *inbox) take(n int64, last bool) (due bool) {
	due = n == i.next && !i.ended
	i.next = n + 1
	i.ended = i.ended || last
	return due
}
