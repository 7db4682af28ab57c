package linear

import (
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers/linear/search"
	"github.com/cleancut/cleancut/harness/history"
)

// Functions of a log with explicit offsets. Offsets are integers that grow
// along the log, with gaps, as transactions leave them.
//
//   - send, or append, of a value returns its offset, the list [offset value],
//     or nil if the offset is not known. An append that returns its argument
//     has told no offset.
//   - poll returns a list of [offset value]: messages that follow each other
//     in the log, as many as it likes. Its argument is the offset from which
//     on it looked, or nil if nobody knows: then an empty one tells nothing,
//     else that there was nothing from there on.
//   - read with an offset for argument returns the value there, nil if there
//     was none.
//
// Where messages stay unread because nobody polled there, nothing is lost: that
// is for the model kafka of package models.
const (
	Send = "send"
	Poll = "poll"
)

const (
	logSend uint8 = iota
	logPoll       // something was there
	logNone       // nothing was there
)

// message is a value at an offset.
type message struct {
	offset int64
	value  history.Value
}

// offsetLogs are the rules of a log with explicit offsets. Every message whose
// offset is known has its place. A send must take effect after those of smaller
// offsets, a poll after the send of its last message, and one that found
// nothing before the send of the first message that it would have found. Only
// messages that were sent once can be judged.
type offsetLogs struct{}

func (offsetLogs) functions() []string { return []string{Send, Append, Poll, Read} }

func (offsetLogs) parse(in *interner, h *history.Operation, a *act) (bool, error) {
	if h.F == Send || h.F == Append {
		a.value = in.id(&h.Input)
		_, _, err := sentAt(h)
		return true, err
	}
	a.kind, a.pure = logNone, true
	if h.Outcome != history.OK {
		return false, nil
	}
	_, known, list, err := polled(h)
	if err != nil {
		return false, err
	}
	a.list = make([]int32, len(list))
	for i := range list {
		a.kind = logPoll
		a.list[i] = in.id(&list[i].value)
	}
	return known || len(list) > 0, nil
}

// sentAt returns the offset that a send returned, and whether it did.
func sentAt(h *history.Operation) (offset int64, known bool, err error) {
	if h.Outcome != history.OK || h.Output.IsNil() || h.F == Append && h.Output.Equal(h.Input) {
		return 0, false, nil
	}
	v := h.Output
	if pair, ok := v.AsList(); ok && len(pair) == 2 && pair[1].Equal(h.Input) {
		if v = pair[0]; v.IsNil() {
			return 0, false, nil
		}
	}
	if offset, known = v.AsInt(); !known {
		return 0, false, fmt.Errorf("it returned %s; expected an offset, [offset value] or nil", h.Output)
	}
	return offset, true, nil
}

// polled returns from where on a poll or read looked, whether that is known,
// and what it found.
func polled(h *history.Operation) (from int64, known bool, list []message, err error) {
	from, known = h.Input.AsInt()
	if h.F == Read {
		if !known {
			return 0, false, nil, fmt.Errorf("its argument is %s; expected an offset, as there are sends with offsets", h.Input)
		}
		if !h.Output.IsNil() {
			list = []message{{from, h.Output}}
		}
		return from, true, list, nil
	}
	if !known && !h.Input.IsNil() {
		return 0, false, nil, fmt.Errorf("its argument is %s; expected an offset or nil", h.Input)
	}
	pairs, ok := h.Output.AsList()
	if !ok && !h.Output.IsNil() {
		return 0, false, nil, fmt.Errorf("it returned %s; expected a list of [offset value]", h.Output)
	}
	list = make([]message, len(pairs))
	for i, p := range pairs {
		pair, _ := p.AsList()
		if len(pair) != 2 {
			return 0, false, nil, fmt.Errorf("it returned %s; expected [offset value]", p)
		}
		if list[i].offset, ok = pair[0].AsInt(); !ok {
			return 0, false, nil, fmt.Errorf("it returned %s; expected [offset value]", p)
		}
		list[i].value = pair[1]
	}
	return from, known, list, nil
}

func (offsetLogs) open(a act) (act, bool) { return a, true }

