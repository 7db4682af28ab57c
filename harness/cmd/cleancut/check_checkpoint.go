package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/recovery"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/internal/files"
	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/harness/rundir"
)

// checkpointWorkload is what --workload says of a record of events.
const checkpointWorkload = "checkpoint"

// eventSize is what an event takes in memory, about, with its strings.
const eventSize = 500

// recordModels are the models of --model if a record is to be judged by them;
// ok is false where the names are those of other models.
func (f *checkFlags) recordModels() (list []string, ok bool) {
	if f.workload != checkpointWorkload {
		return nil, false
	}
	list = strings.FieldsFunc(f.model, func(r rune) bool { return r == ',' })
	if len(list) == 0 {
		usual, _ := defaultModel(checkpointWorkload)
		return []string{usual}, true
	}
	for _, name := range list {
		if _, known := find(name, checkpointWorkload); known && !slices.Contains(recovery.Names(), name) {
			return nil, false
		}
	}
	return list, true
}

// checkRecord judges a record of events by models of recovery.
func (f *checkFlags) checkRecord(cmd *cobra.Command, path string, names []string) error {
	var idle []string
	cmd.Flags().Visit(func(g *pflag.Flag) {
		if !slices.Contains([]string{"workload", "model", "format", "memory", "timeout", "json"}, g.Name) {
			idle = append(idle, "--"+g.Name)
		}
	})
	if len(idle) > 0 {
		return usage(fmt.Errorf("%s: for histories, not for records of events", strings.Join(idle, ", ")))
	}
	if f.format != "" && f.format != formatJSONL {
		return usage(fmt.Errorf("--format %s: a record of events is %s", f.format, formatJSONL))
	}
	events, torn, err := readRecord(path, f.total()/2)
	var broken *record.Broken
	if errors.As(err, &broken) {
		err = nil
		if !slices.Contains(names, "all") && !slices.Contains(names, recovery.Identity) {
			names = append(names, recovery.Identity) // whatever was asked for
		}
	}
	if err != nil {
		return usage(fmt.Errorf("%s: %w", path, err))
	}
	list, err := recovery.Checkers(recovery.Options{Read: true, Broken: broken, Memory: f.total() / 2}, names...)
	if err != nil {
		return usage(fmt.Errorf("--model: %w", err))
	}
	verdicts := checkers.Check(cmd.Context(), &checkers.Evidence{Record: events}, list, checkers.Options{Timeout: f.timeout, Memory: true})
	checkers.CausesFirst(verdicts)
	r := &rundir.Result{
		Scenario: filepath.Base(path), Checkers: verdicts, Version: harness.Version(),
		Measures: map[string]float64{"events": float64(len(events))}, Reproduce: f.reproduce(cmd, path),
		Verdict: rundir.OutcomeOf(checkers.Merge(verdicts)),
	}
	for _, v := range verdicts {
		if v.Verdict == checkers.Invalid || v.Verdict == checkers.Unknown || r.Verdict == rundir.Inconclusive && v.Verdict != checkers.Valid || len(verdicts) == 1 {
			r.Reasons = append(r.Reasons, v.Checker+": "+v.Reason)
		}
		for name, x := range v.Measures {
			r.Measures[name] = x
		}
	}
	if torn {
		r.Reasons = append(r.Reasons, "the last line is incomplete and was left out")
	}
	if err := f.print(cmd, r); err != nil {
		return err
	}
	return codeFor(r.Verdict)
}

// readRecord reads a record from a file, which may be compressed by gzip.
func readRecord(path string, memory int64) ([]record.Event, bool, error) {
	f, err := files.OpenGiven(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	r, err := plain(f)
	if err != nil {
		return nil, false, err
	}
	limits := record.Limits{}
	limits.Events = int(max(1, memory/eventSize))
	events, torn, err := record.Read(r, limits)
	if err == nil && len(events) == 0 {
		err = errors.New("the record is empty")
	}
	return events, torn, err
}

// recordRows are the rows of `list models` for records.
func recordRows() (rows [][]string) {
	for _, m := range recovery.Models() {
		rows = append(rows, []string{m.Name, checkpointWorkload, m.Doc})
	}
	return rows
}
