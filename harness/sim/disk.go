package sim

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"

	"github.com/cleancut/cleancut/harness/node"
)

const (
	sectorSize  = 512
	capacityMax = 1 << 40
	// dirtyMax bounds the unsynced bytes of a file. Beyond it the older half
	// of its writes reaches the disk, as kernels write back by themselves.
	dirtyMax = 8 << 20
)

// disk is a node's stable storage together with the page cache over it. It
// outlives processes; power losses happen to it in power.go.
//
// Every file has two contents: the cached one, which is read, and the stable
// one. Between them lies the list of writes that were made and not yet
// synced; a sync remembers how long the list was and, when it is done,
// applies that much of it. The directory works the same way.
type disk struct {
	n        *machine
	rand     *rand.PCG
	capacity int64
	used     int64 // bytes of all named files
	last     int64 // when the last sync will be done: syncs finish in order

	slow   []*slowness       // in force
	names  map[string]*inode // cached
	stable map[string]*inode
	ops    []nameOp // made and not synced
	base   uint64   // name operations that are stable
}

// nameOp is a change of the directory.
type nameOp struct {
	kind nameKind
	name string
	to   string // new name, of a rename
	file *inode
}

type nameKind uint8

const (
	nameCreate nameKind = iota
	nameRename
	nameRemove
)

func (o nameOp) apply(names map[string]*inode) {
	switch o.kind {
	case nameCreate:
		names[o.name] = o.file
	case nameRename:
		delete(names, o.name)
		names[o.to] = o.file
	case nameRemove:
		delete(names, o.name)
	}
}

// inode is a file.
type inode struct {
	data   []byte // cached content
	stable []byte
	ops    []fileOp // made and not synced, from head on
	head   int
	base   uint64 // operations that are stable
	buf    []byte // bytes of the writes among ops
	named  bool   // it counts against the capacity
}

// fileOp is a write of n bytes, found at buf, to off; or, if n is cutSize, a
// change of the size to off.
type fileOp struct {
	off int64
	buf int
	n   int
}

const cutSize = -1

func newDisk(n *machine, r *rand.PCG) *disk {
	return &disk{
		n: n, rand: r, capacity: n.w.profile.Disk.Capacity,
		names: map[string]*inode{}, stable: map[string]*inode{},
	}
}

// resize makes b size bytes long, with zeros where it grows.
func resize(b []byte, size int64) []byte {
	old := int64(len(b))
	if size <= old {
		return b[:size]
	}
	b = slices.Grow(b, int(size-old))[:size]
	clear(b[old:])
	return b
}

// put writes p at off into b, which grows as needed: by doubling, for files
// are written in many small pieces.
func put(b []byte, p []byte, off int64) []byte {
	if off == int64(len(b)) {
		if len(b)+len(p) > cap(b) {
			b = slices.Grow(b, max(len(p), len(b), sectorSize))
		}
		return append(b, p...)
	}
	if end := off + int64(len(p)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[off:], p)
	return b
}

// pending returns the operations that are not stable.
func (f *inode) pending() []fileOp { return f.ops[f.head:] }

// bytes returns what an operation writes.
func (f *inode) bytes(o fileOp) []byte { return f.buf[o.buf : o.buf+o.n] }

// harden makes all operations stable whose number is below mark.
func (f *inode) harden(mark uint64) {
	for f.head < len(f.ops) && f.base < mark {
		o := f.ops[f.head]
		if o.n == cutSize {
			f.stable = resize(f.stable, o.off)
		} else {
			f.stable = put(f.stable, f.bytes(o), o.off)
		}
		f.head++
		f.base++
	}
	switch {
	case f.head == len(f.ops):
		f.ops, f.buf, f.head = f.ops[:0], f.buf[:0], 0
	case f.head > 1024 && f.head > len(f.ops)/2:
		f.compact()
	}
}

