package linear

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/history"
)

// logToy is a log whose states are lists of [offset value]. Every third
// message leaves a gap.
var logToy = toy{
	workload: "log", start: history.List(),
	draw: func(r *rand.Rand, fresh func() history.Value, _ int) (string, history.Value) {
		switch c := r.IntN(8); {
		case c < 4:
			return Send, history.Int(100 + number(fresh()))
		case c < 5:
			return Poll, history.Nil
		case c < 7:
			return Poll, history.Int(int64(r.IntN(5)))
		}
		return Read, history.Int(int64(r.IntN(5)))
	},
	run: func(s history.Value, f string, in history.Value) (history.Value, history.Value, bool) {
		list := items(s)
		from, known := in.AsInt()
		if f == Send {
			next := int64(0)
			if n := len(list); n > 0 {
				next = number(items(list[n-1])[0]) + 1 + int64(n%3/2)
			}
			pair := history.List(history.Int(next), in)
			if number(in)%2 == 0 {
				return with(s, pair), pair, true
			}
			return with(s, pair), history.Int(next), true
		}
		var found []history.Value
		for i, pair := range list {
			at := number(items(pair)[0])
			if f == Read && at == from {
				return s, items(pair)[1], true
			}
			if f == Poll && len(found) < 2 && (known && at >= from || !known && i >= len(list)/2) {
				found = append(found, pair)
			}
		}
		if f == Read {
			return s, history.Nil, true
		}
		return s, history.List(found...), true
	},
	lie: func(r *rand.Rand, o *history.Operation) {
		switch list := slices.Clone(items(o.Output)); {
		case o.F == Poll && len(list) > 0 && r.IntN(2) == 0:
			o.Output = history.List(list[:len(list)-1]...)
		case o.F == Poll && len(list) > 0:
			i := r.IntN(len(list))
			pair := slices.Clone(items(list[i]))
			k := r.IntN(2)
			pair[k] = history.Int(number(pair[k]) + int64(r.IntN(3)) - 1)
			list[i] = history.List(pair...)
			o.Output = history.List(list...)
		case o.F == Send && o.Output.Kind() == history.KindInt:
			o.Output = history.Int(number(o.Output) + int64(r.IntN(3)) - 1)
			if r.IntN(3) == 0 {
				o.Output = history.Nil
			}
		case o.F == Read:
			if o.Output = history.Int(101 + int64(r.IntN(4))); r.IntN(2) == 0 {
				o.Output = history.Nil
			}
		}
	},
}

func TestLogsWithOffsetsAreJudgedAsBruteForceDoes(t *testing.T) {
	r := trials.Rand(71, 1)
	counts := map[string]int{}
	n := trials.Rounds(100_000)
	for round := range n {
		ops := logToy.history(r, chaos{1 + r.IntN(7), 1 + r.IntN(3), r.IntN(25), r.IntN(15), r.IntN(60)})
		a := Automatic
		if round%5 == 0 {
			a = []Algorithm{Search, Porcupine}[round/5%2]
		}
		v := logToy.judged(t, ops, Options{Algorithm: a, Workers: 1}, round%16 == 0)
		counts[string(v.Verdict)]++
		if v.Verdict == checkers.Unknown {
			if !strings.Contains(v.Reason, "acknowledged without an offset") && !strings.Contains(v.Reason, "no operations") {
				t.Fatalf("unknown: %s\n%s", v.Reason, show(ops))
			}
			continue
		}
		legal := legalLog(ops)
		if v.Verdict != want(legal) {
			t.Fatalf("%s (%s) says %s (%s), brute force %v:\n%s", v.Algorithm, a, v.Verdict, v.Reason, legal, show(ops))
		}
		if v.Verdict == checkers.Invalid && a == Automatic && legalLog(v.Witness.Operations) {
			t.Fatalf("the witness %q is legal by itself:\n%s\nof\n%s", v.Witness.Summary, show(v.Witness.Operations), show(ops))
		}
	}
	balanced(t, counts, n)
	if counts["unknown"] > n/4 {
		t.Errorf("%d of %d are unknown", counts["unknown"], n)
	}
}

