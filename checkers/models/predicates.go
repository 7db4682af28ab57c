package models

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Predicates judges transactions with predicate reads for strict
// serializability, as elle.closed-predicate does: operations init, whose
// result is a map of what is there at first, and txn, lists of
//
//	[insert key value]  [w key value]  [delete key]  [r key value]  [rp predicate {key value …}]
//
// with the predicates true, [= value] and [mod n rest] on values. A read of an
// absent key is nil; a predicate read returns all that match.
//
// It searches for an order of at most 200 transactions (package porcupine), in
// time exponential in those that overlap; the context bounds it. A witness leaves
// out what is not needed for the contradiction. It does not name anomalies: for transactions without predicates package txn does.
func Predicates() checkers.Checker {
	return judge("strict-serializable", "porcupine", predicates)
}

func predicates(ctx context.Context, ops []history.Operation) judged {
	const most = 200
	var done []history.Operation
	for _, o := range ops {
		if o.Outcome == history.Fail {
			continue
		}
		if err := wellFormed(&o); err != nil {
			return unknown("%s", clip(err.Error()))
		}
		done = append(done, o)
	}
	switch {
	case len(done) == 0:
		return unknown("the history has no transactions")
	case len(done) > most:
		return unknown("%d transactions; the search is bounded to %d", len(done), most)
	}
	switch searched(ctx, done, searchMax) {
	case porcupine.Ok:
		return valid("%s can be put into an order that agrees with real time", plural(len(done), "transaction"))
	case porcupine.Illegal:
		return invalid("not strict-serializable", "no order of the transactions agrees with real time and explains all that they read", contradictory(ctx, done)...)
	}
	return unknown("the search of %s did not end in time", plural(len(done), "transaction"))
}

// Bounds of a search without a deadline, and of one that makes a witness
// smaller.
const (
	searchMax = time.Minute
	trialMax  = 100 * time.Millisecond
)

// searched tells whether a search found an order of transactions.
func searched(ctx context.Context, ops []history.Operation, most time.Duration) porcupine.CheckResult {
	list := make([]porcupine.Operation, len(ops))
	for i := range ops {
		o := &ops[i]
		list[i] = porcupine.Operation{ClientId: o.Process, Input: o, Call: o.Call, Return: ended(o)}
	}
	if at, ok := ctx.Deadline(); ok {
		most = max(min(most, time.Until(at)), time.Millisecond)
	}
	empty, _ := history.Map()
	model := porcupine.Model{
		Init: func() any { return empty },
		Step: func(state, input, _ any) (bool, any) {
			return transact(state.(history.Value), input.(*history.Operation))
		},
		Equal: func(a, b any) bool { return a.(history.Value).Equal(b.(history.Value)) },
	}
	return porcupine.CheckOperationsTimeout(model, list, most)
}

// contradictory leaves out transactions without which the others still
// contradict each other: first those that only read, then those that change
// nothing that one of the others reads.
func contradictory(ctx context.Context, ops []history.Operation) []history.Operation {
	kept := slices.Clone(ops)
	for _, writersToo := range []bool{false, true} {
		for i := len(kept) - 1; i >= 0 && ctx.Err() == nil; i-- {
			changed, _, _ := touched(&kept[i])
			if kept[i].F == "init" || len(changed) > 0 && (!writersToo || wanted(kept, i, changed)) {
				continue
			}
			if fewer := slices.Delete(slices.Clone(kept), i, i+1); searched(ctx, fewer, trialMax) == porcupine.Illegal {
				kept = fewer
			}
		}
	}
	return kept
}

// wanted reports whether one of the others may read what a transaction changed.
func wanted(ops []history.Operation, i int, changed []history.Value) bool {
	for j := range ops {
		if j == i || ops[j].F == "init" {
			continue
		}
		_, read, all := touched(&ops[j])
		if all || slices.ContainsFunc(changed, func(k history.Value) bool { return slices.ContainsFunc(read, k.Equal) }) {
			return true
		}
	}
	return false
}

