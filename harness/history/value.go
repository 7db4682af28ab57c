package history

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"unsafe"
)

// ValueKind tells the forms of a Value apart.
type ValueKind uint8

// The forms of a Value.
const (
	KindNil ValueKind = iota
	KindBool
	KindInt
	KindString
	KindList
	// KindKeyword, KindFloat, KindSet and KindMap come from histories of other
	// tools (package edn); cleancut's own clients do not make them.
	KindKeyword
	KindFloat
	KindSet
	KindMap
)

// Value is an argument or a result of an operation: nil, a boolean, an
// integer, a finite float, a string, a keyword, a list, a set or a map. It is
// immutable and prints, encodes and compares by content. The zero Value is
// nil.
//
// A history is mostly values, and checkers read all of them, far apart: so a
// value is three words and not the seven of a struct with a string and a slice,
// and a list or set of three integers or more is kept as integers of eight
// bytes, not as values of 24. Which of two equal values was made how makes no
// difference; see Ints.
type Value struct {
	_      [0]func() // two values are not to be compared by ==
	kind   ValueKind
	packed bool           // the elements are integers, and p points to them as such
	n      int64          // boolean, integer, or the bits of a float; else the length
	p      unsafe.Pointer // the bytes of a string or keyword, the elements of what has some
}

// text is the string or keyword.
func (v Value) text() string {
	if v.kind != KindString && v.kind != KindKeyword {
		return ""
	}
	return unsafe.String((*byte)(v.p), v.n)
}

// flat is the map as key, value, key, value in order of keys.
func (v Value) flat() []Value {
	if v.kind != KindMap {
		return nil
	}
	return v.values()
}

func ofText(kind ValueKind, s string) Value {
	return Value{kind: kind, n: int64(len(s)), p: unsafe.Pointer(unsafe.StringData(s))}
}

// Nil is the absent value, what a read of a key that was never written
// returns.
var Nil = Value{}

// Bool returns a boolean value.
func Bool(b bool) Value {
	if b {
		return Value{kind: KindBool, n: 1}
	}
	return Value{kind: KindBool}
}

// Int returns an integer value.
func Int(n int64) Value { return Value{kind: KindInt, n: n} }

// String returns a string value. Bytes that are not UTF-8 become U+FFFD, so
// that every value survives being written and read.
func String(s string) Value {
	return ofText(KindString, strings.ToValidUTF8(s, "\uFFFD"))
}

// Keyword returns a keyword, an identifier as in Clojure; name is without the
// colon.
func Keyword(name string) Value {
	return ofText(KindKeyword, strings.ToValidUTF8(name, "\uFFFD"))
}

// Float returns a floating-point value. It reports false for what is not a
// number and for infinities, which have no form in JSON. Negative zero is
// zero.
func Float(x float64) (Value, bool) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return Nil, false
	}
	return Value{kind: KindFloat, n: int64(math.Float64bits(x + 0))}, true
}

// Pair is an entry of a map.
type Pair struct{ Key, Value Value }

// Map returns a map. It reports false if a key is there twice.
func Map(pairs ...Pair) (Value, bool) {
	pairs = slices.Clone(pairs)
	slices.SortFunc(pairs, func(a, b Pair) int { return a.Key.Compare(b.Key) })
	flat := make([]Value, 0, 2*len(pairs))
	for i, p := range pairs {
		if i > 0 && p.Key.Equal(pairs[i-1].Key) {
			return Nil, false
		}
		flat = append(flat, p.Key, p.Value)
	}
	return ofValues(KindMap, flat), true
}

// Kind returns the form of v.
func (v Value) Kind() ValueKind { return v.kind }

// IsNil reports whether v is the absent value.
func (v Value) IsNil() bool { return v.kind == KindNil }

// AsInt returns the integer that v holds, and whether it holds one.
func (v Value) AsInt() (int64, bool) { return v.n, v.kind == KindInt }

// AsBool returns the boolean that v holds, and whether it holds one.
func (v Value) AsBool() (value, ok bool) { return v.n != 0, v.kind == KindBool }

// AsString returns the string that v holds or, without its colon, the keyword,
// and whether it holds either: what one tool writes as a keyword, another
// writes as a string.
func (v Value) AsString() (string, bool) {
	return v.text(), v.kind == KindString || v.kind == KindKeyword
}

// AsFloat returns the float or integer that v holds as a float, and whether it
// holds either.
func (v Value) AsFloat() (float64, bool) {
	if v.kind == KindInt {
		return float64(v.n), true
	}
	return math.Float64frombits(uint64(v.n)), v.kind == KindFloat
}

// AsMap returns the entries of the map that v holds in order of their keys,
// and whether it holds one.
func (v Value) AsMap() ([]Pair, bool) {
	if v.kind != KindMap {
		return nil, false
	}
	pairs := make([]Pair, len(v.flat())/2)
	for i := range pairs {
		pairs[i] = Pair{v.flat()[2*i], v.flat()[2*i+1]}
	}
	return pairs, true
}

// Get returns the value of a map at a key that is a keyword or a string of
// this name, and whether there is one.
func (v Value) Get(name string) (Value, bool) {
	if v.kind != KindMap {
		return Nil, false
	}
	for i := 0; i < len(v.flat()); i += 2 {
		if s, ok := v.flat()[i].AsString(); ok && s == name {
			return v.flat()[i+1], true
		}
	}
	return Nil, false
}

// Compare orders values: by form, then by content. It is a total order in
// which only equal values compare as 0.
func (v Value) Compare(w Value) int {
	if v.kind != w.kind {
		return cmp.Compare(v.kind, w.kind)
	}
	switch v.kind {
	case KindFloat:
		return cmp.Compare(math.Float64frombits(uint64(v.n)), math.Float64frombits(uint64(w.n)))
	case KindString, KindKeyword:
		return strings.Compare(v.text(), w.text())
	case KindList, KindSet:
		return compareElements(v, w)
	case KindMap:
		return slices.CompareFunc(v.flat(), w.flat(), Value.Compare)
	}
	return cmp.Compare(v.n, w.n)
}

// Equal reports whether v and w have the same form and content.
func (v Value) Equal(w Value) bool {
	switch {
	case v.kind != w.kind || v.n != w.n:
		return false
	case v.kind == KindList || v.kind == KindSet:
		return equalElements(v, w)
	case v.kind == KindMap:
		return slices.EqualFunc(v.flat(), w.flat(), Value.Equal)
	}
	return v.text() == w.text()
}

// String prints v as JSON does, except that the nil value is "nil" and that
// there are no commas; keywords, sets and maps are printed as in EDN.
func (v Value) String() string {
	switch v.kind {
	case KindNil:
		return "nil"
	case KindBool:
		return strconv.FormatBool(v.n != 0)
	case KindInt:
		return strconv.FormatInt(v.n, 10)
	case KindFloat:
		return string(appendFloat(nil, math.Float64frombits(uint64(v.n))))
	case KindString:
		return strconv.Quote(v.text())
	case KindKeyword:
		return ":" + v.text()
	}
	var parts []string
	for _, e := range v.Elements() {
		parts = append(parts, e.String())
	}
	for _, e := range v.flat() {
		parts = append(parts, e.String())
	}
	all := strings.Join(parts, " ")
	switch v.kind {
	case KindSet:
		return "#{" + all + "}"
	case KindMap:
		return "{" + all + "}"
	}
	return "[" + all + "]"
}
