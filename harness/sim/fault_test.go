package sim

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
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

func TestACutStopsOneDirectionAndNotWhatIsInFlight(t *testing.T) {
	var got []int
	p := calm()
	p.Latency = Latency{Min: 50 * time.Millisecond}
	must(t, received(&got), Options{Profile: p}, func(ctx context.Context, w *world) {
		_ = w.Sleep(ctx, 2*time.Second-w.Now())
		before := len(got)
		rule, err := w.Impair(ctx, link1("n1", "n2"), cut)
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Sleep(ctx, time.Second)
		if late := len(got) - before; late < 45 || late > 55 {
			t.Errorf("%d messages arrived after the cut, want the 50 that were in flight", late)
		}
		last := got[len(got)-1]
		r, err := rule.Receipt(ctx)
		counts(t, r, err, map[string]int64{"packets_seen": 1000, "packets_dropped": 1000})
		r, err = rule.Remove(ctx)
		counts(t, r, err, map[string]int64{"packets_seen": 1000, "packets_dropped": 1000})
		_ = w.Sleep(ctx, time.Second)
		r, err = rule.Remove(ctx)
		counts(t, r, err, map[string]int64{"packets_seen": 1000, "packets_dropped": 1000})
		if i := slices.Index(got, last+1001); i < 0 || got[i-1] != last {
			t.Errorf("after the cut came %v, want %d", got[i-1:i+1], last+1001)
		}
	})
}

func TestACutOfTheOtherDirectionStopsNothing(t *testing.T) {
	var got []int
	must(t, received(&got), Options{}, func(ctx context.Context, w *world) {
		rule, err := w.Impair(ctx, append(link1("n2", "n1"), link1("n1", "n3")...), cut)
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Sleep(ctx, 2*time.Second)
		r, err := rule.Remove(ctx)
		counts(t, r, err, map[string]int64{"packets_seen": 0, "packets_dropped": 0})
		if len(got) < 900 {
			t.Errorf("%d messages arrived", len(got))
		}
	})
}

func TestRulesAddUpAndOneCanBeTakenAway(t *testing.T) {
	var got []int
	must(t, received(&got), Options{}, func(ctx context.Context, w *world) {
		impair := func(i cluster.Impairment) cluster.Rule {
			rule, err := w.Impair(ctx, append(link1("n1", "n2"), link1("n1", "n2")...), i)
			if err != nil {
				t.Fatal(err)
			}
			return rule
		}
		half := cluster.Impairment{Loss: cluster.Million / 2}
		a, b := impair(half), impair(half)
		twice := impair(cluster.Impairment{Duplicate: cluster.Million, Jitter: 20 * time.Millisecond})
		_ = w.Sleep(ctx, 5*time.Second)
		first := len(got)
		ra, _ := a.Receipt(ctx)
		rb, _ := b.Remove(ctx)
		rt, _ := twice.Remove(ctx)
		seen := ra.Counts["packets_seen"]
		for _, r := range []cluster.Receipt{ra, rb} {
			if n := r.Counts["packets_dropped"]; r.Counts["packets_seen"] != seen || n < seen*2/5 || n > seen*3/5 {
				t.Errorf("each rule decides on all %d packets and drops half of them: %v", seen, r)
			}
		}
		counts(t, rt, nil, map[string]int64{"packets_seen": seen, "packets_delayed": seen, "packets_duplicated": seen})
		through := seen / 4
		if int64(first) < 2*(through-seen/20) || int64(first) > 2*(through+seen/20) {
			t.Errorf("of %d packets that two rules halve and one doubles, %d arrived", seen, first)
		}
		if slices.IsSorted(got) {
			t.Error("jitter left all packets in order")
		}
	})
}

func TestOrderedLinksKeepTheOrder(t *testing.T) {
	var got []int
	p := DefaultProfile()
	p.Latency.Tail = 300_000
	for _, ordered := range []bool{true, false} {
		p.Ordered, got = ordered, nil
		must(t, received(&got), Options{Profile: &p}, func(ctx context.Context, w *world) { _ = w.Sleep(ctx, 5*time.Second) })
		if slices.IsSorted(got) != ordered {
			t.Errorf("ordered is %v, messages arrived in order: %v", ordered, !ordered)
		}
	}
}

