package linear

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/checkers/linear/search"
	"github.com/cleancut/cleancut/harness/history"
)

// final appends a read of the state at the end of a history that a correct
// object made without unknown outcomes.
func (t toy) final(ops []history.Operation, state history.Value) []history.Operation {
	end := int64(0)
	for _, o := range ops {
		end = max(end, o.Return)
	}
	_, out, _ := t.run(state, Read, history.Nil)
	return append(slices.Clone(ops), history.Operation{Process: 99, F: Read, Output: out, Outcome: history.OK, Call: end + 1, Return: end + 2})
}

// replay runs a sequential history and returns the state at its end.
func (t toy) replay(ops []history.Operation) history.Value {
	state := t.start
	for _, o := range ops {
		if o.Outcome == history.OK {
			state, _, _ = t.run(state, o.F, o.Input)
		}
	}
	return state
}

func TestLegalReadKeepsAHistoryValidAndAnotherDoesNot(t *testing.T) {
	for _, name := range []string{"grow-only set", "set read and pruned", "list", "counter by one", "counter at large"} {
		toy := toys[name]
		r := trials.Rand(31, 1)
		for range trials.Rounds(2_000) {
			ops := toy.history(r, chaos{ops: 1 + r.IntN(20), processes: 1})
			read := toy.final(ops, toy.replay(ops))
			if v := toy.check(t, read, Options{}); v.Verdict != checkers.Valid {
				t.Fatalf("%s: with a read of what is there it is %s: %s\n%s", name, v.Verdict, v.Reason, show(read))
			}
			last := &read[len(read)-1]
			if n, ok := last.Output.AsInt(); ok {
				last.Output = history.Int(n + 1)
			} else {
				last.Output = with(last.Output, history.Int(1_000))
			}
			if v := toy.check(t, read, Options{}); v.Verdict != checkers.Invalid {
				t.Fatalf("%s: with a read of something else it is %s: %s\n%s", name, v.Verdict, v.Reason, show(read))
			}
		}
	}
}

func TestLongerIntervalsAndFewerReadsKeepAHistoryValid(t *testing.T) {
	for name, toy := range toys {
		r := trials.Rand(32, 1)
		for range trials.Rounds(3_000) {
			ops := toy.history(r, chaos{ops: 1 + r.IntN(25), processes: 1 + r.IntN(4), infos: r.IntN(15), fails: r.IntN(10)})
			if v := toy.check(t, ops, Options{}); v.Verdict != checkers.Valid {
				t.Fatalf("%s: a correct object is %s: %s\n%s", name, v.Verdict, v.Reason, show(ops))
			}
			i := r.IntN(len(ops))
			switch o := &ops[i]; {
			case len(ops) > 1 && o.Outcome == history.OK && (o.F == Read || o.F == Contains) && r.IntN(2) == 0:
				ops = slices.Delete(ops, i, i+1)
			case o.Outcome == history.OK:
				o.Return += 2 * int64(r.IntN(20))
			}
			if v := toy.check(t, ops, Options{}); v.Verdict != checkers.Valid {
				t.Fatalf("%s: what allows more orders made it %s: %s\n%s", name, v.Verdict, v.Reason, show(ops))
			}
		}
	}
}

func BenchmarkSmallHistories(b *testing.B) {
	r := rand.New(rand.NewPCG(35, 1))
	var problems []*search.Problem
	for range 2_000 {
		ops, initial := randomHistory(r, randomSketch(r, 30))
		if p, err := compile(newInterner(len(ops)), "", Spec{Initial: initial}, ops, all(ops)); err == nil {
			problems = append(problems, posed(p.ops, p.initial, len(p.values)))
		}
	}
	budget := search.Budget{Configurations: 1 << 20, Memory: 1 << 30}
	b.Run("search", func(b *testing.B) {
		for b.Loop() {
			for _, p := range problems {
				search.Decide(b.Context(), p, budget)
			}
		}
	})
	b.Run("porcupine", func(b *testing.B) {
		for b.Loop() {
			for _, p := range problems {
				search.Oracle(b.Context(), p, budget)
			}
		}
	})
}

func TestNilReadsTellNothingWhereThatIsAgreed(t *testing.T) {
	ops := seq(t, "1 2 write 4 null ok", "3 4 read null null ok")
	for _, name := range []string{"register", "multi-register"} {
		if name == "multi-register" {
			step := func(f string, v history.Value) history.Value {
				return history.List(history.List(history.String(f), history.String("x"), v))
			}
			ops[0].F, ops[0].Input, ops[0].Output = Txn, step("write", history.Int(4)), step("write", history.Int(4))
			ops[1].F, ops[1].Input, ops[1].Output = Txn, step("read", history.Nil), step("read", history.Nil)
		}
		for agreed, valid := range map[bool]bool{false: false, true: true} {
			c, err := For(name, Object{NilReads: agreed}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if v := c.Check(t.Context(), &checkers.Evidence{Operations: ops}); v.Verdict != want(valid) {
				t.Errorf("%s, agreed %v: %s: %s", name, agreed, v.Verdict, v.Reason)
			}
		}
	}
}
