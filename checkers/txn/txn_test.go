package txn

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/rng"
)

// script reads a history from lines "process status: micro-operations", one
// transaction after the other, as EDN without outer brackets: `0 ok: [:append
// :x 1] [:r :y [2]]`. A line that starts with "|" is concurrent with the one
// before it.
func script(t testing.TB, w Workload, lines ...string) *History {
	t.Helper()
	var ops []history.Operation
	index := int64(0)
	for i, line := range lines {
		text, concurrent := strings.CutPrefix(line, "|")
		head, rest, _ := strings.Cut(text, ":")
		fields := strings.Fields(head)
		e := edn{text: rest}
		o := history.Operation{Process: int(fields[0][0] - '0'), F: "txn", Input: ordinary(e.forms(0)), Call: index, Return: index + 10}
		if concurrent {
			o.Call = ops[i-1].Call + 1
		}
		index = max(index, o.Return) + 1
		switch fields[1] {
		case "ok":
			o.Outcome, o.Output = history.OK, o.Input
		case "fail":
			o.Outcome = history.Fail
		default:
			o.Outcome = history.Info
		}
		ops = append(ops, o)
	}
	h, err := FromOperations(w, ops)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestViolationsThatAreHarderToSeeAreFoundAndTheirNeighboursAccepted(t *testing.T) {
	for _, c := range []struct {
		name    string
		w       Workload
		model   Model
		anomaly Anomaly
		good    []string
		bad     []string
	}{
		{"an append that was lost", ListAppend, StrictSerializable, GSingleItem + realtimeSuffix,
			[]string{`0 info: [:append :x 1]`, `1 ok: [:append :x 2]`, `2 ok: [:r :x [2]]`},
			[]string{`0 ok: [:append :x 1]`, `1 ok: [:append :x 2]`, `2 ok: [:r :x [2]]`}},
		{"a commit known by its other half", ListAppend, Serializable, GSingleItem,
			[]string{`0 info: [:append :x 1] [:append :y 1]`, `1 ok: [:r :x nil]  [:r :y nil]`},
			[]string{`0 info: [:append :x 1] [:append :y 1]`, `1 ok: [:r :x [1]] [:r :y nil]`}},
		{"own appends out of order", ListAppend, Serializable, IncompatibleOrder,
			[]string{`0 ok: [:append :x 1] [:append :x 2]`, `1 ok: [:r :x [1 2]]`},
			[]string{`0 ok: [:append :x 1] [:append :x 2]`, `1 ok: [:r :x [2]]`}},
		{"registers that are read before they are written", RWRegister, Serializable, G2Item,
			[]string{`0 ok: [:r :x nil] [:r :y nil] [:w :y 1]`, `|1 ok: [:r :y 1] [:r :x nil] [:w :x 1]`},
			[]string{`0 ok: [:r :x nil] [:r :y nil] [:w :y 1]`, `|1 ok: [:r :y nil] [:r :x nil] [:w :x 1]`}},
		{"an order of blind writes that both readers contradict", RWRegister, Serializable, GSingleItem,
			[]string{`0 ok: [:w :x 1] [:w :z 1]`, `|1 ok: [:w :x 2] [:w :y 1]`, `|2 ok: [:r :x 1] [:r :y 1]`, `|3 ok: [:r :x 2]`},
			[]string{`0 ok: [:w :x 1] [:w :z 1]`, `|1 ok: [:w :x 2] [:w :y 1]`, `|2 ok: [:r :x 1] [:r :y 1]`, `|3 ok: [:r :x 2] [:r :z 1]`}},
		{"an effect before its cause", RWRegister, Causal, FracturedRead,
			[]string{`0 ok: [:w :x 1]`, `1 ok: [:r :x 1] [:w :y 1]`, `2 ok: [:r :y 1]`, `2 ok: [:r :x 1]`},
			[]string{`0 ok: [:w :x 1]`, `1 ok: [:r :x 1] [:w :y 1]`, `2 ok: [:r :y 1]`, `2 ok: [:r :x nil]`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Workload: c.w, Models: []Model{c.model}}
			if a := Analyze(context.Background(), script(t, c.w, c.good...), o); a.Verdict == checkers.Invalid {
				t.Errorf("the good one is %s: %s", a.Verdict, a.Reason)
			}
			bad := script(t, c.w, c.bad...)
			a := Analyze(context.Background(), bad, o)
			if a.Verdict != checkers.Invalid || !slices.Contains(a.Types, c.anomaly) {
				t.Fatalf("the bad one is %s, %v: %s", a.Verdict, a.Types, a.Reason)
			}
			for _, m := range slices.Concat(a.Not, a.AlsoNot) {
				if _, ok := rules[m]; ok && judge(bad, m) {
					t.Errorf("%s is said to be refuted, but the oracle accepts", m)
				}
			}
		})
	}
}

