//go:build !linux

package history

import (
	"errors"
	"os"
)

// window is a file that is written to by one system call per write, which is
// slower than a mapped one and as safe.
type window struct{ f *os.File }

func createWindow(path string) (window, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	return window{f}, err
}

func (w *window) write(at int64, b []byte) error {
	_, err := w.f.WriteAt(b, at)
	return err
}

func (w *window) close(size int64) error {
	return errors.Join(w.f.Truncate(size), w.f.Close())
}
