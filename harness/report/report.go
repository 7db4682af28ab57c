// Package report turns the result and the evidence of a run into something
// that people read: one self-contained HTML file and a short text.
//
// The page opens with the verdict and why, then shows what happened when,
// and ends with the command that does it again. It loads nothing over the
// network, needs no script but for porcupine's picture (which is shut into a
// frame), escapes everything that came from the system under test, and stays
// below ten megabytes however long the history is. The package judges
// nothing: it shows what checkers said.
package report

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html"
	"html/template"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/internal/visible"
	"github.com/cleancut/cleancut/harness/rundir"
)

//go:embed page.html style.html study.html
var pages embed.FS

var page = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"clock":        clock,
	"seconds":      func(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) },
	"effect":       effect,
	"join":         func(s []string) string { return strings.Join(s, ", ") },
	"lower":        strings.ToLower,
	"percent":      func(share float64) float64 { return 100 * share },
	"milliseconds": func(d time.Duration) float64 { return 1000 * d.Seconds() },
}).ParseFS(pages, "*.html"))

// Bounds of a report.
const (
	faultsMax     = 300
	findingsMax   = 100
	operationsMax = 100 // of a witness
	picturesMax   = 3 << 20
	pageMax       = 10 << 20
)

// Write writes the report of a run into its directory and returns its path.
// It needs result.json; evidence that cannot be read is said to be missing.
func Write(d *rundir.Dir) (string, error) {
	r, err := d.Result()
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("report: the run was never judged (%w); `cleancut report` does so first", err)
		}
		return "", fmt.Errorf("report: %w", err)
	}
	e, err := d.Evidence()
	if err != nil {
		e = &rundir.Loaded{Notes: []string{"the evidence cannot be read: " + err.Error()}}
	}
	var b bytes.Buffer
	if err := Render(&b, r, e); err != nil {
		return "", err
	}
	return d.File(rundir.ReportFile), d.WriteFile(rundir.ReportFile, b.Bytes())
}

