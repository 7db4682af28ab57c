package suites

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/rng"
	"github.com/cleancut/cleancut/targets/checkpoint"
	"github.com/cleancut/cleancut/workloads"
)

// workMax bounds the computation of a job whose settings are drawn: it fits
// into the time of the faults, so that they meet it.
const workMax = 8 * time.Second

// drawn is a scenario in which each seed draws not only what befalls the
// service, but also how it is set, but for what the job needs.
func drawn(protocol string, job workloads.Workload, needed map[string]string) harness.Scenario {
	return harness.Scenario{
		Name:   "checkpointing/" + protocol + "-" + job.Name() + "-settings",
		Doc:    job.Name() + ", " + protocol + " checkpoints: everything at once, and levels, intervals, sizes, sinks and the like, drawn anew by each seed",
		Target: checkpoint.New(), Workload: job, Settings: needed, Vary: vary,
		Nodes: 7, Rate: 20, Clients: 3, Time: 10 * time.Second, Checkers: recovered(protocol, job, needed),
		Drawing: faults.Drawing{Points: ownPoints(), Pairs: true, Swarm: true, Crash: workersGroup},
		Labels:  []string{"target:checkpoint", "mode:" + protocol, Soak, "fault:all"},
	}
}

// vary draws all settings that the scenario does not have, each from a stream
// of its own: to set one of them leaves the others as they were.
func vary(s harness.Scenario, seed uint64) harness.Scenario {
	values := maps.Clone(s.Settings)
	one := func(name string, of ...string) {
		if _, has := values[name]; !has {
			values[name] = of[rng.Stream(seed, "settings/"+name).IntN(len(of))]
		}
	}
	// Every round has to be somewhere: one level, at least, has them all.
	// It is seldom the memory of partners alone, with which the job has to be
	// given up as soon as two of them die.
	levels := []string{"partner-every", "local-every", "store-every"}
	whole := levels[(rng.Stream(seed, "settings/level").IntN(24)+11)/12]
	if !slices.ContainsFunc(levels, func(l string) bool { return values[l] == "1" }) {
		one(whole, "1")
	}
	for _, l := range levels {
		one(l, "0", "0", "1", "1", "2", "3", "4")
	}
	one("interval", "200ms", "300ms", "500ms", "800ms")
	one("retain", "1", "1", "2", "3", "4")
	one("full-every", "1", "2", "4", "8")
	if s.Workload.Name() == workloads.Stencil().Name() {
		one("size", "50", "100", "200") // its units take as long as a message travels
	} else {
		one("size", "100", "200", "300", "600")
	}
	size, err := strconv.Atoi(values["size"])
	if err != nil || size < 1 {
		size = 1 // it is refused later
	}
	steps := []string{"5ms", "10ms", "20ms", "40ms"}
	for len(steps) > 1 && duration(steps[len(steps)-1])*time.Duration(size) > workMax {
		steps = steps[:len(steps)-1]
	}
	one("step", steps...)
	if checkpoint.Rounds(values["protocol"]) {
		one("fallback", "fail", "deduplicate")
		if s.Workload.Name() == workloads.Pipeline().Name() {
			one("sink", "transactional", "transactional", "idempotent", atLeastOnce)
		}
	}
	s.Settings = values
	return Rejudged(s)
}

func duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		panic("a step of the catalog: " + err.Error())
	}
	return d
}
