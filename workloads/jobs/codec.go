package jobs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
)

// errForm means that bytes are not what a writer of this package made.
var errForm = errors.New("malformed bytes")

// writer appends values to bytes.
type writer struct{ b []byte }

func (w *writer) uint(n uint64) { w.b = binary.AppendUvarint(w.b, n) }
func (w *writer) int(n int64)   { w.b = binary.AppendVarint(w.b, n) }
func (w *writer) word(n uint64) { w.b = binary.LittleEndian.AppendUint64(w.b, n) }
func (w *writer) text(s string) {
	w.uint(uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *writer) bool(v bool) {
	if v {
		w.b = append(w.b, 1)
	} else {
		w.b = append(w.b, 0)
	}
}

// reader takes values from bytes. After the first that is not there all are
// zero, and end returns an error.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) int() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

// count reads a number that is at most limit.
func (r *reader) count(limit int64) int64 {
	n := r.uint()
	if n > uint64(limit) {
		r.fail()
		return 0
	}
	return int64(n)
}

func (r *reader) word() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	n := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return n
}

func (r *reader) bool() bool {
	if len(r.b) == 0 || r.b[0] > 1 {
		r.fail()
		return false
	}
	v := r.b[0] == 1
	r.b = r.b[1:]
	return v
}

func (r *reader) text() string {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) fail() { r.bad, r.b = true, nil }

// end reports whether all was there and nothing is left.
func (r *reader) end() error {
	if r.bad || len(r.b) > 0 {
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
	got := identity{job: r.text(), proc: int(r.count(ProcsMax)), procs: int(r.count(ProcsMax)), seed: r.word(), size: int(r.count(SizeMax))}
	if r.bad {
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
	if err := p.UnmarshalBinary([]byte(r.text())); err != nil {
		r.fail()
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

func readInbox(r *reader) inbox { return inbox{next: r.count(1 << 40), ended: r.bool()} }

// take notes message n and reports whether it was the one that was due.
func (i *inbox) take(n int64, last bool) (due bool) {
	due = n == i.next && !i.ended
	i.next = n + 1
	i.ended = i.ended || last
	return due
}
