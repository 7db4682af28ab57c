// Package jobs holds the computations that a checkpointing service runs while
// it is broken: money that moves between processes, a grid that is relaxed, a
// pipeline of keyed operators, a sum of random samples. Each has a known
// right answer (Answer), against which what came out after failures is held.
//
// An App is one process of a job: a pure state machine without clock, socket
// or randomness of its own. Its state, its random stream's position included,
// is the bytes that AppendState writes; the only thing that its seed does not
// decide is the order in which Step and Deliver are called. It relies on
// channels that are reliable and first in, first out, and does not defend
// itself: what was lost, repeated or overtaken it counts and computes with, so
// that a broken service shows in the answer.
//
// The package does not take checkpoints, does not detect corrupted state
// beyond what its form gives away (checksums are for who stores it), and does
// not check outputs against the outside world.
package jobs

import (
	"fmt"

	"github.com/cleancut/cleancut/harness/nearest"
)

// App is one process of a job. It is used by one activity at a time.
type App interface {
	// Step does the next unit of local work. It returns false, having done
	// nothing, if the process waits for a message or is finished.
	Step(out Out) bool
	// Deliver hands over a message. An error means that the process from
	// could not have sent these bytes; the state is as it was.
	Deliver(from int, payload []byte, out Out) error
	// AppendState appends the complete state to b.
	AppendState(b []byte) []byte
	// LoadState replaces the state by one that AppendState wrote for the same
	// process of the same job. What cannot be such a state is refused with an
	// error, and the state is as it was.
	LoadState(b []byte) error
	// Units is how many units of work were done.
	Units() int64
	// Done tells that the process has finished its part. It may still be
	// sent messages that it must be handed.
	Done() bool
	// Offsets are the positions in the sources that the state includes: the
	// next input to be consumed from each; nil if it reads none.
	Offsets() map[string]int64
	// Value is the process's share of a quantity that the job conserves, and
	// false if it conserves none.
	Value() (int64, bool)
	// Result describes the state in a line, as Answer.Check wants it of a
	// process that is done.
	Result() string
}

// Out is what an App does to the rest of the world. Payloads belong to the
// receiver of the call.
type Out interface {
	// Send sends a message to another process of the job; value is what it
	// carries of the quantity that the job conserves.
	Send(to int, payload []byte, value int64)
	// Input tells that the input at that offset of a source was consumed.
	Input(source string, offset int64)
	// Output hands an output to the sink. The id identifies it: work that is
	// done again produces the same outputs under the same ids.
	Output(id string, payload []byte)
}

// Job is a computation of several processes, numbered from 0.
type Job interface {
	Name() string
	// Doc is a sentence about it.
	Doc() string
	// New returns a process in its initial state. Size is how many units each
	// process does, as the job defines them.
	New(proc, procs int, seed uint64, size int) (App, error)
	// Channels lists who sends to whom, in order. No process ever sends to
	// another one.
	Channels(procs int) [][2]int
	// Acyclic tells that the channels form no cycle, so that barriers that
	// follow them reach everyone.
	Acyclic() bool
	// Answer computes what a failure-free execution comes to.
	Answer(procs int, seed uint64, size int) (*Answer, error)
}

// Bounds of jobs.
const (
	ProcsMin = 2
	ProcsMax = 1000
	SizeMax  = 1 << 20
)

// Catalog lists all jobs.
func Catalog() []Job {
	return []Job{Transfer{}, Stencil{}, Pipeline{}, MonteCarlo{}}
}

// Lookup returns the job of that name.
func Lookup(name string) (Job, error) {
	var names []string
	for _, j := range Catalog() {
		if j.Name() == name {
			return j, nil
		}
		names = append(names, j.Name())
	}
	return nil, fmt.Errorf("no job is named %q%s", name, nearest.Hint(name, names))
}

// identity is which process of which execution an App is. It leads its state,
// so that the state of another process is refused.
type identity struct {
	job         string
	proc, procs int
	seed        uint64
	size        int
}

func newIdentity(job string, proc, procs int, seed uint64, size int) (identity, error) {
	id := identity{job, proc, procs, seed, size}
	switch {
	case procs < ProcsMin || procs > ProcsMax:
		return id, fmt.Errorf("job %s: %d processes; expected %d to %d", job, procs, ProcsMin, ProcsMax)
	case proc < 0 || proc >= procs:
		return id, fmt.Errorf("job %s: process %d of %d; expected 0 to %d", job, proc, procs, procs-1)
	case size < 1 || size > SizeMax:
		return id, fmt.Errorf("job %s: a size of %d; expected 1 to %d", job, size, SizeMax)
	}
	return id, nil
}
