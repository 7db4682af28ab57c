package suites

import (
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/linear"
	"github.com/cleancut/cleancut/checkers/models"
	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/targets/etcd"
	"github.com/cleancut/cleancut/targets/store"
	"github.com/cleancut/cleancut/workloads"
)

// replicated lists what every replicated store is judged by.
func replicated() []checkers.Checker {
	return []checkers.Checker{
		linear.Checker(linear.Spec{}, linear.Options{}),
		checkers.Availability(checkers.AvailabilityBounds{}),
		checkers.Liveness(checkers.LivenessBounds{}),
		checkers.Convergence(),
		models.Durability(models.DurabilityOptions{}),
		checkers.Crashes(),
	}
}

// replication lists the scenarios of the reference store in Raft mode.
func replication() []harness.Scenario {
	cut := faults.Partition{Shape: faults.In, Who: "leader"}
	deaf := faults.Plan{
		{When: faults.Trigger{After: 2 * time.Second}, Fault: cut, For: 12 * time.Second},
		{When: faults.Trigger{After: 18 * time.Second}, Fault: cut, For: 10 * time.Second},
	}
	raft := func(name, doc string, labels []string, s harness.Scenario) harness.Scenario {
		s.Name, s.Doc = "replication/raft-"+name, doc
		s.Target, s.Checkers = store.New(), replicated()
		if s.Workload == nil {
			s.Workload = workloads.CASRegister()
		}
		s.Labels = append([]string{"target:store", "mode:raft"}, labels...)
		return s
	}
	return []harness.Scenario{
		raft("partitions", "five nodes under partitions of every shape stay linearizable and recover",
			[]string{Quick, Tour, "fault:partition"},
			harness.Scenario{Drawing: faults.Drawing{Kinds: []string{"partition"}, Every: 2 * time.Second}}),
		raft("crashes", "processes and machines die, alone and all at once, and lose nothing that they acknowledged",
			[]string{Quick, "fault:kill", "fault:reboot", "fault:power-loss"},
			harness.Scenario{Drawing: faults.Drawing{Kinds: []string{"kill", "reboot", "power-loss"}, Every: 2500 * time.Millisecond}}),
		raft("pauses", "a paused leader that wakes up must not answer from the past",
			[]string{Quick, "fault:pause"},
			harness.Scenario{Workload: workloads.Register(), Drawing: faults.Drawing{Kinds: []string{"pause"}, Every: 2 * time.Second}}),
		raft("network", "loss, delay, reordering and duplication cost time and nothing else",
			[]string{Full, "fault:loss", "fault:delay", "fault:duplicate"},
			harness.Scenario{Workload: workloads.KV(), Drawing: faults.Drawing{Kinds: []string{"loss", "delay", "duplicate"}, Every: 2 * time.Second}}),
		raft("power-loss", "all nodes lose power at once, some of them in the middle of an fsync",
			[]string{Full, "fault:power-loss"},
			harness.Scenario{Drawing: faults.Drawing{Kinds: []string{"power-loss"}, Every: 2500 * time.Millisecond, ForMax: time.Second}}),
		raft("laggards", "followers that were away for long catch up by a snapshot",
			[]string{Full, "fault:kill", "fault:partition"},
			harness.Scenario{Rate: 150, Workload: workloads.KV(), Drawing: faults.Drawing{
				Kinds: []string{"kill", "partition"}, Every: 3 * time.Second, ForMin: 2 * time.Second, ForMax: 5 * time.Second}}),
		raft("votes", "nodes die at the very moment at which they granted a vote",
			[]string{Full, "fault:kill"},
			harness.Scenario{Drawing: faults.Drawing{
				Kinds: []string{"kill", "power-loss"}, Points: []string{"vote.granted"},
				Every: 700 * time.Millisecond, ForMax: 1500 * time.Millisecond}}),
		raft("deaf-leader", "a leader that can send and not receive steps down, and another one serves",
			[]string{Full, "fault:partition"},
			harness.Scenario{Time: 30 * time.Second, Plan: deaf}),
		raft("swarm", "everything at once, drawn anew by each seed",
			[]string{Full, "fault:all"},
			harness.Scenario{Time: 30 * time.Second, Drawing: faults.Drawing{
				Points: store.New().Points(), Pairs: true, Swarm: true}}),
		raft("trio", "three nodes under everything at once, for sweeps of many seeds",
			[]string{Soak, "fault:all"},
			harness.Scenario{Nodes: 3, Rate: 30, Time: 30 * time.Second, Drawing: faults.Drawing{
				Points: store.New().Points(), Pairs: true, Swarm: true}}),
		raft("quiet", "no faults: what the others are compared with",
			[]string{Full, "fault:none"},
			harness.Scenario{NoFaults: true, Workload: workloads.KV()}),
	}
}

// etcdFaultMin is the shortest time for which etcd suffers a fault. Members
// without a leader may say nothing to each other for an election timeout (1 s
// by default) and, after a partition, while TCP backs off: a shorter cut could
// end without a packet to drop, and so without receipt.
const etcdFaultMin = 1500 * time.Millisecond

// etcdScenarios lists the scenarios of etcd, as Debian packages it.
func etcdScenarios() []harness.Scenario {
	scenario := func(name, doc string, labels []string, kinds ...string) harness.Scenario {
		return harness.Scenario{
			Name: "etcd/" + name, Doc: doc, Target: etcd.New(), Workload: workloads.CASRegister(),
			Nodes: 3, Checkers: replicated(),
			Drawing: faults.Drawing{Kinds: kinds, Every: 2500 * time.Millisecond, ForMin: etcdFaultMin},
			Labels:  append([]string{"target:etcd", "mode:raft"}, labels...),
		}
	}
	return []harness.Scenario{
		scenario("partitions", "etcd under partitions of every shape", []string{Quick, "fault:partition"}, "partition"),
		scenario("crashes", "etcd's processes and machines die and come back", []string{Full, "fault:kill", "fault:reboot"}, "kill", "reboot"),
		scenario("pauses", "a paused etcd leader that wakes up must not answer from the past", []string{Full, "fault:pause"}, "pause"),
	}
}
