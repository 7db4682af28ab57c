package store

import (
	"fmt"
	"time"
)

// Config holds the constants of a node. All nodes of a cluster must agree on
// MaxSessions; the rest is each node's own affair.
type Config struct {
	// Tick is the unit of Raft's time. Elections take ElectionTicks to twice
	// as many, drawn at random; a leader that has not heard of a majority for
	// ElectionTicks steps down.
	Tick           time.Duration
	ElectionTicks  int
	HeartbeatTicks int
	// SnapshotEvery is how many entries are applied between snapshots, and
	// SnapshotTrailing how many entries before a snapshot stay in the log, so
	// that followers that lag a little need no snapshot. At least 1.
	SnapshotEvery    uint64
	SnapshotTrailing uint64
	// SegmentBytes is the size at which the log goes on in a new file.
	SegmentBytes int64
	// RequestTimeout is when a request without result is answered with 504
	// (a write, which may yet be executed) or 503 (a read).
	RequestTimeout time.Duration
	// ReadRetry is when a ReadIndex request without answer is taken for lost
	// and sent again under a new context.
	ReadRetry time.Duration
	// MaxPending bounds the requests in progress at this node; further ones
	// are refused with 503.
	MaxPending int
	// MaxSessions bounds the client sessions of the whole cluster; the least
	// recently used one is dropped.
	MaxSessions int
	// Bug is the id of the planted bug to switch on, "" for none.
	Bug string
	// Seeded makes Raft draw its election timeouts from the node's own random
	// stream instead of the operating system's: the simulator needs it. The
	// source is global to the process (see seedElections).
	Seeded bool
}

// DefaultConfig is for nodes in containers.
func DefaultConfig() Config {
	return Config{
		Tick:             100 * time.Millisecond,
		ElectionTicks:    7,
		HeartbeatTicks:   2,
		SnapshotEvery:    1000,
		SnapshotTrailing: 200,
		SegmentBytes:     1 << 20,
		RequestTimeout:   3 * time.Second,
		ReadRetry:        300 * time.Millisecond,
		MaxPending:       1024,
		MaxSessions:      1024,
	}
}

// SimConfig is for the simulator: like DefaultConfig, but snapshots and log
// files are small, so that half a minute exercises compaction, rotation and
// snapshot transfer.
func SimConfig() Config {
	c := DefaultConfig()
	c.SnapshotEvery = 50
	c.SnapshotTrailing = 20
	c.SegmentBytes = 4 << 10
	c.Seeded = true
	return c
}

// Validate names the first field that is out of its range.
func (c Config) Validate() error {
	for _, f := range []struct {
		name  string
		value int64
		least int64
	}{
		{"Tick", int64(c.Tick), int64(time.Millisecond)},
		{"HeartbeatTicks", int64(c.HeartbeatTicks), 1},
		{"ElectionTicks", int64(c.ElectionTicks), int64(c.HeartbeatTicks) + 1},
		{"SnapshotEvery", int64(c.SnapshotEvery), 1},
		{"SnapshotTrailing", int64(c.SnapshotTrailing), 1},
		{"SegmentBytes", c.SegmentBytes, 512},
		{"RequestTimeout", int64(c.RequestTimeout), int64(c.Tick)},
		{"ReadRetry", int64(c.ReadRetry), int64(c.Tick)},
		{"MaxPending", int64(c.MaxPending), 1},
		{"MaxSessions", int64(c.MaxSessions), 1},
	} {
		if f.value < f.least {
			return fmt.Errorf("store: config: %s is %d, want at least %d", f.name, f.value, f.least)
		}
	}
	return checkBug(c.Bug)
}
