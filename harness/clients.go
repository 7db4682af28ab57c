package harness

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/rng"
	"github.com/cleancut/cleancut/workloads"
)

// load is the clients of a run. Each issues one operation after the other and
// records what it saw.
type load struct {
	scenario Scenario
	cluster  cluster.Cluster
	recorder *history.Recorder
	seed     uint64
	progress *Progress

	stopping atomic.Bool
	tasks    []cluster.Task

	// mu guards what follows. It is never held across a blocking call: in
	// the simulator all clients share one thread.
	mu     sync.Mutex
	lastOK []time.Duration // by client: when its last ok operation was invoked
	keys   []string        // in order of first use
	known  map[string]bool
	err    error // why recording failed
}

func newLoad(s Scenario, c cluster.Cluster, r *history.Recorder, seed uint64, p *Progress) *load {
	if w, ok := s.Workload.(workloads.Placed); ok {
		s.Workload = w.On(c.Nodes())
	}
	l := &load{scenario: s, cluster: c, recorder: r, seed: seed, progress: p, known: map[string]bool{}}
	for range s.Clients {
		l.lastOK = append(l.lastOK, -1)
	}
	return l
}

// start sets all clients to work.
func (l *load) start() {
	for i := range l.scenario.Clients {
		l.tasks = append(l.tasks, l.cluster.Go(fmt.Sprintf("client %d", i), func(ctx context.Context) {
			if err := l.client(ctx, i); err != nil && ctx.Err() == nil {
				l.fail(fmt.Errorf("client %d: %w", i, err))
			}
		}))
	}
}

// stop lets all clients finish the operation that they are at and waits for
// them.
func (l *load) stop(ctx context.Context) error {
	l.stopping.Store(true)
	for _, t := range l.tasks {
		if err := t.Wait(ctx); err != nil {
			return err
		}
	}
	return l.failure()
}

// client issues operations until it is told to stop. After an indeterminate
// one it goes on as a new process with a new connection: the old one may
// still take effect.
func (l *load) client(ctx context.Context, i int) error {
	s := l.scenario
	gen := s.Workload.Client(l.seed, i, s.Clients)
	pace := rng.Stream(l.seed, fmt.Sprintf("pace/client/%d", i))
	mean := float64(s.Clients) / s.Rate * float64(time.Second)
	next := l.cluster.Now() + think(pace, mean)
	for process := i; ; process += s.Clients {
		client, err := s.Target.Connect(l.cluster.Network(fmt.Sprintf("client/%d", process)), s.Bug)
		if err != nil {
			return err
		}
		for retired := false; !retired; {
			if wait := next - l.cluster.Now(); wait > 0 {
				err = l.cluster.Sleep(ctx, wait)
			}
			if err != nil || l.stopping.Load() {
				_ = client.Close() // the run goes on without it
				return err
			}
			next = max(next, l.cluster.Now()-time.Second) + think(pace, mean)
			if retired, err = l.operate(ctx, client, gen, i, process); err != nil {
				_ = client.Close()
				return err
			}
		}
		_ = client.Close()
	}
}

// think draws the time between two operations of a client: exponential, as
// of many independent users, and at most ten means.
func think(r *rand.Rand, mean float64) time.Duration {
	return time.Duration(math.Min(r.ExpFloat64(), 10) * mean)
}

// operate executes and records one operation.
func (l *load) operate(ctx context.Context, client cluster.Client, gen workloads.Generator, i, process int) (retired bool, err error) {
	op := gen.Next()
	l.touch(op.Key)
	invoked := l.cluster.Now()
	if _, err := l.recorder.Invoke(process, op.F, op.Key, op.Value, ""); err != nil {
		return false, err
	}
	l.progress.open.Add(1)
	done := client.Invoke(ctx, op, l.scenario.OpTimeout)
	l.progress.count(done.Outcome, l.cluster.Now())
	if _, err := l.recorder.Complete(process, done.Outcome, done.Value, done.Node, done.Error); err != nil {
		return false, err
	}
	gen.Observe(op, done)
	if done.Outcome == history.OK {
		l.mu.Lock()
		l.lastOK[i] = invoked
		l.mu.Unlock()
	}
	return done.Outcome == history.Info, nil
}

func (l *load) touch(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.known[key] {
		l.known[key] = true
		l.keys = append(l.keys, key)
	}
}

// behind returns the clients that had no ok operation invoked since t.
func (l *load) behind(t time.Duration) (clients []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, ok := range l.lastOK {
		if ok < t {
			clients = append(clients, i)
		}
	}
	return clients
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

func (l *load) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// finalReads reads what the workload wants to see at the end, with one client
// per node of the cluster in turn, under fresh process numbers. A read that
// fails is tried again until the deadline.
func (l *load) finalReads(ctx context.Context, deadline time.Duration) error {
	l.mu.Lock()
	keys := slices.Clone(l.keys)
	l.mu.Unlock()
	s := l.scenario
	process := s.Clients * (1 << 20) // above all that clients used
	for i, op := range s.Workload.Final(keys) {
		for done := false; !done; process++ {
			if l.cluster.Now() > deadline {
				return fmt.Errorf("final read %d of %s: no answer until the deadline", i+1, op.Key)
			}
			client, err := s.Target.Connect(l.cluster.Network(fmt.Sprintf("client/final/%d", i)), s.Bug)
			if err != nil {
				return err
			}
			if _, err = l.recorder.Invoke(process, op.F, op.Key, op.Value, ""); err == nil {
				l.progress.open.Add(1)
				c := client.Invoke(ctx, op, s.OpTimeout)
				l.progress.count(c.Outcome, l.cluster.Now())
				done = c.Outcome == history.OK
				_, err = l.recorder.Complete(process, c.Outcome, c.Value, c.Node, c.Error)
			}
			_ = client.Close()
			if err != nil {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}
