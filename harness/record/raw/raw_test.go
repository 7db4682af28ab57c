package raw

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/record"
)

func lines(events []record.Event) (list []string) {
	for _, e := range events {
		list = append(list, fmt.Sprintf("%d %s %d %s%s", e.T, e.Proc, e.Inc, e.Kind, e.Msg))
	}
	return list
}

func same(t *testing.T, got []record.Event, want ...string) {
	t.Helper()
	if g := lines(got); !slices.Equal(g, want) {
		t.Errorf("got %q, want %q", g, want)
	}
}

func collect(t *testing.T, text string, killed []time.Duration, down bool) ([]record.Event, error) {
	t.Helper()
	return Collect("n1", strings.NewReader(text), killed, down)
}

func TestAFileIsNumberedAndCrashesThatNobodyWroteDownAreAdded(t *testing.T) {
	const text = `{"t":1,"kind":"start"}
{"t":2,"kind":"restore"}
{"t":5,"kind":"start"}
{"t":6,"kind":"crash"}
{"t":9,"kind":"crash"}
{"t":10,"kind":"start"}
`
	events, err := collect(t, text, []time.Duration{4, 20}, true)
	if err != nil {
		t.Fatal(err)
	}
	same(t, events, "1 n1 1 start", "2 n1 2 restore", "4 n1 2 crash", "5 n1 3 start", "6 n1 3 crash", "10 n1 4 start", "20 n1 4 crash")
	events, err = collect(t, text, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	same(t, events, "1 n1 1 start", "2 n1 2 restore", "2 n1 2 crash", "5 n1 3 start", "6 n1 3 crash", "10 n1 4 start")
}

func TestALineThatItsDeadProcessDidNotFinishIsLeftOutAndAnyOtherIsAHole(t *testing.T) {
	events, err := collect(t, "{\"t\":1,\"kind\":\"start\"}\n{\"t\":2,\"ki\n{\"t\":3,\"kind\":\"crash\"}\n", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	same(t, events, "1 n1 1 start", "3 n1 1 crash")
	if _, err := collect(t, "{\"t\":1,\"kind\":\"start\"}\n{\"t\":2,\"ki\n{\"t\":3,\"kind\":\"stop\"}\n", nil, false); err == nil {
		t.Error("a hole in the life of a process was not noticed")
	}
	events, err = collect(t, "{\"t\":1,\"kind\":\"start\"}\n{\"t\":2,\"ki", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	same(t, events, "1 n1 1 start") // it is being written
}

func TestAWriterEndsTheLineOfItsPredecessorAndSaysWhenItIsFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record.jsonl")
	if err := Crash(path, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the crash of a process that recorded nothing made a file")
	}
	if err := os.WriteFile(path, []byte(`{"t":1,"kind":"start"}`+"\n"+`{"t":1,"ki`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Crash(path, "it was killed"); err != nil {
		t.Fatal(err)
	}
	w, err := Open(path, 300)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := w.Write(record.Event{Kind: record.Start}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	events, err := Collect("n1", strings.NewReader(string(b)), nil, false)
	if err == nil || !strings.Contains(err.Error(), "reached its limit") {
		t.Errorf("a record that is full: %v", err)
	}
	if len(events) < 4 || events[0].Kind != record.Start || events[1].Kind != record.Crash || events[2].Kind != record.Start {
		t.Errorf("%q", lines(events))
	}
}

func TestProcessesAreMergedByTimeOnTheClockOfTheRun(t *testing.T) {
	a := []record.Event{{T: 90, Proc: "a", Kind: "x"}, {T: 110, Proc: "a", Kind: "y"}, {T: 110, Proc: "a", Kind: "z"}}
	b := []record.Event{{T: 95, Proc: "b", Kind: "x"}, {T: 110, Proc: "b", Kind: "y"}}
	same(t, Merge(100, a, b), "0 a 0 x", "0 b 0 x", "10 a 0 y", "10 a 0 z", "10 b 0 y")
	same(t, Before(109, a), "90 a 0 x")
	same(t, Before(110, a), "90 a 0 x", "110 a 0 y", "110 a 0 z")
	if Merge(100, nil, nil) != nil {
		t.Error("nothing became something")
	}
}
