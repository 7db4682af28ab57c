package recovery

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/cleancut/cleancut/harness/rng"
)

// IntervalRun is what one run of a job took until it was complete, with
// checkpoints at one interval: the completion_* measures of its record.
type IntervalRun struct {
	Interval    time.Duration `json:"interval"` // asked for
	Seed        uint64        `json:"seed"`
	Took        time.Duration `json:"took"`
	Down        time.Duration `json:"down"` // of it, standing still for recoveries
	Checkpoints float64       `json:"checkpoints"`
	Failures    int           `json:"failures"`
}

// CompletionOf reads an IntervalRun from the measures of a run. It reports
// false if the job did not end.
func CompletionOf(interval time.Duration, seed uint64, measures map[string]float64) (IntervalRun, bool) {
	took, ok := measures["completion_seconds"]
	seconds := func(s float64) time.Duration { return time.Duration(math.Round(s * float64(time.Second))) }
	return IntervalRun{
		Interval: interval, Seed: seed, Took: seconds(took), Down: seconds(measures["completion_down_seconds"]),
		Checkpoints: measures["completion_checkpoints"], Failures: int(measures["completion_failures"]),
	}, ok
}

// IntervalStudy compares by experiment what intervals between checkpoints cost
// under failures at random, and with what Young and Daly say. It takes the
// service as a black box: all that it looks at is how long the job took.
//
// It does not check that the failures were drawn as the models assume
// (exponential times, one at a time), nor that nothing but checkpoints and
// failures slowed the job down.
type IntervalStudy struct {
	// Bare is what the job takes without failures, and without checkpoints
	// as far as the service can do without.
	Bare IntervalRun `json:"bare"`
	// Quiet has a run without failures for each interval, from which the cost
	// of a checkpoint follows.
	Quiet []IntervalRun `json:"quiet"`
	// Failing has several runs under failures for each interval.
	Failing []IntervalRun `json:"failing"`
}

// IntervalPoint is one interval of a curve. Compute is the time of computation
// between two checkpoints that came of it. Slowdown is the mean over runs of
// the time that the job took, as a multiple of Bare; Margin is half the width of its 95 %
// confidence interval (Student's t); Model is what Daly's complete model says.
type IntervalPoint struct {
	Interval    time.Duration `json:"interval"`
	Compute     time.Duration `json:"compute"`
	Runs        int           `json:"runs"`
	Failures    int           `json:"failures"`
	Checkpoints float64       `json:"checkpoints"`
	Slowdown    float64       `json:"slowdown"`
	Margin      float64       `json:"margin"`
	Model       float64       `json:"model"`
}

// IntervalCurve is the outcome of a study. Cost is that of a checkpoint, from
// the quiet runs; Restart the mean time for which a failure brought the job to
// a stand; MTBF the mean time from there to the next failure, as it really was. Young,
// Daly and Fitted are times of computation between two checkpoints.
type IntervalCurve struct {
	Bare    time.Duration   `json:"bare"`
	Cost    time.Duration   `json:"cost"`
	Restart time.Duration   `json:"restart"`
	MTBF    time.Duration   `json:"mtbf"`
	Points  []IntervalPoint `json:"points"`
	Young   time.Duration   `json:"young"`
	Daly    time.Duration   `json:"daly"`
	// Fitted is where the curve a/τ + b·τ + c through the runs is lowest, √(a/b);
	// FittedLow and FittedHigh bound 95 % of its bootstrap distribution.
	Fitted     time.Duration `json:"fitted"`
	FittedLow  time.Duration `json:"fitted_low"`
	FittedHigh time.Duration `json:"fitted_high"`
	fit        [3]float64
}

const (
	intervalsMin = 4    // below which a curve with three coefficients says nothing
	runsMin      = 2    // of an interval, below which there is no deviation
	bootstraps   = 1000 // resamplings
)

