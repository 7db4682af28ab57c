// Package visible makes text safe to look at. What a system under test, a
// history or a plan is called can hold anything, among it sequences that move
// a terminal's cursor, change its title or reverse the order in which a line
// is read. String, Bytes and Writer replace every such character by its number
// (\u001b), which is also how JSON writes it: text in JSON keeps its value.
//
// It stands where text leaves the program for people: around standard output
// and standard error, and around a finished page. It does not keep a text from
// having many lines.
package visible

import (
	"fmt"
	"io"
	"sync"
	"unicode"
	"unicode/utf8"
)

// hidden tells that r is not shown as itself: a control character (C0, C1 and
// DEL) other than the end of a line and the tab, a separator of lines that is
// none of a file's, or one that formats its surroundings, such as those that
// reverse the order of reading (Unicode's category Cf).
func hidden(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' && r != '\n' && r != '\t' || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// Bytes returns b with everything hidden, and what is no UTF-8, as numbers. It
// returns b itself if there is nothing of it.
func Bytes(b []byte) []byte {
	var out []byte
	from := 0
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		broken := r == utf8.RuneError && n == 1
		if !broken && !hidden(r) {
			i += n
			continue
		}
		out = append(out, b[from:i]...)
		switch {
		case broken:
			out = fmt.Appendf(out, `\x%02x`, b[i])
		case r > 0xffff: // as JSON has it
			high := (r - 0x10000) >> 10
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+high, 0xdc00+(r-0x10000)&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += n
		from = i
	}
	if from == 0 {
		return b
	}
	return append(out, b[from:]...)
}

// String is Bytes for a string.
func String(s string) string { return string(Bytes([]byte(s))) }

// Writer passes on what is written to it, as Bytes shows it. A character may
// come in two writes; Flush passes on what is left of one that never came to
// its end. Several goroutines may write at once.
type Writer struct {
	To   io.Writer
	mu   sync.Mutex
	rest []byte // the beginning of a character
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := p
	if len(w.rest) > 0 {
		b = append(w.rest, p...)
		w.rest = nil
	}
	whole := len(b)
	for i := max(0, len(b)-utf8.UTFMax+1); i < len(b); i++ {
		if utf8.RuneStart(b[i]) && !utf8.FullRune(b[i:]) {
			whole = i
			break
		}
	}
	w.rest = append(w.rest, b[whole:]...)
	if _, err := w.To.Write(Bytes(b[:whole])); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush passes on the beginning of a character that never came to its end.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.rest
	w.rest = nil
	if len(b) == 0 {
		return nil
	}
	_, err := w.To.Write(Bytes(b))
	return err
}
