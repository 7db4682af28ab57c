package harness_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/record"
)

// stuck is a runtime in real time whose calls of some names never return once
// the first fault has struck: not even when their context ends.
type stuck struct {
	hang    []string                // "status n2", "start n2", "record", …
	status  func(name string) error // how a node answers, if it does
	trouble []cluster.Trouble       // told when the body begins
	never   chan struct{}
}

func (r *stuck) Name() string { return "stuck" }

func (r *stuck) Run(ctx context.Context, spec cluster.Spec, body func(context.Context, cluster.Cluster) error) error {
	r.never = make(chan struct{})
	defer close(r.never) // so that the test leaves no goroutine behind
	for _, t := range r.trouble {
		spec.OnTrouble(t)
	}
	c := &stuckCluster{runtime: r, spec: spec, began: time.Now()}
	var stop context.CancelFunc
	c.ctx, stop = context.WithCancel(ctx)
	defer stop()
	return body(c.ctx, c)
}

type stuckCluster struct {
	runtime *stuck
	spec    cluster.Spec
	began   time.Time
	ctx     context.Context
	struck  atomic.Bool
}

// call hangs if it is one that must.
func (c *stuckCluster) call(name string) {
	if c.struck.Load() && slices.Contains(c.runtime.hang, name) {
		<-c.runtime.never
	}
}

func (c *stuckCluster) Runtime() string    { return "stuck" }
func (c *stuckCluster) Nodes() []string    { return slices.Clone(c.spec.Nodes) }
func (c *stuckCluster) Now() time.Duration { return time.Since(c.began) }

func (c *stuckCluster) Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *stuckCluster) Go(_ string, f func(ctx context.Context)) cluster.Task {
	t := &stuckTask{done: make(chan struct{})}
	var ctx context.Context
	ctx, t.stop = context.WithCancel(c.ctx)
	go func() { defer close(t.done); f(ctx) }()
	return t
}

type stuckTask struct {
	done chan struct{}
	stop context.CancelFunc
}

func (t *stuckTask) Stop() { t.stop() }

// Wait does not listen to its context.
func (t *stuckTask) Wait(context.Context) error { <-t.done; return nil }

func (c *stuckCluster) Status(_ context.Context, name string) (node.Status, error) {
	c.call("status " + name)
	if c.struck.Load() && c.runtime.status != nil {
		if err := c.runtime.status(name); err != nil {
			return node.Status{}, err
		}
	}
	return node.Status{Node: name, Ready: true, Role: "follower", Applied: 1, StateHash: "aa"}, nil
}

func (c *stuckCluster) Logs(_ context.Context, name string, _ int) ([]byte, error) {
	return []byte("up\n"), nil
}

func (c *stuckCluster) Record(context.Context) ([]record.Event, error) {
	c.call("record")
	return nil, nil
}

func (c *stuckCluster) Findings() []node.Finding {
	c.call("findings")
	return nil
}

func (c *stuckCluster) Kill(_ context.Context, name string) (r cluster.Receipt, err error) {
	c.struck.Store(true)
	c.call("kill " + name)
	r.Count("processes_killed", 1)
	return r, nil
}

func (c *stuckCluster) Start(_ context.Context, name string) (r cluster.Receipt, err error) {
	c.call("start " + name)
	r.Count("boots", 1)
	return r, nil
}

func (c *stuckCluster) Network(string) cluster.Network { return &stuckNetwork{c} }

type stuckNetwork struct{ *stuckCluster }

func (n *stuckNetwork) Address(string, string) (string, error) { return "", cluster.ErrUnavailable }
func (n *stuckNetwork) Intn(k int) int                         { return rand.IntN(k) }
func (n *stuckNetwork) Call(context.Context, string, node.Request, time.Duration) (node.Response, error) {
	return node.Response{}, cluster.ErrUnavailable
}

// oneRegister is a target whose clients answer by themselves, and rightly.
type oneRegister struct {
	cluster.Target
	mu    *sync.Mutex
	value map[string]history.Value
}

func newRegister() oneRegister {
	return oneRegister{mu: new(sync.Mutex), value: map[string]history.Value{}}
}

func (oneRegister) Name() string              { return "one-register" }
func (oneRegister) Budget(int) cluster.Budget { return cluster.Budget{Down: 1, Safe: true} }
func (oneRegister) Functions() []string       { return []string{"read", "write", "cas"} }
func (oneRegister) Bugs() []cluster.Bug       { return nil }
func (o oneRegister) Connect(n cluster.Network, _ string) (cluster.Client, error) {
	return &oneClient{o, n}, nil
}

type oneClient struct {
	oneRegister
	net cluster.Network
}

func (c *oneClient) Close() error { return nil }

func (c *oneClient) Invoke(ctx context.Context, op cluster.Op, _ time.Duration) cluster.Completion {
	_ = c.net.Sleep(ctx, time.Millisecond)
	c.net.(*stuckNetwork).call("invoke")
	c.mu.Lock()
	defer c.mu.Unlock()
	switch op.F {
	case "read":
		return cluster.Completion{Outcome: history.OK, Value: c.value[op.Key], Node: "n1"}
	case "write":
		c.value[op.Key] = op.Value
		return cluster.Completion{Outcome: history.OK, Value: op.Value, Node: "n1"}
	}
	return cluster.Completion{Outcome: history.Fail, Value: op.Value, Node: "n1"}
}
