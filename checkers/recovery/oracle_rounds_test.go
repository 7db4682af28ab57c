package recovery

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

// rounds draws rounds of checkpoints that are mostly right, and recoveries to
// some of them.
func (c *chaos) rounds() {
	taken := map[int]map[string]string{}
	for round := 1; round <= 1+c.rng.IntN(4); round++ {
		c.add(0, record.Event{Kind: record.RoundBegin, Round: round})
		line := map[string]string{}
		for p, a := range c.procs {
			if c.rng.IntN(16) == 0 {
				continue
			}
			k := fmt.Sprintf("r%d", round)
			e := record.Event{Kind: record.CheckpointBegin, Ckpt: k, Round: round}
			if c.rng.IntN(24) == 0 {
				e.Round = c.rng.IntN(round)
			}
			c.add(p, e)
			if line[a.name] = k; c.rng.IntN(24) == 0 {
				c.add(p, record.Event{Kind: record.CheckpointAbort, Ckpt: k})
			}
			if c.rng.IntN(24) > 0 {
				c.add(p, record.Event{Kind: record.CheckpointCommit, Ckpt: k})
			}
		}
		taken[round] = line
		if c.rng.IntN(12) == 0 {
			c.add(0, record.Event{Kind: record.RoundAbort, Round: round})
		}
		for range 1 + c.rng.IntN(12)/11 {
			if c.rng.IntN(12) > 0 && len(line) > 0 {
				told := map[string]string{}
				for name, k := range line {
					if told[name] = k; c.rng.IntN(40) == 0 && round > 1 && taken[round-1][name] != "" {
						told[name] = taken[round-1][name]
					}
				}
				c.add(0, record.Event{Kind: record.RoundCommit, Round: round, Line: told})
			}
		}
		if c.rng.IntN(2) == 0 && len(line) > 0 {
			c.recover(taken, round)
		}
	}
}

// recover goes back to a round, perhaps with a part of another one.
func (c *chaos) recover(taken map[int]map[string]string, newest int) {
	round := max(1, newest-c.rng.IntN(8)/7)
	line := map[string]string{}
	for name, k := range taken[round] {
		if line[name] = k; c.rng.IntN(30) == 0 {
			line[name] = ""
		}
	}
	if len(line) == 0 {
		return
	}
	c.epoch++
	c.add(0, record.Event{Kind: record.Recovery, Epoch: c.epoch, Round: round * min(1, c.rng.IntN(8)), Line: line})
	for p, a := range c.procs {
		k, in := line[a.name]
		if !in {
			continue
		}
		if c.rng.IntN(40) == 0 {
			k = taken[newest][a.name]
		}
		a.inc++
		e := record.Event{Kind: record.Restore, Ckpt: k, Epoch: c.epoch}
		if c.rng.IntN(2) == 0 {
			e.Round = round
		}
		c.add(p, e)
	}
}

