package linear

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/history"
)

// streamSketch says how events are drawn.
type streamSketch struct {
	events, clients int
	info, fail      float64
	lies            float64 // share of reads that return any value
	text            bool
}

// draw runs clients on one register. Effects come at any moment of an
// operation, also of one whose outcome is unknown.
func (k streamSketch) draw(r *rand.Rand) []history.Event {
	type client struct {
		process int
		f       string
		value   history.Value
		done    bool
	}
	clients := make([]client, k.clients)
	for i := range clients {
		clients[i].process = i
	}
	state, written := history.Nil, []history.Value{history.Nil}
	fresh, process := int64(0), k.clients
	var late []history.Value // writes of unknown outcome that may still take effect
	var events []history.Event
	add := func(kind history.EventKind, c *client, v history.Value) {
		i := int64(len(events))
		events = append(events, history.Event{Index: i, Time: time.Duration(i), Kind: kind, Process: c.process, F: c.f, Value: v})
	}
	for len(events) < k.events {
		c := &clients[r.IntN(len(clients))]
		if len(late) > 0 && r.IntN(8) == 0 {
			state, late = late[0], late[1:]
		}
		switch {
		case c.f == "":
			c.f, c.value, c.done = Read, history.Nil, false
			if r.IntN(2) == 0 {
				fresh++
				if c.f, c.value = Write, history.Int(fresh*3-20); k.text {
					c.value = history.String(fmt.Sprint(fresh))
				}
				written = append(written, c.value)
			}
			add(history.Invoke, c, c.value)
		case !c.done && c.f == Read:
			if c.value, c.done = state, true; r.Float64() < k.lies {
				c.value = written[r.IntN(len(written))]
			}
		case !c.done && r.Float64() < k.fail:
			add(history.Fail, c, c.value)
			c.f = ""
		case r.Float64() < k.info:
			if c.f == Write && !c.done && r.IntN(2) == 0 {
				late = append(late, c.value)
			}
			add(history.Info, c, c.value)
			c.f, c.process = "", process
			process++
		case !c.done:
			state, c.done = c.value, true
		default:
			add(history.OK, c, c.value)
			c.f = ""
		}
	}
	return events
}

