package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/rng"
)

// maxAnswer bounds a node's answer, in bytes.
const maxAnswer = 16 << 20

// clientNetwork is the network as one client sees it. It has connections of
// its own to each node.
type clientNetwork struct {
	*executor
	c    *Cluster
	http *http.Client

	mu   sync.Mutex
	rand *rand.Rand
}

var _ cluster.Network = (*clientNetwork)(nil)

// Network returns the network of the client of that name. Asking for it again
// returns the same one, whose random stream goes on.
func (c *Cluster) Network(client string) cluster.Network {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n, ok := c.networks[client]; ok {
		return n
	}
	n := &clientNetwork{executor: c.executor, c: c, rand: rng.Stream(c.spec.Seed, "client/"+client), http: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{}).DialContext,
			MaxIdleConnsPerHost: 2,
			IdleConnTimeout:     10 * time.Second,
			DisableCompression:  true,
		},
	}}
	c.networks[client] = n
	return n
}

func (n *clientNetwork) Nodes() []string { return n.c.Nodes() }

// Address returns a container's address. It stays the same over restarts.
func (n *clientNetwork) Address(name, port string) (string, error) {
	m, err := n.c.machine(name)
	if err != nil {
		return "", err
	}
	number, err := m.port(port)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(m.ip, strconv.Itoa(number)), nil
}

func (n *clientNetwork) Intn(max int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rand.IntN(max)
}

// Call sends an HTTP request to the node's port "client". The request counts
// as sent from the moment at which there was a connection for it.
func (n *clientNetwork) Call(ctx context.Context, name string, r node.Request, timeout time.Duration) (node.Response, error) {
	address, err := n.Address(name, "client")
	if err != nil {
		return node.Response{}, &cluster.CallError{Node: name, Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }})
	u := url.URL{Scheme: "http", Host: address, Path: r.Path, RawQuery: r.Query}
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), bytes.NewReader(r.Body))
	if err != nil {
		return node.Response{}, &cluster.CallError{Node: name, Err: err}
	}
	resp, err := n.http.Do(req)
	if err != nil {
		return node.Response{}, &cluster.CallError{Node: name, Sent: sent.Load(), Err: cause(err)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the answer exceeds %d bytes", maxAnswer)
	}
	if err != nil {
		return node.Response{}, &cluster.CallError{Node: name, Sent: true, Err: cause(err)}
	}
	return node.Response{Status: resp.StatusCode, Body: body}, nil
}

// cause takes off what net/http wraps errors in: method and address, which
// the caller knows.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// closeIdle gives up all clients' idle connections.
func (c *Cluster) closeIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.networks {
		n.http.CloseIdleConnections()
	}
}