// TestRoundsAgreeWithTheDefinition follows the words of atomicRounds, event by
// event.
func TestRoundsAgreeWithTheDefinition(t *testing.T) {
	agrees(t, few, "atomic-rounds", func(c *chaos) (broken string, unknown bool) {
		c.rounds()
		before := func(i int, is func(e record.Event) bool) bool { return slices.ContainsFunc(c.events[:i], is) }
		commitOf := func(i, round int) map[string]string {
			for j := i - 1; j >= 0; j-- {
				if e := c.events[j]; e.Kind == record.RoundCommit && e.Round == round {
					return e.Line
				}
			}
			return nil
		}
		some := false
		for i, e := range c.events {
			some = some || e.Kind == record.RoundCommit || e.Kind == record.RoundAbort || e.Kind == record.Recovery && e.Round > 0
			switch e.Kind {
			case record.RoundAbort, record.RoundCommit:
				other := map[record.Kind]record.Kind{record.RoundAbort: record.RoundCommit, record.RoundCommit: record.RoundAbort}[e.Kind]
				if before(i, func(o record.Event) bool { return o.Kind == other && o.Round == e.Round }) {
					broken = "committed and aborted"
				}
			}
			switch {
			case e.Kind == record.RoundCommit:
				if was := commitOf(i, e.Round); was != nil && fmt.Sprint(was) != fmt.Sprint(e.Line) {
					broken = "two lines"
				}
				for name, k := range e.Line {
					if !before(i, func(o record.Event) bool { return eventIs(o, record.CheckpointCommit, name) && o.Ckpt == k }) {
						broken = "a part was not committed"
					}
					if before(i, func(o record.Event) bool { return eventIs(o, record.CheckpointAbort, name) && o.Ckpt == k }) {
						broken = "a part was aborted"
					}
					if before(i, func(o record.Event) bool {
						return eventIs(o, record.CheckpointBegin, name) && o.Ckpt == k && o.Round > 0 && o.Round != e.Round
					}) {
						broken = "a part of another round"
					}
				}
				if before(i, func(o record.Event) bool {
					_, in := e.Line[o.Proc]
					return o.Kind == record.CheckpointBegin && o.Round > 0 && !in
				}) {
					broken = "a process is missing"
				}
			case e.Kind == record.Recovery && e.Round > 0:
				line := commitOf(i, e.Round)
				for name, k := range e.Line {
					if want, in := line[name]; in && want != k {
						broken = "another part"
					}
				}
				if line == nil {
					broken = "a round that was not committed"
				}
			case e.Kind == record.Restore:
				for j := i - 1; j >= 0; j-- {
					if o := c.events[j]; o.Kind == record.Recovery && o.Epoch == e.Epoch {
						if o.Line[e.Proc] != e.Ckpt {
							broken = "not what the recovery says"
						}
						break
					}
				}
				if e.Round == 0 || e.Ckpt == "" {
					break
				}
				line := commitOf(i, e.Round)
				if want, in := line[e.Proc]; line == nil || in && want != e.Ckpt {
					broken = "not a part of the round"
				}
			}
		}
		if !some { // no round at all
			return "", true
		}
		none := !slices.ContainsFunc(c.events, func(e record.Event) bool { return e.Kind == record.RoundCommit || e.Kind == record.RoundAbort })
		if none && !slices.ContainsFunc(c.events, func(e record.Event) bool { return e.Kind == record.Recovery && e.Round > 0 }) {
			return "", true
		}
		return broken, false
	})
}

// TestRestoresAgreeWithTheDefinition saves checkpoints at levels, loses some,
// and restores from one level or another.
func TestRestoresAgreeWithTheDefinition(t *testing.T) {
	agrees(t, many, "restorable", func(c *chaos) (broken string, unknown bool) {
		type part struct{ name, base string }
		parts := make([][]part, len(c.procs))
		c.events = c.events[:len(c.procs)]
		for _, a := range c.procs {
			a.inc, a.saved = 1, nil
		}
		for n := range 4 + c.rng.IntN(14) {
			p := c.rng.IntN(len(c.procs))
			a := c.procs[p]
			level := append(levelOrder, "")[c.rng.IntN(4)]
			k := part{name: fmt.Sprint("b", n)}
			if len(parts[p]) > 0 {
				k.base = parts[p][c.rng.IntN(len(parts[p]))].name
			}
			switch x := c.rng.IntN(10); {
			case x < 4:
				c.add(p, record.Event{Kind: record.CheckpointBegin, Ckpt: k.name, Digest: "d"})
				parts[p] = append(parts[p], k)
				if c.rng.IntN(8) > 0 {
					c.add(p, record.Event{Kind: record.CheckpointCommit, Ckpt: k.name, Level: level, Base: k.base})
				}
			case k.base == "":
			case x < 5:
				if !slices.ContainsFunc(c.events, func(e record.Event) bool {
					return eventIs(e, record.CheckpointCommit, a.name) && e.Ckpt == k.base && e.Level == level && e.Inc == a.inc
				}) {
					c.add(p, record.Event{Kind: record.CheckpointCommit, Ckpt: k.base, Level: level})
				}
			case x < 6:
				c.add(p, record.Event{Kind: record.CheckpointDelete, Ckpt: k.base, Level: level})
			case x < 7 && level != "":
				reason := []string{"missing", "corrupt", "unreadable"}[c.rng.IntN(3)]
				c.add(p, record.Event{Kind: record.CheckpointBad, Ckpt: k.base, Level: level, Reason: reason})
			case x < 8:
				c.add(p, record.Event{Kind: record.Crash})
				a.inc++
				c.add(p, record.Event{Kind: record.Start})
			default:
				a.inc++
				c.add(p, record.Event{Kind: record.Restore, Ckpt: k.base, Level: level, Digest: []string{"d", "d", "d", "d", "d", "d", "", "x"}[c.rng.IntN(8)]})
			}
		}
		restores := 0
		for i, e := range c.events {
			if e.Kind == record.Restore {
				restores++
				if why := c.restoredWrongly(i, e); why != "" {
					broken = why
				}
			}
		}
		return broken, restores == 0
	})
}

