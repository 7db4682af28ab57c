package harness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/report"
	"github.com/cleancut/cleancut/harness/rundir"
	"github.com/cleancut/cleancut/harness/sim"
)

// Options say where and how a scenario is run.
type Options struct {
	// Runtime starts the cluster; required.
	Runtime cluster.Runtime
	// Seed decides everything random. In the simulator it decides everything.
	Seed uint64
	// Out is the folder that takes the run directory. "" keeps the evidence
	// in memory and writes no report: for sweeps of many seeds.
	Out string
	// Progress, if set, shows how the run is getting on.
	Progress *Progress
	// Log takes what the harness and the runtime do; nil for silence.
	Log *slog.Logger
	// Check bounds the checkers.
	Check checkers.Options
	// Reproduce is the command line that runs the same again.
	Reproduce string
	// haste divides all bounds on the wall clock; 0 stands for 1.
	haste int
}

// Finished is a run that has been judged.
type Finished struct {
	Result rundir.Result
	// Dir is the run directory, "" if the evidence was kept in memory.
	Dir string
	// Evidence is what the checkers saw.
	Evidence *checkers.Evidence
}

// ReportPath returns where the report is, "" if there is none.
func (f *Finished) ReportPath() string {
	path := filepath.Join(f.Dir, rundir.ReportFile)
	if info, err := os.Lstat(path); f.Dir == "" || err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return path
}

// Run starts s's cluster, takes it through all phases, judges and reports.
//
// It fails with an error that wraps ErrRefused, and no result, if the run
// makes no sense or cannot be had; nothing is left behind then. Whatever goes
// wrong once the cluster stands gives a result with the verdict Error, which
// the evidence and the report explain. Cancelling ctx ends the run early: it
// heals, collects, judges what there is, and cleans up.
//
// The cluster is taken down before its history is judged: the evidence is on
// disk by then, and a long search should not hold containers.
func Run(ctx context.Context, s Scenario, o Options) (*Finished, error) {
	s, drawn := s.WithDefaults().varied(o.Seed)
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if o.Reproduce != "" {
		o.Reproduce += drawn
	}
	given := s.Settings
	s, err := s.configured()
	if err == nil {
		s, err = s.seeded(o.Seed, given)
	}
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = Silent()
	}
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	plan := s.Plan
	if plan == nil && !s.NoFaults {
		plan = s.Drawing.Draw(o.Seed, s.Nodes, s.Time)
	}
	started := time.Now() // for people: the run's clock is the cluster's
	keep, err := newKeeper(o.Out, s.Name, o.Seed, started, s.setup(o.Runtime.Name(), o.Seed, plan))
	if err != nil {
		return nil, err
	}
	t := &trial{
		scenario: s, seed: o.Seed, plan: plan, strict: s.Plan != nil, keepLogs: keep.dir == nil,
		progress: o.Progress, measures: map[string]float64{}, haste: o.haste,
	}
	t.onPlan = func(kept faults.Plan) error {
		u := s.setup(o.Runtime.Name(), o.Seed, kept)
		if u.Runtime != sim.Name {
			t.began = time.Now().Add(-t.cluster.Now()).UTC()
			u.Began = t.began
		}
		return keep.setup(u)
	}
	runErr := start(ctx, s, o, keep, t)
	if errors.Is(runErr, ErrRefused) || (errors.Is(runErr, cluster.ErrUnavailable) && t.recorder == nil) {
		if !errors.Is(runErr, ErrRefused) {
			runErr = fmt.Errorf("%w: %w", ErrRefused, runErr)
		}
		return nil, errors.Join(runErr, keep.discard())
	}
	return finish(ctx, s, o, keep, t, runErr, started)
}

// start runs the trial on a cluster and keeps its evidence.
func start(ctx context.Context, s Scenario, o Options, keep *keeper, t *trial) error {
	spec := cluster.Spec{
		Run: NewRunID(), Target: s.Target, Settings: s.Settings, Nodes: s.NodeNames(), Seed: o.Seed, Bug: s.Bug,
		EvidenceDir: keep.nodes(), Log: o.Log, OnTrouble: keep.trouble.Add,
	}
	t.undo = "remove the cluster of run " + spec.Run
	err := o.Runtime.Run(ctx, spec, func(ctx context.Context, c cluster.Cluster) error {
		t.cluster, t.recorder, t.ledger, t.trouble = c, history.NewRecorder(c.Now, keep.sink), keep.ledger, keep.trouble
		err := t.run(ctx)
		return errors.Join(err, t.recorder.Close(), keep.evidence(t))
	})
	return errors.Join(err, keep.trouble.Close())
}

