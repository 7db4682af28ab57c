package models

import (
	"context"
	"fmt"
)

// maxClocks bounds the entries of all vector clocks, maxConclusions the edges
// that follow from reads.
const (
	maxClocks      = 1 << 30
	maxConclusions = 1 << 26
)

// conclusion is an edge between writes that follows from a read.
type conclusion struct{ from, to, because int32 }

// conclusions are drawn one after the other.
type conclusions struct {
	list []conclusion
	last []int32 // write → the target of its latest conclusion, and 1
}

func newConclusions(n int) *conclusions { return &conclusions{last: make([]int32, n)} }

// add adds a conclusion, unless it is the same as the latest one from there.
func (c *conclusions) add(from, to, because int32) {
	if c.last[from] == to+1 {
		return
	}
	c.last[from] = to + 1
	c.list = append(c.list, conclusion{from, to, because})
}

// forward reports whether all conclusions lead onwards in an order, given by
// the place of each operation in it; nil is the order of their numbers. Then
// they contradict nothing that leads onwards, too.
func (c *conclusions) forward(place []int32) bool {
	for _, e := range c.list {
		if place == nil && e.from >= e.to || place != nil && place[e.from] >= place[e.to] {
			return false
		}
	}
	return true
}

// clocks is the state of a walk through the sessions, in an order in which
// nothing comes before that on which it depends. Only the running clock of each
// session is kept, and of writes what had been seen before.
type clocks struct {
	s    *sessions
	g    Guarantee
	keep bool // conclusions that follow from others, which make shorter cycles
	*conclusions

	now   [][]int32 // session → clock; nil before it begins and when it is over
	spare [][]int32 // clocks of sessions that are over
	next  []int32   // session → operations visited
	fresh []int32   // session → the row of its clock, -1 if something was seen since
	row   []int32   // write → row
	rows  [][]int32 // clocks of writes, many at once
	count int32     // of rows
	place []int32   // operation → place in the walk
	done  int32
	// seen lists by key what may be visible: writes (or reads, where those
	// stand for what they returned).
	seen [][]held
	in   []int32 // of lists: append → the latest read that saw it, and 1
}

// stepsAtOnce is how many entries of a clock are joined in the time of a step.
const stepsAtOnce = 16

// rowsAtOnce is how many clocks of writes are allocated together.
const rowsAtOnce = 1 << 10

func (s *sessions) judge(ctx context.Context, g Guarantee) judged {
	if v := tooManyClocks(ctx, len(s.ops), len(s.of)); v.Verdict != "" {
		return v
	}
	c := newClocks(s, g)
	if bad := c.walk(ctx); bad.Verdict != "" {
		return bad
	}
	if s.watch.over(often) {
		return unknown("time ran out after all operations were visited")
	}
	if g != Causal && !c.forward(c.place) && c.graph().order() == nil {
		c = newClocks(s, g)
		c.keep = true
		if bad := c.walk(ctx); bad.Verdict != "" {
			return bad
		}
		return c.cyclic("no arbitration", "no order of the writes explains all reads")
	}
	return valid("%s of %s: what they saw is explained", plural(len(s.ops), "operation"), plural(len(s.of), "session"))
}

func newClocks(s *sessions, g Guarantee) *clocks {
	n, k := len(s.ops), len(s.of)
	c := &clocks{
		s: s, g: g, conclusions: newConclusions(n), now: make([][]int32, k), next: make([]int32, k), fresh: make([]int32, k),
		row: make([]int32, n), place: make([]int32, n), seen: make([][]held, s.keys),
	}
	for i := range c.fresh {
		c.fresh[i] = -1
	}
	for _, list := range s.of {
		for _, v := range list {
			if a := &s.ops[v]; !c.byReads() && a.write || c.byReads() && a.read && (a.from >= 0 || s.lists && len(s.saw[v]) > 0) {
				c.seen[a.key] = holding(c.seen[a.key], a)
			}
		}
	}
	return c
}

// byReads tells that what is visible is counted by the reads that returned it.
func (c *clocks) byReads() bool { return c.g == MonotonicReads || c.g == WritesFollowReads }

// inherits tells that more is visible with a write than the writes of its own
// session, so that it must be visited before its reads.
func (c *clocks) inherits() bool { return c.g != MonotonicReads && c.g != MonotonicWrites }

