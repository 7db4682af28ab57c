package models

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// FinalRegisters judges eventual convergence of registers by all *final* reads
// of a key, those invoked after every write of the key had completed or will
// never do so. What they return must have been written and not certainly been
// replaced: no newer write, as Staleness defines it, had completed. They must
// agree, but for writes of unknown outcome, which may still take effect, each
// once (a delete any number of times, where there are several): the value that
// an acknowledged write left, if it is returned, comes first, and none that was
// replaced comes back.
//
// Without a final read the verdict is unknown. Linear but for sorting. It does
// not check what is read before.
func FinalRegisters(initial history.Value) checkers.Checker {
	return judge("eventual", "final reads", func(ctx context.Context, ops []history.Operation) judged {
		s, v := readSessions(ctx, ops, initial, false)
		if s == nil {
			return v
		}
		s.mostRecent()
		final := 0
		for _, list := range s.finals() {
			lags := s.lags(list)
			if s.watch.late {
				return unknown("time ran out after %s", plural(final, "final read"))
			}
			final += len(lags)
			if bad := s.settled(list, lags); bad.Verdict != "" {
				return bad
			}
		}
		if final == 0 {
			return unknown("nothing was read after all writes were over")
		}
		return valid("%s returned what nothing had replaced, and none contradicts another", every(final, "final read"))
	})
}

// finals lists the writes and the final reads of each key.
func (s *sessions) finals() [][]int32 {
	over := map[string]int64{} // key → index of the last event of a write
	for _, o := range s.history {
		if o.F != Read && o.Outcome != history.Fail {
			over[o.Key] = max(over[o.Key], o.Call, o.Return)
		}
	}
	byKey := make([][]int32, s.keys)
	for i := range s.ops {
		a, o := &s.ops[i], &s.history[s.ops[i].op]
		if last, ok := over[o.Key]; a.write || !ok || o.Call > last {
			byKey[a.key] = append(byKey[a.key], int32(i))
		}
	}
	return byKey
}

// finalValue is a value that final reads returned.
type finalValue struct {
	first, last *lag // the read that was over first, and the one that was invoked last
	open        bool // a write of unknown outcome may have written it
	often       bool // and several may
}

// settled judges the final reads of one key.
func (s *sessions) settled(list []int32, lags []lag) judged {
	deletes, openDeletes := 0, 0
	for _, i := range list {
		if o := s.operation(i); s.ops[i].write && written(o).IsNil() {
			if deletes++; o.Outcome == history.Info {
				openDeletes++
			}
		}
	}
	var values []*finalValue
	byWrite := map[*history.Operation]*finalValue{}
	var nils, sure *finalValue
	var ofNil []*lag
	for i := range lags {
		l := &lags[i]
		if l.versions > 0 {
			return invalid("lost write", fmt.Sprintf("after all writes were over, a read returned %s, which %s had replaced", found(l.read), written(l.over)), l.evidence()...)
		}
		x := byWrite[l.from]
		if found(l.read).IsNil() {
			x, ofNil = nils, append(ofNil, l)
		}
		if x == nil {
			x = &finalValue{first: l, last: l, open: l.from != nil && l.from.Outcome == history.Info}
			values = append(values, x)
			if found(l.read).IsNil() {
				nils = x
				x.open, x.often = openDeletes > 0, deletes > 1 && openDeletes > 0
			} else {
				byWrite[l.from] = x
			}
			if !x.open && sure != nil {
				return diverged(sure.first, l, "another")
			}
			if !x.open {
				sure = x
			}
		}
		if ended(l.read) < ended(x.first.read) {
			x.first = l
		}
		if l.read.Call > x.last.read.Call {
			x.last = l
		}
	}
	return succession(values, sure, ofNil)
}

func diverged(a, b *lag, which string, more ...history.Operation) judged {
	summary := fmt.Sprintf("after all writes were over, one read returned %s and %s one %s", found(a.read), which, found(b.read))
	return invalid("divergence", summary, slices.Concat(a.evidence(), b.evidence(), more)...)
}

// succession judges that the values can have followed each other. Each but nil
// holds from its first read to its last one, so that of those that began before
// another one, only the one that ends last can contradict it.
func succession(values []*finalValue, sure *finalValue, ofNil []*lag) judged {
	slices.SortFunc(values, func(a, b *finalValue) int { return cmp.Compare(ended(a.first.read), ended(b.first.read)) })
	var longest *finalValue
	for _, x := range values {
		switch {
		case x == sure:
			continue
		case sure != nil && precedes(x.first.read, sure.last.read):
			return diverged(x.first, sure.last, "a later")
		case x.often:
			continue
		case longest != nil && precedes(x.first.read, longest.last.read) && precedes(longest.first.read, x.last.read):
			return diverged(longest.first, x.last, "a later", append(x.first.evidence(), longest.last.evidence()...)...)
		}
		if longest == nil || longest.last.read.Call < x.last.read.Call {
			longest = x
		}
	}
	slices.SortFunc(ofNil, func(a, b *lag) int { return cmp.Compare(a.read.Call, b.read.Call) })
	soonest := make([]*lag, len(ofNil)+1) // to be over, of those from here on
	for i := len(ofNil) - 1; i >= 0; i-- {
		if soonest[i] = ofNil[i]; soonest[i+1] != nil && ended(soonest[i+1].read) < ended(ofNil[i].read) {
			soonest[i] = soonest[i+1]
		}
	}
	for _, x := range values {
		i, _ := slices.BinarySearchFunc(ofNil, ended(x.first.read), func(l *lag, at int64) int { return cmp.Compare(l.read.Call, at) })
		if n := soonest[i]; n != nil && !found(x.first.read).IsNil() && precedes(n.read, x.last.read) {
			return diverged(x.first, n, "a later", x.last.evidence()...)
		}
	}
	return judged{}
}
