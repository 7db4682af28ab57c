package harness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/harness/rundir"
	"github.com/cleancut/cleancut/harness/sim"
)

// The phases of a run, in order. Checkers know them by these names.
const (
	PhaseProvision = "provision"
	PhaseWarmUp    = "warm-up"
	PhaseFaults    = "faults"
	PhaseHeal      = "heal"
	PhaseLiveness  = "liveness"
	PhaseFinal     = "final"
)

// logBytesMax bounds what is kept of each node's log as evidence.
const logBytesMax = 1 << 20

// settleMax bounds how long all nodes may take to agree at the end, and
// finalReadsMax how long the final reads may.
const (
	settleMax     = 10 * time.Second
	finalReadsMax = 20 * time.Second
)

// poll is the pause between two looks at a condition.
const poll = 50 * time.Millisecond

// trial is a run on its started cluster.
type trial struct {
	scenario Scenario
	seed     uint64
	plan     faults.Plan // what is carried out; settled by admit
	strict   bool        // refuse what is not available instead of leaving it out
	cluster  cluster.Cluster
	recorder *history.Recorder
	ledger   *rundir.Ledger
	trouble  *rundir.TroubleLog
	progress *Progress
	undo     string
	keepLogs bool                    // the runtime writes them nowhere
	onPlan   func(faults.Plan) error // told when the plan is settled
	began    time.Time               // wall clock at the zero of the cluster's, in real time

	load    *load
	nemesis *nemesis
	// deterministic tells that the cluster is a simulation: nothing there may
	// depend on the wall clock, and nothing can hang.
	deterministic bool
	haste         int // see Options

	settled     bool // the nodes had their time to agree at the end
	phases      []rundir.Phase
	unavailable []string
	finals      []checkers.Final
	logs        map[string][]byte
	findings    []node.Finding
	record      []record.Event
	recordHoles error // why the record is incomplete
	measures    map[string]float64
	traceHash   string
}

// run takes the cluster through all phases. Whatever goes wrong, what can be
// collected is collected. An error that wraps context.Canceled means that the
// run was interrupted; it has healed and collected all the same.
func (t *trial) run(ctx context.Context) (err error) {
	t.deterministic = t.cluster.Runtime() == sim.Name
	always, done := t.afterInterrupt(ctx, interruptedMax)
	defer done()
	struck := "" // the phase that an interruption struck, if it was before healing
	defer func() {
		t.endPhase()
		if ctx.Err() != nil {
			err = errors.Join(fmt.Errorf("interrupted in phase %s: %w", cmp.Or(struck, t.phase()), context.Cause(ctx)), err)
		}
	}()
	if err := t.enter(PhaseProvision, 0); err != nil {
		return err
	}
	if err := t.admit(); err != nil {
		return err
	}
	defer t.collect(always)
	t.load = newLoad(t.scenario, t.cluster, t.recorder, t.seed, t.progress)
	t.nemesis = &nemesis{
		plan: t.plan, site: faults.NewSite(t.cluster), seed: t.seed,
		recorder: t.recorder, ledger: t.ledger, progress: t.progress, trouble: t.trouble, undo: t.undo,
	}
	err = t.warmUp(ctx)
	if err == nil {
		err = t.strike(ctx)
	}
	if ctx.Err() != nil {
		struck = t.phase()
	}
	healErr := t.heal(ctx)
	if err == nil && healErr == nil && ctx.Err() == nil {
		err = t.liveness(ctx)
	}
	err = errors.Join(err, healErr, t.rest(always))
	if err == nil && ctx.Err() == nil {
		err = t.final(ctx)
	}
	return err
}

func (t *trial) enter(phase string, lasts time.Duration) error {
	t.endPhase()
	now := t.cluster.Now()
	t.phases = append(t.phases, rundir.Phase{Name: phase, Start: now})
	t.progress.enter(phase, now, lasts)
	_, err := t.recorder.Phase(phase)
	return err
}

func (t *trial) phase() string { return t.phases[len(t.phases)-1].Name }

func (t *trial) endPhase() {
	if n := len(t.phases); n > 0 && t.phases[n-1].End == 0 {
		t.phases[n-1].End = t.cluster.Now()
	}
}

// admit asks for every fault of the plan whether this cluster can suffer it.
// A plan that was written is refused as a whole; from a plan that was drawn
// the fault is left out, and the report says so.
func (t *trial) admit() error {
	var kept faults.Plan
	for _, chain := range t.plan.Chains() {
		why := t.impossible(chain)
		switch {
		case why == nil:
			kept = append(kept, chain...)
		case t.strict:
			return fmt.Errorf("the plan: %w: %w", ErrRefused, why)
		default:
			t.unavailable = append(t.unavailable, why.Error())
		}
	}
	if len(kept) == 0 && len(t.plan) > 0 {
		return fmt.Errorf("the plan: %w: none of its faults is available here: %s", ErrRefused, strings.Join(t.unavailable, "; "))
	}
	t.plan = kept
	return t.onPlan(kept)
}

