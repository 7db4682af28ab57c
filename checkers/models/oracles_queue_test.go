package models

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

func drawQueue(*int64) func(r *rand.Rand) history.Operation {
	return func(r *rand.Rand) history.Operation {
		v := history.Int(r.Int64N(5))
		switch c := r.IntN(10); {
		case c < 4:
			return history.Operation{F: Enqueue, Input: v, Output: v, Outcome: outcome(r)}
		case c < 7:
			return history.Operation{F: Dequeue, Output: v, Outcome: outcome(r)}
		case c < 8:
			return history.Operation{F: Dequeue, Outcome: history.OK}
		}
		var list []history.Value
		for n := range int64(5) {
			if r.IntN(3) == 0 {
				list = append(list, history.Int(n))
			}
		}
		return history.Operation{F: Drain, Output: history.List(list...), Outcome: outcome(r)}
	}
}

// queueOracle asks whether anything that operations of unknown outcome may have
// taken explains what is missing.
func queueOracle(ops []history.Operation, exactlyOnce bool) checkers.Validity {
	if slices.ContainsFunc(ops, func(o history.Operation) bool {
		list, _ := o.Output.AsList()
		return o.F == Enqueue || o.F == Dequeue && o.Outcome == history.OK && !o.Output.IsNil() || len(list) > 0
	}) == false {
		return checkers.Unknown
	}
	puts, acks, takes := map[string]int{}, map[string][]*history.Operation{}, map[string]int{}
	var empty, crashed []*history.Operation
	for i := range ops {
		o := &ops[i]
		list, _ := o.Output.AsList()
		switch {
		case o.F == Enqueue && o.Outcome != history.Fail:
			puts[o.Input.String()]++
			if o.Outcome == history.OK {
				acks[o.Input.String()] = append(acks[o.Input.String()], o)
			}
		case o.F == Enqueue:
		case o.Outcome == history.Info:
			crashed = append(crashed, o)
		case o.F == Dequeue && o.Outcome == history.OK && !o.Output.IsNil():
			takes[o.Output.String()]++
		case o.F == Dequeue || o.Outcome == history.OK:
			empty = append(empty, o)
			for _, v := range list {
				takes[v.String()]++
			}
		}
	}
	for v, n := range takes {
		if puts[v] == 0 || exactlyOnce && n > puts[v] {
			return checkers.Invalid
		}
	}
	var gone []*history.Operation // acknowledged, did not come out; the last ones of equal value
	for _, v := range sortedKeys(acks) {
		list := acks[v]
		slices.SortFunc(list, func(a, b *history.Operation) int { return int(a.Return - b.Return) })
		gone = append(gone, list[min(len(list), takes[v]):]...)
	}
	if len(gone) == 0 {
		return checkers.Valid
	}
	if explicable(gone, crashed, empty, map[*history.Operation]bool{}) {
		return checkers.Unknown
	}
	return checkers.Invalid
}

// explicable tries all ways in which crashed operations took what is gone.
func explicable(gone, crashed, empty []*history.Operation, busy map[*history.Operation]bool) bool {
	if len(gone) == 0 {
		return true
	}
	put := gone[0]
	inTime := func(taker *history.Operation) bool {
		for _, o := range empty {
			if precedes(put, o) && (taker == nil || taker.Call > o.Return) {
				return false
			}
		}
		return true
	}
	if inTime(nil) && explicable(gone[1:], crashed, empty, busy) { // it may be there still
		return true
	}
	for _, c := range crashed {
		if busy[c] || !inTime(c) {
			continue
		}
		busy[c] = c.F == Dequeue
		ok := explicable(gone[1:], crashed, empty, busy)
		if busy[c] = false; ok {
			return true
		}
	}
	return false
}

// unorderedOracle counts at every event what has gone in and come out.
func unorderedOracle(ops []history.Operation) checkers.Validity {
	verdict := checkers.Unknown
	for _, now := range ops {
		in, out := map[string]int{}, map[string]int{}
		for _, o := range ops {
			list, _ := o.Output.AsList()
			if o.F == Enqueue {
				verdict = checkers.Valid
			}
			if o.F == Enqueue && o.Outcome != history.Fail && o.Call <= now.Return {
				in[fmt.Sprint(o.Input)]++
			}
			if o.F == Enqueue || o.Outcome != history.OK || o.Return > now.Return {
				continue
			}
			if o.F == Dequeue && !o.Output.IsNil() {
				list = []history.Value{o.Output}
			}
			for _, v := range list {
				verdict = checkers.Valid
				out[fmt.Sprint(v)]++
			}
		}
		for v := range out {
			if out[v] > in[v] {
				return checkers.Invalid
			}
		}
	}
	return verdict
}
