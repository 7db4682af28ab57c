package linear

import (
	"fmt"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Stream judges registers while their history is read, event by event, by the
// zones of Gibbons and Korach in the online form of Golab, Li and Shah (PODC
// 2011). It holds what is open, the values that may still be read, and for
// each other value that was written a bit or, if it is not an integer, 16
// bytes, to verify that values are unique. It says the same as Checker, with
// two differences: it does not know cas, nor values that were written twice or
// were there at first (so no delete where keys begin absent), and is unknown
// then; and an invalid verdict names the read by which the history was beyond
// repair, and what contradicts it, but has no minimal witness.
type Stream struct {
	spec    Spec
	memory  int64
	keys    map[string]*streamKey
	open    map[int]*streamOp
	free    []*streamOp // to be used again
	retired numbers     // processes
	// operations were completed; next is the least index that may follow.
	operations, next int64
	bytes, peak      int64
	reason           string // why nothing can be decided
	bad              *streamBad
}

// streamOp is an operation that is open.
type streamOp struct {
	f     string
	key   *streamKey
	value cell
	call  int64
	begun history.Event
}

// streamBad is a violation.
type streamBad struct {
	key, class, summary string
	operation           history.Operation
}

// NewStream returns a Stream. It panics if the options are invalid.
func NewStream(spec Spec, o Options) *Stream {
	if err := o.Validate(); err != nil {
		panic(err)
	}
	return &Stream{spec: spec, memory: o.withDefaults().Memory, keys: map[string]*streamKey{}, open: map[int]*streamOp{}, retired: numbers{}}
}

// Bytes that are counted for what is held, with room for tables that grow.
const (
	streamKeyBytes  = 1024
	streamLiveBytes = 192
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
			s.open[e.Process] = &streamOp{f: e.F}
			return nil
		}
		s.invoke(e)
	case history.OK, history.Fail, history.Info:
		o, busy := s.open[e.Process]
		if !busy || o.f != e.F || o.key != nil && o.begun.Key != e.Key {
			return fmt.Errorf("event %d: process %d completes %s, but has no such operation open", e.Index, e.Process, e.F)
		}
		delete(s.open, e.Process)
		s.operations++
		if e.Kind == history.Info {
			s.bytes += streamWordBytes * s.retired.add(int64(e.Process))
		}
		if o.key != nil && !s.decided() {
			s.complete(o, e)
		}
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

func (s *Stream) decided() bool { return s.bad != nil || s.reason != "" }

func (s *Stream) invoke(e *history.Event) {
	k := s.keys[e.Key]
	if k == nil {
		k = newStreamKey(s.spec.Initial)
		s.keys[e.Key] = k
		s.bytes += streamKeyBytes + 2*int64(len(e.Key))
	}
	o := reuse(&s.free)
	*o = streamOp{f: e.F, key: k, call: e.Index, begun: *e}
	before := k.bytes()
	switch e.F {
	case Read:
		k.reads[e.Index] = struct{}{}
	case Write, Delete:
		if o.value = cellOf(&e.Value); e.F == Delete {
			o.value = cell{}
		}
		if !k.begin(o.value, e.Index) {
			s.reason = fmt.Sprintf("%s of %s at event %d: the value was there before, and a stream needs values that are written once", name(e.Key), e.Value, e.Index)
		}
	default:
		s.reason = fmt.Sprintf("the function %q at event %d cannot be judged in a stream; expected %s, %s or %s", e.F, e.Index, Read, Write, Delete)
	}
	s.open[e.Process] = o
	s.bytes += k.bytes() - before
	s.count()
}

// complete takes the end of an operation.
func (s *Stream) complete(o *streamOp, e *history.Event) {
	k := o.key
	before := k.bytes()
	if o.f == Read {
		delete(k.reads, o.call)
		if e.Kind != history.OK || s.spec.NilReads && e.Value.IsNil() {
			return
		}
		if class, why := k.read(cellOf(&e.Value), o.call, e.Index); class != "" {
			s.fail(o, e, class, why)
		}
	} else {
		switch e.Kind {
		case history.OK:
			k.acknowledge(o.value, e.Index)
		case history.Fail:
			if k.abort(o.value) {
				s.fail(o, e, AbortedRead, "its value had been read, but it failed: it certainly did not happen")
			}
		}
	}
	k.sweep(e.Index)
	s.bytes += k.bytes() - before
	s.count()
}

// count gives up when the memory is used up.
func (s *Stream) count() {
	held := s.bytes + streamOpenBytes*int64(len(s.open))
	if s.peak = max(s.peak, held); held > s.memory {
		s.reason = fmt.Sprintf("after %d operations %d MiB are held, and %d are allowed", s.operations, mebibytes(held), s.memory>>20)
	}
}

func (s *Stream) fail(o *streamOp, e *history.Event, class, why string) {
	h := history.Operation{
		Process: e.Process, F: e.F, Key: e.Key, Input: o.begun.Value, Outcome: e.Kind, Invoked: o.begun.Time,
		Completed: e.Time, Call: o.call, Return: e.Index, Node: o.begun.Node, Error: e.Error,
	}
	if e.Kind == history.OK {
		h.Output = e.Value
	}
	s.bad = &streamBad{key: e.Key, class: class, operation: h, summary: fmt.Sprintf("%s (events %d to %d): %s", h, h.Call, h.Return, why)}
}

// Verdict says what is known so far.
func (s *Stream) Verdict() checkers.Verdict {
	v := checkers.Verdict{Verdict: checkers.Valid, Algorithm: "zones, streaming", Measures: map[string]float64{
		"keys": float64(len(s.keys)), "operations": float64(s.operations), "stream_bytes": float64(s.peak),
	}}
	switch {
	case s.bad != nil:
		v.Verdict = checkers.Invalid
		v.Reason = fmt.Sprintf("%s cannot be linearized: %s", name(s.bad.key), s.bad.summary)
		v.Witness = &checkers.Witness{
			Class: s.bad.class, Summary: s.bad.summary, Key: s.bad.key, Operations: []history.Operation{s.bad.operation},
			From: s.bad.operation.Invoked, To: s.bad.operation.Completed,
			Lines: []string{"This was found in a stream, which keeps no other operations. A check of the history up to here says which ones contradict it."},
		}
	case s.reason != "":
		v.Verdict, v.Reason = checkers.Unknown, s.reason
	case s.operations == 0 && len(s.open) == 0:
		v.Verdict, v.Reason = checkers.Unknown, "the history has no operations"
	default:
		v.Reason = fmt.Sprintf("all %d keys can be linearized (%d operations)", len(s.keys), s.operations)
	}
	return v
}
