package harness

import (
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/cleancut/cleancut/faults"
)

// Setup is what scenario.json holds: everything that is needed to run a
// scenario again, beside the catalog that knows its name.
type Setup struct {
	Scenario string `json:"scenario"`
	Runtime  string `json:"runtime"`
	Seed     uint64 `json:"seed"`
	Target   string `json:"target"`
	// Settings are all that were in force, defaults included.
	Settings  map[string]string `json:"settings,omitempty"`
	Workload  string            `json:"workload"`
	Nodes     int               `json:"nodes"`
	Clients   int               `json:"clients"`
	Rate      float64           `json:"rate"`
	Time      time.Duration     `json:"time_ns"`
	OpTimeout time.Duration     `json:"op_timeout_ns"`
	Bug       string            `json:"bug,omitempty"`
	Plan      string            `json:"plan"` // "" for no faults
	Drawn     bool              `json:"drawn"`
	Drawing   faults.Drawing    `json:"drawing"`
	Version   string            `json:"version"`
	Go        string            `json:"go"`
	Platform  string            `json:"platform"`
	// Began is the wall clock at the zero of the run's clock, where the run is
	// in real time: it gives logs a place on the run's clock.
	Began time.Time `json:"began,omitzero"`
}

// setup describes a run of s with the plan that is carried out.
func (s Scenario) setup(runtimeName string, seed uint64, plan faults.Plan) Setup {
	return Setup{
		Scenario: s.Name, Runtime: runtimeName, Seed: seed,
		Target: s.Target.Name(), Settings: s.Settings, Workload: s.Workload.Name(),
		Nodes: s.Nodes, Clients: s.Clients, Rate: s.Rate, Time: s.Time, OpTimeout: s.OpTimeout,
		Bug: s.Bug, Plan: plan.String(), Drawn: s.Plan == nil, Drawing: s.Drawing,
		Version: Version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// Apply returns s, which has the setup's target and workload already, as the
// setup ran it.
func (u Setup) Apply(s Scenario) (Scenario, error) {
	s = s.WithDefaults()
	s.Nodes, s.Clients, s.Rate, s.Time, s.OpTimeout = u.Nodes, u.Clients, u.Rate, u.Time, u.OpTimeout
	s.Settings = maps.Clone(u.Settings)
	s.Bug, s.Drawing, s.NoFaults, s.Plan = u.Bug, u.Drawing, u.Plan == "", nil
	if u.Plan != "" {
		plan, err := faults.Parse(u.Plan)
		if err != nil {
			return s, fmt.Errorf("the recorded plan of %s: %w: %w", u.Scenario, ErrRefused, err)
		}
		s.Plan = plan
	}
	return s, s.Validate()
}

// Version returns the version of cleancut that this program was built from.
func Version() string {
	const module = "github.com/cleancut/cleancut"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	mod := &info.Main
	for _, d := range info.Deps {
		if d.Path == module {
			mod = d
		}
	}
	version := mod.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && mod == &info.Main {
			version += " " + s.Value
		}
	}
	if version == "" {
		return "devel"
	}
	return version
}
