package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/harness/rundir"
)

// TestMain lets the test binary be the command, for workers of sweeps.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// said is what a command line printed.
type said struct {
	code     int
	out, err string
}

// cleancut runs a command line in an empty folder.
func cleancut(t *testing.T, args ...string) said {
	t.Helper()
	var out, err bytes.Buffer
	code := execute(t.Context(), args, &out, &err)
	return said{code, out.String(), err.String()}
}

// only returns the one result that --json printed.
func only(t *testing.T, out string) *rundir.Result {
	t.Helper()
	var all printed
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all.Results) != 1 {
		t.Fatalf("%v, %d results: %s", err, len(all.Results), out)
	}
	return all.Results[0]
}

func TestBadInputIsRefusedInOneSentenceAndLeavesNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct{ args, want string }{
		{"run replication/raft-partition", `no scenario or group is named "replication/raft-partition"`},
		{"run --runtime podman", `no runtime is named "podman"`},
		{"run --frobnicate", "unknown flag: --frobnicate"},
		{"run --nodes many", `invalid argument "many"`},
		{"run --seed -1", "expected a number from 0"},
		{"run --runtime sim --nodes 0", "0 nodes; expected 1 to 250"},
		{"run --runtime sim --clients 1001", "1001 clients; expected 1 to 1000"},
		{"run --runtime sim --rate 0", "a rate of 0 operations/s"},
		{"run --runtime sim --time 1ms", "a time of 1ms; expected 100ms to 24h"},
		{"run --runtime sim --bug no-such", `store has no planted bug "no-such"; there are: stale-local-read`},
		{"run --runtime sim --target mysql", `no target is named "mysql"; there are: store, etcd`},
		{"run --runtime sim --workload bank", `no workload is named "bank"; there are: register`},
		{"run --runtime sim --faults kil", `no fault is named "kil"; there are: kill`},
		{"run --runtime sim --faults ", "--faults is empty"},
		{"run --runtime sim --faults at_2s_kill(n9)", "no such node"},
		{"run --runtime sim --faults at_1s_kill(one);_at_2s_kill(al)", `step 2, column 29, "at 2s kill(al)": no such node: "al"`},
		{"run --runtime sim --faults on_vote.grantd_kill(self)", "did you mean vote.granted?"},
		{"run --runtime sim --faults at_1s_partition(n1|n9)", `step 1, column 20`},
		{"run --runtime sim --faults at_2s_kill(0)", "at least one victim"},
		{"run --runtime sim --faults on_vote_kill(self)", `step 1, column 4, "on vote kill(self)": no program here has a point "vote"`},
		{"run --runtime sim --time 1s --faults at_2s_kill(one)_for_3s", "the plan lasts 5s, but the time for faults is 1s"},
		{"run --runtime sim --nodes 1 --faults at_1s_partition(halves)", "needs two nodes or more"},
		{"run etcd/partitions --runtime sim", "cannot be simulated"},
		{"run etcd/partitions --runtime docker --bug x", `etcd has no planted bugs`},
		{"replay", "accepts 1 arg(s), received 0"},
		{"replay nowhere", "not a run directory"},
		{"check nowhere", "no such file"},
		{"report .", "no scenario.json"},
		{"list", "accepts 1 arg(s)"},
		{"list everything", `there is no list of "everything"`},
		{"sweep replication/raft-trio --seeds 9..1", "expected A..B with A ≤ B"},
		{"sweep replication/raft-trio --shard 3/2", "expected I/N"},
		{"sweep replication/raft-trio --workers 0", "expected 1 to 256"},
		{"sweep etcd/partitions", "cannot be swept"},
		{"sweep replication/raft-trio --junit /dev/null/all.xml", "--junit"},
		{"run --runtime sim --junit /dev/null/all.xml", "--junit"},
		{"sweep replication/raft-trio --out /dev/null/runs", "give another place with --out"},
		{"run --runtime sim --out /dev/null/runs", "give another place with --out"},
		{"sweep --bug no-such-bug", `no target has a planted bug "no-such-bug"`},
		{"sweep --bug ack-on-apend", "did you mean ack-on-append?"},
		{"sweep replication/raft-trio replication/raft-trio", "replication/raft-trio is named twice"},
		{"sweep replication/raft-trio --max-inconclusive 101%", "expected a share from 0% to 100%"},
		{"interval replication", "replication is 3 scenarios; name one of them"},
		{"interval checkpointing/coordinated-stencil-crashes", "does not draw its failures at exponentially distributed times"},
		{"interval --faults none", "does not draw its failures at exponentially distributed times"},
		{"interval replication/raft-swarm --mtbf 2s", `store has no settings`},
		{"interval etcd/crashes --mtbf 2s", "cannot be simulated"},
		{"interval --intervals 1s,2s,3s", "--intervals names 3 intervals; expected 4 to 100"},
		{"interval --intervals 1s,2s,3s,1s", "--intervals has 1s; expected each once"},
		{"interval --intervals 1s,2s,3s,1h", "--intervals has 1h0m0s"},
		{"interval --seeds 9..1", "expected A..B with A ≤ B"},
		{"interval --mtbf 1us", "mean time between failures of 1ms or more"},
		{"frobnicate", `there is no command "frobnicate"`},
	} {
		args := strings.Split(c.args, " ")
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "_", " ")
		}
		got := cleancut(t, args...)
		if got.code != exitUsage || !strings.Contains(got.err, c.want) {
			t.Errorf("%s: exit code %d, said %q; want %d and %q", c.args, got.code, got.err, exitUsage, c.want)
		}
		if got.out != "" {
			t.Errorf("%s: printed a result: %q", c.args, got.out)
		}
	}
	left, err := filepath.Glob("runs/*/*/*")
	if err != nil || len(left) > 0 {
		t.Errorf("run directories were left: %v %v", left, err)
	}
}

