package report

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/rundir"
)

// Bounds of the logs in a report.
const (
	logLinesMax = 150 // of each node
	logLineMax  = 300
	logNodesMax = 16
	logAround   = 1500 * time.Millisecond // before and after the violation
)

// nodeLog is the part of a node's log that a report shows.
type nodeLog struct {
	Node  string
	Text  string
	Note  string // which part it is
	Lines int
}

// excerpts picks from each log the lines around the span from…to, or its end
// where lines carry no time that can be compared with the run's: either
// seconds since the run began (the simulator), or a date and time, for which
// began, the wall clock at the zero of the run's clock, must be known.
func excerpts(logs map[string][]byte, sim bool, began time.Time, from, to time.Duration, violated bool) []nodeLog {
	var nodes []string
	for n := range logs {
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, rundir.CompareNames)
	nodes = nodes[:min(len(nodes), logNodesMax)]
	var out []nodeLog
	for _, n := range nodes {
		lines := strings.Split(strings.TrimRight(string(bytes.ToValidUTF8(logs[n], []byte("\uFFFD"))), "\n"), "\n")
		l := nodeLog{Node: n, Lines: len(lines), Note: "the end"}
		if violated {
			if near := around(lines, sim, began, from-logAround, to+logAround); near != nil {
				lines, l.Note = near, "around the violation"
			}
		}
		if len(lines) > logLinesMax {
			lines = lines[len(lines)-logLinesMax:]
			l.Note += ", cut"
		}
		for i := range lines {
			lines[i] = onRunsClock(lines[i], sim, began)
		}
		l.Text = strings.Join(lines, "\n")
		out = append(out, l)
	}
	return out
}

// onRunsClock returns a line, with its time on the run's clock before it if the
// line tells that of the wall.
func onRunsClock(line string, sim bool, began time.Time) string {
	text := shorten(line, logLineMax)
	if t, ok := timeOf(line, sim, began); ok && !sim {
		return "[" + clock(t.Round(time.Microsecond)) + "] " + text
	}
	return text
}

// around returns the lines of the span, with lines without a time that
// follow one; nil if there are none.
func around(lines []string, sim bool, began time.Time, from, to time.Duration) []string {
	var near []string
	in := false
	for _, line := range lines {
		if t, ok := timeOf(line, sim, began); ok {
			in = t >= from && t <= to
		}
		if in {
			near = append(near, line)
		}
	}
	return near
}

var (
	elapsed = regexp.MustCompile(`^\s*(\d+\.\d+)\s`)
	stamp   = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?`)
)

// stampWithin is how far into a line a date may begin.
const stampWithin = 40

func timeOf(line string, sim bool, began time.Time) (time.Duration, bool) {
	if sim {
		m := elapsed.FindStringSubmatch(line)
		if m == nil {
			return 0, false
		}
		s, err := strconv.ParseFloat(m[1], 64)
		return time.Duration(s * float64(time.Second)), err == nil
	}
	if began.IsZero() {
		return 0, false
	}
	text := stamp.FindString(line[:min(len(line), stampWithin+35)])
	text = strings.Replace(text, " ", "T", 1)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.Sub(began), true
		}
	}
	return 0, false
}
