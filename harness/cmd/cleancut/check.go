package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/linear"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/report"
	"github.com/cleancut/cleancut/harness/rundir"
	"github.com/cleancut/cleancut/suites"
	"github.com/cleancut/cleancut/workloads"
)

// linearizable is the one model that is there yet.
const linearizable = "linearizable"

// checkFlags are those of check.
type checkFlags struct {
	workload, model, format string
	timeout                 time.Duration
	memory                  int64
	json                    bool
}

func checkCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check RUN|HISTORY",
		Short: "Judge a recorded run again, or a history from elsewhere",
		Long: `check judges the folder of a run with all checkers of its scenario, and leaves
the folder as it is. A file is taken for a history in JSONL, one event a line,
and judged by --workload and --model.`,
		Example: `  cleancut check runs/replication/raft-partitions/latest
  cleancut check history.jsonl --workload cas-register --model linearizable`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := os.Stat(args[0])
			if err != nil {
				return usage(err)
			}
			if info.IsDir() {
				return f.checkRun(cmd, args[0])
			}
			return f.checkHistory(cmd, args[0])
		},
	}
	cmd.Flags().StringVar(&f.workload, "workload", "", "what the clients of a history did: register, cas-register or kv")
	cmd.Flags().StringVar(&f.model, "model", linearizable, "what a history is to be: linearizable")
	cmd.Flags().StringVar(&f.format, "format", "jsonl", "format of a history: jsonl")
	cmd.Flags().DurationVar(&f.timeout, "timeout", checkers.DefaultTimeout, "bound on the time of each checker; beyond it the verdict is unknown")
	cmd.Flags().Int64Var(&f.memory, "memory", 0, "bound on the memory of a search, in bytes; 0 for the default")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the result as JSON")
	return cmd
}

// checkRun judges the evidence in a run directory.
func (f *checkFlags) checkRun(cmd *cobra.Command, path string) error {
	dir, s, err := openRun(path)
	if err != nil {
		return usage(err)
	}
	result, err := harness.Rejudge(cmd.Context(), dir, s, checkers.Options{Timeout: f.timeout})
	if err != nil {
		return usage(err)
	}
	if err := f.print(cmd, result); err != nil {
		return err
	}
	return codeFor(result.Verdict)
}

// openRun opens a run directory and rebuilds the scenario that was run.
func openRun(path string) (*rundir.Dir, harness.Scenario, error) {
	dir, err := rundir.Open(path)
	if err != nil {
		return nil, harness.Scenario{}, err
	}
	var setup harness.Setup
	if err := dir.Scenario(&setup); err != nil {
		return nil, harness.Scenario{}, err
	}
	s, err := suites.Rebuild(setup)
	return dir, s, err
}

// recoverRun judges and reports a run that was never judged.
func recoverRun(ctx context.Context, path string) (string, error) {
	dir, s, err := openRun(path)
	if err != nil {
		return "", err
	}
	return harness.Recover(ctx, dir, s, checkers.Options{})
}

// checkHistory judges a history by a model.
func (f *checkFlags) checkHistory(cmd *cobra.Command, path string) error {
	if f.format != "jsonl" {
		return usage(fmt.Errorf("--format %q: expected jsonl", f.format))
	}
	if f.model != linearizable {
		return usage(fmt.Errorf("--model %q: expected linearizable", f.model))
	}
	if f.workload == "" {
		return usage(errors.New("--workload is needed to judge a history: register, cas-register or kv"))
	}
	if _, err := workloads.Lookup(f.workload); err != nil {
		return usage(err)
	}
	e, err := harness.LoadHistory(path)
	if err != nil {
		return usage(err)
	}
	checker := linear.Checker(linear.Spec{}, linear.Options{Memory: f.memory})
	verdicts := checkers.Check(cmd.Context(), e, []checkers.Checker{checker}, checkers.Options{Timeout: f.timeout})
	outcome := map[checkers.Validity]rundir.Outcome{
		checkers.Valid: rundir.Valid, checkers.Invalid: rundir.Invalid, checkers.Unknown: rundir.Inconclusive,
	}[checkers.Merge(verdicts)]
	result := &rundir.Result{
		Scenario: filepath.Base(path), Verdict: outcome, Checkers: verdicts, Version: harness.Version(),
		Operations: harness.CountOperations(e.Operations), Strength: history.Measure(e.Events, e.Operations),
		Measures: map[string]float64{}, Reasons: []string{verdicts[0].Reason},
		Reproduce: fmt.Sprintf("cleancut check %s --workload %s --model %s", quote(path), f.workload, f.model),
	}
	if err := f.print(cmd, result); err != nil {
		return err
	}
	return codeFor(outcome)
}

func (f *checkFlags) print(cmd *cobra.Command, r *rundir.Result) error {
	if f.json {
		return printJSON(cmd.OutOrStdout(), []*rundir.Result{r})
	}
	return report.Text(cmd.OutOrStdout(), r, "")
}

func reportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "report RUN",
		Short: "Write the report of a run again; judge it if its harness died before",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := rundir.Open(args[0])
			if err != nil {
				return usage(err)
			}
			path, err := report.Write(dir)
			if errors.Is(err, fs.ErrNotExist) {
				path, err = recoverRun(cmd.Context(), args[0])
			}
			if err != nil {
				return usage(err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), path)
			return nil
		},
	}
}
