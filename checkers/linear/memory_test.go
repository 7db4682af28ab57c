package linear

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// TestNoCheckTakesMoreMemoryThanItMay runs checks of long histories within
// bounds that are large enough and within ones that are not, and watches the
// heap.
func TestNoCheckTakesMoreMemoryThanItMay(t *testing.T) {
	const n = 200_000
	exponential := load{ops: 20_000, clients: 14, keys: 1, stale: true, object: registerToy()}
	many := load{ops: n, clients: 50, keys: 500, info: 0.01, stale: true, object: registerToy()}
	for _, c := range []struct {
		name string
		load load
		o    Options
		want checkers.Validity
	}{
		{"a register", load{ops: n, clients: 10, keys: 1, info: 0.05, object: registerToy()}, Options{Memory: 40 << 20}, checkers.Valid},
		{"a register", load{ops: n, clients: 10, keys: 1, info: 0.05, object: registerToy()}, Options{Memory: 16 << 20}, checkers.Unknown},
		{"a register", load{ops: n, clients: 10, keys: 1, info: 0.05, object: registerToy()}, Options{Memory: 1 << 20}, checkers.Unknown},
		{"a stale register", load{ops: n, clients: 10, keys: 1, info: 0.05, stale: true, object: registerToy()}, Options{Memory: 64 << 20}, checkers.Invalid},
		{"many registers", many, Options{Memory: 8 << 20}, checkers.Invalid},
		{"many registers, searched", many, Options{Memory: 24 << 20, Algorithm: Search, Workers: 2}, checkers.Invalid},
		{"a search", exponential, Options{Memory: 32 << 20, Algorithm: Search, Configurations: 1 << 40}, checkers.Unknown},
		{"a search", exponential, Options{Memory: 100 << 20, Algorithm: Search, Configurations: 1 << 40}, checkers.Unknown},
		{"porcupine", exponential, Options{Memory: 200 << 20, Algorithm: Porcupine, Configurations: 1 << 40}, checkers.Unknown},
		{"lists", load{ops: n, clients: 10, keys: 2000, object: bigToy("list")}, Options{Memory: 64 << 20}, checkers.Valid},
		{"sets", load{ops: n, clients: 10, keys: 1, object: bigToy("set with removes")}, Options{Memory: 200 << 20}, checkers.Valid},
		{"sets", load{ops: n, clients: 10, keys: 1, object: bigToy("set with removes")}, Options{Memory: 32 << 20}, checkers.Unknown},
		{"a queue", load{ops: n, clients: 10, keys: 1, object: bigToy("queue")}, Options{Memory: 100 << 20}, checkers.Valid},
		{"a queue", load{ops: n, clients: 10, keys: 1, object: bigToy("queue")}, Options{Memory: 50 << 20}, checkers.Unknown},
		{"a counter", load{ops: n, clients: 10, keys: 1, object: bigToy("counter by one")}, Options{Memory: 100 << 20}, checkers.Valid},
		{"a mutex", load{ops: n, clients: 10, keys: 1, object: bigToy("mutex")}, Options{Memory: 100 << 20}, checkers.Valid},
	} {
		t.Run(fmt.Sprintf("%s in %d MiB", c.name, c.o.Memory>>20), func(t *testing.T) {
			ops := c.load.operations(1)
			checker, err := For(c.load.object.workload, Object{Initial: c.load.object.initial}, c.o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // memory ends it
			defer cancel()
			var v checkers.Verdict
			grown := measure(func() { v = checker.Check(ctx, &checkers.Evidence{Operations: ops}) }).peak
			t.Logf("%s, %.1f MiB", v.Verdict, float64(grown)/(1<<20))
			if v.Verdict != c.want || v.Verdict == checkers.Unknown && !strings.Contains(v.Reason, "MiB") {
				t.Errorf("%s: %s; want %s", v.Verdict, v.Reason, c.want)
			}
			if bound := c.o.Memory * 11 / 10; grown > bound {
				t.Errorf("the heap grew by %d bytes, %d and a tenth are allowed", grown, c.o.Memory)
			}
		})
	}
}

// Elements of lists that nobody appended take memory, too, and who they are is
// known only when the lists are read.
func TestStrangersInListsTakeNoMoreMemoryThanTheyMay(t *testing.T) {
	const n = 1_000_000
	integers, texts := make([]history.Value, n), make([]history.Value, n/10)
	for i := range integers {
		integers[i] = history.Int(int64(i) * 1_000_003)
	}
	for i := range texts {
		texts[i] = history.String(fmt.Sprintf("element %d", i))
	}
	for _, c := range []struct {
		workload string
		list     history.Value
		memory   int64
		want     checkers.Validity
	}{
		{"list", history.List(integers...), 20 << 20, checkers.Unknown},
		{"list", history.List(integers...), 80 << 20, checkers.Unknown},
		{"list", history.List(integers...), 400 << 20, checkers.Invalid},
		{"log", history.List(integers...), 80 << 20, checkers.Unknown},
		{"set", history.List(integers...), 80 << 20, checkers.Unknown},
		{"set", history.List(integers...), 400 << 20, checkers.Invalid},
		{"list", history.List(texts...), 8 << 20, checkers.Unknown},
		{"list", history.List(texts...), 80 << 20, checkers.Invalid},
	} {
		t.Run(fmt.Sprintf("%s of %d in %d MiB", c.workload, c.list.Len(), c.memory>>20), func(t *testing.T) {
			checker, err := For(c.workload, Object{}, Options{Memory: c.memory})
			if err != nil {
				t.Fatal(err)
			}
			ops := []history.Operation{
				{F: map[string]string{"list": Append, "log": Append, "set": Add}[c.workload], Input: history.Int(1), Call: 0, Return: 1, Outcome: history.OK},
				{F: Read, Output: c.list, Call: 2, Return: 3, Outcome: history.OK},
			}
			var v checkers.Verdict
			grown := measure(func() { v = checker.Check(t.Context(), &checkers.Evidence{Operations: ops}) }).peak
			t.Logf("%s, %.1f MiB: %s", v.Verdict, float64(grown)/(1<<20), v.Reason)
			if v.Verdict != c.want || v.Verdict == checkers.Unknown && !strings.Contains(v.Reason, "MiB") {
				t.Errorf("%s: %s; want %s", v.Verdict, v.Reason, c.want)
			}
			if bound := c.memory * 11 / 10; grown > bound {
				t.Errorf("the heap grew by %d bytes, %d and a tenth are allowed", grown, c.memory)
			}
		})
	}
}

// TestModelsOfDurabilityTakeNoMoreMemoryThanTheyMay judges long histories with
// crashes of the whole system with as little memory as is counted for that.
func TestModelsOfDurabilityTakeNoMoreMemoryThanTheyMay(t *testing.T) {
	const n = 50_000
	var register, list []history.Operation
	var appended []history.Value
	for i := range int64(n) {
		v := history.Int(i)
		o := history.Operation{F: Write, Input: v, Outcome: history.OK, Node: "n1"}
		if i%20 == 7 {
			o.Outcome = history.Info
		} else if appended = append(appended, v); i%20 == 3 {
			o = history.Operation{F: Read, Output: history.Int(i - 1), Outcome: history.OK, Node: "n2"}
			appended = appended[:len(appended)-1]
		}
		register = append(register, o)
		switch {
		case o.F == Write:
			o.F = Append
		case i%2_000 == 3:
			o.Output = history.List(appended...)
		default:
			o = history.Operation{F: Sync, Outcome: history.OK, Node: "n2"}
		}
		list = append(list, o)
	}
	for _, c := range []struct {
		workload string
		ops      []history.Operation
		stale    history.Value
	}{
		{"register", register, history.Int(n - 50)}, {"list", list, history.List(appended[:n/2]...)},
	} {
		e := &checkers.Evidence{}
		for i, o := range c.ops {
			o.Process, o.Call, o.Return = i, int64(4*i), int64(4*i+1)
			o.Invoked, o.Completed = time.Duration(4*i)*time.Millisecond, time.Duration(4*i+1)*time.Millisecond
			if o.Outcome == history.Info {
				o.Return, o.Completed = -1, history.Never
			}
			e.Operations = append(e.Operations, o)
			if i%5_000 == 9 {
				c := history.Event{Index: o.Call + 2, Time: o.Invoked + 2, Kind: history.FaultStart, Process: history.NemesisProcess, F: "power-loss(all)"}
				e.Events, e.Faults = append(e.Events, c), append(e.Faults, window(&c))
			}
		}
		stale := *e
		last := c.ops[0]
		last.F, last.Input, last.Output, last.Process, last.Call, last.Return = Read, history.Nil, c.stale, n, 4*n, 4*n+1
		stale.Operations = append(e.Operations[:n:n], last)
		for _, m := range Models() {
			for want, e := range map[checkers.Validity]*checkers.Evidence{checkers.Valid: e, checkers.Invalid: &stale} {
				for _, more := range []int64{0, 20 << 20} {
					t.Run(fmt.Sprintf("%s %s %s, %d MiB more", want, m, c.workload, more>>20), func(t *testing.T) {
						made, err := ForModel(m, c.workload, Object{}, Options{})
						if err != nil {
							t.Fatal(err)
						}
						d := made.(durable)
						groups, _ := group(e.Operations, false)
						memory := d.inner.common(n+1, 1) + d.inner.bytes(&groups[0]) + max(cutsBytes(e.Operations), limitsBytes(e.Operations)) + more
						d.inner.o.Memory = memory
						var v checkers.Verdict
						grown := measure(func() { v = d.Check(t.Context(), e) }).peak
						t.Logf("%.1f MiB of %.1f: %s: %.150s", float64(grown)/(1<<20), float64(memory)/(1<<20), v.Verdict, v.Reason)
						if v.Verdict != want {
							t.Errorf("%s: %s", v.Verdict, v.Reason)
						}
						if grown > memory*11/10 {
							t.Errorf("the heap grew by %d bytes, %d and a tenth are allowed", grown, memory)
						}
					})
				}
			}
		}
	}
}
