package linear

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// streamCounter is the state of a counter whose additions are all equal, so
// that reads say how many there had been: the earliest deadline first of
// counters.ranks, online.
//
// The addition that makes the counter pass from n-1 to n must have begun
// before the first read of n or more was over. It can be chosen at that very
// moment: among those that have begun and have no place yet, the best is the
// one that was acknowledged first, because deadlines, which are the least that
// reads found which began after the acknowledgement, follow that order. If
// none was acknowledged, the first to be will be it, if it began before that
// moment, and there is a debt until then. One of unknown outcome has no
// deadline, and pays debts that nobody else can.
//
// An acknowledged addition and a place matter only for reads that are open and
// began after the acknowledgement: so those that no begin of an open read
// divides are held as a number, and a read knows the greatest place of those
// before it. Debts are no more than the additions that are open, and additions
// of unknown outcome are numbers of what may pay them.
type streamCounter struct {
	initial  int64
	step     int64 // of additions; 0 as long as there are none
	greatest int64 // total that a read found which is over: all up to it have places or are debts
	by       *streamRead
	reads    map[*streamOp]struct{}
	open     []*streamOp // additions, in order of their begins
	waiting  []returns   // acknowledged and without a place, in order
	debts    []debt      // in order
	spare    int64       // additions of unknown outcome that no debt may be paid by yet: they began after the last
	// unknown is how many additions of unknown outcome have paid nothing yet.
	unknown int64
	// begun and done are how many additions have begun and did not fail, and how many were acknowledged.
	begun, done int64
}

// returns are additions that were acknowledged, the first of them at from, and
// no read that is open began between.
type returns struct{ from, n int64 }

// debt is a place that an addition must have which began before at.
type debt struct {
	at    int64
	read  *streamRead // that found so much
	spare int64       // additions of unknown outcome that began before at, but not before the debt before
}

func newStreamCounter(o Object) *streamCounter {
	initial, _ := o.Initial.AsInt()
	return &streamCounter{initial: initial, reads: map[*streamOp]struct{}{}}
}

const streamReturnBytes = 64

func (k *streamCounter) bytes() int64 {
	return streamReturnBytes*int64(len(k.open)+len(k.waiting)+len(k.debts)) + streamOpenBytes*int64(len(k.reads)+len(k.debts))
}

func (*streamCounter) pending(*streamOp) string { return "" }

func (k *streamCounter) invoke(o *streamOp) (reason string) {
	if o.f == Read {
		o.total, o.longest, o.done = k.greatest, k.by, k.done
		k.reads[o] = struct{}{}
		return ""
	}
	n, reason := countable(o, &o.begun.Value)
	switch {
	case reason != "" || n == 0:
		return reason
	case k.step == 0:
		k.step = n
	case n != k.step:
		return fmt.Sprintf("the add of %d at event %d: there was one of %d before, and a stream needs additions that are all equal", n, o.call, k.step)
	}
	k.open = append(k.open, o)
	k.begun++
	return ""
}

// countable returns the number in the value of an operation, as counters.parse
// does.
func countable(o *streamOp, v *history.Value) (n int64, reason string) {
	n, ok := v.AsInt()
	switch {
	case !ok:
		return 0, fmt.Sprintf("the %s at event %d: its value is %s; expected an integer", o.f, o.call, v)
	case n >= 1<<40 || n <= -(1<<40):
		return 0, fmt.Sprintf("the %s at event %d: its value is %d; expected less than 2⁴⁰, so that sums fit", o.f, o.call, n)
	}
	return n, ""
}

func (k *streamCounter) complete(o *streamOp, e *history.Event) (found *finding, reason string) {
	if o.f == Read {
		delete(k.reads, o)
		if e.Kind == history.OK {
			found, reason = k.found(o, e)
		}
		k.join()
		return found, reason
	}
	at := k.begunBefore(o.call)
	if at == len(k.open) || k.open[at] != o { // of nothing
		return nil, ""
	}
	k.open = slices.Delete(k.open, at, at+1)
	// The first debt that it may pay.
	first, _ := slices.BinarySearchFunc(k.debts, o.call, func(d debt, call int64) int { return cmp.Compare(d.at, call) })
	switch {
	case e.Kind == history.OK && first < len(k.debts):
		k.done++
		k.pay(first)
	case e.Kind == history.OK:
		k.done++
		k.acknowledge(e.Index)
	case e.Kind == history.Info:
		*k.spares(first)++
		k.unknown++
	default:
		k.begun--
		if found = k.unpaid(); found != nil {
			return found, ""
		}
	}
	k.settle(first) // no other can have relied on o
	return found, ""
}

// spares is how many additions of unknown outcome may pay the debt at a place,
// and none before; after the last those that may pay none.
func (k *streamCounter) spares(at int) *int64 {
	if at == len(k.debts) {
		return &k.spare
	}
	return &k.debts[at].spare
}

