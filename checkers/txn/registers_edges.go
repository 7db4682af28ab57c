package txn

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// orderVersions derives what is known of the order of versions. The initial
// version comes before all others. A transaction that reads a version and
// writes the key makes a later version at every level at which its reads mean
// anything, so this chains versions for anti-dependencies, always. The
// options add what they promise; a promise that makes the versions of a key
// cyclic is reported and not used for that key, as in Elle.
func (r *registers) orderVersions(ctx context.Context, m *memory) error {
	var t int32
	overwrote := func(_, read, written int32) {
		if read != none && written != none && (r.by(read) != none || r.isInitial(read)) && r.by(read) != t {
			r.chained[read] = append(r.chained[read], written)
		}
	}
	for i := range r.h.Txns {
		if i%pollTxns == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
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
		if ctx.Err() != nil {
			return ctx.Err()
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
	pairBytes  = 5*16 + 3*(edgeBytes+builtBytes)*3 + 64
	touchBytes = 6*12 + 2*8 + 3*48
)

// pair says that the first version comes before the second, as two
// transactions, or one, met them.
type pair struct{ before, after, first, second int32 }

func comparePairs(a, b pair) int {
	return cmp.Or(cmp.Compare(a.before, b.before), cmp.Compare(a.after, b.after))
}

// promise is a promise of the options, with the pairs of versions that it
// relates in order of the versions.
type promise struct {
	name  string
	pairs []pair
}

// promise adds pairs of versions, but for those keys that this would make
// cyclic.
func (r *registers) promise(name string, pairs []pair) {
	slices.SortStableFunc(pairs, comparePairs)
	pairs = slices.CompactFunc(pairs, func(a, b pair) bool { return comparePairs(a, b) == 0 })
	r.promised = append(r.promised, promise{name, pairs})
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
	last := int32(none)
	for _, p := range pairs {
		if cyclic[r.keyOf(p.before)] || p.before == p.after {
			continue
		}
		r.next[p.before] = append(r.next[p.before], p.after)
		if p.before != last && last != none {
			r.tidy(last)
		}
		last = p.before
	}
	if last != none {
		r.tidy(last)
	}
}

// tidy leaves each successor of a version once.
func (r *registers) tidy(version int32) {
	slices.Sort(r.next[version])
	r.next[version] = slices.Compact(r.next[version])
}

// cyclicVersions explains a cycle of versions, by the transactions that met
// one of them after the other.
func (r *registers) cyclicVersions(name string, key int32, cycle []graph.Step) Finding {
	f := Finding{Key: r.h.KeyName(key)}
	step := map[[2]int32]bool{}
	for _, s := range cycle {
		step[[2]int32{s.From, s.To}] = true
	}
	for _, promised := range r.promised {
		for _, p := range promised.pairs {
			if is := [2]int32{p.before, p.after}; step[is] {
				delete(step, is)
				f.parts = append(append(f.parts, r.touching(p.first, key)...), r.touching(p.second, key)...)
			}
		}
	}
	for _, s := range cycle {
		if step[[2]int32{s.From, s.To}] && !r.isInitial(s.To) && !r.isUnwritten(s.To) {
			f.parts = append(f.parts, r.writes[s.To]) // it comes after the initial one
		}
	}
	f.Summary = fmt.Sprintf("the versions of key %s cannot be ordered as the promise of %s demands: %s", f.Key, name, r.versionsName(cycle))
	return f
}

// touching returns the micro-operations of a transaction on a key.
func (r *registers) touching(txn, key int32) (parts []place) {
	for j := range r.h.Txns[txn].Ops {
		if r.h.Txns[txn].Ops[j].Key == key {
			parts = append(parts, place{txn, int32(j)})
		}
	}
	return parts
}

// versionsName prints a cycle of versions, those in the middle left out if it
// is long.
func (r *registers) versionsName(cycle []graph.Step) string {
	const most, ends = 24, 8
	var b strings.Builder
	b.WriteString(r.valueOf(cycle[0].From))
	for i, s := range cycle {
		switch {
		case len(cycle) <= most || i < ends || i >= len(cycle)-ends:
			b.WriteString(" → " + r.valueOf(s.To))
		case i == ends:
			fmt.Fprintf(&b, " → (%d more)", len(cycle)-2*ends)
		}
	}
	return b.String()
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
			a, b := list[i-1].version, list[i].version
			pairs = append(pairs, pair{a, b, r.writes[a].txn, r.writes[b].txn})
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
					pairs = append(pairs, pair{read, written, int32(i), int32(i)})
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
				pairs = append(pairs, pair{p.last, t.first, p.txn, t.txn})
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
// were complete before it and that no other one divides from it. Touches that
// left the same version count as the last of them, and what was related to a
// version once is not related to it again.
func (r *registers) realtimePairs(touches []touch, pairs []pair, most int) []pair {
	var done []touch // in order of completion
	for _, t := range touches {
		if x := &r.h.Txns[t.txn]; x.Status == OK && x.Complete >= 0 {
			done = append(done, t)
		}
	}
	slices.SortStableFunc(done, func(a, b touch) int { return cmp.Compare(r.h.Txns[a.txn].Complete, r.h.Txns[b.txn].Complete) })
	var frontier []int // of done: complete, and followed by none that is
	newest, related := map[int32]int{}, map[int32]int{}
	next, old, latest := 0, 0, int64(math.MinInt64) // the last invocation of those that are complete
	for _, t := range touches {
		for ; next < len(done) && r.precedes(done[next].txn, t.txn); next++ {
			latest = max(latest, r.h.Txns[done[next].txn].Invoke)
			if _, met := newest[done[next].last]; met {
				old++
			}
			newest[done[next].last] = next
			frontier = append(frontier, next)
		}
		past := func(i int) bool { return r.h.Txns[done[i].txn].Complete < latest }
		for len(frontier) > 0 && past(frontier[0]) {
			frontier = frontier[1:]
		}
		if old > len(frontier)/2 {
			frontier = slices.DeleteFunc(frontier, func(i int) bool { return newest[done[i].last] != i })
			old = 0
		}
		from, _ := slices.BinarySearch(frontier, related[t.first])
		for _, i := range frontier[from:] {
			if d := done[i]; newest[d.last] == i && d.last != t.first {
				pairs = append(pairs, pair{d.last, t.first, d.txn, t.txn})
			}
		}
		related[t.first] = next
		if len(pairs) > most {
			return pairs
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
