package linear

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers/linear/search"
	"github.com/cleancut/cleancut/harness/history"
)

// Functions of a set. To add what is there already, or to remove what is not,
// has no effect. Read returns the list of all elements, in any order, nil if
// there are none; contains returns a boolean.
const (
	Add      = "add"
	Remove   = "remove"
	Contains = "contains"
)

const (
	setAdd uint8 = iota
	setRemove
	setRead
	setHas    // contains was true
	setHasNot // contains was false
)

// sets are the rules of a set. Without whole reads every element is judged
// alone. The exact algorithms put operations into groups that observations
// order. They need a set that only grows and is only read whole, in which
// every element is added once; or elements that are added and removed at most
// once each, and no whole reads.
type sets struct{}

func (sets) functions() []string { return []string{Add, Remove, Contains, Read} }

func (sets) parse(in *interner, h *history.Operation, a *act) (bool, error) {
	switch h.F {
	case Add:
		a.value = in.id(&h.Input)
		return true, nil
	case Remove:
		a.kind, a.value = setRemove, in.id(&h.Input)
		return h.Outcome != history.Fail, nil
	}
	a.pure = true
	if h.Outcome != history.OK {
		return false, nil
	}
	if h.F == Contains {
		has, ok := h.Output.AsBool()
		if !ok {
			return false, fmt.Errorf("it returned %s; expected true or false", h.Output)
		}
		if a.kind, a.value = setHasNot, in.id(&h.Input); has {
			a.kind = setHas
		}
		return true, nil
	}
	a.kind = setRead
	list, err := in.list(&h.Output)
	a.list = slices.Clone(list)
	slices.Sort(a.list) // what is in it twice stays: no set has it so
	return true, err
}

func (sets) split(all []history.Operation, p part) []part {
	for _, at := range p.at {
		if f := all[at].F; f != Add && f != Remove && f != Contains {
			return []part{p}
		}
	}
	in := newInterner(len(p.at))
	of := make([]int32, len(p.at))
	var count []int32
	for i, at := range p.at {
		of[i] = in.id(&all[at].Input)
		for int(of[i]) >= len(count) {
			count = append(count, 0)
		}
		count[of[i]]++
	}
	parts := make([]part, len(count))
	slab := make([]int32, len(p.at))
	for id, n := range count {
		parts[id] = part{key: p.key, element: in.values[id].String(), at: slab[:0:n]}
		slab = slab[n:]
	}
	for i, at := range p.at {
		to := &parts[of[i]]
		to.at = append(to.at, at)
		to.extra += extra(&all[at])
	}
	return slices.DeleteFunc(parts, func(p part) bool { return len(p.at) == 0 })
}

func (sets) open(a act) (act, bool) { return a, true }

func (s sets) exact(t *trial) (*conflict, bool) {
	adds, removes := make([]int8, len(t.values)), make([]int8, len(t.values))
	for i := range t.acts {
		if v, twice := repeated(t.acts[i].list); twice {
			return t.repeats(int32(i), v), true
		}
	}
	var reads, asks, removed bool
	for i := range t.acts {
		switch a := &t.acts[i]; a.kind {
		case setAdd:
			if adds[a.value]++; adds[a.value] > 1 {
				return nil, false
			}
		case setRemove:
			removed = true
			if removes[a.value]++; removes[a.value] > 1 {
				return nil, false
			}
		case setRead:
			reads = true
		default:
			asks = true
		}
	}
	switch {
	case !removed && !asks:
		return s.growOnly(t), true
	case t.part.element != "" && !reads:
		return s.member(t), true
	}
	return nil, false
}

// repeated returns an element that a sorted list has more than once.
func repeated(list []int32) (v int32, found bool) {
	for i := 1; i < len(list); i++ {
		if list[i] == list[i-1] {
			return list[i], true
		}
	}
	return 0, false
}

// repeats is the conflict of a read that has an element more than once.
func (t *trial) repeats(r, v int32) *conflict {
	return &conflict{class: Duplicate, acts: []int32{r}, values: []int32{v},
		summary: fmt.Sprintf("%s, and so has %s more than once: a set has an element once or not at all", t.the(r), t.values[v])}
}

