package history

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// counter is a clock that advances by one nanosecond with each reading.
func counter() func() time.Duration {
	var n atomic.Int64
	return func() time.Duration { return time.Duration(n.Add(1)) }
}

// childEnv makes this test binary record until it is killed.
const childEnv = "CLEANCUT_TEST_RECORD_TO"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		recordForever(path)
	}
	os.Exit(m.Run())
}

// recordForever prints the index of each event after it was recorded.
func recordForever(path string) {
	f, err := CreateFile(path, FileOptions{})
	if err != nil {
		panic(err)
	}
	r := NewRecorder(counter(), f)
	for i := 0; ; i++ {
		if _, err := r.Invoke(0, "write", "x", Int(int64(i)), "n1"); err != nil {
			panic(err)
		}
		index, err := r.Complete(0, OK, Nil, "n1", "")
		if err != nil {
			panic(err)
		}
		fmt.Println(index)
	}
}

func TestHarnessKilledAtAnyMomentLosesNoRecordedEvent(t *testing.T) {
	for round := range 5 {
		path := filepath.Join(t.TempDir(), "history.jsonl")
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childEnv+"="+path)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines, last := bufio.NewScanner(out), int64(-1)
		for lines.Scan() {
			if last, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
				t.Fatalf("the child says %q", lines.Text())
			}
			if last > int64(20_000*(round+1)) {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		for lines.Scan() { // what it still said before it died
			if n, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil && n > last {
				last = n
			}
		}
		_ = child.Wait() // it was killed
		events, _, err := ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(events)) <= last {
			t.Fatalf("event %d was recorded, but only %d survived", last, len(events))
		}
	}
}

func TestRecorderWritesWhatReadersRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	f, err := CreateFile(path, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := NewRecorder(counter(), f)
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for i := range 20_000 { // more than a chunk in all
				must(t)(r.Invoke(p, "write", "key", Int(int64(i)), "n1"))
				must(t)(r.Complete(p, OK, Nil, "", ""))
			}
		})
	}
	wg.Wait()
	must(t)(r.Phase("liveness"))
	must(t)(r.Fault(FaultStart, "kill(n1)", []string{"n1"}, ""))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	events, torn, err := ReadFile(path)
	if err != nil || torn || len(events) != 160_003 {
		t.Fatalf("%d events, torn %v, error %v", len(events), torn, err)
	}
	ops, err := Operations(events)
	if err != nil || len(ops) != 80_000 {
		t.Fatalf("%d operations, error %v", len(ops), err)
	}
	if c := r.Counts(); c.OK != 80_000 || c.Open != 0 {
		t.Fatalf("counts are %+v", c)
	}
	if _, err := r.Phase("late"); !errors.Is(err, ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
	if _, err := CreateFile(path, FileOptions{}); !errors.Is(err, os.ErrExist) {
		t.Fatalf("creating it again: %v", err)
	}
}