// pay removes a debt.
func (k *streamCounter) pay(at int) {
	*k.spares(at + 1) += k.debts[at].spare
	k.debts = slices.Delete(k.debts, at, at+1)
}

// acknowledge lets an addition wait for a place.
func (k *streamCounter) acknowledge(now int64) {
	if n := len(k.waiting); n > 0 && !k.divided(k.waiting[n-1].from, now) {
		k.waiting[n-1].n++
		return
	}
	k.waiting = append(k.waiting, returns{now, 1})
}

// divided reports whether a read that is open began between two events.
func (k *streamCounter) divided(from, to int64) bool {
	for o := range k.reads {
		if from < o.call && o.call < to {
			return true
		}
	}
	return false
}

// join joins what is divided no more, if that may be worth the time.
func (k *streamCounter) join() {
	if len(k.waiting) < sweepAtLeast || len(k.waiting) < 2*len(k.reads) {
		return
	}
	kept := k.waiting[:1]
	for _, r := range k.waiting[1:] {
		if last := &kept[len(kept)-1]; k.divided(last.from, r.from) {
			kept = append(kept, r)
		} else {
			last.n += r.n
		}
	}
	k.waiting = kept
}

// found takes the result of a read.
func (k *streamCounter) found(o *streamOp, e *history.Event) (*finding, string) {
	n, reason := countable(o, &e.Value)
	if reason != "" {
		return nil, reason
	}
	step := max(k.step, -k.step, 1)
	total := (n - k.initial) / step
	if k.step < 0 {
		total = -total
	}
	switch {
	case (n-k.initial)%step != 0 || total < 0:
		return &finding{class: WrongSum, why: fmt.Sprintf("additions of %d to %d cannot give that", k.step, k.initial)}, ""
	case total < o.total:
		return &finding{class: StaleRead, why: "before it began, " + o.longest.operation.String() + " had been told", with: []history.Operation{o.longest.operation}}, ""
	case total > k.greatest:
		if f := k.place(total, &streamRead{operation: o.operation(e)}); f != nil {
			return f, ""
		}
	}
	if total < o.lowest || len(k.waiting) > 0 && k.waiting[0].from < o.call {
		return &finding{class: LostAdd, why: fmt.Sprintf("it is too low: %d additions had been acknowledged before it began, and not all of them can have had their places by then", o.done)}, ""
	}
	return nil, ""
}

// place gives the places up to total to additions, when a read that found it
// is over.
func (k *streamCounter) place(total int64, r *streamRead) *finding {
	used := 0
	at := k.greatest
	for ; used < len(k.waiting) && at < total; used++ {
		w := &k.waiting[used]
		n := min(w.n, total-at)
		at += n
		for o := range k.reads {
			if w.from < o.call {
				o.lowest = max(o.lowest, at)
			}
		}
		if w.n -= n; w.n > 0 {
			break
		}
	}
	k.waiting = slices.Delete(k.waiting, 0, used)
	if owed := total - at; owed > int64(len(k.open))+k.unknown-int64(len(k.debts)) {
		return &finding{class: WrongSum, why: fmt.Sprintf("it is too high: not so many additions had begun, but %d", k.begun)}
	}
	for ; at < total; at++ {
		if len(k.debts) >= len(k.open) { // nobody who is open can pay one more
			k.spend(len(k.debts))
			continue
		}
		k.debts = append(k.debts, debt{r.operation.Return, r, k.spare})
		k.spare = 0
	}
	k.greatest, k.by = total, r
	return nil
}

// spend takes one of the additions of unknown outcome that may pay a debt, of
// which one that began last is best.
func (k *streamCounter) spend(debt int) {
	for *k.spares(debt) == 0 {
		debt--
	}
	*k.spares(debt)--
	k.unknown--
}

// settle pays the debts from a place on that no addition which is open can pay,
// because those before will take them all.
func (k *streamCounter) settle(i int) {
	for i < len(k.debts) {
		if k.begunBefore(k.debts[i].at) > i {
			i++
			continue
		}
		k.spend(i)
		k.pay(i)
	}
}

// begunBefore is how many of the additions that are open began before an event.
func (k *streamCounter) begunBefore(at int64) int {
	n, _ := slices.BinarySearchFunc(k.open, at, func(o *streamOp, at int64) int { return cmp.Compare(o.call, at) })
	return n
}

// unpaid finds a debt that nobody can pay any more, because an addition
// failed.
func (k *streamCounter) unpaid() *finding {
	spare := int64(0)
	for i := range k.debts {
		d := &k.debts[i]
		if spare += d.spare; int64(k.begunBefore(d.at))+spare <= int64(i) {
			return &finding{
				class: WrongSum, partial: true, with: []history.Operation{d.read.operation},
				why: "it certainly did not happen, and without it " + d.read.operation.String() + " is too high: not so many others had begun",
			}
		}
	}
	return nil
}
