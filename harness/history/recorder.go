package history

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Errors of a Recorder, to be tested for with errors.Is.
var (
	// ErrFull means that the history has reached its size limit: no further
	// operation may begin. Those that are open can still be completed.
	ErrFull = errors.New("the history has reached its size limit")
	// ErrRule means that an event would contradict the history: the caller
	// has a bug, and nothing was recorded.
	ErrRule = errors.New("event contradicts the history")
	// ErrClosed means that the recorder was closed.
	ErrClosed = errors.New("the recorder is closed")
)

// Sink takes events in order. It is called by one goroutine at a time.
type Sink interface {
	// Append keeps e. When it has returned, e must survive the sudden death
	// of this process.
	Append(e *Event) error
	// Full reports whether no further operation should begin.
	Full() bool
	Close() error
}

// Recorder writes a history as it happens. It is safe for concurrent use.
//
// It stamps every event with the clock and numbers it under one lock, so that
// the order of indices is the order in which things happened: an operation
// whose completion has a smaller index than another's invocation really
// preceded it. It refuses what no history may contain (ErrRule): a process
// with two operations open, one that goes on after info, a completion without
// invocation, a clock that goes backwards.
//
// It keeps in memory the open operations and eight bytes, plus the map's
// overhead, for each process retired by info; nothing else.
type Recorder struct {
	clock func() time.Duration
	sink  Sink

	mu      sync.Mutex
	next    int64
	last    time.Duration
	open    map[int]opened
	retired map[int]struct{}
	counts  Counts
	closed  bool
	phased  bool  // a phase was marked
	err     error // of the sink, if it has failed
}

// opened is what the recorder remembers of an open operation.
type opened struct{ f, key string }

// Counts says how many operations a recorder has seen.
type Counts struct {
	Invoked, OK, Fail, Info, Open int
}

// NewRecorder returns a recorder that stamps events with clock, the time
// since the run began, and hands them to sink.
func NewRecorder(clock func() time.Duration, sink Sink) *Recorder {
	return &Recorder{clock: clock, sink: sink, open: map[int]opened{}, retired: map[int]struct{}{}}
}

// Invoke records that process begins an operation. Value is its argument and
// node the node that it is sent to, "" if unknown. After an error the
// operation must not be executed.
func (r *Recorder) Invoke(process int, f, key string, value Value, node string) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if process < 0 {
		return 0, fmt.Errorf("history: %w: process %d invokes %s; processes count from 0", ErrRule, process, f)
	}
	if o, ok := r.open[process]; ok {
		return 0, fmt.Errorf("history: %w: process %d invokes %s while its %s is open", ErrRule, process, f, o.f)
	}
	if _, ok := r.retired[process]; ok {
		return 0, fmt.Errorf("history: %w: process %d invokes %s after an operation of unknown outcome; go on as another process", ErrRule, process, f)
	}
	if r.err == nil && r.sink.Full() {
		return 0, fmt.Errorf("history: %w after %d events; raise the limit or shorten the run", ErrFull, r.next)
	}
	f, key = clean(f), clean(key)
	e := Event{Kind: Invoke, Process: process, F: f, Key: key, Value: value, Node: clean(node)}
	index, err := r.append(&e)
	if err != nil {
		return 0, err
	}
	r.open[process] = opened{f, key}
	r.counts.Invoked++
	return index, nil
}

// Complete records how the open operation of process ended: OK, Fail or Info.
// Value is the result where the function has one, else the argument again;
// node is the node that answered, "" if unknown; why says why it failed or is
// indeterminate.
func (r *Recorder) Complete(process int, outcome Outcome, value Value, node, why string) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if outcome != OK && outcome != Fail && outcome != Info {
		return 0, fmt.Errorf("history: %w: an operation cannot end with %s; expected ok, fail or info", ErrRule, outcome)
	}
	o, ok := r.open[process]
	if !ok {
		return 0, fmt.Errorf("history: %w: process %d completes an operation, but has none open", ErrRule, process)
	}
	e := Event{Kind: outcome, Process: process, F: o.f, Key: o.key, Value: value, Node: clean(node), Error: clean(why)}
	index, err := r.append(&e)
	if err != nil {
		return 0, err
	}
	delete(r.open, process)
	switch outcome {
	case OK:
		r.counts.OK++
	case Fail:
		r.counts.Fail++
	default:
		r.counts.Info++
		r.retired[process] = struct{}{}
	}
	return index, nil
}