func TestLegalReadsAndSplitReadsKeepAHistoryValid(t *testing.T) {
	r := rng.Stream(1, t.Name())
	for range 2_000 {
		h := serialHistoryOf(r.Uint64())
		last := &h.Txns[len(h.Txns)-1]
		key := r.Int32N(3)
		end := max(last.Complete, last.Invoke) + 1
		state := map[int32][]Value{}
		for i := range h.Txns { // in order of effect
			state = apply(state, h.Txns[i].Ops)
		}
		h.Txns = append(h.Txns, Txn{ID: 99, Process: 99, Invoke: end, Complete: end + 1, Ops: []Op{{Kind: Read, Key: key, List: state[key]}}})
		if a := Analyze(context.Background(), h, Options{Models: []Model{StrictSerializable}}); a.Verdict != checkers.Valid {
			t.Fatalf("a legal read more: %s%s", a.Reason, h.text())
		}
		if n := len(state[key]); n > 0 {
			h.Txns[len(h.Txns)-1].Ops[0].List = state[key][:n-1]
			if a := Analyze(context.Background(), h, Options{Models: []Model{StrictSerializable}}); a.Verdict != checkers.Invalid {
				t.Fatalf("a stale read more: %s%s", a.Reason, h.text())
			}
		}
	}
}

// serialHistoryOf executes six transactions one after the other.
func serialHistoryOf(seed uint64) *History {
	r := rng.Stream(seed, "serial")
	h := &History{}
	state := map[int32][]Value{}
	value := Value(0)
	for i := range 6 {
		t := Txn{ID: int64(i), Process: r.IntN(3), Invoke: int64(2 * i), Complete: int64(2*i + 1)}
		for range 1 + r.IntN(3) {
			op := Op{Kind: Append, Key: r.Int32N(3)}
			if r.IntN(2) == 0 {
				op.Kind, op.List = Read, state[op.Key]
			} else {
				value++
				op.Value = value
			}
			t.Ops = append(t.Ops, op)
			state = apply(state, t.Ops[len(t.Ops)-1:])
		}
		h.Txns = append(h.Txns, t)
	}
	return h
}

func TestVerdictsDependNeitherOnNamesNorOnTheOrderOfTransactions(t *testing.T) {
	r := rng.Stream(1, t.Name())
	for range 3_000 {
		h := randomHistory(r, ListAppend, 5)
		o := Options{Models: []Model{StrictSerializable}}
		want := Analyze(context.Background(), h, o)
		r.Shuffle(len(h.Txns), func(i, j int) { h.Txns[i], h.Txns[j] = h.Txns[j], h.Txns[i] })
		for i := range h.Txns {
			h.Txns[i].Process += 7
			for j := range h.Txns[i].Ops {
				h.Txns[i].Ops[j].Key = 5 - h.Txns[i].Ops[j].Key
			}
		}
		if got := Analyze(context.Background(), h, o); got.Verdict != want.Verdict {
			t.Fatalf("%s, before %s%s", got.Verdict, want.Verdict, h.text())
		}
	}
}

