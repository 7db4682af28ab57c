package txn

import (
	"fmt"
	"slices"
)

// none stands for "no transaction", "no position" and the like.
const none = -1

// place is a micro-operation: which one of which transaction.
type place struct{ txn, op int32 }

// lists is what is known of a list-append history. Appends are numbered from
// 0 in order of the history.
type lists struct {
	h *History
	size
	index index
	// Of each append: who did it and whether its transaction did no later one
	// to the same key, and at which position of its key's order it is, or
	// none.
	appends []place
	final   []bool
	pos     []int32
	// earlier is the append by the same transaction to the same key before
	// it, or none.
	earlier []int32
	// Of each key: its longest read, and the appends in order, without
	// repetition and without elements that nobody appended (none).
	longest []place
	order   [][]int32
	// damaged keys have a longest read with elements repeated.
	damaged []bool
	// failed is the first position of each key with a failed append, or the
	// length of its order. Keys that have one have gaps.
	failed []int32
	gaps   map[int32]gaps
	// committed transactions are those that are ok, and those of unknown
	// outcome of which an append was read.
	committed []bool
	found     *findings
	memory    *memory
	seen      *sightings // once an explanation asks
	err       error      // why the reading ended early
}

// DuplicateWriteError says that a value was written to a key twice, so that
// reads of it do not tell who wrote what they saw.
type DuplicateWriteError struct{ Key, Value, First, Second string }

func (e *DuplicateWriteError) Error() string {
	return fmt.Sprintf("the value %s was written to key %s by two micro-operations, of %s and %s; values must be unique for each key", e.Value, e.Key, e.First, e.Second)
}

// newLists reads the history up to the order of each key.
func newLists(h *History, s size, found *findings, m *memory) (*lists, error) {
	if err := m.take(s.listBytes(), "lists of %d micro-operations", s.ops); err != nil {
		return nil, err
	}
	l := &lists{
		h: h, size: s, index: newIndex(s.writes), appends: make([]place, 0, s.writes), final: make([]bool, s.writes), pos: make([]int32, s.writes), earlier: make([]int32, s.writes),
		longest: make([]place, s.keys), order: make([][]int32, s.keys), damaged: make([]bool, s.keys), failed: make([]int32, s.keys),
		committed: make([]bool, s.txns), found: found, memory: m,
	}
	for i := range l.longest {
		l.longest[i].txn = none
	}
	for i := range l.pos {
		l.pos[i] = none
	}
	if err := l.number(); err != nil {
		return nil, err
	}
	longest := int64(0)
	for _, p := range l.longest {
		if p.txn != none {
			longest += int64(len(l.op(p).List)) + 1
		}
	}
	l.take(8 * longest)
	for k := 0; k < len(l.order) && l.err == nil; k++ {
		l.orderKey(int32(k))
	}
	return l, l.err
}

// take reserves bytes; without them l.err is set.
func (l *lists) take(bytes int64) {
	if l.err == nil {
		l.err = l.memory.take(bytes, "the elements that were read")
	}
}

func (l *lists) op(p place) *Op { return &l.h.Txns[p.txn].Ops[p.op] }

// number numbers the appends and finds the longest read of each key.
func (l *lists) number() error {
	type last struct{ txn, number int32 }
	latest := make([]last, l.keys) // append of each key
	for i := range latest {
		latest[i].txn = none
	}
	for i := range l.h.Txns {
		t := &l.h.Txns[i]
		l.committed[i] = t.Status == OK
		for j := range t.Ops {
			o := &t.Ops[j]
			if o.Kind == Read {
				if long := &l.longest[o.Key]; t.Status == OK && (long.txn == none || len(o.List) > len(l.op(*long).List)) {
					*long = place{int32(i), int32(j)}
				}
				continue
			}
			n := int32(len(l.appends))
			if other, free := l.index.put(o.Key, o.Value, n); !free {
				return &DuplicateWriteError{l.h.KeyName(o.Key), l.h.ValueName(o.Value), l.h.name(l.appends[other].txn), l.h.name(int32(i))}
			}
			l.appends = append(l.appends, place{int32(i), int32(j)})
			l.final[n], l.earlier[n] = true, none
			if p := &latest[o.Key]; p.txn == int32(i) {
				l.final[p.number], l.earlier[n] = false, p.number
				p.number = n
			} else {
				*p = last{int32(i), n}
			}
		}
	}
	return nil
}

