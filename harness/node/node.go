// Package node is the contract between a reference node and the world that
// it runs in.
//
// A reference node is a Program: a deterministic event handler without
// goroutines, clock, socket or disk of its own. It receives messages, timers,
// disk completions and client requests, one at a time, and asks its Env to
// send, to write and sync, to set timers and to answer. Two drivers run the
// very same program: the simulator (harness/sim: one thread, virtual time)
// and a server process (harness/server: sockets, files, real time) inside a
// container. A bug planted in the program therefore shows on both.
//
// The package promises nothing about scheduling beyond this: a program's
// methods are never called concurrently, and nothing is delivered to an
// incarnation after it has crashed.
package node

import (
	"math/rand/v2"
	"time"

	"github.com/cleancut/cleancut/harness/record"
)

// Program is one incarnation of one node. A crash discards the value; a
// restart makes a new one, which finds on its disk what survived.
//
// A program must be a pure function of what it is given: it must not start
// goroutines, read the wall clock, draw from a global random source, or let
// map order influence what it does.
type Program interface {
	// Start is called once, before anything else. It recovers from env.Disk()
	// and sets its first timers. An error means that the disk is unusable:
	// the driver logs it and the node dies (it does not serve on).
	Start(env Env) error
	// Receive handles a message of another node.
	Receive(from string, m Message)
	// Timer handles the expiry of the timer of that name.
	Timer(name string)
	// Synced reports that the Sync or SyncDir called with this token has
	// finished. With a nil error everything written before that call is on
	// stable storage.
	Synced(token uint64, err error)
	// Request handles a request of a client. The program answers with
	// env.Reply, at once, later, or never.
	Request(id RequestID, r Request)
	// Status says how the node is. It must not change the program's state.
	Status() Status
	// Decode is the inverse of Message.AppendBinary. It is called by drivers
	// that carry bytes. It must reject, never panic on, bytes that it cannot
	// read.
	Decode(b []byte) (Message, error)
}

// Message travels between nodes. The simulator passes the value itself, so a
// message must not be changed after it was sent, neither by its sender nor by
// a receiver.
type Message interface {
	// AppendBinary appends the message's encoding to b. The encoding is the
	// same for equal messages on every machine (it also feeds the trace
	// hash).
	AppendBinary(b []byte) ([]byte, error)
}

// Env is the world as a program sees it. It must only be used from within
// the program's methods.
type Env interface {
	// Self is this node's name, and Peers the names of all nodes of the
	// cluster in order, Self included.
	Self() string
	Peers() []string
	// Now is this node's own monotonic clock, which may drift against the
	// others'. It starts anew with each incarnation.
	Now() time.Duration
	// Wall is this node's wall clock, which may be off and may jump.
	Wall() time.Time
	// Rand is this node's random stream.
	Rand() *rand.Rand
	// Send hands a message to the network, which may lose, delay, reorder or
	// duplicate it. Sending to an unknown node or to Self is a bug in the
	// program and panics.
	Send(to string, m Message)
	// SetTimer calls Timer(name) once after d by this node's clock. It
	// replaces a pending timer of the same name.
	SetTimer(name string, d time.Duration)
	// StopTimer forgets the pending timer of that name, if there is one.
	StopTimer(name string)
	// Reply answers a request. Each request is answered at most once.
	Reply(id RequestID, r Response)
	// Disk is this node's directory on stable storage.
	Disk() Disk
	// Point names the place in the protocol that the program has reached
	// ("vote.granted", "snapshot.saved"). Campaigns count points, and faults
	// can be triggered on them: the node may die inside this call.
	Point(name string)
	// Observe reports a fact about the node's inner state to the white-box
	// invariants that watch the cluster. Outside the simulator it does
	// nothing.
	Observe(fact Fact)
	// Record reports evidence by which recovery is judged: what this process
	// did, as package record has it. The driver fills in T, Proc and Inc and
	// keeps the event so that it survives every crash of process and machine,
	// whatever was synced; it adds the crashes itself. The event must not be
	// changed afterwards, nor what it refers to.
	Record(e record.Event)
	// Logf writes a line to the node's log. Arguments must print the same in
	// every run: no addresses, no map without order.
	Logf(format string, args ...any)
}

// Fact is what a program tells the invariants about itself. Each target
// defines its own.
type Fact interface {
	// AppendBinary appends an encoding that is the same for equal facts. It
	// feeds the trace hash.
	AppendBinary(b []byte) ([]byte, error)
}

// Monitor is a white-box invariant over a whole cluster. It sees the facts of
// all nodes in the order in which they came to be.
type Monitor interface {
	// Name is the invariant's name as the literature has it.
	Name() string
	// Observe is called for every fact. An error is a violation; its text
	// says what was expected, and of whom.
	Observe(at time.Duration, node string, fact Fact) error
}

// RequestID identifies one client request within one incarnation.
type RequestID uint64

// Request is one call of a client, in the terms of HTTP, so that a program's
// interface can be used with curl.
type Request struct {
	Method string // "GET", "PUT", …
	Path   string // "/kv/x"
	Query  string // without "?", as url.ParseQuery reads it
	Body   []byte
}

// Response answers a Request.
type Response struct {
	Status int // HTTP status
	Body   []byte
}

// Status is a node's account of itself.
type Status struct {
	Node    string `json:"node"`
	Boot    string `json:"boot"`    // identifies the incarnation
	Role    string `json:"role"`    // "leader", "follower", "candidate", …
	Leader  string `json:"leader"`  // name of the node it takes for leader, "" if none
	Term    uint64 `json:"term"`    // of the replication protocol
	Applied uint64 `json:"applied"` // index of the last entry applied
	// StateHash digests the replicated state after Applied: nodes with equal
	// Applied must have equal hashes.
	StateHash string `json:"state_hash"`
	Ready     bool   `json:"ready"` // would serve a request now, as far as it knows
}

// Finding is a broken contract inside the system under test, which clients
// may or may not have seen: a violated invariant, or a panic or exit of a
// node that nobody injected.
type Finding struct {
	At        time.Duration `json:"at_ns"` // since the run began
	Node      string        `json:"node"`
	Invariant string        `json:"invariant"` // "election safety", "panic", "exit", …
	Text      string        `json:"text"`
}
