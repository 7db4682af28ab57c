package server

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// points lets others stop the program at its named points. Whoever connects to
// the port arms a point with the line "arm NAME", which is answered by "armed
// NAME"; when the program reaches it, it stands still, inside of its call, and
// the line "at NAME" goes out. It goes on at the line "go", when the
// connection ends, or after holdMax: nothing that dies leaves it standing.
//
// Only the program stands still. What it has handed over before, a sync or a
// message, goes on, as it does when a process is killed a moment later.
type points struct {
	armed atomic.Int64 // points of all connections together
	mu    sync.Mutex
	conns []*pointConn
}

// Bounds of the port.
const (
	holdMax        = 10 * time.Second
	pointConnsMax  = 256
	pointNameMax   = 200
	pointsArmedMax = 64 // by one connection
)

// pointConn is one connection to the port.
type pointConn struct {
	net.Conn
	mu    sync.Mutex
	armed map[string]bool
	goOn  chan struct{} // holds one "go"
	ended chan struct{}
}

// accept serves the port until it is closed.
func (p *points) accept(ctx context.Context, l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed: the node is coming down
		}
		c := &pointConn{Conn: conn, armed: map[string]bool{}, goOn: make(chan struct{}, 1), ended: make(chan struct{})}
		p.mu.Lock()
		full := len(p.conns) >= pointConnsMax
		if !full {
			p.conns = append(p.conns, c)
		}
		p.mu.Unlock()
		if full {
			_ = conn.Close()
			continue
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		go func() {
			defer stop()
			defer p.drop(c)
			p.serve(c)
		}()
	}
}

// serve reads what the other end says until it says something wrong, or ends.
func (p *points) serve(c *pointConn) {
	lines := bufio.NewScanner(c)
	lines.Buffer(make([]byte, 0, pointNameMax), pointNameMax)
	for lines.Scan() {
		verb, name, _ := strings.Cut(lines.Text(), " ")
		switch {
		case verb == "go" && name == "":
			select {
			case c.goOn <- struct{}{}:
			default:
			}
		case verb == "arm" && name != "" && p.arm(c, name):
			if _, err := fmt.Fprintf(c, "armed %s\n", name); err != nil {
				return
			}
		default:
			return
		}
	}
}

func (p *points) arm(c *pointConn, name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.armed[name] {
		if len(c.armed) >= pointsArmedMax {
			return false
		}
		c.armed[name] = true
		p.armed.Add(1)
	}
	return true
}

func (p *points) drop(c *pointConn) {
	_ = c.Close()
	close(c.ended)
	c.mu.Lock()
	p.armed.Add(-int64(len(c.armed)))
	c.armed = map[string]bool{}
	c.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, o := range p.conns {
		if o == c {
			p.conns = append(p.conns[:i:i], p.conns[i+1:]...)
			return
		}
	}
}

// reach is called by the program at a point. It returns when all who armed the
// point let it go on.
func (p *points) reach(name string) {
	if p.armed.Load() == 0 {
		return
	}
	p.mu.Lock()
	conns := p.conns
	p.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		armed := c.armed[name]
		c.mu.Unlock()
		if armed {
			c.hold(name)
		}
	}
}

func (c *pointConn) hold(name string) {
	select {
	case <-c.goOn: // of a hold that had ended by itself
	default:
	}
	if _, err := fmt.Fprintf(c, "at %s\n", name); err != nil {
		return
	}
	limit := time.NewTimer(holdMax)
	defer limit.Stop()
	select {
	case <-c.goOn:
	case <-c.ended:
	case <-limit.C:
	}
}
