package linear

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers/linear/search"
	"github.com/cleancut/cleancut/harness/history"
)

// Functions of a FIFO queue. Dequeue returns the oldest element, nil if the
// queue is empty; one that failed for that reason is the same.
const (
	Enqueue = "enqueue"
	Dequeue = "dequeue"
)

const (
	queueIn uint8 = iota
	queueOut
	queueEmpty
	queueUnknown // a dequeue of unknown outcome
)

// queues are the rules of a FIFO queue. The exact algorithm looks for the
// patterns of violations of Henzinger, Sezgin and Vafeiadis ("Aspect-Oriented
// Linearizability Proofs", CONCUR 2013). It needs elements that are enqueued
// once, and, if it can say neither yes nor no without, a history that does
// not have both dequeues of unknown outcome and such that found nothing, nor
// dequeues of unknown outcome that have a limit.
type queues struct{}

func (queues) functions() []string { return []string{Enqueue, Dequeue} }

func (queues) parse(in *interner, h *history.Operation, a *act) (bool, error) {
	if h.F == Enqueue {
		if h.Input.IsNil() {
			return false, fmt.Errorf("its argument is nil, which a dequeue returns when there is nothing")
		}
		a.value = in.id(&h.Input)
		return true, nil
	}
	switch {
	case h.Outcome == history.Info:
		a.kind = queueUnknown
	case h.Outcome == history.Fail && !h.FoundEmpty():
		return false, nil
	case h.Outcome == history.Fail, h.Output.IsNil():
		a.kind, a.pure = queueEmpty, true
	default:
		a.kind, a.value = queueOut, in.id(&h.Output)
	}
	return true, nil
}

// open is what a says while it is not over.
func (queues) open(a act) (act, bool) {
	if a.kind == queueOut {
		a.kind, a.value = queueUnknown, 0
	}
	return a, true
}

// passage is the way of an element through the queue: indices of acts, -1 if
// there is none.
type passage struct{ in, out int32 }

// lane is the passages of a trial in the order in which enqueues return, and
// what else happened.
type lane struct {
	t        *trial
	by       []passage // id of element → passage
	order    []int32   // elements by return of their enqueue
	empty    []int32
	unknown  []int32
	outs     []int32 // elements that were dequeued, by call of their enqueue
	quickest []int32 // outs → of this and all later ones, the one dequeued first
}

func (l *lane) in(v int32) *act  { return &l.t.acts[l.by[v].in] }
func (l *lane) out(v int32) *act { return &l.t.acts[l.by[v].out] }

// left is when the dequeue of v began, never if it was not dequeued.
func (l *lane) left(v int32) int64 {
	if l.by[v].out < 0 {
		return never
	}
	return l.out(v).call
}

func (queues) exact(t *trial) (*conflict, bool) {
	l, c, applies := newLane(t)
	if c != nil || !applies {
		return c, applies
	}
	limited := slices.ContainsFunc(l.unknown, func(i int32) bool { return t.acts[i].ret != never })
	if len(l.unknown) == 0 || len(l.empty) == 0 && !limited {
		if c := l.overtaken(len(l.unknown) > 0); c != nil {
			return c, true
		}
		if c := l.swallowed(); c != nil {
			return c, true
		}
		return l.notEmpty(true), true
	}
	// If it is legal although no unknown dequeue took anything, it is legal.
	if l.overtaken(false) == nil && l.notEmpty(true) == nil || l.served() {
		return nil, true
	}
	for _, c := range []*conflict{l.overtaken(true), l.swallowed(), l.notEmpty(false)} {
		if c != nil {
			return c, true
		}
	}
	return nil, false
}

func newLane(t *trial) (l *lane, c *conflict, applies bool) {
	l = &lane{t: t, by: make([]passage, len(t.values))}
	for v := range l.by {
		l.by[v] = passage{-1, -1}
	}
	twice := int32(-1)
	for i := range t.acts {
		a := &t.acts[i]
		p := &l.by[a.value]
		switch a.kind {
		case queueIn:
			if p.in >= 0 {
				return nil, nil, false
			}
			p.in = int32(i)
		case queueOut:
			if p.out >= 0 {
				twice = int32(i)
				continue
			}
			p.out = int32(i)
		case queueEmpty:
			l.empty = append(l.empty, int32(i))
		default:
			l.unknown = append(l.unknown, int32(i))
		}
	}
	if twice >= 0 && l.by[t.acts[twice].value].in >= 0 {
		v := t.acts[twice].value
		return nil, &conflict{class: Duplicate, acts: []int32{l.by[v].in, l.by[v].out, twice}, values: []int32{v},
			summary: fmt.Sprintf("%s, although %s, and it was enqueued once", t.the(twice), t.the(l.by[v].out))}, true
	}
	for v, p := range l.by {
		switch {
		case p.in < 0 && p.out >= 0:
			return nil, t.fromNowhere(p.out, int32(v)), true
		case p.out >= 0 && t.acts[p.out].ret < t.acts[p.in].call:
			return nil, t.future(p.out, p.in, int32(v)), true
		case p.out >= 0:
			l.outs = append(l.outs, int32(v))
			l.order = append(l.order, int32(v))
		case p.in >= 0 && !t.acts[p.in].maybe:
			l.order = append(l.order, int32(v))
		}
	}
	slices.SortFunc(l.order, func(a, b int32) int { return cmp.Compare(l.in(a).ret, l.in(b).ret) })
	slices.SortFunc(l.outs, func(a, b int32) int { return cmp.Compare(l.in(a).call, l.in(b).call) })
	l.quickest = slices.Clone(l.outs)
	for i := len(l.outs) - 2; i >= 0; i-- {
		if later := l.quickest[i+1]; l.out(later).ret < l.out(l.outs[i]).ret {
			l.quickest[i] = later
		}
	}
	return l, nil, true
}

