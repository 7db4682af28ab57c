package linear

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// cell is a value as a key of tables. The zero cell is nil.
type cell struct {
	n    int64
	text string // JSON of what is not an integer; intCell for integers
}

const intCell = "#"

func cellOf(v *history.Value) cell {
	if n, ok := v.AsInt(); ok {
		return cell{n, intCell}
	}
	if v.IsNil() {
		return cell{}
	}
	return cell{0, string(v.AppendJSON(nil))}
}

func (c cell) String() string {
	switch c.text {
	case "":
		return "nil"
	case intCell:
		return fmt.Sprint(c.n)
	}
	return c.text
}

// numbers is a set of integers: a bit each in words of 64.
type numbers map[int64]uint64

func (s numbers) has(n int64) bool { return s[n>>6]&(1<<(n&63)) != 0 }

// add returns by how many words the set grew.
func (s numbers) add(n int64) int64 {
	before := len(s)
	s[n>>6] |= 1 << (n & 63)
	return int64(len(s) - before)
}

// live is a cluster of a value that may still be read, or whose zone may still
// be in the way of another.
type live struct {
	value cell
	f, s  int64 // first return, never while there is none; last call
	at    int   // its place among the zones, if it is one
	read  bool
	ghost bool // nobody may read it any more
	// write set it, first returned at f, and last was called at s, if that was
	// not write: what a witness needs. There are none where F is "".
	write, first, last history.Operation
}

// streamKey is the state of one register. Let f and s of a cluster be its
// first return and its last call. Two clusters conflict if each must precede
// the other: f(u) < s(v) and f(v) < s(u). As events come in order of time, f
// is final when it is set, and conflicts arise only where s grows.
//
// With low the least call of what may still be read, a value v is over when
// some other cluster u has f(v) < s(u) and f(u) < low: a later read of v would
// have low <= s(v), and the two conflict. The zone of v is in nobody's way any
// more when v is over and f(v) < low, too: whatever has f(w) < s(v) is over
// then, because of v, and what has no f yet gets one that is greater than s(v).
type streamKey struct {
	nilReads bool
	reads    map[int64]struct{} // calls of reads that are open
	values   map[cell]*live
	free     []*live   // to be used again
	zones    []*live   // those with an f, in order of it
	reach    reach     // of the zones: their s
	swept    int       // zones that were left by the last sweep
	past     pastCells // that were written and are over
	texts    int64
	initial  cell
}

func newStreamKey(spec Spec) *streamKey {
	k := &streamKey{nilReads: spec.NilReads, reads: map[int64]struct{}{}, values: map[cell]*live{}, past: newPastCells(), initial: cellOf(&spec.Initial)}
	first := &live{value: k.initial, f: always, s: always}
	k.values[k.initial] = first
	k.join(first)
	return k
}

func (k *streamKey) invoke(o *streamOp) (reason string) {
	e := &o.begun
	if e.F == Read {
		k.reads[e.Index] = struct{}{}
		return ""
	}
	if o.value = cellOf(&e.Value); e.F == Delete {
		o.value = cell{}
	}
	if !k.begin(o) {
		return fmt.Sprintf("%s of %s at event %d: the value was there before, and a stream needs values that are written once", name(e.Key), e.Value, e.Index)
	}
	return ""
}

func (k *streamKey) complete(o *streamOp, e *history.Event) (found *finding, reason string) {
	switch {
	case o.f == Read:
		delete(k.reads, o.call)
		if e.Kind != history.OK || k.nilReads && e.Value.IsNil() {
			return nil, ""
		}
		found = k.read(o, e)
	case e.Kind == history.OK:
		k.acknowledge(o, e)
	case e.Kind == history.Fail:
		found = k.abort(o.value)
	}
	k.sweep(e.Index)
	return found, ""
}

func (*streamKey) pending(*streamOp) string { return "" }

func (k *streamKey) bytes() int64 {
	return streamLiveBytes*int64(len(k.values)+len(k.zones)) + 2*k.texts + k.past.bytes()
}

// begin takes the invocation of a write. It reports false if the value was
// there before.
func (k *streamKey) begin(o *streamOp) bool {
	v := o.value
	if k.values[v] != nil || k.past.has(v) {
		return false
	}
	l := reuse(&k.free)
	*l = live{value: v, f: never, s: o.call, write: o.begunOnly()}
	k.values[v] = l
	k.texts += int64(len(v.text))
	return true
}

