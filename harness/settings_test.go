package harness_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/harness/rundir"
	"github.com/cleancut/cleancut/harness/sim"
	"github.com/cleancut/cleancut/targets/store"
	"github.com/cleancut/cleancut/workloads"
)

// flavoured is the store with two settings, whose nodes record their starts
// and, as long as they are told to, a little more.
type flavoured struct {
	*store.Target
	flavour, job string
}

func flavours() flavoured { return flavoured{store.New(), "plain", "none"} }

func (f flavoured) Settings() []cluster.Setting {
	return []cluster.Setting{
		{Name: "flavour", Doc: "what it tastes of", Default: f.flavour},
		{Name: "job", Doc: "what it computes", Default: f.job, Allowed: []string{"none", "lunch", "dinner"}},
	}
}

func (f flavoured) With(values map[string]string) (cluster.Target, error) {
	if v, ok := values["flavour"]; ok {
		f.flavour = v
	}
	if v, ok := values["job"]; ok {
		f.job = v
	}
	if f.flavour == "sour" {
		return nil, errors.New("nobody likes the flavour sour; want another")
	}
	return f, nil
}

func (f flavoured) Groups(nodes []string) []cluster.Group {
	return []cluster.Group{{Name: "cooks", Nodes: nodes[:1]}, {Name: "waiters", Nodes: nodes[1:]}, {Name: "leader-of-all"}}
}

func (f flavoured) Program(bug string) (node.Program, error) {
	p, err := f.Target.Program(bug)
	return &diary{p, f}, err
}

type diary struct {
	node.Program
	f flavoured
}

func (d *diary) Start(env node.Env) error {
	env.Record(record.Event{Kind: record.Start})
	if d.f.flavour == "spicy" {
		for i, kind := range []record.Kind{record.Restore, record.Work, record.CheckpointCommit} {
			env.Record(record.Event{Kind: kind, Ckpt: fmt.Sprint(i)})
		}
	}
	return d.Program.Start(env)
}

// meal is a workload that is a job.
type meal struct {
	workloads.Workload
	job string
}

func (m meal) Job() string { return m.job }

// lookingOn judges nothing but the record.
type lookingOn struct{ seen *[]record.Event }

func (lookingOn) Name() string { return "looking-on" }

func (l lookingOn) Check(_ context.Context, e *checkers.Evidence) checkers.Verdict {
	*l.seen = e.Record
	return checkers.Verdict{Checker: "looking-on", Verdict: checkers.Valid}
}

func dinner(t *testing.T, flavour string) harness.Scenario {
	s := with(t, "at 1s kill(cooks) for 500ms")
	s.Target, s.Workload = flavours(), meal{workloads.KV(), "dinner"}
	s.Settings = map[string]string{"flavour": flavour}
	s.Time = 3 * time.Second
	return s
}

func TestSettingsAreCheckedBeforeARunAndSayWhatIsAllowed(t *testing.T) {
	g := NewWithT(t)
	refused := func(change func(*harness.Scenario), why string) {
		s := dinner(t, "plain").WithDefaults()
		change(&s)
		err := s.Validate()
		g.Expect(err).To(MatchError(harness.ErrRefused))
		g.Expect(err).To(MatchError(ContainSubstring(why)))
	}
	g.Expect(dinner(t, "plain").WithDefaults().Validate()).To(Succeed())
	refused(func(s *harness.Scenario) { s.Settings["colour"] = "red" }, `the target store has no setting "colour"; there are: flavour, job`)
	refused(func(s *harness.Scenario) { s.Settings["flavour"] = "sour" }, "nobody likes the flavour sour; want another")
	refused(func(s *harness.Scenario) { s.Workload = meal{workloads.KV(), "feast"} }, `the setting job of store cannot be "feast"; allowed are: none, lunch, dinner`)
	refused(func(s *harness.Scenario) { s.Settings["job"] = "lunch" }, `the setting job is "lunch", but the workload kv is the job "dinner"`)
	refused(func(s *harness.Scenario) { s.Target = store.New() }, "the target store has no settings, so flavour cannot be set")
}

func TestSettingsAreInForceKeptAndRestored(t *testing.T) {
	g := NewWithT(t)
	f := run(t, dinner(t, "mild"), harness.Options{Seed: 1, Out: t.TempDir()})
	dir, err := rundir.Open(f.Dir)
	g.Expect(err).NotTo(HaveOccurred())
	var u harness.Setup
	g.Expect(dir.Scenario(&u)).To(Succeed())
	g.Expect(u.Settings).To(Equal(map[string]string{"flavour": "mild", "job": "dinner"}))
	again, err := u.Apply(harness.Scenario{Name: u.Scenario, Target: flavours(), Workload: meal{workloads.KV(), "dinner"}})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again.Settings).To(Equal(u.Settings))
}

func TestARecordReachesCheckersInMemoryFromTheRunDirectoryAndFromNodesFiles(t *testing.T) {
	g := NewWithT(t)
	var live, kept, saved []record.Event
	s := dinner(t, "spicy")
	s.Checkers = []checkers.Checker{lookingOn{&live}}
	run(t, s, harness.Options{Seed: 1})
	g.Expect(len(live)).To(Equal(3*4 + 1 + 4)) // n1 crashed and started again

	s.Checkers = []checkers.Checker{lookingOn{&kept}}
	f := run(t, s, harness.Options{Seed: 1, Out: t.TempDir()})
	g.Expect(kept).To(Equal(live))
	g.Expect(f.Result.Measures).To(HaveKeyWithValue("record_restores", 4.0))

	// A harness that died leaves no merged record, but what a sweep saved.
	dir, err := rundir.Open(f.Dir)
	g.Expect(err).NotTo(HaveOccurred())
	node, err := dir.NodeDir("n1")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.Rename(dir.File(rundir.RecordFile), filepath.Join(node, rundir.RecordFile))).To(Succeed())
	s.Checkers = []checkers.Checker{lookingOn{&saved}}
	_, err = harness.Rejudge(t.Context(), dir, s, checkers.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(saved).To(Equal(live))
}

func TestAJobIsAsStrongAsItsRecord(t *testing.T) {
	g := NewWithT(t)
	strong := run(t, dinner(t, "spicy"), harness.Options{Seed: 1}).Result
	g.Expect(strong.Reasons).NotTo(ContainElement(ContainSubstring("too weak")))
	weak := run(t, dinner(t, "plain"), harness.Options{Seed: 1}).Result
	g.Expect(weak.Verdict).To(Equal(rundir.Inconclusive))
	g.Expect(weak.Reasons).To(ContainElements(
		"the record is too weak: no message was received and no work was done",
		"the record is too weak: no checkpoint was committed",
		"the record is too weak: no process was restored (1 crashed), so nothing is known about recovery"))
}

func TestARunWhoseRecordHasHolesIsInconclusive(t *testing.T) {
	g := NewWithT(t)
	for bound, complete := range map[int]bool{0: true, 5: false} {
		f := run(t, dinner(t, "spicy"), harness.Options{Seed: 1, Out: t.TempDir(), Runtime: sim.New(sim.Options{Record: bound})})
		g.Expect(len(f.Result.Reasons) > 0 && f.Result.Verdict == rundir.Inconclusive &&
			slices.ContainsFunc(f.Result.Reasons, func(s string) bool { return strings.HasPrefix(s, "the record is incomplete: ") })).To(Equal(!complete), "%v", f.Result.Reasons)
	}
}
