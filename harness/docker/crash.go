package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/cleancut/cleancut/harness/agent"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/record/raw"
)

// rebootTimeout bounds how long a container may take to stop or start.
const rebootTimeout = 30 * time.Second

// Kill ends the node's process with SIGKILL.
func (c *Cluster) Kill(ctx context.Context, name string) (cluster.Receipt, error) {
	m, err := c.machine(name)
	if err != nil {
		return cluster.Receipt{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kill(ctx)
}

// kill needs m.mu.
func (m *machine) kill(ctx context.Context) (cluster.Receipt, error) {
	var r cluster.Receipt
	if m.down.Load() {
		r.Note("%s: its machine was off", m.name)
		return r, nil
	}
	k, err := m.agent.Kill(ctx)
	if err != nil {
		return r, fmt.Errorf("docker: kill %s: %w", m.name, err)
	}
	m.held.Store(false)
	if !k.Killed {
		r.Note("%s was down", m.name)
		return r, nil
	}
	r.Count("processes_killed", 1)
	r.Note("%s: boot %s killed", m.name, k.Boot)
	if k.Unsynced >= 0 {
		r.Count("bytes_discarded", k.Unsynced)
	}
	return r, nil
}

// Start starts the node's process again. The machine must be on.
func (c *Cluster) Start(ctx context.Context, name string) (cluster.Receipt, error) {
	m, err := c.machine(name)
	if err != nil {
		return cluster.Receipt{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down.Load() {
		return cluster.Receipt{}, fmt.Errorf("docker: start %s: %w: its machine is off and must be started first", name, cluster.ErrDown)
	}
	return m.startProcess(ctx)
}

// startProcess needs m.mu.
func (m *machine) startProcess(ctx context.Context) (cluster.Receipt, error) {
	var r cluster.Receipt
	var s agent.Started
	err := m.insist(ctx, func() (err error) { s, err = m.agent.Start(ctx, m.start()); return err })
	if err != nil {
		return r, fmt.Errorf("docker: start %s: %w", m.name, err)
	}
	if s.Before.Running {
		r.Note("%s ran already: boot %s", m.name, s.Before.Boot)
		return r, nil
	}
	r.Count("boots", 1)
	r.Note("%s: boot %s, before %s", m.name, s.After.Boot, orNone(s.Before.Boot))
	return r, nil
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// KillMachine kills the node's container. The receipt counts
// "machines_killed", and "processes_killed" if the node ran.
func (c *Cluster) KillMachine(ctx context.Context, name string) (cluster.Receipt, error) {
	m, err := c.machine(name)
	if err != nil {
		return cluster.Receipt{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var r cluster.Receipt
	if m.down.Load() {
		r.Note("%s: its machine was off", name)
		return r, nil
	}
	ctx, cancel := context.WithTimeout(ctx, rebootTimeout)
	defer cancel()
	state, err := m.agent.State(ctx)
	if err != nil {
		return r, fmt.Errorf("docker: kill the machine of %s: %w", name, err)
	}
	// The rules die with the machine's network; what they did so far is kept.
	if counts, err := m.agent.RuleCounts(ctx); err == nil {
		for id, n := range counts {
			m.base[id] = m.base[id].Add(n)
		}
	}
	m.down.Store(true)
	m.outside.expect(events.ActionKill, events.ActionDie)
	id := m.container.GetContainerID()
	if _, err := c.daemon.api.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		m.down.Store(false)
		m.outside.unexpect(events.ActionKill, events.ActionDie)
		return r, fmt.Errorf("docker: kill the machine of %s: %w", name, daemonFailed(err))
	}
	wait := c.daemon.api.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case <-wait.Result:
	case err := <-wait.Error:
		return r, fmt.Errorf("docker: the machine of %s was killed but does not go down: %w", name, daemonFailed(err))
	}
	m.held.Store(false)
	m.agent.Forget()
	if at, err := raw.Now(); err == nil {
		m.killed = append(m.killed, at)
	}
	r.Count("machines_killed", 1)
	if state.Running {
		r.Count("processes_killed", 1)
		r.Note("%s: machine killed with boot %s", name, state.Boot)
	}
	return r, nil
}

// daemonFailed marks what the daemon did not do as the harness's trouble.
func daemonFailed(err error) error { return fmt.Errorf("%w: %w", cluster.ErrUnreachable, err) }

// StartMachine starts the node's container again, with the rules that must be
// in force, and then the node's process. The receipt counts
// "machines_started" and "boots".
func (c *Cluster) StartMachine(ctx context.Context, name string) (cluster.Receipt, error) {
	m, err := c.machine(name)
	if err != nil {
		return cluster.Receipt{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.down.Load() {
		return m.startProcess(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, rebootTimeout)
	defer cancel()
	var r cluster.Receipt
	id := m.container.GetContainerID()
	if err := c.daemon.leaveToken(ctx, id, m.token); err != nil {
		return r, fmt.Errorf("docker: start the machine of %s: %w", name, daemonFailed(err))
	}
	m.outside.expect(events.ActionStart)
	if _, err := c.daemon.api.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
		m.outside.unexpect(events.ActionStart)
		return r, fmt.Errorf("docker: start the machine of %s: %w", name, daemonFailed(err))
	}
	if err := c.awaitAgent(ctx, m); err != nil {
		return r, err
	}
	// Rules come before the process, so that no packet of the node slips by.
	rules := make([]agent.Rule, 0, len(m.rules))
	for _, rule := range m.rules {
		rules = append(rules, rule)
	}
	if len(rules) > 0 {
		if err := m.agent.AddRules(ctx, rules); err != nil {
			return r, fmt.Errorf("docker: network rules of %s after its machine started: %w", name, err)
		}
	}
	if m.command.SyncDelayFile != "" {
		if _, err := m.delaySyncs(ctx); err != nil {
			return r, fmt.Errorf("docker: the disk of %s after its machine started: %w", name, err)
		}
	}
	m.down.Store(false)
	r.Count("machines_started", 1)
	started, err := m.startProcess(ctx)
	r.Add(started)
	return r, err
}

// Pause stops the node's process with SIGSTOP.
func (c *Cluster) Pause(ctx context.Context, name string) error {
	m, err := c.machine(name)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down.Load() {
		return fmt.Errorf("docker: pause %s: %w: its machine is off", name, cluster.ErrDown)
	}
	m.held.Store(true)
	err = m.agent.Pause(ctx)
	if err != nil {
		m.held.Store(false)
	}
	switch {
	case errors.Is(err, agent.ErrDown):
		return fmt.Errorf("docker: pause %s: %w", name, cluster.ErrDown)
	case err != nil:
		return fmt.Errorf("docker: pause %s: %w", name, err)
	}
	return nil
}

// Resume lets a paused process go on. If it died in the meantime, the pause
// lasted until then.
func (c *Cluster) Resume(ctx context.Context, name string) (cluster.Receipt, error) {
	var r cluster.Receipt
	m, err := c.machine(name)
	if err != nil {
		return r, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down.Load() {
		r.Note("%s: its machine is off", name)
		return r, nil
	}
	var p agent.Resumed
	err = m.insist(ctx, func() (err error) { p, err = m.agent.Resume(ctx); return err })
	if err != nil {
		return r, fmt.Errorf("docker: resume %s: %w", name, err)
	}
	m.held.Store(false)
	if p.Pauses == 0 {
		r.Note("%s was not paused", name)
		return r, nil
	}
	r.Count("pauses", int64(p.Pauses))
	r.Count("milliseconds_paused", p.Paused.Milliseconds())
	return r, nil
}

// canCutPower tells whether all nodes lose their unsynced writes when they
// are killed.
func (c *Cluster) canCutPower() bool {
	for _, m := range c.machines {
		if m.command.UnsyncedFile == "" {
			return false
		}
	}
	return true
}

// powered is a Cluster whose nodes lose unsynced writes on SIGKILL.
type powered struct{ *Cluster }

var _ cluster.PowerCutter = powered{}

// CutPower kills several nodes at once: the kills are under way together and
// done within milliseconds.
func (p powered) CutPower(ctx context.Context, nodes []string) (cluster.Receipt, error) {
	var r cluster.Receipt
	if len(nodes) == 0 {
		return r, errors.New("docker: power cut: no nodes are named")
	}
	// Sorted and unique, so that two cuts at once cannot lock each other out.
	nodes = slices.Compact(slices.Sorted(slices.Values(nodes)))
	machines := make([]*machine, len(nodes))
	for i, name := range nodes {
		m, err := p.machine(name)
		if err != nil {
			return r, err
		}
		machines[i] = m
	}
	for _, m := range machines {
		m.mu.Lock()
		defer m.mu.Unlock()
	}
	receipts := make([]cluster.Receipt, len(machines))
	errs := make([]error, len(machines))
	var wait sync.WaitGroup
	for i, m := range machines {
		wait.Go(func() { receipts[i], errs[i] = m.kill(ctx) })
	}
	wait.Wait()
	for _, one := range receipts {
		r.Add(one)
	}
	return r, errors.Join(errs...)
}
