package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Time limits of peer connections. They are short, so that a partition that
// heals is noticed soon: a connection on which nothing was acknowledged for
// sendTimeout is given up and dialled anew.
const (
	dialTimeout  = 500 * time.Millisecond
	sendTimeout  = 2 * time.Second
	redialMin    = 20 * time.Millisecond
	redialMax    = 200 * time.Millisecond
	helloTimeout = 2 * time.Second
)

// maxInbound bounds connections on the peer port that are open at once: each
// peer has one, and some may linger half-open after a partition.
const maxInbound = 256

// hello is the first frame on a connection, followed by the sender's name.
const hello = "cleancut peer 1 "

// peer is the way to another node: a queue and one connection that is
// dialled again and again. Messages are lost when the queue is full and when
// the connection breaks.
type peer struct {
	self, address string
	limits        Limits

	mu     sync.Mutex
	frames [][]byte
	bytes  int
	wake   chan struct{} // holds a token when frames is not empty
}

func newPeer(self, address string, limits Limits) *peer {
	return &peer{self: self, address: address, limits: limits, wake: make(chan struct{}, 1)}
}

// send queues a frame whose first four bytes are left for its length. It
// never blocks; if the queue is full the frame is dropped.
func (p *peer) send(frame []byte) {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	p.mu.Lock()
	full := len(p.frames) >= p.limits.Queue || p.bytes+len(frame) > p.limits.QueueBytes
	if !full {
		p.frames = append(p.frames, frame)
		p.bytes += len(frame)
	}
	p.mu.Unlock()
	if full {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// take empties the queue.
func (p *peer) take() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	frames := p.frames
	p.frames, p.bytes = nil, 0
	return frames
}

// run keeps a connection and sends what is queued until ctx is cancelled.
func (p *peer) run(ctx context.Context) {
	wait := redialMin
	for ctx.Err() == nil {
		dialled := time.Now()
		conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", p.address)
		if err == nil {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			_ = p.serve(ctx, conn) // whatever broke it: dial again
			stop()
			_ = conn.Close()
			if time.Since(dialled) > time.Second {
				wait = redialMin
			}
		} else {
			// What could not be sent now is lost: delivered after a partition
			// it would only be a flood of old news.
			p.take()
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, redialMax)
	}
}

// serve sends frames until the connection breaks. Nothing is ever read from
// it, but a read is what notices that the other end has gone.
func (p *peer) serve(ctx context.Context, conn net.Conn) error {
	if err := setUserTimeout(conn, sendTimeout); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = conn.Read(make([]byte, 1))
	}()
	defer conn.Close()
	greeting := append(make([]byte, 4), hello+p.self...)
	binary.BigEndian.PutUint32(greeting, uint32(len(greeting)-4))
	buffers := net.Buffers{greeting}
	for {
		if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
			return err
		}
		if _, err := buffers.WriteTo(conn); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-gone:
			return io.EOF
		case <-p.wake:
			buffers = p.take()
		}
	}
}

// acceptPeers turns frames from other nodes into events until the listener is
// closed.
func (s *server) acceptPeers(ctx context.Context, l net.Listener) {
	var mu sync.Mutex
	current := map[string]net.Conn{}
	slots := make(chan struct{}, maxInbound)
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors: others will be given back
			select {
			case <-ctx.Done():
			case <-time.After(redialMin):
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = conn.Close()
			continue
		}
		go func() {
			defer func() { <-slots }()
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			r := bufio.NewReaderSize(conn, 64<<10)
			from, err := s.readHello(conn, r)
			if err != nil {
				return
			}
			// A peer that dials again has given up its old connection, which
			// may look open here for long.
			mu.Lock()
			if old := current[from]; old != nil {
				_ = old.Close()
			}
			current[from] = conn
			mu.Unlock()
			s.receive(ctx, from, r)
		}()
	}
}

// readHello reads who is at the other end of a new connection.
func (s *server) readHello(conn net.Conn, r io.Reader) (string, error) {
	if err := conn.SetReadDeadline(time.Now().Add(helloTimeout)); err != nil {
		return "", err
	}
	b, err := readFrame(r, 256)
	if err != nil {
		return "", err
	}
	if len(b) < len(hello) || string(b[:len(hello)]) != hello {
		return "", errors.New("not a peer")
	}
	from := string(b[len(hello):])
	if _, known := s.peers[from]; !known {
		return "", fmt.Errorf("unknown peer %q", from)
	}
	return from, conn.SetReadDeadline(time.Time{})
}

// receive posts each frame to the loop. While the loop is behind it does not
// read on, so that the sender's queue fills and drops.
func (s *server) receive(ctx context.Context, from string, r io.Reader) {
	for {
		b, err := readFrame(r, s.limits.Frame)
		if err != nil {
			return
		}
		ok := s.post(ctx, func() {
			m, err := s.program.Decode(b)
			if err != nil {
				(*env)(s).Logf("a message of %d bytes from %s cannot be read and was dropped: %v", len(b), from, err)
				return
			}
			s.program.Receive(from, m)
		})
		if !ok {
			return
		}
	}
}

func readFrame(r io.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if int64(n) > int64(limit) {
		return nil, fmt.Errorf("a frame of %d bytes exceeds the limit of %d", n, limit)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}
