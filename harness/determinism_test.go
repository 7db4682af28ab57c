package harness_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/rundir"
	"github.com/cleancut/cleancut/harness/sim"
	"github.com/cleancut/cleancut/workloads"
)

// dense is the reference store under everything that can be drawn, at such
// rates that two seconds hold several faults and nodes that die have several
// requests open.
func dense() harness.Scenario {
	s := scenario()
	s.Name, s.Time, s.Clients, s.Rate = "test/dense", 2*time.Second, 8, 60
	s.Drawing.Every, s.Drawing.ForMax = 400*time.Millisecond, time.Second
	return s
}

// simulate runs s in a world that is drawn from the seed, as sweeps do.
func simulate(t testing.TB, s harness.Scenario, o harness.Options) *harness.Finished {
	t.Helper()
	p := sim.DrawProfile(o.Seed)
	o.Runtime = sim.New(sim.Options{Profile: &p})
	f, err := harness.Run(context.Background(), s, o)
	if err != nil {
		t.Fatalf("seed %d: %v", o.Seed, err)
	}
	return f
}

// course is all that must be the same when a run is repeated, in one line:
// the trace, the verdict with its reasons, the faults with their receipts, and
// the history.
func course(f *harness.Finished) string {
	h := fnv.New64a()
	var line []byte
	for i := range f.Evidence.Events {
		line = f.Evidence.Events[i].AppendJSON(line[:0])
		_, _ = h.Write(line) // never fails, by its contract
	}
	r := &f.Result
	ledger := fnv.New64a()
	for _, x := range r.Faults {
		fmt.Fprintf(ledger, "%+v\n", x)
	}
	return fmt.Sprintf("trace %s, %s, %v, %d operations, %d faults %x, %d events of history %x",
		r.TraceHash, r.Verdict, r.Reasons, r.Operations.Total, len(r.Faults), ledger.Sum64(), len(f.Evidence.Events), h.Sum64())
}

// courseOf runs a seed of the dense scenario.
func courseOf(t testing.TB, seed uint64) string {
	return course(simulate(t, dense(), harness.Options{Seed: seed}))
}

// fewer cuts a number of repetitions in tests that are to be short.
func fewer(n int) int {
	if testing.Short() {
		return n / 5
	}
	return n
}

func TestDeterminism(t *testing.T) {
	if n := os.Getenv(seedsVariable); n != "" {
		printCourses(t, n)
		return
	}
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"a scenario takes the same course a thousand times", sameCourseAThousandTimes},
		{"a scenario takes the same course in another process", sameCourseInAnotherProcess},
		{"what is kept and shown does not change the course", sameCourseKeptAndShown},
		{"a recorded run replays with the same trace", sameTraceReplayed},
		{"without one fault everything before it is the same", sameBeforeAFault},
		{"without one fault the others hit the same nodes", sameNodesHit},
	} {
		t.Run(c.name, c.test)
	}
}

func sameCourseAThousandTimes(t *testing.T) {
	const seeds = 20
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	want := map[uint64]string{}
	verdicts, injected := map[rundir.Outcome]int{}, 0
	for i := range fewer(1000) {
		runtime.GOMAXPROCS(1 + i/seeds%2)
		seed := uint64(i % seeds)
		f := simulate(t, dense(), harness.Options{Seed: seed})
		got := course(f)
		if was, again := want[seed]; again && was != got {
			t.Fatalf("run %d, seed %d, GOMAXPROCS=%d:\nwas %s\nis  %s", i, seed, runtime.GOMAXPROCS(0), was, got)
		} else if !again {
			verdicts[f.Result.Verdict]++
			injected += len(f.Result.Faults)
		}
		want[seed] = got
	}
	different := map[string]int{}
	for _, line := range want {
		different[strings.Fields(line)[1]]++
	}
	if len(different) != seeds {
		t.Errorf("%d seeds gave %d traces: %v", seeds, len(different), different)
	}
	if injected < 3*seeds || verdicts[rundir.Valid] == 0 {
		t.Errorf("%d faults and the verdicts %v in %d seeds prove little", injected, verdicts, seeds)
	}
}

// seedsVariable makes a child process print the courses of that many seeds.
const seedsVariable = "HARNESS_TEST_COURSES_OF_SEEDS"

// printCourses is what the child process does.
func printCourses(t *testing.T, seeds string) {
	n, err := strconv.ParseUint(seeds, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range n {
		fmt.Printf("seed %d: %s\n", seed, courseOf(t, seed))
	}
}

func sameCourseInAnotherProcess(t *testing.T) {
	n := uint64(fewer(20))
	for _, procs := range []string{"1", "2"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDeterminism$", "-test.timeout=100s")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", seedsVariable, n), "GOMAXPROCS="+procs)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("GOMAXPROCS=%s: %v\n%s", procs, err, out)
		}
		for seed := range n {
			if line := fmt.Sprintf("seed %d: %s\n", seed, courseOf(t, seed)); !strings.Contains(string(out), line) {
				t.Fatalf("another process with GOMAXPROCS=%s gave not\n%sbut\n%s", procs, line, out)
			}
		}
	}
}

func sameCourseKeptAndShown(t *testing.T) {
	looks := 0
	for seed := range uint64(fewer(20)) {
		want := courseOf(t, seed)
		kept := simulate(t, dense(), harness.Options{Seed: seed, Out: t.TempDir()})
		if got := course(kept); got != want {
			t.Errorf("seed %d:\nin memory %s\non disk   %s", seed, want, got)
		}
		shown, n := watched(t, seed)
		if got := course(shown); got != want {
			t.Errorf("seed %d:\nunwatched %s\nwatched   %s", seed, want, got)
		}
		looks += n
	}
	if looks == 0 {
		t.Error("nobody looked at the progress")
	}
}