// there reports whether a level holds a checkpoint before event i, and the event
// that last said so. A level that was unreadable has lost nothing.
func (c *chaos) there(proc, ckpt, level string, i int) (is bool, by int) {
	for j, e := range c.events[:i] {
		if e.Proc != proc || e.Ckpt != ckpt {
			continue
		}
		if e.Kind == record.CheckpointCommit && e.Level == level {
			is, by = true, j
		}
		lost := e.Kind == record.CheckpointDelete || e.Kind == record.CheckpointBad && e.Reason != "unreadable"
		if lost && (e.Level == level || e.Level == "") {
			is, by = false, j
		}
	}
	return is, by
}

// unread reports whether the incarnation before event i could not read a level.
func (c *chaos) unread(proc, ckpt, level string, i int) bool {
	for j := i - 1; j >= 0; j-- {
		switch e := c.events[j]; {
		case e.Proc != proc:
		case e.Kind == record.CheckpointBad && e.Reason == "unreadable" && e.Ckpt == ckpt && e.Level == level:
			return true
		case e.Kind == record.Start || e.Kind == record.Restore:
			return false
		}
	}
	return false
}

func (c *chaos) anywhere(proc, ckpt string, i int) bool {
	for _, level := range append(levelOrder, "") {
		if is, _ := c.there(proc, ckpt, level, i); is {
			return true
		}
	}
	return false
}

// restoredWrongly follows the words of restorable for one restore.
func (c *chaos) restoredWrongly(i int, e record.Event) string {
	commits := func(k string, level string) (list []record.Event) {
		for _, o := range c.events {
			if eventIs(o, record.CheckpointCommit, e.Proc) && o.Ckpt == k && (level == "" || o.Level == level) {
				list = append(list, o)
			}
		}
		return list
	}
	if !slices.ContainsFunc(c.events[:i], func(o record.Event) bool { return eventIs(o, record.CheckpointCommit, e.Proc) && o.Ckpt == e.Ckpt }) {
		return "never committed"
	}
	if is, _ := c.there(e.Proc, e.Ckpt, e.Level, i); e.Level != "" && !is || e.Level == "" && !c.anywhere(e.Proc, e.Ckpt, i) {
		return "not there"
	}
	if slices.ContainsFunc(commits(e.Ckpt, e.Level), func(o record.Event) bool { return o.Base != "" }) {
		for k := e.Ckpt; ; {
			base := ""
			for _, o := range commits(k, "") {
				if o.Base != "" {
					base = o.Base
				}
			}
			if k = base; k == "" {
				break
			}
			if !c.anywhere(e.Proc, k, i) {
				return "a base is not there"
			}
		}
	}
	for x, level := range levelOrder {
		if !slices.Contains(levelOrder[x+1:], e.Level) {
			continue
		}
		is, by := c.there(e.Proc, e.Ckpt, level, i)
		crashed := slices.ContainsFunc(c.events[by:i], func(o record.Event) bool { return o.Kind == record.Crash || o.Kind == record.Start })
		if is && !(level == "partner" && crashed) && !c.unread(e.Proc, e.Ckpt, level, i) {
			return "a level was passed over"
		}
	}
	if e.Digest == "x" {
		return "another digest"
	}
	return ""
}

