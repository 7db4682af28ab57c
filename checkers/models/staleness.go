package models

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// StalenessOptions say how stale a read may be; zero bounds nothing.
type StalenessOptions struct {
	Time     time.Duration
	Versions int
	Initial  history.Value
}

// Staleness judges how old the values are that reads of registers return. Of
// the operations read, write, cas and delete (as Session has them), take a read r that returned what the write w wrote, and the
// *newer* writes: those that were invoked after w had completed. The newer
// writes that completed before r was invoked number the *versions* by which r
// is at least behind, and the time from the first such completion to the
// invocation of r is the *age*: since then the value was certainly replaced.
// The initial value is taken for written before everything. Both are lower
// bounds, and exact where writes of a key do not overlap.
//
// A read beyond the bounds is invalid. Without bounds the verdict is valid, and
// the measures tell: maximum and quantiles of age_ms and versions over all
// reads, the share of stale reads. O(n log n). It does not check that reads
// agree on an order of the writes.
func Staleness(o StalenessOptions) checkers.Checker {
	return judge("bounded-staleness", "lower bounds per read", func(_ context.Context, ops []history.Operation) judged {
		return staleness(ops, o)
	})
}

// lag is how stale a read is.
type lag struct {
	read, over *history.Operation // over: the first newer write to complete
	from       *history.Operation // what it returned was written by; nil for the initial value
	age        time.Duration
	versions   int
}

func staleness(ops []history.Operation, o StalenessOptions) judged {
	s, v := readSessions(ops, o.Initial, false)
	if s == nil {
		return v
	}
	s.mostRecent()
	byKey := map[int32][]int{}
	for i := range s.ops {
		byKey[s.ops[i].key] = append(byKey[s.ops[i].key], i)
	}
	var lags []lag
	for _, key := range sortedKeys(byKey) {
		lags = append(lags, s.lags(byKey[key])...)
	}
	if len(lags) == 0 {
		return unknown("nothing was read")
	}
	m := map[string]float64{"reads": float64(len(lags))}
	stale := 0
	var ages []time.Duration
	var versions []int
	oldest, farthest := &lags[0], &lags[0]
	for i := range lags {
		l := &lags[i]
		if l.versions > 0 {
			stale++
		}
		if l.age > oldest.age {
			oldest = l
		}
		if l.versions > farthest.versions {
			farthest = l
		}
		ages, versions = append(ages, l.age), append(versions, l.versions)
	}
	m["stale_share"] = float64(stale) / float64(len(lags))
	quantiles(m, "age", ages)
	slices.Sort(versions)
	for _, q := range []int{50, 95, 99, 100} {
		m[fmt.Sprintf("versions_p%d", q)] = float64(versions[min(len(versions)-1, q*len(versions)/100)])
	}
	switch {
	case o.Time > 0 && oldest.age > o.Time:
		return with(oldest.witness(ops, 1, fmt.Sprintf("a read returned %s, which had been replaced for at least %s; %s is allowed", found(oldest.read), oldest.age, o.Time)), m)
	case o.Versions > 0 && farthest.versions > o.Versions:
		return with(farthest.witness(ops, o.Versions+1, fmt.Sprintf("a read returned %s, which is at least %s behind; %d are allowed", found(farthest.read), plural(farthest.versions, "version"), o.Versions)), m)
	}
	return with(valid("of %s %d were stale, by up to %s and %s", plural(len(lags), "read"), stale, oldest.age, plural(farthest.versions, "version")), m)
}

// witness shows the read, its write, and as many newer ones as are too many.
func (l *lag) witness(ops []history.Operation, newer int, summary string) judged {
	evidence := l.evidence()
	for i := range ops {
		w := &ops[i]
		if newer > 1 && w.Key == l.read.Key && w.F != Read && w.Outcome == history.OK && w.Call != l.over.Call &&
			precedes(w, l.read) && (l.from == nil || precedes(l.from, w)) {
			evidence = append(evidence, *w)
			newer--
		}
	}
	return invalid("too stale", summary, evidence...)
}

// evidence is the read, its write, and the write that replaced it.
func (l *lag) evidence() []history.Operation {
	list := []history.Operation{*l.read}
	for _, o := range []*history.Operation{l.from, l.over} {
		if o != nil {
			list = append(list, *o)
		}
	}
	return list
}

