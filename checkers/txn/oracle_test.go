package txn

import (
	"slices"
)

// oracle judges small histories by the definitions of the models, by brute
// force: it tries every set of committed transactions and every order.
type oracle struct {
	h    *History
	rule rule
	on   []bool   // committed
	prec [][]bool // the order that the model keeps
}

// judge reports whether the history satisfies the model.
func judge(h *History, m Model) bool {
	o := &oracle{h: h, rule: rules[m], on: make([]bool, len(h.Txns))}
	o.prec = make([][]bool, len(h.Txns))
	for i := range h.Txns {
		o.prec[i] = make([]bool, len(h.Txns))
		for j := range h.Txns {
			a, b := &h.Txns[i], &h.Txns[j]
			after := a.Status == OK && a.Complete < b.Invoke
			o.prec[i][j] = after && (o.rule.order == realtimeOrder || o.rule.order == processOrder && a.Process == b.Process)
		}
	}
	return o.subsets(0)
}

func (o *oracle) subsets(i int) bool {
	if i == len(o.on) {
		return o.decide()
	}
	switch o.h.Txns[i].Status {
	case OK:
		o.on[i] = true
		return o.subsets(i + 1)
	case Fail:
		o.on[i] = false
		return o.subsets(i + 1)
	}
	for _, on := range []bool{true, false} {
		o.on[i] = on
		if o.subsets(i + 1) {
			return true
		}
	}
	return false
}

func (o *oracle) decide() bool {
	switch o.rule.level {
	case levelPL3:
		return o.serial(map[int32][]Value{}, make([]bool, len(o.on)))
	case levelSI:
		return o.snapshot(map[int32][]Value{}, make([]running, len(o.on)))
	}
	return o.permutations(nil, make([]bool, len(o.on)))
}

// state of a key: the whole list, or all values that a register has had.
func apply(state map[int32][]Value, ops []Op) map[int32][]Value {
	next := map[int32][]Value{}
	for k, v := range state {
		next[k] = v
	}
	for _, op := range ops {
		if op.Kind != Read {
			next[op.Key] = append(slices.Clone(next[op.Key]), op.Value)
		}
	}
	return next
}

// agrees reports whether all reads of an ok transaction are right if it runs
// on state.
func (o *oracle) agrees(state map[int32][]Value, t *Txn) bool {
	if t.Status != OK {
		return true
	}
	for j, op := range t.Ops {
		if op.Kind == Read && !o.sees(apply(state, t.Ops[:j])[op.Key], &t.Ops[j]) {
			return false
		}
	}
	return true
}

func (o *oracle) sees(list []Value, op *Op) bool {
	if o.h.Workload == ListAppend {
		return slices.Equal(list, op.List)
	}
	if len(list) == 0 {
		return op.Value == Nil
	}
	return list[len(list)-1] == op.Value
}

// free reports whether all that must come before t is done.
func (o *oracle) free(t int, done func(int) bool) bool {
	for i := range o.on {
		if o.on[i] && o.prec[i][t] && !done(i) {
			return false
		}
	}
	return true
}

func (o *oracle) serial(state map[int32][]Value, done []bool) bool {
	all := true
	for t := range o.on {
		if !o.on[t] || done[t] {
			continue
		}
		all = false
		if !o.free(t, func(i int) bool { return done[i] }) || !o.agrees(state, &o.h.Txns[t]) {
			continue
		}
		done[t] = true
		if o.serial(apply(state, o.h.Txns[t].Ops), done) {
			return true
		}
		done[t] = false
	}
	return all
}

// running is where a transaction is under snapshot isolation.
type running struct {
	phase int            // 0 not begun, 1 begun, 2 committed
	keys  map[int32]bool // written by others since it began
}

func (o *oracle) snapshot(state map[int32][]Value, at []running) bool {
	all := true
	for t := range o.on {
		if !o.on[t] || at[t].phase == 2 {
			continue
		}
		all = false
		next := slices.Clone(at)
		if at[t].phase == 0 {
			if !o.free(t, func(i int) bool { return at[i].phase == 2 }) || !o.agrees(state, &o.h.Txns[t]) {
				continue
			}
			next[t] = running{1, map[int32]bool{}}
			if o.snapshot(state, next) {
				return true
			}
			continue
		}
		conflict := false
		for _, op := range o.h.Txns[t].Ops {
			conflict = conflict || op.Kind != Read && at[t].keys[op.Key]
		}
		if conflict {
			continue
		}
		next[t].phase = 2
		for u := range next {
			if next[u].phase == 1 {
				keys := map[int32]bool{}
				for k := range next[u].keys {
					keys[k] = true
				}
				for _, op := range o.h.Txns[t].Ops {
					if op.Kind != Read {
						keys[op.Key] = true
					}
				}
				next[u].keys = keys
			}
		}
		if o.snapshot(apply(state, o.h.Txns[t].Ops), next) {
			return true
		}
	}
	return all
}

// permutations tries all orders of commits for the levels that are defined
// by one.
func (o *oracle) permutations(order []int, done []bool) bool {
	all := true
	for t := range o.on {
		if !o.on[t] || done[t] {
			continue
		}
		all = false
		if !o.free(t, func(i int) bool { return done[i] }) {
			continue
		}
		done[t] = true
		if o.permutations(append(order[:len(order):len(order)], t), done) {
			return true
		}
		done[t] = false
	}
	return all && o.commits(order)
}

