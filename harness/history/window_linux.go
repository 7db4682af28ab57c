package history

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// chunk is by how much a file grows, and how much of it is mapped at a time.
// It is a multiple of every page size.
const chunk = 4 << 20

// window is a file of which one chunk is mapped into memory.
type window struct {
	f    *os.File
	mem  []byte
	base int64 // offset of mem in the file; -1 before the first chunk
}

func createWindow(path string) (window, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return window{}, err
	}
	return window{f: f, base: -1}, nil
}

// write copies b to offset at, which never lies before the current chunk.
func (w *window) write(at int64, b []byte) error {
	for len(b) > 0 {
		if w.mem == nil || at >= w.base+int64(len(w.mem)) {
			if err := w.advance(at - at%chunk); err != nil {
				return err
			}
		}
		n := copy(w.mem[at-w.base:], b)
		b, at = b[n:], at+int64(n)
	}
	return nil
}

// advance maps the chunk at base. Its blocks are allocated first: writing to
// a hole of a mapped file on a full disk would kill the process (SIGBUS).
func (w *window) advance(base int64) error {
	if err := w.unmap(); err != nil {
		return err
	}
	if err := w.allocate(base); err != nil {
		return fmt.Errorf("growing %s by %d MiB: %w", w.f.Name(), chunk>>20, err)
	}
	mem, err := syscall.Mmap(int(w.f.Fd()), base, chunk, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mapping %s: %w", w.f.Name(), err)
	}
	w.mem, w.base = mem, base
	return nil
}

func (w *window) allocate(base int64) error {
	err := syscall.Fallocate(int(w.f.Fd()), 0, base, chunk)
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Fallocate(int(w.f.Fd()), 0, base, chunk)
	}
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		_, err = w.f.WriteAt(make([]byte, chunk), base)
	}
	return err
}

func (w *window) unmap() error {
	if w.mem == nil {
		return nil
	}
	mem := w.mem
	w.mem = nil
	if err := syscall.Munmap(mem); err != nil {
		return fmt.Errorf("unmapping %s: %w", w.f.Name(), err)
	}
	return nil
}

func (w *window) close(size int64) error {
	return errors.Join(w.unmap(), w.f.Truncate(size), w.f.Close())
}
