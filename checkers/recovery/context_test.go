package recovery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

// looks is a context that ends when it was looked at so many times.
type looks struct {
	context.Context
	left int
}

func (c *looks) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestEveryModelEndsWithItsContext(t *testing.T) {
	events := large(20, 30_000)
	for _, m := range models {
		for _, left := range []int{0, 1, 5, 20, 1 << 30} {
			list, err := Checkers(Options{}, m.Name)
			if err != nil {
				t.Fatal(err)
			}
			c := &looks{t.Context(), left}
			v := list[0].Check(c, &checkers.Evidence{Record: events})
			cut := v.Verdict == checkers.Unknown && strings.Contains(v.Reason, "time ran out")
			switch {
			case (c.left < 0) != cut:
				t.Errorf("%s: the context ended after %d looks: %s (%s)", m.Name, left, v.Verdict, v.Reason)
			case left < 20 && !cut:
				t.Errorf("%s looks at its context %d times only", m.Name, left-c.left)
			}
		}
	}
}

// After one model was cut off, another one, with more time, is judged.
func TestACheckThatIsCutOffLeavesTheOthersTheirTime(t *testing.T) {
	events := large(20, 30_000)
	list, _ := Checkers(Options{}, "consistent-cut", "channel-state")
	e := &checkers.Evidence{Record: events}
	if v := list[0].Check(&looks{t.Context(), 12}, e); v.Verdict != checkers.Unknown {
		t.Fatal(v.Reason)
	}
	if v := list[1].Check(t.Context(), e); v.Verdict != checkers.Valid {
		t.Fatal(v.Reason)
	}
	if v := list[0].Check(t.Context(), e); v.Verdict != checkers.Valid {
		t.Fatal(v.Reason)
	}
}

func TestTheBoundOfMemoryIsOne(t *testing.T) {
	events := large(20, 50_000)
	need := indexBytes(events)
	for _, m := range models {
		list, _ := Checkers(Options{Memory: need, Read: true}, m.Name)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		v := list[0].Check(t.Context(), &checkers.Evidence{Record: events})
		runtime.ReadMemStats(&after)
		took := int64(after.TotalAlloc - before.TotalAlloc)
		t.Logf("%-24s %3d %%", m.Name, 100*took/need)
		if took > need {
			t.Errorf("%s took %d bytes; the bound is %d", m.Name, took, need)
		}
		if strings.Contains(v.Reason, "MiB") {
			t.Errorf("%s: %s", m.Name, v.Reason)
		}
		list, _ = Checkers(Options{Memory: need - 1}, m.Name)
		if v := list[0].Check(t.Context(), &checkers.Evidence{Record: events}); v.Verdict != checkers.Unknown || !strings.Contains(v.Reason, "allowed are") {
			t.Errorf("%s with a byte less: %s (%s)", m.Name, v.Verdict, v.Reason)
		}
	}
}

// lose loses a checkpoint, or commits one late.
func (c *chaos) lose() {
	p := c.rng.IntN(len(c.procs))
	a := c.procs[p]
	if len(a.saved) == 0 {
		return
	}
	k := c.rng.IntN(len(a.saved))
	switch {
	case !a.saved[k].committed:
		a.saved[k].committed = true
		c.add(p, record.Event{Kind: record.CheckpointCommit, Ckpt: a.saved[k].name})
	case c.rng.IntN(2) == 0:
		c.add(p, record.Event{Kind: record.CheckpointDelete, Ckpt: a.saved[k].name})
	default:
		c.add(p, record.Event{Kind: record.CheckpointBad, Ckpt: a.saved[k].name, Level: "local", Reason: "corrupt"})
	}
}

// withRecoveries has some recoveries, to lines at random, one after the other.
func (c *chaos) withRecoveries(n int) {
	for range n {
		c.steps(3+c.rng.IntN(12), false)
		c.lose()
		line := map[string]string{}
		for _, a := range c.procs {
			if len(a.saved) > 0 && c.rng.IntN(4) > 0 {
				line[a.name] = a.saved[c.rng.IntN(len(a.saved))].name
			} else if c.rng.IntN(8) == 0 {
				line[a.name] = ""
			}
		}
		c.epoch++
		c.add(c.rng.IntN(len(c.procs)), record.Event{Kind: record.Recovery, Epoch: c.epoch, Line: line})
		for p, a := range c.procs {
			if k, in := line[a.name]; in {
				c.begin(p, record.Restore, k)
			}
		}
	}
	c.steps(c.rng.IntN(10), false)
}

