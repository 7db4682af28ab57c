package models

import (
	"fmt"
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// survey is what Durability knows of one key, a register or a collection.
type survey struct {
	register, collection bool
	mutations            []*history.Operation
	reads                []*history.Operation
	// setters are those that may have set a value of a register or have brought
	// in an element, and removers those that may have taken one out, in order
	// of invocation.
	setters, removers map[string][]*history.Operation
	odd               string // why the key cannot be judged
}

func newSurvey() *survey {
	return &survey{setters: map[string][]*history.Operation{}, removers: map[string][]*history.Operation{}}
}

// take adds an operation.
func (s *survey) take(o *history.Operation) {
	switch o.F {
	case Write, CAS, Delete:
		s.register = true
		if o.F == CAS && o.Input.Len() != 2 {
			s.odd = fmt.Sprintf("the cas at event %d has the argument %s; expected a list [expected new]", o.Call, o.Input)
			return
		}
		s.mutate(o)
	case Add, Append, Enqueue:
		s.collection = true
		s.mutate(o)
	case Remove:
		s.collection = true
		if o.Outcome != history.Fail {
			s.removers[identity(o.Input)] = append(s.removers[identity(o.Input)], o)
		}
	case Read:
		if o.Outcome == history.OK {
			s.reads = append(s.reads, o)
		}
	case Contains, "sync": // change nothing, and read nothing whole
	default:
		s.odd = fmt.Sprintf("the %s at event %d: only read, write, cas and delete of registers, and read, add, append, enqueue and remove of collections can be judged by what is read after a crash", o.F, o.Call)
	}
}

// mutate adds an operation that brings in a value.
func (s *survey) mutate(o *history.Operation) {
	s.mutations = append(s.mutations, o)
	if id := identity(brought(o)); o.Outcome != history.Fail {
		s.setters[id] = append(s.setters[id], o)
	}
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

func identity(v history.Value) string { return string(v.AppendJSON(nil)) }

// settle says why the key cannot be judged, "" if it can.
func (s *survey) settle() string {
	if s.register && s.collection {
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
	return s.odd
}

// after returns a function that says of a mutation from before whether reads
// invoked after a moment show that it is lost, and a read that tells, nil if
// none does.
func (s *survey) after(moment time.Duration, initial history.Value) func(w *history.Operation) (lost bool, proof *history.Operation) {
	first := slices.IndexFunc(s.reads, func(r *history.Operation) bool { return r.Invoked > moment })
	if first < 0 {
		return func(*history.Operation) (bool, *history.Operation) { return false, nil }
	}
	reads := s.reads[first:]
	if s.register {
		return s.oldest(reads, initial)
	}
	there := map[string]bool{}
	for _, r := range reads {
		for _, v := range r.Output.Elements() {
			there[identity(v)] = true
		}
	}
	last := reads[len(reads)-1]
	return func(w *history.Operation) (bool, *history.Operation) {
		id := identity(w.Input)
		if there[id] {
			return false, last
		}
		if slices.ContainsFunc(s.removers[id], func(r *history.Operation) bool { return !precedes(r, w) }) {
			return false, nil
		}
		return true, last
	}
}

// oldest judges registers by the read that returned the oldest value: who may
// have set it was over the soonest.
func (s *survey) oldest(reads []*history.Operation, initial history.Value) func(w *history.Operation) (bool, *history.Operation) {
	var oldest *history.Operation
	over := never
	for _, r := range reads {
		setters := s.setters[identity(r.Output)]
		known, end := r.Output.Equal(initial) || r.Output.IsNil(), int64(-1)
		for _, w := range setters {
			if w.Call > r.Return {
				break
			}
			known, end = true, max(end, ended(w))
		}
		if known && (oldest == nil || end < over) {
			oldest, over = r, end
		}
	}
	return func(w *history.Operation) (bool, *history.Operation) { return over < w.Call, oldest }
}

// resurrects returns a read that has what a failed mutation would have brought
// in, and nobody else had by then.
func (s *survey) resurrects(w *history.Operation) *history.Operation {
	v := brought(w)
	for _, r := range s.reads {
		if others := s.setters[identity(v)]; len(others) > 0 && others[0].Call < r.Return {
			return nil
		}
		if s.register && r.Output.Equal(v) || s.collection && holds(r.Output, v) {
			return r
		}
	}
	return nil
}

// holds reports whether a list or set has an element.
func holds(list, element history.Value) bool {
	for _, e := range list.Elements() {
		if e.Equal(element) {
			return true
		}
	}
	return false
}
