package store_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/server"
	"github.com/cleancut/cleancut/targets/store"
)

// processes are nodes as they run in containers, in one process and on one
// address.
type processes struct {
	t     *testing.T
	cfgs  map[string]server.Config
	stops map[string]func()
}

func startProcesses(t *testing.T, n int) *processes {
	t.Helper()
	p := &processes{t: t, cfgs: map[string]server.Config{}, stops: map[string]func(){}}
	names, peers, ports := nodeNames(n), map[string]string{}, map[string]int{}
	for _, name := range names {
		peers[name], ports[name] = "127.0.0.1", freePort(t)
	}
	for _, name := range names {
		p.cfgs[name] = server.Config{
			Name: name, Names: names, Peers: peers, Dir: t.TempDir(), Listen: "127.0.0.1",
			ClientPort: freePort(t), PeerPort: ports[name], PeerPorts: ports, Boot: "first", Log: io.Discard,
		}
		p.start(name)
	}
	t.Cleanup(func() {
		for _, stop := range p.stops {
			stop()
		}
	})
	return p
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (p *processes) start(name string) {
	program, err := store.ContainerProgram("", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	cfg := p.cfgs[name]
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Run(ctx, cfg, program); err != nil {
			p.t.Error(err)
		}
	})
	p.stops[name] = func() {
		cancel()
		running.Wait()
	}
}

func (p *processes) probe(name string) (node.Status, error) {
	dial := func(ctx context.Context, port string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", p.cfgs[name].ClientPort))
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Second)
	defer cancel()
	return store.New().Probe(ctx, cluster.NodeConfig{Name: name}, dial)
}

// eventually waits until f is true.
func (p *processes) eventually(what string, f func() bool) {
	p.t.Helper()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	late := time.After(20 * time.Second)
	for !f() {
		select {
		case <-poll.C:
		case <-late:
			p.t.Fatalf("after 20 s still not: %s", what)
		}
	}
}

func (p *processes) serving() bool {
	for name := range p.cfgs {
		if s, err := p.probe(name); err != nil || !s.Ready || s.Node != name {
			return false
		}
	}
	return true
}

// http makes a request as curl does.
func (p *processes) http(name, method, path, body string) (int, string) {
	p.t.Helper()
	url := fmt.Sprintf("http://127.0.0.1:%d%s", p.cfgs[name].ClientPort, path)
	r, err := http.NewRequestWithContext(p.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}

func TestTheStoreServesOverSocketsAndRecoversFromFiles(t *testing.T) {
	p := startProcesses(t, 3)
	p.eventually("all nodes serve", p.serving)
	for _, c := range []struct {
		node, method, path, body string
		status                   int
		part                     string
	}{
		{"n1", "PUT", "/kv/x", "1", 200, `{"index":`},
		{"n2", "GET", "/kv/x", "", 200, `{"value":1,"index":`},
		{"n3", "POST", "/kv/x/cas", `{"expected":1,"value":"two"}`, 200, `{"index":`},
		{"n1", "POST", "/kv/x/cas", `{"expected":1,"value":3}`, 409, `{"code":"cas_mismatch","value":"two"}`},
		{"n2", "GET", "/kv/y", "", 404, `{"code":"no_key"`},
		{"n2", "PUT", "/kv/y?session=1", "1", 400, `{"code":"bad_request"`},
		{"n3", "POST", "/sessions", "", 200, `{"session":`},
	} {
		if status, body := p.http(c.node, c.method, c.path, c.body); status != c.status || !strings.HasPrefix(body, c.part) {
			t.Errorf("%s %s %s: %d %s", c.node, c.method, c.path, status, body)
		}
	}
	for _, stop := range p.stops {
		stop()
	}
	for name := range p.cfgs {
		p.start(name)
	}
	p.eventually("all nodes serve again", p.serving)
	if status, body := p.http("n1", "GET", "/kv/x", ""); status != 200 || !strings.HasPrefix(body, `{"value":"two"`) {
		t.Errorf("after the restart: %d %s", status, body)
	}
	p.eventually("all nodes agree", func() bool {
		seen := map[string]bool{}
		for name := range p.cfgs {
			s, _ := p.probe(name)
			seen[fmt.Sprint(s.Applied, s.StateHash)] = true
		}
		return len(seen) == 1
	})
}
