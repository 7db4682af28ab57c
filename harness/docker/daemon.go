package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"

	"github.com/cleancut/cleancut/harness/cluster"
)

// daemonTimeout bounds single, short questions to the daemon.
const daemonTimeout = 10 * time.Second

// Info is what a daemon says about itself.
type Info struct {
	Host    string `json:"host"`
	Version string `json:"version"`
	API     string `json:"api"`
	System  string `json:"system"`
	Kernel  string `json:"kernel"`
	// Architecture as Go names it: amd64, arm64.
	Architecture string `json:"architecture"`
	CPUs         int    `json:"cpus"`
	Memory       int64  `json:"memory"` // bytes
	// Missing says in a sentence each what is missing for certain targets.
	Missing []string `json:"missing,omitempty"`
}

// Probe asks whether the runtime can be used. The error wraps
// cluster.ErrUnavailable and says in one sentence why not and what would help.
func Probe(ctx context.Context) (Info, error) {
	d, err := connect(ctx)
	if err != nil {
		return Info{}, err
	}
	defer d.close()
	return d.info(ctx)
}

// daemon is a connection to the Docker daemon.
type daemon struct {
	provider *testcontainers.DockerProvider
	api      client.APIClient
	host     string
}

// quiet configures testcontainers, once per process: its reaper needs an
// image that may not be there (this package cleans up by itself), its guess
// of the host address is never used, and its log lines are not ours.
var quiet = sync.OnceValue(func() error {
	tclog.SetDefault(tclog.NewNoopLogger())
	return errors.Join(
		os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"),
		os.Setenv("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1"),
	)
})

// connect finds the daemon and makes sure that it can be used.
func connect(ctx context.Context) (*daemon, error) {
	if goruntime.GOOS != "linux" {
		return nil, fmt.Errorf("docker is %w on %s: container addresses can be reached only from the Linux host of the daemon; use --runtime sim", cluster.ErrUnavailable, goruntime.GOOS)
	}
	if err := quiet(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, daemonTimeout)
	defer cancel()
	// testcontainers would silently take another daemon if this one does not
	// answer.
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		if err := ping(ctx, host); err != nil {
			return nil, noDaemon("at DOCKER_HOST="+host, err)
		}
	}
	provider, err := testcontainers.NewDockerProvider(testcontainers.WithLogger(tclog.NewNoopLogger()))
	if err != nil {
		return nil, noDaemon("at the usual places", err)
	}
	d := &daemon{provider: provider, api: provider.Client(), host: provider.Client().DaemonHost()}
	if _, err := d.api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		d.close()
		return nil, noDaemon("at "+d.host, err)
	}
	if !strings.HasPrefix(d.host, "unix://") {
		d.close()
		return nil, fmt.Errorf("docker is %w: the daemon at %s is not local, and container addresses can be reached only from its own host; run there, or use --runtime sim", cluster.ErrUnavailable, d.host)
	}
	return d, nil
}

func ping(ctx context.Context, host string) error {
	c, err := client.New(client.FromEnv, client.WithHost(host))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Ping(ctx, client.PingOptions{})
	return err
}

func noDaemon(where string, err error) error {
	return fmt.Errorf("docker is %w: no daemon answers %s (%s); start Docker, set DOCKER_HOST, or use --runtime sim",
		cluster.ErrUnavailable, where, strings.Join(strings.Fields(err.Error()), " "))
}

func (d *daemon) close() { _ = d.provider.Close() }

func (d *daemon) info(ctx context.Context) (Info, error) {
	ctx, cancel := context.WithTimeout(ctx, daemonTimeout)
	defer cancel()
	version, err := d.api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return Info{}, noDaemon("at "+d.host, err)
	}
	res, err := d.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return Info{}, noDaemon("at "+d.host, err)
	}
	if slices.ContainsFunc(res.Info.SecurityOptions, func(s string) bool { return strings.Contains(s, "rootless") }) {
		return Info{}, fmt.Errorf("docker is %w: the daemon at %s is rootless, and its containers' addresses cannot be reached from the host; use a daemon that runs as root, or --runtime sim",
			cluster.ErrUnavailable, d.host)
	}
	i := Info{
		Host: d.host, Version: version.Version, API: version.APIVersion, System: res.Info.OperatingSystem,
		Kernel: res.Info.KernelVersion, Architecture: version.Arch, CPUs: res.Info.NCPU, Memory: res.Info.MemTotal,
	}
	if err := haveGo(); err != nil {
		i.Missing = append(i.Missing, err.Error())
	}
	if err := haveDebootstrap(); err != nil {
		i.Missing = append(i.Missing, "images of third-party systems cannot be based on debootstrap where no registry answers: "+err.Error())
	}
	return i, nil
}
