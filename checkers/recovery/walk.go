package recovery

import (
	"slices"
	"sort"

	"github.com/cleancut/cleancut/harness/record"
)

// walk holds the history of each process up to a place, as a list, and moves
// from place to place at the cost of what lies between. So the patterns before
// many recoveries cost little more than one pass over the record and what was
// undone.
type walk struct {
	r      *run
	at     []place
	events [][]int32 // of each process, in order
	marks  [][]mark  // of each process: its checkpoints, in order
	sent   []int32   // position of each message's first sending, or none
	recv   []int32
	posOf  []int32 // of each checkpoint: of its last mark, or none
	kept   []kept
	told   int32 // the event up to which what is kept knows of checkpoints
}

// kept are the checkpoints of a process that are kept, of its first marks.
type kept struct {
	ckpts, at []int32
	marks     int
}

// mark is where a checkpoint was taken, or restored.
type mark struct{ ckpt, pos int32 }

func newWalk(r *run) *walk {
	n := len(r.procs)
	w := &walk{r: r, at: make([]place, n), events: make([][]int32, n), marks: make([][]mark, n), kept: make([]kept, n)}
	w.sent, w.recv = slices.Repeat([]int32{none}, len(r.msgs)), slices.Repeat([]int32{none}, len(r.msgs))
	w.posOf = slices.Repeat([]int32{none}, len(r.ckpts))
	for p := range w.at {
		w.at[p] = initial
	}
	return w
}

// to moves every process to its place.
func (w *walk) to(places []place) *walk {
	for p, at := range places {
		w.move(int32(p), at)
	}
	return w
}

// meet is the latest place that lies in the histories of two.
func (r *run) meet(a, b place) place {
	for a.inc != b.inc {
		if a.inc > b.inc {
			a = r.incs[a.inc].from
		} else {
			b = r.incs[b.inc].from
		}
	}
	return place{a.inc, min(a.at, b.at)}
}

func (w *walk) move(p int32, to place) {
	base := w.r.meet(w.at[p], to)
	for drop := w.r.distance(base, w.at[p]); drop > 0; drop-- {
		w.pop(p)
	}
	var path []place
	at := to
	for ; at.inc != base.inc; at = w.r.incs[at.inc].from {
		path = append(path, at)
	}
	if at.inc != none {
		w.follow(p, w.r.incs[at.inc].events[base.at:at.at])
	}
	for k := len(path) - 1; k >= 0; k-- {
		w.follow(p, w.r.incs[path[k].inc].events[:path[k].at])
	}
	w.at[p] = to
}

// distance counts the events of a history after a place that lies in it.
func (r *run) distance(from, to place) (n int32) {
	for ; to.inc != from.inc; to = r.incs[to.inc].from {
		n += to.at
	}
	return n + to.at - from.at
}

func (w *walk) follow(p int32, events []int32) {
	for _, i := range events {
		w.r.tick()
		pos := int32(len(w.events[p]))
		w.events[p] = append(w.events[p], i)
		e := &w.r.ev[i]
		switch m := w.r.msg[i]; {
		case e.Kind == record.CheckpointBegin || e.Kind == record.Restore && e.Ckpt != "":
			c := w.r.ckptOf[p][e.Ckpt]
			w.marks[p], w.posOf[c] = append(w.marks[p], mark{c, pos}), pos
		case e.Kind == record.Send && w.sent[m] == none:
			w.sent[m] = pos
		case e.Kind == record.Recv && w.recv[m] == none:
			w.recv[m] = pos
		}
	}
}

// pop takes the last event out of a history.
func (w *walk) pop(p int32) {
	w.r.tick()
	pos := int32(len(w.events[p])) - 1
	i := w.events[p][pos]
	w.events[p] = w.events[p][:pos]
	switch m := w.r.msg[i]; {
	case w.r.ev[i].Kind == record.Send && w.sent[m] == pos:
		w.sent[m] = none
	case w.r.ev[i].Kind == record.Recv && w.recv[m] == pos:
		w.recv[m] = none
	}
	if n := len(w.marks[p]); n > 0 && w.marks[p][n-1].pos == pos {
		w.posOf[w.marks[p][n-1].ckpt] = none
		w.marks[p] = w.marks[p][:n-1]
		w.forget(p, n-1)
	}
}

// forget considers the marks of a process from one on anew.
func (w *walk) forget(p int32, from int) {
	k := &w.kept[p]
	if from >= k.marks {
		return
	}
	k.marks = from
	pos := int32(0)
	if from > 0 {
		pos = w.marks[p][from-1].pos + 1
	}
	n := len(k.at)
	for n > 0 && k.at[n-1] >= pos {
		n--
	}
	k.ckpts, k.at = k.ckpts[:n], k.at[:n]
}

// keeping is pattern for the same rule at one moment after the other, where
// what the rule says of a checkpoint changes only by events of that checkpoint
// up to an event. It asks for those only that are new or have such events since
// the moment before, which began with the event since.
func (w *walk) keeping(until, since int32, keep func(c int32) bool) *pattern {
	for i := w.told + 1; i <= until; i++ {
		w.r.tick()
		switch e := &w.r.ev[i]; e.Kind {
		case record.CheckpointCommit, record.CheckpointAbort, record.CheckpointDelete, record.CheckpointBad:
			p := w.r.proc[i]
			if pos := w.posOf[w.r.ckptOf[p][e.Ckpt]]; pos != none {
				w.forget(p, sort.Search(len(w.marks[p]), func(x int) bool { return w.marks[p][x].pos >= pos }))
			}
		}
	}
	w.told = since
	n := len(w.events)
	p := &pattern{r: w.r, events: w.events, sent: w.sent, recv: w.recv, ckpts: make([][]int32, n), at: make([][]int32, n)}
	for q := range w.kept {
		k := &w.kept[q]
		for _, m := range w.marks[q][k.marks:] {
			k.add(m, keep)
		}
		k.marks = len(w.marks[q])
		p.ckpts[q], p.at[q] = k.ckpts, k.at
	}
	return p
}

func (k *kept) add(m mark, keep func(c int32) bool) {
	if n := len(k.ckpts); n > 0 && k.ckpts[n-1] == m.ckpt || !keep(m.ckpt) {
		return
	}
	k.ckpts, k.at = append(k.ckpts, m.ckpt), append(k.at, m.pos)
}

// pattern is what the walk has reached, with the checkpoints that keep says. It
// holds until the walk moves.
func (w *walk) pattern(keep func(c int32) bool) *pattern {
	n := len(w.events)
	p := &pattern{r: w.r, events: w.events, sent: w.sent, recv: w.recv, ckpts: make([][]int32, n), at: make([][]int32, n)}
	for q, marks := range w.marks {
		var k kept
		for _, m := range marks {
			k.add(m, keep)
		}
		p.ckpts[q], p.at[q] = k.ckpts, k.at
	}
	return p
}
