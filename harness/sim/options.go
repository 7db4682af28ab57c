package sim

import (
	"errors"
	"fmt"
	"time"
)

// Errors that end a run, to be tested for with errors.Is.
var (
	// ErrDeadlock means that nothing is left to happen while the body still
	// waits. The error that wraps it names what waits for what.
	ErrDeadlock = errors.New("deadlock in the simulation")
	// ErrLimit means that a bound of Options, or one on the number of
	// scheduled events or activities, was reached.
	ErrLimit = errors.New("limit of the simulation reached")
	// ErrActivity means that an activity panicked, or did not end when it
	// was stopped. The error that wraps it carries the stack.
	ErrActivity = errors.New("activity failed")
)

// Options configure a simulation. The zero value stands for the defaults.
type Options struct {
	// Profile is how the world behaves; nil for DefaultProfile.
	Profile *Profile
	// Events bounds the events of a run; 0 stands for 200 million.
	Events uint64
	// Time bounds the virtual time of a run; 0 stands for 24 hours.
	Time time.Duration
	// LogBytes bounds what is kept of each node's log, from its end; 0
	// stands for 256 KiB, a negative number keeps nothing.
	LogBytes int
	// Findings bounds the findings that are kept, from the first on; 0
	// stands for 100. The first of each invariant is kept beyond it.
	Findings int
	// Record bounds the events that nodes record of themselves; 0 stands for
	// 4 million. A record that exceeds it is incomplete, and says so.
	Record int
	// CarryBytes encodes and decodes every message on its way, as drivers with
	// sockets do, instead of passing the value. It costs time and finds codecs
	// that lose something, and messages that were changed after they had been
	// sent: findings of the name "message". The trace stays the same.
	CarryBytes bool
	// Trace asks for a window of the trace in words; its zero value for none.
	Trace TraceWindow
}

const (
	eventsDefault   = 200_000_000
	timeDefault     = 24 * time.Hour
	timeMax         = 365 * 24 * time.Hour
	logBytesDefault = 256 << 10
	logBytesMax     = 64 << 20
	findingsDefault = 100
	recordDefault   = 4_000_000

	nodesMax    = 250     // nodes of a cluster
	linkMax     = 10_000  // messages in flight on a link
	backlogMax  = 10_000  // events that wait for a paused node
	requestsMax = 10_000  // requests of clients that a node has not answered
	tasksMax    = 100_000 // activities that run at once
	unwindMax   = 10_000  // blocking calls of an activity after the end of the run
)

// resolve fills in the defaults and says what is wrong.
func (o Options) resolve() (Options, error) {
	if o.Profile == nil {
		p := DefaultProfile()
		o.Profile = &p
	}
	if err := o.Profile.Validate(); err != nil {
		return o, err
	}
	if o.Events == 0 {
		o.Events = eventsDefault
	}
	if o.Time == 0 {
		o.Time = timeDefault
	}
	if o.Time < 0 || o.Time > timeMax {
		return o, fmt.Errorf("options: Time is %v, want more than 0 and at most %v", o.Time, timeMax)
	}
	if o.LogBytes == 0 {
		o.LogBytes = logBytesDefault
	}
	if o.LogBytes > logBytesMax {
		return o, fmt.Errorf("options: LogBytes is %d, want at most %d", o.LogBytes, logBytesMax)
	}
	if o.Findings == 0 {
		o.Findings = findingsDefault
	}
	if o.Record == 0 {
		o.Record = recordDefault
	}
	if o.Record < 0 {
		return o, fmt.Errorf("options: Record is %d, want at least 0", o.Record)
	}
	if o.Findings < 0 {
		return o, fmt.Errorf("options: Findings is %d, want at least 0", o.Findings)
	}
	return o, nil
}