// overtaken finds an element that was enqueued before another one and
// dequeued after it, or never. With forgive, those that were never dequeued
// do not count.
func (l *lane) overtaken(forgive bool) *conflict {
	slowest, at := int32(-1), 0
	for _, b := range l.outs {
		for ; at < len(l.order) && l.in(l.order[at]).ret < l.in(b).call; at++ {
			a := l.order[at]
			if forgive && l.by[a].out < 0 {
				continue
			}
			if slowest < 0 || l.left(a) > l.left(slowest) {
				slowest = a
			}
		}
		if slowest < 0 || l.left(slowest) <= l.out(b).ret {
			continue
		}
		class, how := Reordered, "was dequeued only later"
		if l.by[slowest].out < 0 {
			class, how = LostElement, "was never dequeued"
		}
		c := &conflict{class: class, acts: []int32{l.by[slowest].in, l.by[b].in, l.by[b].out}, values: []int32{slowest, b}}
		c.summary = fmt.Sprintf("%s, although %s was enqueued before it (%s) and %s", l.t.the(l.by[b].out), l.t.values[slowest], l.t.noun(l.by[slowest].in), how)
		if l.by[slowest].out >= 0 {
			c.acts = append(c.acts, l.by[slowest].out)
		}
		return c
	}
	return nil
}

// gone is an acknowledged element that was not dequeued, and the element
// enqueued after it that was dequeued first, -1 if there is none.
type gone struct{ v, before int32 }

// missing returns the acknowledged elements that were not dequeued, those
// first that must have left the queue first.
func (l *lane) missing() []gone {
	var missing []gone
	for _, v := range l.order {
		if l.by[v].out >= 0 {
			continue
		}
		i, _ := slices.BinarySearchFunc(l.outs, l.in(v).ret, func(b int32, ret int64) int { return cmp.Compare(l.in(b).call, ret) })
		if i < len(l.outs) {
			missing = append(missing, gone{v, l.quickest[i]})
		} else {
			missing = append(missing, gone{v, -1})
		}
	}
	slices.SortStableFunc(missing, func(a, b gone) int { return cmp.Compare(l.limit(a), l.limit(b)) })
	return missing
}

// limit is when g must have left the queue.
func (l *lane) limit(g gone) int64 {
	if g.before < 0 {
		return never
	}
	return l.out(g.before).ret
}

// swallowed finds acknowledged elements that must have left the queue,
// because something later has, and are more than the dequeues of unknown
// outcome can have taken by then.
func (l *lane) swallowed() *conflict {
	missing := l.missing()
	for i, m := range missing {
		limit := l.limit(m)
		if limit == never {
			break
		}
		n, _ := slices.BinarySearchFunc(l.unknown, limit, func(d int32, limit int64) int { return cmp.Compare(l.t.acts[d].call, limit) })
		if n > i {
			continue
		}
		c := &conflict{class: LostElement}
		for _, x := range missing[:i+1] {
			c.values = append(c.values, x.v, x.before)
			c.acts = append(c.acts, l.by[x.v].in, l.by[x.before].in, l.by[x.before].out)
		}
		c.summary = fmt.Sprintf("%s was enqueued (%s) before %s, which was dequeued, and never came out; %d dequeues of unknown outcome can have taken %d others at most",
			l.t.values[m.v], l.t.the(l.by[m.v].in), l.t.values[m.before], n, n)
		return c
	}
	return nil
}

// served reports whether the trial is legal if the dequeues of unknown
// outcome took the missing elements, the first the first.
func (l *lane) served() bool {
	t := l.t.with(l.t.acts)
	for i, m := range l.missing() {
		if i == len(l.unknown) {
			break
		}
		d := &t.acts[l.unknown[i]]
		d.kind, d.value = queueOut, m.v
	}
	full, c, applies := newLane(t)
	return applies && c == nil && full.overtaken(false) == nil && full.notEmpty(true) == nil
}

// stay is when an element certainly was in the queue.
type stay struct {
	from, to int64
	v        int32
}

