package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

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

// startWatching watches every machine for exits that nobody caused, and the
// daemon for what others do.
func (c *Cluster) startWatching() {
	var ctx context.Context
	ctx, c.unwatch = context.WithCancel(context.Background())
	c.watching.Go(func() { c.watchEvents(ctx) })
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
		switch {
		case e.Expected:
		case slices.Contains(foreignSignals, e.Signal):
			c.disturbed(m, "its process, boot %s, was ended by %s after %v, and not by the harness (out of memory, or somebody's hand)", e.Boot, e.Signal, e.After.Round(time.Millisecond))
		default:
			c.find(finding(m.name, e))
		}
	}
	return nil
}

// foreignSignals are those by which a program does not end by its own fault:
// somebody sends them. (Faults of its own are SIGSEGV, SIGABRT and the like.)
var foreignSignals = []string{"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"}

// finding words an exit that nobody caused.
func finding(name string, e agent.Exit) node.Finding {
	f := node.Finding{Node: name, Invariant: "exit"}
	how := fmt.Sprintf("exited with code %d", e.Code)
	if e.Signal != "" {
		how = "was ended by " + e.Signal
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

func (c *Cluster) find(f node.Finding) {
	f.At = max(c.Now(), 0)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.findings) < maxFindings {
		c.findings = append(c.findings, f)
	}
}
