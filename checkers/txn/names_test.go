package txn

import (
	"context"
	"slices"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// The integer 1 and the string "1" are two keys, as are a string and a keyword,
// in explanations and in witnesses, too.
func TestKeysAndValuesThatLookAlikeAreToldApart(t *testing.T) {
	alike := [][2]history.Value{
		{history.Int(1), history.String("1")}, {history.String("1"), history.Int(1)}, {history.String("a"), history.Keyword("a")},
		{history.Keyword("a"), history.String("a")}, {history.String("true"), history.Bool(true)}, {history.String("[1 2]"), history.List(history.Int(1), history.Int(2))},
	}
	for _, pair := range alike {
		for _, keys := range []bool{true, false} {
			mop := func(f string, key, value history.Value) history.Value {
				return history.List(history.String(f), key, value)
			}
			x, y, one, two := pair[0], pair[1], history.Int(7), history.Int(8)
			if !keys {
				x, y, one, two = history.Int(7), history.Int(8), pair[0], pair[1]
			}
			txns := []history.Value{
				history.List(mop("append", x, one), mop("append", x, two), mop("r", y, history.List(one, two))),
				history.List(mop("append", y, one), mop("append", y, two), mop("r", x, history.List(one, two))),
			}
			var ops []history.Operation
			for i, v := range txns {
				ops = append(ops, history.Operation{Process: i, F: "txn", Input: v, Output: v, Outcome: history.OK, Call: int64(i), Return: int64(2 + i)})
			}
			h, err := FromOperations(ListAppend, ops)
			if err != nil {
				t.Fatal(err)
			}
			if h.KeyName(0) == h.KeyName(1) || h.ValueName(h.Txns[0].Ops[0].Value) == h.ValueName(h.Txns[0].Ops[1].Value) {
				t.Errorf("%v: keys %s and %s, values %s and %s", pair, h.KeyName(0), h.KeyName(1), h.ValueName(h.Txns[0].Ops[0].Value), h.ValueName(h.Txns[0].Ops[1].Value))
			}
			for i, o := range h.ToOperations() {
				if !o.Output.Equal(txns[i]) {
					t.Errorf("%v: %s became %s", pair, txns[i], o.Output)
				}
			}
			c := Checker(Serializable, Options{Workload: ListAppend})
			v := c.Check(context.Background(), &checkers.Evidence{Operations: ops})
			if v.Verdict != checkers.Invalid {
				t.Fatalf("%v: %s: %s", pair, v.Verdict, v.Reason)
			}
			if !slices.ContainsFunc(v.Witness.Operations, func(o history.Operation) bool { return o.Output.Equal(txns[0]) }) {
				t.Errorf("%v: the witness is %v", pair, v.Witness.Operations)
			}
			if again := c.Check(context.Background(), &checkers.Evidence{Operations: v.Witness.Operations}); again.Verdict != checkers.Invalid {
				t.Errorf("%v: the witness alone is %s: %s", pair, again.Verdict, again.Reason)
			}
		}
	}
}
