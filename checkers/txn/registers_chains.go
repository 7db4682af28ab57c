package txn

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// chain is a run of versions of a key each of which but the first was written
// by a transaction that had read the one before. Under snapshot isolation and
// serializability nothing comes between them: the reader would precede it,
// and follow it (the read-modify-write chains of Cobra, OSDI 2020).
type chain struct {
	key      int32
	versions []int32
	// All that comes after some transaction's completion or before some
	// invocation in the chain comes after or before the chain as a whole.
	completed int64 // the first completion, math.MaxInt64 if none
	invoked   int64 // the last invocation
}

// openChains is the order of versions of registers, as far as it is open:
// which of two chains of a key came first. Nothing precedes the initial
// version, which is known from the dependencies of its readers.
type openChains struct {
	*registers
	chains []chain
	pairs  [][2]int32 // of chains
	// forced are pairs in the order of real time, if that counts.
	forced    [][2]int32
	forcedSet map[[2]int32]bool // once an explanation asks
	head      map[int32]int32   // chain by its first version
	tail      map[int32]int32   // by its last one
	// gates are the nodes of the readers of each chain's last version, or none.
	gates []int32
	keys  int
}

// newOpenChains finds the chains, and pairs those of each key whose order real
// time leaves open; without realtime all of them. It reports false if that
// takes more than so many pairs.
func newOpenChains(r *registers, realtime bool, most int) (*openChains, bool) {
	c := &openChains{registers: r, head: map[int32]int32{}, tail: map[int32]int32{}}
	byKey := r.findChains()
	for _, list := range byKey {
		if len(list) < 2 {
			continue
		}
		slices.SortStableFunc(list, func(a, b chain) int { return cmp.Compare(a.invoked, b.invoked) })
		first := int32(len(c.chains))
		c.chains = append(c.chains, list...)
		before := len(c.pairs)
		if realtime {
			most -= c.pairByTime(first, most)
		} else {
			for i := first; i < int32(len(c.chains)); i++ {
				if len(c.pairs)+int(i-first) > most {
					return nil, false
				}
				for j := first; j < i; j++ {
					c.pairs = append(c.pairs, [2]int32{j, i})
				}
			}
		}
		if most < 0 {
			return nil, false
		}
		if len(c.pairs) > before {
			c.keys++
		}
	}
	for i := range c.chains {
		v := c.chains[i].versions
		c.head[v[0]], c.tail[v[len(v)-1]] = int32(i), int32(i)
	}
	return c, true
}

// findChains returns the chains of each key.
func (r *registers) findChains() [][]chain {
	follows := make([]bool, len(r.writes))
	next := func(v int32) int32 {
		for _, n := range r.chained[v] {
			if r.by(n) != none && r.final[n] {
				return n
			}
		}
		return none
	}
	counts := func(v int32) bool { return r.by(v) != none && r.final[v] }
	for v := range r.writes {
		if n := next(int32(v)); counts(int32(v)) && n != none {
			follows[n] = true
		}
	}
	byKey := make([][]chain, r.keys)
	for v := range r.writes {
		if !counts(int32(v)) || follows[v] {
			continue
		}
		c := chain{key: r.keyOf(int32(v)), completed: math.MaxInt64, invoked: math.MinInt64}
		for at := int32(v); at != none; at = next(at) {
			c.versions = append(c.versions, at)
			t := &r.h.Txns[r.by(at)]
			c.invoked = max(c.invoked, t.Invoke)
			if t.Status == OK && t.Complete >= 0 {
				c.completed = min(c.completed, t.Complete)
			}
		}
		byKey[c.key] = append(byKey[c.key], c)
	}
	return byKey
}

