package recovery

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/harness/record"
)

// The oracles here go through the events of a record again and again, as the
// words of each definition say, and share nothing with the index of a run.

func eventIs(e record.Event, k record.Kind, proc string) bool { return e.Kind == k && e.Proc == proc }

// TestIndicesAgreeWithTheDefinition has checkpoints and messages with indices.
func TestIndicesAgreeWithTheDefinition(t *testing.T) {
	agrees(t, many, "index", func(c *chaos) (broken string, unknown bool) {
		c.events = c.events[:0]
		now, sent := make([]int, len(c.procs)), map[string]int{}
		kept := make([]map[string]int, len(c.procs))
		for p, a := range c.procs {
			a.inc, a.hist, a.saved, kept[p] = 0, nil, nil, map[string]int{}
			c.begin(p, record.Start, "")
		}
		c.sent, c.from, c.to = nil, map[string]int{}, map[string]int{}
		any, received := false, false
		for range 5 + c.rng.IntN(30) {
			p := c.rng.IntN(len(c.procs))
			switch x := c.rng.IntN(12); {
			case x < 4:
				c.send(p, (p+1)%len(c.procs))
				e := &c.events[len(c.events)-1]
				if e.Index = now[p]; c.rng.IntN(20) == 0 {
					e.Index++
					broken = "a message with another index than its sender's"
				}
				sent[e.Msg] = now[p]
			case x < 8:
				n := len(c.events)
				if c.receive(); len(c.events) == n {
					continue
				}
				m := c.events[n].Msg
				if q := c.to[m]; sent[m] > now[q] {
					if c.rng.IntN(3) > 0 { // a forced checkpoint comes first
						c.events = c.events[:n]
						c.procs[q].hist = c.procs[q].hist[:len(c.procs[q].hist)-1]
						c.checkpoint(q, false)
						c.events[len(c.events)-1].Index = sent[m]
						now[q] = sent[m]
						kept[q][c.events[len(c.events)-1].Ckpt] = now[q]
						any = true
						continue
					}
					broken = "a message from a higher index"
				}
				received = true
			case x < 11:
				c.checkpoint(p, false)
				e := &c.events[len(c.events)-1]
				e.Index = now[p] + c.rng.IntN(2)
				if c.rng.IntN(25) == 0 && now[p] > 0 {
					e.Index = now[p] - 1
					broken = "an index that goes back"
				}
				now[p], kept[p][e.Ckpt] = e.Index, e.Index
				any = any || e.Index > 0
			case len(c.procs[p].saved) > 0:
				s := c.procs[p].saved[c.rng.IntN(len(c.procs[p].saved))]
				c.begin(p, record.Restore, s.name)
				now[p] = kept[p][s.name]
			}
		}
		if !any {
			return "", true
		}
		return broken, !received
	})
}

// TestOrphansOfDeterminantsAgreeWithTheDefinition has nondeterministic events
// that become stable by and by.
func TestOrphansOfDeterminantsAgreeWithTheDefinition(t *testing.T) {
	agrees(t, few, "no-orphans", func(c *chaos) (broken string, unknown bool) {
		var unstable []string
		for n := range 3 + c.rng.IntN(14) {
			c.steps(1+c.rng.IntN(2), true)
			p := c.rng.IntN(len(c.procs))
			if id := fmt.Sprint("n", n); c.rng.IntN(6) == 0 {
				c.add(p, record.Event{Kind: record.Nondet, ID: id})
				unstable = append(unstable, id)
			}
			for len(unstable) > 0 && c.rng.IntN(5) > 0 {
				c.add(c.rng.IntN(len(c.procs)), record.Event{Kind: record.LogStable, ID: unstable[0]})
				unstable = unstable[1:]
			}
			if c.rng.IntN(4) == 0 {
				o := record.Event{Kind: record.Output, Sink: "s", ID: fmt.Sprint("o", n)}
				c.add(p, o)
				c.add(c.rng.IntN(len(c.procs)), record.Event{Kind: record.OutputCommit, Sink: "s", ID: o.ID})
			}
		}
		unknown = !slices.ContainsFunc(c.events, func(e record.Event) bool { return e.Kind == record.Nondet })
		for i, e := range c.events {
			cause := -1
			for j, s := range c.events[:i] {
				if e.Kind == record.Recv && s.Kind == record.Send && s.Msg == e.Msg || e.Kind == record.OutputCommit && s.Kind == record.Output && s.ID == e.ID {
					cause = j
				}
			}
			if cause < 0 {
				continue
			}
			s := c.events[cause]
			for j, n := range c.events[:cause] {
				if !eventIs(n, record.Nondet, s.Proc) || n.Inc != s.Inc {
					continue
				}
				stable := slices.ContainsFunc(c.events[:i], func(x record.Event) bool { return x.Kind == record.LogStable && x.ID == n.ID })
				for k, b := range c.events[:i] {
					if k > j && eventIs(b, record.CheckpointBegin, s.Proc) && b.Inc == s.Inc {
						stable = stable || slices.ContainsFunc(c.events[:i], func(x record.Event) bool { return eventIs(x, record.CheckpointCommit, s.Proc) && x.Ckpt == b.Ckpt })
					}
				}
				if !stable {
					broken = n.ID
				}
			}
		}
		return broken, unknown
	})
}

