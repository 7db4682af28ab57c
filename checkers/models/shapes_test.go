package models

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// sequentially numbers operations one after the other.
func sequentially(ops ...history.Operation) []history.Operation {
	for i := range ops {
		o := &ops[i]
		o.Outcome, o.Call, o.Return = history.OK, int64(2*i), int64(2*i+1)
		if o.F == Write {
			o.Output = o.Input
		}
	}
	return ops
}

func TestReadsOfNilInDoubtShareTheirDeletes(t *testing.T) {
	var ops []history.Operation
	for i := range 4000 {
		ops = append(ops, history.Operation{Process: i % 10, F: Delete}, history.Operation{Process: i % 10, F: Read})
	}
	sequentially(ops...)
	for _, c := range []checkers.Checker{Session(MonotonicReads, history.Nil), Staleness(StalenessOptions{}), FinalRegisters(history.Nil)} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		v := run(c, ops)
		runtime.ReadMemStats(&after)
		// A list of deletes for each read alone would take 64 MB.
		if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
			t.Errorf("%s allocated %d bytes for %d operations (%s: %s)", c.Name(), used, len(ops), v.Verdict, v.Reason)
		}
	}
}

// What lies between two operations of a session is no part of the explanation.
func TestWitnessesLeaveOutWhatASessionDidInBetween(t *testing.T) {
	const between = 200
	n := history.Int
	var ops []history.Operation
	pad := func() {
		for i := range between {
			key := fmt.Sprint("pad ", len(ops), i)
			ops = append(ops, history.Operation{Process: 0, F: Read, Key: key, Output: n(0)}, history.Operation{Process: 1, F: Write, Key: key, Input: n(1)})
		}
	}
	for _, o := range []history.Operation{{Process: 1, F: Write, Input: n(1)}, {Process: 1, F: Write, Input: n(2)}, {F: Read, Output: n(2)}, {F: Read, Output: n(1)}} {
		ops = append(ops, o)
		pad()
	}
	sequentially(ops...)
	zero := n(0)
	for _, c := range []checkers.Checker{Session(MonotonicWrites, zero), Session(Causal, zero), Session(CausalConvergent, zero), PRAM(zero), Sequential(zero)} {
		v := run(c, ops)
		if v.Verdict != checkers.Invalid || len(v.Witness.Operations) > 4 {
			t.Errorf("%s: %s (%s), want invalid with a witness of four operations", c.Name(), v.Verdict, v.Reason)
			continue
		}
		if again := run(c, v.Witness.Operations); again.Verdict != checkers.Invalid {
			t.Errorf("%s: the witness alone is %s", c.Name(), again.Verdict)
		}
	}
}

// Two circles and a long chain from the one to the other: none of the chain is
// on a circle.
func TestMonotonicFindsACircleBehindManyReadsThatAreOnNone(t *testing.T) {
	read := func(pairs ...any) history.Operation {
		var list []history.Pair
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, history.Pair{Key: history.String(pairs[i].(string)), Value: history.Int(int64(pairs[i+1].(int)))})
		}
		m, _ := history.Map(list...)
		return history.Operation{F: Read, Outcome: history.OK, Output: m}
	}
	var ops []history.Operation
	for i := range 100 {
		ops = append(ops, read("x", 1+i))
	}
	ops = append(ops, read("x", 0, "p", 1, "q", 2), read("x", 0, "p", 2, "q", 1), read("x", 200, "s", 1, "t", 2), read("x", 200, "s", 2, "t", 1))
	for i := range ops { // all at once
		ops[i].Process, ops[i].Call, ops[i].Return = i, int64(i), int64(len(ops)+i)
	}
	if v := run(Monotonic(), ops); v.Verdict != checkers.Invalid || len(v.Witness.Operations) != 2 {
		t.Errorf("%s (%s), want invalid with two reads", v.Verdict, v.Reason)
	}
}

func TestNumbersTooLargeToBeAddedAreUnknown(t *testing.T) {
	n := history.Int
	balances := func(a, b int64) history.Operation {
		return history.Operation{F: Read, Output: history.List(n(a), n(b))}
	}
	many := []history.Operation{{F: Read, Output: n(1)}}
	for range 4 {
		many = append(many, history.Operation{F: Add, Input: n(1 << 60), Output: n(1 << 60)})
	}
	for name, c := range map[string]struct {
		checker checkers.Checker
		ops     []history.Operation
		want    checkers.Validity
	}{
		"large balances":          {Bank(BankOptions{}), []history.Operation{balances(1<<50, 1), balances(1, 1<<50)}, checkers.Unknown},
		"a wrong total as well":   {Bank(BankOptions{}), []history.Operation{balances(2, 1), balances(1, 1), balances(1, 1<<50)}, checkers.Invalid},
		"adds that overflow":      {CounterBounds(0), many, checkers.Unknown},
		"the same in the end":     {FinalCounter(0), many, checkers.Unknown},
		"an initial value too":    {CounterBounds(1<<63 - 1), many[:2], checkers.Unknown},
		"large adds that fit":     {CounterBounds(0), append(many[1:2:2], history.Operation{F: Read, Output: n(1 << 60)}), checkers.Valid},
		"a read beyond that fits": {CounterBounds(0), append(many[1:2:2], history.Operation{F: Read, Output: n(-1 << 63)}), checkers.Invalid},
	} {
		if v := run(c.checker, sequentially(c.ops...)); v.Verdict != c.want {
			t.Errorf("%s: %s (%s), want %s", name, v.Verdict, v.Reason, c.want)
		}
	}
}

