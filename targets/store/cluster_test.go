package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/rng"
	"github.com/cleancut/cleancut/harness/sim"
	"github.com/cleancut/cleancut/targets/store"
	"github.com/cleancut/cleancut/workloads"
)

// simulated is everything that the simulator's cluster can do.
type simulated interface {
	cluster.Cluster
	cluster.Crasher
	cluster.PowerCutter
	cluster.Pauser
	cluster.Linker
	cluster.Tripper
	cluster.Observer
	cluster.Tracer
}

func nodeNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("n%d", i+1)
	}
	return names
}

// calm is a profile without accidents.
func calm() *sim.Profile {
	p := sim.DefaultProfile()
	p.Loss, p.Duplicate, p.Latency.Tail, p.Disk.Sync.Tail = 0, 0, 0, 0
	return &p
}

// world is a scenario of these tests.
type world struct {
	nodes   int
	seed    uint64
	bug     string
	profile *sim.Profile // nil for one drawn from the seed
	log     string       // where nodes' logs go, "" for nowhere
}

// run runs body on a simulated cluster. An error of the simulator fails the
// test.
func (w world) run(t testing.TB, body func(ctx context.Context, c simulated)) {
	t.Helper()
	if w.profile == nil {
		p := sim.DrawProfile(w.seed)
		w.profile = &p
	}
	options := sim.Options{Profile: w.profile, LogBytes: -1}
	if w.log != "" {
		options.LogBytes = 1 << 20
	}
	spec := cluster.Spec{Run: t.Name(), Target: store.New(), Nodes: nodeNames(w.nodes), Seed: w.seed, Bug: w.bug, EvidenceDir: w.log}
	err := sim.New(options).Run(t.Context(), spec, func(ctx context.Context, c cluster.Cluster) error {
		body(ctx, c.(simulated))
		return nil
	})
	if err != nil {
		t.Fatalf("seed %d: %v", w.seed, err)
	}
}

// leader waits for a leader that serves, and returns it.
func leader(t testing.TB, ctx context.Context, c simulated) string {
	t.Helper()
	for range 1000 {
		best := node.Status{}
		for _, name := range c.Nodes() {
			if s, err := c.Status(ctx, name); err == nil && s.Role == "leader" && s.Term > best.Term {
				best = s
			}
		}
		if best.Term > 0 && c.Now() > time.Second/2 {
			return best.Node
		}
		if c.Sleep(ctx, 50*time.Millisecond) != nil {
			break
		}
	}
	t.Fatal("no leader")
	return ""
}

// load is what clients do, and what came of it.
type load struct {
	workload workloads.Workload
	clients  int
	pause    time.Duration // between operations of a client, on average
	timeout  time.Duration
	history  []porcupine.Operation
	counts   map[history.Outcome]int
	seq      int64
}

func (l *load) start(t testing.TB, ctx context.Context, c simulated, seed uint64, bug string) []cluster.Task {
	l.counts = map[history.Outcome]int{}
	var tasks []cluster.Task
	for i := range l.clients {
		name := fmt.Sprintf("client/%d", i)
		tasks = append(tasks, c.Go(name, func(ctx context.Context) {
			net := c.Network(name)
			client, err := store.New().Connect(net, bug)
			if err != nil {
				t.Error(err)
				return
			}
			g := l.workload.Client(seed, i, l.clients)
			for n := 0; net.Sleep(ctx, time.Duration(net.Intn(int(2*l.pause)))) == nil; n++ {
				l.one(ctx, net, client, g, i+n*l.clients)
			}
		}))
	}
	return tasks
}

func (l *load) one(ctx context.Context, net cluster.Network, client cluster.Client, g workloads.Generator, process int) {
	op := g.Next()
	l.seq++
	call := l.seq
	done := client.Invoke(ctx, op, l.timeout)
	g.Observe(op, done)
	l.counts[done.Outcome]++
	if done.Outcome == history.Fail {
		return
	}
	l.seq++
	end := l.seq
	if done.Outcome == history.Info {
		end = 1 << 60
	}
	l.history = append(l.history, porcupine.Operation{
		ClientId: process, Input: op, Output: done, Call: call, Return: end,
	})
}

// register is the sequential specification of one key.
var register = porcupine.Model{
	Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, o := range ops {
			key := o.Input.(cluster.Op).Key
			byKey[key] = append(byKey[key], o)
		}
		var parts [][]porcupine.Operation
		for _, p := range byKey {
			parts = append(parts, observed(p))
		}
		return parts
	},
	Init: func() any { return history.Nil.String() },
	Step: func(state, input, output any) (bool, any) {
		op, done := input.(cluster.Op), output.(cluster.Completion)
		switch op.F {
		case workloads.Read:
			return done.Value.String() == state, state
		case workloads.Write:
			return true, op.Value.String()
		case workloads.Delete:
			return true, history.Nil.String()
		}
		pair, _ := op.Value.AsList()
		if pair[0].String() != state {
			return done.Outcome == history.Info, state
		}
		return true, pair[1].String()
	},
}

