package linear

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// An answer shows values, and every value comes from somewhere: the beginning,
// or an operation that may have happened and had begun before the answer was
// there. What no such operation can have brought is a violation whatever the
// order is, and needs no search: one would try all orders of all else first.

// trader is rules of objects whose answers show what operations brought in.
type trader interface {
	// brings tells each good that an act brings in, and shows each one that it
	// shows, as often as it does. A good is an element, or a register and its
	// value.
	brings(a *act, yield func(good))
	shows(a *act, yield func(good))
	// takes says that an act that shows a good takes it away.
	takes() bool
	// begins says that a good is there from the beginning.
	begins(t *trial, g good) bool
}

// good is an element, or a register and its value.
type good struct{ register, value int32 }

// goods numbers goods: elements have the numbers of their values.
type goods struct {
	values int32
	more   map[good]int32
}

func (x *goods) number(g good) int32 {
	if g.register == 0 {
		return g.value
	}
	n, known := x.more[g]
	if !known {
		n = x.values + int32(len(x.more))
		x.more[g] = n
	}
	return n
}

// unsupplied finds an answer that shows more of a good than can have been
// brought in by then, in O(n log n). It returns nil if there is none, which
// proves nothing.
func unsupplied(t *trial, r trader) *conflict {
	x := &goods{int32(len(t.values)), map[good]int32{}}
	calls := make([][]int64, x.values) // good → the calls of acts that bring it, rising
	reach := func(n int32) int32 {
		for int(n) >= len(calls) {
			calls = append(calls, nil)
		}
		return n
	}
	for i := range t.acts {
		r.brings(&t.acts[i], func(g good) {
			n := reach(x.number(g))
			calls[n] = append(calls[n], t.acts[i].call)
		})
	}
	order := make([]int32, 0, len(t.acts))
	for i := range t.acts {
		if !t.acts[i].maybe {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(t.acts[a].ret, t.acts[b].ret) })
	shown := make([]int32, len(calls), 2*len(calls))
	var touched []int32
	for _, i := range order {
		for _, n := range touched {
			shown[n] = 0
		}
		touched = touched[:0]
		var lacking *good
		r.shows(&t.acts[i], func(g good) {
			n := reach(x.number(g))
			for len(shown) < len(calls) {
				shown = append(shown, 0)
			}
			if shown[n]++; !r.takes() {
				touched = append(touched, n)
			}
			if lacking != nil || r.begins(t, g) {
				return
			}
			if had, _ := slices.BinarySearch(calls[n], t.acts[i].ret+1); int(shown[n]) > had {
				lacking = &g
			}
		})
		if lacking != nil {
			return t.unbrought(r, i, *lacking)
		}
	}
	return nil
}

