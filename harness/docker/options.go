// Package docker is the runtime that puts a cluster's nodes into containers:
// one container per node, one network per run, fixed addresses, the agent
// (harness/agent) as the first process of each container.
//
// It works on testcontainers-go, needs no registry and no environment
// variables, and publishes no ports: it dials container addresses, so it must
// run on the Linux host of the daemon. Images are built once per content and
// started by tag.
//
// Everything that it makes carries the labels of its owner: run, process and
// boot of the host. Run removes everything it made; what a dead process left,
// Sweep removes, and never anything else.
//
// The package does not judge what nodes do, and it makes no fault that
// Docker's kernel lacks: Linker.CanImpair says what is missing.
package docker

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
)

// Options configures the runtime. Zero fields take the defaults.
type Options struct {
	// Log receives what the runtime does at debug level, and what it could
	// not clean up as warnings. Spec.Log takes precedence. Default: nothing.
	Log *slog.Logger
	// Subnets are the ranges from which each run takes a free /24 for its
	// network, in order of preference. Default: 10.128.0.0/9, 172.16.0.0/12,
	// 192.168.0.0/16.
	Subnets []netip.Prefix
	// Memory bounds each container, in bytes. Default: 768 MiB.
	Memory int64
	// Processes bounds the processes and threads of each container. Default:
	// 1024.
	Processes int64
	// Build is how long images may take, the base system of a foreign image
	// included. Default: 10 minutes.
	Build time.Duration
	// Ready is how long starting all containers may take. Default: 1 minute.
	Ready time.Duration
	// Teardown is how long removing everything may take. Default: 1 minute.
	Teardown time.Duration
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if len(o.Subnets) == 0 {
		for _, p := range []string{"10.128.0.0/9", "172.16.0.0/12", "192.168.0.0/16"} {
			o.Subnets = append(o.Subnets, netip.MustParsePrefix(p))
		}
	}
	if o.Memory == 0 {
		o.Memory = 768 << 20
	}
	if o.Processes == 0 {
		o.Processes = 1024
	}
	for d, def := range map[*time.Duration]time.Duration{
		&o.Build: 10 * time.Minute, &o.Ready: time.Minute, &o.Teardown: time.Minute,
	} {
		if *d == 0 {
			*d = def
		}
	}
	return o
}

// Validate says what is wrong with options.
func (o Options) Validate() error {
	for _, p := range o.Subnets {
		if !p.Addr().Is4() || p.Bits() < 0 || p.Bits() > 24 {
			return fmt.Errorf("docker: the subnet range %v is not an IPv4 prefix of at most 24 bits", p)
		}
	}
	if o.Memory < 0 || o.Processes < 0 || o.Build < 0 || o.Ready < 0 || o.Teardown < 0 {
		return errors.New("docker: limits must not be negative")
	}
	return nil
}

// New makes the runtime. It does not talk to the daemon yet.
func New(o Options) cluster.Runtime { return &runtime{options: o} }

type runtime struct{ options Options }

func (r *runtime) Name() string { return "docker" }

// maxNodes is bounded by the /24 of a run.
const maxNodes = 200

// nodeName is what can be a host name and part of a path.
var nodeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// check refuses specs that cannot be started. It returns the target as a
// Contained one.
func check(spec cluster.Spec) (cluster.Contained, error) {
	if spec.Target == nil {
		return nil, errors.New("docker: no target is given")
	}
	target, ok := spec.Target.(cluster.Contained)
	switch {
	case !ok:
		return nil, fmt.Errorf("docker: the target %s cannot be put in containers (%w): use --runtime sim", spec.Target.Name(), cluster.ErrUnavailable)
	case spec.Run == "":
		return nil, errors.New("docker: the run has no id")
	case len(spec.Nodes) == 0:
		return nil, errors.New("docker: a cluster of zero nodes cannot be started: name at least one")
	case len(spec.Nodes) > maxNodes:
		return nil, fmt.Errorf("docker: %d nodes are more than the %d that a run's subnet has addresses for: use --runtime sim, or fewer nodes: %w", len(spec.Nodes), maxNodes, cluster.ErrUnavailable)
	}
	seen := map[string]bool{}
	for _, n := range spec.Nodes {
		switch {
		case !nodeName.MatchString(n):
			return nil, fmt.Errorf("docker: the node name %q is not made of a-z, 0-9 and - (at most 32)", n)
		case n == cluster.ClientEnd:
			return nil, fmt.Errorf("docker: the node name %q is reserved for the clients", n)
		case seen[n]:
			return nil, fmt.Errorf("docker: the node %q is named twice", n)
		}
		seen[n] = true
	}
	return target, nil
}
