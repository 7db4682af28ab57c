package models

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// CausalReverse judges whether a write is visible without one that preceded
// it, as jepsen.tests.causal-reverse does: operations write v (v unique, each
// of another register) and read, which returns the collection of all values
// present. If a read has v, it must have every value whose write was
// acknowledged before the write of v was invoked; and nothing that nobody had
// begun to write when the read was over, or whose write failed. One that failed
// may be tried again. A violation shows that the
// order of transactions is not that of real time: not strictly serializable.
//
// O(n log n + size of all reads). Keys are judged alone. It does not check
// that reads are recent, nor the order within a read.
func CausalReverse() checkers.Checker {
	return judge("causal-reverse", "latest visible write", func(ctx context.Context, ops []history.Operation) judged {
		return perKey(ctx, ops, knowing(causalReverse, Write, Read))
	})
}

func causalReverse(w *watch, ops []history.Operation) judged {
	in := newInterner()
	var writes []*history.Operation // by number of value; one that failed only if all did
	failed := map[int]*history.Operation{}
	var acked []*history.Operation
	for i := range ops {
		o := &ops[i]
		if o.F != Write {
			continue
		}
		id := in.id(o.Input)
		if o.Outcome == history.Fail && failed[id] == nil {
			failed[id] = o
		}
		switch {
		case id == len(writes):
			writes = append(writes, o)
		case o.Outcome == history.Fail:
		case writes[id].Outcome != history.Fail:
			return unknown("%s is written twice; values must be unique", o.Input)
		default:
			writes[id] = o
		}
		if o.Outcome == history.OK {
			acked = append(acked, o)
		}
	}
	slices.SortFunc(acked, func(a, b *history.Operation) int { return cmp.Compare(a.Return, b.Return) })
	reads := 0
	for i := range ops {
		o := &ops[i]
		if o.F != Read || o.Outcome != history.OK {
			continue
		}
		if !o.Output.IsList() {
			return unknown("a read returned %s; expected the values present", o.Output)
		}
		if w.over(o.Output.Len()) {
			return unknown("time ran out after %s", plural(reads, "read"))
		}
		reads++
		if v := visible(in, writes, acked, failed, o); v.Verdict != "" {
			return v
		}
	}
	if reads == 0 {
		return unknown("nothing was read")
	}
	return valid("%s saw every write that preceded one seen", every(reads, "read"))
}

// visible judges one read.
func visible(in *interner, writes, acked []*history.Operation, failed map[int]*history.Operation, read *history.Operation) judged {
	seen := map[int]bool{}
	var last *history.Operation
	for _, v := range read.Output.Elements() {
		id, ok := in.find(v)
		if !ok {
			return invalid("phantom", fmt.Sprintf("a read has %s, which nobody wrote", v), *read)
		}
		if w, f := writes[id], failed[id]; w.Outcome == history.Fail || w.Call > read.Return {
			if f != nil && f.Call < read.Return {
				return invalid("aborted read", fmt.Sprintf("a read has %s, whose write failed", v), *read, *f)
			}
			return invalid("phantom", fmt.Sprintf("a read has %s, which nobody had begun to write by then", v), *read, *w)
		}
		seen[id] = true
		if last == nil || writes[id].Call > last.Call {
			last = writes[id]
		}
	}
	if last == nil {
		return judged{}
	}
	// All writes acknowledged before last was invoked must be among those seen.
	n, _ := slices.BinarySearchFunc(acked, last.Call, func(w *history.Operation, at int64) int { return cmp.Compare(w.Return, at) })
	have := 0
	for id := range seen {
		if w := writes[id]; w.Outcome == history.OK && w.Return < last.Call {
			have++
		}
	}
	if have == n {
		return judged{}
	}
	for _, w := range acked[:n] {
		if id, _ := in.find(w.Input); !seen[id] {
			return invalid("causal reverse", fmt.Sprintf("a read has %s and lacks %s, although the write of %s was acknowledged before that of %s was invoked",
				last.Input, w.Input, w.Input, last.Input), *read, *w, *last)
		}
	}
	return judged{}
}