func TestARunEndsWithVerdictReportAndTheCommandThatRepeatsIt(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	got := cleancut(t, "run", "--runtime", "sim", "--seed", "7", "--time", "5s", "--junit", "all.xml")
	g.Expect(got.code).To(Equal(exitValid), got.err)
	g.Expect(got.out).To(And(HavePrefix("VALID  replication/raft-partitions on sim, seed 7"),
		ContainSubstring("again    cleancut run replication/raft-partitions --runtime sim --seed 7 --time 5s")))
	g.Expect(got.err).To(ContainSubstring("runtime sim: it was asked for"))
	for _, name := range []string{"scenario.json", "history.jsonl", "faults.jsonl", "result.json", "report.html", "junit.xml"} {
		g.Expect(filepath.Join("runs/latest", name)).To(BeARegularFile())
	}
	b, err := os.ReadFile("all.xml")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(xml.Unmarshal(b, new(any))).To(Succeed())
}

func TestJSONHoldsWhatTheDesignPromises(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	got := cleancut(t, "run", "replication/raft-crashes", "--runtime", "sim", "--seed", "3", "--time", "5s", "--json")
	var all map[string][]map[string]any
	g.Expect(json.Unmarshal([]byte(got.out), &all)).To(Succeed(), got.out)
	g.Expect(all["results"]).To(HaveLen(1))
	r := all["results"][0]
	for _, field := range []string{"scenario", "runtime", "seed", "verdict", "reasons", "trace_hash", "operations", "faults", "checkers", "measures", "reproduce"} {
		g.Expect(r).To(HaveKey(field))
	}
	fault := r["faults"].([]any)[0].(map[string]any)
	for _, field := range []string{"fault", "nodes", "at", "healed_at", "receipt"} {
		g.Expect(fault).To(HaveKey(field))
	}
	checker := r["checkers"].([]any)[0].(map[string]any)
	for _, field := range []string{"name", "verdict", "algorithm", "seconds"} {
		g.Expect(checker).To(HaveKey(field))
	}
}