// growOnly decides a set that only grows. The smallest read that has an
// element tells where the element belongs.
func (sets) growOnly(t *trial) *conflict {
	var reads []int32
	writer := make([]int32, len(t.values))
	for v := range writer {
		writer[v] = -1
	}
	for i := range t.acts {
		if t.acts[i].kind == setRead {
			reads = append(reads, int32(i))
		} else {
			writer[t.acts[i].value] = int32(i)
		}
	}
	slices.SortStableFunc(reads, func(a, b int32) int { return cmp.Compare(len(t.acts[a].list), len(t.acts[b].list)) })
	level := make([]int32, len(t.values)) // 0 if no read has it
	var top int32
	groups := make([]placedAct, 0, len(t.acts))
	seen := 0
	for at, r := range reads {
		list := t.acts[r].list
		if at == 0 || len(list) > len(t.acts[reads[at-1]].list) {
			top++
		}
		for _, v := range list {
			if writer[v] < 0 {
				return t.fromNowhere(r, v)
			}
			if level[v] == 0 {
				level[v], seen = top, seen+1
			}
		}
		if seen != len(list) {
			return t.incomparable(r, reads[:at])
		}
		groups = append(groups, placedAct{r, 2*top + 1})
	}
	for i := range t.acts {
		a := &t.acts[i]
		switch {
		case a.kind != setAdd || a.maybe && level[a.value] == 0:
		case level[a.value] == 0: // after all reads, none of which has it
			groups = append(groups, placedAct{int32(i), 2*top + 2})
		default:
			groups = append(groups, placedAct{int32(i), 2 * level[a.value]})
		}
	}
	late, early, found := backwards(t.acts, groups, int(2*top+3))
	if !found {
		return nil
	}
	return t.outOfOrder(late, early, reads)
}

// incomparable reports r and one of the reads that are not greater: each has
// an element that the other lacks.
func (t *trial) incomparable(r int32, others []int32) *conflict {
	for _, other := range slices.Backward(others) {
		x, y := lacks(t.acts[other].list, t.acts[r].list), lacks(t.acts[r].list, t.acts[other].list)
		if x >= 0 && y >= 0 {
			return &conflict{
				class: Incomparable, acts: []int32{other, r}, values: []int32{x, y},
				summary: fmt.Sprintf("%s has %s and not %s, but %s has %s and not %s: neither can come first",
					t.noun(other), t.values[x], t.values[y], t.noun(r), t.values[y], t.values[x]),
			}
		}
	}
	panic("linear: reads of a growing set that are not subsets of each other were not found again")
}

// lacks returns an element of sorted list a that b lacks, -1 if there is none.
func lacks(a, b []int32) int32 {
	j := 0
	for _, v := range a {
		for j < len(b) && b[j] < v {
			j++
		}
		if j == len(b) || b[j] != v {
			return v
		}
	}
	return -1
}

// member decides a single element that is added and removed at most once. If
// one of three stories fits, it is legal: the remove never happened, or it
// came before the add and had no effect, or it came after the add.
func (sets) member(t *trial) *conflict {
	var adder, remover int32 = -1, -1
	seen := int32(-1)
	for i := range t.acts {
		switch t.acts[i].kind {
		case setAdd:
			adder = int32(i)
		case setRemove:
			remover = int32(i)
		case setHas:
			seen = int32(i)
		}
	}
	switch {
	case seen >= 0 && adder < 0:
		return t.fromNowhere(seen, t.acts[seen].value)
	case seen < 0 && (adder < 0 || t.acts[adder].maybe):
		return nil
	}
	c := &conflict{acts: []int32{adder}, values: []int32{t.acts[adder].value}}
	for _, removal := range []int32{0, 1, 4} { // group of the remove: none, before, after
		switch {
		case removal == 0 && remover >= 0 && !t.acts[remover].maybe, removal > 0 && remover < 0:
			continue
		}
		groups, proof := t.story(removal, remover)
		late, early, found := backwards(t.acts, groups, 6)
		if !found {
			return nil
		}
		c.acts = append(c.acts, late, early, proof)
		if remover >= 0 {
			c.acts = append(c.acts, remover)
		}
		c.class, c.summary = StaleRead, fmt.Sprintf("%s contradicts %s, which was over before: element %s cannot have come and gone so", t.noun(early), t.noun(late), t.values[c.values[0]])
	}
	return c
}

