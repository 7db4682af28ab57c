package recovery

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

// agrees compares a model with its definition on random records, and demands
// that both verdicts come up.
func agrees(t *testing.T, n int, model string, draw func(c *chaos) (broken string, nothing bool)) {
	t.Helper()
	count := map[string]int{}
	patterns(t, n, false, func(c *chaos) error {
		broken, nothing := draw(c)
		v := c.check(model)
		want := checkers.Valid
		switch {
		case broken != "":
			want = checkers.Invalid
		case nothing:
			want = checkers.NotApplicable
		}
		count[string(want)+" "+broken]++
		if err := expect(v, want); err != nil {
			return fmt.Errorf("%w, because: %s", err, broken)
		}
		return nil
	})
	t.Log(count)
	if len(count) < 2 || count["valid "] == 0 {
		t.Error("the records are too much alike")
	}
}

// needed reports whether a message may be needed again: whether for any set of
// processes that fail, none included (who stands may save that and fail then),
// the greatest of all consistent combinations of states, where the failed have
// checkpoints that were not lost or begin anew, has its sending and not its
// receipt.
func (c *chaos) needed(m string, lost map[string]bool) bool {
	for failed := 0; failed < 1<<len(c.procs); failed++ {
		top, best := -1, [][]step(nil)
		c.cuts(func(x []int, hists [][]step) {
			sum := 0
			for p, h := range hists {
				sum += x[p]
				stands := len(h) == len(c.procs[p].hist)
				if stands && failed&(1<<p) != 0 && len(h) > 0 || !stands && len(h) > 0 && lost[c.procs[p].name+string(c.procs[p].hist[len(h)][1:])] {
					return
				}
				for _, d := range h {
					if d[0] == '-' && !has(hists[c.from[string(d[1:])]], "+"+string(d[1:])) {
						return
					}
				}
			}
			if sum > top {
				top, best = sum, slices.Clone(hists)
			}
		})
		if has(best[c.from[m]], "+"+m) && !has(best[c.to[m]], "-"+m) {
			return true
		}
	}
	return false
}

// TestLogsAreKeptAsTheDefinitionSays deletes messages from logs, and loses
// checkpoints: no recovery may need the message again.
func TestLogsAreKeptAsTheDefinitionSays(t *testing.T) {
	agrees(t, few, "gc-safety", func(c *chaos) (broken string, unknown bool) {
		lost := map[string]bool{}
		for range 1 + c.rng.IntN(5) {
			c.steps(2+c.rng.IntN(6), true)
			if p := c.rng.IntN(len(c.procs)); c.rng.IntN(3) == 0 && len(c.procs[p].saved) > 0 {
				k := c.procs[p].saved[c.rng.IntN(len(c.procs[p].saved))]
				c.add(p, record.Event{Kind: record.CheckpointDelete, Ckpt: k.name})
				lost[c.procs[p].name+k.name] = true
			}
			if len(c.sent) == 0 {
				continue
			}
			// A message that was received long ago, rather than any.
			m := c.sent[c.rng.IntN(1+c.rng.IntN(len(c.sent)))]
			needed := c.needed(m, lost)
			if needed && c.rng.IntN(8) > 0 {
				continue
			}
			c.add(c.from[m], record.Event{Kind: record.LogDelete, Msg: m})
			if needed {
				return "a recovery may need it", false
			}
		}
		return "", !slices.ContainsFunc(c.events, func(e record.Event) bool { return e.Kind == record.LogDelete || e.Kind == record.CheckpointDelete })
	})
}

// TestBasesAreKeptAsTheDefinitionSays has chains of increments, and deletes
// checkpoints: none on which another one rests that is still there.
func TestBasesAreKeptAsTheDefinitionSays(t *testing.T) {
	agrees(t, few, "gc-safety", func(c *chaos) (broken string, unknown bool) {
		c.events = c.events[:len(c.procs)]
		type part struct{ name, base string }
		there := make([][]part, len(c.procs))
		deleted := false
		for n := range 3 + c.rng.IntN(10) {
			p := c.rng.IntN(len(c.procs))
			if c.rng.IntN(3) > 0 {
				k := part{name: fmt.Sprint("b", n)}
				if len(there[p]) > 0 && c.rng.IntN(3) > 0 {
					k.base = there[p][c.rng.IntN(len(there[p]))].name
				}
				c.add(p, record.Event{Kind: record.CheckpointBegin, Ckpt: k.name})
				c.add(p, record.Event{Kind: record.CheckpointCommit, Ckpt: k.name, Level: "store", Base: k.base})
				there[p] = append(there[p], k)
				continue
			}
			if len(there[p]) == 0 {
				continue
			}
			x := c.rng.IntN(len(there[p]))
			k := there[p][x]
			rests := slices.ContainsFunc(there[p], func(o part) bool { return o.base == k.name })
			if rests && c.rng.IntN(3) > 0 {
				continue
			}
			deleted = true
			c.add(p, record.Event{Kind: record.CheckpointDelete, Ckpt: k.name})
			there[p] = slices.Delete(there[p], x, x+1)
			if rests {
				broken = "a checkpoint rests on it"
			}
		}
		return broken, !deleted
	})
}

