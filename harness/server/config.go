// Package server runs one node.Program as a process: with sockets, files and
// real time, where the simulator has none of them. The node programs that it
// hosts are the very same.
//
// One goroutine, the event loop, owns the program; everything else turns what
// happens into events for it. Peer messages travel over TCP in frames and may
// be lost, as the contract of node.Env says: queues are bounded and full ones
// drop. Clients talk HTTP; GET /health answers with the program's status.
//
// Files are kept in the process's memory until the program syncs them (see
// disk.go), so that SIGKILL loses what was not synced, as a loss of power
// does. How much that was can be read from a file after the process is dead.
//
// The package does not keep two processes from using one data directory at
// once, does not authenticate peers, and does not encrypt anything: it serves
// on a private network of containers.
package server

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
)

// The ports that Command chooses. They lie below the range from which Linux
// takes ephemeral ports, so that they are never taken.
const (
	ClientPort = 7000
	PeerPort   = 7001
	PointsPort = 7002
)

// UnsyncedPath is where Command lets a node count its unsynced bytes.
const UnsyncedPath = "/run/cleancut/unsynced"

// RecordPath is where Command lets a node keep what its program records. It
// lies outside of the data directory, so that no fault of the disk reaches it.
const RecordPath = "/var/lib/cleancut-record/record.jsonl"

// SyncDelayPath is where Command lets a node look for a delay of its syncs.
const SyncDelayPath = "/run/cleancut/sync-delay"

// BootEnv is the environment variable that identifies the incarnation. The
// agent of a container sets it anew at each start.
const BootEnv = "CLEANCUT_BOOT"

// Config says who a node is and where it lives.
type Config struct {
	// Name is the node's own name. It must be among Peers.
	Name string
	// Peers maps the names of all nodes to their IP addresses, and Names
	// lists them in the order in which the program sees them.
	Peers map[string]string
	Names []string
	// Dir is the data directory; it is made if it does not exist.
	Dir string
	// Listen is the IP address to listen on, "" for all.
	Listen string
	// ClientPort serves HTTP, PeerPort the other nodes.
	ClientPort, PeerPort int
	// PointsPort, if positive, is a port of the loopback address on which the
	// program can be stopped at its points: see points.go.
	PointsPort int
	// PeerPorts overrides PeerPort for single peers: several nodes can then
	// share an address, as they do in tests.
	PeerPorts map[string]int
	// Bug is the planted bug that is switched on, "" for none.
	Bug string
	// Seed is the run's; the node's random stream derives from it, the name
	// and the boot id.
	Seed uint64
	Boot string
	// UnsyncedFile, if set, is where the number of unsynced bytes is kept.
	UnsyncedFile string
	// RecordFile, if set, is where the program's evidence is kept: see
	// record.go.
	RecordFile string
	// SyncDelayFile, if set, is read at each sync: see slow.go.
	SyncDelayFile string
	// Settings are the target's, by name.
	Settings map[string]string
	// Limits bounds what the process holds in memory; zero fields take the
	// defaults.
	Limits Limits
	// Log receives what the program logs; nil means standard error.
	Log io.Writer
}

// Limits bounds a process. A limit that is reached refuses, drops or slows
// down; it never ends the process.
type Limits struct {
	Frame       int           // bytes of one peer message; longer ones are dropped (16 MiB)
	Queue       int           // messages that wait for one peer; beyond, new ones are dropped (1024)
	QueueBytes  int           // and their bytes (64 MiB)
	Body        int64         // bytes of a request's body; beyond, 413 (1 MiB)
	Outstanding int           // requests in progress; beyond, 503 (1024)
	Answer      time.Duration // how long a request waits for its answer; beyond, 504 (30 s)
	Disk        int64         // bytes in all files together; beyond, ENOSPC (256 MiB)
	Dirty       int64         // unsynced bytes; beyond, they are written early (64 MiB)
	Files       int           // files; beyond, ENOSPC (4096)
	Record      int64         // bytes of the record; beyond, it ends with a mark (256 MiB)
}

