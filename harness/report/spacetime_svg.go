package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/record"
)

// Measures of a space-time diagram, in pixels.
const (
	spaceWidth    = 1072.0
	spaceLeft     = 84.0
	spaceRight    = 16.0
	roundsHeight  = 30.0
	axisHeight    = 26.0
	captionHeight = 18.0
)

// canvas draws a chronicle, one lane for each process.
type canvas struct {
	*chronicle
	strings.Builder
	window
	lanes []string
	row   map[string]int
	pitch float64 // between lanes
	marks []time.Duration
}

// pitchOf spaces lanes so that few are easy to follow and many fit a page.
func pitchOf(lanes int) float64 {
	switch {
	case lanes <= 6:
		return 64
	case lanes <= 12:
		return 44
	case lanes <= 26:
		return 26
	}
	return 16
}

// spacetimeSVG draws the window. It returns the picture and remarks on what
// it leaves out.
func (c *chronicle) spacetimeSVG(w window) (template.HTML, []string) {
	messages := c.messagesIn(w)
	v := &canvas{chronicle: c, window: w, lanes: c.lanesIn(w, messages), row: map[string]int{}}
	for i, p := range v.lanes {
		v.row[p] = i
	}
	v.pitch = pitchOf(len(v.lanes))
	chosen, all := drawn(messages, v.lanes, w.words)
	v.spread(chosen)
	captions := v.captions()
	bottom := v.y(len(v.lanes)-1) + v.pitch/2
	height := bottom + captionHeight*float64(len(captions)) + axisHeight
	fmt.Fprintf(v, `<svg class="spacetime" role="img" viewBox="0 0 %.0f %.0f"><title>Processes as lines, messages as arrows, from %s to %s</title>`, spaceWidth, height, clock(w.from), clock(w.to))
	v.WriteString(`<defs>`)
	for _, class := range []string{"plain", "transit", "named", "orphan", "back"} {
		fmt.Fprintf(v, `<marker id="head-%s" class="head %s" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6.5" markerHeight="6.5" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0.8L8 4L0 7.2z"/></marker>`, class, class)
	}
	fmt.Fprintf(v, `<clipPath id="field"><rect x="%.1f" y="0" width="%.1f" height="%.1f"/></clipPath></defs>`, spaceLeft, spaceWidth-spaceLeft-spaceRight+8, height)
	v.drawGround(bottom)
	v.WriteString(`<g clip-path="url(#field)">`)
	v.drawRounds(bottom)
	v.drawLives()
	v.drawMessages(chosen)
	v.drawRecoveryLines(captions, bottom)
	v.drawEvents()
	v.drawMessageNames(chosen)
	v.WriteString(`</g>`)
	v.drawAxis(bottom + captionHeight*float64(len(captions)))
	v.WriteString(`</svg>`)
	return template.HTML(v.String()), v.remarks(len(chosen), all) // built here; all text in it is escaped
}

func (v *canvas) remarks(chosen, all int) (remarks []string) {
	if n := len(v.procs); n > len(v.lanes) {
		remarks = append(remarks, fmt.Sprintf("%d of %d processes are drawn, those that are concerned first; messages of the others are not", len(v.lanes), n))
	}
	if chosen < all {
		remarks = append(remarks, fmt.Sprintf("%d of %d messages between these processes are drawn: orphans first, then those that the witness names, those in transit across a line, and a sample of the others", chosen, all))
	}
	if v.narrowed {
		remarks = append(remarks, "What came before is cut off, because so many messages could not be told apart")
	}
	return remarks
}

// spread prepares the axis: a quarter of the width is for time as it passes,
// the rest for what is drawn, so that events in close succession can be told apart.
func (v *canvas) spread(messages []message) {
	for _, m := range messages {
		for _, i := range []int{m.send, m.recv} {
			if i >= 0 {
				v.marks = append(v.marks, v.events[i].T)
			}
		}
	}
	i, j := v.span(v.from, v.to)
	for k := i; k < j; k++ {
		if glyphs[v.events[k].Kind] && has(v.row, v.events[k].Proc) {
			v.marks = append(v.marks, v.events[k].T)
		}
	}
	v.marks = slices.DeleteFunc(v.marks, func(t time.Duration) bool { return t < v.from || t > v.to })
	v.marks = append(v.marks, v.from, v.to)
	slices.Sort(v.marks)
	v.marks = slices.Compact(v.marks)
}

