package models

import (
	"math/rand/v2"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// drawPredicates draws transactions on keys 0 and 1 with values 1 to 3, and runs
// them on a copy of the data, with a mistake now and then.
func drawPredicates(*int64) func(r *rand.Rand) history.Operation {
	data, started := map[int64]int64{}, false
	return func(r *rand.Rand) history.Operation {
		if !started && r.IntN(2) == 0 {
			started = true
			data[0] = 2
			return history.Operation{F: "init", Input: mapped(data), Output: mapped(data), Outcome: history.OK}
		}
		started = true
		result := outcome(r)
		var mops []history.Value
		word := history.Keyword
		for range 1 + r.IntN(2) {
			k, v := r.Int64N(2), 1+r.Int64N(3)
			switch c := r.IntN(8); {
			case c < 2:
				if result != history.Fail {
					data[k] = v
				}
				mops = append(mops, history.List(word([]string{"insert", "w"}[c]), history.Int(k), history.Int(v)))
			case c == 2:
				if result != history.Fail {
					delete(data, k)
				}
				mops = append(mops, history.List(word("delete"), history.Int(k)))
			case c < 5:
				found := history.Nil
				if v, ok := data[k]; ok {
					found = history.Int(v)
				}
				if r.IntN(8) == 0 {
					found = history.Int(v)
				}
				mops = append(mops, history.List(word("r"), history.Int(k), found))
			default:
				p := []history.Value{word("true"), history.List(word("="), history.Int(v)), history.List(word("mod"), history.Int(2), history.Int(v%2))}[c-5]
				found := matching(data, c-5, v)
				if r.IntN(8) == 0 {
					found = map[int64]int64{}
				}
				mops = append(mops, history.List(word("rp"), p, mapped(found)))
			}
		}
		return history.Operation{F: Txn, Input: history.List(mops...), Output: history.List(mops...), Outcome: result}
	}
}

func mapped(data map[int64]int64) history.Value {
	var pairs []history.Pair
	for k, v := range data {
		pairs = append(pairs, history.Pair{Key: history.Int(k), Value: history.Int(v)})
	}
	m, _ := history.Map(pairs...)
	return m
}

func matching(data map[int64]int64, kind int, v int64) map[int64]int64 {
	found := map[int64]int64{}
	for k, x := range data {
		if kind == 0 || kind == 1 && x == v || kind == 2 && x%2 == v%2 {
			found[k] = x
		}
	}
	return found
}

// predicatesOracle tries every order of every choice of transactions of unknown
// outcome.
func predicatesOracle(ops []history.Operation) checkers.Validity {
	var all []int
	for i, o := range ops {
		if o.Outcome != history.Fail {
			all = append(all, i)
		}
	}
	if len(all) == 0 {
		return checkers.Unknown
	}
	for choice := range 1 << len(ops) {
		var list []int
		for _, i := range all {
			if ops[i].Outcome == history.OK || choice>>i&1 == 1 {
				list = append(list, i)
			}
		}
		if orders(list, func(order []int) bool { return executes(ops, order) }) {
			return checkers.Valid
		}
	}
	return checkers.Invalid
}

func executes(ops []history.Operation, order []int) bool {
	data := map[int64]int64{}
	for at, i := range order {
		for _, j := range order[at+1:] {
			if precedes(&ops[j], &ops[i]) {
				return false
			}
		}
		o := &ops[i]
		if o.F == "init" {
			data = map[int64]int64{0: 2}
			continue
		}
		list, _ := o.Input.AsList()
		if o.Outcome == history.OK {
			list, _ = o.Output.AsList()
		}
		for _, m := range list {
			mop, _ := m.AsList()
			name, _ := mop[0].AsString()
			k, _ := mop[1].AsInt()
			value, here := data[k]
			switch name {
			case "insert", "w":
				data[k], _ = mop[2].AsInt()
			case "delete":
				delete(data, k)
			case "r":
				want, some := mop[2].AsInt()
				if o.Outcome == history.OK && (here != some || here && value != want) {
					return false
				}
			default:
				kind, v := 0, int64(0)
				if p, ok := mop[1].AsList(); ok {
					if kind, v = 1, 0; len(p) == 3 {
						kind = 2
					}
					v, _ = p[len(p)-1].AsInt()
				}
				if o.Outcome == history.OK && !mapped(matching(data, kind, v)).Equal(mop[2]) {
					return false
				}
			}
		}
	}
	return true
}
