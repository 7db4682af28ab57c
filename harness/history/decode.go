package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cleancut/cleancut/harness/internal/files"
	"github.com/cleancut/cleancut/harness/internal/jsonline"
)

// ErrTorn marks an incomplete last line: the recorder was killed while it
// wrote. Everything before it is intact. A line that lacks no more than its
// newline is complete.
var ErrTorn = errors.New("the last line is incomplete")

// SyntaxError says where and why a line of JSONL is not an event.
type SyntaxError struct {
	Line int // from 1
	Err  error
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns the cause.
func (e *SyntaxError) Unwrap() error { return e.Err }

// Decoder reads events from JSONL, one at a time, in memory that does not
// depend on the history's length. It is strict: an unknown or repeated field,
// a fraction, an index that does not count from 0 upwards, or a time that
// goes backwards is an error that names the line and the field. Empty lines
// and the NUL bytes that a killed recorder leaves at the end are skipped.
type Decoder struct {
	r     *bufio.Reader
	words *jsonline.Words
	lists ListReader
	line  int
	next  int64
	last  time.Duration
}

// maxWords bounds of how many functions, keys and nodes there is one copy.
const maxWords = 1 << 16

// NewDecoder returns a decoder that reads from r.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{r: bufio.NewReaderSize(r, MaxLine), words: jsonline.NewWords(maxWords)}
}

// Next returns the next event. It returns io.EOF after the last one, ErrTorn
// (wrapped, once, and then io.EOF) if the last line is incomplete, and a
// *SyntaxError for a line that is not an event.
func (d *Decoder) Next() (Event, error) {
	for {
		line, err := d.r.ReadSlice('\n')
		switch {
		case err == io.EOF || errors.Is(err, bufio.ErrBufferFull) && line[len(line)-1] == 0:
			return d.end(bytes.Clone(bytes.Trim(line, "\x00")))
		case errors.Is(err, bufio.ErrBufferFull):
			return Event{}, &SyntaxError{d.line + 1, fmt.Errorf("longer than %d bytes", MaxLine)}
		case err != nil:
			return Event{}, fmt.Errorf("line %d: %w", d.line+1, err)
		}
		d.line++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		e, err := d.parse(line[:len(line)-1])
		if err != nil {
			return Event{}, &SyntaxError{d.line, err}
		}
		return e, nil
	}
}

// nulsMax bounds the NUL bytes at the end: a recorder leaves a few MiB of them.
const nulsMax = 64 << 20

// end is called with what follows the last newline, NUL bytes stripped: it
// makes sure that nothing but NUL bytes is left, and returns the event if there
// is one.
func (d *Decoder) end(rest []byte) (Event, error) {
	for nuls := 0; ; {
		b, err := d.r.ReadSlice('\n')
		if nuls += len(b); nuls > nulsMax {
			return Event{}, &SyntaxError{d.line + 1, fmt.Errorf("more than %d NUL bytes, which no recorder leaves: the file is damaged", nulsMax)}
		}
		if len(bytes.Trim(b, "\x00")) > 0 {
			return Event{}, &SyntaxError{d.line + 1, errors.New("NUL bytes in the midst of the history: the file is damaged")}
		}
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return Event{}, fmt.Errorf("line %d: %w", d.line+1, err)
		}
	}
	if len(bytes.TrimSpace(rest)) == 0 {
		return Event{}, io.EOF
	}
	d.line++
	if !json.Valid(rest) {
		return Event{}, fmt.Errorf("line %d: %w", d.line, ErrTorn)
	}
	e, err := d.parse(rest)
	if err != nil {
		return Event{}, &SyntaxError{d.line, err}
	}
	return e, nil
}

func (d *Decoder) parse(line []byte) (Event, error) {
	p := parser{Line: jsonline.Line{Text: line, Words: d.words}, lists: d.lists}
	e, err := p.event()
	d.lists = p.lists
	if err != nil {
		return e, err
	}
	if e.Index != d.next {
		return e, fmt.Errorf("index: found %d, expected %d: events are missing, doubled or out of order", e.Index, d.next)
	}
	if e.Time < d.last {
		return e, fmt.Errorf("time: %d is before %d, the time of the event before it", e.Time, d.last)
	}
	d.next++
	d.last = e.Time
	return e, nil
}

// Read reads a whole history. Torn tells that the last line was incomplete
// and left out.
func Read(r io.Reader) (events []Event, torn bool, err error) {
	d := NewDecoder(r)
	for {
		e, err := d.Next()
		switch {
		case err == io.EOF:
			return events, torn, nil
		case errors.Is(err, ErrTorn):
			return events, true, nil
		case err != nil:
			return nil, false, err
		}
		events = append(events, e)
	}
}

// ReadFile reads a whole history from a file.
func ReadFile(path string) (events []Event, torn bool, err error) {
	f, err := files.Open(path)
	if err != nil {
		return nil, false, fmt.Errorf("history: %w", err)
	}
	defer f.Close()
	events, torn, err = Read(f)
	if err != nil {
		return nil, false, fmt.Errorf("history %s: %w", path, err)
	}
	return events, torn, nil
}

// Write writes events as JSONL.
func Write(w io.Writer, events []Event) error {
	b := bufio.NewWriter(w)
	var line []byte
	for i := range events {
		line = append(events[i].AppendJSON(line[:0]), '\n')
		if len(line) > MaxLine {
			return fmt.Errorf("history: event %d takes %d bytes, more than the limit of %d", events[i].Index, len(line), MaxLine)
		}
		if _, err := b.Write(line); err != nil {
			return fmt.Errorf("history: %w", err)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}