func TestLongForkIsNotSeenWhereATransactionReadsAKeyTwice(t *testing.T) {
	r := func(key int64, value history.Value) history.Value {
		return history.List(history.Keyword("r"), history.Int(key), value)
	}
	one, null := history.Int(1), history.Nil
	txn := func(mops ...history.Value) history.Operation {
		return history.Operation{F: Txn, Input: history.List(mops...), Output: history.List(mops...)}
	}
	ops := sequentially(txn(r(1, null), r(1, one), r(2, one)), txn(r(1, one), r(1, one), r(2, null)))
	if v := run(LongFork(), ops); v.Verdict != checkers.Unknown {
		t.Errorf("%s (%s), want unknown", v.Verdict, v.Reason)
	}
}

// Sums of many equal amounts are as many as these, and not a power of two.
func TestFinalCounterAddsUpManyEqualAmountsOfUnknownOutcome(t *testing.T) {
	var ops []history.Operation
	for range 50_000 {
		ops = append(ops, history.Operation{F: Add, Input: history.Int(3)})
	}
	ops = append(ops, history.Operation{F: Read, Output: history.Int(75_000)}, history.Operation{F: Read, Output: history.Int(75_001)})
	sequentially(ops...)
	for i := range ops {
		if ops[i].F == Add {
			ops[i].Outcome = history.Info
		}
	}
	if v := run(FinalCounter(0), ops[:len(ops)-1]); v.Verdict != checkers.Valid {
		t.Errorf("%s (%s), want valid", v.Verdict, v.Reason)
	}
	if v := run(FinalCounter(0), ops); v.Verdict != checkers.Invalid {
		t.Errorf("%s (%s), want invalid", v.Verdict, v.Reason)
	}
}

func TestKafkaDoesNotTakeAValueThatWasSentTwiceForADuplicate(t *testing.T) {
	n := history.Int
	send := func(offset, value int64) history.Operation {
		k := history.Keyword("k")
		return history.Operation{F: "send", Input: history.List(history.List(history.Keyword("send"), k, n(value))),
			Output: history.List(history.List(history.Keyword("send"), k, history.List(n(offset), n(value))))}
	}
	if v := run(Kafka(), sequentially(send(0, 7), send(1, 7))); v.Verdict != checkers.Unknown {
		t.Errorf("%s (%s), want unknown", v.Verdict, v.Reason)
	}
	found, _ := history.Map(history.Pair{Key: history.Keyword("k"), Value: history.List(history.List(n(1), n(7)))})
	poll := history.Operation{F: "poll", Input: history.List(history.List(history.Keyword("poll"))), Output: history.List(history.List(history.Keyword("poll"), found))}
	again := sequentially(send(0, 7), send(1, 7), poll)
	again[0].Outcome = history.Fail
	if v := run(Kafka(), again); v.Verdict != checkers.Valid {
		t.Errorf("after a failure: %s (%s), want valid", v.Verdict, v.Reason)
	}
	if v := run(Kafka(), again[:2]); v.Verdict != checkers.Unknown {
		t.Errorf("and nothing polled: %s (%s), want unknown", v.Verdict, v.Reason)
	}
}

// A witness leaves out transactions that have nothing to do with it.
func TestWitnessesOfPredicatesLeaveOutWhatIsNotNeeded(t *testing.T) {
	text := ""
	for i := range 40 {
		text += at(0, "txn", fmt.Sprintf("[[:w %d 1]]", 100+i), fmt.Sprintf("[[:w %d 1]]", 100+i)) + at(1, "txn", fmt.Sprintf("[[:r %d nil]]", 100+i), fmt.Sprintf("[[:r %d 1]]", 100+i))
	}
	text += at(0, "txn", "[[:w 1 1]]", "[[:w 1 1]]") + at(0, "txn", "[[:w 1 2]]", "[[:w 1 2]]") + at(2, "txn", "[[:r 1 nil]]", "[[:r 1 1]]")
	ops := parse(t, text)
	v := run(Predicates(), ops)
	if v.Verdict != checkers.Invalid || len(v.Witness.Operations) != 3 {
		t.Fatalf("%s (%s), want invalid with a witness of three transactions: %v", v.Verdict, v.Reason, v.Witness)
	}
	if again := run(Predicates(), v.Witness.Operations); again.Verdict != checkers.Invalid {
		t.Errorf("the witness alone is %s", again.Verdict)
	}
}
