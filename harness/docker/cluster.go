package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/testcontainers/testcontainers-go"

	"github.com/cleancut/cleancut/harness/agent"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
)

// statusTimeout is how long a node has to say how it is.
const statusTimeout = time.Second

// dataDir is where nodes keep their data, in the container's writable layer.
const dataDir = agent.DataDir

// Cluster is a started target in containers. It implements cluster.Cluster,
// Crasher, Rebooter, Pauser, Linker, Disker, Grouper, Tripper, Recorder and Observer; if its nodes count their
// unsynced bytes, the value that Run hands out is a PowerCutter too.
type Cluster struct {
	*executor
	spec     cluster.Spec
	target   cluster.Contained
	options  Options
	log      *slog.Logger
	daemon   *daemon
	lan      lan
	labels   map[string]string
	image    string
	machines map[string]*machine
	can      agent.Capabilities

	mu       sync.Mutex
	networks map[string]*clientNetwork
	lastRule int
	findings []node.Finding
	watching sync.WaitGroup
	unwatch  context.CancelFunc
	// interrupted tells that the end must not take long.
	interrupted bool
}

var (
	_ cluster.Cluster  = (*Cluster)(nil)
	_ cluster.Crasher  = (*Cluster)(nil)
	_ cluster.Rebooter = (*Cluster)(nil)
	_ cluster.Pauser   = (*Cluster)(nil)
	_ cluster.Linker   = (*Cluster)(nil)
	_ cluster.Observer = (*Cluster)(nil)
	_ cluster.Grouper  = (*Cluster)(nil)
	_ cluster.Recorder = (*Cluster)(nil)
	_ cluster.Disker   = (*Cluster)(nil)
	_ cluster.Tripper  = (*Cluster)(nil)
)

// machine is one node's container.
type machine struct {
	name, ip  string
	config    cluster.NodeConfig
	command   cluster.Command
	agent     *agent.Client
	container testcontainers.Container
	// token opens this node's agent and no other.
	token   string
	outside outside

	// held tells that the harness has paused the process.
	held atomic.Bool
	// down tells that KillMachine took the container down.
	down atomic.Bool
	// killed are the times at which it did, on the host's monotonic clock.
	killed []time.Duration
	slow   []*slowness // in force

	mu    sync.Mutex              // serialises what changes the machine
	rules map[string]agent.Rule   // those that must be in force
	base  map[string]agent.Counts // what they did in earlier lives of the container

	watch     sync.Mutex // serialises the reading of exits
	exitsSeen int
}

// Runtime is "docker".
func (c *Cluster) Runtime() string { return "docker" }

// Nodes returns the names of all nodes, in order.
func (c *Cluster) Nodes() []string { return slices.Clone(c.spec.Nodes) }

// Groups returns the groups of nodes that the target declares.
func (c *Cluster) Groups() []cluster.Group { return cluster.GroupsOf(c.target, c.spec.Nodes) }

func (c *Cluster) machine(name string) (*machine, error) {
	m, ok := c.machines[name]
	if !ok {
		return nil, fmt.Errorf("docker: %w: %q is none of %v", cluster.ErrNoNode, name, c.spec.Nodes)
	}
	return m, nil
}

// port looks up a port of the node's command by its name.
func (m *machine) port(name string) (int, error) {
	p, ok := m.command.Ports[name]
	if !ok {
		return 0, fmt.Errorf("docker: node %s has no port %q, only %v", m.name, name, slices.Sorted(maps.Keys(m.command.Ports)))
	}
	return p, nil
}

// start says how the agent starts the node's process.
func (m *machine) start() agent.Start {
	env := append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "HOSTNAME=" + m.name}, m.command.Env...)
	return agent.Start{Args: m.command.Args, Env: env, Dir: "/", Make: []string{dataDir}, UnsyncedFile: m.command.UnsyncedFile, RecordFile: m.command.RecordFile}
}

// Status asks a node how it is, through its agent.
func (c *Cluster) Status(ctx context.Context, name string) (node.Status, error) {
	m, err := c.machine(name)
	if err != nil {
		return node.Status{}, err
	}
	if m.down.Load() {
		return node.Status{}, fmt.Errorf("docker: %s: %w: its machine is off", name, cluster.ErrDown)
	}
	if why := m.outside.gone(); why != "" {
		return node.Status{}, fmt.Errorf("docker: %s %w: %s", name, cluster.ErrUnreachable, why)
	}
	status, err := c.probe(ctx, m)
	if err != nil {
		return node.Status{}, m.silence(ctx, err)
	}
	return status, nil
}

// probe asks the node's process.
func (c *Cluster) probe(ctx context.Context, m *machine) (node.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	// A target that does not listen to its context must not block us: the
	// connections that it was given are closed at the deadline.
	return c.target.Probe(ctx, m.config, func(dialCtx context.Context, port string) (net.Conn, error) {
		number, err := m.port(port)
		if err != nil {
			return nil, err
		}
		conn, err := m.agent.Dial(dialCtx, number)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		return conn, nil
	})
}

// silence says why there is no status: that is the node's own doing only if its
// agent says so in the same moment.
func (m *machine) silence(ctx context.Context, why error) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	state, err := m.agent.State(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("docker: %s %w: it does not say how it is (%v), nor does its agent (%v)", m.name, cluster.ErrUnreachable, why, err)
	case !state.Running:
		return fmt.Errorf("docker: %s: %w", m.name, cluster.ErrDown)
	case state.Paused && !m.held.Load():
		return fmt.Errorf("docker: %s %w: its process was stopped (SIGSTOP), and not by the harness", m.name, cluster.ErrUnreachable)
	default:
		// What went wrong on the way to it says nothing of the harness: the
		// agent has answered.
		return fmt.Errorf("docker: %s runs and does not say how it is: %v", m.name, why)
	}
}

// Logs returns the end of a node's log. Boots and exits are marked by lines
// that begin with "===".
func (c *Cluster) Logs(ctx context.Context, name string, limit int) ([]byte, error) {
	m, err := c.machine(name)
	if err != nil {
		return nil, err
	}
	if limit <= 0 {
		return nil, nil
	}
	if !m.down.Load() {
		b, err := m.agent.Log(ctx, limit)
		if err == nil {
			return b, nil
		}
	}
	// The container is down: its files can still be read.
	files, err := c.daemon.readDir(ctx, m.container.GetContainerID(), agent.StateDir, 2*evidenceLog)
	if err != nil {
		return nil, fmt.Errorf("docker: log of %s: %w", name, err)
	}
	return agent.ReadLogs(files, limit)
}

// Findings returns panics and exits that nobody caused, in order.
func (c *Cluster) Findings() []node.Finding {
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	var wait sync.WaitGroup
	for _, m := range c.machines {
		wait.Go(func() { _ = c.collectExits(ctx, m, 0) }) // those known so far are returned
	}
	wait.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.findings)
}

// each does something to every machine at once.
func (c *Cluster) each(f func(m *machine) error) error {
	errs := make([]error, len(c.spec.Nodes))
	var wait sync.WaitGroup
	for i, name := range c.spec.Nodes {
		wait.Go(func() { errs[i] = f(c.machines[name]) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

// closeBody drains and closes an answer, so that its connection is reused.
func closeBody(r io.ReadCloser) {
	_, _ = io.Copy(io.Discard, r)
	_ = r.Close()
}
