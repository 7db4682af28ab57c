//go:build unix

package harness_test

import (
	"context"
	"fmt"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/sim"
)

// BenchmarkScenario runs the reference store under all faults, with all
// checkers, in the simulator: one scenario of 30 s per iteration, each with
// another seed. simulated-s/s is the speed-up over real time, and
// simulated-s/cpu-s what it would be on a machine with nothing else to do and
// one core for everything, the collector included: run it with GOMAXPROCS=1.
// The garbage collector is set as in worker processes of sweeps.
func BenchmarkScenario(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	for _, load := range []struct {
		nodes int
		rate  float64
	}{{3, 30}, {5, 50}} {
		b.Run(fmt.Sprintf("nodes=%d/rate=%g", load.nodes, load.rate), func(b *testing.B) {
			s := scenario()
			s.Nodes, s.Rate, s.Time = load.nodes, load.rate, 30*time.Second
			b.ReportAllocs()
			var seconds, events float64
			operations, seed := 0, uint64(0)
			begun := cpuSeconds(b)
			for b.Loop() {
				seed++
				p := sim.DrawProfile(seed)
				f, err := harness.Run(context.Background(), s, harness.Options{Seed: seed, Runtime: sim.New(sim.Options{Profile: &p})})
				if err != nil {
					b.Fatal(err)
				}
				seconds += f.Result.Measures["run_seconds"]
				events += f.Result.Measures["events"]
				operations += f.Result.Operations.Total
			}
			took := b.Elapsed().Seconds()
			b.ReportMetric(seconds/took, "simulated-s/s")
			b.ReportMetric(seconds/(cpuSeconds(b)-begun), "simulated-s/cpu-s")
			b.ReportMetric(events/took, "events/s")
			b.ReportMetric(float64(operations)/took, "operations/s")
			b.ReportMetric(float64(operations)/seconds, "operations/simulated-s")
		})
	}
}

// cpuSeconds returns the processor time that this process has taken.
func cpuSeconds(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
