package agent

import (
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/cleancut/cleancut/harness/rng"
)

// Numbers of nfnetlink_queue (linux/netfilter/nfnetlink_queue.h).
const (
	nfqSubsystem = 3 << 8
	nfqPacket    = nfqSubsystem
	nfqVerdict   = nfqSubsystem | 1
	nfqConfig    = nfqSubsystem | 2

	nfqaCfgCmd       = 1
	nfqaCfgParams    = 2
	nfqaCfgMaxLength = 3
	nfqaPacketHeader = 1
	nfqaVerdict      = 2
	nfqaMark         = 3
	nfqaPayload      = 10

	nfAccept = 1
	hookIn   = 0 // NF_INET_PRE_ROUTING
)

// queueLength bounds the packets that are held at once. The kernel drops what
// exceeds it, as a router does.
const queueLength = 1 << 16

// queue holds packets back in user space, each for the sum of what the rules
// that match it ask for.
type queue struct {
	conn *netlink.Conn
	raw  int // socket that sends duplicates, -1 if there is none

	mu      sync.Mutex
	rules   map[string]*queueRule
	held    packetHeap
	last    uint64
	release chan struct{} // holds a token when the head of held has changed
}

// queueRule is a rule with its random stream and counts.
type queueRule struct {
	Rule
	peer   netip.Addr
	rand   *rand.Rand
	counts Counts
}

// packet is held until due.
type packet struct {
	due    time.Time
	order  uint64
	id     uint32
	copies int
	data   []byte // only if it is to be copied
}

// openQueue binds the queue and starts its goroutines, which live as long as
// the agent.
func openQueue() (*queue, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	// A burst must not overflow the socket before it is read.
	_ = conn.SetReadBuffer(16 << 20)
	params := append(binary.BigEndian.AppendUint32(nil, 0xffff), 2) // copy whole packets
	for _, attrs := range [][]netlink.Attribute{
		{{Type: nfqaCfgCmd, Data: []byte{1, 0, 0, unix.AF_INET}}}, // bind
		{{Type: nfqaCfgParams, Data: params}, {Type: nfqaCfgMaxLength, Data: binary.BigEndian.AppendUint32(nil, queueLength)}},
	} {
		if _, err := conn.Execute(nfqMessage(nfqConfig, netlink.Request|netlink.Acknowledge, attrs)); err != nil {
			return nil, errors.Join(fmt.Errorf("the kernel lacks NFQUEUE, or the container CAP_NET_ADMIN: %w", err), conn.Close())
		}
	}
	q := &queue{conn: conn, rules: map[string]*queueRule{}, release: make(chan struct{}, 1)}
	if q.raw, err = rawSocket(); err != nil {
		q.raw = -1
	}
	go q.receive()
	go q.releaseAll()
	return q, nil
}

func nfqMessage(kind netlink.HeaderType, flags netlink.HeaderFlags, attrs []netlink.Attribute) netlink.Message {
	data, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		panic(err) // attributes of a few bytes always fit
	}
	header := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, 0}, queueNumber)
	return netlink.Message{Header: netlink.Header{Type: kind, Flags: flags}, Data: append(header, data...)}
}

// rawSocket opens a socket that sends whole IP packets, marked as the agent's.
func rawSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return -1, fmt.Errorf("raw socket (CAP_NET_RAW): %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, packetMark); err != nil {
		return -1, errors.Join(fmt.Errorf("raw socket: %w", err), unix.Close(fd))
	}
	return fd, nil
}

// tryRaw says whether duplicates can be sent.
func tryRaw() error {
	fd, err := rawSocket()
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func (q *queue) add(list []Rule) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range list {
		if r.queued() {
			q.rules[r.ID] = &queueRule{Rule: r, peer: netip.MustParseAddr(r.Peer), rand: rng.Stream(r.Seed, "rule/"+r.ID)}
		}
	}
}

func (q *queue) remove(list []Rule) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range list {
		delete(q.rules, r.ID)
	}
}

func (q *queue) counts(id string) Counts {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r := q.rules[id]; r != nil {
		return r.counts
	}
	return Counts{}
}

