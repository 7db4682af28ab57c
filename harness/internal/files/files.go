// Package files reads and writes the files of runs, which a system under test,
// a dead harness or a stranger may have left: only regular files are read, and
// only so much of them as was allowed; whatever is written is there as a whole
// or not at all. A device, a pipe, a socket or a link in place of a file is an
// error, never waited for, and never written through.
//
// It does not protect against who changes folders meanwhile.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrSpecial means that something is no regular file. The error that wraps it
// says what it is.
var ErrSpecial = errors.New("not a regular file")

// Open opens a regular file for reading. A link is no such file.
func Open(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	return open(path, info)
}

// OpenGiven is Open of a path that a person gave, who may name a link to a file.
func OpenGiven(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return open(path, info)
}

func open(path string, info fs.FileInfo) (*os.File, error) {
	if !info.Mode().IsRegular() {
		return nil, special(path, info)
	}
	// What has taken the file's place meanwhile must not hold the harness.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(info, opened) {
		err = special(path, opened)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func special(path string, info fs.FileInfo) error {
	what := "something special"
	switch m := info.Mode(); {
	case m.IsDir():
		what = "a folder"
	case m&fs.ModeSymlink != 0:
		what = "a link"
	case m&fs.ModeNamedPipe != 0:
		what = "a pipe"
	case m&fs.ModeSocket != 0:
		what = "a socket"
	case m&fs.ModeDevice != 0:
		what = "a device"
	case m.IsRegular():
		what = "another file by now"
	}
	return fmt.Errorf("%s is %s: %w, and is left alone", path, what, ErrSpecial)
}

// Read returns the content of a regular file of at most limit bytes.
func Read(path string, limit int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s has more than the limit of %d bytes", path, limit)
	}
	return b, nil
}

// Write replaces a file, or makes it and the folders above it: a reader finds
// the old content or the new. A link that has the name is replaced; a folder, a
// device, a pipe or a socket is not.
func Write(path string, content []byte) error {
	if info, err := os.Lstat(path); err == nil && info.Mode()&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		return fmt.Errorf("writing: %w", special(path, info))
	}
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	f, err := os.CreateTemp(folder, ".new-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}
