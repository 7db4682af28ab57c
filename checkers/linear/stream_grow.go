package linear

import (
	"fmt"
	"math"
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// grownElement is an element of a set that only grows, as long as it may
// still matter.
type grownElement struct {
	cell  cell
	value history.Value
	add   history.Operation // as far as it is known
	done  bool              // acknowledged
	since int64             // when it was certainly there: acknowledged or found; never if neither
	read  *streamRead       // the first to return of those that found it
	level *grownLevel       // of the smallest read that found it, nil if there is none
	mark  int64             // the call of the last read that found it
}

// grownLevel is what a read found and no smaller one did.
type grownLevel struct {
	at       int             // place among the levels
	elements []*grownElement // that are held
	read     *streamRead
}

// streamGrow is the state of a set that only grows, is read as a whole, and
// to which each element is added once, by the ordered groups of the exact
// algorithm: what reads found must be subsets of each other, and the smallest
// read that found an element tells where it belongs.
//
// All that two groups can have against each other is that something of the
// later one returned before something of the earlier one was called. Events
// come in order of time, so that this can be seen when a read returns: what it
// did not find must not have been acknowledged or found before it was called,
// nor been acknowledged before an element that it did find was added.
//
// Of what every read that is open or to come must find, a number is enough,
// and a bit for each. This is what was certainly there before the first open
// read began, and with an element all that smaller reads found which did not
// find it: who finds the element must find more than they.
type streamGrow struct {
	byCell map[cell]*grownElement
	tail   []*grownElement // those that were certainly there, and are not settled
	levels []*grownLevel   // from the smallest read to the greatest
	reads  map[*streamOp]struct{}
	past   pastCells // settled elements
	texts  int64
	// settled is how many are; latest is the one of them that was added last.
	settled int
	latest  *grownElement
	swept   int
	found   []*grownElement // by the read that is being taken, to be used again
	ints    []int64         // settled ones that it found
}

func newStreamGrow() *streamGrow {
	return &streamGrow{byCell: map[cell]*grownElement{}, reads: map[*streamOp]struct{}{}, past: newPastCells()}
}

func (g *streamGrow) bytes() int64 {
	return streamElementBytes*int64(len(g.byCell)+len(g.reads)+len(g.levels)) + 8*int64(cap(g.ints)+cap(g.found)) + 2*g.texts + g.past.bytes()
}

func (*streamGrow) pending(*streamOp) string { return "" }

func (g *streamGrow) invoke(o *streamOp) (reason string) {
	if o.f == Read {
		g.reads[o] = struct{}{}
		return ""
	}
	c := cellOf(&o.begun.Value)
	if g.byCell[c] != nil || g.past.has(c) {
		return fmt.Sprintf("%s of %s at event %d: the element was added before, and a stream needs elements that are added once", name(o.begun.Key), o.begun.Value, o.call)
	}
	o.grown = &grownElement{cell: c, value: o.begun.Value, add: o.begunOnly(), since: never, mark: -1}
	g.byCell[c] = o.grown
	g.texts += int64(len(c.text))
	return ""
}

func (g *streamGrow) complete(o *streamOp, e *history.Event) (found *finding, reason string) {
	x := o.grown
	switch {
	case o.f == Read:
		delete(g.reads, o)
		switch {
		case e.Kind != history.OK:
		case !e.Value.IsList() && !e.Value.IsNil():
			return nil, fmt.Sprintf("the read at event %d: it returned %s; expected a list", o.call, e.Value)
		default:
			found = g.took(o, e)
		}
	case e.Kind == history.OK:
		x.add, x.done = o.operation(e), true
		g.there(x, e.Index)
	case e.Kind == history.Fail && x.read != nil:
		found = &finding{class: AbortedRead, why: "its element had been read, but it failed: it certainly did not happen", with: []history.Operation{x.shownBy(x.read)}}
	case e.Kind == history.Fail:
		delete(g.byCell, x.cell)
		g.texts -= int64(len(x.cell.text))
	}
	if found == nil {
		g.settle()
	}
	return found, ""
}

// there notes that x is certainly there from now on.
func (g *streamGrow) there(x *grownElement, now int64) {
	if x.since == never {
		x.since = now
		g.tail = append(g.tail, x)
	}
}

// shownBy is a read with nothing but x as its result.
func (x *grownElement) shownBy(r *streamRead) history.Operation {
	h := r.operation
	h.Output = history.List(x.value)
	return h
}

// took takes the result of a read.
func (g *streamGrow) took(o *streamOp, e *history.Event) *finding {
	if f := g.look(o, e.Value); f != nil {
		return f
	}
	top := -1 // the greatest level of which it found something
	for _, x := range g.found {
		top = max(top, g.place(x))
	}
	if f := g.compare(o, top); f != nil {
		return f
	}
	if f := g.missed(o); f != nil {
		return f
	}
	r := &streamRead{operation: o.operation(e)}
	r.operation.Output = history.Nil
	g.split(top, r)
	for _, x := range g.found {
		if x.read == nil {
			x.read = r
			g.there(x, e.Index)
		}
	}
	return nil
}

// place is which level x is on: as many as there are if nobody found it.
func (g *streamGrow) place(x *grownElement) int {
	if x.level == nil {
		return len(g.levels)
	}
	return x.level.at
}

// look finds out which elements a read found that are held, and whether all
// that are settled are among the others.
func (g *streamGrow) look(o *streamOp, list history.Value) *finding {
	g.found, g.ints = g.found[:0], g.ints[:0]
	var texts map[[16]byte]struct{}
	var word uint64 // of settled integers
	page := int64(math.MinInt64)
	twice := func(v history.Value) *finding {
		value := history.List(v, v)
		return &finding{class: Duplicate, why: fmt.Sprintf("it found %s more than once: a set has an element once or not at all", v), shown: &value}
	}
	for i := range list.Len() {
		v := list.At(i)
		c := cellOf(&v)
		if c.text == intCell { // most are settled, and near the one before
			if c.n>>6 != page {
				page = c.n >> 6
				word = g.past.ints[page]
			}
			if word&(1<<(c.n&63)) != 0 {
				g.ints = append(g.ints, c.n)
				continue
			}
		}
		switch x := g.byCell[c]; {
		case x != nil && x.mark != o.call:
			x.mark = o.call
			g.found = append(g.found, x)
		case x != nil:
			return twice(v)
		case !g.past.has(c):
			value := history.List(v)
			return &finding{class: ThinAirRead, why: fmt.Sprintf("nobody had begun to add %s, or that had failed", v), shown: &value}
		default:
			if texts == nil {
				texts = map[[16]byte]struct{}{}
			}
			if _, again := texts[c.digest()]; again {
				return twice(v)
			}
			texts[c.digest()] = struct{}{}
		}
	}
	if !slices.IsSorted(g.ints) {
		slices.Sort(g.ints)
	}
	for i := 1; i < len(g.ints); i++ {
		if g.ints[i] == g.ints[i-1] {
			return twice(history.Int(g.ints[i]))
		}
	}
	if n := len(g.ints) + len(texts); n < g.settled {
		return &finding{class: StaleRead, why: fmt.Sprintf("it found %d of %d elements that every read must find since before it began", n, g.settled)}
	}
	return nil
}

// compare finds a read that is neither a subset of the one that is being taken
// nor the other way round: one on a level below top of which that found less
// than all.
func (g *streamGrow) compare(o *streamOp, top int) *finding {
	for i := range top {
		for _, x := range g.levels[i].elements {
			if x.mark == o.call {
				continue
			}
			at := slices.IndexFunc(g.found, func(y *grownElement) bool { return g.place(y) == top })
			y, value := g.found[at], history.List(g.found[at].value)
			return &finding{
				class: Incomparable, shown: &value, with: []history.Operation{x.add, y.add, x.shownBy(x.level.read)},
				why: fmt.Sprintf("it has %s and not %s, but another read had %s and not %s: neither can come first", y.value, x.value, x.value, y.value),
			}
		}
	}
	return nil
}

// missed finds an element that a read did not find and should have.
func (g *streamGrow) missed(o *streamOp) *finding {
	latest := g.latest // of all that it found, the one that was added last
	for _, x := range g.found {
		if latest == nil || x.add.Call > latest.add.Call {
			latest = x
		}
	}
	nothing := history.List()
	for _, x := range g.tail { // in order of since, before which nobody was acknowledged
		switch {
		case x.since >= o.call && (latest == nil || x.since >= latest.add.Call):
			return nil
		case x.mark == o.call:
		case x.done && x.add.Return < o.call:
			return &finding{
				class: StaleRead, shown: &nothing, with: []history.Operation{x.add},
				why: fmt.Sprintf("it has not %s, which had been acknowledged before it began", x.value),
			}
		case x.since < o.call:
			return &finding{
				class: StaleRead, shown: &nothing, with: []history.Operation{x.add, x.shownBy(x.read)},
				why: fmt.Sprintf("it has not %s, which a read that was over before it began had found", x.value),
			}
		case x.done && latest != nil && x.add.Return < latest.add.Call:
			value := history.List(latest.value)
			return &finding{
				class: StaleRead, shown: &value, with: []history.Operation{x.add, latest.add},
				why: fmt.Sprintf("it has %s and not %s, which had been acknowledged before the add of %s began", latest.value, x.value, latest.value),
			}
		}
	}
	return nil
}

// split puts what r found of the level top, and no smaller read did, on a
// level of its own.
func (g *streamGrow) split(top int, r *streamRead) {
	var found []*grownElement
	for _, x := range g.found {
		if g.place(x) == top {
			found = append(found, x)
		}
	}
	if top < 0 || top < len(g.levels) && len(found) == len(g.levels[top].elements) {
		return
	}
	l := &grownLevel{elements: found, read: r}
	if top < len(g.levels) {
		above := g.levels[top]
		above.elements = slices.DeleteFunc(above.elements, func(x *grownElement) bool { return x.mark == r.operation.Call })
	}
	for _, x := range found {
		x.level = l
	}
	g.levels = slices.Insert(g.levels, top, l)
	g.number()
}

// number tells the levels their places.
func (g *streamGrow) number() {
	for i, l := range g.levels {
		l.at = i
	}
}

// settle forgets the elements that every read that is open or to come must
// find, if that may be worth the time.
func (g *streamGrow) settle() {
	if len(g.tail) < sweepAtLeast || len(g.tail) < max(2*g.swept, len(g.reads)) {
		return
	}
	low := never
	for o := range g.reads {
		low = min(low, o.call)
	}
	top := -1 // the greatest level of what must be found
	for _, x := range g.tail {
		if x.since < low {
			top = max(top, g.place(x))
		}
	}
	over := func(x *grownElement) bool { return g.place(x) < top || x.since < low }
	for _, x := range g.tail {
		if !over(x) {
			continue
		}
		g.past.add(x.cell)
		delete(g.byCell, x.cell)
		g.texts -= int64(len(x.cell.text))
		g.settled++
		if g.latest == nil || x.add.Call > g.latest.add.Call {
			g.latest = x
		}
	}
	g.tail = slices.DeleteFunc(g.tail, over)
	g.swept = len(g.tail)
	if top >= 0 && top < len(g.levels) {
		l := g.levels[top]
		l.elements = slices.DeleteFunc(l.elements, over)
		if len(l.elements) == 0 {
			top++
		}
	}
	if top > 0 {
		g.levels = slices.Delete(g.levels, 0, min(top, len(g.levels)))
		g.number()
	}
	if g.latest != nil {
		g.latest.level = nil // it holds others
	}
}
