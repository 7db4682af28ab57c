package txn

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/rng"
)

// overlapping makes n transactions of processes of their own that all overlap.
func overlapping(w Workload, n int, ops func(i int) []Op) *History {
	h := &History{Workload: w}
	for i := range n {
		h.Txns = append(h.Txns, Txn{ID: int64(n + i), Process: i, Invoke: int64(i), Complete: int64(n + i), Ops: ops(i)})
	}
	return h
}

func appendOp(key, value int) Op { return Op{Kind: Append, Key: int32(key), Value: Value(value)} }

func writeOp(key, value int) Op { return Op{Kind: Write, Key: int32(key), Value: Value(value)} }

func listOp(key int, values ...Value) Op { return Op{Kind: Read, Key: int32(key), List: values} }

func readOp(key int, value Value) Op { return Op{Kind: Read, Key: int32(key), Value: value} }

func counted(n int) []Value {
	list := make([]Value, n)
	for i := range list {
		list[i] = Value(i + 1)
	}
	return list
}

// Each of these histories is small next to a million transactions, and took
// minutes where one part of it was compared with all others. A test that hangs
// is ended by the tests' time limit.
func TestShapesOnWhichEverythingMeetsEverythingAreJudged(t *testing.T) {
	const n = 60_000
	ring := func(i int) []Op { return []Op{readOp(0, Value(i+1)), writeOp(0, (i+1)%n+1)} }
	for _, c := range []struct {
		name string
		o    Options
		want checkers.Validity
		h    func() *History
	}{
		{"two transactions of many keys, related by the last", Options{Models: []Model{Serializable}}, checkers.Invalid, func() *History {
			var reads, appends []Op
			for i := range n {
				reads, appends = append(reads, listOp(i)), append(appends, appendOp(n+i, 1))
			}
			reads, appends = append(reads, listOp(2*n, 1), listOp(2*n+1)), append(appends, appendOp(2*n, 1), appendOp(2*n+1, 1))
			return overlapping(ListAppend, 2, func(i int) []Op { return [][]Op{reads, appends}[i] })
		}},
		{"many reads before a long run of failed appends", Options{Models: []Model{ReadUncommitted}}, checkers.Valid, func() *History {
			h := overlapping(ListAppend, 2*n, func(i int) []Op {
				if i < n {
					return []Op{appendOp(0, i+1)}
				}
				return []Op{listOp(0)}
			})
			for i := range n {
				h.Txns[i].Status = Fail
			}
			h.Txns[n].Ops = []Op{listOp(0, counted(n)...)}
			h.Txns[n+1].Ops = []Op{appendOp(1, 1)}
			h.Txns[n+2].Ops = []Op{listOp(1, 1)}
			return h
		}},
		{"registers: a transaction of many keys", Options{Models: []Model{Serializable}}, checkers.Invalid, func() *History {
			var reads, writes []Op
			for i := range n {
				reads, writes = append(reads, readOp(i, Nil)), append(writes, writeOp(n+i, 1))
			}
			reads, writes = append(reads, readOp(2*n, 1), readOp(2*n+1, Nil)), append(writes, writeOp(2*n, 1), writeOp(2*n+1, 1))
			return overlapping(RWRegister, 2, func(i int) []Op { return [][]Op{reads, writes}[i] })
		}},
		{"a long circle of versions", Options{Models: []Model{ReadUncommitted}, WFRKeys: true}, checkers.Invalid, func() *History { return overlapping(RWRegister, n, ring) }},
		{"many writes after one version", Options{Models: []Model{ReadUncommitted}, WFRKeys: true}, checkers.Valid, func() *History {
			return overlapping(RWRegister, n, func(i int) []Op { return []Op{readOp(0, Nil), writeOp(0, i+1)} })
		}},
		{"many readers of versions whose order is open", Options{Models: []Model{StrictSerializable, SnapshotIsolation}}, checkers.Valid, func() *History {
			return overlapping(RWRegister, n, func(i int) []Op {
				if i < 3 {
					return []Op{writeOp(0, i+1)}
				}
				return []Op{readOp(0, Value(i%3+1))}
			})
		}},
		{"linearizable keys that are written at once", Options{Models: []Model{ReadUncommitted}, LinearizableKeys: true}, checkers.Valid, func() *History {
			h := overlapping(RWRegister, 2*n, func(i int) []Op { return []Op{writeOp(0, i+1)} })
			for i := n; i < 2*n; i++ {
				h.Txns[i].Ops = []Op{readOp(0, n)}
				h.Txns[i].Invoke, h.Txns[i].Complete = h.Txns[i].Invoke+4*n, h.Txns[i].Complete+4*n
			}
			return h
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := c.h()
			c.o.Workload = h.Workload
			if a := Analyze(context.Background(), h, c.o); a.Verdict != c.want {
				t.Errorf("%s: %s", a.Verdict, a.Reason)
			}
		})
	}
}

