package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/linear"
	"github.com/cleancut/cleancut/checkers/txn"
	"github.com/cleancut/cleancut/harness/history"
)

// latticeTimes is as in the tests of checkers, whose package for that is theirs alone.
var latticeTimes = flag.Int("times", 1, "multiply the number of random histories")

// streamed is no model but another judge of linearizable objects.
const streamed = "streamed"

// lattice says which model follows at once from which, by workload: what is
// valid under the stronger one must not be invalid under the weaker one. It may
// be unknown there, or have no subject. Those of transactions are in package txn.
var lattice = []struct {
	workloads string // separated by spaces
	stronger  string
	weaker    string // separated by spaces
}{
	{"*", "strict-linearizable", "persistent-atomic"},
	{"*", "persistent-atomic", "recoverable-linearizable"},
	{"*", "recoverable-linearizable", "durable-linearizable"},
	{"*", "durable-linearizable", "linearizable buffered-durable-linearizable"},
	{"*", "linearizable", "durable-linearizable durable eventual bounded-staleness " + streamed},
	{"*", streamed, "linearizable"},
	{"register cas-register kv", "linearizable", "sequential"},
	{"register cas-register kv", "sequential", "causal-convergent pram"},
	{"list log", "linearizable", "causal-convergent"},
	// What sessions are promised is promised in one order of the writes, which
	// neither causal nor pram has.
	{"*", "causal-convergent", "causal read-your-writes monotonic-reads monotonic-writes writes-follow-reads"},
	{"list-append", "strict-serializable", "eventual bounded-staleness"},
	{"list-append", "strong-session-serializable", "sequential read-your-writes monotonic-reads monotonic-writes writes-follow-reads"},
	{"list-append", "sequential", "strong-session-serializable"},
	{"set set-full", "linearizable", "set-full-linearizable"},
	{"set set-full", "set-full-linearizable", "set-full eventual"},
	{"queue", "linearizable", "unordered-queue exactly-once"},
	{"*", "exactly-once", "total-queue"},
	{"counter", "linearizable", "bounds"},
}

// alone are models that in some workload nothing implies, and that imply nothing.
var alone = map[string]string{
	"stats": "it asks what was answered, not with what", "unique-ids": "the only model of its workload", "monotonic": "the only model of its workload",
	"bank": "the only model of its workload", "long-fork": "the only model of its workload", "write-skew": "the only model of its workload",
	"causal-reverse": "the only model of its workload", "kafka": "it judges offsets of polls, which have functions of their own",
	"unordered-queue": "exactly-once asks nothing of time, and it nothing of what stays",
}

// implied lists the pairs of models of a workload, the stronger one first.
func implied(workload string) (pairs [][2]string) {
	models := modelsOf(workload)
	if slices.Contains(linear.StreamedWorkloads(), workload) {
		models = append(models, streamed)
	}
	for _, x := range lattice {
		if x.workloads != "*" && !slices.Contains(strings.Fields(x.workloads), workload) || !slices.Contains(models, x.stronger) {
			continue
		}
		for _, weaker := range strings.Fields(x.weaker) {
			if slices.Contains(models, weaker) {
				pairs = append(pairs, [2]string{x.stronger, weaker})
			}
		}
	}
	if slices.Contains(transactions, workload) {
		for _, a := range txn.Models() {
			for _, b := range txn.Models() {
				if a != b && a.Implies(b) {
					pairs = append(pairs, [2]string{string(a), string(b)})
				}
			}
		}
	}
	return pairs
}

func TestEveryModelIsInTheLatticeOrAlone(t *testing.T) {
	for _, w := range workloadNames {
		pairs := implied(w.name)
		for _, m := range modelsOf(w.name) {
			related := slices.ContainsFunc(pairs, func(p [2]string) bool { return p[0] == m || p[1] == m })
			only := len(modelsOf(w.name)) == 2 // it and stats
			if _, stands := alone[m]; !related && !stands && !only {
				t.Errorf("%s of %s is neither related to another model nor alone", m, w.name)
			}
		}
	}
}

