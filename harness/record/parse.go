package record

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/internal/jsonline"
)

// parser reads one event from one line: a subset of JSON with known fields,
// integers, strings, lists of strings and flat maps.
type parser struct {
	jsonline.Line
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
	if err == nil && !p.Ended() {
		err = p.fail("unexpected %s after the object", p.Here())
	}
	if missing := always &^ seen; err == nil && missing != 0 {
		p.field = missing.first().String()
		err = p.fail("is missing; every event needs %s", always)
	}
	return e, err
}

// object parses an object and calls f at the value of each key.
func (p *parser) object(f func(key string) error) error {
	p.Space()
	if !p.Take('{') {
		return p.fail("expected an object that begins with {, found %s", p.Here())
	}
	p.Space()
	for first := true; !p.Take('}'); first = false {
		if !first {
			if !p.Take(',') {
				return p.fail("expected , or } after a value, found %s", p.Here())
			}
			p.Space()
		}
		key, err := p.str()
		if err != nil {
			return err
		}
		p.Space()
		if !p.Take(':') {
			return p.fail("expected : after the name %q, found %s", key, p.Here())
		}
		p.Space()
		if err := f(key); err != nil {
			return err
		}
		p.Space()
	}
	p.Space()
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

func (p *parser) integer() (int64, error) {
	n, err := p.Integer()
	return n, p.wrong(err)
}

func (p *parser) str() (string, error) {
	s, err := p.String()
	return s, p.wrong(err)
}

// wrong says which field an error is about.
func (p *parser) wrong(err error) error {
	if err == nil {
		return nil
	}
	return &FieldError{p.field, err.Error()}
}

func (p *parser) boolean() (bool, error) {
	for _, b := range []bool{true, false} {
		if word := strconv.FormatBool(b); p.Begins(word) {
			p.At += len(word)
			return b, nil
		}
	}
	return false, p.fail("expected true or false, found %s", p.Here())
}

func (p *parser) list() (list []string, err error) {
	if !p.Take('[') {
		return nil, p.fail("expected a list of strings, found %s", p.Here())
	}
	p.Space()
	for first := true; !p.Take(']'); first = false {
		if !first {
			if !p.Take(',') {
				return nil, p.fail("expected , or ] in a list, found %s", p.Here())
			}
			p.Space()
		}
		s, err := p.str()
		if err != nil {
			return nil, err
		}
		list = append(list, s)
		p.Space()
	}
	return list, nil
}
