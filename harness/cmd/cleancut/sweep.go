package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/report"
	"github.com/cleancut/cleancut/harness/rundir"
	"github.com/cleancut/cleancut/harness/sim"
	"github.com/cleancut/cleancut/suites"
)

// sweepFlags are those of sweep.
type sweepFlags struct {
	run       runFlags
	seeds     string
	shard     string
	duration  time.Duration
	workers   int
	twice     int
	keepGoing bool
	// inconclusiveMax is the share of seeds, in percent, that may prove nothing.
	inconclusiveMax percentFlag
}

func sweepCommand() *cobra.Command {
	var f sweepFlags
	cmd := &cobra.Command{
		Use:   "sweep [SCENARIO|GROUP…]",
		Short: "Run many seeds in the simulator and keep every violation",
		Long: `sweep runs scenarios in the simulator with one seed after the other, in worker
processes; each seed goes to all scenarios in turn. No name means all scenarios
that can be simulated, with --bug those of the bug's target.

It stops at the first violation, or with --keep-going at none. Violations are
told apart by their signature (checker and kind, or the invariant's name), and
the lowest seed of each runs again to leave a run directory with a report. In
OUT/sweep/TIME/ it leaves sweep.json (seeds, finds, simulated seconds, faults
and their receipts, the reasons and seeds that proved nothing, the version) and
junit.xml with a case for each scenario, also if nothing was found.

A scenario is inconclusive (exit code 2) if no seed of it was valid, or if more
than --max-inconclusive of its seeds proved nothing. With --twice N every N-th
seed runs twice, and both traces must be identical.`,
		Example: `  cleancut sweep replication/raft-swarm --seeds 1..1000 --max-inconclusive 3%
  cleancut sweep --bug vote-not-persisted --seeds 1..100000
  cleancut sweep replication/raft-trio --for 10m --keep-going`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.sweep(cmd, args) },
	}
	f.run.scenario.register(cmd.Flags())
	f.run.register(cmd)
	cmd.Flags().StringVar(&f.seeds, "seeds", "1..100", "seeds to run, from A to B")
	cmd.Flags().StringVar(&f.shard, "shard", "", "run only the I-th of N parts of the seeds, as I/N")
	cmd.Flags().DurationVar(&f.duration, "for", 0, "start no further seed after this time; without --seeds, run until then")
	cmd.Flags().IntVar(&f.workers, "workers", runtime.GOMAXPROCS(0), "worker processes")
	cmd.Flags().IntVar(&f.twice, "twice", 0, "run every N-th seed twice and compare the traces")
	cmd.Flags().Var(&f.inconclusiveMax, "max-inconclusive", "share of each scenario's seeds that may prove nothing, such as 3%")
	cmd.Flags().BoolVar(&f.keepGoing, "keep-going", false, "go on after a violation")
	return cmd
}

// seedRange is the seeds of a sweep.
type seedRange struct{ from, to, part, parts uint64 }

func (f *sweepFlags) ranges(given bool) (r seedRange, err error) {
	r.part, r.parts = 0, 1
	from, to, ok := strings.Cut(f.seeds, "..")
	if r.from, err = strconv.ParseUint(from, 10, 64); err == nil && ok {
		r.to, err = strconv.ParseUint(to, 10, 64)
	}
	if err != nil || !ok || r.to < r.from {
		return r, fmt.Errorf("--seeds %q: expected A..B with A ≤ B, such as 1..1000", f.seeds)
	}
	if f.duration > 0 && !given {
		r.to = 1<<63 - 1
	}
	if f.shard != "" {
		i, n, ok := strings.Cut(f.shard, "/")
		part, err1 := strconv.ParseUint(i, 10, 32)
		parts, err2 := strconv.ParseUint(n, 10, 32)
		if !ok || err1 != nil || err2 != nil || part < 1 || part > parts {
			return r, fmt.Errorf("--shard %q: expected I/N with 1 ≤ I ≤ N, such as 2/4", f.shard)
		}
		r.part, r.parts = part-1, parts
	}
	if f.workers < 1 || f.workers > 256 {
		return r, fmt.Errorf("--workers %d: expected 1 to 256", f.workers)
	}
	if f.twice < 0 {
		return r, fmt.Errorf("--twice %d: expected 0 for never, or how many seeds to a second run", f.twice)
	}
	return r, nil
}