// Render writes the page. Characters that nobody sees, such as those that reverse
// the order of reading, are written as numbers.
func Render(w io.Writer, r *rundir.Result, e *rundir.Loaded) error {
	m, err := modelOf(r, e)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := page.Execute(&b, m); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if b.Len() > pageMax {
		m.Timeline, m.Logs, m.Spacetime = "", nil, nil
		m.Notes = append(m.Notes, "the timeline, the space-time diagram and the logs were left out, because the report would have become too large")
		b.Reset()
		if err := page.Execute(&b, m); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	_, err = w.Write(visible.Bytes(b.Bytes()))
	return err
}

// model is what the template shows.
type model struct {
	*rundir.Result
	Headline  string
	Why       []why
	Spacetime *spacetime // nil without a record
	Timeline  template.HTML
	Faults    []faultRow
	MoreFault int
	Plan      []planRow
	MoreSteps int
	Findings  []findingRow
	MoreFound int
	Strength  []figure
	Measures  []figure
	Phases    []rundir.Phase
	Logs      []nodeLog
	Notes     []string
	Duration  time.Duration
	Rate      float64
}

// why is a checker's witness.
type why struct {
	Checker    string
	Class      string
	Summary    string
	Key        string
	Lines      []string
	Operations []history.Operation
	Intervals  template.HTML
	Picture    template.HTMLAttr
}

type faultRow struct {
	rundir.Fault
	Cut     string // of a partition, who was cut from whom
	Healed  bool
	Lasted  time.Duration
	Receipt string
}

type findingRow struct {
	At                    time.Duration
	Node, Invariant, Text string
}

type figure struct{ Name, Value string }

var headlines = map[rundir.Outcome]string{
	rundir.Valid:        "The system kept its promises",
	rundir.Invalid:      "The system broke a promise",
	rundir.Inconclusive: "This run proves nothing",
	rundir.Error:        "The harness failed",
}

func modelOf(r *rundir.Result, e *rundir.Loaded) (*model, error) {
	m := &model{Result: r, Headline: headlines[r.Verdict], Notes: e.Notes, Phases: r.Phases}
	if m.Headline == "" {
		return nil, fmt.Errorf("report: the result has the verdict %q; expected valid, invalid, inconclusive or error", r.Verdict)
	}
	var from, to time.Duration
	violated := false
	for _, v := range r.Checkers {
		if v.Witness == nil {
			continue
		}
		m.Why = append(m.Why, whyOf(v))
		if !violated && v.Witness.To > 0 {
			from, to, violated = v.Witness.From, v.Witness.To, true
		}
	}
	timeline, err := timelineSVG(&e.Evidence)
	if err != nil {
		return nil, err
	}
	m.Timeline = timeline
	m.Spacetime = spacetimeOf(e.Record, r.Checkers)
	m.Duration = runEnd(&e.Evidence)
	if m.Duration > 0 {
		m.Rate = float64(r.Operations.Total) / m.Duration.Seconds()
	}
	m.addFaults(r.Faults)
	m.Plan, m.MoreSteps = planRows(e.Plan, e.Phases)
	for _, f := range r.Findings[:min(len(r.Findings), findingsMax)] {
		m.Findings = append(m.Findings, findingRow{f.At, f.Node, f.Invariant, shorten(f.Text, 2000)})
	}
	m.MoreFound = max(0, len(r.Findings)-findingsMax)
	m.Strength = strengthFigures(r.Strength)
	m.Measures = measures(r)
	m.Logs = excerpts(e.Logs, r.Runtime == "sim", r.Began, from, to, violated)
	return m, nil
}

func whyOf(v checkers.Verdict) why {
	w := v.Witness
	y := why{Checker: v.Checker, Class: w.Class, Summary: w.Summary, Key: w.Key, Lines: w.Lines, Intervals: intervalsSVG(w)}
	y.Operations = w.Operations[:min(len(w.Operations), operationsMax)]
	if len(w.Picture) > 0 && len(w.Picture) <= picturesMax {
		// The page is porcupine's; as an attribute it is escaped here once.
		y.Picture = template.HTMLAttr(`srcdoc="` + html.EscapeString(string(w.Picture)) + `"`)
	}
	return y
}

func (m *model) addFaults(faults []rundir.Fault) {
	for _, f := range faults[:min(len(faults), faultsMax)] {
		row := faultRow{Fault: f, Cut: whoFromWhom(f.Frozen), Healed: f.HealedAt >= 0, Receipt: shorten(f.Receipt.String(), 500)}
		row.Lasted = f.HealedAt - f.At
		m.Faults = append(m.Faults, row)
	}
	m.MoreFault = max(0, len(faults)-faultsMax)
}

func strengthFigures(s history.Strength) []figure {
	share := func(n, of int) string {
		if of == 0 {
			return fmt.Sprint(n)
		}
		return fmt.Sprintf("%d (%.0f%%)", n, 100*float64(n)/float64(of))
	}
	return []figure{
		{"operations", fmt.Sprint(s.Operations)},
		{"ok", share(s.OK, s.Operations)},
		{"overlapped another on the same key", share(s.Concurrent, s.Operations)},
		{"reads", fmt.Sprint(s.Reads)},
		{"reads that saw a change", share(s.Distinguishing, s.Reads)},
		{"ok while a fault was in force", share(s.DuringFaults, s.OK)},
		{"faults", fmt.Sprint(s.Faults)},
		{"keys", fmt.Sprint(s.Keys)},
	}
}

// measures lists the run's measures and the checkers', by name.
func measures(r *rundir.Result) []figure {
	all := map[string]float64{}
	for name, v := range r.Measures {
		all[name] = v
	}
	for _, c := range r.Checkers {
		for name, v := range c.Measures {
			all[c.Checker+": "+name] = v
		}
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	figures := make([]figure, len(names))
	for i, name := range names {
		figures[i] = figure{strings.ReplaceAll(name, "_", " "), number(all[name])}
	}
	return figures
}

// number prints a figure with at most three digits after the point.
func number(v float64) string {
	s := fmt.Sprintf("%.3f", v)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}
