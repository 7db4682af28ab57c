package linear

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/history"
)

func check(ops []history.Operation, initial history.Value, o Options) checkers.Verdict {
	return Checker(Spec{Initial: initial}, o).Check(context.Background(), &checkers.Evidence{Operations: ops})
}

func want(valid bool) checkers.Validity {
	if valid {
		return checkers.Valid
	}
	return checkers.Invalid
}

func TestBothAlgorithmsAgreeWithBruteForceOnSmallHistories(t *testing.T) {
	r := trials.Rand(1, 1)
	counts := map[string]int{}
	for range trials.Rounds(120_000) {
		ops, initial := randomHistory(r, randomSketch(r, 8))
		valid := bruteForce(ops, initial)
		p, err := compile(newInterner(len(ops)), "", Spec{Initial: initial}, ops, all(ops))
		if err != nil {
			t.Fatal(err)
		}
		expected := illegal
		if valid {
			expected = legal
		}
		b := &budget{ctx: t.Context(), configurations: DefaultConfigurations, memory: DefaultMemory}
		if got := decideBySearch(b, p.ops, p.initial, len(p.values)); got != expected {
			t.Fatalf("the search says %s, brute force %s, from %s:\n%s", got, expected, initial, show(ops))
		}
		a, _, applies := decideByZones(p.ops, p.initial, len(p.values))
		if applies && a != expected {
			t.Fatalf("zones say %d, brute force %d, from %s:\n%s", a, expected, initial, show(ops))
		}
		counts[fmt.Sprintf("zones %v, valid %v", applies, valid)]++
	}
	t.Log(counts)
	for kind, n := range counts {
		if n < trials.Rounds(4_000) {
			t.Errorf("only %d histories with %s: the generator is lopsided", n, kind)
		}
	}
}

func TestZonesAgreeWithPorcupineOnLongerHistories(t *testing.T) {
	r := trials.Rand(4, 4)
	judged := map[checkers.Validity]int{}
	for range trials.Rounds(3_000) {
		k := randomSketch(r, 80)
		k.unique, k.deletes, k.infos, k.lies = true, 0, r.IntN(15), r.IntN(4)
		k.anyCAS = false
		ops, initial := randomHistory(r, k)
		zones, searched := check(ops, initial, Options{}), check(ops, initial, Options{Algorithm: Porcupine, Configurations: 200_000})
		if searched.Verdict == checkers.Unknown {
			continue
		}
		judged[searched.Verdict]++
		if zones.Verdict != searched.Verdict {
			t.Fatalf("zones say %s (%s), porcupine %s\n%s", zones.Verdict, zones.Reason, searched.Verdict, show(ops))
		}
	}
	t.Log(judged)
	if judged[checkers.Valid] < trials.Rounds(1_000) || judged[checkers.Invalid] < trials.Rounds(500) {
		t.Errorf("the generator is lopsided: %v", judged)
	}
}

func all(ops []history.Operation) []int32 {
	indices := make([]int32, len(ops))
	for i := range indices {
		indices[i] = int32(i)
	}
	return indices
}

func TestEveryInvalidCarriesAMinimalWitnessThatBruteForceRejects(t *testing.T) {
	r := trials.Rand(2, 2)
	classes := map[string]int{}
	invalid, minimal := 0, 0
	for invalid < trials.Rounds(4_000) {
		k := randomSketch(r, 30)
		k.unique = r.IntN(4) > 0
		ops, initial := randomHistory(r, k)
		v := check(ops, initial, Options{Algorithm: []Algorithm{Automatic, Automatic, Search, Porcupine}[r.IntN(4)]})
		if v.Verdict != checkers.Invalid {
			continue
		}
		invalid++
		w := v.Witness
		if w == nil || len(w.Operations) == 0 || w.Summary == "" || w.Class == "" {
			t.Fatalf("no witness: %+v", v)
		}
		classes[w.Class]++
		if len(w.Operations) <= 10 && bruteForce(w.Operations, initial) {
			t.Fatalf("the witness is legal by itself:\n%s\nof\n%s", show(w.Operations), show(ops))
		}
		if !closedUnder(w.Operations, ops) {
			t.Fatalf("the witness leaves out a writer of what it reads:\n%s\nof\n%s", show(w.Operations), show(ops))
		}
		if len(w.Operations) <= 5 {
			minimal++
		}
	}
	t.Logf("classes of %d violations: %v; %d%% have at most five operations", invalid, classes, minimal*100/invalid)
	for _, c := range []string{ThinAirRead, AbortedRead, FutureRead, LostUpdate, StaleRead, Unordered} {
		if classes[c] == 0 {
			t.Errorf("no violation was called %q", c)
		}
	}
}

