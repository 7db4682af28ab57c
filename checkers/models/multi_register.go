package models

import (
	"context"
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// MultiRegister judges whether transactions on several registers take effect
// at one instant each, as knossos.model/multi-register does: values are lists
// of [f key value] with f read (r) or write (w), and all keys have the value
// initial at first. Written values need not be unique.
//
// It searches for an order (package porcupine): time and memory are
// exponential in the number of transactions that overlap; the context bounds
// it, and it refuses histories of more than 2,000 transactions. Transactions
// with unique values are better judged by package txn, strict-serializable.
func MultiRegister(initial history.Value) checkers.Checker {
	return judge("multi-register", "porcupine", func(ctx context.Context, ops []history.Operation) judged {
		return multiRegister(ctx, ops, initial)
	})
}

// step is a micro-operation on numbered keys and values.
type step struct {
	write      bool
	key, value int
	known      bool // of a read: its result is known
}

func multiRegister(ctx context.Context, ops []history.Operation, initial history.Value) judged {
	const most = 2000
	keys, vals := newInterner(), newInterner()
	start := vals.id(initial)
	var list []porcupine.Operation
	for i := range ops {
		o := &ops[i]
		if o.Outcome == history.Fail {
			continue
		}
		steps, err := compileSteps(keys, vals, o)
		if err != nil {
			return unknown("%v", err)
		}
		list = append(list, porcupine.Operation{ClientId: o.Process, Input: steps, Output: o.Outcome == history.OK, Call: o.Call, Return: ended(o)})
	}
	switch {
	case len(list) == 0:
		return unknown("the history has no transactions")
	case len(vals.values) > 1<<16:
		return unknown("%d different values; the search is bounded to %d", len(vals.values), 1<<16)
	case len(list) > most:
		return unknown("%d transactions; the search is bounded to %d", len(list), most)
	}
	timeout := 60 * time.Second
	if at, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(at), time.Millisecond)
	}
	switch porcupine.CheckOperationsTimeout(registersModel(len(keys.values), start), list, timeout) {
	case porcupine.Ok:
		return valid("%s can be ordered", plural(len(list), "transaction"))
	case porcupine.Illegal:
		return invalid("not linearizable", "the transactions up to here cannot be put into an order that agrees with real time", firstIllegal(ops, list, len(keys.values), start, timeout)...)
	}
	return unknown("the search of %s did not end in time", plural(len(list), "transaction"))
}

func compileSteps(keys, vals *interner, o *history.Operation) ([]step, error) {
	from := o.Input
	if o.Outcome == history.OK {
		from = o.Output
	}
	list, ok := from.AsList()
	if !ok {
		return nil, fmt.Errorf("the transaction %s; expected a list of [f key value]", from)
	}
	var steps []step
	for _, v := range list {
		mop, _ := v.AsList()
		if len(mop) != 3 {
			return nil, fmt.Errorf("the micro-operation %s; expected [f key value]", v)
		}
		f, _ := mop[0].AsString()
		s := step{key: keys.id(mop[1]), value: vals.id(mop[2]), known: o.Outcome == history.OK}
		switch f {
		case "w", "write":
			s.write = true
		case "r", "read":
		default:
			return nil, fmt.Errorf("the micro-operation %s; expected a read or a write", v)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// registersModel has as state the string of the values of all keys, two bytes
// each.
func registersModel(keys, start int) porcupine.Model {
	return porcupine.Model{
		Init: func() any {
			b := make([]byte, 2*keys)
			for k := range keys {
				b[2*k], b[2*k+1] = byte(start>>8), byte(start)
			}
			return string(b)
		},
		Step: func(state, input, _ any) (bool, any) {
			b := []byte(state.(string))
			for _, s := range input.([]step) {
				if s.write {
					b[2*s.key], b[2*s.key+1] = byte(s.value>>8), byte(s.value)
				} else if s.known && int(b[2*s.key])<<8|int(b[2*s.key+1]) != s.value {
					return false, state
				}
			}
			return true, string(b)
		},
	}
}

// firstIllegal returns the operations of the shortest prefix that cannot be
// ordered: those invoked before the completion that makes it so, by bisection.
func firstIllegal(ops []history.Operation, list []porcupine.Operation, keys, start int, timeout time.Duration) []history.Operation {
	legal := func(upto int64) bool {
		var prefix []porcupine.Operation
		for _, o := range list {
			if o.Call > upto {
				continue
			}
			if o.Return > upto { // open: its reads are not known yet
				o.Return = never
				steps := append([]step(nil), o.Input.([]step)...)
				for i := range steps {
					steps[i].known = false
				}
				o.Input = steps
			}
			prefix = append(prefix, o)
		}
		return porcupine.CheckOperationsTimeout(registersModel(keys, start), prefix, timeout) != porcupine.Illegal
	}
	low, high := int64(-1), int64(0) // legal, illegal
	for _, o := range ops {
		high = max(high, o.Call, o.Return)
	}
	for high-low > 1 {
		if mid := low + (high-low)/2; legal(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	var evidence []history.Operation
	for _, o := range ops {
		if o.Call <= high && o.Outcome != history.Fail {
			evidence = append(evidence, o)
		}
	}
	return evidence
}
