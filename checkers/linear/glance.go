package linear

import (
	"math"
	"math/bits"
	"runtime"

	"github.com/cleancut/cleancut/harness/history"
)

// Most lists are legal, plain and made of integers. A glance finds that out
// with as little memory as possible, because operations and lists are far apart
// in it: what matters of an operation is noted when the history is gone through
// to find the keys, and no list is read but once. It is the exact algorithm of
// lists, without what only an explanation needs; where it does not end in
// legal, it says nothing, and the trial begins from the start.

// glimpse is what matters of an operation on a list.
type glimpse struct {
	value     history.Value // the integer of an append; the list of a read, or nil
	call, ret int32         // indices of events, or one of the following
}

const (
	open = math.MaxInt32 // ret: its outcome is unknown
	mute = -1            // call: it changed nothing and told nothing
	odd  = -2            // call: only a trial understands it
)

// glimpsed returns the glimpse of an operation.
func glimpsed(o *history.Operation) glimpse {
	g := glimpse{value: o.Input, call: int32(o.Call), ret: int32(o.Return)}
	silent := o.Outcome == history.Fail
	switch o.F {
	case Append:
		if o.Input.Kind() != history.KindInt || o.Output.IsList() {
			g.call = odd
		}
	case Read:
		silent = o.Outcome != history.OK
		if g.value = o.Output; !o.Input.IsNil() || !o.Output.IsNil() && o.Output.Kind() != history.KindList {
			g.call = odd
		}
	default:
		g.call = odd
	}
	switch {
	case g.call == odd:
	case silent:
		g.call = mute
	case o.Outcome != history.OK && o.Outcome != history.Info:
		g.call = odd
	case o.Call < 0 || o.Call >= open || o.Outcome == history.OK && (o.Return < 0 || o.Return >= open):
		g.call = odd
	case o.Outcome == history.Info:
		g.ret = open
	}
	return g
}

// glancer is the room that glances need, kept from one to the next.
type glancer struct {
	near  []glimpse // those of one list that say something, in order of call
	slots []slot    // a table with open addressing
	round uint32    // of the slots that are in use
	spans []span    // by group
	// allocated is how many bytes it has allocated since garbage was collected,
	// dead or alive.
	allocated int64
}

// Bytes that a glancer has room for, for each operation of the longest list so
// far. With what it grew out of they are less than twice as many, and less than
// actBytes, with which the operation counts in any case.
const (
	slotBytes = 24
	spanBytes = 8
)

// kept is how many bytes it has room for.
func (x *glancer) kept() int64 {
	return glimpseBytes*int64(cap(x.near)) + slotBytes*int64(cap(x.slots)) + spanBytes*int64(cap(x.spans))
}

// slot is an element that was appended.
type slot struct {
	element int64
	append  int32 // its glimpse
	round   uint32
	seen    bool // a read has it
}

// span is what matters of a group: the first return and the last call.
type span struct{ ret, call int32 }

// lists reports whether a list is certainly legal, in the groups of the exact
// algorithm, and how many operations say something of it.
func (x *glancer) lists(all []glimpse, at []int32) (operations int, certain bool) {
	if len(at) > cap(x.near) {
		x.near = make([]glimpse, 0, roomFor(len(at)))
		x.allocated += glimpseBytes * int64(cap(x.near))
	}
	x.near = x.near[:len(at)]
	for to, i := range at { // without a branch, so that the processor fetches several at once
		x.near[to] = all[i]
	}
	var longest history.Value
	appends := 0
	sum := int64(0)
	for i := range x.near {
		switch g := &x.near[i]; {
		case g.call == odd:
			return 0, false
		case g.call == mute:
			continue
		case g.value.Kind() == history.KindInt:
			appends++
		default:
			if ns, ok := g.value.Ints(); ok {
				sum += ns[0] + ns[len(ns)/2] + ns[len(ns)-1]
			}
			if g.value.Len() > longest.Len() {
				longest = g.value
			}
		}
		operations++
	}
	runtime.KeepAlive(sum)
	return operations, x.legal(longest, appends)
}

// legal judges the operations that are near.
func (x *glancer) legal(longest history.Value, appends int) bool {
	n := longest.Len()
	if n > appends {
		return false // there is one that nobody appended, or one twice
	}
	x.begin(appends, 2*n+2)
	for i := range x.near {
		g := &x.near[i]
		if g.call == mute {
			continue
		}
		if element, ok := g.value.AsInt(); ok {
			s := x.at(element)
			if s.round == x.round {
				return false // appended twice
			}
			*s = slot{element: element, append: int32(i), round: x.round}
			continue
		}
		if !longest.Begins(g.value) {
			return false
		}
		x.put(2*g.value.Len(), g)
	}
	for i := range n {
		element, ok := longest.At(i).AsInt()
		s := x.at(element)
		if !ok || s.round != x.round || s.seen {
			return false // from nowhere, or there twice
		}
		s.seen = true
		x.put(2*i+1, &x.near[s.append])
	}
	for i := range x.near {
		g := &x.near[i]
		if element, ok := g.value.AsInt(); ok && g.call != mute && g.ret != open && !x.at(element).seen {
			x.put(2*n+1, g)
		}
	}
	return x.forwards()
}

// begin makes room for so many elements and groups.
func (x *glancer) begin(elements, groups int) {
	if size := roomFor(2 * elements); size > len(x.slots) {
		x.slots, x.round = make([]slot, size), 0
		x.allocated += slotBytes * int64(size)
	}
	if x.round++; x.round == 0 {
		clear(x.slots)
		x.round = 1
	}
	if groups > cap(x.spans) {
		x.spans = make([]span, roomFor(groups))
		x.allocated += spanBytes * int64(cap(x.spans))
	}
	x.spans = x.spans[:groups]
	for i := range x.spans {
		x.spans[i] = span{ret: open, call: mute}
	}
}

// roomFor is a power of two that is greater than n.
func roomFor(n int) int { return max(1<<bits.Len(uint(n)), 1<<4) }

// at returns the slot of an element, or the free one that it belongs into.
func (x *glancer) at(element int64) *slot {
	shift := 64 - bits.Len(uint(len(x.slots)-1))
	for i := uint64(element) * 0x9e3779b97f4a7c15 >> shift; ; i++ {
		s := &x.slots[i&uint64(len(x.slots)-1)]
		if s.round != x.round || s.element == element {
			return s
		}
	}
}

func (x *glancer) put(group int, g *glimpse) {
	s := &x.spans[group]
	s.ret, s.call = min(s.ret, g.ret), max(s.call, g.call)
}

// forwards reports whether the groups can come one after the other: no
// operation returned before one of an earlier group was called.
func (x *glancer) forwards() bool {
	called := int32(mute)
	for _, s := range x.spans {
		if s.ret < called {
			return false
		}
		called = max(called, s.call)
	}
	return true
}
