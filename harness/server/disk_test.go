package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/rng"
)

// testDisk opens a disk whose unsynced bytes are counted in a file.
func testDisk(t *testing.T, dir string, limits Limits) (d *disk, unsynced func() int64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "unsynced")
	c, err := openCounter(path)
	if err != nil {
		t.Fatal(err)
	}
	if d, err = openDisk(dir, limits.withDefaults(), c); err != nil {
		t.Fatal(err)
	}
	return d, func() int64 {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return int64(binary.LittleEndian.Uint64(b))
	}
}

// await collects completions until all tokens have come.
func await(t *testing.T, d *disk, tokens ...uint64) {
	t.Helper()
	missing := map[uint64]bool{}
	for _, k := range tokens {
		missing[k] = true
	}
	for len(missing) > 0 {
		select {
		case <-d.completions.ready:
			for _, c := range d.completions.take() {
				if c.err != nil {
					t.Fatalf("sync %d: %v", c.token, c.err)
				}
				delete(missing, c.token)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("syncs %v did not complete", missing)
		}
	}
}

func write(t *testing.T, f node.File, off int64, s string) {
	t.Helper()
	if n, err := f.WriteAt([]byte(s), off); n != len(s) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(s), err)
	}
}

func content(t *testing.T, d *disk, name string) string {
	t.Helper()
	f, err := d.Open(name)
	if err != nil {
		return err.Error()
	}
	size, _ := f.Size()
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); int64(n) != size || err != nil && err != io.EOF {
		t.Fatalf("read %d of %d bytes: %v", n, size, err)
	}
	return string(b)
}

