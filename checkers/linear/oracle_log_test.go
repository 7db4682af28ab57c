package linear

import (
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// stored is a message of a log, at its offset.
type stored struct{ offset, value int64 }

// unsaid stands for an offset or a value that an operation does not say, and
// offsets of these tests are greater than offsetMin and less than offsetMax.
const (
	unsaid    = -1 << 40
	offsetMin = -2
	offsetMax = 14
)

// logStep is an operation on a log with offsets, in the form in which orders
// are tried.
type logStep struct {
	f           string
	required    bool // it was ok
	call, ret   int64
	told, value int64    // of a send: the offset that it returned, and the message; of a read: what it returned
	from        int64    // of a poll or read
	found       []stored // of a poll
}

func said(v history.Value) int64 {
	if n, ok := v.AsInt(); ok {
		return n
	}
	return unsaid
}

func newLogStep(o *history.Operation) logStep {
	s := logStep{f: o.F, required: o.Outcome == history.OK, call: o.Call, ret: o.Return, told: unsaid, from: said(o.Input)}
	switch o.F {
	case Send:
		if s.value = said(o.Input); s.required {
			if s.told = said(o.Output); len(items(o.Output)) == 2 {
				s.told = said(items(o.Output)[0])
			}
		}
	case Read:
		s.value = said(o.Output)
	default:
		for _, pair := range items(o.Output) {
			s.found = append(s.found, stored{said(items(pair)[0]), said(items(pair)[1])})
		}
	}
	return s
}

// logOracle decides whether a history of a log with offsets is legal by trying
// every order of its operations, every choice of the sends of unknown outcome
// and every greater offset for a send that does not say its own. It shares no
// code with the checker. Three things keep it quick, and lose nothing: no state
// is tried twice; what is to be placed must not contradict what is there, since
// offsets only grow; and of the offsets between two that any operation mentions,
// which no operation can tell apart, the least is tried.
type logOracle struct {
	steps     []logStep
	mentioned [offsetMax - offsetMin]bool
	log       []stored
	tried     map[logState]bool
	visits    int
}

// logState is how far an order has come: which steps are placed, and the
// offset and the step of each message, in a byte.
type logState struct {
	placed uint32
	log    [2]uint64
}

// legalLog asks the oracle.
func legalLog(ops []history.Operation) bool {
	o := &logOracle{}
	for i := range ops {
		if x := &ops[i]; x.Outcome == history.OK || x.Outcome == history.Info && x.F == Send {
			o.steps = append(o.steps, newLogStep(x))
		}
	}
	if len(o.steps) > 16 {
		panic(fmt.Sprintf("a log of %d operations is too large for the oracle", len(o.steps)))
	}
	for i := range o.steps {
		s := &o.steps[i]
		o.mention(s.told)
		if s.f != Send {
			o.mention(s.from)
		}
		for _, m := range s.found {
			o.mention(m.offset)
		}
	}
	return o.try(logState{})
}

func (o *logOracle) mention(offset int64) {
	if offsetMin < offset && offset < offsetMax {
		o.mentioned[offset-offsetMin] = true
	}
}

func (o *logOracle) try(at logState) bool {
	done, limit := true, never
	for i := range o.steps {
		if s := &o.steps[i]; s.required && at.placed>>i&1 == 0 {
			done, limit = false, min(limit, s.ret)
			if !o.possible(s) {
				return false
			}
		}
	}
	if done {
		return true
	}
	if o.visits++; o.visits > 100 {
		if o.tried[at] {
			return false
		}
		if o.tried == nil {
			o.tried = map[logState]bool{}
		}
		o.tried[at] = true
	}
	for i := range o.steps {
		s := &o.steps[i]
		if at.placed>>i&1 == 1 || s.call > limit {
			continue
		}
		next := at
		next.placed |= 1 << i
		if s.f == Send && o.send(i, next) || s.f != Send && o.shows(s) && o.try(next) {
			return true
		}
	}
	return false
}

// send tries each offset that step i can have got.
func (o *logOracle) send(i int, at logState) bool {
	s, n := &o.steps[i], len(o.log)
	alike := false // the offset before is one that nobody mentions, too
	for offset := o.last() + 1; offset < offsetMax; offset++ {
		if s.told != unsaid && s.told != offset || alike && !o.mentioned[offset-offsetMin] {
			continue
		}
		alike = !o.mentioned[offset-offsetMin]
		next := at
		next.log[n/8] |= uint64((offset-offsetMin)<<4|int64(i)) << (n % 8 * 8)
		o.log = append(o.log[:n], stored{offset, s.value})
		if o.try(next) {
			return true
		}
		o.log = o.log[:n]
	}
	return false
}

// last is the greatest offset.
func (o *logOracle) last() int64 {
	if len(o.log) == 0 {
		return offsetMin
	}
	return o.log[len(o.log)-1].offset
}

// possible reports false if a step contradicts the log, however that grows.
func (o *logOracle) possible(s *logStep) bool {
	last := o.last()
	switch s.f {
	case Send:
		return s.told == unsaid || s.told > last
	case Read:
		return s.from > last || o.shows(s)
	}
	for _, m := range s.found {
		if m.offset <= last && !slices.Contains(o.log, m) {
			return false
		}
	}
	return len(s.found) > 0 || s.from > last || o.shows(s)
}

// shows reports whether a poll or read can have returned what it did.
func (o *logOracle) shows(s *logStep) bool {
	known := s.from != unsaid
	after := o.log // what is there from the offset on
	for known && len(after) > 0 && after[0].offset < s.from {
		after = after[1:]
	}
	switch n := len(s.found); {
	case s.f == Read:
		if len(after) > 0 && after[0].offset == s.from {
			return s.value == after[0].value
		}
		return s.value == unsaid
	case n == 0:
		return !known || len(after) == 0
	case known:
		return n <= len(after) && slices.Equal(s.found, after[:n])
	}
	for i := range after {
		if rest := after[i:]; len(s.found) <= len(rest) && slices.Equal(s.found, rest[:len(s.found)]) {
			return true
		}
	}
	return false
}
