package linear

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// queuedElement is an element of a queue.
type queuedElement struct {
	cell     cell
	value    history.Value
	in, out  history.Operation // as far as they are known; there is no dequeue where F is ""
	from, to int64             // acknowledgement, and call of the dequeue; never if there is none
	// due is when it must have left the queue, because of another that was
	// enqueued after it and dequeued; never if there is none.
	due     int64
	because *queuedElement     // the other one,
	empty   *history.Operation // or a dequeue that found nothing,
	alone   bool               // which contradicts this one without any other
	taken   bool               // by a dequeue of unknown outcome, as nobody else can
}

// streamQueue is the state of a FIFO queue whose elements are enqueued once, by
// the patterns of queues.exact.
//
// When a dequeue returns, all that was acknowledged before its element was
// enqueued is due: it must be taken by a dequeue that began by then. What is
// due and not taken when the last of these is over was lost, or a dequeue of
// unknown outcome has it that began by then, one each: the first takes the
// first. A dequeue that found nothing is judged when all are over that began
// before it returned: it is wrong if at any moment of it some element was
// there for certain. If that is not certain because of dequeues of unknown
// outcome, what was there is due: see expect.
//
// So there is an order if all that is due was taken, as there is one if
// dequeues of unknown outcome take it: none has found nothing while something
// was there that is not due, and nothing was overtaken that is not due. What
// must be held is the content, what was dequeued since the first that is open
// began and the queue can have been empty, and when dequeues of unknown outcome
// began that have taken nothing.
type streamQueue struct {
	byCell  map[cell]*queuedElement // those that were enqueued, and not dequeued or but lately
	waiting []*queuedElement        // acknowledged and not due, in order; some were dequeued
	due     []*queuedElement        // in order; some were dequeued
	gone    []*queuedElement        // dequeued, or taken, and still of interest
	outs    map[int64]*streamOp     // dequeues that are open, by their begins
	begins  []int64                 // of those and some that are over, in order
	empty   []*history.Operation    // that found nothing and are not judged yet, in order of their returns
	unknown []int64                 // begins of dequeues of unknown outcome that have taken nothing, in order
	doubt   int64                   // begin of the first dequeue of unknown outcome; never if there is none
	past    pastCells
	texts   int64
	swept   int
}

func newStreamQueue() *streamQueue {
	return &streamQueue{byCell: map[cell]*queuedElement{}, outs: map[int64]*streamOp{}, doubt: never, past: newPastCells()}
}

const (
	streamQueuedBytes = 1024
	streamEmptyBytes  = 320
)

func (q *streamQueue) bytes() int64 {
	return streamQueuedBytes*int64(len(q.byCell)) + streamEmptyBytes*int64(len(q.empty)) + 16*int64(len(q.unknown)) + streamWordBytes*int64(len(q.outs)) + 2*q.texts + q.past.bytes()
}

func (*streamQueue) pending(*streamOp) string { return "" }

func (q *streamQueue) invoke(o *streamOp) (reason string) {
	if o.f == Dequeue {
		q.outs[o.call] = o
		q.begins = append(q.begins, o.call)
		return ""
	}
	v := o.begun.Value
	c := cellOf(&v)
	switch {
	case v.IsNil():
		return fmt.Sprintf("the enqueue at event %d: its argument is nil, which a dequeue returns when there is nothing", o.call)
	case q.byCell[c] != nil || q.past.has(c):
		return fmt.Sprintf("%s of %s at event %d: the element was enqueued before, and a stream needs elements that are enqueued once", name(o.begun.Key), v, o.call)
	}
	o.queued = &queuedElement{cell: c, value: v, in: o.begunOnly(), from: never, to: never, due: never}
	q.byCell[c] = o.queued
	q.texts += int64(len(c.text))
	return ""
}