// TestEndsOfRecoveriesAgreeWithTheDefinition has a crash, and a restart or a
// recovery that gets on to its end or not, in a record that goes on for a while.
func TestEndsOfRecoveriesAgreeWithTheDefinition(t *testing.T) {
	const limit = 20 * time.Millisecond
	count := map[checkers.Validity]int{}
	patterns(t, many, false, func(c *chaos) error {
		p := c.rng.IntN(len(c.procs))
		a, other := c.procs[p], (p+1)%len(c.procs)
		isMember := func(name string) bool {
			return slices.ContainsFunc(c.events, func(e record.Event) bool {
				return eventIs(e, record.CheckpointBegin, name) || e.Kind == record.Send && (e.Proc == name || e.Peer == name)
			})
		}
		member := isMember(a.name)
		tells, failed := c.rng.IntN(2) == 0, c.rng.IntN(20) == 0
		if tells { // by which it is known that processes tell
			c.add(other, record.Event{Kind: record.Resume})
		}
		c.add(p, record.Event{Kind: record.Crash})
		lastOf, waits, began := c.clock, true, time.Duration(-1)
		superseded, upset := time.Duration(-1), false
		switch c.rng.IntN(4) {
		case 0:
		case 1:
			a.inc++
			c.add(p, record.Event{Kind: record.Start})
			if lastOf = c.clock; c.rng.IntN(2) == 0 {
				c.add(p, record.Event{Kind: record.Work, Units: 1})
				waits = false
			}
		default:
			c.epoch++
			// A later recovery may supersede one that brought nothing back: then
			// both are one, unless somebody crashed or started in between.
			again := c.rng.IntN(4) == 0
			c.add(other, record.Event{Kind: record.Recovery, Epoch: c.epoch, Line: map[string]string{a.name: ""}})
			began = c.clock
			if again {
				superseded = c.clock
				if upset = member && c.rng.IntN(2) == 0; upset {
					a.inc++
					c.add(p, record.Event{Kind: record.Start})
				}
				c.epoch++
				c.add(other, record.Event{Kind: record.Recovery, Epoch: c.epoch, Line: map[string]string{a.name: ""}})
				began = c.clock
			}
			if c.rng.IntN(4) > 0 {
				a.inc++
				c.add(p, record.Event{Kind: record.Restore, Epoch: c.epoch})
				waits = false
				if tells && c.rng.IntN(3) > 0 {
					e := record.Event{Kind: record.Resume, Epoch: c.epoch}
					if c.rng.IntN(2) == 0 {
						e = record.Event{Kind: record.Work, Epoch: c.epoch, Units: 1}
					}
					c.add(p, e)
					began = -1
				} else if !tells {
					began = -1
				}
			}
		}
		if failed {
			c.add(other, record.Event{Kind: record.Failure, Reason: "gave up"})
		}
		for range c.rng.IntN(40) {
			c.add(other, record.Event{Kind: record.Work, Units: 1})
		}
		want := checkers.Valid
		since := time.Duration(-1)
		switch {
		case failed && waits && member && c.wayBack(p, isMember):
			want = checkers.Invalid
		case failed:
		case began >= 0:
			since = began
		case waits && member:
			since = lastOf
		}
		if since >= 0 {
			if want = checkers.Unknown; c.clock-since >= limit || since == began && superseded >= 0 && !upset && c.clock-superseded >= limit {
				want = checkers.Invalid
			}
		}
		list, err := Checkers(Options{RecoveryMax: limit}, "terminates")
		if err != nil {
			return err
		}
		v := list[0].Check(t.Context(), &checkers.Evidence{Record: c.events})
		count[v.Verdict]++
		return expect(v, want)
	})
	t.Log(count)
	if len(count) != 3 {
		t.Error("one of the verdicts never came up")
	}
}

// wayBack reports whether the greatest consistent cut without the present state
// of one process takes no member back to its beginning.
func (c *chaos) wayBack(dead int, member func(name string) bool) bool {
	p, best := c.pattern(), make([]int, len(c.procs))
	c.cuts(func(x []int, hists [][]step) {
		if x[dead] <= len(p.ckpts[dead]) && consistent(hists) {
			for q := range x {
				best[q] = max(best[q], x[q])
			}
		}
	})
	for q, a := range c.procs {
		if member(a.name) && best[q] == 0 {
			return false
		}
	}
	return true
}
