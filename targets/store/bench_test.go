package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/sim"
	"github.com/cleancut/cleancut/workloads"
)

// BenchmarkSimulation measures the simulator with the whole store on it,
// clients and invariants included: each iteration is a run of 30 simulated
// seconds without faults.
func BenchmarkSimulation(b *testing.B) {
	const length = 30 * time.Second
	for _, c := range []struct{ nodes, rate int }{{3, 0}, {3, 30}, {3, 34}, {5, 50}, {3, 465}} {
		b.Run(fmt.Sprintf("nodes=%d/rate=%d", c.nodes, c.rate), func(b *testing.B) {
			b.ReportAllocs()
			events, operations := uint64(0), 0
			for i := range b.N {
				l := &load{workload: workloads.KV(), timeout: 3 * time.Second}
				if c.rate > 0 {
					l.clients = 5
					l.pause = time.Second * time.Duration(l.clients) / time.Duration(c.rate)
				}
				p := sim.DefaultProfile()
				w := world{nodes: c.nodes, seed: uint64(i), profile: &p}
				w.run(b, func(ctx context.Context, c simulated) {
					tasks := l.start(b, ctx, c, w.seed, "")
					_ = c.Sleep(ctx, length)
					for _, t := range tasks {
						t.Stop()
					}
					events += c.Events()
					if f := c.Findings(); len(f) > 0 {
						b.Error(f)
					}
				})
				operations += len(l.history)
			}
			seconds := b.Elapsed().Seconds()
			virtual := float64(b.N) * length.Seconds()
			b.ReportMetric(float64(events)/seconds, "events/s")
			b.ReportMetric(virtual/seconds, "simulated-s/s")
			b.ReportMetric(float64(operations)/virtual, "ops/simulated-s")
			b.ReportMetric(float64(events)/virtual, "events/simulated-s")
		})
	}
}
