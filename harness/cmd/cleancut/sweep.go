package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
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

// swept is what a worker says of one seed.
type swept struct {
	Seed      uint64         `json:"seed"`
	Verdict   rundir.Outcome `json:"verdict"`
	Reasons   []string       `json:"reasons"`
	TraceHash string         `json:"trace_hash"`
	// Diverged tells that a second run took another course.
	Diverged  bool    `json:"diverged"`
	Simulated float64 `json:"simulated_seconds"`
	Events    float64 `json:"events"`
	Ops       int     `json:"operations"`
	Error     string  `json:"error,omitempty"`
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
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	sum := &summary{scenario: s.Name, counts: map[rundir.Outcome]int{}, why: map[string]int{}, workers: f.workers}
	begun := time.Now()
	work, done := make(chan uint64), make(chan swept)
	go f.feed(ctx, work, seeds, begun)

	var wait sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range f.workers {
		wait.Go(func() {
			if err := f.work(ctx, cmd.ErrOrStderr(), s, work, done); err != nil && ctx.Err() == nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
				cancel()
			}
		})
	}
	go func() { wait.Wait(); close(done) }()
	said := time.Now()
	for r := range done {
		sum.add(r)
		if r.Diverged || r.Error != "" {
			mu.Lock()
			failed = errors.Join(failed, fmt.Errorf("%s, seed %d: %s", s.Name, r.Seed, r.problem()))
			mu.Unlock()
			cancel()
		}
		if sum.find != nil && !f.keepGoing {
			cancel()
		}
		if time.Since(said) > plainEvery {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %d seeds, %.0f a second, %d invalid, %d inconclusive\n", s.Name, sum.runs,
				float64(sum.runs)/time.Since(begun).Seconds(), sum.counts[rundir.Invalid], sum.counts[rundir.Inconclusive])
			said = time.Now()
		}
	}
	sum.took = time.Since(begun)
	if failed == nil && cmd.Context().Err() != nil && sum.find == nil {
		failed = &exit{exitInconclusive, fmt.Errorf("%s: interrupted after %d seeds", s.Name, sum.runs)}
	}
	return sum, failed
}

func (r swept) problem() string {
	if r.Diverged {
		return "two runs took different courses: the simulation is not deterministic"
	}
	return r.Error
}

// feed hands out the seeds of this part until they or the time run out.
func (f *sweepFlags) feed(ctx context.Context, work chan<- uint64, r seedRange, begun time.Time) {
	defer close(work)
	for seed := r.from; seed <= r.to; seed++ {
		if (seed-r.from)%r.parts != r.part {
			continue
		}
		if f.duration > 0 && time.Since(begun) > f.duration {
			return
		}
		select {
		case work <- seed:
		case <-ctx.Done():
			return
		}
	}
}

// work keeps one worker process busy: a seed a line goes in, a result a line
// comes out.
func (f *sweepFlags) work(ctx context.Context, stderr io.Writer, s harness.Scenario, work <-chan uint64, done chan<- swept) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := append([]string{"worker", s.Name, "--twice", strconv.Itoa(f.twice)}, f.run.scenario.raw()...)
	cmd := exec.CommandContext(ctx, self, args...)
	// A seed leaves some 10 MB of garbage and next to nothing alive: with the
	// default of 100, the collector takes a quarter of the time. Who sets
	// these variables has the last word, but for the thread.
	cmd.Env = slices.Concat([]string{"GOGC=800", "GOMEMLIMIT=1GiB"}, os.Environ(), []string{"GOMAXPROCS=1"})
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	results := json.NewDecoder(bufio.NewReader(out))
	for seed := range work {
		if _, err = fmt.Fprintln(in, seed); err != nil {
			break
		}
		var r swept
		if err = results.Decode(&r); err != nil {
			break
		}
		done <- r
	}
	closeErr := in.Close()
	if waitErr := cmd.Wait(); err != nil || waitErr != nil {
		return fmt.Errorf("a worker of the sweep died: %w", errors.Join(err, waitErr, closeErr))
	}
	return nil
}

// workerCommand is the other side of work. It is not for people.
func workerCommand() *cobra.Command {
	var f scenarioFlags
	var twice int
	cmd := &cobra.Command{Use: "worker SCENARIO", Hidden: true, Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		found, err := suites.Find(args)
		if err != nil {
			return usage(err)
		}
		s, err := f.apply(found[0])
		if err != nil {
			return usage(err)
		}
		enc := json.NewEncoder(cmd.OutOrStdout())
		lines := bufio.NewScanner(cmd.InOrStdin())
		for lines.Scan() {
			seed, err := strconv.ParseUint(lines.Text(), 10, 64)
			if err != nil {
				return err
			}
			if err := enc.Encode(sweepOne(cmd.Context(), s, seed, twice)); err != nil {
				return err
			}
		}
		return lines.Err()
	}}
	f.register(cmd.Flags())
	cmd.Flags().IntVar(&twice, "twice", 0, "")
	return cmd
}

// sweepOne runs a seed in memory.
func sweepOne(ctx context.Context, s harness.Scenario, seed uint64, twice int) swept {
	once := func() (*harness.Finished, error) {
		return harness.Run(ctx, s, harness.Options{Runtime: suites.New(sim.Name, s, seed), Seed: seed})
	}
	run, err := once()
	if err != nil {
		return swept{Seed: seed, Verdict: rundir.Error, Error: err.Error()}
	}
	r := run.Result
	out := swept{
		Seed: seed, Verdict: r.Verdict, Reasons: r.Reasons, TraceHash: r.TraceHash,
		Simulated: r.Measures["run_seconds"], Events: r.Measures["events"], Ops: r.Operations.Total,
	}
	if twice > 0 && seed%uint64(twice) == 0 {
		again, err := once()
		out.Diverged = err != nil || again.Result.TraceHash != r.TraceHash
	}
	return out
}
