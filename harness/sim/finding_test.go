package sim

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
)

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
		{func(s *cluster.Spec, _ *Options) { s.Nodes = nil }, "0 nodes, want 1 to 250"},
		{func(s *cluster.Spec, _ *Options) { s.Nodes = names(251) }, "251 nodes"},
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
			!strings.Contains(found[0].Text, "the program gave up") || !strings.Contains(found[0].Text, "finding_test.go:") ||
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
	loop := send(300)
	loop.request = func(*counter, node.RequestID, node.Request) bool { panic("the program gave up") }
	must(t, loop, Options{Findings: 1}, func(ctx context.Context, w *world) {
		_, _ = w.Network("c").Call(ctx, "n3", get, time.Second)
		_ = w.Sleep(ctx, 1400*time.Millisecond)
		if f := w.Findings(); len(f) != 2 || f[0].Invariant != "panic" || f[1].Invariant != "ceiling" {
			t.Errorf("the first of each kind is kept beyond the bound: %+v", f)
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
