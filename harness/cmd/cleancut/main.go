// Command cleancut breaks replicated and checkpointing services and proves
// from what is left whether they kept their promises. It is a thin layer over
// packages harness and suites; `cleancut help` documents it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/docker"
	"github.com/cleancut/cleancut/harness/internal/visible"
)

// Exit codes. With several runs the worst decides, in the order harness
// failure, invalid, inconclusive, valid.
const (
	exitValid        = 0
	exitInvalid      = 1
	exitInconclusive = 2
	exitUsage        = 254
	exitHarness      = 255
)

// exit is an error that carries the exit code with it. A nil cause means that
// all has been said already.
type exit struct {
	code  int
	cause error
}

func (e *exit) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.cause.Error()
}

func (e *exit) Unwrap() error { return e.cause }

// usage marks an error as the user's to mend.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return &exit{exitUsage, err}
}

func main() {
	ctx, stop := interruptible(context.Background(), func() {
		fmt.Fprintln(os.Stderr, "cleancut: ending at once; what was recorded stays and can be judged with `cleancut check RUN`")
		hurry, cancel := context.WithTimeout(context.Background(), hurryMax)
		defer cancel()
		if err := docker.RemoveOwn(hurry); err != nil {
			fmt.Fprintf(os.Stderr, "cleancut: %v; `cleancut gc` removes what is left\n", err)
		}
		os.Exit(exitHarness)
	})
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Bounds of an end that was asked for: orderMax is how long it may take in
// order after the first signal, hurryMax how long removing everything may take
// after that, or after a second signal.
const (
	orderMax = 25 * time.Second
	hurryMax = 4 * time.Second
)

// interruptible returns a context that SIGINT or SIGTERM cancels. A second
// signal, or orderMax without an end, calls hurry.
func interruptible(ctx context.Context, hurry func()) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGPIPE) // who reads no more must not end a run without its end: writing is an error
	go func() {
		<-signals
		cancel()
		late := time.NewTimer(orderMax)
		defer late.Stop()
		select {
		case <-signals:
		case <-late.C:
		}
		hurry()
	}()
	return ctx, cancel
}

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out, said := &visible.Writer{To: stdout}, &visible.Writer{To: stderr}
	code := executeSafely(ctx, args, out, said)
	_, _ = out.Flush(), said.Flush() // the terminal has gone: nobody is left to be told
	return code
}

// executeSafely is execute with outputs that show no control characters.
func executeSafely(ctx context.Context, args []string, stdout, stderr *visible.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := recovered(func() error { return root.ExecuteContext(ctx) })
	if err == nil {
		return exitValid
	}
	var e *exit
	if !errors.As(err, &e) {
		e = &exit{code: codeOf(err), cause: err}
	}
	if e.cause != nil {
		fmt.Fprintf(stderr, "cleancut: %v\n", e.cause)
	}
	return e.code
}

// recovered turns a panic into an error of the harness: the exit code of one
// that ends the process would read as inconclusive.
func recovered(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &exit{exitHarness, fmt.Errorf("a defect of cleancut, please report it: %v\n%s", p, debug.Stack())}
		}
	}()
	return f()
}

// codeOf tells whose an error is that carries no code: what was refused, and
// all that cobra says of flags and arguments, is the user's to mend.
func codeOf(err error) int {
	if errors.Is(err, harness.ErrRefused) || errors.Is(err, cluster.ErrUnavailable) {
		return exitUsage
	}
	return exitHarness
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "cleancut",
		Short: "Chaos testing for replication and checkpointing",
		Long: `cleancut starts a replicated or checkpointing service in containers or in a
deterministic simulation, injects crashes, partitions and other failures,
records what clients saw, and judges whether the service kept its promises.

Exit codes: 0 valid, 1 invalid, 2 inconclusive or unknown, 254 wrong usage or
unreadable input, 255 the harness itself failed.`,
		SilenceUsage: true, SilenceErrors: true,
		Version: harness.Version(),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(fmt.Errorf("there is no command %q; `cleancut help` lists all", args[0]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Errorf("%w; `%s --help` lists all flags", err, cmd.CommandPath()))
	})
	root.AddCommand(runCommand(), sweepCommand(), intervalCommand(), workerCommand(), checkCommand(), exportCommand(), replayCommand(),
		reportCommand(), listCommand(), doctorCommand(), gcCommand())
	complete(root)
	for _, c := range root.Commands() {
		c.Args = usageArgs(c.Args)
	}
	return root
}

// usageArgs makes errors about arguments the user's.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		if err := check(cmd, args); err != nil {
			return usage(fmt.Errorf("%w; usage: %s", err, cmd.UseLine()))
		}
		return nil
	}
}
