package txn

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"github.com/cleancut/cleancut/harness/history"
)

// FromOperations reads a history of transactions out of client operations. A
// transaction is an operation whose value is a list of micro-operations, each
// the list of a function, a key and a value, as Jepsen has it; its F is no
// matter, as with Elle:
//
//	["append" 1 2]   ["w" "x" 2]   ["r" 1 [1 2]]   ["r" "x" 2]   ["r" "x" nil]
//
// A key is anything but nil. What an ok operation did is its Output; of others,
// and where that is nil, it is the Input, and the results of reads are left out. A transaction's ID is the index of its completion, or
// of its invocation where it has none. An operation that is no transaction
// is an error that names it.
func FromOperations(workload Workload, ops []history.Operation) (*History, error) {
	return convert(context.Background(), workload, ops, newMemory(math.MaxInt64))
}

// convert is FromOperations within a bound of memory.
func convert(ctx context.Context, workload Workload, ops []history.Operation, m *memory) (*History, error) {
	if err := m.take(int64(len(ops))*txnBytes, "%d transactions", len(ops)); err != nil {
		return nil, err
	}
	c := converter{h: &History{Workload: workload, Txns: make([]Txn, 0, len(ops))}, keys: map[string]int32{}, names: map[string]Value{}, memory: m}
	for i := range ops {
		if i%pollTxns == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		t, err := c.txn(&ops[i])
		if err != nil {
			return nil, fmt.Errorf("operation %d (%s): %w", ops[i].Call, ops[i].F, err)
		}
		c.h.Txns = append(c.h.Txns, t)
	}
	return c.h, nil
}

type converter struct {
	h     *History
	keys  map[string]int32
	ints  map[int64]int32
	names map[string]Value
	// memory pays for what is read.
	memory *memory
}

func (c *converter) txn(o *history.Operation) (Txn, error) {
	t := Txn{ID: o.Return, Process: o.Process, Invoke: o.Call, Complete: o.Return, Start: o.Invoked, End: o.Completed}
	if o.Return < 0 {
		t.ID = o.Call
	}
	value, told := o.Input, false
	switch o.Outcome {
	case history.OK:
		t.Status = OK
		if told = !o.Output.IsNil(); told {
			value = o.Output
		}
	case history.Fail:
		t.Status = Fail
	default:
		t.Status = Info
	}
	mops, ok := value.AsList()
	if !ok && (!value.IsNil() || o.F != "txn" && o.F != "") {
		return t, fmt.Errorf("its value %s is not a list of micro-operations", value)
	}
	if err := c.memory.take(int64(len(mops))*opBytes, "its %d micro-operations", len(mops)); err != nil {
		return t, err
	}
	t.Ops = make([]Op, 0, len(mops))
	for _, m := range mops {
		op, err := c.op(m, told)
		if err != nil {
			return t, fmt.Errorf("micro-operation %s: %w", m, err)
		}
		if t.Status == OK && !told && op.Kind == Read {
			continue // it succeeded, and nobody knows what it returned
		}
		t.Ops = append(t.Ops, op)
	}
	return t, nil
}

// op reads a micro-operation, and the result of a read if that was told.
func (c *converter) op(m history.Value, told bool) (Op, error) {
	parts, ok := m.AsList()
	if !ok || len(parts) < 2 || len(parts) > 3 {
		return Op{}, fmt.Errorf("expected a list [function key value]")
	}
	f, _ := parts[0].AsString()
	key, err := c.key(parts[1])
	if err != nil {
		return Op{}, err
	}
	o := Op{Key: key, Kind: Read}
	var v history.Value
	if len(parts) == 3 {
		v = parts[2]
	}
	list := c.h.Workload == ListAppend
	switch {
	case f == "append" && list:
		o.Kind = Append
	case f == "w" && !list:
		o.Kind = Write
	case f != "r":
		return o, fmt.Errorf("the workload %s has no function %s", c.h.Workload, parts[0])
	case !told:
		return o, nil
	case list:
		o.List, err = c.list(v)
		return o, err
	}
	if o.Kind != Read && v.IsNil() {
		return o, fmt.Errorf("nil cannot be written: it is what a key holds at first")
	}
	o.Value, err = c.value(v)
	return o, err
}

