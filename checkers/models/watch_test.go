package models

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// ending is a context that is over when it was looked at so often.
type ending struct {
	context.Context
	left, looks int
}

func (e *ending) Err() error {
	if e.looks++; e.looks > e.left {
		return context.DeadlineExceeded
	}
	return nil
}

// longHistories are of many operations each, with a violation at the end.
func longHistories() map[string][]history.Operation {
	const many = 12_000
	n := history.Int
	keyword := history.Keyword
	var registers, lists, sets, ids, monotonic, bank, forks, reverse, kafka []history.Operation
	var all []history.Value
	for i := range int64(many) {
		p := int(i % 7)
		registers = append(registers, history.Operation{Process: p, F: Write, Input: n(i)}, history.Operation{Process: p + 1, F: Read, Output: n(i)})
		all = append(all, n(i))
		key := fmt.Sprint(i / 10)
		lists = append(lists, history.Operation{Process: p, F: Append, Key: key, Input: n(i)}, history.Operation{Process: p + 1, F: Read, Key: key, Output: history.List(all[i/10*10 : i+1 : i+1]...)})
		sets = append(sets, history.Operation{Process: p, F: Add, Input: n(i)})
		reverse = append(reverse, history.Operation{Process: p, F: Write, Input: n(i)})
		ids = append(ids, history.Operation{Process: p, F: Generate, Output: n(i)})
		m, _ := history.Map(history.Pair{Key: n(i % 3), Value: n(i)})
		monotonic = append(monotonic, history.Operation{Process: p, F: Read, Output: m})
		bank = append(bank, history.Operation{Process: p, F: Read, Output: history.List(n(i), n(-i), n(5))})
		w := history.List(history.List(keyword("w"), n(i), n(1)))
		r := history.List(history.List(keyword("r"), n(i), n(1)))
		forks = append(forks, history.Operation{Process: p, F: Txn, Input: w, Output: w}, history.Operation{Process: p, F: Txn, Input: r, Output: r})
		sent := history.List(history.List(keyword("send"), n(0), history.List(n(i), n(i))))
		messages, _ := history.Map(history.Pair{Key: n(0), Value: history.List(history.List(n(i), n(i)))})
		polled := history.List(history.List(keyword("poll"), messages))
		kafka = append(kafka, history.Operation{Process: p, F: "send", Output: sent}, history.Operation{Process: 9, F: "poll", Output: polled})
	}
	for _, v := range []int64{5, 3, 5, 3} { // 3 was written before 5
		registers = append(registers, history.Operation{Process: 20, F: Read, Output: n(v)})
	}
	lists = append(lists, history.Operation{Process: 20, F: Read, Key: "5", Output: history.List(n(51), n(50))})
	sets = append(sets, history.Operation{Process: 20, F: Read, Output: history.List(all[:many-1]...)})
	reverse = append(reverse, history.Operation{Process: 20, F: Read, Output: history.List(all[1:]...)})
	ids = append(ids, ids[0])
	monotonic = append(monotonic, monotonic[0])
	bank = append(bank, history.Operation{Process: 20, F: Read, Output: history.List(n(1), n(1), n(5))})
	forks = append(forks, history.Operation{Process: 20, F: Txn, Output: history.List(history.List(keyword("r"), n(1), n(2)))})
	kafka = append(kafka, kafka[len(kafka)-1])
	named := map[string][]history.Operation{
		"registers": registers, "lists": lists, "sets": sets, "causal-reverse": reverse, "unique-ids": ids,
		"monotonic": monotonic, "bank": bank, "long-fork": forks, "kafka": kafka,
	}
	for _, ops := range named {
		sequentially(ops...)
	}
	return named
}

// However often a checker may look at the time, it stops when it is over, and
// says so; and it looks often.
func TestModelsStopWhenTheirTimeIsOver(t *testing.T) {
	t.Parallel()
	of := map[string][]checkers.Checker{
		"registers": {Sequential(history.Nil), PRAM(history.Nil), Staleness(StalenessOptions{}), FinalRegisters(history.Nil)},
		"lists":     {StaleLists(StalenessOptions{}), FinalLists()},
		"sets":      {SetFull(false), FinalSet()}, "causal-reverse": {CausalReverse()}, "unique-ids": {UniqueIDs()},
		"monotonic": {Monotonic()}, "bank": {Bank(BankOptions{Negative: true})}, "long-fork": {LongFork()}, "kafka": {Kafka()},
	}
	for _, g := range guarantees {
		of["registers"] = append(of["registers"], Session(g, history.Nil))
		of["lists"] = append(of["lists"], SessionList(g))
	}
	for name, ops := range longHistories() {
		for _, c := range of[name] {
			forever := &ending{Context: context.Background(), left: 1 << 30}
			whole := c.Check(forever, &checkers.Evidence{Operations: ops})
			if strings.Contains(whole.Reason, "time ran out") || forever.looks < len(ops)/(2*often) {
				t.Errorf("%s of %s: %s (%s) after %d looks at the time for %d operations", c.Name(), name, whole.Verdict, whole.Reason, forever.looks, len(ops))
			}
			for left := 0; left < forever.looks; left += 1 + forever.looks/8 {
				ctx := &ending{Context: context.Background(), left: left}
				v := c.Check(ctx, &checkers.Evidence{Operations: ops})
				if v.Verdict != checkers.Unknown || !strings.Contains(v.Reason, "time ran out") || ctx.looks > left+2 {
					t.Errorf("%s of %s, over at look %d of %d: %s (%s), and looked %d times", c.Name(), name, left+1, forever.looks, v.Verdict, v.Reason, ctx.looks)
					break
				}
			}
		}
	}
}

// What a read of many elements says in a sentence is short.
func TestSentencesAreShortHoweverLongTheLists(t *testing.T) {
	var ops []history.Operation
	var all []history.Value
	for i := range int64(5000) {
		all = append(all, history.Int(i))
		ops = append(ops, history.Operation{F: Append, Input: history.Int(i)})
	}
	ops = append(ops, history.Operation{Process: 1, F: Read, Output: history.List(all...)}, history.Operation{Process: 1, F: Read, Output: history.List(all[1:]...)})
	odd := history.Operation{F: Read, Output: history.String(strings.Repeat("ä", 10_000))}
	for _, c := range []struct {
		checker checkers.Checker
		ops     []history.Operation
		want    checkers.Validity
	}{
		{SessionList(MonotonicReads), sequentially(ops...), checkers.Invalid},
		{SessionList(CausalConvergent), sequentially(ops...), checkers.Invalid},
		{Bank(BankOptions{}), sequentially(odd), checkers.Unknown},
		{Session(Causal, history.Nil), sequentially(odd), checkers.Invalid},
	} {
		v := run(c.checker, c.ops)
		said := v.Reason
		if v.Witness != nil {
			said += v.Witness.Summary + strings.Join(v.Witness.Lines, "")
		}
		if v.Verdict != c.want || len(said) > 4*maxSentence || strings.Contains(said, "\ufffd") {
			t.Errorf("%s: %s, in %d bytes", c.checker.Name(), v.Verdict, len(said))
		}
	}
}