func (c cell) digest() (d [16]byte) {
	h := fnv.New128a()
	h.Write([]byte(c.text))
	h.Sum(d[:0])
	return d
}

// retire notes that a value is over.
func (k *streamKey) retire(v cell) {
	k.past.add(v)
	delete(k.values, v)
	k.texts -= int64(len(v.text))
}

// acknowledge takes the return of a write. A value that is over returned before.
func (k *streamKey) acknowledge(o *streamOp, e *history.Event) {
	if l := k.values[o.value]; l != nil {
		l.write = o.operation(e)
		k.settle(l, &l.write)
	}
}

// settle sets f of a cluster if it has none.
func (k *streamKey) settle(l *live, h *history.Operation) {
	if l.f == never {
		l.f, l.first = h.Return, *h
		k.join(l)
	}
}

// join makes a cluster the last of the zones.
func (k *streamKey) join(l *live) {
	l.at = len(k.zones)
	k.zones = append(k.zones, l)
	k.reach.set(l.at, l.s)
}

// abort takes the failure of a write.
func (k *streamKey) abort(v cell) *finding {
	l := k.values[v]
	if l != nil && !l.read {
		k.retire(v)
		return nil
	}
	f := &finding{class: AbortedRead, why: "its value had been read, but it failed: it certainly did not happen"}
	if l != nil { // what is over without an acknowledgement was read, too
		f.with = []history.Operation{l.first}
	}
	return f
}

// read takes the result of a read.
func (k *streamKey) read(o *streamOp, e *history.Event) *finding {
	v := cellOf(&e.Value)
	l := k.values[v]
	if l == nil {
		if k.past.has(v) || v == k.initial {
			return &finding{class: StaleRead, why: "before it began, another value had certainly replaced this one, or its write had failed"}
		}
		value := e.Value
		return &finding{class: ThinAirRead, why: "nobody had begun to write this value", shown: &value}
	}
	l.read = true
	h := o.operation(e)
	k.settle(l, &h)
	if o.call <= l.s {
		return nil
	}
	l.s, l.last = o.call, h
	k.reach.set(l.at, always) // it is not in its own way
	at := k.reach.first(l.f)
	k.reach.set(l.at, l.s)
	if at < 0 || k.zones[at].f >= l.s {
		return nil
	}
	u := k.zones[at]
	return &finding{
		class: StaleRead, with: evidence(o.call, l, u),
		why: fmt.Sprintf("the value %s must come before %s and after it, by what else was seen of the two", v, u.value),
	}
}

// evidence is what bounds the zones of clusters, without the operation that
// was called at an event: that which returned first and that which was called
// last of each, and the writes.
func evidence(without int64, clusters ...*live) (with []history.Operation) {
	for _, l := range clusters {
		for _, h := range []history.Operation{l.write, l.first, l.last} {
			if h.F != "" && h.Call != without && !slices.ContainsFunc(with, func(x history.Operation) bool { return x.Call == h.Call }) {
				with = append(with, h)
			}
		}
	}
	return with
}

// sweepAtLeast is how many zones there must be before a sweep; tests make it
// smaller.
var sweepAtLeast = 16

// sweep forgets what is over, if that may be worth the time.
func (k *streamKey) sweep(now int64) {
	if len(k.zones) < sweepAtLeast || len(k.zones) < max(2*k.swept, len(k.reads)) {
		return
	}
	low := now
	for call := range k.reads {
		low = min(low, call)
	}
	// The two greatest s of those with f < low: one of them is another's.
	var last *live
	most, second := int64(math.MinInt64), int64(math.MinInt64)
	for _, u := range k.zones {
		switch {
		case u.f >= low:
		case last == nil || u.s > most:
			last, most, second = u, u.s, most
		default:
			second = max(second, u.s)
		}
	}
	kept := k.zones[:0]
	for _, l := range k.zones {
		reach := most
		if l == last {
			reach = second
		}
		if !l.ghost && l.f < reach {
			l.ghost = true
			k.retire(l.value)
		}
		if !l.ghost || l.f >= low {
			kept = append(kept, l)
		} else {
			k.free = append(k.free, l)
		}
	}
	clear(k.zones[len(kept):])
	k.zones, k.swept = kept, len(kept)
	k.reach.clear(len(kept))
	for i, l := range kept {
		l.at = i
		k.reach.set(i, l.s)
	}
}
