package checkpoint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/workloads/jobs"
)

// ownPoints are the named places that a node reaches besides those of the
// embedded store.
var ownPoints = []string{
	"catalogue.after",     // they are in the catalogue; no worker knows yet
	"catalogue.before",    // checkpoints are about to be entered into the catalogue
	"cic.forced",          // a message waits for a checkpoint that is not taken yet
	"coordinator.elected", // a control node has made the ledger its own
	"determinant.before",  // what a worker received and did is about to be made durable
	"determinant.stable",  // it is durable; nothing that depends on it has left
	"gathered",            // a worker has stopped for a recovery; the coordinator does not know yet
	"gc",                  // a worker is about to let go of checkpoints
	"gc.decided",          // the catalogue has let go of checkpoints; no worker knows yet
	"gc.log",              // a worker has removed a file of its log
	"gc.store",            // the coordinator removes a part from the store
	"levels.between",      // one level has the part, the next one does not
	"line.compute",        // all workers have told where they stand; the line is not decided
	"local.written",       // the part is durable on the worker's disk; nobody knows yet
	"log.pruned",          // a sender has forgotten messages that nobody will ask for again
	"marker.after",        // the state was captured and the markers have been sent
	"marker.before",       // the state was captured; the markers have not been sent
	"output.committed",    // output has become visible; the worker does not know yet
	"part.durable",        // all levels have the part; the coordinator does not know yet
	"recovery.decide",     // the coordinator is about to begin a recovery
	"recovery.decided",    // the recovery is in the ledger; no worker knows yet
	"recovery.end",        // all workers are restored; none of them knows yet
	"replay.begin",        // a worker that was restored begins to do again what the log has
	"replay.delivered",    // a message of the log was delivered again
	"replay.end",          // all that the log has was done again
	"restore.begin",       // a worker begins to restore
	"restored",            // a worker has restored its part
	"round.begin",         // the round is in the ledger; no worker knows yet
	"round.commit.after",  // the commit is in the ledger; no worker knows yet
	"round.commit.before", // all parts are durable; the commit is not in the ledger
	"solo.captured",       // a worker has captured its state on its own; nothing of it is durable
	"solo.durable",        // all levels have the checkpoint; the coordinator does not know yet
	"solo.listed",         // a worker has heard that its checkpoint is in the catalogue
	"store.written",       // the part is in the store; nobody knows yet
}

// Program is one incarnation of a node: a control node or a worker, by its
// place among the nodes.
type Program struct {
	cfg     Config
	env     node.Env
	control *control
	worker  *worker
}

var _ node.Program = (*Program)(nil)

// NewProgram returns a new incarnation of a node.
func NewProgram(cfg Config) (*Program, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Program{cfg: cfg}, nil
}

// Start implements node.Program.
func (p *Program) Start(env node.Env) error {
	peers := env.Peers()
	if len(peers) < controlNodes+2 {
		return fmt.Errorf("checkpoint: a cluster of %d nodes; expected at least %d: %d control nodes and two workers",
			len(peers), controlNodes+2, controlNodes)
	}
	p.env = env
	controls, workers := peers[:controlNodes], peers[controlNodes:]
	begin := record.Event{Kind: record.Start}
	if v, ok := p.cfg.initialValue(slices.Index(workers, env.Self()), len(workers)); ok {
		begin.Value = &v
	}
	env.Record(begin)
	var err error
	if slices.Contains(controls, env.Self()) {
		p.control, err = newControl(p.cfg, env, controls, workers)
	} else {
		p.worker, err = newWorker(p.cfg, env, controls, workers)
	}
	return err
}

// Receive implements node.Program.
func (p *Program) Receive(from string, m node.Message) {
	msg, ok := m.(Message)
	switch {
	case !ok:
		p.env.Logf("dropped a message from %s that is none of this service", from)
	case p.control != nil:
		p.control.receive(from, msg)
	default:
		p.worker.receive(from, msg)
	}
}

// Timer implements node.Program.
func (p *Program) Timer(name string) {
	inner, stores := strings.CutPrefix(name, storePrefix)
	switch {
	case p.control == nil:
		p.worker.timer(name)
	case stores:
		p.control.replica.within(func() { p.control.replica.program.Timer(inner) })
	default:
		p.control.timer()
	}
}

// Synced implements node.Program.
func (p *Program) Synced(token uint64, err error) {
	if p.control != nil {
		p.control.replica.within(func() { p.control.replica.program.Synced(token, err) })
		return
	}
	if token > logTokens {
		p.worker.solo.synced(token, err)
		return
	}
	p.worker.local.synced(token, err)
}

// Request implements node.Program.
func (p *Program) Request(id node.RequestID, r node.Request) {
	if p.control == nil {
		p.env.Reply(id, p.worker.answer(r))
		return
	}
	p.control.request(id, r)
}

// Status implements node.Program.
func (p *Program) Status() node.Status {
	if p.control != nil {
		s := p.control.replica.program.Status()
		if p.control.active {
			s.Role = "coordinator"
		}
		// The store's state is an inner affair: nodes of two kinds have no
		// state in common that could be compared.
		s.Applied, s.StateHash = 0, ""
		return s
	}
	w := p.worker
	return node.Status{
		Node: p.env.Self(), Boot: strconv.FormatUint(w.boot, 16), Role: "worker", Leader: w.coordinator,
		Term: uint64(w.epoch), Ready: w.state == running,
	}
}

// Decode implements node.Program.
func (p *Program) Decode(b []byte) (node.Message, error) {
	m, err := decodeMessage(b)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// initialValue is a worker's share, at the beginning, of what the job
// conserves.
func (c Config) initialValue(worker, workers int) (int64, bool) {
	if worker < 0 {
		return 0, false
	}
	job, err := jobs.Lookup(c.Job)
	if err != nil {
		return 0, false
	}
	app, err := job.New(worker, workers, c.JobSeed, c.Size)
	if err != nil {
		return 0, false // the worker will say so
	}
	return app.Value()
}
