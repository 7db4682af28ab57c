package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	moby "github.com/moby/moby/client"
	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/harness/rundir"
	"github.com/cleancut/cleancut/suites"
)

// patience bounds how long a run may take to get anywhere.
const patience = 2 * time.Minute

// requireDocker skips where there is no daemon, and fails in CI, where a test
// that did not run must not look like one that passed.
func requireDocker(t *testing.T) {
	t.Helper()
	_, _, err := suites.Choose(t.Context(), suites.Docker)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("CI=true demands Docker: %v", err)
	default:
		t.Skipf("needs Docker: %v", err)
	}
}

// buildCommand builds the command as users have it, for signals and death.
func buildCommand(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cleancut")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the command: %v\n%s", err, out)
	}
	return path
}

// process is a command that runs by itself, in a folder of its own.
type process struct {
	*testing.T
	cmd    *exec.Cmd
	dir    string
	stdout bytes.Buffer
	lines  chan string // of standard error
	ended  chan struct{}
}

// launch starts a short run in containers.
func launch(t *testing.T, command string, args ...string) *process {
	t.Helper()
	p := &process{T: t, dir: t.TempDir(), lines: make(chan string, 10_000), ended: make(chan struct{})}
	p.cmd = exec.Command(command, append([]string{"run", "replication/raft-crashes", "--runtime", "docker", "--nodes", "3"}, args...)...)
	p.cmd.Dir, p.cmd.Stdout = p.dir, &p.stdout
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	go func() {
		defer close(p.ended)
		for s := bufio.NewScanner(stderr); s.Scan(); {
			p.lines <- s.Text()
		}
		close(p.lines)
		_ = p.cmd.Wait() // its state says how it ended
	}()
	return p
}

// await waits until standard error has a line that begins with text.
func (p *process) await(text string) {
	p.Helper()
	limit := time.After(patience)
	var seen []string
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.Fatalf("the run ended before it said %q:\n%s\n%s", text, strings.Join(seen, "\n"), p.stdout.String())
			}
			if seen = append(seen, line); strings.HasPrefix(line, text) {
				return
			}
		case <-limit:
			p.Fatalf("no %q within %v:\n%s", text, patience, strings.Join(seen, "\n"))
		}
	}
}

func (p *process) signal(s os.Signal) {
	p.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.Fatal(err)
	}
}

// end waits for the end of the process, at most so long, and returns its exit
// code, -1 if a signal ended it.
func (p *process) end(limit time.Duration) int {
	p.Helper()
	select {
	case <-p.ended:
	case <-time.After(limit):
		p.Fatalf("the run did not end within %v", limit)
	}
	return p.cmd.ProcessState.ExitCode()
}

// run is the run directory.
func (p *process) run() string {
	return filepath.Join(p.dir, "runs", "replication", "raft-crashes", "latest")
}

