package models

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// These oracles are of what reads lag behind and of final reads; they, too,
// follow the words of each definition, one pair or triple of
// operations after the other, and share no code with the checkers.

func drawRegister(next *int64) func(r *rand.Rand) history.Operation {
	return func(r *rand.Rand) history.Operation {
		value := func(n int64) history.Value {
			if n == 0 {
				return history.Nil
			}
			return history.Int(n)
		}
		o := history.Operation{F: Read, Output: value(r.Int64N(*next + 1)), Outcome: outcome(r)}
		seen := o.Output
		switch c := r.IntN(10); {
		case c < 4:
			*next++
			o.F, o.Input, o.Outcome = Write, value(*next), []history.Outcome{history.OK, history.OK, history.Info}[r.IntN(3)]
			o.Output = o.Input
		case c == 4:
			o.F, o.Output = Delete, history.Nil
		case c == 5:
			*next++
			o.F, o.Input, o.Outcome = CAS, history.List(seen, value(*next)), history.OK
			o.Output = o.Input
		}
		return o
	}
}

// sight is a read of a register, of any kind, with the writes that may be what
// it read; nil stands for the initial value.
type sight struct {
	op     *history.Operation
	value  history.Value
	writes []*history.Operation
}

// sights lists what was read; ok is false if a value comes from nowhere.
func sights(ops []history.Operation) (list []sight, ok bool) {
	for i := range ops {
		x := sight{op: &ops[i], value: ops[i].Output}
		if ops[i].Outcome != history.OK || ops[i].F != Read && ops[i].F != CAS {
			continue
		}
		if pair, _ := ops[i].Input.AsList(); ops[i].F == CAS {
			x.value = pair[0]
		}
		if x.value.IsNil() {
			x.writes = append(x.writes, nil)
		}
		for j := range ops {
			if w := &ops[j]; w.F != Read && w.Outcome != history.Fail && written(w).Equal(x.value) {
				x.writes = append(x.writes, w)
			}
		}
		if len(x.writes) == 0 {
			return nil, false
		}
		list = append(list, x)
	}
	return list, true
}

// least is how stale a read is at least: in versions and in time, for the write
// that makes it least stale.
func (x sight) least(ops []history.Operation) (versions int, age time.Duration) {
	found := false
	for _, late := range []bool{false, true} { // one that was invoked too late only if there is no other
		for _, from := range x.writes {
			if from != nil && !late && from.Call > x.op.Return {
				continue
			}
			n, t := 0, time.Duration(0)
			for j := range ops {
				w := &ops[j]
				if w.F != Read && w.Outcome == history.OK && precedes(w, x.op) && (from == nil || precedes(from, w)) {
					n, t = n+1, max(t, x.op.Invoked-w.Completed)
				}
			}
			if !found || n < versions {
				versions = n
			}
			if !found || t < age {
				age = t
			}
			found = true
		}
		if found {
			break
		}
	}
	return versions, age
}

func stalenessOracle(ops []history.Operation, most int, oldest time.Duration) checkers.Validity {
	list, ok := sights(ops)
	if !ok {
		return checkers.Invalid
	}
	if len(list) == 0 {
		return checkers.Unknown
	}
	for _, x := range list {
		versions, age := x.least(ops)
		if most > 0 && versions > most || oldest > 0 && age > oldest {
			return checkers.Invalid
		}
	}
	return checkers.Valid
}

func finalRegistersOracle(ops []history.Operation) checkers.Validity {
	list, ok := sights(ops)
	if !ok {
		return checkers.Invalid
	}
	list = slices.DeleteFunc(list, func(x sight) bool {
		return slices.ContainsFunc(ops, func(w history.Operation) bool {
			return w.F != Read && w.Outcome != history.Fail && max(w.Call, w.Return) > x.op.Call
		})
	})
	if len(list) == 0 {
		return checkers.Unknown
	}
	for _, x := range list {
		if versions, _ := x.least(ops); versions > 0 {
			return checkers.Invalid
		}
	}
	for _, x := range list { // which the register holds in the beginning
		if settles(ops, list, make([]bool, len(list)), []history.Value{x.value}) {
			return checkers.Valid
		}
	}
	return checkers.Invalid
}

// settles tries to go on from the values that the register held so far, the
// last one now.
func settles(ops []history.Operation, list []sight, done []bool, held []history.Value) bool {
	all := true
	for i, x := range list {
		if done[i] {
			continue
		}
		all = false
		first := !slices.ContainsFunc(list, func(y sight) bool {
			return precedes(y.op, x.op) && !done[slices.IndexFunc(list, func(z sight) bool { return z.op == y.op })]
		})
		if !first || !x.value.Equal(held[len(held)-1]) {
			continue
		}
		done[i] = true
		ok := settles(ops, list, done, held)
		if done[i] = false; ok {
			return true
		}
	}
	for i, w := range ops {
		if w.F == Read || w.Outcome != history.Info || written(&ops[i]).Equal(held[len(held)-1]) {
			continue
		}
		v := written(&ops[i])
		deletes := 0
		for j := range ops {
			if ops[j].F != Read && ops[j].Outcome != history.Fail && written(&ops[j]).IsNil() {
				deletes++
			}
		}
		if (!v.IsNil() || deletes < 2) && slices.ContainsFunc(held, v.Equal) || len(held) > 2*len(list) {
			continue
		}
		if settles(ops, list, done, append(slices.Clone(held), v)) {
			return true
		}
	}
	return all
}

// finalSetOracle takes the ok read that no other one was invoked after.
func finalSetOracle(ops []history.Operation) checkers.Validity {
	for i := range ops {
		last := &ops[i]
		if last.F != Read || last.Outcome != history.OK {
			continue
		}
		if slices.ContainsFunc(ops, func(o history.Operation) bool { return o.F == Read && o.Outcome == history.OK && o.Call > last.Call }) {
			continue
		}
		list, _ := last.Output.AsList()
		for _, v := range list {
			if !slices.ContainsFunc(ops, func(o history.Operation) bool {
				return o.F == Add && o.Outcome != history.Fail && o.Input.Equal(v) && o.Call < last.Return
			}) {
				return checkers.Invalid
			}
		}
		for j := range ops {
			if o := &ops[j]; o.F == Add && o.Outcome == history.OK && precedes(o, last) && !has(last.Output, o.Input) {
				return checkers.Invalid
			}
		}
		return checkers.Valid
	}
	return checkers.Unknown
}

// finalCounterOracle tries every choice of the adds of unknown outcome.
func finalCounterOracle(ops []history.Operation) checkers.Validity {
	var certain int64
	var maybe []int64
	for _, o := range ops {
		n, _ := o.Input.AsInt()
		if o.F == Add && o.Outcome == history.OK {
			certain += n
		}
		if o.F == Add && o.Outcome == history.Info {
			maybe = append(maybe, n)
		}
	}
	verdict := checkers.Unknown
	for i := range ops {
		r := &ops[i]
		if r.F != Read || r.Outcome != history.OK || slices.ContainsFunc(ops, func(o history.Operation) bool {
			return o.F == Add && o.Outcome != history.Fail && max(o.Call, o.Return) > r.Call
		}) {
			continue
		}
		possible := false
		for choice := range 1 << len(maybe) {
			sum := certain
			for bit, n := range maybe {
				sum += n * int64(choice>>bit&1)
			}
			v, _ := r.Output.AsInt()
			possible = possible || v == sum
		}
		if !possible {
			return checkers.Invalid
		}
		verdict = checkers.Valid
	}
	return verdict
}
