// NOTICE TO THE HELPER OF THIS WORKTREE (do not commit this): you were started late, and a second helper (branch
// finds2) already does points 14, 16 and 34 of issue 10 (34 and half of 16 are done). Do ONLY points 18, then 15.
// Merge main often; land after each point.
package main

import (
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
}

func sweepCommand() *cobra.Command {
	var f sweepFlags
	cmd := &cobra.Command{
		Use:   "sweep SCENARIO…",
		Short: "Run many seeds in the simulator and stop at the first violation",
		Long: `sweep runs each scenario in the simulator with one seed after the other, in
worker processes, and stops at the first violation, which it runs again to
leave a run directory. With --twice N every N-th seed runs twice, and both
traces must be identical.`,
		Example: `  cleancut sweep replication/raft-swarm --seeds 1..1000
  cleancut sweep replication/raft-votes --bug vote-not-persisted --seeds 1..100000
  cleancut sweep replication/raft-trio --for 10m --keep-going`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.sweep(cmd, args) },
	}
	f.run.scenario.register(cmd.Flags())
	f.run.register(cmd)
	cmd.Flags().StringVar(&f.seeds, "seeds", "1..100", "seeds to run, from A to B")
	cmd.Flags().StringVar(&f.shard, "shard", "", "run only the I-th of N parts of the seeds, as I/N")
	cmd.Flags().DurationVar(&f.duration, "for", 0, "start no further seed after this time; without --seeds, run until then")
	cmd.Flags().IntVar(&f.workers, "workers", runtime.GOMAXPROCS(0), "worker processes")
	cmd.Flags().IntVar(&f.twice, "twice", 0, "run every N-th seed twice and compare the traces")
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

func (f *sweepFlags) sweep(cmd *cobra.Command, names []string) error {
	scenarios, err := suites.Find(names)
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
	worst := rundir.Valid
	var results []*rundir.Result
	for _, s := range scenarios {
		if s, err = f.run.scenario.apply(s); err != nil {
			return usage(err)
		}
		if !slices.Contains(suites.RuntimesOf(s), suites.Sim) {
			return usage(fmt.Errorf("%s cannot be swept: its target %s cannot be simulated; run it with --runtime docker", s.Name, s.Target.Name()))
		}
		sum, err := f.scenario(cmd, s, seeds)
		fmt.Fprintln(cmd.ErrOrStderr(), sum)
		if err != nil {
			return err
		}
		worst = worse(worst, sum.worst())
		if sum.find == nil {
			continue
		}
		j := job{scenario: s, runtime: sim.Name, seed: sum.find.Seed, args: f.run.scenario.arguments()}
		run, err := f.run.one(cmd.Context(), cmd.ErrOrStderr(), j)
		if run == nil {
			return err
		}
		results = append(results, &run.Result)
		if !f.run.json {
			if err := report.Text(cmd.OutOrStdout(), &run.Result, run.ReportPath()); err != nil {
				return err
			}
		}
	}
	if f.run.json {
		if err := printJSON(cmd.OutOrStdout(), results); err != nil {
			return err
		}
	}
	if f.run.junit != "" {
		if err := writeJUnit(f.run.junit, results); err != nil {
			return err
		}
	}
	return codeFor(worst)
}

// summary is the outcome of a sweep.
type summary struct {
	scenario      string
	counts        map[rundir.Outcome]int
	why           map[string]int // reasons for inconclusive runs
	find          *swept
	simulated     float64
	events        float64
	ops           int
	took          time.Duration
	workers, runs int
}

func (s *summary) add(r swept) {
	s.runs++
	s.counts[r.Verdict]++
	s.simulated += r.Simulated
	s.events += r.Events
	s.ops += r.Ops
	if r.Verdict == rundir.Inconclusive && len(s.why) < 1000 {
		for _, reason := range r.Reasons {
			s.why[reason]++
		}
	}
	if (r.Verdict == rundir.Invalid || r.Verdict == rundir.Error) && (s.find == nil || r.Seed < s.find.Seed) {
		s.find = &r
	}
}

func (s *summary) worst() rundir.Outcome {
	worst := rundir.Valid
	for o := range s.counts {
		worst = worse(worst, o)
	}
	return worst
}

// String prints the summary, with the most frequent reasons for inconclusive
// runs.
func (s *summary) String() string {
	text := fmt.Sprintf("%s: %d seeds in %v on %d workers: %d valid, %d invalid, %d inconclusive, %d errors; "+
		"%.0f simulated seconds (%.0f a second), %d operations, %.2g events a second",
		s.scenario, s.runs, s.took.Round(10*time.Millisecond), s.workers,
		s.counts[rundir.Valid], s.counts[rundir.Invalid], s.counts[rundir.Inconclusive], s.counts[rundir.Error],
		s.simulated, s.simulated/s.took.Seconds(), s.ops, s.events/s.took.Seconds())
	reasons := make([]string, 0, len(s.why))
	for r := range s.why {
		reasons = append(reasons, r)
	}
	slices.SortFunc(reasons, func(a, b string) int {
		if s.why[a] != s.why[b] {
			return s.why[b] - s.why[a]
		}
		return strings.Compare(a, b)
	})
	for _, r := range reasons[:min(10, len(reasons))] {
		text += fmt.Sprintf("\n  inconclusive %d times: %s", s.why[r], r)
	}
	return text
}

// scenario sweeps one scenario over the seeds.
func (f *sweepFlags) scenario(cmd *cobra.Command, s harness.Scenario, seeds seedRange) (*summary, error) {
	sum := &summary{scenario: s.Name, counts: map[rundir.Outcome]int{}, why: map[string]int{}, workers: f.workers}
	begun := time.Now()
	said := begun
	err := fleet{s.Name, f.run.scenario.raw(), f.workers, f.twice, f.duration, cmd.ErrOrStderr()}.run(cmd.Context(), seeds, func(r swept) bool {
		sum.add(r)
		if time.Since(said) > plainEvery {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %d seeds, %.0f a second, %d invalid, %d inconclusive\n", s.Name, sum.runs,
				float64(sum.runs)/time.Since(begun).Seconds(), sum.counts[rundir.Invalid], sum.counts[rundir.Inconclusive])
			said = time.Now()
		}
		return sum.find == nil || f.keepGoing
	})
	sum.took = time.Since(begun)
	if err == nil && cmd.Context().Err() != nil && sum.find == nil {
		err = &exit{exitInconclusive, fmt.Errorf("%s: interrupted after %d seeds", s.Name, sum.runs)}
	}
	return sum, err
}
