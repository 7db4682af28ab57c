package linear

import (
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers/linear/search"
	"github.com/cleancut/cleancut/harness/history"
)

// Append adds its argument to the end of a list or log; read returns the
// whole list, nil if it is empty.
const Append = "append"

const (
	listAppend uint8 = iota
	listRead
)

// lists are the rules of an append-only list. The exact algorithm needs
// elements that are appended once: the longest read tells the order.
type lists struct{}

func (lists) functions() []string { return []string{Append, Read} }

func (lists) parse(in *interner, h *history.Operation, a *act) (bool, error) {
	if h.F == Append {
		a.value = in.id(&h.Input)
		return true, nil
	}
	a.kind, a.pure = listRead, true
	if h.Outcome != history.OK {
		return false, nil
	}
	if h.Output.Kind() == history.KindSet {
		return false, fmt.Errorf("it returned the set %s, which has no order; expected a list", h.Output)
	}
	var err error
	a.list, err = in.list(&h.Output)
	return true, err
}

func (lists) open(a act) (act, bool) { return a, true }

func (lists) exact(t *trial) (*conflict, bool) {
	writer := make([]int32, len(t.values))
	for v := range writer {
		writer[v] = -1
	}
	longest := int32(-1)
	var reads []int32
	for i := range t.acts {
		a := &t.acts[i]
		switch {
		case a.kind == listRead:
			reads = append(reads, int32(i))
			if longest < 0 || len(a.list) > len(t.acts[longest].list) {
				longest = int32(i)
			}
		case writer[a.value] >= 0:
			return nil, false
		default:
			writer[a.value] = int32(i)
		}
	}
	position := make([]int32, len(t.values)) // from 1; 0 if nobody saw it
	var order []int32
	if longest >= 0 {
		order = t.acts[longest].list
	}
	for i, v := range order {
		if position[v] != 0 {
			return t.twice(longest, v), true
		}
		position[v] = int32(i) + 1
	}
	groups := make([]placedAct, 0, len(t.acts))
	for _, r := range reads {
		list := t.acts[r].list
		if n := len(list); n > 0 && &list[0] != &order[0] && !slices.Equal(list, order[:n]) {
			return t.fork(r, longest, writer), true
		}
		groups = append(groups, placedAct{r, int32(2 * len(list))})
	}
	for i, v := range order {
		if writer[v] < 0 {
			return t.fromNowhere(longest, v), true
		}
		groups = append(groups, placedAct{writer[v], int32(2*i + 1)})
	}
	for v, w := range writer {
		if w >= 0 && position[v] == 0 && !t.acts[w].maybe {
			groups = append(groups, placedAct{w, int32(2*len(order) + 1)})
		}
	}
	late, early, found := backwards(t.acts, groups, 2*len(order)+2)
	if !found {
		return nil, true
	}
	return t.outOfOrder(late, early, []int32{longest}), true
}

// twice reports a read that has v more than once.
func (t *trial) twice(r, v int32) *conflict {
	return &conflict{
		class: Duplicate, acts: []int32{r}, values: []int32{v},
		summary: fmt.Sprintf("%s has %s more than once, although it was appended once", t.noun(r), t.values[v]),
	}
}

// fork reports a read that is no prefix of the longest one.
func (t *trial) fork(r, longest int32, writer []int32) *conflict {
	list, order := t.acts[r].list, t.acts[longest].list
	seen := make([]bool, len(t.values))
	for i, v := range list {
		switch {
		case writer[v] < 0:
			return t.fromNowhere(r, v)
		case seen[v]:
			return t.twice(r, v)
		case v != order[i]:
			return &conflict{
				class: Incomparable, acts: []int32{r, longest}, values: []int32{v, order[i]},
				summary: fmt.Sprintf("%s has %s in place %d, but %s has %s there: neither is the beginning of the other",
					t.noun(r), t.values[v], i+1, t.noun(longest), t.values[order[i]]),
			}
		}
		seen[v] = true
	}
	panic("linear: a read that is no prefix of the longest was found to be one")
}

func (lists) namesValues() {}

func (lists) project(acts []act, in []bool) []act { return projectLists(acts, in) }

// listModel has lists as states: nodes of the tree of all prefixes of what was
// read, and one for all lists that no read has seen the beginning of: whatever
// is appended to them, none will.
type listModel struct {
	acts  []act
	reads []int32 // act → the state that it saw
	nodes map[[2]int32]int32
	next  []int32 // node → the child that was asked for last, and its element
}

// listUnread is the state of lists that are no prefix of a read.
const listUnread = -1

func (lists) pose(t *trial) *search.Problem {
	seen := make([]bool, len(t.values))
	for i := range t.acts {
		for _, v := range t.acts[i].list {
			seen[v] = true
		}
	}
	t.acts = slices.DeleteFunc(slices.Clone(t.acts), func(a act) bool { return a.maybe && !seen[a.value] })
	m := &listModel{acts: t.acts, reads: make([]int32, len(t.acts)), nodes: map[[2]int32]int32{}, next: []int32{0, 0}}
	for i := range t.acts {
		if t.acts[i].kind == listRead {
			at := int32(0)
			for _, v := range t.acts[i].list {
				at = m.child(at, v)
			}
			m.reads[i] = at
		}
	}
	return t.posed(m, 0)
}

// child returns the node of a list with one more element, which it adds to the
// tree.
func (m *listModel) child(at, v int32) int32 {
	if m.next[2*at] != 0 && m.next[2*at+1] == v {
		return m.next[2*at]
	}
	to, ok := m.nodes[[2]int32{at, v}]
	if !ok {
		to = int32(len(m.next) / 2)
		m.nodes[[2]int32{at, v}] = to
		m.next = append(m.next, 0, 0)
	}
	m.next[2*at], m.next[2*at+1] = to, v
	return to
}

// Step implements search.Model.
func (m *listModel) Step(state, at int32) (int32, bool) {
	a := &m.acts[at]
	if a.kind != listAppend {
		return state, m.reads[at] == state
	}
	if state == listUnread {
		return state, true
	}
	if m.next[2*state] != 0 && m.next[2*state+1] == a.value {
		return m.next[2*state], true
	}
	if to, ok := m.nodes[[2]int32{state, a.value}]; ok {
		return to, true
	}
	return listUnread, true
}

// Bytes implements search.Sizer.
func (m *listModel) Bytes() int64 { return 64 * int64(len(m.next)/2) }
