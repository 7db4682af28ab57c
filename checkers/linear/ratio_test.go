package linear

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// ratioFloor is the time below which a comparison of two says nothing.
const ratioFloor = time.Millisecond

// BenchmarkRatio decides small and medium histories of all objects by search
// and by porcupine, one after the other, and reports how their times compare
// history by history where one of them took a millisecond or more. Half of
// the histories of registers end with a stale read; others get two results
// exchanged.
func BenchmarkRatio(b *testing.B) {
	objects := maps.Clone(toys)
	objects["register"] = registerToy()
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				var ratios []float64
				var total [2]time.Duration
				worst, histories := "", 0
				for i := range 96 {
					l := load{ops: []int{30, 100, 300, 1000}[i/2%4], clients: []int{2, 4, 8}[i/8%3], keys: 1, info: 0.03 * float64(i/24%2), object: objects[name]}
					ops := l.operations(uint64(i))
					if l.stale = i%2 == 1; l.stale {
						l.spoil(ops)
						exchange(ops)
					}
					took, decided := l.compare(b, ops)
					if !decided {
						continue // neither answer is worth a comparison
					}
					histories++
					total[0] += took[0]
					total[1] += took[1]
					if max(took[0], took[1]) < ratioFloor {
						continue
					}
					ratio := float64(took[0]) / float64(took[1])
					if len(ratios) == 0 || ratio > slices.Max(ratios) {
						worst = fmt.Sprintf("%d operations, %d clients, %g unknown, spoiled %v, seed %d: %s and %s", l.ops, l.clients, l.info, l.stale, i, took[0], took[1])
					}
					ratios = append(ratios, ratio)
				}
				b.ReportMetric(float64(histories), "histories")
				b.ReportMetric(float64(total[0])/float64(total[1]), "ratio-total")
				b.ReportMetric(float64(len(ratios)), "above-1ms")
				if len(ratios) > 0 {
					slices.Sort(ratios)
					b.ReportMetric(ratios[len(ratios)/2], "ratio-p50")
					b.ReportMetric(ratios[(len(ratios)*99-1)/100], "ratio-p99")
					b.ReportMetric(ratios[len(ratios)-1], "ratio-max")
					b.Log(worst)
				}
			}
		})
	}
}

// exchange lets the last two results of one function that differ change places.
func exchange(ops []history.Operation) {
	for i := len(ops) - 1; i > 0; i-- {
		for j := i - 1; j >= max(0, i-20); j-- {
			a, b := &ops[i], &ops[j]
			if a.F == b.F && a.Key == b.Key && a.Outcome == history.OK && b.Outcome == history.OK && told(a.F) && !a.Output.Equal(b.Output) {
				a.Output, b.Output = b.Output, a.Output
				return
			}
		}
	}
}

// compare returns the best of three times that search and porcupine took to
// decide a history, and whether porcupine decided it.
func (l load) compare(b *testing.B, ops []history.Operation) (best [2]time.Duration, decided bool) {
	b.Helper()
	for i, a := range []Algorithm{Search, Porcupine} {
		c, err := For(l.object.workload, Object{Initial: l.object.initial}, Options{Algorithm: a, Workers: 1, Configurations: 1 << 40, Timeout: 500 * time.Millisecond})
		if err != nil {
			b.Fatal(err)
		}
		parts := c.(checker).object.split(ops, group(ops)[0])
		for range 3 {
			ctx, cancel := context.WithTimeout(b.Context(), 500*time.Millisecond)
			begun := time.Now()
			verdicts := c.(checker).judgeAll(ctx, ops, parts)
			took := time.Since(begun)
			cancel()
			if best[i] == 0 || took < best[i] {
				best[i] = took
			}
			decided = !slices.ContainsFunc(verdicts, func(v verdict) bool { return v.answer == undecided })
			if !decided || took > 100*time.Millisecond {
				break
			}
		}
	}
	return best, decided
}