// orderKey derives the order of a key's appends from its longest read.
func (l *lists) orderKey(k int32) {
	if l.longest[k].txn == none {
		return
	}
	read := l.op(l.longest[k]).List
	order := make([]int32, 0, len(read))
	first := none
	var garbage map[Value]bool
	for _, v := range read {
		n := l.index.get(k, v)
		if n >= 0 && l.pos[n] >= 0 || garbage[v] {
			l.damaged[k] = true
			continue
		}
		if n < 0 {
			if garbage == nil {
				garbage = map[Value]bool{}
			}
			garbage[v] = true
			l.take(garbageBytes)
		}
		if n >= 0 {
			l.pos[n] = int32(len(order))
			switch w := l.appends[n].txn; l.h.Txns[w].Status {
			case Info:
				l.committed[w] = true
			case Fail:
				if first == none {
					first = len(order)
				}
			}
		} else if first == none {
			first = len(order)
		}
		order = append(order, n)
	}
	if first == none {
		first = len(order)
	}
	if l.order[k], l.failed[k] = order, int32(first); first < len(order) {
		l.findGaps(k)
	}
}

// good reports whether the append at that position of a key is of a
// committed transaction.
func (l *lists) good(k int32, pos int) bool {
	n := l.order[k][pos]
	return n >= 0 && l.h.Txns[l.appends[n].txn].Status != Fail
}

// gaps are for a key with failed appends or elements that nobody appended:
// where the next good append is, at or above each position, and where the last
// one below it, or none.
type gaps struct{ next, last []int32 }

// findGaps finds the gaps of key k.
func (l *lists) findGaps(k int32) {
	n := len(l.order[k])
	if l.take(2 * 4 * int64(n+1)); l.err != nil {
		return
	}
	g := gaps{make([]int32, n+1), make([]int32, n+1)}
	g.next[n], g.last[0] = none, none
	for pos := range n {
		g.last[pos+1] = g.last[pos]
		if l.good(k, pos) {
			g.last[pos+1] = int32(pos)
		}
	}
	for pos := n - 1; pos >= 0; pos-- {
		g.next[pos] = g.next[pos+1]
		if l.good(k, pos) {
			g.next[pos] = int32(pos)
		}
	}
	if l.gaps == nil {
		l.gaps = map[int32]gaps{}
	}
	l.gaps[k] = g
}

// before returns the last good append of key k below position pos, or none.
func (l *lists) before(k int32, pos int) int32 {
	last := int32(pos - 1)
	if int(l.failed[k]) < len(l.order[k]) {
		last = l.gaps[k].last[pos]
	}
	if last < 0 {
		return none
	}
	return l.order[k][last]
}

// after returns the first good append of key k at or above position pos, or
// none.
func (l *lists) after(k int32, pos int) int32 {
	next := int32(pos)
	if int(l.failed[k]) < len(l.order[k]) {
		next = l.gaps[k].next[pos]
	}
	if next < 0 || int(next) >= len(l.order[k]) {
		return none
	}
	return l.order[k][next]
}

// isPrefix reports whether the read is a prefix of its key's longest read.
func (l *lists) isPrefix(o *Op) bool {
	long := l.op(l.longest[o.Key]).List
	return len(o.List) <= len(long) && slices.Equal(o.List, long[:len(o.List)])
}

// version returns how many appends of the key's order a read saw, judged by
// its last element where it is no prefix or the key is damaged; none if that
// element has no position.
func (l *lists) version(o *Op, prefix bool) int {
	if len(o.List) == 0 {
		return 0
	}
	if prefix && !l.damaged[o.Key] {
		return len(o.List)
	}
	n := l.index.get(o.Key, o.List[len(o.List)-1])
	if n < 0 || l.pos[n] < 0 {
		return none
	}
	return int(l.pos[n]) + 1
}
