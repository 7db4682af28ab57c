package harness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/rundir"
	"github.com/cleancut/cleancut/harness/sim"
)

// judge lets the checkers judge the evidence and draws the conclusion.
func judge(ctx context.Context, r *rundir.Result, e *rundir.Loaded, s Scenario, o checkers.Options) {
	if len(e.Trouble) == 0 {
		e.Trouble = r.Trouble // the account was removed since
	}
	r.Faults, r.Trouble = e.Ledger, e.Trouble
	e.Nodes = s.NodeNames()
	e.Lacking = append(e.Lacking, unaccounted(e)...)
	r.Reasons = append(r.Reasons, e.Lacking...)
	r.Operations = CountOperations(e.Operations)
	r.Strength = history.Measure(e.Events, e.Operations)
	budget := s.Target.Budget(s.Nodes)
	most, beyond := exceeded(e.Faults, budget.Down, s.free(budget), rundir.End(e.Events))
	r.Measures["nodes_hit_max"], r.Measures["nodes_tolerated"] = float64(most), float64(budget.Down)
	r.Measures["beyond_budget_seconds"] = lasting(beyond).Seconds()
	r.Notes = nil
	if len(beyond) > 0 {
		r.Notes = append(r.Notes, beyondNote(s.Target.Name(), s.Nodes, budget, beyond))
	}
	r.Checkers = checkers.Check(ctx, &e.Evidence, s.checkersOn(r.Runtime), o)
	checkers.CausesFirst(r.Checkers)
	conclude(r, !s.NoFaults, append(weakness(r, e, s), troubled(r.Trouble)...))
	if r.Verdict == rundir.Invalid && !budget.Safe && len(beyond) > 0 {
		r.Verdict = rundir.Inconclusive
		r.Reasons = append([]string{fmt.Sprintf("the plan hit %d nodes at once, and %s claims nothing beyond %d: what follows is no one's fault but the plan's",
			most, s.Target.Name(), budget.Down)}, r.Reasons...)
	}
	if r.Verdict == rundir.Invalid && !budget.Safe && len(e.Trouble) > 0 {
		r.Verdict = rundir.Inconclusive
		r.Reasons = append([]string{fmt.Sprintf("the harness had trouble of its own, so that more may have happened to nodes than the %d at once that %s claims to tolerate: what follows is not charged to it",
			budget.Down, s.Target.Name())}, r.Reasons...)
	}
}

// troubleReasons bounds how much trouble a result tells in words; all of it is
// listed in it.
const troubleReasons = 5

// troubled says that a run in which the harness had trouble proves nothing.
func troubled(list []cluster.Trouble) (reasons []string) {
	for _, t := range list[:min(len(list), troubleReasons)] {
		reasons = append(reasons, "trouble of the harness: "+checkers.TroubleText(t))
	}
	if more := len(list) - troubleReasons; more > 0 {
		reasons = append(reasons, fmt.Sprintf("and %d more troubles of the harness", more))
	}
	return reasons
}

// checkersOn returns the scenario's checkers, that of the time in which the
// target claims to serve again and, where the simulator watched the target from
// inside, that of its invariants.
func (s Scenario) checkersOn(runtime string) []checkers.Checker {
	list := slices.Clone(s.Checkers)
	if c, claimed := s.failover(runtime); claimed {
		list = append(list, c)
	}
	if t, ok := s.Target.(cluster.Simulated); ok && runtime == sim.Name {
		list = append(list, checkers.Invariants(len(t.Monitors(s.NodeNames()))))
	}
	return list
}

// Rejudge judges the evidence of an old run with the checkers of s, and
// changes nothing on disk.
func Rejudge(ctx context.Context, dir *rundir.Dir, s Scenario, o checkers.Options) (*rundir.Result, error) {
	s, err := s.configured()
	if err != nil {
		return nil, err
	}
	e, err := dir.Evidence()
	if errors.Is(err, fs.ErrNotExist) { // the harness died before it began to record
		e, err = &rundir.Loaded{Notes: []string{"there is no " + rundir.HistoryFile + ": nothing was recorded"}}, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := dir.Result()
	var added []string
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if r, err = cutOff(dir, e); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case !r.Died:
		if err := reconcile(dir, r); err != nil {
			return nil, err
		}
		e.Lacking = append(dir.Lacking(r.Evidence), rundir.Unlisted(r.Evidence, s.NodeNames())...)
		if added, err = dir.Added(r.Evidence); err != nil {
			return nil, err
		}
	}
	if r.Verdict != rundir.Error {
		r.Verdict, r.Reasons = "", unfinished(r, e)
	}
	r.Version = Version()
	judge(ctx, r, e, s, o)
	if len(added) > 0 && r.Verdict != rundir.Error { // what strangers say convicts nobody, and acquits nobody
		r.Verdict = rundir.Inconclusive
		r.Reasons = append([]string{"the run had not left " + strings.Join(added, ", ") + ", which is among its evidence now"}, r.Reasons...)
	}
	return r, nil
}

// reconcile takes from the scenario what a result says again: what was run,
// where and with which seed is written before anything happens.
func reconcile(dir *rundir.Dir, r *rundir.Result) error {
	var u Setup
	if err := dir.Scenario(&u); err != nil {
		return err
	}
	r.Scenario, r.Runtime, r.Seed = u.Scenario, u.Runtime, u.Seed
	return nil
}

