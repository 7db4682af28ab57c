package linear

import (
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

func TestSummariesSayWhatContradictsWhat(t *testing.T) {
	n, l := history.Int, history.List
	op := func(f string, at int64, in, out history.Value) history.Operation {
		return history.Operation{Process: int(at), F: f, Input: in, Output: out, Outcome: history.OK, Call: at, Return: at + 1, Completed: 2_000_000}
	}
	for _, c := range []struct {
		workload    string
		ops         []history.Operation
		class, says string
	}{
		{"list", []history.Operation{op(Append, 1, n(1), n(1)), op(Read, 3, history.Nil, l())}, StaleRead,
			"the read (process 3, 0.000 s to 0.002 s) returned [], although the append of 1 (process 1, 0.000 s to 0.002 s) was over before"},
		{"set", []history.Operation{op(Add, 1, n(1), n(1)), op(Read, 3, history.Nil, l())}, StaleRead,
			"the read (process 3, 0.000 s to 0.002 s) returned [], although the add of 1 (process 1, 0.000 s to 0.002 s) was over before"},
		{"list", []history.Operation{op(Append, 1, n(1), n(1)), op(Read, 3, history.Nil, l(n(1), n(1)))}, Duplicate,
			"the read (process 3, 0.000 s to 0.002 s, returned [1 1]) has 1 more than once, although it was appended once"},
		{"mutex", []history.Operation{op(Acquire, 1, history.Nil, history.Nil), op(Acquire, 3, history.Nil, history.Nil)}, TooManyHolders,
			"the acquire (process 3, 0.000 s to 0.002 s) succeeded, although the acquire (process 1, 0.000 s to 0.002 s) had succeeded and it was not released before"},
		{"fencing", []history.Operation{op(Acquire, 1, history.Nil, n(5)), op(Acquire, 3, history.Nil, n(4))}, OldToken,
			"the acquire (process 3, 0.000 s to 0.002 s) returned 4, although the acquire (process 1, 0.000 s to 0.002 s, returned 5) was over before with a greater token"},
	} {
		v := toy{workload: c.workload}.check(t, c.ops, Options{})
		if v.Verdict != checkers.Invalid || v.Witness.Class != c.class || v.Witness.Summary != c.says {
			t.Errorf("%s: %s (%s) %+v\nwant %s: %s", c.workload, v.Verdict, v.Reason, v.Witness, c.class, c.says)
		}
	}
}

func TestPermitsAreTakenOneAtATime(t *testing.T) {
	n := history.Int
	op := func(f string, at int64, in history.Value) history.Operation {
		return history.Operation{Process: int(at), F: f, Input: in, Output: in, Outcome: history.OK, Call: at, Return: at + 1}
	}
	s := toy{workload: "semaphore", initial: n(2)}
	for _, in := range []history.Value{history.Nil, n(1), history.Keyword("lock")} {
		if v := s.check(t, []history.Operation{op(Acquire, 1, in), op(Acquire, 3, in)}, Options{}); v.Verdict != checkers.Valid {
			t.Errorf("%s: %s (%s)", in, v.Verdict, v.Reason)
		}
	}
	for _, in := range []history.Value{n(2), n(0), n(-1)} {
		if v := s.check(t, []history.Operation{op(Acquire, 1, in), op(Acquire, 3, n(1))}, Options{}); v.Verdict != checkers.Unknown {
			t.Errorf("%s permits at once: %s (%s)", in, v.Verdict, v.Reason)
		}
		// Whose lock it is has no number.
		if v := (toy{workload: "mutex"}).check(t, []history.Operation{op(Acquire, 1, in)}, Options{}); v.Verdict != checkers.Valid {
			t.Errorf("a mutex, %s: %s (%s)", in, v.Verdict, v.Reason)
		}
	}
}
