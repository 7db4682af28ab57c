package txn

import (
	"math/rand/v2"
	"slices"
)

// randomHistory executes a few transactions on a store that keeps some promise or
// none, and spoils a read here and there.
func randomHistory(r *rand.Rand, w Workload, most int) *History {
	h := &History{Workload: w}
	intervals(r, h, 2+r.IntN(most-1))
	value := Value(0)
	keys := int32(1 + r.IntN(3))
	for i := range h.Txns {
		for range 1 + r.IntN(3) {
			op := Op{Kind: Read, Key: r.Int32N(keys), Value: Nil}
			if r.IntN(2) == 0 {
				value++
				op.Kind, op.Value = Append, value
				if w == RWRegister {
					op.Kind = Write
				}
			}
			h.Txns[i].Ops = append(h.Txns[i].Ops, op)
		}
	}
	execute(r, h)
	for i := range h.Txns {
		for j := range h.Txns[i].Ops {
			if op := &h.Txns[i].Ops[j]; op.Kind == Read && r.IntN(12) == 0 {
				spoil(r, h, op, value)
			}
		}
	}
	return h
}

// intervals draws processes, events and outcomes.
func intervals(r *rand.Rand, h *History, n int) {
	processes := 1 + r.IntN(3)
	open := map[int]int{} // process → transaction
	index, nextProcess := int64(0), processes
	active := make([]int, processes)
	for p := range active {
		active[p] = p
	}
	for len(h.Txns) < n || len(open) > 0 {
		i := r.IntN(processes)
		p := active[i]
		t, busy := open[p]
		switch {
		case !busy && len(h.Txns) < n:
			open[p] = len(h.Txns)
			h.Txns = append(h.Txns, Txn{ID: int64(len(h.Txns)), Process: p, Invoke: index, Complete: -1})
		case busy:
			delete(open, p)
			txn := &h.Txns[t]
			txn.Complete = index
			switch r.IntN(10) {
			case 0:
				txn.Status = Fail
			case 1, 2:
				txn.Status = Info
				active[i] = nextProcess
				nextProcess++
			}
		}
		index++
	}
}

// execute fills the reads in.
func execute(r *rand.Rand, h *History) {
	type event struct {
		at  float64
		txn int
		op  int // -1: take a snapshot; len(ops): write
	}
	mode := r.IntN(5)
	var events []event
	for i := range h.Txns {
		t := &h.Txns[i]
		if t.Status == Fail && r.IntN(8) > 0 || t.Status == Info && r.IntN(2) == 0 {
			continue
		}
		from, to := float64(t.Invoke), float64(t.Complete)
		if mode == 2 || mode == 4 || t.Status == Info {
			to += 20 * r.Float64()
		}
		if mode == 2 || mode == 4 {
			from -= 20 * r.Float64()
		}
		point := func() float64 { return from + (to-from)*r.Float64() }
		switch mode {
		case 0, 2: // at once
			at := point()
			events = append(events, event{at, i, -1}, event{at, i, len(t.Ops)})
		case 1: // one micro-operation after the other
			at := make([]float64, len(t.Ops))
			for j := range at {
				at[j] = point()
			}
			slices.Sort(at)
			for j := range at {
				events = append(events, event{at[j], i, j})
			}
		default: // from a snapshot
			a, b := point(), point()
			events = append(events, event{min(a, b), i, -1}, event{max(a, b), i, len(t.Ops)})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	state := map[int32][]Value{}
	for _, e := range events {
		ops := h.Txns[e.txn].Ops
		switch {
		case e.op == -1:
			for j := range ops {
				see(h.Workload, apply(state, ops[:j]), &ops[j])
			}
		case e.op == len(ops):
			state = apply(state, ops)
		default:
			see(h.Workload, state, &ops[e.op])
			state = apply(state, ops[e.op:e.op+1])
		}
	}
}

func see(w Workload, state map[int32][]Value, op *Op) {
	list := state[op.Key]
	switch {
	case op.Kind != Read:
	case w == ListAppend:
		op.List = slices.Clone(list)
	case len(list) > 0:
		op.Value = list[len(list)-1]
	}
}

// spoil changes what a read saw.
func spoil(r *rand.Rand, h *History, op *Op, values Value) {
	if h.Workload == RWRegister {
		op.Value = Value(r.Int64N(int64(values) + 2)) // now and then garbage
		if op.Value == 0 {
			op.Value = Nil
		}
		return
	}
	switch n := len(op.List); {
	case n > 0 && r.IntN(3) > 0:
		op.List = op.List[:r.IntN(n)]
	case n > 1 && r.IntN(2) == 0:
		op.List = slices.Clone(op.List)
		op.List[n-1], op.List[n-2] = op.List[n-2], op.List[n-1]
	default:
		op.List = append(slices.Clone(op.List), Value(1+r.Int64N(int64(values)+1)))
	}
}
