package server

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/cleancut/cleancut/harness/node"
)

// NewProgram makes a node's program with the planted bug that is switched on
// ("" for none) and the settings of its target, by name.
type NewProgram func(bug string, settings map[string]string) (node.Program, error)

// Main is the main function of a node process. It reads the configuration
// from the command line (see Command) and the boot id from the environment,
// makes the program with the bug that is switched on, and runs it until
// SIGTERM or SIGINT.
//
// The process ends with 0 when it was told to stop, with 1 on an error, which
// it prints, and with 2 on a panic of the program, whose stack the Go runtime
// prints to standard error.
func Main(newProgram NewProgram) {
	if err := run(os.Args[1:], newProgram); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

func run(args []string, newProgram NewProgram) error {
	cfg, err := parse(args)
	if err != nil {
		return err
	}
	program, err := newProgram(cfg.Bug, cfg.Settings)
	if err != nil {
		return fmt.Errorf("making the program: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return Run(ctx, cfg, program)
}

// parse reads a command line.
func parse(args []string) (Config, error) {
	var cfg Config
	var peers string
	flags := flag.NewFlagSet("node", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&cfg.Name, "name", "", "name of this node")
	flags.StringVar(&peers, "peers", "", "all nodes, as NAME=IP,…")
	flags.StringVar(&cfg.Dir, "dir", "", "data directory")
	flags.StringVar(&cfg.Listen, "listen", "", "IP address to listen on")
	flags.IntVar(&cfg.ClientPort, "client-port", ClientPort, "TCP port for clients (HTTP)")
	flags.IntVar(&cfg.PeerPort, "peer-port", PeerPort, "TCP port for other nodes")
	flags.IntVar(&cfg.PointsPort, "points-port", 0, "TCP port of the loopback address on which the program can be stopped at points")
	flags.StringVar(&cfg.Bug, "bug", "", "planted bug to switch on")
	flags.Uint64Var(&cfg.Seed, "seed", 0, "seed of the run")
	flags.StringVar(&cfg.Boot, "boot", os.Getenv(BootEnv), "id of this incarnation")
	flags.StringVar(&cfg.UnsyncedFile, "unsynced-file", "", "file that counts the unsynced bytes")
	flags.StringVar(&cfg.RecordFile, "record-file", "", "file that takes what the program records")
	flags.StringVar(&cfg.SyncDelayFile, "sync-delay-file", "", "file that says how much longer syncs take")
	flags.Func("set", "a setting of the target, as NAME=VALUE", func(s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return fmt.Errorf("%q is not NAME=VALUE", s)
		}
		if cfg.Settings == nil {
			cfg.Settings = map[string]string{}
		}
		cfg.Settings[name] = value
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return cfg, fmt.Errorf("command line: %w", err)
	}
	if flags.NArg() > 0 {
		return cfg, fmt.Errorf("command line: unexpected argument %q", flags.Arg(0))
	}
	if peers == "" {
		return cfg, errors.New("command line: --peers is missing (NAME=IP,…)")
	}
	var err error
	cfg.Names, cfg.Peers, err = ParsePeers(peers)
	return cfg, err
}
