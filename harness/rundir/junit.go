// NOTICE TO THE HELPER OF THIS WORKTREE (do not commit this): you were started late, and a second helper (branch
// finds2) already does points 14, 16 and 34 of issue 10 (34 and half of 16 are done). Do ONLY points 18, then 15.
// Merge main often; land after each point.
package rundir

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// The JUnit format as Jenkins, GitLab and GitHub actions read it.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr,omitempty"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class      string          `xml:"classname,attr"`
	Name       string          `xml:"name,attr"`
	Time       string          `xml:"time,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Failure    *junitProblem   `xml:"failure,omitempty"`
	Error      *junitProblem   `xml:"error,omitempty"`
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

// WriteJUnit writes a JUnit file of one suite with a case for each run. An
// invalid or inconclusive run is a failure of that type, an error of the
// harness an error: nothing but valid passes.
func WriteJUnit(w io.Writer, suite string, results []*Result) error {
	s := junitSuite{Name: suite, Tests: len(results)}
	var total time.Duration
	for _, r := range results {
		c := junitCase{
			Class: strings.ReplaceAll(r.Scenario, "/", "."),
			Name:  fmt.Sprintf("%s seed %d", r.Runtime, r.Seed),
			Time:  seconds(r.duration()), Properties: r.properties(),
		}
		switch r.Verdict {
		case Valid:
		case Error:
			s.Errors++
			c.Error = r.problem()
		default:
			s.Failures++
			c.Failure = r.problem()
		}
		total += r.duration()
		s.Cases = append(s.Cases, c)
		if s.Timestamp == "" && !r.Started.IsZero() {
			s.Timestamp = r.Started.UTC().Format("2006-01-02T15:04:05")
		}
	}
	s.Time = seconds(total)
	all := junitSuites{Tests: s.Tests, Failures: s.Failures, Errors: s.Errors, Suites: []junitSuite{s}}
	b, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("rundir: junit: %w", err)
	}
	if _, err := fmt.Fprintf(w, "%s%s\n", xml.Header, b); err != nil {
		return fmt.Errorf("rundir: junit: %w", err)
	}
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// duration is how long the run took by its own clock.
func (r *Result) duration() time.Duration {
	var end time.Duration
	for _, p := range r.Phases {
		end = max(end, p.End)
	}
	return end
}

func (r *Result) properties() []junitProperty {
	p := []junitProperty{
		{"scenario", r.Scenario}, {"runtime", r.Runtime}, {"seed", fmt.Sprint(r.Seed)}, {"verdict", string(r.Verdict)},
		{"reproduce", r.Reproduce}, {"version", r.Version},
		{"operations", fmt.Sprint(r.Operations.Total)}, {"operations.ok", fmt.Sprint(r.Operations.OK)},
		{"faults", fmt.Sprint(len(r.Faults))},
	}
	if r.TraceHash != "" {
		p = append(p, junitProperty{"trace_hash", r.TraceHash})
	}
	for _, c := range r.Checkers {
		p = append(p, junitProperty{"checker." + c.Checker, string(c.Verdict)})
	}
	names := make([]string, 0, len(r.Measures))
	for name := range r.Measures {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p = append(p, junitProperty{"measure." + name, fmt.Sprintf("%g", r.Measures[name])})
	}
	return p
}

func (r *Result) problem() *junitProblem {
	p := &junitProblem{Type: string(r.Verdict), Message: strings.Join(r.Reasons, "; ")}
	var b strings.Builder
	for _, c := range r.Checkers {
		if c.Witness != nil {
			fmt.Fprintf(&b, "%s: %s\n", c.Checker, c.Witness.Summary)
			for _, line := range c.Witness.Lines {
				fmt.Fprintf(&b, "  %s\n", line)
			}
		}
	}
	fmt.Fprintf(&b, "reproduce: %s\n", r.Reproduce)
	p.Text = b.String()
	return p
}
