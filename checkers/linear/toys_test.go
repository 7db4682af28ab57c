package linear

import (
	"math/rand/v2"
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// toy is the specification of an object for brute force. It shares no code
// with the rules.
type toy struct {
	workload string
	initial  history.Value // of Object
	start    history.Value // state
	// draw chooses an operation for a process that knows what it did last.
	draw func(r *rand.Rand, fresh func() history.Value, held int) (f string, in history.Value)
	// run executes an operation. It reports false if it must fail.
	run func(state history.Value, f string, in history.Value) (next, out history.Value, ok bool)
	// lie replaces a result, nil if results say nothing.
	lie func(r *rand.Rand, o *history.Operation)
	// tells is whether an ok operation with this output can have done what
	// run did; the default compares outputs.
	tells func(o history.Operation, out history.Value) bool
}

func items(v history.Value) []history.Value { list, _ := v.AsList(); return list }

// wholeOf is the part of the first key.
func wholeOf(ops []history.Operation) part {
	parts, _ := group(ops, false)
	return parts[0]
}

func number(v history.Value) int64 { n, _ := v.AsInt(); return n }

func with(list history.Value, v history.Value) history.Value {
	return history.List(append(slices.Clone(items(list)), v)...)
}

func has(list, v history.Value) bool { return slices.ContainsFunc(items(list), v.Equal) }

func small(r *rand.Rand, n int) history.Value { return history.Int(1 + int64(r.IntN(n))) }

// jumble changes a list: drops an element, adds one, or exchanges two.
func jumble(r *rand.Rand, o *history.Operation) {
	list := slices.Clone(items(o.Output))
	switch n := len(list); {
	case n > 0 && r.IntN(3) > 0:
		at := r.IntN(n)
		list = slices.Delete(list, at, at+1)
	case n > 1 && r.IntN(2) == 0:
		list[0], list[n-1] = list[n-1], list[0]
	default:
		list = append(list, small(r, 6))
	}
	o.Output = history.List(list...)
}

func sortedInts(v history.Value) []int64 {
	var ns []int64
	for _, x := range items(v) {
		ns = append(ns, number(x))
	}
	slices.Sort(ns)
	return ns
}

func setToy(name string, remove, whole bool) toy {
	return toy{
		workload: "set", start: history.List(),
		draw: func(r *rand.Rand, fresh func() history.Value, _ int) (string, history.Value) {
			v := fresh()
			if !whole && r.IntN(3) > 0 || r.IntN(6) == 0 {
				v = small(r, 3)
			}
			switch c := r.IntN(4); {
			case c < 2 && whole:
				return Read, history.Nil
			case c < 2:
				return Contains, v
			case c == 2 && remove:
				return Remove, v
			}
			return Add, v
		},
		run: func(s history.Value, f string, in history.Value) (history.Value, history.Value, bool) {
			switch f {
			case Read:
				return s, s, true
			case Contains:
				return s, history.Bool(has(s, in)), true
			case Remove:
				return history.List(slices.DeleteFunc(slices.Clone(items(s)), in.Equal)...), in, true
			}
			if has(s, in) {
				return s, in, true
			}
			return with(s, in), in, true
		},
		lie: func(r *rand.Rand, o *history.Operation) {
			if b, ok := o.Output.AsBool(); ok {
				o.Output = history.Bool(!b)
			} else if o.F == Read {
				jumble(r, o)
			}
		},
		tells: func(o history.Operation, out history.Value) bool {
			switch o.F {
			case Read:
				return slices.Equal(sortedInts(o.Output), sortedInts(out))
			case Contains:
				return o.Output.Equal(out)
			}
			return true
		},
	}
}

func lockToy(workload string, permits int64, wellFormed bool) toy {
	t := toy{
		workload: workload, start: history.Int(permits),
		draw: func(r *rand.Rand, _ func() history.Value, held int) (string, history.Value) {
			if held > 0 && r.IntN(4) > 0 || !wellFormed && r.IntN(3) == 0 {
				return Release, history.Nil
			}
			return Acquire, history.Nil
		},
		run: func(s history.Value, f string, _ history.Value) (history.Value, history.Value, bool) {
			n := number(s)
			if f == Release {
				return history.Int(n + 1), history.Nil, n < permits
			}
			return history.Int(n - 1), history.Nil, n > 0
		},
		lie:   func(_ *rand.Rand, o *history.Operation) { o.Outcome = history.OK },
		tells: func(history.Operation, history.Value) bool { return true },
	}
	if workload == "semaphore" {
		t.initial = history.Int(permits)
	}
	return t
}

func counterToy(deltas ...int64) toy {
	return toy{
		workload: "counter", start: history.Int(2), initial: history.Int(2),
		draw: func(r *rand.Rand, _ func() history.Value, _ int) (string, history.Value) {
			if r.IntN(2) == 0 {
				return Read, history.Nil
			}
			return Add, history.Int(deltas[r.IntN(len(deltas))])
		},
		run: func(s history.Value, f string, in history.Value) (history.Value, history.Value, bool) {
			if f == Read {
				return s, s, true
			}
			return history.Int(number(s) + number(in)), in, true
		},
		lie: func(r *rand.Rand, o *history.Operation) {
			if o.F == Read {
				o.Output = history.Int(number(o.Output) + int64(r.IntN(3)) - 1)
			}
		},
	}
}

var toys = map[string]toy{
	"grow-only set":       setToy("grow-only", false, true),
	"set with removes":    setToy("members", true, false),
	"set read and pruned": setToy("whole", true, true),
	"list": {
		workload: "list", start: history.List(),
		draw: func(r *rand.Rand, fresh func() history.Value, _ int) (string, history.Value) {
			if r.IntN(2) == 0 {
				return Read, history.Nil
			}
			if r.IntN(20) == 0 {
				return Append, small(r, 2)
			}
			return Append, fresh()
		},
		run: func(s history.Value, f string, in history.Value) (history.Value, history.Value, bool) {
			if f == Read {
				return s, s, true
			}
			return with(s, in), in, true
		},
		lie: func(r *rand.Rand, o *history.Operation) {
			if o.F == Read {
				jumble(r, o)
			}
		},
	},
	"queue": {
		workload: "queue", start: history.List(),
		draw: func(r *rand.Rand, fresh func() history.Value, _ int) (string, history.Value) {
			if r.IntN(2) == 0 {
				return Dequeue, history.Nil
			}
			if r.IntN(30) == 0 {
				return Enqueue, small(r, 2)
			}
			return Enqueue, fresh()
		},
		run: func(s history.Value, f string, in history.Value) (history.Value, history.Value, bool) {
			list := items(s)
			switch {
			case f == Enqueue:
				return with(s, in), in, true
			case len(list) == 0:
				return s, history.Nil, true
			}
			return history.List(list[1:]...), list[0], true
		},
		lie: func(r *rand.Rand, o *history.Operation) {
			if o.F == Dequeue {
				if o.Output = small(r, 4); r.IntN(3) == 0 {
					o.Output = history.Nil
				}
			}
		},
	},
	"counter by one":     counterToy(1),
	"counter by two":     counterToy(-2),
	"counter at large":   counterToy(1, 3, -2),
	"mutex":              lockToy("mutex", 1, true),
	"careless mutex":     lockToy("mutex", 1, false),
	"semaphore":          lockToy("semaphore", 2, true),
	"careless semaphore": lockToy("semaphore", 2, false),
	"fencing": {
		workload: "fencing", start: history.List(history.Int(0), history.Int(0)),
		draw: func(r *rand.Rand, _ func() history.Value, held int) (string, history.Value) {
			if r.IntN(2) == 0 {
				return Acquire, history.Nil
			}
			return Write, history.List(small(r, 3), history.String("x"))
		},
		run: func(s history.Value, f string, in history.Value) (history.Value, history.Value, bool) {
			last, top := items(s)[0], items(s)[1]
			if f == Acquire {
				next := history.Int(number(last) + 1)
				return history.List(next, top), next, true
			}
			token := items(in)[0]
			return history.List(last, token), in, number(token) >= number(top)
		},
		lie: func(r *rand.Rand, o *history.Operation) {
			if o.F == Acquire {
				o.Output = small(r, 5)
			}
			o.Outcome = history.OK
		},
	},
	"multi-register": {
		workload: "multi-register", initial: history.Int(0), start: history.List(history.Int(0), history.Int(0)),
		draw: func(r *rand.Rand, fresh func() history.Value, _ int) (string, history.Value) {
			var steps []history.Value
			for range 1 + r.IntN(2) {
				v := small(r, 3)
				if r.IntN(2) == 0 {
					steps = append(steps, history.List(history.String("read"), history.Int(int64(r.IntN(2))), history.Nil))
				} else {
					steps = append(steps, history.List(history.String("w"), history.Int(int64(r.IntN(2))), v))
				}
			}
			return Txn, history.List(steps...)
		},
		run: func(s history.Value, _ string, in history.Value) (history.Value, history.Value, bool) {
			state := slices.Clone(items(s))
			var out []history.Value
			for _, step := range items(in) {
				p := slices.Clone(items(step))
				if at := number(p[1]); p[0].Equal(history.String("read")) {
					p[2] = state[at]
				} else {
					state[at] = p[2]
				}
				out = append(out, history.List(p...))
			}
			return history.List(state...), history.List(out...), true
		},
		lie: func(r *rand.Rand, o *history.Operation) {
			var out []history.Value
			for _, step := range items(o.Output) {
				p := slices.Clone(items(step))
				if p[0].Equal(history.String("read")) {
					p[2] = history.Int(int64(r.IntN(4)))
				}
				out = append(out, history.List(p...))
			}
			o.Output = history.List(out...)
		},
	},
}