func TestLogsWithOffsetsAndTheirViolations(t *testing.T) {
	for name, c := range map[string]struct {
		ops   []string
		class string
	}{
		"sends and polls":                    {[]string{"1 2 send 7 0 ok", "3 4 send 8 [2,8] ok", "5 6 poll null [[0,7],[2,8]] ok", "7 8 poll 1 [[2,8]] ok", "9 10 poll 3 [] ok", "11 12 read 2 8 ok", "13 14 read 1 null ok"}, ""},
		"one offset, two messages":           {[]string{"1 2 send 7 0 ok", "3 4 send 8 0 ok"}, OneOffset},
		"two offsets, one message":           {[]string{"1 2 send 7 0 ok", "3 4 poll null [[1,7]] ok"}, Duplicate},
		"offsets against time":               {[]string{"1 2 send 7 1 ok", "3 4 send 8 0 ok"}, Reordered},
		"offsets against time, if they meet": {[]string{"1 3 send 7 1 ok", "2 4 send 8 0 ok"}, ""},
		"an acknowledged message is skipped": {[]string{"1 2 send 7 0 ok", "3 4 send 8 1 ok", "5 6 send 9 2 ok", "7 8 poll 0 [[0,7],[2,9]] ok"}, Skipped},
		"one that nobody sent":               {[]string{"1 2 send 7 0 ok", "3 4 poll 0 [[0,9]] ok"}, ThinAirRead},
		"one whose send failed":              {[]string{"1 2 send 7 null fail", "3 4 poll 0 [[0,7]] ok"}, AbortedRead},
		"one that was not sent yet":          {[]string{"1 2 poll 0 [[0,7]] ok", "3 4 send 7 0 ok"}, FutureRead},
		"nothing, where something was":       {[]string{"1 2 send 7 0 ok", "3 4 poll 0 [] ok"}, StaleRead},
		"nothing, as it came at that time":   {[]string{"1 3 send 7 0 ok", "2 4 poll 0 [] ok"}, ""},
		"nothing, when it had been seen":     {[]string{"1 -1 send 7 null info", "2 3 poll 0 [[0,7]] ok", "4 5 read 0 null ok"}, StaleRead},
		"nothing, from nobody knows where":   {[]string{"1 2 send 7 0 ok", "3 4 poll null [] ok"}, ""},
		"appends that tell their offsets":    {[]string{"1 2 append 7 [0,7] ok", "3 4 append 8 [1,8] ok", "5 6 poll 0 [[0,7],[1,8]] ok"}, ""},
		"a poll that goes back":              {[]string{"1 2 send 7 0 ok", "3 4 send 8 1 ok", "5 6 poll null [[1,8],[0,7]] ok"}, Nonmonotonic},
		"a poll that begins too early":       {[]string{"1 2 send 7 0 ok", "3 4 poll 1 [[0,7]] ok"}, Nonmonotonic},
		"appends that swap their offsets":    {[]string{"1 2 append 7 [1,7] ok", "3 4 append 8 [0,8] ok"}, Reordered},
	} {
		v := logToy.check(t, seq(t, c.ops...), Options{})
		if v.Verdict != want(c.class == "") || v.Witness != nil && v.Witness.Class != c.class {
			t.Errorf("%s: %s (%s) %+v, want %q", name, v.Verdict, v.Reason, v.Witness, c.class)
		}
	}
}

func TestWhatALogCannotDecideIsSaidByName(t *testing.T) {
	for want, ops := range map[string][]string{
		"a message was sent more than once":                          {"1 2 send 7 0 ok", "3 4 send 7 1 ok"},
		"was acknowledged without an offset, and never found":        {"1 2 send 7 null ok", "3 4 poll null [] ok"},
		`it returned "x"; expected an offset, [offset value] or nil`: {`1 2 send 7 "x" ok`},
		"its argument is nil; expected an offset":                    {"1 2 send 7 0 ok", "3 4 read null [7] ok"},
		"it returned 3; expected a list of [offset value]":           {"1 2 poll null 3 ok"},
		"it returned [3]; expected [offset value]":                   {"1 2 poll null [[3]] ok"},
		"has 2 micro-operations; expected one":                       {`1 2 txn [["send",0,7],["poll"]] [["send",0,[0,7]],["poll"]] ok`},
	} {
		if v := logToy.check(t, seq(t, ops...), Options{}); v.Verdict != checkers.Unknown || !strings.Contains(v.Reason, want) {
			t.Errorf("%s (%s), want %s", v.Verdict, v.Reason, want)
		}
	}
}

func TestKafkaOperationsOfJepsenAreJudgedByKey(t *testing.T) {
	text := func(s string) history.Value { return history.String(s) }
	n, l := history.Int, history.List
	polled, _ := history.Map(history.Pair{Key: n(0), Value: l(l(n(0), n(7)))}, history.Pair{Key: n(1), Value: l(l(n(5), n(9)))})
	stale, _ := history.Map(history.Pair{Key: n(1), Value: l(l(n(6), n(9)))})
	op := func(f string, at int64, in, out history.Value) history.Operation {
		return history.Operation{Process: int(at), F: f, Input: l(in), Output: l(out), Outcome: history.OK, Call: at, Return: at + 1}
	}
	ops := []history.Operation{
		op("subscribe", 1, n(0), n(0)),
		op(Send, 3, l(text("send"), n(0), n(7)), l(text("send"), n(0), l(n(0), n(7)))),
		op(Txn, 5, l(text("send"), n(1), n(9)), l(text("send"), n(1), l(n(5), n(9)))),
		op(Poll, 7, l(text("poll")), l(text("poll"), polled)),
	}
	ops = append(ops, history.Operation{Process: 11, F: "debug-topic-partitions", Input: l(n(0)), Output: polled, Outcome: history.OK, Call: 11, Return: 12})
	if v := logToy.check(t, ops, Options{}); v.Verdict != checkers.Valid || v.Measures["keys"] != 2 {
		t.Errorf("%s (%s)", v.Verdict, v.Reason)
	}
	empty := op(Poll, 13, l(text("poll")), l())
	if v := logToy.check(t, append(slices.Clone(ops), empty), Options{}); v.Verdict != checkers.Unknown || !strings.Contains(v.Reason, "expected [send key value]") {
		t.Errorf("a poll that returned [[]]: %s (%s)", v.Verdict, v.Reason)
	}
	ops = append(ops, op(Poll, 9, l(text("poll")), l(text("poll"), stale)))
	if v := logToy.check(t, ops, Options{}); v.Verdict != checkers.Invalid || v.Witness.Class != Duplicate || v.Witness.Key != "1" {
		t.Errorf("%s (%s)", v.Verdict, v.Reason)
	}
}