func newStream(tb testing.TB, workload string, o Options) *Stream {
	tb.Helper()
	s, err := NewStream(workload, Object{}, o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func streamedRegister(t *testing.T, events []history.Event, o Options) checkers.Verdict {
	t.Helper()
	s := newStream(t, "register", o)
	for i := range events {
		if err := s.Add(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	return s.Verdict()
}

func TestStreamsAgreeWithTheWholeOnRandomHistories(t *testing.T) {
	defer func(n int) { sweepAtLeast = n }(sweepAtLeast)
	r := trials.Rand(0, 41)
	verdicts, partial := map[checkers.Validity]int{}, 0
	for range trials.Rounds(120_000) {
		sweepAtLeast = 1 + r.IntN(4)
		k := streamSketch{
			events: 4 + r.IntN(12+r.IntN(90)), clients: 1 + r.IntN(6), info: 0.3 * float64(r.IntN(2)) * r.Float64(),
			fail: 0.2 * float64(r.IntN(2)) * r.Float64(), lies: float64(r.IntN(3)) * 0.3 * r.Float64(), text: r.IntN(8) == 0,
		}
		events := k.draw(r)
		ops, err := history.Operations(events)
		if err != nil {
			t.Fatal(err)
		}
		got := streamedRegister(t, events, Options{})
		p, err := compile(newInterner(len(ops)), "", Spec{}, ops, all(ops))
		if err != nil {
			t.Fatal(err)
		}
		a, _, applies := decideByZones(p.ops, p.initial, len(p.values))
		if !applies || a == undecided || got.Verdict != want(a == legal) {
			t.Fatalf("says %s: %s; zones %s (apply: %v):\n%s", got.Verdict, got.Reason, a, applies, show(ops))
		}
		if verdicts[got.Verdict]++; got.Verdict != checkers.Invalid {
			continue
		}
		switch w := got.Witness; {
		case len(w.Lines) > 0:
			partial++
		case len(w.Operations) > 6:
			t.Fatalf("the witness has %d operations:\n%s", len(w.Operations), show(w.Operations))
		case bruteForce(w.Operations, history.Nil):
			t.Fatalf("%s\nthe witness is legal:\n%s\nof\n%s", got.Reason, show(w.Operations), show(ops))
		}
	}
	t.Log(verdicts, partial)
	if partial > verdicts[checkers.Invalid]*2/3 {
		t.Errorf("%d of %d violations are explained by the read alone", partial, verdicts[checkers.Invalid])
	}
	if n := trials.Rounds(120_000) / 5; verdicts[checkers.Valid] < n || verdicts[checkers.Invalid] < n {
		t.Errorf("the generator is lopsided: %v", verdicts)
	}
}

func TestStreamsForgetWhatIsOver(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 42))
	s := newStream(t, "register", Options{})
	k := streamSketch{events: 100_000, clients: 10}
	for _, e := range k.draw(r) {
		if err := s.Add(&e); err != nil {
			t.Fatal(err)
		}
	}
	if v := s.Verdict(); v.Verdict != checkers.Valid || s.operations < 49_000 {
		t.Fatalf("%s: %s", v.Verdict, v.Reason)
	}
	if key := s.keys[""].(*streamKey); len(key.values) > 100 || len(key.zones) > 100 || s.peak > 1<<20 {
		t.Errorf("%d values, %d zones, %d bytes are held", len(key.values), len(key.zones), s.peak)
	}
}

func TestStreamsRefuseWhatTheyCannotJudge(t *testing.T) {
	write := func(i int64, kind history.EventKind, p int, v int64) history.Event {
		return history.Event{Index: i, Kind: kind, Process: p, F: Write, Value: history.Int(v)}
	}
	twice := []history.Event{write(0, history.Invoke, 0, 1), write(1, history.OK, 0, 1), write(2, history.Invoke, 0, 1)}
	if v := streamedRegister(t, twice, Options{}); v.Verdict != checkers.Unknown || !strings.Contains(v.Reason, "written once") {
		t.Errorf("%s: %s", v.Verdict, v.Reason)
	}
	many := streamSketch{events: 60_000, clients: 4, info: 0.5}.draw(rand.New(rand.NewPCG(1, 43)))
	if v := streamedRegister(t, many, Options{Memory: 100_000}); v.Verdict != checkers.Unknown || !strings.Contains(v.Reason, "MiB") {
		t.Errorf("%s: %s", v.Verdict, v.Reason)
	}
	for name, events := range map[string][]history.Event{
		"two open at once":    {write(0, history.Invoke, 0, 1), write(1, history.Invoke, 0, 2)},
		"nothing open":        {write(0, history.OK, 0, 1)},
		"an index again":      {write(0, history.Invoke, 0, 1), write(0, history.OK, 0, 1)},
		"one that is retired": {write(0, history.Invoke, 0, 1), write(1, history.Info, 0, 1), write(2, history.Invoke, 0, 2)},
	} {
		s, failed := newStream(t, "register", Options{}), false
		for i := range events {
			failed = failed || s.Add(&events[i]) != nil
		}
		if !failed {
			t.Errorf("%s is accepted", name)
		}
	}
}

// BenchmarkGrowth takes ten times as many operations again and again, in a
// stream and as a whole.
func BenchmarkGrowth(b *testing.B) {
	for _, name := range []string{"register", "mutex", "queue", "counter by one", "list", "grow-only set", "set with removes"} {
		for _, n := range []int{10_000, 100_000, 1_000_000, 10_000_000} {
			fresh := func() load { // the state of an object is used up by one history
				l := load{ops: n, clients: 10, keys: 1, info: 0.01, object: registerToy()}
				if name != "register" {
					l.object = bigToy(name)
				}
				if name == "list" || name == "grow-only set" {
					l.keys = n / 100
				}
				return l
			}
			fresh().bench(b, fmt.Sprintf("%s/%d/whole", name, n), Options{Memory: 8 << 30})
			fresh().benchStream(b, fmt.Sprintf("%s/%d/stream", name, n))
		}
	}
}

// benchStream feeds the events of a load to a stream.
func (l load) benchStream(b *testing.B, name string) {
	b.Run(name, func(b *testing.B) {
		ops := l.operations(1)
		at := make([]int32, 2*len(ops)) // index of an event → operation, its complement for the return
		for i := range ops {
			at[ops[i].Call] = int32(i)
			if ops[i].Return >= 0 {
				at[ops[i].Return] = ^int32(i)
			}
		}
		var s *Stream
		var err error
		var spent cost
		for b.Loop() {
			spent.best(measure(func() {
				s, err = NewStream(l.object.workload, Object{Initial: l.object.initial}, Options{Memory: 8 << 30})
				if err != nil {
					b.Fatal(err)
				}
				var e history.Event // one for all: it escapes
				for i, op := range at {
					e = history.Event{Index: int64(i), Kind: history.Invoke}
					o := &ops[max(op, ^op)]
					if e.Process, e.F, e.Key, e.Value = o.Process, o.F, o.Key, o.Input; op < 0 {
						if e.Kind = o.Outcome; o.Outcome == history.OK {
							e.Value = o.Output
						}
					}
					if err := s.Add(&e); err != nil {
						b.Fatal(err)
					}
				}
			}))
		}
		if v := s.Verdict(); v.Verdict != checkers.Valid {
			b.Fatal(v.Reason)
		}
		spent.report(b)
		spent.note(b.Name(), checkers.Valid)
		b.ReportMetric(float64(s.peak)/(1<<20), "MB-held")
	})
}
