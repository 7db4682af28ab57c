package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/linear"
	"github.com/cleancut/cleancut/harness/nearest"
	"github.com/cleancut/cleancut/harness/rundir"
)

// dialect is what a tool takes for granted of its histories.
type dialect struct {
	name string
	// overlapping: operations of a process may overlap, as in histories that
	// were written by hand.
	overlapping bool
	// silentNil: a read of a register that returned nil says nothing.
	silentNil bool
	// tuples: values that look like [key value] are such.
	tuples bool
	// assume are what else is assumed of transactions, by workload.
	assume map[string][]string
}

// dialects are all that --dialect takes.
//
// In Knossos' models a read of nil is allowed in any state (knossos.model);
// Jepsen and Maelstrom judge registers by them, and keep independent keys as
// tuples. Elle looks at invocations only to find when a transaction began, finds
// nothing wrong with a read of a value of a register that nobody wrote, and says
// valid where it found nothing.
var dialects = []dialect{
	{name: "jepsen", silentNil: true, tuples: true, assume: elleAssumes},
	{name: "knossos", silentNil: true, overlapping: true},
	{name: "elle", overlapping: true, assume: elleAssumes},
	{name: "maelstrom", silentNil: true, tuples: true, assume: elleAssumes},
}

var elleAssumes = map[string][]string{"rw-register": {"ignore-unwritten", "unproven"}, "list-append": {"unproven"}}

func dialectNames() (names []string) {
	for _, d := range dialects {
		names = append(names, d.name)
	}
	return names
}

// takeDialect adds to the flags what the dialect takes for granted.
func (f *checkFlags) takeDialect() error {
	if f.dialect == "" {
		return nil
	}
	at := slices.IndexFunc(dialects, func(d dialect) bool { return d.name == f.dialect })
	if at < 0 {
		return fmt.Errorf("--dialect %q: expected one of %s%s", f.dialect, strings.Join(dialectNames(), ", "),
			nearest.Suggest(f.dialect, dialectNames()))
	}
	f.take(dialects[at])
	return nil
}

func (f *checkFlags) take(d dialect) {
	f.overlapping = f.overlapping || d.overlapping
	f.tuples = d.tuples
	add := d.assume[f.workload]
	if d.silentNil && slices.Contains(registers, f.workload) {
		add = registerPromises
	}
	for _, a := range add {
		if !slices.Contains(f.assume, a) {
			f.assume = append(slices.Clone(f.assume), a)
		}
	}
}

// habit says of a verdict that it would be another one if something were taken
// as other tools take it, "" if it would not.
func (f *checkFlags) habit(ctx context.Context, h *loaded, verdict rundir.Outcome) string {
	if verdict == rundir.Valid || f.dialect != "" || h.format == formatJSONL {
		return ""
	}
	other := *f
	name, what := "", ""
	switch {
	case slices.Contains(registers, f.workload) && len(f.assume) == 0:
		name, what = "jepsen", "a read of a register that returned nil says nothing"
	case slices.Contains(transactions, f.workload):
		name, what = "elle", "a read of what nobody wrote is nothing wrong, and where nothing was found it is valid"
	default:
		return ""
	}
	other.dialect = name
	if err := other.takeDialect(); err != nil {
		return ""
	}
	o, err := other.judgeOptions()
	if err != nil {
		return ""
	}
	c, err := checkerFor(f.workload, f.model, o)
	if err != nil {
		return ""
	}
	v := checkers.Check(ctx, h.evidence, []checkers.Checker{c}, checkers.Options{Timeout: f.timeout})[0]
	if v.Verdict != checkers.Valid || c.Name() == linear.Name && verdict == rundir.Inconclusive {
		return ""
	}
	return fmt.Sprintf("the verdict hangs on a habit: with --dialect %s (%s) it is valid", name, what)
}
