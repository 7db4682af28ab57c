package recovery

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cleancut/cleancut/harness/record"
)

// damaged draws rounds at levels, of which parts are lost, and recoveries to
// some of them, which are told of in time, late, or twice.
func (c *chaos) damaged() {
	c.events = c.events[:len(c.procs)]
	for _, a := range c.procs {
		a.inc = 1
	}
	lines, committed := map[int]map[string]string{}, []int{}
	var late []record.Event
	begin := func(p int, k record.Kind, ckpt, level string) {
		c.procs[p].inc++
		c.add(p, record.Event{Kind: k, Ckpt: ckpt, Level: level, Epoch: c.epoch})
	}
	for range 4 + c.rng.IntN(16) {
		round := c.round
		if len(committed) > 0 {
			round = committed[max(0, len(committed)-1-c.rng.IntN(4)/2)]
		}
		p := c.rng.IntN(len(c.procs))
		switch x := c.rng.IntN(12); {
		case x < 3:
			c.round++
			c.add(0, record.Event{Kind: record.RoundBegin, Round: c.round, Epoch: c.epoch})
			lines[c.round] = map[string]string{}
			for q, a := range c.procs {
				k := fmt.Sprint("r", c.round)
				lines[c.round][a.name] = k
				c.add(q, record.Event{Kind: record.CheckpointBegin, Ckpt: k})
				for _, level := range levelOrder[c.rng.IntN(2) : 2+c.rng.IntN(2)] {
					c.add(q, record.Event{Kind: record.CheckpointCommit, Ckpt: k, Level: level})
				}
			}
			if c.rng.IntN(6) > 0 {
				committed = append(committed, c.round)
				c.add(0, record.Event{Kind: record.RoundCommit, Round: c.round, Line: lines[c.round], Epoch: c.epoch})
			}
		case round == 0:
		case x < 7:
			level := levelOrder[c.rng.IntN(3)]
			e := record.Event{Kind: record.CheckpointBad, Level: level, Reason: []string{"missing", "checksum", unreadable}[c.rng.IntN(3)]}
			if c.rng.IntN(4) == 0 {
				e = record.Event{Kind: record.CheckpointDelete, Level: []string{level, ""}[c.rng.IntN(2)]}
			}
			e.Ckpt = lines[round][c.procs[p].name]
			c.add(p, e)
		case x < 8:
			begin(p, record.Start, "", "")
		default:
			c.epoch++
			line, take := map[string]string{}, round*min(1, c.rng.IntN(12))
			for _, a := range c.procs {
				if c.rng.IntN(6) > 0 {
					line[a.name] = lines[take][a.name] // "" without a round
				}
			}
			if len(line) == 0 {
				continue
			}
			e := record.Event{Kind: record.Recovery, Epoch: c.epoch, Round: take, Line: line}
			if c.rng.IntN(4) > 0 {
				c.add(0, e)
			} else {
				late = append(late, e)
			}
			if c.rng.IntN(3) > 0 && line[c.procs[p].name] != "" {
				if c.rng.IntN(2) == 0 {
					c.add(p, record.Event{Kind: record.CheckpointBad, Ckpt: line[c.procs[p].name], Level: levelOrder[c.rng.IntN(3)], Reason: "missing", Epoch: c.epoch - 1})
				}
				begin(p, record.Restore, line[c.procs[p].name], "")
			}
			if c.rng.IntN(6) == 0 {
				late = append(late, e)
			}
		}
	}
	for _, e := range late {
		c.add(c.rng.IntN(2), e)
	}
}

// lastWord is what a level last said of a checkpoint in some events: held, lost
// or nothing, and whether it could not be read after that.
func lastWord(events []record.Event, proc, ckpt, level string) (held, unread bool) {
	for _, e := range events {
		switch {
		case e.Proc != proc || e.Ckpt != ckpt:
		case e.Kind == record.CheckpointCommit && e.Level == level:
			held, unread = true, false
		case e.Kind == record.CheckpointBad && e.Reason == unreadable:
			unread = unread || e.Level == level
		case e.Kind == record.CheckpointBad || e.Kind == record.CheckpointDelete:
			held = held && e.Level != "" && e.Level != level
		}
	}
	return held, held && unread
}

// somewhere reports whether some level holds a checkpoint, and can be read.
func somewhere(events []record.Event, proc, ckpt string, read bool) bool {
	return slices.ContainsFunc(levelOrder, func(level string) bool {
		held, unread := lastWord(events, proc, ckpt, level)
		return held && !(read && unread)
	})
}

// TestRecoveriesToRoundsAgreeWithTheDefinition follows the words of
// recoveryLine for rounds: when each recovery was decided, what had been told
// by then of the round that it takes, and of newer ones.
func TestRecoveriesToRoundsAgreeWithTheDefinition(t *testing.T) {
	agrees(t, few, "recovery-line", func(c *chaos) (broken string, unknown bool) {
		c.damaged()
		unknown = true
		for i, v := range c.events {
			if v.Kind != record.Recovery {
				continue
			}
			unknown = false
			decided, restored := i, 0
			first := slices.IndexFunc(c.events, func(e record.Event) bool { return e.Kind == record.Recovery && e.Epoch == v.Epoch })
			again := first < i && (c.events[first].Proc != v.Proc || c.events[first].Inc != v.Inc)
			if again { // the same decision, which was judged
				continue
			}
			for j, e := range c.events {
				if e.Epoch > v.Epoch || e.Kind == record.Restore && e.Epoch == v.Epoch && first == i {
					decided = min(decided, j)
				}
				if _, named := v.Line[e.Proc]; named && e.Kind == record.Restore && e.Epoch == v.Epoch {
					restored = j
				}
			}
			before, until := c.events[:decided], c.events[:max(decided, restored)]
			for proc, k := range v.Line {
				was := slices.ContainsFunc(before, func(e record.Event) bool { return eventIs(e, record.CheckpointCommit, proc) && e.Ckpt == k })
				if k != "" && was && !somewhere(before, proc, k, false) {
					broken = "a part was gone"
				}
			}
			for _, e := range before {
				if e.Kind != record.RoundCommit || e.Round <= v.Round {
					continue
				}
				whole := true
				for proc, k := range e.Line {
					whole = whole && somewhere(before, proc, k, true) && somewhere(until, proc, k, true)
				}
				if whole {
					broken = "a newer round was whole"
				}
			}
		}
		return broken, unknown
	})
}
