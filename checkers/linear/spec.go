// Package linear judges linearizability: whether each operation can be given
// one instant between its invocation and its completion at which it took
// effect, so that the results are those of a single copy of the data.
//
// The specification is a map of independent registers: read, write, cas and
// delete on keys. Linearizability is local (Herlihy and Wing 1990, theorem
// 1), so each key is judged alone. Where written values are unique, an exact
// algorithm in O(n log n) decides (zones.go); everything else is for
// porcupine, bounded in steps and memory. An invalid carries a minimal
// witness that porcupine rejects, too.
//
// Order is taken from the indices of events, not from their times. Operations
// that failed must truly not have happened; in doubt they must be info.
// Failed compare-and-sets are left out, so that what they say about the value
// that was there is not used.
package linear

import (
	"fmt"
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
}

// Options bound the checker. Steps and memory make verdicts reproducible;
// the timeout only protects against machines that are slower than thought.
type Options struct {
	// Steps is how many steps of the specification the search may take for
	// one key, 0 for DefaultSteps. Beyond it the key is unknown.
	Steps int
	// Memory is how many bytes the search may take for one key, estimated as
	// configurations × (operations/8 + 160); 0 for DefaultMemory. Keys are
	// searched one after the other.
	Memory int64
	// Timeout bounds the whole check; 0 leaves it to the context.
	Timeout time.Duration
	// SearchOnly leaves the decision to porcupine for all keys.
	SearchOnly bool
}

// Defaults of Options: about two seconds for a key.
const (
	DefaultSteps  = 5_000_000
	DefaultMemory = 1 << 30
)

// Validate says what is wrong with o.
func (o Options) Validate() error {
	switch {
	case o.Steps < 0:
		return fmt.Errorf("linear: Steps is %d; expected a positive number, or 0 for %d", o.Steps, DefaultSteps)
	case o.Memory < 0:
		return fmt.Errorf("linear: Memory is %d bytes; expected a positive number, or 0 for %d", o.Memory, DefaultMemory)
	case o.Timeout < 0:
		return fmt.Errorf("linear: Timeout is %s; expected a positive duration, or 0 for none", o.Timeout)
	}
	return nil
}
