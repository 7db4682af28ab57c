package sim

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
)

func TestTheAgendaYieldsEventsInOrderOfTimeThenOfScheduling(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var g agenda
	type event struct {
		at    int64
		order uint64
	}
	var want []event
	order := uint64(0)
	for range 20_000 {
		if random.IntN(3) > 0 || len(want) == 0 {
			order++
			at := random.Int64N(100)
			g.push(at, payload{a: order})
			want = append(want, event{at, order})
			continue
		}
		first := slices.MinFunc(want, func(a, b event) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order)) })
		if at, p := g.pop(); at != first.at || p.a != first.order {
			t.Fatalf("got %d at %d, want %d at %d", p.a, at, first.order, first.at)
		}
		want = slices.DeleteFunc(want, func(e event) bool { return e == first })
	}
	if len(g.slots) > len(want)+10_000 {
		t.Errorf("%d slots for %d events", len(g.slots), len(want))
	}
}

func TestTimersExpireByTheNodesOwnClockAndNeverEarly(t *testing.T) {
	p := calm()
	p.ClockDrift, p.ClockOffset = 50_000, time.Hour
	rates := map[string]int64{}
	offsets := map[time.Duration]bool{}
	set := map[string]time.Duration{}
	var w *world
	target := &counterTarget{quiet: true}
	target.start = func(p *counter) error {
		set[p.env.Self()] = p.env.Now()
		p.env.SetTimer("t", 10*time.Second+time.Nanosecond)
		offsets[p.env.Wall().Sub(started).Round(time.Second)] = true
		return nil
	}
	target.timer = func(p *counter, _ string) {
		took := p.env.Now() - set[p.env.Self()]
		if took < 10*time.Second+1 || took > 10*time.Second+3 {
			t.Errorf("%s: the timer took %v by its own clock", p.env.Self(), took)
		}
		rates[p.env.Self()] = int64(w.Now()) / 1e6
	}
	must(t, target, Options{Profile: p}, func(ctx context.Context, world *world) {
		w = world
		_ = w.Sleep(ctx, 20*time.Second)
	})
	different := map[int64]bool{}
	for _, ms := range rates {
		different[ms] = true
	}
	if len(different) != 3 || len(offsets) != 3 {
		t.Errorf("three nodes took %v ms of true time, and are off by %v", rates, offsets)
	}
}

func TestATimerThatIsSetAgainOrStoppedExpiresOnceOrNever(t *testing.T) {
	var fired []string
	var w *world
	target := &counterTarget{quiet: true}
	target.timer = func(p *counter, name string) {
		fired = append(fired, name+"@"+w.Now().Round(time.Second).String())
	}
	target.request = func(p *counter, _ node.RequestID, r node.Request) bool {
		p.env.SetTimer("later", time.Second)
		p.env.SetTimer("sooner", 3*time.Second)
		p.env.SetTimer("stopped", time.Second)
		p.env.SetTimer("stopped and set", time.Second)
		p.env.SetTimer("later", 2*time.Second)
		p.env.SetTimer("sooner", time.Second)
		p.env.StopTimer("stopped")
		p.env.StopTimer("never set")
		p.env.StopTimer("stopped and set")
		p.env.SetTimer("stopped and set", 4*time.Second)
		return true
	}
	must(t, target, Options{}, func(ctx context.Context, world *world) {
		w = world
		_, _ = w.Network("c").Call(ctx, "n1", get, time.Millisecond)
		_ = w.Sleep(ctx, 10*time.Second)
	})
	if got := strings.Join(fired, " "); got != "sooner@1s later@2s stopped and set@4s" {
		t.Error(got)
	}
}

func TestATimerSetOftenTakesOnePlaceOnTheAgenda(t *testing.T) {
	target := &counterTarget{quiet: true}
	target.timer = func(p *counter, name string) {
		p.env.SetTimer("tick", time.Millisecond)
		p.env.SetTimer("far", time.Hour)
	}
	target.start = func(p *counter) error { target.timer(p, ""); return nil }
	must(t, target, Options{}, func(ctx context.Context, w *world) {
		_ = w.Sleep(ctx, time.Minute)
		if n := len(w.agenda.heap); n > 10 {
			t.Errorf("%d events are scheduled", n)
		}
	})
}

