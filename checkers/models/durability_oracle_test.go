package models

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/history"
)

// durabilityOracle follows the definitions of Durability word by word.
func durabilityOracle(e *checkers.Evidence, o DurabilityOptions) (checkers.Validity, map[string]float64) {
	m := map[string]float64{}
	crashes := slices.Clone(e.Faults)
	slices.SortStableFunc(crashes, func(a, b checkers.FaultWindow) int { return int(a.Start - b.Start) })
	firstCrash := crashes[0].Start
	looked, bad := 0, false
	for i, crash := range crashes {
		var lost, kept []*history.Operation
		for j := range e.Operations {
			w := &e.Operations[j]
			if !mutation(w) || w.Outcome != history.OK || w.Completed > crash.Start || i > 0 && w.Completed <= crashes[i-1].Start {
				continue
			}
			seen, older, told := false, false, false
			for k := range e.Operations {
				r := &e.Operations[k]
				if r.Key != w.Key || r.F != Read || r.Outcome != history.OK || r.Invoked <= crash.End {
					continue
				}
				outdated, known := age(e.Operations, r, w, o.Initial)
				seen = seen || w.F == Add && holds(r.Output, w.Input)
				older = older || w.F != Add && known && outdated
				told = told || w.F == Add || known
			}
			removed := w.F == Add && slices.ContainsFunc(e.Operations, func(r history.Operation) bool {
				return r.Key == w.Key && r.F == "remove" && r.Outcome != history.Fail && r.Input.Equal(w.Input) && !precedes(&r, w)
			})
			switch {
			case !told || removed && !seen:
				continue
			case !seen && (w.F == Add || older):
				lost = append(lost, w)
			default:
				kept = append(kept, w)
			}
			looked++
		}
		notPrefix, age := 0, time.Duration(0)
		for _, w := range lost {
			age = max(age, crash.Start-w.Completed)
			if slices.ContainsFunc(kept, func(k *history.Operation) bool { return k.Key == w.Key && precedes(w, k) }) {
				notPrefix++
			}
		}
		m["rpo_operations"] = max(m["rpo_operations"], float64(len(lost)))
		m["rpo_seconds"] = max(m["rpo_seconds"], age.Seconds())
		m["not_prefix"] = max(m["not_prefix"], float64(notPrefix))
		allowed := (o.Operations > 0 || o.Time > 0) && notPrefix == 0 && (o.Operations == 0 || len(lost) <= o.Operations) && (o.Time == 0 || age <= o.Time)
		bad = bad || len(lost) > 0 && !allowed
		recoveryOracle(e.Operations, crash.Start, firstCrash, m)
	}
	for i := range e.Operations {
		w := &e.Operations[i]
		if !mutation(w) || w.Outcome != history.Fail || w.F != Add && (left(w).IsNil() || left(w).Equal(o.Initial)) {
			continue
		}
		if slices.ContainsFunc(e.Operations, func(r history.Operation) bool {
			has := w.F == Add && holds(r.Output, w.Input) || w.F != Add && r.Output.Equal(left(w))
			return r.Key == w.Key && r.F == Read && r.Outcome == history.OK && has && !precedes(&r, w) &&
				!slices.ContainsFunc(e.Operations, func(x history.Operation) bool {
					return x.Key == w.Key && mutation(&x) && x.Outcome != history.Fail && left(&x).Equal(left(w)) && !precedes(&r, &x)
				})
		}) {
			m["resurrected"]++
		}
	}
	switch {
	case bad || m["resurrected"] > 0:
		return checkers.Invalid, m
	case looked == 0:
		return checkers.Unknown, m
	}
	return checkers.Valid, m
}

func mutation(w *history.Operation) bool {
	return w.F == Add || w.F == Write || w.F == Delete || w.F == CAS
}

// left is the value that a mutation leaves.
func left(w *history.Operation) history.Value {
	if pair, _ := w.Input.AsList(); w.F == CAS {
		return pair[1]
	}
	return w.Input // nil of a delete
}

// age reports whether a read of a register returned what only what had been
// over before a mutation can have set, the initial value included, and whether
// anybody can have set it.
func age(ops []history.Operation, r, w *history.Operation, initial history.Value) (outdated, known bool) {
	outdated, known = true, r.Output.IsNil() || r.Output.Equal(initial)
	for i := range ops {
		if x := &ops[i]; x.Key == r.Key && mutation(x) && x.Outcome != history.Fail && left(x).Equal(r.Output) && !precedes(r, x) {
			outdated, known = outdated && precedes(x, w), true
		}
	}
	return outdated, known
}