// latticeVerdict is what a model makes of a history.
func latticeVerdict(t *testing.T, workload, model string, e *checkers.Evidence) checkers.Verdict {
	t.Helper()
	o := &judgeOptions{}
	if workload == "semaphore" {
		two := history.Int(2)
		o.initial = &two
	}
	if model == "bounded-staleness" {
		o.maxLag = 1
	}
	if model == streamed {
		s, err := linear.NewStream(workload, linear.Object{Initial: o.initialOr(history.Nil)}, linear.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range e.Events {
			if err := s.Add(&e.Events[i]); err != nil {
				t.Fatal(err)
			}
		}
		return s.Verdict()
	}
	c, err := checkerFor(workload, model, o)
	if err != nil {
		t.Fatal(err)
	}
	return c.Check(context.Background(), e)
}

// TestWhatIsValidUnderAModelIsValidUnderAWeakerOne draws histories of each
// workload, right and wrong ones, and compares all models that are related.
func TestWhatIsValidUnderAModelIsValidUnderAWeakerOne(t *testing.T) {
	for _, w := range workloadNames {
		pairs := implied(w.name)
		if len(pairs) == 0 {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(31, uint64(len(w.name))))
			counts := map[string]map[checkers.Validity]int{}
			for range 250 * *latticeTimes {
				e := drawFor(r, w.name)
				verdicts := map[string]checkers.Verdict{}
				for _, p := range pairs {
					for _, m := range p {
						if _, done := verdicts[m]; !done {
							verdicts[m] = latticeVerdict(t, w.name, m, e)
							if counts[m] == nil {
								counts[m] = map[checkers.Validity]int{}
							}
							counts[m][verdicts[m].Verdict]++
						}
					}
				}
				for _, p := range pairs {
					if strong, weak := verdicts[p[0]], verdicts[p[1]]; strong.Verdict == checkers.Valid && weak.Verdict == checkers.Invalid {
						t.Fatalf("%s: valid as %s (%s), invalid as %s (%s):\n%s", w.name, p[0], strong.Reason, p[1], weak.Reason, told(e))
					}
				}
			}
			for m, n := range counts {
				if m != "bounded-staleness" && m != "durable" && (n[checkers.Valid] == 0 || n[checkers.Invalid] == 0) {
					t.Errorf("%s: %v: nothing can be seen in that", m, n)
				}
			}
			t.Log(counts)
		})
	}
}

// told shows a history.
func told(e *checkers.Evidence) string {
	var b strings.Builder
	for i := range e.Events {
		x := &e.Events[i]
		fmt.Fprintf(&b, "%d %d %d %s %s %s %s %v\n", x.Index, x.Process, x.Kind, x.F, x.Key, x.Value, x.Node, x.Nodes)
	}
	return b.String()
}

// play draws a history of one object, which three processes use.
type play struct {
	r      *rand.Rand
	past   map[string][]history.Value // key → its states
	seen   map[[2]string]int          // process and key → which state reads of it find
	next   int64                      // values that are written once
	lag    bool                       // reads may be old
	events []history.Event
}

// toy is an object: what is done to it, and what that does. A call that cannot
// be is refused.
type toy struct {
	keys    []string
	initial history.Value
	draw    func(p *play, client int) (f string, in history.Value)
	apply   func(state, in history.Value, f string) (next, out history.Value, ok bool)
	pure    string // functions that only look
}

// client is one that calls.
type client struct {
	process         int
	f, key          string
	in, out         history.Value
	busy, done, not bool // done: it took effect; not: it was refused
}

// drawFor draws the history of a workload.
func drawFor(r *rand.Rand, workload string) *checkers.Evidence {
	x := toys[workload]
	p := &play{r: r, past: map[string][]history.Value{}, seen: map[[2]string]int{}, lag: r.IntN(3) == 0}
	for _, k := range x.keys {
		p.past[k] = []history.Value{x.initial}
	}
	clients := []client{{process: 0}, {process: 1}, {process: 2}}
	crash, lies := r.IntN(4) == 0, r.IntN(2)*r.IntN(3)
	for started, n := 0, 4+r.IntN(9); started < n || slices.ContainsFunc(clients, func(c client) bool { return c.busy }); {
		i := r.IntN(len(clients))
		switch c := &clients[i]; {
		case crash && r.IntN(12) == 0:
			crash = false
			p.crash()
		case !c.busy && started < n:
			started++
			c.f, c.in = x.draw(p, i)
			c.key, c.busy, c.done, c.not, c.out = x.keys[r.IntN(len(x.keys))], true, false, false, history.Nil
			p.event(history.Invoke, c, i, c.in)
		case c.busy && !c.done && !c.not && r.IntN(2) == 0:
			p.effect(&x, c)
		case c.busy:
			p.complete(&x, c, i)
		}
	}
	if r.IntN(3) > 0 { // at rest, all is read
		p.final(&x, clients)
	}
	for range lies {
		p.lie()
	}
	ops, err := history.Operations(p.events)
	if err != nil {
		panic(err)
	}
	return &checkers.Evidence{Events: p.events, Operations: ops, Faults: faultWindows(p.events, nil)}
}

func (p *play) event(kind history.EventKind, c *client, i int, v history.Value) {
	n := int64(len(p.events))
	p.events = append(p.events, history.Event{Index: n, Time: time.Duration(n) * time.Second, Kind: kind,
		Process: c.process, F: c.f, Key: c.key, Value: v, Node: fmt.Sprintf("n%d", i+1), Error: map[history.EventKind]string{
			history.Fail: "refused", history.Info: "timeout"}[kind]})
}

