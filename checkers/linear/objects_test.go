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

// foundEmpty takes dequeues that failed because there was nothing for such that
// returned nil.
func foundEmpty(ops []history.Operation) []history.Operation {
	ops = slices.Clone(ops)
	for i := range ops {
		if o := &ops[i]; o.FoundEmpty() {
			o.Outcome, o.Output = history.OK, history.Nil
		}
	}
	return ops
}

// legalByBruteForce tries every order of every choice.
func (t toy) legalByBruteForce(ops []history.Operation) bool {
	ops = foundEmpty(ops)
	placed := make([]bool, len(ops))
	var try func(state history.Value) bool
	try = func(state history.Value) bool {
		done, limit := true, never
		for i, o := range ops {
			if o.Outcome == history.OK && !placed[i] {
				done, limit = false, min(limit, o.Return)
			}
		}
		if done {
			return true
		}
		for i, o := range ops {
			if placed[i] || o.Outcome == history.Fail || o.Call > limit {
				continue
			}
			next, ok := t.apply(state, o)
			if !ok {
				continue
			}
			placed[i] = true
			found := try(next)
			placed[i] = false
			if found {
				return true
			}
		}
		return false
	}
	return try(t.start)
}

// apply is run for an operation with a result. A token may be any greater
// one.
func (t toy) apply(state history.Value, o history.Operation) (history.Value, bool) {
	next, out, ok := t.run(state, o.F, o.Input)
	switch {
	case t.workload == "fencing" && o.F == Acquire:
		if o.Outcome != history.OK {
			return state, true
		}
		return history.List(o.Output, items(state)[1]), number(o.Output) > number(items(state)[0])
	case !ok || o.Outcome != history.OK:
		return next, ok
	case t.tells != nil:
		return next, t.tells(o, out)
	}
	return next, o.Output.Equal(out)
}

// chaos says what a random history is like, in percent.
type chaos struct{ ops, processes, infos, fails, lies int }

func randomChaos(r *rand.Rand, most int) chaos {
	return chaos{1 + r.IntN(most), 1 + r.IntN(4), r.IntN(40), r.IntN(20), r.IntN(60)}
}

// history draws a history: each operation takes effect at a random moment of
// its interval, or never; some results are then falsified.
func (t toy) history(r *rand.Rand, k chaos) []history.Operation {
	type client struct {
		process, at, held int
		busy, done        bool
	}
	var ops []history.Operation
	clients := make([]client, k.processes)
	for i := range clients {
		clients[i].process = i
	}
	state, index, last, process := t.start, int64(0), int64(0), k.processes
	fresh := func() history.Value { last++; return history.Int(last) }
	effect := func(c *client) {
		o := &ops[c.at]
		next, out, ok := t.run(state, o.F, o.Input)
		if c.done = true; !ok {
			o.Outcome = history.Fail
			return
		}
		state, o.Output = next, out
	}
	for busy := 0; len(ops) < k.ops || busy > 0; {
		index++
		c := &clients[r.IntN(len(clients))]
		switch {
		case !c.busy && len(ops) < k.ops:
			f, in := t.draw(r, fresh, c.held)
			c.busy, c.done, c.at = true, false, len(ops)
			ops = append(ops, history.Operation{Process: c.process, F: f, Input: in, Outcome: history.OK, Call: index, Invoked: time.Duration(index) * time.Millisecond})
			busy++
		case !c.busy:
		case !c.done && r.IntN(2) == 0:
			effect(c)
		default:
			o := &ops[c.at]
			switch p := r.IntN(100); {
			case p < k.infos:
				o.Outcome, o.Output = history.Info, history.Nil
				c.process, c.held = process, 0
				process++
			case p < k.infos+k.fails && !c.done:
				o.Outcome, o.Output, o.Error = history.Fail, history.Nil, "not reached"
				if o.F == Dequeue && r.IntN(100) < k.lies { // a lie, unless there was nothing
					o.Error = ""
				}
			case !c.done:
				effect(c)
			}
			if o.Outcome == history.OK && t.lie != nil && r.IntN(100) < k.lies || o.Outcome == history.Fail && t.workload != "set" && t.tells != nil && r.IntN(100) < k.lies {
				t.lie(r, o)
			}
			if o.Outcome == history.OK {
				c.held += map[string]int{Acquire: 1, Release: -1}[o.F]
			}
			o.Return, o.Completed = index, time.Duration(index)*time.Millisecond
			if o.Outcome == history.Info {
				o.Completed = history.Never
			}
			c.busy = false
			busy--
		}
	}
	return ops
}

