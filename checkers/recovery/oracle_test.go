package recovery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/record"
)

// chaos is a computation at random that keeps each history as a plain list,
// by which everything can be judged from its definition.
type chaos struct {
	rng    *rand.Rand
	events []record.Event
	procs  []*actor
	sent   []string // every message ever sent
	from   map[string]int
	to     map[string]int
	clock  time.Duration
	epoch  int
	round  int
}

type actor struct {
	name  string
	inc   int
	hist  []step
	saved []snapshot
}

// step is a step of a history: "+m" sent, "-m" received, "c1" checkpoint,
// "!o" output.
type step string

type snapshot struct {
	name      string
	hist      []step
	committed bool
}

func newChaos(rng *rand.Rand, n int) *chaos {
	c := &chaos{rng: rng, events: make([]record.Event, 0, 100), from: map[string]int{}, to: map[string]int{}}
	for p := range n {
		c.procs = append(c.procs, &actor{name: fmt.Sprintf("p%d", p)})
		c.begin(p, record.Start, "")
	}
	return c
}

func (c *chaos) add(p int, e record.Event) {
	c.clock += time.Millisecond
	e.T, e.Proc, e.Inc = c.clock, c.procs[p].name, c.procs[p].inc
	c.events = append(c.events, e)
}

func (c *chaos) begin(p int, k record.Kind, ckpt string) {
	a := c.procs[p]
	a.inc++
	a.hist = nil
	for _, s := range a.saved {
		if s.name == ckpt && k == record.Restore {
			a.hist = append([]step(nil), s.hist...)
			a.hist = append(a.hist, step("c"+s.name))
		}
	}
	c.add(p, record.Event{Kind: k, Ckpt: ckpt, Epoch: c.epoch})
}

func has(h []step, d string) bool {
	for _, x := range h {
		if string(x) == d {
			return true
		}
	}
	return false
}

// send sends the next message of a channel, which after a rollback has the
// name of one that was sent before.
func (c *chaos) send(p, q int) {
	a := c.procs[p]
	for k := 1; ; k++ {
		m := strconv.Itoa(p) + ">" + strconv.Itoa(q) + "#" + strconv.Itoa(k)
		if has(a.hist, "+"+m) {
			continue
		}
		a.hist = append(a.hist, step("+"+m))
		if _, old := c.to[m]; !old {
			c.sent = append(c.sent, m)
		}
		c.from[m], c.to[m] = p, q
		c.add(p, record.Event{Kind: record.Send, Msg: m, Peer: c.procs[q].name, Epoch: c.epoch})
		return
	}
}

// receive delivers some message that its receiver does not have yet.
func (c *chaos) receive() {
	if len(c.sent) == 0 {
		return
	}
	m := c.sent[c.rng.IntN(len(c.sent))]
	q := c.to[m]
	if has(c.procs[q].hist, "-"+m) {
		return
	}
	c.procs[q].hist = append(c.procs[q].hist, step("-"+m))
	c.add(q, record.Event{Kind: record.Recv, Msg: m, Peer: c.procs[c.from[m]].name, Epoch: c.epoch})
}

func (c *chaos) checkpoint(p int, commit bool) {
	a := c.procs[p]
	s := snapshot{name: fmt.Sprintf("k%d", len(a.saved)+1), hist: append([]step(nil), a.hist...), committed: commit}
	a.saved = append(a.saved, s)
	c.add(p, record.Event{Kind: record.CheckpointBegin, Ckpt: s.name})
	a.hist = append(a.hist, step("c"+s.name))
	if commit {
		c.add(p, record.Event{Kind: record.CheckpointCommit, Ckpt: s.name})
	}
}

// steps does things at random.
func (c *chaos) steps(n int, restores bool) {
	for range n {
		p := c.rng.IntN(len(c.procs))
		switch x := c.rng.IntN(20); {
		case x < 8:
			c.send(p, (p+1+c.rng.IntN(len(c.procs)-1))%len(c.procs))
		case x < 15:
			c.receive()
		case x < 19:
			c.checkpoint(p, c.rng.IntN(8) > 0)
		case restores && len(c.procs[p].saved) > 0:
			a := c.procs[p]
			c.begin(p, record.Restore, a.saved[c.rng.IntN(len(a.saved))].name)
		}
	}
}

// consistent judges histories by the definition.
func consistent(hists [][]step) bool {
	for _, h := range hists {
		for _, d := range h {
			if d[0] == '-' {
				sent := false
				for _, g := range hists {
					sent = sent || has(g, "+"+string(d[1:]))
				}
				if !sent {
					return false
				}
			}
		}
	}
	return true
}