// notEmpty finds a dequeue that found nothing although at any moment of it
// some element was there. Without lost, only elements that were dequeued
// count: others may have been taken by a dequeue of unknown outcome.
func (l *lane) notEmpty(lost bool) *conflict {
	if len(l.empty) == 0 {
		return nil
	}
	var stays []stay
	for _, v := range l.order {
		if from, to := l.in(v).ret, l.left(v); from < to && (lost || to < never) {
			stays = append(stays, stay{from, to, v})
		}
	}
	slices.SortFunc(stays, func(a, b stay) int { return cmp.Compare(a.from, b.from) })
	type span struct { // stays without a gap
		from, to    int64
		first, last int
	}
	var spans []span
	for i, s := range stays {
		if n := len(spans); n > 0 && s.from < spans[n-1].to {
			spans[n-1].to, spans[n-1].last = max(spans[n-1].to, s.to), i
		} else {
			spans = append(spans, span{s.from, s.to, i, i})
		}
	}
	for _, e := range l.empty {
		a := &l.t.acts[e]
		i, _ := slices.BinarySearchFunc(spans, a.call, func(s span, call int64) int { return cmp.Compare(s.from, call) })
		if i > 0 && spans[i-1].to > a.ret {
			return l.present(e, stays[spans[i-1].first:spans[i-1].last+1])
		}
	}
	return nil
}

// present is the conflict of an empty dequeue with stays that cover it: of
// those that begin before the last one ends, always the one that ends last.
func (l *lane) present(e int32, stays []stay) *conflict {
	c := &conflict{class: FalseEmpty, acts: []int32{e}}
	for i, covered := 0, l.t.acts[e].call; covered < l.t.acts[e].ret; {
		s := stays[i]
		for ; i < len(stays) && stays[i].from <= covered; i++ {
			if stays[i].to > s.to {
				s = stays[i]
			}
		}
		covered, i = s.to, min(i, len(stays)-1)
		c.values = append(c.values, s.v)
		c.acts = append(c.acts, l.by[s.v].in)
		if l.by[s.v].out >= 0 {
			c.acts = append(c.acts, l.by[s.v].out)
		}
	}
	what := l.t.values[c.values[0]].String() + " was"
	if n := len(c.values); n > 1 {
		what = fmt.Sprintf("one of %d elements was always", n)
	}
	c.summary = fmt.Sprintf("%s, although %s in the queue all the time", l.t.the(e), what)
	return c
}

func (queues) namesValues() {}

func (queues) project(acts []act, in []bool) []act {
	var kept []act
	for _, a := range acts {
		if a.kind == queueEmpty || a.kind == queueUnknown || in[a.value] {
			kept = append(kept, a)
		}
	}
	return kept
}

// queueModel has contents as states: nodes of a tree in which a child has one
// element more at the end.
type queueModel struct {
	table[[2]int32] // parent and last element
	acts            []act
	first           []int32 // node → its first element
	tail            []int32 // node → the node without its first element, or unknown
	path            []int32
}

// queueEmptied is the state of an empty queue.
const queueEmptied = 0

func (queues) pose(t *trial) *search.Problem {
	out := make([]bool, len(t.values))
	for i := range t.acts {
		if t.acts[i].kind == queueOut {
			out[t.acts[i].value] = true
		}
	}
	// An enqueue of unknown outcome whose element never came out need not have
	// happened.
	t.acts = slices.DeleteFunc(slices.Clone(t.acts), func(a act) bool { return a.maybe && a.kind == queueIn && !out[a.value] })
	m := &queueModel{acts: t.acts}
	m.id([2]int32{-1, -1}, 0)
	m.first, m.tail = []int32{-1}, []int32{-1}
	return t.posed(m, queueEmptied)
}

// with returns the node with one more element.
func (m *queueModel) with(node, v int32) int32 {
	to := m.id([2]int32{node, v}, 8)
	if int(to) == len(m.first) {
		first := v
		if node != queueEmptied {
			first = m.first[node]
		}
		m.first, m.tail = append(m.first, first), append(m.tail, -1)
	}
	return to
}

// without returns the node without its first element, from the nearest
// ancestor of which that is known.
func (m *queueModel) without(node int32) int32 {
	m.path = m.path[:0]
	at := node
	for m.tail[at] < 0 {
		m.path = append(m.path, at)
		if m.keys[at][0] == queueEmptied {
			at = queueEmptied
			break
		}
		at = m.keys[at][0]
	}
	tail := int32(queueEmptied)
	if at != queueEmptied {
		tail = m.tail[at]
	}
	for i := len(m.path) - 1; i >= 0; i-- {
		if x := m.path[i]; m.keys[x][0] != queueEmptied {
			tail = m.with(tail, m.keys[x][1])
		}
		m.tail[m.path[i]] = tail
	}
	return tail
}

// Step implements search.Model.
func (m *queueModel) Step(state, at int32) (int32, bool) {
	a := &m.acts[at]
	switch {
	case a.kind == queueIn:
		if to, ok := m.known(state, at); ok {
			return to, true
		}
		return m.note(state, at, m.with(state, a.value)), true
	case a.kind == queueEmpty:
		return state, state == queueEmptied
	case state == queueEmptied || a.kind == queueOut && m.first[state] != a.value:
		return state, false
	case m.tail[state] >= 0:
		return m.tail[state], true
	}
	return m.without(state), true
}
