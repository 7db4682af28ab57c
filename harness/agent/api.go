// Package agent is the first process of a node's container and the client
// that talks to it. The agent starts the node's process as its child, kills,
// pauses and watches it within milliseconds, keeps its output, and impairs the
// container's network by rules that the harness sends.
//
// Because the agent outlives the node's process, a process crash leaves
// network namespace, address and rules as they are. What the harness must
// know after a crash of the whole container (boots, output, exits) lies in
// StateDir in the container's writable layer; rules are gone then, and the
// harness sends them again.
//
// The interface is HTTP and JSON on one TCP port (Port) of the node's own
// address. Every request needs the node's token, which lies in a file that the
// agent reads and removes before anything else: it is in no environment and no
// argument, and the node's process cannot read it. No rule ever matches that
// port. Who has not shown the token gets no more than a few connections for a
// few seconds (see gate), so that he locks out nobody. Requests, rules, output
// and connections are bounded; files are touched only below the directories of
// Options, whatever links lie there (see places).
//
// The package does not encrypt its traffic: it serves the host's own bridge
// network. It impairs IPv4 only.
package agent

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// Port is the TCP port that the agent listens on. It lies above the range
// from which Linux takes ephemeral ports.
const Port = 61170

// StateDir is where the agent keeps logs and the records of exits.
const StateDir = "/var/lib/cleancut-agent"

// BinaryPath is where the agent's binary lies in an image.
const BinaryPath = "/cleancut-agent"

// TokenPath is where the harness puts the token before each start of the
// container. The agent removes it.
const TokenPath = "/cleancut-agent.token"

// AddressEnv is the environment variable that tells the agent the container's
// own IP address. It listens there and nowhere else. Tunnels go to it when
// nothing listens on the loopback address.
const AddressEnv = "CLEANCUT_AGENT_ADDRESS"

// The directories in which the agent touches files for the harness: the node's
// data, what only this life of the container needs, and the node's record.
const (
	DataDir   = "/data"
	RunDir    = "/run/cleancut"
	RecordDir = "/var/lib/cleancut-record"
)

// CheckFile says why the agent of a container would not touch a file there. No
// file at all is fine.
func CheckFile(name string) error {
	clean := path.Clean(name)
	for _, dir := range []string{DataDir, RunDir, RecordDir} {
		if name == "" || strings.HasPrefix(clean, dir+"/") {
			return nil
		}
	}
	return fmt.Errorf("the file %q lies in none of %s, %s and %s, where the agent reaches files", name, DataDir, RunDir, RecordDir)
}

// Limits of the interface. Beyond them the agent refuses.
const (
	maxBody        = 1 << 20          // bytes of a request
	maxConnections = 128              // open at once of those with the token, tunnels included
	maxStrangers   = 32               // open at once of those that have not shown it yet
	maxRules       = 4096             // in force at once
	maxExits       = 10_000           // records kept
	maxWait        = 20 * time.Second // of a long poll
	maxLogRequest  = 64 << 20         // bytes of one log answer
	maxFlips       = 1 << 20          // bits that one request rots
	maxToken       = 256              // bytes of a token
	minToken       = 16
)

// MaxDelay bounds what a rule may add to a packet, delay and jitter together,
// and what may be added to a sync.
const MaxDelay = 10 * time.Minute

// How long a connection may take. headerMax is for the first bytes until the
// end of the headers, with which the token comes, bodyMax for the body after
// that, answerMax for a request as a whole, which may be a long poll.
const (
	headerMax = 3 * time.Second
	bodyMax   = 5 * time.Second
	answerMax = time.Minute
)

// Errors that the agent answers with.
var (
	// ErrDown means that the node's process does not run.
	ErrDown = errors.New("the node's process does not run")
	// ErrToken means that the request did not carry the node's token.
	ErrToken = errors.New("the agent refused the token")
)

// Start says how to start the node's process.
type Start struct {
	Args []string `json:"args"`
	// Env is the whole environment, but for the boot id, which the agent
	// adds.
	Env []string `json:"env"`
	// Dir is the working directory, which exists. Make are directories that are
	// created if missing, below those of the agent.
	Dir  string   `json:"dir"`
	Make []string `json:"make,omitempty"`
	// UnsyncedFile is where the process counts its unsynced bytes, or "".
	UnsyncedFile string `json:"unsynced_file,omitempty"`
	// RecordFile is where the process keeps its events, or "". The agent adds
	// its crash.
	RecordFile string `json:"record_file,omitempty"`
}