func TestAbortedTransactionsThatNobodySawChangeNothing(t *testing.T) {
	r := rng.Stream(1, t.Name())
	for range 3_000 {
		h := randomHistory(r, ListAppend, 5)
		o := Options{Models: []Model{Serializable}}
		want := Analyze(context.Background(), h, o)
		status := Fail
		if r.IntN(2) == 0 {
			status = Info
		}
		h.Txns = append(h.Txns, Txn{ID: 50, Process: 50, Status: status, Invoke: 90, Complete: 91, Ops: []Op{{Kind: Append, Key: 1, Value: 1000}}})
		if got := Analyze(context.Background(), h, o); got.Verdict != want.Verdict {
			t.Fatalf("%s, before %s: %s%s", got.Verdict, want.Verdict, got.Reason, h.text())
		}
	}
}

func TestWhatCannotBeJudgedIsUnknownWithTheReason(t *testing.T) {
	good := func() *History { return script(t, ListAppend, `0 ok: [:append :x 1]`, `1 ok: [:r :x [1]]`) }
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name, want string
		ctx        context.Context
		h          *History
		o          Options
	}{
		{"twice the same value", "the value 1 was written to key x by two micro-operations, of T10 and T21", context.Background(),
			script(t, ListAppend, `0 ok: [:append :x 1]`, `1 ok: [:append :x 1]`), Options{Models: []Model{Serializable}}},
		{"a model that nobody knows", `by the model "eventual"; expected one of causal`, context.Background(), good(), Options{Models: []Model{"eventual"}}},
		{"nothing to judge", "neither a model nor an anomaly", context.Background(), good(), Options{}},
		{"an anomaly that nobody knows", `no anomaly "G7"`, context.Background(), good(), Options{Anomalies: []Anomaly{"G7"}}},
		{"too little memory", "more than the bound of 0 MiB", context.Background(), good(), Options{Models: []Model{Serializable}, Memory: 1}},
		{"no time", "context canceled", cancelled, good(), Options{Models: []Model{Serializable}}},
		{"nothing that depends on anything", "empty-transaction-graph", context.Background(), script(t, ListAppend, `0 ok: [:append :x 1]`), Options{Models: []Model{Serializable}}},
		{"no transactions", "no transactions", context.Background(), &History{}, Options{Models: []Model{Serializable}}},
		{"a mixed workload", `does not belong to the workload list-append`, context.Background(), &History{Txns: []Txn{{Ops: []Op{{Kind: Write, Value: 1}}}}}, Options{Models: []Model{Serializable}}},
		{"a key out of range", "number the keys densely from 0", context.Background(), &History{Txns: []Txn{{Ops: []Op{{Kind: Read, Key: 1 << 30}}}}}, Options{Models: []Model{Serializable}}},
		{"a key below 0", "keys count from 0", context.Background(), &History{Txns: []Txn{{Ops: []Op{{Kind: Read, Key: -1}}}}}, Options{Models: []Model{Serializable}}},
		{"the initial value written", "which is what a register holds at first", context.Background(), &History{Workload: RWRegister, Txns: []Txn{{Ops: []Op{{Kind: Write, Value: Nil}}}}},
			Options{Workload: RWRegister, Models: []Model{Serializable}}},
		{"too few steps for blind writes", "was not decided: the steps are used up", context.Background(),
			script(t, RWRegister, `0 ok: [:w :x 1] [:w :z 1]`, `|1 ok: [:w :x 2] [:w :y 1]`, `|2 ok: [:r :x 1] [:r :y 1]`, `|3 ok: [:r :x 2] [:r :z 1]`),
			Options{Workload: RWRegister, Models: []Model{Serializable}, Steps: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a := Analyze(c.ctx, c.h, c.o); a.Verdict != checkers.Unknown || !strings.Contains(a.Reason, c.want) {
				t.Errorf("%s: %q, expected %q", a.Verdict, a.Reason, c.want)
			}
		})
	}
}

