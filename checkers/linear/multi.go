package linear

import (
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers/linear/search"
	"github.com/cleancut/cleancut/harness/history"
)

// Txn is the only function on several registers: its argument is a list of
// [f register value], where f is "read" or "r", or "write" or "w", which take
// effect at once and in this order; its result is the same list with the
// values that were read.
const Txn = "txn"

// multiRegisters are the rules of several registers that are read and written
// together. They are decided by search.
type multiRegisters struct {
	initial  history.Value
	nilReads bool
}

// A list of an act has three numbers for each step.
const (
	stepRead int32 = iota
	stepWrite
)

func (multiRegisters) functions() []string { return []string{Txn} }

func (r multiRegisters) parse(in *interner, h *history.Operation, a *act) (bool, error) {
	v := h.Input
	if h.Outcome == history.OK {
		v = h.Output
	}
	steps, ok := v.AsList()
	if !ok {
		return false, fmt.Errorf("its value is %s; expected a list of [f register value]", v)
	}
	a.list, a.pure = []int32{}, true
	for _, s := range steps {
		parts, _ := s.AsList()
		if len(parts) != 3 {
			return false, fmt.Errorf("its step %s is not [f register value]", s)
		}
		switch f, _ := parts[0].AsString(); f {
		case "read", "r":
			if h.Outcome == history.OK && !(r.nilReads && parts[2].IsNil()) {
				a.list = append(a.list, stepRead, in.id(&parts[1]), in.id(&parts[2]))
			}
		case "write", "w":
			a.list, a.pure = append(a.list, stepWrite, in.id(&parts[1]), in.id(&parts[2])), false
		default:
			return false, fmt.Errorf("its step %s has the function %s; expected read or write", s, parts[0])
		}
	}
	return len(a.list) > 0 && h.Outcome != history.Fail, nil
}

func (multiRegisters) open(a act) (act, bool) {
	var writes []int32
	for i := 0; i < len(a.list); i += 3 {
		if a.list[i] == stepWrite {
			writes = append(writes, a.list[i:i+3]...)
		}
	}
	a.list = writes
	return a, len(writes) > 0
}

func (multiRegisters) exact(*trial) (*conflict, bool) { return nil, false }

// project keeps what concerns the given registers.
func (multiRegisters) project(acts []act, in []bool) []act {
	var kept []act
	for _, a := range acts {
		list := make([]int32, 0, len(a.list))
		pure := true
		for i := 0; i < len(a.list); i += 3 {
			if in[a.list[i+1]] {
				list = append(list, a.list[i:i+3]...)
				pure = pure && a.list[i] == stepRead
			}
		}
		if a.list, a.pure = list, pure; len(list) > 0 && !(pure && a.maybe) {
			kept = append(kept, a)
		}
	}
	return kept
}

// multiModel has the values of all registers as states, four bytes each.
type multiModel struct {
	table[string]
	acts []act
	slot []int32 // id of a register → its place in a state
	now  []byte
}

func (r multiRegisters) pose(t *trial) *search.Problem {
	t.acts = slices.Clone(t.acts)
	type setting struct{ register, value int32 }
	read := map[setting]bool{}
	slot := make([]int32, len(t.values))
	n := int32(0)
	for i := range t.acts {
		list := t.acts[i].list
		for j := 0; j < len(list); j += 3 {
			if list[j] == stepRead {
				read[setting{list[j+1], list[j+2]}] = true
			}
			if slot[list[j+1]] == 0 {
				n++
				slot[list[j+1]] = n
			}
		}
	}
	// What wrote only values that nobody read, and may not have happened,
	// need not have: see prune.
	t.acts = slices.DeleteFunc(t.acts, func(a act) bool {
		for j := 0; j < len(a.list); j += 3 {
			if !a.maybe || read[setting{a.list[j+1], a.list[j+2]}] {
				return false
			}
		}
		return true
	})
	m := &multiModel{acts: t.acts, slot: slot, now: make([]byte, 4*(n+1))}
	r.start(t, m)
	return t.posed(m, m.id(string(m.now), len(m.now)))
}

// start sets the initial values: those of a list of [register value], or the
// same for all.
func (r multiRegisters) start(t *trial, m *multiModel) {
	ids := map[string]int32{}
	for id, v := range t.values {
		ids[v.String()] = int32(id)
	}
	id := func(v history.Value) int32 {
		if id, ok := ids[v.String()]; ok {
			return id
		}
		return int32(len(t.values)) // a value that nobody reads or writes
	}
	pairs, ok := r.initial.AsList()
	if !ok {
		for _, at := range m.slot {
			m.put(at, id(r.initial))
		}
	}
	for _, p := range pairs {
		if kv, ok := p.AsList(); ok && len(kv) == 2 {
			if at, ok := ids[kv[0].String()]; ok {
				m.put(m.slot[at], id(kv[1]))
			}
		}
	}
}

func (m *multiModel) put(at, v int32) {
	m.now[4*at], m.now[4*at+1], m.now[4*at+2], m.now[4*at+3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}

func (m *multiModel) get(at int32) int32 {
	b := m.now[4*at : 4*at+4]
	return int32(b[0]) | int32(b[1])<<8 | int32(b[2])<<16 | int32(b[3])<<24
}

// Step implements search.Model.
func (m *multiModel) Step(state, at int32) (int32, bool) {
	if to, ok := m.known(state, at); ok {
		return to, true
	}
	list := m.acts[at].list
	copy(m.now, m.keys[state])
	for i := 0; i < len(list); i += 3 {
		if list[i] == stepWrite {
			m.put(m.slot[list[i+1]], list[i+2])
		} else if m.get(m.slot[list[i+1]]) != list[i+2] {
			return state, false
		}
	}
	if m.acts[at].pure {
		return state, true
	}
	return m.leads(state, at, string(m.now), len(m.now)), true
}
