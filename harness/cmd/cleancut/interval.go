package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cleancut/cleancut/checkers/recovery"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/internal/files"
	"github.com/cleancut/cleancut/harness/internal/jsontext"
	"github.com/cleancut/cleancut/harness/report"
	"github.com/cleancut/cleancut/harness/rundir"
	"github.com/cleancut/cleancut/suites"
)

// intervalFlags are those of interval.
type intervalFlags struct {
	sweep     sweepFlags
	intervals []time.Duration
}

const (
	intervalScenario = "checkpointing/coordinated-montecarlo-interval"
	intervalSetting  = "interval"
	intervalNever    = time.Hour // as good as no checkpoints, for a job of minutes
	intervalPilot    = 500 * time.Millisecond
	intervalsDefault = 9
	intervalsMax     = 100
)

func intervalCommand() *cobra.Command {
	f := intervalFlags{}
	cmd := &cobra.Command{
		Use:   "interval [SCENARIO]",
		Short: "Find the best interval between checkpoints, beside Young's and Daly's",
		Long: `interval runs a checkpointed job in the simulator at several intervals between
checkpoints, without failures and with failures at exponentially distributed
times, and compares how long it took with what Young (1974) and Daly (2006) say.
The scenario needs the setting "interval", and a job that ends. Without
--intervals, nine are taken around Young's. It leaves a table, a plot and all
measurements in a folder of their own.`,
		Example: `  cleancut interval
  cleancut interval --mtbf 5s --seeds 1..50
  cleancut interval --set protocol=chandy-lamport --intervals 100ms,200ms,400ms,800ms,1600ms`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, append(args, intervalScenario)[0])
		},
	}
	f.sweep.run.scenario.register(cmd.Flags())
	cmd.Flags().StringVar(&f.sweep.run.out, "out", "runs", "folder that takes the results")
	cmd.Flags().BoolVar(&f.sweep.run.json, "json", false, "print the outcome as JSON")
	cmd.Flags().StringVar(&f.sweep.seeds, "seeds", "1..20", "seeds to run at each interval, from A to B")
	cmd.Flags().IntVar(&f.sweep.workers, "workers", runtime.GOMAXPROCS(0), "worker processes")
	cmd.Flags().DurationSliceVar(&f.intervals, "intervals", nil, "intervals to try, 4 or more; default: nine around Young's")
	return cmd
}

// intervalTrial is an experiment under way.
type intervalTrial struct {
	fleet
	cmd      *cobra.Command
	study    recovery.IntervalStudy
	worst    rundir.Outcome
	leftOut  int // runs that proved nothing
	examined int
}

func (f *intervalFlags) run(cmd *cobra.Command, name string) error {
	s, seeds, err := f.prepare(cmd, name)
	if err != nil {
		return usage(err)
	}
	t := &intervalTrial{fleet: fleet{scenarios: []string{s.Name}, flags: f.sweep.run.scenario.raw(), workers: f.sweep.workers, stderr: cmd.ErrOrStderr()}, cmd: cmd, worst: rundir.Valid}
	if t.study.Bare, err = t.quiet(intervalNever); err != nil {
		return err
	}
	intervals := f.intervals
	if len(intervals) == 0 {
		if intervals, err = t.around(s.Drawing.MTBF); err != nil {
			return err
		}
	}
	for _, i := range intervals {
		q, err := t.quiet(i)
		if err != nil {
			return err
		}
		t.study.Quiet = append(t.study.Quiet, q)
	}
	for _, i := range intervals {
		if err := t.failing(i, seeds); err != nil {
			return err
		}
	}
	return t.tell(f, s.Name)
}

// again is the command line that does the same.
func (f *intervalFlags) again(scenario string) string {
	words := append([]string{"cleancut", "interval", scenario}, f.sweep.run.scenario.arguments()...)
	words = append(words, "--seeds", f.sweep.seeds)
	var list []string
	for _, i := range f.intervals {
		list = append(list, i.String())
	}
	if len(list) > 0 {
		words = append(words, "--intervals", strings.Join(list, ","))
	}
	return strings.Join(words, " ")
}

