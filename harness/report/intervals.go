package report

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Measures of the picture of a witness, in pixels.
const (
	intervalsWidth = 980
	intervalsLeft  = 120
	intervalsRight = 40
	rowHeight      = 34
	intervalsMax   = 40 // operations drawn
)

// interval is an operation as a bar.
type interval struct {
	x, width, y float64
	text        string
	class       string
	open        bool // of unknown outcome
}

// intervalsSVG draws the operations of a witness as bars, one row for each
// process. Times are spread evenly by rank, so that close events can be told
// apart; the times themselves stand at the axis.
func intervalsSVG(w *checkers.Witness) template.HTML {
	ops := w.Operations[:min(len(w.Operations), intervalsMax)]
	if len(ops) == 0 {
		return ""
	}
	marks := marksOf(ops)
	place := func(t time.Duration) float64 {
		i, _ := slices.BinarySearch(marks, t)
		return intervalsLeft + float64(i)*(intervalsWidth-intervalsLeft-intervalsRight)/float64(max(1, len(marks)))
	}
	var rows []int
	for _, o := range ops {
		if !slices.Contains(rows, o.Process) {
			rows = append(rows, o.Process)
		}
	}
	slices.SortFunc(rows, cmp.Compare)
	height := rowHeight*len(rows) + 40
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="intervals" role="img" viewBox="0 0 %d %d"><title>Operations of the witness</title>`, intervalsWidth, height)
	for i, p := range rows {
		y := float64(i*rowHeight + rowHeight/2 + 5)
		fmt.Fprintf(&b, `<text class="who" x="0" y="%.0f">process %d</text><line class="lane" x1="%d" x2="%d" y1="%.0f" y2="%.0f"/>`, y, p, intervalsLeft, intervalsWidth, y-5, y-5)
	}
	bottom := float64(rowHeight*len(rows) + 8)
	for i, t := range marks {
		x := place(t)
		fmt.Fprintf(&b, `<line class="mark" x1="%.1f" x2="%.1f" y1="0" y2="%.0f"/>`, x, x, bottom)
		fmt.Fprintf(&b, `<text class="time" x="%.1f" y="%.0f">%s</text>`, x, bottom+12+float64(i%2)*12, template.HTMLEscapeString(clock(t)))
	}
	for _, o := range ops {
		writeInterval(&b, intervalOf(o, slices.Index(rows, o.Process), place))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) // built here; all text in it is escaped
}

// marksOf returns the times of invocations and completions in order.
func marksOf(ops []history.Operation) []time.Duration {
	var marks []time.Duration
	for _, o := range ops {
		marks = append(marks, o.Invoked)
		if o.Completed != history.Never {
			marks = append(marks, o.Completed)
		}
	}
	slices.Sort(marks)
	return slices.Compact(marks)
}

func intervalOf(o history.Operation, row int, place func(time.Duration) float64) interval {
	v := interval{x: place(o.Invoked), y: float64(row*rowHeight + 3), text: effect(o), class: "write"}
	end := float64(intervalsWidth - 4)
	if o.Completed != history.Never {
		end = place(o.Completed)
	} else {
		v.open = true
	}
	v.width = max(end-v.x, 6)
	switch {
	case o.F == history.ReadFunction:
		v.class = "read"
	case o.F == "cas":
		v.class = "cas"
	}
	return v
}

func writeInterval(b *strings.Builder, v interval) {
	dashed := ""
	if v.open {
		dashed = " open"
	}
	fmt.Fprintf(b, `<rect class="op %s%s" x="%.1f" y="%.1f" width="%.1f" height="%d" rx="3"/>`, v.class, dashed, v.x, v.y, v.width, rowHeight-10)
	fmt.Fprintf(b, `<text class="label" x="%.1f" y="%.1f">%s</text>`, v.x+5, v.y+16, template.HTMLEscapeString(shorten(v.text, 40)))
}

// effect says in a few signs what an operation did.
func effect(o history.Operation) string {
	switch o.F {
	case history.ReadFunction:
		return "read → " + o.Output.String()
	case "cas":
		if pair, ok := o.Input.AsList(); ok && len(pair) == 2 {
			return fmt.Sprintf("cas %s → %s", pair[0], pair[1])
		}
	}
	switch {
	case o.Input.IsNil() && o.Output.IsNil():
		return o.F
	case o.Input.IsNil():
		return o.F + " → " + shorten(o.Output.String(), 160)
	}
	return o.F + " " + o.Input.String()
}

func clock(d time.Duration) string {
	if d%time.Millisecond == 0 {
		return fmt.Sprintf("%.3f s", d.Seconds())
	}
	return fmt.Sprintf("%.6f s", d.Seconds())
}

func shorten(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most-1]) + "…"
}
