package linear

import (
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/cleancut/cleancut/checkers/linear/search"
	"github.com/cleancut/cleancut/harness/history"
)

// listElement is an element that was appended and that may still matter.
type listElement struct {
	cell   cell
	value  history.Value
	append history.Operation // as far as it is known
	done   bool              // acknowledged
	read   *streamRead       // the read that found it first
	place  int
}

// streamRead is a read of which its length is all that matters.
type streamRead struct {
	length    int
	operation history.Operation // without its result
}

// streamList is the state of a list whose elements are appended once, by the
// ordered groups of the exact algorithm: an element that was found has the
// place in which it was, a read comes after the elements that it found, and
// what nobody found comes last. A later group must not have returned before an
// earlier one was called.
//
// Places are given in rising order. So whatever gets one comes after all that
// has one already, and need only be compared with the append among those that
// was called last; and a read must find what was acknowledged before it began,
// and no less than what a read that was over by then had found. Of what every
// read that is open or to come must find, a hash is enough.
type streamList struct {
	tail    []*listElement // from place settled on
	settled int
	hash    listHash // of the settled ones
	byCell  map[cell]*listElement
	lost    []*listElement // acknowledged and not found, in order of their ends
	longest *streamRead
	latest  *listElement // of those that have a place, the one that was called last
	least   int          // how many elements a read that begins now must find
	reads   map[*streamOp]struct{}
	past    pastCells // settled elements
	texts   int64
}

func newStreamList() *streamList {
	return &streamList{byCell: map[cell]*listElement{}, reads: map[*streamOp]struct{}{}, past: newPastCells()}
}

const streamElementBytes = 768

func (l *streamList) bytes() int64 {
	return streamElementBytes*int64(len(l.byCell)+len(l.reads)) + 2*l.texts + l.past.bytes()
}

func (*streamList) pending(*streamOp) string { return "" }

func (l *streamList) invoke(o *streamOp) (reason string) {
	if o.f == Read {
		o.least, o.longest = l.least, l.longest
		l.reads[o] = struct{}{}
		return ""
	}
	c := cellOf(&o.begun.Value)
	if l.byCell[c] != nil || l.past.has(c) {
		return fmt.Sprintf("%s of %s at event %d: the element was appended before, and a stream needs elements that are appended once", name(o.begun.Key), o.begun.Value, o.call)
	}
	o.element = &listElement{cell: c, value: o.begun.Value, append: o.begunOnly()}
	l.byCell[c] = o.element
	l.texts += int64(len(c.text))
	return ""
}

func (l *streamList) complete(o *streamOp, e *history.Event) (found *finding, reason string) {
	x := o.element
	switch {
	case o.f == Read:
		delete(l.reads, o)
		switch {
		case e.Kind != history.OK:
		case !e.Value.IsList() && !e.Value.IsNil():
			return nil, fmt.Sprintf("the read at event %d: it returned %s; expected a list", o.call, e.Value)
		default:
			found = l.took(o, e)
		}
		if found == nil {
			l.settle()
		}
	case e.Kind == history.OK:
		if x.append, x.done = o.operation(e), true; x.read == nil {
			l.lost = append(l.lost, x)
		} else {
			l.least = max(l.least, x.place+1)
		}
	case e.Kind == history.Fail && x.read != nil:
		found = &finding{class: AbortedRead, why: "its element had been read, but it failed: it certainly did not happen", with: []history.Operation{x.read.shows(x)}}
	case e.Kind == history.Fail:
		delete(l.byCell, x.cell)
		l.texts -= int64(len(x.cell.text))
	}
	return found, ""
}

// shows is the read with nothing but the given elements as its result.
func (r *streamRead) shows(elements ...*listElement) history.Operation {
	h := r.operation
	h.Output = *shown(elements...)
	return h
}

func shown(elements ...*listElement) *history.Value {
	values := make([]history.Value, len(elements))
	for i, x := range elements {
		values[i] = x.value
	}
	v := history.List(values...)
	return &v
}

// took takes the result of a read.
func (l *streamList) took(o *streamOp, e *history.Event) *finding {
	list := e.Value
	r := &streamRead{length: list.Len(), operation: o.operation(e)}
	r.operation.Output = history.Nil
	if r.length < l.settled {
		return &finding{class: StaleRead, why: fmt.Sprintf("it found %d elements, and %d had certainly been there before it began", r.length, l.settled)}
	}
	if hashOf(list, l.settled) != l.hash {
		return &finding{class: Incomparable, why: fmt.Sprintf("its first %d elements are not those that others had found", l.settled)}
	}
	for i, w := range l.tail[:min(len(l.tail), r.length-l.settled)] {
		if v := list.At(l.settled + i); cellOf(&v) != w.cell {
			return l.fork(list, l.settled+i, w)
		}
	}
	if f := l.put(r, list); f != nil {
		return f
	}
	if f := l.stale(o, r); f != nil {
		return f
	}
	if l.longest == nil || r.length > l.longest.length {
		l.longest = r
	}
	l.least = max(l.least, r.length)
	return nil
}