// story puts the acts on an element into groups: absent, a remove without
// effect among them, add, present, remove, absent. It returns also the first
// to return of those that show that the element was there.
func (t *trial) story(removal, remover int32) (groups []placedAct, proof int32) {
	proof = -1
	for i := range t.acts {
		a := &t.acts[i]
		if (a.kind == setAdd || a.kind == setHas || int32(i) == remover && removal == 4) && (proof < 0 || a.ret < t.acts[proof].ret) {
			proof = int32(i)
		}
	}
	for i := range t.acts {
		a := &t.acts[i]
		group := map[uint8]int32{setAdd: 2, setHas: 3, setRemove: removal, setHasNot: 1}[a.kind]
		if a.kind == setHasNot && a.call > t.acts[proof].ret && removal == 4 {
			group = 5
		}
		if group > 0 {
			groups = append(groups, placedAct{int32(i), group})
		}
	}
	return groups, proof
}

func (sets) namesValues() {}

func (sets) project(acts []act, in []bool) []act { return projectLists(acts, in) }

// projectLists keeps what concerns the given elements, and all lists,
// shortened to them.
func projectLists(acts []act, in []bool) []act {
	var kept []act
	for _, a := range acts {
		if a.list == nil && !in[a.value] {
			continue
		}
		if a.list != nil {
			short := make([]int32, 0, 4)
			for _, v := range a.list {
				if in[v] {
					short = append(short, v)
				}
			}
			a.list = short
		}
		kept = append(kept, a)
	}
	return kept
}

// setModel has sets of elements as states: a bit for each.
type setModel struct {
	table[string]
	acts  []act
	reads []int32 // act → the state that it saw
	words []byte
}

// noState is what no set is.
const noState = -1

func (sets) pose(t *trial) *search.Problem {
	seen := make([]bool, len(t.values))
	for i := range t.acts {
		if a := &t.acts[i]; a.kind == setHas {
			seen[a.value] = true
		}
		for _, v := range t.acts[i].list {
			seen[v] = true
		}
	}
	// An add of unknown outcome that nobody saw need not have happened.
	t.acts = slices.DeleteFunc(slices.Clone(t.acts), func(a act) bool { return a.maybe && a.kind == setAdd && !seen[a.value] })
	m := &setModel{acts: t.acts, reads: make([]int32, len(t.acts)), words: make([]byte, (len(t.values)+7)/8)}
	for i := range t.acts {
		if t.acts[i].kind == setRead {
			clear(m.words)
			for _, v := range t.acts[i].list {
				m.words[v/8] |= 1 << (v % 8)
			}
			m.reads[i] = m.id(string(m.words), len(m.words))
			if _, twice := repeated(t.acts[i].list); twice {
				m.reads[i] = noState
			}
		}
	}
	clear(m.words)
	return t.posed(m, m.id(string(m.words), len(m.words)))
}

// Step implements search.Model.
func (m *setModel) Step(state, at int32) (int32, bool) {
	a := &m.acts[at]
	if a.kind == setRead {
		return state, state == m.reads[at]
	}
	now := m.keys[state]
	has := now[a.value/8]>>(a.value%8)&1 == 1
	switch a.kind {
	case setHas:
		return state, has
	case setHasNot:
		return state, !has
	}
	if has == (a.kind == setAdd) {
		return state, true
	}
	if to, ok := m.known(state, at); ok {
		return to, true
	}
	copy(m.words, now)
	m.words[a.value/8] ^= 1 << (a.value % 8)
	return m.leads(state, at, string(m.words), len(m.words)), true
}
