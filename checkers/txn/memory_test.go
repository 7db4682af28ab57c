package txn

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/rng"
)

// allocated returns how many bytes f allocates in all.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// blind makes registers with writes that nobody reads first and whose order is
// open.
func blind(r *rand.Rand, n int) *History {
	h := &History{Workload: RWRegister}
	for i := range n {
		t := Txn{ID: int64(i), Process: i % 20, Invoke: int64(2*i - r.IntN(30)), Complete: int64(2*i + 1 + r.IntN(30))}
		key := int32(i / 100)
		t.Ops = []Op{{Kind: Write, Key: key, Value: Value(i + 1)}}
		if i%3 == 0 && i > 20 {
			t.Ops = []Op{{Kind: Read, Key: int32((i - 10) / 100), Value: Value(i - 9)}}
			if (i-10)%3 == 0 {
				t.Ops[0].Value = Value(i - 10)
			}
		}
		h.Txns = append(h.Txns, t)
	}
	return h
}

// garbled appends to each of many reads an element that nobody appended.
func garbled(r *rand.Rand, n int) *History {
	h := serialHistory(ListAppend, n, 10, 4, 0.05)
	for i := range h.Txns {
		for j := range h.Txns[i].Ops {
			if o := &h.Txns[i].Ops[j]; o.Kind == Read && r.IntN(4) == 0 {
				o.List = append(o.List[:len(o.List):len(o.List)], Value(1_000_000+i), Value(1_000_000+i))
			}
		}
	}
	return h
}

// tangled lets every transaction read what others append later, so that all
// of them are in one circle.
func tangled(n int) *History {
	h := serialHistory(ListAppend, n, 10, 4, 0)
	for i := range h.Txns {
		for j := range h.Txns[i].Ops {
			if o := &h.Txns[i].Ops[j]; o.Kind == Read && i%7 == 0 {
				o.List = o.List[:len(o.List)/2]
			}
		}
	}
	return h
}

// shapes are histories that stress different parts of the check.
func shapes(n int) map[string]*History {
	r := rng.Stream(1, "shapes")
	rmw := serialHistory(RWRegister, n, 10, 4, 0.05)
	readFirst(rmw)
	return map[string]*History{
		"lists":                     serialHistory(ListAppend, n, 10, 4, 0),
		"short lists":               serialHistory(ListAppend, n, 10, 1, 0.05),
		"long transactions":         serialHistory(ListAppend, n/10, 10, 40, 0),
		"lists with garbage":        garbled(r, n),
		"lists in one circle":       tangled(n),
		"registers":                 serialHistory(RWRegister, n, 10, 4, 0),
		"registers of one":          serialHistory(RWRegister, n, 10, 1, 0.3),
		"registers read first":      rmw,
		"registers written blindly": blind(r, n/4),
	}
}

func TestMemoryIsPaidForBeforeItIsTaken(t *testing.T) {
	for name, h := range shapes(20_000) {
		ops := h.ToOperations()
		for _, m := range []Model{StrictSerializable, SnapshotIsolation, ReadCommitted, MonotonicAtomicView, StrongSessionReadAtomic, ReadAtomic, Causal} {
			t.Run(name+"/"+string(m), func(t *testing.T) {
				pay := newMemory(1 << 40)
				var a *Analysis
				took := allocated(func() {
					h, err := convert(context.Background(), h.Workload, ops, pay)
					if err != nil {
						t.Fatal(err)
					}
					a = analyze(context.Background(), h, Options{Workload: h.Workload, Models: []Model{m}, Steps: 1_000_000}, pay)
				})
				paid := pay.bound - pay.left
				if took > paid+paid/10 || took < paid/8 {
					t.Errorf("%s: it took %d bytes and paid for %d", a.Verdict, took, paid)
				}
				t.Logf("%s: it took %d bytes and paid for %d (%.2f)", a.Verdict, took, paid, float64(took)/float64(paid))
			})
		}
	}
}

