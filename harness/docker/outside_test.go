package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/cleancut/cleancut/harness/agent"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/docker/internal/testnode"
)

// troubles collects what the runtime tells.
type troubles struct {
	mu   sync.Mutex
	list []cluster.Trouble
}

func (t *troubles) add(one cluster.Trouble) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, one)
}

// of joins what was told of a node.
func (t *troubles) of(name string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var texts []string
	for _, one := range t.list {
		if len(one.Nodes) == 1 && one.Nodes[0] == name && one.Step == cluster.TroubleOutside {
			texts = append(texts, one.Text)
		}
	}
	return strings.Join(texts, "; ")
}

func TestWhatOthersDoToContainersIsToldAndBlamesNoNode(t *testing.T) {
	requireDocker(t)
	var told troubles
	spec := specOf(t, 7)
	spec.OnTrouble = told.add
	err := New(Options{}).Run(t.Context(), spec, func(ctx context.Context, c cluster.Cluster) error {
		b := bed{t, ctx, c.(powered).Cluster, c.Network("client-1")}
		for _, n := range spec.Nodes {
			b.eventually("node "+n+" answers", func() bool { _, err := c.Status(ctx, n); return err == nil })
		}
		outsiders(b, &told)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// outsiders lets one thing happen to each node: n1 to n5 suffer from others,
// n6 from the harness, n7 from its own program.
func outsiders(b bed, told *troubles) {
	api := b.c.daemon.api
	id := func(name string) string { return b.c.machines[name].container.GetContainerID() }
	rules := b.impair(cluster.Impairment{Loss: cluster.Million}, cluster.Link{From: "n6", To: "n1"}, cluster.Link{From: "n6", To: "n2"})
	must[client.ContainerPauseResult](b)(api.ContainerPause(b.ctx, id("n1"), client.ContainerPauseOptions{}))
	must[client.ContainerRemoveResult](b)(api.ContainerRemove(b.ctx, id("n2"), client.ContainerRemoveOptions{Force: true}))
	must[client.ContainerKillResult](b)(api.ContainerKill(b.ctx, id("n3"), client.ContainerKillOptions{Signal: "SIGKILL"}))
	must[client.NetworkDisconnectResult](b)(api.NetworkDisconnect(b.ctx, b.c.lan.network.ID, client.NetworkDisconnectOptions{Container: id("n4"), Force: true}))
	if err := syscall.Kill(hostPID(b, "n5", "/bin/node"), syscall.SIGKILL); err != nil {
		b.Fatal(err)
	}
	must[cluster.Receipt](b)(b.c.KillMachine(b.ctx, "n6"))
	must[cluster.Receipt](b)(b.c.StartMachine(b.ctx, "n6"))
	if _, err := b.call("n7", "POST /panic", "", time.Second); err == nil {
		b.Fatal("the node did not panic")
	}
	for name, want := range map[string]string{
		"n1": "paused", "n2": "its container was removed", "n3": "ended with exit code 137",
		"n4": "taken off the run's network", "n5": "was ended by SIGKILL",
	} {
		b.eventually("what happened to "+name+" is told", func() bool { b.c.Findings(); return strings.Contains(told.of(name), want) })
	}
	for _, name := range []string{"n1", "n2", "n3", "n4"} {
		if _, err := b.c.Status(b.ctx, name); !errors.Is(err, cluster.ErrUnreachable) || errors.Is(err, cluster.ErrDown) {
			b.Errorf("the status of %s is %v", name, err)
		}
	}
	for _, name := range []string{"n5", "n7"} {
		if _, err := b.c.Status(b.ctx, name); !errors.Is(err, cluster.ErrDown) || errors.Is(err, cluster.ErrUnreachable) {
			b.Errorf("the status of %s is %v", name, err)
		}
	}
	// Healing ends, and says what it could not do.
	began := time.Now()
	if _, err := rules.Remove(b.ctx); !errors.Is(err, cluster.ErrUnreachable) {
		b.Errorf("rules on a frozen and on a removed container are removed: %v", err)
	}
	if took := time.Since(began); took > 25*time.Second {
		b.Errorf("that took %v", took)
	}
	must[client.ContainerUnpauseResult](b)(api.ContainerUnpause(b.ctx, id("n1"), client.ContainerUnpauseOptions{}))
	b.eventually("n1 answers again", func() bool { _, err := b.c.Status(b.ctx, "n1"); return err == nil })
	b.eventually("that it goes on is told", func() bool { return strings.Contains(told.of("n1"), "goes on") })
	for _, name := range []string{"n6", "n7"} {
		if text := told.of(name); text != "" {
			b.Errorf("nobody disturbed %s, and yet: %s", name, text)
		}
	}
	if f := b.c.Findings(); len(f) != 1 || f[0].Node != "n7" {
		b.Errorf("found is %+v, and only n7 died by itself", f)
	}
	if _, err := b.c.Record(b.ctx); err == nil {
		b.Error("the record of a removed container is not missed")
	}
}

// hostPID finds a process of a container on the host.
func hostPID(b bed, name, command string) int {
	b.Helper()
	top := must[client.ContainerTopResult](b)(b.c.daemon.api.ContainerTop(b.ctx, b.c.machines[name].container.GetContainerID(), client.ContainerTopOptions{}))
	for _, process := range top.Processes {
		if line := strings.Join(process, " "); strings.Contains(line, command) {
			pid, err := strconv.Atoi(process[1])
			if err != nil {
				b.Fatal(err)
			}
			return pid
		}
	}
	b.Fatalf("%s runs no %s: %v", name, command, top.Processes)
	return 0
}

func TestTokensAreOneForEachNodeAndCannotBeRead(t *testing.T) {
	start(t, 2, func(b bed) {
		one, other := b.c.machines["n1"], b.c.machines["n2"]
		if _, err := agent.NewClient(one.agent.Address(), other.token).State(b.ctx); !errors.Is(err, agent.ErrToken) {
			b.Errorf("the token of n2 opens n1: %v", err)
		}
		hidden(b, one)
		must[cluster.Receipt](b)(b.c.KillMachine(b.ctx, "n1"))
		must[cluster.Receipt](b)(b.c.StartMachine(b.ctx, "n1"))
		b.eventually("n1 answers", func() bool { _, err := b.c.Status(b.ctx, "n1"); return err == nil })
		hidden(b, one)
	})
}

// hidden looks for a token where the system under test, or docker inspect, could
// find it.
func hidden(b bed, m *machine) {
	b.Helper()
	id := m.container.GetContainerID()
	inspected := must[client.ContainerInspectResult](b)(b.c.daemon.api.ContainerInspect(b.ctx, id, client.ContainerInspectOptions{}))
	places := map[string]string{"docker inspect": fmt.Sprintf("%+v %+v", inspected.Container.Config, inspected.Container.HostConfig)}
	for _, command := range []string{"/bin/node", agent.BinaryPath} {
		for _, file := range []string{"environ", "cmdline"} {
			text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(hostPID(b, m.name, command)), file))
			if err != nil {
				b.Fatal(err)
			}
			places[command+" "+file] = string(text)
		}
	}
	for place, text := range places {
		if strings.Contains(text, m.token) {
			b.Errorf("the token lies in %s", place)
		}
	}
	_, err := b.c.daemon.api.CopyFromContainer(b.ctx, id, client.CopyFromContainerOptions{SourcePath: agent.TokenPath})
	if !errdefs.IsNotFound(err) {
		b.Errorf("the token's file is still there: %v", err)
	}
}

func TestFilesThatTheAgentDoesNotReachAreRefused(t *testing.T) {
	for _, file := range []string{"/etc/passwd", "/data", "/data/../etc/x", "data/x", "/data2/x"} {
		if err := agent.CheckFile(file); err == nil {
			t.Errorf("%q is not refused", file)
		}
	}
	command, err := testnode.Target{}.Command(cluster.NodeConfig{Name: "n1", Names: []string{"n1"}, Peers: map[string]string{"n1": "10.0.0.1"}, DataDir: dataDir})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"", command.UnsyncedFile, command.RecordFile, command.SyncDelayFile, "/data/x/../y"} {
		if err := agent.CheckFile(file); err != nil {
			t.Error(err)
		}
	}
}
