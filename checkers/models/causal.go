package models

import (
	"context"
	"fmt"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Guarantee is what sessions may expect of registers that are replicated.
type Guarantee string

// The guarantees. What a read must have seen are its *visible* writes; the
// register is arbitrated if all agree on one order of the writes, of which a
// read returns the last visible one (Burckhardt, "Principles of Eventual
// Consistency", 2014, chapter 5). Each guarantee says which writes must be
// visible and which orders the arbitration must keep; what a read returns is
// visible to it in any case.
const (
	// ReadYourWrites: the writes of a session are visible to its later reads.
	ReadYourWrites Guarantee = "read-your-writes"
	// MonotonicReads: what is visible to a read is visible to later reads of
	// the session.
	MonotonicReads Guarantee = "monotonic-reads"
	// MonotonicWrites: the arbitration keeps the order of each session's
	// writes, and with a write those before it are visible. As a read shows
	// one key only, this shows across reads of a session: MonotonicReads is
	// presupposed.
	MonotonicWrites Guarantee = "monotonic-writes"
	// WritesFollowReads: what was visible to a session comes before its later
	// writes in the arbitration, and is visible with them. MonotonicReads is
	// presupposed, as above.
	WritesFollowReads Guarantee = "writes-follow-reads"
	// Causal: what a session did and saw is visible to it later, and with
	// everything visible all that preceded it is (CC of Bouajjani, Enea,
	// Guerraoui and Hamza, POPL 2017). Sessions need not agree on an order of
	// concurrent writes.
	Causal Guarantee = "causal"
	// CausalConvergent is Causal with an arbitration (CCv, there).
	CausalConvergent Guarantee = "causal-convergent"
)

// Session judges registers by a guarantee. Operations are read, write, cas and
// delete; the initial value of each key is given, and written values are unique
// for each key, which is verified. All keys are judged together. A cas that
// succeeded is a read and then a write, of which it is not demanded that nothing
// came between: Sequential does that. A refused cas whose output is the value
// that it found is a read; other failed operations say nothing. A delete writes
// nil; where a read of nil may be explained by several deletes, or by a delete
// and the initial value, choices are tried, up to 4,096 of them, and beyond that
// the verdict is unknown. Real time does not
// count. A history passes if some choice of visible writes and arbitration
// explains all reads; as visible writes only add demands, the least choice is
// tried, and the verdict is exact.
//
// Causal and causal-convergent follow the bad patterns of Bouajjani et al.:
// O(n·k·log n) time for n operations of k sessions, with vector clocks of 4
// bytes for each operation and session, up to 4 GiB; so do monotonic-writes and
// writes-follow-reads. monotonic-reads is linear but for the clocks, and
// read-your-writes takes a step for each pair of an own write and a different
// value read after it, up to 2^24.
//
// Of a cas in a witness, what it expected matters only if the write of that is
// in the witness, too.
func Session(g Guarantee, initial history.Value) checkers.Checker {
	algorithm := "bad patterns with vector clocks"
	return judge(string(g), algorithm, func(ctx context.Context, ops []history.Operation) judged {
		s, v := readSessions(ops, initial, false)
		if s == nil {
			return v
		}
		return s.decide(ctx, func(s *sessions) judged {
			if g == ReadYourWrites {
				return s.readYourWrites()
			}
			return s.judge(ctx, g)
		})
	})
}

// maxClocks bounds the entries of all vector clocks, maxConclusions the edges
// that follow from reads where there may be as many as pairs of operations.
const (
	maxClocks      = 1 << 30
	maxConclusions = 1 << 24
)

// clocksAtOnce is how many clocks are allocated together.
const clocksAtOnce = 1 << 10

// clocks is the state of a walk through the sessions.
type clocks struct {
	s     *sessions
	g     Guarantee
	order *before
	at    [][]int32 // operation → clock
	prev  []int32   // operation → the one of its session that leads to it, or -1
	// seen lists by key what may be visible: writes (or reads, where those
	// stand for what they returned).
	seen [][]held
	free []int32 // for clocks
}

func (s *sessions) judge(ctx context.Context, g Guarantee) judged {
	if int64(len(s.ops))*int64(len(s.of)) > maxClocks {
		return unknown("%s of %s need more than %d clocks", plural(len(s.ops), "operation"), plural(len(s.of), "session"), maxClocks)
	}
	c := &clocks{
		s: s, g: g, order: newBefore(s), at: make([][]int32, len(s.ops)), prev: make([]int32, len(s.ops)), seen: make([][]held, s.keys),
	}
	c.dependencies()
	order := c.order.order()
	if order == nil {
		return c.cyclic("causal cycle", "operations depend on each other in a circle")
	}
	c.index()
	for i, v := range order {
		if i%4096 == 0 && ctx.Err() != nil {
			return unknown("time ran out after %d of %d operations", i, len(order))
		}
		if bad := c.visit(v); bad.Verdict != "" {
			return bad
		}
	}
	if g != Causal && c.order.order() == nil {
		return c.cyclic("no arbitration", "no order of the writes explains all reads")
	}
	return valid("%s of %s: what they saw is explained", plural(len(s.ops), "operation"), plural(len(s.of), "session"))
}

// dependencies adds the edges along which writes become visible.
func (c *clocks) dependencies() {
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
			if c.prev[v] = prev; prev >= 0 {
				c.order.add(prev, v, becauseSession)
			}
			if a.write {
				lastWrite = v
			}
			if !a.read {
				continue
			}
			lastRead = v
			if a.from >= 0 {
				c.order.add(a.from, v, becauseRead)
			}
			for _, w := range a.saw {
				c.order.add(w, v, becauseRead)
			}
		}
	}
}

