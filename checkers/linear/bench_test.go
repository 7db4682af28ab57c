package linear

import (
	"container/heap"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/cputime"
	"github.com/cleancut/cleancut/harness/history"
)

// load is a simulated run: clients without pauses, so that each always has
// an operation open, with latencies that are distributed exponentially.
type load struct {
	ops, clients, keys int
	info               float64 // of operations that change something
	stale              bool    // the last read returns an old value
	object             toy
}

// moment is something that happens in a simulated run.
type moment struct {
	at   float64
	what uint8 // effect, end
	op   int32
	lane int32
}

type moments []moment

func (m moments) Len() int           { return len(m) }
func (m moments) Less(i, j int) bool { return m[i].at < m[j].at }
func (m moments) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *moments) Push(x any)        { *m = append(*m, x.(moment)) }
func (m *moments) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

// operations runs the load on a map of registers. Operations of unknown
// outcome never happen, or up to 20 latencies later.
func (l load) operations(seed uint64) []history.Operation {
	r := rand.New(rand.NewPCG(seed, 77))
	ops := make([]history.Operation, 0, l.ops)
	keys := make([]int32, 0, l.ops)
	var queue moments
	index, fresh, process := int64(0), int64(0), 0
	states := make([]history.Value, l.keys)
	names := make([]string, l.keys)
	for i := range states {
		states[i], names[i] = l.object.start, fmt.Sprint("k", i)
	}
	held := make([]int, l.clients)
	processes := make([]int, l.clients)
	begin := func(lane int32, now float64) {
		if len(ops) == cap(ops) {
			return
		}
		key := r.IntN(l.keys)
		f, in := l.object.draw(r, func() history.Value { fresh++; return history.Int(fresh) }, held[lane])
		o := history.Operation{Process: processes[lane], F: f, Key: names[key], Input: in, Outcome: history.OK, Call: index, Invoked: time.Duration(now * 1e6), Return: -1}
		index++
		end := now + r.ExpFloat64()
		at := now + r.Float64()*(end-now)
		if f != Read && r.Float64() < l.info {
			o.Outcome = history.Info
			if r.IntN(2) == 0 {
				at = -1
			} else {
				at = now + 20*r.Float64()
			}
		}
		if at >= 0 {
			heap.Push(&queue, moment{at, 0, int32(len(ops)), lane})
		}
		heap.Push(&queue, moment{end, 1, int32(len(ops)), lane})
		ops, keys = append(ops, o), append(keys, int32(key))
	}
	for lane := range l.clients {
		processes[lane] = process
		process++
		begin(int32(lane), 0)
	}
	for len(queue) > 0 {
		m := heap.Pop(&queue).(moment)
		o := &ops[m.op]
		if m.what == 0 {
			key := keys[m.op]
			next, out, ok := l.object.run(states[key], o.F, o.Input)
			switch {
			case ok && o.Outcome != history.Info:
				states[key], o.Output = next, out
			case ok:
				states[key] = next
			case o.Outcome != history.Info:
				o.Outcome = history.Fail
			}
			continue
		}
		o.Return, o.Completed = index, time.Duration(m.at*1e6)
		index++
		switch {
		case o.Outcome == history.Info:
			o.Completed = history.Never
			processes[m.lane], held[m.lane] = process, 0
			process++
		case o.Outcome == history.OK:
			held[m.lane] += map[string]int{Acquire: 1, Release: -1}[o.F]
		}
		begin(m.lane, m.at)
	}
	if l.stale {
		l.spoil(ops)
	}
	return ops
}

// spoil lets the last read of the run return what the register held long
// before.
func (load) spoil(ops []history.Operation) {
	for i := range slices.Backward(ops) {
		if ops[i].F != Read || ops[i].Outcome != history.OK {
			continue
		}
		for j := max(0, i-len(ops)/4); j >= 0; j-- {
			if ops[j].F == Write && ops[j].Outcome == history.OK && ops[j].Key == ops[i].Key {
				ops[i].Output = ops[j].Input
				return
			}
		}
	}
}

