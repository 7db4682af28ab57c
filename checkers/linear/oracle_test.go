package linear

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// bruteForce decides linearizability of a single key by trying every order
// of every choice of operations of unknown outcome. It shares no code with
// the checker.
func bruteForce(ops []history.Operation, initial history.Value) bool {
	return place(ops, make([]bool, len(ops)), initial)
}

func place(ops []history.Operation, placed []bool, state history.Value) bool {
	// Everything that completed ok must be placed.
	limit := int64(never)
	done := true
	for i, o := range ops {
		if o.Outcome == history.OK && !placed[i] {
			done = false
			limit = min(limit, o.Return)
		}
	}
	if done {
		return true
	}
	for i, o := range ops {
		if placed[i] || o.Outcome == history.Fail || o.Call > limit {
			continue
		}
		next, ok := apply(o, state)
		if !ok {
			continue
		}
		placed[i] = true
		if place(ops, placed, next) {
			placed[i] = false
			return true
		}
		placed[i] = false
	}
	return false
}

func apply(o history.Operation, state history.Value) (history.Value, bool) {
	switch o.F {
	case Read:
		return state, o.Outcome != history.OK || o.Output.Equal(state)
	case Write:
		return o.Input, true
	case Delete:
		return history.Nil, true
	}
	pair, _ := o.Input.AsList()
	return pair[1], pair[0].Equal(state)
}

// sketch says what random histories look like.
type sketch struct {
	ops, processes  int
	unique          bool
	deletes, cases  int // percent
	infos, fails    int // percent
	lies            int // percent of reads and of failed cas whose result is replaced
	values          int
	initial, anyCAS bool
}

// randomHistory simulates a register: each operation takes effect at a random
// moment between its invocation and its completion, or never. Some results
// are then falsified.
func randomHistory(r *rand.Rand, k sketch) (ops []history.Operation, initial history.Value) {
	if k.initial {
		initial = history.Int(0)
	}
	state, fresh := initial, int64(0)
	next := func() history.Value {
		if k.unique {
			fresh++
			return history.Int(fresh)
		}
		return history.Int(int64(r.IntN(k.values)))
	}
	type running struct {
		at      int
		applied bool
	}
	open := map[int]*running{}
	busy := []int{}
	process, index := k.processes, int64(0)
	lanes := make([]int, k.processes)
	for i := range lanes {
		lanes[i] = i
	}
	effect := func(x *running) {
		o := &ops[x.at]
		x.applied = true
		switch o.F {
		case Read:
			o.Output = state
		default:
			if after, ok := apply(*o, state); ok {
				state = after
			} else {
				o.Outcome = history.Fail
			}
		}
	}
	for len(ops) < k.ops || len(busy) > 0 {
		index++
		lane := r.IntN(k.processes)
		p := lanes[lane]
		x := open[p]
		switch {
		case x == nil && len(ops) < k.ops:
			o := history.Operation{Process: p, F: Read, Outcome: history.OK, Call: index, Invoked: time.Duration(index) * time.Millisecond, Node: "n1"}
			switch c := r.IntN(100); {
			case c < k.deletes:
				o.F = Delete
			case c < k.deletes+k.cases:
				expect := state
				if k.anyCAS && r.IntN(2) == 0 {
					expect = history.Int(int64(r.IntN(4)))
				}
				o.F, o.Input = CAS, history.List(expect, next())
			case c < k.deletes+k.cases+(100-k.deletes-k.cases)/2:
				o.F, o.Input = Write, next()
			}
			open[p] = &running{at: len(ops)}
			busy = append(busy, p)
			ops = append(ops, o)
		case x == nil:
		case !x.applied && r.IntN(2) == 0:
			effect(x)
		default:
			o := &ops[x.at]
			switch c := r.IntN(100); {
			case c < k.infos:
				o.Outcome, o.Output = history.Info, history.Nil
				lanes[lane], process = process, process+1
			case c < k.infos+k.fails && !x.applied:
				o.Outcome, o.Output = history.Fail, history.Nil
			default:
				if !x.applied {
					effect(x)
				}
			}
			o.Return, o.Completed = index, time.Duration(index)*time.Millisecond
			if o.Outcome == history.Info {
				o.Completed = history.Never
			}
			delete(open, p)
			busy = slices.DeleteFunc(busy, func(b int) bool { return b == p })
		}
	}
	for i := range ops {
		if o := &ops[i]; o.F == Read && o.Outcome == history.OK && r.IntN(100) < k.lies {
			o.Output = history.Int(int64(r.IntN(5)))
			if r.IntN(4) == 0 {
				o.Output = history.Nil
			}
		} else if o.F == CAS && o.Outcome == history.Fail && r.IntN(100) < k.lies {
			o.Outcome = history.OK
		}
	}
	return ops, initial
}

func show(ops []history.Operation) string {
	var b strings.Builder
	for _, o := range ops {
		fmt.Fprintf(&b, "[%d,%d] %s %s → %s (%s)\n", o.Call, o.Return, o.F, o.Input, o.Output, o.Outcome)
	}
	return b.String()
}

// randomSketch varies what histories look like.
func randomSketch(r *rand.Rand, most int) sketch {
	k := sketch{ops: 1 + r.IntN(most), processes: 1 + r.IntN(4), unique: r.IntN(2) == 0, values: 1 + r.IntN(4)}
	k.initial, k.anyCAS = r.IntN(3) == 0, r.IntN(2) == 0
	k.infos, k.fails, k.lies = r.IntN(40), r.IntN(20), r.IntN(30)
	if r.IntN(2) == 0 {
		k.deletes = r.IntN(30)
	}
	if r.IntN(2) == 0 {
		k.cases = r.IntN(50)
	}
	return k
}
