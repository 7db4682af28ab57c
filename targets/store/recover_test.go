package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

const testIdentity = 42

// writtenLog returns a disk with a log of the given batches of entries, each
// of them synced, and the offsets at which the batches begin in the last file.
func writtenLog(t testing.TB, limit int64, batches ...[]*pb.Entry) (*tinyDisk, []int64) {
	t.Helper()
	d := newTinyDisk()
	j := journal{disk: d, identity: testIdentity, limit: limit}
	var offsets []int64
	for i, entries := range batches {
		rotated, err := j.begin()
		if err != nil {
			t.Fatal(err)
		}
		if rotated {
			offsets = nil
		}
		offsets = append(offsets, j.size)
		j.addState(hardState{term: 1, vote: 2, commit: uint64(i)})
		for _, e := range entries {
			j.addEntry(e)
		}
		if err := j.commit(); err != nil {
			t.Fatal(err)
		}
		j.dirty = false
	}
	return d, append(offsets, j.size)
}

func entriesOf(from, to uint64) []*pb.Entry {
	var list []*pb.Entry
	for i := from; i <= to; i++ {
		list = append(list, newEntry(i, 1, []byte(fmt.Sprint("entry ", i))))
	}
	return list
}

func (r *recovered) lastIndex() uint64 { return r.entries[len(r.entries)-1].GetIndex() }

func TestALogIsRecoveredAsItWasWritten(t *testing.T) {
	for _, limit := range []int64{1 << 20, 100} {
		d, _ := writtenLog(t, limit, entriesOf(1, 3), entriesOf(4, 4), entriesOf(5, 9), entriesOf(7, 8))
		r, err := recoverDisk(d, testIdentity, limit)
		if err != nil {
			t.Fatal(err)
		}
		if r.lastIndex() != 8 || len(r.entries) != 9 || r.journal.state != (hardState{1, 2, 3}) || r.torn != 0 || r.reset {
			t.Errorf("limit %d: recovered %d entries up to %d, %+v", limit, len(r.entries), r.lastIndex(), r.journal.state)
		}
		for i, e := range r.entries[1:] {
			if e.GetIndex() != uint64(i)+1 || string(e.Data) != fmt.Sprint("entry ", i+1) {
				t.Errorf("entry %d is %v", i+1, e)
			}
		}
	}
}

func TestATornLastBatchIsCutOff(t *testing.T) {
	for _, limit := range []int64{1 << 20, 100} {
		d, offsets := writtenLog(t, limit, entriesOf(1, 3), entriesOf(4, 5), entriesOf(6, 9))
		name := lastLog(d)
		begin, end := offsets[len(offsets)-2], offsets[len(offsets)-1]
		for cut := begin + 1; cut < end; cut++ {
			torn := d.copy()
			torn.files[name].data = torn.files[name].data[:cut]
			checkTorn(t, torn, fmt.Sprintf("cut at %d", cut), limit)
			// The beginning is missing, and the end is there.
			torn = d.copy()
			clear(torn.files[name].data[begin:cut])
			checkTorn(t, torn, fmt.Sprintf("zeros up to %d", cut), limit)
		}
	}
}

func checkTorn(t *testing.T, d *tinyDisk, what string, limit int64) {
	t.Helper()
	r, err := recoverDisk(d, testIdentity, limit)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if r.lastIndex() != 5 || r.torn == 0 {
		t.Fatalf("%s: recovered up to %d, %d bytes torn", what, r.lastIndex(), r.torn)
	}
	if again, err := recoverDisk(d, testIdentity, limit); err != nil || again.lastIndex() != 5 || again.torn != 0 && len(again.stale) == 0 {
		t.Fatalf("%s: again: %v", what, err)
	}
}

func TestDamageBeforeTheLastBatchIsRefused(t *testing.T) {
	for _, limit := range []int64{1 << 20, 100} {
		d, offsets := writtenLog(t, limit, entriesOf(1, 3), entriesOf(4, 5), entriesOf(6, 9))
		names, _ := d.List()
		for i, name := range names {
			end := len(d.files[name].data)
			if i == len(names)-1 {
				end = int(offsets[len(offsets)-2])
			}
			for at := range end {
				rotten := d.copy()
				rotten.files[name].data[at] ^= 0x10
				if _, err := recoverDisk(rotten, testIdentity, limit); !errors.Is(err, ErrCorrupt) {
					t.Fatalf("limit %d: %s rotten at %d: %v", limit, name, at, err)
				}
			}
		}
	}
}