// touched lists the keys that a transaction changed and those that it read, and
// tells whether it read by predicates.
func touched(o *history.Operation) (changed, read []history.Value, all bool) {
	list, _ := sequence(content(o))
	for _, v := range list {
		mop, _ := sequence(v)
		switch name, _ := mop[0].AsString(); name {
		case "insert", "w", "delete":
			changed = append(changed, mop[1])
		case "r":
			read = append(read, mop[1])
		default:
			all = true
		}
	}
	return changed, read, all
}

// content is what an operation did.
func content(o *history.Operation) history.Value {
	if o.Outcome == history.OK {
		return o.Output
	}
	return o.Input
}

func wellFormed(o *history.Operation) error {
	if o.F == "init" {
		if _, ok := content(o).AsMap(); !ok {
			return fmt.Errorf("the value %s of init; expected a map", content(o))
		}
		return nil
	}
	list, ok := sequence(content(o))
	if !ok {
		return fmt.Errorf("the transaction %s; expected a list of micro-operations", content(o))
	}
	for _, v := range list {
		mop, _ := sequence(v)
		name := ""
		if len(mop) > 0 {
			name, _ = mop[0].AsString()
		}
		least := map[string]int{"insert": 3, "w": 3, "delete": 2, "r": 3, "rp": 3}[name]
		if least == 0 || len(mop) < least {
			return fmt.Errorf("the micro-operation %s; expected insert, w, delete, r or rp", v)
		}
		if name == "rp" && !predicate(mop[1]) {
			return fmt.Errorf("the predicate %s; expected true, [= value] or [mod n rest]", mop[1])
		}
	}
	return nil
}

func predicate(p history.Value) bool {
	if always, ok := p.AsBool(); ok {
		return always
	}
	if name, ok := p.AsString(); ok {
		return name == "true"
	}
	list, _ := sequence(p)
	if len(list) == 0 {
		return false
	}
	name, _ := list[0].AsString()
	if name == "mod" && len(list) == 3 {
		n, ok1 := list[1].AsInt()
		_, ok2 := list[2].AsInt()
		return ok1 && ok2 && n != 0
	}
	return name == "=" && len(list) == 2
}

func matches(p, v history.Value) bool {
	list, ok := sequence(p)
	if !ok {
		return true
	}
	if name, _ := list[0].AsString(); name == "=" {
		return list[1].Equal(v)
	}
	n, _ := list[1].AsInt()
	rest, _ := list[2].AsInt()
	x, isInt := v.AsInt()
	return isInt && ((x%n)+n)%n == rest
}

// transact applies an operation to a state, a map, and reports whether it
// could have read what it read.
func transact(state history.Value, o *history.Operation) (bool, history.Value) {
	if o.F == "init" {
		return true, content(o)
	}
	now, _ := state.AsMap()
	list, _ := sequence(content(o))
	for _, v := range list {
		mop, _ := sequence(v)
		switch name, _ := mop[0].AsString(); name {
		case "insert", "w":
			now = append(without(now, mop[1]), history.Pair{Key: mop[1], Value: mop[2]})
		case "delete":
			now = without(now, mop[1])
		case "r":
			found := history.Nil
			for _, p := range now {
				if p.Key.Equal(mop[1]) {
					found = p.Value
				}
			}
			if o.Outcome == history.OK && !found.Equal(mop[2]) {
				return false, state
			}
		case "rp":
			var found []history.Pair
			for _, p := range now {
				if matches(mop[1], p.Value) {
					found = append(found, p)
				}
			}
			if all, _ := history.Map(found...); o.Outcome == history.OK && !all.Equal(mop[2]) {
				return false, state
			}
		}
	}
	next, _ := history.Map(now...)
	return true, next
}

func without(list []history.Pair, key history.Value) (kept []history.Pair) {
	for _, p := range list {
		if !p.Key.Equal(key) {
			kept = append(kept, p)
		}
	}
	return kept
}
