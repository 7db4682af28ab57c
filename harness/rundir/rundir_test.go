package rundir

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/node"
)

var start = time.Date(2026, 11, 23, 20, 15, 0, 0, time.UTC)

func create(t *testing.T, root string) *Dir {
	t.Helper()
	d, err := Create(root, "replication/raft-partitions", 7, start, map[string]int{"nodes": 5})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRunDirectoryIsFoundAgainByPathAndByLatest(t *testing.T) {
	root := t.TempDir()
	d := create(t, root)
	if want := filepath.Join(root, "replication/raft-partitions/20261123T201500Z-7"); d.Path != want {
		t.Fatalf("made %s, want %s", d.Path, want)
	}
	second := create(t, root) // in the same second
	if second.Path == d.Path {
		t.Fatal("two runs share a directory")
	}
	for _, path := range []string{second.Path, filepath.Join(root, "latest"), filepath.Join(root, "replication/raft-partitions/latest"), second.File(ScenarioFile)} {
		got, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got.Path != second.Path {
			t.Errorf("%s opens %s, want %s", path, got.Path, second.Path)
		}
	}
	var spec map[string]int
	if err := second.Scenario(&spec); err != nil || spec["nodes"] != 5 {
		t.Fatalf("scenario %v, %v", spec, err)
	}
}

func TestWhatIsNotARunDirectoryIsRefusedWithAHint(t *testing.T) {
	root := t.TempDir()
	create(t, root)
	for path, want := range map[string]string{
		filepath.Join(root, "absent"): "not a run directory: lstat " + filepath.Join(root, "absent") + ": no such file or directory; give the folder that `cleancut run` printed",
		root:                          root + " is not a run directory: no scenario.json; give a run in it, such as " + filepath.Join(root, "latest"),
		t.TempDir():                   "is not a run directory: no scenario.json; give the folder that `cleancut run` printed",
	} {
		_, err := Open(path)
		if !errors.Is(err, ErrNotRun) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant … %s", path, err, want)
		}
	}
	for _, name := range []string{"", "../x", "a//b", "/etc", "a b", "a/../../b", "."} {
		if _, err := Create(root, name, 1, start, nil); err == nil || !strings.Contains(err.Error(), "cannot name a folder") {
			t.Errorf("scenario %q: %v", name, err)
		}
	}
	d := create(t, root)
	if _, err := d.NodeDir("../n1"); err == nil {
		t.Error("a node may leave its folder")
	}
	if err := os.Remove(filepath.Join(root, "latest")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "latest"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(root, "a/b", 1, start, nil); err == nil || !strings.Contains(err.Error(), "is in the way") {
		t.Errorf("a file named latest: %v", err)
	}
}

func TestDamagedEvidenceIsRefusedByName(t *testing.T) {
	d := create(t, t.TempDir())
	if _, err := d.Evidence(); err == nil || !strings.Contains(err.Error(), HistoryFile) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a history: %v", err)
	}
	write := func(name, content string) {
		if err := os.WriteFile(d.File(name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(HistoryFile, "{}\n")
	if _, err := d.Evidence(); err == nil || !strings.Contains(err.Error(), "history.jsonl: line 1: index: missing") {
		t.Errorf("a damaged history: %v", err)
	}
	write(HistoryFile, "")
	if _, err := d.Evidence(); err != nil {
		t.Errorf("an empty history: %v", err)
	}
	for content, want := range map[string]string{
		`{"entry":"begin","id":2}`:                     "ledger: line 1: fault 2 begins, expected 1",
		`{"entry":"healed","id":1}`:                    `ledger: line 1: entry "healed" of fault 1, which never began`,
		`{"entry":"begin","id":1,"when":3}`:            `ledger: line 1: json: unknown field "when"`,
		`{"entry":"begin","id":1}` + "\n" + `{"id":1}`: `ledger: line 2: entry "" of fault 1; expected begin, injected or healed`,
		strings.Repeat("x", ledgerLineMax+1):           "ledger: line 1: longer than 4194304 bytes",
	} {
		write(LedgerFile, content+"\n")
		if _, err := d.Evidence(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ledger %.40s:\n got %v\nwant %s", content, err, want)
		}
	}
	write(ResultFile, "[]")
	if _, err := d.Result(); err == nil || !strings.Contains(err.Error(), "the file is damaged or of another version") {
		t.Errorf("a damaged result: %v", err)
	}
}

func TestLedgerSurvivesTheHarnessAndTellsWhatIsLeftToUndo(t *testing.T) {
	d := create(t, t.TempDir())
	l, err := d.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	steps := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	one, err := l.Begin(time.Second, "partition(isolate one)", "partition", history.Omission, nil, map[string]string{"rule": "r1"})
	steps(err, l.Injected(one, 2*time.Second, "", []string{"n2"}, nil))
	two, err := l.Begin(3*time.Second, "pause(one)", "pause", history.Timing, []string{"n1"}, nil)
	steps(err, l.Injected(two, 3*time.Second, "", nil, errors.New("no such node")))
	var receipt cluster.Receipt
	receipt.Count("packets_dropped", 12)
	steps(l.Healed(two, 4*time.Second, receipt, true, nil))
	if err := l.Healed(two, 5*time.Second, receipt, true, nil); err == nil || !strings.Contains(err.Error(), "healed twice") {
		t.Errorf("healing twice: %v", err)
	}
	// The harness dies here, in the midst of a line.
	b, err := os.ReadFile(d.File(LedgerFile))
	steps(err)
	faults, entries, torn, err := ReadLedger(bytes.NewReader(append(b, `{"entry":"hea`...)))
	if err != nil || !torn || len(faults) != 2 {
		t.Fatalf("%d faults, torn %v, %v", len(faults), torn, err)
	}
	if !reflect.DeepEqual(faults, l.Faults()) {
		t.Errorf("read   %+v\nmemory %+v", faults, l.Faults())
	}
	open := Unhealed(entries)
	if len(open) != 1 || open[0].Fault != "partition(isolate one)" || string(open[0].Undo) != `{"rule":"r1"}` {
		t.Errorf("left to undo: %+v", open)
	}
	windows := Windows(faults, 9*time.Second)
	if windows[0].End != 9*time.Second || windows[0].Nodes[0] != "n2" || windows[1].End != 4*time.Second || !windows[1].Bit {
		t.Errorf("windows %+v", windows)
	}
	three, err := l.Begin(5*time.Second, "kill(one)", "kill", history.CrashRecovery, nil, nil)
	steps(err, l.Injected(three, 5*time.Second, "", nil, errors.New(NotInjected+"nobody came")), l.Healed(three, 5*time.Second, cluster.Receipt{}, false, nil))
	if windows := Windows(l.Faults(), 9*time.Second); len(windows) != 2 {
		t.Errorf("a fault that was never tried is no window: %+v", windows)
	}
	steps(l.Close())
}

func TestFindingsTellWhetherAnybodyWatched(t *testing.T) {
	for _, want := range [][]node.Finding{nil, {}} {
		d := create(t, t.TempDir())
		err := os.WriteFile(d.File(HistoryFile), nil, 0o644)
		if err = errors.Join(err, d.WriteFindings(want)); err != nil {
			t.Fatal(err)
		}
		if l, err := d.Evidence(); err != nil || !reflect.DeepEqual(l.Findings, want) {
			t.Errorf("%#v was read back as %#v, %v", want, l.Findings, err)
		}
	}
}

func TestEvidenceIsReadBackAsItWasWritten(t *testing.T) {
	d := create(t, t.TempDir())
	f, err := history.CreateFile(d.File(HistoryFile), history.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Duration(0)
	r := history.NewRecorder(func() time.Duration { now += time.Second; return now }, f)
	record := func(_ int64, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	record(r.Phase("faults"))
	record(r.Fault(history.FaultStart, "kill(n1)", []string{"n1"}, ""))
	record(r.Invoke(0, "write", "x", history.Int(1), "n1"))
	record(r.Complete(0, history.OK, history.Int(1), "n1", ""))
	record(r.Fault(history.FaultEnd, "kill(n1)", []string{"n1"}, "boots=1"))
	record(r.Phase("liveness"))
	record(r.Invoke(0, "read", "x", history.Nil, "n1"))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	final := checkers.Final{Node: "n1", Status: node.Status{Node: "n1", Applied: 3, StateHash: "ab"}}
	for _, err := range []error{
		d.WriteFinal(checkers.Final{Node: "n10", Err: "down"}), d.WriteFinal(final), d.WriteFinal(checkers.Final{Node: "n2"}),
		os.WriteFile(filepath.Join(d.NodesDir(), "n1", "boot-2.log"), []byte("second\n"), 0o644),
		os.WriteFile(filepath.Join(d.NodesDir(), "n1", "boot-10.log"), []byte("tenth\n"), 0o644),
		d.WriteFindings([]node.Finding{{Node: "n1", Invariant: "panic", Text: "index out of range"}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := d.Evidence()
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Operations) != 2 || l.Operations[1].Outcome != history.Info || len(l.Findings) != 1 {
		t.Errorf("operations %+v, findings %+v", l.Operations, l.Findings)
	}
	if len(l.Finals) != 3 || l.Finals[0] != final || l.Finals[1].Node != "n2" || l.Finals[2].Node != "n10" {
		t.Errorf("finals %+v", l.Finals)
	}
	if got := string(l.Logs["n1"]); got != "second\ntenth\n" {
		t.Errorf("log %q", got)
	}
	want := []checkers.Phase{{Name: "faults", Start: time.Second, End: 6 * time.Second}, {Name: "liveness", Start: 6 * time.Second, End: 8 * time.Second}}
	if !reflect.DeepEqual(l.Phases, want) {
		t.Errorf("phases %+v", l.Phases)
	}
	if len(l.Faults) != 1 || l.Faults[0].Kind != "kill" || l.Faults[0].End != 5*time.Second || len(l.Notes) != 2 {
		t.Errorf("faults %+v, notes %q", l.Faults, l.Notes)
	}
}

func TestResultSurvivesJSONWithItsWitness(t *testing.T) {
	d := create(t, t.TempDir())
	r := &Result{
		Scenario: "a/b", Seed: 1<<64 - 1, Verdict: Invalid, Reasons: []string{"x"}, Measures: map[string]float64{},
		Checkers: []checkers.Verdict{{Checker: "linearizable", Verdict: checkers.Invalid, Witness: &checkers.Witness{
			Summary: "s", Picture: []byte("<html>"), Operations: []history.Operation{{F: "write", Input: history.Int(4), Outcome: history.Info, Completed: history.Never, Return: -1}},
		}}},
	}
	if err := d.WriteResult(r); err != nil {
		t.Fatal(err)
	}
	got, err := d.Result()
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Checkers[0].Witness.Picture) != "<html>" {
		t.Error("the picture is lost")
	}
	a, _ := json.Marshal(r)
	b, _ := json.Marshal(got)
	if !bytes.Equal(a, b) {
		t.Errorf("wrote %s\nread  %s", a, b)
	}
	if names, err := filepath.Glob(d.File(".new-*")); err != nil || names != nil {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func TestNothingButValidPassesInJUnit(t *testing.T) {
	results := []*Result{
		{Scenario: "a/b", Runtime: "sim", Seed: 1, Verdict: Valid, Phases: []Phase{{End: 1500 * time.Millisecond}}},
		{Scenario: "a/b", Runtime: "sim", Seed: 2, Verdict: Invalid, Reasons: []string{"key <x> & \x01"}, Reproduce: "cleancut run a/b --seed 2"},
		{Scenario: "a/b", Runtime: "sim", Seed: 3, Verdict: Inconclusive, Reasons: []string{"too weak"}},
		{Scenario: "a/b", Runtime: "sim", Seed: 4, Verdict: Error, Reasons: []string{"no docker"}},
	}
	cases := []Case{{Scenario: "a/c", Name: "sim", Skipped: "interrupted"}}
	for i := range results {
		cases = slices.Insert(cases, i, CaseOf(results[i], 375*time.Millisecond, "runs/report.html"))
	}
	path := filepath.Join(t.TempDir(), "not", "there", "yet.xml")
	if err := WriteJUnitFile(path, "cleancut", time.Now(), cases); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b := bytes.NewBuffer(written)
	var got junitSuites
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	s := got.Suites[0]
	if s.Tests != 5 || s.Skipped != 1 || s.Cases[4].Skipped == nil || s.Failures != 2 || s.Errors != 1 || s.Time != "1.500" || s.Cases[0].Time != "0.375" {
		t.Errorf("suite %+v", s)
	}
	for i, want := range []string{"", "invalid", "inconclusive", "error"} {
		problem := s.Cases[i].Failure
		if want == "error" {
			problem = s.Cases[i].Error
		}
		if want == "" && (problem != nil || s.Cases[i].Error != nil) || want != "" && (problem == nil || problem.Type != want) {
			t.Errorf("case %d: %+v", i, problem)
		}
	}
	for i, c := range s.Cases[:4] {
		if c.Name != "sim"+[]string{"", " (2)", " (3)", " (4)"}[i] {
			t.Errorf("the name %q is not the same from run to run", c.Name)
		}
		if !slices.Contains(c.Properties.List, junitProperty{"seed", fmt.Sprint(i + 1)}) || !slices.Contains(c.Properties.List, junitProperty{"report", "runs/report.html"}) {
			t.Errorf("case %d lacks seed or report: %v", i, c.Properties.List)
		}
	}
	if !strings.Contains(s.Cases[1].Out, "cleancut run a/b --seed 2") || !strings.Contains(s.Cases[1].Failure.Message, `\u0001`) {
		t.Errorf("%+v", s.Cases[1])
	}
	if !strings.Contains(s.Cases[1].Failure.Text, "cleancut run a/b --seed 2") {
		t.Errorf("the failure does not say how to reproduce it: %s", s.Cases[1].Failure.Text)
	}
}

func FuzzLedgerReaderNeverPanics(f *testing.F) {
	f.Add([]byte(`{"entry":"begin","id":1,"at":5,"fault":"kill(n1)","nodes":["n1"],"undo":{"a":1}}` + "\n" + `{"entry":"healed","id":1,"at":7}` + "\n{"))
	f.Fuzz(func(t *testing.T, in []byte) {
		faults, entries, _, err := ReadLedger(bytes.NewReader(in))
		if err == nil && len(faults) > len(entries) {
			t.Fatalf("%d faults of %d entries", len(faults), len(entries))
		}
	})
}

func TestARunThatNeverCameToPassLeavesNoFolders(t *testing.T) {
	root := filepath.Join(t.TempDir(), "runs")
	make := func(scenario string) *Dir {
		t.Helper()
		d, err := Create(root, scenario, 1, start, nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if err := make("a/b").Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", root, err)
	}
	// What was there before, or came to be in the meantime, stays.
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	first := make("a/b")
	second := make("a/c")
	if err := errors.Join(first.Remove(), make("a/c").Remove()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(second.File(ScenarioFile)); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(root, "a", "b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of the removed run is still there: %v", err)
	}
	if err := second.Remove(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(root); err != nil || len(left) != 1 {
		t.Errorf("in the folder that was there before is %v (%v), want what the second run could not remove", left, err)
	}
}
