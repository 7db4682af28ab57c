package docker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/record/raw"
)

// What the daemon tells of a run's containers and network, and the harness did
// not do itself, somebody else did: docker rm, kill, pause, a prune, the
// kernel's killer when memory is short, an eviction. None of it is in the plan,
// and none of it is the system's fault. The agent is the first process of a
// container and outlives the node's, so that a node that dies by itself never
// ends its container.

// outside is what others did to a machine.
type outside struct {
	mu       sync.Mutex
	expected map[events.Action]int // what the harness itself is about to do
	lost     string                // why the container does not run, "" if it does
	cut      bool                  // it was taken off the network
	died     []time.Duration       // when it did, on the host's monotonic clock
}

// expect says that the harness is about to do something of which the daemon
// will tell.
func (o *outside) expect(actions ...events.Action) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.expected == nil {
		o.expected = map[events.Action]int{}
	}
	for _, a := range actions {
		o.expected[a]++
	}
}

// unexpect takes that back: it did not come to it.
func (o *outside) unexpect(actions ...events.Action) {
	for _, a := range actions {
		o.own(a)
	}
}

// own reports whether the harness itself did what the daemon tells.
func (o *outside) own(a events.Action) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.expected[a] == 0 {
		return false
	}
	o.expected[a]--
	return true
}

// lose notes that the container does not run any more, and reports whether that
// is news.
func (o *outside) lose(why string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	news := o.lost == ""
	o.lost = why
	if !news {
		return false
	}
	if at, err := raw.Now(); err == nil {
		o.died = append(o.died, at)
	}
	return true
}

func (o *outside) found() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lost = ""
}

// gone returns why the container does not run, "" if it does as far as is known.
func (o *outside) gone() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lost
}

// setCut notes whether the machine is off the network, and reports whether that
// is news.
func (o *outside) setCut(cut bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	news := o.cut != cut
	o.cut = cut
	return news
}

// disturbed tells whoever wants to know of something that is in no plan.
func (c *Cluster) disturbed(m *machine, format string, args ...any) {
	if leaving.Load() {
		return
	}
	t := cluster.Trouble{At: max(c.Now(), 0), Step: cluster.TroubleOutside, Text: fmt.Sprintf(format, args...)}
	if m != nil {
		t.Nodes = []string{m.name}
	}
	c.log.Warn("disturbed from outside", "nodes", t.Nodes, "what", t.Text)
	if c.spec.OnTrouble != nil {
		c.spec.OnTrouble(t)
	}
}

// watchEvents follows what the daemon tells, until ctx ends. Should the daemon
// cut it off, it goes on where it was.
func (c *Cluster) watchEvents(ctx context.Context) {
	since := time.Now()
	for ctx.Err() == nil {
		res := c.daemon.api.Events(ctx, client.EventsListOptions{
			Since:   fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond()),
			Filters: make(client.Filters).Add("type", string(events.ContainerEventType), string(events.NetworkEventType)),
		})
		for open := true; open; {
			select {
			case e := <-res.Messages:
				if at := time.Unix(0, e.TimeNano); at.After(since) { // else it was told before
					since = at
					c.told(ctx, e)
				}
			case <-res.Err:
				open = false
			case <-ctx.Done():
				open = false
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchRetry):
		}
	}
}

// told takes in what the daemon tells.
func (c *Cluster) told(ctx context.Context, e events.Message) {
	if e.Type == events.NetworkEventType {
		if c.lan.network != nil && e.Actor.ID == c.lan.network.ID {
			c.toldOfNetwork(ctx, e)
		}
		return
	}
	if m := c.machineOf(e.Actor.ID); m != nil {
		c.toldOfContainer(m, e)
	}
}

func (c *Cluster) machineOf(container string) *machine {
	for _, m := range c.machines {
		if m.container != nil && m.container.GetContainerID() == container {
			return m
		}
	}
	return nil
}

