package models

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// survey is what the operations on one key tell, a register or a collection.
type survey struct {
	register, collection bool
	initial              history.Value
	values               *interner            // of mutations, also failed ones
	mutations            []*history.Operation // in order of invocation
	of                   []int                // value of each mutation
	facts                []fact               // of each value
	reads                []*history.Operation // by time of invocation
	// oldest[i] is, of reads i and after, the one whose value was certainly set
	// first, and that until[i]; -1 is the initial value, never one that nobody
	// can have set, or a collection.
	oldest []*history.Operation
	until  []int64
	odd    string // why the key cannot be judged
}

// fact is what is known of one value of a key.
type fact struct {
	// setters are when those were invoked that may have set it, in order, and
	// until by when they and those before them were over.
	setters, until []int64
	removed        int64                // when all removes of it were over, -1 without
	last           *history.Operation   // the read that has it and was invoked last
	seen           []*history.Operation // of a register: all reads that have it, by time of invocation
	// held is, of the reads that have it and were over before anybody can have
	// set it, the one that was over last.
	held *history.Operation
}

// surveys divides a history by keys, or a part of it if time runs out.
func surveys(w *watch, ops []history.Operation, initial history.Value) map[string]*survey {
	keys := map[string]*survey{}
	for i := range ops {
		if w.over(4) {
			return keys
		}
		op := &ops[i]
		s := keys[op.Key]
		if s == nil {
			s = &survey{values: newInterner(), initial: initial}
			keys[op.Key] = s
		}
		s.take(op)
	}
	for _, s := range keys {
		if w.over(len(s.reads)) {
			break
		}
		if s.settle(); s.odd == "" {
			s.read()
		}
	}
	return keys
}

// take adds an operation, in order of invocation.
func (s *survey) take(o *history.Operation) {
	switch o.F {
	case Write, CAS, Delete:
		s.register = true
		if o.F == CAS && (o.Input.Kind() != history.KindList || o.Input.Len() != 2) {
			s.odd = fmt.Sprintf("the cas at event %d has the argument %s; expected a list [expected new]", o.Call, o.Input)
			return
		}
		s.mutate(o)
	case Add, Append, Enqueue:
		s.collection = true
		s.mutate(o)
	case "remove":
		s.collection = true
		if f := s.fact(o.Input); o.Outcome != history.Fail {
			f.removed = max(f.removed, ended(o))
		}
	case Read:
		if o.Outcome == history.OK {
			s.reads = append(s.reads, o)
		}
	case "contains", "sync": // change nothing, and read nothing whole
	default:
		s.odd = fmt.Sprintf("the %s at event %d: only read, write, cas and delete of registers, and read, add, append, enqueue and remove of collections can be judged by what is read after a crash", o.F, o.Call)
	}
}

// mutate adds an operation that brings in a value.
func (s *survey) mutate(o *history.Operation) {
	f := s.fact(brought(o))
	s.mutations, s.of = append(s.mutations, o), append(s.of, s.values.id(brought(o)))
	if o.Outcome == history.Fail {
		return
	}
	until := ended(o)
	if n := len(f.until); n > 0 {
		until = max(until, f.until[n-1])
	}
	f.setters, f.until = append(f.setters, o.Call), append(f.until, until)
}

// brought returns the value that a mutation leaves in a register, or adds to a
// collection.
func brought(o *history.Operation) history.Value {
	switch o.F {
	case Delete:
		return history.Nil
	case CAS:
		return o.Input.At(1)
	}
	return o.Input
}

// fact returns what is known of a value, to be added to.
func (s *survey) fact(v history.Value) *fact {
	n := s.values.id(v)
	if n == len(s.facts) {
		s.facts = append(s.facts, fact{removed: -1})
	}
	return &s.facts[n]
}

// settle finds out whether the key can be judged.
func (s *survey) settle() {
	if s.register && s.collection && s.odd == "" {
		s.odd = fmt.Sprintf("the %s at event %d: what is written and read as one value cannot be a collection, too", s.mutations[0].F, s.mutations[0].Call)
	}
	for _, r := range s.reads {
		switch {
		case s.odd != "" || !s.collection:
		case !r.Input.IsNil():
			s.odd = fmt.Sprintf("the read at event %d asks for %s only; what is lost is judged by reads of the whole", r.Call, r.Input)
		case !r.Output.IsList() && !r.Output.IsNil():
			s.odd = fmt.Sprintf("the read at event %d returned %s; expected a collection", r.Call, r.Output)
		}
	}
}

// read notes what the reads returned.
func (s *survey) read() {
	slices.SortStableFunc(s.reads, func(a, b *history.Operation) int { return cmp.Compare(a.Invoked, b.Invoked) })
	for _, r := range s.reads {
		if s.register {
			s.saw(r, r.Output)
			continue
		}
		for _, v := range r.Output.Elements() {
			s.saw(r, v)
		}
	}
	if !s.register {
		return
	}
	s.oldest, s.until = make([]*history.Operation, len(s.reads)+1), make([]int64, len(s.reads)+1)
	s.until[len(s.reads)] = never
	for i := len(s.reads) - 1; i >= 0; i-- {
		r := s.reads[i]
		s.oldest[i], s.until[i] = s.oldest[i+1], s.until[i+1]
		if until, known := s.age(r); known && (s.oldest[i] == nil || until <= s.until[i]) {
			s.oldest[i], s.until[i] = r, until
		}
	}
}

// saw notes that a read has a value.
func (s *survey) saw(r *history.Operation, v history.Value) {
	n, ok := s.values.find(v)
	if !ok {
		return
	}
	f := &s.facts[n]
	if f.last = r; s.register {
		f.seen = append(f.seen, r)
	}
	if (len(f.setters) == 0 || r.Return < f.setters[0]) && (f.held == nil || f.held.Return < r.Return) {
		f.held = r
	}
}

