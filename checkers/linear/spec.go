// Package linear judges linearizability: whether each operation can be given
// one instant between its invocation and its completion at which it took
// effect, so that the results are those of a single copy of the object.
//
// For returns a checker by the name of the workload: registers, sets, lists,
// queues, counters, locks and more. Linearizability is local (Herlihy and Wing
// 1990, theorem 1), so each key is judged alone. Where the preconditions of an
// exact algorithm in O(n log n) hold, it decides; they are verified, never
// assumed, and the verdict names who judged. All else is for package search,
// bounded in configurations and memory. Porcupine must agree with every
// invalid, on a witness that is as small as could be found.
//
// Order is taken from the indices of events, not from their times. Operations
// that failed must truly not have happened; in doubt they must be info. A
// failed compare-and-set says something about the value that was there only
// if its error does (Spec.Mismatch).
package linear

import (
	"fmt"
	"runtime"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// Functions of the specification. A read returns the register's value, nil if
// the key is absent; write sets it; delete makes the key absent, whether or
// not it was there; the argument of cas is the list [expected new].
const (
	Read   = "read"
	Write  = "write"
	CAS    = "cas"
	Delete = "delete"
)

// Spec is the sequential specification: a map from keys to registers.
type Spec struct {
	// Initial is the value of every key before anything was written.
	Initial history.Value
	// Mismatch is the Error of a failed cas which says that the register did
	// not hold the expected value at some moment of the operation. Such a cas
	// is evidence. "" means that failed cas say nothing.
	Mismatch string
	// NilReads says that a read which returned nil tells nothing, as in the
	// models of Knossos, rather than that the key was absent.
	NilReads bool
}

// Options bound the checker. Steps and memory make verdicts reproducible;
// the timeout only protects against machines that are slower than thought.
type Options struct {
	// Configurations is how many the search may visit for one key, 0 for
	// DefaultConfigurations. Beyond it the key is unknown.
	Configurations int
	// Memory is how many bytes all searches together may hold, 0 for
	// DefaultMemory. A search that needs more than its share while others run
	// is repeated alone, so that the verdict does not depend on them.
	Memory int64
	// Workers is how many keys are judged at once, 0 for one for each core up
	// to WorkersMax. It changes no verdict.
	Workers int
	// Timeout bounds the whole check; 0 leaves it to the context.
	Timeout time.Duration
	// Algorithm chooses who decides: Automatic, Search or Porcupine.
	Algorithm Algorithm
}

// Algorithm says who decides.
type Algorithm string

// The algorithms.
const (
	Automatic Algorithm = ""          // the exact one where its preconditions hold, else the search
	Search    Algorithm = "search"    // always the search
	Porcupine Algorithm = "porcupine" // always porcupine
)

// Defaults of Options: a few seconds for a key.
const (
	DefaultConfigurations = 20_000_000
	DefaultMemory         = 1 << 30
	WorkersMax            = 8
)

// Validate says what is wrong with o.
func (o Options) Validate() error {
	switch {
	case o.Configurations < 0:
		return fmt.Errorf("linear: Configurations is %d; expected a positive number, or 0 for %d", o.Configurations, DefaultConfigurations)
	case o.Memory < 0:
		return fmt.Errorf("linear: Memory is %d bytes; expected a positive number, or 0 for %d", o.Memory, DefaultMemory)
	case o.Workers < 0:
		return fmt.Errorf("linear: Workers is %d; expected a positive number, or 0 for one for each core", o.Workers)
	case o.Algorithm != Automatic && o.Algorithm != Search && o.Algorithm != Porcupine:
		return fmt.Errorf("linear: Algorithm is %q; expected %q, %q, or nothing for the best", o.Algorithm, Search, Porcupine)
	case o.Timeout < 0:
		return fmt.Errorf("linear: Timeout is %s; expected a positive duration, or 0 for none", o.Timeout)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Configurations == 0 {
		o.Configurations = DefaultConfigurations
	}
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	if o.Workers == 0 {
		o.Workers = min(runtime.GOMAXPROCS(0), WorkersMax)
	}
	return o
}
