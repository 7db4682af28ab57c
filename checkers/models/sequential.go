package models

import (
	"context"
	"fmt"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/linear"
	"github.com/cleancut/cleancut/harness/history"
)

// Sequential judges whether all operations can be put into one order that
// keeps the order of each session (Lamport 1979), so that each read returns
// the last write; real time does not count. Operations and preconditions are
// those of Session; a cas reads and writes at once.
//
// With a known order of the writes of each key this is polynomial, without it
// NP-complete (Gibbons and Korach, 1997). Two rules are applied until nothing
// new follows: a write of the key that precedes a read precedes the write it
// returned, and a read precedes the writes of the key that follow the write it
// returned. A cycle is invalid, with certainty. If there is none, an order is
// built from what is known; if it explains all reads, the history is valid.
// Else it is unknown. Each round takes O(n·k·log n) for n operations of k
// sessions, which need 4·n·k bytes. Before all that, the history is valid if it
// is linearizable, which takes O(n·log n).
func Sequential(initial history.Value) checkers.Checker {
	return judge("sequential", "saturation and replay", func(ctx context.Context, ops []history.Operation) judged {
		s, v := readSessions(ctx, ops, initial, true)
		if s == nil {
			return v
		}
		if linearizable(ctx, ops, initial) {
			return fromLinearizable(s)
		}
		return s.decide(ctx, func(s *sessions) judged { return s.sequential(ctx) })
	})
}

// manySessions is from how many sessions on models that are slower, or need more
// memory, the more there are first ask whether a history is linearizable.
const manySessions = 16

// fromLinearizable is the verdict of all models of sessions on what can be
// linearized: one order explains all reads, and keeps the order of each session.
func fromLinearizable(s *sessions) judged {
	return valid("%s of %s can be linearized, so that one order explains all reads", plural(len(s.ops), "operation"), plural(len(s.of), "session"))
}

// linearizable reports whether a history certainly is linearizable, and so
// sequential: the order of each session is that of real time, where processes do
// one thing at a time. A refused cas may be a read here, and is none there.
func linearizable(ctx context.Context, ops []history.Operation, initial history.Value) bool {
	last := map[int]int{}
	for i := range ops {
		o := &ops[i]
		if o.F == CAS && o.Outcome == history.Fail && !o.Output.IsNil() {
			return false
		}
		if before, ok := last[o.Process]; ok && (ops[before].Outcome == history.Info || ops[before].Return > o.Call) {
			return false
		}
		last[o.Process] = i
	}
	const each = 400 // bytes for an operation, more than it takes
	return linear.Linearizable(ctx, linear.Spec{Initial: initial}, ops, each*int64(len(ops))+1<<20)
}

func (s *sessions) sequential(ctx context.Context) judged {
	f := newSaturation(s, -1)
	if v := f.run(ctx); v.Verdict != "" {
		return v
	}
	switch done, inTime := newReplay(f).run(ctx); {
	case !inTime:
		return unknown("time ran out while an order of %s was built", every(len(s.ops), "operation"))
	case !done:
		return unknown("nothing contradicts an order of %s, but none was found: without the order of writes this is NP-complete", every(len(s.ops), "operation"))
	}
	return valid("an order of %s explains all reads", every(len(s.ops), "operation"))
}

// saturation applies rules until nothing new follows.
type saturation struct {
	*before
	s      *sessions
	view   int32 // the session whose reads count, -1 all and both rules
	all    bool  // conclusions that follow from others, which make shorter cycles
	clock  [][]int32
	writes [][]held // by key
	last   []int32  // write → the target of its latest conclusion, and 1
}

func newSaturation(s *sessions, view int32) *saturation {
	f := &saturation{before: newBefore(len(s.ops), s.watch), s: s, view: view, writes: make([][]held, s.keys), last: make([]int32, len(s.ops))}
	for _, list := range s.of {
		prev := int32(-1)
		for _, v := range list {
			a := &s.ops[v]
			if !f.counts(a) {
				continue
			}
			if prev >= 0 {
				f.add(prev, v, becauseSession)
			}
			prev = v
			if a.read && a.from >= 0 {
				f.add(a.from, v, becauseRead)
			}
			if a.write {
				f.writes[a.key] = holding(f.writes[a.key], a)
			}
		}
	}
	return f
}

func (f *saturation) counts(a *access) bool { return a.write || f.view < 0 || a.session == f.view }

