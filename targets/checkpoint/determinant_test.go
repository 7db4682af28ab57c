package checkpoint

import (
	"errors"
	"slices"
	"testing"
)

func openDeterminants(t *testing.T, d *memoryDisk) *determinants {
	t.Helper()
	l, err := openLog(diskEnv{disk: d}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// syncLog completes at most n syncs.
func syncLog(l *determinants, d *memoryDisk, n int, err error) {
	for ; n > 0 && len(d.pending) > 0; n-- {
		finish := d.pending[0]
		d.pending = d.pending[1:]
		l.done(finish(), err)
	}
}

func positions(list []determinant) (all []uint64) {
	for _, d := range list {
		all = append(all, d.pos)
	}
	return all
}

func TestWhatIsStableInTheLogSurvivesAndTheRestIsAPrefix(t *testing.T) {
	for syncs := range 8 {
		d := newMemoryDisk()
		l := openDeterminants(t, d)
		l.after(0)
		for i := range 5 {
			l.add(1, uint64(i), i%2, uint64(i+1))
			if i%2 == 0 {
				syncLog(l, d, min(syncs, i), nil)
			}
		}
		syncLog(l, d, syncs, nil)
		got := openDeterminants(t, d.powerLoss()).after(0)
		if uint64(len(got)) < l.stable {
			t.Errorf("after %d syncs %d determinants are stable, and %d are left", syncs, l.stable, len(got))
		}
		for i, g := range got {
			if g != l.all[uint64(i+1)] {
				t.Errorf("after %d syncs determinant %d is %+v", syncs, i+1, g)
			}
		}
	}
}

func TestALogGoesOnBehindACheckpointThatCoversWhatItLost(t *testing.T) {
	d := newMemoryDisk()
	l := openDeterminants(t, d)
	l.after(0)
	l.add(1, 1, 0, 1)
	syncLog(l, d, 9, nil)
	l.add(1, 2, 0, 2) // never stable, but in a checkpoint
	d = d.powerLoss()
	l = openDeterminants(t, d)
	if got := l.after(2); len(got) != 0 {
		t.Fatalf("behind the checkpoint there is %v", got)
	}
	l.add(2, 3, 1, 1)
	syncLog(l, d, 9, nil)
	l = openDeterminants(t, d.powerLoss())
	if got := positions(l.after(2)); !slices.Equal(got, []uint64{3}) {
		t.Errorf("after the checkpoint the log has %v; want 3", got)
	}
	if got := openDeterminants(t, d.powerLoss()).after(0); len(got) != 1 {
		t.Errorf("without the checkpoint the log has %v; want it to end before the gap", positions(got))
	}
}

func TestADamagedRecordEndsItsFile(t *testing.T) {
	for at := range 2 * determinantBytes {
		d := newMemoryDisk()
		l := openDeterminants(t, d)
		l.after(0)
		l.add(1, 1, 0, 1)
		l.add(1, 2, 0, 2)
		syncLog(l, d, 9, nil)
		d.files[logName(1)].data[at] ^= 4
		got := positions(openDeterminants(t, d).after(0))
		if want := []uint64{1}[:at/determinantBytes]; !slices.Equal(got, want) {
			t.Fatalf("byte %d is damaged, and the log has %v; want %v", at, got, want)
		}
	}
}

func TestWhatCouldNotBeSyncedIsWrittenAgain(t *testing.T) {
	d := newMemoryDisk()
	l := openDeterminants(t, d)
	l.after(0)
	l.add(1, 1, 0, 1)
	syncLog(l, d, 1, errors.New("input/output error"))
	if l.stable != 0 {
		t.Fatal("it counts as stable")
	}
	syncLog(l, d, 9, nil)
	if got := openDeterminants(t, d.powerLoss()).after(0); l.stable != 1 || len(got) != 1 {
		t.Errorf("up to %d it is stable, and the disk has %v", l.stable, got)
	}
}

func TestTheLogForgetsWhatACheckpointCoversAndNothingElse(t *testing.T) {
	d := newMemoryDisk()
	l := openDeterminants(t, d)
	l.after(0)
	for i := range uint64(6) {
		if i%2 == 0 {
			l.rotate()
		}
		l.add(1, i, 0, i+1)
		syncLog(l, d, 9, nil)
	}
	l.forget(3)
	if names, _ := d.List(); !slices.Equal(names, []string{logName(2), logName(3)}) {
		t.Errorf("the disk has %v", names)
	}
	if got := positions(openDeterminants(t, d).after(3)); !slices.Equal(got, []uint64{4, 5, 6}) {
		t.Errorf("after 3 the log has %v", got)
	}
}
