package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
)

// rig is a disk without a program above it.
type rig struct {
	w *world
	n *machine
}

func newRig(seed uint64, change func(p *Profile)) *rig {
	p := calm()
	if change != nil {
		change(p)
	}
	o, err := Options{Profile: p}.resolve()
	if err != nil {
		panic(err)
	}
	w := newWorld(context.Background(), cluster.Spec{Nodes: names(1), Seed: seed}, &counterTarget{}, o)
	r := &rig{w: w, n: w.nodes[0]}
	r.n.env = newEnv(r.n)
	return r
}

func (r *rig) disk() node.Disk { return r.n.env.Disk() }

// step completes the oldest sync and returns its token.
func (r *rig) step() (token uint64, ok bool) {
	if len(r.w.agenda.heap) == 0 {
		return 0, false
	}
	at, p := r.w.agenda.pop()
	r.w.now = at
	r.n.disk.synced(p)
	return p.a, true
}

func (r *rig) settle() {
	for ok := true; ok; {
		_, ok = r.step()
	}
}

func (r *rig) cutPower() int64 { return r.n.disk.losePower() }

func (r *rig) content(t testing.TB, name string) []byte {
	t.Helper()
	f, err := r.disk().Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); int64(n) != size || err != nil && err != io.EOF {
		t.Fatalf("reading %s: %d of %d bytes, %v", name, n, size, err)
	}
	return b
}

// modelFile is the brute-force model of a file: a full copy of its content
// after every change since the one that was last synced.
type modelFile struct {
	versions [][]byte
	base     int    // number of versions[0]
	removed  bool   // at some time since it was made
	is       *inode // the file that it is the model of
}

func (f *modelFile) now() []byte { return f.versions[len(f.versions)-1] }

func (f *modelFile) change(edit func(b []byte) []byte) {
	f.versions = append(f.versions, edit(slices.Clone(f.now())))
}

// model is the brute-force model of a disk.
type model struct {
	names  []map[string]*modelFile // after every change since the last synced
	base   int
	synced map[uint64]func()
	token  uint64
}

func (m *model) now() map[string]*modelFile { return m.names[len(m.names)-1] }

func (m *model) change(edit func(names map[string]*modelFile)) {
	next := map[string]*modelFile{}
	for name, f := range m.now() {
		next[name] = f
	}
	edit(next)
	m.names = append(m.names, next)
}

func padded(b []byte, from, to int) []byte {
	out := make([]byte, to-from)
	if from < len(b) {
		copy(out, b[from:min(to, len(b))])
	}
	return out
}

// explain says why content cannot be what a power loss left of f.
func (f *modelFile) explain(content []byte) error {
	shortest, longest := len(f.now()), len(f.now())
	for _, v := range f.versions {
		shortest, longest = min(shortest, len(v)), max(longest, len(v))
	}
	if len(content) < shortest || len(content) > longest {
		return fmt.Errorf("%d bytes long, want %d to %d", len(content), shortest, longest)
	}
	for from := 0; from < len(content); from += sectorSize {
		to := min(from+sectorSize, len(content))
		if !f.possible(content[from:to], from, to) {
			return fmt.Errorf("bytes %d to %d are of no version of the %d since the last sync, nor torn between two", from, to, len(f.versions))
		}
	}
	return nil
}

// possible reports whether a sector shows a version, or parts of two
// successive ones.
func (f *modelFile) possible(sector []byte, from, to int) bool {
	for k := range f.versions {
		older := padded(f.versions[k], from, to)
		if bytes.Equal(sector, older) {
			return true
		}
		if k+1 == len(f.versions) {
			break
		}
		newer := padded(f.versions[k+1], from, to)
		for cut := range sector {
			if bytes.Equal(sector[:cut], newer[:cut]) && bytes.Equal(sector[cut:], older[cut:]) {
				return true
			}
		}
	}
	return false
}

// TestDisksKeepWhatWasSyncedAndNothingThatWasNotWritten runs random
// operations, syncs and power losses on a disk and on the model.
func TestDisksKeepWhatWasSyncedAndNothingThatWasNotWritten(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		r := newRig(seed, nil)
		m := &model{names: []map[string]*modelFile{{}}, synced: map[uint64]func(){}}
		random := rand.New(rand.NewPCG(seed, 1))
		for range 4 {
			for range 60 {
				m.step(t, r, random)
			}
			m.lose(t, r, seed)
		}
	}
}

