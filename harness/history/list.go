package history

import (
	"cmp"
	"iter"
	"slices"
	"unsafe"
)

// packedMin is the least number of integers that are kept packed. Lists of one
// or two are mostly arguments, such as the [expected new] of a cas, which are
// taken apart again and again.
const packedMin = 3

// List returns a list value. It keeps vs, which must not be changed
// afterwards, unless these are three integers or more: those it copies.
func List(vs ...Value) Value { return ofElements(KindList, vs) }

// Set returns a set of values. It reorders vs, may keep it, and drops what is
// there twice.
func Set(vs ...Value) Value {
	slices.SortFunc(vs, Value.Compare)
	return ofElements(KindSet, slices.CompactFunc(vs, Value.Equal))
}

// ofElements makes a list or a set. That it packs what can be packed, always,
// is what equalElements relies on.
func ofElements(kind ValueKind, vs []Value) Value {
	if len(vs) < packedMin || slices.ContainsFunc(vs, func(v Value) bool { return v.kind != KindInt }) {
		return ofValues(kind, vs)
	}
	ns := make([]int64, len(vs))
	for i := range vs {
		ns[i] = vs[i].n
	}
	return ofInts(kind, ns)
}

func ofValues(kind ValueKind, vs []Value) Value {
	return Value{kind: kind, n: int64(len(vs)), p: unsafe.Pointer(unsafe.SliceData(vs))}
}

func ofInts(kind ValueKind, ns []int64) Value {
	return Value{kind: kind, packed: true, n: int64(len(ns)), p: unsafe.Pointer(unsafe.SliceData(ns))}
}

// values are the elements of a list or set that is not packed, or a flat map.
func (v Value) values() []Value { return unsafe.Slice((*Value)(v.p), v.n) }

// ints are the elements of what is packed.
func (v Value) ints() []int64 { return unsafe.Slice((*int64)(v.p), v.n) }

// IsList reports whether v is a list or a set, which AsList, Len, At, Elements
// and Ints take for the list of its elements in their order.
func (v Value) IsList() bool { return v.kind == KindList || v.kind == KindSet }

// AsList returns the list that v holds, or the elements of the set in their
// order, and whether it holds either. The list must not be changed. Where v
// has three integers or more, it is made anew by each call, with 24 bytes for
// an element: long lists are better read by Ints, At or Elements.
func (v Value) AsList() ([]Value, bool) {
	switch {
	case !v.IsList():
		return nil, false
	case !v.packed:
		return v.values(), true
	}
	vs := make([]Value, v.n)
	for i, n := range v.ints() {
		vs[i] = Int(n)
	}
	return vs, true
}

// Len returns how many elements a list or set has, and 0 of anything else.
func (v Value) Len() int {
	if !v.IsList() {
		return 0
	}
	return int(v.n)
}

// At returns element i of a list or set, counted from 0. It panics if there is
// none.
func (v Value) At(i int) Value {
	switch {
	case !v.IsList():
		panic("history: an element was asked for of a value that is no list")
	case v.packed:
		return Int(v.ints()[i])
	}
	return v.values()[i]
}

// Elements goes through the elements of a list or set with their places, and
// through nothing if v is neither.
func (v Value) Elements() iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		for i := range v.Len() {
			if !yield(i, v.At(i)) {
				return
			}
		}
	}
}

// Ints returns the elements of a list or set in their order as they are kept,
// without a copy, if they are three integers or more. It reports false for
// anything else, also for one or two integers: At reads any list. They must
// not be changed.
func (v Value) Ints() ([]int64, bool) {
	if !v.packed {
		return nil, false
	}
	return v.ints(), true
}

// Begins reports whether the list or set v begins with all elements of the
// list or set w.
func (v Value) Begins(w Value) bool {
	n := w.Len()
	if n == 0 || n > v.Len() {
		return n == 0
	}
	if v.packed && w.packed {
		// As strings, because they are compared faster than integers one by one.
		bytes := n * int(unsafe.Sizeof(int64(0)))
		return unsafe.String((*byte)(v.p), bytes) == unsafe.String((*byte)(w.p), bytes)
	}
	for i := range n {
		if !v.At(i).Equal(w.At(i)) {
			return false
		}
	}
	return true
}

// equalElements compares lists or sets of equal length. One that is packed
// has no equal that is not.
func equalElements(v, w Value) bool { return v.packed == w.packed && v.Begins(w) }

func compareElements(v, w Value) int {
	if v.packed && w.packed {
		return slices.Compare(v.ints(), w.ints())
	}
	for i := range min(v.Len(), w.Len()) {
		if c := v.At(i).Compare(w.At(i)); c != 0 {
			return c
		}
	}
	return cmp.Compare(v.n, w.n)
}

// roomMax bounds the integers that a ListReader keeps room for.
const roomMax = 1 << 16

// ListReader makes lists and sets of elements that come one by one, as they
// are parsed. It keeps the room for integers from one to the next. The zero
// ListReader is ready.
type ListReader struct{ room [][]int64 }

// ListBuilder is a list or set of which not all elements are known yet.
type ListBuilder struct {
	r      *ListReader
	ints   []int64 // the elements, as long as all are integers
	values []Value // all of them, else
	mixed  bool
}

// Begin begins a list or set. Others may begin and end before it does.
func (r *ListReader) Begin() ListBuilder {
	b := ListBuilder{r: r}
	if n := len(r.room); n > 0 {
		b.ints, r.room = r.room[n-1], r.room[:n-1]
	}
	return b
}

// Len returns how many elements there are so far.
func (b *ListBuilder) Len() int { return len(b.ints) + len(b.values) }

// Add adds an element.
func (b *ListBuilder) Add(v Value) {
	if !b.mixed && v.kind == KindInt {
		b.ints = append(b.ints, v.n)
		return
	}
	b.mix()
	b.values = append(b.values, v)
}

// mix turns the integers into values.
func (b *ListBuilder) mix() {
	if b.mixed {
		return
	}
	b.mixed = true
	if len(b.ints) > 0 {
		b.values = make([]Value, len(b.ints), len(b.ints)+packedMin)
		for i, n := range b.ints {
			b.values[i] = Int(n)
		}
	}
	b.end()
}

// end gives the room for integers back.
func (b *ListBuilder) end() {
	if cap(b.ints) > 0 && cap(b.ints) <= roomMax {
		b.r.room = append(b.r.room, b.ints[:0])
	}
	b.ints = nil
}

// List ends the list.
func (b *ListBuilder) List() Value {
	if len(b.ints) < packedMin {
		b.mix()
		return ofElements(KindList, b.values)
	}
	v := ofInts(KindList, slices.Clone(b.ints))
	b.end()
	return v
}

// Set ends the set. What is there twice is there once.
func (b *ListBuilder) Set() Value {
	if b.mixed {
		return Set(b.values...)
	}
	v := setOf(slices.Clone(b.ints))
	b.end()
	return v
}

// setOf makes a set of integers, which it reorders and keeps.
func setOf(ns []int64) Value {
	slices.Sort(ns)
	if ns = slices.Compact(ns); len(ns) >= packedMin {
		return ofInts(KindSet, ns)
	}
	vs := make([]Value, len(ns))
	for i, n := range ns {
		vs[i] = Int(n)
	}
	return ofValues(KindSet, vs)
}
