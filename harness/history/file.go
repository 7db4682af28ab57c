package history

import (
	"errors"
	"fmt"
)

// DefaultFileLimit is the size in bytes after which a File is full unless
// told otherwise: about ten million operations.
const DefaultFileLimit = 2 << 30

// errTooLong refuses one event and leaves the recorder usable.
var errTooLong = errors.New("event too long")

// FileOptions bound a File.
type FileOptions struct {
	// Limit is the size in bytes after which no operation may begin; 0 means
	// DefaultFileLimit. Completions of open operations and events of faults
	// may go beyond it.
	Limit int64
}

// File is a Sink that appends JSONL to a file. Append costs no system call:
// the file is mapped into memory and grown in chunks, so that what was
// appended is in the kernel's hands at once and survives SIGKILL of this
// process (not a power failure of the machine). Until Close the file ends in
// NUL bytes, which Decoder skips. The newline is written last, so that a line
// with a newline is complete.
type File struct {
	w     window
	limit int64
	size  int64
	line  []byte
}

// CreateFile makes a new history file. It fails if there is one.
func CreateFile(path string, o FileOptions) (*File, error) {
	if o.Limit == 0 {
		o.Limit = DefaultFileLimit
	}
	if o.Limit < 0 {
		return nil, fmt.Errorf("history: a size limit of %d bytes; expected a positive one", o.Limit)
	}
	w, err := createWindow(path)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return &File{w: w, limit: o.Limit}, nil
}

// Append writes e as one line.
func (f *File) Append(e *Event) error {
	f.line = e.AppendJSON(f.line[:0])
	if len(f.line)+1 > MaxLine {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", errTooLong, len(f.line)+1, MaxLine)
	}
	if err := f.w.write(f.size, f.line); err != nil {
		return err
	}
	end := f.size + int64(len(f.line))
	f.line = append(f.line, '\n')
	if err := f.w.write(end, f.line[len(f.line)-1:]); err != nil {
		return err
	}
	f.size = end + 1
	return nil
}

// Full reports whether the size limit is reached.
func (f *File) Full() bool { return f.size >= f.limit }

// Size is the number of bytes written.
func (f *File) Size() int64 { return f.size }

// Close cuts the file to what was written and closes it.
func (f *File) Close() error {
	if err := f.w.close(f.size); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}
