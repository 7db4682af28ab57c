// Package etcd is the target etcd, unmodified, as Debian packages it
// (etcd-server 3.4.23 in bookworm): the first real system that cleancut
// breaks, and the proof that adding one takes a folder and a line in the
// catalog.
//
// It runs in containers only, for it has no node program to simulate. Clients
// talk to it through go.etcd.io/etcd/client/v3, each to one member at a time;
// leader, term, applied index and a hash of the data are read from each
// member's own API (probe.go).
//
// The package does not test watches, leases, transactions over several keys
// or membership changes.
package etcd

import (
	"fmt"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/workloads"
)

// Target is etcd.
type Target struct{}

var _ cluster.Contained = Target{}

// New returns the target.
func New() Target { return Target{} }

// Name implements cluster.Target.
func (Target) Name() string { return "etcd" }

// Doc implements cluster.Target.
func (Target) Doc() string { return "etcd 3.4 as Debian packages it, unmodified; containers only" }

// Claims implements cluster.Target.
func (Target) Claims() []cluster.Claim {
	const source = "https://etcd.io/docs/v3.4/learning/api_guarantees/"
	return []cluster.Claim{
		{Guarantee: "linearizable reads and writes of keys", Under: "crashes, pauses and partitions", Source: source},
		{Guarantee: "no acknowledged write is lost", Under: "crashes of any number of members", Source: source},
	}
}

// Budget implements cluster.Target. An election begins within one to two
// election timeouts, of 1 s by default; five allow for votes that are split.
func (Target) Budget(nodes int) cluster.Budget {
	return cluster.Budget{Down: (nodes - 1) / 2, Safe: true, Failover: 5 * time.Second}
}

// Functions implements cluster.Target.
func (Target) Functions() []string {
	return []string{workloads.Read, workloads.Write, workloads.CAS, workloads.Delete}
}

// Bugs implements cluster.Target: etcd has those that it has.
func (Target) Bugs() []cluster.Bug { return nil }

// Image implements cluster.Contained.
func (Target) Image() cluster.Image {
	return cluster.Image{
		Base:        "debian:bookworm-slim",
		DebianSuite: "bookworm",
		Dockerfile: "ARG BASE=debian:bookworm-slim\n" +
			"FROM ${BASE}\n" +
			"RUN apt-get update && apt-get install -y --no-install-recommends etcd-server && rm -rf /var/lib/apt/lists/*\n",
	}
}

// Ports of a member.
const (
	clientPort = 2379
	peerPort   = 2380
)

// Command implements cluster.Contained. All but addresses and names is
// etcd's default.
func (Target) Command(cfg cluster.NodeConfig) (cluster.Command, error) {
	var members []string
	for _, name := range cfg.Names {
		address, ok := cfg.Peers[name]
		if !ok {
			return cluster.Command{}, fmt.Errorf("etcd: the address of member %s is not known", name)
		}
		members = append(members, fmt.Sprintf("%s=http://%s:%d", name, address, peerPort))
	}
	return cluster.Command{
		Args: []string{
			"/usr/bin/etcd",
			"--name", cfg.Name,
			"--data-dir", cfg.DataDir,
			"--listen-peer-urls", fmt.Sprintf("http://%s:%d", cfg.Address, peerPort),
			"--initial-advertise-peer-urls", fmt.Sprintf("http://%s:%d", cfg.Address, peerPort),
			"--listen-client-urls", fmt.Sprintf("http://0.0.0.0:%d", clientPort),
			"--advertise-client-urls", fmt.Sprintf("http://%s:%d", cfg.Address, clientPort),
			"--initial-cluster", strings.Join(members, ","),
			"--initial-cluster-state", "new",
			"--initial-cluster-token", cfg.Run,
		},
		Ports: map[string]int{"client": clientPort, "peer": peerPort},
	}, nil
}