// byReads tells that what is visible is counted by the reads that returned it.
func (c *clocks) byReads() bool { return c.g == MonotonicReads || c.g == WritesFollowReads }

func (c *clocks) index() {
	for _, list := range c.s.of {
		for _, v := range list {
			if a := &c.s.ops[v]; !c.byReads() && a.write || c.byReads() && a.read && (a.from >= 0 || len(a.saw) > 0) {
				c.seen[a.key] = holding(c.seen[a.key], a)
			}
		}
	}
}

// visit computes the clock of an operation whose predecessors have theirs,
// and, of a read, what follows from it.
func (c *clocks) visit(v int32) judged {
	a := &c.s.ops[v]
	clock := c.clock()
	c.at[v] = clock
	if c.prev[v] >= 0 {
		copy(clock, c.at[c.prev[v]])
	}
	if a.write {
		if !c.byReads() {
			clock[a.session] = a.index + 1
		}
	}
	if !a.read {
		return judged{}
	}
	if a.from >= 0 {
		join(clock, c.at[a.from])
	}
	for _, w := range a.saw {
		join(clock, c.at[w])
	}
	judge := c.read
	if c.s.lists {
		judge = c.readList
	}
	if bad := judge(v, a, clock); bad.Verdict != "" {
		return bad
	}
	if c.byReads() {
		clock[a.session] = a.index + 1
	}
	return judged{}
}

// clock returns a new clock.
func (c *clocks) clock() []int32 {
	n := len(c.s.of)
	if len(c.free) < n {
		c.free = make([]int32, n*min(len(c.s.ops), clocksAtOnce))
	}
	clock := c.free[:n:n]
	c.free = c.free[n:]
	return clock
}

// join makes a clock at least another one.
func join(clock, other []int32) {
	for i, n := range other {
		clock[i] = max(clock[i], n)
	}
}

// read compares what a read returned with what is visible to it.
func (c *clocks) read(v int32, a *access, clock []int32) judged {
	for _, h := range c.seen[a.key] {
		i, ok := lastBefore(h.list, clock[h.session])
		if !ok {
			continue
		}
		w := c.s.of[h.session][i]
		if c.byReads() {
			w = c.s.ops[w].from
		}
		if w == a.from {
			continue
		}
		if a.from < 0 {
			return c.s.explain(c.order, "stale initial read", fmt.Sprintf("%s returned the initial value, although %s was visible to it", c.s.name(v), c.s.name(w)), w, c.order.path(w, v))
		}
		if c.g == Causal {
			first := &c.s.ops[a.from]
			if c.at[w][first.session] > first.index {
				way := append(c.order.path(a.from, w), c.order.path(w, v)...)
				return c.s.explain(c.order, "stale read", fmt.Sprintf("%s returned a value that %s had replaced, which was visible to it", c.s.name(v), c.s.name(w)), a.from, way)
			}
			continue
		}
		c.order.conclude(w, a.from, v)
	}
	return judged{}
}

func (c *clocks) cyclic(class, summary string) judged {
	way := c.order.cycle()
	return c.s.explain(c.order, class, summary, way[len(way)-1].to, way)
}

// readYourWrites puts every own earlier write of the key before the one that
// a read returned.
func (s *sessions) readYourWrites() judged {
	b := newBefore(s)
	for _, list := range s.of {
		own := map[int32][]int32{} // key → own writes
		told := map[[2]int32]int{} // key, write returned → own writes that were put before it
		for _, v := range list {
			a := &s.ops[v]
			if a.write {
				own[a.key] = append(own[a.key], v)
			}
			if !a.read {
				continue
			}
			if a.from < 0 && len(own[a.key]) > 0 {
				w := own[a.key][len(own[a.key])-1]
				return s.explain(b, "own write missed", fmt.Sprintf("%s returned the initial value after %s", s.name(v), s.name(w)), w, []edge{{v, becauseSession}})
			}
			at := [2]int32{a.key, a.from}
			for _, w := range own[a.key][told[at]:] {
				if w != a.from {
					b.conclude(w, a.from, v)
				}
			}
			if len(b.known) > maxConclusions {
				return unknown("more than %d conclusions from reads", maxConclusions)
			}
			told[at] = len(own[a.key])
		}
	}
	if b.order() == nil {
		way := b.cycle()
		return s.explain(b, "no arbitration", "no order of the writes lets every session read its own ones", way[len(way)-1].to, way)
	}
	return valid("%s of %s: each read its own writes, or later ones", plural(len(s.ops), "operation"), plural(len(s.of), "session"))
}