func recoveryOracle(ops []history.Operation, crash, firstCrash time.Duration, m map[string]float64) {
	soonest, last := history.Never, time.Duration(0)
	var baseline []time.Duration
	for _, o := range ops {
		last = max(last, o.Invoked)
		if o.Outcome != history.OK {
			continue
		}
		if o.Invoked >= crash {
			soonest = min(soonest, o.Completed)
		}
		if o.Invoked < firstCrash && o.Completed <= firstCrash {
			baseline = append(baseline, o.Completed-o.Invoked)
		}
	}
	if soonest == history.Never {
		m["never_served_again"]++
		return
	}
	m["rto_first_seconds"] = max(m["rto_first_seconds"], (soonest - crash).Seconds())
	for t := crash; t+10*time.Millisecond <= last; t += time.Millisecond {
		var latencies []time.Duration
		n := 0
		for _, o := range ops {
			if o.Invoked >= t && o.Invoked < t+10*time.Millisecond {
				if n++; o.Outcome == history.OK {
					latencies = append(latencies, o.Completed-o.Invoked)
				}
			}
		}
		if n > 0 && float64(len(latencies)) >= 0.6*float64(n) && (len(baseline) == 0 || high(latencies) <= 2*high(baseline)) {
			m["rto_steady_seconds"] = max(m["rto_steady_seconds"], (t - crash).Seconds())
			return
		}
	}
	m["never_steady_again"]++
}

// drawDurable draws a register or a set that crashes; values are seldom unique.
func drawDurable(r *rand.Rand) *checkers.Evidence {
	set := r.IntN(2) == 0
	value := func() history.Value { return history.Int(int64(r.IntN(4))) }
	e := &checkers.Evidence{Operations: randomOps(r, 3+r.IntN(9), func(r *rand.Rand) history.Operation {
		o := history.Operation{Key: fmt.Sprint(r.IntN(4) / 3), Outcome: outcome(r)}
		switch c := r.IntN(8); {
		case c < 3 && set:
			o.F, o.Output = Read, history.List(value(), value())
		case c < 3:
			if o.F, o.Output = Read, value(); r.IntN(4) == 0 {
				o.Output = history.Nil
			}
		case c == 3 && set:
			o.F, o.Input = "remove", value()
		case c == 3 && r.IntN(2) == 0:
			o.F = Delete
		case c == 3:
			o.F, o.Input = CAS, history.List(value(), value())
		case set:
			o.F, o.Input = Add, value()
		default:
			o.F, o.Input = Write, value()
		}
		return o
	})}
	end := e.Operations[len(e.Operations)-1].Invoked
	for range 1 + r.IntN(2) {
		at := time.Duration(r.Int64N(int64(end)*3/4 + 2))
		e.Faults = append(e.Faults, checkers.FaultWindow{Fault: "kill(n1)", Kind: "kill", Start: at, End: at + time.Duration(r.IntN(3))*time.Millisecond})
	}
	return e
}

func TestDurabilityAgreesWithItsDefinitionOnRandomHistories(t *testing.T) {
	t.Parallel()
	r := trials.Rand(41, 5)
	counts := map[checkers.Validity]int{}
	for range trials.Rounds(100_000) {
		e := drawDurable(r)
		o := DurabilityOptions{Operations: r.IntN(3), Time: time.Duration(r.IntN(3)) * 2 * time.Millisecond, Window: 10 * time.Millisecond, Share: 0.6, Factor: 2}
		if r.IntN(2) == 0 {
			o.Initial = history.Int(3)
		}
		got := Durability(o).Check(context.Background(), e)
		want, m := durabilityOracle(e, o)
		counts[want]++
		if got.Verdict != want {
			t.Fatalf("%s (%s), by the definition %s\n%v\n%s", got.Verdict, got.Reason, want, e.Faults, show(e.Operations))
		}
		for _, name := range []string{"rpo_operations", "rpo_seconds", "not_prefix", "resurrected", "rto_first_seconds", "rto_steady_seconds", "never_served_again", "never_steady_again"} {
			if got.Measures[name] != m[name] {
				t.Fatalf("%s is %v, by the definition %v\n%v\n%s", name, got.Measures[name], m[name], e.Faults, show(e.Operations))
			}
		}
	}
	t.Logf("%v", counts)
	if len(counts) < 3 {
		t.Errorf("one-sided: %v", counts)
	}
}

// holds reports whether a value is a list or set that has an element.
func holds(list, element history.Value) bool {
	for _, e := range list.Elements() {
		if e.Equal(element) {
			return true
		}
	}
	return false
}
