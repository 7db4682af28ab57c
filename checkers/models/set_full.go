package models

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// SetFull judges a set that grows by add and is read as a whole, element by
// element, as jepsen.checker/set-full does. An element is *known* from the
// first completion of its add or of a read that has it. With the last
// invocation of a read that has it (last present) and the last one of a read
// that has it not (last absent; only reads that completed after the add was
// invoked count),
//
//   - it is *stable* if it was present later than absent;
//   - it is *lost* if it is known and was absent later than present and later
//     than it was known;
//   - it is *never read* otherwise: no read can tell.
//
// A lost element is invalid. So are, beyond Jepsen, an element that nobody had
// tried to add when a read that has it was over, one of which only adds that
// failed had begun, and one that a read has twice. An add that failed may be
// tried again. No stable element at all is unknown. A stable element is *stale* if it was absent from
// a read that began after it was known; that is invalid if linearizable is
// set, and otherwise a measure, together with the quantiles of the time from
// known to stable (stable_latency_…_ms) and from known to lost.
//
// Time and memory are linear in the number of elements in all reads together,
// but for sorting. Keys are judged alone. It
// does not check the order in which elements appear: with linearizable set it
// is still weaker than linearizability.
func SetFull(linearizable bool) checkers.Checker {
	return judge("set-full", "timelines of elements", func(ctx context.Context, ops []history.Operation) judged {
		return perKey(ctx, ops, knowing(func(w *watch, ops []history.Operation) judged { return setFull(w, ops, linearizable) }, Add, Read, Contains))
	})
}

// element is the timeline of one element.
type element struct {
	value   history.Value
	add     *history.Operation // the one that did not fail, nil if all did
	failed  *history.Operation // the first to be invoked of those that did, nil if none
	known   *history.Operation // the add or the read that first proved it
	knownAt int64              // index of its completion
	present *history.Operation // last to be invoked of the reads that have it
	absent  *history.Operation // last to be invoked of those that have it not
}

type setRead struct {
	op  *history.Operation
	ids []int
}

func setFull(w *watch, ops []history.Operation, linearizable bool) judged {
	in := newInterner()
	elements, bad := setAdds(in, ops)
	if bad.Verdict != "" {
		return bad
	}
	var reads []setRead
	for i := range ops {
		o := &ops[i]
		if o.F != Read || o.Outcome != history.OK || !o.Output.IsList() {
			continue
		}
		if w.over(o.Output.Len()) {
			return unknown("time ran out after %s", plural(len(reads), "read"))
		}
		r := setRead{op: o}
		for _, v := range o.Output.Elements() {
			id, ok := in.find(v)
			if !ok {
				return invalid("phantom", fmt.Sprintf("a read has %s, which nobody tried to add", v), *o)
			}
			if bad := elements[id].unborn(o); bad.Verdict != "" {
				return bad
			}
			r.ids = append(r.ids, id)
		}
		slices.Sort(r.ids)
		for i := 1; i < len(r.ids); i++ {
			if r.ids[i] == r.ids[i-1] {
				return invalid("duplicate", fmt.Sprintf("a read has %s twice", in.values[r.ids[i]]), *o, *elements[r.ids[i]].add)
			}
		}
		reads = append(reads, r)
	}
	if len(elements) == 0 {
		return unknown("nothing was added")
	}
	presences(elements, reads)
	absences(w, elements, reads)
	if w.over(0) {
		return unknown("time ran out while reads were looked through for what they lack")
	}
	return concludeSet(elements, linearizable)
}

// unborn judges that an element can be there when a read of it is over.
func (e *element) unborn(read *history.Operation) judged {
	switch {
	case e.add != nil && e.add.Call < read.Return:
		return judged{}
	case e.failed != nil && e.failed.Call < read.Return:
		return invalid("aborted read", fmt.Sprintf("a read has %s, whose add failed", e.value), *read, *e.failed)
	case e.add != nil:
		return invalid("phantom", fmt.Sprintf("a read has %s, which nobody had tried to add by then", e.value), *read, *e.add)
	}
	return invalid("phantom", fmt.Sprintf("a read has %s, which nobody had tried to add by then", e.value), *read, *e.failed)
}

// setAdds makes the elements. Of those added several times all adds but one must
// have failed.
func setAdds(in *interner, ops []history.Operation) ([]element, judged) {
	var elements []element
	for i := range ops {
		o := &ops[i]
		if o.F != Add {
			continue
		}
		id := in.id(o.Input)
		if id == len(elements) {
			elements = append(elements, element{value: o.Input, knownAt: never})
		}
		e := &elements[id]
		switch {
		case o.Outcome == history.Fail && e.failed == nil:
			e.failed = o
		case o.Outcome == history.Fail:
		case e.add != nil:
			return nil, unknown("%s is added twice; elements must be unique to be followed", o.Input)
		default:
			e.add = o
		}
		if o.Outcome == history.OK {
			e.known, e.knownAt = o, o.Return
		}
	}
	return elements, judged{}
}

