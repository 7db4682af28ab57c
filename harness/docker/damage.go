package docker

import (
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/agent"
	"github.com/cleancut/cleancut/harness/cluster"
)

// CanDamage implements cluster.Disker: the agent reaches every node's files.
func (c *Cluster) CanDamage() error { return nil }

// CanSlowSync implements cluster.Disker. The process itself delays its syncs;
// foreign systems do not.
func (c *Cluster) CanSlowSync() error {
	for _, m := range c.machines {
		if m.command.SyncDelayFile == "" {
			return fmt.Errorf("docker: the processes of %s do not delay their syncs on demand (%w): use --runtime sim or another target", c.target.Name(), cluster.ErrUnavailable)
		}
	}
	return nil
}

// onDisk locks a machine that is on and gives its files' directory.
func (c *Cluster) onDisk(name string, f func(m *machine, dir string) error) error {
	m, err := c.machine(name)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down.Load() {
		return fmt.Errorf("docker: the disk of %s cannot be reached: %w: its machine is off", name, cluster.ErrDown)
	}
	dir := m.command.FilesDir
	if dir == "" {
		dir = dataDir
	}
	if err := f(m, dir); err != nil {
		return fmt.Errorf("docker: the disk of %s: %w", name, err)
	}
	return nil
}

// Rot implements cluster.Disker.
func (c *Cluster) Rot(ctx context.Context, node, pattern string, count int, seed uint64) (r cluster.Receipt, err error) {
	err = c.onDisk(node, func(m *machine, dir string) error {
		done, err := m.agent.Rot(ctx, agent.Damage{Dir: dir, Pattern: pattern, Bytes: count, Seed: seed})
		account(&r, node, pattern, "bytes_flipped", done)
		return err
	})
	return r, err
}

// Truncate implements cluster.Disker.
func (c *Cluster) Truncate(ctx context.Context, node, pattern string, seed uint64) (r cluster.Receipt, err error) {
	err = c.onDisk(node, func(m *machine, dir string) error {
		done, err := m.agent.Truncate(ctx, agent.Damage{Dir: dir, Pattern: pattern, Seed: seed})
		account(&r, node, pattern, "bytes_cut", done)
		return err
	})
	return r, err
}

// account enters what was damaged into a receipt.
func account(r *cluster.Receipt, node, pattern, count string, done agent.Damaged) {
	if len(done.Files) == 0 {
		r.Note("no file of %s matches %s", node, pattern)
		return
	}
	r.Count(count, done.Bytes)
	r.Count("files_damaged", int64(len(done.Files)))
	for _, f := range done.Files[:min(len(done.Files), 10)] {
		r.Note("%s: %s", node, path.Base(f))
	}
}

// Wipe implements cluster.Disker.
func (c *Cluster) Wipe(ctx context.Context, node string) (r cluster.Receipt, err error) {
	err = c.onDisk(node, func(m *machine, _ string) error {
		done, err := m.agent.Wipe(ctx, agent.Damage{Dir: dataDir})
		r.Count("files_wiped", int64(len(done.Files)))
		r.Count("bytes_wiped", done.Bytes)
		return err
	})
	return r, err
}

// slowness is a cluster.Rule that slows the syncs of a node down.
type slowness struct {
	c       *Cluster
	m       *machine
	delay   time.Duration
	before  int64 // syncs that were delayed when it began
	last    int64
	removed bool
}

// SlowSync implements cluster.Disker.
func (c *Cluster) SlowSync(ctx context.Context, node string, delay time.Duration) (cluster.Rule, error) {
	if err := c.CanSlowSync(); err != nil {
		return nil, err
	}
	if delay < 0 || delay > agent.MaxDelay {
		return nil, fmt.Errorf("docker: a delay of %v per sync is not in 0…%v", delay, agent.MaxDelay)
	}
	var s *slowness
	err := c.onDisk(node, func(m *machine, _ string) (err error) {
		s = &slowness{c: c, m: m, delay: delay}
		m.slow = append(m.slow, s)
		if s.before, err = m.delaySyncs(ctx); err != nil {
			m.slow = m.slow[:len(m.slow)-1]
		}
		s.last = s.before
		return err
	})
	return s, err
}

// delaySyncs puts the delays of all rules in force. It needs m.mu.
func (m *machine) delaySyncs(ctx context.Context) (delayed int64, err error) {
	var sum time.Duration
	for _, s := range m.slow {
		sum += s.delay
	}
	var n agent.Delayed
	err = m.insist(ctx, func() (err error) {
		n, err = m.agent.DelaySyncs(ctx, agent.SyncDelay{File: m.command.SyncDelayFile, Delay: min(sum, agent.MaxDelay)})
		return err
	})
	return n.Syncs, err
}

// Receipt implements cluster.Rule.
func (s *slowness) Receipt(ctx context.Context) (r cluster.Receipt, err error) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.receipt(ctx)
}

// receipt needs the machine's lock. What a rule did while nobody can ask is
// counted when the machine is on again; for a rule that is removed before, it
// is lost.
func (s *slowness) receipt(ctx context.Context) (r cluster.Receipt, err error) {
	if !s.removed && !s.m.down.Load() {
		s.last, err = s.m.delaySyncs(ctx)
	}
	r.Count("syncs_delayed", s.last-s.before)
	return r, err
}

// Remove implements cluster.Rule.
func (s *slowness) Remove(ctx context.Context) (r cluster.Receipt, err error) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.removed {
		return s.receipt(ctx)
	}
	s.m.slow = slices.DeleteFunc(s.m.slow, func(o *slowness) bool { return o == s })
	r, err = s.receipt(ctx)
	s.removed = err == nil
	return r, err
}
