package linear

import (
	"fmt"
	"math/rand/v2"
	"runtime"
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
		e := history.Event{Index: o.Return, Time: max(o.Invoked, o.Completed), Kind: o.Outcome, Process: o.Process, F: o.F, Key: o.Key, Value: o.Input, Error: o.Error}
		if o.Outcome == history.OK {
			e.Value = o.Output
		}
		events = append(events, e)
	}
	slices.SortFunc(events, func(a, b history.Event) int { return int(a.Index - b.Index) })
	return events
}

// streamedToys are the objects that can be judged in a stream, with the share
// of their histories of which a stream must say that it cannot at most, and
// that of its witnesses which must be whole at least.
var streamedToys = map[string]struct {
	toy            toy
	unknown, whole float64
}{
	"list":               {toys["list"], 0.6, 0.8},
	"log":                {named(toys["list"], "log"), 0.6, 0.8},
	"mutex":              {toys["mutex"], 0, 0.8},
	"semaphore":          {toys["semaphore"], 0, 0.8},
	"careless mutex":     {toys["careless mutex"], 0.95, 0.8},
	"careless semaphore": {toys["careless semaphore"], 0.95, 0.8},
	"fencing":            {toys["fencing"], 0, 0.8},
	"grow-only set":      {toys["grow-only set"], 0.8, 0.8},
	"members":            {memberToy(), 0.7, 0.8},
	"queue":              {toys["queue"], 0.7, 0.7},
	"queue, fresh":       {queueToy(), 0.5, 0.7},
	"counter by one":     {toys["counter by one"], 0, 0},
	"counter by two":     {toys["counter by two"], 0, 0},
	"counter at large":   {counterToy(1, 1, 1, 1, 1, 1, 3), 0.7, 0},
}

// named is a toy for another workload of the same kind.
func named(t toy, workload string) toy {
	t.workload = workload
	return t
}

// memberToy is a set of which single elements are asked for, whose elements
// are mostly added and removed once.
func memberToy() toy {
	t := toys["set with removes"]
	t.draw = func(r *rand.Rand, fresh func() history.Value, _ int) (string, history.Value) {
		switch c := r.IntN(8); {
		case c < 3:
			return Add, fresh()
		case c < 4:
			return Remove, small(r, 9)
		}
		return Contains, small(r, 6)
	}
	return t
}

// queueToy is a queue whose elements are enqueued once, and dequeued less often.
func queueToy() toy {
	t := toys["queue"]
	t.draw = func(r *rand.Rand, fresh func() history.Value, _ int) (string, history.Value) {
		if r.IntN(5) < 2 {
			return Dequeue, history.Nil
		}
		return Enqueue, fresh()
	}
	return t
}

// onKeys is a history of a toy on some keys, one of the other.
func (t toy) onKeys(r *rand.Rand, keys int) []history.Operation {
	var all []history.Operation
	for key := range keys {
		k := randomChaos(r, 24/keys)
		if r.IntN(2) == 0 {
			k.lies = r.IntN(4)
		}
		for _, o := range t.history(r, k) {
			o.Process = o.Process*keys + key
			o.Call, o.Return = o.Call*int64(keys)+int64(key), o.Return*int64(keys)+int64(key)
			if keys > 1 {
				o.Key = fmt.Sprint("k", key)
			}
			all = append(all, o)
		}
	}
	return all
}

