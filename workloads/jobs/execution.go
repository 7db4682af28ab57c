package jobs

import (
	"fmt"
	"math/rand/v2"

	"github.com/cleancut/cleancut/harness/rng"
)

// Execution runs all processes of a job in memory, without failures, in an
// order that a seed decides. Channels are reliable and first in, first out. It
// is what a checkpointing service must look like from within the job.
type Execution struct {
	Apps []App
	// Channels holds what is on its way, oldest first, by [sender, receiver].
	Channels map[[2]int][]Message
	// Outputs are what each process put out.
	Outputs [][]Output
	// Observe, if set, is told of every action, after it.
	Observe func(Action)

	pairs [][2]int
	order *rand.Rand
	// eager is how many of four steps look for a message to deliver first.
	eager int
}

// Message is on its way.
type Message struct {
	Payload []byte
	Value   int64
}

// Action is what a process did.
type Action struct {
	Proc int
	// Kind is "send", "recv", "input", "output" or "work".
	Kind string
	Peer int // of send and recv
	Message
	Source string // of input
	Offset int64
	Output Output
}

// NewExecution starts a job. Order decides the interleaving.
func NewExecution(j Job, procs int, seed uint64, size int, order uint64) (*Execution, error) {
	x := &Execution{Channels: map[[2]int][]Message{}, Outputs: make([][]Output, procs), order: rng.Stream(order, "job/order")}
	for p := range procs {
		app, err := j.New(p, procs, seed, size)
		if err != nil {
			return nil, err
		}
		x.Apps = append(x.Apps, app)
	}
	x.pairs, x.eager = j.Channels(procs), x.order.IntN(4)
	for _, c := range x.pairs {
		x.Channels[c] = nil
	}
	return x, nil
}

// Step lets one process do one thing. It returns false if nothing is left to
// be done: every process waits or is done, and all messages have arrived.
func (x *Execution) Step() (bool, error) {
	deliver, work := x.order.IntN(4) < x.eager, x.order.IntN(len(x.Apps))
	message := x.order.IntN(len(x.pairs))
	for range 2 {
		for i := range x.pairs {
			if c := x.pairs[(message+i)%len(x.pairs)]; deliver && len(x.Channels[c]) > 0 {
				return true, x.deliver(c)
			}
		}
		for i := range x.Apps {
			if p := (work + i) % len(x.Apps); x.Apps[p].Step(out{x, p}) {
				x.tell(Action{Proc: p, Kind: "work"})
				return true, nil
			}
		}
		deliver = true
	}
	return false, nil
}

func (x *Execution) deliver(c [2]int) error {
	m := x.Channels[c][0]
	x.Channels[c] = x.Channels[c][1:]
	x.tell(Action{Proc: c[1], Kind: "recv", Peer: c[0], Message: m})
	return x.Apps[c[1]].Deliver(c[0], m.Payload, out{x, c[1]})
}

// Run steps until nothing is left to be done.
func (x *Execution) Run() error {
	for {
		if more, err := x.Step(); !more || err != nil {
			return err
		}
	}
}

// Results returns the results of all processes, or an error that names one
// that is not done.
func (x *Execution) Results() ([]string, error) {
	results := make([]string, len(x.Apps))
	for p, a := range x.Apps {
		if !a.Done() {
			return nil, fmt.Errorf("process %d is not done: %s", p, a.Result())
		}
		results[p] = a.Result()
	}
	return results, nil
}

func (x *Execution) tell(a Action) {
	if x.Observe != nil {
		x.Observe(a)
	}
}

// out is what a process does.
type out struct {
	x    *Execution
	proc int
}

func (o out) Send(to int, payload []byte, value int64) {
	c := [2]int{o.proc, to}
	if _, ok := o.x.Channels[c]; !ok {
		panic(fmt.Sprintf("job: process %d sends to %d, which Channels does not list", o.proc, to))
	}
	m := Message{payload, value}
	o.x.Channels[c] = append(o.x.Channels[c], m)
	o.x.tell(Action{Proc: o.proc, Kind: "send", Peer: to, Message: m})
}

func (o out) Input(source string, offset int64) {
	o.x.tell(Action{Proc: o.proc, Kind: "input", Source: source, Offset: offset})
}

func (o out) Output(id string, payload []byte) {
	put := Output{id, string(payload)}
	o.x.Outputs[o.proc] = append(o.x.Outputs[o.proc], put)
	o.x.tell(Action{Proc: o.proc, Kind: "output", Output: put})
}