// unbrought is the conflict of an act that shows more of a good than can have been
// brought in by then.
func (t *trial) unbrought(r trader, i int32, g good) *conflict {
	c := &conflict{acts: []int32{i}, values: []int32{g.value}}
	if g.register != 0 {
		c.values = []int32{g.register}
	}
	brought, first := 0, int32(-1)
	for j := range t.acts {
		a, brings, shows := &t.acts[j], false, false
		r.brings(a, func(x good) { brings = brings || x == g })
		r.shows(a, func(x good) { shows = shows || x == g })
		switch {
		case brings && a.call <= t.acts[i].ret:
			brought++
			c.acts = append(c.acts, int32(j))
		case brings && first < 0:
			first = int32(j)
		case shows && r.takes() && int32(j) != i && a.ret <= t.acts[i].ret:
			c.acts = append(c.acts, int32(j))
		}
	}
	switch {
	case brought > 0:
		c.class = Duplicate
		c.summary = fmt.Sprintf("%s: that is more often %s than it can have been brought in by then (%s)", t.the(i), t.values[g.value], times(brought))
	case first >= 0:
		return &conflict{class: FutureRead, acts: append(c.acts, first), values: c.values,
			summary: fmt.Sprintf("%s, although %s began only later", t.the(i), t.noun(first))}
	case g.register != 0:
		c.class = ThinAirRead
		c.summary = fmt.Sprintf("%s: nobody had written %s to %s", t.the(i), t.values[g.value], t.values[g.register])
	default:
		return t.fromNowhere(i, g.value)
	}
	return c
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// elements yields the elements of a list as goods.
func elements(list []int32, yield func(good)) {
	for _, v := range list {
		yield(good{value: v})
	}
}

func (sets) brings(a *act, yield func(good)) {
	if a.kind == setAdd {
		yield(good{value: a.value})
	}
}

func (sets) shows(a *act, yield func(good)) {
	if a.kind == setHas {
		yield(good{value: a.value})
	}
	elements(slices.Compact(slices.Clone(a.list)), yield)
}

func (sets) takes() bool               { return false }
func (sets) begins(*trial, good) bool  { return false }
func (lists) takes() bool              { return false }
func (lists) begins(*trial, good) bool { return false }

func (lists) brings(a *act, yield func(good)) {
	if a.kind == listAppend {
		yield(good{value: a.value})
	}
}

func (lists) shows(a *act, yield func(good)) { elements(a.list, yield) }

func (queues) brings(a *act, yield func(good)) {
	if a.kind == queueIn {
		yield(good{value: a.value})
	}
}

func (queues) shows(a *act, yield func(good)) {
	if a.kind == queueOut {
		yield(good{value: a.value})
	}
}

func (queues) takes() bool              { return true }
func (queues) begins(*trial, good) bool { return false }

func (multiRegisters) brings(a *act, yield func(good)) { steps(a, stepWrite, yield) }
func (multiRegisters) shows(a *act, yield func(good)) {
	seen := map[good]bool{} // a register may be read twice
	steps(a, stepRead, func(g good) {
		if !seen[g] {
			seen[g] = true
			yield(g)
		}
	})
}
func (multiRegisters) takes() bool { return false }

func (r multiRegisters) begins(t *trial, g good) bool {
	pairs, ok := r.initial.AsList()
	if !ok {
		return t.values[g.value].Equal(r.initial)
	}
	first := history.Nil
	for _, p := range pairs {
		if kv, ok := p.AsList(); ok && len(kv) == 2 && kv[0].Equal(*t.values[g.register]) {
			first = kv[1]
		}
	}
	return t.values[g.value].Equal(first)
}

// steps yields the steps of one kind as goods.
func steps(a *act, kind int32, yield func(good)) {
	for i := 0; i < len(a.list); i += 3 {
		if a.list[i] == kind {
			yield(good{a.list[i+1], a.list[i+2]})
		}
	}
}

// impossible returns the first operation to return that found a value which
// nothing can have set by then: not the beginning, no write that had begun, no
// cas that had begun and can have found what it expected. It returns -1 if
// there is none, which proves nothing. Operations are in order of call; it
// takes O(n log n).
func impossible(ops []op, initial int32, values int) int {
	since := make([]int64, values) // from when on a value may have been there
	for v := range since {
		since[v] = never
	}
	since[initial] = always
	waiting := map[int32][]int32{} // value → the values of cas that began and expect it
	var appear func(v int32, at int64)
	todo := []int32{}
	appear = func(v int32, at int64) {
		todo = append(todo[:0], v)
		for len(todo) > 0 {
			v := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if since[v] <= at {
				continue
			}
			since[v] = at
			todo = append(todo, waiting[v]...)
			delete(waiting, v)
		}
	}
	for i := range ops {
		switch o := &ops[i]; {
		case o.kind == write, o.kind == cas && since[o.expect] != never:
			appear(o.value, o.call)
		case o.kind == cas:
			waiting[o.expect] = append(waiting[o.expect], o.value)
		}
	}
	first := -1
	for i := range ops {
		o := &ops[i]
		if v, ok := o.observes(); ok && !o.maybe && o.ret < since[v] && (first < 0 || o.ret < ops[first].ret) {
			first = i
		}
	}
	return first
}
