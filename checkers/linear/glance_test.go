package linear

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/history"
)

// renamed gives elements other names, some of which are no integers, and each
// operation one of a few keys.
func renamed(r *rand.Rand, ops []history.Operation, keys int) []history.Operation {
	names := map[int64]history.Value{}
	rename := func(v history.Value) history.Value {
		n, ok := v.AsInt()
		if !ok {
			return v
		}
		if _, known := names[n]; !known {
			switch names[n] = history.Int(1_000_000_007 * (n - 3)); r.IntN(6) {
			case 0:
				names[n] = history.String("element " + v.String())
			case 1:
				names[n] = history.List(history.Int(n), history.Int(2), history.Int(3))
			}
		}
		return names[n]
	}
	ops = append([]history.Operation(nil), ops...)
	for i := range ops {
		o := &ops[i]
		o.Input = rename(o.Input)
		if o.Output.IsList() {
			var list []history.Value
			for _, v := range o.Output.Elements() {
				list = append(list, rename(v))
			}
			o.Output = history.List(list...)
		} else {
			o.Output = rename(o.Output)
		}
		o.Key = string(rune('a' + i%keys))
	}
	return ops
}

// said is all that a verdict says.
func verdictText(t *testing.T, v checkers.Verdict) string {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestGlancesAtListsChangeNoVerdict judges random lists, whose elements are
// integers or others and whose lists are therefore kept in either way, with
// glances and without, and compares all that is said. Brute force judges others
// in TestObjectsAreJudgedAsBruteForceDoes.
func TestGlancesAtListsChangeNoVerdict(t *testing.T) {
	toy := toys["list"]
	for _, workload := range []string{"list", "log"} {
		t.Run(workload, func(t *testing.T) {
			t.Parallel()
			c, err := For(workload, Object{}, Options{Workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			blind := c.(checker)
			r := trials.Rand(41, 1)
			glanced, invalid, packed, mixed := 0, 0, 0, 0
			for range trials.Rounds(10_000) {
				ops := toy.history(r, randomChaos(r, 24))
				if r.IntN(3) == 0 { // legal ones are long enough for lists that are packed
					ops = toy.history(r, chaos{ops: 10 + r.IntN(40), processes: 1 + r.IntN(5), infos: 5, fails: 5})
				}
				if r.IntN(2) == 0 {
					ops = renamed(r, ops, 1+r.IntN(3))
				}
				parts, glimpses := group(ops, true)
				var x glancer
				for _, p := range parts {
					if _, certain := x.lists(glimpses, p.at); certain {
						glanced++
					}
				}
				for i := range ops {
					if _, ok := ops[i].Output.Ints(); ok {
						packed++
					} else if ops[i].Output.Len() > 2 {
						mixed++
					}
				}
				v := c.Check(t.Context(), &checkers.Evidence{Operations: ops})
				w := blind.conclude(t.Context(), &checkers.Evidence{Operations: ops}, blind.judgeAll(t.Context(), ops, nil, parts))
				if v.Verdict == checkers.Invalid {
					invalid++
				}
				if verdictText(t, v) != verdictText(t, w) {
					t.Fatalf("with glances %s, %s, %s, %v\nwithout %s, %s, %s, %v:\n%s", v.Verdict, v.Algorithm, v.Reason, v.Measures, w.Verdict, w.Algorithm, w.Reason, w.Measures, show(ops))
				}
			}
			t.Logf("%d lists were known to be legal at a glance, %d histories were invalid, %d lists packed and %d not", glanced, invalid, packed, mixed)
			if glanced < trials.Rounds(2_000) || invalid < trials.Rounds(1_000) || packed < trials.Rounds(2_000) || mixed < trials.Rounds(1_000) {
				t.Error("the generator is lopsided")
			}
		})
	}
}

// TestGlanceIsOnlySureOfWhatItKnows has operations that a glance must leave to
// the trial.
func TestGlanceIsOnlySureOfWhatItKnows(t *testing.T) {
	list := func(ns ...int64) history.Value {
		var vs []history.Value
		for _, n := range ns {
			vs = append(vs, history.Int(n))
		}
		return history.List(vs...)
	}
	appended := func(n, call, ret int64) history.Operation {
		return history.Operation{F: Append, Input: history.Int(n), Output: history.Int(n), Outcome: history.OK, Call: call, Return: ret}
	}
	read := func(v history.Value, call, ret int64) history.Operation {
		return history.Operation{F: Read, Output: v, Outcome: history.OK, Call: call, Return: ret}
	}
	failed, unknown := appended(2, 2, 3), appended(2, 2, 3)
	failed.Outcome, unknown.Outcome, unknown.Return = history.Fail, history.Info, -1
	offset := appended(2, 2, 3)
	offset.Output = history.List(history.Int(0), history.Int(2))
	from := read(list(1), 2, 3)
	from.Input = history.Int(0)
	for _, c := range []struct {
		name string
		ops  []history.Operation
		want bool
	}{
		{"nothing", nil, true},
		{"one append", []history.Operation{appended(1, 0, 1)}, true},
		{"a read of all", []history.Operation{appended(1, 0, 1), appended(2, 2, 3), appended(3, 4, 5), read(list(1, 2, 3), 6, 7), read(list(1, 2, 3), 8, 9)}, true},
		{"a read of nil at first", []history.Operation{read(history.Nil, 0, 1), appended(1, 2, 3)}, true},
		{"a failed append that nobody saw", []history.Operation{appended(1, 0, 1), failed, read(list(1), 4, 5)}, true},
		{"an append of unknown outcome that nobody saw", []history.Operation{appended(1, 0, 1), unknown, read(list(1), 4, 5)}, true},
		{"an append of unknown outcome that somebody saw", []history.Operation{appended(1, 0, 1), unknown, read(list(1, 2), 4, 5)}, true},
		{"a failed append that somebody saw", []history.Operation{appended(1, 0, 1), failed, read(list(1, 2), 4, 5)}, false},
		{"an element from nowhere", []history.Operation{appended(1, 0, 1), appended(2, 2, 3), read(list(1, 3), 4, 5)}, false},
		{"an element twice", []history.Operation{appended(1, 0, 1), appended(2, 2, 3), read(list(1, 1), 4, 5)}, false},
		{"an append twice", []history.Operation{appended(1, 0, 1), appended(1, 2, 3)}, false},
		{"a lost append", []history.Operation{appended(1, 0, 1), appended(2, 2, 3), read(list(1), 4, 5)}, false},
		{"appends in the wrong order", []history.Operation{appended(1, 0, 1), appended(2, 2, 3), read(list(2, 1), 4, 5)}, false},
		{"a read of the future", []history.Operation{read(list(1), 0, 1), appended(1, 2, 3)}, false},
		{"reads that disagree", []history.Operation{appended(1, 0, 5), appended(2, 1, 4), appended(3, 2, 6), read(list(1, 2, 3), 7, 8), read(list(2), 3, 9)}, false},
		{"an offset", []history.Operation{appended(1, 0, 1), offset}, false},
		{"a read from an offset", []history.Operation{appended(1, 0, 1), from}, false},
		{"another function", []history.Operation{{F: Write, Outcome: history.OK, Return: 1}}, false},
		{"a set", []history.Operation{appended(1, 0, 1), read(history.Set(history.Int(1)), 2, 3)}, false},
		{"another element", []history.Operation{{F: Append, Input: history.String("x"), Outcome: history.OK, Return: 1}}, false},
		{"an index of more than 31 bits", []history.Operation{appended(1, 0, 1<<40)}, false},
		{"no outcome", []history.Operation{{F: Append, Input: history.Int(1), Return: 1}}, false},
		{"an index below zero", []history.Operation{appended(1, -5, 1)}, false},
	} {
		_, glimpses := group(c.ops, true)
		at := make([]int32, len(c.ops))
		for i := range at {
			at[i] = int32(i)
		}
		var x glancer
		if _, certain := x.lists(glimpses, at); certain != c.want {
			t.Errorf("%s: certain %v, want %v", c.name, certain, c.want)
		}
	}
}
