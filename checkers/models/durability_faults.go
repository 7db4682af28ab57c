package models

import (
	"cmp"
	"slices"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// window is a fault that can cost data, and what it did cost.
type window struct {
	checkers.FaultWindow
	over time.Duration      // t_s: when it was healed and service was back
	back *history.Operation // that shows it, nil if none does
	loss
}

// windows are those of a run, in order of their start.
type windows struct {
	list []window
	// latest[i] is when the last of those up to i was over.
	latest []time.Duration
}

// newWindows finds the faults that can cost data: those whose failure model is
// known, for each of them can.
func newWindows(e *checkers.Evidence, served *service) *windows {
	w := &windows{}
	for _, f := range e.Faults {
		if f.Model == "" {
			continue
		}
		f.End = max(f.Start, f.End)
		x := window{FaultWindow: f, over: f.End, back: served.soonest[served.from(f.End)]}
		if x.back != nil {
			x.over = x.back.Completed
		}
		w.list = append(w.list, x)
	}
	slices.SortStableFunc(w.list, func(a, b window) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End), cmp.Compare(a.Fault, b.Fault), slices.Compare(a.Nodes, b.Nodes))
	})
	latest := time.Duration(0)
	for i := range w.list {
		latest = max(latest, w.list[i].over)
		w.latest = append(w.latest, latest)
	}
	return w
}

// of returns the window to which something belongs that was there at some time,
// at a node: -1 if there is none; and when all were healed to which it may
// belong.
func (w *windows) of(at time.Duration, node string) (charged int, healed time.Duration) {
	next, _ := slices.BinarySearchFunc(w.list, at, func(x window, at time.Duration) int { return cmp.Compare(x.Start, at) })
	charged = -1
	take := func(i int) {
		x := &w.list[i]
		healed = max(healed, x.End)
		if charged < 0 || !slices.Contains(w.list[charged].Nodes, node) && slices.Contains(x.Nodes, node) {
			charged = i
		}
	}
	for i := next - 1; i >= 0 && w.latest[i] >= at; i-- {
		if w.list[i].over >= at {
			take(i)
		}
	}
	if charged >= 0 || next == len(w.list) {
		return charged, healed
	}
	last := next
	for last+1 < len(w.list) && w.list[last+1].Start == w.list[next].Start {
		last++
	}
	for i := last; i >= next; i-- {
		take(i)
	}
	return charged, healed
}
