package cluster

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"
)

// Receipt proves that a fault bit: what was counted, read back or seen to
// change. Counts are kept by name ("packets_dropped", "bytes_discarded",
// "boots"); Notes say it in words.
type Receipt struct {
	Counts map[string]int64 `json:"counts,omitempty"`
	Notes  []string         `json:"notes,omitempty"`
}

// Count adds n to the count of that name.
func (r *Receipt) Count(name string, n int64) {
	if r.Counts == nil {
		r.Counts = map[string]int64{}
	}
	r.Counts[name] += n
}

// Note adds a line in words.
func (r *Receipt) Note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// Add merges what o proves into r.
func (r *Receipt) Add(o Receipt) {
	for name, n := range o.Counts {
		r.Count(name, n)
	}
	r.Notes = append(r.Notes, o.Notes...)
}

// String prints the counts in order of their names, then the notes.
func (r Receipt) String() string {
	names := make([]string, 0, len(r.Counts))
	for name := range r.Counts {
		names = append(names, name)
	}
	sort.Strings(names)
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s=%d", name, r.Counts[name]))
	}
	return strings.Join(append(parts, r.Notes...), "; ")
}

// Crasher can kill the process of a node and start it again. The node's
// network namespace, address and disk stay as they are.
type Crasher interface {
	// Kill ends the node's process at once, without warning (SIGKILL). What
	// it wrote and did not sync survives in the simulator, as the kernel's
	// page cache does; in containers it depends on the target's file layer.
	// Killing a node that is down is no error. The receipt counts
	// "processes_killed".
	Kill(ctx context.Context, node string) (Receipt, error)
	// Start starts the node's process again and returns when the process
	// runs, not when the node is ready. Starting a node that runs is no
	// error. It fails with ErrDown if the process was started and died at
	// once. The receipt counts "boots" and notes the old and new boot ids.
	Start(ctx context.Context, node string) (Receipt, error)
}

// Rebooter can kill and start the whole machine of a node (its container):
// connections break, the network namespace goes away and comes back with the
// same address.
type Rebooter interface {
	KillMachine(ctx context.Context, node string) (Receipt, error)
	StartMachine(ctx context.Context, node string) (Receipt, error)
}

// PowerCutter can take the power from several nodes at the same instant.
// What they wrote and did not sync is lost, wholly or in part. The receipt
// counts "processes_killed" and "bytes_discarded". Crasher.Start brings the
// nodes back.
type PowerCutter interface {
	CutPower(ctx context.Context, nodes []string) (Receipt, error)
}

// Pauser can stop a node's process so that it neither computes nor answers,
// and let it go on as if nothing had happened (SIGSTOP and SIGCONT). The
// receipt of Resume counts "milliseconds_paused" and "pauses". Callers pause a
// node once before they resume it: package faults keeps count of faults that
// overlap.
type Pauser interface {
	Pause(ctx context.Context, node string) error
	Resume(ctx context.Context, node string) (Receipt, error)
}

// Link is one direction between two ends: nodes, or ClientEnd.
type Link struct{ From, To string }

// String prints "n1>n2".
func (l Link) String() string { return l.From + ">" + l.To }

// Impairment is what a link rule does to packets (in the simulator:
// messages). Probabilities are in millionths, so that they are exact.
type Impairment struct {
	// Loss is the probability, in millionths, that a packet is dropped.
	// Million drops all: a cut. Packets in flight when it starts still
	// arrive.
	Loss int
	// Delay is added to each packet, plus a uniformly random time below
	// Jitter. Packets may overtake each other if Jitter is set.
	Delay, Jitter time.Duration
	// Duplicate is the probability, in millionths, that a packet arrives
	// twice.
	Duplicate int
}

// Million is certainty, where probabilities are given in millionths.
const Million = 1_000_000

// Linker can impair links. Rules add up: each rule on a packet's link decides
// on it and counts, whatever the others decide, so faults may overlap freely,
// the receipt of one does not hide that of another, and taking one rule away
// leaves the others in force. Rules survive the restart of a node and of its
// machine. The control traffic of the harness is never hit.
type Linker interface {
	// CanImpair says whether an impairment of this kind can be had, and if
	// not, why not (an error that wraps ErrUnavailable).
	CanImpair(Impairment) error
	// Impair puts a rule on all the given links and returns when it is in
	// force on all of them.
	Impair(ctx context.Context, links []Link, i Impairment) (Rule, error)
}

// Rule is an impairment in force.
type Rule interface {
	// Receipt counts what the rule did so far: "packets_dropped",
	// "packets_delayed", "packets_duplicated", and "packets_seen" on its
	// links.
	Receipt(ctx context.Context) (Receipt, error)
	// Remove takes the rule away and returns its final receipt. Removing it
	// twice is no error and returns the same receipt.
	Remove(ctx context.Context) (Receipt, error)
}

// Prober is a Rule that can send packets of the harness over its links.
type Prober interface {
	// Probe sends a packet over each link whose two ends are running, as often
	// as it takes for the rule to hit one, at most ProbesMax times, and counts
	// "probes_sent" and "probes_dropped", "probes_delayed" or
	// "probes_duplicated". The system under test sees none of them, and no other
	// rule counts them.
	Probe(ctx context.Context) (Receipt, error)
}

// ProbesMax is how many packets a probe sends over a link at most: a rule that
// hits one in five packets misses all of them once in a million times.
const ProbesMax = 64

// Tripper can make something happen at the moment at which a node program
// reaches a named point.
type Tripper interface {
	// CanTrip says why the programs of this cluster cannot be stopped at a
	// point, or that they have none of that name.
	CanTrip(point string) error
	// Trip arms a wire.
	Trip(ctx context.Context, w Tripwire) (Wire, error)
}

// PointsPort is the name of the port, among those of a Command, on which the
// process of a node can be stopped at named points: see package server.
const PointsPort = "points"

// Tripwire waits for the Nth time that a node reaches Point, counted from
// now over all Nodes.
type Tripwire struct {
	Point string
	Nth   int      // from 1
	Nodes []string // nil for any node
	// Kill makes the node die inside the call of Point: nothing that the
	// program would have done after it is done.
	Kill bool
}

// Wire is an armed Tripwire.
type Wire interface {
	// Await blocks until the wire was tripped and returns the node that
	// tripped it, or until ctx is cancelled.
	Await(ctx context.Context) (node string, err error)
	// Disarm takes the wire away. It is no error if it was tripped already.
	Disarm()
}
