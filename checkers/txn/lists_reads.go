package txn

import (
	"context"
	"fmt"
	"slices"
)

// reads checks each read of a committed transaction by itself: what it shows
// of failed, unfinished and unknown writers, of other reads, and of its own
// transaction.
type reads struct {
	*lists
	state []ownState // by key
	// rmw is the first transaction that read a version of a key, up to
	// version rmwOff[key+1]-rmwOff[key], and appended to the key, or none.
	rmw    []int32
	rmwOff []int32
	// odd holds, by place in rmw, what was read where that is no prefix of the
	// longest read, so that the version does not tell it.
	odd map[int32][]Value
	// seen and garbage hold of each append, and of what nobody appended, the
	// read that last held it, as its number.
	seen    []int32
	garbage map[entry]int32
	round   int32
}

// garbageBytes are those of a map's entry for what nobody appended.
const garbageBytes = 100

// ownState is what a transaction knows of a key so far.
type ownState struct {
	txn     int32   // whose state this is, plus 1
	known   bool    // base is what it read last
	wrote   bool    // it has appended
	version int32   // that it read first, none if unknown
	first   []Value // the list of that version, if the version does not tell it
	longest int32   // version that it has read
	base    []Value
	own     []Value // what it has appended since
}

// checkReads goes through all reads.
func (l *lists) checkReads(ctx context.Context) error {
	r := reads{lists: l, state: make([]ownState, l.keys), rmwOff: make([]int32, l.keys+1)}
	for k := range l.order {
		r.rmwOff[k+1] = r.rmwOff[k] + int32(len(l.order[k])) + 1
	}
	r.rmw = make([]int32, r.rmwOff[l.keys])
	for i := range r.rmw {
		r.rmw[i] = none
	}
	number := int32(0)
	for i := range l.h.Txns {
		if i%pollTxns == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		t := &l.h.Txns[i]
		badOnce := false
		for j := range t.Ops {
			o := &t.Ops[j]
			if o.Kind != Read {
				if t.Status == OK {
					r.append(place{int32(i), int32(j)}, number)
				}
				number++
			} else if t.Status == OK {
				r.read(place{int32(i), int32(j)}, number, &badOnce)
			}
		}
	}
	l.dirtyUpdates()
	l.ownOrder()
	return l.err
}

// ownOrder looks for appends of one transaction to one key that were read
// without or before earlier ones.
func (l *lists) ownOrder() {
	for i, e := range l.earlier {
		n := int32(i)
		if e == none || l.pos[n] < 0 || l.pos[e] >= 0 && l.pos[e] < l.pos[n] || l.h.Txns[l.appends[n].txn].Status == Fail {
			continue
		}
		first, second := l.appends[e], l.appends[n]
		l.found.add(IncompatibleOrder, func() Finding {
			f := Finding{Key: l.h.KeyName(l.op(first).Key)}
			by := l.shortest(l.op(first).Key, second)
			f.Summary = fmt.Sprintf("%s appended %s to key %s before %s, but %s read that key as %s", l.h.name(first.txn), l.h.ValueName(l.op(first).Value), f.Key, l.h.ValueName(l.op(second).Value), l.h.name(by.txn), l.h.ListName(l.op(by).List))
			f.parts = []place{first, second, by}
			return f
		})
	}
}

// of returns the state of a key for a transaction.
func (r *reads) of(txn, key int32) *ownState {
	s := &r.state[key]
	if s.txn != txn+1 {
		*s = ownState{txn: txn + 1, version: none, own: s.own[:0]}
	}
	return s
}

// append notes append number n of an ok transaction.
func (r *reads) append(p place, n int32) {
	o := r.op(p)
	s := r.of(p.txn, o.Key)
	if pos := r.pos[n]; pos >= 0 && pos < s.longest {
		r.futureRead(p, n)
	}
	if !s.wrote && s.version >= 0 {
		slot := r.rmwOff[o.Key] + s.version
		if r.rmw[slot] != none {
			if slices.Equal(r.odd[slot], s.first) {
				lostUpdate(r.h, r.found, r.rmw[slot], p.txn, o.Key)
			}
		} else if r.rmw[slot] = p.txn; s.first != nil {
			if r.odd == nil {
				r.odd = map[int32][]Value{}
			}
			r.take(garbageBytes)
			r.odd[slot] = s.first
		}
	}
	s.wrote = true
	s.own = append(s.own, o.Value)
}

