//go:build unix

package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// counter is a number in a file that is mapped into memory, so that it can be
// read after the process was killed. Containers are little endian on every
// machine that Docker supports for us (amd64, arm64).
type counter struct{ mem []byte }

// openCounter makes the file, or a counter without one if path is "".
func openCounter(path string) (*counter, error) {
	if path == "" {
		return &counter{mem: make([]byte, 8)}, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("unsynced file: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("unsynced file: %w", err)
	}
	if err := f.Truncate(8); err != nil {
		return nil, errors.Join(fmt.Errorf("unsynced file: %w", err), f.Close())
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, 8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("unsynced file: %w", err)
	}
	return &counter{mem: mem}, nil
}

// add changes the number. The mapping is page aligned, so the access is
// atomic.
func (c *counter) add(n int64) { atomic.AddInt64((*int64)(unsafe.Pointer(&c.mem[0])), n) }