func TestReplayAndCheckAndReportWorkOnARunDirectory(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	first := cleancut(t, "run", "replication/raft-votes", "--runtime", "sim", "--seed", "5", "--time", "5s", "--json")
	before := only(t, first.out)
	run, err := filepath.EvalSymlinks("runs/latest")
	g.Expect(err).NotTo(HaveOccurred())

	replay := cleancut(t, "replay", run)
	g.Expect(replay.code).To(Equal(first.code), replay.err)
	g.Expect(replay.err).To(ContainSubstring("identical trace " + before.TraceHash))
	g.Expect(replay.out).To(ContainSubstring("again    " + before.Reproduce))

	check := cleancut(t, "check", run, "--json")
	g.Expect(check.code).To(Equal(first.code), check.err)
	again := only(t, check.out)
	g.Expect(again.Verdict).To(Equal(before.Verdict))
	g.Expect(again.Operations).To(Equal(before.Operations))
	other := cleancut(t, "check", run, "--workload", "set", "--memory", "1G")
	g.Expect(other.code).To(Equal(exitUsage))
	g.Expect(other.err).To(ContainSubstring("--memory, --workload: for histories; a run is judged as its scenario says"))

	g.Expect(os.Remove(filepath.Join(run, "report.html"))).To(Succeed())
	g.Expect(cleancut(t, "report", run).code).To(Equal(exitValid))
	g.Expect(filepath.Join(run, "report.html")).To(BeARegularFile())
}

func TestAHistoryFromElsewhereIsJudged(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	good := `{"index":0,"time":1,"type":"invoke","process":0,"f":"write","key":"x","value":1}
{"index":1,"time":2,"type":"ok","process":0,"f":"write","key":"x","value":1}
{"index":2,"time":3,"type":"invoke","process":1,"f":"read","key":"x","value":null}
{"index":3,"time":4,"type":"ok","process":1,"f":"read","key":"x","value":1}
`
	stale := strings.Replace(good, `"ok","process":1,"f":"read","key":"x","value":1`, `"ok","process":1,"f":"read","key":"x","value":null`, 1)
	g.Expect(os.WriteFile("good.jsonl", []byte(good), 0o644)).To(Succeed())
	g.Expect(os.WriteFile("stale.jsonl", []byte(stale), 0o644)).To(Succeed())
	g.Expect(os.WriteFile("torn.jsonl", []byte(good[:len(good)-20]), 0o644)).To(Succeed())
	check := func(args ...string) said { return cleancut(t, append([]string{"check"}, args...)...) }

	g.Expect(check("good.jsonl", "--workload", "register").code).To(Equal(exitValid))
	bad := check("stale.jsonl", "--workload", "register")
	g.Expect(bad.code).To(Equal(exitInvalid))
	g.Expect(bad.out).To(ContainSubstring("witness"))
	for want, got := range map[string]said{
		"--workload is needed":        check("good.jsonl"),
		"the last line is incomplete": check("torn.jsonl", "--workload", "register"),
		"--format \"xml\"":            check("good.jsonl", "--workload", "register", "--format", "xml"),
		"--model \"casual\"":          check("good.jsonl", "--workload", "register", "--model", "casual"),
	} {
		g.Expect(got.code).To(Equal(exitUsage))
		g.Expect(got.err).To(ContainSubstring(want))
	}
}

func TestASweepStopsAtTheFirstFindAndLeavesItsRun(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	got := cleancut(t, "sweep", "replication/raft-swarm", "--bug", "ack-on-append", "--seeds", "1..50", "--time", "10s", "--workers", "2")
	g.Expect(got.code).To(Equal(exitInvalid), got.err)
	g.Expect(got.out).To(And(ContainSubstring("INVALID  replication/raft-swarm on sim"), ContainSubstring("--bug ack-on-append")))
	g.Expect("runs/latest/report.html").To(BeARegularFile())
}

func TestASweepOfTheCorrectStoreFindsNothingAndComparesTraces(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	got := cleancut(t, "sweep", "replication/raft-quiet", "--seeds", "1..8", "--time", "5s", "--twice", "2", "--shard", "1/2")
	g.Expect(got.code).To(Equal(exitValid), got.err)
	g.Expect(got.err).To(ContainSubstring("4 seeds: 4 valid, 0 invalid"))
}

