package store_test

import (
	"testing"
	"time"

	"github.com/cleancut/cleancut/workloads"
)

func newLoad() *load {
	return &load{workload: workloads.KV(), clients: 5, pause: 150 * time.Millisecond, timeout: 3 * time.Second}
}

func TestTheCorrectStoreKeepsItsPromisesUnderChaos(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		w := world{nodes: 3 + 2*int(seed%2), seed: seed}
		if o := w.soak(t, 30*time.Second, newLoad(), true); o.String() != "" {
			t.Errorf("seed %d: %s", seed, o)
		}
	}
}
