package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Strength measures how much a history can prove. A history whose operations
// never overlapped, mostly failed or never read what was written cannot show
// a violation, whatever a checker says of it.
type Strength struct {
	Operations int `json:"operations"`
	OK         int `json:"ok"`
	// Concurrent counts operations that overlapped another one on the same
	// key. An operation of unknown outcome counts as open until its client
	// gave up.
	Concurrent int `json:"concurrent"`
	// Reads counts ok reads; Distinguishing those that returned another value
	// than the ok read of the same key before them (the first one: another
	// than nil).
	Reads          int `json:"reads"`
	Distinguishing int `json:"distinguishing"`
	// DuringFaults counts ok operations that were open or invoked while a
	// fault was in force.
	DuringFaults int `json:"during_faults"`
	// Keys counts the keys used.
	Keys int `json:"keys"`
	// Faults counts the faults that started.
	Faults int `json:"faults"`
}

// ReadFunction is the F of operations that Measure counts as reads.
const ReadFunction = "read"

// Measure computes the strength of a history in O(n log n). Operations are
// those of events, in order of invocation.
func Measure(events []Event, ops []Operation) Strength {
	s := Strength{Operations: len(ops)}
	windows := faultWindows(events)
	for i := range events {
		if events[i].Kind == FaultStart {
			s.Faults++
		}
	}
	byKey := map[string][]int{}
	for i := range ops {
		o := &ops[i]
		byKey[o.Key] = append(byKey[o.Key], i)
		if o.Outcome != OK {
			continue
		}
		s.OK++
		if windows.overlaps(o.Call, o.Return) {
			s.DuringFaults++
		}
	}
	s.Keys = len(byKey)
	for _, indices := range byKey {
		s.Concurrent += concurrent(ops, indices)
		reads, distinguishing := reads(ops, indices)
		s.Reads += reads
		s.Distinguishing += distinguishing
	}
	return s
}

// concurrent counts those of the operations, given in order of invocation,
// that overlap another one.
func concurrent(ops []Operation, indices []int) int {
	n := 0
	latest := int64(-1) // greatest return index so far
	for i, at := range indices {
		o := &ops[at]
		end := max(o.Return, o.Call)
		next := int64(math.MaxInt64)
		if i+1 < len(indices) {
			next = ops[indices[i+1]].Call
		}
		if latest > o.Call || next < end {
			n++
		}
		latest = max(latest, end)
	}
	return n
}

func reads(ops []Operation, indices []int) (reads, distinguishing int) {
	done := make([]int, 0, len(indices))
	for _, at := range indices {
		if ops[at].F == ReadFunction && ops[at].Outcome == OK {
			done = append(done, at)
		}
	}
	slices.SortFunc(done, func(a, b int) int { return cmp.Compare(ops[a].Return, ops[b].Return) })
	before := Nil
	for _, at := range done {
		if !ops[at].Output.Equal(before) {
			distinguishing++
		}
		before = ops[at].Output
	}
	return len(done), distinguishing
}

// spans are disjoint intervals of event indices in rising order.
type spans []struct{ from, to int64 }

// faultWindows returns when at least one fault was in force.
func faultWindows(events []Event) spans {
	var s spans
	depth := 0
	for i := range events {
		switch events[i].Kind {
		case FaultStart:
			if depth == 0 {
				s = append(s, struct{ from, to int64 }{events[i].Index, math.MaxInt64})
			}
			depth++
		case FaultEnd:
			if depth == 0 {
				continue
			}
			if depth--; depth == 0 {
				s[len(s)-1].to = events[i].Index
			}
		}
	}
	return s
}

func (s spans) overlaps(from, to int64) bool {
	i, _ := slices.BinarySearchFunc(s, from, func(w struct{ from, to int64 }, t int64) int { return cmp.Compare(w.to, t) })
	return i < len(s) && s[i].from < to
}

// Floor is the least strength at which the absence of a violation means
// something. A zero field asks for nothing.
type Floor struct {
	OK             int // ok operations
	OKPercent      int // share of operations that are ok
	Concurrent     int // operations that overlapped another
	Distinguishing int // reads that saw a change
	DuringFaults   int // ok operations during faults, where there were faults
}

// DefaultFloor is what a run of a few seconds easily exceeds.
var DefaultFloor = Floor{OK: 20, OKPercent: 5, Concurrent: 5, Distinguishing: 5, DuringFaults: 1}

// Weak returns why the history is too weak to prove anything, a sentence for
// each reason, or nil if it is strong enough.
func (s Strength) Weak(f Floor) []string {
	var reasons []string
	below := func(got, want int, format string) {
		if got < want {
			reasons = append(reasons, fmt.Sprintf("the history is too weak: "+format, got, want))
		}
	}
	below(s.OK, f.OK, "%d operations succeeded, at least %d are needed")
	if s.Operations > 0 && s.OK >= f.OK {
		below(s.OK*100/s.Operations, f.OKPercent, "%d%% of the operations succeeded, at least %d%% are needed")
	}
	below(s.Concurrent, f.Concurrent, "%d operations overlapped another one on their key, at least %d are needed")
	below(s.Distinguishing, f.Distinguishing, "%d reads saw a change, at least %d are needed")
	if s.Faults > 0 {
		below(s.DuringFaults, f.DuringFaults, "%d operations succeeded while a fault was in force, at least %d are needed")
	}
	return reasons
}