// waiting is a session that goes on to an operation, and the element of a list
// at which it had to wait.
type waiting struct {
	to      int32
	element int
}

// walk visits all operations. A session whose next read returns what was not
// visited waits until another one has gone so far; one that waits for itself
// is in a circle. A write that follows a read is taken for dependent on it
// although not every guarantee demands that: as writes depend on nothing else,
// that makes no circle of its own.
func (c *clocks) walk(ctx context.Context) judged {
	waits := make([]bool, len(c.s.of))
	most := conclusionsIn(ctx)
	var stack []waiting
	for v := range int32(len(c.s.ops)) {
		if len(c.list) > most {
			return unknown("more than %d conclusions from reads", most)
		}
		stack = append(stack, waiting{to: v})
		waits[c.s.ops[v].session] = true
		for len(stack) > 0 {
			w := &stack[len(stack)-1]
			a := &c.s.ops[w.to]
			missing, bad := c.advance(w, a)
			switch {
			case bad.Verdict != "":
				return bad
			case missing < 0:
				waits[a.session] = false
				stack = stack[:len(stack)-1]
			case waits[c.s.ops[missing].session]:
				return c.cyclic("causal cycle", "operations depend on each other in a circle")
			default:
				waits[c.s.ops[missing].session] = true
				stack = append(stack, waiting{to: missing})
			}
		}
	}
	return judged{}
}

// advance visits the operations of a session up to one, or returns the write
// that must be visited before.
func (c *clocks) advance(w *waiting, a *access) (missing int32, bad judged) {
	list := c.s.of[a.session]
	for c.next[a.session] <= a.index {
		u := list[c.next[a.session]]
		if c.inherits() {
			if missing := c.missing(u, w); missing >= 0 {
				return missing, judged{}
			}
		}
		if c.s.watch.over(len(c.s.of)/stepsAtOnce + len(c.seen[c.s.ops[u].key])) {
			return -1, unknown("time ran out after %d of %s", c.done, plural(len(c.s.ops), "operation"))
		}
		if bad := c.visit(u); bad.Verdict != "" {
			return -1, bad
		}
		c.next[a.session]++
		w.element = 0
	}
	return -1, judged{}
}

func (c *clocks) visited(v int32) bool {
	a := &c.s.ops[v]
	return a.index < c.next[a.session]
}

// missing is a write that a read returned and that was not visited, or -1.
func (c *clocks) missing(u int32, w *waiting) int32 {
	a := &c.s.ops[u]
	switch {
	case !a.read:
	case c.s.lists:
		for saw := c.s.saw[u]; w.element < len(saw); w.element++ {
			if !c.visited(saw[w.element]) {
				return saw[w.element]
			}
		}
	case a.from >= 0 && !c.visited(a.from):
		return a.from
	}
	return -1
}

// visit computes the clock of an operation whose predecessors have theirs,
// and, of a read, what follows from it.
func (c *clocks) visit(v int32) (bad judged) {
	a := &c.s.ops[v]
	clock := c.clock(a.session)
	c.place[v] = c.done
	c.done++
	if a.write && c.inherits() {
		if c.fresh[a.session] < 0 {
			c.fresh[a.session] = c.newRow(clock)
		}
		c.row[v] = c.fresh[a.session]
		if !c.byReads() {
			clock[a.session] = a.index + 1
		}
	}
	if a.read {
		if c.s.lists {
			for _, w := range c.s.saw[v] {
				c.join(clock, w)
			}
			bad = c.readList(v, a, clock)
		} else {
			if a.from >= 0 {
				c.join(clock, a.from)
			}
			bad = c.read(v, a, clock)
		}
		if c.byReads() {
			clock[a.session] = a.index + 1
		}
		c.fresh[a.session] = -1
	}
	if int(a.index) == len(c.s.of[a.session])-1 {
		c.spare, c.now[a.session] = append(c.spare, clock), nil
	}
	return bad
}

// clock returns the running clock of a session.
func (c *clocks) clock(session int32) []int32 {
	if c.now[session] == nil {
		if n := len(c.spare); n > 0 {
			c.now[session], c.spare = c.spare[n-1], c.spare[:n-1]
			clear(c.now[session])
		} else {
			c.now[session] = make([]int32, len(c.s.of))
		}
	}
	return c.now[session]
}