// pairByTime goes through the chains of one key from first on, in the order of
// their last invocations. Pairs of which real time orders exactly one way are
// forced, and left out where others imply them. It returns how many pairs it
// looked at, and ends past the given number.
func (c *openChains) pairByTime(first int32, most int) int {
	list := c.chains[first:]
	latest := make([]int64, len(list)) // completion of a chain up to here
	looked := 0
	for j := range list {
		latest[j] = list[j].completed
		if j > 0 {
			latest[j] = max(latest[j], latest[j-1])
		}
		for i := j - 1; i >= 0 && looked <= most; i-- {
			looked++
			before, after := list[i].completed < list[j].invoked, list[j].completed < list[i].invoked
			switch a, b := first+int32(i), first+int32(j); {
			case before == after:
				c.pairs = append(c.pairs, [2]int32{a, b})
			case before:
				c.forced = append(c.forced, [2]int32{a, b})
			default:
				c.forced = append(c.forced, [2]int32{b, a})
			}
			// All that is left comes before chain i, and i before j.
			if i > 0 && before && !after && latest[i-1] < list[i].invoked && list[i].completed >= list[i-1].invoked && list[j].completed >= list[i].invoked {
				break
			}
		}
	}
	return looked
}

func (c *openChains) Choices() int { return len(c.pairs) }

func (c *openChains) Side(choice int32, second bool, f func(graph.Step)) {
	a, b := c.sides(choice, second)
	c.link(a, b, f)
}

func (c *openChains) sides(choice int32, second bool) (a, b int32) {
	p := c.pairs[choice]
	if second {
		return p[1], p[0]
	}
	return p[0], p[1]
}

// edges adds the known dependencies, those that real time forces, and one node
// for all readers of each chain's last version, so that a choice is two edges
// however many they are.
func (c *openChains) edges(b *graph.Builder) {
	c.registers.edges(b)
	c.gates = make([]int32, len(c.chains))
	for i := range c.gates {
		c.gates[i] = none
		if readers := c.readersOf(int32(i)); len(readers) > 1 {
			c.gates[i] = b.Node()
			for _, t := range readers {
				b.Edge(t, c.gates[i], graph.RW)
			}
		}
	}
	for _, p := range c.forced {
		c.link(p[0], p[1], func(s graph.Step) { b.Edge(s.From, s.To, s.Kind) })
	}
}

// link calls f for what it means that chain b comes after chain a.
func (c *openChains) link(a, b int32, f func(graph.Step)) {
	from, to := c.chains[a].versions, c.by(c.chains[b].versions[0])
	f(graph.Step{From: c.by(from[len(from)-1]), To: to, Kind: graph.WW})
	if c.gates[a] >= 0 && !c.reads(a, to) {
		f(graph.Step{From: c.gates[a], To: to, Kind: graph.RW})
		return
	}
	for _, t := range c.readersOf(a) {
		if t != to {
			f(graph.Step{From: t, To: to, Kind: graph.RW})
		}
	}
}

// readersOf returns who read the last version of a chain.
func (c *openChains) readersOf(i int32) []int32 {
	v := c.chains[i].versions
	return c.readers[v[len(v)-1]]
}

func (c *openChains) key(choice int32) int32 { return c.chains[c.pairs[choice][0]].key }

func (c *openChains) words(choice int32, second bool) string {
	a, b := c.sides(choice, second)
	return c.order(a, b)
}

// order says that a chain comes before another.
func (c *openChains) order(a, b int32) string {
	x, y := c.chains[a].versions, c.chains[b].versions
	u, v := x[len(x)-1], y[0]
	return fmt.Sprintf("%s wrote %s to key %s before %s wrote %s", c.h.name(c.by(u)), c.valueOf(u), c.h.KeyName(c.chains[a].key), c.h.name(c.by(v)), c.valueOf(v))
}

// assumes reports whether chains of several versions are moved as a whole, by
// the choice or by what real time forces, and whether real time forces any.
func (c *openChains) assumes(side graph.Refuted) (atomic, timed bool) {
	long := func(i int32) bool { return len(c.chains[i].versions) > 1 }
	if side.Choice >= 0 {
		atomic = long(c.pairs[side.Choice][0]) || long(c.pairs[side.Choice][1])
	}
	for _, s := range side.Cycle {
		if _, parts := c.registers.explain(s.From, s.To, s.Kind); parts != nil || s.Kind != graph.WW && s.Kind != graph.RW {
			continue
		}
		for _, l := range c.linked(s.From, s.To, s.Kind, false) {
			atomic = atomic || long(l.from) || long(l.to)
		}
		timed = timed || len(c.linked(s.From, s.To, s.Kind, true)) > 0
	}
	return atomic, timed
}