func registerToy() toy {
	return toy{
		workload: "cas-register",
		draw: func(r *rand.Rand, fresh func() history.Value, _ int) (string, history.Value) {
			if r.IntN(2) == 0 {
				return Read, history.Nil
			}
			return Write, fresh()
		},
		run: func(s history.Value, f string, in history.Value) (history.Value, history.Value, bool) {
			if f == Read {
				return s, s, true
			}
			return in, in, true
		},
	}
}

// cost is what one run took: time, time of the processors, and how far the
// heap grew, sampled.
type cost struct {
	wall, cpu time.Duration
	peak      int64
}

// measure runs f. What was garbage before does not count.
func measure(f func()) (c cost) {
	c.peak = checkers.HeapGrowth(func() {
		begun, used := time.Now(), cputime.Used()
		f()
		c.wall, c.cpu = time.Since(begun), cputime.Used()-used
	})
	return c
}

// best is the least time and the most memory of several runs.
func (c *cost) best(x cost) {
	if c.wall == 0 || x.wall < c.wall {
		c.wall = x.wall
	}
	if c.cpu == 0 || x.cpu < c.cpu {
		c.cpu = x.cpu
	}
	c.peak = max(c.peak, x.peak)
}

func (c *cost) report(b *testing.B) {
	b.ReportMetric(0, "ns/op") // would count collections, too
	b.ReportMetric(float64(c.wall)/1e6, "best-ms")
	b.ReportMetric(float64(c.cpu)/1e6, "cpu-ms")
	b.ReportMetric(float64(c.peak)/(1<<20), "MB-peak")
}

// porcupineBudget bounds porcupine in the benchmarks: 10 s and 4 GiB, as
// estimated. What is not decided by then has -1 for valid.
const porcupineTime = 10 * time.Second

var porcupineBudget = Options{Algorithm: Porcupine, Configurations: 1 << 40, Memory: 4 << 30, Timeout: porcupineTime}

func (l load) bench(b *testing.B, name string, o Options) {
	b.Run(name, func(b *testing.B) {
		ops := l.operations(1)
		c, err := For(l.object.workload, Object{Initial: l.object.initial}, o)
		if err != nil {
			b.Fatal(err)
		}
		var v checkers.Verdict
		var spent cost
		for b.Loop() {
			spent.best(measure(func() { v = c.Check(context.Background(), &checkers.Evidence{Operations: ops}) }))
		}
		spent.report(b)
		spent.note(b.Name(), v.Verdict)
		b.ReportMetric(map[checkers.Validity]float64{checkers.Valid: 1, checkers.Invalid: 0, checkers.Unknown: -1}[v.Verdict], "valid")
		if v.Verdict == checkers.Unknown && o.Algorithm == Automatic || l.stale && v.Verdict == checkers.Valid {
			b.Fatalf("%s: %s", v.Verdict, v.Reason)
		}
	})
}

// BenchmarkRegister compares zones, search and porcupine on one register.
// Names are operations/clients/unknown outcomes/valid or stale/algorithm.
func BenchmarkRegister(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		for _, c := range []int{5, 10, 50} {
			for _, info := range []float64{0, 0.01, 0.05} {
				for _, stale := range []bool{false, true} {
					l := load{ops: n, clients: c, keys: 1, info: info, stale: stale, object: registerToy()}
					name := fmt.Sprintf("%d/%d/%g/%s/", n, c, info, map[bool]string{false: "valid", true: "stale"}[stale])
					l.bench(b, name+"zones", Options{})
					if c == 50 && n > 1_000 || c == 10 && n > 100_000 {
						continue // exponential in the clients
					}
					l.bench(b, name+"search", Options{Algorithm: Search, Configurations: 1 << 40, Memory: 4 << 30, Timeout: porcupineTime})
					if n <= 100_000 {
						l.bench(b, name+"porcupine", porcupineBudget)
					}
				}
			}
		}
	}
}

// BenchmarkCAS is a million operations on one register, a fifth of them cas.
func BenchmarkCAS(b *testing.B) {
	for _, c := range []int{5, 10} {
		for _, stale := range []bool{false, true} {
			name := fmt.Sprintf("%d/%s/", c, map[bool]string{false: "valid", true: "stale"}[stale])
			for _, judge := range []struct {
				name    string
				options Options
			}{{"zones", Options{}}, {"search", Options{Algorithm: Search, Configurations: 1 << 40, Memory: 4 << 30, Timeout: porcupineTime}}} {
				if c == 5 || judge.name == "zones" {
					l := load{ops: 1_000_000, clients: c, keys: 1, info: 0.05, stale: stale, object: casToy()}
					l.bench(b, name+judge.name, judge.options)
				}
			}
		}
	}
}

