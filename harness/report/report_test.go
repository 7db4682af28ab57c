package report

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/rundir"
)

func written(t *testing.T, operations int, stale bool) (d *rundir.Dir, page string) {
	t.Helper()
	d = sampleRun(t, t.TempDir(), operations, stale)
	path, err := Write(d)
	ok(t, err)
	b, err := os.ReadFile(path)
	ok(t, err)
	return d, string(b)
}

func TestReportOpensWithTheVerdictAndSaysWhy(t *testing.T) {
	_, page := written(t, 1600, true)
	at := -1
	for _, want := range []string{
		`id="verdict">invalid<`, "6 of 6 keys cannot be linearized", `id="why"`, "and nothing", "stale read", `class="intervals"`, "srcdoc=",
		`id="timeline"`, `class="plot"`, `id="checkers"`, `id="faults"`, "packets_dropped=", "Left out", `id="findings"`,
		`id="strength"`, `id="measures"`, `id="phases"`, `id="logs"`, "around the violation", `id="reproduce"`, "--runtime sim --seed 7", "9f86d081884c7d65",
	} {
		next := strings.Index(page, want)
		if next < at {
			t.Errorf("%q is not there, or too early", want)
			continue
		}
		at = next
	}
	_, valid := written(t, 1600, false)
	if !strings.Contains(valid, `id="verdict">valid<`) || strings.Contains(valid, `id="why"`) {
		t.Error("the valid run is not shown as valid")
	}
}

func TestNothingThatTheSystemSaysBecomesMarkup(t *testing.T) {
	_, page := written(t, 1600, true)
	if strings.Contains(page, "<script>document.title") {
		t.Error("a script of the system under test is in the page")
	}
	if !strings.Contains(page, "&lt;script&gt;document.title") {
		t.Error("what the system said is lost")
	}
	if found := regexp.MustCompile(`(?:src|href|url)\s*[=(]\s*["']?\s*(?:https?:)?//`).FindString(page); found != "" {
		t.Errorf("the page refers to the network: %s", found)
	}
}

func TestReportOfALongRunStaysSmall(t *testing.T) {
	_, page := written(t, 120_000, false)
	if len(page) > 2<<20 {
		t.Errorf("120,000 operations make %d bytes", len(page))
	}
}

func TestRunsThatWereCutOffHaveAReportToo(t *testing.T) {
	start := time.Date(2026, 11, 23, 20, 15, 0, 0, time.UTC)
	d, err := rundir.Create(t.TempDir(), "a/b", 1, start, nil)
	ok(t, err)
	if _, err := Write(d); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "cleancut report") {
		t.Errorf("without a result: %v", err)
	}
	ok(t, d.WriteResult(&rundir.Result{Scenario: "a/b", Verdict: rundir.Error, Reasons: []string{"docker went away"}}))
	path, err := Write(d)
	ok(t, err)
	b, err := os.ReadFile(path)
	ok(t, err)
	for _, want := range []string{`id="verdict">error<`, "docker went away", "the evidence cannot be read", "No checker ran", "None was injected"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if err := Render(&bytes.Buffer{}, &rundir.Result{Verdict: "fine"}, &rundir.Loaded{}); err == nil || !strings.Contains(err.Error(), `"fine"; expected valid, invalid, inconclusive or error`) {
		t.Errorf("a verdict that is none: %v", err)
	}
}

