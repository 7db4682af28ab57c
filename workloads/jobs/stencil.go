package jobs

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"github.com/cleancut/cleancut/harness/rng"
	"github.com/cleancut/cleancut/harness/wire"
)

// Stencil iterates over a grid of integers that is cut into strips of rows,
// one for each process. In every iteration a cell becomes a function of itself
// and its four neighbours, so that strips that touch must exchange their
// border rows first. Outside the grid there are zeros.
//
// The function is not a mean, as in the relaxations that it stands for, but
// spreads every bit: a mean would heal a wrong cell in a few iterations, and
// the final grid would hide it.
type Stencil struct{}

// The strip of one process.
const (
	stripRows = 4
	stripCols = 16
)

// haloMax bounds the border rows that wait. In order, two never wait: a
// neighbour is at most one iteration ahead.
const haloMax = 8

type row [stripCols]uint64

// Name implements Job.
func (Stencil) Name() string { return "stencil" }

// Doc implements Job.
func (Stencil) Doc() string {
	return "an iterative grid computation with halo exchange; the final grid is bit-identical to a failure-free run"
}

// Acyclic implements Job.
func (Stencil) Acyclic() bool { return false }

// Channels implements Job.
func (Stencil) Channels(procs int) (channels [][2]int) {
	for p := range procs {
		if p > 0 {
			channels = append(channels, [2]int{p, p - 1})
		}
		if p < procs-1 {
			channels = append(channels, [2]int{p, p + 1})
		}
	}
	return channels
}

// New implements Job.
func (j Stencil) New(proc, procs int, seed uint64, size int) (App, error) {
	id, err := newIdentity(j.Name(), proc, procs, seed, size)
	if err != nil {
		return nil, err
	}
	a := &stencil{identity: id}
	source := rng.Source(seed, fmt.Sprintf("job/stencil/%d", proc))
	for y := range a.cells {
		for x := range a.cells[y] {
			a.cells[y][x] = source.Uint64()
		}
	}
	return a, nil
}

// Answer implements Job. It runs all strips in lockstep.
func (j Stencil) Answer(procs int, seed uint64, size int) (*Answer, error) {
	strips := make([]*stencil, procs)
	for p := range procs {
		app, err := j.New(p, procs, seed, size)
		if err != nil {
			return nil, err
		}
		strips[p] = app.(*stencil)
	}
	for range size {
		var above row
		for p, s := range strips {
			var below row
			if p < procs-1 {
				below = strips[p+1].cells[0]
			}
			bottom := s.cells[stripRows-1]
			s.relax(above, below)
			above = bottom
		}
	}
	a := &Answer{Outputs: make([][]Output, procs)}
	for _, s := range strips {
		s.iteration = int64(size)
		a.Results = append(a.Results, s.Result())
	}
	return a, nil
}

type stencil struct {
	identity
	cells     [stripRows]row
	iteration int64
	sent      bool // the borders of this iteration are on their way
	// Index 0 is the strip above, index 1 the one below.
	waiting [2][]row
	next    [2]int64 // the iteration whose border comes next
	odd     int64    // borders of another iteration than that
}

// relax computes the next iteration from the rows above and below.
func (a *stencil) relax(above, below row) {
	old := a.cells
	at := func(y, x int) uint64 {
		switch {
		case x < 0 || x >= stripCols:
			return 0
		case y < 0:
			return above[x]
		case y >= stripRows:
			return below[x]
		}
		return old[y][x]
	}
	for y := range stripRows {
		for x := range stripCols {
			a.cells[y][x] = mix(at(y, x) + 3*at(y-1, x) + 5*at(y+1, x) + 7*at(y, x-1) + 11*at(y, x+1))
		}
	}
}

// peer returns the strip above (0) or below (1), and whether there is one.
func (a *stencil) peer(side int) (int, bool) {
	p := a.proc - 1 + 2*side
	return p, p >= 0 && p < a.procs
}

func (a *stencil) Step(out Out) bool {
	if a.iteration == int64(a.size) {
		return false
	}
	worked := !a.sent
	if !a.sent {
		for side, border := range []row{a.cells[0], a.cells[stripRows-1]} {
			if p, ok := a.peer(side); ok {
				var w writer
				w.uint(uint64(a.iteration))
				writeRow(&w, border)
				out.Send(p, w.b, 0)
			}
		}
		a.sent = true
	}
	var halo [2]row
	for side := range halo {
		if _, ok := a.peer(side); ok && len(a.waiting[side]) == 0 {
			return worked
		}
	}
	for side := range halo {
		if _, ok := a.peer(side); ok {
			halo[side], a.waiting[side] = a.waiting[side][0], a.waiting[side][1:]
		}
	}
	a.relax(halo[0], halo[1])
	a.iteration++
	a.sent = false
	return true
}

func (a *stencil) Deliver(from int, payload []byte, _ Out) error {
	side := 0
	if from > a.proc {
		side = 1
	}
	if p, ok := a.peer(side); !ok || p != from {
		return a.refuse(from, "their strips do not touch")
	}
	r := reader{wire.Over(payload)}
	iteration, border := r.Max(int64(a.size)), readRow(&r)
	if err := r.end(); err != nil {
		return a.refuse(from, err.Error())
	}
	if iteration != a.next[side] {
		a.odd++
	}
	a.next[side] = iteration + 1
	if len(a.waiting[side]) < haloMax {
		a.waiting[side] = append(a.waiting[side], border)
	}
	return nil
}

func (a *stencil) AppendState(b []byte) []byte {
	w := writer{b}
	a.write(&w)
	w.uint(uint64(a.iteration))
	w.bool(a.sent)
	w.uint(uint64(a.odd))
	for _, r := range a.cells {
		writeRow(&w, r)
	}
	for side, rows := range a.waiting {
		w.uint(uint64(a.next[side]))
		w.uint(uint64(len(rows)))
		for _, r := range rows {
			writeRow(&w, r)
		}
	}
	return w.b
}

func (a *stencil) LoadState(b []byte) error {
	r := reader{wire.Over(b)}
	if err := a.check(&r); err != nil {
		return err
	}
	n := stencil{identity: a.identity, iteration: r.Max(int64(a.size)), sent: r.Bool(), odd: r.Max(1 << 40)}
	for y := range n.cells {
		n.cells[y] = readRow(&r)
	}
	for side := range n.waiting {
		n.next[side] = r.Max(int64(a.size) + 1)
		for range r.Max(haloMax) {
			n.waiting[side] = append(n.waiting[side], readRow(&r))
		}
	}
	if err := a.finish(&r); err != nil {
		return err
	}
	*a = n
	return nil
}

func writeRow(w *writer, r row) {
	for _, c := range r {
		w.word(c)
	}
}

func readRow(r *reader) (cells row) {
	for x := range cells {
		cells[x] = r.Uint64()
	}
	return cells
}

func (a *stencil) Units() int64              { return a.iteration }
func (a *stencil) Done() bool                { return a.iteration == int64(a.size) }
func (a *stencil) Offsets() map[string]int64 { return nil }
func (a *stencil) Value() (int64, bool)      { return 0, false }

func (a *stencil) Result() string {
	h := fnv.New64a()
	for _, r := range a.cells {
		_ = binary.Write(h, binary.LittleEndian, r) // a hash never fails
	}
	return fmt.Sprintf("iterations=%d digest=%016x odd=%d", a.iteration, h.Sum64(), a.odd)
}
