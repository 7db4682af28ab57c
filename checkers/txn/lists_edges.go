package txn

import (
	"fmt"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// edges adds the dependencies between committed transactions:
//
//   - ww from the appender of an element to that of the next one;
//   - wr from the appender of the last element of a read to the reader;
//   - rw from the reader of a version to the appender of the next element;
//   - the tail: appends of committed transactions that nobody saw come after
//     the last append that was seen (ww) and after all readers of the longest
//     version (rw).
//
// With the tail, a graph without cycle has a topological order that explains
// every read, so that the check is complete: Elle leaves out such transactions
// of unknown outcome that are known to be committed.
func (l *lists) edges(b *graph.Builder) {
	tails := l.tails()
	l.versionEdges(b, tails)
	for i := range l.h.Txns {
		if l.h.Txns[i].Status != OK {
			continue
		}
		for j := range l.h.Txns[i].Ops {
			if o := &l.h.Txns[i].Ops[j]; o.Kind == Read {
				l.readEdges(b, int32(i), o, tails)
			}
		}
	}
	for k := range tails {
		tail := &tails[k]
		b.LinkAll(tail.readers, tail.appenders, graph.RW)
	}
}

// readEdges adds the edges of one read of an ok transaction.
func (l *lists) readEdges(b *graph.Builder, t int32, o *Op, tails []tail) {
	prefix := l.isPrefix(o)
	v := l.version(o, prefix)
	if v == none {
		return
	}
	if v > 0 {
		if n := l.order[o.Key][v-1]; n >= 0 && l.committed[l.appends[n].txn] {
			if l.appends[n].txn == t {
				return // its ww edges say the same
			}
			b.Edge(l.appends[n].txn, t, graph.WR)
		}
	}
	if !prefix || v != len(o.List) {
		return // what it did not see is not clear
	}
	if n := l.after(o.Key, v); n >= 0 {
		b.Edge(t, l.appends[n].txn, graph.RW)
	} else if tail := &tails[o.Key]; len(tail.appenders) > 0 {
		if k := len(tail.readers); k == 0 || tail.readers[k-1] != t {
			tail.readers = append(tail.readers, t)
		}
	}
}

// tail holds the transactions whose appends to a key nobody saw, and the
// readers of the key's longest version, both in rising order.
type tail struct{ appenders, readers []int32 }

func (l *lists) tails() []tail {
	tails := make([]tail, l.keys)
	for n, p := range l.appends {
		if l.pos[n] >= 0 || !l.committed[p.txn] {
			continue
		}
		t := &tails[l.op(p).Key]
		if k := len(t.appenders); k == 0 || t.appenders[k-1] != p.txn {
			t.appenders = append(t.appenders, p.txn)
		}
	}
	return tails
}

// explain says why transaction a comes before b by an edge of that kind, and
// which micro-operations show it.
func (l *lists) explain(a, b int32, k graph.Kind) (string, []place) {
	var reads map[int32]place // see missed
	if k == graph.RW {
		reads = l.missed(a)
	}
	for j := range l.h.Txns[b].Ops {
		p := place{b, int32(j)}
		var text string
		var parts []place
		switch o := l.op(p); {
		case k == graph.WR && o.Kind == Read:
			text, parts = l.explainWR(a, p)
		case k == graph.WW && o.Kind == Append:
			text, parts = l.explainWW(a, p)
		case k == graph.RW && o.Kind == Append:
			text, parts = l.explainRW(reads, p)
		}
		if text != "" {
			return text, parts
		}
	}
	return fmt.Sprintf("%s precedes %s (%s)", l.h.name(a), l.h.name(b), k), nil
}

func (l *lists) explainWR(a int32, p place) (string, []place) {
	o := l.op(p)
	v := l.version(o, l.isPrefix(o))
	if v <= 0 {
		return "", nil
	}
	n := l.order[o.Key][v-1]
	if n < 0 || l.appends[n].txn != a {
		return "", nil
	}
	return fmt.Sprintf("%s appended %s to key %s, and %s read that key as %s, so %s came before %s", l.h.name(a), l.h.ValueName(l.op(l.appends[n]).Value),
		l.h.KeyName(o.Key), l.h.name(p.txn), l.h.ListName(o.List), l.h.name(a), l.h.name(p.txn)), []place{l.appends[n], p}
}

func (l *lists) explainWW(a int32, p place) (string, []place) {
	o := l.op(p)
	pos := l.pos[l.numberOf(p)]
	seen := pos >= 0
	if !seen {
		pos = int32(len(l.order[o.Key]))
	}
	n := l.before(o.Key, int(pos))
	if n < 0 || l.appends[n].txn != a {
		return "", nil
	}
	start := fmt.Sprintf("%s appended %s to key %s", l.h.name(a), l.h.ValueName(l.op(l.appends[n]).Value), l.h.KeyName(o.Key))
	value := l.h.ValueName(o.Value)
	if !seen {
		by := l.shortest(o.Key, l.appends[n])
		return fmt.Sprintf("%s, the last append to it that anyone read (%s read %s), and %s appended %s, which nobody read, so %s came before %s", start,
			l.h.name(by.txn), l.h.ListName(l.op(by).List), l.h.name(p.txn), value, l.h.name(a), l.h.name(p.txn)), append(l.commitOf(p), l.appends[n], by, p)
	}
	by := l.shortest(o.Key, p)
	return fmt.Sprintf("%s, and %s appended %s after it: %s read that key as %s; so %s came before %s", start, l.h.name(p.txn), value,
		l.h.name(by.txn), l.h.ListName(l.op(by).List), l.h.name(a), l.h.name(p.txn)), []place{l.appends[n], p, by}
}

// missed returns of each append the first read of a transaction that saw all
// before it but not the append itself; for those that come after all that was
// read, by unread number.
func (l *lists) missed(t int32) map[int32]place {
	reads := map[int32]place{}
	for j := range l.h.Txns[t].Ops {
		p := place{t, int32(j)}
		read := l.op(p)
		if read.Kind != Read || !l.isPrefix(read) || l.version(read, true) != len(read.List) || len(read.List) > 0 && l.lastBy(read) == t {
			continue // what it appended itself makes it a ww edge
		}
		n := l.after(read.Key, len(read.List))
		if n == none {
			n = unread(read.Key)
		}
		if _, met := reads[n]; !met {
			reads[n] = p
		}
	}
	return reads
}

// unread numbers the appends to a key that nobody read, as one, below all others.
func unread(key int32) int32 { return none - 1 - key }

func (l *lists) explainRW(reads map[int32]place, p place) (string, []place) {
	o := l.op(p)
	n := l.numberOf(p)
	if l.pos[n] < 0 {
		n = unread(o.Key)
	}
	q, ok := reads[n]
	if !ok {
		return "", nil
	}
	return fmt.Sprintf("%s read key %s as %s, which does not contain %s, which %s appended to it, so %s came before %s", l.h.name(q.txn), l.h.KeyName(o.Key),
		l.h.ListName(l.op(q).List), l.h.ValueName(o.Value), l.h.name(p.txn), l.h.name(q.txn), l.h.name(p.txn)), append(l.commitOf(p), q, p)
}

// lastBy returns who appended the last element of a read, none if nobody did.
func (l *lists) lastBy(read *Op) int32 {
	if n := l.index.get(read.Key, read.List[len(read.List)-1]); n >= 0 {
		return l.appends[n].txn
	}
	return none
}

// numberOf returns the number of an append.
func (l *lists) numberOf(p place) int32 { return l.index.get(l.op(p).Key, l.op(p).Value) }

// commitOf returns what shows that the transaction of an append was
// committed although its outcome is unknown: one of its appends, and a read
// of it.
func (l *lists) commitOf(p place) []place {
	if l.h.Txns[p.txn].Status != Info {
		return nil
	}
	for j := range l.h.Txns[p.txn].Ops {
		q := place{p.txn, int32(j)}
		if o := l.op(q); o.Kind == Append {
			if by := l.shortest(o.Key, q); by.txn != none {
				return []place{q, by}
			}
		}
	}
	return nil
}

// observe tells of each read of an ok transaction whose append it saw last.
func (l *lists) observe(t int32, f func(op, writer int32)) {
	var wrote map[int32]bool // keys, by the transaction so far
	for j := range l.h.Txns[t].Ops {
		o := &l.h.Txns[t].Ops[j]
		if o.Kind != Read {
			if wrote == nil {
				wrote = map[int32]bool{}
			}
			wrote[o.Key] = true
			continue
		}
		v := l.version(o, l.isPrefix(o))
		switch {
		case v == 0 && !wrote[o.Key]:
			f(int32(j), int32(len(l.h.Txns)))
		case v > 0:
			if n := l.order[o.Key][v-1]; n >= 0 && l.committed[l.appends[n].txn] && l.appends[n].txn != t {
				f(int32(j), l.appends[n].txn)
			}
		}
	}
}

// versionEdges adds the order of versions, as far as it is known.
func (l *lists) versionEdges(b *graph.Builder, tails []tail) {
	for k := range l.order {
		last := int32(none)
		for _, n := range l.order[k] {
			if n < 0 || !l.committed[l.appends[n].txn] {
				continue
			}
			w := l.appends[n].txn
			if last >= 0 {
				b.Edge(last, w, graph.WW)
			}
			last = w
		}
		if last >= 0 {
			b.LinkAll([]int32{last}, tails[k].appenders, graph.WW)
		}
	}
}
