package edn

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cleancut/cleancut/harness/history"
)

// scanner reads EDN or JSON, one value at a time.
type scanner struct {
	r    *bufio.Reader
	json bool
	line int // of the next byte, from 1
	left int // bytes that the current operation may still take
	text []byte
	// words holds strings that were read before, so that a history keeps one
	// copy of each. It is bounded.
	words map[string]string
	lists history.ListReader
}

// Bounds of the words of which there is one copy: their number, and the length
// of each in bytes.
const (
	maxWords = 1 << 16
	maxWord  = 64
)

var errEnd = errors.New("unexpected end of the text")

// closing is returned by value at a closing bracket. Only its caller may see
// it: further out it would be taken for the end of another collection.
type closing byte

func (c closing) Error() string { return fmt.Sprintf("unexpected %q", byte(c)) }

func newScanner(r io.Reader, json bool) *scanner {
	return &scanner{r: bufio.NewReaderSize(r, 1<<16), json: json, line: 1, left: MaxOperation, words: map[string]string{}}
}

func (s *scanner) next() (byte, error) {
	c, err := s.r.ReadByte()
	if err != nil {
		if err == io.EOF {
			err = errEnd
		}
		return 0, err
	}
	if s.left--; s.left < 0 {
		return 0, fmt.Errorf("an operation of more than %d bytes", MaxOperation)
	}
	if c == '\n' {
		s.line++
	}
	return c, nil
}

// unread takes back the last byte of next.
func (s *scanner) unread(c byte) {
	// It cannot fail: a byte was just read.
	_ = s.r.UnreadByte()
	s.left++
	if c == '\n' {
		s.line--
	}
}

// skip reads blanks and, in EDN, commas and comments, and returns the byte after
// them.
func (s *scanner) skip() (byte, error) {
	for {
		c, err := s.next()
		if err != nil {
			return 0, err
		}
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || !s.json && (c == ',' || c == '\f'):
		case c == ';' && !s.json:
			for c != '\n' {
				if c, err = s.next(); err != nil {
					return 0, err
				}
				s.left++ // comments count for nothing
			}
		default:
			return c, nil
		}
	}
}

// opens reports whether what follows is a collection, or the end of one: then
// the bracket before it is that of a history, and not of a row.
func (s *scanner) opens() bool {
	c, err := s.skip()
	if err != nil {
		return true // which whoever reads on will find
	}
	s.unread(c)
	return strings.IndexByte("{[(])#", c) >= 0
}

// row reads the rest of a line that begins with c as a list of values.
func (s *scanner) row(c byte) (history.Value, error) {
	text := []byte{'[', c}
	for {
		c, err := s.next()
		if err == errEnd || err == nil && c == '\n' {
			break
		}
		if err != nil {
			return history.Nil, err
		}
		text = append(text, c)
	}
	one := newScanner(strings.NewReader(string(append(text, ' ', ']'))), false)
	v, err := one.value(0)
	if err != nil {
		return history.Nil, fmt.Errorf("expected a row: process :type :f value; %w", opaque(err))
	}
	return v, nil
}

// value reads the next value. At a closing bracket it returns a closing.
func (s *scanner) value(depth int) (history.Value, error) {
	for {
		c, err := s.skip()
		if err != nil {
			return history.Nil, err
		}
		v, discarded, err := s.form(c, depth)
		if err != nil || !discarded {
			return v, err
		}
	}
}

// form reads the value that begins with c. Discarded tells that it was marked
// to be ignored.
func (s *scanner) form(c byte, depth int) (v history.Value, discarded bool, err error) {
	if depth > MaxNesting {
		return v, false, fmt.Errorf("collections nested deeper than %d", MaxNesting)
	}
	switch c {
	case ')', ']', '}':
		return v, false, closing(c)
	case '"':
		text, err := s.str()
		return history.String(text), false, err
	case '[':
		l, err := s.values(']', depth)
		if err != nil {
			return v, false, err
		}
		return l.List(), false, nil
	case '{':
		v, err = s.mapping(depth)
		return v, false, err
	}
	if s.json {
		v, err = s.atom(c)
		return v, false, err
	}
	switch c {
	case '(':
		l, err := s.values(')', depth)
		if err != nil {
			return v, false, err
		}
		return l.List(), false, nil
	case '#':
		return s.dispatch(depth)
	case '^': // metadata, and then what it belongs to
		if _, err := s.value(depth + 1); err != nil {
			return v, false, opaque(err)
		}
		v, err = s.value(depth + 1)
		return v, false, opaque(err)
	case '\\':
		v, err = s.character()
		return v, false, err
	}
	v, err = s.atom(c)
	return v, false, err
}

