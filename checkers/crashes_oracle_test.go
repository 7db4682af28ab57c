package checkers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/node"
)

// death is what a line looks like that reports a death, or a mistake of which
// others die.
var death = regexp.MustCompile(`^(panic: |fatal error: |unexpected fault address|SIGSEGV: segmentation violation|SIGABRT: abort|WARNING: DATA RACE|runtime: out of memory|\[signal SIGSEGV|Segmentation fault)|"level":"d?panic"|"level":"fatal"`)

// crashesOracle follows the comment of Crashes word by word, and returns what
// the witness must quote.
func crashesOracle(e *Evidence) (v Validity, quote string) {
	var first *node.Finding
	for i := range e.Findings {
		f := &e.Findings[i]
		if slices.Contains([]string{"panic", "exit", "start"}, f.Invariant) && (first == nil || f.At < first.At) {
			first = f
		}
	}
	if first != nil {
		return Invalid, first.Text
	}
	var dead []string // "node: line", of each node the first
	text := ""
	for name, log := range e.Logs {
		text += string(log)
		for _, line := range strings.Split(string(log), "\n") {
			if death.MatchString(line) {
				dead = append(dead, fmt.Sprintf("the log of node %s says: %s", name, line))
				break
			}
		}
	}
	switch {
	case len(dead) > 0:
		return Invalid, slices.Min(dead)
	case text == "" && e.Findings == nil:
		return Unknown, ""
	}
	return Valid, ""
}

// Pieces of lines: some report a death at the beginning of a line only.
var (
	marks = []string{
		"panic: index out of range", "fatal error: all goroutines are asleep", "unexpected fault address 0x0", "SIGSEGV: segmentation violation",
		"SIGABRT: abort", "WARNING: DATA RACE", "runtime: out of memory", "[signal SIGSEGV: code=1]", "Segmentation fault (core dumped)",
		`"level":"panic"`, `"level":"fatal"`, `{"level":"dpanic","msg":"x"}`,
	}
	harmless = []string{"", "elected", "panic", "don't panic: all is well", "Panic: x", "level: fatal", `{"level":"info"}`, "fatal error", "goroutine 1 [running]:", "\xff\x00", "panic:x"}
)

func drawCrashes(r *rand.Rand) *Evidence {
	e := &Evidence{}
	seldom := 1 + r.IntN(24)
	if r.IntN(4) > 0 {
		e.Findings = []node.Finding{}
	}
	for n := r.IntN(8) / 5; n > 0; n-- {
		f := node.Finding{At: time.Duration(r.IntN(5)) * tick, Node: fmt.Sprintf("n%d", r.IntN(3)), Invariant: "log matching"}
		if r.IntN(2) == 0 {
			f.Invariant = []string{FindingPanic, FindingExit, FindingStart}[r.IntN(3)]
		}
		f.Text = fmt.Sprintf("%s, the %d. finding", f.Invariant, n)
		e.Findings = append(e.Findings, f)
	}
	for i := range r.IntN(4) {
		if e.Logs == nil {
			e.Logs = map[string][]byte{}
		}
		var lines []string
		for range r.IntN(4) {
			line := harmless[r.IntN(len(harmless))]
			if r.IntN(seldom) == 0 {
				line += marks[r.IntN(len(marks))]
			}
			if r.IntN(8) == 0 {
				line += "\r"
			}
			lines = append(lines, line)
		}
		e.Logs[fmt.Sprintf("n%d", i)] = []byte(strings.Join(lines, "\n"))
	}
	return e
}

