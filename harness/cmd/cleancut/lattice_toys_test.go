package main

import (
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// toys are the objects of the workloads whose models are related.
var toys = map[string]toy{
	"register": registerToy("read write"), "cas-register": registerToy("read write cas"), "kv": registerToy("read write cas delete"),
	"set":      {keys: []string{""}, initial: history.List(), pure: "read contains", draw: drawSetCall, apply: applySet},
	"set-full": {keys: []string{""}, initial: history.List(), pure: "read", draw: drawSetFullCall, apply: applySet},
	"list":     {keys: []string{"x", "y"}, initial: history.List(), pure: "read", draw: drawListCall, apply: applyList},
	"log":      {keys: []string{"x", "y"}, initial: history.List(), pure: "read", draw: drawListCall, apply: applyList},
	"queue":    queueToy, "unordered-queue": queueToy, "total-queue": queueToy,
	"counter":        {keys: []string{""}, initial: history.Int(0), pure: "read", draw: drawCounterCall, apply: applyCounter},
	"mutex":          {keys: []string{""}, initial: history.Int(1), draw: drawLockCall, apply: applyLock},
	"semaphore":      {keys: []string{""}, initial: history.Int(2), draw: drawLockCall, apply: applyLock},
	"fencing":        {keys: []string{""}, initial: history.Int(0), draw: drawFenceCall, apply: applyFence},
	"multi-register": transactionToy("w", true), "rw-register": transactionToy("w", false), "list-append": transactionToy("append", false),
}

// fresh is a value that was not there before; now and then, of a few, one that
// may have been.
func (p *play) fresh() history.Value {
	if p.next > 0 && p.r.IntN(8) == 0 {
		return history.Int(1 + p.r.Int64N(p.next))
	}
	return p.unique()
}

func (p *play) unique() history.Value {
	p.next++
	return history.Int(p.next)
}

func pick[T any](p *play, list ...T) T { return list[p.r.IntN(len(list))] }

func registerToy(functions string) toy {
	return toy{keys: []string{"x", "y"}, pure: "read", draw: func(p *play, _ int) (string, history.Value) {
		f := pick(p, "read", "read", "write", "write", "cas", "delete")
		switch {
		case f == "read" || f == "delete" && slices.Contains([]string{"read write", "read write cas"}, functions):
			return "read", history.Nil
		case f == "delete":
			return f, history.Nil
		case f == "cas" && functions != "read write":
			return f, history.List(history.Int(1+p.r.Int64N(p.next+1)), p.fresh())
		}
		return "write", p.fresh()
	}, apply: func(state, in history.Value, f string) (next, out history.Value, ok bool) {
		switch f {
		case "read":
			return state, state, true
		case "delete":
			return history.Nil, history.Nil, true
		case "cas":
			return in.At(1), in, state.Equal(in.At(0))
		}
		return in, in, true
	}}
}

func drawSetCall(p *play, _ int) (string, history.Value) {
	switch f := pick(p, "add", "add", "add", "read", "read", "contains", "remove"); {
	case f == "read":
		return f, history.Nil
	case f == "add":
		return f, p.fresh()
	case f == "remove" && p.r.IntN(3) == 0:
		return f, history.Int(1 + p.r.Int64N(p.next+1))
	case f == "contains" && p.r.IntN(3) == 0:
		return f, history.Int(1 + p.r.Int64N(p.next+1))
	}
	return "read", history.Nil
}

func drawSetFullCall(p *play, _ int) (string, history.Value) {
	if p.r.IntN(2) == 0 {
		return "read", history.Nil
	}
	return "add", p.unique()
}

func applySet(state, in history.Value, f string) (next, out history.Value, ok bool) {
	list, _ := state.AsList()
	has := slices.ContainsFunc(list, in.Equal)
	switch f {
	case "read":
		return state, state, true
	case "contains":
		return state, history.Bool(has), true
	case "add":
		if !has {
			state = history.List(append(slices.Clone(list), in)...)
		}
		return state, in, true
	}
	return history.List(slices.DeleteFunc(slices.Clone(list), in.Equal)...), in, true
}

func drawListCall(p *play, _ int) (string, history.Value) {
	if p.r.IntN(2) == 0 {
		return "read", history.Nil
	}
	return "append", p.unique()
}

func applyList(state, in history.Value, f string) (next, out history.Value, ok bool) {
	if f == "read" {
		return state, state, true
	}
	list, _ := state.AsList()
	return history.List(append(slices.Clone(list), in)...), in, true
}

var queueToy = toy{keys: []string{""}, initial: history.List(), draw: func(p *play, _ int) (string, history.Value) {
	if p.r.IntN(2) == 0 {
		return "dequeue", history.Nil
	}
	return "enqueue", p.fresh()
}, apply: func(state, in history.Value, f string) (next, out history.Value, ok bool) {
	list, _ := state.AsList()
	switch {
	case f == "enqueue":
		return history.List(append(slices.Clone(list), in)...), in, true
	case len(list) == 0:
		return state, history.Nil, true
	}
	return history.List(list[1:]...), list[0], true
}}

func drawCounterCall(p *play, _ int) (string, history.Value) {
	if p.r.IntN(2) == 0 {
		return "read", history.Nil
	}
	return "add", history.Int(pick[int64](p, 1, 1, 1, 2, 3, -1))
}

func applyCounter(state, in history.Value, f string) (next, out history.Value, ok bool) {
	if f == "read" {
		return state, state, true
	}
	n, _ := state.AsInt()
	k, _ := in.AsInt()
	return history.Int(n + k), in, true
}

func drawLockCall(p *play, _ int) (string, history.Value) {
	return pick(p, "acquire", "acquire", "release"), history.Nil
}

// applyLock now and then gives what is not there: nothing but that shows in
// what locks answer.
func applyLock(state, in history.Value, f string) (next, out history.Value, ok bool) {
	n, _ := state.AsInt()
	if f == "acquire" {
		return history.Int(max(n-1, -1)), in, n > -1
	}
	return history.Int(n + 1), in, true
}

func drawFenceCall(p *play, _ int) (string, history.Value) {
	if p.r.IntN(3) == 0 && p.next > 0 {
		return "write", history.Int(1 + p.r.Int64N(p.next))
	}
	p.next++
	return "acquire", history.Nil
}

func applyFence(state, in history.Value, f string) (next, out history.Value, ok bool) {
	n, _ := state.AsInt()
	if f == "acquire" {
		return history.Int(n + 1), history.Int(n + 1), true
	}
	return state, in, true
}

// transactionToy has registers or lists x and y, as [x y].
func transactionToy(write string, again bool) toy {
	first := history.Nil
	return toy{keys: []string{""}, initial: history.List(first, first), draw: func(p *play, _ int) (string, history.Value) {
		var list []history.Value
		for range 1 + p.r.IntN(3) {
			k := history.String(pick(p, "x", "y"))
			switch {
			case p.r.IntN(2) == 0:
				list = append(list, history.List(history.String("r"), k, history.Nil))
			case again:
				list = append(list, history.List(history.String(write), k, p.fresh()))
			default:
				list = append(list, history.List(history.String(write), k, p.unique()))
			}
		}
		return "txn", history.List(list...)
	}, apply: applyTransaction}
}

func applyTransaction(state, in history.Value, _ string) (next, out history.Value, ok bool) {
	both, _ := state.AsList()
	both = slices.Clone(both)
	list, _ := in.AsList()
	list = slices.Clone(list)
	for i := range list {
		parts, _ := list[i].AsList()
		f, _ := parts[0].AsString()
		at := 0
		if k, _ := parts[1].AsString(); k == "y" {
			at = 1
		}
		switch f {
		case "r":
			list[i] = history.List(parts[0], parts[1], both[at])
		case "w":
			both[at] = parts[2]
		default:
			had, _ := both[at].AsList()
			both[at] = history.List(append(slices.Clone(had), parts[2])...)
		}
	}
	return history.List(both...), history.List(list...), true
}
