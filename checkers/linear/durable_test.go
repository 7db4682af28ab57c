package linear

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/history"
)

// crashToys are the objects that crash in these tests.
var crashToys = map[string]toy{
	"register": {
		workload: "cas-register", start: history.Nil,
		draw: func(r *rand.Rand, fresh func() history.Value, _ int) (string, history.Value) {
			v := fresh()
			if r.IntN(25) == 0 {
				v = small(r, 3)
			}
			switch c := r.IntN(10); {
			case c < 5:
				return Read, history.Nil
			case c < 8:
				return Write, v
			}
			return CAS, history.List(small(r, 4), v)
		},
		run: func(s history.Value, f string, in history.Value) (history.Value, history.Value, bool) {
			switch f {
			case Read:
				return s, s, true
			case Write:
				return in, in, true
			}
			return items(in)[1], in, items(in)[0].Equal(s)
		},
		lie: func(r *rand.Rand, o *history.Operation) {
			if o.F == Read {
				o.Output = small(r, 5)
				if r.IntN(3) == 0 {
					o.Output = history.Nil
				}
			}
		},
	},
	"list": toys["list"],
	"set":  toys["grow-only set"],
}

// crashing adds crashes to a history: its operations get nodes, and faults
// come between its events, most of them while an operation is open of which
// nobody hears, although it may have taken effect later.
func crashing(r *rand.Rand, ops []history.Operation) *checkers.Evidence {
	e := &checkers.Evidence{Operations: ops}
	var at []int64
	for i := range ops {
		o := &ops[i]
		o.Call, o.Return, o.Invoked, o.Completed = 2*o.Call, 2*o.Return, 2*o.Invoked, 2*o.Completed
		if o.Outcome == history.Info {
			o.Completed = history.Never
		}
		o.Node = []string{"n1", "n2"}[r.IntN(2)]
	}
	for range 1 + r.IntN(2) {
		o := &ops[r.IntN(len(ops))]
		if o.F != Read && o.F != Contains && o.Outcome == history.OK {
			o.Outcome, o.Output, o.Completed = history.Info, history.Nil, history.Never
		}
		at = append(at, o.Call+1+2*r.Int64N((o.Return-o.Call)/2))
	}
	slices.Sort(at)
	for _, at := range slices.Compact(at) {
		c := history.Event{Index: at, Time: time.Duration(at) * time.Millisecond, Kind: history.FaultStart, Process: history.NemesisProcess, F: "power-loss(all)"}
		if r.IntN(2) == 0 {
			c.F, c.Nodes = "kill(one)", []string{[]string{"n1", "n2"}[r.IntN(2)]}
		}
		e.Events, e.Faults = append(e.Events, c), append(e.Faults, window(&c))
	}
	return e
}

// forgetful draws a history of eras: each begins with what the first few
// acknowledged operations of the one before it, in order of their returns,
// had made of the object.
func (t toy) forgetful(r *rand.Rand, k chaos) *checkers.Evidence {
	e := &checkers.Evidence{}
	offset, end := int64(0), int64(0)
	for era := range 2 + r.IntN(5)/4 {
		if era > 0 {
			end++
			c := history.Event{Index: end, Time: time.Duration(end) * time.Millisecond, Kind: history.FaultStart, Process: history.NemesisProcess, F: "power-loss(all)"}
			e.Events, e.Faults = append(e.Events, c), append(e.Faults, window(&c))
		}
		now, more := t, offset
		now.draw = func(r *rand.Rand, fresh func() history.Value, held int) (string, history.Value) {
			return t.draw(r, func() history.Value { return history.Int(number(fresh()) + more) }, held)
		}
		k.ops = 2 + r.IntN(2)
		ops, first := now.history(r, k), end
		var done []history.Operation
		for _, o := range ops {
			o.Call, o.Return, o.Process = o.Call+first, o.Return+first, o.Process+100*era
			o.Invoked = time.Duration(o.Call) * time.Millisecond
			if o.F == Read && o.Outcome != history.Fail && r.IntN(4) == 0 {
				o.F, o.Output = Sync, history.Nil
			} else if o.Outcome == history.OK && o.F != Read {
				done = append(done, o)
			}
			e.Operations, end, offset = append(e.Operations, o), max(end, o.Return), offset+1
		}
		slices.SortFunc(done, func(a, b history.Operation) int { return int(a.Return - b.Return) })
		for _, o := range done[:r.IntN(len(done)+1)] {
			if next, _, ok := t.run(t.start, o.F, o.Input); ok {
				t.start = next
			}
		}
	}
	return e
}