func TestAClientBehindACutTimesOutAndCannotKnowWhetherItsRequestWasSent(t *testing.T) {
	for _, c := range []struct {
		link   []cluster.Link
		killed bool
		adds   string
	}{
		{link1(cluster.ClientEnd, "n1"), false, "0"}, // the request is lost
		{link1("n1", cluster.ClientEnd), false, "1"}, // the answer is lost
		{link1("n1", cluster.ClientEnd), true, "0"},  // the refusal is lost
	} {
		must(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) {
			rule, err := w.Impair(ctx, c.link, cut)
			if err != nil {
				t.Fatal(err)
			}
			if c.killed {
				if _, err := w.Kill(ctx, "n1"); err != nil {
					t.Fatal(err)
				}
			}
			before := w.Now()
			_, err = add(ctx, w.Network("c"), "n1")
			if e := callError(t, err); !e.Sent || !errors.Is(err, os.ErrDeadlineExceeded) || w.Now()-before != time.Second {
				t.Errorf("%v: %v after %v", c.link, err, w.Now()-before)
			}
			if _, err := rule.Remove(ctx); err != nil {
				t.Error(err)
			}
			if _, err := w.Start(ctx, "n1"); err != nil {
				t.Error(err)
			}
			if r, err := w.Network("c").Call(ctx, "n1", get, time.Second); err != nil || string(r.Body) != c.adds {
				t.Errorf("%v: %q adds, %v; want %s", c.link, r.Body, err, c.adds)
			}
		})
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

func TestWhatCannotBeDoneIsRefusedWithTheReason(t *testing.T) {
	must(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) {
		_, kill := w.Kill(ctx, "n9")
		_, start := w.Start(ctx, "n9")
		_, power := w.CutPower(ctx, []string{"n1", "n9"})
		_, nobody := w.CutPower(ctx, nil)
		_, resume := w.Resume(ctx, "n9")
		_, end := w.Impair(ctx, link1("n1", "n9"), cut)
		_, self := w.Impair(ctx, link1("n1", "n1"), cut)
		_, none := w.Impair(ctx, nil, cut)
		_, loss := w.Impair(ctx, link1("n1", "n2"), cluster.Impairment{Loss: cluster.Million + 1})
		_, nothing := w.Impair(ctx, link1("n1", "n2"), cluster.Impairment{})
		_, point := w.Trip(ctx, cluster.Tripwire{Point: "nowhere", Nth: 1})
		_, nth := w.Trip(ctx, cluster.Tripwire{Point: "added"})
		_, at := w.Trip(ctx, cluster.Tripwire{Point: "added", Nth: 1, Nodes: []string{"n9"}})
		_, anyone := w.Trip(ctx, cluster.Tripwire{Point: "added", Nth: 1, Nodes: []string{}})
		_, status := w.Status(ctx, "n9")
		_, logs := w.Logs(ctx, "n9", 10)
		_, call := w.Network("c").Call(ctx, "n9", get, time.Second)
		_, address := w.Network("c").Address("n1", "client")
		for _, c := range []struct {
			err  error
			is   error
			says string
		}{
			{kill, cluster.ErrNoNode, "n9"}, {start, cluster.ErrNoNode, "n1, n2, n3"}, {power, cluster.ErrNoNode, "n9"},
			{nobody, nil, "no node"}, {w.Pause(ctx, "n9"), cluster.ErrNoNode, "n9"}, {resume, cluster.ErrNoNode, "n9"},
			{end, cluster.ErrNoNode, "n1>n9"}, {self, cluster.ErrNoNode, "n1>n1"}, {none, nil, "no links"},
			{loss, nil, "1000001"}, {nothing, nil, "impairs nothing"}, {point, nil, "added, started, synced"},
			{nth, nil, "at least 1"}, {at, cluster.ErrNoNode, "n9"}, {anyone, nil, "empty list"},
			{status, cluster.ErrNoNode, "n9"}, {logs, cluster.ErrNoNode, "n9"}, {call, cluster.ErrNoNode, "not sent"},
			{address, cluster.ErrUnavailable, "client of n1"},
		} {
			contains(t, c.err, c.says)
			if c.is != nil && !errors.Is(c.err, c.is) {
				t.Errorf("%v is not %v", c.err, c.is)
			}
		}
		if r, err := w.Kill(ctx, "n1"); err != nil || r.Counts["processes_killed"] != 1 {
			t.Error("the refused power loss did harm:", r, err)
		}
	})
}