// TestRoundsAreKeptAsTheDefinitionSays commits rounds and deletes parts of them
// or finds them bad: no deletion leaves no round whole.
func TestRoundsAreKeptAsTheDefinitionSays(t *testing.T) {
	agrees(t, few, "gc-safety", func(c *chaos) (broken string, unknown bool) {
		held := map[string]bool{}
		var lines []map[string]string
		whole := func() int {
			n := 0
			for _, line := range lines {
				all := true
				for name, k := range line {
					all = all && held[name+k]
				}
				if all {
					n++
				}
			}
			return n
		}
		deleted := false
		for round := 1; round <= 2+c.rng.IntN(4); round++ {
			c.add(0, record.Event{Kind: record.RoundBegin, Round: round})
			line := map[string]string{}
			for p, a := range c.procs {
				k := fmt.Sprint("r", round)
				c.add(p, record.Event{Kind: record.CheckpointBegin, Ckpt: k, Round: round})
				c.add(p, record.Event{Kind: record.CheckpointCommit, Ckpt: k, Level: "store"})
				line[a.name], held[a.name+k] = k, true
			}
			if c.rng.IntN(4) > 0 {
				c.add(0, record.Event{Kind: record.RoundCommit, Round: round, Line: line})
				lines = append(lines, line)
			}
			for range c.rng.IntN(4) {
				p := c.rng.IntN(len(c.procs))
				name, k := c.procs[p].name, fmt.Sprint("r", 1+c.rng.IntN(round))
				before := whole()
				was := held[name+k]
				held[name+k] = false
				if left := whole(); left == 0 && before > 0 && c.rng.IntN(3) > 0 {
					held[name+k] = was
					continue
				}
				if c.rng.IntN(4) == 0 {
					c.add(p, record.Event{Kind: record.CheckpointBad, Ckpt: k, Level: "store", Reason: "corrupt"})
					continue
				}
				c.add(p, record.Event{Kind: record.CheckpointDelete, Ckpt: k})
				if deleted = true; before > 0 && whole() == 0 {
					broken = "no round is whole"
				}
			}
		}
		return broken, !deleted
	})
}

// TestLinesAreKeptAsTheDefinitionSays deletes checkpoints before a recovery
// without rounds, whose latest line, by brute force, must be what it would be
// without the deletions.
func TestLinesAreKeptAsTheDefinitionSays(t *testing.T) {
	agrees(t, few, "gc-safety", func(c *chaos) (broken string, unknown bool) {
		type state struct {
			hist []step
			gone bool
		}
		states := make([][]state, len(c.procs))
		dead := c.rng.IntN(len(c.procs))
		deleted := false
		for p, a := range c.procs {
			states[p] = []state{{}}
			for _, s := range a.saved {
				if !s.committed {
					continue
				}
				gone := c.rng.IntN(4) == 0
				if gone {
					deleted = true
					c.add(p, record.Event{Kind: record.CheckpointDelete, Ckpt: s.name})
				}
				states[p] = append(states[p], state{s.hist, gone})
			}
			if p != dead {
				states[p] = append(states[p], state{hist: a.hist})
			}
		}
		best := func(all bool) []int { // how many events each process keeps
			most, x := make([]int, len(c.procs)), make([]int, len(c.procs))
			for {
				hists, there := make([][]step, len(x)), true
				for p, k := range x {
					hists[p] = states[p][k].hist
					there = there && (all || !states[p][k].gone)
				}
				if there && consistent(hists) {
					for p := range x {
						most[p] = max(most[p], len(hists[p])+min(1, x[p])) // the initial state is before the start
					}
				}
				p := 0
				for ; p < len(x); p++ {
					if x[p]++; x[p] < len(states[p]) {
						break
					}
					x[p] = 0
				}
				if p == len(x) {
					return most
				}
			}
		}
		c.add(dead, record.Event{Kind: record.Crash})
		c.add((dead+1)%len(c.procs), record.Event{Kind: record.Recovery, Epoch: 1, Line: map[string]string{c.procs[dead].name: ""}, Failed: []string{c.procs[dead].name}})
		if !slices.Equal(best(true), best(false)) {
			broken = "the line is behind"
		}
		return broken, !deleted
	})
}