// inTime decides by definition whether a history is legal if the operations of
// unknown outcome that are given got their response at the given events, and
// the others were never invoked.
func (t toy) inTime(ops []history.Operation, response map[int]int64) bool {
	ops = foundEmpty(ops)
	placed := make([]bool, len(ops))
	var try func(state history.Value) bool
	try = func(state history.Value) bool {
		done, limit := true, never
		for i, o := range ops {
			ret, there := response[i]
			if o.Outcome == history.OK {
				ret, there = o.Return, true
			}
			if there && !placed[i] {
				done, limit = false, min(limit, ret)
			}
		}
		if done {
			return true
		}
		for i, o := range ops {
			_, there := response[i]
			if placed[i] || o.Outcome != history.OK && !there || o.Call > limit {
				continue
			}
			if next, ok := t.apply(state, o); ok {
				placed[i] = true
				found := try(next)
				placed[i] = false
				if found {
					return true
				}
			}
		}
		return false
	}
	return try(t.start)
}

// responseOf is, by the definition of a model, the last event by which an
// operation of unknown outcome took effect.
func responseOf(m Model, e *checkers.Evidence, o *history.Operation) int64 {
	for _, c := range e.Events {
		if c.Index < o.Call || c.Nodes != nil && !slices.Contains(c.Nodes, o.Node) {
			continue
		}
		if m == StrictLinearizable {
			return c.Index
		}
		for i := range e.Operations {
			x := &e.Operations[i]
			if x.Call > c.Index && x.Node == o.Node && (m == PersistentAtomic || x.Key == o.Key) {
				return x.Call - 1
			}
		}
		break
	}
	return never
}

// logInTime is inTime for logs with offsets.
func logInTime(ops []history.Operation, response map[int]int64) bool {
	var kept []history.Operation
	for i, o := range ops {
		if ret, there := response[i]; there {
			o.Outcome, o.Output, o.Return = history.OK, history.Nil, ret
		}
		if o.Outcome == history.OK && (o.F == Send || o.Output.Kind() != history.KindNil || ops[i].Outcome == history.OK) {
			kept = append(kept, o)
		}
	}
	return legalLog(kept)
}

// legalUnder tries every choice of the operations that took effect.
func legalUnder(m Model, e *checkers.Evidence, inTime func([]history.Operation, map[int]int64) bool) bool {
	var open []int
	for i := range e.Operations {
		if e.Operations[i].Outcome == history.Info {
			open = append(open, i)
		}
	}
	for choice := range 1 << len(open) {
		response := map[int]int64{}
		for k, i := range open {
			if choice>>k&1 == 1 {
				response[i] = never
				if m != DurableLinearizable {
					response[i] = responseOf(m, e, &e.Operations[i])
				}
			}
		}
		if inTime(e.Operations, response) {
			return true
		}
	}
	return false
}

// judge asks the checker of a model; bare verdicts have no witness.
func (t toy) judge(tb testing.TB, m Model, e *checkers.Evidence, o Options, bare bool) checkers.Verdict {
	c, err := ForModel(m, t.workload, Object{Initial: t.initial}, o)
	if err != nil {
		tb.Fatal(err)
	}
	d := c.(durable)
	d.inner.bare = bare
	return d.Check(tb.Context(), e)
}

// balanced reports a generator whose histories are nearly all alike.
func balanced(t *testing.T, counts map[string]int, all int) {
	t.Helper()
	t.Log(counts)
	if counts["invalid"] < all/30 || counts["valid"] < all/10 {
		t.Errorf("%v of %d: the generator is lopsided", counts, all)
	}
}

// limiting are the models that limit in time what was open at a crash, each of
// which allows all that those before it allow: the response that it gives an
// operation is no earlier.
var limiting = []Model{StrictLinearizable, PersistentAtomic, RecoverableLinearizable, DurableLinearizable}

// legalUnderEach is legalUnder for all limiting models. Most histories are
// legal under all of them or under none, which two questions tell.
func legalUnderEach(e *checkers.Evidence, inTime func([]history.Operation, map[int]int64) bool) (legal [4]bool) {
	last := len(limiting) - 1
	if !legalUnder(limiting[last], e, inTime) {
		return legal
	}
	for i, m := range limiting[:last] {
		if legalUnder(m, e, inTime) {
			for ; i < last; i++ {
				legal[i] = true
			}
			break
		}
	}
	legal[last] = true
	return legal
}

// onTwoKeys is two histories at once, so that persistent atomicity, which looks
// at all invocations of a node, differs from what looks at one key.
func onTwoKeys(a, b []history.Operation) []history.Operation {
	move := func(ops []history.Operation, key string, by int) (moved []history.Operation) {
		for _, o := range ops {
			o.Key, o.Process = key, o.Process+100*by
			o.Call, o.Return = 2*o.Call+int64(by), 2*o.Return+int64(by)
			o.Invoked, o.Completed = time.Duration(o.Call)*time.Millisecond, time.Duration(o.Return)*time.Millisecond
			moved = append(moved, o)
		}
		return moved
	}
	ops := append(move(a, "a", 0), move(b, "b", 1)...)
	slices.SortFunc(ops, func(a, b history.Operation) int { return int(a.Call - b.Call) })
	return ops
}