// fork is the violation by a list that has something else in a place than w.
func (l *streamList) fork(list history.Value, place int, w *listElement) *finding {
	v, f := l.known(list, place)
	if f != nil {
		return f
	}
	if v.read != nil && v.place < place {
		return l.twice(v)
	}
	ours, theirs := []*listElement{v}, []*listElement{w}
	for i := place; i < list.Len(); i++ {
		if list.At(i).Equal(w.value) {
			ours = append(ours, w)
			break
		}
	}
	if v.read != nil && v.place < w.read.length {
		theirs = append(theirs, v)
	}
	return &finding{
		class: Incomparable, shown: shown(ours...), with: []history.Operation{v.append, w.append, w.read.shows(theirs...)},
		why: fmt.Sprintf("it has %s in place %d, but another read had %s there: neither is the beginning of the other", v.value, place+1, w.value),
	}
}

// known returns the element in a place of a list, if it is one that was
// appended and is not settled, or else a violation.
func (l *streamList) known(list history.Value, place int) (*listElement, *finding) {
	v := list.At(place)
	c := cellOf(&v)
	x := l.byCell[c]
	switch {
	case x != nil:
		return x, nil
	case l.past.has(c):
		return nil, l.twice(&listElement{value: v})
	}
	x = &listElement{value: v}
	return nil, &finding{class: ThinAirRead, why: fmt.Sprintf("nobody had begun to append %s, or that had failed", v), shown: shown(x)}
}

func (*streamList) twice(x *listElement) *finding {
	f := &finding{class: Duplicate, why: fmt.Sprintf("it has %s more than once, although it was appended once", x.value), shown: shown(x, x)}
	if x.read != nil {
		f.with = []history.Operation{x.append}
	}
	return f
}

// put gives places to the elements that a read found first.
func (l *streamList) put(r *streamRead, list history.Value) *finding {
	from := l.settled + len(l.tail)
	for place := from; place < r.length; place++ {
		x, f := l.known(list, place)
		if f != nil {
			return f
		}
		if x.read != nil {
			return l.twice(x)
		}
		if y := l.latest; x.done && y != nil && x.append.Return < y.append.Call {
			return &finding{
				class: Reordered, shown: shown(y, x), with: []history.Operation{x.append, y.append},
				why: fmt.Sprintf("it has %s before %s, which had been acknowledged before the append of %s began", y.value, x.value, y.value),
			}
		}
		x.read, x.place = r, place
		if l.tail = append(l.tail, x); x.done {
			l.least = max(l.least, place+1)
		}
		if l.latest == nil || x.append.Call > l.latest.append.Call {
			l.latest = x
		}
	}
	if from < r.length {
		l.lost = slices.DeleteFunc(l.lost, func(x *listElement) bool { return x.read != nil })
	}
	if y := l.latest; y != nil && len(l.lost) > 0 && l.lost[0].append.Return < y.append.Call {
		x := l.lost[0]
		return &finding{
			class: StaleRead, shown: shown(y), with: []history.Operation{x.append, y.append},
			why: fmt.Sprintf("it has %s and not %s, which had been acknowledged before the append of %s began", y.value, x.value, y.value),
		}
	}
	return nil
}

// stale finds what a read should have found.
func (l *streamList) stale(o *streamOp, r *streamRead) *finding {
	missed := func(x *listElement) *finding {
		return &finding{
			class: StaleRead, shown: shown(), with: []history.Operation{x.append},
			why: fmt.Sprintf("it has not %s, which had been acknowledged before it began", x.value),
		}
	}
	if len(l.lost) > 0 && l.lost[0].append.Return < o.call {
		return missed(l.lost[0])
	}
	beyond := l.tail[r.length-l.settled:]
	for _, x := range beyond {
		if x.done && x.append.Return < o.call {
			return missed(x)
		}
	}
	if o.longest != nil && o.longest.length > r.length {
		x := beyond[0]
		return &finding{
			class: StaleRead, shown: shown(), with: []history.Operation{x.append, o.longest.shows(x)},
			why: fmt.Sprintf("it has not %s, which a read that was over before it began had found", x.value),
		}
	}
	return nil
}

// settle forgets the elements that every read that is open or to come must
// find, if that may be worth the time.
func (l *streamList) settle() {
	least := l.least
	if least-l.settled < sweepAtLeast {
		return
	}
	for o := range l.reads {
		least = min(least, o.least)
	}
	n := max(0, least-l.settled)
	for _, x := range l.tail[:n] {
		l.hash.extend(x.cell)
		delete(l.byCell, x.cell)
		l.texts -= int64(len(x.cell.text))
		l.past.add(x.cell)
	}
	l.tail = slices.Delete(l.tail, 0, n)
	l.settled += n
}

// listHash is the hash of a list of cells, extended one by one.
type listHash struct{ a, b uint64 }

func (h *listHash) extend(c cell) {
	x := uint64(c.n)
	if c.text != intCell {
		f := fnv.New64a()
		f.Write([]byte(c.text))
		x = search.Mix(f.Sum64() + 1)
	}
	h.a = search.Mix(h.a*0x9e3779b97f4a7c15 + x + 1)
	h.b = search.Mix(h.b*0xd1342543de82ef95 ^ search.Mix(x+0x632be59bd9b4e019))
}

// hashOf is the hash of the first n elements of a list.
func hashOf(list history.Value, n int) (h listHash) {
	for i := range n {
		v := list.At(i)
		h.extend(cellOf(&v))
	}
	return h
}