var modelNames = []string{"a", "b", "c", "d"}

// step does one random operation on both.
func (m *model) step(t *testing.T, r *rig, random *rand.Rand) {
	name := modelNames[random.IntN(len(modelNames))]
	mf := m.now()[name]
	h, err := r.disk().Open(name)
	if (err == nil) != (mf != nil) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("open %s: %v, in the model it exists: %v", name, err, mf != nil)
	}
	switch what := random.IntN(12); {
	case what == 0:
		if token, ok := r.step(); ok {
			m.synced[token]()
		}
	case what == 1:
		m.syncDir(r)
	case mf == nil:
		if _, err := r.disk().Create(name); err != nil {
			t.Fatal(err)
		}
		m.change(func(names map[string]*modelFile) {
			names[name] = &modelFile{versions: [][]byte{{}}, is: r.n.disk.names[name]}
		})
	case what == 2:
		if err := r.disk().Remove(name); err != nil {
			t.Fatal(err)
		}
		mf.removed = true
		m.change(func(names map[string]*modelFile) { delete(names, name) })
	case what == 3:
		m.rename(t, r, name, modelNames[random.IntN(len(modelNames))])
	case what == 4:
		m.token++
		h.Sync(m.token)
		mark := mf.base + len(mf.versions) - 1
		m.synced[m.token] = func() {
			if mark > mf.base {
				mf.versions, mf.base = mf.versions[mark-mf.base:], mark
			}
		}
	case what == 5:
		size := random.Int64N(2000)
		if err := h.Truncate(size); err != nil {
			t.Fatal(err)
		}
		mf.change(func(b []byte) []byte { return padded(b, 0, int(size)) })
	default:
		p := make([]byte, 1+random.IntN(900))
		for i := range p {
			p[i] = byte(1 + random.IntN(255))
		}
		off := int64(len(mf.now()))
		if random.IntN(3) == 0 {
			off = random.Int64N(off + 600)
		}
		if n, err := h.WriteAt(p, off); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
		mf.change(func(b []byte) []byte {
			b = padded(b, 0, max(len(b), int(off)+len(p)))
			copy(b[off:], p)
			return b
		})
	}
	m.compare(t, r)
}

func (m *model) syncDir(r *rig) {
	m.token++
	r.disk().SyncDir(m.token)
	mark := m.base + len(m.names) - 1
	m.synced[m.token] = func() {
		if mark > m.base {
			m.names, m.base = m.names[mark-m.base:], mark
		}
	}
}

func (m *model) rename(t *testing.T, r *rig, from, to string) {
	t.Helper()
	if err := r.disk().Rename(from, to); err != nil {
		t.Fatal(err)
	}
	if from == to {
		return
	}
	m.change(func(names map[string]*modelFile) {
		if names[to] != nil {
			names[to].removed = true
		}
		names[to] = names[from]
		delete(names, from)
	})
}

// compare checks what can be read while the power is on.
func (m *model) compare(t *testing.T, r *rig) {
	t.Helper()
	list, err := r.disk().List()
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, name := range modelNames {
		f := m.now()[name]
		if f == nil {
			continue
		}
		want++
		if !slices.Contains(list, name) {
			t.Fatalf("%s is not listed", name)
		}
		if got := r.content(t, name); !bytes.Equal(got, f.now()) {
			t.Fatalf("%s reads %d bytes, the model %d", name, len(got), len(f.now()))
		}
	}
	if len(list) != want || !slices.IsSorted(list) {
		t.Fatalf("list is %v, want %d sorted names", list, want)
	}
	var used int64
	for _, f := range m.now() {
		used += int64(len(f.now()))
	}
	if r.n.disk.used != used {
		t.Fatalf("%d bytes are used, in the model %d", r.n.disk.used, used)
	}
}