// TestReplaysAgreeWithTheDefinition has digests of what is done again, and
// restores that replay.
func TestReplaysAgreeWithTheDefinition(t *testing.T) {
	agrees(t, few, "replay", func(c *chaos) (broken string, unknown bool) {
		compared := false
		for range 1 + c.rng.IntN(3) {
			c.steps(6+c.rng.IntN(10), false)
			p := c.rng.IntN(len(c.procs))
			a := c.procs[p]
			if len(a.saved) == 0 {
				continue
			}
			s := a.saved[c.rng.IntN(len(a.saved))]
			var was []step
			if has(a.hist, "c"+s.name) {
				was = a.hist[slices.Index(a.hist, step("c"+s.name)):]
			}
			c.begin(p, record.Restore, s.name)
			from := len(a.hist)
			again := c.rng.IntN(2) == 0
			for _, d := range was { // the same again, or not quite
				switch m := string(d[1:]); {
				case c.rng.IntN(16) == 0 || d[0] == 'c':
				case d[0] == '-':
					a.hist = append(a.hist, d)
					c.add(p, record.Event{Kind: record.Recv, Msg: m, Peer: c.procs[c.from[m]].name, Epoch: c.epoch})
				default:
					a.hist = append(a.hist, d)
					c.add(p, record.Event{Kind: record.Send, Msg: m, Peer: c.procs[c.to[m]].name, Epoch: c.epoch})
				}
			}
			if !again {
				continue
			}
			c.add(p, record.Event{Kind: record.ReplayEnd, Epoch: c.epoch})
			channel := func(list []step, key string) (of []step) {
				for _, d := range list {
					if d[0] == '-' && key == "-" || d[0] == '+' && strings.HasPrefix(string(d), key) {
						of = append(of, d)
					}
				}
				return of
			}
			keys := []string{"-"}
			for q := range c.procs {
				keys = append(keys, fmt.Sprintf("+%d>%d#", p, q))
			}
			for _, key := range keys {
				old, now := channel(was, key), channel(a.hist[from:], key)
				for x := range min(len(old), len(now)) {
					compared = true
					if old[x] != now[x] {
						broken = "another order"
					}
				}
			}
		}
		odd := c.rng.IntN(2) == 0
		for i := range c.events {
			if e := &c.events[i]; e.Kind == record.Send || e.Kind == record.Recv {
				if c.rng.IntN(2) == 0 {
					e.Digest = "d" + e.Msg
				}
				v := int64(len(e.Msg))
				if odd && c.rng.IntN(30) == 0 {
					v++
				}
				if e.Kind == record.Recv && c.rng.IntN(2) == 0 {
					e.Value = &v
				}
			}
		}
		for j, e := range c.events {
			for _, o := range c.events[:j] {
				if (e.Kind != record.Send && e.Kind != record.Recv) || o.Kind != e.Kind || o.Proc != e.Proc || o.Msg != e.Msg {
					continue
				}
				if e.Digest != "" && o.Digest != "" {
					compared = true
				}
				if e.Value != nil && o.Value != nil {
					if compared = true; *e.Value != *o.Value {
						broken = "another value"
					}
				}
			}
		}
		return broken, !compared
	})
}

// TestSumsAgreeWithTheDefinition has tokens that processes send each other, and
// rounds that cut their histories anywhere.
func TestSumsAgreeWithTheDefinition(t *testing.T) {
	agrees(t, few, "conservation", func(c *chaos) (broken string, unknown bool) {
		value, kept := make([]int64, len(c.procs)), map[string]int64{}
		of := map[string]int64{}
		recorded, lines := c.rng.IntN(2) == 0, 0
		var sum int64
		for round := 1; round <= 1+c.rng.IntN(3); round++ {
			line := map[string]string{}
			hists := make([][]step, len(c.procs))
			c.add(0, record.Event{Kind: record.RoundBegin, Round: round})
			for _, p := range c.rng.Perm(len(c.procs)) {
				for range c.rng.IntN(8) {
					n := len(c.events)
					if q := c.rng.IntN(len(c.procs)); c.rng.IntN(2) == 0 {
						c.send(q, (q+1)%len(c.procs))
						v := int64(1 + c.rng.IntN(3))
						e := &c.events[n]
						e.Value = &v
						of[e.Msg], value[q] = v, value[q]-v
					} else if c.receive(); len(c.events) > n {
						e := &c.events[n]
						value[c.to[e.Msg]] += of[e.Msg]
					}
				}
				c.checkpoint(p, false)
				a, e := c.procs[p], &c.events[len(c.events)-1]
				v := value[p]
				if c.rng.IntN(20) == 0 {
					v++
				}
				if kept[a.name+e.Ckpt] = v; c.rng.IntN(20) > 0 {
					e.Value = &v
				} else {
					kept[a.name+e.Ckpt] = -1 << 40
				}
				line[a.name], hists[p] = e.Ckpt, a.saved[len(a.saved)-1].hist
			}
			var total int64
			known := true
			for p, a := range c.procs {
				var channel []string
				for _, m := range c.sent {
					if c.to[m] == p && has(hists[c.from[m]], "+"+m) && !has(hists[p], "-"+m) {
						channel = append(channel, m)
					}
				}
				if recorded && len(channel) > 0 && c.rng.IntN(20) == 0 {
					channel = channel[1:]
				}
				for _, m := range channel {
					total += of[m]
				}
				e := record.Event{Kind: record.CheckpointCommit, Ckpt: line[a.name]}
				if recorded {
					e.Channel = channel
				}
				c.add(p, e)
				known = known && kept[a.name+line[a.name]] != -1<<40
				total += kept[a.name+line[a.name]]
			}
			c.add(0, record.Event{Kind: record.RoundCommit, Round: round, Line: line})
			if !known {
				continue
			}
			if lines++; lines == 1 {
				sum = total
			} else if total != sum {
				broken = "another sum"
			}
		}
		if recorded && !slices.ContainsFunc(c.events, func(e record.Event) bool { return len(e.Channel) > 0 }) {
			c.events = c.events[:len(c.procs)] // whether channels are recorded cannot be told
			return "", true
		}
		return broken, lines < 2
	})
}