// A walk from recovery to recovery sees what one from the beginning sees, and
// the checkpoints that are useless in some pattern are those that are useless
// in what each recovery undid, or at the end.
func TestManyRecoveriesAreJudgedAsEachAlone(t *testing.T) {
	count := map[checkers.Validity]int{}
	patterns(t, few, false, func(c *chaos) error {
		c.withRecoveries(1 + c.rng.IntN(4))
		r := newRun(context.Background(), c.events)
		w := newWalk(r)
		useless := map[int32]bool{}
		keep := func(k int32) bool { return len(r.ckpts[k].commits) > 0 }
		look := func(i int32) error {
			now, fresh := w.to(r.now(i)), newWalk(r).to(r.now(i))
			for q := range r.procs {
				if fmt.Sprint(now.events[q], now.marks[q]) != fmt.Sprint(fresh.events[q], fresh.marks[q]) {
					return fmt.Errorf("%s at event %d: %v %v; afresh %v %v", r.procs[q], i, now.events[q], now.marks[q], fresh.events[q], fresh.marks[q])
				}
			}
			if !reflect.DeepEqual(now.sent, fresh.sent) || !reflect.DeepEqual(now.recv, fresh.recv) {
				return fmt.Errorf("messages at event %d: %v %v; afresh %v %v", i, now.sent, now.recv, fresh.sent, fresh.recv)
			}
			is := func(k int32) bool { return keep(k) && r.usable(k, i) }
			if a, b := now.keeping(i, i, is), fresh.pattern(is); fmt.Sprint(a.ckpts, a.at) != fmt.Sprint(b.ckpts, b.at) {
				return fmt.Errorf("checkpoints at event %d: %v %v; afresh %v %v", i, a.ckpts, a.at, b.ckpts, b.at)
			}
			list, _ := fresh.pattern(func(k int32) bool { return keep(k) && r.ckpts[k].commits[0] <= i }).useless()
			for _, k := range list {
				useless[k] = true
			}
			return nil
		}
		for k := range r.recoveries {
			if err := look(r.recoveries[k].event); err != nil {
				return err
			}
		}
		if err := look(int32(len(r.ev) - 1)); err != nil {
			return err
		}
		v := c.check("no-useless-checkpoints")
		count[v.Verdict]++
		if v.Verdict == checkers.Unknown || v.Verdict == checkers.NotApplicable {
			return nil
		}
		if got := int(v.Measures["useless_checkpoints"]); got != len(useless) || (v.Verdict == checkers.Valid) != (got == 0) {
			return fmt.Errorf("%s, %d useless checkpoints; expected %d", v.Verdict, got, len(useless))
		}
		return nil
	})
	t.Log(count)
	if count[checkers.Valid] == 0 || count[checkers.Invalid] == 0 {
		t.Error("one of the verdicts never came up")
	}
}

// BenchmarkRecoveries has one recovery for each thousand messages.
func BenchmarkRecoveries(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		c := newChaosOf(b, n)
		list, _ := Checkers(Options{Read: true}, "recovery-line", "domino", "no-domino", "no-useless-checkpoints")
		for _, check := range list {
			b.Run(fmt.Sprintf("%s/%d", check.Name(), n), func(b *testing.B) {
				for b.Loop() {
					check.Check(b.Context(), &checkers.Evidence{Record: c})
				}
			})
		}
	}
}

// newChaosOf is a record of 20 processes with n recoveries of one of them from
// its last checkpoint, a thousand messages apart.
func newChaosOf(b *testing.B, n int) []record.Event {
	c := newChaos(rand.New(rand.NewPCG(1, 1)), 20)
	sent := 0
	for k := range n {
		for range 1000 {
			p := c.rng.IntN(20)
			q := (p + 1 + c.rng.IntN(19)) % 20
			sent++
			m := fmt.Sprint(sent)
			c.add(p, record.Event{Kind: record.Send, Msg: m, Peer: c.procs[q].name})
			c.add(q, record.Event{Kind: record.Recv, Msg: m, Peer: c.procs[p].name})
			if sent%100 == 0 {
				for p, a := range c.procs {
					k := fmt.Sprint("k", sent)
					a.saved = append(a.saved[:0], snapshot{name: k})
					c.add(p, record.Event{Kind: record.CheckpointBegin, Ckpt: k})
					c.add(p, record.Event{Kind: record.CheckpointCommit, Ckpt: k})
				}
			}
		}
		p := k % 20
		a := c.procs[p]
		c.epoch++
		c.add((p+1)%20, record.Event{Kind: record.Recovery, Epoch: c.epoch, Line: map[string]string{a.name: a.saved[len(a.saved)-1].name}, Failed: []string{a.name}})
		a.inc++
		c.add(p, record.Event{Kind: record.Restore, Ckpt: a.saved[len(a.saved)-1].name, Epoch: c.epoch})
	}
	if err := record.Validate(c.events); err != nil {
		b.Fatal(err)
	}
	return c.events
}

// The same checkers judge one record after the other, as a sweep has them do.
func TestARecordSaysNothingOfTheNext(t *testing.T) {
	list, err := Checkers(Options{}, "consistent-cut")
	if err != nil {
		t.Fatal(err)
	}
	good, other := large(20, 3_000), large(20, 3_000)
	contradictory := large(20, 3_000)
	for i := range contradictory {
		if contradictory[i].Kind == record.Recv {
			contradictory[i].Msg = "nobody>sent#1"
			break
		}
	}
	for i, c := range []struct {
		events []record.Event
		want   checkers.Validity
	}{{good, checkers.Valid}, {contradictory, checkers.Unknown}, {other, checkers.Valid}, {nil, checkers.Unknown}, {good, checkers.Valid}} {
		if v := list[0].Check(t.Context(), &checkers.Evidence{Record: c.events}); v.Verdict != c.want {
			t.Errorf("record %d: %s (%s); want %s", i, v.Verdict, v.Reason, c.want)
		}
	}
}
