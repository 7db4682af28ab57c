// Package raw is how node processes in containers keep their events: each in a
// file of its own, outside of its data directory, from which the harness makes
// the run's record when the run is over.
//
// A file holds one event as JSON per line, in order, with T on the host's
// monotonic clock (CLOCK_MONOTONIC, which all containers of a host share) and
// neither process nor incarnation. Whoever watches the process adds the line
// of its crash. Collect numbers incarnations and adds the crashes that nobody
// could write down, for the watcher died as well; Merge puts the files of a
// run together on its own clock.
//
// The package does not judge what the events say. Of a process that was killed
// while it wrote, the unfinished line is lost: it did nothing after it.
package raw

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cleancut/cleancut/harness/internal/jsontext"
	"github.com/cleancut/cleancut/harness/record"
)

// Full is the kind of the line that ends a file that has reached its limit.
const Full record.Kind = "full"

// Writer appends events to a file.
type Writer struct {
	f     *os.File
	size  int64
	limit int64
	full  bool
}

// Open opens a file, which is made if it does not exist, to append to it. A
// line that a predecessor did not finish is ended. Limit bounds the file's
// size: beyond it, a last line says so, and nothing more is kept.
func Open(path string, limit int64) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	w := &Writer{f: f, limit: limit}
	if err := w.endLine(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return w, nil
}

func (w *Writer) endLine() error {
	info, err := w.f.Stat()
	if err != nil {
		return err
	}
	if w.size = info.Size(); w.size == 0 {
		return nil
	}
	var last [1]byte
	if _, err := w.f.ReadAt(last[:], w.size-1); err != nil || last[0] == '\n' {
		return err
	}
	n, err := w.f.Write([]byte{'\n'})
	w.size += int64(n)
	return err
}

// Write appends an event with the time that it is. It is in the kernel's hands
// when Write returns.
func (w *Writer) Write(e record.Event) (err error) {
	if w.full {
		return nil
	}
	if e.T, err = Now(); err != nil {
		return err
	}
	line, err := encode(e)
	if err != nil {
		return err
	}
	if w.size+int64(len(line)) > w.limit {
		w.full = true
		if line, err = encode(record.Event{T: e.T, Kind: Full}); err != nil {
			return err
		}
	}
	n, err := w.f.Write(line)
	w.size += int64(n)
	return err
}

func encode(e record.Event) ([]byte, error) {
	line, err := jsontext.Marshal(e)
	return append(line, '\n'), err
}

// Close closes the file.
func (w *Writer) Close() error { return w.f.Close() }

// Crash appends the crash of the process whose file it is. A process that
// recorded nothing has no file, and gets none.
func Crash(path, reason string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	w, err := Open(path, 1<<62) // the limit is for programs
	if err != nil {
		return err
	}
	return errors.Join(w.Write(record.Event{Kind: record.Crash, Reason: reason}), w.Close())
}

// Zero returns the host's monotonic clock at the moment at which a clock that
// shows since now was started.
func Zero(since time.Duration) (time.Duration, error) {
	now, err := Now()
	return now - since, err
}

// WriteFile writes events to a file, whole or not at all.
func WriteFile(path string, events []record.Event) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 1<<16)
	for i := range events {
		var line []byte
		if line, err = encode(events[i]); err == nil {
			_, err = out.Write(line)
		}
		if err != nil {
			break
		}
	}
	err = errors.Join(err, out.Flush(), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}
