package models

import (
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// effect is what an operation did to a register, with key and values as
// numbers.
type effect struct {
	key, returned, wrote int32
	reads, writes        bool
	nilRead, nilWrite    bool
}

// effectsOf tells what each operation did or, if it failed, would have done;
// a failed cas did no more than read what it found, if that is known.
func effectsOf(ops []history.Operation) ([]effect, judged) {
	keys, vals := map[string]int32{}, newInterner()
	effects := make([]effect, len(ops))
	for i := range ops {
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
			pair, ok := o.Input.AsList()
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
			e.returned, e.nilRead = int32(vals.id(returned)), returned.IsNil()
		}
		if e.writes {
			e.wrote, e.nilWrite = int32(vals.id(wrote)), wrote.IsNil()
		}
		effects[i] = e
	}
	return effects, judged{}
}

// place is a value of a key, both as numbers.
type place struct{ key, value int32 }

// registerReader builds sessions from operations on registers.
type registerReader struct {
	ops      []history.Operation
	effects  []effect
	initial  history.Value
	writers  map[place]int
	failed   map[place]int
	removals map[int32][]int // key → writes of nil
	from     []int           // of a read: index of its write, -1 the initial value, inDoubt
	reader   []int           // of a write of unknown outcome: an operation that read it, -1 none
}

const inDoubt = -2

// readSessions builds sessions. A cas that succeeded is a read and then a
// write, or both at once if whole is set. One that was refused is a read where
// its output says what it found; all else that failed, and reads that are not
// ok, are left out, and so are writes of unknown outcome that nobody read. What
// no order of operations explains, a value from nowhere or of a failed write,
// is invalid at once; another function, or a value written twice, unknown.
// Deletes write nil, and need not be unique.
func readSessions(ops []history.Operation, initial history.Value, whole bool) (*sessions, judged) {
	effects, bad := effectsOf(ops)
	if bad.Verdict != "" {
		return nil, bad
	}
	b := &registerReader{
		ops: ops, effects: effects, initial: initial, writers: map[place]int{}, failed: map[place]int{}, removals: map[int32][]int{},
		from: make([]int, len(ops)), reader: slices.Repeat([]int{-1}, len(ops)),
	}
	if bad := b.write(); bad.Verdict != "" {
		return nil, bad
	}
	var certain []int
	for i := range ops {
		if ops[i].Outcome != history.Info {
			certain = append(certain, i)
		}
	}
	if bad := b.read(certain); bad.Verdict != "" {
		return nil, bad
	}
	s := b.sessions(whole)
	if len(s.ops) == 0 {
		return nil, unknown("the history has no reads or writes")
	}
	return s, judged{}
}

// write finds the writer of each value.
func (b *registerReader) write() judged {
	for i := range b.ops {
		o, e := &b.ops[i], &b.effects[i]
		p := place{e.key, e.wrote}
		switch {
		case !e.writes:
		case o.Outcome == history.Fail:
			b.failed[p] = i
		case e.nilWrite:
			b.removals[e.key] = append(b.removals[e.key], i)
		default:
			v := written(o)
			if _, ok := b.writers[p]; ok {
				return unknown("%s is written to key %q twice; written values must be unique", v, o.Key)
			}
			if v.Equal(b.initial) {
				return unknown("the initial value %s is written to key %q; written values must be unique", v, o.Key)
			}
			b.writers[p] = i
		}
	}
	return judged{}
}

// written is what an operation wrote, or would have written.
func written(o *history.Operation) history.Value {
	switch o.F {
	case CAS:
		pair, _ := o.Input.AsList()
		return pair[1]
	case Delete:
		return history.Nil
	}
	return o.Input
}

// found is what an operation saw.
func found(o *history.Operation) history.Value {
	if o.F == CAS && o.Outcome != history.Fail {
		pair, _ := o.Input.AsList()
		return pair[0]
	}
	return o.Output
}

// read finds what was read by operations, and by the cas of unknown outcome
// which must have happened because of it.
func (b *registerReader) read(todo []int) judged {
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		o, e := &b.ops[i], &b.effects[i]
		b.from[i] = -1
		if !e.reads {
			continue
		}
		nils := b.removals[e.key]
		initial := found(o).Equal(b.initial)
		switch {
		case e.nilRead && (len(nils) > 1 || len(nils) == 1 && initial):
			b.from[i] = inDoubt
			continue
		case e.nilRead && len(nils) == 1:
			b.from[i] = nils[0]
			continue
		case initial:
			continue
		}
		w, ok := b.writers[place{e.key, e.returned}]
		if !ok {
			return b.stranger(i)
		}
		b.from[i] = w
		if b.ops[w].Outcome == history.Info && b.reader[w] < 0 {
			b.reader[w] = i
			todo = append(todo, w)
		}
	}
	return judged{}
}

func (b *registerReader) stranger(i int) judged {
	o, e := &b.ops[i], &b.effects[i]
	verb := "a " + o.F + " found"
	if o.F == Read {
		verb = "a read returned"
	}
	evidence := []history.Operation{*o}
	for r := b.reader[i]; r >= 0; r = b.reader[r] {
		evidence = append(evidence, b.ops[r])
	}
	if f, ok := b.failed[place{e.key, e.returned}]; ok {
		return invalid("aborted read", fmt.Sprintf("%s %s, whose %s failed", verb, found(o), b.ops[f].F), append(evidence, b.ops[f])...)
	}
	return invalid("thin-air read", fmt.Sprintf("%s %s, which nobody wrote", verb, found(o)), evidence...)
}

func (b *registerReader) sessions(whole bool) *sessions {
	s, number := &sessions{reader: map[int32]int32{}}, map[int]int32{}
	writes, reads := make([]int32, len(b.ops)), make([]int32, len(b.ops)) // the accesses of each operation
	for i := range b.ops {
		o, e := &b.ops[i], b.effects[i]
		if o.Outcome == history.Fail {
			e.writes = false
		}
		if o.Outcome == history.Info && b.reader[i] < 0 && !e.nilWrite {
			continue
		}
		a := access{op: o, key: e.key, from: -1}
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
	for i := range s.ops {
		s.ops[i].from = -1
	}
	for i := range b.ops {
		e := &b.effects[i]
		a := reads[i]
		if b.reader[i] >= 0 {
			s.reader[writes[i]] = reads[b.reader[i]]
		}
		if !e.reads || int(a) >= len(s.ops) || s.ops[a].op != &b.ops[i] {
			continue
		}
		switch from := b.from[i]; {
		case from >= 0:
			s.ops[a].from = writes[from]
		case from == inDoubt:
			d := doubt{at: a}
			for _, w := range b.removals[e.key] {
				d.from = append(d.from, writes[w])
			}
			if b.initial.IsNil() {
				d.from = append(d.from, -1)
			}
			s.doubts = append(s.doubts, d)
		}
	}
}