// x is where a time lies; what is outside of the window lies just outside.
func (v *canvas) x(t time.Duration) float64 {
	const field = spaceWidth - spaceLeft - spaceRight
	switch {
	case t < v.from:
		return spaceLeft - 20
	case t > v.to:
		return spaceWidth - spaceRight + 20
	case v.to == v.from:
		return spaceLeft + field/2
	}
	linear := float64(t-v.from) / float64(v.to-v.from)
	i, found := slices.BinarySearch(v.marks, t)
	rank := float64(i)
	if !found {
		before, after := v.marks[i-1], v.marks[i]
		rank = float64(i-1) + float64(t-before)/float64(after-before)
	}
	return spaceLeft + field*(0.25*linear+0.75*rank/float64(len(v.marks)-1))
}

func (v *canvas) at(event int) float64     { return v.x(v.events[event].T) }
func (v *canvas) y(row int) float64        { return roundsHeight + v.pitch/2 + float64(row)*v.pitch }
func (v *canvas) lane(proc string) float64 { return v.y(v.row[proc]) }

// drawGround draws the violation's time, the lanes and their names.
func (v *canvas) drawGround(bottom float64) {
	if v.marked {
		from, to := max(v.x(v.markFrom), spaceLeft), min(v.x(v.markTo), spaceWidth-spaceRight)
		fmt.Fprintf(v, `<rect class="violation" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>the violation, %s to %s</title></rect>`, from-3, roundsHeight, max(6, to-from+6), bottom-roundsHeight, clock(v.markFrom), clock(v.markTo))
	}
	every := int(math.Ceil(11 / v.pitch)) // names do not touch each other
	for i, p := range v.lanes {
		y := v.y(i)
		fmt.Fprintf(v, `<line class="lane" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, spaceLeft, spaceWidth-spaceRight, y, y)
		class := "who"
		if v.words[p] {
			class = "who named"
		} else if i%every != 0 {
			continue
		}
		fmt.Fprintf(v, `<text class="%s" x="%.1f" y="%.1f">%s</text>`, class, spaceLeft-12, y+4, escape(shorten(p, 11)))
	}
}

func escape(s string) string { return template.HTMLEscapeString(s) }

// drawRounds draws each round as a bar above and as a line through its parts.
func (v *canvas) drawRounds(bottom float64) {
	labelled := spaceLeft
	for _, r := range v.rounds {
		from, to := r.firstPart, r.endPart
		if r.begin >= 0 {
			from = v.events[r.begin].T
		}
		state := "open"
		if end := max(r.commit, r.abort); end >= 0 {
			to, state = v.events[end].T, "committed"
			if r.commit < 0 {
				state = "aborted"
			}
		}
		if to < v.from || from > v.to {
			continue
		}
		title := fmt.Sprintf("round %d, %s, %s to %s, %d parts", r.number, state, clock(from), clock(to), len(r.parts))
		x1, x2 := max(v.x(from), spaceLeft), min(v.x(to), spaceWidth-spaceRight)
		fmt.Fprintf(v, `<g class="round %s"><rect x="%.1f" y="16" width="%.1f" height="7" rx="2"><title>%s</title></rect>`, state, x1, max(3, x2-x1), title)
		if x1 >= labelled {
			text := fmt.Sprintf("round %d", r.number)
			if state != "committed" {
				text += ", " + state
			}
			fmt.Fprintf(v, `<text x="%.1f" y="12">%s</text>`, x1, text)
			labelled = x1 + 7*float64(len(text))
		}
		v.drawLine(r.parts, title)
		v.WriteString(`</g>`)
	}
	if v.pitch < 26 {
		return
	}
	fmt.Fprintf(v, `<line class="lane" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, spaceLeft, spaceWidth-spaceRight, bottom, bottom)
}

// drawLine draws a line through an event of each process, from lane to lane.
func (v *canvas) drawLine(at map[string]int, title string) {
	var points []string
	for i, p := range v.lanes {
		event, ok := at[p]
		if !ok {
			continue
		}
		x := spaceLeft - 20
		if event >= 0 {
			x = v.at(event)
		}
		// Within a lane the line is upright, so that it is clear what it
		// separates.
		half := v.pitch * 0.3
		points = append(points, fmt.Sprintf("%.1f,%.1f %.1f,%.1f", x, v.y(i)-half, x, v.y(i)+half))
	}
	if len(points) > 0 {
		fmt.Fprintf(v, `<polyline points="%s"><title>%s</title></polyline>`, strings.Join(points, " "), escape(title))
	}
}

// captions names the recovery lines in the window.
func (v *canvas) captions() (lines []*cutLine) {
	for _, l := range v.linesIn(v.window) {
		if l.round == nil {
			lines = append(lines, l)
		}
	}
	const captionsMax = 6
	return lines[max(0, len(lines)-captionsMax):]
}

func (v *canvas) drawRecoveryLines(lines []*cutLine, bottom float64) {
	for i, l := range lines {
		e := &v.events[l.recovery]
		text := fmt.Sprintf("recovery line of epoch %d, decided at %s", e.Epoch, clock(e.T))
		if e.Round > 0 {
			text += fmt.Sprintf(": round %d", e.Round)
		}
		if len(e.Failed) > 0 {
			text += "; failed: " + strings.Join(e.Failed, ", ")
		}
		v.WriteString(`<g class="recovery">`)
		rolled := map[string]int{}
		last := spaceLeft
		for p := range e.Line {
			rolled[p] = l.at[p]
		}
		for j := len(v.lanes) - 1; j >= 0; j-- {
			if event, ok := rolled[v.lanes[j]]; ok {
				if event >= 0 {
					last = max(v.at(event), spaceLeft)
				}
				break
			}
		}
		v.drawLine(rolled, text)
		y := bottom + captionHeight*float64(i)
		anchor, x := "start", last
		if last > spaceWidth/2 {
			anchor = "end"
		}
		fmt.Fprintf(v, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, last, last, v.y(len(v.lanes)-1), y+3)
		fmt.Fprintf(v, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text></g>`, x, y+14, anchor, escape(shorten(text, 110)))
	}
}

// drawLives draws when each process was alive, which of it was undone by a
// restore, when it stopped for a checkpoint, and when it recovered.
func (v *canvas) drawLives() {
	first, last := v.bounds()
	alive, stopped, away := map[string]time.Duration{}, map[string]time.Duration{}, map[string]time.Duration{}
	end := func(open map[string]time.Duration, class, proc string, t time.Duration) {
		from, ok := open[proc]
		delete(open, proc)
		if !ok || t < v.from || from > v.to || !has(v.row, proc) {
			return
		}
		y := v.lane(proc)
		fmt.Fprintf(v, `<line class="%s" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, class, max(v.x(from), spaceLeft), min(v.x(t), spaceWidth-spaceRight), y, y)
	}
	for _, p := range v.lanes {
		alive[p] = first
	}
	for i := range v.events {
		e := &v.events[i]
		switch e.Kind {
		case record.Start:
			end(alive, "life", e.Proc, e.T)
			alive[e.Proc] = e.T
		case record.Crash:
			end(alive, "life", e.Proc, e.T)
			delete(stopped, e.Proc)
			delete(away, e.Proc)
		case record.Stop:
			stopped[e.Proc] = e.T
		case record.Go:
			end(stopped, "stop", e.Proc, e.T)
		case record.Restore:
			if _, ok := away[e.Proc]; !ok {
				away[e.Proc] = e.T
			}
		case record.Resume:
			end(away, "away", e.Proc, e.T)
		}
	}
	for _, p := range v.lanes {
		end(alive, "life", p, last)
		v.drawUndone(p)
	}
}

// drawUndone marks what restores undid: from the capture of the state that
// was restored until the restore or the crash before it.
func (v *canvas) drawUndone(proc string) {
	for _, s := range v.segments[v.chronicle.lane[proc]] {
		e := &v.events[s.first]
		if e.Kind != record.Restore {
			continue
		}
		from, _ := v.bounds()
		if s.base >= 0 {
			from = v.events[s.base].T
		}
		if e.T < v.from || e.T > v.to {
			continue // what is undone after the window was not yet in it
		}
		y := v.lane(proc)
		x1, x2 := max(v.x(from), spaceLeft), min(v.x(e.T), spaceWidth-spaceRight)
		fmt.Fprintf(v, `<line class="undone" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"><title>undone by the restore at %s</title></line>`, x1, x2, y, y, clock(e.T))
		if v.pitch >= 44 {
			fmt.Fprintf(v, `<path class="back" marker-end="url(#head-back)" d="M%.1f %.1fQ%.1f %.1f %.1f %.1f"/>`, x2, y+6, (x1+x2)/2, y+v.pitch*0.62, x1+2, y+7)
		}
	}
}

// drawMessages draws arrows. A message that never arrived ends in the open.
func (v *canvas) drawMessages(messages []message) {
	for _, m := range messages {
		class := "plain"
		switch {
		case m.orphan:
			class = "orphan"
		case m.named:
			class = "named"
		case m.transit:
			class = "transit"
		}
		y1, y2 := v.lane(m.from), v.lane(m.to)
		title := fmt.Sprintf("%s from %s to %s", m.id, m.from, m.to)
		x1, x2 := spaceLeft-20, spaceWidth
		head := fmt.Sprintf(` marker-end="url(#head-%s)"`, class)
		if m.send >= 0 {
			x1 = v.at(m.send)
			title += ", sent " + clock(v.events[m.send].T)
		}
		if m.recv >= 0 {
			x2 = v.at(m.recv)
			title += ", received " + clock(v.events[m.recv].T)
		} else {
			x2, y2, head = min(x1+14, spaceWidth), y1+(y2-y1)*min(1, 22/math.Abs(cmp.Or(y2-y1, 1))), ""
			class += " open"
			title += ", never received as it was sent then"
		}
		if m.send < 0 {
			x1, y1 = x2-14, y2+(y1-y2)*min(1, 22/math.Abs(cmp.Or(y1-y2, 1)))
			title += ", no send is recorded"
		}
		if m.orphan {
			title += ": an orphan"
		}
		fmt.Fprintf(v, `<line class="message %s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"%s><title>%s</title></line>`, class, x1, y1, x2, y2, head, escape(title))
	}
}

// drawMessageNames names orphans and messages that the witness names, where
// there is room.
func (v *canvas) drawMessageNames(messages []message) {
	const namesMax = 8
	var taken [][2]float64
	for _, m := range messages {
		if !m.orphan && !m.named || m.send < 0 || m.recv < 0 || len(taken) == namesMax {
			continue
		}
		x := max(spaceLeft+30, min((v.at(m.send)+v.at(m.recv))/2, spaceWidth-90))
		y := (v.lane(m.from)+v.lane(m.to))/2 - 4
		if slices.ContainsFunc(taken, func(t [2]float64) bool { return math.Abs(t[0]-x) < 90 && math.Abs(t[1]-y) < 13 }) {
			continue
		}
		taken = append(taken, [2]float64{x, y})
		class := "named"
		if m.orphan {
			class = "orphan"
		}
		fmt.Fprintf(v, `<text class="%s" x="%.1f" y="%.1f">%s</text>`, class, x+8, y, escape(shorten(m.id, 24)))
	}
}

// drawAxis writes the time under the picture, where it is.
func (v *canvas) drawAxis(y float64) {
	digits := 3
	if v.to-v.from < 200*time.Millisecond {
		digits = 4
	}
	unit := time.Duration(math.Pow10(9 - digits))
	const apart = 112.0
	last := ""
	for x := spaceLeft + 20; x < spaceWidth-spaceRight-20; x += apart {
		low, high := v.from, v.to
		for high-low > unit/10 {
			if mid := low + (high-low)/2; v.x(mid) < x {
				low = mid
			} else {
				high = mid
			}
		}
		t := high.Round(unit)
		text := fmt.Sprintf("%.*f s", digits, t.Seconds())
		if t < v.from || t > v.to || text == last {
			continue
		}
		last = text
		fmt.Fprintf(v, `<line class="tick" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/><text class="time" x="%.1f" y="%.1f">%s</text>`, v.x(t), v.x(t), y, y+5, v.x(t), y+18, text)
	}
}
