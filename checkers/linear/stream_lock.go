package linear

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// hold is a permit that someone has for certain: from the end of an acquire to
// the beginning of its release, never if there is none.
type hold struct {
	taken    history.Operation
	from, to int64
	releases bool // its release is open, and may yet fail
}

// streamLock is the state of a mutex or semaphore whose processes release only
// what they acquired. A release that fails never was: its permit was held on,
// so holds are kept until no release is open that began before their end.
type streamLock struct {
	permits int64
	holders map[int][]*hold // process → what it holds, in order
	holds   []*hold         // in order of from
	current int64           // holds without a release that was begun
	strange int             // releases that are open, by who holds nothing
	swept   int             // holds that were left by the last sweep
}

func newStreamLock(o Object) *streamLock {
	n, ok := o.Initial.AsInt()
	if !ok { // a mutex
		n = 1
	}
	return &streamLock{permits: n, holders: map[int][]*hold{}}
}

const streamHoldBytes = 384

func (l *streamLock) bytes() int64 { return streamHoldBytes * int64(len(l.holds)) }

func (l *streamLock) invoke(o *streamOp) (reason string) {
	if several(o.begun.Value, l.permits) {
		return fmt.Sprintf("the %s at event %d has the argument %s; permits are taken and given back one at a time", o.begun.F, o.call, o.begun.Value)
	}
	if held := l.holders[o.begun.Process]; o.f == Release && len(held) > 0 {
		o.hold = held[0]
		o.hold.to, o.hold.releases = o.call, true
		l.current--
	} else if o.f == Release {
		l.strange++
	}
	return ""
}

func (l *streamLock) pending(o *streamOp) (reason string) {
	if o.f == Release && o.hold == nil {
		return fmt.Sprintf("%s: process %d, at event %d, releases what it does not hold, and a stream needs processes that release only what they acquired", name(o.begun.Key), o.begun.Process, o.call)
	}
	return ""
}

func (l *streamLock) complete(o *streamOp, e *history.Event) (found *finding, reason string) {
	if o.f == Release && o.hold == nil {
		if l.strange--; e.Kind == history.Fail {
			return nil, ""
		}
		return nil, l.pending(o)
	}
	switch {
	case o.f == Acquire && e.Kind == history.OK:
		h := &hold{taken: o.operation(e), from: e.Index, to: never}
		l.holds = append(l.holds, h)
		l.holders[e.Process] = append(l.holders[e.Process], h)
		if l.current++; l.current > l.permits {
			found = l.crowd(h)
		}
	case o.f == Release && e.Kind == history.Fail:
		o.hold.to, o.hold.releases = never, false
		if l.current++; int64(len(l.holds)) > l.permits {
			found = l.anyCrowd()
		}
	case o.f == Release:
		o.hold.releases = false
		l.holders[e.Process] = l.holders[e.Process][1:]
	}
	if len(l.holders[e.Process]) == 0 {
		delete(l.holders, e.Process)
	}
	if found != nil && l.strange > 0 {
		return nil, fmt.Sprintf("%s: %s, but a process releases what it does not hold just then, and a stream needs processes that release only what they acquired", name(e.Key), found.why)
	}
	if found == nil {
		l.sweep()
	}
	return found, ""
}

// anyCrowd finds a moment at which there were too many holds.
func (l *streamLock) anyCrowd() *finding {
	ends := slices.Clone(l.holds)
	slices.SortFunc(ends, func(a, b *hold) int { return cmp.Compare(a.to, b.to) })
	held, over := int64(0), 0
	for _, h := range l.holds {
		for ; over < len(ends) && ends[over].to < h.from; over++ {
			held--
		}
		if held++; held > l.permits {
			return l.crowd(h)
		}
	}
	return nil
}

// crowd is the violation that there were too many holds when one began.
func (l *streamLock) crowd(last *hold) *finding {
	f := &finding{class: TooManyHolders, aside: true}
	for _, h := range l.holds {
		if h.from <= last.from && h.to > last.from {
			f.with = append(f.with, h.taken)
		}
	}
	f.why = fmt.Sprintf("%d had succeeded by event %d and were not released before, and there are %d permits", len(f.with), last.from, l.permits)
	if l.permits == 1 {
		f.why = fmt.Sprintf("%s, and %s: both had succeeded and were not released before", f.with[0], f.with[1])
	}
	return f
}

// sweep forgets what is over, if that may be worth the time.
func (l *streamLock) sweep() {
	if len(l.holds) < sweepAtLeast || len(l.holds) < 2*l.swept {
		return
	}
	low := never // the first of the releases that are open
	for _, h := range l.holds {
		if h.releases {
			low = min(low, h.to)
		}
	}
	l.holds = slices.DeleteFunc(l.holds, func(h *hold) bool { return h.to < low })
	l.swept = len(l.holds)
}
