package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/rng"
)

// client is the network as a client sees it.
type client struct {
	*world
	name   string
	rand   *rand.Rand
	to     []*rand.PCG // streams of its messages, by node
	from   []*rand.PCG
	digest uint64
}

var _ cluster.Network = (*client)(nil)

// Network implements cluster.Cluster. Asking for a name again returns the
// same network, whose random stream goes on.
func (w *world) Network(name string) cluster.Network {
	c := w.clients[name]
	if c == nil {
		c = &client{
			world: w, name: name, digest: digestString(name),
			rand: rng.Stream(w.spec.Seed, "client/"+name),
			to:   make([]*rand.PCG, len(w.nodes)),
			from: make([]*rand.PCG, len(w.nodes)),
		}
		for i, n := range w.nodes {
			c.to[i] = rng.Source(w.spec.Seed, "network/client/"+name+">"+n.name)
			c.from[i] = rng.Source(w.spec.Seed, "network/client/"+name+"<"+n.name)
		}
		w.clients[name] = c
	}
	return c
}

// Address implements cluster.Network.
func (c *client) Address(node, port string) (string, error) {
	return "", fmt.Errorf("%s of %s has no address in the simulator; use Network.Call: %w", port, node, cluster.ErrUnavailable)
}

// Intn implements cluster.Network.
func (c *client) Intn(n int) int { return c.rand.IntN(n) }

// Why calls have no answer.
var (
	errRefused = errors.New("connection refused")
	errReset   = errors.New("connection reset")
)

// call is a request on its way to a node, there, or on its way back.
type call struct {
	client  *client
	caller  waiter
	request node.Request

	// The node's side.
	id    node.RequestID
	epoch uint32
	// The way back.
	response node.Response

	settled kind // how it ended: kindResponse, kindRefused, kindReset; 0 while open
	gone    bool // the client has given up
}

// Call implements cluster.Network.
func (c *client) Call(ctx context.Context, name string, r node.Request, timeout time.Duration) (node.Response, error) {
	w := c.world
	n, err := w.machine(name)
	if err != nil {
		return node.Response{}, &cluster.CallError{Node: name, Err: err}
	}
	v, err := w.begin(ctx)
	if err != nil {
		return node.Response{}, &cluster.CallError{Node: name, Err: err}
	}
	out := &call{client: c, caller: v, request: r}
	w.transmit(w.link(w.clientEnd(), n.index), c.to[n.index], false, payload{
		kind: kindRequest, node: n.index, epoch: n.generation, b: digest(r.Body) ^ digestString(r.Path) ^ c.digest, ref: out,
	})
	w.wakeAt(v, timeout)
	err = w.park(ctx, "an answer of", name)
	switch out.settled {
	case kindResponse:
		return out.response, nil
	case kindRefused:
		return node.Response{}, &cluster.CallError{Node: name, Err: errRefused}
	case kindReset:
		return node.Response{}, &cluster.CallError{Node: name, Sent: true, Err: errReset}
	}
	out.abandon(n)
	if err == nil {
		err = fmt.Errorf("none within %v: %w", timeout, os.ErrDeadlineExceeded)
	}
	return node.Response{}, &cluster.CallError{Node: name, Sent: true, Err: err}
}

// back sends the outcome of a call to its client.
func (c *call) back(n *machine, k kind, x uint64) {
	w := n.w
	w.transmit(w.link(n.index, w.clientEnd()), c.client.from[n.index], false, payload{
		kind: k, from: n.index, node: w.clientEnd(), epoch: n.epoch, b: x, ref: c,
	})
}

// settle ends a call at the client.
func (c *call) settle(k kind) {
	if !c.gone && c.settled == 0 {
		c.settled = k
		c.client.wake(c.caller)
	}
}

// abandon ends a call whose client does not wait any longer. The node still
// has the request, or may yet get it.
func (c *call) abandon(n *machine) {
	c.gone = true
	if c.epoch == n.epoch && n.requests[c.id] == c {
		n.requests[c.id] = nil
	}
}

// Status implements cluster.Cluster. The question takes a millisecond.
func (w *world) Status(ctx context.Context, name string) (node.Status, error) {
	n, err := w.machine(name)
	if err != nil {
		return node.Status{}, err
	}
	const step, patience = 50 * time.Millisecond, time.Second
	if err := w.Sleep(ctx, time.Millisecond); err != nil {
		return node.Status{}, err
	}
	for waited := time.Duration(0); n.up() && n.paused(); waited += step {
		if waited >= patience {
			return node.Status{}, fmt.Errorf("status of %s: no answer within %v, as the process is paused", name, patience)
		}
		if err := w.Sleep(ctx, step); err != nil {
			return node.Status{}, err
		}
	}
	if n.up() {
		boot := n.env.boot
		if s, ok := n.status(); ok {
			s.Node, s.Boot = name, boot
			return s, nil
		}
	}
	return node.Status{}, fmt.Errorf("status of %s: %w", name, cluster.ErrDown)
}

// status asks the program, which may die of it.
func (n *machine) status() (s node.Status, ok bool) {
	defer n.guard()
	s = n.program.Status()
	return s, n.up()
}
