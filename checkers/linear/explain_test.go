package linear

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// lostAdd is a counter that was read one too low after so many additions.
func lostAdd(n int) (ops []history.Operation) {
	for range n {
		ops = append(ops, history.Operation{F: Add, Input: history.Int(1), Outcome: history.OK})
	}
	return inTurn(append(ops, history.Operation{F: Read, Output: history.Int(int64(n - 1)), Outcome: history.OK}))
}

// TestExplanationsOfLongHistoriesTakeNoMoreMemoryThanTheyMay explains with as
// little memory as judging needs, and with more. Some conflicts are about the
// whole history.
func TestExplanationsOfLongHistoriesTakeNoMoreMemoryThanTheyMay(t *testing.T) {
	const n = 50_000
	listed := counted(n)
	var locks, permits, tokens, adds, members, chain, sends, appends, puts []history.Operation
	for i, v := range listed {
		all := func(to *[]history.Operation, ops ...history.Operation) {
			for _, o := range ops {
				o.Outcome = history.OK
				*to = append(*to, o)
			}
		}
		all(&locks, history.Operation{F: Acquire}, history.Operation{F: Release})
		all(&permits, history.Operation{F: Acquire})
		all(&tokens, history.Operation{F: Acquire, Output: v}, history.Operation{F: Write, Input: v})
		all(&adds, history.Operation{F: Add, Input: v})
		all(&members, history.Operation{F: Add, Input: v}, history.Operation{F: Remove, Input: v})
		all(&chain, history.Operation{F: CAS, Input: history.List(v, history.Int(int64(i+1)))})
		all(&sends, history.Operation{F: Send, Input: v, Output: v})
		all(&appends, history.Operation{F: Append, Input: v})
		all(&puts, history.Operation{F: Enqueue, Input: v})
	}
	fork := slices.Clone(listed)
	fork[0], fork[n-1] = fork[n-1], fork[0]
	whole := history.Operation{F: Read, Output: history.List(listed...), Outcome: history.OK}
	register := load{ops: n, clients: 10, keys: 1, info: 0.05, stale: true, object: registerToy()}.operations(1)
	for _, c := range []struct {
		name, workload string
		initial        history.Value
		ops            []history.Operation
		last           history.Operation
		least          int64 // MiB beyond what judging all as one part takes
		class          string
		witness        int
	}{
		{"a stale read", "register", history.Nil, register[:n-1], register[n-1], 0, StaleRead, 3},
		{"a stale read of a chain", "cas-register", history.Int(0), chain, history.Operation{F: Read, Output: history.Int(n / 2)}, 0, StaleRead, 3},
		{"a lost append", "list", history.Nil, appends, history.Operation{F: Read, Output: history.List(listed[:n-1]...)}, 0, StaleRead, 2},
		{"a fork", "list", history.Nil, append(appends[:n:n], whole), history.Operation{F: Read, Output: history.List(fork...)}, 0, Reordered, 3},
		{"a lost add", "set", history.Nil, adds, history.Operation{F: Read, Output: history.List(listed[1:]...)}, 0, StaleRead, 2},
		{"a removed member", "set", history.Nil, members, history.Operation{F: Contains, Input: listed[7], Output: history.Bool(true)}, 15, StaleRead, 3},
		{"a dequeue of what was not first", "queue", history.Nil, puts, history.Operation{F: Dequeue, Output: listed[n/2]}, 0, LostElement, 3},
		{"a queue that is not empty", "queue", history.Nil, puts, history.Operation{F: Dequeue}, 0, FalseEmpty, 2},
		{"a message that was not there", "log", history.Nil, sends, history.Operation{F: Poll, Input: history.Int(5)}, 0, StaleRead, 2},
		{"an old token", "fencing", history.Nil, tokens, history.Operation{F: Write, Input: listed[5]}, 0, OldToken, 2},
		{"a lost addition", "counter", history.Nil, lostAdd(n)[:n], lostAdd(n)[n], 0, LostAdd, witnessMax},
		{"a permit too many", "semaphore", history.Int(n), permits, history.Operation{F: Acquire}, 0, TooManyHolders, witnessMax},
		{"a release too many", "mutex", history.Nil, locks, history.Operation{F: Release}, 15, UnheldRelease, 1},
	} {
		ops := append(c.ops[:len(c.ops):len(c.ops)], c.last)
		if ops[len(ops)-1].Outcome = history.OK; c.workload != "register" {
			ops = inTurn(ops)
		}
		for _, more := range []int64{0, 8 << 20, 50 << 20} {
			t.Run(fmt.Sprintf("%s, %d MiB more", c.name, more>>20), func(t *testing.T) {
				made, err := For(c.workload, Object{Initial: c.initial}, Options{})
				if err != nil {
					t.Fatal(err)
				}
				k := made.(checker)
				groups, _ := group(ops, false)
				memory := k.common(len(ops), 1) + k.bytes(&groups[0]) + c.least<<20 + more
				k.o.Memory = memory
				var v checkers.Verdict
				grown := measure(func() { v = k.Check(t.Context(), &checkers.Evidence{Operations: ops}) }).peak
				if v.Verdict != checkers.Invalid {
					t.Fatalf("%s: %s", v.Verdict, v.Reason)
				}
				t.Logf("%.1f MiB of %.1f: %s", float64(grown)/(1<<20), float64(memory)/(1<<20), v.Witness.Summary)
				if more == 0 && c.name == "a stale read of a chain" {
					// There is no memory to make it small.
				} else if v.Witness.Class != c.class || len(v.Witness.Operations) != c.witness {
					t.Errorf("%s with %d operations, want %s with %d", v.Witness.Class, len(v.Witness.Operations), c.class, c.witness)
				}
				bound := memory * 11 / 10
				if raced {
					bound = memory * 3 / 2
				}
				if grown > bound {
					t.Errorf("the heap grew by %d bytes, %d and a tenth are allowed", grown, memory)
				}
			})
		}
	}
}

