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
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/rundir"
	"github.com/cleancut/cleancut/harness/sim"
	"github.com/cleancut/cleancut/suites"
)

// fleet is a number of processes that simulate scenarios, changed by flags, a
// seed at a time: a process can hold one simulation only, and what breaks one of
// them breaks no other.
type fleet struct {
	scenarios []string
	flags     []string
	workers   int
	twice     int           // every n-th seed runs twice
	duration  time.Duration // after which no further seed is begun, if positive
	stderr    io.Writer
}

// errand is what a worker is sent for: a seed of one of the fleet's scenarios.
type errand struct {
	scenario int
	seed     uint64
}

// swept is what a worker says of one seed.
type swept struct {
	Scenario  int            `json:"scenario"` // its place among the fleet's
	Seed      uint64         `json:"seed"`
	Verdict   rundir.Outcome `json:"verdict"`
	Reasons   []string       `json:"reasons"`
	TraceHash string         `json:"trace_hash"`
	// Signatures say what was violated: see signaturesOf.
	Signatures []violation `json:"signatures,omitempty"`
	// Again is the command line that runs the seed again.
	Again string `json:"again,omitempty"`
	// Diverged tells that a second run took another course.
	Diverged  bool    `json:"diverged"`
	Simulated float64 `json:"simulated_seconds"`
	Events    float64 `json:"events"`
	Ops       int     `json:"operations"`
	// Faults counts what was injected, by kind.
	Faults map[string]faultCount `json:"faults,omitempty"`
	// Completion has the completion_* measures of a checkpointed job.
	Completion map[string]float64 `json:"completion,omitempty"`
	Error      string             `json:"error,omitempty"`
}

// faultCount counts the faults of a kind, and those that left a receipt.
type faultCount struct {
	Injected int `json:"injected"`
	Receipts int `json:"receipts"`
}

func (r swept) problem() string {
	if r.Diverged {
		return "two runs took different courses: the simulation is not deterministic"
	}
	return r.Error
}

// run simulates the seeds of each scenario and tells each of what came of one,
// in the order in which they end, until that says stop: then no further seed is
// begun, and those under way come to their end. A simulation that failed or
// diverged ends it with an error.
func (f fleet) run(ctx context.Context, seeds seedRange, each func(swept) (goOn bool)) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	feeding, stop := context.WithCancel(inner)
	defer stop()
	work, done := make(chan errand), make(chan swept)
	go f.feed(feeding, work, seeds, time.Now())

	var wait sync.WaitGroup
	var mu sync.Mutex
	var failed error
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		failed = errors.Join(failed, err)
		stop()
	}
	for range f.workers {
		wait.Go(func() {
			if err := f.work(inner, work, done); err != nil && inner.Err() == nil {
				fail(err)
			}
		})
	}
	go func() { wait.Wait(); close(done) }()
	for r := range done {
		goOn := each(r)
		if r.Diverged || r.Error != "" {
			fail(fmt.Errorf("%s, seed %d: %s", f.scenarios[r.Scenario], r.Seed, r.problem()))
		}
		if !goOn {
			stop()
		}
	}
	return failed
}

// feed hands out the seeds of this part until they or the time run out: each
// seed to all scenarios in turn.
func (f fleet) feed(ctx context.Context, work chan<- errand, r seedRange, begun time.Time) {
	defer close(work)
	for seed := r.from; seed <= r.to; seed++ {
		if (seed-r.from)%r.parts != r.part {
			continue
		}
		for i := range f.scenarios {
			if f.duration > 0 && time.Since(begun) > f.duration {
				return
			}
			select {
			case work <- errand{i, seed}:
			case <-ctx.Done():
				return
			}
		}
	}
}

// work keeps one worker process busy: a scenario and a seed go in by line, a result a line
// comes out.
func (f fleet) work(ctx context.Context, work <-chan errand, done chan<- swept) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := slices.Concat([]string{"worker"}, f.scenarios, []string{"--twice", strconv.Itoa(f.twice)}, f.flags)
	cmd := exec.CommandContext(ctx, self, args...)
	// A seed leaves some 10 MB of garbage and next to nothing alive: with the
	// default of 100, the collector takes a quarter of the time. Who sets
	// these variables has the last word, but for the thread.
	cmd.Env = slices.Concat([]string{"GOGC=800", "GOMEMLIMIT=1GiB"}, os.Environ(), []string{"GOMAXPROCS=1"})
	cmd.Stderr = f.stderr
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
	for e := range work {
		if _, err = fmt.Fprintln(in, e.scenario, e.seed); err != nil {
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
	cmd := &cobra.Command{Use: "worker SCENARIO…", Hidden: true, Args: cobra.MinimumNArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		scenarios, err := suites.Find(args)
		if err != nil {
			return usage(err)
		}
		for i := range scenarios {
			if scenarios[i], err = f.apply(scenarios[i]); err != nil {
				return usage(err)
			}
		}
		enc := json.NewEncoder(cmd.OutOrStdout())
		lines := bufio.NewScanner(cmd.InOrStdin())
		for lines.Scan() {
			var e errand
			if _, err := fmt.Sscan(lines.Text(), &e.scenario, &e.seed); err != nil || e.scenario < 0 || e.scenario >= len(scenarios) {
				return fmt.Errorf("%q: expected the place of a scenario and a seed", lines.Text())
			}
			s := scenarios[e.scenario]
			again := job{scenario: s, runtime: sim.Name, seed: e.seed, args: f.arguments()}.reproduce()
			r := sweepOne(cmd.Context(), s, e.seed, twice, again)
			r.Scenario = e.scenario
			if err := enc.Encode(r); err != nil {
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
func sweepOne(ctx context.Context, s harness.Scenario, seed uint64, twice int, again string) swept {
	once := func() (*harness.Finished, error) {
		return harness.Run(ctx, s, harness.Options{Runtime: suites.New(sim.Name, s, seed), Seed: seed, Reproduce: again})
	}
	run, err := once()
	if err != nil {
		return swept{Seed: seed, Verdict: rundir.Error, Error: err.Error(), Again: again}
	}
	r := run.Result
	out := swept{
		Seed: seed, Verdict: r.Verdict, Reasons: r.Reasons, TraceHash: r.TraceHash, Signatures: violationsOf(&r), Again: r.Reproduce,
		Simulated: r.Measures["run_seconds"], Events: r.Measures["events"], Ops: r.Operations.Total,
		Faults: map[string]faultCount{}, Completion: map[string]float64{},
	}
	for _, f := range r.Faults {
		if f.Error != "" && !f.Bit {
			continue // it never was in force
		}
		n := out.Faults[f.Kind]
		n.Injected++
		if f.Bit {
			n.Receipts++
		}
		out.Faults[f.Kind] = n
	}
	for _, c := range r.Checkers {
		for name, value := range c.Measures {
			if strings.HasPrefix(name, "completion_") {
				out.Completion[name] = value
			}
		}
	}
	if twice > 0 && seed%uint64(twice) == 0 {
		second, err := once()
		out.Diverged = err != nil || second.Result.TraceHash != r.TraceHash
	}
	return out
}
