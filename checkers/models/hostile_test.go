package models

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/history"
)

// anything draws a value of any form, often one that means something.
func anything(r *rand.Rand, depth int) history.Value {
	switch c := r.IntN(14); {
	case c < 5:
		return history.Int(int64(r.IntN(4)))
	case c == 5:
		return history.Nil
	case c == 6:
		return history.Int([]int64{-1, 1 << 62, -1 << 63, 1<<63 - 1}[r.IntN(4)])
	case c == 7:
		return history.Bool(r.IntN(2) == 0)
	case c == 8:
		names := []string{"", "r", "w", "append", "rp", "poll", "send", "insert", "true", "mod", "x"}
		return history.Keyword(names[r.IntN(len(names))])
	case c == 9:
		x, _ := history.Float(r.Float64())
		return x
	case depth == 0:
		return history.String("x")
	}
	var vs []history.Value
	for range r.IntN(4) {
		vs = append(vs, anything(r, depth-1))
	}
	if r.IntN(4) == 0 && len(vs) > 1 {
		m, _ := history.Map(history.Pair{Key: vs[0], Value: vs[1]})
		return m
	}
	if r.IntN(4) == 0 {
		return history.Set(vs...)
	}
	return history.List(vs...)
}

// everyChecker are all of this package, with and without bounds.
func everyChecker() []checkers.Checker {
	list := []checkers.Checker{
		PRAM(history.Nil), Sequential(history.Nil), Stats(), Durability(DurabilityOptions{}), Staleness(StalenessOptions{}), StaleLists(StalenessOptions{}),
	}
	for _, g := range guarantees {
		list = append(list, Session(g, history.Nil), SessionList(g))
	}
	for _, name := range sortedKeys(subjects) {
		list = append(list, subjects[name].checker)
	}
	return list
}

func TestNoHistoryMakesACheckerPanic(t *testing.T) {
	t.Parallel()
	functions := []string{Read, Write, CAS, Delete, Append, Add, Enqueue, Dequeue, Drain, Generate, Transfer, Insert, Txn, "send", "poll", "init", "sync", "x"}
	list := everyChecker()
	r := trials.Rand(31, 8)
	counts := map[checkers.Validity]int{}
	for range trials.Rounds(30_000) {
		few := functions
		if n := r.IntN(len(functions) - 1); r.IntN(4) > 0 {
			few = functions[n : n+2]
		}
		ops := randomOps(r, 1+r.IntN(8), func(r *rand.Rand) history.Operation {
			return history.Operation{F: few[r.IntN(len(few))], Key: fmt.Sprint(r.IntN(2)), Input: anything(r, 3), Output: anything(r, 3), Outcome: outcome(r)}
		})
		for i := range ops {
			if o := &ops[i]; r.IntN(20) == 0 { // never completed, or no time known
				o.Outcome, o.Return, o.Completed, o.Output = history.Info, -1, history.Never, history.Nil
			} else if r.IntN(20) == 0 {
				o.Invoked = time.Duration(1<<63 - 1)
			}
		}
		c := list[r.IntN(len(list))]
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s panics: %v\n%s", c.Name(), p, show(ops))
				}
			}()
			v := run(c, ops)
			counts[v.Verdict]++
			if v.Verdict == checkers.Invalid && v.Witness == nil || v.Verdict == "" {
				t.Errorf("%s: %q without a witness\n%s", c.Name(), v.Verdict, show(ops))
			}
		}()
		if t.Failed() {
			return
		}
	}
	t.Logf("%v", counts)
	if counts[checkers.Valid] == 0 || counts[checkers.Invalid] == 0 {
		t.Errorf("one-sided: %v", counts)
	}
}
