package checkers

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/node"
)

// Names of findings that runtimes report when a node ends and no fault did
// it. Crashes judges them, Invariants judges all others.
const (
	FindingPanic = "panic" // the program panicked
	FindingExit  = "exit"  // the process ended by itself
	FindingStart = "start" // the node refused to start: it could not use its disk
)

func isCrash(f node.Finding) bool {
	return f.Invariant == FindingPanic || f.Invariant == FindingExit || f.Invariant == FindingStart
}

// crashMarks begin a log line that a Go program writes when it dies or has
// found a race, or that a shell writes about a process that died. Those of zap
// are fields of a line that is JSON.
var crashMarks = []struct {
	mark   string
	atHead bool // only at the beginning of a line
}{
	{"panic: ", true},
	{"fatal error: ", true},
	{"unexpected fault address", true},
	{"SIGSEGV: segmentation violation", true},
	{"SIGABRT: abort", true},
	{"WARNING: DATA RACE", true},
	{"runtime: out of memory", true},
	{"[signal SIGSEGV", true},
	{"Segmentation fault", true},
	{`"level":"panic"`, false},
	{`"level":"fatal"`, false},
	{`"level":"dpanic"`, false},
}

// Crashes judges whether nodes died by themselves: findings of panics, exits
// and refused starts that no fault caused, and lines in the logs with which Go
// programs and shells report a death, or programs a mistake of their own that
// others die of: a data race, or what zap calls dpanic. A kill by a fault
// writes no such line. It is unknown if there are neither logs nor findings to
// look at: no log has anything in it, and Findings is nil.
//
// It does not read logs beyond what was kept of them, and knows no other
// language's last words.
func Crashes() Checker {
	return Func("crashes", func(_ context.Context, e *Evidence) Verdict { return crashes(e) })
}

func crashes(e *Evidence) Verdict {
	v := Verdict{Verdict: Valid, Algorithm: "findings and log scan"}
	if found := inOrder(e.Findings, isCrash); len(found) > 0 {
		return broken(v, "crash", found)
	}
	var nodes []string
	size := 0
	for name, log := range e.Logs {
		nodes = append(nodes, name)
		size += len(log)
	}
	slices.Sort(nodes)
	for _, name := range nodes {
		if line, context := lastWords(e.Logs[name]); line != "" {
			v.Verdict = Invalid
			v.Reason = fmt.Sprintf("the log of node %s says: %s", name, line)
			v.Witness = &Witness{Class: "crash", Summary: v.Reason, Lines: context}
			return v
		}
	}
	if size == 0 && e.Findings == nil {
		return Verdict{Verdict: Unknown, Reason: "there are neither logs of nodes nor findings"}
	}
	if absent := e.Absent(func(n string) bool { _, left := e.Logs[n]; return left }); len(absent) > 0 {
		return Verdict{Verdict: Unknown, Reason: "there is no log of " + strings.Join(absent, ", ")}
	}
	v.Reason = fmt.Sprintf("no node died by itself (%d logs, %d bytes)", len(nodes), size)
	return v
}

// Bounds of what is quoted from a log.
const (
	logLineMax  = 400
	logLinesMax = 20
)

// lastWords returns the first line of a log that reports a death, and the
// lines that follow.
func lastWords(log []byte) (line string, context []string) {
	for rest := log; len(rest) > 0; {
		text, after, _ := bytes.Cut(rest, []byte("\n"))
		if !reportsDeath(text) {
			rest = after
			continue
		}
		for len(rest) > 0 && len(context) < logLinesMax {
			text, rest, _ = bytes.Cut(rest, []byte("\n"))
			context = append(context, clip(string(text)))
		}
		return context[0], context
	}
	return "", nil
}

func reportsDeath(line []byte) bool {
	for _, m := range crashMarks {
		if m.atHead && bytes.HasPrefix(line, []byte(m.mark)) || !m.atHead && bytes.Contains(line, []byte(m.mark)) {
			return true
		}
	}
	return false
}

