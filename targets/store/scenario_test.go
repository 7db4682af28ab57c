package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/targets/store"
)

// session is a client of a scenario that must succeed.
type session struct {
	t   testing.TB
	ctx context.Context
	c   cluster.Client
}

func connect(t testing.TB, ctx context.Context, c simulated, name string) session {
	t.Helper()
	client, err := store.New().Connect(c.Network(name), "")
	if err != nil {
		t.Fatal(err)
	}
	return session{t, ctx, client}
}

func (s session) write(key string, n int64) {
	s.t.Helper()
	if done := s.c.Invoke(s.ctx, cluster.Op{F: "write", Key: key, Value: history.Int(n)}, 20*time.Second); done.Outcome != history.OK {
		s.t.Fatalf("write %s %d: %+v", key, n, done)
	}
}

func (s session) read(key string, n int64) {
	s.t.Helper()
	done := s.c.Invoke(s.ctx, cluster.Op{F: "read", Key: key}, 20*time.Second)
	if v, _ := done.Value.AsInt(); done.Outcome != history.OK || v != n {
		s.t.Fatalf("read %s: %+v, want %d", key, done, n)
	}
}

// nothingFound fails the test if an invariant was violated.
func nothingFound(t testing.TB, c simulated) {
	t.Helper()
	for _, f := range c.Findings() {
		t.Errorf("%v %s: %s: %s", f.At, f.Node, f.Invariant, f.Text)
	}
}

func others(c simulated, name string) []string {
	var list []string
	for _, n := range c.Nodes() {
		if n != name {
			list = append(list, n)
		}
	}
	return list
}

// isolate cuts a node off from the other nodes.
func isolate(t testing.TB, ctx context.Context, c simulated, name string) cluster.Rule {
	t.Helper()
	var links []cluster.Link
	for _, o := range others(c, name) {
		links = append(links, cluster.Link{From: o, To: name}, cluster.Link{From: name, To: o})
	}
	rule, err := c.Impair(ctx, links, cluster.Impairment{Loss: cluster.Million})
	if err != nil {
		t.Fatal(err)
	}
	return rule
}

func TestANewLeaderTakesOverWhenTheOldOneIsKilled(t *testing.T) {
	world{nodes: 3, seed: 1, profile: calm()}.run(t, func(ctx context.Context, c simulated) {
		s := connect(t, ctx, c, "client/0")
		s.write("x", 1)
		old := leader(t, ctx, c)
		if _, err := c.Kill(ctx, old); err != nil {
			t.Fatal(err)
		}
		began := c.Now()
		s.write("x", 2)
		if took := c.Now() - began; took > 5*time.Second {
			t.Errorf("the next write took %v", took)
		}
		if now := leader(t, ctx, c); now == old {
			t.Errorf("%s still leads", old)
		}
		nothingFound(t, c)
	})
}

func TestAPowerLossOfAllNodesLosesNothingThatWasAcknowledged(t *testing.T) {
	for bug, kept := range map[string]bool{"": true, "send-before-fsync": false} {
		lost := false
		for seed := uint64(0); seed < 10; seed++ {
			world{nodes: 3, seed: seed, profile: calm(), bug: bug}.run(t, func(ctx context.Context, c simulated) {
				s := connect(t, ctx, c, "client/0")
				for i := int64(1); i <= 30; i++ {
					s.write("x", i)
				}
				if _, err := c.CutPower(ctx, c.Nodes()); err != nil {
					t.Fatal(err)
				}
				for _, n := range c.Nodes() {
					if _, err := c.Start(ctx, n); err != nil {
						t.Fatal(err)
					}
				}
				done := s.c.Invoke(ctx, cluster.Op{F: "read", Key: "x"}, 20*time.Second)
				if n, _ := done.Value.AsInt(); done.Outcome != history.OK || n != 30 {
					lost = true
				}
				if kept {
					nothingFound(t, c)
				}
			})
		}
		if lost == kept {
			t.Errorf("bug %q: lost is %v", bug, lost)
		}
	}
}

func TestALaggingFollowerGetsASnapshotAndServesReads(t *testing.T) {
	for bug, clean := range map[string]bool{"": true, "snapshot-off-by-one": false} {
		world{nodes: 3, seed: 4, profile: calm(), bug: bug}.run(t, func(ctx context.Context, c simulated) {
			s := connect(t, ctx, c, "client/0")
			s.write("x", 1)
			lagging := others(c, leader(t, ctx, c))[0]
			rule := isolate(t, ctx, c, lagging)
			for i := int64(2); i <= 200; i++ {
				s.write(fmt.Sprintf("k%d", i%7), i)
			}
			if _, err := rule.Remove(ctx); err != nil {
				t.Fatal(err)
			}
			if why := settle(ctx, c); why != "" && clean {
				t.Fatal(why)
			}
			if n := c.Points()["snapshot.install"]; n == 0 {
				t.Error("no snapshot was installed")
			}
			if clean {
				s.read("k4", 200)
				nothingFound(t, c)
			} else if len(c.Findings()) == 0 {
				t.Error("a snapshot without its last entry is not noticed")
			}
		})
	}
}

