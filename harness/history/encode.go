package history

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cleancut/cleancut/harness/internal/jsonline"
)

// MaxLine is the greatest length in bytes of one event in JSONL, newline
// included. Longer lines are neither written nor read, so that a damaged file
// cannot make a reader take all memory.
const MaxLine = 1 << 20

// maxNesting bounds how deeply lists may be nested in a value.
const maxNesting = 64

// kindNames are the values of the key "type", by EventKind.
var kindNames = [...]string{"invoke", "ok", "fail", "info", "fault-start", "fault-end", "phase"}

// String returns the kind's name as in JSONL.
func (k EventKind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// MarshalText returns the kind's name as in JSONL.
func (k EventKind) MarshalText() ([]byte, error) {
	if int(k) >= len(kindNames) {
		return nil, fmt.Errorf("history: there is no event kind %d", uint8(k))
	}
	return []byte(kindNames[k]), nil
}

// UnmarshalText is the inverse of MarshalText.
func (k *EventKind) UnmarshalText(b []byte) error {
	for i, name := range kindNames {
		if name == string(b) {
			*k = EventKind(i)
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %q", b, kindNames)
}

// AppendJSON appends e to b as one JSON object without a newline. The keys
// are Jepsen's where Jepsen has them: index, time (nanoseconds), type,
// process, f, value; and key, node, nodes, error. Empty keys, nodes and
// errors are left out.
func (e *Event) AppendJSON(b []byte) []byte {
	b = append(b, `{"index":`...)
	b = strconv.AppendInt(b, e.Index, 10)
	b = append(b, `,"time":`...)
	b = strconv.AppendInt(b, int64(e.Time), 10)
	b = append(b, `,"type":"`...)
	b = append(b, e.Kind.String()...)
	b = append(b, `","process":`...)
	b = strconv.AppendInt(b, int64(e.Process), 10)
	b = append(b, `,"f":`...)
	b = appendString(b, e.F)
	if e.Key != "" {
		b = append(b, `,"key":`...)
		b = appendString(b, e.Key)
	}
	b = append(b, `,"value":`...)
	b = e.Value.AppendJSON(b)
	if e.Node != "" {
		b = append(b, `,"node":`...)
		b = appendString(b, e.Node)
	}
	if len(e.Nodes) > 0 {
		b = append(b, `,"nodes":[`...)
		for i, n := range e.Nodes {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, n)
		}
		b = append(b, ']')
	}
	if e.Error != "" {
		b = append(b, `,"error":`...)
		b = appendString(b, e.Error)
	}
	return append(b, '}')
}

// AppendJSON appends v to b as JSON: null, true, 7, 1.5, "text" or [1,2].
//
// JSON has no keywords, sets or other keys than strings. The keyword k is the
// string ":k"; a set is an object with the one key "#", {"#":[1,2]}; the key of
// a map is the text of its JSON, {"0":100,":to":3,"[1]":2}, unless it is a
// string. A string that would be taken for one of these has its first byte
// escaped as \u00XX, so that this package reads back what it wrote; other
// readers of JSON see no difference.
func (v Value) AppendJSON(b []byte) []byte {
	switch v.kind {
	case KindNil:
		return append(b, "null"...)
	case KindBool:
		return strconv.AppendBool(b, v.n != 0)
	case KindInt:
		return strconv.AppendInt(b, v.n, 10)
	case KindFloat:
		return appendFloat(b, math.Float64frombits(uint64(v.n)))
	case KindString:
		if strings.HasPrefix(v.text(), ":") {
			return appendMarked(b, v.text())
		}
		return appendString(b, v.text())
	case KindKeyword:
		return appendString(b, ":"+v.text())
	case KindSet:
		return append(v.appendElements(append(b, `{"#":`...)), '}')
	case KindMap:
		return v.appendMap(b)
	}
	return v.appendElements(b)
}

func (v Value) appendElements(b []byte) []byte {
	b = append(b, '[')
	for i, e := range v.Elements() {
		if i > 0 {
			b = append(b, ',')
		}
		b = e.AppendJSON(b)
	}
	return append(b, ']')
}

func (v Value) appendMap(b []byte) []byte {
	b = append(b, '{')
	for i := 0; i < len(v.flat()); i += 2 {
		if i > 0 {
			b = append(b, ',')
		}
		switch k := v.flat()[i]; {
		case k.kind == KindKeyword:
			b = appendString(b, ":"+k.text())
		case k.kind != KindString:
			b = appendString(b, string(k.AppendJSON(nil)))
		case k.text() == "#" || keyOf(k.text()).kind != KindString:
			b = appendMarked(b, k.text())
		default:
			b = appendString(b, k.text())
		}
		b = v.flat()[i+1].AppendJSON(append(b, ':'))
	}
	return append(b, '}')
}

// keyOf returns the key of a map that the text of a key in JSON stands for.
func keyOf(text string) Value {
	if strings.HasPrefix(text, ":") {
		return Keyword(text[1:])
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
		return Int(n)
	}
	var v Value
	if v.UnmarshalJSON([]byte(text)) == nil && v.kind != KindString && string(v.AppendJSON(nil)) == text {
		return v
	}
	return String(text)
}

// appendMarked appends a string, which begins with an ASCII byte, in the form
// that is never taken for anything else.
func appendMarked(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"', '\\', 'u', '0', '0', hex[s[0]>>4], hex[s[0]&15])
	return append(b, appendString(nil, s[1:])[1:]...)
}

// appendFloat appends a float such that it is not taken for an integer.
func appendFloat(b []byte, x float64) []byte {
	from := len(b)
	b = strconv.AppendFloat(b, x, 'g', -1, 64)
	if !bytes.ContainsAny(b[from:], ".e") {
		b = append(b, ".0"...)
	}
	return b
}

// MarshalJSON encodes v as AppendJSON does.
func (v Value) MarshalJSON() ([]byte, error) { return v.AppendJSON(nil), nil }

// UnmarshalJSON is the inverse of MarshalJSON.
func (v *Value) UnmarshalJSON(b []byte) error {
	p := parser{Line: jsonline.Line{Text: b}}
	p.Space()
	got, err := p.value(0)
	if err != nil {
		return err
	}
	p.Space()
	if !p.Ended() {
		return fmt.Errorf("value: unexpected %s after it", p.Here())
	}
	*v = got
	return nil
}

// appendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD, as they do in encoding/json.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			b = append(b, s[from:i]...)
			b = append(b, "\uFFFD"...)
			i++
			from = i
			continue
		}
		b = append(b, s[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		from = i
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

// At prints a time of a history for people: "3.214 s". Times of less than a
// millisecond, as histories that were written by hand have, keep more digits:
// "0.000000005 s".
func At(d time.Duration) string {
	digits := 3
	switch small := d.Abs(); {
	case small == 0 || small >= time.Millisecond:
	case small >= time.Microsecond:
		digits = 6
	default:
		digits = 9
	}
	return strconv.FormatFloat(d.Seconds(), 'f', digits, 64) + " s"
}
