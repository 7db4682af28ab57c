package docker

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/agent"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/docker/internal/testnode"
	"github.com/cleancut/cleancut/harness/node"
)

func (b bed) boot(name string) string {
	b.Helper()
	var boot string
	b.eventually(name+" says its boot id", func() bool {
		s, err := b.c.Status(b.ctx, name)
		boot = s.Boot
		return err == nil
	})
	return boot
}

func TestCrashesOfProcessesAndMachines(t *testing.T) {
	start(t, 2, func(b bed) {
		t.Run("a node that is killed and started has another boot id and the same address", func(t *testing.T) {
			killAndStart(bed{t, b.ctx, b.c, b.net})
		})
		t.Run("a machine that is killed and started keeps address, log and disk", func(t *testing.T) {
			reboot(bed{t, b.ctx, b.c, b.net})
		})
		t.Run("a paused node neither answers nor forgets", func(t *testing.T) {
			pause(bed{t, b.ctx, b.c, b.net})
		})
		t.Run("a power cut loses what was not synced and nothing else", func(t *testing.T) {
			cutPower(bed{t, b.ctx, b.c, b.net})
		})
		t.Run("unknown nodes are refused by every capability", func(t *testing.T) {
			unknownNodes(bed{t, b.ctx, b.c, b.net})
		})
		t.Run("a record survives kills, power cuts and the end of the machine", func(t *testing.T) {
			records(bed{t, b.ctx, b.c, b.net})
		})
		t.Run("disks rot, are cut, slow down and are wiped", func(t *testing.T) {
			damages(bed{t, b.ctx, b.c, b.net})
		})
		t.Run("a node can be stopped and killed at a point", func(t *testing.T) {
			trips(bed{t, b.ctx, b.c, b.net})
		})
		if f := b.c.Findings(); len(f) > 0 {
			t.Errorf("what the harness itself did was found: %v", f)
		}
		t.Run("a panic and an exit that nobody caused are found", func(t *testing.T) {
			findings(bed{t, b.ctx, b.c, b.net})
		})
	})
}

func killAndStart(b bed) {
	before := b.boot("n1")
	began := time.Now()
	b.wantCount(must[cluster.Receipt](b)(b.c.Kill(b.ctx, "n1")), "processes_killed", 1, 1)
	b.Logf("kill took %v", time.Since(began))
	if _, err := b.c.Status(b.ctx, "n1"); !errors.Is(err, cluster.ErrDown) {
		b.Errorf("the status of a killed node is %v, want ErrDown", err)
	}
	b.wantCount(must[cluster.Receipt](b)(b.c.Kill(b.ctx, "n1")), "processes_killed", 0, 0)
	if err := b.c.Pause(b.ctx, "n1"); !errors.Is(err, cluster.ErrDown) {
		b.Errorf("pausing a killed node says %v, want ErrDown", err)
	}
	var notSent *cluster.CallError
	if _, err := b.call("n1", "GET /file", "", time.Second); !errors.As(err, &notSent) || notSent.Sent {
		b.Errorf("a call to a killed node says %v, want that it was not sent", err)
	}
	r := must[cluster.Receipt](b)(b.c.Start(b.ctx, "n1"))
	b.wantCount(r, "boots", 1, 1)
	b.wantCount(must[cluster.Receipt](b)(b.c.Start(b.ctx, "n1")), "boots", 0, 0)
	after := b.boot("n1")
	if after == before || !strings.Contains(r.String(), before) || !strings.Contains(r.String(), after) {
		b.Errorf("boot ids: %q before, %q after, receipt %v", before, after, r)
	}
	b.connected("n2", "n1")
	log := string(must[[]byte](b)(b.c.Logs(b.ctx, "n1", 1<<20)))
	if strings.Count(log, "started with") != 2 || !strings.Contains(log, "("+before+") was ended by SIGKILL from the harness") {
		b.Errorf("the log does not show two boots and a kill:\n%s", log)
	}
	if short := must[[]byte](b)(b.c.Logs(b.ctx, "n1", 10)); string(short) != log[len(log)-10:] {
		b.Errorf("the last ten bytes of the log are %q", short)
	}
}

