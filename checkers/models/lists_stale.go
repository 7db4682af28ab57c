package models

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// StaleLists judges how old the lists are that reads return, for the operations
// of SessionList. All reads of a key must return beginnings of one list, and
// what was acknowledged and is in none of them comes behind: then a read that
// returned n elements is behind by the number of *versions* up to the last
// element that was acknowledged before the read was invoked, and its *age* is
// the time since the first acknowledgement of an element that it lacks. Both
// are the least that is possible in any order of the appends that the reads
// allow; an element of unknown outcome counts if an acknowledged one stands
// behind it.
//
// A read beyond the bounds is invalid, and so is one that is no beginning of
// another one that is longer. Without bounds the measures tell, as those of
// Staleness do. O(n log n + m) for n operations whose reads return m elements.
// It does not check that reads of a session do not go back, nor that nothing
// is read before it is appended; of a transaction, micro-operations count as if
// each took as long as the whole.
func StaleLists(o StalenessOptions) checkers.Checker {
	return judge("bounded-staleness", "positions in the longest list", func(ctx context.Context, ops []history.Operation) judged {
		b, bad := newListReader(ctx, ops)
		if b == nil {
			return bad
		}
		return b.staleness(o)
	})
}

func (b *listReader) staleness(o StalenessOptions) judged {
	var lags []lag
	var of []*growing // of each lag
	var reads []int   // of each lag
	for _, list := range b.byKey() {
		if b.watch.over(len(list)) {
			return unknown("time ran out after %s", plural(len(lags), "read"))
		}
		g, bad := b.grow(list)
		if bad.Verdict != "" {
			return bad
		}
		for _, r := range g.reads {
			lags, of, reads = append(lags, g.lag(r)), append(of, g), append(reads, r)
		}
	}
	if len(lags) == 0 {
		return unknown("nothing was read")
	}
	m, first, last := measured(lags)
	oldest, farthest := &lags[first], &lags[last]
	switch {
	case o.Time > 0 && oldest.age > o.Time:
		summary := fmt.Sprintf("a read returned a list that lacks an element acknowledged %s before; %s is allowed", oldest.age, o.Time)
		return with(invalid("too stale", summary, *oldest.read, *oldest.over), m)
	case o.Versions > 0 && farthest.versions > o.Versions:
		summary := fmt.Sprintf("a read returned a list that is at least %s behind; %d are allowed", plural(farthest.versions, "version"), o.Versions)
		return with(invalid("too stale", summary, of[last].behind(reads[last], o.Versions+1)...), m)
	}
	return with(valid("%.0f of %s stale, by up to %s and %s", m["stale"], plural(len(lags), "read"), oldest.age, plural(farthest.versions, "version")), m)
}

// growing is the list of one key, as the longest read shows it.
type growing struct {
	b       *listReader
	reads   []int
	longest int   // a read, -1 none
	order   []int // its appends
	// Acknowledged appends by completion: those that were read, with the
	// farthest position so far, and those that were not.
	seen, hidden []int
	farthest     []int
	// first is the earliest completion from a position on, as an append, -1
	// none.
	first []int
}

// grow orders the appends of a key, and is invalid if the reads contradict each
// other.
func (b *listReader) grow(list []int) (*growing, judged) {
	g := &growing{b: b, longest: -1}
	for _, i := range list {
		if b.micros[i].read {
			g.reads = append(g.reads, i)
			if g.longest < 0 || len(b.saw[i]) > len(b.saw[g.longest]) {
				g.longest = i
			}
		}
	}
	position := map[int]int{}
	if g.longest >= 0 {
		g.order = b.saw[g.longest]
	}
	for at, w := range g.order {
		position[w] = at
	}
	for _, r := range g.reads {
		b.watch.over(len(b.saw[r]))
		for at, w := range b.saw[r] {
			if g.order[at] != w {
				summary := fmt.Sprintf("one read returned %s at position %d, another one %s", b.micros[w].value, at+1, b.micros[g.order[at]].value)
				return nil, invalid("incompatible order", summary, *b.micros[r].op, *b.micros[g.longest].op, *b.micros[w].op, *b.micros[g.order[at]].op)
			}
		}
	}
	for _, i := range list {
		if m := &b.micros[i]; m.read || m.op.Outcome != history.OK {
			continue
		}
		if _, ok := position[i]; ok {
			g.seen = append(g.seen, i)
		} else {
			g.hidden = append(g.hidden, i)
		}
	}
	byEnd := func(x, y int) int { return cmp.Compare(b.ended(x), b.ended(y)) }
	slices.SortStableFunc(g.seen, byEnd)
	slices.SortStableFunc(g.hidden, byEnd)
	most := -1
	for _, w := range g.seen {
		most = max(most, position[w])
		g.farthest = append(g.farthest, most)
	}
	g.first = make([]int, len(g.order)+1)
	g.first[len(g.order)] = -1
	if len(g.hidden) > 0 {
		g.first[len(g.order)] = g.hidden[0]
	}
	for at := len(g.order) - 1; at >= 0; at-- {
		w := g.order[at]
		if g.first[at] = g.first[at+1]; g.first[at] < 0 || b.ended(w) < b.ended(g.first[at]) {
			g.first[at] = w
		}
	}
	return g, judged{}
}

func (b *listReader) ended(i int) int64 { return ended(b.micros[i].op) }

// until counts the appends, sorted by completion, that were over before an
// operation was invoked.
func (g *growing) until(list []int, o *history.Operation) int {
	n, _ := slices.BinarySearchFunc(list, o.Call, func(w int, at int64) int { return cmp.Compare(g.b.ended(w), at) })
	return n
}

