package report

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/record"
)

// Measures of the overview, in pixels, and the most signs of each kind in it.
const (
	overviewLanes  = 150.0 // height of all lanes together
	overviewSigns  = 3000
	overviewMargin = 8.0
)

// overviewSVG draws the whole record small, without messages, and where the
// window lies.
func (c *chronicle) overviewSVG(w window) template.HTML {
	first, last := c.bounds()
	if last == first {
		return ""
	}
	pitch := max(2, min(14, overviewLanes/float64(len(c.procs))))
	x := func(t time.Duration) float64 {
		return spaceLeft + float64(t-first)/float64(last-first)*(spaceWidth-spaceLeft-spaceRight)
	}
	y := func(proc string) float64 { return overviewMargin + pitch*(float64(c.lane[proc])+0.5) }
	bottom := 2*overviewMargin + pitch*float64(len(c.procs))
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="spacetime overview" role="img" viewBox="0 0 %.0f %.0f"><title>The whole record, without messages</title>`, spaceWidth, bottom+axisHeight-6)
	fmt.Fprintf(&b, `<rect class="zoom" x="%.1f" y="1" width="%.1f" height="%.1f" rx="2"/>`, x(w.from), max(3, x(w.to)-x(w.from)), bottom-2)
	for i, p := range c.procs {
		fmt.Fprintf(&b, `<line class="lane" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, spaceLeft, spaceWidth-spaceRight, y(p), y(p))
		if i == 0 || i == len(c.procs)-1 {
			fmt.Fprintf(&b, `<text class="who" x="%.1f" y="%.1f">%s</text>`, spaceLeft-12, y(p)+4, escape(shorten(p, 11)))
		}
	}
	half := max(1, min(4, pitch*0.36))
	drawn := map[string]int{}
	for i := range c.events {
		e := &c.events[i]
		class := ""
		switch e.Kind {
		case record.CheckpointBegin:
			class = "checkpoint"
		case record.Crash, record.Failure:
			class = "crash"
		case record.Restore:
			class = "restore"
		}
		if class == "" {
			continue
		}
		if drawn[class]++; drawn[class] <= overviewSigns {
			fmt.Fprintf(&b, `<line class="sign %s" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, class, x(e.T), x(e.T), y(e.Proc)-half, y(e.Proc)+half)
		}
	}
	for _, t := range []time.Duration{first, first + (last-first)/2, last} {
		fmt.Fprintf(&b, `<text class="time" x="%.1f" y="%.1f">%s</text>`, min(x(t), spaceWidth-spaceRight-20), bottom+14, fmt.Sprintf("%.3f s", t.Seconds()))
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // built here; all text in it is escaped
}
