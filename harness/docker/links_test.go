package docker

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
)

func (b bed) seen(at, from string) int {
	b.Helper()
	n, err := strconv.Atoi(must[string](b)(b.call(at, "GET /seen?from="+from, "", time.Second)))
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func TestLinks(t *testing.T) {
	start(t, 3, func(b bed) {
		for _, c := range []struct {
			name string
			f    func(b bed)
		}{
			{"a link that is cut one way still carries the other", oneWay},
			{"a lossy link loses some packets and carries the others", loss},
			{"a delay is added to every packet, and gone when removed", delay},
			{"rules add up, and taking one away leaves the others", overlap},
			{"rules on one link do not hide packets from each other", noneHides},
			{"duplicates arrive and are counted", duplicate},
			{"clients can be cut off while the harness is not", clientCut},
			{"rules and their counts survive the restart of a machine", rulesSurvive},
			{"impairments and links that mean nothing are refused", refuse},
		} {
			t.Run(c.name, func(t *testing.T) {
				b := bed{t, b.ctx, b.c, b.net}
				for _, pair := range [][2]string{{"n1", "n2"}, {"n2", "n1"}, {"n1", "n3"}} {
					b.connected(pair[0], pair[1])
				}
				c.f(b)
			})
		}
	})
}

func oneWay(b bed) {
	r := b.impair(cut, link("n1>n2"))
	before := b.seen("n2", "n1")
	heard := b.seen("n1", "n2")
	if _, err := b.ping("n1", "n2", 300*time.Millisecond); err == nil {
		b.Error("a ping came back over a cut link")
	}
	if _, err := b.ping("n2", "n1", 300*time.Millisecond); err == nil {
		b.Error("an answer came back over a cut link")
	}
	if n := b.seen("n2", "n1"); n != before {
		b.Errorf("n2 received %d messages over the cut link", n-before)
	}
	if n := b.seen("n1", "n2"); n <= heard {
		b.Error("n1 received nothing over the link that was not cut")
	}
	if _, err := b.ping("n1", "n3", time.Second); err != nil {
		b.Errorf("the link to n3 was hit too: %v", err)
	}
	b.wantCount(must[cluster.Receipt](b)(r.Receipt(b.ctx)), "packets_dropped", 1, 1000)
	final := b.remove(r)
	if again := b.remove(r); again.String() != final.String() {
		b.Errorf("removed twice, the receipts are %v and %v", final, again)
	}
	b.connected("n1", "n2")
}

func loss(b bed) {
	r := b.impair(cluster.Impairment{Loss: 300_000}, link("n1>n3"), link("n3>n1"))
	b.eventually("packets were lost and seen", func() bool {
		_, _ = b.ping("n1", "n3", 200*time.Millisecond) // lost or not
		n := must[cluster.Receipt](b)(r.Receipt(b.ctx)).Counts
		return n["packets_seen"] >= 60 && n["packets_dropped"] > 0
	})
	n := b.remove(r).Counts
	if share := float64(n["packets_dropped"]) / float64(n["packets_seen"]); share < 0.1 || share > 0.55 {
		b.Errorf("%d of %d packets were lost, want about 30 %%", n["packets_dropped"], n["packets_seen"])
	}
}

// bestPing is the shortest of several round trips: a busy machine only adds.
func (b bed) bestPing(from, to string) time.Duration {
	b.Helper()
	best := time.Hour
	for range 5 {
		best = min(best, must[time.Duration](b)(b.ping(from, to, 5*time.Second)))
	}
	return best
}

func delay(b bed) {
	plain := b.bestPing("n1", "n2")
	r := b.impair(cluster.Impairment{Delay: 50 * time.Millisecond, Jitter: 5 * time.Millisecond}, link("n1>n2"))
	slow := b.bestPing("n1", "n2")
	b.Logf("round trip %v, with 50 ms one way %v", plain, slow)
	if slow < 50*time.Millisecond || slow > 90*time.Millisecond {
		b.Errorf("with 50 ms of delay one way the best round trip takes %v", slow)
	}
	if other := b.bestPing("n1", "n3"); other >= 50*time.Millisecond {
		b.Errorf("the link to n3 is slow, too: %v", other)
	}
	n := b.remove(r)
	b.wantCount(n, "packets_delayed", 5, 10_000)
	b.wantCount(n, "packets_dropped", 0, 0)
	if again := b.bestPing("n1", "n2"); again >= 50*time.Millisecond {
		b.Errorf("after the rule was removed the best round trip takes %v", again)
	}
}

func overlap(b bed) {
	first := b.impair(cluster.Impairment{Delay: 40 * time.Millisecond}, link("n1>n2"))
	second := b.impair(cluster.Impairment{Delay: 30 * time.Millisecond, Loss: 1}, link("n1>n2"), link("n3>n2"))
	if took := b.bestPing("n1", "n2"); took < 70*time.Millisecond {
		b.Errorf("with two rules of 40 and 30 ms the best round trip takes %v", took)
	}
	b.remove(first)
	if took := b.bestPing("n1", "n2"); took < 30*time.Millisecond || took >= 70*time.Millisecond {
		b.Errorf("with the rule of 30 ms left the best round trip takes %v", took)
	}
	cuts := []cluster.Rule{b.impair(cut, link("n1>n2")), b.impair(cut, link("n1>n2"), link("n1>n3"))}
	b.remove(cuts[0])
	if _, err := b.ping("n1", "n2", 300*time.Millisecond); err == nil {
		b.Error("with one of two cuts left a ping came back")
	}
	b.remove(cuts[1])
	b.remove(second)
	b.connected("n1", "n2")
	if took := b.bestPing("n1", "n2"); took >= 30*time.Millisecond {
		b.Errorf("with no rule left the best round trip takes %v", took)
	}
}

func noneHides(b bed) {
	rules := map[string][]cluster.Rule{}
	for range 2 { // once before and once after the cut
		rules["packets_delayed"] = append(rules["packets_delayed"], b.impair(cluster.Impairment{Delay: time.Minute}, link("n1>n2")))
		rules["packets_duplicated"] = append(rules["packets_duplicated"], b.impair(cluster.Impairment{Duplicate: cluster.Million}, link("n1>n2")))
		rules["packets_dropped"] = append(rules["packets_dropped"],
			b.impair(cut, link("n1>n2")), b.impair(cluster.Impairment{Loss: 900_000}, link("n1>n2")))
	}
	before := b.seen("n2", "n1")
	for range 5 {
		if _, err := b.ping("n1", "n2", 300*time.Millisecond); err == nil {
			b.Error("a ping came back over a link that is cut twice")
		}
	}
	if n := b.seen("n2", "n1") - before; n != 0 {
		b.Errorf("%d messages arrived over a link that is cut twice", n)
	}
	for count, list := range rules {
		for _, r := range list {
			n := b.remove(r)
			b.wantCount(n, count, 1, 10_000)
			b.wantCount(n, "packets_seen", n.Counts[count], 10_000)
		}
	}
	// Doomed packets are not held: nothing arrives a minute late, or twice.
	b.connected("n1", "n2")
}

func duplicate(b bed) {
	r := b.impair(cluster.Impairment{Duplicate: cluster.Million}, link("n1>n2"), link("client>n2"))
	before := b.seen("n2", "n1")
	for range 5 {
		if _, err := b.ping("n1", "n2", time.Second); err != nil {
			b.Error(err)
		}
	}
	// TCP hides duplicates from the program: each message arrives once.
	if n := b.seen("n2", "n1") - before; n != 5 {
		b.Errorf("five messages arrived as %d", n)
	}
	b.wantCount(b.remove(r), "packets_duplicated", 5, 10_000)
}

func clientCut(b bed) {
	for _, l := range []string{"client>n1", "n1>client"} {
		r := b.impair(cut, link(l))
		if _, err := b.call("n1", "GET /seen?from=n2", "", 300*time.Millisecond); err == nil {
			b.Errorf("%s is cut, but a call was answered", l)
		}
		if _, err := b.c.Status(b.ctx, "n1"); err != nil {
			b.Errorf("%s is cut, and the harness is cut off: %v", l, err)
		}
		if _, err := b.ping("n2", "n1", time.Second); err != nil {
			b.Errorf("%s is cut, and so is n2: %v", l, err)
		}
		b.wantCount(b.remove(r), "packets_dropped", 1, 1000)
		b.eventually("n1 answers again", func() bool {
			_, err := b.call("n1", "GET /seen?from=n2", "", 500*time.Millisecond)
			return err == nil
		})
	}
	// A request that no connection could be made for was certainly not sent.
	b.c.closeIdle()
	r := b.impair(cut, link("client>n1"))
	var e *cluster.CallError
	if _, err := b.call("n1", "GET /seen?from=n2", "", 300*time.Millisecond); !errors.As(err, &e) || e.Sent {
		b.Errorf("a call without a connection says %v", err)
	}
	b.remove(r)
	r = b.impair(cut, link("n2>client"))
	defer b.remove(r)
	if _, err := b.call("n2", "GET /seen?from=n1", "", 300*time.Millisecond); err == nil {
		b.Error("n2>client is cut, but a call was answered")
	}
}

func rulesSurvive(b bed) {
	r := b.impair(cut, link("n2>n1"))
	if _, err := b.ping("n2", "n1", 300*time.Millisecond); err == nil {
		b.Error("a ping came back over a cut link")
	}
	before := must[cluster.Receipt](b)(r.Receipt(b.ctx)).Counts["packets_dropped"]
	must[cluster.Receipt](b)(b.c.KillMachine(b.ctx, "n1"))
	if n := must[cluster.Receipt](b)(r.Receipt(b.ctx)).Counts["packets_dropped"]; n < before || n == 0 {
		b.Errorf("the count fell from %d to %d when the machine went off", before, n)
	}
	must[cluster.Receipt](b)(b.c.StartMachine(b.ctx, "n1"))
	b.boot("n1")
	b.eventually("packets are dropped again", func() bool {
		_, err := b.ping("n2", "n1", 200*time.Millisecond)
		if err == nil {
			b.Fatal("a ping came back over a link that is still cut")
		}
		return must[cluster.Receipt](b)(r.Receipt(b.ctx)).Counts["packets_dropped"] > before
	})
	b.remove(r)
	b.connected("n2", "n1")
}

func refuse(b bed) {
	ok := []cluster.Link{link("n1>n2")}
	for what, c := range map[string]struct {
		links []cluster.Link
		i     cluster.Impairment
	}{
		"no links":               {nil, cut},
		"a link to itself":       {[]cluster.Link{link("n1>n1")}, cut},
		"clients to clients":     {[]cluster.Link{link("client>client")}, cut},
		"nothing":                {ok, cluster.Impairment{}},
		"negative loss":          {ok, cluster.Impairment{Loss: -1}},
		"more than all is lost":  {ok, cluster.Impairment{Loss: cluster.Million + 1}},
		"negative delay":         {ok, cluster.Impairment{Delay: -1}},
		"an hour of delay":       {ok, cluster.Impairment{Delay: time.Hour}},
		"more copies than known": {ok, cluster.Impairment{Duplicate: cluster.Million + 1}},
	} {
		if _, err := b.c.Impair(b.ctx, c.links, c.i); err == nil {
			b.Errorf("%s was not refused", what)
		}
	}
	for name, m := range b.c.machines {
		if counts := must[map[string]struct{}](b)(ids(b, m)); len(counts) > 0 {
			b.Errorf("%s has rules that were refused: %v", name, counts)
		}
	}
}

func ids(b bed, m *machine) (map[string]struct{}, error) {
	counts, err := m.agent.RuleCounts(b.ctx)
	out := map[string]struct{}{}
	for id := range counts {
		out[id] = struct{}{}
	}
	return out, err
}
