package linear

import (
	"fmt"
	"slices"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Classes of violations, as Witness.Class names them.
const (
	ThinAirRead = "thin-air read" // a value that nobody wrote
	AbortedRead = "aborted read"  // a value whose write certainly did not happen
	FutureRead  = "future read"   // a value before it was written
	LostUpdate  = "lost update"   // one value was replaced twice by cas
	StaleRead   = "stale read"    // a value that had been overwritten
	// WrongRefusal is a cas that was refused although the register held what
	// it expected.
	WrongRefusal = "wrong refusal"
	Unordered    = "unordered" // no order at all, for a reason not named above
)

// explanation is a violation in its smallest form.
type explanation struct {
	problem *problem
	ops     []op
	minimal bool
	end     int64 // last return
	refusal bool  // it relies on refused cas
	// unconfirmed says that porcupine could not decide within the budget.
	unconfirmed bool
}

func (x *explanation) witness(e *checkers.Evidence) *checkers.Witness {
	s := newSpeaker(x, e.Operations)
	w := &checkers.Witness{Key: x.problem.key, From: history.Never}
	if w.Class, w.Summary = s.unordered(); len(x.ops) <= witnessMax {
		w.Class, w.Summary = s.classify()
	}
	for i := range x.ops {
		h := s.history(&x.ops[i])
		if i < witnessMax {
			w.Operations = append(w.Operations, *h)
			w.Lines = append(w.Lines, s.line(&x.ops[i]))
		}
		w.From = min(w.From, h.Invoked)
		w.To = max(w.To, h.Invoked)
		if h.Completed != history.Never {
			w.To = max(w.To, h.Completed)
		}
	}
	if n := len(x.ops) - witnessMax; n > 0 {
		w.Lines = append(w.Lines, fmt.Sprintf("%d more operations belong to it and are not listed.", n))
	}
	if len(x.ops) > 1 {
		w.Lines = append(w.Lines, "No order of these operations agrees both with real time and with what they returned.")
	}
	if v, found := s.beginning(); found {
		w.Lines = append(w.Lines, fmt.Sprintf("If the register begins with %s, say --initial %s.", s.value(v), s.value(v)))
	}
	if !x.minimal {
		w.Lines = append(w.Lines, "There may be a smaller explanation: the search for it ran out of its budget.")
	}
	if x.unconfirmed {
		w.Lines = append(w.Lines, "Porcupine could not confirm this within the budget.")
	}
	return w
}

// speaker puts operations into words.
type speaker struct {
	x      *explanation
	all    []history.Operation
	digits int // of a second, so that different times look different
}

func newSpeaker(x *explanation, all []history.Operation) *speaker {
	s := &speaker{x: x, all: all, digits: 3}
	var times []time.Duration
	for i := range x.ops[:min(len(x.ops), witnessMax)] {
		h := s.history(&x.ops[i])
		times = append(times, h.Invoked)
		if h.Completed != history.Never {
			times = append(times, h.Completed)
		}
	}
	slices.Sort(times)
	times = slices.Compact(times)
	for ; s.digits < 9; s.digits += 3 {
		alike := false
		for i := 1; i < len(times); i++ {
			alike = alike || s.time(times[i]) == s.time(times[i-1])
		}
		if !alike {
			break
		}
	}
	return s
}

func (s *speaker) history(o *op) *history.Operation { return &s.all[o.source] }

func (s *speaker) time(d time.Duration) string {
	return fmt.Sprintf("%.*f s", s.digits, d.Seconds())
}

func (s *speaker) value(v int32) string { return s.x.problem.values[v].String() }

// key says " of key x", or nothing where there is only one.
func (s *speaker) key() string {
	if s.x.problem.key == "" {
		return ""
	}
	return " of key " + s.x.problem.key
}

func (s *speaker) who(o *op) string {
	h := s.history(o)
	if h.Node == "" {
		return fmt.Sprintf("process %d", h.Process)
	}
	return fmt.Sprintf("process %d, node %s", h.Process, h.Node)
}

// line describes an operation as a step of the argument.
func (s *speaker) line(o *op) string {
	h := s.history(o)
	when := "from " + s.time(h.Invoked)
	switch {
	case h.Outcome != history.Info:
		when += " to " + s.time(h.Completed)
	default:
		when += ", outcome unknown"
	}
	what := ""
	switch {
	case h.F == Read:
		what = "a read returned " + s.value(o.value)
	case h.F == Delete:
		what = "a delete"
	case o.kind == differs:
		what = fmt.Sprintf("a cas found something else than %s", s.value(o.expect))
	case h.F == CAS && o.kind == cas:
		what = fmt.Sprintf("a cas replaced %s by %s", s.value(o.expect), s.value(o.value))
	case h.F == CAS:
		what = fmt.Sprintf("a cas set %s (what it expected does not matter here)", s.value(o.value))
	default:
		what = "a write of " + s.value(o.value)
	}
	return fmt.Sprintf("%s: %s (%s)", when, what, s.who(o))
}

// finding describes an operation that found a value: "the read of key x at
// 3.214 s (process 1, node n2) returned 4".
func (s *speaker) finding(o *op) string {
	h := s.history(o)
	at := "that began at " + s.time(h.Invoked)
	if h.Outcome != history.Info {
		at = "at " + s.time(h.Completed)
	}
	if o.kind == read {
		return fmt.Sprintf("the read%s %s (%s) returned %s", s.key(), at, s.who(o), s.value(o.value))
	}
	return fmt.Sprintf("the cas%s %s (%s) replaced %s by %s", s.key(), at, s.who(o), s.value(o.expect), s.value(o.value))
}

// classify names the violation and says it in a sentence. What it claims
// follows from the operations of the explanation alone.
func (s *speaker) classify() (class, summary string) {
	ops := s.x.ops
	if class, summary := s.refused(); class != "" {
		return class, summary
	}
	if len(ops) == 1 {
		if v, ok := ops[0].observes(); ok {
			return s.fromNowhere(&ops[0], v)
		}
	}
	if class, summary := s.lostUpdate(); class != "" {
		return class, summary
	}
	if class, summary := s.future(); class != "" {
		return class, summary
	}
	if class, summary := s.unset(); class != "" {
		return class, summary
	}
	if class, summary := s.stale(); class != "" {
		return class, summary
	}
	return s.unordered()
}

func (s *speaker) unordered() (class, summary string) {
	return Unordered, contradiction(len(s.x.ops), name(s.x.problem.key))
}

func (s *speaker) fromNowhere(o *op, v int32) (class, summary string) {
	var tried *history.Operation // the first to try, and to fail
	for _, f := range s.x.problem.failed {
		if h := &s.all[f.source]; f.value == v && (tried == nil || h.Call < tried.Call) {
			tried = h
		}
	}
	switch {
	case tried == nil:
		return ThinAirRead, fmt.Sprintf("%s, which nobody had written", s.finding(o))
	case tried.Call > o.ret:
		return ThinAirRead, fmt.Sprintf("%s, which nobody had begun to write: the first to try was a %s that began at %s (process %d), and failed",
			s.finding(o), tried.F, s.time(tried.Invoked), tried.Process)
	case tried.Return < o.ret:
		return AbortedRead, fmt.Sprintf("%s, although the %s of %s had failed at %s (process %d): it certainly did not happen",
			s.finding(o), tried.F, s.value(v), s.time(tried.Completed), tried.Process)
	}
	return AbortedRead, fmt.Sprintf("%s, although the %s of %s that began at %s (process %d) failed: it certainly did not happen",
		s.finding(o), tried.F, s.value(v), s.time(tried.Invoked), tried.Process)
}

// unset recognizes a finding of a value that only cas could have set which
// cannot have found what they expected by then.
func (s *speaker) unset() (class, summary string) {
	i := impossible(s.x.ops, s.x.problem.initial, len(s.x.problem.values))
	if i < 0 {
		return "", ""
	}
	o := &s.x.ops[i]
	v, _ := o.observes()
	return ThinAirRead, fmt.Sprintf("%s: by then, %s can only have been set by a cas that expected what was never there", s.finding(o), s.value(v))
}

// beginning returns the value that registers seem to begin with, where one was
// found before anything was acknowledged, and they are said to begin with nil.
func (s *speaker) beginning() (v int32, found bool) {
	p := s.x.problem
	if !p.values[p.initial].IsNil() {
		return 0, false
	}
	i := impossible(s.x.ops, p.initial, len(p.values))
	if i < 0 {
		return 0, false
	}
	for j := range p.ops {
		if o := &p.ops[j]; o.kind != read && o.ret < s.x.ops[i].call {
			return 0, false
		}
	}
	return s.x.ops[i].observes()
}

// setters returns the operations that may have set v.
func (s *speaker) setters(v int32) []*op {
	var found []*op
	for i := range s.x.ops {
		if o := &s.x.ops[i]; o.kind != read && o.value == v {
			found = append(found, o)
		}
	}
	return found
}

func (s *speaker) lostUpdate() (class, summary string) {
	ops := s.x.ops
	for i := range ops {
		for j := range ops[:i] {
			a, b := &ops[j], &ops[i]
			if a.kind != cas || b.kind != cas || a.expect != b.expect || a.maybe || b.maybe {
				continue
			}
			times := len(s.setters(a.expect))
			if a.expect == s.x.problem.initial {
				times++
			}
			if times == 1 && a.expect != a.value && b.expect != b.value {
				return LostUpdate, fmt.Sprintf("%s, and %s, although it held %s only once", s.finding(a), s.finding(b), s.value(a.expect))
			}
		}
	}
	return "", ""
}

// future recognizes a finding that ended before anyone began to set the
// value.
func (s *speaker) future() (class, summary string) {
	for i := range s.x.ops {
		o := &s.x.ops[i]
		v, ok := o.observes()
		setters := s.setters(v)
		if !ok || o.maybe || v == s.x.problem.initial || len(setters) == 0 {
			continue
		}
		first := setters[0]
		for _, w := range setters {
			if w.call < first.call {
				first = w
			}
		}
		if o.ret < first.call {
			return FutureRead, fmt.Sprintf("%s, although nobody began to write %s before %s", s.finding(o), s.value(v), s.time(s.history(first).Invoked))
		}
	}
	return "", ""
}

// stale recognizes a value found after another one was in place, which
// nobody set again in between.
func (s *speaker) stale() (class, summary string) {
	for i := len(s.x.ops) - 1; i >= 0; i-- {
		late := &s.x.ops[i]
		v, ok := late.observes()
		if !ok || late.maybe {
			continue
		}
		var proof *op
		for j := range s.x.ops {
			x := &s.x.ops[j]
			if x.maybe || x.ret >= late.call || x.value == v {
				continue
			}
			if s.settledBefore(v, x) && (proof == nil || x.ret > proof.ret) {
				proof = x
			}
		}
		if proof != nil {
			return StaleRead, fmt.Sprintf("%s, although %s and nothing %s after that", s.finding(late), s.placed(proof), s.again(v))
		}
	}
	return "", ""
}

// settledBefore reports whether whoever set v had done so before x began.
func (s *speaker) settledBefore(v int32, x *op) bool {
	for _, w := range s.setters(v) {
		if w.ret >= x.call {
			return s.seenBefore(v, x)
		}
	}
	return true
}

// seenBefore reports whether v, set only once, was found before x began.
func (s *speaker) seenBefore(v int32, x *op) bool {
	if len(s.setters(v)) != 1 || v == s.x.problem.initial {
		return false
	}
	for i := range s.x.ops {
		o := &s.x.ops[i]
		if found, ok := o.observes(); ok && !o.maybe && found == v && o.ret < x.call {
			return true
		}
	}
	return false
}

func (s *speaker) placed(x *op) string {
	h := s.history(x)
	when := s.time(h.Completed)
	switch {
	case x.kind == read:
		return fmt.Sprintf("%s had been read at %s", s.value(x.value), when)
	case h.F == Delete:
		return "a delete had been acknowledged at " + when
	}
	return fmt.Sprintf("%s had been acknowledged at %s", s.value(x.value), when)
}

func (s *speaker) again(v int32) string {
	switch {
	case s.x.problem.values[v].IsNil():
		return "deleted it"
	case v == s.x.problem.initial:
		return "set it back"
	}
	return "wrote " + s.value(v) + " again"
}