// Numbers of patterns that oracles judge: many where one is quick and the only
// one of a model.
const (
	few  = 25_000
	many = 100_000
)

func patterns(t *testing.T, n int, restores bool, judge func(c *chaos) error) {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(1000)) // nearly all that is collected is garbage
	for seed := range uint64(trials.Rounds(n)) {
		rng := rand.New(rand.NewPCG(seed, 4+trials.Seed()))
		c := newChaos(rng, 2+rng.IntN(3))
		c.steps(5+rng.IntN(35), restores)
		if err := judge(c); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, c.text())
		}
	}
}

func (c *chaos) text() string {
	var out []byte
	for i := range c.events {
		out = record.Append(out, &c.events[i])
	}
	return string(out)
}

func (c *chaos) check(model string) checkers.Verdict {
	list, err := Checkers(Options{}, model)
	if err != nil {
		panic(err)
	}
	return list[0].Check(context.Background(), &checkers.Evidence{Record: c.events})
}

// pick draws a line of checkpoints that have been begun.
func (c *chaos) pick() (line map[string]string, hists [][]step, ok bool) {
	line = map[string]string{}
	for _, a := range c.procs {
		if len(a.saved) == 0 {
			return nil, nil, false
		}
		s := a.saved[c.rng.IntN(len(a.saved))]
		line[a.name] = s.name
		hists = append(hists, s.hist)
	}
	return line, hists, true
}

func expect(v checkers.Verdict, want checkers.Validity) error {
	if v.Verdict != want {
		return fmt.Errorf("%s (%s); expected %s", v.Verdict, v.Reason, want)
	}
	return nil
}

func TestCutsAgreeWithTheDefinition(t *testing.T) {
	count := map[bool]int{}
	patterns(t, many, true, func(c *chaos) error {
		want, any := true, false
		for range 3 {
			line, hists, ok := c.pick()
			if !ok {
				return nil
			}
			c.round++
			c.add(0, record.Event{Kind: record.RoundBegin, Round: c.round})
			c.add(0, record.Event{Kind: record.RoundCommit, Round: c.round, Line: line})
			want, any = want && consistent(hists), true
			c.steps(3, true)
		}
		var now [][]step
		for _, a := range c.procs {
			now = append(now, a.hist)
		}
		want = want && consistent(now)
		count[want]++
		v := c.check("consistent-cut")
		if (v.Verdict == checkers.Unknown || v.Verdict == checkers.NotApplicable) && any {
			for _, e := range c.events {
				if e.Kind == record.Recv {
					return fmt.Errorf("unknown: %s", v.Reason)
				}
			}
			return nil
		}
		if want {
			return expect(v, checkers.Valid)
		}
		return expect(v, checkers.Invalid)
	})
	t.Log(count)
	if count[true] == 0 || count[false] == 0 {
		t.Error("one of the verdicts never came up")
	}
}

// cuts calls f with every combination of committed checkpoints, of initial
// states (x = 0) and of present states (the greatest x).
func (c *chaos) cuts(f func(x []int, hists [][]step)) {
	states := make([][][]step, len(c.procs))
	for p, a := range c.procs {
		states[p] = append(states[p], nil)
		for i, d := range a.hist {
			if d[0] == 'c' {
				for _, s := range a.saved {
					if s.name == string(d[1:]) && s.committed {
						states[p] = append(states[p], a.hist[:i])
					}
				}
			}
		}
		states[p] = append(states[p], a.hist)
	}
	x := make([]int, len(c.procs))
	hists := make([][]step, len(c.procs))
	var each func(p int)
	each = func(p int) {
		if p == len(x) {
			f(x, hists)
			return
		}
		for x[p] = 0; x[p] < len(states[p]); x[p]++ {
			hists[p] = states[p][x[p]]
			each(p + 1)
		}
	}
	each(0)
}

func (c *chaos) pattern() *pattern {
	r := newRun(context.Background(), c.events)
	return newWalk(r).to(r.now(int32(len(r.ev) - 1))).pattern(func(k int32) bool { return len(r.ckpts[k].commits) > 0 })
}

func TestRecoveryLineIsTheGreatestConsistentCut(t *testing.T) {
	t.Run("without rollbacks before", func(t *testing.T) { greatestCuts(t, false) })
	// Rollbacks here follow no line: what was received may be sent no longer,
	// as where a recovery was cut short by the next.
	t.Run("with rollbacks before", func(t *testing.T) { greatestCuts(t, true) })
}

