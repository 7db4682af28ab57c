package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
)

// echo is a program that does what requests tell it.
type echo struct {
	env     node.Env
	fail    error
	waiting map[string]node.RequestID
	heard   []string
	fired   []string
}

func (e *echo) Start(env node.Env) error {
	e.env, e.waiting = env, map[string]node.RequestID{}
	return e.fail
}
func (e *echo) Receive(from string, m node.Message) {
	e.heard = append(e.heard, from+":"+string(m.(text)))
}
func (e *echo) Timer(name string) { e.fired = append(e.fired, name) }
func (e *echo) Synced(uint64, error) {
}
func (e *echo) Status() node.Status { return node.Status{Role: "echo", Applied: uint64(len(e.heard))} }
func (e *echo) Decode(b []byte) (node.Message, error) {
	if len(b) == 0 {
		return nil, errors.New("empty")
	}
	return text(b), nil
}

func (e *echo) Request(id node.RequestID, r node.Request) {
	answer := func(s string) { e.env.Reply(id, node.Response{Status: 200, Body: []byte(s)}) }
	switch r.Path {
	case "/never":
	case "/echo":
		answer(r.Method + " " + r.Query + " " + string(r.Body))
	case "/send":
		e.env.Send(r.Query, text(r.Body))
		answer("")
	case "/flood":
		for range 5000 {
			e.env.Send(r.Query, text("flood"))
		}
		answer("")
	case "/heard":
		answer(strings.Join(e.heard, ","))
	case "/timers":
		e.env.SetTimer("late", 40*time.Millisecond)
		e.env.SetTimer("early", 20*time.Millisecond)
		e.env.SetTimer("early", 10*time.Millisecond)
		e.env.SetTimer("never", time.Millisecond)
		e.env.StopTimer("never")
		answer("")
	case "/fired":
		answer(strings.Join(e.fired, ","))
	case "/rand":
		answer(fmt.Sprint(e.env.Rand().Uint64()))
	case "/panic":
		panic("told to")
	case "/badstatus":
		e.env.Reply(id, node.Response{})
	case "/log":
		e.env.Logf("said %s", r.Body)
		answer("")
	}
}

type text string

func (t text) AppendBinary(b []byte) ([]byte, error) { return append(b, t...), nil }

