// Package faults holds what can be done to a cluster, as values: a Fault names
// what is done to whom, prints itself and parses back. Injected through a
// Site it yields an Injection, which can heal it and whose receipt proves
// that it bit. A Plan is the timed or event-triggered list of faults of one
// run, drawn from a seed or written by hand.
//
// Faults ask a cluster for capabilities (cluster.Crasher, cluster.Linker, …)
// and know nothing of runtimes and targets. What a runtime cannot do, a fault
// says in Available, before anything is broken.
//
// The package does not decide what a fault should have cost: that is for
// package checkers. Each fault is one file, with its failure model in the
// header; Catalog lists them all.
package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/nearest"
)

// Fault is something that can be done to a cluster. Implementations are
// comparable values.
type Fault interface {
	// String is the fault's text in a plan. Parse is its inverse.
	String() string
	// Name is the name under which Catalog lists it.
	Name() string
	// Victims is whom it hits, "" if its own text decides that otherwise.
	Victims() Who
	// Available returns nil if this cluster can suffer the fault, or an
	// error that says why not. It wraps cluster.ErrUnavailable where the
	// runtime lacks something, cluster.ErrNoNode where the fault names nodes
	// that the cluster has not.
	Available(c cluster.Cluster) error
	// Inject brings the fault about and returns when it is fully in force. If
	// it fails, nothing is left broken.
	Inject(ctx context.Context, s *Site) (*Injection, error)
}

// Definition describes a kind of fault.
type Definition struct {
	Name  string
	Model history.Failure
	Doc   string // one sentence
	Usage string // an example of its text
	// Asked tells that it is drawn only where a Drawing names it: few systems
	// claim to survive it.
	Asked bool
	// parse makes the fault from the arguments between its parentheses.
	parse func(args []string) (Fault, error)
	// draw draws one for a cluster of that many nodes.
	draw func(r *rand.Rand, nodes int) Fault
}

// Catalog lists all kinds of faults, in the order in which they are
// documented.
func Catalog() []Definition {
	return []Definition{
		killDefinition, rebootDefinition, powerLossDefinition, pauseDefinition,
		partitionDefinition, lossDefinition, delayDefinition, duplicateDefinition,
		wipeDiskDefinition, rotDefinition, truncateDefinition, slowDiskDefinition,
	}
}

// Lookup returns the definition of that name.
func Lookup(name string) (Definition, error) {
	var names []string
	for _, d := range Catalog() {
		if d.Name == name {
			return d, nil
		}
		names = append(names, d.Name)
	}
	return Definition{}, fmt.Errorf("no fault is named %q%s", name, nearest.Hint(name, names))
}

// Site is where faults of one run are injected: the cluster, and what is in
// force already, so that faults may overlap freely. A node that two faults
// keep down comes back when both are healed.
type Site struct {
	Cluster cluster.Cluster
	// Rand decides what the fault leaves open (whom to hit). Each step of a
	// plan has its own stream.
	Rand *rand.Rand
	// Self is the node that tripped the step's trigger, "" if there is none.
	Self string
	// Same are the victims of the step that this one follows, if it does.
	Same []string
	// Seized tells that Self died at the trigger's very point: the fault that
	// kills it finds it dead and takes the credit.
	Seized bool
	holds  *holds
}

// NewSite returns a site without faults.
func NewSite(c cluster.Cluster) *Site {
	return &Site{Cluster: c, holds: &holds{down: map[string]int{}, up: map[string]starter{}, paused: map[string]int{}}}
}

// For returns the site as one step of a plan sees it.
func (s *Site) For(r *rand.Rand, self string, same []string) *Site {
	return &Site{Cluster: s.Cluster, Rand: r, Self: self, Same: same, holds: s.holds}
}

// holds counts, by node, how many faults hold it down or paused. It is locked
// while the cluster is acted upon, so that a heal and an injection that meet
// do not undo each other.
type holds struct {
	mu     sync.Mutex
	down   map[string]int
	up     map[string]starter // undoes what took the node down
	paused map[string]int
}

// lock locks the holds. Who finds them locked sleeps and tries again: acting
// on a simulated cluster lets other activities run on the same thread, which a
// mutex would block for good.
func (s *Site) lock(ctx context.Context) (unlock func()) {
	for !s.holds.mu.TryLock() {
		_ = s.Cluster.Sleep(context.WithoutCancel(ctx), lockPause)
	}
	return s.holds.mu.Unlock
}

// lockPause is the time between two tries to lock.
const lockPause = time.Millisecond

// starter starts a node again.
type starter func(ctx context.Context, node string) (cluster.Receipt, error)

// Injection is a fault in force.
type Injection struct {
	// Nodes are the victims, in order.
	Nodes []string
	// Frozen is the fault with everything that was left open decided: the
	// same fault injected again hits the same nodes.
	Frozen string

	receipt cluster.Receipt // of the injection itself
	heal    func(ctx context.Context) (cluster.Receipt, error)
	proof   string // the count that must be positive

	healed bool
	err    error
}

// Heal undoes the fault and returns its whole receipt. Healing again returns
// the same. It is for one activity at a time.
func (i *Injection) Heal(ctx context.Context) (cluster.Receipt, error) {
	if i.healed {
		return i.receipt, i.err
	}
	r, err := i.heal(ctx)
	i.receipt.Add(r)
	i.healed, i.err = true, err
	return i.receipt, err
}

// Bit reports whether a receipt of this injection proves that it had an effect:
// on the system under test or, where that was silent, on a probe of the harness.
func (i *Injection) Bit(r cluster.Receipt) bool {
	probe := probed + strings.TrimPrefix(i.proof, "packets_")
	return r.Counts[i.proof] > 0 || r.Counts[probe] > 0
}

// Proof is the name of the count that proves the effect.
func (i *Injection) Proof() string { return i.proof }

func join(words []string) string {
	s := ""
	for i, w := range words {
		if i > 0 {
			s += ", "
		}
		s += w
	}
	return s
}

// need returns the capability T of a cluster, or an error that says what
// lacks it.
func need[T any](c cluster.Cluster, what string) (T, error) {
	t, ok := c.(T)
	if !ok {
		return t, fmt.Errorf("the %s runtime cannot %s: %w", c.Runtime(), what, cluster.ErrUnavailable)
	}
	return t, nil
}
