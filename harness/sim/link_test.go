package sim

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
)

func TestACutStopsOneDirectionAndNotWhatIsInFlight(t *testing.T) {
	var got []int
	p := calm()
	p.Latency = Latency{Min: 50 * time.Millisecond}
	must(t, received(&got), Options{Profile: p}, func(ctx context.Context, w *world) {
		_ = w.Sleep(ctx, 2*time.Second-w.Now())
		before := len(got)
		rule, err := w.Impair(ctx, link1("n1", "n2"), cut)
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Sleep(ctx, time.Second)
		if late := len(got) - before; late < 45 || late > 55 {
			t.Errorf("%d messages arrived after the cut, want the 50 that were in flight", late)
		}
		last := got[len(got)-1]
		r, err := rule.Receipt(ctx)
		counts(t, r, err, map[string]int64{"packets_seen": 1000, "packets_dropped": 1000})
		r, err = rule.Remove(ctx)
		counts(t, r, err, map[string]int64{"packets_seen": 1000, "packets_dropped": 1000})
		_ = w.Sleep(ctx, time.Second)
		r, err = rule.Remove(ctx)
		counts(t, r, err, map[string]int64{"packets_seen": 1000, "packets_dropped": 1000})
		if i := slices.Index(got, last+1001); i < 0 || got[i-1] != last {
			t.Errorf("after the cut came %v, want %d", got[i-1:i+1], last+1001)
		}
	})
}

func TestACutOfTheOtherDirectionStopsNothing(t *testing.T) {
	var got []int
	must(t, received(&got), Options{}, func(ctx context.Context, w *world) {
		rule, err := w.Impair(ctx, append(link1("n2", "n1"), link1("n1", "n3")...), cut)
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Sleep(ctx, 2*time.Second)
		r, err := rule.Remove(ctx)
		counts(t, r, err, map[string]int64{"packets_seen": 0, "packets_dropped": 0})
		if len(got) < 900 {
			t.Errorf("%d messages arrived", len(got))
		}
	})
}

func TestRulesAddUpAndOneCanBeTakenAway(t *testing.T) {
	var got []int
	must(t, received(&got), Options{}, func(ctx context.Context, w *world) {
		impair := func(i cluster.Impairment) cluster.Rule {
			rule, err := w.Impair(ctx, append(link1("n1", "n2"), link1("n1", "n2")...), i)
			if err != nil {
				t.Fatal(err)
			}
			return rule
		}
		half := cluster.Impairment{Loss: cluster.Million / 2}
		a, b := impair(half), impair(half)
		twice := impair(cluster.Impairment{Duplicate: cluster.Million, Jitter: 20 * time.Millisecond})
		_ = w.Sleep(ctx, 5*time.Second)
		first := len(got)
		ra, _ := a.Receipt(ctx)
		rb, _ := b.Remove(ctx)
		rt, _ := twice.Remove(ctx)
		seen := ra.Counts["packets_seen"]
		for _, r := range []cluster.Receipt{ra, rb} {
			if n := r.Counts["packets_dropped"]; r.Counts["packets_seen"] != seen || n < seen*2/5 || n > seen*3/5 {
				t.Errorf("each rule decides on all %d packets and drops half of them: %v", seen, r)
			}
		}
		counts(t, rt, nil, map[string]int64{"packets_seen": seen, "packets_delayed": seen, "packets_duplicated": seen})
		through := seen / 4
		if int64(first) < 2*(through-seen/20) || int64(first) > 2*(through+seen/20) {
			t.Errorf("of %d packets that two rules halve and one doubles, %d arrived", seen, first)
		}
		if slices.IsSorted(got) {
			t.Error("jitter left all packets in order")
		}
	})
}

func TestOrderedLinksKeepTheOrder(t *testing.T) {
	var got []int
	p := DefaultProfile()
	p.Latency.Tail = 300_000
	for _, ordered := range []bool{true, false} {
		p.Ordered, got = ordered, nil
		must(t, received(&got), Options{Profile: &p}, func(ctx context.Context, w *world) { _ = w.Sleep(ctx, 5*time.Second) })
		if slices.IsSorted(got) != ordered {
			t.Errorf("ordered is %v, messages arrived in order: %v", ordered, !ordered)
		}
	}
}

func TestAClientBehindACutTimesOutAndCannotKnowWhetherItsRequestWasSent(t *testing.T) {
	for _, c := range []struct {
		link   []cluster.Link
		killed bool
		adds   string
	}{
		{link1(cluster.ClientEnd, "n1"), false, "0"}, // the request is lost
		{link1("n1", cluster.ClientEnd), false, "1"}, // the answer is lost
		{link1("n1", cluster.ClientEnd), true, "0"},  // the refusal is lost
	} {
		must(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) {
			rule, err := w.Impair(ctx, c.link, cut)
			if err != nil {
				t.Fatal(err)
			}
			if c.killed {
				if _, err := w.Kill(ctx, "n1"); err != nil {
					t.Fatal(err)
				}
			}
			before := w.Now()
			_, err = add(ctx, w.Network("c"), "n1")
			if e := callError(t, err); !e.Sent || !errors.Is(err, os.ErrDeadlineExceeded) || w.Now()-before != time.Second {
				t.Errorf("%v: %v after %v", c.link, err, w.Now()-before)
			}
			if _, err := rule.Remove(ctx); err != nil {
				t.Error(err)
			}
			if _, err := w.Start(ctx, "n1"); err != nil {
				t.Error(err)
			}
			if r, err := w.Network("c").Call(ctx, "n1", get, time.Second); err != nil || string(r.Body) != c.adds {
				t.Errorf("%v: %q adds, %v; want %s", c.link, r.Body, err, c.adds)
			}
		})
	}
}

func TestAProbeIsHitByItsRuleAndReachesNobody(t *testing.T) {
	var got []int
	must(t, received(&got), Options{}, func(ctx context.Context, w *world) {
		rule, err := w.Impair(ctx, link1("n2", "n1"), cut)
		if err != nil {
			t.Fatal(err)
		}
		probe := rule.(cluster.Prober).Probe
		r, err := probe(ctx)
		counts(t, r, err, map[string]int64{"probes_sent": 1, "probes_dropped": 1})
		if _, err := w.Kill(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		r, err = probe(ctx) // an end is down
		counts(t, r, err, map[string]int64{"probes_sent": 0})
		if _, err := w.Start(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		r, err = rule.Remove(ctx)
		counts(t, r, err, map[string]int64{"packets_seen": 0, "packets_dropped": 0})
		r, err = probe(ctx) // the rule is gone
		counts(t, r, err, map[string]int64{"probes_sent": 0})
	})
}
