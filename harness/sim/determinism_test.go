package sim

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	goruntime "runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
)

// eventful runs clients and all kinds of faults for a virtual second, and
// returns what the run was.
func eventful(t testing.TB, seed uint64, o Options) (hash string, events uint64, checkpoints []Checkpoint) {
	t.Helper()
	p := DrawProfile(seed)
	o.Profile = &p
	spec := cluster.Spec{Run: t.Name(), Target: &counterTarget{}, Nodes: names(3), Seed: seed}
	err := New(o).Run(t.Context(), spec, func(ctx context.Context, c cluster.Cluster) error {
		w := c.(*world)
		var tasks []cluster.Task
		for i := range 3 {
			name := "client/" + strconv.Itoa(i)
			tasks = append(tasks, c.Go(name, func(ctx context.Context) {
				net := c.Network(name)
				for ctx.Err() == nil {
					_, _ = add(ctx, net, "n"+strconv.Itoa(1+net.Intn(3)))
					_ = c.Sleep(ctx, time.Duration(net.Intn(20))*time.Millisecond)
				}
			}))
		}
		if err := mischief(ctx, w); err != nil {
			return err
		}
		for _, task := range tasks {
			task.Stop()
			if err := task.Wait(ctx); err != nil {
				return err
			}
		}
		hash, events, checkpoints = w.TraceHash(), w.Events(), w.Checkpoints()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return hash, events, checkpoints
}

// mischief injects one fault of each kind.
func mischief(ctx context.Context, w *world) error {
	pass := func() { _ = w.Sleep(ctx, 100*time.Millisecond) }
	rule, err := w.Impair(ctx, []cluster.Link{{From: "n1", To: "n2"}, {From: cluster.ClientEnd, To: "n3"}},
		cluster.Impairment{Loss: 300_000, Jitter: 20 * time.Millisecond, Duplicate: 100_000})
	if err != nil {
		return err
	}
	wire, err := w.Trip(ctx, cluster.Tripwire{Point: "added", Nth: 2, Kill: true})
	if err != nil {
		return err
	}
	victim, err := wire.Await(ctx)
	if err != nil {
		return err
	}
	if _, err := w.Start(ctx, victim); err != nil {
		return err
	}
	if err := w.Pause(ctx, "n2"); err != nil {
		return err
	}
	pass()
	if _, err := w.Resume(ctx, "n2"); err != nil {
		return err
	}
	if _, err := w.CutPower(ctx, []string{"n3", "n1"}); err != nil {
		return err
	}
	pass()
	if _, err := rule.Remove(ctx); err != nil {
		return err
	}
	for _, name := range w.Nodes() {
		if _, err := w.Start(ctx, name); err != nil {
			return err
		}
	}
	if _, err := w.Kill(ctx, "n2"); err != nil {
		return err
	}
	pass()
	_, err = w.Status(ctx, "n1")
	return err
}

func TestTheSameSeedGivesTheSameTraceAThousandTimes(t *testing.T) {
	runs := 1000
	if testing.Short() {
		runs = 50
	}
	want := map[uint64]string{}
	for i := range runs {
		seed := uint64(i % 10)
		if i == runs/2 {
			defer goruntime.GOMAXPROCS(goruntime.GOMAXPROCS(1))
		}
		hash, events, _ := eventful(t, seed, Options{})
		if was, ok := want[seed]; ok && was != hash {
			t.Fatalf("run %d of seed %d: %s after %d events, was %s", i, seed, hash, events, was)
		}
		want[seed] = hash
	}
	different := map[string]bool{}
	for _, hash := range want {
		different[hash] = true
	}
	if len(different) != len(want) {
		t.Errorf("%d seeds gave only %d traces", len(want), len(different))
	}
}

const childVariable = "SIM_TEST_TRACE_OF_SEED"

func TestAnotherProcessGivesTheSameTrace(t *testing.T) {
	if s := os.Getenv(childVariable); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		hash, _, _ := eventful(t, seed, Options{})
		fmt.Println("trace:" + hash)
		return
	}
	for seed := uint64(1); seed <= 3; seed++ {
		hash, _, _ := eventful(t, seed, Options{})
		for _, procs := range []string{"1", "2"} {
			cmd := exec.Command(os.Args[0], "-test.run=^TestAnotherProcessGivesTheSameTrace$", "-test.v")
			cmd.Env = append(os.Environ(), childVariable+"="+strconv.FormatUint(seed, 10), "GOMAXPROCS="+procs)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !strings.Contains(string(out), "trace:"+hash) {
				t.Errorf("seed %d: %s here, with GOMAXPROCS=%s elsewhere:\n%s", seed, hash, procs, out)
			}
		}
	}
}

func TestRunsGiveTheirMemoryBack(t *testing.T) {
	heap := func(runs uint64) uint64 {
		for seed := range runs {
			eventful(t, seed, Options{})
		}
		var m goruntime.MemStats
		goruntime.GC()
		goruntime.GC()
		goruntime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap(5)
	if after := heap(100); after > before+1<<20 {
		t.Errorf("%d bytes in use after a few runs, %d after a hundred more", before, after)
	}
}

func TestCheckpointsBoundTheFirstDivergence(t *testing.T) {
	// The runs are equal but for one request at about 2.5 s of 5 s.
	run := func(odd bool, window TraceWindow) (list []Checkpoint, at uint64) {
		must(t, &counterTarget{}, Options{Trace: window}, func(ctx context.Context, w *world) {
			_ = w.Sleep(ctx, 25*time.Second)
			at = w.Events()
			if odd {
				_, _ = w.Network("client/0").Call(ctx, "n1", node.Request{Path: "/get"}, time.Second)
			}
			_ = w.Sleep(ctx, 50*time.Second-w.Now())
			list = w.Checkpoints()
		})
		return list, at
	}
	a, at := run(false, TraceWindow{})
	b, _ := run(true, TraceWindow{})
	if _, _, diverged := FirstDivergence(a, a); diverged {
		t.Error("a run diverges from itself")
	}
	from, to, diverged := FirstDivergence(a, b)
	if !diverged || from > at || to < at || to-from != CheckpointEvery {
		t.Fatalf("diverged %v in (%d, %d], want the checkpoints around %d; there are %d", diverged, from, to, at, len(a))
	}
	var x, y strings.Builder
	run(false, TraceWindow{from, to, &x})
	run(true, TraceWindow{from, to, &y})
	i := 0
	xs, ys := strings.Split(x.String(), "\n"), strings.Split(y.String(), "\n")
	for ; i < min(len(xs), len(ys)) && xs[i] == ys[i]; i++ {
	}
	if i == 0 || i == len(ys) || !strings.Contains(ys[i], " request n1.1 ") {
		t.Errorf("the windows part at line %d: %q and %q", i, xs[i], ys[i])
	}
}

func TestProfilesAreDrawnBySeed(t *testing.T) {
	everything := 0
	for seed := uint64(0); seed < 1000; seed++ {
		p := DrawProfile(seed)
		if p != DrawProfile(seed) {
			t.Fatalf("seed %d gives two profiles", seed)
		}
		if err := p.Validate(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if p.Loss > 0 && p.Duplicate > 0 && !p.Ordered && p.ClockDrift > 0 && p.Latency.Tail > 0 && p.Disk.Sync.Tail > 0 &&
			p.ClockOffset > 0 && p.Disk.Survival == (Survival{2, 1, 2, 2, 2}) {
			everything++
		}
	}
	if everything < 150 || everything > 260 {
		t.Errorf("everything is on in %d of 1000 profiles, want about 200", everything)
	}
}

func TestProfilesAreValidated(t *testing.T) {
	if err := DefaultProfile().Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		spoil func(p *Profile)
	}{
		{"loss_ppm", func(p *Profile) { p.Loss = cluster.Million + 1 }},
		{"duplicate_ppm", func(p *Profile) { p.Duplicate = -1 }},
		{"latency: min_ns", func(p *Profile) { p.Latency.Min = -1 }},
		{"latency: tail_ppm", func(p *Profile) { p.Latency.TailScale = 0 }},
		{"boot: spread_ns", func(p *Profile) { p.Boot.Spread = 2 * time.Hour }},
		{"disk.sync: tail_ppm", func(p *Profile) { p.Disk.Sync.Tail = cluster.Million + 1 }},
		{"clock_offset_ns", func(p *Profile) { p.ClockOffset = -1 }},
		{"clock_drift_ppm", func(p *Profile) { p.ClockDrift = driftMax + 1 }},
		{"disk.capacity_bytes", func(p *Profile) { p.Disk.Capacity = 0 }},
		{"disk.survival", func(p *Profile) { p.Disk.Survival = Survival{} }},
		{"disk.survival", func(p *Profile) { p.Disk.Survival.Torn = -1 }},
	} {
		p := DefaultProfile()
		c.spoil(&p)
		contains(t, p.Validate(), "profile: "+c.name)
	}
}
