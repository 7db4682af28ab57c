package report

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Bounds of the plots, so that a long history makes no larger a report.
const (
	rateBins   = 180
	pointsMax  = 1200 // of each outcome in the latency plot
	lanesMax   = 14
	windowsMax = 400
)

// Colours that can be told apart on light and dark ground, also by people
// who do not see red and green (after Okabe and Ito, 2008).
var (
	okColor    = color.NRGBA{0x2f, 0x7f, 0xd6, 0xff}
	failColor  = color.NRGBA{0xd9, 0x8e, 0x04, 0xff}
	infoColor  = color.NRGBA{0xd5, 0x4a, 0x3c, 0xff}
	faultColor = color.NRGBA{0xd5, 0x4a, 0x3c, 0xff}
	idleColor  = color.NRGBA{0x8a, 0x8f, 0x98, 0xff} // faults without receipt
	phaseColor = color.NRGBA{0x6e, 0x77, 0x81, 0xff}
	gridColor  = color.NRGBA{0x8a, 0x8f, 0x98, 0x48}
)

func faded(c color.NRGBA, alpha uint8) color.NRGBA { c.A = alpha; return c }

// sample is a completed operation as the plots see it.
type sample struct {
	invoked, latency time.Duration
	outcome          history.Outcome
}

// samplesOf pairs invocations with completions of any kind: an operation of
// unknown outcome has the latency after which its client gave up.
func samplesOf(events []history.Event) []sample {
	open := map[int]time.Duration{}
	samples := make([]sample, 0, len(events)/2)
	for i := range events {
		e := &events[i]
		switch e.Kind {
		case history.Invoke:
			open[e.Process] = e.Time
		case history.OK, history.Fail, history.Info:
			if from, ok := open[e.Process]; ok {
				samples = append(samples, sample{from, e.Time - from, e.Kind})
				delete(open, e.Process)
			}
		}
	}
	return samples
}

// timelineSVG draws faults and phases, rate and latency above each other on
// one axis of time.
func timelineSVG(e *checkers.Evidence) (template.HTML, error) {
	samples := samplesOf(e.Events)
	end := runEnd(e)
	if end <= 0 {
		return "", nil
	}
	lanes, err := lanesPlot(e, end)
	if err != nil {
		return "", err
	}
	rate, err := ratePlot(e, samples, end)
	if err != nil {
		return "", err
	}
	latency, err := latencyPlot(e, samples, end)
	if err != nil {
		return "", err
	}
	return stacked(11*vg.Inch, 7*vg.Inch, lanes, rate, latency)
}

// stacked draws plots above each other, with their vertical axes aligned.
func stacked(width, height vg.Length, rows ...*plot.Plot) (template.HTML, error) {
	c := vgsvg.New(width, height)
	tiles := draw.Tiles{Rows: len(rows), Cols: 1, PadY: 16, PadTop: 4, PadBottom: 4, PadRight: 8, PadLeft: 2}
	grid := make([][]*plot.Plot, len(rows))
	for i := range rows {
		grid[i] = rows[i : i+1]
	}
	for i, canvas := range plot.Align(grid, tiles, draw.New(c)) {
		rows[i].Draw(canvas[0])
	}
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return "", fmt.Errorf("report: drawing: %w", err)
	}
	return inlineSVG(b.String()), nil
}

var (
	svgSize   = regexp.MustCompile(`<svg width="[^"]*" height="[^"]*"`)
	svgFamily = regexp.MustCompile(`font-family:[^;"]*`)
)

// inlineSVG adapts a picture to the page: black becomes the colour of the
// text, fonts become the page's, and the size follows the window.
func inlineSVG(svg string) template.HTML {
	if i := strings.Index(svg, "<svg"); i > 0 {
		svg = svg[i:]
	}
	svg = svgSize.ReplaceAllString(svg, `<svg class="plot" role="img"`)
	svg = svgFamily.ReplaceAllString(svg, "font-family:inherit")
	svg = strings.ReplaceAll(svg, "#000000", "currentColor")
	return template.HTML(svg) // what gonum wrote; it escapes all text
}

func runEnd(e *checkers.Evidence) time.Duration {
	var end time.Duration
	if n := len(e.Events); n > 0 {
		end = e.Events[n-1].Time
	}
	for _, p := range e.Phases {
		end = max(end, p.End)
	}
	return end
}

// blankPlot returns an empty plot in the style of the page.
func blankPlot(title string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.Transparent
	p.Title.Text = title
	p.Title.Padding = 6
	for _, s := range []*draw.TextStyle{&p.Title.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.Legend.TextStyle} {
		s.Font = font.Font{Typeface: "Liberation", Variant: "Sans", Size: 9}
	}
	p.Title.TextStyle.Font.Size = 10.5
	p.X.Padding, p.Y.Padding = 0, 0
	p.X.LineStyle.Color, p.Y.LineStyle.Color = gridColor, gridColor
	p.X.Tick.LineStyle.Color, p.Y.Tick.LineStyle.Color = gridColor, gridColor
	return p
}