func reboot(b bed) {
	if _, err := b.call("n1", "PUT /file?sync=1", "kept", time.Second); err != nil {
		b.Fatal(err)
	}
	before := b.boot("n1")
	r := must[cluster.Receipt](b)(b.c.KillMachine(b.ctx, "n1"))
	b.wantCount(r, "machines_killed", 1, 1)
	b.wantCount(r, "processes_killed", 1, 1)
	if _, err := b.c.Status(b.ctx, "n1"); !errors.Is(err, cluster.ErrDown) {
		b.Errorf("the status of a node whose machine is off is %v, want ErrDown", err)
	}
	if _, err := b.c.Start(b.ctx, "n1"); !errors.Is(err, cluster.ErrDown) {
		b.Errorf("starting a node whose machine is off says %v, want ErrDown", err)
	}
	b.wantCount(must[cluster.Receipt](b)(b.c.Kill(b.ctx, "n1")), "processes_killed", 0, 0)
	// A rule that comes while the machine is off is in force when it is on.
	rule := b.impair(cut, link("n2>n1"))
	b.wantCount(must[cluster.Receipt](b)(b.c.KillMachine(b.ctx, "n1")), "machines_killed", 0, 0)
	b.wantCount(must[cluster.Receipt](b)(b.c.StartMachine(b.ctx, "n1")), "boots", 1, 1)
	if after := b.boot("n1"); after == before {
		b.Errorf("the boot id is still %q", after)
	}
	if got, err := b.call("n1", "GET /file", "", time.Second); err != nil || got != "kept" {
		b.Errorf("the file holds %q (%v)", got, err)
	}
	if _, err := b.ping("n2", "n1", 300*time.Millisecond); err == nil {
		b.Error("a ping passed a link that was cut while the machine was off")
	}
	b.remove(rule)
	b.connected("n2", "n1")
	if log := string(must[[]byte](b)(b.c.Logs(b.ctx, "n1", 1<<20))); strings.Count(log, "started with") != 3 {
		b.Errorf("the log does not show three boots:\n%s", log)
	}
}