func TestLatenciesHaveTheirBoundsAndAHeavyTail(t *testing.T) {
	l := Latency{Min: 100, Spread: 50, Tail: 100_000, TailScale: 1000, TailMax: 100_000}
	random := rand.New(rand.NewPCG(1, 1))
	const n = 100_000
	above := map[int64]int{}
	for range n {
		d := l.draw(random.Uint64())
		if d < 100 || d > 150+100_000 {
			t.Fatal(d)
		}
		for _, limit := range []int64{150, 4000, 32_000} {
			if d > limit {
				above[limit]++
			}
		}
	}
	// A tenth is in the tail; of a Pareto distribution of index 1, about a
	// third to a half of what exceeds x/2 exceeds x.
	if a := above[150]; a < n/11 || a > n/9 {
		t.Errorf("%d of %d are in the tail, want a tenth", a, n)
	}
	if ratio := float64(above[4000]) / float64(above[32_000]); ratio < 5 || ratio > 12 {
		t.Errorf("%d exceed 4000, %d 32000: want about 8 times as many", above[4000], above[32_000])
	}
}

func TestAMachineThatIsKilledLosesWhatIsInFlightToIt(t *testing.T) {
	for _, machine := range []bool{true, false} {
		var got []int
		p := calm()
		p.Latency = Latency{Min: time.Second}
		must(t, received(&got), Options{Profile: p}, func(ctx context.Context, w *world) {
			_ = w.Sleep(ctx, 1500*time.Millisecond)
			kill, start := w.Kill, w.Start
			if machine {
				kill, start = w.KillMachine, w.StartMachine
			}
			if _, err := kill(ctx, "n2"); err != nil {
				t.Fatal(err)
			}
			if _, err := start(ctx, "n2"); err != nil {
				t.Fatal(err)
			}
			_ = w.Sleep(ctx, 900*time.Millisecond)
			if lost := len(got) == 0; lost != machine {
				t.Errorf("machine killed: %v; %d messages that were in flight arrived", machine, len(got))
			}
		})
	}
}

func TestQueuesAreBounded(t *testing.T) {
	flood := func(p *counter, _ string) {
		for i := range 2*linkMax + 1 {
			p.env.Send("n2", number(i))
		}
	}
	var got []int
	target := received(&got)
	target.timer = flood
	must(t, target, Options{}, func(ctx context.Context, w *world) {
		_ = w.Sleep(ctx, 2*time.Second)
	})
	if len(got) != linkMax {
		t.Errorf("%d messages of %d passed a link, want %d", len(got), 2*linkMax+1, linkMax)
	}
	got = nil
	target.timer = func(p *counter, _ string) {
		for i := range linkMax / 2 {
			p.env.Send("n2", number(i))
		}
		p.env.SetTimer("send", time.Second)
	}
	must(t, target, Options{}, func(ctx context.Context, w *world) {
		if err := w.Pause(ctx, "n2"); err != nil {
			t.Fatal(err)
		}
		_ = w.Sleep(ctx, 5500*time.Millisecond)
		if _, err := w.Resume(ctx, "n2"); err != nil {
			t.Fatal(err)
		}
		_ = w.Sleep(ctx, 100*time.Millisecond)
	})
	if len(got) != backlogMax {
		t.Errorf("%d messages waited for a paused node, want %d", len(got), backlogMax)
	}
}

func TestRequestsThatAreNeverAnsweredAreForgotten(t *testing.T) {
	target := &counterTarget{quiet: true, request: func(p *counter, id node.RequestID, _ node.Request) bool {
		if id > requestsMax {
			p.env.Reply(1, node.Response{}) // long forgotten: no breach
		}
		return true
	}}
	must(t, target, Options{}, func(ctx context.Context, w *world) {
		c := w.Network("c")
		for range requestsMax + 5 {
			_, _ = c.Call(ctx, "n1", get, time.Millisecond)
		}
		if n := len(w.nodes[0].requests); n > 10 {
			t.Errorf("%d requests are kept", n)
		}
		if len(w.Findings()) > 0 {
			t.Error(w.Findings())
		}
	})
}

// box is a message that can be changed.
type box struct{ n *number }

func (b box) AppendBinary(to []byte) ([]byte, error) { return b.n.AppendBinary(to) }

func TestCarryingBytesFindsMessagesThatChangeAndChangesNothingElse(t *testing.T) {
	run := func(o Options, timer func(p *counter, name string)) (hash string, found []node.Finding) {
		must(t, &counterTarget{timer: timer}, o, func(ctx context.Context, w *world) {
			_ = w.Sleep(ctx, time.Second)
			hash, found = w.TraceHash(), w.Findings()
		})
		return hash, found
	}
	plain, _ := run(Options{}, nil)
	carried, found := run(Options{CarryBytes: true}, nil)
	if plain != carried || len(found) > 0 {
		t.Errorf("%s plain, %s carried: %v", plain, carried, found)
	}
	_, found = run(Options{CarryBytes: true}, func(p *counter, _ string) {
		if p.env.Self() == "n1" {
			n := number(1)
			p.env.Send("n2", box{&n})
			n = 2
		}
	})
	if len(found) != 1 || found[0].Invariant != "message" || !strings.Contains(found[0].Text, "changed after") {
		t.Error(found)
	}
}