// Curve evaluates the study. It fails if the study has too little in it to
// tell anything, and says what is missing.
func (s IntervalStudy) Curve() (*IntervalCurve, error) {
	if s.Bare.Took <= 0 {
		return nil, errors.New("an interval study needs a run without failures and checkpoints that ended")
	}
	c := &IntervalCurve{Bare: s.Bare.Took}
	computes, err := s.quiet(c)
	if err != nil {
		return nil, err
	}
	if err := s.failures(c); err != nil {
		return nil, err
	}
	runs := map[time.Duration][]float64{}
	for _, r := range s.Failing {
		if computes[r.Interval] == 0 {
			return nil, fmt.Errorf("an interval study needs a quiet run for the interval %v, as for the others", r.Interval)
		}
		runs[r.Interval] = append(runs[r.Interval], r.Took.Seconds()/c.Bare.Seconds())
	}
	for _, interval := range slices.Sorted(maps.Keys(computes)) {
		if len(runs[interval]) < runsMin {
			return nil, fmt.Errorf("an interval study needs %d runs under failures or more for each interval; %v has %d", runsMin, interval, len(runs[interval]))
		}
		c.Points = append(c.Points, s.point(c, interval, computes[interval], runs[interval]))
	}
	c.Young, c.Daly = Young(c.Cost, c.MTBF), Daly(c.Cost, c.MTBF)
	return c, c.optimum(runs)
}

// quiet finds the cost of a checkpoint, and for each interval the time of
// computation that lies between two.
func (s IntervalStudy) quiet(c *IntervalCurve) (map[time.Duration]time.Duration, error) {
	computes := map[time.Duration]time.Duration{}
	var extra time.Duration
	var taken float64
	for _, q := range s.Quiet {
		more := q.Checkpoints - s.Bare.Checkpoints
		if q.Took <= 0 || more < 1 {
			return nil, fmt.Errorf("the quiet run with an interval of %v took %.1f checkpoints in %v and the bare one %.1f: it must end and take more; choose shorter intervals or a longer job",
				q.Interval, q.Checkpoints, q.Took, s.Bare.Checkpoints)
		}
		computes[q.Interval] = time.Duration(float64(c.Bare) / q.Checkpoints)
		extra += q.Took - s.Bare.Took
		taken += more
	}
	if len(computes) < intervalsMin {
		return nil, fmt.Errorf("an interval study needs %d intervals or more, got %d", intervalsMin, len(computes))
	}
	if c.Cost = time.Duration(float64(extra) / taken); c.Cost <= 0 {
		return nil, fmt.Errorf("%.0f checkpoints slowed the job down by %v in all: without a cost there is no best interval", taken, extra)
	}
	return computes, nil
}

func (s IntervalStudy) failures(c *IntervalCurve) error {
	var took, down time.Duration
	n := 0
	for _, r := range s.Failing {
		took, down, n = took+r.Took, down+r.Down, n+r.Failures
	}
	if n == 0 {
		return fmt.Errorf("%d runs of an interval study had no failure; shorten the mean time between failures, or take a longer job", len(s.Failing))
	}
	c.MTBF, c.Restart = (took-down)/time.Duration(n), down/time.Duration(n)
	return nil
}

func (s IntervalStudy) point(c *IntervalCurve, interval, tau time.Duration, slow []float64) IntervalPoint {
	p := IntervalPoint{Interval: interval, Compute: tau, Runs: len(slow), Model: Slowdown(tau, c.Cost, c.Restart, c.MTBF)}
	for _, r := range s.Failing {
		if r.Interval == interval {
			p.Failures += r.Failures
			p.Checkpoints += r.Checkpoints / float64(len(slow))
		}
	}
	mean, deviation := stat.MeanStdDev(slow, nil)
	student := distuv.StudentsT{Sigma: 1, Nu: float64(len(slow) - 1)}
	p.Slowdown, p.Margin = mean, student.Quantile(0.975)*stat.StdErr(deviation, float64(len(slow)))
	return p
}