// values reads up to a closing bracket.
func (s *scanner) values(end byte, depth int) (history.ListBuilder, error) {
	l := s.lists.Begin()
	for {
		if ended, err := s.another(l.Len(), end); err != nil || ended {
			return l, err
		}
		v, err := s.value(depth + 1)
		if c, ok := err.(closing); ok && !(s.json && l.Len() > 0) {
			if byte(c) == end {
				return l, nil
			}
			return l, fmt.Errorf("%v; expected %q", err, end)
		}
		if err != nil {
			return l, opaque(err)
		}
		l.Add(v)
	}
}

// another reads what stands in JSON between so many elements and the next one:
// a comma, or the closing bracket.
func (s *scanner) another(n int, end byte) (ended bool, err error) {
	if !s.json || n == 0 {
		return false, nil
	}
	c, err := s.skip()
	switch {
	case err != nil:
		return false, err
	case c != ',' && c != end:
		return false, fmt.Errorf("expected , or %c, found %q", end, c)
	}
	return c == end, nil
}

func (s *scanner) mapping(depth int) (history.Value, error) {
	var room [10]history.Pair // an operation has about as many fields
	pairs := room[:0]
	for {
		if ended, err := s.another(len(pairs), '}'); err != nil {
			return history.Nil, err
		} else if ended {
			break
		}
		k, err := s.value(depth + 1)
		if c, ok := err.(closing); ok && c == '}' && !(s.json && len(pairs) > 0) {
			break
		}
		if err != nil {
			return history.Nil, opaque(err)
		}
		if s.json {
			if k.Kind() != history.KindString {
				return history.Nil, fmt.Errorf("the key %s of an object; expected a string", k)
			}
			if c, err := s.skip(); err != nil {
				return history.Nil, err
			} else if c != ':' {
				return history.Nil, fmt.Errorf("expected : after the key %s, found %q", k, c)
			}
		}
		v, err := s.value(depth + 1)
		if _, ok := err.(closing); ok {
			return history.Nil, fmt.Errorf("the key %s of a map has no value", k)
		}
		if err != nil {
			return history.Nil, err
		}
		pairs = append(pairs, history.Pair{Key: k, Value: v})
	}
	v, ok := history.Map(pairs...)
	if !ok {
		return history.Nil, errors.New("a map has a key twice")
	}
	return v, nil
}

// dispatch reads what follows a #.
func (s *scanner) dispatch(depth int) (v history.Value, discarded bool, err error) {
	c, err := s.next()
	if err != nil {
		return v, false, err
	}
	switch c {
	case '{':
		l, err := s.values('}', depth)
		if err != nil {
			return v, false, err
		}
		n := l.Len()
		if v = l.Set(); v.Len() != n {
			err = errors.New("a set has an element twice")
		}
		return v, false, err
	case '_':
		_, err := s.value(depth + 1)
		return v, true, opaque(err)
	case '"': // a regular expression
		text, err := s.raw()
		return history.String(text), false, err
	case '#':
		return v, false, errors.New("## begins an infinite or undefined number, which a history cannot hold")
	}
	if !symbolic(c) {
		return v, false, fmt.Errorf("%q after #; expected a tag, a set, #_ or a regular expression", c)
	}
	// The value counts, not its tag: #jepsen.history.Op{…}, #inst "…".
	tag, err := s.token(c)
	if err != nil {
		return v, false, err
	}
	if v, err = s.value(depth + 1); err != nil {
		return v, false, opaque(err)
	}
	if space, ok := strings.CutPrefix(tag, ":"); ok {
		v, err = qualified(space, v)
	}
	return v, false, err
}

// qualified is a map whose keys are in a name space: #:a{:b 1} is {:a/b 1}.
func qualified(space string, v history.Value) (history.Value, error) {
	pairs, ok := v.AsMap()
	if !ok || space == "" || space[0] == ':' {
		return v, fmt.Errorf("#:%s before %s; expected a name space before a map", space, clip(v.String()))
	}
	for i, p := range pairs {
		if name, _ := p.Key.AsString(); p.Key.Kind() == history.KindKeyword && !strings.Contains(name, "/") {
			pairs[i].Key = history.Keyword(space + "/" + name)
		}
	}
	m, ok := history.Map(pairs...)
	if !ok {
		return v, errors.New("a map has a key twice")
	}
	return m, nil
}

// opaque hides a closing bracket where a value was expected.
func opaque(err error) error {
	if c, ok := err.(closing); ok {
		return fmt.Errorf("%v; expected a value", c)
	}
	return err
}

