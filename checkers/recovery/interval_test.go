package recovery

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestOptimalIntervals(t *testing.T) {
	// C = 8 s, M = 100 s: Young √1600 = 40 s; Daly 40·(1+0.2/3+0.04/9)−8.
	if y, d := Young(8e9, 100e9), Daly(8e9, 100e9); y != 40e9 || d < 34.8e9 || d > 34.9e9 {
		t.Error(y, d)
	}
	if Daly(300e9, 100e9) != 100e9 {
		t.Error("a checkpoint that costs more than twice the MTBF")
	}
	best := Daly(8e9, 100e9)
	for _, other := range []time.Duration{best / 2, best * 2} {
		if Slowdown(other, 8e9, 10e9, 100e9) <= Slowdown(best, 8e9, 10e9, 100e9) {
			t.Errorf("%v costs less than Daly's %v", other, best)
		}
	}
	if s := Slowdown(time.Second, 0, 0, 1e6*time.Second); math.Abs(s-1) > 1e-5 {
		t.Errorf("without costs and failures the slowdown is %v", s)
	}
}

// renewal computes for work with checkpoints of that cost after each tau, under
// failures at exponential times, each with a restart: the process of Daly's
// model, event by event.
func renewal(r *rand.Rand, work, tau, cost, restart, mtbf time.Duration) IntervalRun {
	run := IntervalRun{Interval: tau}
	failure := time.Duration(r.ExpFloat64() * float64(mtbf))
	for saved := time.Duration(0); saved < work; {
		stretch := min(tau, work-saved)
		need := stretch + cost
		if stretch < tau || saved+stretch == work {
			need = stretch // nothing is saved at the end
		}
		if failure > need {
			failure -= need
			run.Took += need
			saved += stretch
			run.Checkpoints++
			continue
		}
		run.Took += failure
		run.Failures++
		for down := restart; ; {
			failure = time.Duration(r.ExpFloat64() * float64(mtbf))
			if failure > down {
				failure -= down
				run.Took, run.Down = run.Took+down, run.Down+down
				break
			}
			run.Took, run.Down = run.Took+failure, run.Down+failure
			down = restart
		}
	}
	return run
}

func studyOf(seeds int, work, cost, restart, mtbf time.Duration, intervals ...time.Duration) IntervalStudy {
	s := IntervalStudy{Bare: IntervalRun{Took: work}}
	r := rand.New(rand.NewPCG(7, 7))
	for _, tau := range intervals {
		n := float64(work / tau)
		s.Quiet = append(s.Quiet, IntervalRun{Interval: tau, Took: work + time.Duration(n)*cost, Checkpoints: n})
		for range seeds {
			s.Failing = append(s.Failing, renewal(r, work, tau, cost, restart, mtbf))
		}
	}
	return s
}

func TestAStudyOfTheProcessOfTheModelFindsDalysInterval(t *testing.T) {
	const ms = time.Millisecond
	s := studyOf(40, 200*time.Second, 50*ms, 600*ms, 10*time.Second, 250*ms, 500*ms, 700*ms, 1000*ms, 1400*ms, 2000*ms, 4000*ms)
	c, err := s.Curve()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(c)
	if math.Abs(c.Deviation()) > 0.1 {
		t.Errorf("fitted %v, Daly %v", c.Fitted, c.Daly)
	}
	if c.FittedLow > c.Fitted || c.FittedHigh < c.Fitted || c.FittedLow > c.Daly || c.FittedHigh < c.Daly {
		t.Errorf("fitted %v in [%v, %v], Daly %v", c.Fitted, c.FittedLow, c.FittedHigh, c.Daly)
	}
	if c.Cost < 49*ms || c.Cost > 51*ms || c.MTBF < 9*time.Second || c.MTBF > 11*time.Second || c.Restart < 600*ms || c.Restart > 650*ms {
		t.Errorf("cost %v, MTBF %v, restart %v", c.Cost, c.MTBF, c.Restart)
	}
	for _, p := range c.Points {
		if math.Abs(p.Slowdown-p.Model) > 2*p.Margin+0.01 {
			t.Errorf("at %v: measured %.3f ± %.3f, model %.3f", p.Interval, p.Slowdown, p.Margin, p.Model)
		}
	}
	if r := c.Regret(4 * c.Daly); r < 0.05 || c.Regret(c.Daly) > 0.01 {
		t.Errorf("four times Daly's interval costs %.3f more, Daly's %.3f", r, c.Regret(c.Daly))
	}
	if again, err := s.Curve(); err != nil || again.String() != c.String() {
		t.Error("the same study has another outcome the second time", err)
	}
}

