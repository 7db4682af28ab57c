package record

import (
	"slices"
	"time"
)

// Contradiction is something that a record says and that no recorder can have
// made up or lost: the service did it.
type Contradiction struct {
	// Class names its kind: see Validate.
	Class string
	// Line is where it stands, from 1, and Other the line that it contradicts,
	// 0 if that is none.
	Line, Other int
	At          time.Duration // the time of Line
	Err         error         // what is wrong, mostly a *FieldError
}

// contradictionsMax bounds how many are kept.
const contradictionsMax = 100

// Broken is the error of a record that can be, of a service that is broken:
// what it lists are violations, not faults of the recording. The events of the
// record are sound but for the names that stand for two things.
type Broken struct {
	List []Contradiction // the first ones, by line
	More int             // further ones
}

// Error tells of the first one.
func (b *Broken) Error() string { return b.Unwrap().Error() }

// Unwrap returns the first one, as a *LineError.
func (b *Broken) Unwrap() error { return &LineError{b.List[0].Line, b.List[0].Err} }

// broken notes a contradiction of the service.
func (v *validator) broken(class string, line, other int, at time.Duration, err error) {
	v.contradictions = append(v.contradictions, Contradiction{Class: class, Line: line, Other: other, At: at, Err: err})
	if len(v.contradictions) > 2*contradictionsMax {
		v.settleBroken()
	}
}

// settleBroken keeps the first contradictions.
func (v *validator) settleBroken() {
	slices.SortStableFunc(v.contradictions, func(a, b Contradiction) int { return a.Line - b.Line })
	if n := len(v.contradictions) - contradictionsMax; n > 0 {
		v.more += n
		v.contradictions = v.contradictions[:contradictionsMax]
	}
}

// named is where a name was first given to something.
type named struct {
	line, inc int
	t         time.Duration
}

// again reports whether an event is the same line told twice, for all that its
// name says: then the recorder repeats itself.
func (n named) again(e *Event) bool { return n.inc == e.Inc && n.t == e.T }

// complete reports whether nothing that a process did up to a time can be
// missing from the record: it never crashed or began anew, by which the end of
// what it had recorded may be lost, and its record goes on after that.
func (v *validator) complete(proc string, t time.Duration) bool {
	incs := v.procs[proc]
	return len(incs) > 0 && !v.cut[proc] && incs[len(incs)-1].last > t
}
