package report

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/cleancut/cleancut/checkers/recovery"
	"github.com/cleancut/cleancut/harness/internal/files"
)

// Study is what the page of an interval study shows.
type Study struct {
	Scenario  string
	Reproduce string
	Runs      int // under failures
	LeftOut   int // of them, because they proved nothing
	Curve     *recovery.IntervalCurve
	Failing   []recovery.IntervalRun
}

// Plot is the picture of the page.
func (s Study) Plot() (template.HTML, error) { return studySVG(s.Curve, s.Failing) }

// WriteStudy writes the page of an interval study: self-contained, without a
// script.
func WriteStudy(path string, s Study) error {
	var b bytes.Buffer
	if err := page.ExecuteTemplate(&b, "study.html", s); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return files.Write(path, b.Bytes())
}

var (
	runsColor  = color.NRGBA{0x8a, 0x8f, 0x98, 0x90}
	modelColor = failColor
)

// studySVG draws how much longer the job took over the time of computation
// between checkpoints: runs and their means, the fitted curve, Daly's model,
// and where each is lowest.
func studySVG(c *recovery.IntervalCurve, failing []recovery.IntervalRun) (template.HTML, error) {
	p := blankPlot("Time that the job takes under failures, as a multiple of what it takes alone")
	p.X.Label.Text = "computation between two checkpoints"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, studyTicks(c)
	p.Add(levelGrid())
	// The page's font is wider than the one that gonum measures with.
	p.Legend.Top, p.Legend.Left, p.Legend.XOffs, p.Legend.Padding = true, true, 0.5*vg.Inch, 3
	low, high := c.Points[0].Compute.Seconds()/1.15, c.Points[len(c.Points)-1].Compute.Seconds()*1.15

	at, means := map[time.Duration]float64{}, studyMeans{}
	for _, point := range c.Points {
		at[point.Interval] = point.Compute.Seconds()
		means.XYs = append(means.XYs, plotter.XY{X: point.Compute.Seconds(), Y: point.Slowdown})
		means.YErrors = append(means.YErrors, struct{ Low, High float64 }{point.Margin, point.Margin})
	}
	var dots plotter.XYs
	for _, r := range failing {
		dots = append(dots, plotter.XY{X: at[r.Interval], Y: r.Took.Seconds() / c.Bare.Seconds()})
	}
	runs, err := plotter.NewScatter(dots)
	if err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	runs.Color, runs.Shape, runs.Radius = runsColor, draw.CircleGlyph{}, 1.6
	mean, err := plotter.NewScatter(means)
	if err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	mean.Color, mean.Shape, mean.Radius = okColor, draw.CircleGlyph{}, 3.2
	whiskers, err := plotter.NewYErrorBars(means)
	if err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	whiskers.Color, whiskers.Width = okColor, 1.4
	fitted := curveOf(okColor, low, high, c.At)
	model := curveOf(modelColor, low, high, func(t time.Duration) float64 {
		return recovery.Slowdown(t, c.Cost, c.Restart, c.MTBF)
	})
	model.Dashes = []vg.Length{5, 3}
	p.Add(runs, fitted, model, whiskers, mean)
	p.Legend.Add("runs", runs)
	p.Legend.Add("mean of the runs, 95 % confidence", mean)
	p.Legend.Add(fmt.Sprintf("fitted curve, lowest at %.2f s", c.Fitted.Seconds()), fitted)
	p.Legend.Add("Daly's model", model)
	p.X.Min, p.X.Max = low, high
	p.Y.Min = min(1, p.Y.Min)
	p.Y.Max += 0.2 * (p.Y.Max - p.Y.Min) // room for the legend
	span := p.Y.Max - p.Y.Min
	for i, m := range []struct {
		at   time.Duration
		name string
		fill color.NRGBA
	}{{c.Young, "Young", phaseColor}, {c.Daly, "Daly", modelColor}, {c.Fitted, "runs", okColor}} {
		p.Add(upright{x: m.at.Seconds(), y: p.Y.Min + span*(0.03+0.055*float64(i)), label: fmt.Sprintf("%s %.2f s", m.name, m.at.Seconds()), fill: m.fill, style: p.X.Tick.Label})
	}
	return stacked(10*vg.Inch, 5*vg.Inch, p)
}

// studyMeans are means with their confidence intervals.
type studyMeans struct {
	plotter.XYs
	plotter.YErrors
}

// curveOf draws a function of the time of computation.
func curveOf(c color.NRGBA, low, high float64, f func(time.Duration) float64) *plotter.Line {
	const steps = 160
	line := &plotter.Line{LineStyle: draw.LineStyle{Color: c, Width: 1.4}}
	for i := range steps + 1 {
		x := low * math.Pow(high/low, float64(i)/steps)
		line.XYs = append(line.XYs, plotter.XY{X: x, Y: f(time.Duration(x * float64(time.Second)))})
	}
	return line
}

// studyTicks marks each interval that was tried.
func studyTicks(c *recovery.IntervalCurve) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for _, p := range c.Points {
		ticks = append(ticks, plot.Tick{Value: p.Compute.Seconds(), Label: fmt.Sprintf("%.2f s", p.Compute.Seconds())})
	}
	return ticks
}

// upright is a labelled vertical line.
type upright struct {
	x, y  float64
	label string
	fill  color.NRGBA
	style draw.TextStyle
}

// Plot implements plot.Plotter.
func (u upright) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	at := x(u.x)
	if at < c.Min.X || at > c.Max.X {
		return
	}
	c.StrokeLines(draw.LineStyle{Color: u.fill, Width: 1, Dashes: []vg.Length{2, 2}}, []vg.Point{{X: at, Y: c.Min.Y}, {X: at, Y: c.Max.Y}})
	u.style.Color = u.fill
	u.style.XAlign, u.style.YAlign = draw.XLeft, draw.YBottom
	c.FillText(u.style, vg.Point{X: at + 3, Y: y(u.y)}, u.label)
}
