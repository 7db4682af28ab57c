package sim

import (
	"context"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/node"
)

// volley makes every message be answered by another, for ever.
func volley(inFlight int) *counterTarget {
	return &counterTarget{
		quiet: true,
		timer: func(p *counter, _ string) {
			for i := range inFlight {
				p.env.Send("n2", number(i))
			}
		},
		start: func(p *counter) error {
			if p.env.Self() == "n1" {
				p.env.SetTimer("serve", time.Second)
			}
			return nil
		},
		receive: func(p *counter, from string, m node.Message) { p.env.Send(from, m) },
	}
}

// BenchmarkMessages measures one event: a message that is sent, delivered and
// hashed, with 100 in flight.
func BenchmarkMessages(b *testing.B) {
	b.ReportAllocs()
	must(b, volley(100), Options{Events: 1 << 40}, func(ctx context.Context, w *world) {
		_ = w.Sleep(ctx, 2*time.Second)
		first := w.Events()
		b.ResetTimer()
		for w.Events()-first < uint64(b.N) {
			_ = w.Sleep(ctx, time.Millisecond)
		}
		b.StopTimer()
		b.ReportMetric(float64(w.Events()-first)/b.Elapsed().Seconds(), "events/s")
	})
}

// BenchmarkTimers measures setting a timer and its expiry.
func BenchmarkTimers(b *testing.B) {
	b.ReportAllocs()
	target := &counterTarget{
		quiet: true,
		start: func(p *counter) error { p.env.SetTimer("tick", time.Microsecond); return nil },
		timer: func(p *counter, _ string) { p.env.SetTimer("tick", time.Microsecond) },
	}
	must(b, target, Options{Events: 1 << 40}, func(ctx context.Context, w *world) {
		first := w.Events()
		b.ResetTimer()
		for w.Events()-first < uint64(b.N) {
			_ = w.Sleep(ctx, time.Millisecond)
		}
		b.StopTimer()
		b.ReportMetric(float64(w.Events()-first)/b.Elapsed().Seconds(), "events/s")
	})
}

// BenchmarkSleep measures a coroutine's way to the scheduler and back, with
// the event that wakes it.
func BenchmarkSleep(b *testing.B) {
	b.ReportAllocs()
	must(b, &counterTarget{quiet: true}, Options{Events: 1 << 40, Time: timeMax}, func(ctx context.Context, w *world) {
		b.ResetTimer()
		for range b.N {
			_ = w.Sleep(ctx, time.Microsecond)
		}
		b.StopTimer()
	})
}

// BenchmarkCalls measures a request and its response.
func BenchmarkCalls(b *testing.B) {
	b.ReportAllocs()
	must(b, &counterTarget{quiet: true}, Options{Events: 1 << 40, Time: timeMax}, func(ctx context.Context, w *world) {
		c := w.Network("client/0")
		b.ResetTimer()
		for range b.N {
			if _, err := c.Call(ctx, "n1", node.Request{Path: "/get"}, time.Second); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
	})
}

// BenchmarkAppendSync measures appending 128 bytes to a file of up to 1 MiB
// and syncing it.
func BenchmarkAppendSync(b *testing.B) {
	b.ReportAllocs()
	record := make([]byte, 128)
	left, size := 0, int64(0)
	done := false
	write := func(p *counter) {
		if size += 128; size > 1<<20 {
			if err := p.log.Truncate(0); err != nil {
				b.Error(err)
			}
			size = 0
		}
		if _, err := p.log.WriteAt(record, size); err != nil {
			b.Error(err)
		}
		p.token++
		p.log.Sync(p.token)
	}
	target := &counterTarget{
		quiet:   true,
		request: func(p *counter, _ node.RequestID, _ node.Request) bool { write(p); return true },
		synced: func(p *counter, token uint64) {
			if token == directoryToken {
				return
			}
			if left--; left > 0 {
				write(p)
				return
			}
			done = true
		},
	}
	must(b, target, Options{Events: 1 << 40, Time: timeMax}, func(ctx context.Context, w *world) {
		_ = w.Sleep(ctx, time.Second)
		left = b.N
		b.ResetTimer()
		_, _ = w.Network("client/0").Call(ctx, "n1", node.Request{}, time.Microsecond)
		for !done {
			_ = w.Sleep(ctx, time.Second)
		}
		b.StopTimer()
	})
}
