package txn

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// orderVersions derives what is known of the order of versions. The initial
// version comes before all others. A transaction that reads a version and
// writes the key makes a later version at every level at which its reads mean
// anything, so this chains versions for anti-dependencies, always. The
// options add what they promise; a promise that makes the versions of a key
// cyclic is reported and not used for that key, as in Elle.
func (r *registers) orderVersions(m *memory) error {
	var t int32
	overwrote := func(_, read, written int32) {
		if read != none && written != none && (r.by(read) != none || r.isInitial(read)) && r.by(read) != t {
			r.chained[read] = append(r.chained[read], written)
		}
	}
	for i := range r.h.Txns {
		if t = int32(i); r.committed[i] {
			r.external(t, overwrote)
		}
	}
	most := int(min(int64(r.ops)+64*int64(r.txns), m.left/pairBytes))
	for _, p := range []struct {
		asked bool
		name  string
		pairs func() []pair
	}{
		{len(r.o.TransactionOrder) > 0, "the order of transactions", r.revealed},
		{r.o.WFRKeys, "writes-follow-reads", r.followed},
		{r.o.SequentialKeys, "sequential keys", func() []pair { return r.met(true, most) }},
		{r.o.LinearizableKeys, "linearizable keys", func() []pair { return r.met(false, most) }},
	} {
		if !p.asked {
			continue
		}
		pairs := p.pairs()
		if len(pairs) > most {
			return fmt.Errorf("the promise of %s relates more than %d pairs of versions; promise less, or allow more memory", p.name, most)
		}
		if err := m.take(int64(len(pairs))*pairBytes+int64(r.ops)*touchBytes, "the promise of %s", p.name); err != nil {
			return err
		}
		r.promise(p.name, pairs)
	}
	return nil
}

// pairBytes are those of a pair of versions that a promise relates, in the
// lists and the graph where it is kept; touchBytes those of a touch.
const (
	pairBytes  = 5*8 + 3*(edgeBytes+builtBytes)*3 + 64
	touchBytes = 6 * 12
)

// pair says that the first version comes before the second.
type pair struct{ before, after int32 }

// promise adds pairs of versions, but for those keys that this would make
// cyclic.
func (r *registers) promise(name string, pairs []pair) {
	b := graph.NewBuilder(len(r.next), len(pairs))
	for v, list := range r.next {
		for _, w := range list {
			b.Edge(int32(v), w, graph.WW)
		}
	}
	for _, p := range pairs {
		b.Edge(p.before, p.after, graph.WW)
		// Each version but the initial one comes after that.
		b.Edge(r.initial(r.keyOf(p.before)), p.before, graph.WW)
		b.Edge(r.initial(r.keyOf(p.after)), p.after, graph.WW)
	}
	g := b.Build()
	cyclic := map[int32]bool{}
	for _, c := range g.Components(graph.All) {
		key := r.keyOf(c[0])
		cyclic[key] = true
		r.found.add(CyclicVersions, func() Finding { return r.cyclicVersions(name, key, g.Through(c[0], graph.All)) })
	}
	for _, p := range pairs {
		if !cyclic[r.keyOf(p.before)] && p.before != p.after && !slices.Contains(r.next[p.before], p.after) {
			r.next[p.before] = append(r.next[p.before], p.after)
		}
	}
}

func (r *registers) cyclicVersions(name string, key int32, cycle []graph.Step) Finding {
	f := Finding{Key: r.h.KeyName(key)}
	text := r.valueOf(cycle[0].From)
	for _, s := range cycle {
		text += " → " + r.valueOf(s.To)
		for t := range r.h.Txns {
			for j := range r.h.Txns[t].Ops {
				if o := &r.h.Txns[t].Ops[j]; o.Key == key && r.h.Txns[t].Status == OK && r.version(o) == s.To {
					f.parts = append(f.parts, place{int32(t), int32(j)})
				}
			}
		}
	}
	f.Summary = fmt.Sprintf("the versions of key %s cannot be ordered as the promise of %s demands: %s", f.Key, name, text)
	return f
}