func presences(elements []element, reads []setRead) {
	for _, r := range reads {
		for _, id := range r.ids {
			e := &elements[id]
			if r.op.Return < e.knownAt {
				e.known, e.knownAt = r.op, r.op.Return
			}
			if e.present == nil || e.present.Call < r.op.Call {
				e.present = r.op
			}
		}
	}
}

// absences finds the last read without each element. Reads are taken from the
// last invoked backwards, and the elements whose answer is open are kept in a
// list, by the add's invocation; a read goes through those whose add was
// invoked before it was over. Each visit of an element either answers it, or is
// paid for by the element's being in the read.
func absences(w *watch, elements []element, reads []setRead) {
	slices.SortFunc(reads, func(a, b setRead) int { return cmp.Compare(b.op.Call, a.op.Call) })
	var open []int // in order of the add's invocation
	for i := range elements {
		if elements[i].add != nil {
			open = append(open, i)
		}
	}
	next := make([]int, len(open)+1)
	for i := range open {
		next[i+1] = i + 1
	}
	slices.SortFunc(open, func(a, b int) int { return cmp.Compare(elements[a].add.Call, elements[b].add.Call) })
	has := make([]int, len(elements)) // the number of the last read that has it, from 1
	for i, r := range reads {
		if w.over(len(r.ids)) {
			return
		}
		for _, id := range r.ids {
			has[id] = i + 1
		}
		// The element at open[at] is followed by that at next[at+1]; the first
		// is that at next[0].
		for last, at := 0, next[0]; at < len(open) && elements[open[at]].add.Call <= r.op.Return; at = next[at+1] {
			if id := open[at]; has[id] == i+1 {
				last = at + 1
			} else {
				elements[id].absent = r.op
				next[last] = next[at+1]
			}
		}
	}
}

func callOf(o *history.Operation) int64 {
	if o == nil {
		return -1
	}
	return o.Call
}

func concludeSet(elements []element, linearizable bool) judged {
	var stable, lost, stale, unread []*element
	var stableAfter, lostAfter []time.Duration
	for i := range elements {
		e := &elements[i]
		switch absent, present := callOf(e.absent), callOf(e.present); {
		case present > absent:
			stable = append(stable, e)
			stableAfter = append(stableAfter, e.since(e.absent))
			if absent > e.knownAt {
				stale = append(stale, e)
			}
		case e.known != nil && absent > e.knownAt:
			lost = append(lost, e)
			lostAfter = append(lostAfter, e.since(e.present))
		default:
			unread = append(unread, e)
		}
	}
	m := map[string]float64{
		"attempts": float64(len(elements)), "stable": float64(len(stable)), "lost": float64(len(lost)),
		"stale": float64(len(stale)), "never_read": float64(len(unread)),
	}
	quantiles(m, "stable_latency", stableAfter)
	quantiles(m, "lost_latency", lostAfter)
	switch {
	case len(lost) > 0:
		e := lost[0]
		return with(invalid("lost", fmt.Sprintf("%s lost (%s): %s was known at %s, and the read invoked at %s does not have it, nor has any later one",
			plural(len(lost), "element"), values(lost), e.value, history.At(e.known.Completed), history.At(e.absent.Invoked)),
			*e.add, *e.known, *e.absent), m)
	case len(stable) == 0:
		return with(unknown("of %s none was certainly there to stay: no read began after one was known (%s never read)",
			plural(len(elements), "element"), values(unread)), m)
	case linearizable && len(stale) > 0:
		e := stale[0]
		return with(invalid("stale", fmt.Sprintf("%s stale (%s): %s was known at %s, and the read invoked at %s does not have it, although a later one has",
			plural(len(stale), "element"), values(stale), e.value, history.At(e.known.Completed), history.At(e.absent.Invoked)),
			*e.add, *e.known, *e.absent, *e.present), m)
	}
	return with(valid("%d of %s stable, none lost; %d stale for a time, %d never read", len(stable), plural(len(elements), "element"), len(stale), len(unread)), m)
}

// since is the time from when e was known until just after o was invoked.
func (e *element) since(o *history.Operation) time.Duration {
	if o == nil || e.known == nil {
		return 0
	}
	return max(0, o.Invoked+1-e.known.Completed)
}

func values(list []*element) string {
	vs := make([]history.Value, len(list))
	for i, e := range list {
		vs[i] = e.value
	}
	return few(vs)
}

// quantiles adds the quantiles of times in whole milliseconds, as Jepsen has
// them: the q-quantile of n times is that at position ⌊q·n⌋.
func quantiles(m map[string]float64, name string, times []time.Duration) {
	if len(times) == 0 {
		return
	}
	slices.Sort(times)
	for _, q := range []struct {
		name string
		q    float64
	}{{"0", 0}, {"50", 0.5}, {"95", 0.95}, {"99", 0.99}, {"100", 1}} {
		at := min(len(times)-1, int(math.Floor(q.q*float64(len(times)))))
		m[name+"_p"+q.name+"_ms"] = float64(times[at] / time.Millisecond)
	}
}