// symbolic reports whether c may stand in a symbol, keyword or number.
func symbolic(c byte) bool {
	return c > ' ' && c != 0x7f && !strings.ContainsRune(`"(),;[]\{}`, rune(c))
}

// token reads the rest of a symbol, keyword or number that begins with c.
func (s *scanner) token(c byte) (string, error) {
	s.text = append(s.text[:0], c)
	for {
		c, err := s.next()
		if err == errEnd {
			break
		}
		if err != nil {
			return "", err
		}
		if !symbolic(c) || s.json && c == ':' {
			s.unread(c)
			break
		}
		s.text = append(s.text, c)
	}
	return s.intern(s.text), nil
}

func (s *scanner) intern(b []byte) string {
	if w, ok := s.words[string(b)]; ok {
		return w
	}
	w := string(b)
	if len(s.words) < maxWords && len(w) <= maxWord {
		s.words[w] = w
	}
	return w
}

// atom reads nil, a boolean, a number, a keyword or a symbol; a symbol becomes
// the string of its name.
func (s *scanner) atom(c byte) (history.Value, error) {
	if !symbolic(c) {
		return history.Nil, fmt.Errorf("unexpected byte %q", c)
	}
	t, err := s.token(c)
	if err != nil {
		return history.Nil, err
	}
	if !utf8.ValidString(t) {
		return history.Nil, fmt.Errorf("%q is not UTF-8", clip(t))
	}
	switch {
	case t == "nil" && !s.json || t == "null" && s.json:
		return history.Nil, nil
	case t == "true":
		return history.Bool(true), nil
	case t == "false":
		return history.Bool(false), nil
	case c >= '0' && c <= '9' || (c == '-' || c == '+') && len(t) > 1 && t[1] >= '0' && t[1] <= '9':
		if s.json && !json.Valid([]byte(t)) || ambiguous(strings.TrimLeft(t, "+-")) {
			return history.Nil, fmt.Errorf("%q is not a number; expected one without a plus or a leading zero", clip(t))
		}
		return number(t)
	case s.json:
		return history.Nil, fmt.Errorf("unexpected %q", clip(t))
	case c == ':':
		if len(t) == 1 {
			return history.Nil, errors.New("a keyword without a name")
		}
		return history.Keyword(t[1:]), nil
	}
	return history.String(t), nil
}

// ambiguous reports whether digits have a leading zero that makes an octal number
// of them for Clojure, and another one for most others.
func ambiguous(t string) bool {
	return len(t) > 1 && t[0] == '0' && t[1] >= '0' && t[1] <= '9' && strings.Trim(t, "0") != ""
}

// maxDigits bounds the digits of a number.
const maxDigits = 400

// number reads integers (12, -3, 7N, 0x1f), decimals (1.5, 1e3, 2M) and ratios
// (1/3, which become floats).
func number(t string) (history.Value, error) {
	if len(t) > maxDigits {
		return history.Nil, fmt.Errorf("a number of %d digits", len(t))
	}
	if n, err := strconv.ParseInt(strings.TrimPrefix(strings.TrimSuffix(t, "N"), "+"), 10, 64); err == nil {
		return history.Int(n), nil
	} else if errors.Is(err, strconv.ErrRange) {
		return history.Nil, fmt.Errorf("%s does not fit into 64 bits", clip(t))
	}
	if hex := strings.ToLower(t); strings.HasPrefix(hex, "0x") {
		if n, err := strconv.ParseInt(hex[2:], 16, 64); err == nil {
			return history.Int(n), nil
		}
	}
	text := strings.TrimSuffix(t, "M")
	if !strings.ContainsAny(text, "_xXpPiIn") {
		if x, err := strconv.ParseFloat(text, 64); err == nil {
			if v, ok := history.Float(x); ok {
				return v, nil
			}
		}
	}
	if over, under, ok := strings.Cut(t, "/"); ok {
		a, ok1 := new(big.Int).SetString(over, 10)
		b, ok2 := new(big.Int).SetString(under, 10)
		if ok1 && ok2 && b.Sign() > 0 {
			x, _ := new(big.Rat).SetFrac(a, b).Float64()
			if v, ok := history.Float(x); ok {
				return v, nil
			}
		}
	}
	return history.Nil, fmt.Errorf("%q is not a number that a history can hold", clip(t))
}

func clip(t string) string { return clipTo(t, 40) }

// explainedMax is how long a whole explanation may be, in bytes.
const explainedMax = 500

func clipTo(t string, most int) string {
	if len(t) > most {
		return strings.ToValidUTF8(t[:most], "") + "…"
	}
	return t
}