// places are where the messages of a trial are.
type places struct {
	writer  []int32 // value → send, -1 if none
	offset  []int64
	by      []int32         // value → act that told its offset, -1 if none
	at      map[int64]int32 // offset → value
	offsets []int64         // that are known, in order
	rank    []int32         // act → of its message, or the last, or the first that it did not find, from 1; 0 if none
}

// locate finds the place of each message. It does not apply if a value was
// sent twice.
func (t *trial) locate() (p *places, c *conflict, applies bool) {
	n := len(t.values)
	p = &places{writer: make([]int32, n), offset: make([]int64, n), by: make([]int32, n), at: map[int64]int32{}, rank: make([]int32, len(t.acts))}
	for v := range n {
		p.writer[v], p.by[v] = -1, -1
	}
	for i := range t.acts {
		if a := &t.acts[i]; a.kind == logSend {
			if p.writer[a.value] >= 0 {
				return nil, nil, false
			}
			p.writer[a.value] = int32(i)
		}
	}
	for i := range t.acts {
		if c := t.note(p, int32(i)); c != nil {
			return p, c, true
		}
	}
	for o := range p.at {
		p.offsets = append(p.offsets, o)
	}
	slices.Sort(p.offsets)
	for i := range t.acts {
		if c := t.order(p, int32(i)); c != nil {
			return p, c, true
		}
	}
	return p, nil, true
}

// note takes the offsets that an act tells.
func (t *trial) note(p *places, i int32) *conflict {
	a := &t.acts[i]
	h := &t.all[a.source]
	if a.kind == logSend {
		if offset, known, _ := sentAt(h); known && !a.maybe {
			return t.put(p, i, a.value, offset)
		}
		return nil
	}
	from, known, list, _ := polled(h)
	for k, v := range a.list {
		if k > 0 && list[k].offset <= list[k-1].offset || known && list[k].offset < from {
			return t.about(p, Nonmonotonic, i, i, t.the(i)+": its offsets do not grow from the one that was asked for")
		}
		if p.writer[v] < 0 {
			return t.fromNowhere(i, v)
		}
		if c := t.put(p, i, v, list[k].offset); c != nil {
			return c
		}
	}
	return nil
}

// put notes that v is at an offset, as act i says.
func (t *trial) put(p *places, i, v int32, offset int64) *conflict {
	if other, taken := p.at[offset]; taken && other != v {
		return t.about(p, OneOffset, i, p.by[other], fmt.Sprintf("%s: %s is at offset %d, but %s says that %s is there", t.the(i), t.values[v], offset, t.noun(p.by[other]), t.values[other]))
	}
	if p.by[v] >= 0 && p.offset[v] != offset {
		return t.about(p, Duplicate, i, p.by[v], fmt.Sprintf("%s: %s is at offset %d, but %s says that it is at offset %d, and it was sent once", t.the(i), t.values[v], offset, t.noun(p.by[v]), p.offset[v]))
	}
	if p.by[v] < 0 {
		p.by[v], p.offset[v], p.at[offset] = i, offset, v
	}
	return nil
}

// about is a conflict of two acts, with all that they have to do with.
func (t *trial) about(p *places, class string, a, b int32, summary string) *conflict {
	c := &conflict{class: class, summary: summary, acts: []int32{a, b}}
	for _, i := range []int32{a, b} {
		if act := &t.acts[i]; act.kind == logSend {
			c.values = append(c.values, act.value)
		} else {
			c.values = append(c.values, act.list...)
		}
	}
	for _, v := range c.values {
		if w := p.writer[v]; w >= 0 {
			c.acts = append(c.acts, w)
		}
	}
	return c
}