// optimum fits the curve and its uncertainty.
func (c *IntervalCurve) optimum(runs map[time.Duration][]float64) error {
	var ok bool
	if c.fit, c.Fitted, ok = c.fitted(func(p IntervalPoint) []float64 { return runs[p.Interval] }); !ok {
		return fmt.Errorf("the time that the job took has no minimum between %v and %v: sweep other intervals, or more seeds", c.Points[0].Interval, c.Points[len(c.Points)-1].Interval)
	}
	r := rng.Stream(1, "bootstrap")
	var spread []float64
	for range bootstraps {
		if _, at, ok := c.fitted(func(p IntervalPoint) []float64 { return resampled(r, runs[p.Interval]) }); ok {
			spread = append(spread, float64(at))
		}
	}
	slices.Sort(spread)
	if len(spread) < bootstraps*95/100 {
		return fmt.Errorf("the runs scatter so much that %d of %d resamplings have no minimum: sweep more seeds", bootstraps-len(spread), bootstraps)
	}
	c.FittedLow = time.Duration(stat.Quantile(0.025, stat.Empirical, spread, nil))
	c.FittedHigh = time.Duration(stat.Quantile(0.975, stat.Empirical, spread, nil))
	return nil
}

func resampled(r *rand.Rand, runs []float64) []float64 {
	again := make([]float64, len(runs))
	for i := range again {
		again[i] = runs[r.IntN(len(runs))]
	}
	return again
}

// fitted fits a/τ + b·τ + c to the mean of the runs at each point by least squares, each
// weighted by how many runs it has and how much they scatter.
func (c *IntervalCurve) fitted(runs func(IntervalPoint) []float64) (fit [3]float64, at time.Duration, ok bool) {
	a, y := mat.NewDense(len(c.Points), 3, nil), mat.NewVecDense(len(c.Points), nil)
	for i, p := range c.Points {
		mean, deviation := stat.MeanStdDev(runs(p), nil)
		// A few runs that happen to agree must not outweigh all others.
		w := math.Sqrt(float64(p.Runs)) / max(deviation, 0.01)
		tau := p.Compute.Seconds()
		a.SetRow(i, []float64{w / tau, w * tau, w})
		y.SetVec(i, w*mean)
	}
	var x mat.VecDense
	if err := x.SolveVec(a, y); err != nil {
		return fit, 0, false
	}
	fit = [3]float64{x.AtVec(0), x.AtVec(1), x.AtVec(2)}
	if fit[0] <= 0 || fit[1] <= 0 {
		return fit, 0, false
	}
	return fit, time.Duration(math.Sqrt(fit[0]/fit[1]) * float64(time.Second)), true
}

// At is what the curve fitted to the runs says of a time of computation
// between two checkpoints.
func (c *IntervalCurve) At(compute time.Duration) float64 {
	return c.fit[0]/compute.Seconds() + c.fit[1]*compute.Seconds() + c.fit[2]
}

// Deviation is by what share the fitted optimum lies above Daly's.
func (c *IntervalCurve) Deviation() float64 { return float64(c.Fitted)/float64(c.Daly) - 1 }

// Regret is by what share the job takes longer with an interval than with the
// best one, by the fitted curve.
func (c *IntervalCurve) Regret(compute time.Duration) float64 {
	return c.At(compute)/c.At(c.Fitted) - 1
}

// String prints the table for people.
func (c *IntervalCurve) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the job takes %.1f s alone; a checkpoint costs %.1f ms, a failure comes after %.2f s and stops the job for %.2f s\n",
		c.Bare.Seconds(), 1000*c.Cost.Seconds(), c.MTBF.Seconds(), c.Restart.Seconds())
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "interval\tcomputing\truns\tfailures\tcheckpoints\tslowdown\t±\tmodel\t")
	for _, p := range c.Points {
		fmt.Fprintf(t, "%v\t%.3f s\t%d\t%d\t%.0f\t%.3f\t%.3f\t%.3f\t\n", p.Interval, p.Compute.Seconds(), p.Runs, p.Failures, p.Checkpoints, p.Slowdown, p.Margin, p.Model)
	}
	t.Flush() // into memory
	fmt.Fprintf(&b, "best: %.2f s by the runs (95 %%: %.2f to %.2f s), %.2f s by Young, %.2f s by Daly; the runs' lies %.0f %% %s Daly's, whose costs %.2f %% more time\n",
		c.Fitted.Seconds(), c.FittedLow.Seconds(), c.FittedHigh.Seconds(), c.Young.Seconds(), c.Daly.Seconds(),
		100*math.Abs(c.Deviation()), map[bool]string{true: "above", false: "below"}[c.Deviation() >= 0], 100*c.Regret(c.Daly))
	return b.String()
}
