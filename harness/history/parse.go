package history

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/internal/jsonline"
)

// parser reads one event from one line. It accepts a subset of JSON: an
// object of known keys, integers only, strings in UTF-8.
type parser struct {
	jsonline.Line
	lists ListReader // makes the lists of values
}

// fieldNames are all fields of an event. The first four are always there.
var fieldNames = [...]string{"index", "time", "type", "f", "process", "key", "value", "node", "nodes", "error"}

// event parses the whole line. Errors begin with the field concerned.
func (p *parser) event() (Event, error) {
	var e Event
	e.Process = NemesisProcess
	seen := [len(fieldNames)]bool{}
	p.Space()
	if !p.Take('{') {
		return e, fmt.Errorf("expected an object that begins with {, found %s", p.Here())
	}
	for first := true; ; first = false {
		p.Space()
		if p.Take('}') {
			break
		}
		if !first {
			if !p.Take(',') {
				return e, fmt.Errorf("expected , or } after a field, found %s", p.Here())
			}
			p.Space()
		}
		name, err := p.String()
		if err != nil {
			return e, fmt.Errorf("name of a field: %w", err)
		}
		id := slices.Index(fieldNames[:], name)
		if id < 0 {
			return e, fmt.Errorf("%q: no such field; known are %s", name, strings.Join(fieldNames[:], ", "))
		}
		if seen[id] {
			return e, fmt.Errorf("%s: given twice", name)
		}
		seen[id] = true
		p.Space()
		if !p.Take(':') {
			return e, fmt.Errorf("%s: expected : after the name, found %s", name, p.Here())
		}
		p.Space()
		if err := p.field(&e, name); err != nil {
			return e, fmt.Errorf("%s: %w", name, err)
		}
	}
	p.Space()
	if !p.Ended() {
		return e, fmt.Errorf("unexpected %s after the object", p.Here())
	}
	for id, name := range fieldNames[:4] {
		if !seen[id] {
			return e, fmt.Errorf("%s: missing", name)
		}
	}
	if e.Kind <= Info && !seen[4] {
		return e, fmt.Errorf("process: missing in an event of type %s", e.Kind)
	}
	return e, nil
}

func (p *parser) field(e *Event, name string) (err error) {
	switch name {
	case "index":
		e.Index, err = p.natural()
	case "time":
		var ns int64
		ns, err = p.natural()
		e.Time = time.Duration(ns)
	case "type":
		var s string
		if s, err = p.String(); err == nil {
			err = e.Kind.UnmarshalText([]byte(s))
		}
	case "process":
		var n int64
		if n, err = p.Integer(); err == nil && n < NemesisProcess {
			err = fmt.Errorf("%d is not a process; expected %d or more", n, NemesisProcess)
		}
		e.Process = int(n)
	case "f":
		e.F, err = p.String()
	case "key":
		e.Key, err = p.String()
	case "value":
		e.Value, err = p.value(0)
	case "node":
		e.Node, err = p.String()
	case "nodes":
		e.Nodes, err = p.texts()
	case "error":
		e.Error, err = p.String()
	}
	return err
}

func (p *parser) natural() (int64, error) {
	n, err := p.Integer()
	switch {
	case err != nil:
	case n < 0:
		err = fmt.Errorf("%d is negative", n)
	case n == math.MaxInt64:
		err = fmt.Errorf("%d stands for never; expected less", n)
	}
	return n, err
}

func (p *parser) texts() ([]string, error) {
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if !v.IsList() {
		return nil, fmt.Errorf("expected a list of strings, found %s", v)
	}
	var out []string
	for _, e := range v.Elements() {
		s, ok := e.AsString()
		if !ok {
			return nil, fmt.Errorf("expected a list of strings, found %s in it", e)
		}
		out = append(out, s)
	}
	return out, nil
}

