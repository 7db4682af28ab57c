package linear

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/cleancut/cleancut/checkers/linear/search"
	"github.com/cleancut/cleancut/harness/history"
)

// never is the return of an operation that may take effect at any time.
const never = search.Never

type kind uint8

const (
	read    kind = iota // returned value
	write               // set value; a delete is a write of nil
	cas                 // found expect, set value
	differs             // found something else than expect
)

// op is an operation on one register in a form that is quick to search.
type op struct {
	kind          kind
	maybe         bool  // of unknown outcome: it may have happened or not
	expect, value int32 // ids of values
	source        int32 // index in Evidence.Operations
	call, ret     int64 // indices of events; ret is never for maybe, but for limits
}

// observes returns the value that o found, if it found one.
func (o *op) observes() (int32, bool) {
	switch o.kind {
	case read:
		return o.value, true
	case cas:
		return o.expect, true
	}
	return 0, false
}

// problem is the history of one key.
type problem struct {
	key     string
	initial int32
	ops     []op // in order of call: neither failed ones nor useless ones
	values  []*history.Value
	failed  []failedWrite
	// refused are cas that found something else than they expected, and whole
	// is ops before those that nobody needs were removed; nil if there are no
	// refused ones, which may need them.
	refused, whole []op
}

// failedWrite is a write that certainly did not happen.
type failedWrite struct {
	value, source int32
}

// interner numbers the values of a key. Nil is always number 0.
type interner struct {
	dense  []int32 // of numbers below limit, 0 if unknown
	limit  int64
	ints   map[int64]int32
	others map[string]int32
	values []*history.Value // in the history
	buf    []byte
	// longest is the longest list so far, longestIDs its numbers.
	longest    history.Value
	longestIDs []int32
	made       []history.Value // of integers that the history has in lists alone
	// memory is what strangers may take, and most how many values that makes
	// for the key that is being read.
	memory int64
	most   int
	// ctx is until when the key may be read.
	ctx context.Context
}

// newInterner returns an interner for a history of so many operations.
// Numbers below a few times as many are looked up in a table, not in a map.
func newInterner(operations int) *interner {
	return &interner{limit: 4 * int64(operations), ints: map[int64]int32{}, others: map[string]int32{}, values: []*history.Value{&null}, memory: math.MaxInt64, ctx: context.Background()}
}

func (in *interner) reset() {
	for _, v := range in.values {
		if n, ok := v.AsInt(); ok && n >= 0 && n < in.limit {
			in.dense[n] = 0
		}
	}
	clear(in.ints)
	clear(in.others)
	in.values = []*history.Value{&null}
	in.longest, in.longestIDs = history.Nil, nil
}

// readAtOnce is how many operations of a key are read between two looks at the
// time.
const readAtOnce = 4096

// late says, before the i-th operation of a key, that the time is over.
func (in *interner) late(i int) error {
	if i%readAtOnce == 0 && in.ctx.Err() != nil {
		return errTime
	}
	return nil
}

// null is the value with number 0.
var null = history.Nil

// id returns the number of a value, which it keeps a pointer to.
func (in *interner) id(v *history.Value) int32 {
	if v.IsNil() {
		return 0
	}
	next := int32(len(in.values))
	if n, ok := v.AsInt(); ok {
		if id := in.number(n, next); id != next {
			return id
		}
	} else {
		in.buf = v.AppendJSON(in.buf[:0])
		if id, ok := in.others[string(in.buf)]; ok {
			return id
		}
		in.others[string(in.buf)] = next
	}
	in.values = append(in.values, v)
	return next
}

// number returns the number of an integer, which is next if it had none.
func (in *interner) number(n int64, next int32) int32 {
	if n >= 0 && n < in.limit {
		if n >= int64(len(in.dense)) {
			in.dense = append(in.dense, make([]int32, n+1-int64(len(in.dense))+int64(len(in.dense)/2))...)
		}
		if in.dense[n] == 0 {
			in.dense[n] = next
		}
		return in.dense[n]
	}
	if id, ok := in.ints[n]; ok {
		return id
	}
	in.ints[n] = next
	return next
}

// madeAtOnce is how many values are made room for at once.
const madeAtOnce = 64

// ofInt is id of an integer that is not in a value.
func (in *interner) ofInt(n int64) int32 {
	next := int32(len(in.values))
	if id := in.number(n, next); id != next {
		return id
	}
	if len(in.made) == cap(in.made) {
		in.made = make([]history.Value, 0, madeAtOnce)
	}
	in.made = append(in.made, history.Int(n))
	in.values = append(in.values, &in.made[len(in.made)-1])
	return next
}