// lags computes how stale the reads of one key are. Reads are taken in order
// of the invocation of what they returned; a tree over the completions of
// writes counts those that were invoked later.
func (s *sessions) lags(of []int) []lag {
	var writes, reads []*access
	for _, i := range of {
		if a := &s.ops[i]; a.write {
			writes = append(writes, a)
		} else if a.read {
			reads = append(reads, a)
		}
	}
	written := func(r *access) int64 { // when the write it returned had completed
		if r.from < 0 {
			return -1
		}
		return ended(s.ops[r.from].op)
	}
	slices.SortFunc(reads, func(a, b *access) int { return cmp.Compare(written(b), written(a)) })
	slices.SortFunc(writes, func(a, b *access) int { return cmp.Compare(ended(a.op), ended(b.op)) })
	byCall := make([]int, len(writes)) // positions in writes
	for i := range byCall {
		byCall[i] = i
	}
	slices.SortFunc(byCall, func(a, b int) int { return cmp.Compare(writes[b].op.Call, writes[a].op.Call) })
	tree := newCounter(len(writes))
	first := len(writes) // position of the first completion among newer writes
	var lags []lag
	next := 0
	for _, r := range reads {
		for next < len(byCall) && writes[byCall[next]].op.Call > written(r) {
			tree.add(byCall[next])
			first = min(first, byCall[next])
			next++
		}
		until, _ := slices.BinarySearchFunc(writes, r.op.Call, func(w *access, at int64) int { return cmp.Compare(ended(w.op), at) })
		l := lag{read: r.op, versions: tree.below(until)}
		if r.from >= 0 {
			l.from = s.ops[r.from].op
		}
		if l.versions > 0 {
			l.over = writes[first].op
			l.age = max(0, r.op.Invoked-l.over.Completed)
		}
		lags = append(lags, l)
	}
	return lags
}

// mostRecent takes for each read of nil the delete that makes it least stale.
// One that was invoked when the read was over is out of the question where
// there are others.
func (s *sessions) mostRecent() {
	for _, d := range s.doubts {
		r := &s.ops[d.at]
		best, at := int32(-1), int64(-2)
		for _, w := range d.from {
			done := int64(-1)
			if w >= 0 {
				if done = ended(s.ops[w].op); s.ops[w].op.Call > r.op.Return {
					continue
				}
			}
			if done > at {
				best, at = w, done
			}
		}
		if at == -2 {
			best = d.from[0]
		}
		r.from = best
	}
}

// counter counts marked positions (Fenwick 1994).
type counter []int

func newCounter(n int) counter { return make(counter, n+1) }

func (c counter) add(i int) {
	for i++; i < len(c); i += i & -i {
		c[i]++
	}
}

// below counts the marked positions less than i.
func (c counter) below(i int) (n int) {
	for ; i > 0; i -= i & -i {
		n += c[i]
	}
	return n
}

// FinalRegisters judges eventual convergence of registers: all *final* reads
// of a key, those invoked after every write of the key had completed or will
// never do so, must return the same value, one that was written and not
// certainly replaced: no newer write, as Staleness defines it, had completed.
// Without a final read the verdict is unknown. Linear but for sorting. It does
// not check what is read before.
func FinalRegisters(initial history.Value) checkers.Checker {
	return judge("eventual", "final reads", func(_ context.Context, ops []history.Operation) judged {
		s, v := readSessions(ops, initial, false)
		if s == nil {
			return v
		}
		s.mostRecent()
		over := map[string]int64{} // key → index of the last event of a write
		for _, o := range ops {
			if o.F != Read && o.Outcome != history.Fail {
				over[o.Key] = max(over[o.Key], o.Call, o.Return)
			}
		}
		byKey := map[int32][]int{}
		for i := range s.ops {
			a := &s.ops[i]
			if last, ok := over[a.op.Key]; a.write || !ok || a.op.Call > last {
				byKey[a.key] = append(byKey[a.key], i)
			}
		}
		final := 0
		for _, key := range sortedKeys(byKey) {
			lags := s.lags(byKey[key])
			final += len(lags)
			for _, l := range lags {
				first, seen := found(lags[0].read), found(l.read)
				if !seen.Equal(first) {
					evidence := append(l.evidence(), lags[0].evidence()...)
					return invalid("divergence", fmt.Sprintf("after all writes were over, one read returned %s and another one %s", first, seen), evidence...)
				}
				if l.versions > 0 {
					return invalid("lost write", fmt.Sprintf("after all writes were over, a read returned %s, which %s had replaced", seen, written(l.over)), l.evidence()...)
				}
			}
		}
		if final == 0 {
			return unknown("nothing was read after all writes were over")
		}
		return valid("%s agree, and are of writes that nothing replaced", plural(final, "final read"))
	})
}