// prepare refuses what cannot be studied before anything runs.
func (f *intervalFlags) prepare(cmd *cobra.Command, name string) (s harness.Scenario, seeds seedRange, err error) {
	found, err := suites.Find([]string{name})
	if err != nil {
		return s, seeds, err
	}
	if len(found) != 1 {
		return s, seeds, fmt.Errorf("%s is %d scenarios; name one of them", name, len(found))
	}
	if seeds, err = f.sweep.ranges(true); err != nil {
		return s, seeds, err
	}
	if s, err = f.sweep.run.scenario.apply(found[0]); err != nil {
		return s, seeds, err
	}
	if !slices.Contains(suites.RuntimesOf(s), suites.Sim) {
		return s, seeds, fmt.Errorf("%s cannot be simulated, and an interval study takes hundreds of runs", s.Name)
	}
	if s.Drawing.MTBF <= 0 || s.Plan != nil || s.NoFaults {
		return s, seeds, fmt.Errorf("%s does not draw its failures at exponentially distributed times, as the models of Young and Daly have it; give --mtbf, and no plan with --faults", s.Name)
	}
	if n := len(f.intervals); n > 0 && n < 4 || n > intervalsMax {
		return s, seeds, fmt.Errorf("--intervals names %d intervals; expected 4 to %d", n, intervalsMax)
	}
	slices.Sort(f.intervals)
	for i, d := range f.intervals {
		if d <= 0 || d >= intervalNever || i > 0 && d == f.intervals[i-1] {
			return s, seeds, fmt.Errorf("--intervals has %v; expected each once, more than 0 and less than %v", d, intervalNever)
		}
	}
	_, err = with(s, intervalNever)
	return s, seeds, err
}

// with is the scenario with checkpoints at an interval.
func with(s harness.Scenario, interval time.Duration) (harness.Scenario, error) {
	f := scenarioFlags{settings: []string{intervalSetting + "=" + interval.String()}}
	if err := f.applySettings(&s); err != nil {
		return s, err
	}
	return s, s.Validate()
}

// at is the fleet with more flags, for one interval.
func (t *intervalTrial) at(interval time.Duration, more ...string) fleet {
	g := t.fleet
	g.flags = slices.Concat(g.flags, []string{"--set=" + intervalSetting + "=" + interval.String()}, more)
	return g
}

// quiet runs the job once without failures.
func (t *intervalTrial) quiet(interval time.Duration) (run recovery.IntervalRun, err error) {
	g := t.at(interval, "--faults=none")
	g.workers = 1
	ended := false
	err = g.run(t.cmd.Context(), seedRange{from: 1, to: 1, parts: 1}, func(r swept) bool {
		t.worst = worse(t.worst, onlyBad(r.Verdict))
		run, ended = recovery.CompletionOf(interval, r.Seed, r.Completion)
		return true
	})
	switch {
	case err != nil:
		return run, err
	case t.cmd.Context().Err() != nil:
		return run, &exit{exitInconclusive, errors.New("interrupted")}
	case !ended:
		return run, &exit{exitInconclusive, fmt.Errorf("without failures and with an interval of %v the job does not end in the time that the scenario has; raise --time or make the job smaller (--set size=N)", interval)}
	}
	return run, nil
}

// onlyBad takes a quiet run for good that is inconclusive: it has no recovery
// to judge.
func onlyBad(o rundir.Outcome) rundir.Outcome {
	if o == rundir.Inconclusive {
		return rundir.Valid
	}
	return o
}

// around chooses intervals around Young's, by the cost of a checkpoint in a
// run without failures.
func (t *intervalTrial) around(mtbf time.Duration) ([]time.Duration, error) {
	pilot, err := t.quiet(intervalPilot)
	if err != nil {
		return nil, err
	}
	more := pilot.Checkpoints - t.study.Bare.Checkpoints
	cost := time.Duration(float64(pilot.Took-t.study.Bare.Took) / max(1, more))
	if more < 1 || cost <= 0 {
		return nil, &exit{exitInconclusive, fmt.Errorf("%.0f checkpoints at an interval of %v slowed the job down by %v: without a cost there is no best interval; choose a larger job, or --intervals",
			more, intervalPilot, pilot.Took-t.study.Bare.Took)}
	}
	young := recovery.Young(cost, mtbf).Seconds()
	var list []time.Duration
	for i := range intervalsDefault {
		seconds := young * math.Pow(2, float64(i-intervalsDefault/2)/2)
		list = append(list, max(10*time.Millisecond, time.Duration(seconds*1000)*time.Millisecond).Round(10*time.Millisecond))
	}
	return slices.Compact(list), nil
}

