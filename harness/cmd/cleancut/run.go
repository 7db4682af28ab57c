package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/internal/jsontext"
	"github.com/cleancut/cleancut/harness/report"
	"github.com/cleancut/cleancut/harness/rundir"
	"github.com/cleancut/cleancut/suites"
)

// runFlags are those of commands that run scenarios one by one.
type runFlags struct {
	scenario scenarioFlags
	seed     seedFlag
	runtime  string
	out      string
	junit    string
	json     bool
	verbose  bool
}

func runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [SCENARIO|GROUP…]",
		Short: "Run scenarios, judge and report them",
		Long: `run runs scenarios one after the other. A group's name means its quick tier;
no name at all means the tour: one scenario of each group that needs no foreign
image. The result goes to standard output, progress to standard error.`,
		Example: `  cleancut run
  cleancut run replication/raft-crashes --runtime docker
  cleancut run replication/raft-swarm --runtime sim --seed 7
  cleancut run replication/raft-quiet --faults 'at 2s partition(isolate,leader) for 3s; at 6s kill(all) for 1s'
  cleancut run replication/raft-partitions --bug stale-local-read`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.scenario.register(cmd.Flags())
	f.register(cmd)
	cmd.Flags().Var(&f.seed, "seed", "seed of everything random; default: drawn from the clock, and said")
	cmd.Flags().StringVar(&f.runtime, "runtime", "auto", "docker, sim, or auto: docker where a daemon answers, else sim; with CI=true auto never falls back")
	return cmd
}

func (f *runFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.out, "out", "runs", "folder that takes the run directories")
	cmd.Flags().StringVar(&f.junit, "junit", "", "also write the results of all runs to this JUnit file")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the results as JSON")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "log what the harness does to standard error")
}

// job is one run to be made.
type job struct {
	scenario harness.Scenario
	runtime  string
	seed     uint64
	args     []string // flags that reproduce it, beside runtime and seed
	again    string   // the command line that reproduces it, if that is known already
}

func (f *runFlags) run(cmd *cobra.Command, names []string) error {
	scenarios, err := suites.Find(names)
	if err != nil {
		return usage(err)
	}
	for i := range scenarios {
		if scenarios[i], err = f.scenario.apply(scenarios[i]); err != nil {
			return usage(err)
		}
	}
	name, why, err := suites.Choose(cmd.Context(), f.runtime)
	if err != nil {
		return usage(err)
	}
	if err := f.prepare(); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "runtime %s: %s\n", name, why)
	seed := f.seed.orClock()
	jobs := make([]job, len(scenarios))
	for i, s := range scenarios {
		jobs[i] = job{scenario: s, runtime: name, seed: seed, args: f.scenario.arguments()}
	}
	return f.all(cmd, jobs)
}

// prepare finds out before anything is started whether the results can be
// written.
func (f *runFlags) prepare() error {
	return usage(f.writeJUnit(nil))
}

// all makes the runs one after the other; the worst of them decides.
func (f *runFlags) all(cmd *cobra.Command, jobs []job) error {
	var results []*rundir.Result
	var cases []rundir.Case
	worst := rundir.Valid
	for _, j := range jobs {
		if cmd.Context().Err() != nil {
			cases = append(cases, rundir.Case{Scenario: j.scenario.Name, Name: j.runtime, Skipped: "interrupted before it began"})
			continue
		}
		begun := time.Now()
		run, err := f.one(cmd.Context(), cmd.ErrOrStderr(), j)
		if run == nil {
			return errors.Join(err, f.writeJUnit(cases))
		}
		results = append(results, &run.Result)
		cases = append(cases, rundir.CaseOf(&run.Result, time.Since(begun), run.ReportPath()))
		worst = worse(worst, run.Result.Verdict)
		if !f.json {
			if err := report.Text(cmd.OutOrStdout(), &run.Result, run.ReportPath()); err != nil {
				return err
			}
		}
		if err != nil { // the result could not be kept
			return errors.Join(err, f.writeJUnit(cases))
		}
	}
	if f.json {
		if err := printJSON(cmd.OutOrStdout(), results); err != nil {
			return err
		}
	}
	if err := f.writeJUnit(cases); err != nil {
		return err
	}
	return codeFor(worst)
}