// compact lets go of stable operations and their bytes.
func (f *inode) compact() {
	f.ops = f.ops[:copy(f.ops, f.ops[f.head:])]
	f.head = 0
	first := len(f.buf)
	for _, o := range f.ops {
		if o.n != cutSize {
			first = o.buf
			break
		}
	}
	f.buf = f.buf[:copy(f.buf, f.buf[first:])]
	for i := range f.ops {
		if f.ops[i].n != cutSize {
			f.ops[i].buf -= first
		}
	}
}

// room reports whether a file may grow to size.
func (d *disk) room(f *inode, size int64) error {
	grow := size - int64(len(f.data))
	if grow <= 0 {
		return nil
	}
	if size > d.capacity || f.named && d.used+grow > d.capacity {
		return syscall.ENOSPC
	}
	return nil
}

// resized accounts for a new size of a file.
func (d *disk) resized(f *inode, before int) {
	if f.named {
		d.used += int64(len(f.data) - before)
	}
}

// sync schedules the completion of a Sync of file, or of a SyncDir if file is
// nil.
func (d *disk) sync(token uint64, file *inode) {
	w := d.n.w
	at := max(d.last, w.now+w.profile.Disk.Sync.draw(d.rand.Uint64())+d.slowed())
	d.last = at
	p := payload{kind: kindSynced, node: d.n.index, epoch: d.n.epoch, a: token, b: d.base + uint64(len(d.ops)), ref: file}
	if file != nil {
		p.b = file.base + uint64(len(file.pending()))
	}
	w.schedule(at, p)
}

// synced makes stable what a sync was for. It does so for dead processes too;
// after a power loss, which settles all operations, nothing is left to do.
func (d *disk) synced(p payload) {
	if f := p.ref.(*inode); f != nil {
		f.harden(p.b)
		return
	}
	n := 0
	for ; n < len(d.ops) && d.base < p.b; n++ {
		d.ops[n].apply(d.stable)
		d.base++
	}
	d.ops = slices.Delete(d.ops, 0, n)
}

// directory is a process's view of the disk of its node: its node.Disk.
type directory env

var _ node.Disk = (*directory)(nil)

func (v *directory) disk() *disk {
	(*env)(v).alive()
	return v.n.disk
}

func checkName(op, name string) error {
	if name == "" || strings.ContainsAny(name, "/\x00") {
		return &fs.PathError{Op: op, Path: name, Err: fmt.Errorf("%w: want a name without slash and NUL", fs.ErrInvalid)}
	}
	return nil
}