func TestCheckerJudgesOperationsAndExplainsItself(t *testing.T) {
	h := script(t, ListAppend, `0 ok: [:append :x 1] [:append 5 "a"]`, `1 ok: [:r :x [1]] [:r 5 nil]`)
	c := Checker(SnapshotIsolation, Options{})
	v := c.Check(context.Background(), &checkers.Evidence{Operations: h.ToOperations()})
	if c.Name() != "snapshot-isolation" || v.Verdict != checkers.Invalid || v.Witness == nil || v.Witness.Class != "G-single-item" {
		t.Fatalf("%s: %+v", c.Name(), v)
	}
	for _, want := range []string{
		"T21 read key 5 as [], which does not contain a, which T10 appended to it, so T21 came before T10.",
		"T10 appended 1 to key x, and T21 read that key as [1], so T10 came before T21.",
		"The weakest models that this history refutes: consistent-view, repeatable-read.",
	} {
		if !slices.Contains(v.Witness.Lines, want) {
			t.Errorf("no line %q in %q", want, v.Witness.Lines)
		}
	}
	again := c.Check(context.Background(), &checkers.Evidence{Operations: v.Witness.Operations})
	if again.Verdict != checkers.Invalid || len(v.Witness.Operations) != 2 {
		t.Errorf("the witness alone is %s: %v", again.Verdict, v.Witness.Operations)
	}
	picture := SVG(h, &Analyze(context.Background(), h, Options{Models: []Model{SnapshotIsolation}}).Findings[0])
	wellFormed(t, picture)
	if n := strings.Count(picture, "<rect"); n != 2 || strings.Count(picture, "marker-end") != 2 {
		t.Errorf("%d boxes: %s", n, picture)
	}
	if page := string(v.Witness.Picture); !strings.Contains(page, picture) || strings.Contains(page, "src=") {
		t.Error("the page lacks the picture or is not self-contained")
	}
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
}