func TestTakingAClientAwayLeavesTheOthersNetworkAsItWas(t *testing.T) {
	run := func(second bool) (took []time.Duration) {
		p := DefaultProfile()
		p.Latency.Tail = 300_000
		must(t, &counterTarget{quiet: true}, Options{Profile: &p}, func(ctx context.Context, w *world) {
			if second {
				w.Go("client/1", func(ctx context.Context) {
					for ctx.Err() == nil {
						_, _ = w.Network("client/1").Call(ctx, "n1", get, time.Second)
					}
				})
			}
			for range 100 {
				before := w.Now()
				if _, err := w.Network("client/0").Call(ctx, "n1", get, time.Minute); err != nil {
					t.Fatal(err)
				}
				took = append(took, w.Now()-before, time.Duration(w.Network("client/0").Intn(1000)))
			}
		})
		return took
	}
	if !slices.Equal(run(true), run(false)) {
		t.Error("a second client changes what the first one sees")
	}
}

func TestARuleLeavesTheLatenciesOfWhatPassesItAsTheyWere(t *testing.T) {
	run := func(rules int) map[int]time.Duration {
		at := map[int]time.Duration{}
		var w *world
		target := received(new([]int))
		target.receive = func(_ *counter, _ string, m node.Message) { at[int(m.(number))] = w.Now() }
		must(t, target, Options{}, func(ctx context.Context, world *world) {
			w = world
			for i := range rules {
				if _, err := w.Impair(ctx, link1("n1", "n2"), cluster.Impairment{Loss: 100_000 * (i + 1)}); err != nil {
					t.Fatal(err)
				}
			}
			_ = w.Sleep(ctx, 3*time.Second)
		})
		return at
	}
	none, one, two := run(0), run(1), run(2)
	if len(none) <= len(one) || len(one) <= len(two) || len(two) == 0 {
		t.Fatalf("%d, %d, %d messages passed", len(none), len(one), len(two))
	}
	for i, at := range two {
		if one[i] != at || none[i] != at {
			t.Fatalf("message %d arrives at %v, %v and %v under none, one and two rules", i, none[i], one[i], at)
		}
	}
}

func TestADeathAtAPointDuringTheStartIsReported(t *testing.T) {
	must(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) {
		if _, err := w.Kill(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Trip(ctx, cluster.Tripwire{Point: "started", Nth: 1, Kill: true}); err != nil {
			t.Fatal(err)
		}
		r, err := w.Start(ctx, "n1")
		contains(t, err, "n1 was started and is down again")
		if r.Counts["boots"] != 1 {
			t.Error(r)
		}
		if _, err := w.Start(ctx, "n1"); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatArrivesAtTheInstantOfTheResumeDoesNotOvertakeTheBacklog(t *testing.T) {
	var got []int
	p := calm()
	p.Boot, p.Latency = Latency{}, Latency{Min: 10 * time.Millisecond}
	must(t, received(&got), Options{Profile: p}, func(ctx context.Context, w *world) {
		_ = w.Sleep(ctx, 1500*time.Millisecond)
		if err := w.Pause(ctx, "n2"); err != nil {
			t.Fatal(err)
		}
		_ = w.Sleep(ctx, 100*time.Millisecond)
		if _, err := w.Resume(ctx, "n2"); err != nil {
			t.Fatal(err)
		}
		_ = w.Sleep(ctx, 100*time.Millisecond)
	})
	if len(got) < 600 || !slices.IsSorted(got) {
		t.Errorf("%d messages, in order: %v", len(got), slices.IsSorted(got))
	}
}

func TestAProcessHearsNothingOfWhatTheOneBeforeItStarted(t *testing.T) {
	p := calm()
	p.Boot, p.Disk.Sync = Latency{}, Latency{Min: time.Second}
	boots := 0
	target := &counterTarget{quiet: true}
	target.start = func(p *counter) error {
		if boots++; boots > 3 {
			return nil
		}
		p.log.Sync(77)
		p.env.SetTimer("old", time.Second)
		return nil
	}
	heard := 0
	target.timer = func(*counter, string) { heard++ }
	target.synced = func(_ *counter, token uint64) { heard++ }
	must(t, target, Options{Profile: p}, func(ctx context.Context, w *world) {
		for _, name := range w.Nodes() {
			if _, err := w.Kill(ctx, name); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Start(ctx, name); err != nil {
				t.Fatal(err)
			}
		}
		_ = w.Sleep(ctx, 10*time.Second)
	})
	if heard > 0 {
		t.Errorf("%d timers and syncs of dead processes were heard of", heard)
	}
}