func TestListsHoldEverythingThatCanBeNamed(t *testing.T) {
	g := NewWithT(t)
	for list, want := range map[string]string{
		"targets": "etcd", "workloads": "cas-register", "faults": "power-loss(all)", "checkers": "linearizable",
		"scenarios": "replication/raft-votes", "bugs": "vote-not-persisted", "models": "linearizable", "points": "vote.granted",
	} {
		got := cleancut(t, "list", list)
		g.Expect(got.code).To(Equal(exitValid))
		g.Expect(got.out).To(ContainSubstring(want))
		var objects []map[string]string
		g.Expect(json.Unmarshal([]byte(cleancut(t, "list", list, "--json").out), &objects)).To(Succeed())
		g.Expect(objects).NotTo(BeEmpty())
	}
}

func TestCIDoesNotFallBackToTheSimulatorUnasked(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	t.Setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
	t.Setenv("CI", "true")
	for _, args := range [][]string{{"run"}, {"run", "replication/raft-quiet"}, {"run", "--runtime", "auto"}} {
		got := cleancut(t, args...)
		g.Expect(got.code).To(Equal(exitUsage), got.out)
		g.Expect(got.err).To(ContainSubstring("ask for it with --runtime sim"))
		g.Expect("runs").NotTo(BeADirectory())
	}
	quick := []string{"run", "replication/raft-partitions", "--seed", "7", "--time", "5s"}
	g.Expect(cleancut(t, append(quick, "--runtime", "sim")...).code).To(Equal(exitValid))
	t.Setenv("CI", "false")
	g.Expect(cleancut(t, quick...).err).To(ContainSubstring("runtime sim: no containers can be had"))
}

func TestNoResultsAreAnEmptyListInJSON(t *testing.T) {
	var b strings.Builder
	if err := printJSON(&b, nil); err != nil || strings.Join(strings.Fields(b.String()), "") != `{"results":[]}` {
		t.Errorf("%s, %v", b.String(), err)
	}
}

func TestTheWorstOfSeveralRunsDecides(t *testing.T) {
	g := NewWithT(t)
	for _, c := range []struct{ a, b, want rundir.Outcome }{
		{rundir.Valid, rundir.Inconclusive, rundir.Inconclusive},
		{rundir.Invalid, rundir.Inconclusive, rundir.Invalid},
		{rundir.Invalid, rundir.Error, rundir.Error},
		{rundir.Valid, rundir.Valid, rundir.Valid},
	} {
		g.Expect(worse(c.a, c.b)).To(Equal(c.want))
		g.Expect(worse(c.b, c.a)).To(Equal(c.want))
	}
}

func TestReproduceLinesSurviveAShell(t *testing.T) {
	g := NewWithT(t)
	for _, word := range []string{"plain", "at 2s kill(one); then 1s pause(same)", "it's", `a"b$c`, ""} {
		out, err := exec.Command("sh", "-c", "printf %s "+quote(word)).Output()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(out)).To(Equal(word))
	}
}

func TestChangedSettingsAreJudgedByWhatIsClaimedWithThem(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	const scenario = "checkpointing/coordinated-pipeline-crashes"
	got := cleancut(t, "run", scenario, "--runtime", "sim", "--seed", "3", "--set", "sink=at-least-once")
	g.Expect(got.code).To(Equal(exitValid), got.out)
	g.Expect(got.out).To(And(ContainSubstring("at-least-once:"), Not(ContainSubstring("exactly-once:"))))
	got = cleancut(t, "check", "runs/latest")
	g.Expect(got.code).To(Equal(exitValid), got.out)
	got = cleancut(t, "run", scenario, "--runtime", "sim", "--seed", "3", "--set", "protocol=cic")
	g.Expect(got.out).To(ContainSubstring("no-useless-checkpoints:"))
}
