package models

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// replicated is a valid history of n operations by some sessions on some keys,
// as one copy of the data would answer.
func replicated(n, sessions, keys int) []history.Operation {
	r := rand.New(rand.NewPCG(1, 1))
	now := make([]int64, keys)
	ops := make([]history.Operation, n)
	for i := range ops {
		k := r.IntN(keys)
		o := history.Operation{Process: r.IntN(sessions), Key: fmt.Sprint("k", k), F: Read, Outcome: history.OK, Call: int64(2 * i), Return: int64(2*i + 1)}
		if r.IntN(2) == 0 {
			now[k] = int64(i + 1)
			o.F, o.Input = Write, history.Int(now[k])
		}
		o.Output = history.Int(now[k])
		ops[i] = o
	}
	return ops
}

// BenchmarkSessions names operations, sessions and keys.
func BenchmarkSessions(b *testing.B) {
	zero := history.Int(0)
	for _, size := range []struct{ n, sessions, keys int }{{100_000, 10, 100}, {1_000_000, 10, 100}, {1_000_000, 50, 10}, {1_000_000, 50, 1000}} {
		ops := replicated(size.n, size.sessions, size.keys)
		for _, c := range []checkers.Checker{
			Session(Causal, zero), Session(CausalConvergent, zero), Session(MonotonicReads, zero), Session(MonotonicWrites, zero),
			Session(WritesFollowReads, zero), Session(ReadYourWrites, zero), PRAM(zero), Sequential(zero), Staleness(StalenessOptions{Initial: zero}),
		} {
			b.Run(fmt.Sprintf("%d/%d/%d/%s", size.n, size.sessions, size.keys, c.Name()), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if v := run(c, ops); v.Verdict == checkers.Invalid {
						b.Fatal(v.Reason)
					}
				}
			})
		}
	}
}
