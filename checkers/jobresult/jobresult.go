// Package jobresult judges whether a job that was checkpointed, broken and
// recovered came to the right answer (invariants C4 and C6).
//
// The final reads of a history tell which execution it was (see jobs.Report);
// the right answer is computed from that, free of failures, and compared.
// Result compares what each process ended with and what all of them together
// conserve. Outputs compares what the outside world can see with what it must
// see: every output exactly once or, as a weaker claim, at least once.
//
// Ends judges that a job which is done gives its results within a bound.
//
// What was not read, and a job that did not finish, leave the verdict unknown,
// unless what was read is wrong already. The package believes the reports'
// headers: a service that runs another job than it says is judged by that one.
// How the answer came about is not its concern (see checkers/recovery).
package jobresult

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/workloads"
	"github.com/cleancut/cleancut/workloads/jobs"
)

// Bounds of the work and of witnesses. A process's unit of work costs at most
// about a microsecond when the answer is computed.
const (
	unitsMax = 5_000_000
	linesMax = 20
)

// Result judges the results of all processes.
func Result() checkers.Checker {
	return checkers.Ranked(checkers.Symptom, checkers.Func("job-result", func(ctx context.Context, e *checkers.Evidence) checkers.Verdict {
		return judge(ctx, e, workloads.Result, func(r *reads) []finding {
			results := make([]string, r.execution.Procs)
			for p := range results {
				results[p] = r.reports[p].Result
			}
			var found []finding
			for _, d := range r.answer.Check(results) {
				found = append(found, r.finding(d))
			}
			return found
		})
	}))
}

// Outputs judges the outputs of all processes. With repeats, an output may be
// seen more than once: what a sink that delivers at least once promises.
func Outputs(repeats bool) checkers.Checker {
	return checkers.Ranked(checkers.Symptom, checkers.Func("job-outputs", func(ctx context.Context, e *checkers.Evidence) checkers.Verdict {
		return judge(ctx, e, workloads.Outputs, func(r *reads) []finding {
			var found []finding
			for p := range r.execution.Procs {
				if r.operations[p] == nil {
					continue
				}
				for _, d := range r.answer.CheckOutputs(p, r.outputs[p], repeats) {
					if d.Class != "lost output" || r.reports[p].Result != "" {
						found = append(found, r.finding(d))
					}
				}
			}
			return found
		})
	}))
}

// reads is what was read of an execution, by process.
type reads struct {
	execution  jobs.Report
	answer     *jobs.Answer
	reports    []jobs.Report
	outputs    [][]jobs.Output
	operations []*history.Operation // nil if it was not read
}

// finding is a deviation and the reads that show it.
type finding struct {
	jobs.Deviation
	operations []history.Operation
}

func (r *reads) finding(d jobs.Deviation) finding {
	f := finding{Deviation: d}
	for p, o := range r.operations {
		if o != nil && (d.Proc == p || d.Proc < 0) {
			f.operations = append(f.operations, *o)
		}
	}
	if d.Proc >= 0 && r.operations[d.Proc] != nil {
		f.Text += " (process " + fmt.Sprint(d.Proc) + " is " + r.operations[d.Proc].Key + ")"
	}
	return f
}

func judge(ctx context.Context, e *checkers.Evidence, f string, compare func(*reads) []finding) checkers.Verdict {
	r, err := collect(e, f)
	v := checkers.Verdict{Verdict: checkers.Unknown, Algorithm: "comparison with a failure-free execution"}
	if err != nil {
		v.Reason = err.Error()
		return v
	}
	if err := r.compute(ctx); err != nil {
		v.Reason = err.Error()
		return v
	}
	found := compare(r)
	read, finished, outputs := 0, 0, 0
	for p, o := range r.operations {
		if o == nil {
			continue
		}
		read++
		outputs += len(r.outputs[p])
		if r.reports[p].Result != "" {
			finished++
		}
	}
	v.Measures = map[string]float64{"processes_read": float64(read)}
	if f == workloads.Outputs {
		v.Measures["outputs_read"] = float64(outputs)
	}
	x := r.execution
	switch {
	case len(found) > 0:
		v.Verdict = checkers.Invalid
		v.Witness = witness(found)
		v.Reason = v.Witness.Summary
	case read < x.Procs:
		p := slices.Index(r.operations, nil)
		v.Reason = fmt.Sprintf("the %s of process %d was not read; %d of %d processes are right so far", f, p, read, x.Procs)
	case finished < x.Procs:
		p := slices.IndexFunc(r.reports, func(r jobs.Report) bool { return r.Result == "" })
		v.Reason = fmt.Sprintf("process %d (%s) had not finished when it was read; nothing else is wrong so far", p, r.operations[p].Key)
	default:
		v.Verdict = checkers.Valid
		v.Reason = fmt.Sprintf("the %s of all %d processes of %s (seed %d, size %d) are those of an execution without failures", plural(f), x.Procs, x.Job, x.Seed, x.Size)
	}
	return v
}

