package linear

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Stream judges a history while it is read, event by event. It holds what is
// open and what may still matter, and for each other value that was written a
// bit or, if it is not an integer, 16 bytes, to verify that values are unique;
// for an element of a set that may be asked for, a byte or 17.
// It says the same as Checker, with two differences: where the preconditions of
// the exact algorithm do not hold it does not search, but is unknown; and what
// contradicts the operation by which the history was beyond repair may be
// forgotten by then, so that the witness lacks it.
type Stream struct {
	object  Object
	kind    streamKind
	memory  int64
	keys    map[string]streamed
	open    map[int]*streamOp
	free    []*streamOp // to be used again
	retired numbers     // processes
	// operations were completed; next is the least index that may follow.
	operations, next int64
	bytes, peak      int64
	full             bool   // what is held is more than allowed
	reason           string // why nothing can be decided
	bad              *streamBad
}

// streamed is the state of one key.
type streamed interface {
	// invoke takes the begin of an operation, complete its end. The reason says
	// why nothing can be decided, "" if it can.
	invoke(o *streamOp) (reason string)
	complete(o *streamOp, e *history.Event) (found *finding, reason string)
	// pending says why nothing can be decided if o is never completed.
	pending(o *streamOp) (reason string)
	// bytes is what is held, apart from what is open.
	bytes() int64
}

// ender is the state of a key of which something is left to judge when the
// history ends.
type ender interface {
	// end judges what is left if nothing that is open is ever completed. It
	// changes nothing.
	end() (found *finding, reason string)
}

// streamOp is an operation that is open.
type streamOp struct {
	f     string
	key   streamed
	call  int64
	begun history.Event

	value   cell         // that a register is set to
	hold    *hold        // that a release gives back
	newest  *tokened     // the greatest token known when it began
	element *listElement // that it appends
	least   int          // elements that a read must find, or more
	longest *streamRead  // the longest read that was over when it began

	grown  *grownElement  // that it adds to a set that only grows
	member *member        // of a set, that it concerns
	queued *queuedElement // that it enqueues
	free   bool           // it may find a queue empty
	total  int64          // the greatest that a counter had shown when it began
	lowest int64          // place of a counter that a read must not be below
	done   int64          // additions that were acknowledged when it began
}

// finding is a violation: what is wrong with an operation, what the witness
// says that it returned, and the others that contradict it.
type finding struct {
	class, why string
	shown      *history.Value
	with       []history.Operation
	aside      bool // the operation itself is no part of the witness, or is among the others
	partial    bool // the others are not all
}

// streamBad is a violation.
type streamBad struct {
	key, class, summary string
	operations          []history.Operation
	to                  time.Duration
	complete            bool // the operations are all that is needed
}

// Bytes that are counted for what is held, with room for tables that grow.
const (
	streamKeyBytes  = 1024
	streamLiveBytes = 768
	streamOpenBytes = 512
	streamWordBytes = 64
)

// Add takes the next event. The error says why it cannot be the next one.
func (s *Stream) Add(e *history.Event) error {
	if e.Index < s.next {
		return fmt.Errorf("event %d follows event %d; indices must rise", e.Index, s.next-1)
	}
	s.next = e.Index + 1
	switch e.Kind {
	case history.Invoke:
		if _, busy := s.open[e.Process]; busy || e.Process < 0 || s.retired.has(int64(e.Process)) {
			return fmt.Errorf("event %d: process %d cannot invoke %s: it has an operation open, or one of unknown outcome, or a negative number", e.Index, e.Process, e.F)
		}
		if s.decided() {
			s.open[e.Process] = &streamOp{f: e.F, call: e.Index, begun: *e}
			s.count()
			return nil
		}
		s.invoke(e)
	case history.OK, history.Fail, history.Info:
		o, busy := s.open[e.Process]
		if !busy || o.f != e.F || o.begun.Key != e.Key {
			return fmt.Errorf("event %d: process %d completes %s, but has no such operation open", e.Index, e.Process, e.F)
		}
		if history.Refused(e.F, e.Kind, e.Value) {
			failed := *e
			failed.Kind = history.Fail
			e = &failed
		}
		argument := history.Learn(e.F, e.Kind, o.begun.Value, e.Value)
		if why := history.Misfit(e.F, e.Kind, argument, e.Value); why != "" {
			return fmt.Errorf("event %d: process %d completes %s (event %d), but %s", e.Index, e.Process, e.F, o.call, why)
		}
		delete(s.open, e.Process)
		s.operations++
		if e.Kind == history.Info {
			s.bytes += streamWordBytes * s.retired.add(int64(e.Process))
		}
		if o.key != nil && !s.decided() {
			s.complete(o, e)
		}
		*o = streamOp{}
		s.free = append(s.free, o)
	}
	return nil
}

// reuse takes the last of what is free, or allocates one.
func reuse[T any](free *[]*T) *T {
	n := len(*free)
	if n == 0 {
		return new(T)
	}
	last := (*free)[n-1]
	*free = (*free)[:n-1]
	return last
}

// Full reports whether the memory is used up. The verdict is settled then, and
// further events would take more.
func (s *Stream) Full() bool { return s.full }

func (s *Stream) decided() bool { return s.bad != nil || s.reason != "" }

