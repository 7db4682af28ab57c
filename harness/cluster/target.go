package cluster

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/nearest"
	"github.com/cleancut/cleancut/harness/node"
)

// Target is a system under test. A target that can be simulated is also a
// Simulated, one that can be put in containers is also a Contained.
type Target interface {
	// Name is the name of the target in the catalog ("store", "etcd").
	Name() string
	// Doc is a sentence about the target.
	Doc() string
	// Claims lists what the target's own documentation guarantees.
	Claims() []Claim
	// Budget is what a cluster of that many nodes tolerates with all claims
	// kept. Plans may go beyond; then the result says when, and what that makes
	// of the claims.
	Budget(nodes int) Budget
	// Functions lists the operations that the target's client knows, by F.
	Functions() []string
	// Bugs lists the planted bugs that can be switched on, none for
	// third-party systems.
	Bugs() []Bug
	// Connect makes a client. It does not talk to the cluster yet. Bug is the
	// planted bug that is switched on, since some live in the client.
	Connect(net Network, bug string) (Client, error)
}

// Claim is a guarantee.
type Claim struct {
	Guarantee string // "linearizable", "no acknowledged write is lost"
	Under     string // the faults under which it is given
	Source    string // where the target says so
}

// Budget is what a target declares to tolerate. Beyond it, violations are no
// one's fault but the plan's.
type Budget struct {
	// Down is how many nodes may be dead, paused or cut off at once while
	// the target still serves; safety may hold beyond it (see Safe).
	Down int
	// Free lists groups (see Grouped) whose nodes do not count: all of them
	// may be down at once.
	Free []string
	// Safe tells that safety is claimed under any number of crashes,
	// pauses, power losses and partitions, and only service needs Down.
	Safe bool
	// Failover is within how long the target serves again after a fault began
	// or ended, where no more than Down nodes are hit from then on; 0 claims
	// nothing. What is hit stays hit: a leader that is cut off is replaced.
	// Where time is real it may take three times as long.
	Failover time.Duration
}

// Bug is a planted defect.
type Bug struct {
	ID   string // "stale-local-read"
	Doc  string // what the code does wrong, and which real defect it mirrors
	Code string // id in the catalogue of bugs: "R1"
	// Where tells which runtimes can show it.
	Where []string
}

// CheckBug says which bugs the target of that name has, if id is none of them
// and not "".
func CheckBug(target string, bugs []Bug, id string) error {
	if id == "" {
		return nil
	}
	known := make([]string, len(bugs))
	for i, b := range bugs {
		if b.ID == id {
			return nil
		}
		known[i] = b.ID
	}
	return fmt.Errorf("%s: no planted bug is called %q%s", target, id, nearest.Hint(id, known))
}

// Client is one client of a target, in blocking style. It is used by one
// activity at a time.
type Client interface {
	// Invoke executes an operation and says how it ended. It returns within
	// timeout, and in doubt says Info, never Fail.
	Invoke(ctx context.Context, op Op, timeout time.Duration) Completion
	// Close gives up the client's resources.
	Close() error
}

// Op is an operation to be invoked.
type Op struct {
	F     string
	Key   string
	Value history.Value
}

// Completion is how an operation ended.
type Completion struct {
	Outcome history.Outcome // OK, Fail or Info
	Value   history.Value   // as in history.Event
	Node    string          // the node that was asked last
	Error   string          // why it failed or is indeterminate
}

// Simulated is a target that runs in the simulator.
type Simulated interface {
	Target
	// Program returns a new incarnation of a node with the given bug
	// switched on.
	Program(bug string) (node.Program, error)
	// Monitors returns new white-box invariants for a run.
	Monitors(nodes []string) []node.Monitor
	// Points lists the names that programs of this target reach.
	Points() []string
}

// Contained is a target that runs in containers.
type Contained interface {
	Target
	// Image says how the container image is made.
	Image() Image
	// Command returns the command line that starts a node's process.
	Command(cfg NodeConfig) (Command, error)
	// Probe asks a node how it is. It must reach the node by dial only,
	// which connects to one of the command's ports, by its name, over the
	// control path, where network faults do not strike.
	Probe(ctx context.Context, cfg NodeConfig, dial Dialer) (node.Status, error)
}

// Dialer connects to a node's port of that name.
type Dialer func(ctx context.Context, port string) (net.Conn, error)

// Image says how to make a container image for a target. The agent is added
// by the runtime.
type Image struct {
	// Package is the Go package of a command that is built statically and
	// put into an otherwise empty image at /bin/node. Either it or Dockerfile
	// is set.
	Package string
	// Dockerfile is the text of a Dockerfile for a foreign system. It starts
	// with "ARG BASE=…" and "FROM ${BASE}".
	Dockerfile string
	// Base is the image that BASE stands for, and DebianSuite the Debian
	// release from which it is made where it cannot be pulled.
	Base        string
	DebianSuite string
}

// NodeConfig is what a node's command line can depend on.
type NodeConfig struct {
	Name    string
	Address string            // the node's own IP address
	Peers   map[string]string // name → IP address of all nodes, itself included
	Names   []string          // names of all nodes, in order
	DataDir string            // where the node keeps its data
	Bug     string
	// Settings are those of a Configurable target, by name.
	Settings map[string]string
	Seed     uint64
	Run      string // identifies the run: a cluster token, say
}

// Command starts a node's process in its container. The runtime reaches
// UnsyncedFile, SyncDelayFile and RecordFile only below /data, /run/cleancut and
// /var/lib/cleancut-record.
type Command struct {
	Args []string // path and arguments
	Env  []string // KEY=VALUE
	// Ports maps names ("client", "peer") to TCP port numbers. Clients talk
	// to "client"; nodes talk to each other on any port.
	Ports map[string]int
	// UnsyncedFile, if set, is a path in the container at which the process
	// keeps, as eight bytes little endian, how many bytes it has written and
	// not synced. Such a process loses them when it is killed; the runtime
	// then offers PowerCutter.
	UnsyncedFile string
	// FilesDir is where in the container the process keeps its files, "" for
	// all of its data directory.
	FilesDir string
	// SyncDelayFile, if set, is a path in the container that the process reads
	// at each sync: a number of nanoseconds, by which the sync takes longer.
	// For each that did, the process appends a byte to the same path with
	// ".count" at its end. The runtime can then slow down the disk.
	SyncDelayFile string
	// RecordFile, if set, is a path in the container to which the process
	// appends what it records, one record.Event as JSON per line, with T on
	// the host's monotonic clock and without Inc. The runtime adds crashes
	// and offers what it finds there as a Recorder.
	RecordFile string
}
