package txn

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// The measures of a picture, in pixels.
const (
	boxWidth   = 260
	lineHeight = 17
	boxPad     = 8
	maxBoxOps  = 6
)

// edgeColors tell the kinds of edges apart; they are readable on white and
// differ for the colour-blind, and every edge bears its name anyway.
var edgeColors = map[graph.Kind]string{graph.WW: "#0072b2", graph.WR: "#009e73", graph.RW: "#d55e00", graph.CO: "#cc79a7", graph.SO: "#555555", graph.RT: "#000000"}

// SVG draws a finding: a box for each transaction with the micro-operations
// that matter, and an arrow for each step of the cycle; of a long one only the
// ends.
func SVG(h *History, f *Finding) string {
	cycle, left := shorten(f.Cycle)
	boxes, at := layout(h, f, cycle, left)
	var b strings.Builder
	width, height := 0.0, 0.0
	for _, x := range boxes {
		width, height = math.Max(width, x.x+boxWidth/2+20), math.Max(height, x.y+x.height/2+20)
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" font-family="sans-serif" font-size="13" role="img">`, width, height, width)
	fmt.Fprintf(&b, `<title>%s</title><defs>`, html.EscapeString(string(f.Anomaly)+": "+f.Summary))
	for k := graph.WW; k <= graph.RT; k++ {
		fmt.Fprintf(&b, `<marker id="%s" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="%s"/></marker>`, k, edgeColors[k])
	}
	b.WriteString(`</defs>`)
	for i, s := range cycle {
		if i >= drawnEnds {
			i += left
		}
		drawEdge(&b, boxes[at[s.From]], boxes[at[s.To]], s.Kind, i)
	}
	for _, x := range boxes {
		drawBox(&b, x)
	}
	b.WriteString(`</svg>`)
	return b.String()
}

// box is a transaction in a picture; x and y are of its centre.
type box struct {
	x, y, height float64
	title        string
	lines        []string
}

// Of a cycle of more than maxDrawn steps only the ends are drawn.
const maxDrawn, drawnEnds = 48, 16

// shorten leaves the middle of a long cycle out, so many steps: what is left
// leads into the gap and out of it again.
func shorten(cycle []graph.Step) (short []graph.Step, left int) {
	if len(cycle) <= maxDrawn {
		return cycle, 0
	}
	out := len(cycle) - drawnEnds - 1
	return slices.Concat(cycle[:drawnEnds], cycle[out:]), out - drawnEnds
}

// layout puts the transactions of a cycle, or of the witness where there is
// none, on an ellipse in their order; of the cycle so many steps were left out.
func layout(h *History, f *Finding, cycle []graph.Step, left int) (boxes []box, at map[int32]int) {
	at = map[int32]int{}
	byID := map[int64]*Txn{}
	for i := range f.Witness.Txns {
		byID[f.Witness.Txns[i].ID] = &f.Witness.Txns[i]
	}
	add := func(t *Txn) {
		x := box{title: fmt.Sprintf("T%d, process %d, %s", t.ID, t.Process, t.Status)}
		for j := range t.Ops {
			if j == maxBoxOps && len(t.Ops) > maxBoxOps+1 {
				x.lines = append(x.lines, fmt.Sprintf("and %d more", len(t.Ops)-j))
				break
			}
			x.lines = append(x.lines, clip(h.OpString(&t.Ops[j])))
		}
		x.height = float64(2*boxPad + lineHeight*(1+len(x.lines)))
		boxes = append(boxes, x)
	}
	for i, s := range cycle {
		at[s.From] = len(boxes)
		if left > 0 && i == drawnEnds {
			at[cycle[i-1].To] = len(boxes)
			boxes = append(boxes, box{title: fmt.Sprintf("%d more transactions", left+1), height: 2*boxPad + lineHeight})
			continue
		}
		t := &h.Txns[s.From]
		if cut, ok := byID[t.ID]; ok {
			t = cut
		}
		add(t)
	}
	if len(f.Cycle) == 0 {
		for i := range f.Witness.Txns {
			if i < 12 {
				add(&f.Witness.Txns[i])
			}
		}
	}
	n := float64(len(boxes))
	tallest := 0.0
	for _, x := range boxes {
		tallest = math.Max(tallest, x.height)
	}
	rx, ry := math.Max(boxWidth*0.8, n*boxWidth/5), math.Max(tallest, n*tallest/4)
	for i := range boxes {
		angle := 2*math.Pi*float64(i)/n - math.Pi
		boxes[i].x = 20 + boxWidth/2 + rx*(1+math.Cos(angle))
		boxes[i].y = 20 + tallest/2 + ry*(1+math.Sin(angle))
	}
	return boxes, at
}

// clip shortens what would not fit into a box.
func clip(s string) string {
	const most = 36
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func drawBox(b *strings.Builder, x box) {
	left, top := x.x-boxWidth/2, x.y-x.height/2
	fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%d" height="%.1f" rx="6" fill="#ffffff" stroke="#444444"/>`, left, top, boxWidth, x.height)
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" font-weight="bold">%s</text>`, left+boxPad, top+boxPad+12, html.EscapeString(x.title))
	for i, line := range x.lines {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" font-family="monospace">%s</text>`, left+boxPad, top+boxPad+12+float64(lineHeight*(i+1)), html.EscapeString(line))
	}
}

// drawEdge draws an arrow from the border of one box to that of another, bent
// so that the two of a cycle of two do not cover each other.
func drawEdge(b *strings.Builder, from, to box, k graph.Kind, i int) {
	dx, dy := to.x-from.x, to.y-from.y
	length := math.Max(1, math.Hypot(dx, dy))
	mx, my := (from.x+to.x)/2-dy/length*45, (from.y+to.y)/2+dx/length*45
	x1, y1 := border(from, mx, my)
	x2, y2 := border(to, mx, my)
	fmt.Fprintf(b, `<path d="M%.1f %.1fQ%.1f %.1f %.1f %.1f" fill="none" stroke="%s" stroke-width="2" marker-end="url(#%s)"/>`, x1, y1, mx, my, x2, y2, edgeColors[k], k)
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" fill="%s" text-anchor="middle" font-weight="bold">%d %s</text>`, (x1+x2)/4+mx/2, (y1+y2)/4+my/2-4, edgeColors[k], i+1, k)
}

// border returns where the line from a box's centre to a point leaves it.
func border(x box, px, py float64) (float64, float64) {
	dx, dy := px-x.x, py-x.y
	scale := math.Inf(1)
	if dx != 0 {
		scale = math.Min(scale, boxWidth/2/math.Abs(dx))
	}
	if dy != 0 {
		scale = math.Min(scale, x.height/2/math.Abs(dy))
	}
	scale = math.Min(scale, 1)
	return x.x + dx*scale, x.y + dy*scale
}

// maxLines bounds the lines of a finding on a page.
const maxLines = 1000

// Page shows findings on one self-contained HTML page: each with its picture
// and, below, why each arrow is there.
func Page(h *History, findings []Finding) []byte {
	var b strings.Builder
	b.WriteString(`<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Anomalies</title><style>body{font:15px/1.5 sans-serif;margin:2em;max-width:75em}svg{max-width:100%;height:auto}</style>`)
	for i := range findings {
		f := &findings[i]
		fmt.Fprintf(&b, `<h2>%s</h2><p>%s.</p>%s`, html.EscapeString(string(f.Anomaly)), html.EscapeString(f.Summary), SVG(h, f))
		if len(f.Lines) > 0 {
			b.WriteString(`<ol>`)
			for i, line := range f.Lines {
				if i == maxLines {
					fmt.Fprintf(&b, `<li>and %d more</li>`, len(f.Lines)-i)
					break
				}
				fmt.Fprintf(&b, `<li>%s</li>`, html.EscapeString(line))
			}
			b.WriteString(`</ol>`)
		}
	}
	b.WriteString(`</html>`)
	return []byte(b.String())
}
