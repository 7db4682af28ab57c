package linear

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers/internal/cputime"
	"github.com/cleancut/cleancut/checkers/linear/search"
	"github.com/cleancut/cleancut/harness/history"

	"github.com/cleancut/cleancut/checkers/internal/trials"
)

// contestBudget is for what porcupine decides in a fraction of a second.
var contestBudget = search.Budget{Configurations: 100_000, Memory: 1 << 30}

// contests are random histories of all objects as problems for both search
// and porcupine: of 10 to so many operations of 2 to 8 clients, without
// operations of unknown outcome or with up to a tenth of them. Every second
// one is spoiled: registers get a stale read, others two results exchanged.
func contests(tb testing.TB, name string, n int, sizes []int, each func(what string, p *search.Problem)) {
	tb.Helper()
	object, ok := toys[name]
	if !ok {
		object = registerToy()
	}
	c, err := For(object.workload, Object{Initial: object.initial}, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	for i := range n {
		r := trials.Rand(0, uint64(i))
		l := load{ops: 10 + r.IntN(sizes[i%len(sizes)]-9), clients: 2 + r.IntN(7), keys: 1, info: []float64{0, 0.03, 0.1}[r.IntN(3)], object: object}
		ops := l.operations(r.Uint64())
		if l.stale = i%2 == 1; l.stale {
			l.spoil(ops)
			exchange(ops)
		}
		what := fmt.Sprintf("history %d: %d operations, %d clients, %g unknown, spoiled %v", i, l.ops, l.clients, l.info, l.stale)
		for _, p := range c.(checker).object.split(ops, wholeOf(ops)) {
			var posing *search.Problem
			switch o := c.(checker).object.(type) {
			case registers:
				problem, err := compile(newInterner(len(ops)), "", o.spec, ops, p.at)
				if err != nil {
					tb.Fatal(err)
				}
				posing = posed(problem.ops, problem.initial, len(problem.values))
			case structure:
				t, err := o.try(newInterner(len(ops)), ops, p)
				if err != nil {
					tb.Fatal(err)
				}
				posing = o.rules.pose(t)
			}
			if len(posing.Ops) > 0 {
				each(what, posing)
			}
		}
	}
}

func contestants() []string {
	return slices.Sorted(maps.Keys(maps.Collect(func(yield func(string, bool) bool) {
		for name := range toys {
			if !yield(name, true) {
				return
			}
		}
		yield("register", true)
	})))
}

// TestSearchTakesLittleMoreStepsThanInPorcupinesOrder counts instead of
// measuring, so that it does not depend on the machine. What a step costs is
// measured by BenchmarkRatio.
func TestSearchTakesLittleMoreStepsThanInPorcupinesOrder(t *testing.T) {
	for _, name := range contestants() {
		decided, helped := 0, 0
		contests(t, name, trials.Rounds(600), []int{30, 100, 300}, func(what string, p *search.Problem) {
			theirs := search.Rival(t.Context(), p, contestBudget)
			if theirs.Answer == search.Undecided {
				return
			}
			ours := search.Decide(t.Context(), p, search.Budget{Configurations: 1 << 40, Memory: contestBudget.Memory})
			most := search.MostSteps(len(p.Ops), theirs.Steps)
			if ours.Answer != theirs.Answer || ours.Steps > most {
				t.Errorf("%s, %s: %s after %d steps; in porcupine's order %s after %d, which allows %d", name, what, ours.Answer, ours.Steps, theirs.Answer, theirs.Steps, most)
			}
			if decided++; ours.Steps > theirs.Steps {
				helped++
			}
		})
		t.Logf("%s: %d histories, more steps in %d", name, decided, helped)
		if decided < trials.Rounds(200) {
			t.Errorf("%s: only %d histories were decided", name, decided)
		}
	}
}

// BenchmarkRatio decides small and medium histories of all objects by search
// and by porcupine, and reports how their times compare, history by history.
// Each time is the best of several; where search seems to be slower, of more,
// so that noise does not decide. Take -times and -seed for more of them.
func BenchmarkRatio(b *testing.B) {
	for _, name := range contestants() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				var ratios []float64
				var total [2]time.Duration
				worst := ""
				contests(b, name, trials.Rounds(300), []int{20, 100, 300, 1000}, func(what string, p *search.Problem) {
					took, ok := contest(b, p)
					if !ok {
						return
					}
					total[0] += took[0]
					total[1] += took[1]
					ratio := float64(took[0]) / float64(took[1])
					if len(ratios) == 0 || ratio > slices.Max(ratios) {
						worst = fmt.Sprintf("worst: %s: %s and %s", what, took[0], took[1])
					}
					ratios = append(ratios, ratio)
				})
				slices.Sort(ratios)
				b.ReportMetric(float64(len(ratios)), "histories")
				b.ReportMetric(float64(total[0])/float64(total[1]), "ratio-total")
				b.ReportMetric(ratios[len(ratios)/2], "ratio-p50")
				b.ReportMetric(ratios[(len(ratios)*99-1)/100], "ratio-p99")
				b.ReportMetric(ratios[len(ratios)-1], "ratio-max")
				b.Log(worst)
			}
		})
	}
}

// contest returns the best times, of the processors where these are known, that search and porcupine took to decide a
// problem, and whether both decided it.
func contest(b *testing.B, p *search.Problem) (best [2]time.Duration, decided bool) {
	b.Helper()
	for try := range 24 {
		if try >= 3 && best[0] < best[1] {
			break
		}
		for i, decide := range []func() search.Result{
			func() search.Result { return search.Decide(b.Context(), p, contestBudget) },
			func() search.Result { return search.Oracle(b.Context(), p, contestBudget) },
		} {
			begun, used := time.Now(), cputime.Used()
			r := decide()
			took := time.Since(begun)
			if used = cputime.Used() - used; used > 0 {
				took = min(took, used)
			}
			if r.Answer == search.Undecided {
				return best, false
			}
			if best[i] == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	return best, true
}

// exchange lets the last two results of one function that differ change places.
func exchange(ops []history.Operation) {
	for i := len(ops) - 1; i > 0; i-- {
		for j := i - 1; j >= max(0, i-20); j-- {
			a, b := &ops[i], &ops[j]
			if a.F == b.F && a.Key == b.Key && a.Outcome == history.OK && b.Outcome == history.OK && telling(a) && !a.Output.Equal(b.Output) {
				a.Output, b.Output = b.Output, a.Output
				return
			}
		}
	}
}
