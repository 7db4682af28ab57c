package linear

import (
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// What is known of an element when nothing on it is open: whatever comes is
// called after all of it.
const (
	memberAdded     uint8 = 1 << iota // an add was begun
	memberProved                      // it certainly took effect: it was acknowledged, or the element found
	memberRemoved                     // a remove was begun
	memberGone                        // and acknowledged
	memberNotKept                     // the remove cannot have had no effect because it never happened
	memberNotBefore                   // nor because it came before the add
	memberNotAfter                    // and cannot have come after the add
	memberMissed                      // the element was not found by who began after it was proved or removed
)

// member is an element that something is open on, or was a short while ago.
type member struct {
	cell    cell
	open    int
	known   uint8
	proved  int64               // when it was; never if it was not
	gone    int64               // when the remove was acknowledged
	missed  int64               // when it was not found first by who began after it was proved or removed
	seen    bool                // found, since it is held
	old     bool                // something was known before it was held
	because []history.Operation // what tells all that is known, if it is not old
}

// streamMembers is the state of a set of which single elements are asked for,
// each added and removed once at most. It is decided element by element, by
// which of three stories may still be true, as in sets.member: the remove
// never happened, it came before the add, it came after the add.
//
// As an element can be asked for at any later time, nothing of it is ever
// forgotten; but where nothing is open on it, eight bits say all that matters.
type streamMembers struct {
	held  map[cell]*member
	ints  map[int64]*[64]uint8 // what is known of others, by a sixty-fourth of them
	other map[[16]byte]uint8
	texts int64
	swept int
}

func newStreamMembers() *streamMembers {
	return &streamMembers{held: map[cell]*member{}, ints: map[int64]*[64]uint8{}, other: map[[16]byte]uint8{}}
}

const (
	streamMemberBytes = 1536 // with the operations of a witness
	streamPageBytes   = 128
)

func (s *streamMembers) bytes() int64 {
	return streamMemberBytes*int64(len(s.held)) + streamPageBytes*int64(len(s.ints)) + streamWordBytes*int64(len(s.other)) + 2*s.texts
}

func (*streamMembers) pending(*streamOp) string { return "" }

// know returns what is known of an element that is not held.
func (s *streamMembers) know(c cell) uint8 {
	if c.text != intCell {
		return s.other[c.digest()]
	}
	if page := s.ints[c.n>>6]; page != nil {
		return page[c.n&63]
	}
	return 0
}

func (s *streamMembers) note(c cell, known uint8) {
	switch {
	case known == s.know(c):
	case c.text != intCell:
		s.other[c.digest()] = known
	default:
		page := s.ints[c.n>>6]
		if page == nil {
			page = new([64]uint8)
			s.ints[c.n>>6] = page
		}
		page[c.n&63] = known
	}
}

// member returns an element as one that is held.
func (s *streamMembers) member(c cell) *member {
	m := s.held[c]
	if m != nil {
		return m
	}
	m = &member{cell: c, known: s.know(c), proved: never, gone: never, missed: never}
	m.old = m.known != 0
	for _, x := range []struct {
		bit uint8
		at  *int64
	}{{memberProved, &m.proved}, {memberGone, &m.gone}, {memberMissed, &m.missed}} {
		if m.known&x.bit != 0 {
			*x.at = always
		}
	}
	s.held[c] = m
	s.texts += int64(len(c.text))
	return m
}

func (m *member) is(bits uint8) bool { return m.known&bits == bits }

func (s *streamMembers) invoke(o *streamOp) (reason string) {
	m := s.member(cellOf(&o.begun.Value))
	switch {
	case o.f == Add && m.is(memberAdded), o.f == Remove && m.is(memberRemoved):
		return fmt.Sprintf("%s of %s at event %d: there was one of it before, and a stream needs elements that are added and removed once at most", o.f, o.begun.Value, o.call)
	case o.f == Add:
		if m.known |= memberAdded; m.is(memberGone) {
			m.known |= memberNotAfter
		}
		m.because = append(m.because, o.begunOnly())
	case o.f == Remove:
		if m.known |= memberRemoved; m.is(memberProved) {
			m.known |= memberNotBefore
		}
		m.because = append(m.because, o.begunOnly())
	}
	m.open++
	o.member = m
	return ""
}

func (s *streamMembers) complete(o *streamOp, e *history.Event) (found *finding, reason string) {
	m := o.member
	m.open--
	switch {
	case o.f == Add || o.f == Remove:
		found = m.changed(o, e)
	case e.Kind == history.OK:
		has, ok := e.Value.AsBool()
		if !ok {
			return nil, fmt.Sprintf("the contains at event %d: it returned %s; expected true or false", o.call, e.Value)
		}
		if has {
			found = m.has(o, e)
		} else {
			m.hasNot(o, e)
		}
	}
	if found == nil && m.impossible() {
		found = m.contradiction(o, e)
	}
	if found == nil {
		s.sweep()
	}
	return found, ""
}

// changed takes the end of an add or a remove.
func (m *member) changed(o *streamOp, e *history.Event) *finding {
	at := slices.IndexFunc(m.because, func(h history.Operation) bool { return h.Call == o.call })
	if e.Kind == history.Info {
		return nil
	}
	if m.because[at] = o.operation(e); e.Kind == history.Fail {
		m.because = slices.Delete(m.because, at, at+1)
	}
	switch {
	case o.f == Add && e.Kind == history.OK:
		m.prove(e.Index)
	case o.f == Add && m.seen:
		first := slices.IndexFunc(m.because, func(h history.Operation) bool { return h.F == Contains && h.Output.Equal(history.Bool(true)) })
		return &finding{class: AbortedRead, why: "its element had been found, but it failed: it certainly did not happen", with: m.because[first : first+1]}
	case o.f == Add:
		m.known &^= memberAdded | memberNotAfter | memberMissed
		m.missed = never
	case e.Kind == history.OK:
		m.known |= memberGone | memberNotKept
		m.gone = e.Index
	default:
		m.known &^= memberRemoved
	}
	return nil
}

func (m *member) prove(now int64) {
	if !m.is(memberProved) {
		m.known |= memberProved
		m.proved = now
	}
}

// has takes a contains that was true.
func (m *member) has(o *streamOp, e *history.Event) *finding {
	h := o.operation(e)
	if !m.is(memberAdded) {
		return &finding{class: ThinAirRead, why: "nobody had begun to add it, or that had failed", shown: &h.Output}
	}
	m.seen = true
	before := m.known
	if o.call > m.gone || o.call > m.missed {
		m.known |= memberNotAfter
	}
	if m.known != before || !m.is(memberProved) {
		m.because = append(m.because, h)
	}
	m.prove(e.Index)
	return nil
}

// hasNot takes a contains that was false.
func (m *member) hasNot(o *streamOp, e *history.Event) {
	before := m.known
	if o.call > m.proved {
		m.known |= memberNotKept | memberNotBefore
	}
	if m.is(memberAdded) && o.call > min(m.proved, m.gone) && !m.is(memberMissed) {
		m.known |= memberMissed
		m.missed = e.Index
	}
	if m.known != before {
		m.because = append(m.because, o.operation(e))
	}
}

// impossible reports whether no story is left. One without a remove allows
// whatever one with a remove before the add does.
func (m *member) impossible() bool {
	if !m.is(memberProved) {
		return false
	}
	kept := m.known&(memberNotKept|memberGone) == 0
	before := m.is(memberRemoved) && !m.is(memberNotBefore)
	after := m.is(memberRemoved) && !m.is(memberNotAfter)
	return !kept && !before && !after
}

// contradiction is the violation that no story is left after o.
func (m *member) contradiction(o *streamOp, e *history.Event) *finding {
	f := &finding{class: StaleRead, why: fmt.Sprintf("by what else is known of it, element %s cannot have come and gone so", o.begun.Value)}
	if m.old {
		return f
	}
	f.with, f.aside = slices.Clone(m.because), true
	if e.Kind != history.Fail && !slices.ContainsFunc(f.with, func(h history.Operation) bool { return h.Call == o.call }) {
		f.with = append(f.with, o.operation(e))
	}
	f.with = fewest(f.with)
	return f
}

// fewest leaves out asks that are not needed for a contradiction. Adds and
// removes must stay: without them others would prove nothing.
func fewest(ops []history.Operation) []history.Operation {
	set := structure{"set", sets{}, orderedGroups}
	for i := len(ops) - 1; i >= 0; i-- {
		if ops[i].F != Contains {
			continue
		}
		fewer := slices.Delete(slices.Clone(ops), i, i+1)
		slices.SortFunc(fewer, func(a, b history.Operation) int { return int(a.Call - b.Call) })
		at := make([]int32, len(fewer))
		for k := range at {
			at[k] = int32(k)
		}
		t, err := set.try(newInterner(len(fewer)), fewer, part{element: "one", at: at})
		if err != nil {
			continue
		}
		if c, applies := set.rules.exact(t); applies && c != nil {
			ops = fewer
		}
	}
	return ops
}

// sweep reduces elements that nothing is open on to what is known of them, if
// that may be worth the time.
func (s *streamMembers) sweep() {
	if len(s.held) < sweepAtLeast || len(s.held) < 2*s.swept {
		return
	}
	for c, m := range s.held {
		if m.open == 0 {
			s.note(c, m.known)
			delete(s.held, c)
			s.texts -= int64(len(c.text))
		}
	}
	s.swept = len(s.held)
}