// read checks one read; appends numbered from next on come later in its
// transaction. Of each transaction only the first internal contradiction is
// reported, as in Elle.
func (r *reads) read(p place, next int32, internalOnce *bool) {
	o := r.op(p)
	s := r.of(p.txn, o.Key)
	if !*internalOnce && !s.agrees(o.List) {
		*internalOnce = true
		r.internal(p, s)
	}
	prefix := r.isPrefix(o)
	v := r.version(o, prefix)
	if prefix && !r.damaged[o.Key] {
		if int(r.failed[o.Key]) < len(o.List) {
			r.elements(p)
		}
		s.longest = max(s.longest, int32(v))
	} else {
		if !prefix {
			r.incompatible(p)
		}
		r.elements(p)
		for _, e := range o.List {
			if n := r.index.get(o.Key, e); n >= next && r.appends[n].txn == p.txn {
				r.futureRead(r.appends[n], n)
			}
		}
	}
	if v > 0 && v <= len(r.order[o.Key]) {
		if n := r.order[o.Key][v-1]; n >= 0 && !r.final[n] && r.appends[n].txn != p.txn {
			r.intermediate(p, n)
		}
	}
	if !s.wrote && !s.known {
		if s.version = int32(v); v > 0 && (!prefix || r.damaged[o.Key]) {
			s.first = o.List
		}
	}
	s.known, s.base, s.own = true, o.List, s.own[:0]
}

// agrees reports whether a read fits what its transaction did before.
func (s *ownState) agrees(list []Value) bool {
	rest := len(list) - len(s.own)
	if rest < 0 || !slices.Equal(list[rest:], s.own) {
		return false
	}
	return !s.known || slices.Equal(list[:rest], s.base)
}

// elements checks who wrote each element of a read.
func (r *reads) elements(p place) {
	o := r.op(p)
	r.round++
	for _, e := range o.List {
		n := r.index.get(o.Key, e)
		if r.met(o.Key, e, n) {
			r.found.add(DuplicateElements, func() Finding {
				return Finding{
					Summary: fmt.Sprintf("%s read key %s as %s, which holds %s more than once, though it was appended once", r.h.name(p.txn), r.h.KeyName(o.Key), r.h.ListName(o.List), r.h.ValueName(e)),
					Key:     r.h.KeyName(o.Key), parts: []place{p},
				}
			})
			continue
		}
		if n < 0 {
			r.found.add(GarbageRead, func() Finding {
				return Finding{
					Summary: fmt.Sprintf("%s read key %s as %s, but nobody appended %s to it", r.h.name(p.txn), r.h.KeyName(o.Key), r.h.ListName(o.List), r.h.ValueName(e)),
					Key:     r.h.KeyName(o.Key), parts: []place{p},
				}
			})
			continue
		}
		w := r.appends[n]
		if r.h.Txns[w.txn].Status == Fail {
			r.found.add(G1a, func() Finding {
				return Finding{
					Summary: fmt.Sprintf("%s read key %s as %s, but %s, which appended %s to it, failed", r.h.name(p.txn), r.h.KeyName(o.Key), r.h.ListName(o.List), r.h.name(w.txn), r.h.ValueName(e)),
					Key:     r.h.KeyName(o.Key), parts: []place{w, p},
				}
			})
		}
		// Of an info transaction seen only where the order of its key does
		// not show it, the commit is known all the same.
		if r.h.Txns[w.txn].Status == Info {
			r.committed[w.txn] = true
		}
	}
}

// met notes that the current read held an element, which is append n if that
// is not negative, and reports whether it held it before.
func (r *reads) met(key int32, e Value, n int32) bool {
	if n >= 0 {
		if r.seen == nil {
			r.seen = make([]int32, len(r.appends))
		}
		met := r.seen[n] == r.round
		r.seen[n] = r.round
		return met
	}
	g := entry{value: e, key: key}
	last, known := r.garbage[g]
	if !known {
		if r.take(garbageBytes); r.err != nil {
			return false
		}
		if r.garbage == nil {
			r.garbage = map[entry]int32{}
		}
	}
	r.garbage[g] = r.round
	return last == r.round
}