func (q *streamQueue) complete(o *streamOp, e *history.Event) (found *finding, reason string) {
	x := o.queued
	switch {
	case o.f == Dequeue:
		return q.dequeued(o, e)
	case e.Kind == history.OK:
		x.in, x.from = o.operation(e), e.Index
		if x.to == never {
			q.waiting = append(q.waiting, x)
		}
	case e.Kind == history.Fail && x.to < never:
		found = &finding{class: AbortedRead, why: "its element had been dequeued, but it failed: it certainly did not happen", with: []history.Operation{x.out}}
	case e.Kind == history.Fail:
		delete(q.byCell, x.cell)
		q.texts -= int64(len(x.cell.text))
	}
	return found, ""
}

func (q *streamQueue) dequeued(o *streamOp, e *history.Event) (found *finding, reason string) {
	delete(q.outs, o.call)
	switch h := o.operation(e); {
	case e.Kind == history.Info:
		q.forget(o.call)
	case (e.Kind == history.OK && e.Value.IsNil() || h.FoundEmpty()) && !o.free:
		q.empty = append(q.empty, &h)
	case e.Kind == history.OK && e.Value.IsNil():
	case e.Kind == history.OK:
		if found = q.took(o, h); found != nil {
			return found, ""
		}
	}
	if found, reason = q.drain(q.low()); found == nil && reason == "" {
		q.sweep()
	}
	return found, reason
}

// forget takes a dequeue of unknown outcome.
func (q *streamQueue) forget(call int64) {
	at, _ := slices.BinarySearch(q.unknown, call)
	q.unknown = slices.Insert(q.unknown, at, call)
	q.doubt = min(q.doubt, call)
}

// drain judges what no dequeue that began at low or later can change.
func (q *streamQueue) drain(low int64) (found *finding, reason string) {
	for len(q.empty) > 0 && q.empty[0].Return < low {
		if q.release(); len(q.empty) == 0 || q.empty[0].Return > low {
			break
		}
		if found, reason = q.judge(q.empty[0]); found != nil || reason != "" {
			return found, reason
		}
		q.empty = q.empty[1:]
	}
	for _, e := range q.empty { // each may yet say that something was due since it began
		low = min(low, e.Call)
	}
	for len(q.due) > 0 && q.due[0].due < low {
		x := q.due[0]
		if q.due = q.due[1:]; x.to < never {
			continue
		}
		if len(q.unknown) == 0 || q.unknown[0] > x.due {
			return q.lost(x), ""
		}
		q.unknown = q.unknown[1:]
		x.taken, x.to = true, x.due
		q.gone = append(q.gone, x)
	}
	return nil, ""
}

