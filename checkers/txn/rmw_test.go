package txn

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/cleancut/cleancut/checkers"
)

// readFirst makes every write of a history of registers follow a read of its
// key in the same transaction, which sees what the key held.
func readFirst(h *History) {
	for i := range h.Txns {
		t := &h.Txns[i]
		var ops []Op
		for _, o := range t.Ops {
			if o.Kind == Write && !touched(ops, o.Key) {
				before := o.Value - 1 // values of a key are counted from 1
				if before == 0 {
					before = Nil
				}
				ops = append(ops, Op{Kind: Read, Key: o.Key, Value: before})
			}
			ops = append(ops, o)
		}
		t.Ops = ops
	}
}

func TestRegistersThatAreReadBeforeTheyAreWrittenAreNeverUnknown(t *testing.T) {
	for _, info := range []float64{0, 0.05} {
		for _, m := range []Model{StrictSerializable, Serializable, SnapshotIsolation} {
			h := serialHistory(RWRegister, 20_000, 10, 4, info)
			readFirst(h)
			if a := Analyze(context.Background(), h, Options{Workload: RWRegister, Models: []Model{m}}); a.Verdict != checkers.Valid {
				t.Errorf("%s with %.2f of unknown outcome: %s: %s", m, info, a.Verdict, a.Reason)
			}
		}
	}
}

func BenchmarkRegistersReadBeforeWritten(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		for _, info := range []float64{0, 0.05} {
			h := serialHistory(RWRegister, n, 10, 4, info)
			readFirst(h)
			b.Run(fmt.Sprintf("txns=%d/info=%.2f", n, info), func(b *testing.B) { run1(b, h, StrictSerializable) })
		}
	}
}

// touched reports whether one of the micro-operations is on the key.
func touched(ops []Op, key int32) bool {
	return slices.ContainsFunc(ops, func(o Op) bool { return o.Key == key })
}