// age is when all were over that can have set the value which a read of a
// register returned, -1 for the initial one; and whether anybody can have.
func (s *survey) age(r *history.Operation) (until int64, known bool) {
	until, known = -1, s.empty(r.Output)
	if n, ok := s.values.find(r.Output); ok {
		f := &s.facts[n]
		if begun := sort.Search(len(f.setters), func(i int) bool { return f.setters[i] > r.Return }); begun > 0 {
			return f.until[begun-1], true
		}
	}
	return until, known
}

// empty reports whether a register may have a value before anything was set.
func (s *survey) empty(v history.Value) bool { return v.IsNil() || v.Equal(s.initial) }

// losses adds what each fault cost.
func (s *survey) losses(faults *windows) {
	type survivor struct{ w, held *history.Operation }
	kept := make([][]survivor, len(faults.list))
	gone := make([]int, len(faults.list)) // first of this key
	for x := range faults.list {
		gone[x] = len(faults.list[x].lost)
	}
	for i, w := range s.mutations {
		if w.Outcome != history.OK {
			continue
		}
		there, held := s.lastThere(i)
		if x, healed := faults.of(there, w.Node); x >= 0 {
			if lost, proof := s.missing(i, s.after(max(healed, there))); lost {
				l := &faults.list[x].loss
				l.looked++
				evidence := s.setter(proof)
				if held != nil {
					evidence = append(evidence, held)
				}
				if back := faults.list[x].back; there > faults.list[x].End && back != nil {
					evidence = append(evidence, back)
					if again := s.again(i); again != nil { // else back may seem to have read this one
						evidence = append(evidence, again)
					}
				}
				l.lost = append(l.lost, lostMutation{w: w, proof: evidence})
				continue
			}
		}
		x, healed := faults.of(w.Completed, w.Node)
		if x < 0 {
			continue
		}
		healed = max(healed, w.Completed)
		lost, proof := s.missing(i, s.after(healed))
		switch {
		case proof == nil, lost && (held == nil || held.Invoked <= healed):
			continue
		case lost: // it was read again: what did not have it was stale
			proof = held
		}
		faults.list[x].looked++
		kept[x] = append(kept[x], survivor{w, proof})
	}
	for x := range faults.list {
		for i := range faults.list[x].lost[gone[x]:] {
			l := &faults.list[x].lost[gone[x]+i]
			if at := sort.Search(len(kept[x]), func(i int) bool { return precedes(l.w, kept[x][i].w) }); at < len(kept[x]) {
				l.survivor, l.held = kept[x][at].w, kept[x][at].held
			}
		}
	}
}

// again returns the next mutation, invoked later, that may have brought the same
// value into a register, nil if there is none.
func (s *survey) again(mutation int) *history.Operation {
	w, f := s.mutations[mutation], &s.facts[s.of[mutation]]
	i := sort.Search(len(f.setters), func(i int) bool { return f.setters[i] > w.Call })
	if !s.register || i == len(f.setters) {
		return nil
	}
	return s.mutations[sort.Search(len(s.mutations), func(k int) bool { return s.mutations[k].Call >= f.setters[i] })]
}

// lastThere is when a mutation was last there, and the read that has it, nil if
// none does.
func (s *survey) lastThere(mutation int) (time.Duration, *history.Operation) {
	w, f := s.mutations[mutation], &s.facts[s.of[mutation]]
	read := f.last
	if s.register {
		next := never
		if again := s.again(mutation); again != nil {
			next = again.Call
		}
		read = nil
		i := sort.Search(len(f.seen), func(i int) bool { return f.seen[i].Call >= next })
		for i--; i >= 0 && read == nil; i-- {
			if f.seen[i].Return < next {
				read = f.seen[i]
			}
		}
	}
	if read == nil || read.Invoked < w.Completed {
		return w.Completed, nil
	}
	return read.Invoked, read
}

// setter returns a read, and of a register the first that can have set what it
// returned, if anybody can have.
func (s *survey) setter(read *history.Operation) []*history.Operation {
	if n, ok := s.values.find(read.Output); ok && s.register && len(s.facts[n].setters) > 0 && s.facts[n].setters[0] < read.Return {
		call := s.facts[n].setters[0]
		return []*history.Operation{read, s.mutations[sort.Search(len(s.mutations), func(i int) bool { return s.mutations[i].Call >= call })]}
	}
	return []*history.Operation{read}
}

// after is the first read that was invoked later than some time.
func (s *survey) after(at time.Duration) int {
	return sort.Search(len(s.reads), func(i int) bool { return s.reads[i].Invoked > at })
}

// missing says whether the reads from one on show that a mutation is lost, and
// by which; nil if they tell nothing.
func (s *survey) missing(mutation, from int) (lost bool, proof *history.Operation) {
	w, f := s.mutations[mutation], &s.facts[s.of[mutation]]
	switch {
	case from == len(s.reads):
		return false, nil
	case s.register:
		return s.until[from] < w.Call, s.oldest[from]
	case f.last != nil && f.last.Invoked >= s.reads[from].Invoked:
		return false, f.last
	case f.removed > w.Call:
		return false, nil
	}
	return true, s.reads[len(s.reads)-1]
}

// risen finds failed mutations of values that nobody else had tried, each with
// a read that has it.
func (s *survey) risen() (found []history.Operation) {
	for i, w := range s.mutations {
		f := &s.facts[s.of[i]]
		if w.Outcome == history.Fail && f.held != nil && f.held.Return > w.Call && !(s.register && s.empty(brought(w))) {
			found = append(found, *w, *f.held)
		}
	}
	return found
}