// Create implements node.Disk.
func (v *directory) Create(name string) (node.File, error) {
	d := v.disk()
	if err := checkName("create", name); err != nil {
		return nil, err
	}
	if d.names[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	f := &inode{named: true}
	d.change(nameOp{kind: nameCreate, name: name, file: f})
	return &file{d: d, env: (*env)(v), f: f, name: name}, nil
}

// change applies a name operation to the cached directory.
func (d *disk) change(o nameOp) {
	o.apply(d.names)
	d.ops = append(d.ops, o)
	d.n.w.note(kindWrite, d.n.index, d.n.epoch, digestString(o.name)+uint64(o.kind))
}

// Open implements node.Disk.
func (v *directory) Open(name string) (node.File, error) {
	d := v.disk()
	if err := checkName("open", name); err != nil {
		return nil, err
	}
	f := d.names[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{d: d, env: (*env)(v), f: f, name: name}, nil
}

// Rename implements node.Disk.
func (v *directory) Rename(oldname, newname string) error {
	d := v.disk()
	if err := checkName("rename", oldname); err != nil {
		return err
	}
	if err := checkName("rename", newname); err != nil {
		return err
	}
	f := d.names[oldname]
	switch {
	case f == nil:
		return &fs.PathError{Op: "rename", Path: oldname, Err: fs.ErrNotExist}
	case oldname == newname:
		return nil
	}
	d.unname(d.names[newname])
	d.change(nameOp{kind: nameRename, name: oldname, to: newname, file: f})
	return nil
}

// unname gives back the room of a file that loses its name.
func (d *disk) unname(f *inode) {
	if f != nil {
		d.used -= int64(len(f.data))
		f.named = false
	}
}

// Remove implements node.Disk.
func (v *directory) Remove(name string) error {
	d := v.disk()
	if err := checkName("remove", name); err != nil {
		return err
	}
	f := d.names[name]
	if f == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	d.unname(f)
	d.change(nameOp{kind: nameRemove, name: name, file: f})
	return nil
}

// List implements node.Disk.
func (v *directory) List() ([]string, error) {
	return sortedNames(v.disk().names), nil
}

func sortedNames(m map[string]*inode) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// SyncDir implements node.Disk.
func (v *directory) SyncDir(token uint64) { v.disk().sync(token, nil) }

// file is an open file.
type file struct {
	d      *disk
	env    *env
	f      *inode
	name   string
	closed bool
}

// usable says why a file can no longer be used.
func (h *file) usable(op string, off int64) error {
	h.env.alive()
	switch {
	case h.closed:
		return &fs.PathError{Op: op, Path: h.name, Err: fs.ErrClosed}
	case off < 0:
		return &fs.PathError{Op: op, Path: h.name, Err: fmt.Errorf("%w: offset %d", fs.ErrInvalid, off)}
	}
	return nil
}

// ReadAt implements node.File.
func (h *file) ReadAt(p []byte, off int64) (int, error) {
	if err := h.usable("read", off); err != nil {
		return 0, err
	}
	if off >= int64(len(h.f.data)) {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := copy(p, h.f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements node.File.
func (h *file) WriteAt(p []byte, off int64) (int, error) {
	if err := h.usable("write", off); err != nil {
		return 0, err
	}
	f, d := h.f, h.d
	if off > capacityMax-int64(len(p)) {
		return 0, &fs.PathError{Op: "write", Path: h.name, Err: syscall.ENOSPC}
	}
	if err := d.room(f, off+int64(len(p))); err != nil {
		return 0, &fs.PathError{Op: "write", Path: h.name, Err: err}
	}
	if len(p) == 0 {
		return 0, nil
	}
	before := len(f.data)
	f.data = put(f.data, p, off)
	d.resized(f, before)
	f.ops = append(f.ops, fileOp{off: off, buf: len(f.buf), n: len(p)})
	f.buf = append(f.buf, p...)
	if len(f.buf) > dirtyMax {
		f.writeBack()
	}
	d.n.w.note(kindWrite, d.n.index, d.n.epoch, digest(p)^uint64(off))
	return len(p), nil
}

// writeBack makes the older half of the unsynced writes stable.
func (f *inode) writeBack() {
	f.harden(f.base + uint64(len(f.pending())+1)/2)
	if f.head > 0 {
		f.compact()
	}
}

// Truncate implements node.File.
func (h *file) Truncate(size int64) error {
	if err := h.usable("truncate", size); err != nil {
		return err
	}
	f, d := h.f, h.d
	if err := d.room(f, size); err != nil {
		return &fs.PathError{Op: "truncate", Path: h.name, Err: err}
	}
	before := len(f.data)
	f.data = resize(f.data, size)
	d.resized(f, before)
	f.ops = append(f.ops, fileOp{off: size, n: cutSize})
	d.n.w.note(kindWrite, d.n.index, d.n.epoch, ^uint64(size))
	return nil
}

// Size implements node.File.
func (h *file) Size() (int64, error) {
	if err := h.usable("stat", 0); err != nil {
		return 0, err
	}
	return int64(len(h.f.data)), nil
}

// Sync implements node.File. Syncing a closed file is a bug in the program
// and panics.
func (h *file) Sync(token uint64) {
	if err := h.usable("sync", 0); err != nil {
		panic(err)
	}
	h.d.sync(token, h.f)
}

// Close implements node.File.
func (h *file) Close() error {
	if err := h.usable("close", 0); err != nil {
		return err
	}
	h.closed = true
	return nil
}