// failing runs the job under failures, with one seed after the other.
func (t *intervalTrial) failing(interval time.Duration, seeds seedRange) error {
	var runs []recovery.IntervalRun
	g := t.at(interval)
	err := g.run(t.cmd.Context(), seeds, func(r swept) bool {
		t.examined++
		t.worst = worse(t.worst, r.Verdict)
		run, ended := recovery.CompletionOf(interval, r.Seed, r.Completion)
		if r.Verdict == rundir.Valid && ended {
			runs = append(runs, run)
			return true
		}
		t.leftOut++
		fmt.Fprintf(t.stderr, "interval %v, seed %d: %s: %s\n", interval, r.Seed, r.Verdict, strings.Join(r.Reasons, "; "))
		return true
	})
	if err == nil && t.cmd.Context().Err() != nil {
		err = &exit{exitInconclusive, errors.New("interrupted")}
	}
	slices.SortFunc(runs, func(a, b recovery.IntervalRun) int { return cmp.Compare(a.Seed, b.Seed) })
	t.study.Failing = append(t.study.Failing, runs...)
	fmt.Fprintf(t.stderr, "interval %v: %d runs\n", interval, len(runs))
	return err
}

// intervalOutcome is what --json prints and interval.json holds.
type intervalOutcome struct {
	Scenario  string                  `json:"scenario"`
	Reproduce string                  `json:"reproduce"`
	Verdict   rundir.Outcome          `json:"verdict"`
	Runs      int                     `json:"runs"`
	LeftOut   int                     `json:"left_out"`
	Curve     *recovery.IntervalCurve `json:"curve,omitempty"` // nil if the study says too little
	Study     recovery.IntervalStudy  `json:"study"`
}

// tell prints the outcome and leaves it in a folder.
func (t *intervalTrial) tell(f *intervalFlags, scenario string) error {
	curve, refused := t.study.Curve()
	o := intervalOutcome{
		Scenario: scenario, Reproduce: f.again(scenario), Verdict: t.worst, Runs: t.examined, LeftOut: t.leftOut, Curve: curve, Study: t.study,
	}
	text, err := jsontext.MarshalIndent(o)
	if err != nil {
		return err
	}
	dir := filepath.Join(f.sweep.run.out, scenario, "interval-"+time.Now().UTC().Format("20060102T150405Z"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return usage(fmt.Errorf("--out: %w", err))
	}
	file := filepath.Join(dir, "interval.json")
	if err := files.Write(file, append(text, '\n')); err != nil {
		return err
	}
	if refused != nil {
		return &exit{exitInconclusive, fmt.Errorf("%w; what was measured is in %s", refused, file)}
	}
	page := filepath.Join(dir, "interval.html")
	if err := report.WriteStudy(page, report.Study{Scenario: scenario, Reproduce: o.Reproduce, Runs: o.Runs, LeftOut: o.LeftOut, Curve: curve, Failing: t.study.Failing}); err != nil {
		return err
	}
	if f.sweep.run.json {
		fmt.Fprintf(t.cmd.OutOrStdout(), "%s\n", text)
		return codeFor(t.worst)
	}
	fmt.Fprintf(t.cmd.OutOrStdout(), "%s: %d runs under failures", scenario, o.Runs)
	if o.LeftOut > 0 {
		fmt.Fprintf(t.cmd.OutOrStdout(), ", %d of them not valid and left out", o.LeftOut)
	}
	fmt.Fprintf(t.cmd.OutOrStdout(), "\n%s  report   %s\n  again    %s\n", curve, page, o.Reproduce)
	return codeFor(t.worst)
}
