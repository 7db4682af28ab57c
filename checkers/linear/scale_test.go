package linear

import (
	"slices"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// inTurn are operations one after the other, each by a process of its own.
func inTurn(ops []history.Operation) []history.Operation {
	for i := range ops {
		o := &ops[i]
		o.Process, o.Call, o.Invoked = i, int64(2*i), time.Duration(2*i)
		o.Return, o.Completed = int64(2*i+1), time.Duration(2*i+1)
		if o.Outcome == history.Info {
			o.Completed = history.Never
		}
	}
	return ops
}

func counted(n int) []history.Value {
	all := make([]history.Value, n)
	for i := range all {
		all[i] = history.Int(int64(i))
	}
	return all
}

// TestLongHistoriesOfOneShapeAreDecidedInTime judges histories for which some
// step once took time in the square of their length: hours, not seconds.
func TestLongHistoriesOfOneShapeAreDecidedInTime(t *testing.T) {
	const n = 1_000_000
	chain := func(from, n int) (ops []history.Operation) {
		for i := from; i < from+n; i++ {
			ops = append(ops, history.Operation{F: CAS, Input: history.List(history.Int(int64(i)), history.Int(int64(i+1))), Outcome: history.Info})
		}
		return ops
	}
	read := func(v history.Value) history.Operation {
		return history.Operation{F: Read, Output: v, Outcome: history.OK}
	}
	long := counted(n)
	appends := func() (ops []history.Operation) {
		for i := range long {
			ops = append(ops, history.Operation{F: Append, Input: long[i], Outcome: history.OK})
		}
		return ops
	}
	fork := slices.Clone(long)
	fork[n-2], fork[n-1] = fork[n-1], fork[n-2]
	few := counted(300_000)
	adds := []history.Operation{}
	for i := range few {
		adds = append(adds, history.Operation{F: Add, Input: few[i], Outcome: history.OK})
	}
	for _, c := range []struct {
		name, workload string
		ops            []history.Operation
		want           checkers.Validity
		witness        int
	}{
		{"a chain of cas of unknown outcome, of which the last was found", "cas-register", append(chain(0, n), read(history.Int(n))), checkers.Valid, 0},
		{"such a chain that begins with what nobody wrote", "cas-register", append(chain(5, n/5), read(history.Int(n/5+5))), checkers.Invalid, witnessMax},
		{"lists that differ at the end", "list", append(appends(), read(history.List(long...)), read(history.List(fork...))), checkers.Invalid, 3},
		{"a list that lacks the last element", "list", append(appends(), read(history.List(long...)), read(history.List(long[:n-1]...))), checkers.Invalid, 2},
		{"a set that lacks the last element and has another twice", "set",
			append(adds, read(history.List(few...)), read(history.List(append([]history.Value{few[0]}, few[:len(few)-1]...)...))), checkers.Invalid, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			checker, err := For(c.workload, Object{Initial: map[string]history.Value{"cas-register": history.Int(0)}[c.workload]}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			v := checker.Check(t.Context(), &checkers.Evidence{Operations: inTurn(c.ops)})
			if v.Verdict != c.want {
				t.Fatalf("%s (%s: %s); want %s", v.Verdict, v.Algorithm, v.Reason, c.want)
			}
			if v.Verdict == checkers.Invalid && len(v.Witness.Operations) != c.witness {
				t.Errorf("the witness has %d operations, want %d: %s", len(v.Witness.Operations), c.witness, v.Witness.Summary)
			}
		})
	}
}

// TestStreamsDoNotSlowDownWhileMuchIsOpen feeds operations to streams while
// others hang, so that little can be forgotten.
func TestStreamsDoNotSlowDownWhileMuchIsOpen(t *testing.T) {
	const n = 200_000
	ok := func(o history.Operation) history.Operation {
		o.Outcome = history.OK
		return o
	}
	var register, counter, semaphore []history.Operation
	for i := range int64(n / 2) {
		v := history.Int(i + 1)
		register = append(register, ok(history.Operation{F: Write, Input: v}), ok(history.Operation{F: Read, Output: v}))
		counter = append(counter, history.Operation{F: Add, Input: history.Int(1), Outcome: history.Info}, ok(history.Operation{F: Read, Output: v}))
		semaphore = append(semaphore, ok(history.Operation{F: Acquire}))
	}
	for range n / 2 {
		semaphore = append(semaphore, history.Operation{F: Release, Outcome: history.Fail})
	}
	register[1].Return = -1 // it hangs
	for _, c := range []struct {
		workload string
		initial  history.Value
		ops      []history.Operation
	}{
		{"register", history.Nil, register}, {"counter", history.Nil, counter}, {"semaphore", history.Int(n), semaphore},
	} {
		t.Run(c.workload, func(t *testing.T) {
			for i := range c.ops {
				o := &c.ops[i]
				if o.Outcome == history.Info || o.Return < 0 {
					o.Process, o.Return = 1+i, -1
				} else {
					o.Return = int64(2*i + 1)
				}
				o.Call = int64(2 * i)
			}
			s, err := NewStream(c.workload, Object{Initial: c.initial}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range eventsOf(c.ops) {
				if err := s.Add(&e); err != nil {
					t.Fatal(err)
				}
			}
			if v := s.Verdict(); v.Verdict != checkers.Valid {
				t.Errorf("%s: %s", v.Verdict, v.Reason)
			}
		})
	}
}

// TestStreamsHoldNoMoreOfAnElementThatIsAskedForAgain asks for an element that
// was removed before it was added.
func TestStreamsHoldNoMoreOfAnElementThatIsAskedForAgain(t *testing.T) {
	s := newStream(t, "set", Options{})
	index := int64(0)
	for i := range 1_000 {
		f, out := Contains, history.Bool(true)
		if i < 2 {
			f, out = []string{Remove, Add}[i], history.Nil
		}
		for _, kind := range []history.EventKind{history.Invoke, history.OK} {
			e := history.Event{Index: index, Kind: kind, F: f, Value: history.Int(1)}
			if kind == history.OK {
				e.Value = out
			}
			if index++; s.Add(&e) != nil {
				t.Fatal(e)
			}
		}
	}
	if v := s.Verdict(); v.Verdict != checkers.Valid {
		t.Fatal(v.Reason)
	}
	for _, m := range s.keys[""].(*streamSet).members.held {
		if len(m.because) > 4 {
			t.Errorf("%d operations are held of one element", len(m.because))
		}
	}
}

// TestReachFindsWhatALoopFinds compares the tree of a stream of registers with
// a list.
func TestReachFindsWhatALoopFinds(t *testing.T) {
	for _, places := range []int{1, 16, 17, 100, 1000} {
		var r reach
		var list []int64
		for i := range int64(3 * places) {
			at := int(i*i*7+i) % places
			for at >= len(list) {
				list = append(list, always)
			}
			list[at] = i * 31 % 101
			r.set(at, list[at])
			for s := int64(-1); s < 102; s += 3 {
				if got, want := r.first(s), slices.IndexFunc(list, func(x int64) bool { return x > s }); got != want {
					t.Fatalf("of %d places: first(%d) is %d, want %d", places, s, got, want)
				}
			}
		}
		if r.clear(places); r.first(always) != -1 {
			t.Errorf("of %d places: something is left", places)
		}
	}
}

// TestWitnessesOfTokensAreTwoOperations gives both tokens to others, too.
func TestWitnessesOfTokensAreTwoOperations(t *testing.T) {
	ops := inTurn([]history.Operation{
		{F: Write, Input: history.Int(2), Outcome: history.OK},
		{F: Acquire, Output: history.Int(3), Outcome: history.OK},
		{F: Write, Input: history.Int(3), Outcome: history.OK},
		{F: Acquire, Output: history.Int(2), Outcome: history.OK},
	})
	v := toys["fencing"].check(t, ops, Options{})
	if v.Verdict != checkers.Invalid || len(v.Witness.Operations) != 2 {
		t.Errorf("%s, with the witness\n%s", v.Verdict, show(v.Witness.Operations))
	}
}
