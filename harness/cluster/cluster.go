// Package cluster is what faults, clients and the phases of a run act on: a
// started target, wherever it lives.
//
// A runtime (harness/sim, harness/docker) implements Cluster and as many of
// the small capability interfaces (Crasher, Pauser, Linker, …) as it can.
// Whoever needs a capability asks for it by type assertion before the run
// starts and says clearly what is missing. Everything here is written in
// blocking style: in the simulator, a blocking call hands the single thread
// to the scheduler; on containers it blocks a goroutine. The same clients,
// faults and phases therefore run on both.
//
// The package holds no policy: what to break and when is for package faults,
// what to conclude is for package checkers.
package cluster

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/record"
)

// ClientEnd is the name under which all clients together appear as one end
// of a Link.
const ClientEnd = "client"

// Errors that capabilities return, to be tested for with errors.Is.
var (
	// ErrNoNode means that a node of that name does not exist.
	ErrNoNode = errors.New("no such node")
	// ErrDown means that the node is not running.
	ErrDown = errors.New("node is down")
	// ErrUnavailable means that this runtime, target or machine cannot do
	// what was asked. The error that wraps it says why and what would help.
	ErrUnavailable = errors.New("not available")
)

// Runtime starts clusters.
type Runtime interface {
	// Name is "sim" or "docker".
	Name() string
	// Run starts a cluster as spec says, calls body with it, and removes the
	// cluster whatever happens: when Run returns, nothing of it is left. The
	// body's error is returned as it is; other errors say what the runtime
	// itself could not do. Cancelling ctx makes blocking calls return early;
	// what body does after that is up to it.
	Run(ctx context.Context, spec Spec, body func(ctx context.Context, c Cluster) error) error
}

// LogFile is the name of a node's log in its folder of Spec.EvidenceDir.
const LogFile = "node.log"

// RecordFile is the name of what a node recorded in its folder of
// Spec.EvidenceDir, if that was saved after the harness had died, and
// RecordHolesFile that of what is missing there, in words.
const (
	RecordFile      = "record.jsonl"
	RecordHolesFile = "record-holes.txt"
)

// Spec says what to start.
type Spec struct {
	Run    string // identifies the run; unique on this machine
	Target Target // what to start
	// Settings are those with which Target was configured, by name.
	Settings map[string]string
	Nodes    []string // names, in order: n1, n2, …
	Seed     uint64
	Bug      string // id of a planted bug to switch on, "" for none
	// EvidenceDir is where the runtime leaves what it knows of each node when
	// the run is over, one folder per node, with its log in LogFile; "" keeps
	// none (simulated sweeps).
	EvidenceDir string
	Log         *slog.Logger
	// OnTrouble, if set, is told at once what the runtime sees that neither
	// the harness nor a node's own program did. It may be called from any
	// goroutine and must not block.
	OnTrouble func(Trouble)
}

// Cluster is a started target.
type Cluster interface {
	Executor
	// Runtime is the name of the runtime that the cluster runs on.
	Runtime() string
	// Nodes returns the names of all nodes, in order.
	Nodes() []string
	// Status asks a node how it is. It fails with ErrDown if the node's
	// process certainly does not run, with ErrUnreachable if the harness cannot
	// tell, and with another error if the process runs but does not answer
	// within a second. The question takes the control path: network faults do
	// not hit it, but a paused node does not answer.
	Status(ctx context.Context, node string) (node.Status, error)
	// Network returns the network as the client of that name sees it. The
	// name also names the client's random stream.
	Network(client string) Network
	// Logs returns what a node wrote to its log since it was first started,
	// oldest first, boots marked, at most limit bytes from the end.
	Logs(ctx context.Context, node string, limit int) ([]byte, error)
}

// Executor runs activities of the harness (clients, the nemesis, the phases)
// and tells them the time. In the simulator all of them are coroutines on
// one thread: they must not block on anything but these methods and those of
// Cluster, Network and Task.
type Executor interface {
	// Now is the time since the run began on the harness's monotonic clock.
	Now() time.Duration
	// Sleep blocks for d, or until ctx is cancelled, and then returns
	// ctx.Err().
	Sleep(ctx context.Context, d time.Duration) error
	// Go starts an activity. A panic in it ends the run with an error that
	// carries the stack.
	Go(name string, f func(ctx context.Context)) Task
}

// Task is a started activity.
type Task interface {
	// Wait blocks until the activity has returned.
	Wait(ctx context.Context) error
	// Stop cancels the activity's context: what it is blocked in returns
	// context.Canceled. It does not wait.
	Stop()
}

// Network is a client's way to the nodes. It is subject to network faults.
type Network interface {
	Executor
	// Nodes returns the names of all nodes, in order.
	Nodes() []string
	// Address returns where a node's port of that name ("client", "peer")
	// can be dialled, as host:port. Only containers have addresses; the
	// simulator returns ErrUnavailable.
	Address(node, port string) (string, error)
	// Call sends a request to a node and waits for its answer, at most for
	// timeout. A *CallError says whether the request may have been executed.
	Call(ctx context.Context, node string, r node.Request, timeout time.Duration) (node.Response, error)
	// Intn returns a number in [0, n) of this client's random stream.
	Intn(n int) int
}

// Observer is a cluster that notices by itself what is wrong inside nodes:
// violated invariants in the simulator, and everywhere panics and exits that
// no fault caused.
type Observer interface {
	// Findings returns what was found so far, in order.
	Findings() []node.Finding
}

// Tracer is a cluster whose run is deterministic.
type Tracer interface {
	// TraceHash digests every event of the run so far.
	TraceHash() string
	// Events counts them.
	Events() uint64
	// Points counts how often each named point was reached.
	Points() map[string]int
}

// Recorder is a cluster that keeps what its nodes record of themselves.
type Recorder interface {
	// Record returns the events of all nodes so far, in order of time; those
	// of each node are in the order in which they came to be. It is empty if
	// the target records nothing. With an error the record is incomplete: it
	// then proves no absence of anything.
	Record(ctx context.Context) ([]record.Event, error)
}

// CallError is why a Call has no answer.
type CallError struct {
	Node string
	// Sent tells whether the request may have reached the node: false only
	// if it certainly did not (connection refused).
	Sent bool
	Err  error
}

func (e *CallError) Error() string {
	if e.Sent {
		return e.Node + ": no answer: " + e.Err.Error()
	}
	return e.Node + ": not sent: " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *CallError) Unwrap() error { return e.Err }
