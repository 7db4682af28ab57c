package txn

import "slices"

// sightings tells of each append which read shows it best.
type sightings struct {
	// prefixes are, by key, reads that are prefixes of the longest one, one of
	// each length in rising order.
	prefixes [][]place
	// others holds of an append the best of all other reads, and of all reads
	// of damaged keys.
	others map[int32]place
}

// shortest returns the shortest read of an ok transaction that saw an append,
// preferring those that are a prefix of the longest; its transaction is none
// if nobody saw it. The first call goes through all reads, so that a cycle of
// many edges costs no more than one of few.
func (l *lists) shortest(key int32, p place) place {
	if l.seen == nil {
		l.look()
	}
	n := l.numberOf(p)
	if pos := l.pos[n]; pos >= 0 && !l.damaged[key] {
		list := l.seen.prefixes[key]
		i, _ := slices.BinarySearchFunc(list, int(pos)+1, func(q place, length int) int { return len(l.op(q).List) - length })
		if i < len(list) {
			return list[i]
		}
	}
	if q, ok := l.seen.others[n]; ok {
		return q
	}
	return place{txn: none}
}

// look finds the sightings. They are part of the first witness, which is given
// whatever the bound of memory.
func (l *lists) look() {
	_ = l.memory.take(int64(l.keys)*24+int64(l.ops-l.writes)*24, "the reads that show appends")
	l.seen = &sightings{prefixes: make([][]place, l.keys), others: map[int32]place{}}
	for i := range l.h.Txns {
		if l.h.Txns[i].Status != OK {
			continue
		}
		for j := range l.h.Txns[i].Ops {
			if q := (place{int32(i), int32(j)}); l.op(q).Kind == Read {
				l.sight(q)
			}
		}
	}
	for k, list := range l.seen.prefixes {
		length := func(q place) int { return len(l.op(q).List) }
		slices.SortStableFunc(list, func(a, b place) int { return length(a) - length(b) })
		l.seen.prefixes[k] = slices.CompactFunc(list, func(a, b place) bool { return length(a) == length(b) })
	}
}

// sight notes one read.
func (l *lists) sight(q place) {
	o := l.op(q)
	prefix := l.isPrefix(o)
	if prefix && !l.damaged[o.Key] {
		l.seen.prefixes[o.Key] = append(l.seen.prefixes[o.Key], q)
		return
	}
	for _, v := range o.List {
		n := l.index.get(o.Key, v)
		if n < 0 {
			continue
		}
		was, ok := l.seen.others[n]
		if better := l.op(was); !ok || prefix && (!l.isPrefix(better) || len(o.List) < len(better.List)) {
			l.seen.others[n] = q
		}
	}
}
