package history

import (
	"slices"
	"strconv"
	"strings"
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
)

// Value is an argument or a result of an operation: nil, a boolean, an
// integer, a string or a list of values. It is immutable and prints, encodes
// and compares by content. The zero Value is nil.
type Value struct {
	kind ValueKind
	n    int64
	s    string
	list []Value
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
	return Value{kind: KindString, s: strings.ToValidUTF8(s, "\uFFFD")}
}

// List returns a list value. It keeps vs, which must not be changed
// afterwards.
func List(vs ...Value) Value { return Value{kind: KindList, list: vs} }

// Kind returns the form of v.
func (v Value) Kind() ValueKind { return v.kind }

// IsNil reports whether v is the absent value.
func (v Value) IsNil() bool { return v.kind == KindNil }

// AsInt returns the integer that v holds, and whether it holds one.
func (v Value) AsInt() (int64, bool) { return v.n, v.kind == KindInt }

// AsBool returns the boolean that v holds, and whether it holds one.
func (v Value) AsBool() (value, ok bool) { return v.n != 0, v.kind == KindBool }

// AsString returns the string that v holds, and whether it holds one.
func (v Value) AsString() (string, bool) { return v.s, v.kind == KindString }

// AsList returns the list that v holds, and whether it holds one. The list
// must not be changed.
func (v Value) AsList() ([]Value, bool) { return v.list, v.kind == KindList }

// Equal reports whether v and w have the same form and content.
func (v Value) Equal(w Value) bool {
	return v.kind == w.kind && v.n == w.n && v.s == w.s && slices.EqualFunc(v.list, w.list, Value.Equal)
}

// String prints v as JSON does, except that the nil value is "nil".
func (v Value) String() string {
	switch v.kind {
	case KindNil:
		return "nil"
	case KindBool:
		return strconv.FormatBool(v.n != 0)
	case KindInt:
		return strconv.FormatInt(v.n, 10)
	case KindString:
		return strconv.Quote(v.s)
	default:
		parts := make([]string, len(v.list))
		for i, e := range v.list {
			parts[i] = e.String()
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
}
