package checkers

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

func TestServiceIsJudgedWhereverNoMoreIsHitThanIsTolerated(t *testing.T) {
	at := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	op := func(invoked, done float64, outcome history.Outcome, why string) history.Operation {
		return history.Operation{F: "cas", Invoked: at(invoked), Completed: at(done), Outcome: outcome, Error: why}
	}
	hit := func(from, to float64, nodes ...string) FaultWindow {
		return FaultWindow{Fault: "cut", Model: history.Omission, Start: at(from), End: at(to), Nodes: nodes}
	}
	served := func(from, to float64) (ops []history.Operation) {
		for s := from; s < to; s += 0.5 {
			ops = append(ops, op(s, s+0.5, history.OK, ""))
		}
		return ops
	}
	tried := func(from, to float64, why string) (ops []history.Operation) {
		for s := from; s < to; s++ {
			ops = append(ops, op(s, s+1, history.Fail, why))
		}
		return ops
	}
	ops := func(lists ...[]history.Operation) (all []history.Operation) {
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	rot := hit(20, 20, "n3")
	rot.Model = history.Byzantine
	for name, c := range map[string]struct {
		ops    []history.Operation
		faults []FaultWindow
		want   Validity
	}{
		"six seconds without an answer":            {ops(served(0, 10), tried(10, 16, "timeout"), served(16, 30)), []FaultWindow{hit(10, 20, "n1")}, Invalid},
		"five are within the bound":                {ops(served(0, 10), tried(10, 14.5, "timeout"), served(14.5, 30)), []FaultWindow{hit(10, 20, "n1")}, Valid},
		"refusals are answers":                     {ops(served(0, 10), tried(10, 16, history.Mismatch), served(16, 30)), []FaultWindow{hit(10, 20, "n1")}, Valid},
		"more are hit than are tolerated":          {ops(served(0, 10), tried(10, 16, "timeout"), served(16, 30)), []FaultWindow{hit(10, 20, "n1", "n2")}, Valid},
		"one of them is free":                      {ops(served(0, 10), tried(10, 16, "timeout"), served(16, 30)), []FaultWindow{hit(10, 20, "n1", "free")}, Invalid},
		"another fault begins meanwhile":           {ops(served(0, 10), tried(10, 16, "timeout"), served(16, 30)), []FaultWindow{hit(10, 20, "n1"), hit(13, 14, "n1")}, Valid},
		"after everything is healed":               {ops(served(0, 10), tried(10, 17, "timeout"), served(17, 30)), []FaultWindow{hit(10, 11, "n1", "n2")}, Invalid},
		"nobody asks":                              {ops(served(0, 10), served(17, 30)), []FaultWindow{hit(10, 11, "n1")}, Valid},
		"the harness stands still":                 {ops(served(0, 10), []history.Operation{op(10, 17, history.Info, "")}, served(17, 30)), []FaultWindow{hit(10, 20, "n1")}, Valid},
		"before the faults, however long it takes": {ops(tried(-9, 0, "timeout"), served(0, 30)), []FaultWindow{hit(-10, 20, "n1")}, Valid},
		"nothing happened":                         {served(0, 30), nil, NotApplicable},
		"nothing but short times between faults":   {served(0, 13), []FaultWindow{hit(5, 9, "n1")}, NotApplicable},
		"damaged for good, and one more":           {ops(served(0, 25), tried(25, 31, "timeout")), []FaultWindow{rot, hit(25, 40, "n1")}, NotApplicable},
	} {
		e := &Evidence{Operations: c.ops, Faults: c.faults, Phases: []Phase{{Name: FaultsPhase, End: at(60)}}}
		v := Failover(FailoverBounds{Within: at(5), Down: 1, Free: map[string]bool{"free": true}, Who: "it"}).Check(context.Background(), e)
		if v.Verdict != c.want {
			t.Errorf("%s: %s (%s) %v, want %s", name, v.Verdict, v.Reason, v.Measures, c.want)
		}
		if v.Verdict == Invalid && (!strings.Contains(v.Reason, "it claims to serve again within 5s") || v.Witness.To-v.Witness.From <= at(5)) {
			t.Errorf("%s: %s %+v", name, v.Reason, v.Witness)
		}
	}
}

func TestStretchesEndWhereverAFaultBeginsOrEnds(t *testing.T) {
	hit := func(from, to int64, nodes ...string) FaultWindow {
		return FaultWindow{Start: time.Duration(from), End: time.Duration(to), Nodes: nodes}
	}
	list := Stretches([]FaultWindow{hit(2, 8, "n1", "free"), hit(5, 9, "n2", "n1"), hit(8, 8, "n3")}, map[string]bool{"free": true})
	var got []string
	for _, x := range list {
		to := "…"
		if x.To != history.Never {
			to = string('0' + rune(x.To))
		}
		got = append(got, string('0'+rune(x.From))+"-"+to+" "+strings.Join(x.Hit, "+"))
	}
	if want := "2-5 n1, 5-8 n1+n2, 8-9 n1+n2, 9-… "; strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", strings.Join(got, ", "), want)
	}
}
