package docker

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/docker/internal/testnode"
)

// Environment of a test binary that plays a harness.
const (
	orphanEnv    = "CLEANCUT_TEST_ORPHAN" // what it does when its cluster is up
	orphanRunEnv = "CLEANCUT_TEST_RUN"
	orphanDirEnv = "CLEANCUT_TEST_EVIDENCE"
)

// orphanMain starts a cluster, says so, and ends in the way that how names.
func orphanMain(how string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT)
	defer stop()
	spec := cluster.Spec{Run: os.Getenv(orphanRunEnv), Target: testnode.Target{}, Nodes: []string{"n1", "n2"}, EvidenceDir: os.Getenv(orphanDirEnv)}
	err := New(Options{}).Run(ctx, spec, func(ctx context.Context, c cluster.Cluster) error {
		fmt.Println("up")
		if how == "panic" {
			panic("the harness panics")
		}
		<-ctx.Done()
		return ctx.Err()
	})
	fmt.Println("ended:", err)
	return 0
}

// orphan is such a process.
type orphan struct {
	cmd *exec.Cmd
	out *bufio.Scanner
	run string
	dir string // for its evidence
}

func startOrphan(t *testing.T, how string) orphan {
	t.Helper()
	o := orphan{cmd: exec.Command(os.Args[0]), run: fmt.Sprintf("orphan-%s-%d", how, os.Getpid()), dir: t.TempDir()}
	o.cmd.Env = append(os.Environ(), orphanEnv+"="+how, orphanRunEnv+"="+o.run, orphanDirEnv+"="+o.dir)
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	o.out = bufio.NewScanner(out)
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.cmd.Process.Kill() })
	if !o.out.Scan() || o.out.Text() != "up" {
		t.Fatalf("the process did not start its cluster: %q", o.out.Text())
	}
	return o
}

// end waits for the process and returns the rest of its output.
func (o orphan) end() string {
	var rest []string
	for o.out.Scan() {
		rest = append(rest, o.out.Text())
	}
	_ = o.cmd.Wait() // however it ended
	return strings.Join(rest, "\n")
}

func TestAHarnessThatDiesLeavesNothingThatASweepDoesNotRemove(t *testing.T) {
	requireDocker(t)
	killed, panicking, interrupted := startOrphan(t, "kill"), startOrphan(t, "panic"), startOrphan(t, "interrupt")

	// Two runs at once: a sweep leaves the one that lives alone.
	if len(leftovers(t, killed.run)) != 3 || len(leftovers(t, interrupted.run)) != 3 {
		t.Fatalf("want two containers and a network each, have %v and %v", leftovers(t, killed.run), leftovers(t, interrupted.run))
	}
	if err := killed.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed.end()
	if len(leftovers(t, killed.run)) != 3 {
		t.Fatal("SIGKILL cannot have removed anything")
	}
	report, err := Sweep(t.Context(), SweepOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Containers) < 2 || len(report.Networks) < 1 {
		t.Errorf("the sweep removed only %+v", report)
	}
	if left := leftovers(t, killed.run); len(left) > 0 {
		t.Errorf("after the sweep, the killed harness has left %v", left)
	}
	for _, n := range []string{"n1", "n2"} {
		path := filepath.Join(killed.dir, n, cluster.LogFile)
		if log, err := os.ReadFile(path); err != nil || !strings.Contains(string(log), "started with") || !slices.Contains(report.Logs, path) {
			t.Errorf("the log of %s was not saved before its container was removed: %q (%v), report %v", n, log, err, report.Logs)
		}
	}
	for _, n := range []string{"n1", "n2"} {
		b, err := os.ReadFile(filepath.Join(killed.dir, n, cluster.RecordFile))
		if err != nil || !strings.Contains(string(b), `"proc":"`+n+`","inc":1,"kind":"start"`) {
			t.Errorf("the record of %s was not saved before its container was removed: %q (%v)", n, b, err)
		}
	}
	if files, err := os.ReadDir(interrupted.dir); err != nil || len(files) != 1 || files[0].Name() != clockFile {
		t.Errorf("the sweep wrote into the directory of a run that lives: %v (%v)", files, err)
	}
	if left := leftovers(t, interrupted.run); len(left) != 3 {
		t.Errorf("the sweep hit a run that lives: only %v is left", left)
	}
	if kept := strings.Join(report.Kept, "\n"); !strings.Contains(kept, "of run "+interrupted.run+": its owner") {
		t.Errorf("the report does not say that the other run was kept:\n%s", kept)
	}

	// A panic unwinds through Run, which cleans up.
	panicking.end()
	if left := leftovers(t, panicking.run); len(left) > 0 {
		t.Errorf("the harness that panicked has left %v", left)
	}

	began := time.Now()
	if err := interrupted.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if out := interrupted.end(); out != "ended: context canceled" {
		t.Errorf("the interrupted run ended with %q", out)
	}
	if left := leftovers(t, interrupted.run); len(left) > 0 {
		t.Errorf("%v after SIGINT the harness has left %v", time.Since(began), left)
	}
}