// revealed orders the final writes of each key by Options.TransactionOrder.
func (r *registers) revealed() []pair {
	type at struct {
		order   int64
		version int32
	}
	byKey := make([][]at, r.keys)
	for v, p := range r.writes {
		if order, ok := r.o.TransactionOrder[r.h.Txns[p.txn].ID]; ok && r.final[v] && r.committed[p.txn] {
			byKey[r.op(p).Key] = append(byKey[r.op(p).Key], at{order, int32(v)})
		}
	}
	var pairs []pair
	for _, list := range byKey {
		slices.SortFunc(list, func(a, b at) int { return cmp.Compare(a.order, b.order) })
		for i := 1; i < len(list); i++ {
			pairs = append(pairs, pair{list[i-1].version, list[i].version})
		}
	}
	return pairs
}

// followed are the pairs of versions of which a transaction read the one and
// wrote the other.
func (r *registers) followed() []pair {
	var pairs []pair
	for i := range r.h.Txns {
		if r.h.Txns[i].Status == OK {
			r.external(int32(i), func(_, read, written int32) {
				if read != none && written != none {
					pairs = append(pairs, pair{read, written})
				}
			})
		}
	}
	return pairs
}

// touch is what a transaction did to a key: the first version that it met and
// the last one.
type touch struct{ txn, first, last int32 }

// met orders the versions of each key as the transactions that touched it
// follow each other, in each process or in real time; past so many pairs it
// ends.
func (r *registers) met(byProcess bool, most int) []pair {
	byKey := make([][]touch, r.keys)
	for i := range r.h.Txns {
		if !r.committed[i] && r.h.Txns[i].Status != Info {
			continue
		}
		r.external(int32(i), func(key, read, written int32) {
			t := touch{int32(i), read, written}
			if t.first == none {
				t.first = written
			}
			if t.last == none {
				t.last = read
			}
			if t.first != none && t.last != none {
				byKey[key] = append(byKey[key], t)
			}
		})
	}
	var pairs []pair
	for _, touches := range byKey {
		if len(pairs) > most {
			break
		}
		slices.SortStableFunc(touches, func(a, b touch) int { return cmp.Compare(r.h.Txns[a.txn].Invoke, r.h.Txns[b.txn].Invoke) })
		if !byProcess {
			pairs = r.realtimePairs(touches, pairs, most)
			continue
		}
		latest := map[int]touch{}
		for _, t := range touches {
			process := r.h.Txns[t.txn].Process
			p, ok := latest[process]
			follows := ok && r.precedes(p.txn, t.txn)
			if follows && p.last != t.first {
				pairs = append(pairs, pair{p.last, t.first})
			}
			if r.h.Txns[t.txn].Status == OK && (!ok || follows) {
				latest[process] = t
			}
		}
	}
	return pairs
}

// precedes reports whether a was complete before b was invoked.
func (r *registers) precedes(a, b int32) bool {
	return r.h.Txns[a].Status == OK && r.h.Txns[a].Complete >= 0 && r.h.Txns[a].Complete < r.h.Txns[b].Invoke
}

// realtimePairs relates each touch, in order of invocation, to those that
// were complete before it and that no other one divides from it.
func (r *registers) realtimePairs(touches []touch, pairs []pair, most int) []pair {
	var open, frontier []touch // not complete by now; complete, and followed by none that is
	for _, t := range touches {
		if len(pairs) > most {
			return pairs
		}
		var still []touch
		for _, o := range open {
			if !r.precedes(o.txn, t.txn) {
				still = append(still, o)
				continue
			}
			frontier = slices.DeleteFunc(frontier, func(f touch) bool { return r.precedes(f.txn, o.txn) })
			frontier = append(frontier, o)
		}
		open = still
		for _, f := range frontier {
			divided := slices.ContainsFunc(frontier, func(g touch) bool { return r.precedes(f.txn, g.txn) })
			if !divided && f.last != t.first {
				pairs = append(pairs, pair{f.last, t.first})
			}
		}
		if r.h.Txns[t.txn].Status == OK {
			open = append(open, t)
		}
	}
	return pairs
}