func TestANodeThatIsRestartedAgainAndAgainRecoversFromItsDisk(t *testing.T) {
	world{nodes: 3, seed: 5, profile: calm()}.run(t, func(ctx context.Context, c simulated) {
		s := connect(t, ctx, c, "client/0")
		for i := int64(1); i <= 20; i++ {
			s.write("x", i)
			for _, n := range c.Nodes() {
				if i%2 == 0 {
					_, _ = c.Kill(ctx, n)
				} else {
					_, _ = c.CutPower(ctx, []string{n})
				}
				if _, err := c.Start(ctx, n); err != nil {
					t.Fatal(err)
				}
			}
			s.read("x", i)
		}
		nothingFound(t, c)
	})
}

// A leader that is cut off must neither serve reads nor acknowledge writes;
// each bug makes it do one of them.
func TestAnIsolatedLeaderServesNobody(t *testing.T) {
	for bug, f := range map[string]string{"": "", "stale-local-read": "read", "ack-on-append": "write"} {
		world{nodes: 5, seed: 6, profile: calm(), bug: bug}.run(t, func(ctx context.Context, c simulated) {
			s := connect(t, ctx, c, "client/0")
			s.write("x", 1)
			cut := leader(t, ctx, c)
			alone := &oneNode{c.Network("client/1"), cut}
			client, err := store.New().Connect(alone, "")
			if err != nil {
				t.Fatal(err)
			}
			if done := client.Invoke(ctx, cluster.Op{F: "write", Key: "y", Value: history.Int(1)}, time.Second); done.Outcome != history.OK {
				t.Fatalf("warm-up: %+v", done)
			}
			isolate(t, ctx, c, cut)
			for _, op := range []cluster.Op{{F: "read", Key: "x"}, {F: "write", Key: "x", Value: history.Int(9)}} {
				done := client.Invoke(ctx, op, 300*time.Millisecond)
				if (done.Outcome == history.OK) != (op.F == f) {
					t.Errorf("bug %q: %s: %+v", bug, op.F, done)
				}
			}
		})
	}
}

// oneNode is a network with a single node in it.
type oneNode struct {
	cluster.Network
	name string
}

func (n *oneNode) Nodes() []string { return []string{n.name} }

func TestAVoteIsRememberedThroughACrashUnlessTheBugForgetsIt(t *testing.T) {
	for bug, want := range map[string]bool{"": false, "vote-not-persisted": true} {
		found := false
		for seed := uint64(0); seed < 60 && !found; seed++ {
			found = voteTwice(t, seed, bug)
		}
		if found != want {
			t.Errorf("bug %q: election safety violated: %v", bug, found)
		}
	}
}

// voteTwice crashes voters just after they voted, with rivals about, and
// reports whether a term got two leaders.
func voteTwice(t *testing.T, seed uint64, bug string) (found bool) {
	world{nodes: 5, seed: seed, bug: bug}.run(t, func(ctx context.Context, c simulated) {
		var links []cluster.Link
		for _, a := range c.Nodes() {
			for _, b := range others(c, a) {
				links = append(links, cluster.Link{From: a, To: b})
			}
		}
		if _, err := c.Impair(ctx, links, cluster.Impairment{Jitter: 200 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		c.Go("voters", func(ctx context.Context) {
			for {
				wire, err := c.Trip(ctx, cluster.Tripwire{Point: "vote.granted", Nth: 1, Kill: true})
				if err != nil {
					return
				}
				name, err := wire.Await(ctx)
				if err != nil {
					return
				}
				_, _ = c.Start(ctx, name)
			}
		})
		for range 30 {
			for _, n := range c.Nodes() {
				if st, err := c.Status(ctx, n); err == nil && st.Role == "leader" {
					_, _ = c.Kill(ctx, n)
					_, _ = c.Start(ctx, n)
				}
			}
			_ = c.Sleep(ctx, time.Second)
		}
		for _, f := range c.Findings() {
			if f.Invariant == "election safety" {
				found = true
			} else if bug == "" {
				t.Errorf("%+v", f)
			}
		}
	})
	return found
}

func TestTheSameSeedGivesTheSameRun(t *testing.T) {
	for seed := range uint64(3) {
		first := world{nodes: 5, seed: seed}.soak(t, 20*time.Second, newLoad(), true)
		again := world{nodes: 5, seed: seed}.soak(t, 20*time.Second, newLoad(), true)
		if first.trace != again.trace || first.events != again.events {
			t.Errorf("seed %d: %s after %d events, then %s after %d", seed, first.trace, first.events, again.trace, again.events)
		}
	}
}

func TestChaosReachesEveryPoint(t *testing.T) {
	reached := map[string]int{}
	for seed := range uint64(6) {
		for name, n := range (world{nodes: 3, seed: seed}).soak(t, 30*time.Second, newLoad(), true).points {
			reached[name] += n
		}
	}
	for name, n := range reached {
		if n == 0 {
			t.Errorf("point %q was never reached", name)
		}
	}
	if len(reached) != len(store.New().Points()) {
		t.Errorf("%d points are reached, %d are listed: %v", len(reached), len(store.New().Points()), reached)
	}
}

// The bugs that clients see are found by the history alone.
func TestBugsAreSeenByClients(t *testing.T) {
	for _, bug := range []string{"stale-local-read", "readindex-no-wait", "ack-on-append", "retry-non-idempotent", "timeout-as-fail"} {
		found := uint64(0)
		for seed := uint64(1); seed <= 60 && found == 0; seed++ {
			if o := (world{nodes: 5, seed: seed, bug: bug}).soak(t, 30*time.Second, newLoad(), true); o.invalid {
				found = seed
			}
		}
		if found == 0 {
			t.Errorf("%s: not found", bug)
		}
	}
}
