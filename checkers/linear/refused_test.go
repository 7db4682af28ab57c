package linear

import (
	"context"
	"fmt"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/history"
)

const mismatch = "cas mismatch"

// bruteForceWithRefusals is bruteForce where refused cas are evidence.
func bruteForceWithRefusals(ops []history.Operation, initial history.Value) bool {
	placed := make([]bool, len(ops))
	var try func(state history.Value) bool
	try = func(state history.Value) bool {
		limit, done := never, true
		for i, o := range ops {
			if (o.Outcome == history.OK || o.Error == mismatch) && !placed[i] {
				limit, done = min(limit, o.Return), false
			}
		}
		if done {
			return true
		}
		for i, o := range ops {
			if placed[i] || o.Outcome == history.Fail && o.Error != mismatch || o.Call > limit {
				continue
			}
			next, ok := apply(o, state)
			if o.Error == mismatch {
				next, ok = state, !ok
			}
			placed[i] = true
			found := ok && try(next)
			placed[i] = false
			if found {
				return true
			}
		}
		return false
	}
	return try(initial)
}

func TestRefusedCompareAndSetsAreJudgedAsBruteForceDoes(t *testing.T) {
	r := trials.Rand(21, 1)
	counts := map[string]int{}
	for round := range trials.Rounds(100_000) {
		k := randomSketch(r, 8)
		k.cases, k.unique, k.anyCAS = 20+r.IntN(50), r.IntN(4) > 0, true
		if r.IntN(2) == 0 {
			k.lies = 0
		}
		ops, initial := randomHistory(r, k)
		for i := range ops {
			if o := &ops[i]; o.F == CAS && o.Outcome == history.Fail && r.IntN(3) > 0 || o.F == CAS && o.Outcome == history.OK && r.IntN(12) == 0 {
				o.Outcome, o.Error, o.Output = history.Fail, mismatch, history.Nil
			}
		}
		want := want(bruteForceWithRefusals(ops, initial))
		for _, a := range []Algorithm{Automatic, Search, Porcupine} {
			if a != Automatic && round%5 > 0 {
				continue
			}
			c := Checker(Spec{Initial: initial, Mismatch: mismatch}, Options{Algorithm: a}).(checker)
			c.undrawn = round%16 > 0
			v := c.Check(context.Background(), &checkers.Evidence{Operations: ops})
			if v.Verdict != want {
				t.Fatalf("%s says %s (%s), brute force %s, from %s:\n%s", v.Algorithm, v.Verdict, v.Reason, want, initial, show(ops))
			}
			class := ""
			if v.Witness != nil {
				class = v.Witness.Class
			}
			if a == Automatic {
				counts[fmt.Sprint(want, " ", v.Algorithm, " ", class)]++
			}
		}
	}
	t.Log(counts)
}

func TestRefusalOfWhatWasThereIsExplained(t *testing.T) {
	before := []string{"1 2 write 4 null ok", "3 4 write 5 null ok"}
	for last, valid := range map[string]bool{"5 6 cas [4,7] null fail": true, "5 6 cas [5,7] null fail": false} {
		ops := seq(t, append(before, last)...)
		ops[2].Error = mismatch
		v := Checker(Spec{Mismatch: mismatch}, Options{}).Check(context.Background(), &checkers.Evidence{Operations: ops})
		if v.Verdict != want(valid) {
			t.Errorf("%s is %s: %s", last, v.Verdict, v.Reason)
		}
		if w := v.Witness; !valid && (w == nil || w.Class != WrongRefusal || len(w.Operations) != 2 || w.Summary != "the cas of key x at 6.000 s (process 2, node n2) was refused because the register did not hold 5, but nothing can have overwritten that before") {
			t.Errorf("%+v", w)
		}
		if v := Checker(Spec{}, Options{}).Check(context.Background(), &checkers.Evidence{Operations: ops}); v.Verdict != checkers.Valid {
			t.Errorf("a failure that says nothing makes it %s", v.Verdict)
		}
	}
}