// crash of one node or of all.
func (p *play) crash() {
	nodes := []string{"n1", "n2", "n3"}
	if p.r.IntN(2) == 0 {
		nodes = nodes[:1]
	}
	for _, kind := range []history.EventKind{history.FaultStart, history.FaultEnd} {
		n := int64(len(p.events))
		p.events = append(p.events, history.Event{Index: n, Time: time.Duration(n) * time.Second, Kind: kind,
			Process: history.NemesisProcess, F: "kill(all)", Nodes: nodes})
	}
}

// effect lets a call take effect.
func (p *play) effect(x *toy, c *client) {
	states := p.past[c.key]
	at := len(states) - 1
	if pure := slices.Contains(strings.Fields(x.pure), c.f); pure && p.lag {
		who := [2]string{fmt.Sprint(c.process), c.key}
		p.seen[who] += p.r.IntN(at - p.seen[who] + 1)
		at = p.seen[who]
	}
	next, out, ok := x.apply(states[at], c.in, c.f)
	c.out, c.done, c.not = out, ok, !ok
	if ok && !next.Equal(states[at]) {
		p.past[c.key] = append(states, next)
		if p.r.IntN(3) > 0 {
			p.seen[[2]string{fmt.Sprint(c.process), c.key}] = len(states)
		}
	}
}

func (p *play) complete(x *toy, c *client, i int) {
	kind := history.OK
	switch p.r.IntN(8) {
	case 0:
		kind = history.Info
	case 1:
		if !c.done {
			kind = history.Fail
		}
	}
	if kind == history.OK && !c.done && !c.not {
		p.effect(x, c)
	}
	if c.not {
		kind = history.Fail
	}
	switch v := c.out; kind {
	case history.OK:
		p.event(kind, c, i, v)
	default:
		p.event(kind, c, i, c.in)
	}
	if c.busy = false; kind == history.Info {
		c.process += 3
	}
}

// final looks at every key, and takes out all that is in it.
func (p *play) final(x *toy, clients []client) {
	p.lag = false
	for _, key := range x.keys {
		for range 5 {
			c := &clients[0]
			f, in := x.draw(p, 0)
			if !slices.Contains(strings.Fields(x.pure), f) && f != "dequeue" {
				continue
			}
			c.f, c.in, c.key, c.done, c.not = f, in, key, false, false
			p.event(history.Invoke, c, 0, in)
			p.effect(x, c)
			p.event(history.OK, c, 0, c.out)
		}
	}
}

// lie changes an answer: to that of another call, or a list by an element.
func (p *play) lie() {
	var answers []*history.Event
	for i := range p.events {
		if e := &p.events[i]; e.Kind == history.OK {
			answers = append(answers, e)
		}
	}
	if len(answers) == 0 {
		return
	}
	e := answers[p.r.IntN(len(answers))]
	if slices.Contains([]string{"write", "add", "append", "enqueue", "remove", "delete", "cas", "release", "contains"}, e.F) {
		return
	}
	if e.F == "txn" {
		e.Value = p.mistold(e.Value)
		return
	}
	if e.Value.IsList() && p.r.IntN(3) > 0 {
		e.Value = p.warped(e.Value)
		return
	}
	var same []*history.Event
	for _, x := range answers {
		if x.F == e.F {
			same = append(same, x)
		}
	}
	e.Value = same[p.r.IntN(len(same))].Value
}

// warped is a list with an element twice, without one, or turned round.
func (p *play) warped(v history.Value) history.Value {
	list, _ := v.AsList()
	list = slices.Clone(list)
	if len(list) == 0 {
		return history.List(history.Int(1 + p.r.Int64N(5)))
	}
	switch i := p.r.IntN(len(list)); p.r.IntN(4) {
	case 0:
		list = slices.Insert(list, i, list[p.r.IntN(len(list))])
	case 1:
		list = slices.Delete(list, i, i+1)
	case 2:
		slices.Reverse(list)
	default:
		list = append(list, history.Int(1+p.r.Int64N(p.next+2)))
	}
	return history.List(list...)
}

// mistold is a transaction of which a read found something else.
func (p *play) mistold(v history.Value) history.Value {
	list, _ := v.AsList()
	list = slices.Clone(list)
	for i := range list {
		parts, _ := list[i].AsList()
		f, _ := parts[0].AsString()
		if f != "r" || p.r.IntN(2) == 0 {
			continue
		}
		found := history.Int(1 + p.r.Int64N(p.next+1))
		if parts[2].IsList() {
			found = p.warped(parts[2])
		}
		list[i] = history.List(parts[0], parts[1], found)
	}
	return history.List(list...)
}
