package txn

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// Status says how a transaction ended.
type Status uint8

// The ways in which a transaction ends.
const (
	OK   Status = iota // it was committed
	Fail               // it was certainly not committed
	Info               // it may be committed at any later time, or never
)

var statusNames = [...]string{"ok", "fail", "info"}

// String returns "ok", "fail" or "info".
func (s Status) String() string { return statusNames[s] }

// OpKind says what a micro-operation does.
type OpKind uint8

// The kinds of micro-operations.
const (
	Append OpKind = iota // appends Value to the list Key
	Write                // sets register Key to Value
	Read                 // reads Key: List of a list, Value of a register
)

// Value is an element of a list or the content of a register. Values that are
// no integers are numbers, too, whose names a History knows.
type Value int64

// Nil is the content of a register that was never written.
const Nil Value = math.MinInt64

// firstName is the least value that stands for a name.
const firstName = Nil + 1

// Op is one micro-operation of a transaction.
type Op struct {
	Kind OpKind
	// Key counts from 0; keys should be dense.
	Key int32
	// Value is what is appended, written, or read from a register.
	Value Value
	// List is what is read from a list. It must not be changed.
	List []Value
}

// Txn is one transaction. Reads of transactions that are not OK are ignored:
// their results are unknown.
type Txn struct {
	ID      int64 // names it in explanations
	Process int
	Status  Status
	// Invoke and Complete are the positions of the two events in the history;
	// -1 stands for "before everything" and "never".
	Invoke, Complete int64
	// Start and End are the times of the events, for explanations only.
	Start, End time.Duration
	Ops        []Op
}

// Workload says what the keys are.
type Workload uint8

// The workloads.
const (
	ListAppend Workload = iota // lists: Append and Read
	RWRegister                 // registers: Write and Read
)

// String returns the workload's name on the command line.
func (w Workload) String() string { return [...]string{"list-append", "rw-register"}[w] }

// History is a set of transactions.
type History struct {
	Workload Workload
	Txns     []Txn
	// Keys are the names of the keys; a key without a name prints as its
	// number.
	Keys []string
	// Names are the names of the values from firstName on.
	Names []string
	// keys and names are what Keys and Names stand for, where it is known.
	keys, names []history.Value
}

// KeyName returns how key k is printed.
func (h *History) KeyName(k int32) string {
	if int(k) < len(h.Keys) {
		return h.Keys[k]
	}
	return strconv.Itoa(int(k))
}

// ValueName returns how v is printed.
func (h *History) ValueName(v Value) string {
	if v == Nil {
		return "nil"
	}
	if i := uint64(v - firstName); i < uint64(len(h.Names)) {
		return h.Names[i]
	}
	return strconv.FormatInt(int64(v), 10)
}

// ListName returns how a list is printed: "[1 2 3]", shortened in the middle
// if it is long.
func (h *History) ListName(list []Value) string {
	const most, ends = 12, 4
	parts := make([]string, 0, most)
	for i, v := range list {
		switch {
		case len(list) <= most || i < ends || i >= len(list)-ends:
			parts = append(parts, h.ValueName(v))
		case i == ends:
			parts = append(parts, fmt.Sprintf("(%d more)", len(list)-2*ends))
		}
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// OpString prints a micro-operation: "append x 3", "r x [1 2]", "w x 1".
func (h *History) OpString(o *Op) string {
	switch o.Kind {
	case Append:
		return fmt.Sprintf("append %s %s", h.KeyName(o.Key), h.ValueName(o.Value))
	case Write:
		return fmt.Sprintf("w %s %s", h.KeyName(o.Key), h.ValueName(o.Value))
	}
	if h.Workload == ListAppend {
		return fmt.Sprintf("r %s %s", h.KeyName(o.Key), h.ListName(o.List))
	}
	return fmt.Sprintf("r %s %s", h.KeyName(o.Key), h.ValueName(o.Value))
}

// Limits on what can be judged: indices are 32 bits wide.
const (
	maxTxns = 1 << 28
	maxOps  = 1 << 30
)

// ErrTooBig says that a history exceeds what can be judged at all.
var ErrTooBig = errors.New("the history is too big")

// size counts what a history has.
type size struct {
	txns, ops, writes, keys, elements int
}

// measure counts, and refuses micro-operations that the workload does not
// know, keys below 0 or far from dense, and what is too big.
func (h *History) measure() (size, error) {
	s := size{txns: len(h.Txns)}
	for i := range h.Txns {
		t := &h.Txns[i]
		s.ops += len(t.Ops)
		for j := range t.Ops {
			o := &t.Ops[j]
			if o.Key < 0 {
				return s, fmt.Errorf("transaction %d: key %d: keys count from 0", t.ID, o.Key)
			}
			s.keys = max(s.keys, int(o.Key)+1)
			s.elements += len(o.List)
			if o.Kind == Read {
				continue
			}
			s.writes++
			if (o.Kind == Append) != (h.Workload == ListAppend) {
				return s, fmt.Errorf("transaction %d: %q does not belong to the workload %s", t.ID, h.OpString(o), h.Workload)
			}
		}
	}
	if s.txns > maxTxns || s.ops > maxOps {
		return s, fmt.Errorf("%w: %d transactions of %d micro-operations; at most %d of %d can be judged", ErrTooBig, s.txns, s.ops, maxTxns, maxOps)
	}
	if s.keys > 2*s.ops+len(h.Keys)+64 {
		return s, fmt.Errorf("key %d: there are only %d micro-operations; number the keys densely from 0", s.keys-1, s.ops)
	}
	return s, nil
}
