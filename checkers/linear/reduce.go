package linear

import (
	"runtime"
	"slices"
)

// A set of operations is closed if for every value that one of them found,
// all operations that may have set that value are in the set. The operations
// of a closed set, taken out of a linearization of the whole history, are a
// linearization of the set: what set a value last before it was found is
// still there, and nothing came between. So a closed set that cannot be
// linearized proves that the whole history cannot be.
//
// Two more steps keep this true. A cas may be taken for a blind write of its
// new value, which only allows more. And the operations that had begun when
// some event happened are closed in time: those that had not ended by then
// may have any outcome.

// reduced is a set of operations that cannot be linearized.
type reduced struct {
	ops     []op // blind cas appear as writes
	minimal bool // taking any value or operation away makes it legal
}

// renumbered is operations whose values have numbers of their own, so that an
// attempt to make them fewer costs what they are, not what the history is. Nil
// stays number 0.
type renumbered struct {
	ops     []op
	initial int32
	old     []int32 // number → that in the problem
}

func renumber(ops []op, initial int32) renumbered {
	x := renumbered{ops: slices.Clone(ops), old: []int32{0}}
	numbers := map[int32]int32{0: 0}
	number := func(v int32) int32 {
		n, known := numbers[v]
		if !known {
			n = int32(len(x.old))
			numbers[v], x.old = n, append(x.old, v)
		}
		return n
	}
	x.initial = number(initial)
	for i := range x.ops {
		o := &x.ops[i]
		o.value, o.expect = number(o.value), number(o.expect)
	}
	return x
}

// back returns some of the operations with the numbers of the problem.
func (x *renumbered) back(ops []op) []op {
	ops = slices.Clone(ops)
	for i := range ops {
		o := &ops[i]
		o.value, o.expect = x.old[o.value], x.old[o.expect]
	}
	return ops
}

// reducer looks for a small closed set.
type reducer struct {
	budget  *budget
	initial int32
	values  int
	patience
	// cut is set when a search was undecided, or it took too long: the result
	// may not be minimal.
	cut bool
}

// patience bounds how long a small explanation is sought where every attempt
// is quick, but they are many: in operations that are looked at. The time and
// the memory do, too.
type patience struct {
	looked  int
	garbage int64 // bytes that attempts may have left since the last collection
}

// patienceMax is a second or two. Values cost less than operations: they only
// need room in tables.
const (
	patienceMax   = 10_000_000
	valuesPerLook = 64
	valueBytes    = 24 // of tables, for a value
)

// over reports whether there is none left for another attempt.
func (p *patience) over(b *budget) bool {
	return p.looked > patienceMax || b.ctx.Err() != nil
}

// attempt counts an attempt, unless there is no patience left for it. There is
// none after one that the memory does not allow.
func (p *patience) attempt(b *budget, operations, values int) bool {
	need := actBytes*int64(operations) + valueBytes*int64(values)
	if need > b.memory {
		p.looked = patienceMax + 1
	}
	if p.over(b) {
		return false
	}
	if p.garbage += need; p.garbage > b.memory {
		runtime.GC()
		p.garbage = need
	}
	p.looked += operations + values/valuesPerLook
	return true
}

// illegal reports whether ops certainly are.
func (r *reducer) illegal(ops []op) bool {
	if !r.attempt(r.budget, len(ops), r.values) {
		r.cut = true
		return false
	}
	if a, _, applies := decideByZones(prune(slices.Clone(ops), r.values), r.initial, r.values); applies {
		return a == illegal
	}
	if impossible(ops, r.initial, r.values) >= 0 {
		return true
	}
	a := decideBySearch(r.budget, ops, r.initial, r.values)
	if a == undecided {
		r.cut = true
	}
	return a == illegal
}

// reduce returns a small illegal closed subset of ops, which must be closed
// and illegal.
func (r *reducer) reduce(ops []op) reduced {
	for {
		before := len(ops)
		ops = r.dropValues(ops)
		ops = r.dropOperations(ops)
		if len(ops) == before {
			return reduced{ops, !r.cut}
		}
	}
}

// firstIllegalPrefix returns the operations that had begun at the first
// return by which the history was beyond repair, closed again. Stuck is where
// a search got stuck, which usually is that return; 0 if none was made.
func (r *reducer) firstIllegalPrefix(ops []op, stuck int64) []op {
	if stuck != 0 {
		closed := closeOver(ops, prefix(ops, stuck, r.values), r.values)
		if r.illegal(closed) {
			return closed
		}
	}
	if r.over(r.budget) {
		return ops
	}
	end := firstReturn(ops, r.values, r.illegal)
	closed := closeOver(ops, prefix(ops, end, r.values), r.values)
	if !r.illegal(closed) {
		return ops
	}
	return closed
}

// bisectMax is for how many operations the first conflict in time is sought.
// Beyond it any conflict will do, which takes a twentieth of the time.
const bisectMax = 5_000

