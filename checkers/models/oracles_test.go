package models

import (
	"math/rand/v2"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// The oracles here follow the words of each definition, one pair or triple of
// operations after the other, and share no code with the checkers.

// drawSet draws adds, of which one that failed may be tried again, and reads.
func drawSet(next *int64) func(r *rand.Rand) history.Operation {
	var failed []int64
	return func(r *rand.Rand) history.Operation {
		if r.IntN(2) > 0 {
			return history.Operation{F: Read, Output: subset(r, int(*next)), Outcome: outcome(r)}
		}
		v := *next
		if n := len(failed); n > 0 && r.IntN(2) == 0 {
			v, failed = failed[n-1], failed[:n-1]
		} else {
			*next++
		}
		o := history.Operation{F: Add, Input: history.Int(v), Outcome: outcome(r)}
		if o.Outcome == history.Fail {
			failed = append(failed, v)
		}
		return o
	}
}

// unborn reports whether an ok read has a value that no operation of this
// function that did not fail had begun to bring in when the read was over.
func unborn(ops []history.Operation, f string) bool {
	for _, r := range ops {
		if r.F != Read || r.Outcome != history.OK {
			continue
		}
		list, _ := r.Output.AsList()
		for _, v := range list {
			if !slices.ContainsFunc(ops, func(o history.Operation) bool {
				return o.F == f && o.Outcome != history.Fail && o.Input.Equal(v) && o.Call < r.Return
			}) {
				return true
			}
		}
	}
	return false
}

func has(v, x history.Value) bool {
	list, _ := v.AsList()
	return slices.ContainsFunc(list, x.Equal)
}

// setOracle follows the words of SetFull for each element and read.
func setOracle(ops []history.Operation, linearizable bool) checkers.Validity {
	if unborn(ops, Add) {
		return checkers.Invalid
	}
	stable, stale := 0, 0
	for _, add := range ops {
		if add.F != Add || add.Outcome == history.Fail {
			continue
		}
		known := never
		if add.Outcome == history.OK {
			known = add.Return
		}
		present, absent := int64(-1), int64(-1)
		for _, r := range ops {
			if r.F != Read || r.Outcome != history.OK {
				continue
			}
			if has(r.Output, add.Input) {
				known, present = min(known, r.Return), max(present, r.Call)
			} else if r.Return > add.Call {
				absent = max(absent, r.Call)
			}
		}
		switch {
		case present > absent:
			stable++
			if absent > known {
				stale++
			}
		case known != never && absent > known:
			return checkers.Invalid
		}
	}
	switch {
	case stable == 0:
		return checkers.Unknown
	case linearizable && stale > 0:
		return checkers.Invalid
	}
	return checkers.Valid
}

func drawCounter(*int64) func(r *rand.Rand) history.Operation {
	return func(r *rand.Rand) history.Operation {
		if r.IntN(2) == 0 {
			return history.Operation{F: Add, Input: history.Int(r.Int64N(5) - 1), Outcome: outcome(r)}
		}
		return history.Operation{F: Read, Output: history.Int(r.Int64N(6)), Outcome: outcome(r)}
	}
}

func counterOracle(ops []history.Operation) checkers.Validity {
	verdict := checkers.Unknown
	for i := range ops {
		r := &ops[i]
		if r.F != Read || r.Outcome != history.OK {
			continue
		}
		if verdict == checkers.Unknown {
			verdict = checkers.Valid
		}
		low, high := int64(0), int64(0)
		for j := range ops {
			a := &ops[j]
			n, _ := a.Input.AsInt()
			switch {
			case a.F != Add || a.Outcome == history.Fail || a.Call > r.Return:
			case precedes(a, r):
				low, high = low+n, high+n
			default:
				low, high = low+min(n, 0), high+max(n, 0)
			}
		}
		if v, _ := r.Output.AsInt(); v < low || v > high {
			return checkers.Invalid
		}
	}
	return verdict
}

func drawReverse(next *int64) func(r *rand.Rand) history.Operation {
	draw := drawSet(next)
	return func(r *rand.Rand) history.Operation {
		o := draw(r)
		if o.F == Add {
			o.F = Write
		}
		return o
	}
}

func reverseOracle(ops []history.Operation) checkers.Validity {
	if unborn(ops, Write) {
		return checkers.Invalid
	}
	verdict := checkers.Unknown
	for _, r := range ops {
		if r.F != Read || r.Outcome != history.OK {
			continue
		}
		if verdict == checkers.Unknown {
			verdict = checkers.Valid
		}
		for i := range ops {
			for j := range ops {
				a, b := &ops[i], &ops[j]
				if a.F == Write && b.F == Write && a.Outcome == history.OK && precedes(a, b) && has(r.Output, b.Input) && !has(r.Output, a.Input) {
					return checkers.Invalid
				}
			}
		}
	}
	return verdict
}

// drawFork draws writes of keys 0 to 2, each once, and reads of two or three of
// them. A read may show a value that nobody wrote yet: that is not judged.
func drawFork(next *int64) func(r *rand.Rand) history.Operation {
	return func(r *rand.Rand) history.Operation {
		var mops []history.Value
		if *next < 3 && r.IntN(4) == 0 {
			*next++
			mops = append(mops, history.List(history.Keyword("w"), history.Int(*next-1), history.Int(1)))
		} else {
			from := r.IntN(2)
			for k := from; k < 3; k++ {
				v := history.Nil
				if r.IntN(4) > 0 {
					v = history.Int(1)
				}
				mops = append(mops, history.List(history.Keyword("r"), history.Int(int64(k)), v))
			}
		}
		return history.Operation{F: Txn, Input: history.List(mops...), Output: history.List(mops...), Outcome: outcome(r)}
	}
}

// forkOracle tries, for each group of keys that is read, every order of the
// writes: some order must explain all its reads.
func forkOracle(ops []history.Operation) checkers.Validity {
	verdict := checkers.Unknown
	groups := map[string][][]bool{} // keys → reads → which of them were there
	for _, o := range ops {
		if o.Outcome != history.OK {
			continue
		}
		keys, seen := "", []bool{false, false, false}
		list, _ := o.Output.AsList()
		for _, v := range list {
			mop, _ := v.AsList()
			if f, _ := mop[0].AsString(); f == "r" {
				k, _ := mop[1].AsInt()
				keys += mop[1].String()
				seen[k] = !mop[2].IsNil()
			}
		}
		if keys != "" {
			verdict = checkers.Valid
			groups[keys] = append(groups[keys], seen)
		}
	}
	for keys, reads := range groups {
		order := make([]int, len(keys))
		for i := range keys {
			order[i] = int(keys[i] - '0')
		}
		if !orders(order, func(order []int) bool {
			for _, seen := range reads {
				for i := 1; i < len(order); i++ {
					if seen[order[i]] && !seen[order[i-1]] {
						return false
					}
				}
			}
			return true
		}) {
			return checkers.Invalid
		}
	}
	return verdict
}

func drawMonotonic(next *int64) func(r *rand.Rand) history.Operation {
	return func(r *rand.Rand) history.Operation {
		var pairs []history.Pair
		*next += r.Int64N(2)
		for _, name := range []string{"x", "y", "z"} {
			v := history.Int(*next + r.Int64N(2))
			if r.IntN(8) == 0 {
				v = history.Nil
			}
			if r.IntN(3) > 0 {
				pairs = append(pairs, history.Pair{Key: history.Keyword(name), Value: v})
			}
		}
		m, _ := history.Map(pairs...)
		return history.Operation{F: Read, Output: m, Outcome: outcome(r)}
	}
}

// monotonicOracle tries every order of the reads that agrees with real time: in
// one of them no name may go back.
func monotonicOracle(ops []history.Operation) checkers.Validity {
	var reads []int
	for i, o := range ops {
		if o.F == Read && o.Outcome == history.OK {
			reads = append(reads, i)
		}
	}
	if len(reads) == 0 {
		return checkers.Unknown
	}
	if orders(reads, func(order []int) bool {
		last := map[string]history.Value{}
		for at, i := range order {
			for _, j := range order[at+1:] {
				if precedes(&ops[j], &ops[i]) {
					return false
				}
			}
			pairs, _ := ops[i].Output.AsMap()
			for _, p := range pairs {
				name := p.Key.String()
				if before, ok := last[name]; ok && !before.IsNil() && (p.Value.IsNil() || p.Value.Compare(before) < 0) {
					return false
				}
				last[name] = p.Value
			}
		}
		return true
	}) {
		return checkers.Valid
	}
	return checkers.Invalid
}

func drawSkew(*int64) func(r *rand.Rand) history.Operation {
	return func(r *rand.Rand) history.Operation {
		o := history.Operation{F: Insert, Key: string(rune('a' + r.IntN(6))), Input: history.Int(r.Int64N(2)), Outcome: outcome(r)}
		o.Output = o.Input
		return o
	}
}

// skewOracle tries to execute the acknowledged inserts one after the other, each
// of which demands that its key has no row.
func skewOracle(ops []history.Operation) checkers.Validity {
	var acked []int
	for i, o := range ops {
		if o.Outcome == history.OK {
			acked = append(acked, i)
		}
	}
	if orders(acked, func(order []int) bool {
		rows := map[string]bool{}
		for _, i := range order {
			if rows[ops[i].Key] {
				return false
			}
			rows[ops[i].Key] = true
		}
		return true
	}) {
		return checkers.Valid
	}
	return checkers.Invalid
}

func drawIDs(*int64) func(r *rand.Rand) history.Operation {
	return func(r *rand.Rand) history.Operation {
		return history.Operation{F: Generate, Output: history.Int(r.Int64N(20)), Outcome: outcome(r)}
	}
}

func idsOracle(ops []history.Operation) checkers.Validity {
	verdict := checkers.Unknown
	for i, a := range ops {
		if a.Outcome == history.OK && verdict == checkers.Unknown {
			verdict = checkers.Valid
		}
		for _, b := range ops[:i] {
			if a.Outcome == history.OK && b.Outcome == history.OK && a.Output.Equal(b.Output) {
				return checkers.Invalid
			}
		}
	}
	return verdict
}

func drawBank(*int64) func(r *rand.Rand) history.Operation {
	return func(r *rand.Rand) history.Operation {
		if r.IntN(4) == 0 {
			return history.Operation{F: Transfer, Outcome: outcome(r)}
		}
		move := r.Int64N(6) - 1
		pairs := []history.Pair{{Key: history.Int(0), Value: history.Int(move)}, {Key: history.Int(1), Value: history.Int(3 - move)}}
		switch r.IntN(24) {
		case 0:
			pairs[0].Value = history.Int(move + 1)
		case 1:
			pairs[1].Value = history.Nil
		case 2:
			pairs = pairs[:1]
		}
		if move == -1 && r.IntN(2) == 0 {
			pairs = []history.Pair{{Key: history.Int(0), Value: history.Int(3)}, {Key: history.Int(1), Value: history.Int(0)}}
		}
		m, _ := history.Map(pairs...)
		return history.Operation{F: Read, Output: m, Outcome: outcome(r)}
	}
}

// bankOracle says that all reads have the accounts and the sum of the first one.
func bankOracle(ops []history.Operation, total *int64) checkers.Validity {
	verdict, first := checkers.Unknown, map[string]bool(nil)
	var expected int64
	bad := false
	for _, o := range ops {
		if o.F != Read || o.Outcome != history.OK {
			continue
		}
		accounts, sum := map[string]bool{}, int64(0)
		pairs, _ := o.Output.AsMap()
		whole := true
		for _, p := range pairs {
			n, ok := p.Value.AsInt()
			whole = whole && ok
			bad = bad || !ok || n < 0
			sum += n
			accounts[p.Key.String()] = true
		}
		if verdict == checkers.Unknown {
			verdict, first, expected = checkers.Valid, accounts, sum
			if total != nil {
				expected = *total
			}
			if !whole {
				bad = true
			}
		}
		same := len(accounts) == len(first)
		for a := range accounts {
			same = same && first[a]
		}
		bad = bad || !same || whole && sum != expected
	}
	if bad {
		return checkers.Invalid
	}
	return verdict
}