func plural(f string) string {
	if f == workloads.Result {
		return "results"
	}
	return f
}

// collect finds the last successful read of every process.
func collect(e *checkers.Evidence, f string) (*reads, error) {
	var r *reads
	for i := range e.Operations {
		o := &e.Operations[i]
		if o.F != f || o.Outcome != history.OK {
			continue
		}
		report, outputs, err := parse(o.Output)
		if err != nil {
			return nil, fmt.Errorf("the %s of %s at %s: %w", f, o.Key, history.At(o.Completed), err)
		}
		if r == nil {
			n := report.Procs
			r = &reads{execution: report, reports: make([]jobs.Report, n), outputs: make([][]jobs.Output, n), operations: make([]*history.Operation, n)}
		}
		if !r.execution.Same(report) {
			return nil, fmt.Errorf("the reads contradict each other: %q and %q are not of one execution", r.execution, report)
		}
		p := report.Proc
		if last := r.operations[p]; last != nil {
			if last.Key != o.Key {
				return nil, fmt.Errorf("the reads contradict each other: both %s and %s say that they are process %d", last.Key, o.Key, p)
			}
			if o.Completed < last.Completed {
				continue
			}
		}
		r.reports[p], r.outputs[p], r.operations[p] = report, outputs, o
	}
	if r == nil {
		return nil, fmt.Errorf("no %s of a job was read: it did not finish, or the run was cut short", f)
	}
	return r, nil
}

// parse reads the value of a result, a text, or of outputs, a list of texts.
func parse(v history.Value) (report jobs.Report, outputs []jobs.Output, err error) {
	list, ok := v.AsList()
	if !ok {
		list = []history.Value{v}
	}
	for i, item := range list {
		text, ok := item.AsString()
		if !ok {
			return report, nil, fmt.Errorf("%s is not a text", item)
		}
		if i == 0 {
			if report, err = jobs.ParseReport(text); err != nil {
				return report, nil, err
			}
			continue
		}
		o, err := jobs.ParseOutput(text)
		if err != nil {
			return report, nil, err
		}
		outputs = append(outputs, o)
	}
	if len(list) == 0 {
		return report, nil, fmt.Errorf("the list is empty; expected a report and outputs")
	}
	return report, outputs, nil
}

// compute computes the right answer, within bounds.
func (r *reads) compute(ctx context.Context) error {
	x := r.execution
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cancelled before the right answer was computed: %w", err)
	}
	if units := x.Procs * x.Size; units > unitsMax {
		return fmt.Errorf("the right answer of %d processes of size %d takes more than %d units of work to compute", x.Procs, x.Size, unitsMax)
	}
	job, err := jobs.Lookup(x.Job)
	if err == nil {
		r.answer, err = job.Answer(x.Procs, x.Seed, x.Size)
	}
	return err
}

// witness shows the first deviation, and the others in words. What concerns
// the whole comes first: that money was lost says more than how a process
// that shares the loss ended.
func witness(found []finding) *checkers.Witness {
	slices.SortStableFunc(found, func(a, b finding) int { return cmp.Compare(min(a.Proc, 0), min(b.Proc, 0)) })
	first := found[0]
	w := &checkers.Witness{Class: first.Class, Summary: first.Text, Operations: first.operations}
	for i, o := range first.operations {
		if i == 0 || o.Invoked < w.From {
			w.From = o.Invoked
		}
		w.To = max(w.To, o.Completed)
	}
	if len(first.operations) == 1 {
		w.Key = first.operations[0].Key
	}
	for i, f := range found[1:] {
		if i == linesMax {
			w.Lines = append(w.Lines, fmt.Sprintf("and %d more", len(found)-1-linesMax))
			break
		}
		w.Lines = append(w.Lines, f.Text)
	}
	return w
}