// one makes one run and shows its progress.
func (f *runFlags) one(ctx context.Context, stderr io.Writer, j job) (*harness.Finished, error) {
	fmt.Fprintf(stderr, "%s on %s, seed %d: %d nodes of %s, %d clients, %g operations/s, faults for %v\n",
		j.scenario.Name, j.runtime, j.seed, j.scenario.Nodes, j.scenario.Target.Name(), j.scenario.Clients, j.scenario.Rate, j.scenario.Time)
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelDebug
	}
	progress := new(harness.Progress)
	show := watch(stderr, progress)
	defer show.stop()
	return harness.Run(ctx, j.scenario, harness.Options{
		Runtime:   suites.New(j.runtime, j.scenario, j.seed),
		Seed:      j.seed,
		Out:       f.out,
		Progress:  progress,
		Log:       slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})),
		Reproduce: j.reproduce(),
	})
}

func (j job) reproduce() string {
	if j.again != "" {
		return j.again
	}
	words := []string{"cleancut", "run", j.scenario.Name, "--runtime", j.runtime, "--seed", fmt.Sprint(j.seed)}
	return strings.Join(append(words, j.args...), " ")
}

// printed is what --json prints, whatever the command and however many results
// it has.
type printed struct {
	Results []*rundir.Result `json:"results"`
}

func printJSON(w io.Writer, results []*rundir.Result) error {
	return printAsJSON(w, printed{append([]*rundir.Result{}, results...)})
}

func printAsJSON(w io.Writer, v any) error {
	b, err := jsontext.MarshalIndent(v)
	if err == nil {
		_, err = fmt.Fprintf(w, "%s\n", b)
	}
	return err
}

// writeJUnit writes the cases of a command to the file of --junit, if there is
// to be one.
func (f *runFlags) writeJUnit(cases []rundir.Case) error {
	if f.junit == "" {
		return nil
	}
	if err := rundir.WriteJUnitFile(f.junit, "cleancut", time.Now(), cases); err != nil {
		return fmt.Errorf("--junit: %w", err)
	}
	return nil
}

var ranks = map[rundir.Outcome]int{rundir.Valid: 0, rundir.Inconclusive: 1, rundir.Invalid: 2, rundir.Error: 3}

func worse(a, b rundir.Outcome) rundir.Outcome {
	if ranks[b] > ranks[a] {
		return b
	}
	return a
}

func exitCode(o rundir.Outcome) int {
	return map[rundir.Outcome]int{
		rundir.Valid: exitValid, rundir.Invalid: exitInvalid, rundir.Inconclusive: exitInconclusive, rundir.Error: exitHarness,
	}[o]
}

func codeFor(o rundir.Outcome) error {
	if code := exitCode(o); code != exitValid {
		return &exit{code: code}
	}
	return nil
}

func replayCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "replay RUN",
		Short: "Run the same again; in the simulator with an identical trace",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return f.replay(cmd, args[0]) },
	}
	f.register(cmd)
	return cmd
}

func (f *runFlags) replay(cmd *cobra.Command, path string) error {
	dir, err := rundir.Open(path)
	if err != nil {
		return usage(err)
	}
	var setup harness.Setup
	if err := dir.Scenario(&setup); err != nil {
		return usage(err)
	}
	scenario, err := suites.Rebuild(setup)
	if err != nil {
		return usage(err)
	}
	before, err := dir.Result()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return usage(err)
	}
	if _, _, err := suites.Choose(cmd.Context(), setup.Runtime); err != nil {
		return usage(err)
	}
	j := job{scenario: scenario, runtime: setup.Runtime, seed: setup.Seed, again: "cleancut replay " + quote(dir.Path)}
	if before != nil && before.Reproduce != "" {
		j.again = before.Reproduce
	}
	run, err := f.one(cmd.Context(), cmd.ErrOrStderr(), j)
	if run == nil {
		return err
	}
	if f.json {
		err = printJSON(cmd.OutOrStdout(), []*rundir.Result{&run.Result})
	} else {
		if err := report.Text(cmd.OutOrStdout(), &run.Result, run.ReportPath()); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if before != nil && before.TraceHash != "" {
		if before.TraceHash != run.Result.TraceHash {
			return fmt.Errorf("the replay took another course: trace %s, recorded was %s; the run was recorded by version %q, this is %q",
				run.Result.TraceHash, before.TraceHash, setup.Version, harness.Version())
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "replay: identical trace %s\n", run.Result.TraceHash)
	}
	return codeFor(run.Result.Verdict)
}