// observed drops indeterminate writes whose values nobody saw: they can be
// ordered last.
func observed(ops []porcupine.Operation) []porcupine.Operation {
	seen := map[string]bool{}
	for _, o := range ops {
		op, done := o.Input.(cluster.Op), o.Output.(cluster.Completion)
		if op.F == workloads.Read {
			seen[done.Value.String()] = true
		} else if pair, ok := op.Value.AsList(); ok {
			seen[pair[0].String()] = true
		}
	}
	return slices.DeleteFunc(ops, func(o porcupine.Operation) bool {
		op, done := o.Input.(cluster.Op), o.Output.(cluster.Completion)
		return done.Outcome == history.Info && op.F == workloads.Write && !seen[op.Value.String()]
	})
}

// chaos breaks things at random until ctx is cancelled, and heals them.
func chaos(ctx context.Context, c simulated, r *rand.Rand) {
	down := map[string]bool{}
	restart := func() {
		for _, n := range c.Nodes() {
			if down[n] {
				_, _ = c.Start(ctx, n)
				delete(down, n)
			}
		}
	}
	for c.Sleep(ctx, time.Duration(r.IntN(int(2*time.Second)))) == nil {
		nodes := slices.Clone(c.Nodes())
		r.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		some := nodes[:1+r.IntN(len(nodes))]
		switch r.IntN(5) {
		case 0:
			_, _ = c.Kill(ctx, some[0])
			down[some[0]] = true
		case 1:
			_, _ = c.CutPower(ctx, some)
			for _, n := range some {
				down[n] = true
			}
		case 2:
			if c.Pause(ctx, some[0]) == nil {
				_ = c.Sleep(ctx, time.Duration(r.IntN(int(3*time.Second))))
				_, _ = c.Resume(ctx, some[0])
			}
		case 3, 4:
			var links []cluster.Link
			for _, a := range some {
				for _, b := range nodes[len(some):] {
					links = append(links, cluster.Link{From: a, To: b}, cluster.Link{From: b, To: a})
				}
			}
			if len(links) > 0 {
				rule, err := c.Impair(ctx, links, cluster.Impairment{Loss: cluster.Million / (1 + r.IntN(2))})
				_ = c.Sleep(ctx, time.Duration(r.IntN(int(4*time.Second))))
				if err == nil {
					_, _ = rule.Remove(ctx)
				}
			}
		}
		if r.IntN(2) == 0 {
			restart()
		}
	}
}

// outcome is what a soak run showed.
type outcome struct {
	findings  []node.Finding
	invalid   bool
	events    uint64
	trace     string
	points    map[string]int
	counts    map[history.Outcome]int
	converged string // why not, "" if all nodes agree
}

func (o outcome) String() string {
	var b strings.Builder
	for _, f := range o.findings {
		fmt.Fprintf(&b, "%v %s: %s: %s\n", f.At, f.Node, f.Invariant, f.Text)
	}
	if o.invalid {
		b.WriteString("the history is not linearizable\n")
	}
	return b.String() + o.converged
}

// soak runs a store for d under load and, if wanted, chaos, heals it, and
// checks everything.
func (w world) soak(t testing.TB, d time.Duration, l *load, breaking bool) (o outcome) {
	t.Helper()
	w.run(t, func(ctx context.Context, c simulated) {
		tasks := l.start(t, ctx, c, w.seed, w.bug)
		if breaking {
			broken, stop := context.WithCancel(ctx)
			nemesis := c.Go("nemesis", func(taskCtx context.Context) { chaos(taskCtx, c, rng.Stream(w.seed, "chaos")) })
			_ = c.Sleep(broken, d)
			stop()
			nemesis.Stop()
			_ = nemesis.Wait(ctx)
		} else {
			_ = c.Sleep(ctx, d)
		}
		for _, task := range tasks {
			task.Stop()
		}
		for _, task := range tasks {
			_ = task.Wait(ctx)
		}
		o.events, o.points, o.findings, o.counts = c.Events(), c.Points(), c.Findings(), l.counts
		if breaking {
			o.converged = settle(ctx, c)
			o.findings = c.Findings()
		}
		o.trace = c.TraceHash()
	})
	o.invalid = porcupine.CheckOperationsTimeout(register, l.history, 1*time.Second) == porcupine.Illegal
	return o
}

// settle heals a cluster and says why its nodes do not come to agree.
func settle(ctx context.Context, c simulated) (why string) {
	for _, n := range c.Nodes() {
		_, _ = c.Resume(ctx, n)
		if _, err := c.Start(ctx, n); err != nil {
			return "start: " + err.Error()
		}
	}
	for range 300 {
		if c.Sleep(ctx, 100*time.Millisecond) != nil {
			return "the run was stopped"
		}
		seen := map[string]bool{}
		why = ""
		for _, n := range c.Nodes() {
			s, err := c.Status(ctx, n)
			if err != nil || !s.Ready {
				why = fmt.Sprintf("%s does not serve: %+v, %v", n, s, err)
				break
			}
			seen[fmt.Sprint(s.Applied, s.StateHash)] = true
		}
		if why == "" && len(seen) == 1 {
			return ""
		}
		if why == "" {
			why = fmt.Sprintf("nodes differ: %v", seen)
		}
	}
	return why
}