func TestAMissingLogFileIsRefused(t *testing.T) {
	d, _ := writtenLog(t, 100, entriesOf(1, 3), entriesOf(4, 5), entriesOf(6, 9))
	for name, part := range map[string]string{logName(1): "there is no snapshot", logName(2): "there is no snapshot", logName(3): ""} {
		lost := d.copy()
		delete(lost.files, name)
		_, err := recoverDisk(lost, testIdentity, 100)
		if part == "" && err != nil || part != "" && (!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), part)) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestASnapshotAndTheLogMustFit(t *testing.T) {
	put := func(d *tinyDisk, s snapshot, identity uint64) {
		d.files[snapshotName(s.index)] = &tinyFile{d: d, data: s.encode(identity)}
	}
	d, _ := writtenLog(t, 1<<20, entriesOf(1, 9))
	for what, c := range map[string]struct {
		s        snapshot
		identity uint64
		reset    bool
		last     uint64
		err      error
	}{
		"within the log":    {snapshot{5, 1, nil}, testIdentity, false, 9, nil},
		"beyond the log":    {snapshot{12, 2, nil}, testIdentity, true, 12, nil},
		"of another branch": {snapshot{5, 2, nil}, testIdentity, true, 5, nil},
		"of another node":   {snapshot{5, 1, nil}, 7, false, 0, errIdentity},
	} {
		with := d.copy()
		put(with, c.s, c.identity)
		r, err := recoverDisk(with, testIdentity, 1<<20)
		if !errors.Is(err, c.err) || err == nil && (r.reset != c.reset || r.lastIndex() != c.last || r.journal.state.commit < c.s.index || r.journal.state.term < c.s.term) {
			t.Errorf("snapshot %s: %+v, %v", what, r, err)
		}
		rotten := with.copy()
		rotten.files[snapshotName(c.s.index)].data[30] ^= 1
		if _, err := recoverDisk(rotten, testIdentity, 1<<20); !errors.Is(err, ErrCorrupt) {
			t.Errorf("rotten snapshot %s: %v", what, err)
		}
	}
	if _, err := recoverDisk(d, 7, 1<<20); !errors.Is(err, errIdentity) {
		t.Errorf("another node's log: %v", err)
	}
}

// copy is a copy that can be changed.
func (d *tinyDisk) copy() *tinyDisk {
	c := newTinyDisk()
	for name, f := range d.files {
		c.files[name] = &tinyFile{d: c, data: append([]byte(nil), f.data...)}
	}
	return c
}

func lastLog(d *tinyDisk) string {
	names, _ := d.List()
	return names[len(names)-1]
}

func FuzzRecovery(f *testing.F) {
	d, _ := writtenLog(f, 1<<20, entriesOf(1, 3), entriesOf(4, 5))
	s := snapshot{2, 1, newMachine(1).encode()}
	f.Add(d.files[logName(1)].data, []byte{}, uint64(1), s.encode(testIdentity))
	f.Add([]byte{}, d.files[logName(1)].data, uint64(2), []byte{})
	f.Fuzz(func(t *testing.T, first, second []byte, number uint64, snap []byte) {
		d := newTinyDisk()
		d.files[logName(number)] = &tinyFile{d: d, data: first}
		d.files[logName(number+1)] = &tinyFile{d: d, data: second}
		if len(snap) > 0 {
			d.files[snapshotName(2)] = &tinyFile{d: d, data: snap}
		}
		r, err := recoverDisk(d, testIdentity, 1<<20)
		if err != nil {
			return
		}
		for i, e := range r.entries {
			if e.GetIndex() != r.entries[0].GetIndex()+uint64(i) || e.GetTerm() > r.journal.state.term {
				t.Errorf("entry %d of the log is %v", i, e)
			}
		}
	})
}
