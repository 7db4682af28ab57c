package suites

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/jobresult"
	"github.com/cleancut/cleancut/checkers/recovery"
	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/targets/checkpoint"
	"github.com/cleancut/cleancut/workloads"
)

// recovered lists what a checkpointing service that runs a job is judged by.
func recovered(job workloads.Workload) []checkers.Checker {
	all := []checkers.Checker{jobresult.Result()}
	if slices.Contains(job.Functions(), workloads.Outputs) {
		all = append(all, jobresult.Outputs(false))
	}
	models := []string{"consistent-cut", "channel-state", "atomic-rounds", "recovery-line", "restorable",
		"gc-safety", "fencing", "terminates", "measures"}
	switch job.Name() {
	case "transfer": // whose messages depend on the order of those received
		models = append(models, "conservation")
	case "stencil":
		models = append(models, "replay")
	case "pipeline":
		models = append(models, "replay", "output-commit", "exactly-once")
	}
	of, err := recovery.Checkers(recovery.Options{}, models...)
	if err != nil {
		panic("models that the catalog of recovery should have: " + err.Error())
	}
	return append(append(all, of...), checkers.Liveness(checkers.LivenessBounds{}), checkers.Crashes())
}

// ordeal is a kind of trouble for the checkpointing service.
type ordeal struct {
	name, doc string
	labels    []string
	drawing   faults.Drawing
}

// ordeals lists what every protocol goes through with every job.
func ordeals() []ordeal {
	var own []string
	for _, p := range checkpoint.New().Points() {
		if !strings.HasPrefix(p, "store.") {
			own = append(own, p)
		}
	}
	crashes := []string{"kill", "reboot", "power-loss"}
	return []ordeal{
		{"crashes", "processes and machines die, alone and all at once",
			[]string{"fault:kill", "fault:reboot", "fault:power-loss"},
			faults.Drawing{Kinds: crashes, Every: 2 * time.Second, ForMax: time.Second}},
		{"zombies", "nodes that were paused or cut off come back after the others have gone on without them",
			[]string{Full, "fault:pause", "fault:partition"},
			faults.Drawing{Kinds: []string{"pause", "partition"}, Every: 1500 * time.Millisecond, ForMin: 2 * time.Second, ForMax: 4 * time.Second}},
		{"points", "nodes die at named points of the protocol; simulator only",
			[]string{Full, SimOnly, "fault:kill", "fault:power-loss"},
			faults.Drawing{Kinds: []string{"kill", "power-loss"}, Points: own, Pairs: true, Every: 1200 * time.Millisecond, ForMax: 1500 * time.Millisecond}},
		{"swarm", "everything at once, drawn anew by each seed",
			[]string{Soak, "fault:all"},
			faults.Drawing{Points: own, Pairs: true, Swarm: true}},
	}
}

// checkpointing lists the scenarios of the reference checkpointing service:
// protocol by job by ordeal.
func checkpointing() (all []harness.Scenario) {
	watched := []workloads.Workload{workloads.Transfer(), workloads.Stencil(), workloads.Pipeline(), workloads.MonteCarlo()}
	quick := []string{"coordinated-stencil", "chandy-lamport-transfer", "aligned-pipeline", "unaligned-pipeline"}
	for _, protocol := range checkpoint.Protocols() {
		for _, job := range watched {
			set := map[string]string{"protocol": protocol, "interval": "500ms"}
			_, _, err := cluster.Configure(checkpoint.New(), map[string]string{"protocol": protocol, cluster.JobSetting: job.Name()})
			if err != nil {
				continue // the protocol is none for this job, and says so
			}
			if job.Name() == "stencil" {
				// Its units take as long as a message travels: fewer of them
				// are done as soon as those of the others.
				set["size"] = "300"
			}
			pair := protocol + "-" + job.Name()
			for _, o := range ordeals() {
				labels := append([]string{"target:checkpoint", "mode:" + protocol}, o.labels...)
				if o.name == "crashes" && slices.Contains(quick, pair) {
					labels = append(labels, Quick)
				} else if o.name == "crashes" {
					labels = append(labels, Full)
				}
				all = append(all, harness.Scenario{
					Name:   "checkpointing/" + pair + "-" + o.name,
					Doc:    fmt.Sprintf("%s, %s checkpoints: %s", job.Name(), protocol, o.doc),
					Target: checkpoint.New(), Workload: job, Settings: set,
					Nodes: 7, Rate: 20, Clients: 3, Checkers: recovered(job), Drawing: o.drawing, Labels: labels,
				})
			}
		}
	}
	return all
}
