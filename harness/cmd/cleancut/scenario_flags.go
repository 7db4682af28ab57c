package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/suites"
	"github.com/cleancut/cleancut/workloads"
)

// scenarioFlags change scenarios of the catalog. Their zero values leave a
// scenario as it is.
type scenarioFlags struct {
	nodes, clients int
	rate           float64
	time           time.Duration
	mtbf           time.Duration
	target         string
	workload       string
	faults         string
	bug            string
	settings       []string
	set            *pflag.FlagSet
}

func (f *scenarioFlags) register(set *pflag.FlagSet) {
	f.set = set
	set.IntVar(&f.nodes, "nodes", 0, "nodes of the cluster")
	set.IntVar(&f.clients, "clients", 0, "clients that issue operations side by side")
	set.Float64Var(&f.rate, "rate", 0, "operations per second that all clients together try to start")
	set.DurationVar(&f.time, "time", 0, "how long faults may strike")
	set.DurationVar(&f.mtbf, "mtbf", 0, "draw faults at exponentially distributed times of this mean, as failures come")
	set.StringVar(&f.target, "target", "", "run the scenario on this target instead")
	set.StringVar(&f.workload, "workload", "", "let clients do this instead")
	set.StringVar(&f.faults, "faults", "", `a plan ("at 2s kill(leader) for 1s; …"), a list of kinds to draw from ("kill,pause"), or "none"`)
	set.StringVar(&f.bug, "bug", "", "switch on this planted bug of the target")
	set.StringArrayVar(&f.settings, "set", nil, "set something about the target, as NAME=VALUE (see cleancut list settings); may be repeated")
}

// apply returns s as the flags want it.
func (f *scenarioFlags) apply(s harness.Scenario) (harness.Scenario, error) {
	for name, set := range map[string]func(){
		"nodes":   func() { s.Nodes = f.nodes },
		"clients": func() { s.Clients = f.clients },
		"rate":    func() { s.Rate = f.rate },
		"time":    func() { s.Time = f.time },
		"mtbf":    func() { s.Drawing.MTBF = f.mtbf },
		"bug":     func() { s.Bug = f.bug },
	} {
		if f.set.Changed(name) {
			set()
		}
	}
	if f.target != "" {
		t, err := suites.Target(f.target)
		if err != nil {
			return s, err
		}
		s.Target = t
	}
	if f.workload != "" {
		w, err := workloads.Lookup(f.workload)
		if err != nil {
			return s, err
		}
		s.Workload = w
	}
	if err := f.applySettings(&s); err != nil {
		return s, err
	}
	if f.set.Changed("faults") {
		if err := f.applyFaults(&s); err != nil {
			return s, err
		}
	}
	s = suites.Rejudged(s)
	return s, s.Validate()
}

// applySettings adds --set to the scenario's settings.
func (f *scenarioFlags) applySettings(s *harness.Scenario) error {
	if len(f.settings) == 0 {
		return nil
	}
	values := map[string]string{}
	maps.Copy(values, s.Settings)
	for _, pair := range f.settings {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return fmt.Errorf("--set %q: expected NAME=VALUE", pair)
		}
		values[name] = value
	}
	s.Settings = values
	return nil
}

// applyFaults reads --faults: a plan has parentheses, a list has none.
func (f *scenarioFlags) applyFaults(s *harness.Scenario) error {
	text := strings.TrimSpace(f.faults)
	s.Plan, s.NoFaults = nil, false
	switch {
	case text == "none":
		s.NoFaults = true
		return nil
	case text == "":
		return fmt.Errorf(`--faults is empty; expected a plan, a list of kinds or "none"`)
	case strings.ContainsAny(text, "( ;"):
		plan, err := faults.ParseOn(text, groundOf(*s))
		if err != nil {
			return fmt.Errorf("--faults: %w", err)
		}
		s.Plan = plan
		if end := plan.End(); end > s.Time && !f.set.Changed("time") {
			s.Time = end + time.Second
		}
		return nil
	}
	s.Drawing.Kinds = nil
	for _, kind := range strings.Split(text, ",") {
		if _, err := faults.Lookup(strings.TrimSpace(kind)); err != nil {
			return fmt.Errorf("--faults: %w", err)
		}
		s.Drawing.Kinds = append(s.Drawing.Kinds, strings.TrimSpace(kind))
	}
	return nil
}

// groundOf is what the names in a plan can mean in a scenario.
func groundOf(s harness.Scenario) *faults.Ground {
	g := &faults.Ground{Nodes: s.NodeNames(), Groups: cluster.GroupsOf(s.Target, s.NodeNames())}
	if t, ok := s.Target.(interface{ Points() []string }); ok {
		g.Points = t.Points()
	}
	return g
}

var scenarioFlagNames = []string{"nodes", "clients", "rate", "time", "mtbf", "target", "workload", "faults", "bug", "set"}

// arguments returns the flags as they were given, for a command line that
// people can copy.
func (f *scenarioFlags) arguments() (args []string) {
	for _, a := range f.raw() {
		name, value, _ := strings.Cut(a, "=")
		args = append(args, name, quote(value))
	}
	return args
}

// quote makes a word safe for a shell.
func quote(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n'\"\\$&|;<>()*?#~`!{}[]") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// seedFlag is --seed. Without it the seed is taken from the clock, and said.
type seedFlag struct {
	value uint64
	given bool
}

func (s *seedFlag) String() string {
	if !s.given {
		return ""
	}
	return strconv.FormatUint(s.value, 10)
}

func (s *seedFlag) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("expected a number from 0 to %d", uint64(1<<64-1))
	}
	s.value, s.given = n, true
	return nil
}

func (*seedFlag) Type() string { return "number" }

// orClock returns the seed, drawn from the clock if none was given. Drawn
// seeds are short, so that people can type them.
func (s *seedFlag) orClock() uint64 {
	if s.given {
		return s.value
	}
	return uint64(time.Now().UnixNano()/1000) % 1_000_000_000
}

// raw returns the flags as they were given, for another process.
func (f *scenarioFlags) raw() (args []string) {
	f.set.Visit(func(flag *pflag.Flag) {
		if !slices.Contains(scenarioFlagNames, flag.Name) {
			return
		}
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, value := range values {
			args = append(args, "--"+flag.Name+"="+value)
		}
	})
	return args
}
