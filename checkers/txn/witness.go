package txn

import (
	"cmp"
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// writers finds who wrote a value.
type writers interface {
	writer(key int32, v Value) (place, bool)
}

func (l *lists) writer(key int32, v Value) (place, bool) {
	n := l.index.get(key, v)
	if n < 0 {
		return place{}, false
	}
	return l.appends[n], true
}

// witness cuts out of a history the micro-operations that show a finding, and
// what those need: of a transaction of which a read is kept, its own earlier
// writes to that key; of each value read, the micro-operation that wrote it.
// What is left out can only constrain the rest further, so what is wrong with
// the witness is wrong with the history.
func witness(h *History, w writers, parts []place) *History {
	keep := map[place]bool{}
	txns := map[int32]bool{}
	var add func(p place)
	add = func(p place) {
		txns[p.txn] = true
		if p.op == none || keep[p] {
			return
		}
		keep[p] = true
		o := &h.Txns[p.txn].Ops[p.op]
		if o.Kind != Read {
			return
		}
		for j := int32(0); j < p.op; j++ {
			if own := &h.Txns[p.txn].Ops[j]; own.Key == o.Key && own.Kind != Read {
				add(place{p.txn, j})
			}
		}
		values := o.List
		if h.Workload == RWRegister {
			values = []Value{o.Value}
		}
		for _, v := range values {
			if q, ok := w.writer(o.Key, v); ok {
				add(q)
			}
		}
	}
	for _, p := range parts {
		add(p)
	}
	cut := &History{Workload: h.Workload, Keys: h.Keys, Names: h.Names, keys: h.keys, names: h.names}
	for t := range txns {
		txn := h.Txns[t]
		txn.Ops = nil
		for j := range h.Txns[t].Ops {
			if keep[place{t, int32(j)}] {
				txn.Ops = append(txn.Ops, h.Txns[t].Ops[j])
			}
		}
		cut.Txns = append(cut.Txns, txn)
	}
	slices.SortFunc(cut.Txns, func(a, b Txn) int {
		return cmp.Or(cmp.Compare(a.Invoke, b.Invoke), cmp.Compare(a.Complete, b.Complete), cmp.Compare(a.ID, b.ID))
	})
	return cut
}

// ToOperations returns a history as client operations, the inverse of
// FromOperations up to the names of functions. Of a history that was made
// otherwise, a key whose name is an integer becomes an integer, and all other
// names become strings.
func (h *History) ToOperations() []history.Operation {
	ops := make([]history.Operation, len(h.Txns))
	for i := range h.Txns {
		t := &h.Txns[i]
		o := history.Operation{Process: t.Process, F: "txn", Invoked: t.Start, Completed: t.End, Call: t.Invoke, Return: t.Complete}
		value := h.value(t)
		o.Input = value
		switch t.Status {
		case OK:
			o.Outcome, o.Output = history.OK, value
		case Fail:
			o.Outcome = history.Fail
		default:
			o.Outcome, o.Completed = history.Info, history.Never
		}
		ops[i] = o
	}
	return ops
}

func (h *History) value(t *Txn) history.Value {
	mops := make([]history.Value, len(t.Ops))
	for j := range t.Ops {
		o := &t.Ops[j]
		f, v := "r", h.scalar(o.Value)
		switch {
		case o.Kind == Append:
			f = "append"
		case o.Kind == Write:
			f = "w"
		case t.Status != OK:
			v = history.Nil
		case h.Workload == ListAppend:
			elements := make([]history.Value, len(o.List))
			for i, e := range o.List {
				elements[i] = h.scalar(e)
			}
			v = history.List(elements...)
		}
		mops[j] = history.List(history.String(f), h.key(o.Key), v)
	}
	return history.List(mops...)
}

func (h *History) scalar(v Value) history.Value {
	if v == Nil {
		return history.Nil
	}
	switch i := uint64(v - firstName); {
	case i < uint64(len(h.names)):
		return h.names[i]
	case i < uint64(len(h.Names)):
		return history.String(h.Names[i])
	}
	return history.Int(int64(v))
}

func (h *History) key(k int32) history.Value {
	if int(k) < len(h.keys) {
		return h.keys[k]
	}
	name := h.KeyName(k)
	var v history.Value
	if err := v.UnmarshalJSON([]byte(name)); err == nil && v.Kind() == history.KindInt {
		return v
	}
	return history.String(name)
}