// closedUnder reports whether the writers of every value that a read in w
// returned are in w, as far as they are not failed.
func closedUnder(w, full []history.Operation) bool {
	in := map[int64]bool{}
	for _, o := range w {
		in[o.Call] = true
	}
	for _, o := range w {
		if o.F != Read {
			continue
		}
		for _, x := range full {
			sets := x.F == Write && x.Input.Equal(o.Output) || x.F == Delete && o.Output.IsNil()
			if pair, ok := x.Input.AsList(); ok && x.F == CAS {
				sets = pair[1].Equal(o.Output)
			}
			// Unknown outcomes that no one needs are left out from the start,
			// but what a read returned is needed.
			if sets && x.Outcome != history.Fail && !in[x.Call] && x.Call < o.Return {
				return false
			}
		}
	}
	return true
}

func TestMutationsOfValidHistoriesAreJudgedAsBruteForceDoes(t *testing.T) {
	r := trials.Rand(3, 3)
	broken := 0
	for range trials.Rounds(20_000) {
		k := randomSketch(r, 9)
		k.lies = 0
		ops, initial := randomHistory(r, k)
		if v := check(ops, initial, Options{}); v.Verdict != checkers.Valid {
			t.Fatalf("a correct register is called %s: %s\n%s", v.Verdict, v.Reason, show(ops))
		}
		i, j := r.IntN(len(ops)), r.IntN(len(ops))
		switch r.IntN(3) {
		case 0: // swap two results
			ops[i].Output, ops[j].Output = ops[j].Output, ops[i].Output
		case 1: // deny that something happened
			ops[i].Outcome = history.Fail
		case 2: // insist that something happened
			if ops[i].Outcome == history.Fail {
				ops[i].Outcome = history.OK
			}
		}
		valid := bruteForce(ops, initial)
		if v := check(ops, initial, Options{}); v.Verdict != want(valid) {
			t.Fatalf("says %s, brute force says %v\n%s", v.Verdict, valid, show(ops))
		}
		if !valid {
			broken++
		}
	}
	if broken < trials.Rounds(2_000) {
		t.Errorf("only %d mutations broke a history", broken)
	}
}

// seq builds a history of one key from "call return f argument result
// outcome" with values as JSON.
func seq(t *testing.T, lines ...string) []history.Operation {
	t.Helper()
	var ops []history.Operation
	for i, line := range lines {
		w := strings.Fields(line)
		var call, ret int64
		if _, err := fmt.Sscan(w[0]+" "+w[1], &call, &ret); err != nil {
			t.Fatal(err)
		}
		o := history.Operation{Process: i, F: w[2], Key: "x", Call: call, Return: ret, Node: "n" + fmt.Sprint(i),
			Invoked: time.Duration(call) * time.Second, Completed: time.Duration(ret) * time.Second}
		for j, v := range []*history.Value{&o.Input, &o.Output} {
			if err := json.Unmarshal([]byte(w[3+j]), v); err != nil {
				t.Fatal(err)
			}
		}
		if err := o.Outcome.UnmarshalText([]byte(w[5])); err != nil {
			t.Fatal(err)
		}
		if o.Outcome == history.Info {
			o.Completed = history.Never
		}
		ops = append(ops, o)
	}
	return ops
}