func must(t *testing.T) func(int64, error) {
	return func(_ int64, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
}

func TestRecorderRefusesWhatNoHistoryMayContain(t *testing.T) {
	now := time.Duration(10)
	fresh := func() *Recorder {
		now = 10
		r := NewRecorder(func() time.Duration { return now }, &Memory{})
		must(t)(r.Invoke(1, "read", "x", Nil, ""))
		return r
	}
	for name, c := range map[string]struct {
		do   func(r *Recorder) (int64, error)
		want string
	}{
		"two open operations": {func(r *Recorder) (int64, error) { return r.Invoke(1, "write", "x", Nil, "") },
			"process 1 invokes write while its read is open"},
		"completion without invocation": {func(r *Recorder) (int64, error) { return r.Complete(2, OK, Nil, "", "") },
			"process 2 completes an operation, but has none open"},
		"use after info": {func(r *Recorder) (int64, error) {
			must(t)(r.Complete(1, Info, Nil, "", "timeout"))
			return r.Invoke(1, "read", "x", Nil, "")
		}, "process 1 invokes read after an operation of unknown outcome; go on as another process"},
		"negative process": {func(r *Recorder) (int64, error) { return r.Invoke(-1, "read", "x", Nil, "") },
			"process -1 invokes read; processes count from 0"},
		"an end that is none": {func(r *Recorder) (int64, error) { return r.Complete(1, FaultEnd, Nil, "", "") },
			"an operation cannot end with fault-end; expected ok, fail or info"},
		"a fault that is none": {func(r *Recorder) (int64, error) { return r.Fault(OK, "kill", nil, "") },
			"ok is not an event of a fault; expected fault-start or fault-end"},
		"time backwards": {func(r *Recorder) (int64, error) { now = 9; return r.Phase("x") },
			"the clock went back from 10 to 9 ns"},
	} {
		t.Run(name, func(t *testing.T) {
			r := fresh()
			_, err := c.do(r)
			if !errors.Is(err, ErrRule) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
		})
	}
	r := fresh()
	must(t)(r.Complete(1, OK, Int(1), "", ""))
	must(t)(r.Invoke(1, "read", "x", Nil, "")) // the accepted counterpart
}

func TestFullRecorderStillCompletesWhatIsOpen(t *testing.T) {
	f, err := CreateFile(filepath.Join(t.TempDir(), "h"), FileOptions{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	r := NewRecorder(counter(), f)
	must(t)(r.Invoke(1, "write", "x", String(strings.Repeat("v", 50)), ""))
	if _, err := r.Invoke(2, "write", "x", Nil, ""); !errors.Is(err, ErrFull) {
		t.Fatalf("beyond the limit: %v", err)
	}
	must(t)(r.Complete(1, OK, Nil, "", ""))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestEventThatIsTooLongIsRefusedAndTheRestGoesOn(t *testing.T) {
	f, err := CreateFile(filepath.Join(t.TempDir(), "h"), FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := NewRecorder(counter(), f)
	if _, err := r.Invoke(1, "write", "x", String(strings.Repeat("v", MaxLine)), ""); err == nil || !strings.Contains(err.Error(), "at most 1048576 are allowed") {
		t.Fatalf("a long value: %v", err)
	}
	must(t)(r.Invoke(1, "write", "x", String(strings.Repeat("v", MaxLine-200)), ""))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestContradictoryHistoriesAreRefused(t *testing.T) {
	invoke := func(i int64, p int, f string) Event { return Event{Index: i, Time: 5, Kind: Invoke, Process: p, F: f} }
	end := func(i int64, k EventKind, p int, f string) Event {
		return Event{Index: i, Time: 5, Kind: k, Process: p, F: f}
	}
	for name, c := range map[string]struct {
		events []Event
		want   string
	}{
		"two open":        {[]Event{invoke(0, 1, "a"), invoke(1, 1, "b")}, "event 1: process 1 invokes b while its a is open"},
		"none open":       {[]Event{end(0, OK, 1, "a")}, "event 0: process 1 completes a, but has no operation open"},
		"other function":  {[]Event{invoke(0, 1, "a"), end(1, OK, 1, "b")}, "event 1: process 1 completes b, but what it has open is a"},
		"other key":       {[]Event{invoke(0, 1, "a"), {Index: 1, Time: 5, Kind: OK, Process: 1, F: "a", Key: "k"}}, `event 1: process 1 completes a of key "k", but invoked it on key ""`},
		"retired":         {[]Event{invoke(0, 1, "a"), end(1, Info, 1, "a"), invoke(2, 1, "a")}, "event 2: process 1 invokes a after an operation of unknown outcome; it must be retired"},
		"index":           {[]Event{invoke(1, 1, "a"), end(1, OK, 1, "a")}, "event 1: it follows event 1; indices must rise"},
		"time":            {[]Event{invoke(0, 1, "a"), {Index: 1, Time: 4, Kind: OK, Process: 1, F: "a"}}, "event 1: its time, 0.000000004 s, is before that of the event before it, 0.000000005 s"},
		"never":           {[]Event{invoke(0, 1, "a"), {Index: 1, Time: Never, Kind: OK, Process: 1, F: "a"}}, "event 1: its time is 9223372036854775807, which stands for never"},
		"last index":      {[]Event{invoke(1<<63-1, 1, "a")}, "event 9223372036854775807: its index is 9223372036854775807, which stands for never"},
		"process of none": {[]Event{invoke(0, -1, "a")}, "event 0: process -1 invokes a; processes count from 0"},
	} {
		if _, err := Operations(c.events); err == nil || err.Error() != "history: "+c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	ops, err := Operations([]Event{
		invoke(0, 1, "a"), invoke(1, 2, "b"), end(2, OK, 1, "a"), invoke(3, 1, "c"), end(4, Info, 2, "b"),
	})
	if err != nil || len(ops) != 3 || ops[0].Outcome != OK || ops[1].Outcome != Info || ops[2].Completed != Never || ops[2].Return != -1 {
		t.Fatalf("a history without contradiction: %+v, %v", ops, err)
	}
}

// BenchmarkRecord records operations of two clients per core to a file
// against a target that does nothing.
func BenchmarkRecord(b *testing.B) {
	f, err := CreateFile(filepath.Join(b.TempDir(), "h"), FileOptions{Limit: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	r := NewRecorder(func() time.Duration { return time.Since(start) }, f)
	var process atomic.Int64
	b.SetParallelism(2)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		p := int(process.Add(1))
		for i := int64(0); pb.Next(); i++ {
			if _, err := r.Invoke(p, "write", "key-17", Int(i), "n1"); err != nil {
				b.Error(err)
			}
			if _, err := r.Complete(p, OK, Int(i), "n1", ""); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "operations/s")
	b.ReportMetric(float64(runtime.GOMAXPROCS(0)), "cores")
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
}