func pause(b bed) {
	before := b.boot("n1")
	beats := must[node.Status](b)(b.c.Status(b.ctx, "n1")).Term
	if err := b.c.Pause(b.ctx, "n1"); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if _, err := b.c.Status(b.ctx, "n1"); err == nil || errors.Is(err, cluster.ErrDown) {
		b.Errorf("the status of a paused node is %v, want an error that is not ErrDown", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		b.Errorf("the status of a paused node took %v", took)
	}
	r := must[cluster.Receipt](b)(b.c.Resume(b.ctx, "n1"))
	b.wantCount(r, "pauses", 1, 1)
	b.wantCount(r, "milliseconds_paused", 900, 10_000)
	b.wantCount(must[cluster.Receipt](b)(b.c.Resume(b.ctx, "n1")), "pauses", 0, 0)
	if after := b.boot("n1"); after != before {
		b.Errorf("the boot id changed from %q to %q", before, after)
	}
	b.eventually("the node goes on", func() bool {
		s, err := b.c.Status(b.ctx, "n1")
		return err == nil && s.Term > beats
	})
	// A paused node that is killed has been paused until then.
	if err := b.c.Pause(b.ctx, "n1"); err != nil {
		b.Fatal(err)
	}
	b.wantCount(must[cluster.Receipt](b)(b.c.Kill(b.ctx, "n1")), "processes_killed", 1, 1)
	must[cluster.Receipt](b)(b.c.Start(b.ctx, "n1"))
	b.wantCount(must[cluster.Receipt](b)(b.c.Resume(b.ctx, "n1")), "pauses", 1, 1)
	b.boot("n1")
}

func cutPower(b bed) {
	size := map[string]int{}
	for _, n := range []string{"n1", "n2"} {
		if _, err := b.call(n, "PUT /file?sync=1", "synced", time.Second); err != nil {
			b.Fatal(err)
		}
		file, err := b.call(n, "GET /file", "", time.Second)
		if err != nil {
			b.Fatal(err)
		}
		size[n] = len(file)
		if _, err := b.call(n, "PUT /file", "not synced", time.Second); err != nil {
			b.Fatal(err)
		}
		if file, err := b.call(n, "GET /file", "", time.Second); err != nil || !strings.HasSuffix(file, "syncednot synced") {
			b.Fatalf("before the cut %s reads %q (%v)", n, file, err)
		}
	}
	if _, err := (powered{b.c}).CutPower(b.ctx, nil); err == nil {
		b.Error("a power cut of no nodes is no error")
	}
	r := must[cluster.Receipt](b)(powered{b.c}.CutPower(b.ctx, []string{"n2", "n1", "n2"}))
	b.wantCount(r, "processes_killed", 2, 2)
	b.wantCount(r, "bytes_discarded", 2*int64(len("not synced")), 2*int64(len("not synced")))
	for n, want := range size {
		must[cluster.Receipt](b)(b.c.Start(b.ctx, n))
		b.boot(n)
		if file, err := b.call(n, "GET /file", "", time.Second); err != nil || len(file) != want || !strings.HasSuffix(file, "synced") {
			b.Errorf("after the cut %s reads %q (%v), want the %d bytes that were synced", n, file, err, want)
		}
	}
	// Synced, nothing is lost.
	b.wantCount(must[cluster.Receipt](b)(powered{b.c}.CutPower(b.ctx, []string{"n1"})), "bytes_discarded", 0, 0)
	must[cluster.Receipt](b)(b.c.Start(b.ctx, "n1"))
	b.boot("n1")
}

func unknownNodes(b bed) {
	for what, f := range map[string]func() error{
		"status":  func() error { _, err := b.c.Status(b.ctx, "n9"); return err },
		"logs":    func() error { _, err := b.c.Logs(b.ctx, "n9", 1); return err },
		"kill":    func() error { _, err := b.c.Kill(b.ctx, "n9"); return err },
		"start":   func() error { _, err := b.c.Start(b.ctx, "n9"); return err },
		"machine": func() error { _, err := b.c.KillMachine(b.ctx, "n9"); return err },
		"boot":    func() error { _, err := b.c.StartMachine(b.ctx, "n9"); return err },
		"pause":   func() error { return b.c.Pause(b.ctx, "n9") },
		"resume":  func() error { _, err := b.c.Resume(b.ctx, "n9"); return err },
		"power":   func() error { _, err := (powered{b.c}).CutPower(b.ctx, []string{"n1", "n9"}); return err },
		"link":    func() error { _, err := b.c.Impair(b.ctx, []cluster.Link{link("n1>n9")}, cut); return err },
		"address": func() error { _, err := b.net.Address("n9", "client"); return err },
	} {
		if err := f(); !errors.Is(err, cluster.ErrNoNode) {
			b.Errorf("%s of n9 says %v, want ErrNoNode", what, err)
		}
	}
	if _, err := b.net.Address("n1", "telnet"); err == nil || !strings.Contains(err.Error(), "[client peer points]") {
		b.Errorf("the address of an unknown port says %v", err)
	}
	m := b.c.machines["n1"]
	thief := agent.NewClient(m.ip+":"+strconv.Itoa(agent.Port), "0123456789abcdef0123")
	if _, err := thief.Kill(b.ctx); !errors.Is(err, agent.ErrToken) {
		b.Errorf("a wrong token is answered with %v", err)
	}
	if _, err := thief.Dial(b.ctx, 7000); !errors.Is(err, agent.ErrToken) {
		b.Errorf("a tunnel with a wrong token is answered with %v", err)
	}
	if s, err := m.agent.State(b.ctx); err != nil || !s.Running {
		b.Errorf("after that the node is %+v (%v)", s, err)
	}
}

func findings(b bed) {
	if _, err := b.call("n1", "POST /panic", "", time.Second); err == nil {
		b.Fatal("the node did not panic")
	}
	if _, err := b.call("n2", "POST /exit?code=7", "", time.Second); err == nil {
		b.Fatal("the node did not exit")
	}
	var found []node.Finding
	b.eventually("both are found", func() bool { found = b.c.Findings(); return len(found) >= 2 })
	byNode := map[string]node.Finding{}
	for _, f := range found {
		byNode[f.Node] = f
	}
	if f := byNode["n1"]; f.Invariant != "panic" || !strings.Contains(f.Text, "this program was told to panic") || !strings.Contains(f.Text, "testnode.go") {
		b.Errorf("the panic was found as %+v", f)
	}
	if f := byNode["n2"]; f.Invariant != "exit" || !strings.Contains(f.Text, "exited with code 7") {
		b.Errorf("the exit was found as %+v", f)
	}
	if len(found) != 2 {
		b.Errorf("found %d times: %v", len(found), found)
	}
}

func TestANodeThatCannotStartIsFound(t *testing.T) {
	requireDocker(t)
	spec := specOf(t, 1)
	spec.Bug = testnode.Bug
	err := New(Options{}).Run(t.Context(), spec, func(ctx context.Context, c cluster.Cluster) error {
		b := bed{t, ctx, c.(powered).Cluster, c.Network("client-1")}
		b.eventually("the exit is found", func() bool { return len(b.c.Findings()) == 1 })
		if f := b.c.Findings()[0]; f.Invariant != "exit" || !strings.Contains(f.Text, "told not to start") {
			t.Errorf("found %+v", f)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
