package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/harness/nearest"
)

// Configurable is a target that can be set up in more than one way.
type Configurable interface {
	Target
	// Settings lists what can be set, with the values that are in force as
	// defaults.
	Settings() []Setting
	// With returns the target with these values; settings that are not named
	// stay as they are. An error says which value is wrong and what is
	// allowed. Names are known: see Configure.
	With(values map[string]string) (Target, error)
}

// Setting is something about a target that can be set.
type Setting struct {
	Name    string
	Doc     string // one sentence
	Default string
	// Allowed lists the values that it can have; nil where With decides.
	Allowed []string
}

// JobSetting is the setting that names the job of a target that computes
// something of its own accord: workloads decide it.
const JobSetting = "job"

// JobSeedSetting is the setting that seeds the job of such a target. A run
// whose scenario does not set it takes a number that derives from its own
// seed.
const JobSeedSetting = "job-seed"

// Configure returns a target with settings, and all values that are in force
// then. Targets that are not Configurable have none.
func Configure(t Target, values map[string]string) (Target, map[string]string, error) {
	c, ok := t.(Configurable)
	if !ok {
		if len(values) > 0 {
			return nil, nil, fmt.Errorf("the target %s has no settings, so %s cannot be set", t.Name(), firstName(values))
		}
		return t, nil, nil
	}
	known := c.Settings()
	force := map[string]string{}
	for _, s := range known {
		force[s.Name] = s.Default
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		i := slices.IndexFunc(known, func(s Setting) bool { return s.Name == name })
		if i < 0 {
			return nil, nil, fmt.Errorf("the target %s has no setting %q%s", t.Name(), name, nearest.Hint(name, settingNames(known)))
		}
		if s := known[i]; s.Allowed != nil && !slices.Contains(s.Allowed, values[name]) {
			return nil, nil, fmt.Errorf("the setting %s of %s cannot be %q; allowed are%s", name, t.Name(), values[name],
				strings.TrimPrefix(nearest.Hint(values[name], s.Allowed), "; there are"))
		}
		force[name] = values[name]
	}
	with, err := c.With(maps.Clone(values))
	if err != nil {
		return nil, nil, err
	}
	return with, force, nil
}

func firstName(values map[string]string) string { return slices.Sorted(maps.Keys(values))[0] }

func settingNames(list []Setting) []string {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.Name
	}
	return names
}