// casToy is registerToy with a fifth of cas, each from what was there when it
// was called. Its state is used up by one history.
func casToy() toy {
	t := registerToy()
	now := history.Nil
	t.draw = func(r *rand.Rand, fresh func() history.Value, _ int) (string, history.Value) {
		switch c := r.IntN(10); {
		case c < 5:
			return Read, history.Nil
		case c < 8:
			return Write, fresh()
		}
		return CAS, history.List(now, fresh())
	}
	t.run = func(s history.Value, f string, in history.Value) (history.Value, history.Value, bool) {
		switch f {
		case Read:
			return s, s, true
		case CAS:
			if !items(in)[0].Equal(s) {
				return s, history.Nil, false
			}
			now = items(in)[1]
		default:
			now = in
		}
		return now, in, true
	}
	return t
}

// BenchmarkKeys is a map of registers.
func BenchmarkKeys(b *testing.B) {
	for _, keys := range []int{10, 100, 1000} {
		for _, stale := range []bool{false, true} {
			l := load{ops: 1_000_000, clients: 50, keys: keys, info: 0.01, stale: stale, object: registerToy()}
			name := fmt.Sprintf("%d/%s/", keys, map[bool]string{false: "valid", true: "stale"}[stale])
			l.bench(b, name+"zones", Options{})
			l.bench(b, name+"search", Options{Algorithm: Search, Memory: 4 << 30, Timeout: porcupineTime})
			l.bench(b, name+"porcupine", porcupineBudget)
		}
	}
}

// BenchmarkObjects is a million operations on other objects.
func BenchmarkObjects(b *testing.B) {
	keys := map[string]int{"list": 10_000, "grow-only set": 10_000}
	for _, name := range []string{"list", "grow-only set", "set with removes", "queue", "counter by one", "mutex", "semaphore"} {
		l := load{ops: 1_000_000, clients: 10, keys: max(1, keys[name]), info: 0.01, object: bigToy(name)}
		l.bench(b, name+"/exact", Options{})
		l.ops, l.keys = 10_000, max(1, l.keys/100)
		for _, judge := range []struct {
			name    string
			options Options
		}{{"exact", Options{}}, {"search", Options{Algorithm: Search}}, {"porcupine", porcupineBudget}} {
			l.object = bigToy(name) // its state is used up by one history
			l.bench(b, name+"-10000/"+judge.name, judge.options)
		}
	}
}

// bigToy is a toy for long runs: no values come twice, and the state is kept
// outside where copies of it would be too long.
func bigToy(name string) toy {
	t := toys[name]
	draw := t.draw
	t.draw = func(r *rand.Rand, fresh func() history.Value, held int) (string, history.Value) {
		f, in := draw(r, fresh, held)
		if f == Append || f == Enqueue || f == Add && t.workload == "set" {
			in = fresh()
		}
		return f, in
	}
	switch name {
	case "queue":
		var content []history.Value
		t.run = func(s history.Value, f string, in history.Value) (history.Value, history.Value, bool) {
			if f == Enqueue {
				content = append(content, in)
				return s, in, true
			}
			if len(content) == 0 {
				return s, history.Nil, true
			}
			in, content = content[0], content[1:]
			return s, in, true
		}
	case "set with removes":
		member := map[int64]bool{}
		last := int64(0)
		t.draw = func(r *rand.Rand, fresh func() history.Value, _ int) (string, history.Value) {
			old := history.Int(1 + last/3*2)
			switch last++; last % 3 {
			case 0:
				return Add, fresh()
			case 1:
				return Contains, old
			}
			return Remove, history.Int(last)
		}
		t.run = func(s history.Value, f string, in history.Value) (history.Value, history.Value, bool) {
			if f == Contains {
				return s, history.Bool(member[number(in)]), true
			}
			member[number(in)] = f == Add
			return s, in, true
		}
	}
	return t
}
