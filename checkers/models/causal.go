package models

import (
	"context"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Guarantee is what sessions may expect of registers that are replicated.
type Guarantee string

// The guarantees. What a read must have seen are its *visible* writes; the
// register is arbitrated if all agree on one order of the writes, of which a
// read returns the last visible one (Burckhardt, "Principles of Eventual
// Consistency", 2014, chapter 5). Each guarantee says which writes must be
// visible and which orders the arbitration must keep; what a read returns is
// visible to it in any case.
const (
	// ReadYourWrites: the writes of a session are visible to its later reads.
	ReadYourWrites Guarantee = "read-your-writes"
	// MonotonicReads: what is visible to a read is visible to later reads of
	// the session.
	MonotonicReads Guarantee = "monotonic-reads"
	// MonotonicWrites: the arbitration keeps the order of each session's
	// writes, and with a write those before it are visible. As a read shows
	// one key only, this shows across reads of a session: MonotonicReads is
	// presupposed.
	MonotonicWrites Guarantee = "monotonic-writes"
	// WritesFollowReads: what was visible to a session comes before its later
	// writes in the arbitration, and is visible with them. MonotonicReads is
	// presupposed, as above.
	WritesFollowReads Guarantee = "writes-follow-reads"
	// Causal: what a session did and saw is visible to it later, and with
	// everything visible all that preceded it is (CC of Bouajjani, Enea,
	// Guerraoui and Hamza, POPL 2017). Sessions need not agree on an order of
	// concurrent writes.
	Causal Guarantee = "causal"
	// CausalConvergent is Causal with an arbitration (CCv, there).
	CausalConvergent Guarantee = "causal-convergent"
)

// Session judges registers by a guarantee. Operations are read, write, cas and
// delete; the initial value of each key is given, and written values are unique
// for each key, which is verified. All keys are judged together. A cas that
// succeeded is a read and then a write, of which it is not demanded that nothing
// came between: Sequential does that. A refused cas whose output is the value
// that it found is a read; other failed operations say nothing. A delete writes
// nil; where a read of nil may be explained by several deletes, or by a delete
// and the initial value, choices are tried, up to 4,096 of them, and beyond that
// the verdict is unknown. Real time does not
// count. A history passes if some choice of visible writes and arbitration
// explains all reads; as visible writes only add demands, the least choice is
// tried, and the verdict is exact.
//
// Causal and causal-convergent follow the bad patterns of Bouajjani et al.:
// O(n·k·log n) time for n operations of k sessions, with vector clocks of 4
// bytes for each session, one for each write that follows a read, up to 4 GiB;
// so does writes-follow-reads. monotonic-reads, monotonic-writes and
// read-your-writes take O(n·k). Where there are more than 16 sessions, as where
// processes are retired with each operation of unknown outcome, the history is
// valid before all that if it is linearizable, in O(n·log n).
//
// Of a cas in a witness, what it expected matters only if the write of that is
// in the witness, too.
func Session(g Guarantee, initial history.Value) checkers.Checker {
	return session(g, initial, manySessions)
}

// session is Session with another bound of what many sessions are.
func session(g Guarantee, initial history.Value, many int) checkers.Checker {
	algorithm := "bad patterns with vector clocks"
	return judge(string(g), algorithm, func(ctx context.Context, ops []history.Operation) judged {
		s, v := readSessions(ctx, ops, initial, false)
		if s == nil {
			return v
		}
		if len(s.of) > many && linearizable(ctx, ops, initial) {
			return fromLinearizable(s)
		}
		return s.decide(ctx, func(s *sessions) judged {
			if g == ReadYourWrites {
				return s.readYourWrites(ctx)
			}
			return s.judge(ctx, g)
		})
	})
}
