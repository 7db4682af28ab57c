package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/docker/internal/testnode"
	"github.com/cleancut/cleancut/harness/node"
)

// TestMain lets this binary play the harness that dies (see orphan_test.go).
func TestMain(m *testing.M) {
	if how := os.Getenv(orphanEnv); how != "" {
		os.Exit(orphanMain(how))
	}
	os.Exit(m.Run())
}

// requireDocker skips where there is no daemon, but not in CI, where a test
// that did not run must not look like one that passed.
func requireDocker(t testing.TB) {
	t.Helper()
	_, err := Probe(t.Context())
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("CI=true demands Docker: %v", err)
	default:
		t.Skipf("needs Docker: %v", err)
	}
}

// bed is a running cluster in a test.
type bed struct {
	*testing.T
	ctx context.Context
	c   *Cluster
	net cluster.Network
}

// start runs body on a fresh cluster of that many test nodes that all answer.
func start(t *testing.T, nodes int, body func(b bed)) {
	t.Helper()
	requireDocker(t)
	spec := specOf(t, nodes)
	err := New(Options{}).Run(t.Context(), spec, func(ctx context.Context, c cluster.Cluster) error {
		b := bed{t, ctx, c.(powered).Cluster, c.Network("client-1")}
		for _, n := range spec.Nodes {
			b.eventually("node "+n+" answers", func() bool { _, err := c.Status(ctx, n); return err == nil })
		}
		body(b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func specOf(t testing.TB, nodes int) cluster.Spec {
	spec := cluster.Spec{Run: strings.ToLower(t.Name()) + "-" + strconv.Itoa(os.Getpid()), Target: testnode.Target{}, Seed: 1, EvidenceDir: t.TempDir()}
	for i := range nodes {
		spec.Nodes = append(spec.Nodes, "n"+strconv.Itoa(i+1))
	}
	return spec
}

// eventually polls until ok, at most 10 s.
func (b bed) eventually(what string, ok func() bool) {
	b.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			b.Fatalf("not within 10 s: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// must fails the test on an error.
func must[T any](b bed) func(v T, err error) T {
	return func(v T, err error) T {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		return v
	}
}

// call sends a request as "METHOD /path?query".
func (b bed) call(name, request string, body string, timeout time.Duration) (string, error) {
	method, target, _ := strings.Cut(request, " ")
	path, query, _ := strings.Cut(target, "?")
	resp, err := b.net.Call(b.ctx, name, node.Request{Method: method, Path: path, Query: query, Body: []byte(body)}, timeout)
	if err == nil && resp.Status != 200 {
		err = fmt.Errorf("status %d: %s", resp.Status, resp.Body)
	}
	return string(resp.Body), err
}

// ping sends a message there and back, and returns how long that took.
func (b bed) ping(from, to string, timeout time.Duration) (time.Duration, error) {
	began := time.Now()
	_, err := b.call(from, "GET /ping?to="+to, "", timeout)
	return time.Since(began), err
}

// connected waits until a ping succeeds: connections may be young or broken.
func (b bed) connected(from, to string) {
	b.Helper()
	b.eventually(from+" reaches "+to, func() bool { _, err := b.ping(from, to, 500*time.Millisecond); return err == nil })
}

func (b bed) impair(i cluster.Impairment, links ...cluster.Link) cluster.Rule {
	b.Helper()
	return must[cluster.Rule](b)(b.c.Impair(b.ctx, links, i))
}

func (b bed) remove(r cluster.Rule) cluster.Receipt {
	b.Helper()
	return must[cluster.Receipt](b)(r.Remove(b.ctx))
}

func (b bed) wantCount(r cluster.Receipt, name string, least, most int64) {
	b.Helper()
	if n := r.Counts[name]; n < least || n > most {
		b.Errorf("the receipt counts %s=%d, want %d…%d (%v)", name, n, least, most, r)
	}
}

func link(s string) cluster.Link {
	from, to, _ := strings.Cut(s, ">")
	return cluster.Link{From: from, To: to}
}

var cut = cluster.Impairment{Loss: cluster.Million}

// BenchmarkFiveNodesAreReady measures how long it takes until five nodes are
// ready, their image being there.
func BenchmarkFiveNodesAreReady(b *testing.B) {
	requireDocker(b)
	spec := specOf(b, 5)
	d, err := connect(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer d.close()
	info, err := d.info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if _, err := d.ensureImage(b.Context(), spec.Target.Name(), testnode.Target{}.Image(), info.Architecture); err != nil {
		b.Fatal(err)
	}
	ready := time.Duration(0)
	for b.Loop() {
		began := time.Now()
		err := New(Options{}).Run(b.Context(), spec, func(context.Context, cluster.Cluster) error {
			ready += time.Since(began)
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(ready.Seconds()/float64(b.N), "ready-s")
}

func TestEvidenceOutlivesTheClusterAndNothingElseDoes(t *testing.T) {
	requireDocker(t)
	spec := specOf(t, 1)
	wanted := errors.New("what the body returned")
	err := New(Options{}).Run(t.Context(), spec, func(ctx context.Context, c cluster.Cluster) error {
		b := bed{t, ctx, c.(powered).Cluster, c.Network("client-1")}
		b.eventually("n1 answers", func() bool { _, err := c.Status(ctx, "n1"); return err == nil })
		// The log of a machine that is off can be read, too.
		must[cluster.Receipt](b)(b.c.KillMachine(ctx, "n1"))
		return wanted
	})
	if err != wanted {
		t.Fatalf("the body's error came back as %v", err)
	}
	log, err := os.ReadFile(spec.EvidenceDir + "/n1/" + cluster.LogFile)
	if err != nil || !strings.Contains(string(log), "started with 0 bytes") || !regexp.MustCompile(`^=== \d{4}-\d\d-\d\dT[\d:.]+Z boot 1 \(`).Match(log) {
		t.Errorf("the log is %q (%v)", log, err)
	}
	if left := leftovers(t, spec.Run); len(left) > 0 {
		t.Errorf("the run left %v", left)
	}
}

// leftovers lists what exists of a run.
func leftovers(t *testing.T, run string) []string {
	t.Helper()
	d, err := connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	var left []string
	list := func(name string, _ map[string]string) bool { left = append(left, name); return false }
	if err := errors.Join(
		d.removeContainers(context.Background(), filter(labelRun, run), list, nil),
		d.removeNetworks(context.Background(), filter(labelRun, run), list)); err != nil {
		t.Fatal(err)
	}
	return left
}

func TestAPanicOfAnActivityEndsTheRunWithItsStack(t *testing.T) {
	requireDocker(t)
	spec := specOf(t, 1)
	err := New(Options{}).Run(t.Context(), spec, func(ctx context.Context, c cluster.Cluster) error {
		c.Go("quiet", func(ctx context.Context) { <-ctx.Done() })
		c.Go("loud", func(context.Context) { panic("too much") })
		return c.Sleep(ctx, time.Minute)
	})
	if err == nil || !strings.Contains(err.Error(), "activity loud panicked: too much") || !strings.Contains(err.Error(), "docker_test.go") {
		t.Errorf("the run ended with %v", err)
	}
	if left := leftovers(t, spec.Run); len(left) > 0 {
		t.Errorf("the run left %v", left)
	}
}

func TestANetworkIsRemovedWhenItsLastEndpointHasGone(t *testing.T) {
	requireDocker(t)
	d, err := connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	spec, removed := specOf(t, 1), make(chan error, 1)
	err = New(Options{}).Run(t.Context(), spec, func(ctx context.Context, c cluster.Cluster) error {
		go func() {
			removed <- d.removeNetworks(context.Background(), filter(labelRun, spec.Run), func(string, map[string]string) bool { return true })
		}()
		return c.Sleep(ctx, 5*busyRetry) // the node is there while it is tried
	})
	if err = errors.Join(err, <-removed); err != nil {
		t.Error(err)
	}
	if left := leftovers(t, spec.Run); len(left) > 0 {
		t.Errorf("the run left %v", left)
	}
}

func TestCancellingTheRunRemovesEverything(t *testing.T) {
	requireDocker(t)
	for _, when := range []time.Duration{300 * time.Millisecond, 1200 * time.Millisecond} {
		spec := specOf(t, 2)
		ctx, cancel := context.WithTimeout(t.Context(), when)
		err := New(Options{}).Run(ctx, spec, func(ctx context.Context, c cluster.Cluster) error {
			return c.Sleep(ctx, time.Minute)
		})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled after %v, the run ended with %v", when, err)
		}
		if left := leftovers(t, spec.Run); len(left) > 0 {
			t.Errorf("cancelled after %v, the run left %v", when, left)
		}
	}
}
