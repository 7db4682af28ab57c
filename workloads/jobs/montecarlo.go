package jobs

import (
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/harness/rng"
	"github.com/cleancut/cleancut/harness/wire"
)

// MonteCarlo draws random points of a square and counts those within a
// quarter of a circle. Processes work alone and report what is new to their
// parent in a binary tree; process 0 has the whole. There is little to get
// wrong but much to lose, which is what it is for: it measures the work that
// checkpoints save.
//
// Points come from counters, not from a stream: point i of process p is a
// function of the seed, p and i. The sum over hashes of all points shows
// whether each was counted exactly once.
type MonteCarlo struct{}

const (
	batch       = 256 // points in a unit
	reportEvery = 8   // units between reports
)

// Name implements Job.
func (MonteCarlo) Name() string { return "montecarlo" }

// Doc implements Job.
func (MonteCarlo) Doc() string {
	return "a long embarrassingly parallel sum of random samples; every sample counts exactly once"
}

// Acyclic implements Job.
func (MonteCarlo) Acyclic() bool { return true }

// Channels implements Job.
func (MonteCarlo) Channels(procs int) (channels [][2]int) {
	for p := 1; p < procs; p++ {
		channels = append(channels, [2]int{p, (p - 1) / 2})
	}
	return channels
}

// New implements Job.
func (j MonteCarlo) New(proc, procs int, seed uint64, size int) (App, error) {
	id, err := newIdentity(j.Name(), proc, procs, seed, size)
	if err != nil {
		return nil, err
	}
	a := &monteCarlo{identity: id, key: rng.Derive(seed, fmt.Sprintf("job/montecarlo/%d", proc))}
	for c := 2*proc + 1; c <= 2*proc+2 && c < procs; c++ {
		a.children = append(a.children, c)
	}
	a.in = make([]inbox, len(a.children))
	return a, nil
}

// Answer implements Job.
func (j MonteCarlo) Answer(procs int, seed uint64, size int) (*Answer, error) {
	apps := make([]*monteCarlo, procs)
	for p := range procs {
		app, err := j.New(p, procs, seed, size)
		if err != nil {
			return nil, err
		}
		apps[p] = app.(*monteCarlo)
		for apps[p].units < int64(size) {
			apps[p].all.add(apps[p].draw())
		}
	}
	a := &Answer{Results: make([]string, procs), Outputs: make([][]Output, procs)}
	for p := procs - 1; p >= 0; p-- {
		a.Results[p] = apps[p].Result()
		if p > 0 {
			apps[(p-1)/2].all.add(apps[p].all)
		}
	}
	return a, nil
}

// tally is what is known of a number of points.
type tally struct {
	points, hits int64
	marks        uint64 // sum of their hashes
}

func (t *tally) add(u tally) {
	t.points += u.points
	t.hits += u.hits
	t.marks += u.marks
}

func (t tally) write(w *writer) {
	w.uint(uint64(t.points))
	w.uint(uint64(t.hits))
	w.word(t.marks)
}

func readTally(r *reader) tally {
	return tally{points: r.Max(1 << 50), hits: r.Max(1 << 50), marks: r.Uint64()}
}

type monteCarlo struct {
	identity
	key      uint64
	children []int

	units int64
	all   tally // of this process and those below it
	fresh tally // the part of it that was not reported
	in    []inbox
	sent  int64
	ended bool
	odd   int64
}

// draw does a unit of work.
func (a *monteCarlo) draw() (t tally) {
	for i := range uint64(batch) {
		h := mix(a.key + uint64(a.units)*batch + i)
		x, y := h>>32, h&0xffffffff
		if (x*x)>>1+(y*y)>>1 < 1<<63 {
			t.hits++
		}
		t.points++
		t.marks += mix(h)
	}
	a.units++
	return t
}

func (a *monteCarlo) Step(out Out) bool {
	if a.units < int64(a.size) {
		t := a.draw()
		a.all.add(t)
		a.fresh.add(t)
		if a.units%reportEvery == 0 {
			a.report(out, false)
		}
		return true
	}
	if a.ended || slices.ContainsFunc(a.in, func(i inbox) bool { return !i.ended }) {
		return false
	}
	a.report(out, true)
	a.ended = true
	return true
}

// report sends the parent what is new.
func (a *monteCarlo) report(out Out, last bool) {
	if a.proc == 0 {
		return
	}
	var w writer
	w.bool(last)
	w.uint(uint64(a.sent))
	a.fresh.write(&w)
	a.fresh = tally{}
	a.sent++
	out.Send((a.proc-1)/2, w.b, 0)
}

func (a *monteCarlo) Deliver(from int, payload []byte, _ Out) error {
	i := slices.Index(a.children, from)
	if i < 0 {
		return a.refuse(from, "it is no child")
	}
	r := reader{wire.Over(payload)}
	last, n, t := r.Bool(), r.Max(SizeMax), readTally(&r)
	if err := r.end(); err != nil {
		return a.refuse(from, err.Error())
	}
	if !a.in[i].take(n, last) {
		a.odd++
	}
	a.all.add(t)
	a.fresh.add(t)
	return nil
}

func (a *monteCarlo) AppendState(b []byte) []byte {
	w := writer{b}
	a.write(&w)
	w.uint(uint64(a.units))
	a.all.write(&w)
	a.fresh.write(&w)
	w.uint(uint64(a.sent))
	w.bool(a.ended)
	w.uint(uint64(a.odd))
	for _, i := range a.in {
		i.write(&w)
	}
	return w.b
}

func (a *monteCarlo) LoadState(b []byte) error {
	r := reader{wire.Over(b)}
	if err := a.check(&r); err != nil {
		return err
	}
	n := monteCarlo{identity: a.identity, key: a.key, children: a.children, units: r.Max(int64(a.size)), all: readTally(&r), fresh: readTally(&r)}
	n.sent, n.ended, n.odd = r.Max(SizeMax+1), r.Bool(), r.Max(1<<40)
	for range a.children {
		n.in = append(n.in, readInbox(&r))
	}
	if err := a.finish(&r); err != nil {
		return err
	}
	*a = n
	return nil
}

func (a *monteCarlo) Units() int64              { return a.units }
func (a *monteCarlo) Done() bool                { return a.ended }
func (a *monteCarlo) Offsets() map[string]int64 { return nil }
func (a *monteCarlo) Value() (int64, bool)      { return 0, false }

func (a *monteCarlo) Result() string {
	return fmt.Sprintf("units=%d points=%d hits=%d marks=%016x odd=%d", a.units, a.all.points, a.all.hits, a.all.marks, a.odd)
}
