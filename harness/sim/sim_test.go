package sim

import (
	"context"
	"testing"
	"time"
)

func TestAClientAddsOnASoundCluster(t *testing.T) {
	must(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) {
		c := w.Network("client/0")
		for want := uint64(1); want <= 100; want++ {
			if got, err := add(ctx, c, "n1"); err != nil || got != want {
				t.Fatalf("add %d: %d, %v", want, got, err)
			}
		}
		if w.Now() < 10*time.Millisecond || w.Now() > time.Second {
			t.Errorf("100 adds took %v", w.Now())
		}
		if len(w.Findings()) > 0 {
			t.Error(w.Findings())
		}
	})
}
