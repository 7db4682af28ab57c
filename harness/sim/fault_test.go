package sim

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
)

func link1(from, to string) []cluster.Link { return []cluster.Link{{From: from, To: to}} }

var cut = cluster.Impairment{Loss: cluster.Million}

// callError returns the CallError that err must be.
func callError(t testing.TB, err error) *cluster.CallError {
	t.Helper()
	var e *cluster.CallError
	if !errors.As(err, &e) {
		t.Fatalf("%v is no CallError", err)
	}
	return e
}

// counts fails unless a receipt counts exactly that.
func counts(t testing.TB, r cluster.Receipt, err error, want map[string]int64) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range want {
		if got, ok := r.Counts[name]; !ok || got != n {
			t.Errorf("%s is %d, want %d: %v", name, got, n, r)
		}
	}
	if len(r.Counts) != len(want) {
		t.Errorf("receipt counts %v, want %v", r.Counts, want)
	}
}

func TestAKilledNodeRefusesQuicklyAndStartsAgainWithItsPageCache(t *testing.T) {
	must(t, &counterTarget{quiet: true}, Options{}, func(ctx context.Context, w *world) {
		c := w.Network("client/0")
		for range 3 {
			if _, err := add(ctx, c, "n1"); err != nil {
				t.Fatal(err)
			}
		}
		r, err := w.Kill(ctx, "n1")
		counts(t, r, err, map[string]int64{"processes_killed": 1})
		r, err = w.Kill(ctx, "n1")
		counts(t, r, err, nil)
		before := w.Now()
		_, err = add(ctx, c, "n1")
		if e := callError(t, err); e.Sent || w.Now()-before > 10*time.Millisecond {
			t.Errorf("a call to a dead node: %v after %v", e, w.Now()-before)
		}
		if _, err := w.Status(ctx, "n1"); !errors.Is(err, cluster.ErrDown) {
			t.Error("status of a dead node:", err)
		}
		r, err = w.Start(ctx, "n1")
		counts(t, r, err, map[string]int64{"boots": 1})
		if !strings.Contains(r.String(), "n1.2 after n1.1") {
			t.Error(r)
		}
		r, err = w.Start(ctx, "n1")
		counts(t, r, err, nil)
		s, err := w.Status(ctx, "n1")
		if err != nil || s.Boot != "n1.2" || s.Node != "n1" || s.Applied != 3 {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

func TestAClientWhoseNodeDiesIsResetAndWhoseMachineDiesWaits(t *testing.T) {
	never := &counterTarget{quiet: true, request: func(*counter, node.RequestID, node.Request) bool { return true }}
	for _, c := range []struct {
		how   string
		kill  func(ctx context.Context, w *world) error
		reset bool
	}{
		{"process", func(ctx context.Context, w *world) error { _, err := w.Kill(ctx, "n1"); return err }, true},
		{"machine", func(ctx context.Context, w *world) error { _, err := w.KillMachine(ctx, "n1"); return err }, false},
	} {
		must(t, never, Options{}, func(ctx context.Context, w *world) {
			w.Go("killer", func(ctx context.Context) {
				_ = w.Sleep(ctx, 100*time.Millisecond)
				if err := c.kill(ctx, w); err != nil {
					t.Error(err)
				}
			})
			before := w.Now()
			_, err := add(ctx, w.Network("c"), "n1")
			e := callError(t, err)
			if quick := w.Now()-before < 200*time.Millisecond; !e.Sent || quick != c.reset {
				t.Errorf("%s killed: %v after %v", c.how, e, w.Now()-before)
			}
			if timeout := errors.Is(err, os.ErrDeadlineExceeded); timeout == c.reset {
				t.Errorf("%s killed: %v", c.how, err)
			}
		})
	}
}

func TestKillingANodeThatStartsKeepsItDown(t *testing.T) {
	must(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) {
		if _, err := w.Kill(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		var got error
		starter := w.Go("starter", func(ctx context.Context) { _, got = w.Start(ctx, "n1") })
		_ = w.Sleep(ctx, 0)
		r, err := w.Kill(ctx, "n1")
		counts(t, r, err, map[string]int64{"processes_killed": 1})
		if err := starter.Wait(ctx); err != nil || !errors.Is(got, cluster.ErrDown) {
			t.Error(err, got)
		}
		_ = w.Sleep(ctx, 10*time.Second)
		if _, err := w.Status(ctx, "n1"); !errors.Is(err, cluster.ErrDown) {
			t.Error("it came up all the same:", err)
		}
	})
}

func TestAPowerLossDiscardsWhatWasNotSynced(t *testing.T) {
	target := &counterTarget{quiet: true, request: func(p *counter, id node.RequestID, r node.Request) bool {
		if r.Path != "/dirty" {
			return false
		}
		_, _ = p.log.WriteAt(make([]byte, 800), p.size)
		return true
	}}
	p := calm()
	p.Disk.Survival = Survival{None: 1}
	must(t, target, Options{Profile: p}, func(ctx context.Context, w *world) {
		c := w.Network("c")
		for _, name := range []string{"n1", "n2"} {
			if _, err := add(ctx, c, name); err != nil {
				t.Fatal(err)
			}
			_, _ = c.Call(ctx, name, node.Request{Path: "/dirty"}, time.Millisecond)
		}
		if _, err := w.Kill(ctx, "n2"); err != nil { // its writes are in the page cache still
			t.Fatal(err)
		}
		r, err := w.CutPower(ctx, []string{"n2", "n1", "n2"})
		counts(t, r, err, map[string]int64{"processes_killed": 1, "bytes_discarded": 1600})
		for _, name := range []string{"n1", "n2"} {
			if _, err := w.Start(ctx, name); err != nil {
				t.Fatal(err)
			}
			if s, err := w.Status(ctx, name); err != nil || s.Applied != 1 {
				t.Errorf("%s: %+v, %v", name, s, err)
			}
		}
	})
}

// received lists what n2 got of n1, which sends the numbers from 1 on, one a
// millisecond.
func received(numbers *[]int) *counterTarget {
	next := 0
	return &counterTarget{
		quiet: true,
		start: func(p *counter) error {
			if p.env.Self() == "n1" {
				p.env.SetTimer("send", time.Second)
			}
			return nil
		},
		timer: func(p *counter, _ string) {
			next++
			p.env.Send("n2", number(next))
			p.env.SetTimer("send", time.Millisecond)
		},
		receive: func(_ *counter, _ string, m node.Message) { *numbers = append(*numbers, int(m.(number))) },
	}
}

func TestAPausedNodeHandlesWhatCameInWhenItIsResumed(t *testing.T) {
	must(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) {
		c := w.Network("c")
		if err := w.Pause(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		_, err := add(ctx, c, "n1")
		if e := callError(t, err); !e.Sent || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		before := w.Now()
		if _, err := w.Status(ctx, "n1"); err == nil || errors.Is(err, cluster.ErrDown) || w.Now()-before < time.Second {
			t.Errorf("status of a paused node: %v after %v", err, w.Now()-before)
		}
		var answers []uint64
		for range 2 {
			w.Go("waiting", func(ctx context.Context) {
				n, err := add(ctx, c, "n1")
				if err != nil {
					t.Error(err)
				}
				answers = append(answers, n)
			})
		}
		_ = w.Sleep(ctx, 500*time.Millisecond)
		r, err := w.Resume(ctx, "n1")
		paused := (w.Now() - before + time.Second).Milliseconds()
		counts(t, r, err, map[string]int64{"pauses": 1, "milliseconds_paused": paused})
		_ = w.Sleep(ctx, 100*time.Millisecond)
		slices.Sort(answers)
		if !slices.Equal(answers, []uint64{2, 3}) { // the first came in as well
			t.Errorf("answers %v, want 2 and 3", answers)
		}
		r, err = w.Resume(ctx, "n1")
		counts(t, r, err, nil)
	})
}

func TestPausesNestAndEndWithTheProcess(t *testing.T) {
	must(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) {
		answers := func() bool {
			_, err := w.Network("c").Call(ctx, "n1", get, 100*time.Millisecond)
			return err == nil
		}
		for range 2 {
			if err := w.Pause(ctx, "n1"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Resume(ctx, "n1"); err != nil || answers() {
			t.Error("one of two pauses was resumed, and the node answers:", err)
		}
		if _, err := w.Resume(ctx, "n1"); err != nil || !answers() {
			t.Error("both pauses were resumed, and the node does not answer:", err)
		}
		if err := w.Pause(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		_ = w.Sleep(ctx, 200*time.Millisecond)
		if _, err := w.Kill(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		if err := w.Pause(ctx, "n1"); !errors.Is(err, cluster.ErrDown) {
			t.Error("pausing a dead node:", err)
		}
		if _, err := w.Start(ctx, "n1"); err != nil || !answers() {
			t.Error("a new process does not answer:", err)
		}
		r, err := w.Resume(ctx, "n1")
		counts(t, r, err, map[string]int64{"pauses": 1, "milliseconds_paused": 200})
	})
}

func TestATripwireKillsExactlyAtThePoint(t *testing.T) {
	must(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) {
		c := w.Network("c")
		wire, err := w.Trip(ctx, cluster.Tripwire{Point: "added", Nth: 3, Nodes: []string{"n1"}, Kill: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := add(ctx, c, "n2"); err != nil { // does not count
			t.Fatal(err)
		}
		for range 2 {
			if _, err := add(ctx, c, "n1"); err != nil {
				t.Fatal(err)
			}
		}
		_, err = add(ctx, c, "n1")
		if e := callError(t, err); !e.Sent {
			t.Error(e)
		}
		if victim, err := wire.Await(ctx); err != nil || victim != "n1" {
			t.Error(victim, err)
		}
		if _, err := w.Status(ctx, "n1"); !errors.Is(err, cluster.ErrDown) {
			t.Error(err)
		}
		// What came before the point has happened: the third add is in the
		// log; nothing after it has: there was no sync.
		if p := w.nodes[0].disk.names["log"].pending(); len(p) != 1 {
			t.Errorf("%d unsynced writes, want 1", len(p))
		}
		if _, err := w.Start(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		if s, err := w.Status(ctx, "n1"); err != nil || s.Applied != 3 {
			t.Error(s, err)
		}
		if n := w.Points()["added"]; n != 4 {
			t.Errorf("the point was reached %d times, want 4", n)
		}
		if len(w.Findings()) > 0 {
			t.Error("an injected death is no finding:", w.Findings())
		}
	})
}

func TestATripwireWithoutKillOnlyTells(t *testing.T) {
	must(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) {
		wire, err := w.Trip(ctx, cluster.Tripwire{Point: "added", Nth: 1})
		if err != nil {
			t.Fatal(err)
		}
		gone, err := w.Trip(ctx, cluster.Tripwire{Point: "added", Nth: 1, Kill: true})
		if err != nil {
			t.Fatal(err)
		}
		gone.Disarm()
		gone.Disarm()
		if _, err := add(ctx, w.Network("c"), "n2"); err != nil {
			t.Fatal(err)
		}
		if victim, err := wire.Await(ctx); err != nil || victim != "n2" {
			t.Error(victim, err)
		}
	})
}

func TestADeadProgramThatRecoversCannotGoOn(t *testing.T) {
	target := &counterTarget{quiet: true, request: func(p *counter, id node.RequestID, _ node.Request) bool {
		defer func() {
			_ = recover()
			p.env.Reply(id, node.Response{Status: 200})
		}()
		p.env.Point("added")
		return true
	}}
	must(t, target, Options{}, func(ctx context.Context, w *world) {
		if _, err := w.Trip(ctx, cluster.Tripwire{Point: "added", Nth: 1, Kill: true}); err != nil {
			t.Fatal(err)
		}
		_, err := w.Network("c").Call(ctx, "n1", get, time.Second)
		if !errors.Is(err, errReset) || len(w.Findings()) > 0 {
			t.Error(err, w.Findings())
		}
	})
}
