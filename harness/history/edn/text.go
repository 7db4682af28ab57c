package edn

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/cleancut/cleancut/harness/history"
)

// str reads a string after its opening quote.
func (s *scanner) str() (string, error) {
	s.text = s.text[:0]
	for {
		c, err := s.next()
		if err != nil {
			return "", fmt.Errorf("a string that has no end: %w", err)
		}
		switch c {
		case '"':
			if !utf8.Valid(s.text) {
				return "", fmt.Errorf("the string %q is not UTF-8", clip(string(s.text)))
			}
			return s.intern(s.text), nil
		case '\\':
			if err := s.escape(); err != nil {
				return "", err
			}
		default:
			if s.json && c < ' ' {
				return "", fmt.Errorf("the control character %q in a string", c)
			}
			s.text = append(s.text, c)
		}
	}
}

// raw reads a regular expression after its opening quote: backslashes stay.
func (s *scanner) raw() (string, error) {
	s.text = s.text[:0]
	for {
		c, err := s.next()
		if err != nil {
			return "", fmt.Errorf("a regular expression that has no end: %w", err)
		}
		if c == '"' {
			return s.intern(s.text), nil
		}
		s.text = append(s.text, c)
		if c == '\\' {
			if c, err = s.next(); err != nil {
				return "", err
			}
			s.text = append(s.text, c)
		}
	}
}

var escapes = map[byte]byte{'t': '\t', 'n': '\n', 'r': '\r', 'b': '\b', 'f': '\f', '"': '"', '\\': '\\', '/': '/', '\'': '\''}

func (s *scanner) escape() error {
	c, err := s.next()
	if err != nil {
		return err
	}
	if b, ok := escapes[c]; ok && !(s.json && c == '\'') {
		s.text = append(s.text, b)
		return nil
	}
	switch {
	case c == 'u':
		r, err := s.code()
		if err != nil {
			return err
		}
		if utf16.IsSurrogate(r) {
			r = s.low(r)
		}
		s.text = utf8.AppendRune(s.text, r)
		return nil
	case c >= '0' && c <= '7' && !s.json: // one to three octal digits, as Java has them
		n := rune(c - '0')
		for range 2 {
			d, err := s.next()
			if err != nil {
				return err
			}
			if d < '0' || d > '7' {
				s.unread(d)
				break
			}
			n = n*8 + rune(d-'0')
		}
		s.text = utf8.AppendRune(s.text, n)
		return nil
	}
	return fmt.Errorf("\\%c in a string is no escape", c)
}

// code reads four hexadecimal digits.
func (s *scanner) code() (rune, error) {
	var digits [4]byte
	for i := range digits {
		c, err := s.next()
		if err != nil {
			return 0, err
		}
		digits[i] = c
	}
	n, err := strconv.ParseUint(string(digits[:]), 16, 16)
	if err != nil {
		return 0, fmt.Errorf("\\u%q in a string; expected four hexadecimal digits", digits)
	}
	return rune(n), nil
}

// low completes a surrogate pair; half of one is U+FFFD.
func (s *scanner) low(high rune) rune {
	ahead, err := s.r.Peek(6)
	if err != nil || ahead[0] != '\\' || ahead[1] != 'u' {
		return utf8.RuneError
	}
	n, err := strconv.ParseUint(string(ahead[2:]), 16, 16)
	r := utf16.DecodeRune(high, rune(n))
	if err != nil || r == utf8.RuneError {
		return utf8.RuneError
	}
	s.left -= 6
	// It cannot fail: six bytes were peeked at.
	_, _ = s.r.Discard(6)
	return r
}

var characters = map[string]string{
	"newline": "\n", "return": "\r", "space": " ", "tab": "\t", "formfeed": "\f", "backspace": "\b",
}

// character reads a character after its backslash, as a string.
func (s *scanner) character() (history.Value, error) {
	c, err := s.next()
	if err != nil {
		return history.Nil, err
	}
	if !symbolic(c) {
		return history.String(string(rune(c))), nil
	}
	t, err := s.token(c)
	if err != nil {
		return history.Nil, err
	}
	if name, ok := characters[t]; ok {
		return history.String(name), nil
	}
	if utf8.RuneCountInString(t) == 1 {
		return history.String(t), nil
	}
	if len(t) == 5 && t[0] == 'u' {
		if n, err := strconv.ParseUint(t[1:], 16, 16); err == nil {
			return history.String(string(rune(n))), nil
		}
	}
	return history.Nil, fmt.Errorf("\\%s is no character", clip(t))
}
