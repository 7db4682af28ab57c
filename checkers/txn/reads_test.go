package txn

import (
	"context"
	"testing"
)

// Two transactions lose an update if they read the same list, not if what they
// read merely ends alike.
func TestUpdatesAreLostByReadersOfTheSameListOnly(t *testing.T) {
	for second, lost := range map[string]int{`|3 ok: [:r :x [1 2]] [:append :x 4]`: 0, `|3 ok: [:r :x [2]] [:append :x 4]`: 1} {
		h := script(t, ListAppend, `0 ok: [:append :x 1]`, `1 ok: [:append :x 2]`, `2 ok: [:r :x [2]] [:append :x 3]`, second, `4 ok: [:r :x [1 2]]`)
		if a := Analyze(context.Background(), h, Options{Models: []Model{Serializable}}); a.Count[LostUpdate] != lost {
			t.Errorf("%s: %v", second, a.Count)
		}
	}
}

// What a failed transaction overwrote itself is read dirty in two ways, as in
// Elle.
func TestIntermediateReadsOfFailedTransactionsAreBoth(t *testing.T) {
	for w, lines := range map[Workload][]string{
		ListAppend: {`0 fail: [:append :x 1] [:append :x 2]`, `1 ok: [:r :x [1]]`},
		RWRegister: {`0 fail: [:w :x 1] [:w :x 2]`, `1 ok: [:r :x 1]`},
	} {
		a := Analyze(context.Background(), script(t, w, lines...), Options{Workload: w, Models: []Model{ReadCommitted}})
		if a.Count[G1a] != 1 || a.Count[G1b] != 1 {
			t.Errorf("%s: %v", w, a.Count)
		}
	}
}
