package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const testToken = "a token of more than sixteen characters"

// The environment makes this binary an agent: the agent waits for all
// children of its process, which a test process cannot bear.
const agentEnv = "CLEANCUT_TEST_AGENT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(agentEnv); dir != "" {
		port, err := strconv.Atoi(os.Getenv("CLEANCUT_TEST_PORT"))
		if err == nil {
			err = Serve(Options{
				Token: testToken, Address: "127.0.0.1", Port: port, StateDir: dir,
				DataDir: filepath.Join(dir, "data"), RunDir: filepath.Join(dir, "run"), RecordDir: filepath.Join(dir, "record"),
			})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// running is an agent in a process of its own.
type running struct {
	*testing.T
	*Client
	cmd     *exec.Cmd
	address string
	dir     string
}

func startAgent(t *testing.T, dir string) *running {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	r := &running{T: t, address: "127.0.0.1:" + strconv.Itoa(port), dir: dir}
	r.Client = NewClient(r.address, testToken)
	r.cmd = exec.Command(os.Args[0])
	r.cmd.Env = append(os.Environ(), agentEnv+"="+dir, "CLEANCUT_TEST_PORT="+strconv.Itoa(port))
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
		_ = r.cmd.Wait() // the agent takes the node with it
	})
	r.eventually("the agent answers", func() bool { _, err := r.State(t.Context()); return err == nil })
	return r
}