// lose cuts the power and checks that the model explains what is left.
func (m *model) lose(t *testing.T, r *rig, seed uint64) {
	t.Helper()
	r.cutPower()
	left := map[string]*modelFile{}
	named := map[*inode]bool{}
	for _, name := range modelNames {
		is := r.n.disk.names[name]
		i := slices.IndexFunc(m.names, func(names map[string]*modelFile) bool {
			f := names[name]
			return f == nil && is == nil || f != nil && f.is == is
		})
		if i < 0 {
			t.Fatalf("seed %d: %s stands for a file that it never did since the last sync of the directory", seed, name)
		}
		if is == nil {
			continue
		}
		if named[is] {
			t.Fatalf("seed %d: a file has two names, %s is the second", seed, name)
		}
		named[is] = true
		content := r.content(t, name)
		if err := m.names[i][name].explain(content); err != nil {
			t.Fatalf("seed %d: %s after the power loss: %v", seed, name, err)
		}
		left[name] = &modelFile{versions: [][]byte{content}, is: is}
	}
	for name, f := range m.names[0] {
		if !f.removed && !named[f.is] {
			t.Fatalf("seed %d: the file that was %s, neither removed nor replaced, has no name any more", seed, name)
		}
	}
	m.names, m.base, m.synced = []map[string]*modelFile{left}, 0, map[uint64]func(){}
	r.w.agenda = agenda{}
	m.compare(t, r)
}

// TestAPowerLossLeavesEveryKindOfRemains makes the same three unsynced writes
// and cuts the power, many times.
func TestAPowerLossLeavesEveryKindOfRemains(t *testing.T) {
	written := bytes.Repeat([]byte("x"), 100)
	for i := range 3 {
		written = append(written, bytes.Repeat([]byte{byte('1' + i)}, 700)...)
	}
	seen := map[string]int{}
	for seed := range uint64(500) {
		r := newRig(seed, nil)
		f, _ := r.disk().Create("f")
		_, _ = f.WriteAt(written[:100], 0)
		f.Sync(1)
		r.disk().SyncDir(2)
		r.settle()
		for i := range 3 {
			from := 100 + 700*i
			_, _ = f.WriteAt(written[from:from+700], int64(from))
		}
		discarded := r.cutPower()
		got := r.content(t, "f")
		if !bytes.HasPrefix(got, written[:100]) {
			t.Fatalf("seed %d: what was synced is not there", seed)
		}
		kept := 0
		for i, b := range got {
			if b == written[i] {
				kept++
			}
		}
		if int(discarded) != len(written)-kept {
			t.Fatalf("seed %d: the receipt says %d bytes, but %d of %d are left", seed, discarded, kept, len(written))
		}
		seen[remains(got, written)]++
		if len(got) > 3*sectorSize && len(bytes.Trim(got[sectorSize:2*sectorSize], "\x00")) == 0 {
			seen["lost sector"]++
		}
	}
	for _, kind := range []string{"lost sector", "nothing", "everything", "whole writes", "torn", "zeros at the end", "hole"} {
		if seen[kind] < 5 {
			t.Errorf("%q was left %d times in 500, want at least 5; all: %v", kind, seen[kind], seen)
		}
	}
}

// remains names what a power loss left of the writes.
func remains(got, written []byte) string {
	prefix := 0
	for prefix < len(got) && got[prefix] == written[prefix] {
		prefix++
	}
	switch {
	case prefix < len(got) && len(bytes.Trim(got[prefix:], "\x00")) > 0:
		return "hole"
	case prefix < len(got):
		return "zeros at the end"
	case prefix == 100:
		return "nothing"
	case prefix == len(written):
		return "everything"
	case (prefix-100)%700 == 0:
		return "whole writes"
	case prefix%sectorSize != 0:
		return "torn"
	}
	return "sectors"
}

func TestASyncCoversWhatWasWrittenBeforeItAndNoMore(t *testing.T) {
	lostAfter := false
	for seed := range uint64(50) {
		r := newRig(seed, nil)
		f, _ := r.disk().Create("f")
		r.disk().SyncDir(1)
		_, _ = f.WriteAt([]byte("before"), 0)
		f.Sync(2)
		_, _ = f.WriteAt([]byte("after"), 6)
		r.settle()
		r.cutPower()
		got := string(r.content(t, "f"))
		if len(got) < 6 || got[:6] != "before" {
			t.Fatalf("seed %d: %q", seed, got)
		}
		lostAfter = lostAfter || got == "before"
	}
	if !lostAfter {
		t.Error("what was written after the call was never lost")
	}
}

func TestASyncIsNotDurableBeforeItIsDone(t *testing.T) {
	lost := false
	for seed := range uint64(50) {
		r := newRig(seed, nil)
		f, _ := r.disk().Create("f")
		r.disk().SyncDir(1)
		r.settle()
		_, _ = f.WriteAt([]byte("x"), 0)
		f.Sync(2)
		r.cutPower()
		r.settle() // a completion from before the loss must not matter
		lost = lost || len(r.content(t, "f")) == 0
	}
	if !lost {
		t.Error("a write whose sync was under way was never lost")
	}
}

