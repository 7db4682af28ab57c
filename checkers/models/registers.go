package models

import (
	"context"
	"fmt"
	"math/bits"
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// effect is what an operation did to a register, with key and values as
// numbers.
type effect struct {
	returned, wrote   int64
	key               int32
	reads, writes     bool
	nilRead, nilWrite bool
}

// codes gives numbers to values, the same to equal ones: to most integers twice
// what they are, to all else odd ones.
type codes struct{ others *interner }

func (c *codes) of(v history.Value) int64 {
	if n, ok := v.AsInt(); ok && n == n<<1>>1 {
		return n << 1
	}
	return int64(c.others.id(v))<<1 | 1
}

// effectsOf tells what each operation did or, if it failed, would have done;
// a failed cas did no more than read what it found, if that is known.
func effectsOf(ops []history.Operation, vals *codes, w *watch) ([]effect, judged) {
	keys := map[string]int32{}
	effects := make([]effect, len(ops))
	for i := range ops {
		if w.over(0) {
			return nil, lateReading(ops)
		}
		o := &ops[i]
		k, ok := keys[o.Key]
		if !ok {
			k = int32(len(keys))
			keys[o.Key] = k
		}
		e := effect{key: k}
		returned, wrote := o.Output, o.Input
		switch o.F {
		case Read:
			e.reads = o.Outcome == history.OK
		case Write:
			e.writes = true
		case Delete:
			e.writes, wrote = true, history.Nil
		case CAS:
			pair, ok := sequence(o.Input)
			if !ok || len(pair) != 2 {
				return nil, unknown("a cas of %s; expected [expected new]", o.Input)
			}
			if pair[1].IsNil() {
				return nil, unknown("a cas of %s; one that deletes cannot be judged by this model", o.Input)
			}
			e.reads, e.writes, wrote = true, true, pair[1]
			if o.Outcome != history.Fail {
				returned = pair[0]
			} else if o.Output.IsNil() {
				e.reads = false
			}
		default:
			return nil, unknown("the operation %s; only read, write, cas and delete of registers can be judged by this model", o.F)
		}
		if e.reads {
			e.returned, e.nilRead = vals.of(returned), returned.IsNil()
		}
		if e.writes {
			e.wrote, e.nilWrite = vals.of(wrote), wrote.IsNil()
		}
		effects[i] = e
	}
	return effects, judged{}
}

// registerReader builds sessions from operations on registers.
type registerReader struct {
	ops      []history.Operation
	effects  []effect
	initial  history.Value
	unread   int64 // the number of the initial value
	writers  writers
	failed   []int32
	removals map[int32][]int32 // key → writes of nil
	from     []int32           // of a read: index of its write, -1 the initial value, inDoubt
	reader   []int32           // of a write of unknown outcome: an operation that read it, -1 none
}

const inDoubt = -2

// writers finds writes by key and value: a hash table of their indices and 1,
// at least half empty, with the next place taken where one is.
type writers struct {
	effects []effect
	table   []int32
}

func newWriters(effects []effect) writers {
	n := 0
	for i := range effects {
		if effects[i].writes {
			n++
		}
	}
	return writers{effects, make([]int32, 1<<bits.Len(uint(2*n)))}
}

// place is where the write of a value stands or would stand.
func (w *writers) place(key int32, value int64) *int32 {
	h := (uint64(value) + uint64(key)*0x9e3779b97f4a7c15) * 0xd6e8feb86659fd93
	h = (h ^ h>>32) * 0xd6e8feb86659fd93 // high bits alone may tell values apart
	mask := uint64(len(w.table) - 1)
	for i := (h ^ h>>32) & mask; ; i = (i + 1) & mask {
		at := &w.table[i]
		if *at == 0 {
			return at
		}
		if e := &w.effects[*at-1]; e.key == key && e.wrote == value {
			return at
		}
	}
}

// readSessions builds sessions. A cas that succeeded is a read and then a
// write, or both at once if whole is set. One that was refused is a read where
// its output says what it found; all else that failed, and reads that are not
// ok, are left out, and so are writes of unknown outcome that nobody read. What
// no order of operations explains, a value from nowhere or of a failed write,
// is invalid at once; another function, or a value written twice, unknown.
// Deletes write nil, and need not be unique.
func readSessions(ctx context.Context, ops []history.Operation, initial history.Value, whole bool) (*sessions, judged) {
	vals, w := &codes{newInterner()}, newWatch(ctx)
	effects, bad := effectsOf(ops, vals, w)
	if bad.Verdict != "" {
		return nil, bad
	}
	b := &registerReader{
		ops: ops, effects: effects, initial: initial, unread: vals.of(initial), writers: newWriters(effects), removals: map[int32][]int32{},
		from: make([]int32, len(ops)), reader: slices.Repeat([]int32{-1}, len(ops)),
	}
	if bad := b.write(); bad.Verdict != "" {
		return nil, bad
	}
	for i := range ops {
		if w.over(0) {
			return nil, lateReading(ops)
		}
		if ops[i].Outcome != history.Info {
			if bad := b.read(int32(i)); bad.Verdict != "" {
				return nil, bad
			}
		}
	}
	s := b.sessions(whole)
	s.watch = w
	if len(s.ops) == 0 {
		return nil, unknown("the history has no reads or writes")
	}
	return s, judged{}
}

// lateReading is the verdict if time runs out before anything was judged.
func lateReading(ops []history.Operation) judged {
	return unknown("time ran out while %s were read", plural(len(ops), "operation"))
}

// write finds the writer of each value.
func (b *registerReader) write() judged {
	for i := range b.ops {
		o, e := &b.ops[i], &b.effects[i]
		switch {
		case !e.writes:
		case o.Outcome == history.Fail:
			b.failed = append(b.failed, int32(i))
		case e.nilWrite:
			b.removals[e.key] = append(b.removals[e.key], int32(i))
		default:
			at := b.writers.place(e.key, e.wrote)
			if *at != 0 {
				return unknown("%s is written to key %q twice; written values must be unique", written(o), o.Key)
			}
			if e.wrote == b.unread {
				return unknown("the initial value %s is written to key %q; written values must be unique", b.initial, o.Key)
			}
			*at = int32(i) + 1
		}
	}
	return judged{}
}

// written is what an operation wrote, or would have written.
func written(o *history.Operation) history.Value {
	switch o.F {
	case CAS:
		pair, _ := sequence(o.Input)
		return pair[1]
	case Delete:
		return history.Nil
	}
	return o.Input
}

// found is what an operation saw.
func found(o *history.Operation) history.Value {
	if o.F == CAS && o.Outcome != history.Fail {
		pair, _ := sequence(o.Input)
		return pair[0]
	}
	return o.Output
}

// read finds what was read by an operation and, if that was written by a cas of
// unknown outcome, by this one, which must have happened because of it.
func (b *registerReader) read(i int32) judged {
	for {
		e := &b.effects[i]
		b.from[i] = -1
		if !e.reads {
			return judged{}
		}
		initial := e.returned == b.unread
		if e.nilRead {
			switch nils := b.removals[e.key]; {
			case len(nils) > 1 || len(nils) == 1 && initial:
				b.from[i] = inDoubt
				return judged{}
			case len(nils) == 1:
				b.from[i] = nils[0]
				return judged{}
			}
		}
		if initial {
			return judged{}
		}
		w := *b.writers.place(e.key, e.returned) - 1
		if w < 0 {
			return b.stranger(i)
		}
		b.from[i] = w
		if b.ops[w].Outcome != history.Info || b.reader[w] >= 0 {
			return judged{}
		}
		b.reader[w] = i
		i = w
	}
}

// stranger explains a read of what no write that may have happened wrote.
func (b *registerReader) stranger(i int32) judged {
	o, e := &b.ops[i], &b.effects[i]
	verb := "a " + o.F + " found"
	if o.F == Read {
		verb = "a read returned"
	}
	evidence := []history.Operation{*o}
	for r := b.reader[i]; r >= 0; r = b.reader[r] {
		evidence = append(evidence, b.ops[r])
	}
	for _, f := range b.failed {
		if w := &b.effects[f]; w.key == e.key && w.wrote == e.returned {
			return invalid("aborted read", fmt.Sprintf("%s %s, whose %s failed", verb, found(o), b.ops[f].F), append(evidence, b.ops[f])...)
		}
	}
	return invalid("thin-air read", fmt.Sprintf("%s %s, which nobody wrote", verb, found(o)), evidence...)
}

// sessions lists what happened.
func (b *registerReader) sessions(whole bool) *sessions {
	count := 0
	for i := range b.ops {
		if e := &b.effects[i]; e.reads || e.writes {
			count++
			if e.reads && e.writes && !whole {
				count++
			}
		}
	}
	s, number := &sessions{history: b.ops, ops: make([]access, 0, count), reader: map[int32]int32{}}, map[int]int32{}
	writes, reads := make([]int32, len(b.ops)), make([]int32, len(b.ops)) // the accesses of each operation
	for i := range b.ops {
		o, e := &b.ops[i], b.effects[i]
		if o.Outcome == history.Fail {
			e.writes = false
		}
		reads[i] = -1
		if o.Outcome == history.Info && b.reader[i] < 0 && !e.nilWrite {
			continue
		}
		a := access{op: int32(i), key: e.key, from: -1}
		switch {
		case e.reads && e.writes && whole:
			a.read, a.write = true, true
			reads[i] = s.begin(number, a)
			writes[i] = reads[i]
		case e.reads && e.writes:
			a.read = true
			reads[i] = s.begin(number, a)
			a.read, a.write = false, true
			writes[i] = s.begin(number, a)
		case e.reads:
			a.read = true
			reads[i] = s.begin(number, a)
		case e.writes:
			a.write = true
			writes[i] = s.begin(number, a)
		}
	}
	b.connect(s, reads, writes)
	return s
}

// connect tells each read which write it reads.
func (b *registerReader) connect(s *sessions, reads, writes []int32) {
	shared := map[int32]*nils{} // by key
	for i := range b.ops {
		e := &b.effects[i]
		a := reads[i]
		if r := b.reader[i]; r >= 0 {
			s.reader[writes[i]] = reads[r]
		}
		if a < 0 {
			continue
		}
		switch from := b.from[i]; {
		case from >= 0:
			s.ops[a].from = writes[from]
		case from == inDoubt:
			n := shared[e.key]
			if n == nil {
				n = &nils{initial: b.initial.IsNil()}
				for _, w := range b.removals[e.key] {
					n.writes = append(n.writes, writes[w])
				}
				shared[e.key] = n
			}
			s.doubts = append(s.doubts, doubt{at: a, from: n})
		}
	}
}