func (c *openChains) evidence(choice int32) []place {
	p := c.pairs[choice]
	return append(c.linksOf(p[0]), c.linksOf(p[1])...)
}

// linksOf returns the writes of a chain and the reads that chain them.
func (c *openChains) linksOf(i int32) []place {
	var parts []place
	versions := c.chains[i].versions
	for j, v := range versions {
		parts = append(parts, c.writes[v])
		parts = append(parts, c.commitOf(v)...)
		if j > 0 {
			if q := c.readOf(c.by(v), versions[j-1]); q.op != none {
				parts = append(parts, q)
			}
		}
	}
	return parts
}

// explain knows the dependencies that follow from an order of chains, too.
func (c *openChains) explain(a, b int32, k graph.Kind) (string, []place) {
	text, parts := c.registers.explain(a, b, k)
	if parts != nil || k == graph.WR {
		return text, parts
	}
	// What real time forces explains more than what is assumed.
	for _, forced := range []bool{true, false} {
		if text, parts := c.explainPair(a, b, k, forced); text != "" {
			return text, parts
		}
	}
	return text, parts
}

// explainPair explains a dependency by an order of chains that real time
// forces, or by any. Several keys may give it: all of them are evidence.
func (c *openChains) explainPair(a, b int32, k graph.Kind, forced bool) (text string, parts []place) {
	for _, l := range c.linked(a, b, k, forced) {
		if text == "" {
			text = c.explainLink(a, b, k, l.from, l.to)
		}
		parts = slices.Concat(parts, l.parts, c.linksOf(l.from), c.linksOf(l.to))
	}
	return text, parts
}

// chainLink is two chains whose order makes a dependency, and the
// micro-operations that touch them.
type chainLink struct {
	from, to int32
	parts    []place
}

func (c *openChains) linked(a, b int32, k graph.Kind, forced bool) []chainLink {
	heads := map[int32][]place{} // by key, of the chains that b begins
	for i := range c.h.Txns[b].Ops {
		q := place{b, int32(i)}
		if _, ok := c.head[c.version(c.op(q))]; ok && c.op(q).Kind == Write {
			heads[c.op(q).Key] = append(heads[c.op(q).Key], q)
		}
	}
	var list []chainLink
	for j := range c.h.Txns[a].Ops {
		p := place{a, int32(j)}
		from, ok := c.tail[c.version(c.op(p))]
		if !ok || (k == graph.WW) != (c.op(p).Kind == Write) || k == graph.RW && !c.reads(from, a) {
			continue
		}
		for _, q := range heads[c.op(p).Key] {
			to := c.head[c.version(c.op(q))]
			if from != to && (!forced || c.isForced(from, to)) {
				list = append(list, chainLink{from, to, []place{p, q}})
			}
		}
	}
	return list
}

// reads reports whether a transaction read the last version of a chain.
func (c *openChains) reads(chain, t int32) bool {
	_, ok := slices.BinarySearch(c.readersOf(chain), t)
	return ok
}

// isForced reports whether a pair of chains is among those that real time
// forces.
func (c *openChains) isForced(from, to int32) bool {
	if c.forcedSet == nil {
		c.forcedSet = make(map[[2]int32]bool, len(c.forced))
		for _, p := range c.forced {
			c.forcedSet[p] = true
		}
	}
	return c.forcedSet[[2]int32{from, to}]
}

func (c *openChains) explainLink(a, b int32, k graph.Kind, from, to int32) string {
	why := c.order(from, to)
	x, y := &c.chains[from], &c.chains[to]
	if c.isForced(from, to) {
		done := slices.IndexFunc(x.versions, func(v int32) bool { return c.h.Txns[c.by(v)].Complete == x.completed })
		begun := slices.IndexFunc(y.versions, func(v int32) bool { return c.h.Txns[c.by(v)].Invoke == y.invoked })
		why += fmt.Sprintf(", as %s was complete before %s was invoked", c.h.name(c.by(x.versions[done])), c.h.name(c.by(y.versions[begun])))
	}
	if k == graph.RW {
		return fmt.Sprintf("%s read key %s as %s, and %s; so %s came before %s", c.h.name(a), c.h.KeyName(x.key), c.valueOf(x.versions[len(x.versions)-1]), why, c.h.name(a), c.h.name(b))
	}
	return why
}