// levelGrid is a grid of horizontal lines.
func levelGrid() *plotter.Grid {
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = nil, gridColor
	return grid
}

// newPlot returns an empty plot of the run's length with fault windows
// shaded.
func newPlot(e *checkers.Evidence, end time.Duration, title string, shaded bool) *plot.Plot {
	p := blankPlot(title)
	p.X.Min, p.X.Max = 0, end.Seconds()
	p.X.Tick.Marker = secondTicks{}
	if shaded {
		p.Add(shade{e.Faults}, levelGrid())
	}
	return p
}

// secondTicks marks about ten round numbers of seconds.
type secondTicks struct{}

func (secondTicks) Ticks(low, high float64) []plot.Tick {
	step := math.Pow(10, math.Floor(math.Log10(max(high-low, 1e-9)/10)))
	for _, factor := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*factor) <= 12 {
			step *= factor
			break
		}
	}
	var ticks []plot.Tick
	for i := math.Ceil(low / step); i*step <= high*1.0001; i++ {
		ticks = append(ticks, plot.Tick{Value: i * step, Label: strconv.FormatFloat(i*step, 'g', 6, 64) + " s"})
	}
	return ticks
}

// shade draws fault windows behind a plot.
type shade struct{ windows []checkers.FaultWindow }

func (s shade) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	for i, w := range s.windows {
		if i == windowsMax {
			return
		}
		fillBox(c, faded(faultColor, 26), x(w.Start.Seconds()), c.Min.Y, x(w.End.Seconds()), c.Max.Y)
	}
}

// fillBox draws a box, at least one point wide, cut to the canvas.
func fillBox(c draw.Canvas, fill color.Color, x0, y0, x1, y1 vg.Length) {
	x0, x1 = max(x0, c.Min.X), min(max(x1, x0+1), c.Max.X)
	if x0 >= x1 {
		return
	}
	c.FillPolygon(fill, []vg.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}})
}

// bar is a box in a lane with a label in it. Bars of a lane that overlap are
// drawn in rows of the lane.
type bar struct {
	lane     int
	row      int
	from, to time.Duration
	label    string
	fill     color.NRGBA
}

// bars draws lanes of bars, the first lane on top.
type bars struct {
	bars  []bar
	lanes int
	style draw.TextStyle
}

func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	rows := b.stack()
	for _, r := range b.bars {
		top, height := float64(b.lanes-r.lane)-0.1, 0.8/float64(rows[r.lane])
		high := y(top - height*float64(r.row))
		low := y(top - height*(float64(r.row)+0.94))
		x0, x1 := x(r.from.Seconds()), x(r.to.Seconds())
		fillBox(c, r.fill, x0, low, x1, high)
		style := b.style
		if x1-x0 > style.Width(r.label)+4 && high-low > style.Font.Size*8/10 {
			style.XAlign, style.YAlign = draw.XLeft, draw.YCenter
			c.FillText(style, vg.Point{X: x0 + 3, Y: (low + high) / 2}, r.label)
		}
	}
}

// rowsMax bounds the rows of a lane; beyond it bars are drawn over others.
const rowsMax = 4

// stack gives each bar the lowest free row of its lane and returns how many
// rows each lane has.
func (b bars) stack() []int {
	ends := make([][]time.Duration, b.lanes)
	rows := make([]int, b.lanes)
	for i := range b.bars {
		r := &b.bars[i]
		lane := ends[r.lane]
		r.row = slices.IndexFunc(lane, func(end time.Duration) bool { return end <= r.from })
		switch {
		case r.row >= 0:
			lane[r.row] = r.to
		case len(lane) < rowsMax:
			r.row = len(lane)
			ends[r.lane] = append(lane, r.to)
		default:
			r.row = rowsMax - 1
		}
		rows[r.lane] = max(1, len(ends[r.lane]))
	}
	return rows
}

func lanesPlot(e *checkers.Evidence, end time.Duration) (*plot.Plot, error) {
	p := newPlot(e, end, "Phases and faults", false)
	names := []string{"phase"}
	var all []bar
	for _, ph := range e.Phases {
		all = append(all, bar{from: ph.Start, to: ph.End, label: ph.Name, fill: faded(phaseColor, 60+uint8(len(all)%2)*40)})
	}
	lane := map[string]int{}
	for i, w := range e.Faults {
		if i == windowsMax {
			break
		}
		at, ok := lane[w.Kind]
		if !ok && len(names) < lanesMax {
			at, ok = len(names), true
			lane[w.Kind] = at
			names = append(names, w.Kind)
		}
		if !ok {
			continue
		}
		fill := faded(faultColor, 150)
		if !w.Bit {
			fill = faded(idleColor, 150)
		}
		all = append(all, bar{lane: at, from: w.Start, to: w.End, label: strings.Join(w.Nodes, " "), fill: fill})
	}
	p.Y.Min, p.Y.Max = 0, float64(len(names))
	ticks := make([]plot.Tick, len(names))
	for i, n := range names {
		ticks[i] = plot.Tick{Value: float64(len(names)-i) - 0.5, Label: n}
	}
	p.Y.Tick.Marker = plot.ConstantTicks(ticks)
	p.Y.Tick.Length = 5 // only to keep the names away from the bars
	p.Y.Tick.LineStyle.Color = color.Transparent
	p.Y.LineStyle.Width = 0
	style := p.X.Tick.Label
	style.Font.Size = 8
	p.Add(bars{all, len(names), style})
	return p, nil
}

