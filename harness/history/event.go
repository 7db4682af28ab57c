// Package history holds what clients saw: operations and fault events of a
// run, in order, on one monotonic clock.
//
// A history is a sequence of events. An operation is two of them: its
// invocation and its completion, which is ok (it happened), fail (it certainly
// did not happen) or info (it may happen at any later time, or never). A
// process, the logical thread that issues operations one at a time, is
// retired after info: its client goes on under a new process number, so that
// no process ever has two operations open.
//
// The package records histories to disk as they happen (Recorder), reads and
// writes them as JSONL, pairs events into operations, and measures how much
// a history can prove (Strength). It does not judge them: that is for
// package checkers.
package history

import (
	"fmt"
	"time"
)

// EventKind says what an event is.
type EventKind uint8

// The kinds of events. Invoke, OK, Fail and Info belong to operations.
const (
	Invoke EventKind = iota
	OK
	Fail
	Info
	// FaultStart and FaultEnd mark the window of a fault: from the moment at
	// which it was fully in force to the moment at which it was healed.
	FaultStart
	FaultEnd
	// PhaseStart marks the beginning of a phase of the run, named by F.
	PhaseStart
)

// EndMark is the F of the last event of a recording that was ended in order: a
// PhaseStart behind which nothing follows.
const EndMark = "end"

// Unended says why a recording is not all that was recorded: it was cut off, or
// something follows its end. It returns "" for a whole one, and for a
// history that marks no phases, which no recorder made.
func Unended(events []Event) string {
	marked := false
	for i := range events {
		if events[i].Kind != PhaseStart {
			continue
		}
		if marked = true; events[i].F == EndMark && i < len(events)-1 {
			return fmt.Sprintf("%d events follow its end: it was put together afterwards", len(events)-1-i)
		}
	}
	if n := len(events); marked && (events[n-1].Kind != PhaseStart || events[n-1].F != EndMark) {
		return fmt.Sprintf("it was cut off after event %d: the mark of its end is missing", events[n-1].Index)
	}
	return ""
}

// NemesisProcess is the process number of events that no client caused.
const NemesisProcess = -1

// Event is one line of a history.
type Event struct {
	Index   int64         // position in the history, from 0
	Time    time.Duration // since the run began, on the harness's monotonic clock
	Kind    EventKind
	Process int    // NemesisProcess for faults and phases
	F       string // function: "read", "write", "cas", …; the fault's text; the phase's name
	Key     string // "" where the workload has a single object
	// Value is the argument in an invocation. In a completion it is the
	// result where the function has one (a read's value), else the argument
	// again. For a cas it is the list [expected new].
	Value Value
	// Node is the node that the operation was sent to (invocation) or
	// answered by (completion), "" where unknown.
	Node string
	// Nodes are a fault's victims, in order.
	Nodes []string
	// Error says why an operation failed or is indeterminate, and what the
	// receipt of a fault was.
	Error string
}

// Outcome is how an operation ended.
type Outcome = EventKind

// Never is the completion time of an operation that did not complete, or
// that is indeterminate: it may take effect at any time.
const Never = time.Duration(1<<63 - 1)

// Operation is an invocation together with its completion.
type Operation struct {
	Process int
	F       string
	Key     string
	Input   Value // the argument
	Output  Value // the result; Nil unless Outcome is OK
	Outcome Outcome
	// Invoked and Completed bound the interval in which the operation took
	// effect. Completed is Never for Info.
	Invoked, Completed time.Duration
	// Call and Return are the indices of the two events, which order events
	// of equal time. Return is -1 if there was no completion.
	Call, Return int64
	Node         string
	Error        string
}
