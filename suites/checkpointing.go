package suites

import (
	"slices"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/jobresult"
	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/targets/checkpoint"
	"github.com/cleancut/cleancut/workloads"
)

// recovered lists what every checkpointing service is judged by.
func recovered(job workloads.Workload) []checkers.Checker {
	all := []checkers.Checker{
		jobresult.Result(),
		checkers.Liveness(checkers.LivenessBounds{}),
		checkers.Crashes(),
	}
	if slices.Contains(job.Functions(), workloads.Outputs) {
		all = append(all, jobresult.Outputs(false))
	}
	return all
}

// checkpointing lists the scenarios of the reference checkpointing service.
func checkpointing() (all []harness.Scenario) {
	jobs := []workloads.Workload{workloads.Transfer(), workloads.Stencil(), workloads.Pipeline(), workloads.MonteCarlo()}
	for _, protocol := range []string{"coordinated", "chandy-lamport", "aligned", "unaligned"} {
		for _, job := range jobs {
			_, _, err := cluster.Configure(checkpoint.New(), map[string]string{"protocol": protocol, cluster.JobSetting: job.Name()})
			if err != nil {
				continue // barriers need channels without a cycle
			}
			tier := Full
			if job.Name() == "transfer" {
				tier = Quick
			}
			all = append(all, harness.Scenario{
				Name:   "checkpointing/" + protocol + "-" + job.Name(),
				Doc:    "the job " + job.Name() + " under " + protocol + " checkpoints: crashes of any node change nothing of its result",
				Target: checkpoint.New(), Workload: job, Settings: map[string]string{"protocol": protocol},
				Nodes: 7, Rate: 20, Clients: 3, Checkers: recovered(job),
				Drawing: faults.Drawing{Kinds: []string{"kill", "reboot", "power-loss"}, Every: 2 * time.Second, ForMax: time.Second},
				Labels:  []string{"target:checkpoint", "mode:" + protocol, tier, "fault:kill", "fault:reboot", "fault:power-loss"},
			})
		}
	}
	return all
}