// open makes a file or fails the test.
func open(t *testing.T, f func(string) (node.File, error), name string) node.File {
	t.Helper()
	file, err := f(name)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// crash does what SIGKILL does to a disk: what the flusher has not written is
// forgotten. The next incarnation opens the directory.
func crash(t *testing.T, d *disk) *disk {
	t.Helper()
	d.close()
	next, _ := testDisk(t, d.dir, Limits{})
	return next
}

func TestSyncedWritesSurviveACrashAndOthersDoNot(t *testing.T) {
	d, unsynced := testDisk(t, t.TempDir(), Limits{})
	f := open(t, d.Create, "log")
	write(t, f, 0, "first ")
	write(t, f, 6, "second")
	if n := unsynced(); n != 12 {
		t.Errorf("%d bytes count as unsynced, want 12", n)
	}
	f.Sync(1)
	d.SyncDir(2)
	write(t, f, 12, " third") // after the call of Sync: not in it
	await(t, d, 1, 2)
	if n := unsynced(); n != 6 {
		t.Errorf("%d bytes count as unsynced, want 6", n)
	}
	if got := content(t, d, "log"); got != "first second third" {
		t.Errorf("before the crash it reads %q", got)
	}
	d = crash(t, d)
	if got := content(t, d, "log"); got != "first second" {
		t.Errorf("after the crash it reads %q", got)
	}
	// A file that was there at the start goes on like a new one.
	f = open(t, d.Open, "log")
	write(t, f, 0, "FIRST")
	if err := f.Truncate(8); err != nil {
		t.Fatal(err)
	}
	write(t, f, 10, "!")
	f.Sync(1)
	await(t, d, 1)
	if got := content(t, crash(t, d), "log"); got != "FIRST se\x00\x00!" {
		t.Errorf("after the second crash it reads %q", got)
	}
}

func TestNamesSurviveACrashOnlyIfTheDirectoryWasSynced(t *testing.T) {
	d, _ := testDisk(t, t.TempDir(), Limits{})
	f := open(t, d.Create, "synced file, unsynced name")
	write(t, f, 0, "x")
	f.Sync(1)
	await(t, d, 1)
	d = crash(t, d)
	if names, _ := d.List(); len(names) != 0 {
		t.Errorf("names that were not synced survived: %q", names)
	}
	open(t, d.Create, "synced name, unsynced bytes").WriteAt([]byte("lost"), 0)
	d.SyncDir(1)
	await(t, d, 1)
	d = crash(t, d)
	if got := content(t, d, "synced name, unsynced bytes"); got != "" {
		t.Errorf("bytes that were not synced survived: %q", got)
	}
	if left, _ := os.ReadDir(filepath.Join(d.dir, "nameless")); len(left) > 0 {
		t.Errorf("nameless files are left: %v", left)
	}
}

func TestARenameReplacesAtomicallyAndOnlyWhenSynced(t *testing.T) {
	setUp := func() *disk {
		d, _ := testDisk(t, t.TempDir(), Limits{})
		for i, name := range []string{"state", "state.new"} {
			f := open(t, d.Create, name)
			write(t, f, 0, name)
			f.Sync(uint64(i))
		}
		d.SyncDir(9)
		await(t, d, 0, 1, 9)
		if err := d.Rename("state.new", "state"); err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := setUp()
	if got := content(t, d, "state"); got != "state.new" {
		t.Errorf("before any crash it reads %q", got)
	}
	d = crash(t, d)
	if a, b := content(t, d, "state"), content(t, d, "state.new"); a != "state" || b != "state.new" {
		t.Errorf("without SyncDir, the crash left %q and %q", a, b)
	}
	d = setUp()
	d.SyncDir(10)
	await(t, d, 10)
	// The new owner of the name is written through its new name.
	f := open(t, d.Open, "state")
	write(t, f, 0, "STATE")
	f.Sync(11)
	await(t, d, 11)
	d = crash(t, d)
	if names, _ := d.List(); len(names) != 1 || content(t, d, "state") != "STATE.new" {
		t.Errorf("with SyncDir, the crash left %q, reading %q", names, content(t, d, "state"))
	}
}

func TestARenamedFileOfAnEarlierIncarnationIsFoundByItsNewName(t *testing.T) {
	d, _ := testDisk(t, t.TempDir(), Limits{})
	f := open(t, d.Create, "a")
	write(t, f, 0, "old")
	f.Sync(1)
	d.SyncDir(2)
	await(t, d, 1, 2)
	d = crash(t, d)
	if err := d.Rename("a", "b"); err != nil {
		t.Fatal(err)
	}
	d.SyncDir(1)
	f = open(t, d.Open, "b")
	write(t, f, 0, "new")
	f.Sync(2)
	await(t, d, 1, 2)
	if got := content(t, crash(t, d), "b"); got != "new" {
		t.Errorf("it reads %q", got)
	}
}

func TestARemovedFileIsGoneAndItsHandleGoesOn(t *testing.T) {
	d, unsynced := testDisk(t, t.TempDir(), Limits{})
	f := open(t, d.Create, "a")
	write(t, f, 0, "lost with its name")
	d.SyncDir(1)
	await(t, d, 1)
	if err := d.Remove("a"); err != nil {
		t.Fatal(err)
	}
	write(t, f, 0, "LOST")
	d.SyncDir(2)
	f.Sync(3)
	await(t, d, 2, 3)
	if n := unsynced(); n != 0 {
		t.Errorf("%d bytes of a removed file count as unsynced", n)
	}
	// Another file may take the name at once.
	g := open(t, d.Create, "a")
	write(t, g, 0, "another")
	g.Sync(4)
	d.SyncDir(5)
	f.Sync(6)
	await(t, d, 4, 5, 6)
	if got := content(t, crash(t, d), "a"); got != "another" {
		t.Errorf("it reads %q", got)
	}
}

func TestDiskErrorsAreThoseOfTheContract(t *testing.T) {
	d, _ := testDisk(t, t.TempDir(), Limits{Disk: 10, Files: 2})
	f := open(t, d.Create, "a")
	write(t, f, 0, "0123456789")
	for what, c := range map[string]struct {
		err  error
		want error
	}{
		"creating it again":    {second(d.Create("a")), fs.ErrExist},
		"opening a stranger":   {second(d.Open("b")), fs.ErrNotExist},
		"renaming a stranger":  {d.Rename("b", "c"), fs.ErrNotExist},
		"removing a stranger":  {d.Remove("b"), fs.ErrNotExist},
		"a name with a slash":  {second(d.Create("a/b")), fs.ErrInvalid},
		"a name with a NUL":    {second(d.Create("a\x00")), fs.ErrInvalid},
		"no name":              {second(d.Create("")), fs.ErrInvalid},
		"the directory itself": {d.Rename("a", ".."), fs.ErrInvalid},
		"a negative offset":    {second(f.WriteAt([]byte("x"), -1)), fs.ErrInvalid},
		"the eleventh byte":    {second(f.WriteAt([]byte("x"), 10)), syscall.ENOSPC},
		"a huge truncation":    {f.Truncate(1 << 40), syscall.ENOSPC},
		"reading at the end":   {second(f.ReadAt(make([]byte, 1), 10)), io.EOF},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s says %v, want %v", what, c.err, c.want)
		}
	}
	open(t, d.Create, "b")
	if err := second(d.Create("c")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the third of two files says %v", err)
	}
	if n, err := f.ReadAt(make([]byte, 5), 8); n != 2 || err != io.EOF {
		t.Errorf("reading over the end gives %d, %v", n, err)
	}
	// Space that is given back can be used again.
	if err := errors.Join(f.Truncate(4), d.Remove("a")); err != nil {
		t.Error(err)
	}
	write(t, open(t, d.Open, "b"), 0, "0123456789")
}

func second[T any](_ T, err error) error { return err }

func TestASyncThatFailedFailsForEver(t *testing.T) {
	d, _ := testDisk(t, t.TempDir(), Limits{})
	f := open(t, d.Create, "a")
	if err := os.RemoveAll(filepath.Join(d.dir, "nameless")); err != nil {
		t.Fatal(err)
	}
	for token := uint64(1); token <= 2; token++ {
		write(t, f, 0, "x")
		f.Sync(token)
		<-d.completions.ready
		if got := d.completions.take(); len(got) != 1 || got[0].token != token || got[0].err == nil {
			t.Errorf("the sync completed with %+v", got)
		}
		if err := os.MkdirAll(filepath.Join(d.dir, "nameless"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.close()
}

func TestMuchUnsyncedDataIsWrittenEarly(t *testing.T) {
	d, unsynced := testDisk(t, t.TempDir(), Limits{Dirty: 1000})
	f := open(t, d.Create, "a")
	for i := range int64(100) {
		write(t, f, i*100, strings.Repeat("x", 100))
	}
	f.Sync(1)
	await(t, d, 1)
	if n := unsynced(); n != 0 {
		t.Errorf("%d bytes count as unsynced", n)
	}
	d.SyncDir(2)
	await(t, d, 2)
	if got := content(t, crash(t, d), "a"); got != strings.Repeat("x", 10000) {
		t.Errorf("it reads %d bytes", len(got))
	}
}

// TestACrashKeepsExactlyWhatWasSynced compares many short random lives with a
// model: a map of what is visible, and one of what was synced.
func TestACrashKeepsExactlyWhatWasSynced(t *testing.T) {
	r := rng.Stream(1, "disk-test")
	d, _ := testDisk(t, t.TempDir(), Limits{})
	names := []string{"a", "b", "c"}
	durable := map[string]string{}
	for life := range 40 {
		type ino struct{ visible, synced string }
		var files, dir map[string]*ino
		files, dir = map[string]*ino{}, map[string]*ino{}
		for name, s := range durable {
			files[name] = &ino{s, s}
			dir[name] = files[name]
		}
		token := uint64(0)
		for range r.IntN(30) {
			name := names[r.IntN(len(names))]
			token++
			switch f := files[name]; {
			case f == nil:
				open(t, d.Create, name)
				files[name] = &ino{}
			case r.IntN(5) == 0:
				to := names[r.IntN(len(names))]
				if err := d.Rename(name, to); err != nil {
					t.Fatal(err)
				}
				delete(files, name)
				files[to] = f
			case r.IntN(6) == 0:
				if err := d.Remove(name); err != nil {
					t.Fatal(err)
				}
				delete(files, name)
			case r.IntN(3) == 0:
				open(t, d.Open, name).Sync(token)
				f.synced = f.visible
				await(t, d, token)
			case r.IntN(3) == 0:
				d.SyncDir(token)
				dir = map[string]*ino{}
				for n, f := range files {
					dir[n] = f
				}
				await(t, d, token)
			default:
				s := fmt.Sprintf("<%d.%d>", life, token)
				write(t, open(t, d.Open, name), int64(len(f.visible)), s)
				f.visible += s
			}
			for n, f := range files {
				if got := content(t, d, n); got != f.visible {
					t.Fatalf("life %d: %s reads %q, want %q", life, n, got, f.visible)
				}
			}
		}
		d = crash(t, d)
		durable = map[string]string{}
		for n, f := range dir {
			durable[n] = f.synced
		}
		have, _ := d.List()
		if len(have) != len(durable) {
			t.Fatalf("life %d: after the crash there are %q, want %v", life, have, durable)
		}
		for n, want := range durable {
			if got := content(t, d, n); got != want {
				t.Fatalf("life %d: after the crash %s reads %q, want %q", life, n, got, want)
			}
		}
	}
}