// contained is a target that cannot be simulated.
type contained struct{ cluster.Target }

func (contained) Name() string { return "contained" }

func TestRunsThatCannotBeAreRefused(t *testing.T) {
	good := cluster.Spec{Target: &counterTarget{}, Nodes: names(3)}
	bad := *calm()
	bad.Loss = -1
	for _, c := range []struct {
		change func(s *cluster.Spec, o *Options)
		says   string
	}{
		{func(s *cluster.Spec, _ *Options) { s.Target = contained{} }, `target "contained" cannot be simulated`},
		{func(s *cluster.Spec, _ *Options) { s.Target = nil }, "no target"},
		{func(s *cluster.Spec, _ *Options) { s.Nodes = nil }, "0 nodes, want 1 to 64"},
		{func(s *cluster.Spec, _ *Options) { s.Nodes = names(65) }, "65 nodes"},
		{func(s *cluster.Spec, _ *Options) { s.Nodes = []string{"a", "a"} }, `"a" is taken`},
		{func(s *cluster.Spec, _ *Options) { s.Nodes = []string{cluster.ClientEnd} }, `"client" is taken`},
		{func(s *cluster.Spec, _ *Options) { s.Nodes = []string{"../x"} }, "without slashes"},
		{func(s *cluster.Spec, _ *Options) { s.Bug = "no-program" }, "makes no program"},
		{func(_ *cluster.Spec, o *Options) { o.Profile = &bad }, "loss_ppm"},
		{func(_ *cluster.Spec, o *Options) { o.Time = -1 }, "Time"},
		{func(_ *cluster.Spec, o *Options) { o.LogBytes = 1 << 40 }, "LogBytes"},
		{func(_ *cluster.Spec, o *Options) { o.Findings = -1 }, "Findings"},
	} {
		spec, o := good, Options{}
		c.change(&spec, &o)
		err := New(o).Run(t.Context(), spec, func(context.Context, cluster.Cluster) error {
			t.Errorf("%s: the body ran", c.says)
			return nil
		})
		contains(t, err, "simulator: ", c.says)
		if unavailable := errors.Is(err, cluster.ErrUnavailable); unavailable != strings.Contains(c.says, "cannot be simulated") {
			t.Error(err)
		}
	}
}

func TestPanicsAndFailedStartsAreFindings(t *testing.T) {
	boots := 0
	target := &counterTarget{
		quiet: true,
		request: func(_ *counter, _ node.RequestID, r node.Request) bool {
			if r.Path == "/panic" {
				panic("the program gave up")
			}
			return false
		},
		start: func(p *counter) error {
			if boots++; boots == 4 {
				return errors.New("the log is damaged")
			}
			return nil
		},
	}
	must(t, target, Options{}, func(ctx context.Context, w *world) {
		_, err := w.Network("c").Call(ctx, "n2", node.Request{Path: "/panic"}, time.Second)
		if !errors.Is(err, errReset) {
			t.Error("the client of a node that panicked:", err)
		}
		r, err := w.Start(ctx, "n2")
		if !errors.Is(err, cluster.ErrDown) || r.Counts["boots"] != 1 {
			t.Error("a failed start:", r, err)
		}
		if r, err := w.Start(ctx, "n2"); err != nil || !strings.Contains(r.String(), "n2.3") {
			t.Error(r, err)
		}
		found := w.Findings()
		if len(found) != 2 || found[0].Invariant != "panic" || found[1].Invariant != "start" || found[0].Node != "n2" ||
			!strings.Contains(found[0].Text, "the program gave up") || !strings.Contains(found[0].Text, "fault_test.go:") ||
			!strings.Contains(found[1].Text, "the log is damaged") {
			t.Errorf("%+v", found)
		}
	})
}

