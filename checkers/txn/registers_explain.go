package txn

import (
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// explain says why transaction a comes before b by an edge of that kind, and
// which micro-operations show it.
func (r *registers) explain(a, b int32, k graph.Kind) (text string, parts []place) {
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
		last := r.lastWrites(b)
		for j := range r.h.Txns[a].Ops {
			if p := (place{a, int32(j)}); r.op(p).Kind == Write && text == "" {
				v := r.version(r.op(p))
				if n, ok := last[r.op(p).Key]; ok && follows(r.next[v], n) {
					text, parts = r.overwritten(p, v, n, fmt.Sprintf("%s wrote %s to key %s", r.h.name(a), r.valueOf(v), r.h.KeyName(r.keyOf(v))))
				}
			}
		}
	case graph.RW:
		last := r.lastWrites(b)
		r.observe(a, func(op, _ int32) {
			p := place{a, op}
			v := r.version(r.op(p))
			if n, ok := last[r.op(p).Key]; ok && text == "" && (r.isInitial(v) || follows(r.chained[v], n) || follows(r.next[v], n)) {
				text, parts = r.overwritten(p, v, n, fmt.Sprintf("%s read key %s as %s", r.h.name(a), r.h.KeyName(r.keyOf(v)), r.valueOf(v)))
			}
		})
	}
	if text == "" {
		text = fmt.Sprintf("%s precedes %s (%s)", r.h.name(a), r.h.name(b), k)
	}
	return text, parts
}

// overwritten explains that what p met, version v, comes before n, which
// another transaction wrote.
func (r *registers) overwritten(p place, v, n int32, start string) (string, []place) {
	b := r.by(n)
	parts := []place{p, r.writes[n]}
	for j := range r.h.Txns[b].Ops {
		if o := &r.h.Txns[b].Ops[j]; o.Kind == Read && o.Key == r.keyOf(v) && r.version(o) == v {
			parts = append(parts, place{b, int32(j)})
			break
		}
	}
	why, shown := r.after(v, n)
	return fmt.Sprintf("%s, and %s wrote %s, %s; so %s came before %s", start, r.h.name(b), r.valueOf(n), why, r.h.name(p.txn), r.h.name(b)), append(parts, shown...)
}

// after says why a version precedes another in the order of their key, and
// what shows it besides the two.
func (r *registers) after(v, w int32) (why string, parts []place) {
	switch {
	case r.isInitial(v):
		return "and every write comes after the initial state", nil
	case follows(r.chained[v], w):
		return fmt.Sprintf("and %s had read %s when it wrote %s", r.h.name(r.writes[w].txn), r.valueOf(v), r.valueOf(w)), nil
	}
	why = "which came later in the order of versions that the options imply"
	for _, promised := range r.promised {
		i, ok := slices.BinarySearchFunc(promised.pairs, pair{before: v, after: w}, comparePairs)
		if !ok {
			continue
		}
		p, key := promised.pairs[i], r.keyOf(v)
		parts = r.touching(p.first, key)
		if p.first == p.second {
			why = fmt.Sprintf("which comes later by the promise of %s, as %s met one and then the other", promised.name, r.h.name(p.first))
			return why, parts
		}
		why = fmt.Sprintf("which comes later by the promise of %s, as %s met the one before %s met the other", promised.name, r.h.name(p.first), r.h.name(p.second))
		return why, append(parts, r.touching(p.second, key)...)
	}
	return why, nil
}

// lastWrites returns the last version of each key that a committed transaction
// wrote.
func (r *registers) lastWrites(t int32) map[int32]int32 {
	last := map[int32]int32{}
	r.external(t, func(key, _, written int32) {
		if written != none {
			last[key] = written
		}
	})
	return last
}

// follows reports whether a version is in a rising list of successors.
func follows(list []int32, version int32) bool {
	_, ok := slices.BinarySearch(list, version)
	return ok
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