// Fault records that a fault is fully in force (FaultStart) or was healed
// (FaultEnd). Text is the fault as in the plan, nodes are its victims, and
// note may hold its receipt.
func (r *Recorder) Fault(kind EventKind, text string, nodes []string, note string) (int64, error) {
	if kind != FaultStart && kind != FaultEnd {
		return 0, fmt.Errorf("history: %w: %s is not an event of a fault; expected fault-start or fault-end", ErrRule, kind)
	}
	victims := make([]string, len(nodes))
	for i, n := range nodes {
		victims[i] = clean(n)
	}
	return r.mark(Event{Kind: kind, Process: NemesisProcess, F: clean(text), Nodes: victims, Error: clean(note)})
}

// Phase records that a phase of the run begins.
func (r *Recorder) Phase(name string) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phased = true
	return r.append(&Event{Kind: PhaseStart, Process: NemesisProcess, F: clean(name)})
}

func (r *Recorder) mark(e Event) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.append(&e)
}

// append stamps e and hands it to the sink. After the sink has failed once,
// nothing is appended any more: a history with a hole would be worse than a
// short one.
func (r *Recorder) append(e *Event) (int64, error) {
	if r.closed {
		return 0, fmt.Errorf("history: %w", ErrClosed)
	}
	if r.err != nil {
		return 0, fmt.Errorf("history: recording stopped at event %d: %w", r.next, r.err)
	}
	e.Index, e.Time = r.next, r.clock()
	if e.Time < r.last {
		return 0, fmt.Errorf("history: %w: the clock went back from %d to %d ns", ErrRule, r.last, e.Time)
	}
	if err := r.sink.Append(e); err != nil {
		if errors.Is(err, errTooLong) {
			return 0, fmt.Errorf("history: %s of process %d: %w", e.F, e.Process, err)
		}
		r.err = err
		return 0, fmt.Errorf("history: recording stopped at event %d: %w", r.next, err)
	}
	r.next++
	r.last = e.Time
	return e.Index, nil
}

// Counts returns how many operations were recorded so far.
func (r *Recorder) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counts
	c.Open = len(r.open)
	return c
}

// Close ends the recording, with an EndMark if it has phases. Operations still open stay so: readers take them
// for indeterminate. Closing twice is no error.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	var err error
	if r.err == nil && r.phased {
		_, err = r.append(&Event{Kind: PhaseStart, Process: NemesisProcess, F: EndMark})
	}
	r.closed = true
	return errors.Join(err, r.sink.Close())
}

func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// Memory is a Sink that keeps all events in memory, for simulated sweeps.
type Memory struct {
	// Limit is the number of events after which it is full; 0 means
	// DefaultMemoryLimit.
	Limit  int
	events []Event
}

// DefaultMemoryLimit is the number of events that a Memory keeps unless told
// otherwise: about 200 bytes each.
const DefaultMemoryLimit = 4_000_000

// Append keeps e. Room grows by doubling: events are large, and append alone
// would copy each of them several times.
func (m *Memory) Append(e *Event) error {
	if len(m.events) == cap(m.events) {
		m.events = slices.Grow(m.events, max(256, len(m.events)))
	}
	m.events = append(m.events, *e)
	return nil
}

// Full reports whether the limit is reached.
func (m *Memory) Full() bool {
	limit := m.Limit
	if limit == 0 {
		limit = DefaultMemoryLimit
	}
	return len(m.events) >= limit
}

// Close does nothing.
func (m *Memory) Close() error { return nil }

// Events returns what was recorded. It must not be called while the recorder
// is in use, and the result must not be changed.
func (m *Memory) Events() []Event { return m.events }