func clip(s string) string {
	if len(s) > logLineMax {
		s = s[:logLineMax] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// inOrder returns the findings of a kind, the earliest first.
func inOrder(all []node.Finding, kind func(node.Finding) bool) (found []node.Finding) {
	for _, f := range all {
		if kind(f) {
			found = append(found, f)
		}
	}
	slices.SortStableFunc(found, func(a, b node.Finding) int { return cmp.Compare(a.At, b.At) })
	return found
}

// broken makes an Invalid of findings.
func broken(v Verdict, class string, found []node.Finding) Verdict {
	first := found[0]
	v.Verdict = Invalid
	v.Reason = fmt.Sprintf("%s on node %s at %s: %s", first.Invariant, first.Node, history.At(first.At), clip(first.Text))
	v.Witness = &Witness{Class: class, Summary: v.Reason, From: first.At, To: first.At}
	for _, f := range found[:min(len(found), logLinesMax)] {
		v.Witness.Lines = append(v.Witness.Lines, fmt.Sprintf("%s: %s on node %s: %s", history.At(f.At), f.Invariant, f.Node, clip(f.Text)))
	}
	if len(found) > logLinesMax {
		v.Witness.Lines = append(v.Witness.Lines, fmt.Sprintf("and %d more", len(found)-logLinesMax))
	}
	return v
}

// brokenInvariant makes an Invalid of the first of the findings of invariants,
// with what had happened before to the nodes that it names: the others are what
// followed from it, as far as anybody can tell, and are counted.
func (v Verdict) brokenInvariant(found []node.Finding, faults []FaultWindow) Verdict {
	first := found[0]
	v.Verdict = Invalid
	v.Reason = fmt.Sprintf("%s on node %s at %s: %s", first.Invariant, first.Node, history.At(first.At), clip(first.Text))
	v.Witness = &Witness{Class: first.Invariant, Summary: v.Reason, From: first.At, To: first.At}
	last := map[string]*FaultWindow{}
	for i := range faults {
		f := &faults[i]
		if f.Model != history.CrashRecovery && f.Model != history.Byzantine || f.Start > first.At {
			continue
		}
		for _, n := range f.Nodes {
			if (n == first.Node || names(first.Text, n)) && (last[n] == nil || f.Start >= last[n].Start) {
				last[n] = f
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(last)) {
		v.Witness.Lines = append(v.Witness.Lines, fmt.Sprintf("before that, %s had been hit by %s from %s to %s", n, last[n].Fault, history.At(last[n].Start), history.At(last[n].End)))
	}
	if len(found) == 1 {
		return v
	}
	count := map[string]int{}
	for _, f := range found[1:] {
		count[f.Invariant]++
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d of %s", count[name], name))
	}
	v.Witness.Lines = append(v.Witness.Lines, fmt.Sprintf("and %d more until %s: %s", len(found)-1, history.At(found[len(found)-1].At), strings.Join(parts, ", ")))
	return v
}

// names reports whether a text has a word.
func names(text, word string) bool {
	return slices.Contains(strings.FieldsFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-'
	}), word)
}

// Invariants judges what white-box invariants found inside the system, apart
// from what clients saw of it: a violated invariant is invalid even if every
// read was right. The first finding is told, with the crashes before it of the
// nodes that it names, and the others are counted. Pass how many invariants
// watched; with none there was nothing to judge.
func Invariants(watching int) Checker {
	return Func("invariants", func(_ context.Context, e *Evidence) Verdict {
		v := Verdict{Verdict: Valid, Algorithm: "monitors", Measures: map[string]float64{"invariants": float64(watching)}}
		found := inOrder(e.Findings, func(f node.Finding) bool { return !isCrash(f) })
		switch {
		case len(found) > 0:
			return v.brokenInvariant(found, e.Faults)
		case watching > 0 && e.Findings == nil:
			v.Verdict, v.Reason = Unknown, fmt.Sprintf("%d invariants were to be watched, and nothing says what was found", watching)
		case watching == 0:
			v.Verdict, v.Reason = NotApplicable, "no invariant watched this run"
		default:
			v.Reason = fmt.Sprintf("%d invariants held throughout", watching)
		}
		return v
	})
}