func (c *Cluster) toldOfContainer(m *machine, e events.Message) {
	if m.outside.own(e.Action) {
		return
	}
	switch e.Action {
	case events.ActionDie:
		c.ended(m, fmt.Sprintf("its container ended with exit code %s", e.Actor.Attributes["exitCode"]))
	case events.ActionDestroy:
		m.outside.lose("its container was removed")
		c.disturbed(m, "its container was removed (docker rm)")
	case events.ActionStart:
		m.outside.found()
		c.disturbed(m, "its container was started")
	case events.ActionKill:
		c.disturbed(m, "signal %s was sent to its container (docker kill or stop)", e.Actor.Attributes["signal"])
	case events.ActionPause:
		c.disturbed(m, "its container was paused (docker pause)")
	case events.ActionUnPause:
		c.disturbed(m, "its container goes on (docker unpause)")
	case events.ActionOOM:
		c.disturbed(m, "the kernel killed a process in its container for want of memory: the container's limit is %d MiB", c.options.Memory>>20)
	case events.ActionRestart, events.ActionStop, events.ActionUpdate, events.ActionCheckpoint:
		c.disturbed(m, "docker %s of its container", e.Action)
	}
}

// ended takes in that a container ended that the harness did not end.
func (c *Cluster) ended(m *machine, what string) {
	if m.outside.lose(what) {
		c.disturbed(m, "%s, and the harness did not end it", what)
	}
}

// toldOfNetwork takes in that a container was taken off the run's network or
// put on it. That goes with each end and start of a container, which are told
// anyway: only one that runs on without it is news.
func (c *Cluster) toldOfNetwork(ctx context.Context, e events.Message) {
	m := c.machineOf(e.Actor.Attributes["container"])
	switch {
	case e.Action == events.ActionDestroy || e.Action == events.ActionRemove:
		c.disturbed(nil, "the run's network was removed")
	case m == nil || m.down.Load():
	case e.Action == events.ActionDisconnect && c.runsOffNetwork(ctx, m) && m.outside.setCut(true):
		c.disturbed(m, "its container was taken off the run's network (docker network disconnect)")
	case e.Action == events.ActionConnect && m.outside.setCut(false):
		c.disturbed(m, "its container was put on the run's network again (docker network connect)")
	}
}

// runsOffNetwork tells that a container runs and is not on the run's network.
func (c *Cluster) runsOffNetwork(ctx context.Context, m *machine) bool {
	ctx, cancel := context.WithTimeout(ctx, daemonTimeout)
	defer cancel()
	res, err := c.daemon.api.ContainerInspect(ctx, m.container.GetContainerID(), client.ContainerInspectOptions{})
	if err != nil || res.Container.State == nil || !res.Container.State.Running || res.Container.NetworkSettings == nil {
		return false
	}
	_, on := res.Container.NetworkSettings.Networks[c.lan.network.Name]
	return !on
}

// checkContainer looks after a machine whose agent does not answer: should the
// daemon not have told, its container may have ended all the same.
func (c *Cluster) checkContainer(ctx context.Context, m *machine) {
	if m.down.Load() || ctx.Err() != nil || m.outside.gone() != "" {
		return
	}
	asking, cancel := context.WithTimeout(ctx, daemonTimeout)
	defer cancel()
	res, err := c.daemon.api.ContainerInspect(asking, m.container.GetContainerID(), client.ContainerInspectOptions{})
	switch {
	case m.down.Load() || ctx.Err() != nil:
	case errdefs.IsNotFound(err):
		c.ended(m, "its container is gone")
	case err == nil && res.Container.State != nil && !res.Container.State.Running:
		s := res.Container.State
		c.ended(m, strings.TrimSpace("its container ended with exit code "+strconv.Itoa(s.ExitCode)+" "+s.Error))
	}
}

// Healing is tried this often while the harness cannot reach a machine, with a
// pause in between. All that is tried again can be done twice.
const (
	healTries = 3
	healPause = 300 * time.Millisecond
)

// insist does something to a machine until it is reached, within bounds.
func (m *machine) insist(ctx context.Context, act func() error) (err error) {
	for try := 1; ; try++ {
		if why := m.outside.gone(); why != "" {
			return fmt.Errorf("%w: %s", cluster.ErrUnreachable, why)
		}
		if err = act(); !errors.Is(err, cluster.ErrUnreachable) || try == healTries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(healPause):
		}
	}
}
