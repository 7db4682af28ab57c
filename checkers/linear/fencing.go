package linear

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers/linear/search"
	"github.com/cleancut/cleancut/harness/history"
)

const (
	fenceAcquire uint8 = iota
	fenceWrite
)

// fences are the rules of a lock service that hands out fencing tokens, and
// of the resource that they protect: acquire returns an integer greater than
// all before; a write with a token, its argument or the first in the list
// that is its argument, is accepted unless a greater one was accepted before.
// Releases, and whatever did not complete, prove nothing. Who held the lock
// when is not judged: leases end unseen.
type fences struct{}

func (fences) functions() []string { return []string{Acquire, Write, Release} }

func (fences) parse(in *interner, h *history.Operation, a *act) (bool, error) {
	if h.Outcome != history.OK || h.F == Release {
		return false, nil
	}
	v := &h.Output
	if h.F == Write {
		a.kind, v = fenceWrite, &h.Input
		if list, ok := v.AsList(); ok && len(list) > 0 {
			v = &list[0]
		}
	}
	if _, ok := v.AsInt(); !ok {
		return false, fmt.Errorf("its token is %s; expected an integer", v)
	}
	a.value = in.id(v)
	return true, nil
}

func (fences) open(a act) (act, bool) { return a, false }

// demandsOnly: tokens must not go backwards, and nothing more.
func (fences) demandsOnly() {}

func (fences) exact(t *trial) (*conflict, bool) {
	for kind := fenceAcquire; kind <= fenceWrite; kind++ {
		var order []int32
		for i := range t.acts {
			if t.acts[i].kind == kind {
				order = append(order, int32(i))
			}
		}
		slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(t.number(&t.acts[a]), t.number(&t.acts[b])) })
		groups := make([]placedAct, len(order))
		group := int32(0)
		for i, at := range order {
			same := i > 0 && t.acts[order[i-1]].value == t.acts[at].value
			if same && kind == fenceAcquire {
				return &conflict{class: Duplicate, acts: []int32{order[i-1], at}, values: []int32{t.acts[at].value},
					summary: fmt.Sprintf("%s, and so did %s", t.the(order[i-1]), t.the(at))}, true
			}
			if !same {
				group++
			}
			groups[i] = placedAct{at, group}
		}
		late, early, found := backwards(t.acts, groups, int(group)+1)
		if found {
			return &conflict{class: OldToken, acts: []int32{late, early}, values: []int32{t.acts[late].value, t.acts[early].value},
				summary: fmt.Sprintf("%s, although %s was over before with a greater token", t.the(early), t.noun(late))}, true
		}
	}
	return nil, true
}

func (fences) namesValues() {}

func (fences) project(acts []act, in []bool) []act {
	return slices.DeleteFunc(slices.Clone(acts), func(a act) bool { return !in[a.value] })
}

// fenceModel has as states the last token that was handed out and the
// greatest that was accepted.
type fenceModel struct {
	table[[2]int64]
	acts    []act
	numbers []int64 // act → token
}

func (fences) pose(t *trial) *search.Problem {
	m := &fenceModel{acts: t.acts, numbers: t.numbers()}
	const lowest = -1 << 63
	return t.posed(m, m.id([2]int64{lowest, lowest}, 0))
}

// Step implements search.Model.
func (m *fenceModel) Step(state, at int32) (int32, bool) {
	a := &m.acts[at]
	now, token := m.keys[state], m.numbers[at]
	next := [2]int64{token, now[1]}
	if a.kind == fenceWrite {
		next = [2]int64{now[0], token}
	}
	if next[0] < now[0] || next[1] < now[1] || a.kind == fenceAcquire && token == now[0] {
		return state, false
	}
	if to, ok := m.known(state, at); ok {
		return to, true
	}
	return m.leads(state, at, next, 0), true
}