// byKey asks about the operations of each key alone, as each model is defined
// for one object.
func byKey(inTime func([]history.Operation, map[int]int64) bool) func([]history.Operation, map[int]int64) bool {
	return func(ops []history.Operation, response map[int]int64) bool {
		if len(ops) == 0 || !slices.ContainsFunc(ops, func(o history.Operation) bool { return o.Key != ops[0].Key }) {
			return inTime(ops, response)
		}
		for _, key := range []string{"a", "b"} {
			var part []history.Operation
			limits := map[int]int64{}
			for i, o := range ops {
				if o.Key != key {
					continue
				}
				if at, there := response[i]; there {
					limits[len(part)] = at
				}
				part = append(part, o)
			}
			if !inTime(part, limits) {
				return false
			}
		}
		return true
	}
}

func TestWhatWasOpenAtACrashIsJudgedAsTheDefinitionsSay(t *testing.T) {
	objects := map[string]toy{"queue": toys["queue"], "counter": toys["counter by one"], "members": toys["set with removes"], "mutex": toys["mutex"], "log": logToy, "register with values that come again": crashToys["register"]}
	for name, toy := range crashToys {
		objects[name] = toy
	}
	again := objects["register with values that come again"]
	again.draw = func(r *rand.Rand, fresh func() history.Value, held int) (string, history.Value) {
		return crashToys["register"].draw(r, func() history.Value { return small(r, 3) }, held)
	}
	objects["register with values that come again"] = again
	for name, toy := range objects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, inTime := trials.Rounds(100_000), byKey(toy.inTime)
			if name == "log" {
				inTime = byKey(logInTime)
			}
			r := trials.Rand(61, uint64(len(name)))
			counts, differ, byKeyOnly := map[string]int{}, 0, 0
			for round := range n {
				ops := toy.history(r, chaos{4 + r.IntN(3), 2 + r.IntN(2), r.IntN(15), r.IntN(10), r.IntN(30)})
				if r.IntN(2) == 0 {
					ops = onTwoKeys(toy.history(r, chaos{4, 2, 0, 0, r.IntN(15)}), toy.history(r, chaos{2, 2, 0, 0, 0}))
				}
				e := crashing(r, ops)
				legal := legalUnderEach(e, inTime)
				for i, m := range limiting {
					a := Automatic
					if round%10 == i {
						a = []Algorithm{Search, Porcupine}[round/10%2]
					}
					v := toy.judge(t, m, e, Options{Algorithm: a, Workers: 1}, round%16 != 0)
					want := want(legal[i])
					switch {
					case strings.Contains(v.Reason, "acknowledged without an offset"):
						want = checkers.Unknown
					case len(e.Events) == 0 && legal[i] && m != DurableLinearizable:
						want = checkers.NotApplicable
					}
					if v.Verdict != want {
						t.Fatalf("%s (%s) says %s (%s), the definition of %s %s:\n%s%v", v.Algorithm, a, v.Verdict, v.Reason, m, want, show(e.Operations), e.Events)
					}
					if limiting[i] == PersistentAtomic && legal[i+1] && !legal[i] {
						byKeyOnly++
					}
					if counts[string(v.Verdict)]++; !legal[i] && legal[len(limiting)-1] {
						differ++
					}
					if v.Witness == nil || m != StrictLinearizable {
						continue
					}
					if small := (&checkers.Evidence{Events: e.Events, Operations: v.Witness.Operations}); legalUnder(m, small, inTime) {
						t.Fatalf("the witness %q is legal by itself:\n%s\nof\n%s%v", v.Witness.Summary, show(small.Operations), show(e.Operations), e.Events)
					}
				}
			}
			balanced(t, counts, len(limiting)*n)
			t.Log(differ, byKeyOnly)
			if (differ < n/1000 || byKeyOnly < n/50_000) && name != "mutex" {
				t.Errorf("only %d histories are invalid because of a crash, %d because of another key", differ, byKeyOnly)
			}
		})
	}
}

