package server

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/cleancut/cleancut/harness/node"
)

// disk is the node.Disk of a real process. It behaves towards SIGKILL as a
// disk behaves towards a loss of power:
//
//   - What is written, created, renamed and removed changes the process's
//     memory only. Reads see it.
//   - Sync takes what was written to the file since its last Sync, and
//     SyncDir the directory operations since the last SyncDir, as they are at
//     the call, and a background goroutine (flush.go) applies them to the
//     real files, in order, with fsync. Its completion is an event.
//
// So a kill keeps exactly what was synced, and of a sync in progress any
// prefix. In reality the directory "files" holds the names that are durable;
// an inode that was synced before its name was has a file in "nameless",
// where the next start finds and deletes it.
//
// Fault model: writes are lost as suffixes of a file's history, never
// reordered or torn within a sector; the simulator has those.
type disk struct {
	dir    string
	limits Limits
	names  map[string]*inode
	inodes uint64 // how many were made
	size   int64  // of all files
	ops    []dirOp
	dirty  int64 // bytes written and not yet handed to the flusher

	flusher     *flusher
	completions *completions
	counter     *counter
}

// inode is a file, whether or not it has a name.
type inode struct {
	id    uint64
	data  []byte
	links int // 1 while it has a name, else 0
	dirty []extent
	real  *realFile // belongs to the flusher
}

// extent is a change of a file's content. Data is nil for a truncation.
type extent struct {
	off  int64
	data []byte
}

var _ node.Disk = (*disk)(nil)

// filesFolder holds the files whose names are durable.
const filesFolder = "files"

func openDisk(dir string, limits Limits, c *counter) (*disk, error) {
	files, nameless := filepath.Join(dir, filesFolder), filepath.Join(dir, "nameless")
	if err := os.RemoveAll(nameless); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	for _, d := range []string{files, nameless} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
	}
	d := &disk{dir: dir, limits: limits, names: map[string]*inode{}, completions: newCompletions(), counter: c}
	d.flusher = newFlusher(files, nameless, d.completions, c, limits.Dirty)
	entries, err := os.ReadDir(files)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(files, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
		n := d.newInode()
		n.data, n.links = data, 1
		n.real.path = filepath.Join(files, e.Name())
		d.names[e.Name()] = n
		d.size += int64(len(data))
	}
	go d.flusher.run()
	return d, nil
}

// close stops the flusher; what is not synced is lost.
func (d *disk) close() { d.flusher.stop() }

func (d *disk) newInode() *inode {
	d.inodes++
	return &inode{id: d.inodes, real: &realFile{id: d.inodes}}
}

