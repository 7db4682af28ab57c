package history

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// parser reads one event from one line. It accepts a subset of JSON: an
// object of known keys, integers only, strings in UTF-8.
type parser struct {
	line []byte
	at   int
	// words holds strings that were read before (functions, keys, nodes),
	// so that a history keeps one copy of each. It may be nil.
	words map[string]string
	// lists makes the lists of values.
	lists ListReader
}

// maxWords bounds parser.words.
const maxWords = 1 << 16

// fieldNames are all fields of an event. The first four are always there.
var fieldNames = [...]string{"index", "time", "type", "f", "process", "key", "value", "node", "nodes", "error"}

// event parses the whole line. Errors begin with the field concerned.
func (p *parser) event() (Event, error) {
	var e Event
	e.Process = NemesisProcess
	seen := [len(fieldNames)]bool{}
	p.space()
	if !p.take('{') {
		return e, fmt.Errorf("expected an object that begins with {, found %s", p.here())
	}
	for first := true; ; first = false {
		p.space()
		if p.take('}') {
			break
		}
		if !first {
			if !p.take(',') {
				return e, fmt.Errorf("expected , or } after a field, found %s", p.here())
			}
			p.space()
		}
		name, err := p.text()
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
		p.space()
		if !p.take(':') {
			return e, fmt.Errorf("%s: expected : after the name, found %s", name, p.here())
		}
		p.space()
		if err := p.field(&e, name); err != nil {
			return e, fmt.Errorf("%s: %w", name, err)
		}
	}
	p.space()
	if p.at != len(p.line) {
		return e, fmt.Errorf("unexpected %s after the object", p.here())
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
		if s, err = p.text(); err == nil {
			err = e.Kind.UnmarshalText([]byte(s))
		}
	case "process":
		var n int64
		if n, err = p.integer(); err == nil && n < NemesisProcess {
			err = fmt.Errorf("%d is not a process; expected %d or more", n, NemesisProcess)
		}
		e.Process = int(n)
	case "f":
		e.F, err = p.text()
	case "key":
		e.Key, err = p.text()
	case "value":
		e.Value, err = p.value(0)
	case "node":
		e.Node, err = p.text()
	case "nodes":
		e.Nodes, err = p.texts()
	case "error":
		e.Error, err = p.text()
	}
	return err
}

func (p *parser) space() {
	for p.at < len(p.line) {
		switch p.line[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
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

func (p *parser) natural() (int64, error) {
	n, err := p.integer()
	if err == nil && n < 0 {
		err = fmt.Errorf("%d is negative", n)
	}
	return n, err
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
		return 0, fmt.Errorf("expected an integer, found %s", p.here())
	}
	if p.line[digits] == '0' && p.at > digits+1 {
		return 0, fmt.Errorf("%s has a leading zero", p.line[from:p.at])
	}
	if p.at < len(p.line) && (p.line[p.at] == '.' || p.line[p.at] == 'e' || p.line[p.at] == 'E') {
		return 0, fmt.Errorf("expected an integer, found a fraction or exponent at column %d", p.at+1)
	}
	n, err := strconv.ParseInt(string(p.line[from:p.at]), 10, 64)
	if err != nil {
		return 0, &rangeError{string(p.line[from:p.at])}
	}
	return n, nil
}

// rangeError says that an integer is well-formed and too large.
type rangeError struct{ text string }

func (e *rangeError) Error() string { return e.text + " does not fit into 64 bits" }

func isRange(err error) bool { _, ok := err.(*rangeError); return ok }

// text parses a JSON string.
func (p *parser) text() (string, error) {
	if !p.take('"') {
		return "", fmt.Errorf("expected a string, found %s", p.here())
	}
	from, escaped := p.at, false
	for p.at < len(p.line) {
		switch c := p.line[p.at]; {
		case c == '"':
			raw := p.line[from:p.at]
			p.at++
			if !utf8.Valid(raw) {
				return "", fmt.Errorf("the string %q is not UTF-8", raw)
			}
			if !escaped {
				return p.intern(raw), nil
			}
			var s string
			if err := json.Unmarshal(p.line[from-1:p.at], &s); err != nil {
				return "", fmt.Errorf("the string %q: %w", raw, err)
			}
			return s, nil
		case c == '\\':
			escaped = true
			p.at += 2
		case c < 0x20:
			return "", fmt.Errorf("a control character at column %d of a string", p.at+1)
		default:
			p.at++
		}
	}
	p.at = len(p.line)
	return "", fmt.Errorf("a string that has no end")
}

func (p *parser) intern(raw []byte) string {
	if s, ok := p.words[string(raw)]; ok {
		return s
	}
	s := string(raw)
	if p.words != nil && len(p.words) < maxWords && len(s) <= 64 {
		p.words[s] = s
	}
	return s
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
	if p.at >= len(p.line) {
		return Nil, fmt.Errorf("expected a value, found the end of the line")
	}
	switch c := p.line[p.at]; {
	case c == '"':
		keyword := p.begins(`":`)
		s, err := p.text()
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
		if p.begins(w.word) {
			p.at += len(w.word)
			return w.value, nil
		}
	}
	return Nil, fmt.Errorf("expected null, a boolean, a number, a string, a list or an object, found %s", p.here())
}

func (p *parser) list(depth int) (Value, error) {
	p.take('[')
	l := p.lists.Begin()
	for {
		p.space()
		if p.take(']') {
			return l.List(), nil
		}
		if l.Len() > 0 {
			if !p.take(',') {
				return Nil, fmt.Errorf("expected , or ] in a list, found %s", p.here())
			}
			p.space()
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
	p.take('{')
	var pairs []Pair
	set := false
	for {
		p.space()
		if p.take('}') {
			break
		}
		if len(pairs) > 0 {
			if !p.take(',') {
				return Nil, fmt.Errorf("expected , or } in an object, found %s", p.here())
			}
			p.space()
		}
		literal := p.begins(`"\u`)
		set = p.begins(`"#"`)
		text, err := p.text()
		if err != nil {
			return Nil, fmt.Errorf("key of an object: %w", err)
		}
		key := String(text)
		if !literal {
			key = keyOf(text)
		}
		p.space()
		if !p.take(':') {
			return Nil, fmt.Errorf("expected : after the key %q, found %s", text, p.here())
		}
		p.space()
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

// begins reports whether what follows begins with a word.
func (p *parser) begins(word string) bool {
	return len(p.line)-p.at >= len(word) && string(p.line[p.at:p.at+len(word)]) == word
}

// number parses an integer or, if it has a fraction or an exponent, a float.
func (p *parser) number() (Value, error) {
	from := p.at
	p.take('-')
	p.digits()
	end := p.at
	fraction := p.take('.')
	if fraction && p.digits() == 0 {
		return Nil, fmt.Errorf("expected digits after the point, found %s", p.here())
	}
	if p.take('e') || p.take('E') {
		fraction = true
		if !p.take('-') {
			p.take('+')
		}
		if p.digits() == 0 {
			return Nil, fmt.Errorf("expected an exponent, found %s", p.here())
		}
	}
	text := p.line[from:p.at]
	p.at = from
	whole := parser{line: p.line[:end], at: from}
	n, err := whole.integer() // refuses leading zeros
	if err != nil && (!fraction || !isRange(err)) {
		return Nil, err
	}
	p.at = from + len(text)
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

func (p *parser) digits() (n int) {
	for p.at < len(p.line) && p.line[p.at] >= '0' && p.line[p.at] <= '9' {
		p.at++
		n++
	}
	return n
}
