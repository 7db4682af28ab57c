package models

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// service is how well a system served over time.
type service struct {
	o       DurabilityOptions
	ops     []*history.Operation // by time of invocation
	soonest []*history.Operation // of those from here on, the answered one that completed first
	ok      []int                // how many of those before were answered
	fast    []int                // and as fast as before the first fault, or nearly
}

func newService(e *checkers.Evidence, o DurabilityOptions) *service {
	ops, firstFault := e.Operations, history.Never
	for _, f := range e.Faults {
		if f.Model != "" {
			firstFault = min(firstFault, f.Start)
		}
	}
	s := &service{o: o, ops: make([]*history.Operation, len(ops)), soonest: make([]*history.Operation, len(ops)+1), ok: make([]int, len(ops)+1), fast: make([]int, len(ops)+1)}
	var baseline []time.Duration
	for i := range ops {
		s.ops[i] = &ops[i]
		if op := &ops[i]; op.Answered() && op.Invoked < firstFault && op.Completed <= firstFault {
			baseline = append(baseline, op.Completed-op.Invoked)
		}
	}
	slices.SortStableFunc(s.ops, func(a, b *history.Operation) int { return cmp.Compare(a.Invoked, b.Invoked) })
	bound := time.Duration(math.MaxInt64)
	if most := o.Factor * float64(high(baseline)); most < math.MaxInt64 && len(baseline) > 0 {
		bound = time.Duration(most)
	}
	for i, op := range s.ops {
		s.ok[i+1], s.fast[i+1] = s.ok[i], s.fast[i]
		if op.Answered() {
			s.ok[i+1]++
			if op.Completed-op.Invoked <= bound {
				s.fast[i+1]++
			}
		}
	}
	for i := len(s.ops) - 1; i >= 0; i-- {
		op := s.ops[i]
		if s.soonest[i] = s.soonest[i+1]; op.Answered() && (s.soonest[i] == nil || op.Completed <= s.soonest[i].Completed) {
			s.soonest[i] = op
		}
	}
	return s
}

// from is the first operation that was invoked at some time or later.
func (s *service) from(at time.Duration) int {
	return sort.Search(len(s.ops), func(i int) bool { return s.ops[i].Invoked >= at })
}

// recovery adds the times to recover from one fault.
func (s *service) recovery(start time.Duration, m map[string]float64) {
	soonest := s.soonest[s.from(start)]
	if soonest == nil {
		m["never_served_again"]++
		return
	}
	m["rto_first_seconds"] = max(m["rto_first_seconds"], (soonest.Completed - start).Seconds())
	if steady, ok := s.steady(start); ok {
		m["rto_steady_seconds"] = max(m["rto_steady_seconds"], (steady - start).Seconds())
	} else {
		m["never_steady_again"]++
	}
}

// steady is the first time on the grid from which service is steady. Windows
// in which nothing was invoked are passed over at once.
func (s *service) steady(start time.Duration) (time.Duration, bool) {
	step := max(s.o.Window/10, 1)
	last := s.ops[len(s.ops)-1].Invoked
	for t := start; t <= last-s.o.Window; t += step {
		from, to := s.from(t), s.from(t+s.o.Window)
		if from == to { // on to the first window with the next one
			t += (s.ops[from].Invoked - t - s.o.Window) / step * step
			continue
		}
		ok := s.ok[to] - s.ok[from]
		slow := ok - (s.fast[to] - s.fast[from])
		if float64(ok) >= s.o.Share*float64(to-from) && (ok == 0 || slow < ok-min(ok-1, ok*99/100)) {
			return t, true
		}
	}
	return 0, false
}

// high is the 99 % quantile, 0 of nothing.
func high(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(len(times)-1, len(times)*99/100)]
}
