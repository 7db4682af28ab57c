package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
)

// counterTarget is a counter kept by the first node: an add is appended to
// its log, synced, copied to a backup, and answered. Hooks let tests do more.
type counterTarget struct {
	start    func(p *counter) error
	request  func(p *counter, id node.RequestID, r node.Request) (handled bool)
	timer    func(p *counter, name string)
	receive  func(p *counter, from string, m node.Message)
	synced   func(p *counter, token uint64)
	status   func(p *counter)
	monitors []node.Monitor
	quiet    bool // no heartbeats
}

func (*counterTarget) Name() string                       { return "counter" }
func (*counterTarget) Doc() string                        { return "A counter." }
func (*counterTarget) Claims() []cluster.Claim            { return nil }
func (*counterTarget) Budget(int) cluster.Budget          { return cluster.Budget{} }
func (*counterTarget) Functions() []string                { return []string{"add"} }
func (*counterTarget) Bugs() []cluster.Bug                { return nil }
func (*counterTarget) Points() []string                   { return []string{"added", "started", "synced"} }
func (t *counterTarget) Monitors([]string) []node.Monitor { return t.monitors }

func (*counterTarget) Connect(cluster.Network, string) (cluster.Client, error) {
	return nil, cluster.ErrUnavailable
}

func (t *counterTarget) Program(bug string) (node.Program, error) {
	if bug == "no-program" {
		return nil, errors.New("no program")
	}
	return &counter{t: t}, nil
}

type counter struct {
	t     *counterTarget
	env   node.Env
	log   node.File
	size  int64
	n     uint64 // adds in the log
	token uint64
	open  map[uint64]node.RequestID
}

// directoryToken is the token of the sync of the directory.
const directoryToken = 1 << 40

type number uint64

func (n number) AppendBinary(b []byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(b, uint64(n)), nil
}

func (p *counter) Start(env node.Env) error {
	p.env, p.open = env, map[uint64]node.RequestID{}
	f, err := env.Disk().Open("log")
	if err != nil {
		if f, err = env.Disk().Create("log"); err != nil {
			return err
		}
		env.Disk().SyncDir(directoryToken)
	}
	p.log = f
	if p.size, err = f.Size(); err != nil {
		return err
	}
	p.n = uint64(p.size / 8)
	env.Logf("%d adds in the log", p.n)
	env.Point("started")
	if !p.t.quiet {
		env.SetTimer("heartbeat", 10*time.Millisecond)
	}
	if p.t.start != nil {
		return p.t.start(p)
	}
	return nil
}

func (p *counter) Receive(from string, m node.Message) {
	if p.t.receive != nil {
		p.t.receive(p, from, m)
		return
	}
	p.env.Observe(m.(number))
}

func (p *counter) Timer(name string) {
	if p.t.timer != nil {
		p.t.timer(p, name)
		return
	}
	for _, peer := range p.env.Peers() {
		if peer != p.env.Self() {
			p.env.Send(peer, number(p.n+p.env.Rand().Uint64N(100)))
		}
	}
	p.env.SetTimer("heartbeat", 10*time.Millisecond)
}

func (p *counter) Synced(token uint64, err error) {
	if p.t.synced != nil {
		p.t.synced(p, token)
	}
	p.env.Point("synced")
	if id, ok := p.open[token]; ok {
		delete(p.open, token)
		p.env.Reply(id, node.Response{Status: 200, Body: strconv.AppendUint(nil, token, 10)})
	}
}

func (p *counter) Request(id node.RequestID, r node.Request) {
	if p.t.request != nil && p.t.request(p, id, r) {
		return
	}
	if r.Path == "/get" {
		p.env.Reply(id, node.Response{Status: 200, Body: strconv.AppendUint(nil, p.n, 10)})
		return
	}
	p.n++
	b, _ := number(p.n).AppendBinary(nil)
	if _, err := p.log.WriteAt(b, p.size); err != nil {
		p.env.Reply(id, node.Response{Status: 500})
		return
	}
	p.size += 8
	p.env.Point("added")
	p.open[p.n] = id
	p.log.Sync(p.n)
}

func (p *counter) Status() node.Status {
	if p.t.status != nil {
		p.t.status(p)
	}
	return node.Status{Applied: p.n, Ready: true}
}

func (p *counter) Decode(b []byte) (node.Message, error) {
	if len(b) != 8 {
		return nil, fmt.Errorf("%d bytes, want 8", len(b))
	}
	return number(binary.BigEndian.Uint64(b)), nil
}

func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "n" + strconv.Itoa(i+1)
	}
	return list
}

// calm is a profile without accidents.
func calm() *Profile {
	p := DefaultProfile()
	p.Loss, p.Duplicate, p.Latency.Tail, p.Disk.Sync.Tail, p.Boot.Tail = 0, 0, 0, 0, 0
	p.ClockDrift, p.ClockOffset = 0, 0
	return &p
}

// simulate runs body on a cluster of three, calm unless o has a profile.
func simulate(t testing.TB, target cluster.Target, o Options, body func(ctx context.Context, w *world) error) error {
	t.Helper()
	if o.Profile == nil {
		o.Profile = calm()
	}
	spec := cluster.Spec{Run: t.Name(), Target: target, Nodes: names(3), Seed: 1}
	return New(o).Run(t.Context(), spec, func(ctx context.Context, c cluster.Cluster) error {
		return body(ctx, c.(*world))
	})
}

// must is simulate where the run has to succeed.
func must(t testing.TB, target cluster.Target, o Options, body func(ctx context.Context, w *world)) {
	t.Helper()
	if err := simulate(t, target, o, func(ctx context.Context, w *world) error { body(ctx, w); return nil }); err != nil {
		t.Fatal(err)
	}
}

// get asks for the counter.
var get = node.Request{Method: "GET", Path: "/get"}

func add(ctx context.Context, c cluster.Network, node_ string) (uint64, error) {
	r, err := c.Call(ctx, node_, node.Request{Method: "POST", Path: "/add"}, time.Second)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(string(r.Body), 10, 64)
}

func contains(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error is %q, want it to say %q", err, part)
		}
	}
}