func (t *trial) impossible(chain []faults.Step) error {
	for _, s := range chain {
		if err := s.Fault.Available(t.cluster); err != nil {
			return fmt.Errorf("%s: %w", s.Fault, err)
		}
		if s.When.Point == "" {
			continue
		}
		tripper, ok := t.cluster.(cluster.Tripper)
		if !ok {
			return fmt.Errorf("%s: the %s runtime cannot trigger faults on points of a program: %w", s, t.cluster.Runtime(), cluster.ErrUnavailable)
		}
		if err := tripper.CanTrip(s.When.Point); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// warmUp starts the clients and waits until each of them was served.
func (t *trial) warmUp(ctx context.Context) error {
	if err := t.enter(PhaseWarmUp, t.scenario.StartMax); err != nil {
		return err
	}
	t.load.start()
	begun := t.cluster.Now()
	if served := t.until(ctx, begun+t.scenario.StartMax, func() bool {
		return len(t.load.behind(begun)) == 0 && len(t.unready(ctx)) == 0
	}); !served {
		if err := errors.Join(ctx.Err(), t.load.failure()); err != nil {
			return err
		}
		return fmt.Errorf("the cluster did not serve within %v of its start: clients %v had no answer; not ready: %s (see the nodes' logs)",
			t.scenario.StartMax, t.load.behind(begun), strings.Join(t.unready(ctx), ", "))
	}
	return nil
}

// strike lets the nemesis loose for the scenario's time.
func (t *trial) strike(ctx context.Context) error {
	if err := t.enter(PhaseFaults, t.scenario.Time); err != nil {
		return err
	}
	t.nemesis.start()
	err := t.cluster.Sleep(ctx, t.scenario.Time)
	return errors.Join(err, t.load.failure())
}

func (t *trial) heal(ctx context.Context) error {
	if err := t.enter(PhaseHeal, 0); err != nil {
		return err
	}
	always, done := t.afterInterrupt(ctx, interruptedHealMax)
	defer done()
	return t.nemesis.abandon(t.bounded(always, "healing", healMax, t.nemesis.stop))
}

// rest stops the clients. One that does not come back makes the end of the run
// the harness's trouble.
func (t *trial) rest(ctx context.Context) error {
	err := t.bounded(ctx, "stopping the clients", t.scenario.OpTimeout+clientsMax, t.load.stop)
	if unreachable(err) || errors.Is(err, context.Canceled) && ctx.Err() != nil {
		t.trouble.Add(cluster.Trouble{At: t.cluster.Now(), Step: cluster.TroubleClients, Text: err.Error()})
		return nil
	}
	return err
}

// liveness waits until every client was served again and every node is ready.
// That it takes too long is for the checker of that name to say.
func (t *trial) liveness(ctx context.Context) error {
	if err := t.enter(PhaseLiveness, t.scenario.LivenessMax); err != nil {
		return err
	}
	begun := t.cluster.Now()
	t.until(ctx, begun+t.scenario.LivenessMax, func() bool {
		return len(t.load.behind(begun)) == 0 && len(t.unready(ctx)) == 0
	})
	t.measures["recovery_after_heal_seconds"] = (t.cluster.Now() - begun).Seconds()
	return t.load.failure()
}

// final waits until all nodes agree, within a bound, and reads the final
// state. What could not be read is noted, for its absence proves nothing.
func (t *trial) final(ctx context.Context) error {
	if err := t.enter(PhaseFinal, finalReadsMax); err != nil {
		return err
	}
	deadline := t.cluster.Now() + t.scaled(finalReadsMax)
	err := t.bounded(ctx, "reading the final state", finalReadsMax+t.scenario.OpTimeout+finalMax, func(ctx context.Context) error {
		return t.load.finalReads(ctx, deadline)
	})
	if err != nil && ctx.Err() == nil {
		t.unavailable = append(t.unavailable, err.Error())
	}
	t.until(ctx, t.cluster.Now()+t.scaled(settleMax), func() bool { return t.converged(ctx) })
	t.settled = ctx.Err() == nil
	return ctx.Err()
}

// until polls a condition and reports whether it came true in time.
func (t *trial) until(ctx context.Context, deadline time.Duration, holds func() bool) bool {
	for !holds() {
		if t.cluster.Now() >= deadline || t.load.failure() != nil || t.cluster.Sleep(ctx, poll) != nil {
			return false
		}
	}
	return true
}

// unready lists the nodes that do not say that they are ready, and why.
func (t *trial) unready(ctx context.Context) (nodes []string) {
	for _, n := range t.cluster.Nodes() {
		st, err := t.status(ctx, n)
		switch {
		case err != nil:
			nodes = append(nodes, fmt.Sprintf("%s (%v)", n, err))
		case !st.Ready:
			nodes = append(nodes, fmt.Sprintf("%s (%s in term %d)", n, st.Role, st.Term))
		}
	}
	return nodes
}

// converged tells that all nodes have the same replicated state. Nodes that
// have none need not agree with anybody.
func (t *trial) converged(ctx context.Context) bool {
	var first *node.Status
	for _, n := range t.cluster.Nodes() {
		st, err := t.status(ctx, n)
		if err != nil {
			return false
		}
		if st.StateHash == "" && st.Applied == 0 {
			continue
		}
		if first == nil {
			first = &st
		}
		if st.Applied != first.Applied || st.StateHash != first.StateHash {
			return false
		}
	}
	return true
}
