package suites

import (
	"fmt"
	"maps"
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
	"github.com/cleancut/cleancut/workloads/jobs"
)

// atLeastOnce is the sink that claims less than the others.
const atLeastOnce = "at-least-once"

// workersGroup is the group of the nodes that compute.
const workersGroup = "workers"

// stallMax is how long a job may do nothing before it counts as stalled: less
// than the final reads of a job that has not ended are tried for.
const stallMax = 15 * time.Second

// recovered lists what a checkpointing service that runs a job is judged by.
func recovered(protocol string, job workloads.Workload, settings map[string]string) []checkers.Checker {
	repeats := settings["sink"] == atLeastOnce
	all := []checkers.Checker{jobresult.Result(), jobresult.Ends(stallMax)}
	if slices.Contains(job.Functions(), workloads.Outputs) {
		all = append(all, jobresult.Outputs(repeats))
	}
	models := []string{"consistent-cut", "channel-state", "recovery-line", "restorable",
		"gc-safety", "fencing", "terminates", "progress", "identity", "measures"}
	if checkpoint.Rounds(protocol) {
		models = append(models, "atomic-rounds")
	} else {
		models = append(models, "domino")
	}
	if protocol == "cic" {
		models = append(models, "index", "no-useless-checkpoints", "no-domino")
	}
	if protocol == "msglog" {
		models = append(models, "no-orphans", "no-domino")
		if job.Name() == "transfer" || job.Name() == "montecarlo" {
			models = append(models, "replay")
		}
	}
	switch job.Name() {
	case "transfer": // whose messages depend on the order of those received
		models = append(models, "conservation")
	case "stencil":
		models = append(models, "replay")
	case "pipeline":
		models = append(models, "replay", "output-commit")
		if repeats {
			models = append(models, "at-least-once")
		} else {
			models = append(models, "exactly-once")
		}
	}
	of, err := recovery.Checkers(recovery.Options{RecoveryMax: stallMax, TellsEnd: true}, models...)
	if err != nil {
		panic("models that the catalog of recovery should have: " + err.Error())
	}
	return append(append(all, of...), checkers.Liveness(checkers.LivenessBounds{}), checkers.Crashes())
}

// Rejudged returns a scenario of the checkpointing service whose settings, or
// whose job, were changed, with the checkers for what it claims now. Others
// are as they were.
func Rejudged(s harness.Scenario) harness.Scenario {
	if protocol := s.Settings["protocol"]; s.Target.Name() == checkpoint.New().Name() && protocol != "" {
		s.Checkers = recovered(protocol, s.Workload, s.Settings)
	}
	return s
}

// acyclic tells that the channels of a job form no cycle.
func acyclic(w workloads.Workload) bool {
	job, err := jobs.Lookup(w.Name())
	return err == nil && job.Acyclic()
}

// ordeal is a kind of trouble for the checkpointing service.
type ordeal struct {
	name, doc string
	labels    []string
	drawing   faults.Drawing
	plan      string // instead of a drawing
	time      time.Duration
	settings  map[string]string
}

// rotAndCrash damages files of a worker and kills it together with the partner
// that has its part in memory, so that the damage is met: what is damaged and
// not read is overwritten in time (a pair, as the catalogue of bugs has it).
const rotAndCrash = "at 4s rot(ckpt-*,8,n5); at 4s kill(n5) for 500ms; at 4s kill(n6) for 500ms; " +
	"at 8s rot(ckpt-*,8,n7); at 8s kill(n7) for 500ms; at 8s kill(n4) for 500ms; " +
	"at 12s truncate(ckpt-*,n4); at 12s kill(n4) for 500ms; at 12s kill(n5) for 500ms"

// rotAlone damages checkpoints that are nowhere else, so that recoveries have
// to do without the newest.
const rotAlone = "at 3s rot(ckpt-*,1,n7); at 3s kill(n7) for 300ms; at 5s rot(ckpt-*,1,n6); at 5s kill(n6) for 300ms; " +
	"at 7s rot(ckpt-*,1,n5); at 7s kill(n5) for 300ms; at 9s rot(ckpt-*,1,n4); at 9s kill(n4) for 300ms"

// damage is for protocols that can do without any one checkpoint of a worker
// as long as an older one is there; others have to give up sooner.
func damage() ordeal {
	return ordeal{name: "damage", doc: "checkpoints are damaged that are nowhere else, and an older one of that worker is taken; simulator only",
		labels: []string{Full, SimOnly, "fault:rot", "fault:kill"}, plan: rotAlone,
		settings: map[string]string{"store-every": "0", "partner-every": "0", "retain": "4", "full-every": "1"}}
}

