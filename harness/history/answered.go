package history

import (
	"slices"
	"strings"
)

// Mismatch is the error of a compare-and-set that the system refused: it
// answered that the value was another one.
const Mismatch = "cas mismatch"

// refusable are the functions that a system may refuse as their meaning has it,
// so that the refusal is a service: the value is another one, the lock is taken,
// the queue is empty, the transaction conflicts.
var refusable = []string{"cas", "acquire", "release", "dequeue", "txn"}

// FoundEmpty reports whether an operation that takes something out failed
// because there was nothing, as the clients of queues report it: without an
// error, or with one that says that it is empty or exhausted.
func (o *Operation) FoundEmpty() bool {
	if o.Outcome != Fail || o.F != "dequeue" {
		return false
	}
	why := strings.ToLower(o.Error)
	return why == "" || strings.Contains(why, "empty") || strings.Contains(why, "exhausted")
}

// Answered reports whether the system served an operation: it was ok, or it is
// one that a system may refuse, and failed by its answer. That is so if the
// completion has no error, has the error Mismatch, or says what a
// compare-and-set found. Whatever failed otherwise was certainly not executed,
// because nobody was reached, say, and its error tells why.
func (o *Operation) Answered() bool {
	switch {
	case o.Outcome == OK:
		return true
	case o.Outcome != Fail || !slices.Contains(refusable, o.F):
		return false
	}
	return o.Error == "" || o.Error == Mismatch || !o.Output.IsNil()
}