// firstConflict finds by zones the operations that contradict each other at
// the first return by which the history was beyond repair. The zones must
// apply to p and call it illegal, because of the given conflict.
func firstConflict(p *problem, conflict []int32) []op {
	if len(p.ops) > bisectMax {
		return p.pick(conflict)
	}
	end := firstReturn(p.ops, len(p.values), func(ops []op) bool {
		a, _, _ := decideByZones(ops, p.initial, len(p.values))
		return a == illegal
	})
	known := prefix(p.ops, end, len(p.values))
	_, conflict, _ = decideByZones(known, p.initial, len(p.values))
	part := make([]op, len(conflict))
	for i, at := range conflict {
		part[i] = known[at]
	}
	return closeOver(p.ops, part, len(p.values))
}

// pick returns the operations at the given indices.
func (p *problem) pick(at []int32) []op {
	picked := make([]op, len(at))
	for i, at := range at {
		picked[i] = p.ops[at]
	}
	return picked
}

// firstReturn finds by bisection the first return at whose prefix ops are
// illegal. They must be illegal as a whole.
func firstReturn(ops []op, values int, illegal func([]op) bool) int64 {
	var returns []int64
	for i := range ops {
		if ops[i].ret != never {
			returns = append(returns, ops[i].ret)
		}
	}
	slices.Sort(returns)
	low, high := 0, len(returns)-1 // the answer is in [low, high]
	for low < high {
		mid := (low + high) / 2
		if illegal(prefix(ops, returns[mid], values)) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	if high < 0 {
		return never
	}
	return returns[low]
}

// closeOver returns the operations that are in part, as they are in ops, and
// all that may have set a value which one of those returned found.
func closeOver(ops, part []op, values int) []op {
	in := map[int32]bool{}
	for _, o := range part {
		in[o.source] = true
	}
	found := make([]bool, values)
	var todo []int32 // values whose setters are not in yet
	look := func(o *op) {
		if v, ok := o.observes(); ok && !found[v] {
			found[v] = true
			todo = append(todo, v)
		}
	}
	for i := range ops {
		if in[ops[i].source] {
			look(&ops[i])
		}
	}
	set := settersOf(ops, values, func(o *op) bool { return o.kind != read })
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for at := range set.of(v) {
			if o := &ops[at]; !in[o.source] {
				in[o.source] = true
				look(o)
			}
		}
	}
	var closed []op
	for i := range ops {
		if in[ops[i].source] {
			closed = append(closed, ops[i])
		}
	}
	return closed
}

// prefix returns what was known when the event at index end had happened.
func prefix(ops []op, end int64, values int) []op {
	var kept []op
	for _, o := range ops {
		switch {
		case o.call > end:
			continue
		case o.ret > end && o.kind == read:
			continue
		case o.ret > end:
			o.maybe, o.ret = true, never
		}
		kept = append(kept, o)
	}
	return prune(kept, values)
}

// onValues returns the operations that concern only the given values. A cas
// that found another value than these counts as a blind write.
func onValues(ops []op, in []bool) []op {
	var kept []op
	for _, o := range ops {
		if !in[o.value] {
			continue
		}
		if o.kind == cas && !in[o.expect] {
			o.kind, o.expect = write, 0
		}
		kept = append(kept, o)
	}
	return kept
}

// dropValues removes as many values as it can, in ever smaller groups
// (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing
// Input", TSE 28(2), 2002, in its complement form).
func (r *reducer) dropValues(ops []op) []op {
	in := make([]bool, r.values)
	var kept []int32
	for i := range ops {
		for _, v := range []int32{ops[i].value, ops[i].expect} {
			if !in[v] {
				in[v] = true
				kept = append(kept, v)
			}
		}
	}
	for size := max(1, len(kept)/2); ; size /= 2 {
		for from := 0; from < len(kept) && !r.over(r.budget); {
			group := kept[from:min(from+size, len(kept))]
			set(in, group, false)
			if smaller := onValues(ops, in); len(smaller) < len(ops) && r.illegal(smaller) {
				ops = smaller
				kept = slices.Delete(kept, from, from+len(group))
				continue
			}
			set(in, group, true)
			from += size
		}
		if size <= 1 {
			return ops
		}
	}
}

func set(in []bool, group []int32, to bool) {
	for _, v := range group {
		in[v] = to
	}
}

// dropOperations removes single operations that found something, or whose
// value nobody found, and takes cas for blind writes where that is enough.
func (r *reducer) dropOperations(ops []op) []op {
	for i := len(ops) - 1; i >= 0 && !r.over(r.budget); i-- {
		o := ops[i]
		if o.kind == read || !observed(ops, i) {
			if smaller := slices.Delete(slices.Clone(ops), i, i+1); r.illegal(smaller) {
				ops = smaller
				continue
			}
		}
		if o.kind == cas {
			relaxed := slices.Clone(ops)
			relaxed[i].kind, relaxed[i].expect = write, 0
			if r.illegal(relaxed) {
				ops = relaxed
			}
		}
	}
	return ops
}

// observed reports whether another operation found the value that ops[i] set.
func observed(ops []op, i int) bool {
	for j := range ops {
		if v, ok := ops[j].observes(); ok && j != i && v == ops[i].value {
			return true
		}
	}
	return false
}
