package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/cleancut/cleancut/harness/internal/jsonline"
)

// Limits bound what is read. Zero means the default.
type Limits struct {
	Events int // most events of a record; DefaultEvents
	Line   int // longest line in bytes; DefaultLine
}

// maxWords bounds of how many processes, channels and messages there is one
// copy.
const maxWords = 1 << 22

// Defaults of Limits. A record of DefaultEvents takes some 20 GB of memory.
const (
	DefaultEvents = 50_000_000
	DefaultLine   = 1 << 20
)

// FieldError says what is wrong with a field of an event.
type FieldError struct {
	Field string // its name in JSON; "" for the line as a whole
	Text  string
}

func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Text
	}
	return e.Field + ": " + e.Text
}

// LineError says where a record is no record, or contradicts itself.
type LineError struct {
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns the cause, mostly a *FieldError.
func (e *LineError) Unwrap() error { return e.Err }

// Read reads a record: JSONL, one event a line, empty lines skipped. It is
// strict; its error names the line and the field, and says what was expected.
// What cannot be (see Validate) is an error; what must not be is for checkers
// to judge. Torn tells that the last line was incomplete, because the recorder
// was killed as it wrote, and was left out, with NUL bytes after it.
func Read(r io.Reader, l Limits) (events []Event, torn bool, err error) {
	if l.Events == 0 {
		l.Events = DefaultEvents
	}
	if l.Line == 0 {
		l.Line = DefaultLine
	}
	b := bufio.NewReaderSize(r, max(16, l.Line))
	words := jsonline.NewWords(maxWords)
	v := newValidator()
	for n, last := 1, false; !last; n++ {
		line, err := b.ReadSlice('\n')
		switch {
		case err == io.EOF || errors.Is(err, bufio.ErrBufferFull) && len(line) > 0 && line[len(line)-1] == 0:
			if line, torn, err = tail(b, bytes.Clone(line), n); err != nil {
				return nil, false, err
			}
			last = true
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, false, &LineError{n, fmt.Errorf("is longer than %d bytes", l.Line)}
		case err != nil:
			return nil, false, &LineError{n, err}
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if len(events) == l.Events {
			return nil, false, &LineError{n, fmt.Errorf("the record has more than %d events; allow more or cut it", l.Events)}
		}
		p := parser{Line: jsonline.Line{Text: line, Words: words}}
		e, err := p.event()
		if err == nil {
			err = v.add(&e, n)
		}
		if err != nil {
			return nil, false, &LineError{n, err}
		}
		events = append(events, e)
	}
	return events, torn, v.end()
}

// tail looks at what follows the last newline: NUL bytes, and at most one line,
// which it returns if it lacks no more than its newline; else it was cut off.
func tail(b *bufio.Reader, rest []byte, n int) (line []byte, torn bool, err error) {
	rest = bytes.Trim(rest, "\x00 \t\r")
	for {
		more, err := b.ReadSlice('\n')
		if len(bytes.Trim(more, "\x00")) > 0 {
			return nil, false, &LineError{n, errors.New("NUL bytes in the midst of the record: the file is damaged")}
		}
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, false, &LineError{n, err}
		}
	}
	if len(rest) > 0 && !json.Valid(rest) {
		return nil, true, nil
	}
	return rest, false, nil
}
