package txn

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/rng"
)

// mutate spoils a valid history in one place, and reports whether it did.
func mutate(r *rand.Rand, h *History) bool {
	t := &h.Txns[r.IntN(len(h.Txns))]
	o := &t.Ops[r.IntN(len(t.Ops))]
	switch n := len(o.List); r.IntN(4) {
	case 0: // a read misses the end
		if n > 0 {
			o.List = o.List[:r.IntN(n)]
			return true
		}
	case 1: // a read has two elements swapped
		if n > 1 {
			i := r.IntN(n - 1)
			o.List = slices.Clone(o.List)
			o.List[i], o.List[i+1] = o.List[i+1], o.List[i]
			return true
		}
	case 2: // an acknowledged transaction is said to have failed
		t.Status = Fail
		return true
	case 3: // an append is not known to anybody
		if o.Kind == Append {
			t.Ops = slices.Delete(t.Ops, 0, len(t.Ops))
			return true
		}
	}
	return false
}

func TestMutatedHistoriesAreRejectedWithAWitnessThatIsRejectedAlone(t *testing.T) {
	r := rng.Stream(1, t.Name())
	invalid, rounds := 0, 0
	sizes := 0
	for rounds < 300 {
		h := serialHistory(ListAppend, 300, 5, 4, 0.03)
		if a := Analyze(context.Background(), h, Options{Models: []Model{StrictSerializable}}); a.Verdict != checkers.Valid {
			t.Fatalf("the history itself is %s: %s", a.Verdict, a.Reason)
		}
		if !mutate(r, h) {
			continue
		}
		rounds++
		a := Analyze(context.Background(), h, Options{Models: []Model{StrictSerializable}})
		if a.Verdict == checkers.Unknown {
			t.Fatalf("unknown: %s", a.Reason)
		}
		if a.Verdict == checkers.Valid {
			continue
		}
		invalid++
		for _, f := range a.Findings {
			again := Analyze(context.Background(), f.Witness, Options{Models: []Model{StrictSerializable}})
			if again.Verdict != checkers.Invalid {
				t.Fatalf("%s (%s): the witness is %s: %s%s", f.Anomaly, f.Summary, again.Verdict, again.Reason, f.Witness.text())
			}
		}
		sizes += len(a.Findings[0].Witness.Txns)
	}
	t.Logf("%d of %d rejected, the witness has %d transactions on average", invalid, rounds, sizes/max(1, invalid))
	if invalid < rounds*3/4 {
		t.Errorf("only %d of %d mutations were noticed", invalid, rounds)
	}
}

// si executes transactions under snapshot isolation: from a snapshot, and the
// first of two that wrote the same key wins.
func si(r *rand.Rand, n int) *History {
	h := &History{}
	state := map[int32][]Value{}
	type running struct {
		txn     Txn
		written map[int32]int // length of each written key at the snapshot
	}
	var open []running
	value, index := Value(0), int64(0)
	for len(h.Txns) < n || len(open) > 0 {
		if len(open) < 4 && len(h.Txns)+len(open) < n {
			t := running{Txn{ID: index, Process: int(index), Invoke: index}, map[int32]int{}}
			for range 1 + r.IntN(3) {
				op := Op{Kind: Read, Key: int32(r.IntN(4) + 4*int(index/200))}
				if r.IntN(2) == 0 {
					value++
					op.Kind, op.Value = Append, value
					t.written[op.Key] = len(state[op.Key])
				}
				see(ListAppend, apply(state, t.txn.Ops), &op)
				t.txn.Ops = append(t.txn.Ops, op)
			}
			open = append(open, t)
		} else {
			i := r.IntN(len(open))
			t := open[i]
			open = slices.Delete(open, i, i+1)
			for k, length := range t.written {
				if len(state[k]) != length {
					t.txn.Status = Fail
				}
			}
			if t.txn.Status == OK {
				state = apply(state, t.txn.Ops)
			}
			t.txn.Complete = index
			h.Txns = append(h.Txns, t.txn)
		}
		index++
	}
	return h
}

func TestSnapshotIsolationIsAcceptedAndItsWriteSkewsAreNot(t *testing.T) {
	r := rng.Stream(1, t.Name())
	skewed, unknown := 0, 0
	for range 200 {
		h := si(r, 400)
		a := Analyze(context.Background(), h, Options{Models: []Model{StrongSnapshotIsolation}})
		switch a.Verdict {
		case checkers.Invalid:
			t.Fatalf("%s", a.Reason)
		case checkers.Unknown:
			unknown++
		}
		if b := Analyze(context.Background(), h, Options{Models: []Model{Serializable}}); b.Verdict == checkers.Invalid {
			skewed++
			if !slices.Equal(b.Types, []Anomaly{G2Item}) {
				t.Fatalf("found %v", b.Types)
			}
		}
	}
	t.Logf("%d of 200 are not serializable, %d are undecided", skewed, unknown)
	if skewed < 50 || unknown > 20 {
		t.Errorf("%d of 200 are not serializable, %d are undecided", skewed, unknown)
	}
}