func (p *parser) value(depth int) (Value, error) {
	if depth > maxNesting {
		return Nil, fmt.Errorf("lists nested deeper than %d", maxNesting)
	}
	if p.Ended() {
		return Nil, fmt.Errorf("expected a value, found the end of the line")
	}
	switch c := p.Text[p.At]; {
	case c == '"':
		keyword := p.Begins(`":`)
		s, err := p.String()
		if keyword && err == nil {
			return Keyword(s[1:]), nil
		}
		return String(s), err
	case c == '[':
		return p.list(depth)
	case c == '{':
		return p.object(depth)
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	for _, w := range []struct {
		word  string
		value Value
	}{{"null", Nil}, {"true", Bool(true)}, {"false", Bool(false)}} {
		if p.Begins(w.word) {
			p.At += len(w.word)
			return w.value, nil
		}
	}
	return Nil, fmt.Errorf("expected null, a boolean, a number, a string, a list or an object, found %s", p.Here())
}

func (p *parser) list(depth int) (Value, error) {
	p.Take('[')
	l := p.lists.Begin()
	for {
		p.Space()
		if p.Take(']') {
			return l.List(), nil
		}
		if l.Len() > 0 {
			if !p.Take(',') {
				return Nil, fmt.Errorf("expected , or ] in a list, found %s", p.Here())
			}
			p.Space()
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return Nil, err
		}
		l.Add(v)
	}
}

// object parses a map, or a set: {"#":[…]}.
func (p *parser) object(depth int) (Value, error) {
	p.Take('{')
	var pairs []Pair
	set := false
	for {
		p.Space()
		if p.Take('}') {
			break
		}
		if len(pairs) > 0 {
			if !p.Take(',') {
				return Nil, fmt.Errorf("expected , or } in an object, found %s", p.Here())
			}
			p.Space()
		}
		literal := p.Begins(`"\u`)
		set = p.Begins(`"#"`)
		text, err := p.String()
		if err != nil {
			return Nil, fmt.Errorf("key of an object: %w", err)
		}
		key := String(text)
		if !literal {
			key = keyOf(text)
		}
		p.Space()
		if !p.Take(':') {
			return Nil, fmt.Errorf("expected : after the key %q, found %s", text, p.Here())
		}
		p.Space()
		v, err := p.value(depth + 1)
		if err != nil {
			return Nil, err
		}
		pairs = append(pairs, Pair{key, v})
	}
	if set && len(pairs) == 1 && pairs[0].Value.kind == KindList {
		if ns, ok := pairs[0].Value.Ints(); ok {
			return setOf(ns), nil // nobody else has the list
		}
		return Set(pairs[0].Value.values()...), nil
	}
	v, ok := Map(pairs...)
	if !ok {
		return Nil, fmt.Errorf("an object with the same key twice")
	}
	return v, nil
}

// number parses an integer or, if it has a fraction or an exponent, a float.
func (p *parser) number() (Value, error) {
	from := p.At
	p.Take('-')
	p.Digits()
	end := p.At
	fraction := p.Take('.')
	if fraction && p.Digits() == 0 {
		return Nil, fmt.Errorf("expected digits after the point, found %s", p.Here())
	}
	if p.Take('e') || p.Take('E') {
		fraction = true
		if !p.Take('-') {
			p.Take('+')
		}
		if p.Digits() == 0 {
			return Nil, fmt.Errorf("expected an exponent, found %s", p.Here())
		}
	}
	text := p.Text[from:p.At]
	p.At = from
	whole := jsonline.Line{Text: p.Text[:end], At: from}
	n, err := whole.Integer() // refuses leading zeros
	if err != nil && (!fraction || !errors.Is(err, jsonline.ErrRange)) {
		return Nil, err
	}
	p.At = from + len(text)
	if !fraction {
		return Int(n), nil
	}
	x, err := strconv.ParseFloat(string(text), 64)
	v, ok := Float(x)
	if err != nil || !ok {
		return Nil, fmt.Errorf("%s does not fit into a float of 64 bits", text)
	}
	return v, nil
}
