package models

import (
	"context"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// PRAM judges pipelined random access memory (Lipton and Sandberg 1988): each
// session sees all writes in some order of its own, which keeps the order of
// every session, and its own operations in their place. Operations and
// preconditions are those of Session.
//
// For each session, a write of the key that precedes a read precedes the write
// that it returned; there is an order if and only if what follows from this has
// no cycle (Wei, Cheng, Huang, Lu, Cao, IEEE TPDS 2013). Exact. Usually O(n·k)
// for n operations of k sessions, as the reads of a session are taken from the
// last to the first: of a read only earlier reads learn something new. At worst
// each conclusion moves every write. Many sessions of a linearizable history are
// taken as by Session.
func PRAM(initial history.Value) checkers.Checker { return pram(initial, manySessions) }

// pram is PRAM with another bound of what many sessions are.
func pram(initial history.Value, many int) checkers.Checker {
	return judge("pram", "an order of the writes for each session", func(ctx context.Context, ops []history.Operation) judged {
		s, v := readSessions(ctx, ops, initial, false)
		if s == nil {
			return v
		}
		if len(s.of) > many && linearizable(ctx, ops, initial) {
			return fromLinearizable(s)
		}
		return s.decide(ctx, func(s *sessions) judged { return s.pram(ctx) })
	})
}

func (s *sessions) pram(ctx context.Context) judged {
	w := newViews(s)
	for n := range s.of {
		ok := w.ordered(int32(n))
		if s.watch.late {
			return unknown("time ran out after %d of %s", n, plural(len(s.of), "session"))
		}
		if !ok { // the slower way, which explains why
			if v := newSaturation(s, int32(n)).run(ctx); v.Verdict != "" {
				return v
			}
		}
	}
	return valid("each of %s sees the writes in an order that explains its reads", plural(len(s.of), "session"))
}

// views decides for one session after the other, its observer, whether all
// writes can be ordered so that its reads are explained. What precedes an
// operation of the observer must do so because a read returned it, because a
// later write of its session precedes, or because a write precedes that it must
// precede itself: pos of a write is the index in the observer's session of the
// first operation that it precedes, or its own there. If pos of a write is at
// most that of all that it must precede, and the writes of the same pos can be
// ordered among themselves, so can all.
type views struct {
	s       *sessions
	writes  [][]int32 // session → its writes in order
	ordinal []int32   // write → place among these
	byKey   [][]keyed
	pos     []int32 // write → see above

	observer int32
	seen     []int32 // session → its first writes that have a pos, so many
	touched  []int32 // sessions of which some have
	edges    []precedence
	into     []int32 // write → its latest edge, and 1
	last     []int32 // write → the write that it was last put before, and 1
	later    []int32 // write → what must follow it and is not placed, while writes are ordered
	todo     []lowering
}

// keyed lists the writes of a session to a key, by ordinal.
type keyed struct {
	session  int32
	list     []int32
	at       int   // how many may precede the reads to come
	observer int32 // to which this applies
}

// precedence is an edge from a write into another one, and the number of the
// next such edge, and 1.
type precedence struct{ from, next int32 }

// lowering demands that a write precedes an operation of the observer.
type lowering struct{ write, pos int32 }

func newViews(s *sessions) *views {
	n := len(s.ops)
	w := &views{
		s: s, writes: make([][]int32, len(s.of)), ordinal: make([]int32, n), byKey: make([][]keyed, s.keys), pos: make([]int32, n),
		seen: make([]int32, len(s.of)), into: make([]int32, n), last: make([]int32, n), later: make([]int32, n),
	}
	for session, list := range s.of {
		for _, v := range list {
			a := &s.ops[v]
			if !a.write {
				continue
			}
			of := w.byKey[a.key]
			if len(of) == 0 || of[len(of)-1].session != a.session {
				of = append(of, keyed{session: a.session, observer: -1})
				w.byKey[a.key] = of
			}
			w.ordinal[v] = int32(len(w.writes[session]))
			of[len(of)-1].list = append(of[len(of)-1].list, w.ordinal[v])
			w.writes[session] = append(w.writes[session], v)
		}
	}
	return w
}

// ordered reports whether there is an order for an observer. That says nothing
// once time has run out.
func (w *views) ordered(observer int32) bool {
	w.begin(observer)
	list := w.s.of[observer]
	for i, v := range list {
		if a := &w.s.ops[v]; a.read && a.from >= 0 && !w.returned(a.from, int32(i)) {
			return false
		}
	}
	for i := len(list) - 1; i >= 0; i-- {
		if a := &w.s.ops[list[i]]; w.s.watch.over(0) || a.read && !w.read(a) {
			return false
		}
	}
	return w.inward() || w.placed()
}

// begin forgets the observer before.
func (w *views) begin(observer int32) {
	for _, session := range w.touched {
		for _, v := range w.writes[session][:w.seen[session]] {
			w.into[v], w.last[v] = 0, 0
		}
		w.seen[session] = 0
	}
	w.touched = w.touched[:0]
	for _, v := range w.writes[w.observer] {
		w.last[v] = 0
	}
	w.edges = w.edges[:0]
	w.observer = observer
	for _, v := range w.writes[observer] {
		w.pos[v] = w.s.ops[v].index
	}
}

// returned notes that a write precedes the operation of the observer that read
// it.
func (w *views) returned(from, i int32) bool {
	session := w.s.ops[from].session
	if session == w.observer {
		return w.pos[from] < i
	}
	if w.seen[session] == 0 {
		w.touched = append(w.touched, session)
	}
	for n := w.ordinal[from]; w.seen[session] <= n; w.seen[session]++ {
		w.pos[w.writes[session][w.seen[session]]] = i
	}
	return true
}

// read puts the writes that precede a read before the one that it returned.
// Those that precede it are known: all later reads were taken before.
func (w *views) read(a *access) bool {
	of := w.byKey[a.key]
	if w.s.watch.over(len(of)) {
		return false
	}
	for n := range of {
		h := &of[n]
		if h.observer != w.observer {
			h.observer, h.at = w.observer, len(h.list)
		}
		list := w.writes[h.session]
		for h.at > 0 && (h.list[h.at-1] >= w.seen[h.session] && h.session != w.observer || w.pos[list[h.list[h.at-1]]] > a.index) {
			h.at--
		}
		if h.at == 0 {
			continue
		}
		first := list[h.list[h.at-1]]
		if first != a.from && (a.from < 0 || !w.precede(first, a.from)) {
			return false
		}
	}
	return true
}

// precede puts a write before another one. It reports whether that is possible
// as far as their positions tell.
func (w *views) precede(first, second int32) bool {
	a, b := &w.s.ops[first], &w.s.ops[second]
	if a.session == b.session {
		return a.index < b.index
	}
	if w.last[first] == second+1 {
		return true
	}
	w.last[first] = second + 1
	if b.session != w.observer {
		w.edges = append(w.edges, precedence{first, w.into[second]})
		w.into[second] = int32(len(w.edges))
	}
	w.todo = append(w.todo[:0], lowering{first, w.pos[second]})
	for len(w.todo) > 0 {
		l := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		if w.s.watch.over(0) || !w.lower(l) {
			return false
		}
	}
	return true
}

// lower moves a write, those before it in its session, and those that must
// precede these.
func (w *views) lower(l lowering) bool {
	session := w.s.ops[l.write].session
	if session == w.observer {
		return w.pos[l.write] < l.pos
	}
	list := w.writes[session]
	for n := w.ordinal[l.write]; n >= 0 && w.pos[list[n]] > l.pos && !w.s.watch.over(0); n-- {
		w.pos[list[n]] = l.pos
		for e := w.into[list[n]]; e > 0; e = w.edges[e-1].next {
			w.todo = append(w.todo, lowering{w.edges[e-1].from, l.pos})
		}
	}
	return true
}

// inward reports whether all writes of the same pos are in order already if
// they are taken as they were invoked.
func (w *views) inward() bool {
	for _, session := range w.touched {
		for _, v := range w.writes[session][:w.seen[session]] {
			for e := w.into[v]; e > 0; e = w.edges[e-1].next {
				if from := w.edges[e-1].from; from > v && w.pos[from] == w.pos[v] {
					return false
				}
			}
		}
	}
	return true
}

// placed reports whether the writes of other sessions can be put into some
// order, from the last to the first.
func (w *views) placed() bool {
	left := 0
	for _, e := range w.edges {
		w.later[e.from] = 0
	}
	for _, session := range w.touched {
		list := w.writes[session][:w.seen[session]]
		left += len(list)
		for _, v := range list {
			w.later[v] = 1
		}
		w.later[list[len(list)-1]] = 0
	}
	for _, e := range w.edges {
		w.later[e.from]++
	}
	var ready []int32
	for _, session := range w.touched {
		if v := w.writes[session][w.seen[session]-1]; w.later[v] == 0 {
			ready = append(ready, v)
		}
	}
	done := func(v int32) {
		if w.later[v]--; w.later[v] == 0 && w.s.ops[v].session != w.observer {
			ready = append(ready, v)
		}
	}
	for len(ready) > 0 {
		v := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		left--
		for e := w.into[v]; e > 0; e = w.edges[e-1].next {
			done(w.edges[e-1].from)
		}
		if n := w.ordinal[v]; n > 0 {
			done(w.writes[w.s.ops[v].session][n-1])
		}
	}
	return left == 0
}