// left lists what gc says of containers and networks of the process.
func (p *process) left() (lines []string) {
	p.Helper()
	gc := cleancut(p.T, "gc")
	if gc.code != exitValid {
		p.Errorf("gc: exit code %d: %s", gc.code, gc.err)
	}
	for line := range strings.Lines(gc.out) {
		if strings.Contains(line, fmt.Sprintf("cleancut-%d-", p.cmd.Process.Pid)) || strings.Contains(line, fmt.Sprintf("of run %d-", p.cmd.Process.Pid)) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestAHarnessKilledAtAnyMomentLosesNothingAndLeavesNothing(t *testing.T) {
	requireDocker(t)
	command := buildCommand(t)
	moments := []string{"replication/raft-crashes on docker", "warm-up", "faults", "final"}
	// All at once: runs must not disturb each other, alive or dead.
	var runs []*process
	for i := range moments {
		runs = append(runs, launch(t, command, "--time", "4s", "--seed", fmt.Sprint(i)))
	}
	for i, p := range runs {
		p.await(moments[i])
		p.signal(syscall.SIGKILL)
		if code := p.end(patience); code != -1 {
			t.Errorf("killed in %q, the run ended with exit code %d", moments[i], code)
		}
	}
	for i, p := range runs {
		p.left() // removes it
		if left := p.left(); len(left) > 0 {
			t.Errorf("killed in %q, this is left after gc: %v", moments[i], left)
		}
		// The first died before or after it had made its run directory.
		if _, err := os.Stat(p.run()); i > 0 || err == nil {
			recovers(t, p, moments[i])
		}
	}
}

// recovers shows that what a killed run recorded can be judged and reported.
func recovers(t *testing.T, p *process, moment string) {
	t.Helper()
	g := NewWithT(t)
	check := cleancut(t, "check", p.run())
	g.Expect(check.code).To(Equal(exitInconclusive), "killed in %q: %s%s", moment, check.out, check.err)
	g.Expect(check.out).To(ContainSubstring("the harness died before it judged the run"), moment)
	report := cleancut(t, "report", p.run())
	g.Expect(report.code).To(Equal(exitValid), "killed in %q: %s", moment, report.err)
	g.Expect(strings.TrimSpace(report.out)).To(BeARegularFile())

	dir, err := rundir.Open(p.run())
	g.Expect(err).NotTo(HaveOccurred())
	e, err := dir.Evidence()
	g.Expect(err).NotTo(HaveOccurred())
	if moment == "faults" || moment == "final" {
		g.Expect(e.Operations).NotTo(BeEmpty(), moment)
		g.Expect(e.Logs).To(HaveLen(3), "logs that gc saved of the run killed in %q", moment)
	}
	if moment == "final" {
		g.Expect(e.Ledger).NotTo(BeEmpty())
		// Killed before the mark of its end was written the history is not whole.
		g.Expect(check.out).To(MatchRegexp(`(valid|unknown) +linearizable: .*can be linearized`))
	}
}

func TestAnInterruptedRunEndsInOrderAndASecondInterruptEndsItAtOnce(t *testing.T) {
	requireDocker(t)
	command := buildCommand(t)
	interrupted, terminated := launch(t, command, "--seed", "1"), launch(t, command, "--seed", "2")
	undisturbed := launch(t, command, "--time", "4s", "--seed", "3", "--faults", "at 1s kill(all) for 500ms")
	for p, how := range map[*process]syscall.Signal{interrupted: syscall.SIGINT, terminated: syscall.SIGTERM} {
		p.await("faults")
		p.await("faults") // it prints a line every few seconds: some are in force by now
		p.signal(how)
	}
	for _, p := range []*process{interrupted, terminated} {
		g := NewWithT(t)
		g.Expect(p.end(15*time.Second)).To(Equal(exitInconclusive), p.stdout.String())
		g.Expect(p.stdout.String()).To(ContainSubstring("interrupted in phase faults"))
		g.Expect(p.left()).To(BeEmpty())
		g.Expect(filepath.Join(p.run(), rundir.ReportFile)).To(BeARegularFile())
		dir, err := rundir.Open(p.run())
		g.Expect(err).NotTo(HaveOccurred())
		e, err := dir.Evidence()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(e.Logs).To(HaveLen(3))
		g.Expect(e.Ledger).NotTo(BeEmpty())
		for _, f := range e.Ledger {
			g.Expect(f.HealedAt).To(BeNumerically(">", 0), "%s was not healed", f.Fault)
		}
	}

	twice := launch(t, command, "--seed", "4")
	twice.await("warm-up") // taking down what was just started takes a while
	twice.signal(syscall.SIGINT)
	twice.signal(syscall.SIGINT)
	twice.end(5 * time.Second)

	// The next run removes what that one left, and the two before did not
	// disturb this one.
	if code := undisturbed.end(patience); code != exitValid {
		t.Errorf("the run that nobody interrupted ended with exit code %d:\n%s", code, undisturbed.stdout.String())
	}
	if code := launch(t, command, "--time", "1s", "--faults", "at 100ms pause(one) for 200ms").end(patience); code == exitHarness || code == exitUsage {
		t.Errorf("the next run ended with exit code %d", code)
	}
	if left := twice.left(); len(left) > 0 {
		t.Errorf("interrupted twice, the run has left %v, which the next start did not remove", left)
	}
}

func TestWhatContainersLackIsRefusedAndLeavesNothing(t *testing.T) {
	requireDocker(t)
	t.Chdir(t.TempDir())
	nothing := func() {
		t.Helper()
		if _, err := os.Lstat("runs"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a run directory was left (%v)", err)
		}
	}
	g := NewWithT(t)
	point := cleancut(t, "run", "etcd/crashes", "--runtime", "docker", "--faults", "on vote.granted kill(self) for 1s")
	g.Expect(point.code).To(Equal(exitUsage), point.out)
	g.Expect(point.err).To(ContainSubstring("a program of etcd cannot be stopped at a point"))
	nothing()
	power := cleancut(t, "run", "etcd/crashes", "--runtime", "docker", "--faults", "at 1s power-loss(all) for 1s")
	g.Expect(power.code).To(Equal(exitUsage), power.out)
	g.Expect(power.err).To(ContainSubstring("cannot cut the power"))
	nothing()
	t.Setenv("DOCKER_HOST", "unix:///nonexistent")
	daemon := cleancut(t, "run", "replication/raft-quiet", "--runtime", "docker")
	g.Expect(daemon.code).To(Equal(exitUsage), daemon.out)
	g.Expect(daemon.err).To(ContainSubstring("no daemon answers at DOCKER_HOST=unix:///nonexistent"))
	nothing()
}

func TestAFrozenContainerNeitherHangsARunNorConvictsItsNode(t *testing.T) {
	requireDocker(t)
	command := buildCommand(t)
	plan := []string{"--seed", "5", "--faults", "at 500ms partition(isolate,n2) for 3s"}
	left, interrupted := launch(t, command, append(plan, "--time", "4s")...), launch(t, command, append(plan, "--time", "1m")...)
	for _, p := range []*process{left, interrupted} {
		p.await("faults")
		freeze(t, fmt.Sprintf("cleancut-%d-", p.cmd.Process.Pid), "-n2")
	}
	interrupted.signal(syscall.SIGTERM)
	g := NewWithT(t)
	g.Expect(interrupted.end(30*time.Second)).To(Equal(exitInconclusive), interrupted.stdout.String())
	g.Expect(left.end(3*time.Minute)).To(Equal(exitInconclusive), left.stdout.String())
	g.Expect(left.stdout.String()).To(ContainSubstring("its container was paused"))
	for _, p := range []*process{left, interrupted} {
		g.Expect(p.stdout.String()).NotTo(ContainSubstring("everything was healed"))
		g.Expect(p.left()).To(BeEmpty())
		g.Expect(filepath.Join(p.run(), rundir.ReportFile)).To(BeARegularFile())
	}
}

// freeze pauses the container of that name from outside.
func freeze(t *testing.T, prefix, suffix string) {
	t.Helper()
	api, err := moby.New(moby.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	list, err := api.ContainerList(t.Context(), moby.ContainerListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list.Items {
		name := strings.TrimPrefix(strings.Join(c.Names, ","), "/")
		if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, suffix) {
			if _, err := api.ContainerPause(t.Context(), c.ID, moby.ContainerPauseOptions{}); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no container %s…%s runs", prefix, suffix)
}
