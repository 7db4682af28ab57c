// Package suites holds the catalog of scenarios, as plain Go, and what is
// needed to run them: which runtime a machine can offer, how a simulation is
// set up from a seed, how many seeds are swept. The command line and the
// Ginkgo suites in its folders both work from this catalog; a scenario that
// is in it can be run by name, and whatever a suite runs can be replayed.
//
// It is an explicit list: nothing registers itself.
package suites

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/nearest"
	"github.com/cleancut/cleancut/targets/checkpoint"
	"github.com/cleancut/cleancut/targets/etcd"
	"github.com/cleancut/cleancut/targets/store"
	"github.com/cleancut/cleancut/workloads"
)

// Tiers say how often a scenario is run: Quick on every change, Full every
// night, Soak for as long as there is time.
const (
	Quick = "tier:quick"
	Full  = "tier:full"
	Soak  = "tier:soak"
)

// Tour marks the scenarios that a run without a name takes: one of each group
// that needs no foreign image.
const Tour = "tour"

// SimOnly marks scenarios that make sense in the simulator only.
const SimOnly = "only:sim"

// Targets lists all systems under test.
func Targets() []cluster.Target {
	return []cluster.Target{store.New(), etcd.New(), checkpoint.New()}
}

// Scenarios lists all scenarios, grouped, with defaults in place.
func Scenarios() []harness.Scenario {
	all := slices.Concat(replication(), etcdScenarios(), checkpointing())
	for i := range all {
		all[i] = all[i].WithDefaults()
	}
	return all
}

// Find returns the scenarios that names select: a scenario's own name, or a
// group, which means its quick tier. No name at all means the tour.
func Find(names []string) ([]harness.Scenario, error) {
	all := Scenarios()
	if len(names) == 0 {
		return having(all, Tour), nil
	}
	var found []harness.Scenario
	for _, name := range names {
		var some []harness.Scenario
		for _, s := range all {
			group, _, _ := strings.Cut(s.Name, "/")
			if s.Name == name || (group == name && slices.Contains(s.Labels, Quick)) {
				some = append(some, s)
			}
		}
		if len(some) == 0 {
			return nil, fmt.Errorf("no scenario or group is named %q%s; `cleancut list scenarios` shows all", name, nearest.Hint(name, append(groupsOf(all), namesOf(all)...)))
		}
		found = append(found, some...)
	}
	return found, nil
}

// Sweepable returns all scenarios that can be simulated; with the id of a planted
// bug those of its target.
func Sweepable(bug string) ([]harness.Scenario, error) {
	var bugs []string
	known := bug == ""
	for _, t := range Targets() {
		for _, b := range t.Bugs() {
			bugs = append(bugs, b.ID)
			known = known || b.ID == bug
		}
	}
	if !known {
		return nil, fmt.Errorf("no target has a planted bug %q%s", bug, nearest.Hint(bug, bugs))
	}
	return slices.DeleteFunc(Scenarios(), func(s harness.Scenario) bool {
		has := slices.ContainsFunc(s.Target.Bugs(), func(b cluster.Bug) bool { return b.ID == bug })
		return !slices.Contains(RuntimesOf(s), Sim) || bug != "" && !has
	}), nil
}

// Rebuild returns the scenario that a recorded setup ran.
func Rebuild(setup harness.Setup) (harness.Scenario, error) {
	i := slices.IndexFunc(Scenarios(), func(s harness.Scenario) bool { return s.Name == setup.Scenario })
	if i < 0 {
		return harness.Scenario{}, fmt.Errorf("the scenario %q of this run is not in the catalog of this version (%s); replay it with the program that recorded it (%s)",
			setup.Scenario, harness.Version(), setup.Version)
	}
	s := Scenarios()[i]
	var err error
	if s.Target, err = Target(setup.Target); err != nil {
		return s, err
	}
	if s.Workload, err = workloads.Lookup(setup.Workload); err != nil {
		return s, err
	}
	if s, err = setup.Apply(s); err != nil {
		return s, err
	}
	return Rejudged(s), nil
}

// Target returns the target of that name.
func Target(name string) (cluster.Target, error) {
	var names []string
	for _, t := range Targets() {
		if t.Name() == name {
			return t, nil
		}
		names = append(names, t.Name())
	}
	return nil, fmt.Errorf("no target is named %q%s", name, nearest.Hint(name, names))
}

func having(all []harness.Scenario, label string) []harness.Scenario {
	return slices.DeleteFunc(slices.Clone(all), func(s harness.Scenario) bool { return !slices.Contains(s.Labels, label) })
}

// groupsOf lists the groups of scenarios.
func groupsOf(all []harness.Scenario) (groups []string) {
	for _, s := range all {
		if group, _, _ := strings.Cut(s.Name, "/"); !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	return groups
}

func namesOf(all []harness.Scenario) []string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.Name
	}
	return names
}