// TestExplanationsEndWithTheDeadline explains a violation when the time is over:
// what the algorithm found is said, and that nobody has confirmed it.
func TestExplanationsEndWithTheDeadline(t *testing.T) {
	var queue []history.Operation
	for i := range 5_000 {
		queue = append(queue, history.Operation{F: Enqueue, Input: history.Int(int64(i)), Outcome: history.OK})
	}
	queue = append(queue, history.Operation{F: Dequeue, Output: history.Int(3), Outcome: history.OK})
	ops := inTurn(queue)
	k := checker{object: structure{"queue", queues{}, "queue patterns"}, o: Options{}.withDefaults()}
	j := k.object.judge(k.budget(t.Context(), k.o.Memory), ops, wholeOf(ops), Automatic)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x, ok := j.explain(k.budget(ctx, k.o.Memory))
	if !ok || x.operations > 10 {
		t.Fatalf("it is explained by %d operations, %t", x.operations, ok)
	}
	w := x.witness(&checkers.Evidence{Operations: ops})
	if w.Class != LostElement || !slices.ContainsFunc(w.Lines, func(l string) bool { return strings.Contains(l, "could not confirm") }) {
		t.Errorf("%s: %q", w.Class, w.Lines)
	}
}

func TestWhatWasOverWhenAllPermitsWereFreeIsLeftOut(t *testing.T) {
	take, give := act{kind: semaphoreTake}, act{kind: semaphoreGive}
	at := func(a act, call, ret int64) act {
		a.call, a.ret = call, ret
		return a
	}
	unsure := func(a act) act {
		a.maybe = true
		return a
	}
	for _, c := range []struct {
		acts []act
		want int
	}{
		{[]act{at(take, 0, 1), at(give, 2, 3), at(give, 4, 5)}, 2},
		{[]act{at(take, 0, 1), at(give, 2, 5), at(give, 4, 7)}, 0},                                                   // one is open
		{[]act{at(take, 0, 1), at(take, 2, 3), at(give, 4, 5), at(give, 6, 7)}, 0},                                   // one is held
		{[]act{at(take, 0, 1), at(give, 2, 3), unsure(at(take, 4, 5)), at(give, 6, 7), at(give, 8, 9)}, 2},           // taken by 5, or never
		{[]act{unsure(at(take, 0, never)), at(give, 2, 3), at(give, 4, 5)}, 0},                                       // taken at any time, or never
		{[]act{at(take, 0, 1), at(give, 2, 3), at(take, 4, 5), at(give, 6, 7), at(take, 8, 9), at(take, 10, 11)}, 4}, // the last of two
	} {
		if got := (semaphores{1}).renewed(c.acts); got != c.want {
			t.Errorf("%+v: from act %d on, want %d", c.acts, got, c.want)
		}
	}
}

// TestReadingAKeyEndsWithTheDeadline reads keys when the time is over.
func TestReadingAKeyEndsWithTheDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ops := range [][]history.Operation{
		inTurn([]history.Operation{{F: Write, Input: history.Int(1), Outcome: history.OK}}),
		inTurn([]history.Operation{{F: Enqueue, Input: history.Int(1), Outcome: history.OK}}),
	} {
		k := checker{object: structure{"queue", queues{}, "queue patterns"}, o: Options{}.withDefaults()}
		if ops[0].F == Write {
			k.object = registers{}
		}
		if j := k.object.judge(k.budget(ctx, k.o.Memory), ops, wholeOf(ops), Automatic); !errors.Is(j.err, errTime) {
			t.Errorf("%s: %v, want %v", ops[0].F, j.err, errTime)
		}
	}
}

func TestActsAloneHaveOnlyTheValuesThatTheyName(t *testing.T) {
	values := make([]*history.Value, 1_000)
	for i := range values {
		v := history.Int(int64(i))
		values[i] = &v
	}
	whole := &trial{values: values, failed: map[int32]int32{700: 3, 701: 4}}
	x := whole.alone(lists{}, []act{{value: 700}, {list: []int32{900, 700, 5}}, {list: []int32{}}})
	if len(x.values) != 4 || len(x.failed) != 1 || x.failed[x.acts[0].value] != 3 {
		t.Fatalf("%d values, %v failed", len(x.values), x.failed)
	}
	for i, want := range []int64{900, 700, 5} {
		if got := number(*x.values[x.acts[1].list[i]]); got != want {
			t.Errorf("element %d is %d, want %d", i, got, want)
		}
	}
	if x.acts[2].list == nil {
		t.Error("the empty list is a list no more")
	}
	if x := whole.alone(counters{}, []act{{value: 700}}); len(x.values) != len(values) {
		t.Errorf("%d values of acts that hold none", len(x.values))
	}
}
