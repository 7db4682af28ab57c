package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/docker"
	"github.com/cleancut/cleancut/suites"
)

func doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine can do: Docker, and each fault with the reason",
		Long: `doctor starts a small cluster of each target on each runtime, asks it for every
kind of fault whether it can be had, and removes it again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return doctor(cmd.Context(), cmd.OutOrStdout()) },
	}
}

// doctor prints its findings. That something is missing is a finding, not an
// error.
func doctor(ctx context.Context, w io.Writer) error {
	fmt.Fprintf(w, "cleancut %s, %s on %s/%s, %d cores\n", harness.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	info, dockerErr := docker.Probe(ctx)
	if dockerErr != nil {
		fmt.Fprintf(w, "docker: %v\n", dockerErr)
	} else {
		fmt.Fprintf(w, "docker: %s (API %s) at %s on %s, kernel %s, %s, %d CPUs, %d MiB\n", info.Version, info.API, info.Host,
			info.System, info.Kernel, info.Architecture, info.CPUs, info.Memory>>20)
		for _, missing := range info.Missing {
			fmt.Fprintf(w, "docker: %s\n", missing)
		}
	}
	for _, name := range []string{suites.Sim, suites.Docker} {
		for _, target := range suites.Targets() {
			if name == suites.Docker && dockerErr != nil {
				continue
			}
			if err := examine(ctx, w, name, target); err != nil {
				return err
			}
		}
	}
	return nil
}

// examineMax bounds the examination of one target: making a foreign image may
// take minutes the first time.
const examineMax = 10 * time.Minute

func examine(ctx context.Context, w io.Writer, runtimeName string, target cluster.Target) error {
	ctx, cancel := context.WithTimeout(ctx, examineMax)
	defer cancel()
	s := harness.Scenario{Name: "doctor", Target: target, Nodes: 3}
	err := suites.New(runtimeName, s, 1).Run(ctx, cluster.Spec{
		Run: harness.NewRunID(), Target: target, Nodes: s.NodeNames(), Seed: 1, Log: harness.Silent(),
	}, func(ctx context.Context, c cluster.Cluster) error {
		fmt.Fprintf(w, "\n%s on %s: a cluster of three starts\n", target.Name(), runtimeName)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, d := range faults.Catalog() {
			fmt.Fprintf(t, "  %s\t%s\n", d.Name, availability(d, c))
		}
		fmt.Fprintf(t, "  on POINT\t%s\n", tripping(target, c))
		return t.Flush()
	})
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(w, "\n%s on %s: %v\n", target.Name(), runtimeName, err)
	}
	return context.Cause(ctx)
}

// tripping tells whether programs can be stopped at points.
func tripping(target cluster.Target, c cluster.Cluster) string {
	tripper, ok := c.(cluster.Tripper)
	pointed, named := target.(interface{ Points() []string })
	if !ok || !named || len(pointed.Points()) == 0 {
		return "not available: " + target.Name() + " names no points, or this runtime cannot stop a program at one"
	}
	if err := tripper.CanTrip(pointed.Points()[0]); err != nil {
		return err.Error()
	}
	return "available"
}

func availability(d faults.Definition, c cluster.Cluster) string {
	f, err := faults.ParseFault(d.Usage)
	if err == nil {
		err = f.Available(c)
	}
	switch {
	case err == nil:
		return "available"
	case errors.Is(err, cluster.ErrUnavailable):
		return err.Error()
	default:
		return "cannot be told: " + err.Error()
	}
}

func gcCommand() *cobra.Command {
	var images bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove what dead runs left: containers and networks",
		Long: `gc removes containers and networks that carry cleancut's label and whose owner
is dead, and saves the logs of their nodes in their run directories. It never
touches what lacks the label or belongs to a run that lives.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			swept, err := docker.Sweep(cmd.Context(), docker.SweepOptions{Images: images})
			if err != nil {
				return usage(err)
			}
			printSwept(cmd.OutOrStdout(), swept)
			return nil
		},
	}
	cmd.Flags().BoolVar(&images, "images", false, "remove cleancut's images, too")
	return cmd
}

func printSwept(w io.Writer, r docker.SweepReport) {
	if r.Empty() {
		fmt.Fprintln(w, "nothing was left behind")
	}
	for _, list := range []struct {
		what  string
		names []string
	}{{"saved log", r.Logs}, {"removed container", r.Containers}, {"removed network", r.Networks}, {"removed image", r.Images}, {"kept", r.Kept}} {
		for _, name := range list.names {
			fmt.Fprintln(w, list.what, name)
		}
	}
}
