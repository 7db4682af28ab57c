package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"github.com/cleancut/cleancut/harness/agent"
	"github.com/cleancut/cleancut/harness/cluster"
)

// capabilities are what a container may do: the agent sets network rules
// (NET_ADMIN), repeats packets (NET_RAW) and kills processes of other users
// (KILL); third-party systems change to a user of their own.
var capabilities = []string{"NET_ADMIN", "NET_RAW", "KILL", "CHOWN", "FOWNER", "DAC_OVERRIDE", "SETUID", "SETGID"}

// Run starts a cluster, calls body, and removes the cluster.
func (r *runtime) Run(ctx context.Context, spec cluster.Spec, body func(ctx context.Context, c cluster.Cluster) error) (err error) {
	target, err := check(spec)
	if err != nil {
		return err
	}
	if err := r.options.Validate(); err != nil {
		return err
	}
	options := r.options.withDefaults()
	if spec.Log != nil {
		options.Log = spec.Log
	}
	d, err := connect(ctx)
	if err != nil {
		return err
	}
	defer d.close()
	if _, err := d.sweep(ctx, SweepOptions{Log: options.Log}); err != nil {
		options.Log.Warn("what dead runs left could not be removed", "error", err)
	}
	c := &Cluster{spec: spec, target: target, options: options, log: options.Log, daemon: d, networks: map[string]*clientNetwork{}, unwatch: func() {}}
	// From here on something may exist, whatever happens, a panic included.
	defer func() {
		c.interrupted = ctx.Err() != nil
		if left := c.teardown(); left != nil {
			err = errors.Join(err, left)
		}
	}()
	if err := c.provision(ctx); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("docker: interrupted while the cluster started: %w", context.Cause(ctx))
		}
		return err
	}
	return c.run(ctx, body)
}

// run calls body and waits for its activities.
func (c *Cluster) run(ctx context.Context, body func(ctx context.Context, c cluster.Cluster) error) error {
	c.executor = newExecutor(ctx)
	if err := c.keepZero(); err != nil {
		return errors.Join(err, c.executor.finish())
	}
	c.startWatching()
	var value cluster.Cluster = c
	if c.canCutPower() {
		value = powered{c}
	}
	bodyErr := body(c.executor.ctx, value)
	taskErr := c.executor.finish()
	c.collectEvidence(ctx)
	if taskErr != nil {
		return errors.Join(taskErr, bodyErr)
	}
	return bodyErr
}

