package linear

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/history"
)

// events are the events of operations, in order.
func eventsOf(ops []history.Operation) []history.Event {
	var events []history.Event
	for i := range ops {
		o := &ops[i]
		events = append(events, history.Event{Index: o.Call, Time: o.Invoked, Kind: history.Invoke, Process: o.Process, F: o.F, Key: o.Key, Value: o.Input})
		if o.Return < 0 {
			continue
		}
		e := history.Event{Index: o.Return, Time: max(o.Invoked, o.Completed), Kind: o.Outcome, Process: o.Process, F: o.F, Key: o.Key, Value: o.Input}
		if o.Outcome == history.OK {
			e.Value = o.Output
		}
		events = append(events, e)
	}
	slices.SortFunc(events, func(a, b history.Event) int { return int(a.Index - b.Index) })
	return events
}

// streamedToys are the objects that can be judged in a stream, with the share
// of their histories of which a stream must say that it cannot.
var streamedToys = map[string]float64{
	"list": 0.5, "mutex": 0, "semaphore": 0, "careless mutex": 0.9, "careless semaphore": 0.9, "fencing": 0,
}

// judged is the answer for a history of one key, without an explanation.
func judged(t *testing.T, toy toy, ops []history.Operation) answer {
	t.Helper()
	c, err := For(toy.workload, Object{Initial: toy.initial}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	k := c.(checker)
	return k.object.judge(k.budget(t.Context(), k.o.Memory), ops, wholeOf(ops), Automatic).answer
}

// TestStreamsOfObjectsAgreeWithTheWhole compares streams with the exact
// algorithms, which are compared with brute force elsewhere, and asks brute
// force about the witnesses.
func TestStreamsOfObjectsAgreeWithTheWhole(t *testing.T) {
	defer func(n int) { sweepAtLeast = n }(sweepAtLeast)
	for name, most := range streamedToys {
		t.Run(name, func(t *testing.T) {
			toy := toys[name]
			r := trials.Rand(51, 1)
			verdicts, witnesses, partial := map[checkers.Validity]int{}, 0, 0
			n := trials.Rounds(100_000)
			for range n {
				sweepAtLeast = 1 + r.IntN(4)
				k := randomChaos(r, 24)
				if r.IntN(2) == 0 {
					k.lies = r.IntN(4)
				}
				ops := toy.history(r, k)
				s, err := NewStream(toy.workload, Object{Initial: toy.initial}, Options{})
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range eventsOf(ops) {
					if err := s.Add(&e); err != nil {
						t.Fatalf("%v\n%s", err, show(ops))
					}
				}
				got := s.Verdict()
				verdicts[got.Verdict]++
				if got.Verdict == checkers.Unknown {
					continue
				}
				if answer := judged(t, toy, ops); got.Verdict != want(answer == legal) || answer == undecided {
					t.Fatalf("says %s: %s; the whole is %s\n%s", got.Verdict, got.Reason, answer, show(ops))
				}
				if got.Verdict != checkers.Invalid {
					continue
				}
				if len(got.Witness.Lines) > 0 {
					partial++
					continue
				}
				if witnesses++; toy.legalByBruteForce(got.Witness.Operations) {
					t.Fatalf("%s\nthe witness is legal:\n%s\n%s", got.Reason, show(got.Witness.Operations), show(ops))
				}
			}
			t.Log(verdicts, witnesses, partial)
			if verdicts[checkers.Invalid] < n/100 || verdicts[checkers.Valid] < n/20 || float64(verdicts[checkers.Unknown]) > most*float64(n) || witnesses < 4*partial {
				t.Errorf("%v, %d witnesses, %d partial ones: the generator is lopsided", verdicts, witnesses, partial)
			}
		})
	}
}

// TestStreamsOfObjectsForgetWhatIsOver watches what long runs hold.
func TestStreamsOfObjectsForgetWhatIsOver(t *testing.T) {
	for _, name := range []string{"mutex", "semaphore", "fencing", "list"} {
		held := map[int]int64{}
		for _, n := range []int{1_000, 10_000} {
			l := load{ops: n, clients: 6, keys: 1, object: bigToy(name)}
			if name == "list" { // 100 elements in each
				l.keys = n / 200
			}
			s, err := NewStream(l.object.workload, Object{Initial: l.object.initial}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range eventsOf(l.operations(1)) {
				if err := s.Add(&e); err != nil {
					t.Fatal(err)
				}
			}
			if v := s.Verdict(); v.Verdict != checkers.Valid {
				t.Fatalf("%s: %s: %s", name, v.Verdict, v.Reason)
			}
			held[n] = s.peak / int64(l.keys)
		}
		if held[10_000] > 2*held[1_000] || held[10_000] > 64<<10 {
			t.Errorf("%s: %v bytes are held for each key", name, held)
		}
	}
}

func TestOtherWorkloadsCannotBeStreamed(t *testing.T) {
	for _, name := range Workloads() {
		_, err := NewStream(name, Object{Initial: map[string]history.Value{"semaphore": history.Int(2)}[name]}, Options{})
		if want := slices.Contains(StreamedWorkloads(), name); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewStream("semaphore", Object{Initial: history.Int(0)}, Options{}); err == nil {
		t.Error("a semaphore without permits is accepted")
	}
	if got := fmt.Sprint(StreamedWorkloads()); got != "[cas-register fencing kv list mutex register semaphore]" {
		t.Error(got)
	}
}