// withDefaults fills in zero fields.
func (l Limits) withDefaults() Limits {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	def64 := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	def(&l.Frame, 16<<20)
	def(&l.Queue, 1024)
	def(&l.QueueBytes, 64<<20)
	def(&l.Outstanding, 1024)
	def(&l.Files, 4096)
	def64(&l.Body, 1<<20)
	def64(&l.Disk, 256<<20)
	def64(&l.Dirty, 64<<20)
	def64(&l.Record, 256<<20)
	if l.Answer == 0 {
		l.Answer = 30 * time.Second
	}
	return l
}

// Validate says what is wrong with a configuration.
func (c Config) Validate() error {
	switch {
	case c.Name == "":
		return errors.New("server: the node has no name")
	case !slices.Contains(c.Names, c.Name):
		return fmt.Errorf("server: node %q is not among the peers %v", c.Name, c.Names)
	case len(c.Names) != len(c.Peers):
		return fmt.Errorf("server: %d names but %d addresses of peers", len(c.Names), len(c.Peers))
	case c.Dir == "":
		return errors.New("server: no data directory is given")
	}
	for _, name := range c.Names {
		if net.ParseIP(c.Peers[name]) == nil {
			return fmt.Errorf("server: peer %q has address %q, which is not an IP address", name, c.Peers[name])
		}
	}
	for what, port := range map[string]int{"client": c.ClientPort, "peer": c.PeerPort, "points": c.PointsPort} {
		if port < 0 || port > 65535 {
			return fmt.Errorf("server: %s port %d is not in 0…65535", what, port)
		}
	}
	return nil
}

// ParsePeers reads "n1=10.0.0.2,n2=10.0.0.3". It returns the names in order.
func ParsePeers(s string) (names []string, addresses map[string]string, err error) {
	addresses = map[string]string{}
	for _, pair := range strings.Split(s, ",") {
		name, address, ok := strings.Cut(pair, "=")
		if !ok || name == "" || address == "" {
			return nil, nil, fmt.Errorf("peers: %q is not NAME=ADDRESS", pair)
		}
		if _, twice := addresses[name]; twice {
			return nil, nil, fmt.Errorf("peers: %q is named twice", name)
		}
		names = append(names, name)
		addresses[name] = address
	}
	return names, addresses, nil
}

// Command is the command line of a node process that was built with Main and
// lies at /bin/node. Targets return it from cluster.Contained.Command.
func Command(cfg cluster.NodeConfig) cluster.Command {
	pairs := make([]string, 0, len(cfg.Names))
	for _, name := range cfg.Names {
		pairs = append(pairs, name+"="+cfg.Peers[name])
	}
	args := []string{
		"/bin/node",
		"--name=" + cfg.Name,
		"--peers=" + strings.Join(pairs, ","),
		"--dir=" + cfg.DataDir,
		fmt.Sprintf("--client-port=%d", ClientPort),
		fmt.Sprintf("--peer-port=%d", PeerPort),
		fmt.Sprintf("--seed=%d", cfg.Seed),
		"--unsynced-file=" + UnsyncedPath,
		"--record-file=" + RecordPath,
		"--sync-delay-file=" + SyncDelayPath,
		fmt.Sprintf("--points-port=%d", PointsPort),
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Settings)) {
		args = append(args, "--set="+name+"="+cfg.Settings[name])
	}
	if cfg.Bug != "" {
		args = append(args, "--bug="+cfg.Bug)
	}
	return cluster.Command{
		Args:         args,
		Ports:        map[string]int{"client": ClientPort, "peer": PeerPort, cluster.PointsPort: PointsPort},
		UnsyncedFile: UnsyncedPath,
		RecordFile:   RecordPath,
		FilesDir:     path.Join(cfg.DataDir, filesFolder), SyncDelayFile: SyncDelayPath,
	}
}

// logWriter is where the node logs to.
func (c Config) logWriter() io.Writer {
	if c.Log != nil {
		return c.Log
	}
	return os.Stderr
}