// TestMain lets this binary be a node process.
func TestMain(m *testing.M) {
	if os.Getenv("CLEANCUT_TEST_NODE") != "" {
		Main(func(bug string, _ map[string]string) (node.Program, error) {
			if bug == "no-program" {
				return nil, errors.New("there is no such bug")
			}
			p := &echo{}
			if bug == "no-start" {
				p.fail = errors.New("the disk is not to my taste")
			}
			return p, nil
		})
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// pair is the configurations of two nodes on this machine.
func pair(t *testing.T) []Config {
	t.Helper()
	names := []string{"a", "b"}
	ports := map[string]int{"a": freePort(t), "b": freePort(t)}
	var list []Config
	for _, n := range names {
		list = append(list, Config{
			Name: n, Names: names, Peers: map[string]string{"a": "127.0.0.1", "b": "127.0.0.1"},
			Dir: t.TempDir(), Listen: "127.0.0.1", ClientPort: freePort(t), PeerPort: ports[n], PeerPorts: ports,
			Seed: 1, Boot: "boot-of-" + n, Log: io.Discard,
		})
	}
	return list
}

// run runs a node until the returned function is called.
func runNode(t *testing.T, cfg Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg, &echo{}) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	eventually(t, "the node answers", func() bool { _, _, err := try(cfg, "GET", "/health", ""); return err == nil })
	return stop
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func try(cfg Config, method, target, body string) (int, string, error) {
	req, err := http.NewRequest(method, "http://127.0.0.1:"+strconv.Itoa(cfg.ClientPort)+target, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func ask(t *testing.T, cfg Config, method, target, body string) string {
	t.Helper()
	status, answer, err := try(cfg, method, target, body)
	if err != nil || status != 200 {
		t.Fatalf("%s %s: status %d, %v", method, target, status, err)
	}
	return answer
}

func TestClientsAndPeersReachTheProgram(t *testing.T) {
	cfgs := pair(t)
	a, b := cfgs[0], cfgs[1]
	runNode(t, a)
	stopB := runNode(t, b)
	if got := ask(t, a, "PUT", "/echo?x=1", "body"); got != "PUT x=1 body" {
		t.Errorf("the program was asked %q", got)
	}
	heard := func(cfg Config, what string) {
		t.Helper()
		other := map[string]Config{"a": b, "b": a}[cfg.Name]
		eventually(t, cfg.Name+" hears "+what, func() bool {
			ask(t, other, "POST", "/send?"+cfg.Name, what)
			return strings.Contains(ask(t, cfg, "GET", "/heard", ""), other.Name+":"+what)
		})
	}
	heard(b, "hello")
	heard(a, "hello too")
	var s node.Status
	if err := json.Unmarshal([]byte(ask(t, a, "GET", "/health", "")), &s); err != nil || s.Node != "a" || s.Boot != "boot-of-a" || s.Role != "echo" {
		t.Errorf("the status is %+v (%v)", s, err)
	}
	// A flood to a node that is gone blocks nobody, and a node that comes
	// back is reached again.
	stopB()
	ask(t, a, "POST", "/flood?b", "")
	ask(t, a, "GET", "/health", "")
	runNode(t, b)
	heard(b, "again")
	status, err := Probe(t.Context(), "n1", func(ctx context.Context, port string) (net.Conn, error) {
		return net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(map[string]int{"client": a.ClientPort}[port]))
	})
	if err != nil || status.Boot != "boot-of-a" {
		t.Errorf("the probe says %+v (%v)", status, err)
	}
}

func TestTimersFireOnceInOrderAndNotWhenStopped(t *testing.T) {
	a := pair(t)[0]
	runNode(t, a)
	ask(t, a, "GET", "/timers", "")
	eventually(t, "both fired", func() bool { return ask(t, a, "GET", "/fired", "") == "early,late" })
}

func TestTheRandomStreamDependsOnSeedNameAndBoot(t *testing.T) {
	first := func(change func(c *Config)) string {
		cfg := pair(t)[0]
		change(&cfg)
		stop := runNode(t, cfg)
		defer stop()
		return ask(t, cfg, "GET", "/rand", "")
	}
	plain := first(func(*Config) {})
	if again := first(func(*Config) {}); again != plain {
		t.Errorf("the same configuration drew %s and %s", plain, again)
	}
	for what, change := range map[string]func(c *Config){
		"seed": func(c *Config) { c.Seed++ },
		"boot": func(c *Config) { c.Boot += "x" },
	} {
		if other := first(change); other == plain {
			t.Errorf("another %s drew the same number", what)
		}
	}
}

func TestRequestsBeyondTheLimitsAreRefused(t *testing.T) {
	a := pair(t)[0]
	a.Limits = Limits{Body: 10, Outstanding: 2, Answer: 300 * time.Millisecond}
	runNode(t, a)
	if status, _, err := try(a, "PUT", "/echo", "0123456789"); status != 200 {
		t.Errorf("a body of ten bytes: status %d, %v", status, err)
	}
	if status, _, _ := try(a, "PUT", "/echo", "0123456789a"); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of eleven bytes: status %d", status)
	}
	statuses := make(chan int, 2)
	for range 2 {
		go func() { status, _, _ := try(a, "GET", "/never", ""); statuses <- status }()
	}
	eventually(t, "the third of two is refused", func() bool {
		status, _, _ := try(a, "GET", "/echo", "")
		return status == http.StatusServiceUnavailable
	})
	ask(t, a, "GET", "/health", "")
	for range 2 {
		if status := <-statuses; status != http.StatusGatewayTimeout {
			t.Errorf("a request without an answer ended with status %d", status)
		}
	}
	ask(t, a, "GET", "/echo", "")
}

func TestAStoppedNodeAnswersNobodyWithSuccess(t *testing.T) {
	a := pair(t)[0]
	stop := runNode(t, a)
	result := make(chan error, 1)
	go func() { _, _, err := try(a, "GET", "/never", ""); result <- err }()
	ask(t, a, "GET", "/health", "")
	stop()
	if err := <-result; err == nil {
		t.Error("a request that was cut off looks like a success")
	}
}

func TestStrangersOnThePeerPortAreIgnored(t *testing.T) {
	cfgs := pair(t)
	a, b := cfgs[0], cfgs[1]
	runNode(t, a)
	frame := func(s string) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...) }
	send := func(b []byte) net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(a.PeerPort))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	for what, b := range map[string][]byte{
		"noise":             []byte("GET / HTTP/1.1\r\n\r\n"),
		"an unknown name":   append(frame(hello+"mallory"), frame("evil")...),
		"a greeting of one": append(frame("x"), frame("evil")...),
		"itself":            append(frame(hello+"a"), frame("evil")...),
		"a huge frame":      append(frame(hello+"b"), 0xff, 0xff, 0xff, 0xff),
	} {
		conn := send(b)
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %s the connection is still open (%v)", what, err)
		}
	}
	// What the program cannot read is dropped; what follows is not.
	send(append(append(frame(hello+b.Name), frame("")...), frame("good")...))
	eventually(t, "the good message is heard", func() bool { return ask(t, a, "GET", "/heard", "") == "b:good" })
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	good := pair(t)[0]
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(c *Config){
		"no name":              func(c *Config) { c.Name = "" },
		"not among the peers":  func(c *Config) { c.Name = "z" },
		"2 names but 1":        func(c *Config) { c.Peers = map[string]string{"a": "127.0.0.1"} },
		"not an IP address":    func(c *Config) { c.Peers = map[string]string{"a": "127.0.0.1", "b": "localhost"} },
		"no data directory":    func(c *Config) { c.Dir = "" },
		"client port 70000":    func(c *Config) { c.ClientPort = 70000 },
		"data directory: open": func(c *Config) { c.Dir = "/dev/null/x" },
	} {
		c := good
		change(&c)
		if err := Run(t.Context(), c, &echo{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
	for _, s := range []string{"", "a", "a=", "=1", "a=1,a=2"} {
		if _, _, err := ParsePeers(s); err == nil {
			t.Errorf("peers %q were not refused", s)
		}
	}
}

// process starts this binary as a node with the command line of Command.
func process(t *testing.T, bug string) (cfg Config, cmd *exec.Cmd, output *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	command := Command(cluster.NodeConfig{
		Name: "a", Names: []string{"a"}, Peers: map[string]string{"a": "127.0.0.1"}, DataDir: dir + "/data", Bug: bug, Seed: 7,
	})
	cfg = Config{ClientPort: freePort(t)}
	args := append(command.Args[1:], "--client-port="+strconv.Itoa(cfg.ClientPort), "--peer-port=0",
		"--unsynced-file="+dir+"/unsynced", "--listen=127.0.0.1")
	cmd = exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "CLEANCUT_TEST_NODE=1", BootEnv+"=b7")
	output = &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cfg, cmd, output
}

func TestAProcessEndsAsItsExitCodeSays(t *testing.T) {
	for _, c := range []struct {
		name, bug, request string
		signal             os.Signal
		code               int
		output             string
	}{
		{"on SIGTERM with 0", "", "/log", syscall.SIGTERM, 0, "a said "},
		{"on a panic with 2 and the stack", "", "/panic", nil, 2, "panic: told to"},
		{"on an answer without a status with 2", "", "/badstatus", nil, 2, "status 0"},
		{"on a program that cannot start with 1", "no-start", "", nil, 1, "node a cannot start: the disk is not to my taste"},
		{"on an unknown bug with 1", "no-program", "", nil, 1, "there is no such bug"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, cmd, output := process(t, c.bug)
			if c.request != "" {
				eventually(t, "the process answers", func() bool { _, _, err := try(cfg, "GET", "/health", ""); return err == nil })
				_, _, _ = try(cfg, "GET", c.request, "hello") // it may die of this
			}
			if c.signal != nil {
				if err := cmd.Process.Signal(c.signal); err != nil {
					t.Fatal(err)
				}
			}
			_ = cmd.Wait() // the exit code says it
			if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(output.String(), c.output) {
				t.Errorf("exit code %d and output\n%s", code, output)
			}
			if strings.HasPrefix(c.output, "panic") && !strings.Contains(output.String(), "server_test.go") {
				t.Errorf("the stack is missing:\n%s", output)
			}
		})
	}
}

func TestCommandLinesThatMeanNothingAreRefused(t *testing.T) {
	for want, args := range map[string][]string{
		"--peers is missing":  {"--name=a"},
		"is not NAME=ADDRESS": {"--name=a", "--peers=a"},
		"unexpected argument": {"--name=a", "--peers=a=127.0.0.1", "more"},
		"flag provided but":   {"--nmae=a"},
	} {
		if _, err := parse(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v says %v, want %q", args, err, want)
		}
	}
}
