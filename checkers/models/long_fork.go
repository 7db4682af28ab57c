package models

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// LongFork judges whether reads of the same keys can be put into one order, as
// jepsen.tests.long-fork does. Operations are transactions, lists of [f key
// value]: a write transaction is one write ("w") of a key that nobody else
// writes, a read transaction reads ("r") a group of keys. As each key changes
// once, from nil to its value, each read has seen a set of writes; of two
// reads of the same group one must have seen all that the other has. Two reads
// of which each has seen what the other has not are a *long fork*: parallel
// snapshot isolation allows it, snapshot isolation does not.
//
// If a key is written twice, read with two values, or read twice by one
// transaction, the verdict is unknown: the reasoning does not hold. Reads of different groups of keys are not
// compared. O(r·log r) set operations for r reads. Keys of the history, each with
// transactions of its own, are judged alone. It does not check real-time
// order, nor that anything is read at all.
func LongFork() checkers.Checker {
	return judge("long-fork", "chains of reads", func(ctx context.Context, ops []history.Operation) judged { return perKey(ctx, ops, longFork) })
}

// forkRead is a read transaction.
type forkRead struct {
	op   *history.Operation
	keys []int // all keys read, sorted
	seen []int // those that were not nil, sorted
}

func longFork(w *watch, ops []history.Operation) judged {
	in := newInterner()
	written := map[int]*history.Operation{}
	value := map[int]history.Value{}
	var reads []forkRead
	for i := range ops {
		o := &ops[i]
		list, _ := sequence(o.Input)
		if o.Outcome == history.OK {
			list, _ = sequence(o.Output)
		}
		if w.over(len(list)) {
			return unknown("time ran out after %d of %s", i, plural(len(ops), "transaction"))
		}
		r := forkRead{op: o}
		for _, m := range list {
			mop, _ := sequence(m)
			if len(mop) != 3 {
				return unknown("the transaction %s; expected a list of [f key value]", o.Input)
			}
			f, _ := mop[0].AsString()
			key := in.id(mop[1])
			switch {
			case f == "w" && len(list) == 1:
				if written[key] != nil {
					return unknown("key %s is written twice; a long fork is defined for keys that are written once", mop[1])
				}
				written[key] = o
			case f == "r":
				r.keys = append(r.keys, key)
				if mop[2].IsNil() {
					continue
				}
				if v, ok := value[key]; ok && !v.Equal(mop[2]) {
					return unknown("key %s was read as %s and as %s; a long fork is defined for keys that are written once", mop[1], v, mop[2])
				}
				value[key] = mop[2]
				r.seen = append(r.seen, key)
			default:
				return unknown("the transaction %s is neither one write nor reads alone", o.Input)
			}
		}
		if o.Outcome == history.OK && len(r.keys) > 0 {
			slices.Sort(r.keys)
			slices.Sort(r.seen)
			for i := 1; i < len(r.keys); i++ {
				if r.keys[i] == r.keys[i-1] {
					return unknown("the transaction %s reads key %s twice; a long fork is defined for transactions that read each key once", o.Output, in.values[r.keys[i]])
				}
			}
			reads = append(reads, r)
		}
	}
	if len(reads) == 0 {
		return unknown("the history has no read transactions")
	}
	return forks(in, reads, written)
}

// forks looks for two reads that cannot be ordered: among reads sorted by how
// many writes they have seen, each must include the one before it.
func forks(in *interner, reads []forkRead, written map[int]*history.Operation) judged {
	slices.SortStableFunc(reads, func(a, b forkRead) int {
		return cmp.Or(slices.Compare(a.keys, b.keys), cmp.Compare(len(a.seen), len(b.seen)))
	})
	groups := 0
	for i := range reads {
		if i == 0 || !slices.Equal(reads[i-1].keys, reads[i].keys) {
			groups++
			continue
		}
		a, b := reads[i-1], reads[i]
		x, missing := lacks(b.seen, a.seen)
		if !missing {
			continue
		}
		y, _ := lacks(a.seen, b.seen) // b has seen no fewer
		evidence := []history.Operation{*a.op, *b.op}
		for _, key := range []int{x, y} {
			if w := written[key]; w != nil {
				evidence = append(evidence, *w)
			}
		}
		return with(invalid("long fork", fmt.Sprintf("one read saw the write of %s and not that of %s, another one the reverse: no order of the writes explains both",
			in.values[x], in.values[y]), evidence...), map[string]float64{"reads": float64(len(reads))})
	}
	return with(valid("%s of %s can be ordered", plural(len(reads), "read"), plural(groups, "group")), map[string]float64{"reads": float64(len(reads)), "groups": float64(groups)})
}

// lacks returns an element of want that have lacks, if there is one; both are
// sorted.
func lacks(have, want []int) (int, bool) {
	for _, w := range want {
		if _, ok := slices.BinarySearch(have, w); !ok {
			return w, true
		}
	}
	return 0, false
}

// WriteSkew judges pairs of predicate-guarded inserts, as jepsen.tests.adya/g2
// does: for each key, transactions insert one of two rows if they see neither
// (operations insert, whose value names the row), so at most one may be
// acknowledged. Two are an anti-dependency cycle on a predicate, Adya's G2,
// which snapshot isolation allows and serializability does not. Linear time.
// It does not look at reads.
func WriteSkew() checkers.Checker {
	return judge("write-skew", "one insert per key", func(ctx context.Context, ops []history.Operation) judged {
		return perKey(ctx, ops, writeSkew)
	})
}

func writeSkew(_ *watch, ops []history.Operation) judged {
	var done []history.Operation
	tried := 0
	for _, o := range ops {
		if o.F != Insert {
			continue
		}
		if o.Input.Len() == 2 && (o.Input.At(0).IsList() || o.Input.At(1).IsList()) {
			return unknown("the insert at event %d is of %s, which looks like [key rows]: which inserts exclude each other is told by their keys (--independent)", o.Call, o.Input)
		}
		tried++
		if o.Outcome == history.OK {
			done = append(done, o)
		}
	}
	switch {
	case tried == 0:
		return unknown("nothing was inserted")
	case len(done) > 1:
		return invalid("write skew", fmt.Sprintf("%s were acknowledged, each of which required that there was none", plural(len(done), "insert")), done[:2]...)
	}
	return with(valid("no key has two inserts"), map[string]float64{"keys": 1, "inserted": float64(len(done))})
}