func (s *Stream) invoke(e *history.Event) {
	k := s.keys[e.Key]
	if k == nil {
		k = s.kind.begin(s.object)
		s.keys[e.Key] = k
		s.bytes += streamKeyBytes + 2*int64(len(e.Key))
	}
	o := reuse(&s.free)
	*o = streamOp{f: e.F, key: k, call: e.Index, begun: *e}
	before := k.bytes()
	if slices.Contains(s.kind.functions, e.F) {
		s.reason = k.invoke(o)
	} else {
		s.reason = fmt.Sprintf("the function %q at event %d cannot be judged in a stream; expected %s", e.F, e.Index, strings.Join(s.kind.functions, ", "))
	}
	s.open[e.Process] = o
	s.bytes += k.bytes() - before
	s.count()
}

// complete takes the end of an operation.
func (s *Stream) complete(o *streamOp, e *history.Event) {
	before := o.key.bytes()
	found, reason := o.key.complete(o, e)
	if s.reason = reason; found != nil {
		s.fail(o, e, found)
	}
	s.bytes += o.key.bytes() - before
	s.count()
}

// count gives up when the memory is used up.
func (s *Stream) count() {
	held := s.bytes + streamOpenBytes*int64(len(s.open))
	s.peak = max(s.peak, held)
	s.full = s.full || held > s.memory
	if s.full && !s.decided() {
		s.reason = fmt.Sprintf("after %d operations %d MiB are held, and %d are allowed", s.operations, mebibytes(held), s.memory>>20)
	}
}

// operation is o with its end.
func (o *streamOp) operation(e *history.Event) history.Operation {
	h := history.Operation{
		Process: e.Process, F: e.F, Key: e.Key, Input: o.begun.Value, Outcome: e.Kind, Invoked: o.begun.Time,
		Completed: e.Time, Call: o.call, Return: e.Index, Node: o.begun.Node, Error: e.Error,
	}
	switch e.Kind {
	case history.OK:
		h.Output = e.Value
	case history.Info:
		h.Completed = history.Never
	}
	return h
}

// begunOnly is o as long as it is open.
func (o *streamOp) begunOnly() history.Operation {
	return history.Operation{
		Process: o.begun.Process, F: o.begun.F, Key: o.begun.Key, Input: o.begun.Value, Outcome: history.Info,
		Invoked: o.begun.Time, Completed: history.Never, Call: o.call, Return: -1, Node: o.begun.Node,
	}
}

func (s *Stream) fail(o *streamOp, e *history.Event, found *finding) {
	h := o.operation(e)
	summary := fmt.Sprintf("%s (events %d to %d): %s", h, h.Call, h.Return, found.why)
	if found.shown != nil {
		h.Output = *found.shown
	}
	s.bad = found.bad(e.Key, summary, e.Time)
	if !found.aside {
		s.bad.operations = append(s.bad.operations, h)
	}
}

func (f *finding) bad(key, summary string, to time.Duration) *streamBad {
	return &streamBad{key: key, class: f.class, summary: summary, complete: !f.partial && (f.shown != nil || f.with != nil), operations: f.with, to: to}
}

// witness shows the violation.
func (b *streamBad) witness() *checkers.Witness {
	w := &checkers.Witness{Class: b.class, Summary: b.summary, Key: b.key, Operations: slices.Clone(b.operations)}
	slices.SortFunc(w.Operations, func(x, y history.Operation) int { return cmp.Compare(x.Call, y.Call) })
	w.From, w.To = w.Operations[0].Invoked, b.to
	if !b.complete {
		w.Lines = []string{"This was found in a stream, which keeps no other operations. A check of the history up to here says which ones contradict it."}
	}
	return w
}

// undecided says why nothing can be decided of what is open at the end.
func (s *Stream) undecided() string {
	reason, first := "", int64(0)
	for _, o := range s.open {
		if r := o.key.pending(o); r != "" && (reason == "" || o.call < first) {
			reason, first = r, o.call
		}
	}
	return reason
}

// end judges what is left of all keys.
func (s *Stream) end() (bad *streamBad, reason string) {
	for _, key := range slices.Sorted(maps.Keys(s.keys)) {
		x, ok := s.keys[key].(ender)
		if !ok {
			continue
		}
		found, r := x.end()
		if found != nil {
			to := time.Duration(0)
			for i := range found.with {
				to = max(to, found.with[i].Invoked)
				if c := found.with[i].Completed; c != history.Never {
					to = max(to, c)
				}
			}
			return found.bad(key, "at the end of the history: "+found.why, to), ""
		}
		if reason == "" {
			reason = r
		}
	}
	return nil, reason
}

// Verdict says what is known so far.
func (s *Stream) Verdict() checkers.Verdict {
	v := checkers.Verdict{Verdict: checkers.Valid, Algorithm: s.kind.algorithm + ", streaming", Measures: map[string]float64{
		"keys": float64(len(s.keys)), "operations": float64(s.operations), "stream_bytes": float64(s.peak),
	}}
	bad, reason := s.bad, s.reason
	if reason == "" && bad == nil {
		if bad, reason = s.end(); bad == nil && reason == "" {
			reason = s.undecided()
		}
	}
	switch {
	case bad != nil:
		v.Verdict = checkers.Invalid
		v.Reason = fmt.Sprintf("%s cannot be linearized: %s", name(bad.key), bad.summary)
		v.Witness = bad.witness()
	case reason != "":
		v.Verdict, v.Reason = checkers.Unknown, reason
	case s.operations == 0 && len(s.open) == 0:
		v.Verdict, v.Reason = checkers.Unknown, "the history has no operations"
	default:
		v.Reason = linearized(len(s.keys), int(s.operations))
	}
	return v
}
