package server

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/harness/record/raw"
)

// recorder appends what the program records to a file that no fault of the
// disk reaches: each event is one line, written before the program goes on, so
// that SIGKILL and the end of the container lose nothing of it. (It is in the
// kernel's hands then; the host itself is not supposed to fail.)
//
// Times are those of the host's monotonic clock, which all containers share.
// Incarnations are counted and crashes added by whoever collects the files.
type recorder struct {
	path  string // "" if nothing is to be kept
	limit int64
	out   *raw.Writer // nil until the first event: a program that records nothing leaves no file
}

func openRecorder(path string, limit int64) (*recorder, error) {
	if path == "" {
		return &recorder{}, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return &recorder{path: path, limit: limit}, nil
}

func (r *recorder) write(e record.Event) (err error) {
	if r.path == "" {
		return nil
	}
	if r.out == nil {
		if r.out, err = raw.Open(r.path, r.limit); err != nil {
			return err
		}
	}
	return r.out.Write(e)
}

func (r *recorder) close() {
	if r.out != nil {
		_ = r.out.Close() // every line is written already
	}
}
