package jobresult

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/workloads"
	"github.com/cleancut/cleancut/workloads/jobs"
)

// run runs a job without failures and returns what the final reads of it say.
func run(t *testing.T, j jobs.Job) []history.Operation {
	t.Helper()
	const procs, seed, size = 4, 5, 100
	x, err := jobs.NewExecution(j, procs, seed, size, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Run(); err != nil {
		t.Fatal(err)
	}
	var ops []history.Operation
	for p, a := range x.Apps {
		r := jobs.Report{Job: j.Name(), Proc: p, Procs: procs, Seed: seed, Size: size, Result: a.Result()}
		key := []string{"n4", "n5", "n6", "n7"}[p]
		at := time.Duration(p+1) * time.Second
		ops = append(ops,
			history.Operation{F: workloads.Result, Key: key, Outcome: history.OK, Output: history.String(r.String()), Invoked: at, Completed: at + 1},
			history.Operation{F: workloads.Outputs, Key: key, Outcome: history.OK, Output: workloads.OutputsValue(r, x.Outputs[p]), Invoked: at, Completed: at + 1})
	}
	return ops
}

func verdict(c checkers.Checker, ops []history.Operation) checkers.Verdict {
	return c.Check(context.Background(), &checkers.Evidence{Operations: ops})
}

// edit alters the value of the read of a process.
func edit(t *testing.T, ops []history.Operation, f, key string, alter func(texts []string) []string) {
	t.Helper()
	for i, o := range ops {
		if o.F != f || o.Key != key {
			continue
		}
		list, ok := o.Output.AsList()
		if !ok {
			list = []history.Value{o.Output}
		}
		var texts []string
		for _, v := range list {
			s, _ := v.AsString()
			texts = append(texts, s)
		}
		var values []history.Value
		for _, s := range alter(texts) {
			values = append(values, history.String(s))
		}
		ops[i].Output = history.List(values...)
		return
	}
	t.Fatalf("there is no %s of %s", f, key)
}

func replace(old, new string) func([]string) []string {
	return func(texts []string) []string {
		for i := range texts {
			texts[i] = strings.Replace(texts[i], old, new, 1)
		}
		return texts
	}
}

func TestJobsThatEndAsWithoutFailuresAreValid(t *testing.T) {
	for _, j := range jobs.Catalog() {
		ops := run(t, j)
		for _, c := range []checkers.Checker{Result(), Outputs(false), Outputs(true)} {
			if v := verdict(c, ops); v.Verdict != checkers.Valid {
				t.Errorf("%s, %s: %s: %s", j.Name(), c.Name(), v.Verdict, v.Reason)
			}
		}
	}
}

func TestWrongAnswersAreInvalidAndNamed(t *testing.T) {
	first := func(texts []string) string { return texts[1] }
	for _, c := range []struct {
		name    string
		job     jobs.Job
		checker checkers.Checker
		f, key  string
		alter   func([]string) []string
		class   string
	}{
		{"a grid that differs", jobs.Stencil{}, Result(), workloads.Result, "n5", replace("digest=", "digest=f"), "wrong result"},
		{"a sample too few", jobs.MonteCarlo{}, Result(), workloads.Result, "n4", replace("hits=", "hits=1"), "wrong result"},
		{"money from nowhere", jobs.Transfer{}, Result(), workloads.Result, "n7", replace("share=", "share=9"), "gained value"},
		{"money lost", jobs.Transfer{}, Result(), workloads.Result, "n7", replace("share=", "share=-"), "lost value"},
		{"a result without its share", jobs.Transfer{}, Result(), workloads.Result, "n7", replace(" share=", " "), "wrong result"},
		{"an output lost", jobs.Pipeline{}, Outputs(false), workloads.Outputs, "n7", func(s []string) []string { return s[:len(s)-1] }, "lost output"},
		{"an output lost, at least once", jobs.Pipeline{}, Outputs(true), workloads.Outputs, "n7", func(s []string) []string { return s[:len(s)-1] }, "lost output"},
		{"an output twice", jobs.Pipeline{}, Outputs(false), workloads.Outputs, "n7", func(s []string) []string { return append(s, first(s)) }, "duplicate output"},
		{"an output altered", jobs.Pipeline{}, Outputs(true), workloads.Outputs, "n7", replace("sum=", "sum=1"), "wrong output"},
		{"an output invented", jobs.Pipeline{}, Outputs(true), workloads.Outputs, "n7", func(s []string) []string { return append(s, "s9/k9#9 sum=1") }, "invented output"},
	} {
		ops := run(t, c.job)
		edit(t, ops, c.f, c.key, c.alter)
		v := verdict(c.checker, ops)
		if v.Verdict != checkers.Invalid || v.Witness == nil || v.Witness.Class != c.class || len(v.Witness.Operations) == 0 {
			t.Errorf("%s: %s: %s; expected invalid, %s: %+v", c.name, v.Verdict, v.Reason, c.class, v.Witness)
		}
	}
}

func TestAtLeastOnceToleratesRepeatsAndNothingElse(t *testing.T) {
	ops := run(t, jobs.Pipeline{})
	edit(t, ops, workloads.Outputs, "n7", func(s []string) []string { return append(s, s[1], s[2]) })
	if v := verdict(Outputs(true), ops); v.Verdict != checkers.Valid {
		t.Errorf("at least once: %s: %s", v.Verdict, v.Reason)
	}
	if v := verdict(Outputs(false), ops); v.Verdict != checkers.Invalid {
		t.Errorf("exactly once: %s: %s", v.Verdict, v.Reason)
	}
}

func TestWhatWasNotReadIsUnknown(t *testing.T) {
	unread := func(ops []history.Operation, f, key string) []history.Operation {
		for i := range ops {
			if ops[i].F == f && ops[i].Key == key {
				ops[i].Outcome = history.Fail
			}
		}
		return ops
	}
	unfinished := func(s []string) []string {
		head, _, _ := strings.Cut(s[0], ": ")
		return append([]string{head + ": "}, s[1:len(s)-1]...)
	}
	open := run(t, jobs.Pipeline{})
	edit(t, open, workloads.Outputs, "n7", unfinished)
	other := run(t, jobs.Stencil{})
	edit(t, other, workloads.Result, "n5", replace("seed=5", "seed=6"))
	twice := run(t, jobs.Stencil{})
	edit(t, twice, workloads.Result, "n5", replace("proc=1", "proc=0"))
	large := run(t, jobs.Stencil{})
	for _, key := range []string{"n4", "n5", "n6", "n7"} {
		edit(t, large, workloads.Result, key, replace("procs=4 seed=5 size=100", "procs=400 seed=5 size=1000000"))
	}
	garbled := run(t, jobs.Stencil{})
	edit(t, garbled, workloads.Result, "n5", replace("job=", "jobb="))
	for _, c := range []struct {
		ops     []history.Operation
		checker checkers.Checker
		reason  string
	}{
		{nil, Result(), "no result of a job was read"},
		{unread(run(t, jobs.Stencil{}), workloads.Result, "n6"), Result(), "process 2 was not read; 3 of 4 processes are right so far"},
		{open, Outputs(false), "process 3 (n7) had not finished"},
		{other, Result(), "are not of one execution"},
		{twice, Result(), "both n4 and n5 say that they are process 0"},
		{large, Result(), "more than 5000000 units"},
		{garbled, Result(), "is no report of a job"},
	} {
		if v := verdict(c.checker, c.ops); v.Verdict != checkers.Unknown || !strings.Contains(v.Reason, c.reason) {
			t.Errorf("%s: %q; expected unknown, with %q", v.Verdict, v.Reason, c.reason)
		}
	}
	// What is wrong already is wrong, whatever was not read.
	half := unread(run(t, jobs.Stencil{}), workloads.Result, "n6")
	edit(t, half, workloads.Result, "n5", replace("digest=", "digest=f"))
	if v := verdict(Result(), half); v.Verdict != checkers.Invalid {
		t.Errorf("half read: %s: %s", v.Verdict, v.Reason)
	}
}

func TestTheLastReadCounts(t *testing.T) {
	ops := run(t, jobs.Stencil{})
	early := ops[0]
	early.Output, early.Completed = history.String("job=stencil proc=0 procs=4 seed=5 size=100: "), 0
	for _, all := range [][]history.Operation{append([]history.Operation{early}, ops...), append(ops, early)} {
		if v := verdict(Result(), all); v.Verdict != checkers.Valid {
			t.Errorf("%s: %s", v.Verdict, v.Reason)
		}
	}
}