// recounted is a history in few words: an operation is "call return f input output
// outcome node", and a crash "index nodes", where * is the whole system.
func recounted(t *testing.T, ops []string, crashes ...string) *checkers.Evidence {
	t.Helper()
	e := &checkers.Evidence{}
	for _, text := range ops {
		at := strings.LastIndexByte(text, ' ')
		o := seq(t, text[:at])[0]
		if o.Node = text[at+1:]; o.Node == "?" {
			o.Node = ""
		}
		o.Invoked, o.Process = time.Duration(o.Call)*time.Second, int(o.Call)
		e.Operations = append(e.Operations, o)
	}
	for _, text := range crashes {
		c := history.Event{Kind: history.FaultStart, Process: history.NemesisProcess, F: "kill"}
		var nodes string
		if _, err := fmt.Sscanf(text, "%d %s", &c.Index, &nodes); err != nil {
			t.Fatal(err)
		}
		switch c.Time = time.Duration(c.Index) * time.Second; nodes {
		case "*":
		case "?":
			c.Error = ":majority"
		default:
			c.Nodes = strings.Split(nodes, ",")
		}
		e.Events, e.Faults = append(e.Events, c), append(e.Faults, window(&c))
	}
	return e
}

// window is that of a crash, as far as it matters to models of crashes: its
// failure model.
func window(c *history.Event) checkers.FaultWindow {
	kind, _, _ := strings.Cut(c.F, "(")
	return checkers.FaultWindow{Fault: c.F, Kind: kind, Model: history.CrashRecovery, Start: c.Time, End: c.Time}
}

func TestModelsDifferInWhenAnOpenOperationMayTakeEffect(t *testing.T) {
	before := []string{"1 2 write 1 1 ok n1", "3 -1 write 2 null info n1"}
	for _, c := range []struct {
		name    string
		after   []string
		crashes []string
		wants   string // strict, persistent, recoverable, durable, buffered: v, i or u
	}{
		{"before the crash", []string{"7 8 read null 2 ok n1", "9 10 read null 2 ok n1"}, []string{"5 *"}, "vvvvv"},
		{"never", []string{"7 8 read null 1 ok n1", "9 10 read null 1 ok n1"}, []string{"5 *"}, "vvvvv"},
		{"after the crash", []string{"7 8 read null 1 ok n2", "9 10 read null 2 ok n2"}, []string{"5 *"}, "ivvvv"},
		{"after the next invocation", []string{"7 8 read null 1 ok n1", "9 10 read null 2 ok n1"}, []string{"5 *"}, "iivvv"},
		{"after another node's crash", []string{"7 8 read null 1 ok n1", "9 10 read null 2 ok n1"}, []string{"5 n2"}, "vvvvn"},
		{"at an unknown node", []string{"7 8 read null 1 ok n1", "9 10 read null 2 ok n1"}, []string{"5 ?"}, "uuvvv"},
		{"without a crash", []string{"7 8 read null 1 ok n1", "9 10 read null 2 ok n1"}, nil, "nnnvn"},
		{"without a crash, and stale", []string{"7 8 read null 2 ok n1", "9 10 read null 1 ok n1"}, nil, "iiiii"},
		{"what was acknowledged is lost", []string{"7 8 read null null ok n1"}, []string{"5 *"}, "iiiiv"},
		{"what was acknowledged is lost by one node", []string{"7 8 read null null ok n2"}, []string{"5 n1"}, "iiiii"},
		{"lost by nodes one after the other", []string{"7 8 read null null ok n1"}, []string{"5 n1", "6 n2"}, "iiiiv"},
		{"lost, if all crashed", []string{"7 8 read null null ok n1"}, []string{"5 ?"}, "iiiiu"},
		{"lost, and found again", []string{"7 8 read null null ok n1", "9 10 read null 1 ok n1"}, []string{"5 *"}, "iiiiv"},
		{"lost, and found again after what was written then", []string{"7 8 write 3 3 ok n1", "9 10 read null 1 ok n1", "11 12 read null 3 ok n1"}, []string{"5 *"}, "iiiii"},
	} {
		for i, m := range Models() {
			e := recounted(t, append(slices.Clone(before), c.after...), c.crashes...)
			if m == RecoverableLinearizable {
				// The same, with what comes at n1 on another key.
				e.Operations = append(e.Operations, history.Operation{Process: 9, F: Write, Key: "other", Input: history.Int(1), Outcome: history.OK, Call: 6, Return: 6, Node: "n1"})
				for k := range e.Operations {
					if o := &e.Operations[k]; o.Call > 6 && o.Node == "n1" {
						o.Node = "n3"
					}
				}
				slices.SortFunc(e.Operations, func(a, b history.Operation) int { return int(a.Call - b.Call) })
			}
			ch, err := ForModel(m, "register", Object{}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			v := ch.Check(t.Context(), e)
			if want := map[byte]checkers.Validity{'v': checkers.Valid, 'i': checkers.Invalid, 'u': checkers.Unknown, 'n': checkers.NotApplicable}[c.wants[i]]; v.Verdict != want {
				t.Errorf("%s, %s: %s (%s), want %s", c.name, m, v.Verdict, v.Reason, want)
			}
		}
	}
}
