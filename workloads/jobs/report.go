package jobs

import (
	"fmt"
	"strings"
)

// Report is what a service says of one process of a job that it runs: enough
// to compute the right answer and to compare. Its text is what clients read.
type Report struct {
	Job         string
	Proc, Procs int
	Seed        uint64
	Size        int
	// Result is App.Result, "" while the process is not done.
	Result string
}

// reportForm leads the text of a report; the result follows.
const reportForm = "job=%s proc=%d procs=%d seed=%d size=%d"

// String returns "job=transfer proc=0 procs=4 seed=7 size=100: sent=100 …".
func (r Report) String() string {
	return fmt.Sprintf(reportForm+": %s", r.Job, r.Proc, r.Procs, r.Seed, r.Size, r.Result)
}

// ParseReport reads what String wrote. Reports of processes that no job can
// have are refused.
func ParseReport(text string) (Report, error) {
	head, result, ok := strings.Cut(text, ": ")
	r := Report{Result: result}
	if _, err := fmt.Sscanf(head, reportForm, &r.Job, &r.Proc, &r.Procs, &r.Seed, &r.Size); err != nil || !ok {
		return Report{}, fmt.Errorf("%q is no report of a job; expected job=… proc=… procs=… seed=… size=…: and the result", text)
	}
	if r.String() != text {
		return Report{}, fmt.Errorf("%q is no report of a job: it reads as %q", text, r)
	}
	job, err := Lookup(r.Job)
	if err != nil {
		return Report{}, err
	}
	_, err = newIdentity(job.Name(), r.Proc, r.Procs, r.Seed, r.Size)
	return r, err
}

// Same tells whether two reports are of the same execution.
func (r Report) Same(s Report) bool {
	return r.Job == s.Job && r.Procs == s.Procs && r.Seed == s.Seed && r.Size == s.Size
}

// String returns the output as clients read it: "s0/k3#1 sum=5".
func (o Output) String() string { return o.ID + " " + o.Payload }

// ParseOutput reads what String wrote.
func ParseOutput(text string) (Output, error) {
	id, payload, ok := strings.Cut(text, " ")
	if !ok || id == "" {
		return Output{}, fmt.Errorf("%q is no output; expected its id, a space and its payload", text)
	}
	return Output{id, payload}, nil
}