// receive takes packets from the kernel for ever.
func (q *queue) receive() {
	for {
		messages, err := q.conn.Receive()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // ENOBUFS: the kernel dropped packets; the rest comes
		}
		for _, m := range messages {
			if m.Header.Type == nfqPacket && len(m.Data) > 4 {
				q.hold(m.Data[4:])
			}
		}
	}
}

// hold decides when a packet may go on.
func (q *queue) hold(attributes []byte) {
	attrs, err := netlink.UnmarshalAttributes(attributes)
	if err != nil {
		return
	}
	var id uint32
	var in, haveID, doomed bool
	var payload []byte
	for _, a := range attrs {
		switch {
		case a.Type == nfqaPacketHeader && len(a.Data) >= 7:
			id, in, haveID = binary.BigEndian.Uint32(a.Data), a.Data[6] == hookIn, true
		case a.Type == nfqaMark && len(a.Data) >= 4:
			doomed = binary.BigEndian.Uint32(a.Data) == doomMark
		case a.Type == nfqaPayload:
			payload = a.Data
		}
	}
	if !haveID {
		return
	}
	p := packet{due: time.Now(), id: id}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(payload) >= 20 {
		q.impair(&p, in, payload)
	}
	if doomed { // it was to be counted; the kernel drops it once it goes on
		p.due, p.copies, p.data = time.Now(), 0, nil
	}
	q.last++
	p.order = q.last
	heap.Push(&q.held, p)
	if q.held[0].order == p.order {
		select {
		case q.release <- struct{}{}:
		default:
		}
	}
}

// impair adds up what the rules do to a packet.
func (q *queue) impair(p *packet, in bool, payload []byte) {
	direction, offset := Out, 16
	if in {
		direction, offset = In, 12
	}
	peer := netip.AddrFrom4([4]byte(payload[offset : offset+4]))
	for _, r := range q.rules {
		if r.Direction != direction || r.peer != peer {
			continue
		}
		if r.Delay > 0 || r.Jitter > 0 {
			r.counts.Delayed++
			p.due = p.due.Add(r.Delay)
			if r.Jitter > 0 {
				p.due = p.due.Add(time.Duration(r.rand.Int64N(int64(r.Jitter))))
			}
		}
		if r.Duplicate > 0 && q.raw >= 0 && r.rand.IntN(million) < r.Duplicate {
			r.counts.Duplicated++
			p.copies++
			p.data = payload
		}
	}
}

// releaseAll lets packets go when they are due, for ever.
func (q *queue) releaseAll() {
	alarm := time.NewTimer(time.Hour)
	for {
		q.mu.Lock()
		now := time.Now()
		var due []packet
		for len(q.held) > 0 && !q.held[0].due.After(now) {
			due = append(due, heap.Pop(&q.held).(packet))
		}
		wait := time.Hour
		if len(q.held) > 0 {
			wait = q.held[0].due.Sub(now)
		}
		q.mu.Unlock()
		for _, p := range due {
			q.accept(p)
		}
		if len(due) > 0 {
			continue // sending took time: look again
		}
		alarm.Reset(wait)
		select {
		case <-alarm.C:
		case <-q.release:
		}
	}
}

// accept lets a packet go on, and sends its copies after it.
func (q *queue) accept(p packet) {
	verdict := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, nfAccept), p.id)
	// A packet that the kernel does not know any more is no loss.
	_, _ = q.conn.Send(nfqMessage(nfqVerdict, netlink.Request, []netlink.Attribute{{Type: nfqaVerdict, Data: verdict}}))
	for range p.copies {
		to := &unix.SockaddrInet4{Addr: [4]byte(p.data[16:20])}
		_ = unix.Sendto(q.raw, p.data, 0, to)
	}
}

type packetHeap []packet

func (h packetHeap) Len() int { return len(h) }
func (h packetHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].order < h[j].order
}
func (h packetHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *packetHeap) Push(x any)   { *h = append(*h, x.(packet)) }
func (h *packetHeap) Pop() any {
	old := *h
	p := old[len(old)-1]
	*h = old[:len(old)-1]
	return p
}