func TestBreachesOfTheContractAreFindings(t *testing.T) {
	for path, breach := range map[string]func(p *counter, id node.RequestID){
		"a second time": func(p *counter, id node.RequestID) {
			p.env.Reply(id, node.Response{})
			p.env.Reply(id, node.Response{})
		},
		"was never made":     func(p *counter, id node.RequestID) { p.env.Reply(id+1, node.Response{}) },
		"is no other node":   func(p *counter, id node.RequestID) { p.env.Send("n1", number(1)) },
		"cannot be encoded":  func(p *counter, id node.RequestID) { p.env.Send("n2", unencodable{}) },
		"file already close": func(p *counter, id node.RequestID) { _ = p.log.Close(); p.log.Sync(9) },
	} {
		target := &counterTarget{quiet: true, request: func(p *counter, id node.RequestID, _ node.Request) bool {
			breach(p, id)
			return true
		}}
		must(t, target, Options{}, func(ctx context.Context, w *world) {
			_, _ = w.Network("c").Call(ctx, "n1", get, time.Second)
			if f := w.Findings(); len(f) != 1 || f[0].Invariant != "panic" || !strings.Contains(f[0].Text, path) {
				t.Errorf("%s: %v", path, f)
			}
		})
	}
}

type unencodable struct{}

func (unencodable) AppendBinary([]byte) ([]byte, error) { return nil, errors.New("no") }

// ceiling is an invariant: no fact above it.
type ceiling int

func (ceiling) Name() string { return "ceiling" }

func (c ceiling) Observe(_ time.Duration, _ string, f node.Fact) error {
	switch n := int(f.(number)); {
	case n > 1000:
		panic("a monitor's own bug")
	case n > int(c):
		return errors.New("above the ceiling")
	}
	return nil
}

func TestMonitorsSeeFactsAndTheirErrorsAreFindings(t *testing.T) {
	send := func(n int) *counterTarget {
		target := received(new([]int))
		target.receive = nil
		target.monitors = []node.Monitor{ceiling(n)}
		return target
	}
	must(t, send(500), Options{}, func(ctx context.Context, w *world) {
		_ = w.Sleep(ctx, 1400*time.Millisecond)
		if f := w.Findings(); len(f) > 0 {
			t.Error(f)
		}
	})
	must(t, send(300), Options{Findings: 7}, func(ctx context.Context, w *world) {
		_ = w.Sleep(ctx, 1400*time.Millisecond)
		f := w.Findings()
		if len(f) != 7 || f[0].Invariant != "ceiling" || f[0].Node != "n2" || f[0].At == 0 || f[0].Text != "above the ceiling" {
			t.Error(f)
		}
	})
	err := simulate(t, send(10_000), Options{}, func(ctx context.Context, w *world) error { return w.Sleep(ctx, 10*time.Second) })
	contains(t, err, "a monitor panicked", "a monitor's own bug")
}

func TestLogsAreKeptFromTheEndAndWrittenAsEvidence(t *testing.T) {
	dir := t.TempDir()
	target := &counterTarget{quiet: true, request: func(p *counter, id node.RequestID, _ node.Request) bool {
		p.env.Logf("line %d", id)
		p.env.Reply(id, node.Response{})
		return true
	}}
	spec := cluster.Spec{Target: target, Nodes: names(2), EvidenceDir: dir}
	err := New(Options{LogBytes: 2000}).Run(t.Context(), spec, func(ctx context.Context, c cluster.Cluster) error {
		w := c.(*world)
		for range 500 {
			if _, err := w.Network("c").Call(ctx, "n1", get, time.Second); err != nil {
				return err
			}
		}
		if _, err := w.Kill(ctx, "n1"); err != nil {
			return err
		}
		_, err := w.Start(ctx, "n1")
		if err != nil {
			return err
		}
		b, err := w.Logs(ctx, "n1", 300)
		if err != nil {
			return err
		}
		if len(b) > 300 || !bytes.Contains(b, []byte("line 500\n")) || !bytes.Contains(b, []byte("=== end of n1.1: killed\n")) ||
			!bytes.Contains(b, []byte("=== boot n1.2\n")) {
			t.Errorf("%s", b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "n1", cluster.LogFile))
	if err != nil || len(b) > 2000 || len(b) < 1900 || !bytes.HasSuffix(b, []byte("0 adds in the log\n")) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "n2", cluster.LogFile)); err != nil || !bytes.Contains(b, []byte("=== boot n2.1\n")) {
		t.Errorf("%s, %v", b, err)
	}
}
