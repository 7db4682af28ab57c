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
	return judge("bounded-staleness", "lower bounds per read", func(ctx context.Context, ops []history.Operation) judged {
		return staleness(ctx, ops, o)
	})
}

// lag is how stale a read is.
type lag struct {
	read, over *history.Operation // over: the first newer write to complete
	from       *history.Operation // what it returned was written by; nil for the initial value
	age        time.Duration
	versions   int
}

func staleness(ctx context.Context, ops []history.Operation, o StalenessOptions) judged {
	s, v := readSessions(ctx, ops, o.Initial, false)
	if s == nil {
		return v
	}
	s.mostRecent()
	byKey := make([][]int32, s.keys)
	for i := range s.ops {
		byKey[s.ops[i].key] = append(byKey[s.ops[i].key], int32(i))
	}
	var lags []lag
	for _, list := range byKey {
		lags = append(lags, s.lags(list)...)
	}
	if s.watch.late {
		return unknown("time ran out after %s", plural(len(lags), "read"))
	}
	if len(lags) == 0 {
		return unknown("nothing was read")
	}
	m, first, last := measured(lags)
	oldest, farthest := &lags[first], &lags[last]
	switch {
	case o.Time > 0 && oldest.age > o.Time:
		return with(oldest.witness(ops, 1, fmt.Sprintf("a read returned %s, which had been replaced for at least %s; %s is allowed", found(oldest.read), oldest.age, o.Time)), m)
	case o.Versions > 0 && farthest.versions > o.Versions:
		return with(farthest.witness(ops, o.Versions+1, fmt.Sprintf("a read returned %s, which is at least %s behind; %d are allowed", found(farthest.read), plural(farthest.versions, "version"), o.Versions)), m)
	}
	return with(valid("%.0f of %s stale, by up to %s and %s", m["stale"], plural(len(lags), "read"), oldest.age, plural(farthest.versions, "version")), m)
}

// measured tells how stale the reads are, and which are most.
func measured(lags []lag) (m map[string]float64, oldest, farthest int) {
	m = map[string]float64{"reads": float64(len(lags))}
	stale := 0
	var ages []time.Duration
	var versions []int
	for i := range lags {
		l := &lags[i]
		if l.versions > 0 {
			stale++
		}
		if l.age > lags[oldest].age {
			oldest = i
		}
		if l.versions > lags[farthest].versions {
			farthest = i
		}
		ages, versions = append(ages, l.age), append(versions, l.versions)
	}
	m["stale"] = float64(stale)
	m["stale_share"] = float64(stale) / float64(len(lags))
	quantiles(m, "age", ages)
	slices.Sort(versions)
	for _, q := range []int{50, 95, 99, 100} {
		m[fmt.Sprintf("versions_p%d", q)] = float64(versions[min(len(versions)-1, q*len(versions)/100)])
	}
	return m, oldest, farthest
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

// lags computes how stale the reads of one key are, or some of them if time runs
// out. Reads are taken in order
// of the invocation of what they returned; a tree over the completions of
// writes counts those that were invoked later.
func (s *sessions) lags(of []int32) []lag {
	var writes []*history.Operation
	var reads []int32
	for _, i := range of {
		if a := &s.ops[i]; a.write {
			writes = append(writes, s.operation(i))
		} else if a.read {
			reads = append(reads, i)
		}
	}
	written := func(r int32) int64 { // when the write it returned had completed
		if from := s.ops[r].from; from >= 0 {
			return ended(s.operation(from))
		}
		return -1
	}
	slices.SortFunc(reads, func(a, b int32) int { return cmp.Compare(written(b), written(a)) })
	slices.SortFunc(writes, func(a, b *history.Operation) int { return cmp.Compare(ended(a), ended(b)) })
	byCall := make([]int, len(writes)) // positions in writes
	for i := range byCall {
		byCall[i] = i
	}
	slices.SortFunc(byCall, func(a, b int) int { return cmp.Compare(writes[b].Call, writes[a].Call) })
	tree := newCounter(len(writes))
	first := len(writes) // position of the first completion among newer writes
	var lags []lag
	next := 0
	for _, i := range reads {
		if s.watch.over(0) {
			break
		}
		for next < len(byCall) && writes[byCall[next]].Call > written(i) {
			tree.add(byCall[next])
			first = min(first, byCall[next])
			next++
		}
		r := s.operation(i)
		until, _ := slices.BinarySearchFunc(writes, r.Call, func(w *history.Operation, at int64) int { return cmp.Compare(ended(w), at) })
		l := lag{read: r, versions: tree.below(until)}
		if from := s.ops[i].from; from >= 0 {
			l.from = s.operation(from)
		}
		if l.versions > 0 {
			l.over = writes[first]
			l.age = max(0, r.Invoked-l.over.Completed)
		}
		lags = append(lags, l)
	}
	return lags
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