// provision makes image, network and containers, and starts the nodes.
func (c *Cluster) provision(ctx context.Context) error {
	info, err := c.daemon.info(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	building, cancel := context.WithTimeout(ctx, c.options.Build)
	defer cancel()
	if c.image, err = c.daemon.ensureImage(building, c.target.Name(), c.target.Image(), info.Architecture); err != nil {
		return err
	}
	c.log.Debug("image is there", "image", c.image, "after", time.Since(began))

	began = time.Now()
	ctx, cancel = context.WithTimeout(ctx, c.options.Ready)
	defer cancel()
	if c.spec.EvidenceDir != "" { // a sweep saves into it what a dead run cannot
		if err := os.MkdirAll(c.spec.EvidenceDir, 0o755); err != nil {
			return fmt.Errorf("docker: directory for evidence: %w", err)
		}
	}
	me, err := self()
	if err != nil {
		return err
	}
	c.labels = me.labels(c.spec.Run)
	if c.lan, err = c.daemon.createNetwork(ctx, c.options.Subnets, c.spec.Run, c.labels); err != nil {
		return err
	}
	if err := c.plan(); err != nil {
		return err
	}
	if err := c.each(func(m *machine) error { return c.boot(ctx, m) }); err != nil {
		return err
	}
	if c.can, err = c.machines[c.spec.Nodes[0]].agent.Capabilities(ctx); err != nil {
		return fmt.Errorf("docker: %w", err)
	}
	c.log.Debug("cluster is up", "nodes", len(c.spec.Nodes), "subnet", c.lan.subnet, "after", time.Since(began))
	return nil
}

func newToken() (string, error) {
	var b [24]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(b[:]), nil
}

// plan gives every node its address and command.
func (c *Cluster) plan() error {
	peers := map[string]string{}
	for i, name := range c.spec.Nodes {
		peers[name] = c.lan.node(i).String()
	}
	machines := map[string]*machine{}
	for _, name := range c.spec.Nodes {
		m := &machine{name: name, ip: peers[name], rules: map[string]agent.Rule{}, base: map[string]agent.Counts{}}
		m.config = cluster.NodeConfig{
			Name: name, Address: m.ip, Peers: peers, Names: c.Nodes(),
			DataDir: dataDir, Bug: c.spec.Bug, Settings: c.spec.Settings, Seed: c.spec.Seed, Run: c.spec.Run,
		}
		var err error
		if m.command, err = c.target.Command(m.config); err != nil {
			return fmt.Errorf("docker: command of node %s: %w", name, err)
		}
		if len(m.command.Args) == 0 {
			return fmt.Errorf("docker: the target %s gives no command for node %s", c.target.Name(), name)
		}
		for _, file := range []string{m.command.UnsyncedFile, m.command.RecordFile, m.command.SyncDelayFile} {
			if err := agent.CheckFile(file); err != nil {
				return fmt.Errorf("docker: command of node %s: %w", name, err)
			}
		}
		for port, number := range m.command.Ports {
			if number < 1 || number > 65535 || number == agent.Port {
				return fmt.Errorf("docker: port %q of node %s is %d, which is not in 1…65535 or the agent's (%d)", port, name, number, agent.Port)
			}
		}
		if m.token, err = newToken(); err != nil {
			return err
		}
		m.agent = agent.NewClient(m.ip+":"+strconv.Itoa(agent.Port), m.token)
		machines[name] = m
	}
	c.machines = machines
	return nil
}

// boot creates and starts a container, waits for its agent, and starts the
// node's process.
func (c *Cluster) boot(ctx context.Context, m *machine) error {
	if err := c.createContainer(ctx, m); err != nil {
		return fmt.Errorf("docker: container of %s: %w", m.name, err)
	}
	if err := c.awaitAgent(ctx, m); err != nil {
		return err
	}
	if _, err := m.agent.Start(ctx, m.start()); err != nil {
		return fmt.Errorf("docker: node %s: %w", m.name, err)
	}
	return nil
}

func (c *Cluster) createContainer(ctx context.Context, m *machine) error {
	labels := map[string]string{labelNode: m.name}
	if c.spec.EvidenceDir != "" {
		evidence, err := filepath.Abs(c.spec.EvidenceDir)
		if err != nil {
			return err
		}
		labels[labelEvidence], labels[labelRecord] = evidence, m.command.RecordFile
	}
	for k, v := range c.labels {
		labels[k] = v
	}
	hosts := []string{}
	for _, name := range c.spec.Nodes {
		hosts = append(hosts, name+":"+m.config.Peers[name])
	}
	ctr, err := c.daemon.provider.CreateContainer(ctx, testcontainers.ContainerRequest{
		Name:       "cleancut-" + repository(c.spec.Run) + "-" + m.name,
		Image:      c.image,
		Labels:     labels,
		Env:        map[string]string{agent.AddressEnv: m.ip}, // anybody can read it: no secrets
		Entrypoint: []string{agent.BinaryPath},
		Networks:   []string{c.lan.network.Name},
		ConfigModifier: func(cfg *container.Config) {
			cfg.Hostname, cfg.User = m.name, "0:0" // the agent needs root, whatever the image says
		},
		HostConfigModifier: func(h *container.HostConfig) {
			h.CapDrop, h.CapAdd = []string{"ALL"}, capabilities
			h.SecurityOpt = []string{"no-new-privileges"}
			h.ExtraHosts = hosts
			h.Memory, h.MemorySwap = c.options.Memory, c.options.Memory
			h.PidsLimit = &c.options.Processes
			h.LogConfig = container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "4m", "max-file": "1"}}
		},
		EndpointSettingsModifier: func(settings map[string]*network.EndpointSettings) {
			for _, s := range settings {
				i := 0
				for i < len(c.spec.Nodes) && c.spec.Nodes[i] != m.name {
					i++
				}
				s.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: c.lan.node(i)}
			}
		},
	})
	if ctr != nil {
		m.container = ctr
	}
	if err != nil {
		return err
	}
	if err := c.daemon.leaveToken(ctx, ctr.GetContainerID(), m.token); err != nil {
		return err
	}
	return ctr.Start(ctx)
}

// leaveToken puts the token into a container that does not run, where the agent
// finds it when it starts, and takes it away.
func (d *daemon) leaveToken(ctx context.Context, id, token string) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	header := &tar.Header{Name: path.Base(agent.TokenPath), Mode: 0o600, Size: int64(len(token))}
	err := w.WriteHeader(header)
	if err == nil {
		_, err = w.Write([]byte(token))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	_, err = d.api.CopyToContainer(ctx, id, client.CopyToContainerOptions{
		DestinationPath: path.Dir(agent.TokenPath), Content: &archive,
	})
	if err != nil {
		return fmt.Errorf("leaving the agent its token: %w", err)
	}
	return nil
}

// awaitAgent waits until the agent answers.
func (c *Cluster) awaitAgent(ctx context.Context, m *machine) error {
	const interval = 10 * time.Millisecond
	for {
		try, cancel := context.WithTimeout(ctx, time.Second)
		_, err := m.agent.State(try)
		cancel()
		if err == nil {
			return nil
		}
		if errors.Is(err, agent.ErrToken) {
			return fmt.Errorf("docker: the agent of %s at %s belongs to another run: %w", m.name, m.ip, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("docker: the agent of %s at %s does not answer (%w); can this host reach the containers' network %v?", m.name, m.ip, err, c.lan.subnet)
		case <-time.After(interval):
		}
	}
}
