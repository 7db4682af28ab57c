package report

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/linear"
	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/rundir"
)

// evil is what a hostile system under test might have us print.
const evil = `<script>document.title="pwned"</script>"'&`

// sampleRun makes a run directory of five clients on registers for the given
// number of operations. Clients read from one copy that a partition holds
// back, if stale is set.
func sampleRun(t testing.TB, root string, operations int, stale bool) *rundir.Dir {
	t.Helper()
	start := time.Date(2026, 11, 23, 20, 15, 0, 0, time.UTC)
	d, err := rundir.Create(root, "replication/raft-partitions", 7, start, map[string]int{"nodes": 5})
	ok(t, err)
	f, err := history.CreateFile(d.File(rundir.HistoryFile), history.FileOptions{})
	ok(t, err)
	s := &sampler{t: t, r: rand.New(rand.NewPCG(3, 9)), stale: stale, fresh: map[string]history.Value{}, old: map[string]history.Value{}}
	s.rec = history.NewRecorder(func() time.Duration { return s.now }, f)
	s.ledger, err = d.Ledger()
	ok(t, err)
	s.run(operations)
	ok(t, s.rec.Close())
	ok(t, s.ledger.Close())
	for _, n := range []string{"n1", "n2", "n10"} {
		ok(t, d.WriteFinal(checkers.Final{Node: n, Status: node.Status{Node: n, Role: "follower", Applied: 91, StateHash: "5f0c2a"}}))
		ok(t, os.WriteFile(filepath.Join(d.NodesDir(), n, cluster.LogFile), s.log(n), 0o644))
	}
	findings := []node.Finding{}
	if stale {
		findings = append(findings, node.Finding{At: s.now / 3, Node: "n2", Invariant: "read index", Text: "served index 41 below 44 " + evil})
	}
	ok(t, d.WriteFindings(findings))
	ok(t, d.WriteResult(judge(t, d, start)))
	return d
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type sampler struct {
	t          testing.TB
	r          *rand.Rand
	rec        *history.Recorder
	ledger     *rundir.Ledger
	now        time.Duration
	stale      bool
	held       bool
	fresh, old map[string]history.Value
	value      int64
}

func (s *sampler) must(_ int64, err error) {
	s.t.Helper()
	ok(s.t, err)
}

func (s *sampler) run(operations int) {
	type client struct {
		process int
		busy    bool
		f, key  string
		value   history.Value
		out     history.Outcome
	}
	clients := make([]client, 5)
	for i := range clients {
		clients[i].process = i
	}
	s.must(s.rec.Phase("warm-up"))
	phase := func(at int, name string, i int) {
		if i == at {
			s.must(s.rec.Phase(name))
		}
	}
	id := 0
	for i := range operations {
		phase(operations/12, "faults", i)
		phase(operations*9/10, "liveness", i)
		phase(operations*19/20, "final reads", i)
		switch i % (operations / 4) {
		case operations / 10:
			kinds := []string{"partition", "kill", "pause", "delay"}
			kind := kinds[i/(operations/4)%4]
			var err error
			id, err = s.ledger.Begin(s.now, kind+"(isolate,leader)", kind, faults.ModelOf(kind), []string{"n2"}, nil)
			ok(s.t, err)
			ok(s.t, s.ledger.Injected(id, s.now, "", nil, nil))
			s.must(s.rec.Fault(history.FaultStart, kind+"(isolate,leader)", []string{"n2"}, ""))
			s.held = true
			s.old = map[string]history.Value{}
			for k, v := range s.fresh {
				s.old[k] = v
			}
		case operations / 5:
			var receipt cluster.Receipt
			receipt.Count("packets_dropped", int64(s.r.IntN(900)))
			receipt.Note("n2 lost the leadership %s", evil)
			ok(s.t, s.ledger.Healed(id, s.now, receipt, id != 3, nil))
			s.must(s.rec.Fault(history.FaultEnd, "partition(isolate,leader)", []string{"n2"}, receipt.String()))
			s.held = false
		}
		c := &clients[i%5]
		s.now += time.Duration(1+s.r.IntN(20_000)) * time.Microsecond
		if c.busy {
			s.must(s.rec.Complete(c.process, c.out, c.value, fmt.Sprint("n", c.process%5+1), map[bool]string{true: "timed out after 1s " + evil}[c.out == history.Info]))
			c.busy = false
			if c.out == history.Info {
				c.process += 5
			}
			s.now += time.Duration(1+s.r.IntN(2000)) * time.Microsecond
		}
		c.f, c.key, c.value, c.out, c.busy = "read", fmt.Sprint("k", i/300), history.Nil, history.OK, true
		if s.r.IntN(2) == 0 {
			s.value++
			c.f, c.value = "write", history.Int(s.value)
		}
		s.must(s.rec.Invoke(c.process, c.f, c.key, c.value, fmt.Sprint("n", c.process%5+1)))
		lost := s.held && s.r.IntN(6) == 0
		switch {
		case lost:
			c.out = history.Info
		case c.f == "write":
			s.fresh[c.key] = c.value
		case s.stale && s.held && c.process%5 == 1:
			c.value = s.old[c.key]
		default:
			c.value = s.fresh[c.key]
		}
	}
}

func (s *sampler) log(name string) []byte {
	var b []byte
	for at := time.Duration(0); at < s.now; at += 40 * time.Millisecond {
		b = fmt.Appendf(b, "%d.%09d %s applied entry %d %s\n", at/time.Second, at%time.Second, name, at/7_000_000, evil)
	}
	return b
}

func judge(t testing.TB, d *rundir.Dir, start time.Time) *rundir.Result {
	e, err := d.Evidence()
	ok(t, err)
	list := []checkers.Checker{
		linear.Checker(linear.Spec{}, linear.Options{}), checkers.Availability(checkers.AvailabilityBounds{}),
		checkers.Liveness(checkers.LivenessBounds{}), checkers.Convergence(), checkers.Crashes(), checkers.Invariants(4),
	}
	r := &rundir.Result{
		Scenario: "replication/raft-partitions", Runtime: "sim", Seed: 7, Started: start, Version: "test",
		Checkers: checkers.Check(context.Background(), &e.Evidence, list, checkers.Options{}),
		Faults:   e.Ledger, Findings: e.Findings, Strength: history.Measure(e.Events, e.Operations),
		TraceHash: "9f86d081884c7d65", Measures: map[string]float64{"simulated_seconds_per_second": 1312},
		Reproduce: "cleancut run replication/raft-partitions --runtime sim --seed 7", Unavailable: []string{"disk-full: " + evil},
	}
	for _, o := range e.Operations {
		r.Operations.Total++
		switch o.Outcome {
		case history.OK:
			r.Operations.OK++
		case history.Fail:
			r.Operations.Fail++
		default:
			r.Operations.Info++
		}
	}
	for _, p := range e.Phases {
		r.Phases = append(r.Phases, rundir.Phase(p))
	}
	r.Verdict = rundir.OutcomeOf(checkers.Merge(r.Checkers))
	for _, v := range r.Checkers {
		if v.Verdict != checkers.Valid {
			r.Reasons = append(r.Reasons, v.Checker+": "+v.Reason)
		}
	}
	if len(r.Reasons) == 0 {
		r.Reasons = []string{"all checkers found what the target claims"}
	}
	return r
}
