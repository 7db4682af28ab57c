package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/internal/jsontext"
	"github.com/cleancut/cleancut/harness/rundir"
)

// Bounds of what a sweep leaves and prints.
const (
	rerunsMax    = 50 // run directories of one sweep
	findsShown   = 20 // of each scenario on the terminal
	reasonsShown = 10
	seedsShown   = 8
)

// The files that a sweep leaves in a folder of its own, OUT/sweep/TIME/.
const (
	sweepFolder = "sweep"
	sweepFile   = "sweep.json"
)

// sweepOutcome is all that a sweep has to say: what sweep.json holds, and
// --json prints under the key "sweep".
type sweepOutcome struct {
	Verdict     rundir.Outcome `json:"verdict"`
	Interrupted bool           `json:"interrupted"`
	Version     string         `json:"version"`
	Started     time.Time      `json:"started"` // wall clock, for people only
	Seconds     float64        `json:"seconds"`
	Folder      string         `json:"folder"`
	// MaxInconclusive is the share of a scenario's seeds, in percent, that may
	// prove nothing.
	MaxInconclusive float64  `json:"max_inconclusive_percent"`
	Scenarios       []*tally `json:"scenarios"`

	dir     string
	took    time.Duration
	workers int
	runs    int
	results []*rundir.Result
}

// newSweepOutcome makes the folder, so that a sweep whose outcome cannot be
// kept is refused before it begins.
func newSweepOutcome(out string, scenarios []harness.Scenario) (*sweepOutcome, error) {
	o := &sweepOutcome{Verdict: rundir.Valid, Version: harness.Version(), Started: time.Now().UTC()}
	above := filepath.Join(out, sweepFolder)
	err := os.MkdirAll(above, 0o755)
	if err == nil {
		o.dir, err = os.MkdirTemp(above, o.Started.Format("20060102T150405Z-"))
	}
	if err == nil {
		err = os.Chmod(o.dir, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; give another place with --out", err)
	}
	o.Folder = o.dir
	for _, s := range scenarios {
		o.Scenarios = append(o.Scenarios, newTally(s.Name))
	}
	return o, nil
}

func (o *sweepOutcome) close(inconclusiveMax float64) {
	o.MaxInconclusive = inconclusiveMax
	for _, t := range o.Scenarios {
		t.close(inconclusiveMax)
		o.Verdict = worse(o.Verdict, t.Verdict)
	}
}

func (o *sweepOutcome) seeds() (n int) {
	for _, t := range o.Scenarios {
		n += t.Seeds
	}
	return n
}

func (o *sweepOutcome) found() bool {
	return slices.ContainsFunc(o.Scenarios, func(t *tally) bool { return t.Invalid+t.Errors > 0 })
}

func (o *sweepOutcome) progress(since time.Duration) string {
	invalid, inconclusive := 0, 0
	for _, t := range o.Scenarios {
		invalid, inconclusive = invalid+t.Invalid, inconclusive+t.Inconclusive
	}
	return fmt.Sprintf("%d scenarios: %d seeds, %.0f a second, %d invalid, %d inconclusive",
		len(o.Scenarios), o.seeds(), float64(o.seeds())/since.Seconds(), invalid, inconclusive)
}

// write leaves sweep.json and junit.xml.
func (o *sweepOutcome) write() error {
	b, err := jsontext.MarshalIndent(o)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(o.dir, sweepFile), append(b, '\n'), 0o644); err != nil {
		return err
	}
	return rundir.WriteJUnitFile(filepath.Join(o.dir, rundir.JUnitFile), "cleancut sweep", o.Started, o.cases())
}

// cases are those of JUnit, one for each scenario.
func (o *sweepOutcome) cases() []rundir.Case {
	cases := make([]rundir.Case, len(o.Scenarios))
	for i, t := range o.Scenarios {
		cases[i] = t.junit(o)
	}
	return cases
}

