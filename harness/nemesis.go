package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/rng"
	"github.com/cleancut/cleancut/harness/rundir"
)

// nemesis carries out the plan of a run.
type nemesis struct {
	plan     faults.Plan
	site     *faults.Site
	seed     uint64
	recorder *history.Recorder
	ledger   *rundir.Ledger
	progress *Progress
	undo     string // what undoes everything if the harness dies

	begun time.Duration
	tasks []cluster.Task

	// mu guards what follows; it is never held across a blocking call.
	mu      sync.Mutex
	healers []cluster.Task
	err     error
}

// start begins to carry out the plan: its chains run side by side.
func (n *nemesis) start() {
	n.begun = n.site.Cluster.Now()
	for i, chain := range n.plan.Chains() {
		n.tasks = append(n.tasks, n.site.Cluster.Go(fmt.Sprintf("fault chain %d", i+1), func(ctx context.Context) {
			if err := n.run(ctx, chain); err != nil {
				n.fail(err)
			}
		}))
	}
}

// stop gives up what was not injected yet, heals what is in force, and waits
// until all is healed. What never came to pass is entered as such.
func (n *nemesis) stop(ctx context.Context) error {
	for _, t := range n.tasks {
		t.Stop()
	}
	for _, t := range n.tasks {
		if err := t.Wait(ctx); err != nil {
			return err
		}
	}
	for _, t := range n.healers {
		t.Stop()
	}
	for _, t := range n.healers {
		if err := t.Wait(ctx); err != nil {
			return err
		}
	}
	return n.err
}

// run carries out one chain of steps. Streams of random numbers are named by
// the step's text, so that other steps can come and go without a change here.
func (n *nemesis) run(ctx context.Context, chain []faults.Step) error {
	c := n.site.Cluster
	origin := n.begun
	var same []string
	for k, step := range chain {
		if err := c.Sleep(ctx, origin+step.When.After-c.Now()); err != nil {
			return n.missed(chain, k, "the time for faults ended before")
		}
		self, seized := "", false
		if step.When.Point != "" {
			var err error
			if self, seized, err = n.await(ctx, step); err != nil {
				missed := n.missed(chain, k, fmt.Sprintf("no node reached %s for the %d. time", step.When.Point, step.When.Nth))
				return errors.Join(missed, errorUnlessCancelled(err))
			}
		}
		site := n.site.For(rng.Stream(n.seed, "faults/"+step.String()), self, same)
		site.Seized = seized
		origin = c.Now()
		victims, err := n.inject(context.WithoutCancel(ctx), site, step)
		if err != nil {
			return err
		}
		same = victims
	}
	return nil
}

func errorUnlessCancelled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// await waits for the point of a step's trigger. A fault that kills its own
// trigger strikes at the very point.
func (n *nemesis) await(ctx context.Context, step faults.Step) (self string, seized bool, err error) {
	tripper, ok := n.site.Cluster.(cluster.Tripper)
	if !ok {
		return "", false, fmt.Errorf("step %q: %w", step, cluster.ErrUnavailable)
	}
	seized = step.Fault == faults.Fault(faults.Kill{Who: "self"}) || step.Fault == faults.Fault(faults.PowerLoss{Who: "self"})
	wire := cluster.Tripwire{Point: step.When.Point, Nth: step.When.Nth, Kill: seized}
	if step.When.Of != "" {
		if wire.Nodes, err = step.When.Of.Choose(ctx, n.site.For(rng.Stream(n.seed, "faults/of/"+step.String()), "", nil)); err != nil {
			return "", false, err
		}
	}
	w, err := tripper.Trip(ctx, wire)
	if err != nil {
		return "", false, err
	}
	defer w.Disarm()
	self, err = w.Await(ctx)
	return self, seized, err
}

// inject injects a step's fault, enters it in ledger and history, and leaves
// an activity behind that heals it. An injection that fails is entered as
// such and is no error of the harness.
func (n *nemesis) inject(ctx context.Context, site *faults.Site, step faults.Step) (victims []string, err error) {
	c := n.site.Cluster
	id, err := n.ledger.Begin(c.Now(), step.Fault.String(), step.Fault.Name(), faults.ModelOf(step.Fault.Name()), nil, n.undo)
	if err != nil {
		return nil, err
	}
	inj, failure := step.Fault.Inject(ctx, site)
	if failure != nil {
		err := n.ledger.Injected(id, c.Now(), "", nil, failure)
		return nil, errors.Join(err, n.ledger.Healed(id, c.Now(), cluster.Receipt{}, false, nil))
	}
	n.progress.faultOn(inj.Frozen)
	if err := n.ledger.Injected(id, c.Now(), inj.Frozen, inj.Nodes, nil); err != nil {
		return nil, err
	}
	if _, err := n.recorder.Fault(history.FaultStart, inj.Frozen, inj.Nodes, ""); err != nil {
		return nil, err
	}
	healer := c.Go("heal "+inj.Frozen, func(ctx context.Context) {
		lasting := step.For
		if lasting == 0 {
			lasting = forever
		}
		_ = c.Sleep(ctx, lasting) // stopped early: heal early
		if err := n.heal(context.WithoutCancel(ctx), id, inj); err != nil {
			n.fail(err)
		}
	})
	n.mu.Lock()
	n.healers = append(n.healers, healer)
	n.mu.Unlock()
	return inj.Nodes, nil
}

// forever outlasts every run.
const forever = 365 * 24 * time.Hour

func (n *nemesis) heal(ctx context.Context, id int, inj *faults.Injection) error {
	receipt, failure := inj.Heal(ctx)
	if failure != nil {
		failure = fmt.Errorf("healing: %w", failure)
	}
	n.progress.faultOff(inj.Frozen)
	_, err := n.recorder.Fault(history.FaultEnd, inj.Frozen, inj.Nodes, receipt.String())
	return errors.Join(err, n.ledger.Healed(id, n.site.Cluster.Now(), receipt, inj.Bit(receipt), failure))
}

// missed enters the steps of a chain, from the k-th on, that were not injected.
// Only what was promised without "maybe" counts against the run.
func (n *nemesis) missed(chain []faults.Step, k int, why string) error {
	if slices.ContainsFunc(chain[:k+1], func(s faults.Step) bool { return s.When.Maybe }) {
		return nil
	}
	for _, s := range chain[k:] {
		now := n.site.Cluster.Now()
		id, err := n.ledger.Begin(now, s.Fault.String(), s.Fault.Name(), faults.ModelOf(s.Fault.Name()), nil, nil)
		if err == nil {
			err = n.ledger.Injected(id, now, "", nil, errors.New(rundir.NotInjected+why))
		}
		if err == nil {
			err = n.ledger.Healed(id, now, cluster.Receipt{}, false, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *nemesis) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err = errors.Join(n.err, err)
}
