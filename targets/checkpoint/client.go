package checkpoint

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/workloads"
)

// clientPause is the pause of a client before it asks the next control node.
const clientPause = 50 * time.Millisecond

// roam is how many operations a client makes, on average, before it draws anew
// which control node it asks first.
const roam = 4

// client asks the control nodes in turn until one of them, the coordinator,
// answers; how far a worker is it asks that itself, every other time. All its
// operations are reads.
type client struct {
	net   cluster.Network
	nodes []string
	node  int
}

func newClient(net cluster.Network) *client {
	nodes := net.Nodes()
	nodes = nodes[:min(controlNodes, len(nodes))]
	return &client{net: net, nodes: nodes, node: net.Intn(len(nodes))}
}

// Close implements cluster.Client.
func (c *client) Close() error { return nil }

// Invoke implements cluster.Client.
func (c *client) Invoke(ctx context.Context, op cluster.Op, timeout time.Duration) cluster.Completion {
	deadline := c.net.Now() + timeout
	if c.net.Intn(roam) == 0 {
		c.node = c.net.Intn(len(c.nodes))
	}
	direct := op.F == workloads.Progress && c.net.Intn(2) == 0
	failed := cluster.Completion{Outcome: history.Fail, Value: op.Value, Error: "timeout"}
	for ctx.Err() == nil {
		left := deadline - c.net.Now()
		if left <= 0 {
			break
		}
		if failed.Node = c.nodes[c.node]; direct {
			failed.Node = op.Key
		}
		r, err := c.net.Call(ctx, failed.Node, node.Request{Method: "GET", Path: "/" + op.F + "/" + op.Key}, min(left, max(timeout/3, time.Millisecond)))
		if err == nil && r.Status == 200 {
			value, err := decodeAnswer(op.F, r.Body)
			if err != nil {
				failed.Error = "the answer is not understood: " + err.Error()
				return failed
			}
			return cluster.Completion{Outcome: history.OK, Value: value, Node: failed.Node}
		}
		if err != nil {
			failed.Error = err.Error()
		} else {
			var f failure
			_ = json.Unmarshal(r.Body, &f) // what is no JSON has no text
			failed.Error = f.Error
			if r.Status == 404 {
				return failed
			}
		}
		if direct {
			direct = false
			continue
		}
		c.node = (c.node + 1) % len(c.nodes)
		if c.net.Sleep(ctx, min(clientPause, max(0, deadline-c.net.Now()))) != nil {
			break
		}
	}
	return failed
}

func decodeAnswer(f string, body []byte) (history.Value, error) {
	if f == workloads.Progress {
		var p progress
		if err := json.Unmarshal(body, &p); err != nil {
			return history.Nil, err
		}
		return history.List(history.Int(int64(p.Epoch)), history.Int(int64(p.Round)), history.Int(p.Units), history.String(p.State)), nil
	}
	var a reportAnswer
	if err := json.Unmarshal(body, &a); err != nil {
		return history.Nil, err
	}
	if f == workloads.Result {
		return history.String(a.Report), nil
	}
	list := []history.Value{history.String(a.Report)}
	for _, o := range a.Outputs {
		list = append(list, history.String(o))
	}
	return history.List(list...), nil
}
