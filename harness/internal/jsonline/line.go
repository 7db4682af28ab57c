// Package jsonline is what the parsers of histories and of records share: it
// reads a line of JSON token by token, with integers of 64 bits and strings in
// UTF-8, and says where and what it found instead.
package jsonline

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Line is a line, and how far it has been read.
type Line struct {
	Text  []byte
	At    int
	Words *Words // may be nil
}

// Words are short strings that were read before (functions, keys, nodes,
// messages), so that there is one copy of each.
type Words struct {
	known map[string]string
	most  int
}

// maxWord is the length in bytes of the longest string of Words.
const maxWord = 64

// NewWords returns room for so many words.
func NewWords(most int) *Words { return &Words{map[string]string{}, most} }

// one returns the copy of a string.
func (w *Words) one(raw []byte) string {
	if w == nil || len(raw) > maxWord {
		return string(raw)
	}
	if s, ok := w.known[string(raw)]; ok {
		return s
	}
	s := string(raw)
	if len(w.known) < w.most {
		w.known[s] = s
	}
	return s
}

// Space skips white space.
func (l *Line) Space() {
	for l.At < len(l.Text) {
		switch l.Text[l.At] {
		case ' ', '\t', '\r', '\n':
			l.At++
		default:
			return
		}
	}
}

// Take skips c, and reports whether it was there.
func (l *Line) Take(c byte) bool {
	if l.At < len(l.Text) && l.Text[l.At] == c {
		l.At++
		return true
	}
	return false
}

// Begins reports whether what follows begins with a word.
func (l *Line) Begins(word string) bool {
	return len(l.Text)-l.At >= len(word) && string(l.Text[l.At:l.At+len(word)]) == word
}

// Ended reports whether all of the line has been read.
func (l *Line) Ended() bool { return l.At >= len(l.Text) }

// Here describes what stands at the current position.
func (l *Line) Here() string {
	if l.Ended() {
		return "the end of the line"
	}
	rest := l.Text[l.At:]
	if len(rest) > 20 {
		rest = rest[:20]
	}
	return fmt.Sprintf("%q at column %d", rest, l.At+1)
}

// ErrRange says that an integer is well-formed and too large.
var ErrRange = errors.New("does not fit into 64 bits")

// Integer reads an integer. The error wraps ErrRange if that is all that is
// wrong.
func (l *Line) Integer() (int64, error) {
	from := l.At
	l.Take('-')
	first := l.At
	digits := l.Digits()
	if digits == 0 {
		l.At = from
		return 0, fmt.Errorf("expected an integer, found %s", l.Here())
	}
	if l.Text[first] == '0' && digits > 1 {
		return 0, fmt.Errorf("%s has a leading zero", l.Text[from:l.At])
	}
	if !l.Ended() && (l.Text[l.At] == '.' || l.Text[l.At] == 'e' || l.Text[l.At] == 'E') {
		return 0, fmt.Errorf("expected an integer, found a fraction or exponent at column %d", l.At+1)
	}
	n, err := strconv.ParseInt(string(l.Text[from:l.At]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s %w", l.Text[from:l.At], ErrRange)
	}
	return n, nil
}

// Digits skips digits and returns how many there were.
func (l *Line) Digits() (n int) {
	for l.At < len(l.Text) && l.Text[l.At] >= '0' && l.Text[l.At] <= '9' {
		l.At++
		n++
	}
	return n
}

// String reads a string.
func (l *Line) String() (string, error) {
	if !l.Take('"') {
		return "", fmt.Errorf("expected a string, found %s", l.Here())
	}
	from, escaped := l.At, false
	for l.At < len(l.Text) {
		switch c := l.Text[l.At]; {
		case c == '"':
			raw := l.Text[from:l.At]
			l.At++
			if !utf8.Valid(raw) {
				return "", fmt.Errorf("the string %q is not UTF-8", raw)
			}
			if !escaped {
				return l.Words.one(raw), nil
			}
			var s string
			if err := json.Unmarshal(l.Text[from-1:l.At], &s); err != nil {
				return "", fmt.Errorf("the string %q: %w", raw, err)
			}
			return s, nil
		case c == '\\':
			escaped = true
			l.At += 2
		case c < 0x20:
			return "", fmt.Errorf("a control character at column %d of a string", l.At+1)
		default:
			l.At++
		}
	}
	l.At = len(l.Text)
	return "", errors.New("a string that has no end")
}
