package recovery

import (
	"fmt"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

// output emits something that may have been emitted before, and perhaps makes
// it visible.
func (c *chaos) output(p int, visible map[string]int) {
	o := fmt.Sprintf("%d.%d", p, c.rng.IntN(3))
	a := c.procs[p]
	if has(a.hist, "!"+o) {
		return
	}
	a.hist = append(a.hist, step("!"+o))
	c.add(p, record.Event{Kind: record.Output, Sink: "s", ID: o})
	if c.rng.IntN(3) > 0 && (visible[o] == 0 || c.rng.IntN(6) == 0) {
		visible[o]++
		c.add(p, record.Event{Kind: record.OutputCommit, Sink: "s", ID: o})
	}
}

// withOutputs is a computation with rollbacks in which all processes finish.
func (c *chaos) withOutputs() map[string]int {
	visible := map[string]int{}
	for range c.rng.IntN(12) {
		c.output(c.rng.IntN(len(c.procs)), visible)
		c.steps(2, true)
	}
	for p := range c.procs {
		c.add(p, record.Event{Kind: record.Final})
	}
	return visible
}

func TestOutputsAgreeWithTheDefinition(t *testing.T) {
	count := map[string]int{}
	patterns(t, few, true, func(c *chaos) error {
		visible := c.withOutputs()
		emitted := map[string]bool{}
		for _, a := range c.procs {
			for _, d := range a.hist {
				if d[0] == '!' {
					emitted[string(d[1:])] = true
				}
			}
		}
		once, least, phantom := true, true, false
		for o, n := range visible {
			once = once && n == 1 && emitted[o]
			phantom = phantom || !emitted[o]
		}
		for o := range emitted {
			least = least && visible[o] > 0
		}
		if len(visible) == 0 {
			return nil
		}
		want := func(ok bool) checkers.Validity {
			if ok {
				return checkers.Valid
			}
			return checkers.Invalid
		}
		for model, ok := range map[string]bool{"exactly-once": once && least, "at-least-once": least && !phantom, "output-commit": !phantom} {
			count[fmt.Sprint(model, ok)]++
			if err := expect(c.check(model), want(ok)); err != nil {
				return fmt.Errorf("%s: %w", model, err)
			}
		}
		return nil
	})
	t.Log(count)
	if len(count) != 6 {
		t.Error("one of the verdicts never came up")
	}
}

// rollback takes all processes back to a line at random, in a new epoch that
// all know of at once; some messages of before may still arrive.
func (c *chaos) rollback() {
	c.epoch++
	for p, a := range c.procs {
		name := ""
		if n := len(a.saved); n > 0 && c.rng.IntN(4) > 0 {
			name = a.saved[c.rng.IntN(n)].name
		}
		c.begin(p, record.Restore, name)
	}
}

func TestFencingAgreesWithTheDefinition(t *testing.T) {
	count := map[bool]int{}
	patterns(t, many, false, func(c *chaos) error {
		// A receipt is to be rejected if the present history of the sender
		// lacks the message.
		ok := true
		for range 2 + c.rng.IntN(4) {
			c.rollback()
			for range 4 {
				before := len(c.events)
				c.steps(1, false)
				for _, e := range c.events[before:] {
					if e.Kind == record.Recv {
						ok = ok && has(c.procs[c.from[e.Msg]].hist, "+"+e.Msg)
					}
				}
			}
		}
		count[ok]++
		if ok {
			return expect(c.check("fencing"), checkers.Valid)
		}
		return expect(c.check("fencing"), checkers.Invalid)
	})
	t.Log(count)
	if len(count) != 2 {
		t.Error("one of the verdicts never came up")
	}
}

func TestRollbacksAndRecoveryLineAgreeWithTheDefinition(t *testing.T) {
	count := map[checkers.Validity]int{}
	patterns(t, few, false, func(c *chaos) error {
		// The line by brute force, for the failure of one process; then a
		// recovery to it, or to one that is a checkpoint off.
		p := c.pattern()
		dead := c.rng.IntN(len(c.procs))
		best := make([]int, len(c.procs))
		c.cuts(func(x []int, hists [][]step) {
			if x[dead] <= len(p.ckpts[dead]) && consistent(hists) {
				for q := range x {
					best[q] = max(best[q], x[q])
				}
			}
		})
		want := checkers.Valid
		took := append([]int(nil), best...)
		if q := c.rng.IntN(len(took)); c.rng.IntN(2) == 0 && took[q] > 0 {
			took[q]--
			want = checkers.Invalid
		}
		depth := 0
		line := map[string]string{}
		for q, a := range c.procs {
			if took[q] > len(p.ckpts[q]) {
				continue
			}
			line[a.name] = ""
			if took[q] > 0 {
				line[a.name] = p.r.ckpts[p.ckpts[q][took[q]-1]].name
			}
			depth = max(depth, len(p.ckpts[q])-took[q])
		}
		c.add(dead, record.Event{Kind: record.Crash})
		other := (dead + 1) % len(c.procs)
		c.add(other, record.Event{Kind: record.Recovery, Epoch: 1, Line: line, Failed: []string{c.procs[dead].name}})
		v := c.check("recovery-line")
		count[v.Verdict]++
		if err := expect(v, want); err != nil {
			return err
		}
		if got := c.check("domino").Measures["domino_depth"]; int(got) != depth {
			return fmt.Errorf("domino depth %v; expected %d", got, depth)
		}
		return nil
	})
	t.Log(count)
	if count[checkers.Valid] == 0 || count[checkers.Invalid] == 0 {
		t.Error("one of the verdicts never came up")
	}
}

// Events of one process may be told in any order with those of others: the
// verdict does not depend on it, nor on names.
func TestVerdictsDoNotDependOnNames(t *testing.T) {
	patterns(t, few, true, func(c *chaos) error {
		if c.rng.IntN(10) > 0 {
			return nil
		}
		c.withOutputs()
		other := &chaos{events: append([]record.Event(nil), c.events...)}
		rename := func(s string) string {
			if s == "" {
				return s
			}
			return "z" + s + "'"
		}
		for i := range other.events {
			e := &other.events[i]
			e.Proc, e.Peer, e.Msg, e.Ckpt, e.ID = rename(e.Proc), rename(e.Peer), rename(e.Msg), rename(e.Ckpt), rename(e.ID)
		}
		for _, m := range Names() {
			if a, b := c.check(m), other.check(m); a.Verdict != b.Verdict {
				return fmt.Errorf("%s: %s, renamed %s", m, a.Verdict, b.Verdict)
			}
		}
		return nil
	})
}