func TestTextSaysWhatHappenedAndHowToSeeItAgain(t *testing.T) {
	d := sampleRun(t, t.TempDir(), 1600, true)
	r, err := d.Result()
	ok(t, err)
	var b strings.Builder
	ok(t, Text(&b, r, "runs/x/report.html"))
	for _, want := range []string{
		"INVALID  replication/raft-partitions on sim, seed 7\n", "\n  because  linearizable: 6 of 6 keys cannot be linearized",
		"\n  witness  the read of key", "\n  witness  read index on node n2", "\n  valid    convergence: all 3 nodes",
		"\n  history  1600 operations: 1486 ok, 0 failed, 114 of unknown outcome\n", "\n  faults   1 delay, 1 kill, 1 partition, 1 pause (1 without receipt)\n",
		"\n  report   runs/x/report.html\n", "\n  again    cleancut run replication/raft-partitions --runtime sim --seed 7\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

func TestTextShowsFindingsThatNoWitnessTellsOf(t *testing.T) {
	found := node.Finding{At: time.Second, Node: "n1", Invariant: "log matching", Text: "entry 7 differs"}
	var b strings.Builder
	ok(t, Text(&b, &rundir.Result{Verdict: rundir.Invalid, Findings: []node.Finding{found}}, ""))
	if !strings.Contains(b.String(), "\n  finding  log matching on node n1 at 1.000 s: entry 7 differs\n") {
		t.Error(b.String())
	}
}

func TestTextNamesTheOperationsOfAWitnessThatHasNoWordsForThem(t *testing.T) {
	read := history.Operation{Process: 4, F: "read", Output: history.Int(7), Outcome: history.OK, Invoked: 3 * time.Second, Completed: 20}
	w := &checkers.Witness{Summary: "a read returned 7", Operations: slices.Repeat([]history.Operation{read}, 14)}
	r := &rundir.Result{Verdict: rundir.Invalid, Checkers: []checkers.Verdict{{Checker: "bank", Verdict: checkers.Invalid, Witness: w}}}
	var b strings.Builder
	ok(t, Text(&b, r, ""))
	line := "           process 4 read invoked at 3.000 s, ok at 0.000000020 s: 7\n"
	if !strings.Contains(b.String(), strings.Repeat(line, 12)+"           and 2 more\n") {
		t.Error(b.String())
	}
}

func TestLogsAreCutAroundTheViolation(t *testing.T) {
	started := time.Date(2026, 11, 23, 20, 15, 0, 0, time.UTC)
	logs := map[string][]byte{
		"n1":  []byte("1.000000000 early\n9.000000000 near\n  goes on\n30.000000000 late\n"),
		"n10": []byte("2026-11-23T20:15:01Z early\n2026-11-23T20:15:09.5Z near\n2026-11-23T20:15:30Z late\n"),
		"n2":  []byte("no time\nat all\n"),
	}
	for _, c := range []struct {
		sim  bool
		want []string
	}{
		{true, []string{"9.000000000 near\n  goes on", "no time\nat all", "2026-11-23T20:15:01Z early\n2026-11-23T20:15:09.5Z near\n2026-11-23T20:15:30Z late"}},
		{false, []string{"1.000000000 early\n9.000000000 near\n  goes on\n30.000000000 late", "no time\nat all", "[9.500 s] 2026-11-23T20:15:09.5Z near"}},
	} {
		for i, l := range excerpts(logs, c.sim, started, 9*time.Second, 10*time.Second, true) {
			if l.Text != c.want[i] {
				t.Errorf("sim %v, %s: %q, want %q", c.sim, l.Node, l.Text, c.want[i])
			}
		}
	}
}

// chromium finds a browser. Where there is none the test is skipped, except
// in continuous integration, where it must not be missing.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("there is no chromium; install Debian's package chromium")
	}
	t.Skip("there is no chromium")
	return ""
}

// browse opens a page and returns its document after all scripts have run,
// and what the console said.
func browse(t *testing.T, path string) (document, console string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	browser := exec.CommandContext(ctx, chromium(t), "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(),
		"--window-size=1300,2000", "--virtual-time-budget=5000", "--enable-logging=stderr", "--dump-dom", "file://"+path)
	var out, errs bytes.Buffer
	browser.Stdout, browser.Stderr = &out, &errs
	if err := browser.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, errs.String())
	}
	var lines []string
	for _, line := range strings.Split(errs.String(), "\n") {
		if strings.Contains(line, "CONSOLE") {
			lines = append(lines, line)
		}
	}
	return out.String(), strings.Join(lines, "\n")
}

func TestBrowserShowsTheVerdictWithoutScriptErrors(t *testing.T) {
	d, page := written(t, 1600, true)
	shown := d.File("shown.html")
	ok(t, os.WriteFile(shown, []byte(strings.ReplaceAll(page, "<details>", "<details open>")), 0o644))
	document, console := browse(t, shown)
	if !strings.Contains(document, `id="verdict">invalid<`) || !strings.Contains(document, "<title>invalid: replication/raft-partitions, seed 7</title>") {
		t.Error("the verdict is not in the document")
	}
	if console != "" {
		t.Errorf("the console says:\n%s", console)
	}
	picture, console := browse(t, d.File("picture-linearizable.html"))
	if !strings.Contains(picture, "read → nil") || console != "" {
		t.Errorf("porcupine's picture is empty, or the console says:\n%s", console)
	}
}

func TestBrowserCheckNoticesAScriptError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broken.html")
	ok(t, os.WriteFile(path, []byte("<!DOCTYPE html><title>x</title><script>nowhere()</script>"), 0o644))
	if _, console := browse(t, path); !strings.Contains(console, "nowhere is not defined") {
		t.Errorf("the console says %q", console)
	}
}

func TestWitnessWithoutOperationsIsShown(t *testing.T) {
	var b bytes.Buffer
	ok(t, Render(&b, &rundir.Result{Verdict: rundir.Invalid, Checkers: []checkers.Verdict{{
		Checker: "convergence", Verdict: checkers.Invalid, Witness: &checkers.Witness{Summary: "two states", Lines: []string{"node n1: aa"}},
	}}}, &rundir.Loaded{}))
	if !strings.Contains(b.String(), "two states") || !strings.Contains(b.String(), "node n1: aa") || strings.Contains(b.String(), `class="intervals"`) {
		t.Error("the witness is not shown as it is")
	}
}
