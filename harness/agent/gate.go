package agent

import (
	"context"
	"net"
	"sync"
)

// gate bounds the connections of a listener. Strangers, who have not shown the
// token yet, have a few places of their own. When they are taken, a new
// connection gets the place of the oldest stranger from the address that holds
// the most: whoever opens many connections and says nothing closes his own, and
// the harness, which shows its token at once, gets through. Those who have shown
// it have other places, which strangers cannot take.
type gate struct {
	net.Listener
	trustedMax, strangersMax int

	mu        sync.Mutex
	trusted   int
	strangers []*guest // oldest first
}

func newGate(l net.Listener, trusted, strangers int) *gate {
	return &gate{Listener: l, trustedMax: trusted, strangersMax: strangers}
}

// guest is a connection that came through the gate.
type guest struct {
	net.Conn
	gate    *gate
	from    string // address without port
	trusted bool   // guarded by the gate's lock, as is closed
	closed  bool
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &guest{Conn: conn, gate: g, from: hostOf(conn.RemoteAddr())}
	g.mu.Lock()
	g.strangers = append(g.strangers, c)
	var out *guest
	if len(g.strangers) > g.strangersMax {
		out = g.mostCrowded()
	}
	g.mu.Unlock()
	if out != nil {
		_ = out.Close() // it has no claim to a better end
	}
	return c, nil
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

// mostCrowded returns the oldest stranger from the address that most come from.
// It needs the lock.
func (g *gate) mostCrowded() *guest {
	counts := map[string]int{}
	most := 0
	for _, c := range g.strangers {
		counts[c.from]++
		most = max(most, counts[c.from])
	}
	for _, c := range g.strangers {
		if counts[c.from] == most {
			return c
		}
	}
	return nil
}

// leave gives a stranger's place back. It needs the lock.
func (g *gate) leave(c *guest) {
	for i, s := range g.strangers {
		if s == c {
			g.strangers = append(g.strangers[:i], g.strangers[i+1:]...)
			return
		}
	}
}

// trust gives the connection a place among those that have shown the token. It
// reports whether there is one.
func (c *guest) trust() bool {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	switch {
	case c.trusted:
		return true
	case c.closed || c.gate.trusted >= c.gate.trustedMax:
		return false
	}
	c.gate.leave(c)
	c.trusted = true
	c.gate.trusted++
	return true
}

// Close implements net.Conn and gives the place back.
func (c *guest) Close() error {
	c.gate.mu.Lock()
	if !c.closed {
		c.closed = true
		if c.trusted {
			c.gate.trusted--
		} else {
			c.gate.leave(c)
		}
	}
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

type guestKey struct{}

// withConn lets a request know its connection.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, guestKey{}, c)
}

// connOf returns the connection of a request that came through a gate.
func connOf(ctx context.Context) *guest {
	return ctx.Value(guestKey{}).(*guest)
}
