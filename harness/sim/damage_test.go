package sim

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
)

// filled adds three numbers to the log of n1 and waits until they are synced.
func filled(t testing.TB, ctx context.Context, w *world) cluster.Network {
	t.Helper()
	c := w.Network("client/0")
	for range 3 {
		if _, err := add(ctx, c, "n1"); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func content(w *world) []byte { return slices.Clone(w.nodes[0].disk.names["log"].data) }

func differing(a, b []byte) (n int64) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

func TestRotChangesSyncedBytesForGoodAndSaysHowMany(t *testing.T) {
	var first []byte
	for range 2 { // the same seed rots the same bytes
		must(t, &counterTarget{quiet: true}, Options{}, func(ctx context.Context, w *world) {
			filled(t, ctx, w)
			before := content(w)
			r, err := w.Rot(ctx, "n1", "l*g", 1, 7)
			counts(t, r, err, map[string]int64{"bytes_flipped": 1, "files_damaged": 1})
			if n := differing(before, content(w)); n != 1 {
				t.Errorf("%d bytes differ, want 1", n)
			}
			if _, err := w.CutPower(ctx, []string{"n1"}); err != nil {
				t.Fatal(err)
			}
			if n := differing(before, content(w)); n != 1 {
				t.Errorf("after a power loss %d bytes differ, want 1", n)
			}
			if first == nil {
				first = content(w)
			}
			if !slices.Equal(first, content(w)) {
				t.Error("the same seed rots other bytes")
			}
			r, err = w.Rot(ctx, "n1", "ckpt-*", 1, 7)
			counts(t, r, err, nil)
			if _, err := w.Rot(ctx, "n1", "[", 1, 7); err == nil {
				t.Error("a bad pattern was accepted")
			}
		})
	}
}

func TestTruncateCutsSyncedBytes(t *testing.T) {
	must(t, &counterTarget{quiet: true}, Options{}, func(ctx context.Context, w *world) {
		filled(t, ctx, w)
		r, err := w.Truncate(ctx, "n1", "*", 7)
		left := int64(len(content(w)))
		counts(t, r, err, map[string]int64{"files_damaged": 1, "bytes_cut": 24 - left})
		if left >= 24 || w.nodes[0].disk.used != left {
			t.Errorf("%d bytes are left of 24, and %d are in use", left, w.nodes[0].disk.used)
		}
	})
}

func TestAWipedDiskIsEmptyWhenTheNodeStarts(t *testing.T) {
	must(t, &counterTarget{quiet: true}, Options{}, func(ctx context.Context, w *world) {
		filled(t, ctx, w)
		if _, err := w.Wipe(ctx, "n1"); err == nil {
			t.Error("the disk of a running process was wiped")
		}
		if _, err := w.Kill(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		r, err := w.Wipe(ctx, "n1")
		counts(t, r, err, map[string]int64{"files_wiped": 1, "bytes_wiped": 24})
		if _, err := w.Start(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		if s, err := w.Status(ctx, "n1"); err != nil || s.Applied != 0 {
			t.Errorf("after the wipe: %+v, %v", s, err)
		}
		filled(t, ctx, w)
		if s, err := w.Status(ctx, "n1"); err != nil || s.Applied != 3 {
			t.Errorf("after three more adds: %+v, %v", s, err)
		}
	})
}

func TestASlowDiskDelaysSyncsUntilTheRuleIsRemoved(t *testing.T) {
	must(t, &counterTarget{quiet: true}, Options{}, func(ctx context.Context, w *world) {
		c := filled(t, ctx, w)
		took := func() time.Duration {
			began := w.Now()
			if _, err := add(ctx, c, "n1"); err != nil {
				t.Fatal(err)
			}
			return w.Now() - began
		}
		if d := took(); d >= 100*time.Millisecond {
			t.Errorf("an add on a good disk took %v", d)
		}
		one, err := w.SlowSync(ctx, "n1", 100*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		two, err := w.SlowSync(ctx, "n1", 50*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if d := took(); d < 150*time.Millisecond {
			t.Errorf("an add took %v, although the disk is slower by 150ms", d)
		}
		for _, rule := range []cluster.Rule{one, two, two} {
			r, err := rule.Remove(ctx)
			counts(t, r, err, map[string]int64{"syncs_delayed": 1})
		}
		if d := took(); d >= 50*time.Millisecond {
			t.Errorf("an add on a disk that is good again took %v", d)
		}
	})
}
