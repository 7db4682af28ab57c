package linear

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers/linear/search"
	"github.com/cleancut/cleancut/harness/history"
)

// Functions of a mutex, a semaphore, and a lock with fencing tokens.
const (
	Acquire = "acquire"
	Release = "release"
)

const (
	semaphoreTake uint8 = iota
	semaphoreGive
)

// semaphores are the rules of a semaphore with a number of permits; a mutex
// has one. Anyone may give back a permit that someone took, as in Knossos's
// mutex. The exact algorithm needs processes that give back only what they
// took themselves: then holding times, from the end of the acquire to the
// beginning of the release, are all that counts. An acquire of unknown
// outcome by a process that never releases need not have happened.
type semaphores struct{ permits int64 }

func (semaphores) functions() []string { return []string{Acquire, Release} }

func (s semaphores) parse(_ *interner, h *history.Operation, a *act) (bool, error) {
	if several(h.Input, s.permits) {
		return false, fmt.Errorf("its argument is %s; permits are taken and given back one at a time", h.Input)
	}
	if h.F == Release {
		a.kind = semaphoreGive
	}
	return h.Outcome != history.Fail, nil
}

// several reports whether an argument is a number of permits other than one. A
// mutex has no numbers: its arguments may name who holds it.
func several(v history.Value, permits int64) bool {
	n, counted := v.AsInt()
	return counted && n != 1 && permits > 1
}

func (semaphores) open(a act) (act, bool) { return a, true }

// sessions numbers the permits that processes took, as values of the acts. It
// reports false if a process gives back what it did not take.
func (semaphores) sessions(t *trial) bool {
	holds := map[int][]int32{} // process → sessions
	n := int32(0)
	for i := range t.acts {
		a := &t.acts[i]
		p := t.all[a.source].Process
		if a.kind == semaphoreTake {
			a.value = n
			n++
			if !a.maybe {
				holds[p] = append(holds[p], a.value)
			}
			continue
		}
		held := holds[p]
		if len(held) == 0 {
			return false
		}
		a.value, holds[p] = held[0], held[1:]
	}
	t.values = slices.Repeat([]*history.Value{&null}, max(1, int(n)))
	return true
}

func (s semaphores) exact(t *trial) (*conflict, bool) {
	if !s.sessions(t) {
		return nil, false
	}
	acts := t.acts
	order := make([]int32, 0, len(acts))
	for i := range acts {
		if acts[i].kind == semaphoreGive || !acts[i].maybe {
			order = append(order, int32(i))
		}
	}
	when := func(i int32) int64 {
		if acts[i].kind == semaphoreTake {
			return acts[i].ret
		}
		return acts[i].call
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(when(a), when(b)) })
	held := int64(0)
	for at, i := range order {
		if acts[i].kind == semaphoreGive {
			held--
			continue
		}
		if held++; held > s.permits {
			return s.overlap(t, order[:at+1]), true
		}
	}
	return nil, true
}

// overlap reports the holders at the end of order.
func (s semaphores) overlap(t *trial, order []int32) *conflict {
	holding := map[int32]int32{}
	for _, i := range order {
		if t.acts[i].kind == semaphoreTake {
			holding[t.acts[i].value] = i
		} else {
			delete(holding, t.acts[i].value)
		}
	}
	c := &conflict{class: TooManyHolders}
	for v, i := range holding {
		c.values, c.acts = append(c.values, v), append(c.acts, i)
	}
	slices.Sort(c.values)
	slices.Sort(c.acts)
	last := order[len(order)-1]
	others := fmt.Sprintf("%d others held one", s.permits)
	if s.permits == 1 {
		first := c.acts[0]
		if first == last {
			first = c.acts[1]
		}
		others = t.the(first) + " had succeeded and it was not released before"
	}
	c.summary = fmt.Sprintf("%s succeeded, although %s", t.the(last), others)
	return c
}

func (semaphores) project(acts []act, in []bool) []act {
	if len(in) < 2 { // sessions are not known
		return nil
	}
	return slices.DeleteFunc(slices.Clone(acts), func(a act) bool { return !in[a.value] })
}

// renewed implements renewing. How many permits are free when nothing is open
// follows from how many were taken and given back.
func (semaphores) renewed(acts []act) int {
	open, balance, last := int64(-1), 0, 0
	for i := range acts {
		a := &acts[i]
		if i > 0 && open < a.call && balance == 0 {
			last = i
		}
		if a.maybe { // nobody knows from here on
			return last
		}
		if open = max(open, a.ret); a.kind == semaphoreTake {
			balance++
		} else {
			balance--
		}
	}
	return last
}

// describe implements describing: more was given back than had been taken.
func (semaphores) describe(t *trial) *conflict {
	for i := range t.acts {
		if a := &t.acts[i]; a.kind == semaphoreGive && !a.maybe {
			taken, given := 0, 0
			for k := range t.acts {
				switch b := &t.acts[k]; {
				case b.kind == semaphoreTake && b.call < a.ret:
					taken++
				case b.kind == semaphoreGive && b.ret <= a.ret:
					given++
				}
			}
			if given > taken {
				return &conflict{class: UnheldRelease, summary: fmt.Sprintf("%s succeeded, although more was released by then than had been acquired", t.the(int32(i)))}
			}
		}
	}
	return nil
}

type semaphoreModel struct {
	acts    []act
	permits int32
}

func (s semaphores) pose(t *trial) *search.Problem {
	t.acts = slices.Clone(t.acts)
	for i := range t.acts {
		t.acts[i].value = 0 // all permits are alike
	}
	return t.posed(&semaphoreModel{t.acts, int32(s.permits)}, int32(s.permits))
}

// Step implements search.Model. States are free permits.
func (m *semaphoreModel) Step(state, at int32) (int32, bool) {
	if m.acts[at].kind == semaphoreTake {
		return state - 1, state > 0
	}
	return state + 1, state < m.permits
}
