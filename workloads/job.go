package workloads

import (
	"fmt"
	"math/rand/v2"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/rng"
	"github.com/cleancut/cleancut/workloads/jobs"
)

// Functions of jobs. The key is the process. Progress returns the list
// [epoch round units state]. Result returns the text of a jobs.Report, and
// fails while the process is not done. Outputs returns the list of what the
// outside world can see of a process: the text of its jobs.Report, and after
// it that of every jobs.Output.
const (
	Progress = "progress"
	Result   = "result"
	Outputs  = "outputs"
)

// ControlNodes is how many nodes of a cluster that runs a job are not
// processes of the job: the first ones.
const ControlNodes = 3

// Placed is a workload that must know the cluster.
type Placed interface {
	Workload
	// On returns the workload for a cluster of these nodes.
	On(nodes []string) Workload
}

// Computation is a workload of clients who look on while a service runs a job. In
// the end they read the results of all its processes.
type Computation struct {
	job     jobs.Job
	outputs bool
	// workers are the processes of the job, in order.
	workers []string
}

// Transfer watches the job of that name.
func Transfer() Computation { return job(jobs.Transfer{}) }

// Stencil watches the job of that name.
func Stencil() Computation { return job(jobs.Stencil{}) }

// Pipeline watches the job of that name, and reads its outputs.
func Pipeline() Computation {
	j := job(jobs.Pipeline{})
	j.outputs = true
	return j
}

// MonteCarlo watches the job of that name.
func MonteCarlo() Computation { return job(jobs.MonteCarlo{}) }

// job places a job on seven nodes, until it is told where it is.
func job(j jobs.Job) Computation {
	return Computation{job: j, workers: []string{"n4", "n5", "n6", "n7"}}
}

// On implements Placed.
func (j Computation) On(nodes []string) Workload {
	if len(nodes) > ControlNodes {
		j.workers = nodes[ControlNodes:]
	}
	return j
}

// Job implements Job.
func (j Computation) Job() string { return j.job.Name() }

// Name implements Workload.
func (j Computation) Name() string { return j.job.Name() }

// Doc implements Workload.
func (j Computation) Doc() string { return j.job.Doc() }

// Functions implements Workload.
func (j Computation) Functions() []string {
	if j.outputs {
		return []string{Progress, Result, Outputs}
	}
	return []string{Progress, Result}
}

// Final implements Workload. Everything is read, whatever was looked at.
func (j Computation) Final([]string) (ops []cluster.Op) {
	for _, w := range j.workers {
		ops = append(ops, cluster.Op{F: Result, Key: w})
	}
	if j.outputs {
		for _, w := range j.workers {
			ops = append(ops, cluster.Op{F: Outputs, Key: w})
		}
	}
	return ops
}

// Client implements Workload.
func (j Computation) Client(seed uint64, client, _ int) Generator {
	return onlooker{j.workers, rng.Stream(seed, fmt.Sprintf("workload/client/%d", client))}
}

// onlooker asks random processes how far they are.
type onlooker struct {
	workers []string
	rand    *rand.Rand
}

func (o onlooker) Next() cluster.Op {
	return cluster.Op{F: Progress, Key: o.workers[o.rand.IntN(len(o.workers))]}
}

func (onlooker) Observe(cluster.Op, cluster.Completion) {}

// OutputsValue is what Outputs returns.
func OutputsValue(r jobs.Report, outputs []jobs.Output) history.Value {
	list := []history.Value{history.String(r.String())}
	for _, o := range outputs {
		list = append(list, history.String(o.String()))
	}
	return history.List(list...)
}