// Whoever has to know why many transactions were visible to others looks each
// up; that ends with the context.
func TestExplanationsOfCommitsEndWithTheContext(t *testing.T) {
	const readers, between = 200, 2_000
	h := &History{Workload: RWRegister}
	add := func(process int, ops ...Op) {
		at := int64(2 * len(h.Txns))
		h.Txns = append(h.Txns, Txn{ID: at, Process: process, Invoke: at, Complete: at + 1, Ops: ops})
	}
	var all []Op
	for i := range readers {
		add(1+i, writeOp(i, 1), writeOp((i+readers-1)%readers, 2), writeOp(readers+i, 1))
		all = append(all, readOp(readers+i, 1))
	}
	add(0, all...)
	for i := range between {
		add(0, writeOp(2*readers, i+1))
	}
	for i := range readers {
		add(1+readers+i, readOp(2*readers, between), readOp(i, 2))
	}
	o := Options{Workload: RWRegister, Models: []Model{Causal}}
	a := Analyze(context.Background(), h, o)
	if a.Verdict != checkers.Invalid || len(a.Findings[0].Lines) != readers {
		t.Fatalf("%s: %s", a.Verdict, a.Reason)
	}
	checkWitnessAlone(t, a, o)
	ctx := &endless{context.Background(), 1 << 30}
	Analyze(ctx, h, o)
	if looks := 1<<30 - ctx.looks; looks < readers {
		t.Errorf("the context was looked at %d times", looks)
	}
}

func checkWitnessAlone(t *testing.T, a *Analysis, o Options) {
	t.Helper()
	if again := Analyze(context.Background(), a.Findings[0].Witness, o); again.Verdict != checkers.Invalid {
		t.Errorf("the witness alone is %s: %s", again.Verdict, again.Reason)
	}
}

// Linearizable keys relate versions as far as they must: what is left out
// follows from what is kept.
func TestPromiseOfRealTimeLeavesOutOnlyWhatFollows(t *testing.T) {
	r := rng.Stream(10+trials.Seed(), t.Name())
	for range trials.Rounds(20_000) {
		h := &History{Workload: RWRegister}
		intervals(r, h, 2+r.IntN(7))
		var touches []touch
		const versions = 5
		for i := range h.Txns {
			v := r.Int32N(versions)
			w := v
			if r.IntN(3) == 0 {
				w = r.Int32N(versions)
			}
			touches = append(touches, touch{int32(i), v, w})
		}
		slices.SortStableFunc(touches, func(a, b touch) int { return int(h.Txns[a.txn].Invoke - h.Txns[b.txn].Invoke) })
		g := &registers{h: h}
		var kept, all [versions][versions]bool
		for _, x := range touches {
			kept[x.first][x.last], all[x.first][x.last] = true, true
			for _, y := range touches {
				all[x.last][y.first] = all[x.last][y.first] || g.precedes(x.txn, y.txn)
			}
		}
		for _, p := range g.realtimePairs(touches, nil, 1000) {
			if !g.precedes(p.first, p.second) || p.before == p.after {
				t.Fatalf("T%d does not precede T%d%s", p.first, p.second, h.text())
			}
			kept[p.before][p.after] = true
		}
		closure := func(m *[versions][versions]bool) {
			for k := range versions {
				for i := range versions {
					m[k][k] = true
					for j := range versions {
						m[i][j] = m[i][j] || m[i][k] && m[k][j]
					}
				}
			}
		}
		closure(&kept)
		closure(&all)
		if kept != all {
			t.Fatalf("%v are kept, %v demanded of %s%s", kept, all, fmt.Sprint(touches), h.text())
		}
	}
}

// What a process did between two steps of a chain takes no memory either.
func TestChainsOfVisibilityTakeNoMoreMemoryThanTheirSteps(t *testing.T) {
	const between = 20_000
	h := &History{Workload: RWRegister}
	for i := range between {
		h.Txns = append(h.Txns, Txn{ID: int64(i), Invoke: int64(2 * i), Complete: int64(2*i + 1), Ops: []Op{writeOp(0, i+1)}})
	}
	h.Txns[between-1].Ops = []Op{readOp(0, 1)}
	g := &weakLevel{weakInput: &weakInput{h: h, readOff: make([]int32, between+1), previous: make([]int32, between)}}
	for i := range g.previous {
		g.previous[i] = int32(i - 1)
	}
	g.chain(0, between-1)
	if took := allocated(func() {
		if steps := g.chain(0, between-1); len(steps) != 1 {
			t.Errorf("the chain has %d steps", len(steps))
		}
	}); took > 4096 {
		t.Errorf("it took %d bytes", took)
	}
}