// release lets go those that found nothing while the queue can have been empty,
// and notes which of those that are open may.
func (q *streamQueue) release() {
	type span struct{ from, to int64 }
	var stays []span
	for _, list := range [][]*queuedElement{q.gone, q.due, q.waiting} {
		for _, x := range list {
			if x.from < x.left() {
				stays = append(stays, span{x.from, x.left()})
			}
			if x.left() == never {
				break // it is in waiting, and covers whatever those do that came later
			}
		}
	}
	slices.SortFunc(stays, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var gaps []span
	end := always
	for _, s := range stays {
		if s.from > end {
			gaps = append(gaps, span{end, s.from})
		}
		end = max(end, s.to)
	}
	if end < never {
		gaps = append(gaps, span{end, never})
	}
	q.empty = slices.DeleteFunc(q.empty, func(e *history.Operation) bool {
		at, _ := slices.BinarySearchFunc(gaps, e.Call, func(g span, call int64) int { return cmp.Compare(g.to, call) })
		return at < len(gaps) && gaps[at].from < e.Return
	})
	for call, o := range q.outs {
		o.free = o.free || len(gaps) > 0 && gaps[len(gaps)-1].to > call
	}
}

// low is when the first of the dequeues that are open began.
func (q *streamQueue) low() int64 {
	over := func(call int64) bool { return q.outs[call] == nil }
	if len(q.begins) >= sweepAtLeast+2*len(q.outs) {
		q.begins = slices.DeleteFunc(q.begins, over)
	}
	for len(q.begins) > 0 && over(q.begins[0]) {
		q.begins = q.begins[1:]
	}
	if len(q.begins) == 0 {
		return never
	}
	return q.begins[0]
}

// took takes the element that a dequeue returned.
func (q *streamQueue) took(o *streamOp, h history.Operation) *finding {
	c := cellOf(&h.Output)
	x := q.byCell[c]
	switch {
	case x == nil && q.past.has(c):
		return &finding{class: Duplicate, why: "its element had left the queue before it began, and was enqueued once"}
	case x == nil:
		return &finding{class: ThinAirRead, why: "nobody had begun to enqueue its element, or that had failed", shown: &h.Output}
	case x.out.F != "":
		return &finding{class: Duplicate, why: x.out.String() + " had returned its element, which was enqueued once", with: []history.Operation{x.in, x.out}}
	case o.call > x.due && x.empty != nil:
		return &finding{
			class: FalseEmpty, partial: !x.alone, with: []history.Operation{x.in, *x.empty},
			why: fmt.Sprintf("its element was there while %s (events %d to %d) found nothing", x.empty, x.empty.Call, x.empty.Return),
		}
	case o.call > x.due:
		y := x.because
		return &finding{
			class: Reordered, with: []history.Operation{x.in, y.in, y.out},
			why: fmt.Sprintf("its element was enqueued before %s, and was not dequeued before it", y.value),
		}
	}
	x.out, x.to, x.because = h, o.call, nil
	q.gone = append(q.gone, x)
	at := 0
	for ; at < len(q.waiting) && (q.waiting[at].to < never || q.waiting[at].from < x.in.Call); at++ {
		if y := q.waiting[at]; y.to == never {
			y.due, y.because = h.Return, x
			q.due = append(q.due, y)
		}
	}
	q.waiting = q.waiting[at:]
	return nil
}

// lost is the violation that nobody can have taken x by the time at which it
// was due.
func (q *streamQueue) lost(x *queuedElement) *finding {
	f := &finding{class: LostElement, aside: true, partial: q.doubt < x.due, with: []history.Operation{x.in}}
	if f.why = fmt.Sprintf("since then it is certain that %s is lost: ", x.value); x.empty != nil {
		f.with = append(f.with, *x.empty)
		f.why += fmt.Sprintf("%s (events %d to %d) found nothing", x.empty, x.empty.Call, x.empty.Return)
	} else {
		f.with = append(f.with, x.because.in, x.because.out)
		f.why += fmt.Sprintf("it was enqueued before %s, which was dequeued", x.because.value)
	}
	if f.why += ", and nobody else can have taken it by then"; f.partial {
		f.why += ", as dequeues of unknown outcome have taken others at most"
	}
	return f
}

// judge judges a dequeue that found nothing.
func (q *streamQueue) judge(e *history.Operation) (*finding, string) {
	var sure, all []*queuedElement
	for _, x := range q.gone {
		if x.from < e.Return && x.to > e.Call {
			all = append(all, x)
			if !x.taken {
				sure = append(sure, x)
			}
		}
	}
	for _, list := range [][]*queuedElement{q.due, q.waiting} {
		for _, x := range list {
			if x.from < e.Return && x.to == never {
				all = append(all, x)
			}
		}
	}
	chain, _ := covering(all, e)
	if chain == nil {
		return nil, ""
	}
	if q.doubt < e.Return {
		certain, first := covering(sure, e)
		if certain == nil {
			return nil, q.expect(e, sure, first)
		}
		chain = certain
	}
	f := &finding{class: FalseEmpty, aside: true, with: []history.Operation{*e}}
	for _, x := range chain {
		if f.with = append(f.with, x.in); x.out.F != "" {
			f.with = append(f.with, x.out)
		}
	}
	what := chain[0].value.String() + " was"
	if len(chain) > 1 {
		what = fmt.Sprintf("one of %d elements was always", len(chain))
	}
	f.why = fmt.Sprintf("since then it is certain of %s (events %d to %d) that %s in the queue all the time", e, e.Call, e.Return, what)
	return f, ""
}

// expect lets dequeues of unknown outcome take what was there when e found
// nothing. That must have been when none was there of those that were there for
// certain, which are given in order of their acknowledgements; first is the
// first such moment. The last one is best, if all that was there at it was
// there at the first, too: they must be gone by any. Else nobody knows.
func (q *streamQueue) expect(e *history.Operation, sure []*queuedElement, first int64) (reason string) {
	last := e.Return
	for _, x := range slices.Backward(sure) {
		if x.left() > last {
			last = min(last, x.from)
		}
	}
	var expected []*queuedElement
	for _, list := range [][]*queuedElement{q.due, q.waiting} {
		for _, x := range list {
			if x.to < never || x.from > last || x.due < last {
				continue
			}
			if x.from > first {
				return fmt.Sprintf("%s (events %d to %d) found nothing, unless %s was there, which a dequeue of unknown outcome may have taken; a stream does not search when that was", e, e.Call, e.Return, x.value)
			}
			expected = append(expected, x)
		}
	}
	for _, x := range expected {
		if x.due == never {
			q.due = append(q.due, x)
		}
		x.due, x.because, x.empty, x.alone = last, nil, e, first == e.Call && last == e.Return
	}
	q.waiting = slices.DeleteFunc(q.waiting, func(x *queuedElement) bool { return x.due < never })
	slices.SortStableFunc(q.due, func(a, b *queuedElement) int { return cmp.Compare(a.due, b.due) })
	return ""
}

// covering returns elements of which one was there at any moment of e: of those
// that came before the last one left, always the one that left last. If there
// are none it returns the first moment at which none was there.
func covering(stays []*queuedElement, e *history.Operation) (chain []*queuedElement, covered int64) {
	slices.SortFunc(stays, func(a, b *queuedElement) int { return cmp.Compare(a.from, b.from) })
	covered = e.Call
	for i := 0; covered < e.Return; {
		var last *queuedElement
		for ; i < len(stays) && stays[i].from < covered; i++ {
			if last == nil || stays[i].left() > last.left() {
				last = stays[i]
			}
		}
		if last == nil || last.left() <= covered {
			return nil, covered
		}
		chain, covered = append(chain, last), last.left()
	}
	return chain, covered
}

// left is until when x was in the queue for all that is known: if it must have
// been taken, no longer than it was due.
func (x *queuedElement) left() int64 { return min(x.to, x.due) }

// end judges what is left if the dequeues that are open are never completed.
func (q *streamQueue) end() (found *finding, reason string) {
	rest := &streamQueue{empty: slices.Clone(q.empty), unknown: slices.Clone(q.unknown), doubt: q.doubt}
	for _, l := range []struct {
		to   *[]*queuedElement
		from []*queuedElement
	}{{&rest.waiting, q.waiting}, {&rest.due, q.due}, {&rest.gone, q.gone}} {
		for _, x := range l.from {
			y := *x
			*l.to = append(*l.to, &y)
		}
	}
	for call := range q.outs {
		rest.forget(call)
	}
	return rest.drain(never)
}

// sweep forgets what is dequeued and can be in the way of none that is open or
// not judged, if that may be worth the time.
func (q *streamQueue) sweep() {
	if n := len(q.gone) + len(q.empty); n < sweepAtLeast || n < max(2*q.swept, len(q.outs)) {
		return
	}
	q.release()
	low := never
	for call, o := range q.outs {
		if !o.free {
			low = min(low, call)
		}
	}
	for _, e := range q.empty {
		low = min(low, e.Call)
	}
	over := func(x *queuedElement) bool { return x.left() < low }
	for _, x := range q.gone {
		if over(x) {
			q.past.add(x.cell)
			delete(q.byCell, x.cell)
			q.texts -= int64(len(x.cell.text))
		}
	}
	q.gone = slices.DeleteFunc(q.gone, over)
	gone := func(x *queuedElement) bool { return x.to < never }
	q.waiting, q.due = slices.DeleteFunc(q.waiting, gone), slices.DeleteFunc(q.due, gone)
	q.swept = len(q.gone) + len(q.empty)
}
