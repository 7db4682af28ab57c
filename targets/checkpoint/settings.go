package checkpoint

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/workloads/jobs"
)

// setting is something that can be set from outside: how it is read and shown.
type setting struct {
	name, doc string
	allowed   []string
	show      func(*Config) string
	set       func(*Config, string) error
}

func word(name, doc string, allowed []string, field func(*Config) *string) setting {
	return setting{name, doc, allowed,
		func(c *Config) string { return *field(c) },
		func(c *Config, v string) error { *field(c) = v; return nil }}
}

func number(name, doc string, field func(*Config) *int) setting {
	return setting{name, doc, nil,
		func(c *Config) string { return strconv.Itoa(*field(c)) },
		func(c *Config, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil {
				return fmt.Errorf("the setting %s is %q; expected a whole number", name, v)
			}
			*field(c) = n
			return nil
		}}
}

func count(name, doc string, field func(*Config) *uint64) setting {
	return setting{name, doc, nil,
		func(c *Config) string { return strconv.FormatUint(*field(c), 10) },
		func(c *Config, v string) error {
			n, err := strconv.ParseUint(v, 10, 64)
			if err != nil {
				return fmt.Errorf("the setting %s is %q; expected a whole number from 0 on", name, v)
			}
			*field(c) = n
			return nil
		}}
}

func duration(name, doc string, field func(*Config) *time.Duration) setting {
	return setting{name, doc, nil,
		func(c *Config) string { return field(c).String() },
		func(c *Config, v string) error {
			d, err := time.ParseDuration(v)
			if err != nil {
				return fmt.Errorf("the setting %s is %q; expected a duration such as 500ms", name, v)
			}
			*field(c) = d
			return nil
		}}
}

func jobNames() (names []string) {
	for _, j := range jobs.Catalog() {
		names = append(names, j.Name())
	}
	return names
}

// settings lists all that can be set.
var settings = []setting{
	word("protocol", "how a consistent state is captured", protocolNames, func(c *Config) *string { return &c.Protocol }),
	word(cluster.JobSetting, "what the workers compute", jobNames(), func(c *Config) *string { return &c.Job }),
	count(cluster.JobSeedSetting, "what the job draws its data from", func(c *Config) *uint64 { return &c.JobSeed }),
	number("size", "units of work of each worker", func(c *Config) *int { return &c.Size }),
	duration("step", "pause between two units of work", func(c *Config) *time.Duration { return &c.Step }),
	duration("interval", "time between two rounds of checkpoints", func(c *Config) *time.Duration { return &c.Interval }),
	number("partner-every", "every how many rounds the partner's memory is written, 0 for never", func(c *Config) *int { return &c.PartnerEvery }),
	number("local-every", "every how many rounds the worker's disk is written, 0 for never", func(c *Config) *int { return &c.LocalEvery }),
	number("store-every", "every how many rounds the replicated store is written, 0 for never", func(c *Config) *int { return &c.StoreEvery }),
	number("retain", "committed rounds that are kept", func(c *Config) *int { return &c.Retain }),
	word("sink", "how output reaches the outside world", sinkNames, func(c *Config) *string { return &c.Sink }),
	word("fallback", "what is done where a round cannot be restored although output of it is visible", fallbackNames, func(c *Config) *string { return &c.Fallback }),
	number("full-every", "every how many local checkpoints one is whole, the others being increments", func(c *Config) *int { return &c.FullEvery }),
}

// configure applies settings to a configuration.
func configure(c Config, values map[string]string) (Config, error) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name })
		if i < 0 {
			return c, fmt.Errorf("checkpoint: there is no setting %q", name)
		}
		if err := settings[i].set(&c, values[name]); err != nil {
			return c, fmt.Errorf("checkpoint: %w", err)
		}
	}
	return c, c.Validate()
}