// order finds the rank of an act, and a message that a poll passed over.
func (t *trial) order(p *places, i int32) *conflict {
	a := &t.acts[i]
	if a.kind == logSend {
		if p.by[a.value] >= 0 {
			at, _ := slices.BinarySearch(p.offsets, p.offset[a.value])
			p.rank[i] = int32(at) + 1
		}
		return nil
	}
	h := &t.all[a.source]
	from, known, list, _ := polled(h)
	if !known {
		from = list[0].offset
	}
	at, there := slices.BinarySearch(p.offsets, from)
	if a.kind == logNone {
		if at < len(p.offsets) && (h.F == Poll || there) {
			p.rank[i] = int32(at) + 1
		}
		return nil
	}
	for _, m := range list {
		if p.offsets[at] != m.offset {
			skipped := p.at[p.offsets[at]]
			return t.about(p, Skipped, i, p.by[skipped], fmt.Sprintf("%s passed over %s, which %s says is at offset %d", t.noun(i), t.values[skipped], t.noun(p.by[skipped]), p.offsets[at]))
		}
		at++
	}
	p.rank[i] = int32(at)
	return nil
}

func (offsetLogs) exact(t *trial) (*conflict, bool) {
	p, c, applies := t.locate()
	if !applies || c != nil {
		return c, applies
	}
	n := len(p.offsets) + 1
	first := make([]int32, n) // rank → of the send and those that found it, the first to return
	last := make([]int32, n)  // rank → of the send and those that did not find it, the last to be called
	for r := range n {
		first[r], last[r] = -1, -1
	}
	for i := range t.acts {
		a, r := &t.acts[i], p.rank[i]
		if r == 0 {
			continue
		}
		if f := first[r]; a.kind != logNone && (f < 0 || a.ret < t.acts[f].ret) {
			first[r] = int32(i)
		}
		if l := last[r]; a.kind != logPoll && (l < 0 || a.call > t.acts[l].call) {
			last[r] = int32(i)
		}
	}
	before := int32(-1) // of what must come before the send of this rank, the act called last
	for r := 1; r < n; r++ {
		if l := last[r]; l >= 0 && (before < 0 || t.acts[l].call > t.acts[before].call) {
			before = l
		}
		if f := first[r]; t.acts[f].ret < t.acts[before].call {
			return t.reversed(p, f, before), true
		}
	}
	return nil, true
}

// reversed is the conflict of two acts: offsets say that early came first, but
// late was over before it began.
func (t *trial) reversed(p *places, late, early int32) *conflict {
	l, e := &t.acts[late], &t.acts[early]
	class, why := Reordered, "has the smaller offset"
	switch {
	case e.kind == logNone:
		class, why = StaleRead, "found nothing"
	case l.kind == logPoll && slices.Contains(l.list, e.value):
		return t.future(late, early, e.value)
	}
	return t.about(p, class, late, early, fmt.Sprintf("%s %s, although %s was over before", t.noun(early), why, t.noun(late)))
}

func (offsetLogs) namesValues() {}

// project keeps the sends of the given values and the polls that found only
// such: messages can be taken out of a log, but not out of what a poll says.
func (offsetLogs) project(acts []act, in []bool) []act {
	var kept []act
	for _, a := range acts {
		switch {
		case a.kind == logSend && !in[a.value]:
		case a.kind == logPoll && slices.ContainsFunc(a.list, func(v int32) bool { return !in[v] }):
		default:
			kept = append(kept, a)
		}
	}
	return kept
}

// logModel has as states how many of the messages whose offsets are known are
// there.
type logModel struct {
	acts       []act
	rank       []int32
	impossible bool
}

func (offsetLogs) pose(t *trial) *search.Problem {
	p, c, applies := t.locate()
	// A send of unknown outcome that nobody saw need not have happened.
	unseen := func(a act) bool { return a.kind == logSend && a.maybe && (p == nil || p.by[a.value] < 0) }
	m := &logModel{impossible: c != nil || !applies}
	for i, a := range t.acts {
		if !unseen(a) {
			m.acts = append(m.acts, a)
			if p != nil {
				m.rank = append(m.rank, p.rank[i])
			}
		}
	}
	t.acts = m.acts
	return t.posed(m, 0)
}

// Step implements search.Model.
func (m *logModel) Step(state, at int32) (int32, bool) {
	if m.impossible {
		return state, false
	}
	r := m.rank[at]
	switch m.acts[at].kind {
	case logPoll:
		return state, state >= r
	case logNone:
		return state, r == 0 || state < r
	}
	if r == 0 { // acknowledged at an offset that nobody knows
		return state, true
	}
	return r, state == r-1
}