func greatestCuts(t *testing.T, restores bool) {
	patterns(t, few, restores, func(c *chaos) error {
		p := c.pattern()
		failed := make([]bool, len(c.procs))
		for q := range failed {
			failed[q] = c.rng.IntN(2) == 0
		}
		best := make([]int32, len(failed))
		c.cuts(func(x []int, hists [][]step) {
			for q := range x {
				if failed[q] && x[q] == len(p.ckpts[q])+1 {
					return
				}
			}
			if consistent(hists) {
				for q := range x {
					best[q] = max(best[q], int32(x[q]))
				}
			}
		})
		if got := p.line(failed); fmt.Sprint(got) != fmt.Sprint(best) {
			return fmt.Errorf("failed %v: line %v, greatest consistent cut %v", failed, got, best)
		}
		return nil
	})
}

func TestUselessCheckpointsAreThoseInNoConsistentCut(t *testing.T) {
	found := 0
	patterns(t, many, false, func(c *chaos) error {
		p := c.pattern()
		list, g := p.useless()
		useless := map[int32]bool{}
		for _, k := range list {
			useless[k] = true
		}
		useful := map[int32]bool{}
		c.cuts(func(x []int, hists [][]step) {
			if !consistent(hists) {
				return
			}
			for q := range x {
				if x[q] > 0 && x[q] <= len(p.ckpts[q]) {
					useful[p.ckpts[q][x[q]-1]] = true
				}
			}
		})
		for q := range p.ckpts {
			for x, k := range p.ckpts[q] {
				if useless[k] == useful[k] {
					return fmt.Errorf("%s: useless %v, in a consistent cut %v", p.r.name(int32(q), k), useless[k], useful[k])
				}
				if useless[k] {
					found++
					if err := zigzag(p, g, int32(q), int32(x)); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	if found == 0 {
		t.Error("no checkpoint was useless")
	}
}

// zigzag tells whether the path that explains a useless checkpoint is one, by
// its definition.
func zigzag(p *pattern, g *intervals, q, x int32) error {
	path := g.path(g.base[q]+x+1, g.base[q]+x)
	if len(path) == 0 {
		return fmt.Errorf("a useless checkpoint without a path")
	}
	first, last := path[0], path[len(path)-1]
	if p.r.from[first] != q || p.sent[first] < p.at[q][x] || p.r.to[last] != q || p.recv[last] > p.at[q][x] {
		return fmt.Errorf("the path %v does not lead from after the checkpoint to before it", path)
	}
	for i := 1; i < len(path); i++ {
		a, b := path[i-1], path[i]
		if r := p.r.to[a]; r != p.r.from[b] || p.interval(r, p.sent[b]) < p.interval(r, p.recv[a]) {
			return fmt.Errorf("the path %v breaks at %d", path, i)
		}
	}
	return nil
}

func TestChannelStateAgreesWithTheDefinition(t *testing.T) {
	count := map[checkers.Validity]int{}
	patterns(t, many, false, func(c *chaos) error {
		// A round at random with its exact channels, one of them changed in
		// half of the cases.
		line, hists, ok := c.pick()
		if !ok || !consistent(hists) {
			return nil
		}
		channels := make([][]string, len(hists))
		total := 0
		for _, h := range hists {
			for _, d := range h {
				if m := string(d[1:]); d[0] == '+' && !has(hists[c.to[m]], "-"+m) {
					channels[c.to[m]] = append(channels[c.to[m]], m)
					total++
				}
			}
		}
		want := checkers.Valid
		if q := c.rng.IntN(len(channels)); c.rng.IntN(2) == 0 && len(channels[q]) > 0 {
			switch k := c.rng.IntN(len(channels[q])); c.rng.IntN(2) {
			case 0:
				channels[q] = append(channels[q][:k:k], channels[q][k+1:]...)
				total--
			default:
				channels[q] = append(channels[q], channels[q][k])
			}
			want = checkers.Invalid
		}
		if total == 0 {
			return nil // without any channel state nothing is claimed
		}
		for q, a := range c.procs {
			c.add(q, record.Event{Kind: record.CheckpointCommit, Ckpt: line[a.name], Level: "late", Channel: channels[q]})
		}
		c.add(0, record.Event{Kind: record.RoundBegin, Round: 1})
		c.add(0, record.Event{Kind: record.RoundCommit, Round: 1, Line: line})
		v := c.check("channel-state")
		count[v.Verdict]++
		if v.Verdict == checkers.Unknown || v.Verdict == checkers.NotApplicable { // messages overtake each other, or none was received
			return nil
		}
		return expect(v, want)
	})
	t.Log(count)
	if count[checkers.Valid] == 0 || count[checkers.Invalid] == 0 {
		t.Error("one of the verdicts never came up")
	}
}