// State is how the node's process is.
type State struct {
	Running bool   `json:"running"`
	Paused  bool   `json:"paused"`
	PID     int    `json:"pid"`
	Boot    string `json:"boot"`  // id of the current or last boot
	Boots   int    `json:"boots"` // since the container was made
}

// Started answers a Start.
type Started struct {
	Before State `json:"before"`
	After  State `json:"after"`
}

// Killed answers a kill.
type Killed struct {
	// Killed is false if the process did not run.
	Killed bool `json:"killed"`
	// Unsynced is how many bytes the process had written and not synced, -1
	// if it keeps no count.
	Unsynced int64  `json:"unsynced"`
	Boot     string `json:"boot"`
}

// Resumed answers a resume with what was paused since the last one.
type Resumed struct {
	Pauses int           `json:"pauses"`
	Paused time.Duration `json:"paused_ns"`
}

// Exit is an end of the node's process.
type Exit struct {
	Number int    `json:"number"` // from 1, without gaps
	Boot   string `json:"boot"`
	Boots  int    `json:"boots"`
	Code   int    `json:"code"`             // exit code, -1 if a signal ended it
	Signal string `json:"signal,omitempty"` // name of that signal
	// Expected tells that the agent itself ended it.
	Expected bool `json:"expected"`
	// Panic tells that the end of the output looks like a panic or a fatal
	// error of the Go runtime.
	Panic bool          `json:"panic"`
	Tail  string        `json:"tail,omitempty"` // last output, unless expected
	After time.Duration `json:"after_ns"`       // how long the process had run
}

// Direction is seen from the agent's container.
type Direction string

// The directions of a rule.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// Rule impairs packets between this container and one address. Rules add up:
// each decides on every packet that matches it and counts, whatever the others
// decide. (A rule that both loses and delays counts as delayed what it lost,
// too.)
type Rule struct {
	ID        string        `json:"id"`   // unique among the rules in force
	Peer      string        `json:"peer"` // IPv4 address of the other end
	Direction Direction     `json:"direction"`
	Loss      int           `json:"loss"` // millionths
	Delay     time.Duration `json:"delay_ns"`
	Jitter    time.Duration `json:"jitter_ns"`
	Duplicate int           `json:"duplicate"` // millionths
	// Seed seeds the choice of jitter and duplicates. (Loss is drawn by the
	// kernel.)
	Seed uint64 `json:"seed"`
}

// queued tells that the rule needs the packets in user space.
func (r Rule) queued() bool { return r.Delay > 0 || r.Jitter > 0 || r.Duplicate > 0 }

// Counts is what a rule did so far, in packets.
type Counts struct {
	Seen       int64 `json:"seen"`
	Dropped    int64 `json:"dropped"`
	Delayed    int64 `json:"delayed"`
	Duplicated int64 `json:"duplicated"`
}

// Add returns the sum.
func (c Counts) Add(o Counts) Counts {
	return Counts{c.Seen + o.Seen, c.Dropped + o.Dropped, c.Delayed + o.Delayed, c.Duplicated + o.Duplicated}
}

// Damage asks for damage to files below Dir whose names match Pattern.
type Damage struct {
	Dir     string `json:"dir"`
	Pattern string `json:"pattern,omitempty"` // as in path.Match
	Bytes   int    `json:"bytes,omitempty"`   // how many rot
	Seed    uint64 `json:"seed,omitempty"`
}

// Damaged answers a Damage.
type Damaged struct {
	Files []string `json:"files"`
	Bytes int64    `json:"bytes"`
}

// SyncDelay asks the node's process, which reads File at each sync, to let
// its syncs take longer by Delay; 0 ends it. The process appends a byte to
// File + DelayedSuffix for each sync that it has delayed.
type SyncDelay struct {
	File  string        `json:"file"`
	Delay time.Duration `json:"delay_ns"`
}

// DelayedSuffix is appended to SyncDelay.File.
const DelayedSuffix = ".count"

// Delayed answers a SyncDelay.
type Delayed struct {
	Syncs int64 `json:"syncs"` // delayed since the container was made
}

// Capabilities says for each impairment why this kernel or container cannot
// do it; "" means that it can.
type Capabilities struct {
	Cut       string `json:"cut"`
	Loss      string `json:"loss"`
	Delay     string `json:"delay"`
	Duplicate string `json:"duplicate"`
}

// failure is an error on the wire.
type failure struct {
	Error string `json:"error"`
	Down  bool   `json:"down,omitempty"`
}
