package suites

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/docker"
	"github.com/cleancut/cleancut/harness/nearest"
	"github.com/cleancut/cleancut/harness/sim"
)

// Names of the runtimes.
const (
	Docker = "docker"
	Sim    = sim.Name
)

// RuntimeNames lists what Choose takes.
func RuntimeNames() []string { return []string{"auto", Docker, Sim} }

// inPipeline tells whether nobody is there to read which runtime was chosen: all
// common systems of continuous integration set CI.
func inPipeline() bool {
	return !slices.Contains([]string{"", "0", "false"}, strings.ToLower(os.Getenv("CI")))
}

// Choose resolves "auto": docker where a daemon answers, else the simulator,
// but not in a pipeline of continuous integration, which would go on green
// without what it is for. It says why.
func Choose(ctx context.Context, name string) (chosen, why string, err error) {
	if !slices.Contains(RuntimeNames(), name) {
		return "", "", fmt.Errorf("no runtime is named %q%s", name, nearest.Hint(name, RuntimeNames()))
	}
	if name == Sim {
		return name, "it was asked for", nil
	}
	_, dockerErr := docker.Probe(ctx)
	switch {
	case dockerErr == nil && name == Docker:
		return name, "it was asked for", nil
	case dockerErr == nil:
		return Docker, "a Docker daemon answers", nil
	case name == Docker:
		return "", "", fmt.Errorf("the docker runtime was asked for: %w", dockerErr)
	case inPipeline():
		return "", "", fmt.Errorf("no containers can be had, and CI=%s: a pipeline that means to test containers must not fall back to the simulator; ask for it with --runtime sim: %w",
			os.Getenv("CI"), dockerErr)
	default:
		return Sim, fmt.Sprintf("no containers can be had: %v", dockerErr), nil
	}
}

// New returns the runtime of that name, set up for one run of s. In the
// simulator the seed decides how the world behaves where the scenario's
// faults are drawn as a swarm; else the world is the default one.
func New(name string, s harness.Scenario, seed uint64) cluster.Runtime {
	if name == Docker {
		return docker.New(docker.Options{})
	}
	var o sim.Options
	if s.Drawing.Swarm {
		p := sim.DrawProfile(seed)
		o.Profile = &p
	}
	return sim.New(o)
}

// RuntimesOf lists the runtimes on which a scenario can run: those of its
// target, without containers for what is labelled as the simulator's.
func RuntimesOf(s harness.Scenario) (names []string) {
	if _, ok := s.Target.(cluster.Contained); ok && !slices.Contains(s.Labels, SimOnly) {
		names = append(names, Docker)
	}
	if _, ok := s.Target.(cluster.Simulated); ok {
		names = append(names, Sim)
	}
	return names
}
