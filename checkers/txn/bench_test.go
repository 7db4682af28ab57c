package txn

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/cputime"
	"github.com/cleancut/cleancut/harness/rng"
)

// serialHistory executes n transactions of 1 to most micro-operations, half of
// them reads, on a strictly serializable store: ten clients, each always with
// a transaction open that takes effect at a random instant, on ten keys, each
// of which is replaced after 32 writes. Values are counted for each key, as
// Elle's generator does.
func serialHistory(w Workload, n, clients, most int, info float64) *History {
	r := rng.Stream(1, "serial history")
	h := &History{Workload: w, Txns: make([]Txn, n)}
	const active, writes = 10, 32
	var keys [active]int32
	logs := make([][]Value, active, n)
	for i := range keys {
		keys[i] = int32(i)
	}
	process := make([]int, clients)
	open := make([]int, clients) // transaction of each client
	state := make([]int, clients)
	for c := range process {
		process[c], open[c] = c, -1
	}
	next, nextProcess, index := 0, clients, int64(0)
	for running := clients; running > 0; {
		c := r.IntN(clients)
		switch {
		case open[c] < 0 && next == n:
			if state[c] != -1 {
				state[c] = -1
				running--
			}
		case open[c] < 0:
			open[c], state[c] = next, 0
			h.Txns[next] = Txn{ID: int64(next), Process: process[c], Invoke: index, Complete: -1}
			next++
			index++
		case state[c] == 0: // it takes effect
			state[c] = 1
			t := &h.Txns[open[c]]
			t.Ops = make([]Op, 1+r.IntN(most))
			for j := range t.Ops {
				slot := r.IntN(active)
				key := keys[slot]
				log := logs[key]
				if r.IntN(2) == 0 {
					t.Ops[j] = Op{Kind: Read, Key: key, Value: Nil}
					if w == ListAppend {
						t.Ops[j].List = append([]Value(nil), log...)
					} else if len(log) > 0 {
						t.Ops[j].Value = log[len(log)-1]
					}
					continue
				}
				value := Value(len(log) + 1)
				t.Ops[j] = Op{Kind: Append + OpKind(w), Key: key, Value: value}
				logs[key] = append(log, value)
				if len(logs[key]) == writes {
					keys[slot] = int32(len(logs))
					logs = append(logs, nil)
				}
			}
		default:
			t := &h.Txns[open[c]]
			open[c] = -1
			t.Complete = index
			index++
			if r.Float64() < info {
				t.Status = Info
				process[c] = nextProcess
				nextProcess++
			}
		}
	}
	return h
}

func run1(b *testing.B, h *History, m Model) {
	b.ReportAllocs()
	runtime.GC()
	var a *Analysis
	before := cputime.Used()
	for b.Loop() {
		a = Analyze(context.Background(), h, Options{Workload: h.Workload, Models: []Model{m}, Memory: 1 << 40})
	}
	if a.Verdict != checkers.Valid {
		b.Fatalf("%s: %s", a.Verdict, a.Reason)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(h.Txns)), "ns/txn")
	b.ReportMetric(float64(cputime.Used()-before)/float64(b.N)/1e6, "cpu-ms/op") // tells on a machine that others use, too
}

func BenchmarkLists(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		for _, info := range []float64{0, 0.05} {
			h := serialHistory(ListAppend, n, 10, 4, info)
			for _, m := range []Model{StrictSerializable, Serializable, SnapshotIsolation} {
				if m == SnapshotIsolation && (info > 0 || n > 100_000) {
					continue
				}
				b.Run(fmt.Sprintf("%s/txns=%d/info=%.2f", m, n, info), func(b *testing.B) { run1(b, h, m) })
			}
		}
	}
}

// BenchmarkWeakLevels has transactions of one micro-operation, and of up to
// four.
func BenchmarkWeakLevels(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		for _, most := range []int{1, 4} {
			h := serialHistory(RWRegister, n, 10, most, 0)
			for _, m := range []Model{ReadCommitted, MonotonicAtomicView, ReadAtomic, Causal} {
				b.Run(fmt.Sprintf("%s/txns=%d/most=%d", m, n, most), func(b *testing.B) { run1(b, h, m) })
			}
		}
	}
}

// BenchmarkGrowth has ten million micro-operations at the end.
func BenchmarkGrowth(b *testing.B) {
	for _, n := range []int{40_000, 400_000, 4_000_000} {
		h := serialHistory(ListAppend, n, 10, 4, 0.05)
		b.Run(fmt.Sprintf("txns=%d", n), func(b *testing.B) { run1(b, h, StrictSerializable) })
	}
}

// BenchmarkRetiredProcesses has transactions of unknown outcome, after each of
// which a process is retired.
func BenchmarkRetiredProcesses(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		h := serialHistory(RWRegister, n, 10, 4, 0.05)
		b.Run(fmt.Sprintf("causal/txns=%d", n), func(b *testing.B) { run1(b, h, Causal) })
	}
}

// BenchmarkOneStaleRead judges a history of which one read late in the run
// misses what had been appended long before.
func BenchmarkOneStaleRead(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		h := serialHistory(ListAppend, n, 10, 4, 0)
		stale(h)
		b.Run(fmt.Sprintf("txns=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			before := cputime.Used()
			for b.Loop() {
				if a := Analyze(context.Background(), h, Options{Models: []Model{StrictSerializable}, Memory: 1 << 40}); a.Verdict != checkers.Invalid {
					b.Fatal(a.Reason)
				}
			}
			b.ReportMetric(float64(cputime.Used()-before)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}

// stale shortens the list of some late read of twenty elements or more.
func stale(h *History) {
	for i := len(h.Txns) * 9 / 10; ; i++ {
		for j := range h.Txns[i].Ops {
			if o := &h.Txns[i].Ops[j]; len(o.List) >= 20 && len(h.Txns[i].Ops) == 1 {
				o.List = o.List[:1]
				return
			}
		}
	}
}