func TestOperationsThatAreNoTransactionsAreRefused(t *testing.T) {
	mop := func(parts ...history.Value) history.Value { return history.List(history.List(parts...)) }
	s, n := history.String, history.Int
	for _, c := range []struct {
		f     string
		w     Workload
		value history.Value
		want  string
	}{
		{"read", ListAppend, history.Nil, "its value nil is not a list of micro-operations"},
		{"txn", ListAppend, mop(s("r"), n(1), history.Set(n(1))), "a read of a list returns a list or nil"},
		{"txn", ListAppend, n(3), "its value 3 is not a list of micro-operations"},
		{"txn", ListAppend, history.List(n(3)), "expected a list [function key value]"},
		{"txn", ListAppend, mop(s("append"), history.Nil, n(1)), "nil is no key"},
		{"txn", ListAppend, mop(s("append"), n(1)), "nil cannot be written"},
		{"txn", ListAppend, mop(s("w"), n(1), n(1)), `the workload list-append has no function "w"`},
		{"txn", RWRegister, mop(s("append"), n(1), n(1)), `the workload rw-register has no function "append"`},
		{"txn", ListAppend, mop(s("r"), n(1), n(1)), "a read of a list returns a list or nil"},
		{"txn", RWRegister, mop(s("w"), n(1), n(-1<<63)), "below the least that can be judged"},
	} {
		_, err := FromOperations(c.w, []history.Operation{{F: c.f, Outcome: history.OK, Output: c.value}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", c.value, err, c.want)
		}
	}
}

func TestModelsImplyEachOtherAsTheirRulesDo(t *testing.T) {
	for m, r := range rules {
		for _, w := range m.Implied() {
			s, ok := rules[w]
			if !ok || r.level >= levelMAV || s.level >= levelMAV {
				continue
			}
			if s.level > r.level || s.order > r.order {
				t.Errorf("%s implies %s, which forbids more", m, w)
			}
		}
	}
	if _, err := ParseModel("linearizable"); err == nil {
		t.Error("linearizable is no model of transactions")
	}
	if m, err := ParseModel("strong-serializable"); err != nil || m != StrictSerializable {
		t.Error(m, err)
	}
}

func FuzzOperationsNeverPanic(f *testing.F) {
	f.Add(`[["append" 1 2] ["r" 1 [2]]]`, `[["r" "x" [1 1]] ["append" "x" 1]]`, `[["w" 1 2]]`, uint8(0))
	f.Add(`[["w" 1 2] ["r" 1 2]]`, `[["r" 1 null] ["w" 1 3]]`, `[["r" 1 3] ["r" 2 7]]`, uint8(7))
	f.Fuzz(func(t *testing.T, a, b, c string, how uint8) {
		var ops []history.Operation
		for i, text := range []string{a, b, c} {
			var v history.Value
			if v.UnmarshalJSON([]byte(strings.ReplaceAll(text, " ", ","))) != nil {
				return
			}
			ops = append(ops, history.Operation{Process: i, F: "txn", Outcome: history.Outcome(history.OK + history.EventKind(how>>i)%3), Input: v, Output: v, Call: int64(i), Return: int64(i + 3*int(how>>i)%7)})
		}
		w := Workload(how & 1)
		h, err := FromOperations(w, ops)
		if err != nil {
			return
		}
		for _, m := range []Model{StrictSerializable, SnapshotIsolation, Causal, ReadAtomic} {
			a := Analyze(context.Background(), h, Options{Workload: w, Models: []Model{m}, Steps: 100_000})
			for i := range a.Findings {
				wellFormed(t, SVG(h, &a.Findings[i]))
			}
		}
	})
}

func TestReadsOfUnknownResultsSayNothing(t *testing.T) {
	n, s, l := history.Int, history.String, history.List
	txn := func(call int64, in, out history.Value) history.Operation {
		return history.Operation{Process: int(call), F: "read", Input: in, Output: out, Outcome: history.OK, Call: call, Return: call + 1}
	}
	appended, read := l(l(s("append"), s("y"), n(1))), l(l(s("r"), s("y"), history.Nil))
	ops := []history.Operation{txn(0, appended, appended), txn(2, read, history.Nil), txn(4, read, l(l(s("r"), s("y"), l(n(1)))))}
	c := Checker(StrictSerializable, Options{Workload: ListAppend})
	if v := c.Check(context.Background(), &checkers.Evidence{Operations: ops}); v.Verdict != checkers.Valid {
		t.Errorf("a read that did not say what it returned: %s (%s)", v.Verdict, v.Reason)
	}
	ops[1].Output = read // it returned nothing
	if v := c.Check(context.Background(), &checkers.Evidence{Operations: ops}); v.Verdict != checkers.Invalid {
		t.Errorf("a read that returned nil: %s (%s)", v.Verdict, v.Reason)
	}
}

func TestIndependentHistoriesAreJudgedEachAlone(t *testing.T) {
	n, s, l := history.Int, history.String, history.List
	txn := func(key string, call int64, mop history.Value) history.Operation {
		return history.Operation{Key: key, F: "txn", Input: l(mop), Output: l(mop), Outcome: history.OK, Call: call, Return: call + 1}
	}
	ops := []history.Operation{
		txn("a", 0, l(s("append"), s("x"), n(1))), txn("a", 2, l(s("r"), s("x"), l(n(1)))),
		txn("b", 4, l(s("r"), s("x"), history.Nil)), txn("b", 6, l(s("append"), s("x"), n(1))), txn("b", 8, l(s("r"), s("x"), l(n(1)))),
	}
	c := Checker(StrongSessionSerializable, Options{Workload: ListAppend})
	v := c.Check(context.Background(), &checkers.Evidence{Operations: ops})
	if v.Verdict != checkers.Valid || v.Measures["transactions"] != 5 {
		t.Errorf("%s (%s) %v", v.Verdict, v.Reason, v.Measures)
	}
	ops = append(ops, txn("b", 10, l(s("r"), s("x"), history.Nil)))
	if v := c.Check(context.Background(), &checkers.Evidence{Operations: ops}); v.Verdict != checkers.Invalid || !strings.Contains(v.Reason, "that of key b") {
		t.Errorf("a stale read of b: %s (%s)", v.Verdict, v.Reason)
	}
}
