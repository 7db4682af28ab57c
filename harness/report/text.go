package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/internal/visible"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/rundir"
)

// Text writes a short account of a result for a terminal, without control
// characters. Where is the
// report's path, "" if none was written.
func Text(w io.Writer, r *rundir.Result, where string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s", strings.ToUpper(string(r.Verdict)), indented(r.Scenario))
	if r.Runtime != "" { // else a history from elsewhere
		fmt.Fprintf(&b, " on %s, seed %d", r.Runtime, r.Seed)
	}
	b.WriteByte('\n')
	for _, reason := range r.Reasons {
		fmt.Fprintf(&b, "  because  %s\n", firstLine(reason))
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "  note     %s\n", firstLine(note))
	}
	for _, c := range r.Checkers {
		if c.Witness == nil {
			continue
		}
		fmt.Fprintf(&b, "  witness  %s\n", indented(c.Witness.Summary))
		lines := c.Witness.Lines
		if len(lines) == 0 {
			for _, o := range c.Witness.Operations {
				lines = append(lines, o.String())
			}
		}
		for _, line := range lines[:min(len(lines), linesShown)] {
			fmt.Fprintf(&b, "           %s\n", indented(line))
		}
		if n := len(lines) - linesShown; n > 0 {
			fmt.Fprintf(&b, "           and %d more\n", n)
		}
	}
	for _, f := range unexplained(r) {
		fmt.Fprintf(&b, "  finding  %s on node %s at %s: %s\n", indented(f.Invariant), indented(f.Node), history.At(f.At), firstLine(f.Text))
	}
	for _, c := range r.Checkers {
		fmt.Fprintf(&b, "  %-8s %s: %s\n", c.Verdict, c.Checker, firstLine(c.Reason))
	}
	o := r.Operations
	fmt.Fprintf(&b, "  history  %d operations: %d ok, %d failed, %d of unknown outcome\n", o.Total, o.OK, o.Fail, o.Info)
	if line := faultsLine(r.Faults); line != "" {
		fmt.Fprintf(&b, "  faults   %s\n", line)
	}
	for _, u := range r.Unavailable {
		fmt.Fprintf(&b, "  left out %s\n", indented(u))
	}
	if r.TraceHash != "" {
		fmt.Fprintf(&b, "  trace    %s\n", r.TraceHash)
	}
	if where != "" {
		fmt.Fprintf(&b, "  report   %s\n", where)
	}
	if r.Reproduce != "" {
		fmt.Fprintf(&b, "  again    %s\n", indented(r.Reproduce))
	}
	_, err := io.WriteString(w, visible.String(b.String()))
	return err
}

// indented returns a text whose further lines, if it has any, cannot be taken
// for lines of the account: a key may hold anything.
func indented(text string) string { return strings.ReplaceAll(text, "\n", "\n             ") }

// linesShown bounds the lines of a witness in the text.
const linesShown = 12

// findingsShown bounds the findings in the text.
const findingsShown = 5

// unexplained returns the first findings, unless a witness tells of them
// already.
func unexplained(r *rundir.Result) []node.Finding {
	for _, c := range r.Checkers {
		if c.Witness != nil && len(r.Findings) > 0 && strings.Contains(c.Witness.Summary, firstLine(r.Findings[0].Text)) {
			return nil
		}
	}
	return r.Findings[:min(len(r.Findings), findingsShown)]
}

// faultsLine counts faults and receipts by kind: "3 kill (3 with receipt)".
func faultsLine(faults []rundir.Fault) string {
	type count struct{ all, bit int }
	counts := map[string]*count{}
	var kinds []string
	for _, f := range faults {
		if counts[f.Kind] == nil {
			counts[f.Kind] = &count{}
			kinds = append(kinds, f.Kind)
		}
		counts[f.Kind].all++
		if f.Bit {
			counts[f.Kind].bit++
		}
	}
	slices.Sort(kinds)
	parts := make([]string, len(kinds))
	for i, k := range kinds {
		c := counts[k]
		parts[i] = fmt.Sprintf("%d %s", c.all, k)
		if c.bit < c.all {
			parts[i] += fmt.Sprintf(" (%d without receipt)", c.all-c.bit)
		}
	}
	return strings.Join(parts, ", ")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