// chosen returns the scenarios to sweep, as the flags want them.
func (f *sweepFlags) chosen(names []string) (scenarios []harness.Scenario, err error) {
	if len(names) == 0 {
		scenarios, err = suites.Sweepable(f.run.scenario.bug)
	} else {
		scenarios, err = suites.Find(names)
	}
	if err != nil {
		return nil, err
	}
	for i, s := range scenarios {
		if s, err = f.run.scenario.apply(s); err != nil {
			return nil, err
		}
		if !slices.Contains(suites.RuntimesOf(s), suites.Sim) {
			return nil, fmt.Errorf("%s cannot be swept: its target %s cannot be simulated; run it with --runtime docker", s.Name, s.Target.Name())
		}
		if slices.ContainsFunc(scenarios[:i], func(o harness.Scenario) bool { return o.Name == s.Name }) {
			return nil, fmt.Errorf("%s is named twice", s.Name)
		}
		scenarios[i] = s
	}
	return scenarios, nil
}

func (f *sweepFlags) sweep(cmd *cobra.Command, names []string) error {
	scenarios, err := f.chosen(names)
	if err != nil {
		return usage(err)
	}
	seeds, err := f.ranges(cmd.Flags().Changed("seeds"))
	if err != nil {
		return usage(err)
	}
	if err := f.run.prepare(); err != nil {
		return err
	}
	o, err := newSweepOutcome(f.run.out, scenarios)
	if err != nil {
		return usage(err)
	}
	failed := f.seedsOf(cmd, scenarios, seeds, o)
	o.close(f.inconclusiveMax.percent)
	for _, t := range o.Scenarios {
		fmt.Fprintln(cmd.ErrOrStderr(), t)
	}
	failed = errors.Join(failed, f.rerun(cmd, scenarios, o), o.write(), f.run.writeJUnit(o.cases()))
	if err := f.tell(cmd, o); err != nil {
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		return failed
	}
	if o.Interrupted {
		return &exit{code: max(exitInconclusive, exitCode(o.Verdict)), cause: fmt.Errorf("interrupted after %d seeds; what was found until then is in %s", o.seeds(), o.dir)}
	}
	return codeFor(o.Verdict)
}

// seedsOf runs the seeds.
func (f *sweepFlags) seedsOf(cmd *cobra.Command, scenarios []harness.Scenario, seeds seedRange, o *sweepOutcome) error {
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = s.Name
	}
	begun := time.Now()
	said := begun
	workers := fleet{names, f.run.scenario.raw(), f.workers, f.twice, f.duration, cmd.ErrOrStderr()}
	err := workers.run(cmd.Context(), seeds, func(r swept) bool {
		o.Scenarios[r.Scenario].add(r)
		if time.Since(said) > plainEvery {
			fmt.Fprintln(cmd.ErrOrStderr(), o.progress(time.Since(begun)))
			said = time.Now()
		}
		return f.keepGoing || !o.found()
	})
	o.took, o.workers = time.Since(begun), f.workers
	o.Seconds, o.Interrupted = o.took.Seconds(), cmd.Context().Err() != nil
	return err
}

// rerun runs the lowest seed of each signature again, to leave a run directory.
// Signatures that share it share the run.
func (f *sweepFlags) rerun(cmd *cobra.Command, scenarios []harness.Scenario, o *sweepOutcome) error {
	for i, t := range o.Scenarios {
		done := map[uint64]*harness.Finished{}
		for _, find := range t.Finds {
			seed := find.Seeds[0].Seed
			if done[seed] == nil {
				if o.runs >= rerunsMax || cmd.Context().Err() != nil {
					continue
				}
				j := job{scenario: scenarios[i], runtime: sim.Name, seed: seed, args: f.run.scenario.arguments()}
				run, err := f.run.one(cmd.Context(), cmd.ErrOrStderr(), j)
				if run == nil {
					return fmt.Errorf("%s, seed %d, run again to leave a report: %w", t.Scenario, seed, err)
				}
				if err != nil {
					return err
				}
				done[seed], o.runs = run, o.runs+1
				o.results = append(o.results, &run.Result)
				if !f.run.json {
					if err := report.Text(cmd.OutOrStdout(), &run.Result, run.ReportPath()); err != nil {
						return err
					}
				}
			}
			find.Run, find.Report = done[seed].Dir, done[seed].ReportPath()
			find.result = &done[seed].Result
		}
	}
	return nil
}

// tell prints what was found.
func (f *sweepFlags) tell(cmd *cobra.Command, o *sweepOutcome) error {
	if f.run.json {
		return printAsJSON(cmd.OutOrStdout(), struct {
			printed
			Sweep *sweepOutcome `json:"sweep"`
		}{printed{append([]*rundir.Result{}, o.results...)}, o})
	}
	_, err := fmt.Fprint(cmd.OutOrStdout(), o)
	return err
}

// percentFlag is a share in percent.
type percentFlag struct{ percent float64 }

func (p *percentFlag) String() string { return strconv.FormatFloat(p.percent, 'f', -1, 64) + "%" }

func (*percentFlag) Type() string { return "P%" }

func (p *percentFlag) Set(text string) error {
	share, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !(share >= 0 && share <= 100) {
		return errors.New("expected a share from 0% to 100%")
	}
	p.percent = share
	return nil
}