func (r *running) eventually(what string, ok func() bool) {
	r.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			r.Fatalf("not within 10 s: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func must[T any](r *running) func(v T, err error) T {
	return func(v T, err error) T {
		r.Helper()
		if err != nil {
			r.Fatal(err)
		}
		return v
	}
}

// sh is a Start that runs a shell script.
func sh(script string) Start { return Start{Args: []string{"/bin/sh", "-c", script}, Dir: "/"} }

const forever = "echo up; while :; do sleep 60; done"

func (r *running) log() string {
	r.Helper()
	return string(must[[]byte](r)(r.Log(r.Context(), 1<<20)))
}

func TestTheNodeIsStartedKilledAndStartedAgain(t *testing.T) {
	r := startAgent(t, t.TempDir())
	ctx := t.Context()
	if k := must[Killed](r)(r.Kill(ctx)); k.Killed || k.Unsynced != -1 {
		t.Errorf("killing nothing says %+v", k)
	}
	if err := r.Pause(ctx); !errors.Is(err, ErrDown) {
		t.Errorf("pausing nothing says %v", err)
	}
	s := sh(`printf '\005\0\0\0\0\0\0\0' > "$COUNT"; echo "boot is $CLEANCUT_BOOT"; ` + forever)
	s.UnsyncedFile = filepath.Join(r.dir, "run", "unsynced")
	s.Env = []string{"COUNT=" + s.UnsyncedFile, "PATH=/bin:/usr/bin"}
	first := must[Started](r)(r.Start(ctx, s))
	if first.Before.Running || !first.After.Running || first.After.Boots != 1 {
		t.Errorf("the first start says %+v", first)
	}
	if again := must[Started](r)(r.Start(ctx, s)); again.Before != first.After || again.After != first.After {
		t.Errorf("starting a running node says %+v", again)
	}
	r.eventually("the node knows its boot", func() bool { return strings.Contains(r.log(), "boot is "+first.After.Boot) })
	if k := must[Killed](r)(r.Kill(ctx)); !k.Killed || k.Unsynced != 5 || k.Boot != first.After.Boot {
		t.Errorf("the kill says %+v", k)
	}
	if st := must[State](r)(r.State(ctx)); st.Running {
		t.Errorf("after the kill the state is %+v", st)
	}
	secondStart := must[Started](r)(r.Start(ctx, s))
	if secondStart.After.Boots != 2 || secondStart.After.Boot == first.After.Boot {
		t.Errorf("the second start says %+v", secondStart)
	}
	exits := must[[]Exit](r)(r.Exits(ctx, 0, 0))
	if len(exits) != 1 || !exits[0].Expected || exits[0].Signal != "SIGKILL" || exits[0].Boot != first.After.Boot {
		t.Errorf("the exits are %+v", exits)
	}
	for _, bad := range []Start{{}, {Args: []string{"sh"}}, {Args: []string{"/nonexistent"}}} {
		must[Killed](r)(r.Kill(ctx))
		if _, err := r.Start(ctx, bad); err == nil {
			t.Errorf("starting %v was not refused", bad.Args)
		}
	}
}

func TestExitsThatTheAgentDidNotCauseAreReported(t *testing.T) {
	r := startAgent(t, t.TempDir())
	ctx := t.Context()
	for i, c := range []struct {
		script string
		want   Exit
	}{
		{"echo bye; exit 3", Exit{Code: 3}},
		{"kill -TERM $$", Exit{Code: -1, Signal: "SIGTERM"}},
		{"echo; echo 'panic: oh no'; echo; echo 'goroutine 1 [running]:'; exit 2", Exit{Code: 2, Panic: true}},
		{"echo 'we do not panic: all is well'; exit 0", Exit{Code: 0}},
	} {
		must[Started](r)(r.Start(ctx, sh(c.script)))
		// The long poll ends with the exit.
		exits := must[[]Exit](r)(r.Exits(ctx, i, 10*time.Second))
		if len(exits) != 1 {
			t.Fatalf("%q: the exits are %+v", c.script, exits)
		}
		e := exits[0]
		if e.Number != i+1 || e.Expected || e.Code != c.want.Code || e.Signal != c.want.Signal || e.Panic != c.want.Panic {
			t.Errorf("%q ended as %+v", c.script, e)
		}
	}
	if exits := must[[]Exit](r)(r.Exits(ctx, 4, 10*time.Millisecond)); len(exits) != 0 {
		t.Errorf("there is a fifth exit: %+v", exits)
	}
}

func TestAPausedNodeStandsStill(t *testing.T) {
	r := startAgent(t, t.TempDir())
	ctx := t.Context()
	must[Started](r)(r.Start(ctx, sh("while :; do echo tick; sleep 0.01; done")))
	r.eventually("it ticks", func() bool { return strings.Contains(r.log(), "tick") })
	for range 2 { // pausing twice is no error
		if err := r.Pause(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if s := must[State](r)(r.State(ctx)); !s.Paused || !s.Running {
		t.Errorf("the state is %+v", s)
	}
	// What was in the pipe may still come; then nothing does.
	var before string
	r.eventually("it stands still", func() bool {
		now := r.log()
		<-time.After(50 * time.Millisecond)
		still := now == r.log()
		before = now
		return still
	})
	p := must[Resumed](r)(r.Resume(ctx))
	if p.Pauses != 1 || p.Paused < 50*time.Millisecond {
		t.Errorf("the resume says %+v", p)
	}
	r.eventually("it ticks again", func() bool { return len(r.log()) > len(before) })
	if p := must[Resumed](r)(r.Resume(ctx)); p.Pauses != 0 {
		t.Errorf("the second resume says %+v", p)
	}
	// A kill reaches a paused node.
	if err := r.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	if k := must[Killed](r)(r.Kill(ctx)); !k.Killed {
		t.Errorf("the kill says %+v", k)
	}
	if p := must[Resumed](r)(r.Resume(ctx)); p.Pauses != 1 {
		t.Errorf("after the kill the resume says %+v", p)
	}
}

func TestLogsBootsAndExitsSurviveTheAgent(t *testing.T) {
	dir := t.TempDir()
	r := startAgent(t, dir)
	must[Started](r)(r.Start(t.Context(), sh("echo first; exit 1")))
	must[[]Exit](r)(r.Exits(t.Context(), 0, 10*time.Second))
	// A machine that loses its power takes the agent with it.
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = r.cmd.Wait()
	r = startAgent(t, dir)
	s := must[Started](r)(r.Start(t.Context(), sh("echo second; exit 1")))
	if s.After.Boots != 2 {
		t.Errorf("the boot after the restart is number %d", s.After.Boots)
	}
	exits := must[[]Exit](r)(r.Exits(t.Context(), 1, 10*time.Second))
	if len(exits) != 1 || exits[0].Number != 2 {
		t.Errorf("the exits after the first are %+v", exits)
	}
	log := r.log()
	if i, j := strings.Index(log, "first\n"), strings.Index(log, "second\n"); i < 0 || j < i {
		t.Errorf("the log is\n%s", log)
	}
	fromDisk, err := ReadLogs(os.DirFS(dir), 1<<20)
	if err != nil || string(fromDisk) != log {
		t.Errorf("read from the directory the log is\n%s(%v)", fromDisk, err)
	}
}

func TestTerminatingTheAgentTakesTheNodeAlong(t *testing.T) {
	for script, within := range map[string]time.Duration{
		"trap 'echo told; exit 0' TERM; echo up; while :; do sleep 0.01; done": 10 * time.Second,
		"trap '' TERM; " + forever: 10 * time.Second,
	} {
		r := startAgent(t, t.TempDir())
		s := must[Started](r)(r.Start(t.Context(), sh(script)))
		r.eventually("it is up", func() bool { return strings.Contains(r.log(), "up") })
		began := time.Now()
		if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := r.cmd.Wait(); err != nil {
			t.Errorf("the agent ended with %v", err)
		}
		if took := time.Since(began); took > within {
			t.Errorf("that took %v", took)
		}
		if err := syscall.Kill(s.After.PID, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("the node is still there: %v", err)
		}
	}
}

func TestLogsAreBounded(t *testing.T) {
	r := startAgent(t, t.TempDir())
	must[Started](r)(r.Start(t.Context(), sh("head -c 20000000 /dev/zero | tr '\\0' x; echo; echo last")))
	must[[]Exit](r)(r.Exits(t.Context(), 0, 20*time.Second))
	log := must[[]byte](r)(r.Log(t.Context(), maxLogRequest))
	if len(log) > 2*logFile+1<<16 || len(log) < logFile || !bytes.Contains(log, []byte("\nlast\n")) {
		t.Errorf("of 20 MB of output %d bytes are kept, ending in %q", len(log), log[max(0, len(log)-80):])
	}
	for i := range 30 {
		if err := os.WriteFile(filepath.Join(r.dir, logName(100+i, "b")), make([]byte, logFile), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	must[Started](r)(r.Start(t.Context(), sh("echo again")))
	names, err := filepath.Glob(filepath.Join(r.dir, "boot-*"))
	if err != nil || len(names) > logTotal/logFile {
		t.Errorf("%d logs are left (%v)", len(names), err)
	}
}

func TestOnlyTheTokenOpensTheAgent(t *testing.T) {
	r := startAgent(t, t.TempDir())
	for _, token := range []string{"", "x", testToken + "x", testToken[1:]} {
		c := NewClient(r.address, token)
		if _, err := c.State(t.Context()); !errors.Is(err, ErrToken) {
			t.Errorf("the token %q is answered with %v", token, err)
		}
		if _, err := c.Start(t.Context(), sh("touch /tmp/never")); !errors.Is(err, ErrToken) {
			t.Errorf("a start with the token %q is answered with %v", token, err)
		}
		if _, err := c.Dial(t.Context(), 1); !errors.Is(err, ErrToken) {
			t.Errorf("a tunnel with the token %q is answered with %v", token, err)
		}
	}
	if s := must[State](r)(r.State(t.Context())); s.Running || s.Boots != 0 {
		t.Errorf("the state is %+v", s)
	}
	dir := t.TempDir()
	for what, o := range map[string]Options{
		"a short token":      {Token: "short", Address: "127.0.0.1", StateDir: dir, DataDir: dir, RunDir: dir, RecordDir: dir},
		"no address":         {Token: testToken, StateDir: dir, DataDir: dir, RunDir: dir, RecordDir: dir},
		"every address":      {Token: testToken, Address: "0.0.0.0", StateDir: dir, DataDir: dir, RunDir: dir, RecordDir: dir},
		"every IPv6 address": {Token: testToken, Address: "::", StateDir: dir, DataDir: dir, RunDir: dir, RecordDir: dir},
	} {
		if err := Serve(o); err == nil {
			t.Errorf("an agent with %s serves", what)
		}
	}
}

func TestATunnelReachesTheNodesPortsWhileItRuns(t *testing.T) {
	r := startAgent(t, t.TempDir())
	l, err := net.Listen("tcp", "127.0.0.1:0") // what the node would listen on
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if _, err := r.Dial(t.Context(), port); !errors.Is(err, ErrDown) {
		t.Errorf("without a node, the tunnel says %v", err)
	}
	must[Started](r)(r.Start(t.Context(), sh(forever)))
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.Copy(conn, conn)
	}()
	conn := must[net.Conn](r)(r.Dial(t.Context(), port))
	defer conn.Close()
	if _, err := io.WriteString(conn, "there and back"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 14)
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != "there and back" {
		t.Errorf("through the tunnel came %q (%v)", b, err)
	}
	l.Close()
	if _, err := r.Dial(t.Context(), port); err == nil || errors.Is(err, ErrDown) {
		t.Errorf("to a closed port, the tunnel says %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Dial(gone, port); err == nil {
		t.Error("a tunnel was opened under a cancelled context")
	}
}

func TestRequestsAreBounded(t *testing.T) {
	r := startAgent(t, t.TempDir())
	big := Start{Args: []string{"/bin/true", strings.Repeat("x", maxBody)}}
	if _, err := r.Start(t.Context(), big); err == nil {
		t.Error("a request above the limit was not refused")
	}
	for _, path := range []string{"/log?limit=-1", "/log", "/exits?after=x&wait=1s", "/exits?after=0&wait=x", "/tunnel?port=99999", "/nothing"} {
		method := "GET"
		if strings.HasPrefix(path, "/tunnel") {
			method = "POST"
		}
		resp, err := r.do(t.Context(), method, path, nil)
		if err == nil {
			resp.Body.Close()
			t.Errorf("%s was not refused", path)
		}
	}
}

func TestAKillReachesTheNodesOwnChildren(t *testing.T) {
	r := startAgent(t, t.TempDir())
	must[Started](r)(r.Start(t.Context(), sh("(sleep 0.1; exit 7) & echo child $!; "+forever)))
	r.eventually("it says its child", func() bool { return strings.Contains(r.log(), "\nchild ") })
	must[Killed](r)(r.Kill(t.Context()))
	var pid int
	line := r.log()[strings.Index(r.log(), "\nchild ")+1:]
	if _, err := fmt.Sscanf(line, "child %d", &pid); err != nil {
		t.Fatal(err)
	}
	r.eventually("the whole group is gone", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
}

func TestRulesThatMeanNothingAreRefused(t *testing.T) {
	good := Rule{ID: "a", Peer: "10.0.0.1", Direction: In, Loss: 1}
	if err := good.validate(); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(r *Rule){
		"no id":                func(r *Rule) { r.ID = "" },
		"a long id":            func(r *Rule) { r.ID = strings.Repeat("x", 101) },
		"a name as peer":       func(r *Rule) { r.Peer = "n1" },
		"an IPv6 peer":         func(r *Rule) { r.Peer = "::1" },
		"a third direction":    func(r *Rule) { r.Direction = "up" },
		"loss above all":       func(r *Rule) { r.Loss = million + 1 },
		"negative loss":        func(r *Rule) { r.Loss = -1 },
		"negative delay":       func(r *Rule) { r.Delay = -1 },
		"an hour of delay":     func(r *Rule) { r.Delay = time.Hour },
		"an hour of jitter":    func(r *Rule) { r.Jitter = time.Hour },
		"a sum too large":      func(r *Rule) { r.Delay, r.Jitter = MaxDelay, 1 },
		"a sum that overflows": func(r *Rule) { r.Delay, r.Jitter = math.MaxInt64, math.MaxInt64 },
		"no effect at all":     func(r *Rule) { r.Loss = 0 },
		"too much repeating":   func(r *Rule) { r.Duplicate = million + 1 },
	} {
		r := good
		change(&r)
		if err := r.validate(); err == nil {
			t.Errorf("%s was not refused", what)
		}
	}
}