// ownPoints lists the points of the service, without those of its store.
func ownPoints() (own []string) {
	return slices.DeleteFunc(checkpoint.New().Points(), func(p string) bool { return strings.HasPrefix(p, "store.") })
}

// ordeals lists what every protocol goes through with every job.
func ordeals() []ordeal {
	own := ownPoints()
	crashes := []string{"kill", "reboot", "power-loss"}
	return []ordeal{
		{name: "crashes", doc: "processes and machines die, alone and all at once",
			labels:  []string{"fault:kill", "fault:reboot", "fault:power-loss"},
			drawing: faults.Drawing{Kinds: crashes, Every: 2 * time.Second, ForMax: time.Second}},
		{name: "zombies", doc: "nodes that were paused or cut off come back after the others have gone on without them",
			labels:  []string{Full, "fault:pause", "fault:partition"},
			drawing: faults.Drawing{Kinds: []string{"pause", "partition"}, Every: 1500 * time.Millisecond, ForMin: 2 * time.Second, ForMax: 4 * time.Second}},
		{name: "points", doc: "nodes die at named points of the protocol",
			labels:  []string{Full, "fault:kill", "fault:power-loss"},
			drawing: faults.Drawing{Kinds: []string{"kill", "power-loss"}, Points: own, Pairs: true, Every: 1200 * time.Millisecond, ForMax: 1500 * time.Millisecond}},
		{name: "rot", doc: "files of checkpoints are damaged, and their owner and its partner die; simulator only",
			labels: []string{Full, SimOnly, "fault:rot", "fault:truncate", "fault:kill"}, plan: rotAndCrash,
			settings: map[string]string{"store-every": "1"}},
		{name: "swarm", doc: "everything at once, drawn anew by each seed",
			labels:  []string{Soak, "fault:all"},
			drawing: faults.Drawing{Points: own, Pairs: true, Swarm: true, Crash: workersGroup}},
	}
}

// checkpointing lists the scenarios of the reference checkpointing service:
// protocol by job by ordeal.
func checkpointing() (all []harness.Scenario) {
	watched := []workloads.Workload{workloads.Transfer(), workloads.Stencil(), workloads.Pipeline(), workloads.MonteCarlo()}
	quick := []string{"coordinated-stencil", "chandy-lamport-transfer", "aligned-pipeline", "unaligned-pipeline",
		"independent-transfer", "cic-transfer", "msglog-transfer"}
	for _, protocol := range checkpoint.Protocols() {
		for _, job := range watched {
			needed := map[string]string{"protocol": protocol}
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
			if protocol == "independent" && !acyclic(job) {
				// At the usual pace there are so many messages between two
				// checkpoints that all of them are useless, and every failure
				// leads back to the beginning.
				needed = map[string]string{"protocol": protocol, "step": "100ms", "interval": "150ms", "size": "100"}
				maps.Copy(set, needed)
			}
			pair := protocol + "-" + job.Name()
			trouble := ordeals()
			if pair == "cic-transfer" || pair == "msglog-transfer" {
				trouble = append(trouble, damage())
			}
			if byHand(pair) {
				trouble = append(trouble, handmade()...)
			}
			for _, o := range trouble {
				force := maps.Clone(set)
				maps.Copy(force, o.settings)
				var plan faults.Plan
				if o.plan != "" {
					if plan, err = faults.Parse(o.plan); err != nil {
						panic("a plan of the catalog: " + err.Error())
					}
				}
				labels := append([]string{"target:checkpoint", "mode:" + protocol}, o.labels...)
				if o.name == "crashes" && slices.Contains(quick, pair) {
					labels = append(labels, Quick)
					if pair == "chandy-lamport-transfer" {
						labels = append(labels, Tour)
					}
				} else if o.name == "crashes" {
					labels = append(labels, Full)
				}
				all = append(all, harness.Scenario{
					Name:   "checkpointing/" + pair + "-" + o.name,
					Doc:    fmt.Sprintf("%s, %s checkpoints: %s", job.Name(), protocol, o.doc),
					Target: checkpoint.New(), Workload: job, Settings: force,
					Nodes: 7, Rate: 20, Clients: 3, Time: o.time, Checkers: recovered(protocol, job, force), Plan: plan, Drawing: o.drawing, Labels: labels,
				})
			}
			all = append(all, drawn(protocol, job, needed))
		}
	}
	return slices.Concat(all, sinks(), []harness.Scenario{interval()})
}