func TestAStudyWithTooLittleInItIsRefused(t *testing.T) {
	const ms = time.Millisecond
	whole := func() IntervalStudy {
		return studyOf(20, 100*time.Second, 50*ms, 500*ms, 10*time.Second, 250*ms, 500*ms, 1000*ms, 2000*ms, 4000*ms)
	}
	if _, err := whole().Curve(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want   string
		change func(*IntervalStudy)
	}{
		{"without failures and checkpoints", func(s *IntervalStudy) { s.Bare.Took = 0 }},
		{"4 intervals or more, got 3", func(s *IntervalStudy) { s.Quiet = s.Quiet[:3] }},
		{"needs a quiet run for the interval 4s", func(s *IntervalStudy) { s.Quiet = s.Quiet[:4] }},
		{"it must end and take more", func(s *IntervalStudy) { s.Quiet[0].Checkpoints = 0 }},
		{"without a cost", func(s *IntervalStudy) {
			for i := range s.Quiet {
				s.Quiet[i].Took = s.Bare.Took
			}
		}},
		{"2 runs under failures or more for each interval; 4s has 1", func(s *IntervalStudy) { s.Failing = s.Failing[:81] }},
		{"had no failure", func(s *IntervalStudy) {
			for i := range s.Failing {
				s.Failing[i].Failures = 0
			}
		}},
		{"no minimum between 250ms and 4s", func(s *IntervalStudy) {
			for i := range s.Failing {
				s.Failing[i].Took = 2*s.Bare.Took - s.Failing[i].Interval // the longer, the better
			}
		}},
	} {
		s := whole()
		c.change(&s)
		if _, err := s.Curve(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", c.want, err)
		}
	}
}

// completed is a computation of a and b that c coordinates: b ends, a crashes
// after its checkpoint, both go back and end, and go on telling so.
const completed = `{"t":0,"proc":"a","inc":1,"kind":"start"}
{"t":0,"proc":"b","inc":1,"kind":"start"}
{"t":0,"proc":"c","inc":1,"kind":"start"}
{"t":1000000000,"proc":"a","inc":1,"kind":"ckpt_begin","ckpt":"a1","round":1}
{"t":1000000000,"proc":"b","inc":1,"kind":"ckpt_begin","ckpt":"b1","round":1}
{"t":2000000000,"proc":"a","inc":1,"kind":"ckpt_commit","ckpt":"a1","round":1,"level":"local"}
{"t":2000000000,"proc":"b","inc":1,"kind":"ckpt_commit","ckpt":"b1","round":1,"level":"local"}
{"t":2500000000,"proc":"b","inc":1,"kind":"final"}
{"t":3000000000,"proc":"a","inc":1,"kind":"crash"}
{"t":3200000000,"proc":"c","inc":1,"kind":"crash"}
{"t":3500000000,"proc":"a","inc":2,"kind":"start"}
{"t":3600000000,"proc":"c","inc":2,"kind":"start"}
{"t":4000000000,"proc":"c","inc":2,"kind":"recovery","epoch":1,"round":1,"line":{"a":"a1","b":"b1"},"failed":["a"]}
{"t":4100000000,"proc":"a","inc":3,"kind":"restore","epoch":1,"ckpt":"a1"}
{"t":4200000000,"proc":"b","inc":2,"kind":"restore","epoch":1,"ckpt":"b1"}
{"t":4400000000,"proc":"a","inc":3,"kind":"resume","epoch":1}
{"t":4500000000,"proc":"b","inc":2,"kind":"resume","epoch":1}
{"t":8000000000,"proc":"a","inc":3,"kind":"final"}
{"t":9000000000,"proc":"b","inc":2,"kind":"final"}
{"t":9200000000,"proc":"b","inc":2,"kind":"final"}
{"t":9500000000,"proc":"a","inc":3,"kind":"crash"}
`

func TestCompletionIsMeasuredOfWhatEnded(t *testing.T) {
	measures := verdicts(t, completed, Options{}, "measures")[0].Measures
	for name, want := range map[string]float64{
		"completion_seconds": 9, "completion_checkpoints": 1, "completion_failures": 1, "completion_down_seconds": 1.5,
	} {
		if measures[name] != want {
			t.Errorf("%s is %v; expected %v", name, measures[name], want)
		}
	}
	open := strings.ReplaceAll(completed, `"proc":"b","inc":2,"kind":"final"`, `"proc":"b","inc":2,"kind":"work","units":1`)
	for name := range verdicts(t, open, Options{}, "measures")[0].Measures {
		if strings.HasPrefix(name, "completion") {
			t.Errorf("%s of a computation that did not end", name)
		}
	}
}