// watched runs a seed while somebody looks at its progress all the time, and
// returns how often.
func watched(t *testing.T, seed uint64) (f *harness.Finished, looks int) {
	progress, done, ended := new(harness.Progress), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for ; ; looks++ {
			select {
			case <-done:
				return
			default:
				_ = progress.Snapshot()
				runtime.Gosched()
			}
		}
	}()
	f = simulate(t, dense(), harness.Options{Seed: seed, Progress: progress})
	close(done)
	<-ended
	return f, looks
}

func sameTraceReplayed(t *testing.T) {
	g := NewWithT(t)
	for seed := range uint64(fewer(30)) {
		first := simulate(t, dense(), harness.Options{Seed: seed, Out: t.TempDir()})
		dir, err := rundir.Open(first.Dir)
		g.Expect(err).NotTo(HaveOccurred())
		var setup harness.Setup
		g.Expect(dir.Scenario(&setup)).To(Succeed())
		g.Expect(setup.Drawn).To(BeTrue())
		base := dense() // as the catalog has it: the setup brings the rest
		base.Nodes, base.Time, base.Rate, base.Drawing = 0, 0, 0, faults.Drawing{}
		again, err := setup.Apply(base.WithDefaults())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(again.Plan).NotTo(BeEmpty())
		if got, want := course(simulate(t, again, harness.Options{Seed: seed})), course(first); got != want {
			t.Errorf("seed %d, %s:\nrecorded %s\nreplayed %s", seed, setup.Plan, want, got)
		}
		again.Rate++
		if got := simulate(t, again, harness.Options{Seed: seed}); got.Result.TraceHash == first.Result.TraceHash {
			t.Errorf("seed %d: another rate gives the same trace: the traces say nothing", seed)
		}
	}
}

// sameBeforeAFault removes each chain of a drawn
// plan in turn. Without this nothing could be shrunk.
func sameBeforeAFault(t *testing.T) {
	parted, compared := 0, 0
	for seed := range uint64(fewer(20)) {
		s := dense()
		s.Plan = s.Drawing.Draw(seed, s.Nodes, s.Time)
		all := simulate(t, s, harness.Options{Seed: seed})
		chains := s.Plan.Chains()
		for i, removed := range chains {
			less := s
			less.Plan = slices.Concat(slices.Delete(slices.Clone(chains), i, i+1)...)
			less.NoFaults = len(less.Plan) == 0
			if less.NoFaults {
				less.Plan = nil
			}
			f := simulate(t, less, harness.Options{Seed: seed})
			until := phaseStart(f, harness.PhaseFaults) + removed[0].When.After
			a, b := before(all, until), before(f, until)
			if !slices.Equal(a, b) {
				t.Fatalf("seed %d: without %s, what happened before %v was another:\n%s\nnot\n%s", seed, removed, until, strings.Join(b, "\n"), strings.Join(a, "\n"))
			}
			sameChoices(t, all, f)
			compared += len(a)
			if f.Result.TraceHash != all.Result.TraceHash {
				parted++
			}
		}
	}
	if parted == 0 || compared < 1000 {
		t.Errorf("%d runs took another course and %d events were compared: that proves nothing", parted, compared)
	}
}

func phaseStart(f *harness.Finished, name string) time.Duration {
	i := slices.IndexFunc(f.Result.Phases, func(p rundir.Phase) bool { return p.Name == name })
	return f.Result.Phases[i].Start
}

// before returns what the history has before a time.
func before(f *harness.Finished, until time.Duration) (lines []string) {
	for i := range f.Evidence.Events {
		if e := &f.Evidence.Events[i]; e.Time < until {
			lines = append(lines, string(e.AppendJSON(nil)))
		}
	}
	return lines
}

// sameChoices compares what the clients of two runs drew, over the whole
// runs: the keys, and whether to write. What they had seen differs, so that
// one may compare and set where the other must read.
func sameChoices(t *testing.T, a, b *harness.Finished) {
	t.Helper()
	x, y := choices(a), choices(b)
	for client, list := range x {
		n := min(len(list), len(y[client]))
		if n == 0 || !slices.Equal(list[:n], y[client][:n]) {
			t.Errorf("client %d drew %v and %v", client, list, y[client])
		}
	}
}

func choices(f *harness.Finished) map[int][]string {
	clients := dense().WithDefaults().Clients
	final := phaseStart(f, harness.PhaseFinal)
	drawn := map[int][]string{}
	for _, op := range f.Evidence.Operations {
		if op.Invoked >= final {
			continue // these read all keys in turn
		}
		what := "other " + op.Key
		if op.F == workloads.Write {
			what = "write " + op.Key
		}
		client := op.Process % clients
		drawn[client] = append(drawn[client], what)
	}
	return drawn
}

func sameNodesHit(t *testing.T) {
	g := NewWithT(t)
	const first, others = "at 300ms kill(one) for 200ms", "at 1s partition(halves) for 300ms; at 1500ms pause(one) for 300ms"
	differ := map[string]bool{}
	for seed := range uint64(fewer(20)) {
		hit := func(text string) (nodes []string) {
			s := dense()
			var err error
			s.Plan, err = faults.Parse(text)
			g.Expect(err).NotTo(HaveOccurred())
			for _, x := range simulate(t, s, harness.Options{Seed: seed}).Result.Faults {
				nodes = append(nodes, strings.Join(x.Nodes, "+"))
			}
			return nodes
		}
		all, rest := hit(first+"; "+others), hit(others)
		g.Expect(all).To(HaveLen(3))
		g.Expect(all[1:]).To(Equal(rest), "seed %d", seed)
		differ[strings.Join(rest, " ")] = true
	}
	g.Expect(len(differ)).To(BeNumerically(">", 1), "all seeds hit the same nodes")
}