// Recover judges a run whose harness died before it did so, and writes the
// result and the report, whose path it returns.
func Recover(ctx context.Context, dir *rundir.Dir, s Scenario, o checkers.Options) (path string, err error) {
	r, err := Rejudge(ctx, dir, s, o)
	if err != nil {
		return "", err
	}
	return dir.File(rundir.ReportFile), errors.Join(dir.WriteResult(r), writeReports(dir, r, lasted(r.Phases)))
}

// unfinished says what a run did not come to: such a run proves nothing, even
// if nothing is wrong.
func unfinished(r *rundir.Result, e *rundir.Loaded) (reasons []string) {
	if n := len(e.Phases); n == 0 || e.Phases[n-1].Name != PhaseFinal {
		last := PhaseProvision
		if n > 0 {
			last = e.Phases[n-1].Name
		}
		reasons = append(reasons, "the run was cut off in phase "+last)
	}
	if r.Died {
		reasons = append(reasons, "the harness died before it judged the run: what it had still to do, and to note, is not known")
		reasons = append(reasons, e.Notes...)
	}
	return reasons
}

// unaccounted says what the parts of the evidence know of each other and is
// not there.
func unaccounted(e *rundir.Loaded) (lacking []string) {
	if why := history.Unended(e.Events); why != "" {
		lacking = append(lacking, "the history is not whole: "+why)
	}
	began, injected := 0, 0
	for i := range e.Events {
		if e.Events[i].Kind == history.FaultStart {
			began++
		}
	}
	for _, f := range e.Ledger {
		if f.Frozen != "" {
			injected++
		}
	}
	if began > injected {
		lacking = append(lacking, fmt.Sprintf("the history names %d faults, and the account of faults %d", began, injected))
	}
	return lacking
}

// cutOff is what is known of a run whose harness died before it judged.
func cutOff(dir *rundir.Dir, e *rundir.Loaded) (*rundir.Result, error) {
	var u Setup
	if err := dir.Scenario(&u); err != nil {
		return nil, err
	}
	return &rundir.Result{
		Scenario: u.Scenario, Runtime: u.Runtime, Seed: u.Seed, Began: u.Began, Started: u.Began,
		Phases: phasesOf(e.Phases), Measures: map[string]float64{}, Findings: e.Findings,
		Reproduce: "cleancut replay " + dir.Path, Died: true,
	}, nil
}

// CountOperations counts operations by outcome.
func CountOperations(ops []history.Operation) (n rundir.Operations) {
	n.Total = len(ops)
	for _, op := range ops {
		switch op.Outcome {
		case history.OK:
			n.OK++
		case history.Fail:
			n.Fail++
		default:
			n.Info++
		}
	}
	return n
}

func phasesOf(list []checkers.Phase) (phases []rundir.Phase) {
	for _, p := range list {
		phases = append(phases, rundir.Phase(p))
	}
	return phases
}

// conclude sets the verdict of a run and its reasons from what r holds
// already: checkers' verdicts, faults with receipts, why the evidence is weak, and reasons
// that were known before. Invalid beats inconclusive beats valid; nothing is
// valid without evidence: a checker that had nothing to judge takes no part, and
// a run in which none had is inconclusive.
func conclude(r *rundir.Result, faultsWanted bool, weak []string) {
	var invalid, idle []string
	inconclusive := r.Reasons
	for _, v := range r.Checkers {
		switch v.Verdict {
		case checkers.NotApplicable:
			idle = append(idle, v.Checker+" had nothing to judge: "+v.Reason)
		case checkers.Invalid:
			invalid = append(invalid, v.Checker+": "+v.Reason)
		case checkers.Unknown:
			inconclusive = append(inconclusive, v.Checker+" could not decide: "+v.Reason)
		}
	}
	if len(r.Checkers) == 0 {
		inconclusive = append(inconclusive, "nothing was checked")
	} else if len(r.Checkers) == len(idle) {
		inconclusive = append(inconclusive, idle...)
	}
	inconclusive = append(inconclusive, unproven(r.Faults, faultsWanted)...)
	inconclusive = append(inconclusive, weak...)
	switch {
	case r.Verdict == rundir.Error:
		// What went wrong says it all; what it kept from being proven does not.
		r.Reasons = append(r.Reasons, invalid...)
	case len(invalid) > 0:
		r.Verdict, r.Reasons = rundir.Invalid, append(invalid, inconclusive...)
	case len(inconclusive) > 0:
		r.Verdict, r.Reasons = rundir.Inconclusive, inconclusive
	default:
		r.Verdict = rundir.Valid
		r.Reasons = []string{fmt.Sprintf("%d checkers found nothing wrong in %d operations under %d faults", len(r.Checkers)-len(idle), r.Operations.Total, len(r.Faults))}
		r.Reasons = append(r.Reasons, idle...)
	}
}

// unproven lists what was planned and left no receipt.
func unproven(list []rundir.Fault, wanted bool) (reasons []string) {
	bit := 0
	for _, f := range list {
		switch {
		case f.Bit && f.Error == "":
			bit++
		case f.Error != "":
			reasons = append(reasons, fmt.Sprintf("%s: %s", f.Fault, f.Error))
		default:
			reasons = append(reasons, fmt.Sprintf("%s left no receipt: nothing proves that it bit", f.Fault))
		}
	}
	if wanted && bit == 0 {
		reasons = append(reasons, "no fault bit")
	}
	return reasons
}

// lasted is how long a run took on its own clock, which is all that is known of
// it afterwards.
func lasted(phases []rundir.Phase) (end time.Duration) {
	for _, p := range phases {
		end = max(end, p.End)
	}
	return end
}
