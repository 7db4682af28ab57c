package record

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// parser reads one event from one line: a subset of JSON with known fields,
// integers, strings, lists of strings and flat maps.
type parser struct {
	line []byte
	at   int
	// words holds strings read before, so that equal ones share memory.
	words map[string]string
	field string // what is being read, for errors
}

var fieldOf = func() map[string]field {
	m := map[string]field{}
	for f := range fieldCount {
		m[fieldNames[f]] = f
	}
	return m
}()

func (p *parser) fail(format string, args ...any) error {
	return &FieldError{p.field, fmt.Sprintf(format, args...)}
}

// event parses the whole line.
func (p *parser) event() (e Event, err error) {
	var seen fields
	err = p.object(func(name string) error {
		f, ok := fieldOf[name]
		p.field = name
		if !ok {
			return p.fail("there is no such field; known are %s", strings.Join(fieldNames[:], ", "))
		}
		if seen.has(f) {
			return p.fail("is given twice")
		}
		seen |= 1 << f
		return p.value(&e, f)
	})
	p.field = ""
	if err == nil && p.at != len(p.line) {
		err = p.fail("unexpected %s after the object", p.here())
	}
	if missing := always &^ seen; err == nil && missing != 0 {
		p.field = missing.first().String()
		err = p.fail("is missing; every event needs %s", always)
	}
	return e, err
}

// object parses an object and calls f at the value of each key.
func (p *parser) object(f func(key string) error) error {
	p.space()
	if !p.take('{') {
		return p.fail("expected an object that begins with {, found %s", p.here())
	}
	p.space()
	for first := true; !p.take('}'); first = false {
		if !first {
			if !p.take(',') {
				return p.fail("expected , or } after a value, found %s", p.here())
			}
			p.space()
		}
		key, err := p.str()
		if err != nil {
			return err
		}
		p.space()
		if !p.take(':') {
			return p.fail("expected : after the name %q, found %s", key, p.here())
		}
		p.space()
		if err := f(key); err != nil {
			return err
		}
		p.space()
	}
	p.space()
	return nil
}

func (p *parser) value(e *Event, f field) (err error) {
	var n int64
	switch f {
	case fieldT:
		n, err = p.integer()
		e.T = time.Duration(n)
	case fieldInc:
		n, err = p.integer()
		e.Inc = int(n)
	case fieldEpoch:
		n, err = p.integer()
		e.Epoch = int(n)
	case fieldRound:
		n, err = p.integer()
		e.Round = int(n)
	case fieldIndex:
		n, err = p.integer()
		e.Index = int(n)
	case fieldBytes:
		e.Bytes, err = p.integer()
	case fieldOffset:
		e.Offset, err = p.integer()
	case fieldUnits:
		e.Units, err = p.integer()
	case fieldValue:
		n, err = p.integer()
		e.Value = &n
	case fieldForced:
		e.Forced, err = p.boolean()
	case fieldKind:
		var s string
		s, err = p.str()
		e.Kind = Kind(s)
	case fieldChannel:
		e.Channel, err = p.list()
	case fieldFailed:
		e.Failed, err = p.list()
	case fieldOffsets:
		e.Offsets = map[string]int64{}
		err = p.entries(func(k string) bool { _, twice := e.Offsets[k]; return twice }, func(k string) (err error) {
			e.Offsets[k], err = p.integer()
			return err
		})
	case fieldLine:
		e.Line = map[string]string{}
		err = p.entries(func(k string) bool { _, twice := e.Line[k]; return twice }, func(k string) (err error) {
			e.Line[k], err = p.str()
			return err
		})
	default:
		*e.text(f), err = p.str()
	}
	return err
}

func (p *parser) entries(twice func(string) bool, f func(string) error) error {
	return p.object(func(k string) error {
		if twice(k) {
			return p.fail("%q is given twice", k)
		}
		return f(k)
	})
}

func (p *parser) space() {
	for p.at < len(p.line) && (p.line[p.at] == ' ' || p.line[p.at] == '\t' || p.line[p.at] == '\r') {
		p.at++
	}
}

func (p *parser) take(c byte) bool {
	if p.at < len(p.line) && p.line[p.at] == c {
		p.at++
		return true
	}
	return false
}

// here describes what stands at the current position.
func (p *parser) here() string {
	if p.at >= len(p.line) {
		return "the end of the line"
	}
	rest := p.line[p.at:]
	if len(rest) > 20 {
		rest = rest[:20]
	}
	return fmt.Sprintf("%q at column %d", rest, p.at+1)
}

func (p *parser) integer() (int64, error) {
	from := p.at
	p.take('-')
	digits := p.at
	for p.at < len(p.line) && p.line[p.at] >= '0' && p.line[p.at] <= '9' {
		p.at++
	}
	if p.at == digits {
		p.at = from
		return 0, p.fail("expected an integer, found %s", p.here())
	}
	if p.line[digits] == '0' && p.at > digits+1 {
		return 0, p.fail("%s has a leading zero", p.line[from:p.at])
	}
	if p.at < len(p.line) && strings.IndexByte(".eE", p.line[p.at]) >= 0 {
		return 0, p.fail("expected an integer, found a fraction or exponent at column %d", p.at+1)
	}
	n, err := strconv.ParseInt(string(p.line[from:p.at]), 10, 64)
	if err != nil {
		return 0, p.fail("%s does not fit into 64 bits", p.line[from:p.at])
	}
	return n, nil
}

func (p *parser) boolean() (bool, error) {
	for _, b := range []bool{true, false} {
		if word := strconv.FormatBool(b); strings.HasPrefix(string(p.line[p.at:min(len(p.line), p.at+len(word))]), word) {
			p.at += len(word)
			return b, nil
		}
	}
	return false, p.fail("expected true or false, found %s", p.here())
}

func (p *parser) list() (list []string, err error) {
	if !p.take('[') {
		return nil, p.fail("expected a list of strings, found %s", p.here())
	}
	p.space()
	for first := true; !p.take(']'); first = false {
		if !first {
			if !p.take(',') {
				return nil, p.fail("expected , or ] in a list, found %s", p.here())
			}
			p.space()
		}
		s, err := p.str()
		if err != nil {
			return nil, err
		}
		list = append(list, s)
		p.space()
	}
	return list, nil
}

// str parses a JSON string.
func (p *parser) str() (string, error) {
	if !p.take('"') {
		return "", p.fail("expected a string, found %s", p.here())
	}
	from, escaped := p.at, false
	for p.at < len(p.line) {
		switch c := p.line[p.at]; {
		case c == '"':
			raw := p.line[from:p.at]
			p.at++
			if !utf8.Valid(raw) {
				return "", p.fail("the string %q is not UTF-8", raw)
			}
			if !escaped {
				return p.word(raw), nil
			}
			var s string
			if err := json.Unmarshal(p.line[from-1:p.at], &s); err != nil {
				return "", p.fail("the string %q: %v", raw, err)
			}
			return s, nil
		case c == '\\':
			escaped = true
			p.at += 2
		case c < 0x20:
			return "", p.fail("a control character at column %d of a string", p.at+1)
		default:
			p.at++
		}
	}
	p.at = len(p.line)
	return "", p.fail("a string that has no end")
}

func (p *parser) word(raw []byte) string {
	if s, ok := p.words[string(raw)]; ok {
		return s
	}
	s := string(raw)
	p.words[s] = s
	return s
}