// run saturates. It returns a verdict if there is a cycle, or no time.
func (f *saturation) run(ctx context.Context) judged {
	if v := tooManyClocks(ctx, len(f.s.ops), len(f.s.of)); v.Verdict != "" {
		return v
	}
	most := conclusionsIn(ctx)
	for {
		order := f.order()
		if order == nil {
			return f.cyclic()
		}
		f.clocks(order)
		already := f.concluded
		for _, v := range order {
			if f.watch.over(len(f.writes[f.s.ops[v].key])) {
				break
			}
			f.consider(v)
		}
		if f.watch.late {
			return unknown("time ran out while conclusions were drawn")
		}
		if int(f.concluded) > most {
			return unknown("more than %d conclusions from reads", most)
		}
		if f.concluded == already {
			return judged{}
		}
	}
}

// consider draws the conclusions that follow from a read.
func (f *saturation) consider(v int32) {
	if a := &f.s.ops[v]; a.read && f.counts(a) {
		f.first(v, a)
		if f.view < 0 {
			f.second(v, a)
		}
	}
}

// follows reports whether one operation precedes another by what was known
// when the round began.
func (f *saturation) follows(from, to int32) bool {
	a := &f.s.ops[from]
	return f.clock[to][a.session] > a.index
}

// clocks counts for each operation how many of each session precede it, itself
// included.
func (f *saturation) clocks(order []int32) {
	if f.clock == nil {
		all := make([]int32, len(f.s.ops)*len(f.s.of))
		f.clock = make([][]int32, len(f.s.ops))
		for v := range f.clock {
			f.clock[v], all = all[:len(f.s.of):len(f.s.of)], all[len(f.s.of):]
		}
	}
	for _, v := range order {
		if f.watch.over(len(f.s.of) / stepsAtOnce * len(f.out[v])) {
			return
		}
		a := &f.s.ops[v]
		f.clock[v][a.session] = a.index + 1
		for _, e := range f.out[v] {
			for n, x := range f.clock[v] {
				f.clock[e.to][n] = max(f.clock[e.to][n], x)
			}
		}
	}
}

// first: a write that precedes the read precedes the one that it returned. A
// read of the initial value precedes every write instead.
func (f *saturation) first(v int32, a *access) {
	writes := f.writes[a.key]
	for i := range writes {
		h := &writes[i]
		n := h.session
		if a.from < 0 {
			if w := f.s.of[n][h.list[0]]; w != v && (f.all || !f.follows(v, w)) {
				f.conclude(v, w, v)
			}
			continue
		}
		bound := f.clock[v][n]
		if n == a.session {
			bound = a.index
		}
		at, ok := h.before(bound)
		if !ok {
			continue
		}
		w := f.s.of[n][at]
		if w != a.from && f.last[w] != a.from+1 && (f.all || !f.follows(w, a.from)) {
			f.last[w] = a.from + 1
			f.conclude(w, a.from, v)
		}
	}
}

// second: the read precedes the writes that follow the one that it returned.
func (f *saturation) second(v int32, a *access) {
	if a.from < 0 {
		return
	}
	w := &f.s.ops[a.from]
	writes := f.writes[a.key]
	for n := range writes {
		h := &writes[n]
		of := f.s.of[h.session]
		h.next = near(len(h.list), h.next, func(i int) bool {
			next := of[h.list[i]]
			return next != a.from && f.clock[next][w.session] > w.index
		})
		if h.next == len(h.list) {
			continue
		}
		if next := of[h.list[h.next]]; next != v && (f.all || !f.follows(v, next)) {
			f.conclude(v, next, v)
		}
	}
}

// cyclic explains a cycle. All that followed from what was known in the round
// before is concluded first, for the sake of a short one.
func (f *saturation) cyclic() judged {
	if f.clock != nil {
		f.all = true
		for v := range int32(len(f.s.ops)) {
			if f.watch.over(len(f.writes[f.s.ops[v].key])) {
				return outOfTime()
			}
			f.consider(v)
		}
	}
	summary := "no order of all operations explains all reads: they would have to precede each other in a circle"
	if f.view >= 0 {
		reader := f.s.operation(f.s.of[f.view][0]).Process
		summary = fmt.Sprintf("no order of the writes explains what process %d read: operations would have to precede each other in a circle", reader)
	}
	return f.s.circle(f.before, "cycle", summary)
}