// list returns the elements of a list that was read. Integers are not copied,
// if the history keeps them as such.
func (c *converter) list(v history.Value) (list []Value, err error) {
	if v.Kind() != history.KindList && !v.IsNil() {
		return nil, fmt.Errorf("a read of a list returns a list or nil")
	}
	if ns, ok := v.Ints(); ok {
		for _, n := range ns {
			if Value(n) < lastName {
				return nil, tooLow(n)
			}
		}
		return unsafe.Slice((*Value)(unsafe.SliceData(ns)), len(ns)), nil
	}
	if err := c.memory.take(int64(v.Len())*8+8, "its %d elements", v.Len()); err != nil {
		return nil, err
	}
	list = make([]Value, v.Len())
	for i, e := range v.Elements() {
		if list[i], err = c.value(e); err != nil {
			return list, err
		}
	}
	return list, nil
}

func tooLow(n int64) error {
	return fmt.Errorf("the value %d is below the least that can be judged, %d", n, int64(lastName))
}

func (c *converter) key(v history.Value) (int32, error) {
	if v.IsNil() {
		return 0, fmt.Errorf("nil is no key")
	}
	if n, ok := v.AsInt(); ok {
		if k, ok := c.ints[n]; ok {
			return k, nil
		}
		if c.ints == nil {
			c.ints = map[int64]int32{}
		}
		if err := c.memory.take(nameBytes, "the %d keys", len(c.h.Keys)+1); err != nil {
			return 0, err
		}
		c.ints[n] = int32(len(c.h.Keys))
		c.h.Keys, c.h.keys = append(c.h.Keys, v.String()), append(c.h.keys, v)
		return c.ints[n], nil
	}
	name, quoted := text(v, c.keys)
	if k, ok := c.keys[quoted]; ok {
		return k, nil
	}
	if err := c.memory.take(nameBytes+int64(len(quoted)), "the %d keys", len(c.h.Keys)+1); err != nil {
		return 0, err
	}
	k := int32(len(c.h.Keys))
	c.keys[quoted] = k
	c.h.Keys, c.h.keys = append(c.h.Keys, name), append(c.h.keys, v)
	return k, nil
}

// text returns how v is printed, and what tells it from all other values, by
// which known has those before it. Strings and keywords that begin with a
// letter are printed bare, but where another value might be printed the same.
func text[T any](v history.Value, known map[string]T) (name, unique string) {
	unique = v.String()
	s, ok := v.AsString()
	if !ok {
		return unique, unique
	}
	other := strconv.Quote(s)
	if v.Kind() == history.KindString {
		other = ":" + s
	}
	if _, met := known[other]; met {
		return unique, unique
	}
	if first, _ := utf8.DecodeRuneInString(s); !unicode.IsLetter(first) || slices.Contains([]string{"nil", "true", "false", "NaN"}, s) {
		return unique, unique
	}
	return s, unique
}

// lastName bounds the names, so that names and integers cannot be confused.
const lastName = firstName + 1<<31

func (c *converter) value(v history.Value) (Value, error) {
	if v.IsNil() {
		return Nil, nil
	}
	if n, ok := v.AsInt(); ok {
		if Value(n) < lastName {
			return 0, tooLow(n)
		}
		return Value(n), nil
	}
	name, unique := text(v, c.names)
	if id, ok := c.names[unique]; ok {
		return id, nil
	}
	id := firstName + Value(len(c.h.Names))
	if id >= lastName {
		return 0, fmt.Errorf("more than %d different values that are no integers", int64(lastName-firstName))
	}
	if err := c.memory.take(nameBytes+int64(len(unique)), "the %d values that are no integers", len(c.h.Names)+1); err != nil {
		return 0, err
	}
	c.names[unique] = id
	c.h.Names, c.h.names = append(c.h.Names, name), append(c.h.names, v)
	return id, nil
}