// edges adds the dependencies between committed transactions.
func (r *registers) edges(b *graph.Builder) {
	writers := make([][]int32, r.keys) // of each key, in rising order
	for v, p := range r.writes {
		if r.committed[p.txn] && r.final[v] {
			k := r.op(p).Key
			writers[k] = append(writers[k], p.txn)
		}
	}
	for v := range r.next {
		version := int32(v)
		if r.isInitial(version) {
			b.LinkAll(r.readers[v], writers[r.keyOf(version)], graph.RW)
			continue
		}
		w := r.by(version)
		if w != none {
			for _, t := range r.readers[v] {
				b.Edge(w, t, graph.WR)
			}
		}
		var later []int32
		for _, n := range r.next[v] {
			if t := r.by(n); t != none && r.final[n] {
				later = append(later, t)
				// One that read what it overwrites has a wr edge, which is
				// certain and not promised.
				if _, read := slices.BinarySearch(r.readers[v], t); w != none && !read {
					b.Edge(w, t, graph.WW)
				}
			}
		}
		for _, n := range r.chained[v] {
			if t := r.by(n); t != none && r.final[n] {
				later = append(later, t)
			}
		}
		slices.Sort(later)
		b.LinkAll(r.readers[v], slices.Compact(later), graph.RW)
	}
}

// explain says why transaction a comes before b by an edge of that kind, and
// which micro-operations show it.
func (r *registers) explain(a, b int32, k graph.Kind) (text string, parts []place) {
	consider := func(v, n int32, start string, shown ...place) {
		if text == "" && r.by(n) == b {
			text = fmt.Sprintf("%s, and %s wrote %s, %s; so %s came before %s", start, r.h.name(b), r.valueOf(n), r.after(v, n), r.h.name(a), r.h.name(b))
			parts = append(shown, r.writes[n])
			if q := (r.readOf(b, v)); q.op != none {
				parts = append(parts, q)
			}
		}
	}
	switch k {
	case graph.WR:
		r.observe(b, func(op, writer int32) {
			if writer == a && text == "" {
				p := place{b, op}
				v := r.version(r.op(p))
				text = fmt.Sprintf("%s wrote %s to key %s, and %s read it, so %s came before %s", r.h.name(a), r.valueOf(v), r.h.KeyName(r.keyOf(v)), r.h.name(b), r.h.name(a), r.h.name(b))
				parts = []place{r.writes[v], p}
			}
		})
	case graph.WW:
		for j := range r.h.Txns[a].Ops {
			if p := (place{a, int32(j)}); r.op(p).Kind == Write {
				v := r.version(r.op(p))
				for _, n := range r.next[v] {
					consider(v, n, fmt.Sprintf("%s wrote %s to key %s", r.h.name(a), r.valueOf(v), r.h.KeyName(r.keyOf(v))), p)
				}
			}
		}
	case graph.RW:
		r.observe(a, func(op, _ int32) {
			p := place{a, op}
			v := r.version(r.op(p))
			start := fmt.Sprintf("%s read key %s as %s", r.h.name(a), r.h.KeyName(r.keyOf(v)), r.valueOf(v))
			for _, n := range slices.Concat(r.chained[v], r.next[v]) {
				consider(v, n, start, p)
			}
			if r.isInitial(v) {
				for j := range r.h.Txns[b].Ops {
					if o := &r.h.Txns[b].Ops[j]; o.Kind == Write && o.Key == r.keyOf(v) && r.final[r.version(o)] {
						consider(v, r.version(o), start, p)
					}
				}
			}
		})
	}
	if text == "" {
		text = fmt.Sprintf("%s precedes %s (%s)", r.h.name(a), r.h.name(b), k)
	}
	return text, parts
}

// commitOf returns a read that shows that the transaction of a version was
// committed although its outcome is unknown, with the write that it saw.
func (r *registers) commitOf(version int32) []place {
	w := r.by(version)
	if w == none || r.h.Txns[w].Status != Info {
		return nil
	}
	for j := range r.h.Txns[w].Ops {
		p := place{w, int32(j)}
		if r.op(p).Kind != Write {
			continue
		}
		v := r.version(r.op(p))
		if q := r.anyReadOf(v); q.txn != none {
			return []place{p, q}
		}
	}
	return nil
}

// anyReadOf returns a read of a version by an ok transaction.
func (r *registers) anyReadOf(version int32) place {
	if list := r.readers[version]; len(list) > 0 {
		return r.readOf(list[0], version)
	}
	for t := range r.h.Txns {
		for j := range r.h.Txns[t].Ops {
			if o := &r.h.Txns[t].Ops[j]; r.h.Txns[t].Status == OK && o.Kind == Read && r.version(o) == version {
				return place{int32(t), int32(j)}
			}
		}
	}
	return place{txn: none}
}