func TestViolationsAreExplainedInPlainWords(t *testing.T) {
	for name, c := range map[string]struct {
		good, bad string // the last line
		before    []string
		class     string
		summary   string
	}{
		"stale read": {
			before: []string{"1 2 write 4 null ok", "3 4 write 7 null ok"},
			good:   "5 6 read null 7 ok", bad: "5 6 read null 4 ok",
			class:   StaleRead,
			summary: "the read of key x at 6.000 s (process 2, node n2) returned 4, although 7 had been acknowledged at 4.000 s and nothing wrote 4 again after that",
		},
		"value that was read before": {
			before: []string{"1 2 write 4 null ok", "3 9 write 7 null info", "4 5 read null 7 ok"},
			good:   "6 7 read null 7 ok", bad: "6 7 read null 4 ok",
			class:   StaleRead,
			summary: "the read of key x at 7.000 s (process 3, node n3) returned 4, although 7 had been read at 5.000 s and nothing wrote 4 again after that",
		},
		"lost write": {
			before: []string{"1 2 write 4 null ok"},
			good:   "5 6 read null 4 ok", bad: "5 6 read null null ok",
			class:   StaleRead,
			summary: "the read of key x at 6.000 s (process 1, node n1) returned nil, although 4 had been acknowledged at 2.000 s and nothing deleted it after that",
		},
		"survivor of a delete": {
			before: []string{"1 2 write 4 null ok", "3 4 delete null null ok"},
			good:   "5 6 read null null ok", bad: "5 6 read null 4 ok",
			class:   StaleRead,
			summary: "the read of key x at 6.000 s (process 2, node n2) returned 4, although a delete had been acknowledged at 4.000 s and nothing wrote 4 again after that",
		},
		"thin air": {
			before: []string{"1 2 write 4 null ok"},
			good:   "5 6 read null 4 ok", bad: "5 6 read null 5 ok",
			class:   ThinAirRead,
			summary: "the read of key x at 6.000 s (process 1, node n1) returned 5, which nobody had written",
		},
		"aborted": {
			before: []string{"1 2 write 4 null fail"},
			good:   "5 6 read null null ok", bad: "5 6 read null 4 ok",
			class:   AbortedRead,
			summary: "the read of key x at 6.000 s (process 1, node n1) returned 4, although the write of 4 had failed at 2.000 s (process 0): it certainly did not happen",
		},
		"lost update": {
			before: []string{"1 2 write 4 null ok", "3 9 cas [4,5] null ok"},
			good:   "4 8 cas [5,6] null ok", bad: "4 8 cas [4,6] null ok",
			class:   LostUpdate,
			summary: "the cas of key x at 9.000 s (process 1, node n1) replaced 4 by 5, and the cas of key x at 8.000 s (process 2, node n2) replaced 4 by 6, although it held 4 only once",
		},
		"future": {
			before: []string{"1 2 read null 4 ok"},
			good:   "1 3 write 4 null ok", bad: "3 4 write 4 null ok",
			class:   FutureRead,
			summary: "the read of key x at 2.000 s (process 0, node n0) returned 4, although nobody began to write 4 before 3.000 s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if v := check(seq(t, append(c.before, c.good)...), history.Nil, Options{}); v.Verdict != checkers.Valid {
				t.Fatalf("the accepted history is %s: %s", v.Verdict, v.Reason)
			}
			for _, o := range []Options{{}, {Algorithm: Search}, {Algorithm: Porcupine}} {
				v := check(seq(t, append(c.before, c.bad)...), history.Nil, o)
				if v.Verdict != checkers.Invalid {
					t.Fatalf("%s says %s: %s", v.Algorithm, v.Verdict, v.Reason)
				}
				if v.Witness.Class != c.class || v.Witness.Summary != c.summary {
					t.Errorf("%s: %s\n got %s\nwant %s", v.Algorithm, v.Witness.Class, v.Witness.Summary, c.summary)
				}
				if !strings.Contains(string(v.Witness.Picture), "<svg") && !strings.Contains(string(v.Witness.Picture), "<script") {
					t.Errorf("%s: there is no picture", v.Algorithm)
				}
			}
		})
	}
}

func TestCompareAndSetOfUnknownOutcomeMayHaveHadNoEffect(t *testing.T) {
	before := []string{"1 2 write 1 null ok", "3 9 cas [1,2] null info", "4 5 cas [1,3] null ok"}
	for last, valid := range map[string]bool{
		"6 7 read null 3 ok": true,  // the first cas never happened, or came too late
		"6 7 read null 2 ok": false, // it cannot have come between
	} {
		for _, o := range []Options{{}, {Algorithm: Search}, {Algorithm: Porcupine}} {
			if v := check(seq(t, append(before, last)...), history.Nil, o); v.Verdict != want(valid) {
				t.Errorf("%s: %s says %s", last, v.Algorithm, v.Verdict)
			}
		}
	}
}

func TestUnknownKeyDoesNotHideAnInvalidOne(t *testing.T) {
	hard := hardHistory(12)
	for i := range hard {
		hard[i].Key = "a" // judged first
	}
	last := hard[len(hard)-1].Return
	bad := seq(t, "1 2 write 4 null ok", "3 4 read null null ok")
	for i := range bad {
		bad[i].Call += last
		bad[i].Return += last
	}
	o := Options{Configurations: 2_000}
	if v := check(hard, history.Nil, o); v.Verdict != checkers.Unknown || !strings.Contains(v.Reason, "key a: the search of 40 operations used up its budget of 2000 configurations") {
		t.Fatalf("the hard key alone is %s: %s", v.Verdict, v.Reason)
	}
	if v := check(append(hard, bad...), history.Nil, o); v.Verdict != checkers.Invalid || v.Witness.Key != "x" {
		t.Fatalf("with a key that is violated: %s: %s", v.Verdict, v.Reason)
	}
	if v := check(hard, history.Nil, Options{Memory: 1 << 20}); v.Verdict != checkers.Unknown {
		t.Fatalf("with little memory: %s: %s", v.Verdict, v.Reason)
	}
}

