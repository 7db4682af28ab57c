package models

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// mutates are the functions that change an object.
var mutates = []string{Add, "append", Enqueue, Write}

// survey is what reads tell of one key.
type survey struct {
	values    *interner            // of mutations, also failed ones
	mutations []*history.Operation // in order of invocation
	of        []int                // value of each mutation
	facts     []fact               // of each value
	reads     []*history.Operation // by time of invocation
	// oldest[i] is, of reads i and after, the one whose value was certainly
	// written first, and that until[i]; -1 is the initial value, never one
	// that nobody knows, or a collection.
	oldest []*history.Operation
	until  []int64
}

// fact is what is known of one value of a key.
type fact struct {
	written int64              // when all writes of it were over, -1 if all failed
	removed int64              // the same of removes, -1 without
	held    *history.Operation // the first read that has it
	last    *history.Operation // the read of a collection that has it and was invoked last
}

// surveys divides a history by keys.
func surveys(ops []history.Operation) map[string]*survey {
	keys := map[string]*survey{}
	for i := range ops {
		op := &ops[i]
		s := keys[op.Key]
		if s == nil {
			s = &survey{values: newInterner()}
			keys[op.Key] = s
		}
		switch {
		case slices.Contains(mutates, op.F):
			v := s.fact(op.Input)
			s.mutations, s.of = append(s.mutations, op), append(s.of, v)
			if op.Outcome != history.Fail {
				s.wrote(op.Input, op)
			}
		case op.Outcome == history.Fail:
		case op.F == "remove":
			v := s.fact(op.Input)
			s.facts[v].removed = max(s.facts[v].removed, ended(op))
		case op.F == Delete:
			s.wrote(history.Nil, op)
		case op.F == CAS:
			if pair, _ := op.Input.AsList(); len(pair) == 2 {
				s.wrote(pair[1], op)
			}
		case op.F == Read && op.Outcome == history.OK:
			s.reads = append(s.reads, op)
		}
	}
	for _, s := range keys {
		s.read()
	}
	return keys
}

// wrote notes who may have written a value.
func (s *survey) wrote(v history.Value, op *history.Operation) {
	f := &s.facts[s.fact(v)]
	f.written = max(f.written, ended(op))
}

// fact returns the number of a value.
func (s *survey) fact(v history.Value) int {
	n := s.values.id(v)
	if n == len(s.facts) {
		s.facts = append(s.facts, fact{written: -1, removed: -1})
	}
	return n
}

// read notes what the reads returned.
func (s *survey) read() {
	slices.SortStableFunc(s.reads, func(a, b *history.Operation) int { return cmp.Compare(a.Invoked, b.Invoked) })
	s.oldest, s.until = make([]*history.Operation, len(s.reads)+1), make([]int64, len(s.reads)+1)
	s.until[len(s.reads)] = never
	for i := len(s.reads) - 1; i >= 0; i-- {
		r := s.reads[i]
		s.oldest[i], s.until[i] = s.oldest[i+1], s.until[i+1]
		if at := s.age(r); at <= s.until[i] {
			s.oldest[i], s.until[i] = r, at
		}
	}
	for _, r := range s.reads {
		for _, v := range r.Output.Elements() {
			if n, ok := s.values.find(v); ok {
				s.facts[n].last = r
				s.facts[n].held = cmp.Or(s.facts[n].held, r)
			}
		}
	}
}

// age is when all writes were over of the value that a read of a register
// returned, -1 for the initial nil, and never if that is not known.
func (s *survey) age(r *history.Operation) int64 {
	if r.Output.IsList() {
		return never
	}
	written := int64(-1)
	if n, ok := s.values.find(r.Output); ok {
		s.facts[n].held, written = r, s.facts[n].written
	}
	if written < 0 && !r.Output.IsNil() {
		return never
	}
	return written
}

// losses adds what each crash cost; crashes are in order of their start. A
// mutation belongs to the first that began after it had completed.
func (s *survey) losses(crashes []loss) {
	kept := make([][]*history.Operation, len(crashes))
	gone := make([][]*history.Operation, len(crashes))
	for i, w := range s.mutations {
		c := sort.Search(len(crashes), func(c int) bool { return crashes[c].crash.Start >= w.Completed })
		if w.Outcome != history.OK || c == len(crashes) || w.F != Write && s.facts[s.of[i]].removed > w.Call {
			continue
		}
		l := &crashes[c]
		from := s.after(l.crash.End)
		if from == len(s.reads) {
			continue
		}
		l.looked++
		if proof := s.missing(i, from); proof != nil {
			gone[c] = append(gone[c], w)
			l.proof = append(l.proof, proof)
		} else {
			kept[c] = append(kept[c], w)
		}
	}
	for c := range crashes {
		l := &crashes[c]
		for _, w := range gone[c] {
			var survivor *history.Operation
			if at := sort.Search(len(kept[c]), func(i int) bool { return precedes(w, kept[c][i]) }); at < len(kept[c]) {
				survivor = kept[c][at]
			}
			l.lost, l.survivor = append(l.lost, w), append(l.survivor, survivor)
		}
	}
}

// after is the first read that was invoked later than some time.
func (s *survey) after(at time.Duration) int {
	return sort.Search(len(s.reads), func(i int) bool { return s.reads[i].Invoked > at })
}

// missing returns a read, of those from one on, that shows that a mutation is
// lost; nil if none does.
func (s *survey) missing(mutation, from int) *history.Operation {
	w, f := s.mutations[mutation], &s.facts[s.of[mutation]]
	if f.last != nil && f.last.Invoked >= s.reads[from].Invoked {
		return nil
	}
	if w.F != Write {
		return s.reads[len(s.reads)-1]
	}
	if s.until[from] < w.Call {
		return s.oldest[from]
	}
	return nil
}

// risen finds failed mutations of values that nobody else tried, each with a
// read that has it.
func (s *survey) risen() (found []history.Operation) {
	for i, w := range s.mutations {
		if f := &s.facts[s.of[i]]; w.Outcome == history.Fail && f.written < 0 && f.held != nil && (w.F == Write || f.held.Output.IsList()) {
			found = append(found, *w, *f.held)
		}
	}
	return found
}
