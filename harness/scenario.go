// Package harness runs scenarios: it starts a target on a runtime, loads it
// with clients, hits it with faults, heals it, collects what is left behind,
// has it judged, and reports.
//
// A Scenario says what to do and is the same value for containers and for the
// simulator. Run executes one with one seed and leaves a run directory
// (harness/rundir). The parts are in packages of their own: what a started
// target can suffer (harness/cluster), the two runtimes (harness/docker,
// harness/sim), the histories that clients produce (harness/history), and
// outside of harness the faults, workloads, checkers and targets.
//
// A result is never greener than the evidence: a fault without receipt, a
// checker that could not decide or a history too weak to prove anything make
// a run inconclusive.
package harness

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/nearest"
	"github.com/cleancut/cleancut/harness/rng"
	"github.com/cleancut/cleancut/workloads"
)

// ErrRefused means that a scenario cannot be run as asked: it contradicts
// itself, or wants what the target, the runtime or this machine lacks. Nothing
// was started, or all of it was removed. The error that wraps it says why.
var ErrRefused = errors.New("refused")

// Scenario says what to start, how to load it, what to break and how to
// judge. The zero value of an optional field takes the default that its
// comment names.
type Scenario struct {
	// Name is "group/name".
	Name string
	// Doc says in a sentence what the scenario shows.
	Doc string
	// Target and Workload are required; the target's client must know all of
	// the workload's functions.
	Target   cluster.Target
	Workload workloads.Workload
	// Settings are those of a target that is a cluster.Configurable, by name;
	// what is not named has its default. The setting "job" is the workload's,
	// if that has a method Job.
	Settings map[string]string
	// Vary, if it is set, returns the scenario as a seed wants it: with settings
	// drawn that it does not have, and checkers for what it then claims. It is a
	// pure function of its arguments.
	Vary func(s Scenario, seed uint64) Scenario
	// Nodes is the size of the cluster, 1 to 250; default 5. Containers need
	// an address each: see package docker.
	Nodes int
	// Clients is how many clients issue operations one after the other, 1 to
	// 1000; default 5. More clients make histories harder to check.
	Clients int
	// Rate is how many operations all clients together try to start per
	// second; default 50. A client whose operation takes long starts fewer.
	Rate float64
	// Time is how long faults may strike, 100 ms to 24 h; default 15 s.
	Time time.Duration
	// OpTimeout bounds an operation, after which it is indeterminate; default
	// 2 s.
	OpTimeout time.Duration
	// Plan is the list of faults. If it is nil, Drawing draws one from the
	// seed.
	Plan    faults.Plan
	Drawing faults.Drawing
	// NoFaults leaves the cluster alone.
	NoFaults bool
	// Bug is the id of a planted bug of the target to switch on, "" for none.
	Bug string
	// StartMax bounds how long the cluster may take to serve every client,
	// before the faults (default 60 s), and LivenessMax how long after all of
	// them are healed (default 15 s; what takes longer is a violation).
	StartMax, LivenessMax time.Duration
	// FailoverMax is within how long service must be back after a fault began
	// or ended; default is what the target claims (cluster.Budget.Failover).
	FailoverMax time.Duration
	// Checkers judge the run.
	Checkers []checkers.Checker
	// Labels are "key:value" pairs by which suites select scenarios.
	Labels []string
}

// nodesMax is how many nodes a cluster can have.
const nodesMax = 250

