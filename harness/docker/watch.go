package docker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"github.com/cleancut/cleancut/harness/agent"
	"github.com/cleancut/cleancut/harness/node"
)

// Intervals of watching: a long poll at the agent, and a pause after an
// answer that did not come.
const (
	watchPoll  = 10 * time.Second
	watchRetry = 200 * time.Millisecond
)

// maxFindings bounds what a crash loop can report.
const maxFindings = 1000

// findingText bounds the log excerpt of a finding, in bytes.
const findingText = 4 << 10

// startWatching watches every machine for exits that nobody caused.
func (c *Cluster) startWatching() {
	var ctx context.Context
	ctx, c.unwatch = context.WithCancel(context.Background())
	for _, m := range c.machines {
		c.watching.Go(func() { c.watchMachine(ctx, m) })
	}
}

func (c *Cluster) watchMachine(ctx context.Context, m *machine) {
	for ctx.Err() == nil {
		err := c.collectExits(ctx, m, watchPoll)
		if err == nil {
			continue
		}
		c.checkContainer(ctx, m)
		select {
		case <-ctx.Done():
		case <-time.After(watchRetry):
		}
	}
}

// collectExits asks for exits that are not known yet, and waits for one.
func (c *Cluster) collectExits(ctx context.Context, m *machine, wait time.Duration) error {
	m.watch.Lock()
	seen := m.exitsSeen
	m.watch.Unlock()
	exits, err := m.agent.Exits(ctx, seen, wait)
	if err != nil {
		return err
	}
	m.watch.Lock()
	defer m.watch.Unlock()
	for _, e := range exits {
		if e.Number <= m.exitsSeen {
			continue // somebody else asked at the same time
		}
		m.exitsSeen = e.Number
		if !e.Expected {
			c.find(finding(m.name, e))
		}
	}
	return nil
}

// finding words an exit that nobody caused.
func finding(name string, e agent.Exit) node.Finding {
	f := node.Finding{Node: name, Invariant: "exit"}
	how := fmt.Sprintf("exited with code %d", e.Code)
	if e.Signal != "" {
		how = "was ended by " + e.Signal
		if e.Signal == "SIGKILL" {
			how += ", not by the harness (out of memory?)"
		}
	}
	tail := e.Tail
	if e.Panic {
		f.Invariant = "panic"
		for _, mark := range []string{"panic: ", "fatal error: "} {
			if i := strings.Index("\n"+tail, "\n"+mark); i >= 0 {
				tail = tail[i:]
				break
			}
		}
		tail = tail[:min(len(tail), findingText)]
	} else {
		tail = tail[max(0, len(tail)-findingText):]
	}
	f.Text = fmt.Sprintf("%s, boot %s, %s after %v although nothing was done to it:\n%s",
		name, e.Boot, how, e.After.Round(time.Millisecond), strings.ToValidUTF8(tail, "\uFFFD"))
	return f
}

// checkContainer finds containers that ended by themselves, once each.
func (c *Cluster) checkContainer(ctx context.Context, m *machine) {
	if m.down.Load() || ctx.Err() != nil {
		return
	}
	res, err := c.daemon.api.ContainerInspect(ctx, m.container.GetContainerID(), client.ContainerInspectOptions{})
	if err != nil || res.Container.State == nil || res.Container.State.Running || m.down.Load() {
		return
	}
	m.watch.Lock()
	defer m.watch.Unlock()
	if m.deathFound {
		return
	}
	m.deathFound = true
	s := res.Container.State
	c.find(node.Finding{Node: m.name, Invariant: "exit", Text: fmt.Sprintf(
		"the container of %s ended although nothing was done to it: exit code %d, out of memory: %v %s", m.name, s.ExitCode, s.OOMKilled, s.Error)})
}

func (c *Cluster) find(f node.Finding) {
	f.At = max(c.Now(), 0)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.findings) < maxFindings {
		c.findings = append(c.findings, f)
	}
}