// judged is the answer for a history, without an explanation.
func judged(t *testing.T, toy toy, ops []history.Operation) answer {
	t.Helper()
	c, err := For(toy.workload, Object{Initial: toy.initial}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	k := c.(checker)
	all := legal
	parts, _ := group(ops, false)
	for _, p := range parts {
		for _, p := range k.object.split(ops, p) {
			switch a := k.object.judge(k.budget(t.Context(), k.o.Memory), ops, p, Automatic).answer; a {
			case illegal:
				return illegal
			case undecided:
				all = undecided
			}
		}
	}
	return all
}

// TestStreamsOfObjectsAgreeWithTheWhole compares streams with the exact
// algorithms, small histories with brute force, too, and asks brute force about
// the witnesses.
func TestStreamsOfObjectsAgreeWithTheWhole(t *testing.T) {
	defer func(n int) { sweepAtLeast = n }(sweepAtLeast)
	for name, c := range streamedToys {
		t.Run(name, func(t *testing.T) {
			toy := c.toy
			r := trials.Rand(51, 1)
			verdicts, witnesses, partial := map[checkers.Validity]int{}, 0, 0
			n := trials.Rounds(100_000)
			for range n {
				sweepAtLeast = 1 + r.IntN(4)
				ops := toy.onKeys(r, 1+r.IntN(4)/3*2)
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
				if len(ops) <= 8 && ops[0].Key == "" && got.Verdict != want(toy.legalByBruteForce(ops)) {
					t.Fatalf("says %s: %s; brute force does not\n%s", got.Verdict, got.Reason, show(ops))
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
			if verdicts[checkers.Invalid] < n/100 || verdicts[checkers.Valid] < n/20 || float64(verdicts[checkers.Unknown]) > c.unknown*float64(n) || float64(witnesses) < c.whole*float64(witnesses+partial) {
				t.Errorf("%v, %d witnesses, %d partial ones: the generator is lopsided", verdicts, witnesses, partial)
			}
		})
	}
}

// TestStreamsHoldNoMoreInLongRuns feeds a million operations, a few keys at a
// time where reads find all, and watches what streams hold.
func TestStreamsHoldNoMoreInLongRuns(t *testing.T) {
	for name, c := range map[string]struct {
		object toy
		each   int     // operations on a key; 0 for all
		info   float64 // of operations that change something
		held   int64   // bytes for a key
		more   float64 // bytes for an operation
		stuck  string  // an operation that is open from the beginning to the end
	}{
		"register":         {object: registerToy(), held: 100 << 10, more: 2},
		"mutex":            {object: bigToy("mutex"), info: 0.01, held: 40 << 10},
		"semaphore":        {object: bigToy("semaphore"), held: 40 << 10},
		"fencing":          {object: bigToy("fencing"), held: 60 << 10},
		"counter by one":   {object: bigToy("counter by one"), info: 0.01, held: 20 << 10},
		"queue":            {object: emptiedQueue(), held: 100 << 10, more: 2},
		"queue, one stuck": {object: emptiedQueue(), held: 100 << 10, more: 2, stuck: Dequeue},
		"set with removes": {object: passingMembers(), info: 0.01, held: 100 << 10, more: 4},
		"list":             {object: bigToy("list"), each: 200, held: 60 << 10},
		"grow-only set":    {object: bigToy("grow-only set"), each: 200, held: 60 << 10},
	} {
		n := trials.Rounds(1_000_000)
		s, err := NewStream(c.object.workload, Object{Initial: c.object.initial}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		f := feed{r: trials.Rand(61, uint64(len(name))), object: c.object, clients: 6, each: c.each, info: c.info, stuck: c.stuck}
		before := heapHeld()
		f.run(t, s, n)
		after := heapHeld()
		v := s.Verdict()
		if v.Verdict != checkers.Valid || s.operations != int64(n) {
			t.Fatalf("%s: %s after %d operations: %s", name, v.Verdict, s.operations, v.Reason)
		}
		keys := int64(len(s.keys))
		most := keys*c.held + int64(c.more*float64(n)) + int64(c.info*float64(n))*streamWordBytes/16 // processes of unknown outcome are retired
		t.Logf("%s: %d bytes are counted and %d held, for %d keys; allowed are %d", name, s.peak, after-before, keys, most)
		if s.peak > most || after-before > most {
			t.Errorf("%s: %d bytes are counted and %d held, for %d keys; allowed are %d", name, s.peak, after-before, keys, most)
		}
		runtime.KeepAlive(s)
	}
}

// heapHeld is how many bytes are held.
func heapHeld() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// emptiedQueue is a queue that is found empty again and again.
func emptiedQueue() toy {
	t := bigToy("queue")
	t.draw = func(r *rand.Rand, fresh func() history.Value, _ int) (string, history.Value) {
		if r.IntN(20) < 11 {
			return Dequeue, history.Nil
		}
		return Enqueue, fresh()
	}
	return t
}

// passingMembers is a set whose elements are added, asked for, and removed
// soon.
func passingMembers() toy {
	t := toys["set with removes"]
	member, drawn := map[int64]bool{}, int64(0)
	t.draw = func(r *rand.Rand, fresh func() history.Value, _ int) (string, history.Value) {
		switch drawn++; drawn % 3 {
		case 0:
			return Add, fresh()
		case 1:
			return Contains, history.Int(drawn/3 - int64(r.IntN(100)))
		}
		return Remove, history.Int(drawn/3 - 10)
	}
	t.run = func(s history.Value, f string, in history.Value) (history.Value, history.Value, bool) {
		switch f {
		case Contains:
			return s, history.Bool(member[number(in)]), true
		case Add:
			member[number(in)] = true
		default:
			delete(member, number(in))
		}
		return s, in, true
	}
	return t
}

// feed makes events, one after the other, and keeps none.
type feed struct {
	r       *rand.Rand
	object  toy
	clients int
	each    int
	info    float64
	stuck   string
}

func (f *feed) run(t *testing.T, s *Stream, n int) {
	type client struct {
		e             history.Event
		process, held int
		busy          bool
	}
	clients := make([]client, f.clients)
	for i := range clients {
		clients[i].process = i
	}
	process, fresh, index, state, key := f.clients, int64(0), int64(0), f.object.start, 0
	add := func(e *history.Event) {
		e.Index = index
		index++
		if err := s.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if f.stuck != "" {
		add(&history.Event{Kind: history.Invoke, Process: f.clients, F: f.stuck, Key: "0"})
		process++
	}
	begun, busy := 0, 0
	for begun < n || busy > 0 {
		c := &clients[f.r.IntN(len(clients))]
		if !c.busy {
			if f.each > 0 && begun >= (key+1)*f.each && busy > 0 || begun == n {
				continue
			}
			if f.each > 0 && begun >= (key+1)*f.each {
				key, state = key+1, f.object.start
			}
			fn, in := f.object.draw(f.r, func() history.Value { fresh++; return history.Int(fresh) }, c.held)
			c.e = history.Event{Kind: history.Invoke, Process: c.process, F: fn, Key: fmt.Sprint(key), Value: in}
			c.busy, begun, busy = true, begun+1, busy+1
			add(&c.e)
			continue
		}
		next, out, ok := f.object.run(state, c.e.F, c.e.Value)
		c.busy, busy = false, busy-1
		switch {
		case ok && c.e.F != Read && f.r.Float64() < f.info:
			c.e.Kind, c.process, c.held = history.Info, process, 0
			process++
			if f.r.IntN(2) == 0 {
				state = next
			}
		case ok:
			c.e.Kind, c.e.Value, state = history.OK, out, next
			c.held += map[string]int{Acquire: 1, Release: -1}[c.e.F]
		default:
			c.e.Kind = history.Fail
		}
		add(&c.e)
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
	if got := fmt.Sprint(StreamedWorkloads()); got != "[cas-register counter fencing kv list log mutex queue register semaphore set]" {
		t.Error(got)
	}
}
