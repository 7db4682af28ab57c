package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/harness/rng"
)

// Run runs the program until ctx is cancelled, and then returns nil. What the
// program has not synced is lost, as in a crash: there is no orderly way to
// stop a node. Other errors say why it could not start.
//
// A panic of the program is not recovered: it ends the process.
func Run(ctx context.Context, cfg Config, program node.Program) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	s := &server{
		cfg:      cfg,
		limits:   cfg.Limits.withDefaults(),
		program:  program,
		log:      cfg.logWriter(),
		start:    time.Now(),
		rand:     rng.Stream(cfg.Seed, "node/"+cfg.Name+"/"+cfg.Boot),
		events:   make(chan event, 256),
		requests: newRequests(),
		peers:    map[string]*peer{},
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.done = ctx.Done()

	counter, err := openCounter(cfg.UnsyncedFile)
	if err != nil {
		return err
	}
	if s.disk, err = openDisk(cfg.Dir, s.limits, counter); err != nil {
		return err
	}
	defer s.disk.close()
	s.disk.flusher.slowBy(cfg.SyncDelayFile)
	if s.recorder, err = openRecorder(cfg.RecordFile, s.limits.Record); err != nil {
		return err
	}
	defer s.recorder.close()
	stop, err := s.listen(ctx)
	if err != nil {
		return err
	}
	defer stop()

	if err := program.Start((*env)(s)); err != nil {
		return fmt.Errorf("node %s cannot start: %w", cfg.Name, err)
	}
	s.loop(ctx)
	return nil
}

// event is something that happened outside and that the loop tells the
// program.
type event func()

// server is one running node. All fields that change belong to the loop's
// goroutine, unless their types lock.
type server struct {
	cfg     Config
	limits  Limits
	program node.Program
	log     io.Writer
	start   time.Time
	rand    *rand.Rand

	events   chan event
	done     <-chan struct{}
	timers   timers
	disk     *disk
	recorder *recorder
	points   points
	requests *requests
	peers    map[string]*peer
}

// loop handles one event after the other until ctx is cancelled.
func (s *server) loop(ctx context.Context) {
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for ctx.Err() == nil {
		// Timers that are due go first: a flood of messages must not starve
		// elections.
		for {
			name, ok := s.timers.pop(s.now())
			if !ok {
				break
			}
			s.program.Timer(name)
		}
		if due, ok := s.timers.next(); ok {
			alarm.Reset(due - s.now())
		} else {
			alarm.Reset(time.Hour)
		}
		select {
		case <-ctx.Done():
		case <-alarm.C:
		case f := <-s.events:
			f()
		case <-s.disk.completions.ready:
			for _, c := range s.disk.completions.take() {
				s.program.Synced(c.token, c.err)
			}
		}
	}
}

// post hands an event to the loop. It blocks while the loop is behind and
// tells whether the loop still runs.
func (s *server) post(ctx context.Context, f event) bool {
	select {
	case s.events <- f:
		return true
	case <-ctx.Done():
		return false
	case <-s.done:
		return false
	}
}

func (s *server) now() time.Duration { return time.Since(s.start) }

// listen opens both ports and starts what serves them. The returned function
// closes everything.
func (s *server) listen(ctx context.Context) (stop func(), err error) {
	clients, err := net.Listen("tcp", s.address(s.cfg.ClientPort))
	if err != nil {
		return nil, fmt.Errorf("client port: %w", err)
	}
	peers, err := net.Listen("tcp", s.address(s.cfg.PeerPort))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("peer port: %w", err), clients.Close())
	}
	stopPoints, err := s.listenPoints(ctx)
	if err != nil {
		return nil, errors.Join(err, clients.Close(), peers.Close())
	}
	for _, name := range s.cfg.Names {
		if name == s.cfg.Name {
			continue
		}
		port := s.cfg.PeerPort
		if p, ok := s.cfg.PeerPorts[name]; ok {
			port = p
		}
		p := newPeer(s.cfg.Name, net.JoinHostPort(s.cfg.Peers[name], strconv.Itoa(port)), s.limits)
		s.peers[name] = p
		go p.run(ctx)
	}
	go s.acceptPeers(ctx, peers)
	web := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	go func() { _ = web.Serve(clients) }() // ends when it is closed
	return func() {
		_ = web.Close()
		_ = peers.Close()
		stopPoints()
	}, nil
}

// listenPoints opens the port on which the program can be stopped.
func (s *server) listenPoints(ctx context.Context) (stop func(), err error) {
	if s.cfg.PointsPort <= 0 {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.cfg.PointsPort)))
	if err != nil {
		return nil, fmt.Errorf("points port: %w", err)
	}
	go s.points.accept(ctx, l)
	return func() { _ = l.Close() }, nil
}

func (s *server) address(port int) string {
	return net.JoinHostPort(s.cfg.Listen, strconv.Itoa(port))
}

// env is the server as its program sees it.
type env server

var _ node.Env = (*env)(nil)

func (e *env) Self() string       { return e.cfg.Name }
func (e *env) Peers() []string    { return slices.Clone(e.cfg.Names) }
func (e *env) Now() time.Duration { return time.Since(e.start) }
func (e *env) Wall() time.Time    { return time.Now() }
func (e *env) Rand() *rand.Rand   { return e.rand }
func (e *env) Disk() node.Disk    { return e.disk }
func (e *env) StopTimer(n string) { e.timers.stop(n) }
func (e *env) Point(name string)  { e.points.reach(name) }
func (e *env) Observe(node.Fact)  {}

// Record writes an event down at once. A record that cannot be written would
// be evidence with a hole: the process does not go on with one.
func (e *env) Record(event record.Event) {
	if err := e.recorder.write(event); err != nil {
		panic(fmt.Sprintf("node %s cannot record: %v", e.cfg.Name, err))
	}
}

func (e *env) SetTimer(name string, d time.Duration) {
	e.timers.set(name, e.Now()+max(d, 0))
}

func (e *env) Reply(id node.RequestID, r node.Response) {
	if r.Status < 200 || r.Status > 599 {
		panic(fmt.Sprintf("node %s answers request %d with status %d, which is not in 200…599", e.cfg.Name, id, r.Status))
	}
	e.requests.reply(id, r)
}

// Send encodes m at once, since the program may not change it but may let go
// of what it refers to.
func (e *env) Send(to string, m node.Message) {
	p, ok := e.peers[to]
	if !ok {
		panic(fmt.Sprintf("node %s sends to %q, which is not another node of %v", e.cfg.Name, to, e.cfg.Names))
	}
	frame, err := m.AppendBinary(make([]byte, 4, 256))
	if err != nil {
		panic(fmt.Sprintf("node %s cannot encode a %T: %v", e.cfg.Name, m, err))
	}
	if len(frame)-4 > e.limits.Frame {
		e.Logf("a %T of %d bytes to %s exceeds the limit of %d bytes and was dropped", m, len(frame)-4, to, e.limits.Frame)
		return
	}
	p.send(frame)
}

// logTime is the time in front of each line of the log: date and time of day,
// so that lines of several processes and boots can be put in order.
const logTime = "2006-01-02T15:04:05.000000Z"

// Logf prints a line with the wall clock, in UTC, before it.
func (e *env) Logf(format string, args ...any) {
	fmt.Fprintf(e.log, "%s %s %s\n", time.Now().UTC().Format(logTime), e.cfg.Name, fmt.Sprintf(format, args...))
}
