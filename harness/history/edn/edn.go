// Package edn reads and writes histories as Jepsen and its tools keep them:
// operations in EDN (github.com/edn-format/edn), one map a line or all of them
// in one vector or list; rows [process type f value], or such without brackets,
// one a line, as in Jepsen's history.txt; and operations in JSON, in one array or
// one object a line.
//
// What other tools leave open is settled here, once: an operation without
// completion is indeterminate; an argument that is nil until it is ok (as of a
// write of what the client chose) is that of the completion; a process that goes on after info is a new
// process; what the nemesis did becomes events of faults; missing indices
// count from 0, and missing times are their indices. A history of completions
// only (Elle's tests have such) is one of operations that all overlap. Options
// and Summary say what was settled how.
//
// Text is read as a stream within bounds on the size of one operation, on
// nesting and on memory; whatever else is wrong is an error that names line
// and field. It does not judge histories.
package edn

import (
	"fmt"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// Bounds on what is read.
const (
	// MaxOperation is the greatest length in bytes of one operation.
	MaxOperation = 4 << 20
	// MaxNesting is how deeply collections may be nested.
	MaxNesting = 64
	// DefaultMemory bounds the memory of a history unless told otherwise.
	DefaultMemory = 4 << 30
)

// Options say how a history is to be read.
type Options struct {
	// JSON takes the text for JSON.
	JSON bool
	// Independent splits values [key value] into key and value, as
	// jepsen.independent does. Keys are printed; two different keys that print
	// alike (0 and "0") are an error.
	Independent bool
	// Overlapping allows a process to have several operations open at once, as
	// some hand-written histories have: a completion then belongs to the first
	// open operation of its process that it fits, and all but one of them go on
	// as new processes. Without it such a history is refused.
	Overlapping bool
	// Order says what orders the operations.
	Order Order
	// Memory bounds the estimated size of the events in bytes; 0 means
	// DefaultMemory.
	Memory int64
}

// Summary says what had to be settled while a history was read.
type Summary struct {
	// CompletionsOnly tells that there were no invocations: all operations are
	// taken as overlapping, each of a process of its own, except that those
	// marked :final? came after all others.
	CompletionsOnly bool `json:"completions_only,omitempty"`
	// Renumbered counts processes that were given a new number because they
	// went on after an operation of unknown outcome or, with
	// Options.Overlapping, had several operations open.
	Renumbered int `json:"renumbered,omitempty"`
	// Raised counts times that were before that of the event before them, and
	// were raised to it: lines, not times, are the order. Backwards names the
	// first, where no indices say that the order of the lines is meant.
	Raised    int    `json:"raised,omitempty"`
	Backwards string `json:"backwards,omitempty"`
	// Begun tells, by the index of the event of a fault, when the nemesis began
	// to bring it about: the event is of when it was done.
	Begun map[int64]time.Duration `json:"-"`
	// Untimed tells that there were no times.
	Untimed bool `json:"untimed,omitempty"`
}

// fieldError says which field of an operation is wrong.
func fieldError(field, format string, args ...any) error {
	return fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...))
}

// keyword is the name of a keyword, or of a string, which is what JSON has.
func keyword(v history.Value) (string, bool) { return v.AsString() }