func (t *tally) junit(o *sweepOutcome) rundir.Case {
	c := rundir.Case{Scenario: t.Scenario, Name: "sweep", Verdict: t.Verdict, Wall: o.took / time.Duration(max(1, len(o.Scenarios)))}
	if t.Seeds == 0 {
		c.Skipped = "no seed was reached"
		return c
	}
	c.Out = t.String() + "\n"
	c.Properties = []rundir.Property{
		{Name: "seeds", Value: fmt.Sprint(t.Seeds)}, {Name: "valid", Value: fmt.Sprint(t.Valid)}, {Name: "invalid", Value: fmt.Sprint(t.Invalid)},
		{Name: "inconclusive", Value: fmt.Sprint(t.Inconclusive)}, {Name: "errors", Value: fmt.Sprint(t.Errors)},
		{Name: "simulated_seconds", Value: fmt.Sprintf("%.3f", t.Simulated)}, {Name: "version", Value: o.Version},
		{Name: "summary", Value: filepath.Join(o.dir, sweepFile)},
	}
	for _, f := range t.Finds {
		first := f.Seeds[0]
		c.Reasons = append(c.Reasons, fmt.Sprintf("%s (%d seeds): %s", f.Signature, f.Count, first.Reason))
		c.Properties = append(c.Properties,
			rundir.Property{Name: "seed " + f.Signature, Value: fmt.Sprint(first.Seed)},
			rundir.Property{Name: "reproduce " + f.Signature, Value: first.Reproduce})
		if f.result != nil {
			c.Properties = append(c.Properties, rundir.Property{Name: "report " + f.Signature, Value: f.Report})
			c.Out += rundir.CaseOf(f.result, 0, "").Out
		}
	}
	if t.Verdict == rundir.Inconclusive {
		c.Reasons = append(c.Reasons, t.whyInconclusive(o.MaxInconclusive))
	}
	return c
}

func (t *tally) whyInconclusive(limit float64) string {
	if t.Valid == 0 {
		return fmt.Sprintf("none of %d seeds proved anything", t.Seeds)
	}
	return fmt.Sprintf("%d of %d seeds proved nothing: %.1f%%, and %g%% may", t.Inconclusive, t.Seeds, t.inconclusivePercent(), limit)
}

// String is the account of one scenario.
func (t *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d seeds: %d valid, %d invalid, %d inconclusive, %d errors; %.0f simulated seconds, %d operations",
		t.Scenario, t.Seeds, t.Valid, t.Invalid, t.Inconclusive, t.Errors, t.Simulated, t.Operations)
	for i, kind := range slices.Sorted(maps.Keys(t.Faults)) {
		sep := ", "
		if i == 0 {
			sep = "\n  faults with receipts: "
		}
		fmt.Fprintf(&b, "%s%s %d of %d", sep, kind, t.Faults[kind].Receipts, t.Faults[kind].Injected)
	}
	for _, w := range t.Why[:min(len(t.Why), reasonsShown)] {
		fmt.Fprintf(&b, "\n  inconclusive %d times: %s (seeds %s)", w.Count, firstLine(w.Reason), someSeeds(w.Seeds, w.Count))
	}
	if n := len(t.Why) - reasonsShown; n > 0 {
		fmt.Fprintf(&b, "\n  and %d more reasons", n)
	}
	return b.String()
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func someSeeds(seeds []uint64, count int) string {
	words := make([]string, min(len(seeds), seedsShown))
	for i := range words {
		words[i] = fmt.Sprint(seeds[i])
	}
	text := strings.Join(words, ", ")
	if count > len(words) {
		text += ", …"
	}
	return text
}

// String is the account of the whole sweep for a terminal.
func (o *sweepOutcome) String() string {
	var b strings.Builder
	simulated, events := 0.0, 0.0
	for _, t := range o.Scenarios {
		simulated, events = simulated+t.Simulated, events+t.Events
	}
	fmt.Fprintf(&b, "%s  sweep of %d seeds in %d scenarios, %v on %d workers: %.0f simulated seconds (%.0f a second), %.2g events a second\n",
		strings.ToUpper(string(o.Verdict)), o.seeds(), len(o.Scenarios), o.took.Round(10*time.Millisecond), o.workers,
		simulated, simulated/o.took.Seconds(), events/o.took.Seconds())
	for _, t := range o.Scenarios {
		t.tellFinds(&b)
		if t.Verdict == rundir.Inconclusive {
			fmt.Fprintf(&b, "  because  %s: %s\n", t.Scenario, t.whyInconclusive(o.MaxInconclusive))
		}
	}
	fmt.Fprintf(&b, "  summary  %s\n", filepath.Join(o.dir, sweepFile))
	return b.String()
}

func (t *tally) tellFinds(b *strings.Builder) {
	for _, f := range t.Finds[:min(len(t.Finds), findsShown)] {
		first := f.Seeds[0]
		var seeds []uint64
		for _, s := range f.Seeds {
			seeds = append(seeds, s.Seed)
		}
		fmt.Fprintf(b, "  found    %s in %s, %d times (seeds %s): %s\n", f.Signature, t.Scenario, f.Count, someSeeds(seeds, f.Count), firstLine(first.Reason))
		if f.Report != "" {
			fmt.Fprintf(b, "  report   %s\n", f.Report)
		}
		fmt.Fprintf(b, "  again    %s\n", first.Reproduce)
	}
	if n := len(t.Finds) - findsShown; n > 0 {
		fmt.Fprintf(b, "           and %d more signatures in %s\n", n, t.Scenario)
	}
}
