package rundir

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/internal/files"
	"github.com/cleancut/cleancut/harness/internal/visible"
)

// The JUnit format as Jenkins, GitLab and GitHub actions read it.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr,omitempty"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class      string           `xml:"classname,attr"`
	Name       string           `xml:"name,attr"`
	Time       string           `xml:"time,attr"`
	Properties *junitProperties `xml:"properties"`
	Failure    *junitProblem    `xml:"failure,omitempty"`
	Error      *junitProblem    `xml:"error,omitempty"`
	Skipped    *junitSkipped    `xml:"skipped,omitempty"`
	Out        string           `xml:"system-out,omitempty"`
}

type junitProperties struct {
	List []junitProperty `xml:"property"`
}

type junitSkipped struct {
	Message string `xml:"message,attr"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitProblem struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// Case is a case of a JUnit file. Scenario and Name identify it from one run of
// a pipeline to the next, so nothing that is drawn belongs into them.
type Case struct {
	Scenario string // "group/name"
	Name     string // the runtime, or the command
	// Verdict decides: an invalid or inconclusive run is a failure of that type,
	// an error of the harness an error. Nothing but valid passes.
	Verdict Outcome
	Reasons []string
	// Skipped, if set, says why nothing was run; there is no verdict then.
	Skipped string
	// Wall is how long it took on the wall clock.
	Wall       time.Duration
	Properties []Property
	// Out is what a reader of the pipeline sees: the witness.
	Out string
}

// Property is a property of a case.
type Property struct{ Name, Value string }

// CaseOf is the case of one run. Report is where its report is, "" if there is
// none.
func CaseOf(r *Result, wall time.Duration, report string) Case {
	c := Case{Scenario: r.Scenario, Name: r.Runtime, Verdict: r.Verdict, Reasons: r.Reasons, Wall: wall, Properties: r.properties(), Out: r.account()}
	if c.Name == "" { // a history from elsewhere
		c.Name = "check"
	}
	if report != "" {
		c.Properties = append(c.Properties, Property{"report", report})
	}
	return c
}

// WriteJUnit writes a JUnit file of one suite. Cases of one name are numbered.
func WriteJUnit(w io.Writer, suite string, started time.Time, cases []Case) error {
	s := junitSuite{Name: shown(suite), Tests: len(cases), Timestamp: started.UTC().Format("2006-01-02T15:04:05")}
	var total time.Duration
	seen := map[[2]string]int{}
	for _, c := range cases {
		j := junitCase{Class: shown(strings.ReplaceAll(c.Scenario, "/", ".")), Name: shown(c.Name), Time: seconds(c.Wall), Out: shown(c.Out)}
		id := [2]string{j.Class, j.Name}
		if seen[id]++; seen[id] > 1 {
			j.Name += fmt.Sprintf(" (%d)", seen[id])
		}
		for _, p := range c.Properties {
			if j.Properties == nil {
				j.Properties = &junitProperties{}
			}
			j.Properties.List = append(j.Properties.List, junitProperty{shown(p.Name), shown(p.Value)})
		}
		problem := &junitProblem{Type: string(c.Verdict), Message: shown(strings.Join(c.Reasons, "; ")), Text: shown(c.Out)}
		switch {
		case c.Skipped != "":
			s.Skipped++
			j.Skipped = &junitSkipped{shown(c.Skipped)}
		case c.Verdict == Valid:
		case c.Verdict == Error:
			s.Errors++
			j.Error = problem
		default:
			s.Failures++
			j.Failure = problem
		}
		total += c.Wall
		s.Cases = append(s.Cases, j)
	}
	s.Time = seconds(total)
	all := junitSuites{Tests: s.Tests, Failures: s.Failures, Errors: s.Errors, Skipped: s.Skipped, Suites: []junitSuite{s}}
	b, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("rundir: junit: %w", err)
	}
	if _, err := fmt.Fprintf(w, "%s%s\n", xml.Header, b); err != nil {
		return fmt.Errorf("rundir: junit: %w", err)
	}
	return nil
}

// WriteJUnitFile writes a JUnit file whole or not at all, and makes the folders
// above it.
func WriteJUnitFile(path, suite string, started time.Time, cases []Case) error {
	var b bytes.Buffer
	if err := WriteJUnit(&b, suite, started, cases); err != nil {
		return err
	}
	if err := files.Write(path, b.Bytes()); err != nil {
		return fmt.Errorf("rundir: junit: %w", err)
	}
	return nil
}

// shown writes characters as numbers that XML forbids or nobody sees.
func shown(text string) string { return visible.String(text) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

func (r *Result) properties() []Property {
	p := []Property{
		{"scenario", r.Scenario}, {"runtime", r.Runtime}, {"seed", fmt.Sprint(r.Seed)}, {"verdict", string(r.Verdict)},
		{"reproduce", r.Reproduce}, {"version", r.Version},
		{"operations", fmt.Sprint(r.Operations.Total)}, {"operations.ok", fmt.Sprint(r.Operations.OK)},
		{"faults", fmt.Sprint(len(r.Faults))},
	}
	if r.TraceHash != "" {
		p = append(p, Property{"trace_hash", r.TraceHash})
	}
	for _, c := range r.Checkers {
		p = append(p, Property{"checker." + c.Checker, string(c.Verdict)})
	}
	names := make([]string, 0, len(r.Measures))
	for name := range r.Measures {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p = append(p, Property{"measure." + name, fmt.Sprintf("%g", r.Measures[name])})
	}
	return p
}

// account is the witnesses, and the command that runs it again.
func (r *Result) account() string {
	var b strings.Builder
	for _, c := range r.Checkers {
		if c.Witness == nil {
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", c.Checker, c.Witness.Summary)
		for _, line := range c.Witness.Lines {
			fmt.Fprintf(&b, "  %s\n", line)
		}
		for _, o := range c.Witness.Operations {
			fmt.Fprintf(&b, "  %s\n", o.String())
		}
	}
	if r.Reproduce != "" {
		fmt.Fprintf(&b, "reproduce: %s\n", r.Reproduce)
	}
	return b.String()
}