// finish judges the evidence, writes result and report, and says so.
func finish(ctx context.Context, s Scenario, o Options, keep *keeper, t *trial, runErr error, started time.Time) (*Finished, error) {
	r := rundir.Result{
		Scenario: s.Name, Runtime: o.Runtime.Name(), Seed: o.Seed, TraceHash: t.traceHash,
		Measures: t.measures, Phases: t.phases, Unavailable: t.unavailable,
		Reproduce: o.Reproduce, Started: started, Began: t.began, Version: Version(), Findings: t.findings,
	}
	switch {
	case wasInterrupted(ctx, runErr):
		r.Verdict, r.Reasons = rundir.Inconclusive, []string{runErr.Error()}
	case runErr != nil:
		r.Verdict, r.Reasons = rundir.Error, []string{runErr.Error()}
	}
	e, err := keep.load(t)
	if err != nil {
		r.Verdict = rundir.Error
		r.Reasons = append(r.Reasons, err.Error())
		e = &rundir.Loaded{}
	}
	judging, stop := afterInterrupt(ctx, interruptedJudgeMax)
	defer stop()
	judge(judging, &r, e, s, o.Check)
	done := &Finished{Result: r, Evidence: &e.Evidence}
	if keep.dir == nil {
		return done, nil
	}
	done.Dir = keep.dir.Path
	if err := conserve(keep.dir, &r, time.Since(started)); err != nil {
		// What is told must be what is kept: a verdict that nobody can read
		// again is none.
		r.Verdict, r.Reasons = rundir.Error, append([]string{"the result could not be kept: " + err.Error()}, r.Reasons...)
		done.Result = r
		return done, err
	}
	done.Result = r
	return done, nil
}

// conserve writes the result, with the list of all evidence, and the reports.
func conserve(dir *rundir.Dir, r *rundir.Result, took time.Duration) (err error) {
	if r.Evidence, err = dir.Inventory(); err != nil {
		return err
	}
	return errors.Join(dir.WriteResult(r), writeReports(dir, r, took))
}

// wasInterrupted tells that nothing is wrong but that somebody pressed Ctrl-C.
func wasInterrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, context.Canceled)
}

func writeReports(dir *rundir.Dir, r *rundir.Result, took time.Duration) error {
	c := rundir.CaseOf(r, took, dir.File(rundir.ReportFile))
	err := rundir.WriteJUnitFile(dir.File(rundir.JUnitFile), r.Scenario, r.Started, []rundir.Case{c})
	_, reportErr := report.Write(dir)
	return errors.Join(err, reportErr)
}

// keeper keeps evidence: in a run directory, or in memory.
type keeper struct {
	dir    *rundir.Dir
	sink   history.Sink
	ledger *rundir.Ledger
	// trouble takes what goes wrong until the runtime has returned.
	trouble *rundir.TroubleLog
}

func newKeeper(out, scenario string, seed uint64, started time.Time, setup Setup) (*keeper, error) {
	if out == "" {
		return &keeper{sink: &history.Memory{}, ledger: rundir.NewLedger(nil), trouble: rundir.NewTroubleLog()}, nil
	}
	dir, err := rundir.Create(out, scenario, seed, started, setup)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	k := &keeper{dir: dir}
	if k.ledger, err = dir.Ledger(); err != nil {
		return nil, err
	}
	if k.trouble, err = dir.Trouble(); err != nil {
		return nil, err
	}
	k.sink, err = history.CreateFile(dir.File(rundir.HistoryFile), history.FileOptions{})
	return k, err
}

func (k *keeper) nodes() string {
	if k.dir == nil {
		return ""
	}
	return k.dir.NodesDir()
}

// setup writes scenario.json anew, once it is known which faults of the plan
// can be had.
func (k *keeper) setup(u Setup) error {
	if k.dir == nil {
		return nil
	}
	return k.dir.WriteScenario(u)
}

// discard removes a run directory in which nothing happened.
func (k *keeper) discard() error {
	if k.dir == nil {
		return nil
	}
	// They are closed already if the cluster stood, and they go in any case.
	_, _, _ = k.sink.Close(), k.ledger.Close(), k.trouble.Close()
	return k.dir.Remove()
}

// evidence writes what the trial collected beside history and ledger.
func (k *keeper) evidence(t *trial) error {
	if k.dir == nil {
		return nil
	}
	err := errors.Join(k.ledger.Close(), k.dir.WriteFindings(t.findings), k.dir.WriteRecord(t.record, t.recordHoles))
	for _, f := range t.finals {
		err = errors.Join(err, k.dir.WriteFinal(f))
	}
	return err
}

// load returns the evidence as checkers want it. From a run directory it is
// read back, so that what is judged is what is kept.
func (k *keeper) load(t *trial) (*rundir.Loaded, error) {
	if k.dir != nil {
		l, err := k.dir.Evidence()
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("nothing was recorded")
		}
		return l, err
	}
	events := k.sink.(*history.Memory).Events()
	ops, err := history.Operations(events)
	if err != nil {
		return nil, err
	}
	l := &rundir.Loaded{Ledger: k.ledger.Faults()}
	l.Events, l.Operations, l.Phases = events, ops, rundir.Phases(events)
	l.Faults = rundir.Windows(l.Ledger, rundir.End(events))
	l.Finals, l.Logs, l.Findings, l.Record = t.finals, t.logs, t.findings, t.record
	l.Trouble = k.trouble.List()
	if t.recordHoles != nil {
		l.RecordHoles = t.recordHoles.Error()
	}
	return l, nil
}

var runs atomic.Uint64

// NewRunID returns a name for a run that is unique on this machine.
func NewRunID() string {
	return fmt.Sprintf("%d-%d-%d", os.Getpid(), time.Now().UnixNano(), runs.Add(1))
}

// Silent returns a logger that drops everything.
func Silent() *slog.Logger { return slog.New(slog.DiscardHandler) }
