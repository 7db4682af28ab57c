package checkpoint

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"testing"

	"github.com/cleancut/cleancut/harness/node"
)

// memoryDisk forgets, on demand, all that was not synced.
type memoryDisk struct {
	files, stable map[string]*memoryFile
	pending       []func() uint64
}

type memoryFile struct {
	d            *memoryDisk
	data, stable []byte
}

func newMemoryDisk() *memoryDisk {
	return &memoryDisk{files: map[string]*memoryFile{}, stable: map[string]*memoryFile{}}
}

// powerLoss returns what is left.
func (d *memoryDisk) powerLoss() *memoryDisk {
	left := newMemoryDisk()
	for name, f := range d.stable {
		left.files[name] = &memoryFile{d: left, data: slices.Clone(f.stable), stable: slices.Clone(f.stable)}
	}
	left.stable = maps.Clone(left.files)
	return left
}

func (d *memoryDisk) Create(name string) (node.File, error) {
	if d.files[name] != nil {
		return nil, fs.ErrExist
	}
	d.files[name] = &memoryFile{d: d}
	return d.files[name], nil
}

func (d *memoryDisk) Open(name string) (node.File, error) {
	if f := d.files[name]; f != nil {
		return f, nil
	}
	return nil, fs.ErrNotExist
}

func (d *memoryDisk) Rename(oldname, newname string) error {
	d.files[newname] = d.files[oldname]
	delete(d.files, oldname)
	return nil
}

func (d *memoryDisk) Remove(name string) error {
	if d.files[name] == nil {
		return fs.ErrNotExist
	}
	delete(d.files, name)
	return nil
}

func (d *memoryDisk) List() ([]string, error) { return slices.Sorted(maps.Keys(d.files)), nil }

func (d *memoryDisk) SyncDir(token uint64) {
	names := maps.Clone(d.files)
	d.pending = append(d.pending, func() uint64 { d.stable = names; return token })
}

func (f *memoryFile) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(f.data).ReadAt(p, off)
}

func (f *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	f.data = append(f.data[:off], p...)
	return len(p), nil
}

func (f *memoryFile) Truncate(int64) error { return io.ErrShortWrite }
func (f *memoryFile) Size() (int64, error) { return int64(len(f.data)), nil }
func (f *memoryFile) Close() error         { return nil }

func (f *memoryFile) Sync(token uint64) {
	data := slices.Clone(f.data)
	f.d.pending = append(f.d.pending, func() uint64 { f.stable = data; return token })
}

// diskEnv is an environment with nothing but a disk.
type diskEnv struct {
	node.Env
	disk *memoryDisk
}

func (e diskEnv) Disk() node.Disk     { return e.disk }
func (e diskEnv) Logf(string, ...any) {}
func (e diskEnv) Point(string)        {}

func open(t *testing.T, d *memoryDisk) *local {
	t.Helper()
	l, err := openLocal(diskEnv{disk: d}, "n4", true)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// sync completes at most n syncs.
func sync(l *local, d *memoryDisk, n int) {
	for ; n > 0 && len(d.pending) > 0; n-- {
		finish := d.pending[0]
		d.pending = d.pending[1:]
		l.synced(finish(), nil)
	}
}

func TestALocalCheckpointIsThereWhollyOrNotAtAll(t *testing.T) {
	for syncs := range 4 {
		d := newMemoryDisk()
		l := open(t, d)
		reported := false
		l.write(1, 0, []byte("part"), func(err error) { reported = err == nil })
		sync(l, d, syncs)
		left := d.powerLoss()
		b, err := open(t, left).load(1)
		switch {
		case reported && (err != nil || string(b) != "part"):
			t.Errorf("after %d syncs: it was reported, and is %q, %v", syncs, b, err)
		case !reported && err == nil && string(b) != "part":
			t.Errorf("after %d syncs: there is half a part: %q", syncs, b)
		case reported != (syncs >= 2):
			t.Errorf("after %d syncs: reported is %v", syncs, reported)
		}
		if _, err := left.Open(localName(1) + temporarySuffix); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after %d syncs: the next start leaves an unfinished file", syncs)
		}
	}
}

func TestAnIncrementRestsOnItsBaseAndKeepsItThere(t *testing.T) {
	d := newMemoryDisk()
	l := open(t, d)
	first, second := bytes.Repeat([]byte("a"), 300), bytes.Repeat([]byte("a"), 310)
	l.write(1, 0, first, func(error) {})
	sync(l, d, 9)
	l.write(2, 1, delta(first, second), func(error) {})
	sync(l, d, 9)
	l = open(t, d.powerLoss())
	if b, err := l.load(2); err != nil || !bytes.Equal(b, second) {
		t.Fatalf("an increment gives %q, %v", b, err)
	}
	if n := l.chain(2); n != 1 {
		t.Errorf("the chain has %d increments, want 1", n)
	}
	if removed := l.keep([]int{2}, true); len(removed) != 0 {
		t.Errorf("%v were removed, although round 2 rests on them", removed)
	}
	if removed := l.keep([]int{2}, false); !slices.Equal(removed, []int{1}) {
		t.Errorf("the bug removed %v, want the base", removed)
	}
	if _, err := l.load(2); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an increment without base: %v", err)
	}
}

func TestGarbageIsWhatIsNotKeptAndNotNewer(t *testing.T) {
	d := newMemoryDisk()
	l := open(t, d)
	for round := 1; round <= 5; round++ {
		l.write(round, 0, []byte("part"), func(error) {})
		sync(l, d, 9)
	}
	if removed := l.keep([]int{2, 4}, true); !slices.Equal(removed, []int{3, 1}) {
		t.Errorf("removed %v; want 3 and 1: 5 may be committed by now", removed)
	}
}

func TestADamagedFileIsCorruptAndNotMissing(t *testing.T) {
	d := newMemoryDisk()
	l := open(t, d)
	l.write(1, 0, []byte("part"), func(error) {})
	sync(l, d, 9)
	d.files[localName(1)].data[14] ^= 1
	if _, err := l.load(1); !errors.Is(err, errCorrupt) {
		t.Errorf("got %v, want corrupt", err)
	}
}

func TestSettingsThatCannotWorkAreRefusedInASentence(t *testing.T) {
	for want, values := range map[string]map[string]string{
		"need":     {"protocol": "aligned", "job": "transfer"},
		"must be":  {"partner-every": "2", "local-every": "0", "store-every": "3"},
		"number":   {"retain": "two"},
		"duration": {"interval": "1"},
		"expected": {"retain": "0"},
	} {
		if _, err := New().With(values); err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%v: %v; want an error with %q", values, err, want)
		}
	}
	if _, err := New().With(map[string]string{"protocol": "aligned", "job": "pipeline"}); err != nil {
		t.Error(err)
	}
}