// rotAndFall damages one file of a worker's checkpoints that are nowhere else,
// and kills the worker: where it is the newest, the job must fall back.
const rotAndFall = "at 3s rot(ckpt-*,1,n7); at 3s kill(n7) for 300ms; at 5s rot(ckpt-*,1,n6); at 5s kill(n6) for 300ms; " +
	"at 7s rot(ckpt-*,1,n7); at 7s kill(n7) for 300ms; at 9s rot(ckpt-*,1,n6); at 9s kill(n6) for 300ms; " +
	"at 11s rot(ckpt-*,1,n7); at 11s kill(n7) for 300ms"

// sinks lists the scenarios of the ways in which output reaches the outside
// world, other than the transactional one, which all others have.
func sinks() (all []harness.Scenario) {
	job := workloads.Pipeline()
	add := func(name, doc, protocol string, o ordeal) {
		set := map[string]string{"protocol": protocol, "interval": "500ms"}
		maps.Copy(set, o.settings)
		s := harness.Scenario{
			Name: "checkpointing/" + protocol + "-pipeline-" + name, Doc: "pipeline, " + protocol + " checkpoints: " + doc,
			Target: checkpoint.New(), Workload: job, Settings: set,
			Nodes: 7, Rate: 20, Clients: 3, Time: o.time, Checkers: recovered(protocol, job, set), Drawing: o.drawing,
			Labels: append([]string{"target:checkpoint", "mode:" + protocol}, o.labels...),
		}
		if o.plan != "" {
			var err error
			if s.Plan, err = faults.Parse(o.plan); err != nil {
				panic("a plan of the catalog: " + err.Error())
			}
		}
		all = append(all, s)
	}
	for _, protocol := range []string{"coordinated", "aligned"} {
		tier := Full
		if protocol == "coordinated" {
			tier = Quick
		}
		crashes := ordeals()[0]
		crashes.labels = append([]string{tier}, crashes.labels...)
		crashes.settings = map[string]string{"sink": "idempotent"}
		add("idempotent", "a sink that takes each output at once, and once; crashes", protocol, crashes)
		if protocol == "coordinated" {
			moments := handmade()[0]
			moments.settings = maps.Clone(moments.settings)
			moments.settings["sink"] = "idempotent"
			add("idempotent-moments", "a sink that takes each output at once, and once; "+moments.doc, protocol, moments)
		}
		crashes.settings, crashes.labels = map[string]string{"sink": atLeastOnce}, append([]string{Full}, ordeals()[0].labels...)
		add(atLeastOnce, "a sink that takes each output at once, as often as it comes, and claims no more; crashes", protocol, crashes)
		add("fallback", "the newest round is damaged after its output was seen; the job falls back, and the sink deduplicates; simulator only", protocol, ordeal{
			labels: []string{Full, SimOnly, "fault:rot", "fault:kill"}, plan: rotAndFall,
			settings: map[string]string{"fallback": "deduplicate", "retain": "4", "partner-every": "0", "store-every": "0", "full-every": "1"},
		})
	}
	return all
}

// interval is the scenario by which the best interval between checkpoints is
// looked for: a job long enough for many failures, which come one at a time
// and at exponentially distributed times, and protocols and faults that stop
// all workers alike.
func interval() harness.Scenario {
	job := workloads.MonteCarlo()
	return harness.Scenario{
		Name:   "checkpointing/coordinated-montecarlo-interval",
		Doc:    "montecarlo, coordinated checkpoints: a long job whose workers die at exponentially distributed times, for cleancut interval; simulator only",
		Target: checkpoint.New(), Workload: job,
		Settings: map[string]string{"protocol": "coordinated", "interval": "1s", "size": "6000"},
		Nodes:    7, Rate: 1, Clients: 1, Time: 5 * time.Minute, Checkers: recovered("coordinated", job, nil),
		Drawing: faults.Drawing{Kinds: []string{"kill"}, MTBF: 10 * time.Second, Groups: []string{workersGroup}, ForMin: 100 * time.Millisecond, ForMax: 300 * time.Millisecond},
		Labels:  []string{"target:checkpoint", "mode:coordinated", Soak, SimOnly, "fault:kill"},
	}
}