// commits reports whether reads are right if transactions are committed in
// that order, which is also the order of versions.
func (o *oracle) commits(order []int) bool {
	rank := map[int]int{}
	final := map[int32][]Value{}
	for i, t := range order {
		rank[t] = i
		final = apply(final, o.h.Txns[t].Ops)
	}
	from := func(key int32, v Value) int { // who wrote it
		for _, t := range order {
			for _, op := range o.h.Txns[t].Ops {
				if op.Kind != Read && op.Key == key && op.Value == v {
					return t
				}
			}
		}
		return none
	}
	// wr[t] are the writers that t read from, and reads what it read of them,
	// in order.
	type read struct {
		key    int32
		writer int // none for the initial state
	}
	wr := make([]map[int]bool, len(o.on))
	reads := make([][]read, len(o.on))
	for _, t := range order {
		wr[t] = map[int]bool{}
		if o.h.Txns[t].Status != OK {
			continue
		}
		for j := range o.h.Txns[t].Ops {
			op := &o.h.Txns[t].Ops[j]
			if op.Kind != Read {
				continue
			}
			last, initial := op.Value, op.Value == Nil
			if o.h.Workload == ListAppend {
				if !o.prefix(final[op.Key], op.List) {
					return false
				}
				initial = len(op.List) == 0
				if !initial {
					last = op.List[len(op.List)-1]
				}
			}
			own := slices.ContainsFunc(o.h.Txns[t].Ops[:j], func(p Op) bool { return p.Key == op.Key && p.Kind != Read })
			writer := none
			if !initial {
				if writer = from(op.Key, last); writer == none {
					return o.rule.level == levelPL1 && o.h.Workload == ListAppend
				}
			}
			if o.rule.level == levelPL1 {
				continue
			}
			if writer == t {
				// Only what it wrote before.
				if !slices.ContainsFunc(o.h.Txns[t].Ops[:j], func(p Op) bool { return p.Key == op.Key && p.Kind != Read && p.Value == last }) {
					return false
				}
			} else if writer != none {
				if rank[writer] > rank[t] || !o.lastOf(writer, op.Key, last) {
					return false
				}
				wr[t][writer] = true
			}
			if o.rule.level >= levelRA && !o.consistent(t, j) {
				return false
			}
			if writer != t && !(writer == none && own) {
				reads[t] = append(reads[t], read{op.Key, writer})
			}
		}
	}
	if o.rule.level < levelMAV {
		return true
	}
	writes := func(t int, key int32) bool {
		return slices.ContainsFunc(o.h.Txns[t].Ops, func(p Op) bool { return p.Kind != Read && p.Key == key })
	}
	before := o.happensBefore(order, wr)
	for _, t := range order {
		for i, r := range reads[t] {
			for _, u := range order {
				if u == t || u == r.writer || !writes(u, r.key) {
					continue
				}
				visible := false
				switch o.rule.level {
				case levelMAV:
					visible = slices.ContainsFunc(reads[t][:i], func(p read) bool { return p.writer == u })
				case levelRA:
					visible = wr[t][u] || o.prec[u][t]
				default:
					visible = before[u][t]
				}
				if visible && (r.writer == none || rank[u] > rank[r.writer]) {
					return false
				}
			}
		}
	}
	return true
}

func (o *oracle) prefix(full, list []Value) bool {
	return len(list) <= len(full) && slices.Equal(list, full[:len(list)])
}

func (o *oracle) lastOf(t int, key int32, v Value) bool {
	last := Nil
	for _, op := range o.h.Txns[t].Ops {
		if op.Kind != Read && op.Key == key {
			last = op.Value
		}
	}
	return last == v
}

// consistent reports whether read j of transaction t agrees with what t did
// to the key before.
func (o *oracle) consistent(t, j int) bool {
	ops := o.h.Txns[t].Ops
	var base []Value
	known, own := false, []Value{}
	for i := range ops[:j] {
		if ops[i].Key != ops[j].Key {
			continue
		}
		if ops[i].Kind == Read {
			base, known, own = ops[i].List, true, nil
			if o.h.Workload == RWRegister {
				base = []Value{ops[i].Value}
			}
		} else {
			own = append(own, ops[i].Value)
		}
	}
	if o.h.Workload == RWRegister {
		now := append(slices.Clone(base), own...)
		return len(now) == 0 || now[len(now)-1] == ops[j].Value
	}
	list := ops[j].List
	rest := len(list) - len(own)
	return rest >= 0 && slices.Equal(list[rest:], own) && (!known || slices.Equal(list[:rest], base))
}

// happensBefore is the transitive closure of sessions and reads.
func (o *oracle) happensBefore(order []int, wr []map[int]bool) [][]bool {
	before := make([][]bool, len(o.on))
	for i := range before {
		before[i] = make([]bool, len(o.on))
		for _, t := range order {
			before[i][t] = o.on[i] && (wr[t][i] || o.prec[i][t])
		}
	}
	for k := range before {
		for i := range before {
			for j := range before {
				before[i][j] = before[i][j] || before[i][k] && before[k][j]
			}
		}
	}
	return before
}