// lag computes how stale a read is.
func (g *growing) lag(r int) lag {
	o, n := g.b.micros[r].op, len(g.b.saw[r])
	l := lag{read: o}
	if hidden := g.until(g.hidden, o); hidden > 0 {
		l.versions = len(g.order) + hidden - n
	} else if seen := g.until(g.seen, o); seen > 0 {
		l.versions = max(0, g.farthest[seen-1]+1-n)
	}
	if first := g.first[n]; l.versions > 0 {
		l.over = g.b.micros[first].op
		l.age = max(0, o.Invoked-l.over.Completed)
	}
	return l
}

// behind shows a read and elements that it lacks, as many as are too many, of
// which the last ones were acknowledged before; the longest read shows their
// order.
func (g *growing) behind(r, lacking int) []history.Operation {
	read := g.b.micros[r].op
	evidence := []history.Operation{*read, *g.b.micros[g.longest].op}
	until := len(g.order)
	if hidden := g.until(g.hidden, read); hidden > 0 {
		for _, w := range g.hidden[:min(hidden, lacking)] {
			evidence = append(evidence, *g.b.micros[w].op)
			lacking--
		}
	} else {
		until = g.farthest[g.until(g.seen, read)-1] + 1
	}
	for _, w := range g.order[max(len(g.b.saw[r]), until-lacking):until] {
		evidence = append(evidence, *g.b.micros[w].op)
	}
	return evidence
}

// FinalLists judges eventual convergence of lists, for the operations of
// SessionList: all *final* reads of a key, those invoked after every append to
// it had completed or will never do so, must have each element that was
// acknowledged, and be parts of one list, in its order. An append of unknown
// outcome may still take effect: that one final read has its element is a
// divergence only if another one that was invoked later has it not. Without a
// final read the verdict is unknown. O(n log n + m). It does not check what
// earlier reads return but that it was appended, once.
func FinalLists() checkers.Checker {
	return judge("eventual", "final reads", func(ctx context.Context, ops []history.Operation) judged {
		b, bad := newListReader(ctx, ops)
		if b == nil {
			return bad
		}
		final := 0
		for _, list := range b.byKey() {
			if b.watch.over(len(list)) {
				return unknown("time ran out after %s", plural(final, "final read"))
			}
			reads, appends := b.final(list)
			final += len(reads)
			if bad := b.converged(reads, appends); bad.Verdict != "" {
				return bad
			}
		}
		if final == 0 {
			return unknown("nothing was read after all appends were over")
		}
		return valid("%s had all that was acknowledged, and none contradicts another", every(final, "final read"))
	})
}

// final lists the final reads of a key, in order of invocation, and the appends
// that were acknowledged or may have happened.
func (b *listReader) final(list []int) (reads, appends []int) {
	over := int64(-1)
	for _, i := range list {
		if m := &b.micros[i]; !m.read && m.op.Outcome != history.Fail {
			appends = append(appends, i)
			over = max(over, m.op.Call, m.op.Return)
		}
	}
	for _, i := range list {
		if m := &b.micros[i]; m.read && m.op.Call > over {
			reads = append(reads, i)
		}
	}
	slices.SortStableFunc(reads, func(x, y int) int { return cmp.Compare(b.micros[x].op.Call, b.micros[y].op.Call) })
	return reads, appends
}

func (b *listReader) converged(reads, appends []int) judged {
	number := map[int]int32{} // append → its number
	for n, w := range appends {
		number[w] = int32(n)
	}
	in := make([]map[int]bool, len(reads))
	c := newConclusions(len(appends))
	soonest := make([]int, len(appends)) // the read with it that was over first, and 1
	for n, r := range reads {
		if b.watch.over(len(b.saw[r])) {
			return unknown("time ran out after %d of %s of a key", n, plural(len(reads), "final read"))
		}
		in[n] = make(map[int]bool, len(b.saw[r]))
		for i, w := range b.saw[r] {
			in[n][w] = true
			if i > 0 {
				c.add(number[b.saw[r][i-1]], number[w], int32(r))
			}
			if s := &soonest[number[w]]; *s == 0 || b.ended(r) < b.ended(*s-1) {
				*s = r + 1
			}
		}
	}
	for _, w := range appends {
		m := &b.micros[w]
		if b.watch.over(len(reads)) {
			return unknown("time ran out while %s of a key were compared", plural(len(reads), "final read"))
		}
		for n := len(reads) - 1; n >= 0; n-- {
			r := b.micros[reads[n]].op
			first := soonest[number[w]] - 1
			switch {
			case m.op.Outcome != history.OK && (first < 0 || r.Call < b.ended(first)):
				n = 0 // neither this read nor an earlier one had to see it
			case in[n][w]:
			case m.op.Outcome == history.OK:
				return invalid("lost append", fmt.Sprintf("after all appends were over, a read lacked %s, which was acknowledged", m.value), *r, *m.op)
			default:
				return invalid("divergence", fmt.Sprintf("after all appends were over, a read lacked %s, which an earlier one had returned", m.value), *r, *b.micros[first].op, *m.op)
			}
		}
	}
	return b.parts(c, appends)
}

// parts judges that the final reads are parts of one list.
func (b *listReader) parts(c *conclusions, appends []int) judged {
	if c.forward(nil) {
		return judged{}
	}
	g := newBefore(len(appends), b.watch)
	for _, e := range c.list {
		g.conclude(e.from, e.to, e.because)
	}
	if g.order() != nil {
		return judged{}
	}
	var evidence []history.Operation
	way := g.cycle()
	if len(way) == 0 {
		return outOfTime()
	}
	for _, e := range way {
		evidence = append(evidence, *b.micros[e.because].op, *b.micros[appends[e.to]].op)
	}
	return invalid("divergence", "after all appends were over, reads returned elements in orders that contradict each other", evidence...)
}
