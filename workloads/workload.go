// Package workloads says what clients do: seeded generators of operations,
// with the sequential specification against which their results are judged.
//
// A generator is pure: seed, client number and what that client saw so far
// decide its next operation, and nothing else does. Clients do not share
// state, so removing one leaves what the others do as it was. Written values
// are unique, which makes checking cheap and witnesses readable. Jobs (package
// jobs) are computations that the system runs by itself; clients look on.
//
// The package does not decide when operations are issued (the harness paces
// them) nor whether results are right (package checkers does).
package workloads

import (
	"fmt"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/nearest"
)

// Workload is what the clients of a run do.
type Workload interface {
	// Name is the name in Catalog.
	Name() string
	// Doc is a sentence about it.
	Doc() string
	// Functions lists the operations that a target's client must know, by F.
	Functions() []string
	// Client returns the generator of one of the run's clients, numbered from
	// 0.
	Client(seed uint64, client, clients int) Generator
	// Final lists the operations that read the final state of the given keys,
	// after everything has healed.
	Final(keys []string) []cluster.Op
}

// Generator yields the operations of one client.
type Generator interface {
	// Next returns the next operation.
	Next() cluster.Op
	// Observe tells the generator how its last operation ended.
	Observe(op cluster.Op, c cluster.Completion)
}

// Catalog lists all workloads.
func Catalog() []Workload {
	return []Workload{Register(), CASRegister(), KV(), Transfer(), Stencil(), Pipeline(), MonteCarlo()}
}

// Lookup returns the workload of that name.
func Lookup(name string) (Workload, error) {
	var names []string
	for _, w := range Catalog() {
		if w.Name() == name {
			return w, nil
		}
		names = append(names, w.Name())
	}
	return nil, fmt.Errorf("no workload is named %q%s", name, nearest.Hint(name, names))
}