func TestANameNeedsASyncOfTheDirectory(t *testing.T) {
	lost, kept := 0, 0
	for seed := range uint64(100) {
		r := newRig(seed, nil)
		f, _ := r.disk().Create("f")
		f.Sync(1)
		r.settle()
		r.cutPower()
		if _, err := r.disk().Open("f"); err != nil {
			lost++
		} else {
			kept++
		}
	}
	if lost == 0 || kept == 0 {
		t.Errorf("the name was lost %d times and kept %d times, want both", lost, kept)
	}
}

func TestUnsyncedChangesOfUnrelatedNamesSurviveInAnyOrder(t *testing.T) {
	later := 0
	for seed := range uint64(200) {
		r := newRig(seed, func(p *Profile) { p.Disk.Survival = Survival{Subset: 1} })
		_, _ = r.disk().Create("old")
		r.disk().SyncDir(1)
		r.settle()
		_, _ = r.disk().Create("new")
		if err := r.disk().Remove("old"); err != nil {
			t.Fatal(err)
		}
		r.cutPower()
		if list, _ := r.disk().List(); len(list) == 0 {
			later++
		}
	}
	if later == 0 {
		t.Error("the removal never survived without the creation before it")
	}
}

func TestDisksAreFullAtTheirCapacity(t *testing.T) {
	r := newRig(1, func(p *Profile) { p.Disk.Capacity = 1000 })
	f, _ := r.disk().Create("f")
	g, _ := r.disk().Create("g")
	if _, err := f.WriteAt(make([]byte, 600), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := g.WriteAt(make([]byte, 400), 0); err != nil {
		t.Fatal("a write that fills the disk:", err)
	}
	if n, err := g.WriteAt(make([]byte, 1), 400); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a write of a byte more: %d, %v", n, err)
	}
	if err := g.Truncate(401); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a truncation to a byte more: %v", err)
	}
	if _, err := g.WriteAt(make([]byte, 400), 0); err != nil {
		t.Error("writing over what is there:", err)
	}
	if err := r.disk().Remove("f"); err != nil {
		t.Fatal(err)
	}
	if _, err := g.WriteAt(make([]byte, 600), 400); err != nil {
		t.Error("room was not given back:", err)
	}
	if _, err := f.WriteAt(make([]byte, 1), 1<<40); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a write far beyond the capacity: %v", err)
	}
}

func TestDisksRefuseWhatPOSIXRefuses(t *testing.T) {
	r := newRig(1, nil)
	d := r.disk()
	f, err := d.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	_, exist := d.Create("f")
	_, missing := d.Open("g")
	_, slash := d.Create("a/b")
	_, negative := f.ReadAt(nil, -1)
	_, end := f.ReadAt(make([]byte, 1), 0)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	_, closed := f.WriteAt([]byte("x"), 0)
	for _, c := range []struct{ got, want error }{
		{exist, fs.ErrExist}, {missing, fs.ErrNotExist}, {slash, fs.ErrInvalid}, {d.Remove(""), fs.ErrInvalid},
		{d.Remove("g"), fs.ErrNotExist}, {d.Rename("g", "h"), fs.ErrNotExist}, {negative, fs.ErrInvalid},
		{end, io.EOF}, {closed, fs.ErrClosed}, {f.Truncate(-1), fs.ErrClosed}, {f.Close(), fs.ErrClosed},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%v, want %v", c.got, c.want)
		}
	}
}

func TestAFileThatIsNeverSyncedIsWrittenBack(t *testing.T) {
	r := newRig(1, nil)
	f, _ := r.disk().Create("f")
	block := bytes.Repeat([]byte("b"), 1<<20)
	for i := range int64(40) {
		if _, err := f.WriteAt(block, i<<20); err != nil {
			t.Fatal(err)
		}
	}
	inode := r.n.disk.names["f"]
	if len(inode.buf) > dirtyMax+len(block) {
		t.Errorf("%d bytes are held as unsynced", len(inode.buf))
	}
	f.Sync(1)
	r.settle()
	if !bytes.Equal(inode.data, inode.stable) || len(inode.stable) != 40<<20 {
		t.Error("writing back lost something")
	}
}
