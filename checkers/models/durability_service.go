package models

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// service is how well a system served over time.
type service struct {
	o       DurabilityOptions
	ops     []*history.Operation // by time of invocation
	soonest []time.Duration      // completion of an ok one of these from here on
	ok      []int                // how many of those before were ok
	fast    []int                // and as fast as before the first crash, or nearly

}

func newService(ops []history.Operation, firstCrash time.Duration, o DurabilityOptions) *service {
	s := &service{o: o, ops: make([]*history.Operation, len(ops)), soonest: make([]time.Duration, len(ops)+1), ok: make([]int, len(ops)+1), fast: make([]int, len(ops)+1)}
	var baseline []time.Duration
	for i := range ops {
		s.ops[i] = &ops[i]
		if op := &ops[i]; op.Outcome == history.OK && op.Invoked < firstCrash && op.Completed <= firstCrash {
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
		if op.Outcome == history.OK {
			s.ok[i+1]++
			if op.Completed-op.Invoked <= bound {
				s.fast[i+1]++
			}
		}
	}
	s.soonest[len(ops)] = history.Never
	for i := len(s.ops) - 1; i >= 0; i-- {
		if s.soonest[i] = s.soonest[i+1]; s.ops[i].Outcome == history.OK {
			s.soonest[i] = min(s.soonest[i], s.ops[i].Completed)
		}
	}
	return s
}

// from is the first operation that was invoked at some time or later.
func (s *service) from(at time.Duration) int {
	return sort.Search(len(s.ops), func(i int) bool { return s.ops[i].Invoked >= at })
}

// recovery adds the times to recover from one crash.
func (s *service) recovery(crash time.Duration, m map[string]float64) {
	soonest := s.soonest[s.from(crash)]
	if soonest == history.Never {
		m["never_served_again"]++
		return
	}
	m["rto_first_seconds"] = max(m["rto_first_seconds"], (soonest - crash).Seconds())
	if steady, ok := s.steady(crash); ok {
		m["rto_steady_seconds"] = max(m["rto_steady_seconds"], (steady - crash).Seconds())
	} else {
		m["never_steady_again"]++
	}
}

// steady is the first time on the grid from which service is steady. Windows
// in which nothing was invoked are passed over at once.
func (s *service) steady(crash time.Duration) (time.Duration, bool) {
	step := max(s.o.Window/10, 1)
	last := s.ops[len(s.ops)-1].Invoked
	for t := crash; t <= last-s.o.Window; t += step {
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