// compile turns the operations of one key, given by their indices in order of
// invocation, into a problem.
func compile(in *interner, key string, spec Spec, all []history.Operation, indices []int32) (*problem, error) {
	in.reset()
	p := &problem{key: key, initial: in.id(&spec.Initial), ops: make([]op, 0, len(indices))}
	for i, at := range indices {
		if err := in.late(i); err != nil {
			return nil, err
		}
		h := &all[at]
		o := op{call: h.Call, ret: h.Return, source: at}
		if h.Outcome == history.Info {
			o.maybe, o.ret = true, never
		}
		switch h.F {
		case Read:
			if h.Outcome != history.OK || spec.NilReads && h.Output.IsNil() {
				continue // it changed nothing and says nothing
			}
			o.value = in.id(&h.Output)
		case Write:
			o.kind, o.value = write, in.id(&h.Input)
		case Delete:
			o.kind = write
		case CAS:
			pair, ok := h.Input.AsList()
			if !ok || len(pair) != 2 || h.Input.Kind() != history.KindList {
				return nil, fmt.Errorf("the cas at event %d has the argument %s; expected a list [expected new]", h.Call, h.Input)
			}
			o.kind, o.expect, o.value = cas, in.id(&pair[0]), in.id(&pair[1])
		default:
			return nil, fmt.Errorf("the function %q at event %d is not part of the specification; expected %s, %s, %s or %s", h.F, h.Call, Read, Write, CAS, Delete)
		}
		if h.Outcome == history.Fail && h.F == CAS && spec.Mismatch != "" && h.Error == spec.Mismatch {
			x := o
			x.kind = differs
			p.refused = append(p.refused, x)
		}
		if h.Outcome == history.Fail {
			p.failed = append(p.failed, failedWrite{o.value, at})
			continue
		}
		p.ops = append(p.ops, o)
	}
	p.values = in.values
	if p.refused != nil {
		p.whole = slices.Clone(p.ops)
	}
	p.ops = prune(p.ops, len(p.values))
	return p, nil
}

// prune removes operations of unknown outcome that set a value which nobody
// needs: no read returned it, and no cas that can matter expected it. This is
// exact, whether or not values are unique. If the rest can be linearized, so
// can the whole: what was removed need not have happened. And if the whole
// can, then so can the rest: without the removed operations the register
// holds another value only during spans in which it held one that nobody
// needs, so that in these spans nothing but blind writes took effect.
func prune(ops []op, values int) []op {
	needed := make([]bool, values)
	useful, chained := false, false
	for i := range ops {
		o := &ops[i]
		if o.maybe {
			useful, chained = true, chained || o.kind == cas
			continue
		}
		if v, ok := o.observes(); ok {
			needed[v] = true
		}
	}
	if !useful {
		return ops
	}
	if chained {
		spread(ops, needed)
	}
	kept := ops[:0]
	for _, o := range ops {
		if !o.maybe || needed[o.value] {
			kept = append(kept, o)
		}
	}
	return kept
}

// spread adds to the values that are needed what a cas of unknown outcome
// expected whose new value is.
func spread(ops []op, needed []bool) {
	x := settersOf(ops, len(needed), func(o *op) bool { return o.maybe && o.kind == cas })
	var todo []int32
	for v := range needed {
		if needed[v] && x.last[v] != 0 {
			todo = append(todo, int32(v))
		}
	}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for at := range x.of(v) {
			if e := ops[at].expect; !needed[e] {
				needed[e] = true
				todo = append(todo, e)
			}
		}
	}
}

// setters are operations by the value that they set, as chains from the last
// to the first. Numbers are indices plus 1, 0 if there is none.
type setters struct {
	last   []int32 // value → operation
	before []int32 // operation → the one before it that sets the same value
}

func settersOf(ops []op, values int, which func(*op) bool) setters {
	x := setters{make([]int32, values), make([]int32, len(ops))}
	for i := range ops {
		if v := ops[i].value; which(&ops[i]) {
			x.before[i], x.last[v] = x.last[v], int32(i)+1
		}
	}
	return x
}

// of goes through the operations that set a value.
func (x setters) of(v int32) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for at := x.last[v]; at != 0 && yield(at-1); at = x.before[at-1] {
		}
	}
}

// tighten gives a definite return to operations of unknown outcome that
// certainly happened: if an operation that is certain found a value that only
// one other can have set, that other one took effect before the first such
// finding ended. This is exact and spares the search a doubling each. The
// result is a copy if anything changed.
func tighten(ops []op, initial int32, values int) []op {
	if !slices.ContainsFunc(ops, func(o op) bool { return o.maybe }) {
		return ops
	}
	ops = slices.Clone(ops)
	writer := soleWriters(ops, initial, values)
	order := make([]int, len(ops))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(ops[a].ret, ops[b].ret) })
	for _, i := range order {
		if ops[i].maybe {
			continue
		}
		v, ok := ops[i].observes()
		for ret := ops[i].ret; ok && writer[v] >= 0; {
			w := &ops[writer[v]]
			if !w.maybe || ret < w.call {
				break
			}
			// A cas that is certain makes the value that it expected found.
			w.maybe, w.ret = false, min(w.ret, ret)
			v, ok = w.observes()
		}
	}
	return ops
}

// Markers of soleWriters.
const (
	noWriter    = -1
	manyWriters = -2
)

// soleWriters returns for each value the index of the only operation that may
// have set it. The initial value counts as set by someone else.
func soleWriters(ops []op, initial int32, values int) []int {
	writer := make([]int, values)
	for i := range writer {
		writer[i] = noWriter
	}
	writer[initial] = manyWriters
	for i := range ops {
		switch v := ops[i].value; {
		case ops[i].kind == read || ops[i].kind == differs:
		case writer[v] == noWriter:
			writer[v] = i
		default:
			writer[v] = manyWriters
		}
	}
	return writer
}