// hardHistory is not linearizable, and a search has to try very many orders
// to see that: n concurrent pairs of writes of equal values, then a read of
// a value that could only have been there before.
func hardHistory(n int) []history.Operation {
	var ops []history.Operation
	index := int64(0)
	add := func(o history.Operation) {
		o.Process, o.Outcome = len(ops), history.OK
		ops = append(ops, o)
	}
	for i := range n {
		for range 3 {
			index++
			add(history.Operation{F: Write, Input: history.Int(int64(i)), Call: index, Return: 1000 + index})
		}
	}
	for i := range 4 {
		add(history.Operation{F: Read, Output: history.Int(int64(i % 2 * 100)), Call: 2000 + int64(i)*2, Return: 2001 + int64(i)*2})
	}
	ops[len(ops)-4].Output = history.Int(1)
	ops[len(ops)-3].Output = history.Int(2)
	ops[len(ops)-2].Output = history.Int(1)
	ops[len(ops)-1].Output = history.Int(2)
	return ops
}

func TestVerdictsDoNotDependOnTheRun(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 200 {
		ops, initial := randomHistory(r, randomSketch(r, 40))
		one, two := check(ops, initial, Options{Configurations: 2_000}), check(ops, initial, Options{Configurations: 2_000})
		for _, v := range []*checkers.Verdict{&one, &two} {
			if v.Witness != nil {
				v.Witness.Picture = nil
			}
		}
		a, _ := json.Marshal(one)
		b, _ := json.Marshal(two)
		if string(a) != string(b) {
			t.Fatalf("first %s\nthen %s", a, b)
		}
	}
}

func TestOperationsOutsideTheSpecificationAreUnknown(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"1 2 append 4 null ok", `the function "append" at event 1 is not part of the specification; expected read, write, cas or delete`},
		{"1 2 cas 4 null ok", "the cas at event 1 has the argument 4; expected a list [expected new]"},
		{`1 2 cas {"#":[1,2]} null ok`, "the cas at event 1 has the argument #{1 2}; expected a list [expected new]"},
	} {
		if v := check(seq(t, c.line), history.Nil, Options{}); v.Verdict != checkers.Unknown || !strings.Contains(v.Reason, c.want) {
			t.Errorf("%s: %s", v.Verdict, v.Reason)
		}
	}
	if v := check(nil, history.Nil, Options{}); v.Verdict != checkers.Unknown {
		t.Errorf("no operations at all are %s", v.Verdict)
	}
}

func TestCancelledCheckIsUnknown(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ops := seq(t, "1 2 write 4 null ok")
	v := Checker(Spec{}, Options{}).Check(ctx, &checkers.Evidence{Operations: ops})
	if v.Verdict != checkers.Unknown || !strings.Contains(v.Reason, "time ran out before it was judged") {
		t.Fatalf("%s: %s", v.Verdict, v.Reason)
	}
}

// run makes the history of a simulated run: keys of about a hundred
// operations, low concurrency.
func run(keys int, k sketch) []history.Operation {
	r := rand.New(rand.NewPCG(9, 9))
	var ops []history.Operation
	for key := range keys {
		part, _ := randomHistory(r, k)
		for i := range part {
			part[i].Key = fmt.Sprint("k", key)
		}
		ops = append(ops, part...)
	}
	return ops
}

func BenchmarkCheck(b *testing.B) {
	for name, k := range map[string]sketch{
		"cas-register": {ops: 100, processes: 3, unique: true, cases: 25, infos: 2, fails: 2},
		"kv":           {ops: 100, processes: 3, unique: true, cases: 15, deletes: 10, infos: 2, fails: 2},
	} {
		ops := run(10, k)
		b.Run(name+"/1000-operations-10-keys", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if v := check(ops, history.Nil, Options{}); v.Verdict != checkers.Valid {
					b.Fatal(v.Reason)
				}
			}
		})
	}
	long := run(1, sketch{ops: 100_000, processes: 10, unique: true, cases: 20, infos: 3, fails: 2})
	b.Run("cas-register/100000-operations-1-key", func(b *testing.B) {
		for b.Loop() {
			if v := check(long, history.Nil, Options{}); v.Verdict != checkers.Valid {
				b.Fatal(v.Reason)
			}
		}
	})
}

func TestPictureWaitsUntilItIsSeen(t *testing.T) {
	v := check(seq(t, "1 2 write 4 null ok", "3 4 read null null ok"), history.Nil, Options{})
	if v.Witness == nil || !strings.Contains(string(v.Witness.Picture), drawSeen) {
		t.Fatal("porcupine's page is not as expected: it draws at once, which fails in a frame out of sight")
	}
}