func (d *disk) Create(name string) (node.File, error) {
	if err := checkName("create", name); err != nil {
		return nil, err
	}
	if _, exists := d.names[name]; exists {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	if len(d.names) >= d.limits.Files {
		return nil, &fs.PathError{Op: "create", Path: name, Err: syscall.ENOSPC}
	}
	n := d.newInode()
	n.links = 1
	d.names[name] = n
	d.ops = append(d.ops, dirOp{kind: opLink, file: n.real, to: name})
	return &file{d: d, n: n, name: name}, nil
}

func (d *disk) Open(name string) (node.File, error) {
	n, ok := d.names[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{d: d, n: n, name: name}, nil
}

func (d *disk) Rename(oldname, newname string) error {
	if err := checkName("rename", newname); err != nil {
		return err
	}
	n, ok := d.names[oldname]
	if !ok {
		return &fs.PathError{Op: "rename", Path: oldname, Err: fs.ErrNotExist}
	}
	if oldname == newname {
		return nil
	}
	replaced := d.names[newname]
	delete(d.names, oldname)
	d.names[newname] = n
	op := dirOp{kind: opRename, file: n.real, from: oldname, to: newname}
	if replaced != nil {
		op.removed = replaced.real
		d.drop(replaced)
	}
	d.ops = append(d.ops, op)
	return nil
}

func (d *disk) Remove(name string) error {
	n, ok := d.names[name]
	if !ok {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(d.names, name)
	d.ops = append(d.ops, dirOp{kind: opRemove, removed: n.real, from: name})
	d.drop(n)
	return nil
}

// drop is called when an inode has lost its name. Open handles may still use
// it, but nothing more of it is written: no start will find it.
func (d *disk) drop(n *inode) {
	n.links = 0
	d.size -= int64(len(n.data))
	for _, e := range n.dirty {
		d.dirty -= int64(len(e.data))
		d.counter.add(-int64(len(e.data)))
	}
	n.dirty = nil
}

func (d *disk) List() ([]string, error) {
	return slices.Sorted(maps.Keys(d.names)), nil
}

func (d *disk) SyncDir(token uint64) {
	d.flusher.enqueue(job{ops: d.ops, token: token, report: true})
	d.ops = nil
}

// checkName refuses what cannot be the name of a file.
func checkName(op, name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 255 || strings.ContainsAny(name, "/\x00") {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return nil
}

// file is a handle.
type file struct {
	d    *disk
	n    *inode
	name string
}

var _ node.File = (*file)(nil)

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrInvalid}
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: fs.ErrInvalid}
	}
	if len(p) == 0 {
		return 0, nil
	}
	if err := f.resize(max(off+int64(len(p)), int64(len(f.n.data)))); err != nil {
		return 0, err
	}
	copy(f.n.data[off:], p)
	if f.n.links == 0 {
		return len(p), nil
	}
	// Appends in a row, the common case, become one extent.
	if k := len(f.n.dirty); k > 0 && f.n.dirty[k-1].data != nil && f.n.dirty[k-1].off+int64(len(f.n.dirty[k-1].data)) == off {
		f.n.dirty[k-1].data = append(f.n.dirty[k-1].data, p...)
	} else {
		f.n.dirty = append(f.n.dirty, extent{off, slices.Clone(p)})
	}
	f.d.dirty += int64(len(p))
	f.d.counter.add(int64(len(p)))
	if f.d.dirty > f.d.limits.Dirty {
		f.d.writeBack()
	}
	return len(p), nil
}

func (f *file) Truncate(size int64) error {
	if size < 0 {
		return &fs.PathError{Op: "truncate", Path: f.name, Err: fs.ErrInvalid}
	}
	if err := f.resize(size); err != nil {
		return err
	}
	if f.n.links > 0 {
		f.n.dirty = append(f.n.dirty, extent{off: size})
	}
	return nil
}

// resize changes the length of the cached content within the disk's limit.
func (f *file) resize(size int64) error {
	old := int64(len(f.n.data))
	if f.n.links > 0 {
		if f.d.size+size-old > f.d.limits.Disk {
			return &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
		}
		f.d.size += size - old
	}
	switch {
	case size <= old:
		f.n.data = f.n.data[:size]
	case size <= int64(cap(f.n.data)):
		f.n.data = f.n.data[:size]
		clear(f.n.data[old:])
	default:
		f.n.data = append(f.n.data, make([]byte, size-old)...)
	}
	return nil
}

func (f *file) Size() (int64, error) { return int64(len(f.n.data)), nil }

func (f *file) Sync(token uint64) { f.d.sync(f.n, token, true) }

func (f *file) Close() error { return nil }

// sync hands the dirty extents of an inode to the flusher.
func (d *disk) sync(n *inode, token uint64, report bool) {
	for _, e := range n.dirty {
		d.dirty -= int64(len(e.data))
	}
	d.flusher.enqueue(job{file: n.real, extents: n.dirty, token: token, report: report})
	n.dirty = nil
}

// writeBack writes dirty files early, as a kernel does that runs out of
// memory for its page cache. Names stay as they are.
func (d *disk) writeBack() {
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		if n := d.names[name]; len(n.dirty) > 0 {
			d.sync(n, 0, false)
		}
	}
}