func (t toy) check(tb testing.TB, ops []history.Operation, o Options) checkers.Verdict {
	tb.Helper()
	return t.judged(tb, ops, o, true)
}

// judged is check, or the same without a picture, which takes longer than all
// else.
func (t toy) judged(tb testing.TB, ops []history.Operation, o Options, drawn bool) checkers.Verdict {
	tb.Helper()
	c, err := For(t.workload, Object{Initial: t.initial}, o)
	if err != nil {
		tb.Fatal(err)
	}
	k := c.(checker)
	k.undrawn = !drawn
	return k.Check(tb.Context(), &checkers.Evidence{Operations: ops})
}

func TestObjectsAreJudgedAsBruteForceDoes(t *testing.T) {
	for name, toy := range toys {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := trials.Rand(11, uint64(len(name)))
			counts := map[string]int{}
			for round := range trials.Rounds(100_000) {
				ops := toy.history(r, randomChaos(r, 8))
				want := want(toy.legalByBruteForce(ops))
				for _, a := range []Algorithm{Automatic, Search, Porcupine} {
					if a != Automatic && round%5 > 0 {
						continue
					}
					v := toy.judged(t, ops, Options{Algorithm: a, Workers: 1}, round%16 == 0)
					if v.Verdict != want {
						t.Fatalf("%s (%s) says %s (%s), brute force %s:\n%s", v.Algorithm, a, v.Verdict, v.Reason, want, show(ops))
					}
					if v.Verdict == checkers.Invalid && a == Automatic {
						if w := v.Witness.Operations; v.Witness.Summary == "" || toy.legalByBruteForce(w) {
							t.Fatalf("the witness %q is legal by itself:\n%s\nof\n%s", v.Witness.Summary, show(w), show(ops))
						}
					}
					if a == Automatic {
						counts[fmt.Sprint(want, " ", strings.TrimLeft(v.Algorithm, "0123456789"))]++
					}
				}
			}
			t.Log(counts)
			invalid := 0
			for kind, n := range counts {
				if strings.HasPrefix(kind, string(checkers.Invalid)) {
					invalid += n
				}
			}
			if invalid < trials.Rounds(3_000) || invalid > trials.Rounds(70_000) {
				t.Errorf("%d invalid histories: the generator is lopsided", invalid)
			}
		})
	}
}

func TestWorkloadsWithoutThisModelAreRefusedByName(t *testing.T) {
	for _, name := range Workloads() {
		initial := history.Nil
		if name == "semaphore" {
			initial = history.Int(2)
		}
		if _, err := For(name, Object{Initial: initial}, Options{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, c := range []struct {
		workload string
		object   Object
		options  Options
		want     string
	}{
		{"bank", Object{}, Options{}, `linear: linearizable cannot be decided for the workload "bank"; it can be for register, cas-register, kv, mutex, semaphore, set, queue, counter, list, log, multi-register, fencing`},
		{"semaphore", Object{}, Options{}, "linear: workload semaphore: the initial value is nil; expected the number of permits, from 1 to 2³⁰"},
		{"queue", Object{Initial: history.Int(1)}, Options{}, "linear: workload queue: the initial value is 1; this object starts empty"},
		{"counter", Object{Initial: history.String("x")}, Options{}, `linear: workload counter: the initial value is "x"; expected an integer`},
		{"counter", Object{}, Options{Workers: -1}, "linear: Workers is -1; expected a positive number, or 0 for one for each core"},
	} {
		if _, err := For(c.workload, c.object, c.options); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v\nwant %s", c.workload, err, c.want)
		}
	}
}
