package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	trouble  *rundir.TroubleLog
	undo     string // what undoes everything if the harness dies

	begun time.Duration
	tasks []cluster.Task
	// live ends when the harness gives up what is not healed yet.
	live   context.Context
	giveUp context.CancelFunc

	// mu guards what follows; it is never held across a blocking call.
	mu      sync.Mutex
	healers []cluster.Task
	open    map[int]*openFault // begun and not ended, by number
	err     error
}

// openFault is a fault that began and has not ended.
type openFault struct {
	text  string
	nodes []string
	in    bool // it was injected
}

// start begins to carry out the plan: its chains run side by side.
func (n *nemesis) start() {
	n.begun = n.site.Cluster.Now()
	n.live, n.giveUp = context.WithCancel(context.Background())
	n.open = map[int]*openFault{}
	for i, chain := range n.plan.Chains() {
		n.tasks = append(n.tasks, n.site.Cluster.Go(fmt.Sprintf("fault chain %d", i+1), func(ctx context.Context) {
			if err := n.run(ctx, chain); err != nil {
				n.fail(err)
			}
		}))
	}
}

// stop gives up what was not injected yet, heals what is in force, and waits
// until all is healed, at most until ctx ends: see abandon. What never came to
// pass is entered as such.
func (n *nemesis) stop(ctx context.Context) error {
	if err := stopAll(ctx, n.tasks); err != nil {
		return err
	}
	n.mu.Lock()
	healers := slices.Clone(n.healers)
	n.mu.Unlock()
	return stopAll(ctx, healers)
}

func stopAll(ctx context.Context, tasks []cluster.Task) error {
	for _, t := range tasks {
		t.Stop()
	}
	for _, t := range tasks {
		if err := t.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// abandon gives up every fault that has not ended by now: it is entered as one
// that could not be healed, without a receipt, and what becomes of it later is
// dropped. It returns what the harness could not record.
func (n *nemesis) abandon(why error) error {
	if n.giveUp == nil { // nothing was ever started
		return nil
	}
	n.giveUp()
	n.mu.Lock()
	left := n.open
	n.open = map[int]*openFault{}
	err := n.err
	n.mu.Unlock()
	now := n.site.Cluster.Now()
	for _, id := range slices.Sorted(maps.Keys(left)) {
		f := left[id]
		if why == nil || errors.Is(why, context.Canceled) || errors.Is(why, context.DeadlineExceeded) {
			why = errors.New("it did not come to an end in the time that healing has")
		}
		failure := fmt.Errorf(rundir.NotHealed+"%w", why)
		if !f.in {
			err = errors.Join(err, n.ledger.Injected(id, now, "", nil, errors.New("it was never known to be in force")))
		}
		n.progress.faultOff(f.text)
		err = errors.Join(err, n.ledger.Healed(id, now, cluster.Receipt{}, false, failure))
		n.trouble.Add(cluster.Trouble{At: now, Step: cluster.TroubleHeal, Nodes: f.nodes, Text: f.text + ": " + failure.Error()})
	}
	return err
}

// end takes a fault off those that are open, and reports whether it was among
// them: one that was abandoned has ended already.
func (n *nemesis) end(id int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, open := n.open[id]
	delete(n.open, id)
	return open
}

// lasting returns a context for what must not stop half way: it outlives ctx
// and ends when the harness gives up.
func (n *nemesis) lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	on, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(n.live, cancel)
	return on, func() { stop(); cancel() }
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
		lasting, done := n.lasting(ctx)
		victims, err := n.inject(lasting, site, step)
		done()
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
	n.mu.Lock()
	n.open[id] = &openFault{text: step.Fault.String()}
	n.mu.Unlock()
	inj, failure := step.Fault.Inject(ctx, site)
	if failure != nil {
		return nil, n.failed(id, step.Fault, failure)
	}
	n.mu.Lock()
	open := n.open[id]
	if open != nil {
		*open = openFault{text: inj.Frozen, nodes: inj.Nodes, in: true}
	}
	n.mu.Unlock()
	if open == nil { // it was abandoned meanwhile
		return nil, nil
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
		lasts, done := n.lasting(ctx)
		defer done()
		if err := n.heal(lasts, id, inj); err != nil {
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

// failed enters that a fault could not be injected. That is trouble only if
// the harness could not reach whom it was to hit: a fault may as well find
// nobody who fits.
func (n *nemesis) failed(id int, f faults.Fault, failure error) error {
	if !n.end(id) {
		return nil
	}
	now := n.site.Cluster.Now()
	if unreachable(failure) {
		n.trouble.Add(cluster.Trouble{At: now, Step: cluster.TroubleInject, Text: fmt.Sprintf("%s: %v", f, failure)})
	}
	err := n.ledger.Injected(id, now, "", nil, failure)
	return errors.Join(err, n.ledger.Healed(id, now, cluster.Receipt{}, false, nil))
}

// heal heals a fault and enters that. That it fails is trouble, unless all that
// is wrong is that a process died again.
func (n *nemesis) heal(ctx context.Context, id int, inj *faults.Injection) error {
	receipt, failure := inj.Heal(ctx)
	if !n.end(id) {
		return nil
	}
	now := n.site.Cluster.Now()
	if failure != nil {
		down := onlyDown(failure)
		failure = fmt.Errorf(rundir.NotHealed+"%w", failure)
		if !down {
			n.trouble.Add(cluster.Trouble{At: now, Step: cluster.TroubleHeal, Nodes: inj.Nodes, Text: inj.Frozen + ": " + failure.Error()})
		}
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
