package linear

import (
	"fmt"

	"github.com/cleancut/cleancut/harness/history"
)

// streamSet is the state of a set: as a whole and by its elements, until
// somebody asks for one or the other.
type streamSet struct {
	whole   *streamGrow    // nil once single elements were asked for, or removed
	members *streamMembers // nil once the whole was read
}

func newStreamSet() *streamSet { return &streamSet{newStreamGrow(), newStreamMembers()} }

func (s *streamSet) bytes() (n int64) {
	if s.whole != nil {
		n += s.whole.bytes()
	}
	if s.members != nil {
		n += s.members.bytes()
	}
	return n
}

func (*streamSet) pending(*streamOp) string { return "" }

func (s *streamSet) invoke(o *streamOp) (reason string) {
	switch o.f {
	case Read:
		s.members = nil
	case Remove, Contains:
		s.whole = nil
	}
	if s.whole == nil && s.members == nil {
		return fmt.Sprintf("%s: the %s at event %d: a stream needs sets that are either only added to and read as a whole, or never read as a whole", name(o.begun.Key), o.f, o.call)
	}
	if s.whole != nil {
		reason = s.whole.invoke(o)
	}
	if s.members != nil && reason == "" {
		reason = s.members.invoke(o)
	}
	return reason
}

func (s *streamSet) complete(o *streamOp, e *history.Event) (found *finding, reason string) {
	if s.whole != nil {
		found, reason = s.whole.complete(o, e)
	}
	if s.members != nil && found == nil && reason == "" {
		found, reason = s.members.complete(o, e)
	}
	return found, reason
}