func (r *reads) internal(p place, s *ownState) {
	own := slices.Clone(s.own)
	base, known := s.base, s.known
	r.found.add(Internal, func() Finding {
		o := r.op(p)
		expected := r.h.ListName(append(slices.Clone(base), own...))
		if !known {
			expected = "a list that ends with " + r.h.ListName(own)
		}
		f := Finding{Key: r.h.KeyName(o.Key), parts: r.ownOps(p)}
		f.Summary = fmt.Sprintf("%s read key %s as %s, but by its own earlier micro-operations it had to read %s", r.h.name(p.txn), f.Key, r.h.ListName(o.List), expected)
		return f
	})
}

// ownOps returns the micro-operations of p's transaction on p's key, up to p.
func (l *lists) ownOps(p place) []place {
	var parts []place
	key := l.op(p).Key
	for j := int32(0); j <= p.op; j++ {
		if l.h.Txns[p.txn].Ops[j].Key == key {
			parts = append(parts, place{p.txn, j})
		}
	}
	return parts
}

func (r *reads) incompatible(p place) {
	r.found.add(IncompatibleOrder, func() Finding {
		o, long := r.op(p), r.longest[r.op(p).Key]
		return Finding{
			Summary: fmt.Sprintf("%s read key %s as %s, and %s read it as %s; neither is a prefix of the other", r.h.name(p.txn), r.h.KeyName(o.Key), r.h.ListName(o.List), r.h.name(long.txn), r.h.ListName(r.op(long).List)),
			Key:     r.h.KeyName(o.Key), parts: []place{long, p},
		}
	})
}

func (r *reads) intermediate(p place, n int32) {
	r.found.add(G1b, func() Finding {
		o, w := r.op(p), r.appends[n]
		f := Finding{Key: r.h.KeyName(o.Key), parts: []place{p}}
		for j := range r.h.Txns[w.txn].Ops {
			if own := &r.h.Txns[w.txn].Ops[j]; own.Key == o.Key && own.Kind == Append {
				f.parts = append(f.parts, place{w.txn, int32(j)})
			}
		}
		f.Summary = fmt.Sprintf("%s read key %s as %s, which ends with %s, an append that %s itself followed by another one to the same key", r.h.name(p.txn), f.Key, r.h.ListName(o.List), r.h.ValueName(r.op(w).Value), r.h.name(w.txn))
		return f
	})
}

// futureRead reports that the transaction of append n had read its element
// before. The first such read is shown.
func (r *reads) futureRead(p place, n int32) {
	r.found.add(FutureRead, func() Finding {
		value, key := r.op(r.appends[n]).Value, r.op(r.appends[n]).Key
		ops := r.h.Txns[p.txn].Ops
		j := slices.IndexFunc(ops, func(o Op) bool { return o.Kind == Read && o.Key == key && slices.Contains(o.List, value) })
		return Finding{
			Summary: fmt.Sprintf("%s read key %s as %s and appended %s, which it had read already, only afterwards", r.h.name(p.txn), r.h.KeyName(key), r.h.ListName(ops[j].List), r.h.ValueName(value)),
			Key:     r.h.KeyName(key), parts: []place{{p.txn, int32(j)}, r.appends[n]},
		}
	})
}

// dirtyUpdates looks for committed appends that follow failed ones.
func (l *lists) dirtyUpdates() {
	for k := range l.order {
		key := int32(k)
		if int(l.failed[k]) == len(l.order[k]) {
			continue
		}
		dirty := int32(none)
		for pos := range l.order[k] {
			n := l.order[k][pos]
			if n < 0 {
				continue
			}
			switch l.h.Txns[l.appends[n].txn].Status {
			case Fail:
				dirty = n
			case OK:
				if dirty == none {
					continue
				}
				failed, upon := l.appends[dirty], l.appends[n]
				l.found.add(DirtyUpdate, func() Finding {
					return Finding{
						Summary: fmt.Sprintf("%s appended %s to key %s upon %s, which %s had appended, though %s failed", l.h.name(upon.txn), l.h.ValueName(l.op(upon).Value), l.h.KeyName(key), l.h.ValueName(l.op(failed).Value), l.h.name(failed.txn), l.h.name(failed.txn)),
						Key:     l.h.KeyName(key), parts: []place{failed, upon, l.longest[k]},
					}
				})
				dirty = none
			}
		}
	}
}
