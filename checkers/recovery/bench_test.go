package recovery

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

// large makes a record of a coordinated computation of n processes that send
// that many messages, each received within some steps, with a round every
// so many messages per process, one crash in the middle and a recovery.
func large(n, messages int) []record.Event {
	rng := rand.New(rand.NewPCG(1, 2))
	var events []record.Event
	inc := make([]int, n)
	names := make([]string, n)
	clock := time.Duration(0)
	add := func(p int, e record.Event) {
		clock++
		e.T, e.Proc, e.Inc = clock, names[p], inc[p]
		events = append(events, e)
	}
	count := make(map[[2]int]int)
	for p := range n {
		names[p], inc[p] = fmt.Sprintf("w%03d", p), 1
		add(p, record.Event{Kind: record.Start})
	}
	type flight struct {
		msg  string
		p, q int
	}
	var air []flight
	land := func() {
		for _, f := range air {
			add(f.q, record.Event{Kind: record.Recv, Msg: f.msg, Peer: names[f.p]})
		}
		air = air[:0]
	}
	round, line := 0, map[string]string{}
	checkpoint := func() {
		land()
		round++
		line = map[string]string{}
		add(0, record.Event{Kind: record.RoundBegin, Round: round})
		for p := range n {
			line[names[p]] = "k" + strconv.Itoa(round)
			add(p, record.Event{Kind: record.CheckpointBegin, Ckpt: line[names[p]], Round: round, Index: round})
			add(p, record.Event{Kind: record.CheckpointCommit, Ckpt: line[names[p]], Level: "local"})
		}
		add(0, record.Event{Kind: record.RoundCommit, Round: round, Line: line})
	}
	every := max(1, messages/50)
	for m := range messages {
		p := rng.IntN(n)
		q := (p + 1 + rng.IntN(n-1)) % n
		count[[2]int{p, q}]++
		f := flight{names[p] + ">" + names[q] + "#" + strconv.Itoa(count[[2]int{p, q}]), p, q}
		add(p, record.Event{Kind: record.Send, Msg: f.msg, Peer: names[q], Index: round})
		if air = append(air, f); len(air) > 4*n {
			land()
		}
		if m%every == every-1 {
			checkpoint()
		}
		if m == messages/2 {
			land()
			air = air[:0]
			checkpoint()
			add(1, record.Event{Kind: record.Crash})
			add(0, record.Event{Kind: record.Recovery, Epoch: 1, Line: line, Round: round, Failed: []string{names[1]}})
			for p := range n {
				inc[p]++
				add(p, record.Event{Kind: record.Restore, Ckpt: line[names[p]], Epoch: 1})
				add(p, record.Event{Kind: record.Resume, Epoch: 1})
			}
		}
	}
	land()
	return events
}

// BenchmarkModels measures each model on 200 processes, and the index that
// they share, per message. BENCH_MESSAGES is how many messages (10^6).
func BenchmarkModels(b *testing.B) {
	messages := 1_000_000
	if s := os.Getenv("BENCH_MESSAGES"); s != "" {
		messages, _ = strconv.Atoi(s)
	}
	events := large(200, messages)
	b.Run("validate", func(b *testing.B) {
		for b.Loop() {
			if err := record.Validate(events); err != nil {
				b.Fatal(err)
			}
		}
	})
	var r *run
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			r = newRun(b.Context(), events)
		}
	})
	b.Run("rollback-propagation", func(b *testing.B) {
		failed := make([]bool, len(r.procs))
		failed[1] = true
		end := int32(len(r.ev) - 1)
		for b.Loop() {
			newWalk(r).to(r.now(end)).pattern(func(c int32) bool { return r.usable(c, end) }).line(failed)
		}
	})
	for _, m := range models {
		b.Run(m.Name, func(b *testing.B) {
			for b.Loop() {
				if v := m.check(r, Options{}); v.Verdict == checkers.Invalid {
					b.Fatal(v.Reason)
				}
			}
		})
	}
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			list, _ := Checkers(Options{}, "all")
			e := &checkers.Evidence{Record: events}
			for _, c := range list {
				c.Check(b.Context(), e)
			}
		}
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		b.ReportMetric(float64(mem.Sys)/(1<<20), "MiB-sys")
	})
}
