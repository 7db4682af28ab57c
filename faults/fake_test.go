package faults

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/rng"
)

// fake is a cluster that remembers what was done to it, with every
// capability. Its clock stands still; activities run when they are waited for.
type fake struct {
	names   []string
	leader  string
	down    map[string]string // node → what took it down
	paused  map[string]bool
	rules   []*fakeRule
	log     []string
	failing string // the next call that starts with it fails
}

func newFake(n int) *fake {
	f := &fake{down: map[string]string{}, paused: map[string]bool{}}
	for i := range n {
		f.names = append(f.names, fmt.Sprintf("n%d", i+1))
	}
	return f
}

// site returns a site on the fake, with a stream of its own.
func (f *fake) site(seed uint64) *Site { return NewSite(f).For(rng.Stream(seed, "test"), "", nil) }

func (f *fake) did(format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	if f.failing != "" && what == f.failing {
		f.failing = ""
		return fmt.Errorf("%s failed", what)
	}
	f.log = append(f.log, what)
	return nil
}

func (f *fake) Runtime() string                                  { return "fake" }
func (f *fake) Nodes() []string                                  { return slices.Clone(f.names) }
func (f *fake) Now() time.Duration                               { return 0 }
func (f *fake) Sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }
func (f *fake) Network(string) cluster.Network                   { panic("no clients here") }
func (f *fake) Logs(context.Context, string, int) ([]byte, error) {
	return nil, nil
}

func (f *fake) Status(_ context.Context, n string) (node.Status, error) {
	if f.down[n] != "" {
		return node.Status{}, cluster.ErrDown
	}
	role := "follower"
	if n == f.leader {
		role = "leader"
	}
	return node.Status{Node: n, Role: role, Term: 1}, nil
}

func (f *fake) Go(_ string, body func(context.Context)) cluster.Task {
	ctx, stop := context.WithCancel(context.Background())
	return &fakeTask{run: func() { body(ctx) }, stop: stop}
}

type fakeTask struct {
	run, stop func()
	ran       bool
}

func (t *fakeTask) Wait(context.Context) error {
	if !t.ran {
		t.ran = true
		t.run()
	}
	return nil
}
func (t *fakeTask) Stop() { t.stop() }

func (f *fake) take(n, how string) (r cluster.Receipt, err error) {
	if err = f.did("%s %s", how, n); err == nil && f.down[n] == "" {
		f.down[n] = how
		r.Count("processes_killed", 1)
	}
	return r, err
}

func (f *fake) bring(n, how string) (r cluster.Receipt, err error) {
	if err = f.did("%s %s", how, n); err == nil && f.down[n] != "" {
		delete(f.down, n)
		f.paused[n] = false
		r.Count("boots", 1)
	}
	return r, err
}

func (f *fake) Kill(_ context.Context, n string) (cluster.Receipt, error) { return f.take(n, "kill") }
func (f *fake) Start(_ context.Context, n string) (cluster.Receipt, error) {
	return f.bring(n, "start")
}
func (f *fake) KillMachine(_ context.Context, n string) (cluster.Receipt, error) {
	return f.take(n, "kill machine")
}
func (f *fake) StartMachine(_ context.Context, n string) (cluster.Receipt, error) {
	return f.bring(n, "start machine")
}

func (f *fake) CutPower(_ context.Context, nodes []string) (sum cluster.Receipt, err error) {
	for _, n := range nodes {
		r, err := f.take(n, "cut power")
		if sum.Add(r); err != nil {
			return sum, err
		}
	}
	return sum, nil
}

func (f *fake) Pause(_ context.Context, n string) error {
	f.paused[n] = true
	return f.did("pause %s", n)
}

func (f *fake) Resume(_ context.Context, n string) (r cluster.Receipt, err error) {
	f.paused[n] = false
	r.Count("pauses", 1)
	return r, f.did("resume %s", n)
}

func (f *fake) CanImpair(cluster.Impairment) error { return nil }

func (f *fake) Impair(_ context.Context, links []cluster.Link, i cluster.Impairment) (cluster.Rule, error) {
	r := &fakeRule{links: links, impairment: i, inForce: true}
	f.rules = append(f.rules, r)
	return r, f.did("impair %s", linkSpec(links))
}

type fakeRule struct {
	links      []cluster.Link
	impairment cluster.Impairment
	inForce    bool
}

func (r *fakeRule) Receipt(context.Context) (s cluster.Receipt, err error) {
	s.Count("packets_dropped", 3)
	return s, nil
}

func (r *fakeRule) Remove(ctx context.Context) (cluster.Receipt, error) {
	r.inForce = false
	return r.Receipt(ctx)
}

// bare is a cluster without any capability.
type bare struct{ cluster.Cluster }

// inject injects a fault and ends the test if that fails.
func inject(t *testing.T, f Fault, s *Site) *Injection {
	t.Helper()
	inj, err := f.Inject(context.Background(), s)
	if err != nil {
		t.Fatalf("%s: %v", f, err)
	}
	return inj
}

// heal heals an injection and ends the test if that fails.
func heal(t *testing.T, i *Injection) cluster.Receipt {
	t.Helper()
	r, err := i.Heal(context.Background())
	if err != nil {
		t.Fatalf("healing %s: %v", i.Frozen, err)
	}
	return r
}

func (f *fake) CanDamage() error   { return nil }
func (f *fake) CanSlowSync() error { return nil }

func (f *fake) Rot(_ context.Context, n, pattern string, count int, seed uint64) (r cluster.Receipt, err error) {
	if err = f.did("rot %s %s %d", n, pattern, count); err == nil {
		r.Count("bytes_flipped", int64(count))
	}
	return r, err
}

func (f *fake) Truncate(_ context.Context, n, pattern string, seed uint64) (r cluster.Receipt, err error) {
	if err = f.did("truncate %s %s", n, pattern); err == nil {
		r.Count("bytes_cut", 5)
	}
	return r, err
}

func (f *fake) Wipe(_ context.Context, n string) (r cluster.Receipt, err error) {
	if f.down[n] == "" {
		return r, fmt.Errorf("%s runs", n)
	}
	if err = f.did("wipe %s", n); err == nil {
		r.Count("files_wiped", 2)
	}
	return r, err
}

func (f *fake) SlowSync(_ context.Context, n string, d time.Duration) (cluster.Rule, error) {
	return &fakeSlowness{f, n}, f.did("slow %s %v", n, d)
}

type fakeSlowness struct {
	f *fake
	n string
}

func (s *fakeSlowness) Receipt(context.Context) (r cluster.Receipt, err error) {
	r.Count("syncs_delayed", 1)
	return r, nil
}

func (s *fakeSlowness) Remove(ctx context.Context) (cluster.Receipt, error) {
	if err := s.f.did("hurry %s", s.n); err != nil {
		return cluster.Receipt{}, err
	}
	return s.Receipt(ctx)
}