func ratePlot(e *checkers.Evidence, samples []sample, end time.Duration) (*plot.Plot, error) {
	p := newPlot(e, end, "Operations per second, by completion", true)
	bins := rateBins
	width := end.Seconds() / float64(bins)
	counts := map[history.Outcome][]float64{}
	for _, o := range []history.Outcome{history.OK, history.Fail, history.Info} {
		counts[o] = make([]float64, bins)
	}
	for _, s := range samples {
		bin := min(bins-1, int((s.invoked+s.latency).Seconds()/width))
		counts[s.outcome][bin] += 1 / width
	}
	p.Y.Min = 0
	for _, series := range []struct {
		outcome history.Outcome
		color   color.NRGBA
	}{{history.OK, okColor}, {history.Fail, failColor}, {history.Info, infoColor}} {
		if slices.Max(counts[series.outcome]) == 0 && series.outcome != history.OK {
			continue
		}
		points := make(plotter.XYs, bins)
		for i, n := range counts[series.outcome] {
			points[i] = plotter.XY{X: (float64(i) + 0.5) * width, Y: n}
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, fmt.Errorf("report: rate: %w", err)
		}
		line.Color, line.Width = series.color, 1.4
		p.Add(line)
	}
	p.X.Max = end.Seconds()
	p.Y.Max = max(p.Y.Max*1.05, 1)
	return p, nil
}

func latencyPlot(e *checkers.Evidence, samples []sample, end time.Duration) (*plot.Plot, error) {
	p := newPlot(e, end, "Latency, by invocation", true)
	p.Y.Scale = plot.LogScale{}
	p.Y.Tick.Marker = latencyTicks{}
	low, high := math.Inf(1), 0.0
	for _, series := range []struct {
		outcome history.Outcome
		color   color.NRGBA
	}{{history.OK, okColor}, {history.Fail, failColor}, {history.Info, infoColor}} {
		points := thinned(samples, series.outcome)
		if len(points) == 0 {
			continue
		}
		for _, pt := range points {
			low, high = min(low, pt.Y), max(high, pt.Y)
		}
		s, err := plotter.NewScatter(points)
		if err != nil {
			return nil, fmt.Errorf("report: latency: %w", err)
		}
		s.GlyphStyle = draw.GlyphStyle{Color: faded(series.color, 170), Radius: 1.3, Shape: draw.BoxGlyph{}}
		p.Add(s)
	}
	if high == 0 {
		low, high = 1e-3, 1
	}
	p.X.Min, p.X.Max = 0, end.Seconds()
	p.Y.Min = math.Pow(10, math.Floor(math.Log10(low)))
	p.Y.Max = math.Pow(10, math.Ceil(math.Log10(high*1.01)))
	return p, nil
}

// thinned returns at most pointsMax latencies of an outcome: the slowest of
// each group of neighbours, since those tell most.
func thinned(samples []sample, outcome history.Outcome) plotter.XYs {
	var points plotter.XYs
	for _, s := range samples {
		if s.outcome == outcome {
			points = append(points, plotter.XY{X: s.invoked.Seconds(), Y: max(s.latency, time.Microsecond).Seconds()})
		}
	}
	group := (len(points) + pointsMax - 1) / pointsMax
	if group <= 1 {
		return points
	}
	kept := points[:0]
	for from := 0; from < len(points); from += group {
		part := points[from:min(from+group, len(points))]
		kept = append(kept, slices.MaxFunc(part, func(a, b plotter.XY) int {
			switch {
			case a.Y < b.Y:
				return -1
			case a.Y > b.Y:
				return 1
			}
			return 0
		}))
	}
	return kept
}

// latencyTicks marks powers of ten, and in between if there are few of them.
type latencyTicks struct{}

func (latencyTicks) Ticks(low, high float64) []plot.Tick {
	factors := []float64{1}
	if high/low <= 1000 {
		factors = []float64{1, 2, 5}
	}
	var ticks []plot.Tick
	for v := low; v <= high*1.001; v *= 10 {
		for _, f := range factors {
			if v*f <= high*1.001 {
				ticks = append(ticks, plot.Tick{Value: v * f, Label: time.Duration(math.Round(v * f * 1e9)).String()})
			}
		}
	}
	return ticks
}