func TestCheckStaysWithinItsMemoryOrIsUnknownWithTheReason(t *testing.T) {
	for name, h := range shapes(10_000) {
		ops := h.ToOperations()
		for _, m := range []Model{StrictSerializable, Causal} {
			for _, bound := range []int64{1, 300_000, 1 << 20, 2 << 20, 4 << 20, 8 << 20, 16 << 20, 32 << 20} {
				c := Checker(m, Options{Workload: h.Workload, Memory: bound, Steps: 1_000_000})
				var v checkers.Verdict
				took := allocated(func() { v = c.Check(context.Background(), &checkers.Evidence{Operations: ops}) })
				if slack := bound/10 + 16<<10; took > bound+slack && v.Verdict != checkers.Invalid {
					t.Errorf("%s, %s: it took %d bytes of %d: %s %s", name, m, took, bound, v.Verdict, v.Reason)
				}
				if bound < 1<<20 && (v.Verdict != checkers.Unknown || !strings.Contains(v.Reason, "more than the bound")) {
					t.Errorf("%s, %s: %s with %d bytes: %s", name, m, v.Verdict, bound, v.Reason)
				}
			}
		}
	}
}

func TestManyRetiredProcessesDoNotTakeTheSquareOfTheirNumber(t *testing.T) {
	for _, most := range []int{1, 4} {
		h := serialHistory(RWRegister, 100_000, 10, most, 0.3)
		processes := map[int]bool{}
		for i := range h.Txns {
			processes[h.Txns[i].Process] = true
		}
		a := Analyze(context.Background(), h, Options{Workload: RWRegister, Models: []Model{Causal}, Memory: 300 << 20})
		if a.Verdict != checkers.Valid || len(processes) < 20_000 {
			t.Errorf("%d processes: %s: %s", len(processes), a.Verdict, a.Reason)
		}
	}
}

// endless is a context that ends when it was looked at so many times.
type endless struct {
	context.Context
	looks int
}

func (e *endless) Err() error {
	if e.looks--; e.looks < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

func TestEndOfTheContextMakesUnknownWhereverItComes(t *testing.T) {
	for name, h := range shapes(6_000) {
		for _, m := range []Model{StrictSerializable, StrongSnapshotIsolation, MonotonicAtomicView, ReadAtomic, Causal} {
			o := Options{Workload: h.Workload, Models: []Model{m}, Steps: 50_000}
			all := &endless{context.Background(), 1 << 30}
			Analyze(all, h, o)
			looks := 1<<30 - all.looks
			if looks < 2 {
				t.Errorf("%s, %s: the context was looked at %d times only", name, m, looks)
			}
			for _, after := range []int{0, 1, looks / 4, looks / 2, looks * 3 / 4, looks - 1} {
				a := Analyze(&endless{context.Background(), after}, h, o)
				if a.Verdict != checkers.Unknown || !strings.Contains(a.Reason, context.DeadlineExceeded.Error()) {
					t.Errorf("%s, %s, after %d of %d looks: %s: %s", name, m, after, looks, a.Verdict, a.Reason)
				}
			}
		}
	}
}

func TestCancelledCheckOfAMillionTransactionsIsUnknown(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a million transactions")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ops := make([]history.Operation, 1_000_000)
	for i := range ops {
		ops[i] = history.Operation{Process: i % 10, F: "txn", Outcome: history.OK, Call: int64(2 * i), Return: int64(2*i + 1),
			Output: history.List(history.List(history.String("append"), history.Int(int64(i/10)), history.Int(int64(i))))}
	}
	var v checkers.Verdict
	took := allocated(func() { v = Checker(StrictSerializable, Options{}).Check(ctx, &checkers.Evidence{Operations: ops}) })
	if v.Verdict != checkers.Unknown || v.Reason != context.Canceled.Error() {
		t.Errorf("%s: %s", v.Verdict, v.Reason)
	}
	if took > 100<<20 {
		t.Errorf("it took %d bytes after it was cancelled", took)
	}
}