func TestCrashesAgreeWithTheirDefinitionOnRandomLogsAndFindings(t *testing.T) {
	t.Parallel()
	r := trials.Rand(14, 1)
	counts := map[Validity]int{}
	judge := func(e *Evidence) Verdict { return Crashes().Check(context.Background(), e) }
	for range trials.Rounds(100_000) {
		e := drawCrashes(r)
		got := judge(e)
		want, quote := crashesOracle(e)
		counts[want]++
		if got.Verdict != want || want == Invalid && !strings.Contains(got.Witness.Summary, strings.ToValidUTF8(quote, "\uFFFD")) {
			t.Fatalf("%s (%s), by the definition %s (%s)\n%q\n%+v", got.Verdict, got.Reason, want, quote, e.Logs, e.Findings)
		}
		if want == Invalid {
			if w := got.Witness; w.Class != "crash" || len(w.Lines) == 0 || w.From != w.To {
				t.Fatalf("%+v\n%q\n%+v", w, e.Logs, e.Findings)
			}
		}
		d := e.changed()
		r.Shuffle(len(d.Findings), func(i, j int) { d.Findings[i], d.Findings[j] = d.Findings[j], d.Findings[i] })
		d.Logs = map[string][]byte{"other": nil}
		for name, log := range e.Logs {
			d.Logs["x"+name] = slices.Concat([]byte("starting\n"), log, []byte("\nstopping"))
		}
		if again := judge(d); again.Verdict != want && (want != Unknown || len(e.Logs) == 0) {
			t.Fatalf("renamed, in another order and with harmless lines: %s (%s), before %s\n%q\n%+v", again.Verdict, again.Reason, want, e.Logs, e.Findings)
		}
		if want == Valid {
			brokenCrashes(t, r, e)
		}
	}
	if t.Logf("%v", counts); len(counts) < 3 {
		t.Errorf("one-sided: %v", counts)
	}
}

// brokenCrashes puts a line that reports a death between the lines of a log in
// which none did, or says that somebody found one.
func brokenCrashes(t *testing.T, r *rand.Rand, e *Evidence) {
	d := e.changed()
	mark := marks[r.IntN(len(marks))]
	d.Logs = map[string][]byte{}
	for name, log := range e.Logs {
		d.Logs[name] = log
	}
	log := strings.Split(string(d.Logs["n1"]), "\n")
	d.Logs["n1"] = []byte(strings.Join(slices.Insert(log, r.IntN(len(log)+1), mark), "\n"))
	if v := Crashes().Check(context.Background(), d); v.Verdict != Invalid || !strings.Contains(v.Reason, "node n1 says: "+mark) {
		t.Fatalf("with %q: %s (%s)\n%q", mark, v.Verdict, v.Reason, d.Logs)
	}
	d = e.changed()
	f := node.Finding{At: tick, Node: "n2", Invariant: FindingExit, Text: "status 2"}
	d.Findings = slices.Insert(d.Findings, r.IntN(len(d.Findings)+1), f)
	if v := Crashes().Check(context.Background(), d); v.Verdict != Invalid || !strings.Contains(v.Reason, "exit on node n2 at 0.001 s: status 2") {
		t.Fatalf("with %+v: %s (%s)", f, v.Verdict, v.Reason)
	}
}

func TestInvariantsAgreeWithTheirDefinitionOnRandomFindings(t *testing.T) {
	t.Parallel()
	r := trials.Rand(14, 2)
	counts := map[Validity]int{}
	for range trials.Rounds(100_000) {
		e, watching := drawCrashes(r), r.IntN(3)
		var first *node.Finding
		n := 0
		for i := range e.Findings {
			f := &e.Findings[i]
			if strings.Contains("panic exit start", f.Invariant) {
				continue
			}
			if n++; first == nil || f.At < first.At {
				first = f
			}
		}
		want := map[bool]Validity{true: Valid, false: NotApplicable}[watching > 0]
		switch {
		case first != nil:
			want = Invalid
		case watching > 0 && e.Findings == nil:
			want = Unknown
		}
		got := Invariants(watching).Check(context.Background(), e)
		counts[want]++
		if got.Verdict != want || got.Measures["invariants"] != float64(watching) {
			t.Fatalf("%d watching: %s (%s), by the definition %s\n%+v", watching, got.Verdict, got.Reason, want, e.Findings)
		}
		if want != Invalid {
			continue
		}
		w := got.Witness
		alone := e.changed()
		alone.Findings = slices.DeleteFunc(alone.Findings, func(f node.Finding) bool { return f.At < w.From || f.At > w.To })
		if again := Invariants(watching).Check(context.Background(), alone); again.Verdict != Invalid || again.Reason != got.Reason {
			t.Fatalf("what was found from %s to %s alone: %s (%s), of %+v", w.From, w.To, again.Verdict, again.Reason, e.Findings)
		}
		if w.Class != first.Invariant || !strings.Contains(w.Summary, "on node "+first.Node) || !strings.Contains(w.Summary, first.Text) || len(w.Lines) != min(1, n-1) || n > 1 && !strings.HasPrefix(w.Lines[0], fmt.Sprintf("and %d more until ", n-1)) {
			t.Fatalf("%+v, first is %+v of %d", w, first, n)
		}
	}
	if t.Logf("%v", counts); len(counts) < 3 {
		t.Errorf("one-sided: %v", counts)
	}
}