// WithDefaults returns s with defaults in place of zero values.
func (s Scenario) WithDefaults() Scenario {
	s.Nodes = orDefault(s.Nodes, 5)
	s.Clients = orDefault(s.Clients, 5)
	s.Rate = orDefault(s.Rate, 50)
	s.Time = orDefault(s.Time, 15*time.Second)
	s.OpTimeout = orDefault(s.OpTimeout, 2*time.Second)
	s.StartMax = orDefault(s.StartMax, time.Minute)
	s.LivenessMax = orDefault(s.LivenessMax, 15*time.Second)
	return s
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Validate returns what is wrong with a scenario whose defaults are in place,
// wrapped in ErrRefused.
func (s Scenario) Validate() error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("scenario %s: %w: %s", s.Name, ErrRefused, fmt.Sprintf(format, args...))
	}
	switch {
	case s.Target == nil || s.Workload == nil:
		return refuse("it needs a target and a workload")
	case s.Nodes < 1 || s.Nodes > nodesMax:
		return refuse("%d nodes; expected 1 to %d", s.Nodes, nodesMax)
	case s.Clients < 1 || s.Clients > 1000:
		return refuse("%d clients; expected 1 to 1000", s.Clients)
	case !(s.Rate > 0 && s.Rate <= 1e6):
		return refuse("a rate of %g operations/s; expected more than 0 and at most 1000000", s.Rate)
	case s.Time < 100*time.Millisecond || s.Time > 24*time.Hour:
		return refuse("a time of %v; expected 100ms to 24h", s.Time)
	case s.OpTimeout <= 0 || s.StartMax <= 0 || s.LivenessMax <= 0 || s.FailoverMax < 0:
		return refuse("time-outs must be positive")
	case len(s.Plan) > 0 && s.NoFaults:
		return refuse("it has a plan of faults and yet wants none")
	}
	for _, f := range s.Workload.Functions() {
		if !slices.Contains(s.Target.Functions(), f) {
			return refuse("the workload %s needs the operation %q, but clients of %s know only %s",
				s.Workload.Name(), f, s.Target.Name(), strings.Join(s.Target.Functions(), ", "))
		}
	}
	if s.Plan.End() > s.Time {
		return refuse("the plan lasts %v, but the time for faults is %v; raise the time or shorten the plan", s.Plan.End(), s.Time)
	}
	if err := s.Drawing.Validate(); err != nil {
		return refuse("%v", err)
	}
	if _, err := s.configured(); err != nil {
		return err
	}
	return s.validateBug(refuse)
}

// jobber is a workload whose work the target does of its own accord, while
// clients look on: a checkpointed computation. Job is the value of the
// target's setting cluster.JobSetting.
type jobber interface{ Job() string }

// configured returns s with its settings complete and its target as they want
// it. Doing so twice changes nothing.
func (s Scenario) configured() (Scenario, error) {
	values := maps.Clone(s.Settings)
	if job, ok := s.Workload.(jobber); ok {
		if set := values[cluster.JobSetting]; set != "" && set != job.Job() {
			return s, fmt.Errorf("scenario %s: %w: the setting job is %q, but the workload %s is the job %q; choose the job by the workload",
				s.Name, ErrRefused, set, s.Workload.Name(), job.Job())
		}
		if values == nil {
			values = map[string]string{}
		}
		values[cluster.JobSetting] = job.Job()
	}
	target, force, err := cluster.Configure(s.Target, values)
	if err != nil {
		return s, fmt.Errorf("scenario %s: %w: %w", s.Name, ErrRefused, err)
	}
	s.Target, s.Settings = target, force
	return s, nil
}

// varied returns s as a seed wants it, and what it draws as flags of a command
// line, so that the same run can be had when other settings are drawn one day.
func (s Scenario) varied(seed uint64) (Scenario, string) {
	if s.Vary == nil {
		return s, ""
	}
	v, flags := s.Vary(s, seed), ""
	for _, name := range slices.Sorted(maps.Keys(v.Settings)) {
		if _, given := s.Settings[name]; !given {
			flags += fmt.Sprintf(" --set %s=%s", name, v.Settings[name])
		}
	}
	return v, flags
}

// seeded returns s, which is configured, with a job of its own for each seed,
// unless given says that the scenario sets that.
func (s Scenario) seeded(seed uint64, given map[string]string) (Scenario, error) {
	if _, has := s.Settings[cluster.JobSeedSetting]; !has || given[cluster.JobSeedSetting] != "" {
		return s, nil
	}
	s.Settings = maps.Clone(s.Settings)
	s.Settings[cluster.JobSeedSetting] = strconv.FormatUint(rng.Derive(seed, "job")%1_000_000_000, 10)
	return s.configured()
}

func (s Scenario) validateBug(refuse func(string, ...any) error) error {
	if s.Bug == "" {
		return nil
	}
	var ids []string
	for _, b := range s.Target.Bugs() {
		if b.ID == s.Bug {
			return nil
		}
		ids = append(ids, b.ID)
	}
	if len(ids) == 0 {
		return refuse("%s has no planted bugs, so there is no %q", s.Target.Name(), s.Bug)
	}
	return refuse("%s has no planted bug %q%s", s.Target.Name(), s.Bug, nearest.Hint(s.Bug, ids))
}

// NodeNames returns the names of the scenario's nodes: n1, n2, …
func (s Scenario) NodeNames() []string {
	names := make([]string, s.Nodes)
	for i := range names {
		names[i] = fmt.Sprintf("n%d", i+1)
	}
	return names
}
