package models

import (
	"context"
	"fmt"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// SessionList judges lists by a guarantee. Operations are append, of values
// that are unique for each key, and read, which returns the whole list; or
// txn, lists of [append key value] and [r key list], whose micro-operations
// count one after the other: that transactions are atomic is not demanded. A
// read returns the visible appends of its key in the order of the arbitration
// (Burckhardt 2014, chapter 5), for Causal in any order that keeps causality. As
// it shows all that it sees, nothing is left to choose, and the verdict is
// exact. Where all reads are prefixes of one list, that comes to what is said of
// positions in the list: a later read is no shorter, has one's own appends, and
// so on.
//
// O((n + m)·k·log n) for n operations of k sessions whose reads return m
// elements, with vector clocks as in Session. Of lists in a witness, only
// elements whose appends are in the witness count.
func SessionList(g Guarantee) checkers.Checker {
	return judge(string(g), "visible appends with vector clocks", func(ctx context.Context, ops []history.Operation) judged {
		s, v := readLists(ctx, ops)
		if s == nil {
			return v
		}
		if g == ReadYourWrites {
			return s.readYourAppends()
		}
		return s.judge(ctx, g)
	})
}

// micro is an append to a list or a read of one.
type micro struct {
	op       *history.Operation
	number   int32 // of the operation in the history
	at       int32 // position in the transaction
	key      history.Value
	value    history.Value // appended
	elements history.Value // the list that a read returned
	read     bool
}

// microOperations takes operations apart. Reads that are not ok are left out.
func microOperations(ops []history.Operation) ([]micro, judged) {
	var list []micro
	for i := range ops {
		o := &ops[i]
		m := micro{op: o, number: int32(i), key: history.String(o.Key)}
		switch o.F {
		case Append:
			m.value = o.Input
			list = append(list, m)
		case Read:
			if o.Outcome != history.OK {
				continue
			}
			if o.Output.Kind() != history.KindList && !o.Output.IsNil() {
				return nil, unknown("a read returned %s; expected a list", o.Output)
			}
			m.read, m.elements = true, o.Output
			list = append(list, m)
		case Txn:
			more, bad := transactionMicros(o, int32(i))
			if bad.Verdict != "" {
				return nil, bad
			}
			list = append(list, more...)
		default:
			return nil, unknown("the operation %s; only append, read and txn of lists can be judged by this model", o.F)
		}
	}
	return list, judged{}
}

func transactionMicros(o *history.Operation, number int32) (list []micro, bad judged) {
	mops, ok := sequence(content(o))
	if !ok {
		return nil, unknown("the transaction %s; expected a list of micro-operations", content(o))
	}
	for at, v := range mops {
		mop, _ := sequence(v)
		if len(mop) != 3 {
			return nil, unknown("the micro-operation %s; expected [append key value] or [r key list]", v)
		}
		f, _ := mop[0].AsString()
		key := mop[1]
		if o.Key != "" { // an independent history has lists of its own
			key = history.List(history.String(o.Key), key)
		}
		switch {
		case f == Append:
			list = append(list, micro{op: o, number: number, at: int32(at), key: key, value: mop[2]})
		case f == "r" && o.Outcome != history.OK:
		case f == "r" && (mop[2].Kind() == history.KindList || mop[2].IsNil()):
			list = append(list, micro{op: o, number: number, at: int32(at), key: key, elements: mop[2], read: true})
		default:
			return nil, unknown("the micro-operation %s; expected [append key value] or [r key list]", v)
		}
	}
	return list, judged{}
}

// place is a value of a key, both as numbers.
type place struct{ key, value int32 }

// listReader builds sessions from micro-operations on lists.
type listReader struct {
	micros   []micro
	keys     *interner
	values   *interner
	writers  map[place]int // of those that may have happened
	failed   map[place]int
	observed []bool
	saw      [][]int
	seen     []int // append → the latest read that saw it, and 1
	watch    *watch
}

// readLists builds sessions of lists. Failed appends, and those of unknown
// outcome that nobody saw, are left out.
func readLists(ctx context.Context, ops []history.Operation) (*sessions, judged) {
	b, bad := newListReader(ctx, ops)
	if b == nil {
		return nil, bad
	}
	s := b.sessions(ops)
	if len(s.ops) == 0 {
		return nil, unknown("the history has no appends and no reads that happened")
	}
	return s, judged{}
}

// newListReader finds which appends each read saw. Without a reader there is a
// verdict: values from nowhere or of failed appends and doubled ones are
// invalid, other operations and values that are appended twice unknown.
func newListReader(ctx context.Context, ops []history.Operation) (*listReader, judged) {
	micros, bad := microOperations(ops)
	if bad.Verdict != "" {
		return nil, bad
	}
	if len(micros) == 0 {
		return nil, unknown("the history has no appends and no reads")
	}
	b := &listReader{
		micros: micros, keys: newInterner(), values: newInterner(), writers: map[place]int{}, failed: map[place]int{},
		observed: make([]bool, len(micros)), saw: make([][]int, len(micros)), seen: make([]int, len(micros)), watch: newWatch(ctx),
	}
	for i, m := range micros {
		if m.read {
			continue
		}
		if b.watch.over(0) {
			return nil, lateReading(ops)
		}
		p := b.place(m.key, m.value)
		if m.op.Outcome == history.Fail {
			b.failed[p] = i
			continue
		}
		if _, ok := b.writers[p]; ok {
			return nil, unknown("%s is appended twice to key %s; appended values must be unique", m.value, m.key)
		}
		b.writers[p] = i
	}
	for i, m := range micros {
		if bad := b.read(i, m); bad.Verdict != "" {
			return nil, bad
		}
	}
	if b.watch.late {
		return nil, lateReading(ops)
	}
	return b, judged{}
}

// byKey lists the micro-operations of each key.
func (b *listReader) byKey() [][]int {
	list := make([][]int, len(b.keys.values))
	for i, m := range b.micros {
		key, ok := b.keys.find(m.key)
		if !ok {
			key = b.keys.id(m.key) // read only, and empty
			list = append(list, nil)
		}
		list[key] = append(list[key], i)
	}
	return list
}

func (b *listReader) place(key, value history.Value) place {
	return place{int32(b.keys.id(key)), int32(b.values.id(value))}
}

// read finds the appends that a read saw, or some of them if time runs out.
func (b *listReader) read(i int, m micro) judged {
	if m.elements.Len() == 0 {
		return judged{}
	}
	key := int32(b.keys.id(m.key))
	b.saw[i] = make([]int, 0, m.elements.Len())
	for _, v := range m.elements.Elements() {
		if b.watch.over(0) {
			break
		}
		p := place{key, int32(b.values.id(v))}
		w, ok := b.writers[p]
		if f, bad := b.failed[p]; !ok && bad {
			return invalid("aborted read", fmt.Sprintf("a read returned %s, whose append failed", v), *m.op, *b.micros[f].op)
		}
		if !ok {
			return invalid("thin-air read", fmt.Sprintf("a read returned %s, which nobody appended", v), *m.op)
		}
		if b.seen[w] == i+1 {
			return invalid("duplicate", fmt.Sprintf("a read returned %s twice", v), *m.op, *b.micros[w].op)
		}
		b.seen[w], b.observed[w] = i+1, true
		b.saw[i] = append(b.saw[i], w)
	}
	return judged{}
}

func (b *listReader) sessions(ops []history.Operation) *sessions {
	s, number := &sessions{history: ops, lists: true, watch: b.watch}, map[int]int32{}
	at := make([]int32, len(b.micros))
	var origin []int
	for i, m := range b.micros {
		if m.op.Outcome == history.Fail || m.op.Outcome == history.Info && !b.observed[i] {
			continue
		}
		at[i] = s.begin(number, access{op: m.number, key: int32(b.keys.id(m.key)), micro: m.at, from: -1, read: m.read, write: !m.read})
		origin = append(origin, i)
	}
	s.saw = make([][]int32, len(s.ops))
	for v, i := range origin {
		if len(b.saw[i]) > 0 {
			s.saw[v] = make([]int32, 0, len(b.saw[i]))
		}
		for _, w := range b.saw[i] {
			s.saw[v] = append(s.saw[v], at[w])
		}
	}
	return s
}

// readList compares what a read of a list returned with what is visible to it.
func (c *clocks) readList(v int32, a *access, clock []int32) judged {
	saw := c.s.saw[v]
	if c.in == nil {
		c.in = make([]int32, len(c.s.ops))
	}
	for _, w := range saw {
		c.in[w] = v + 1
	}
	missing := func(w int32) judged {
		b := c.graph()
		return c.s.explain(b, "missing append", fmt.Sprintf("%s lacks what %s added, which was visible to it", c.s.name(v), c.s.name(w)), w, b.path(w, v))
	}
	seen := c.seen[a.key]
	for i := range seen {
		h := &seen[i]
		if c.byReads() {
			// The last read that is visible has all that those before it have.
			if at, ok := h.before(clock[h.session]); ok {
				for _, w := range c.s.saw[c.s.of[h.session][at]] {
					if c.in[w] != v+1 {
						return missing(w)
					}
				}
			}
			continue
		}
		for _, at := range h.list {
			if at >= clock[h.session] {
				break
			}
			if w := c.s.of[h.session][at]; c.in[w] != v+1 {
				return missing(w)
			}
		}
	}
	c.s.watch.over(len(saw))
	if c.g == Causal {
		return c.keepsCauses(v, saw)
	}
	for i := 1; i < len(saw); i++ {
		c.add(saw[i-1], saw[i], v)
	}
	return judged{}
}

// keepsCauses judges that no element of a list stands before one on which it
// depends.
func (c *clocks) keepsCauses(v int32, saw []int32) judged {
	earlier := make([]int32, len(c.s.of)) // clock of the elements so far
	for i, w := range saw {
		x := &c.s.ops[w]
		if earlier[x.session] <= x.index {
			c.join(earlier, w)
			continue
		}
		for _, before := range saw[:i] {
			if c.knows(before, x.session, x.index) {
				b := c.graph()
				way := append(b.path(w, before), edge{v, becauseRead, -1})
				return c.s.explain(b, "reordered", fmt.Sprintf("%s has %s before %s, on which it depends", c.s.name(v), c.s.name(before), c.s.name(w)), w, way)
			}
		}
	}
	return judged{}
}

// readYourAppends judges that each read has the appends of its own session,
// and that all reads agree on an order.
func (s *sessions) readYourAppends() judged {
	c := newConclusions(len(s.ops))
	own := newOwned(s)
	in := make([]int32, len(s.ops)) // append → the latest read that saw it, and 1
	for _, list := range s.of {
		own.begin()
		for _, v := range list {
			a := &s.ops[v]
			if s.watch.over(len(s.saw[v])) {
				return unknown("time ran out while reads were compared with the appends of their sessions")
			}
			if a.write {
				own.add(a.key, v)
				continue
			}
			for _, w := range s.saw[v] {
				in[w] = v + 1
			}
			for _, w := range own.of[a.key] {
				if in[w] != v+1 {
					return s.explain(newBefore(len(s.ops), s.watch), "missing append", fmt.Sprintf("%s lacks what %s added before", s.name(v), s.name(w)), w, []edge{{v, becauseSession, -1}})
				}
			}
			for i := 1; i < len(s.saw[v]); i++ {
				c.add(s.saw[v][i-1], s.saw[v][i], v)
			}
		}
	}
	if c.forward(nil) {
		return valid("%s of %s: each read its own appends", plural(len(s.ops), "operation"), plural(len(s.of), "session"))
	}
	b := newBefore(len(s.ops), s.watch)
	for _, e := range c.list {
		b.conclude(e.from, e.to, e.because)
	}
	if b.order() == nil {
		return s.circle(b, "no arbitration", "reads show appends in orders that contradict each other")
	}
	return valid("%s of %s: each read its own appends", plural(len(s.ops), "operation"), plural(len(s.of), "session"))
}