// newRow keeps a copy of a clock.
func (c *clocks) newRow(clock []int32) int32 {
	at := c.count % rowsAtOnce
	if at == 0 {
		c.rows = append(c.rows, make([]int32, min(rowsAtOnce, len(c.s.ops))*len(clock)))
	}
	copy(c.rows[len(c.rows)-1][int(at)*len(clock):], clock)
	c.count++
	return c.count - 1
}

// before is the clock of what had been seen before a write. Of its own session
// all before it counts, whatever this says.
func (c *clocks) before(w int32) []int32 {
	k := len(c.s.of)
	at := int(c.row[w]%rowsAtOnce) * k
	return c.rows[c.row[w]/rowsAtOnce][at : at+k : at+k]
}

// join makes a clock at least that of a write.
func (c *clocks) join(clock []int32, w int32) {
	a := &c.s.ops[w]
	if c.inherits() {
		for i, n := range c.before(w) {
			clock[i] = max(clock[i], n)
		}
	}
	if c.g != MonotonicReads {
		clock[a.session] = max(clock[a.session], a.index+1)
	}
}

// knows reports whether an operation of a session, given by its index there,
// comes before a write that was visited.
func (c *clocks) knows(w, session, index int32) bool {
	switch a := &c.s.ops[w]; {
	case c.g == MonotonicReads:
		return false
	case a.session == session:
		return a.index > index
	case c.g == MonotonicWrites:
		return false
	}
	return c.before(w)[session] > index
}

// read compares what a read returned with what is visible to it.
func (c *clocks) read(v int32, a *access, clock []int32) judged {
	seen := c.seen[a.key]
	for i := range seen {
		h := &seen[i]
		if clock[h.session] == 0 {
			continue
		}
		at, ok := h.before(clock[h.session])
		if !ok {
			continue
		}
		w := c.s.of[h.session][at]
		if c.byReads() {
			w = c.s.ops[w].from
		}
		switch {
		case w == a.from:
		case a.from < 0:
			b := c.graph()
			return c.s.explain(b, "stale initial read", fmt.Sprintf("%s returned the initial value, although %s was visible to it", c.s.name(v), c.s.name(w)), w, b.path(w, v))
		case c.g == Causal:
			if first := &c.s.ops[a.from]; c.knows(w, first.session, first.index) {
				b := c.graph()
				way := append(b.path(a.from, w), b.path(w, v)...)
				return c.s.explain(b, "stale read", fmt.Sprintf("%s returned a value that %s had replaced, which was visible to it", c.s.name(v), c.s.name(w)), a.from, way)
			}
		case c.keep || !c.knows(a.from, h.session, at):
			c.add(w, a.from, v)
		}
	}
	return judged{}
}

// graph is what is known: on what each operation depends, and what follows from
// reads so far.
func (c *clocks) graph() *before {
	b := newBefore(len(c.s.ops), c.s.watch)
	for _, list := range c.s.of {
		lastRead, lastWrite := int32(-1), int32(-1)
		for i, v := range list {
			a := &c.s.ops[v]
			prev := int32(-1)
			switch {
			case c.g == Causal || c.g == CausalConvergent:
				if i > 0 {
					prev = list[i-1]
				}
			case a.read:
				prev = lastRead
			case !a.write:
			case c.g == MonotonicWrites:
				prev = lastWrite
			case c.g == WritesFollowReads:
				prev = lastRead
			}
			if prev >= 0 {
				b.add(prev, v, becauseSession)
			}
			if a.write {
				lastWrite = v
			}
			if a.read {
				lastRead = v
				c.returned(b, v)
			}
		}
	}
	for _, e := range c.list {
		b.conclude(e.from, e.to, e.because)
	}
	return b
}

// returned adds the edges from writes to the read that returned them.
func (c *clocks) returned(b *before, v int32) {
	if c.s.lists {
		for _, w := range c.s.saw[v] {
			b.add(w, v, becauseRead)
		}
	} else if from := c.s.ops[v].from; from >= 0 {
		b.add(from, v, becauseRead)
	}
}

func (c *clocks) cyclic(class, summary string) judged {
	return c.s.circle(c.graph(), class, summary)
}
