// Package graph holds dependency graphs of transactions: dense int32 arrays,
// typed edges, auxiliary nodes, components and shortest cycles.
//
// Nodes 0…Real-1 stand for transactions. Nodes from Real on are auxiliary:
// they stand for "everything that comes after these", so that m sources and n
// targets cost m+n edges and not m·n. An auxiliary node must lie on no cycle
// that has no transaction, and all edges on a path between two transactions
// that leads through auxiliary nodes must have the same kind; such a path
// counts as one edge.
//
// A graph with e edges takes 5 bytes an edge and 4 a node; its Builder takes 9
// bytes an edge more until Build returns. Components needs 13 bytes a node.
package graph

// Kind is the type of an edge: why one transaction comes before another.
type Kind uint8

// The kinds of edges, in the order of preference for explanations.
const (
	WW Kind = iota // the second overwrote what the first wrote
	WR             // the second read what the first wrote
	RW             // the second overwrote what the first read
	CO             // inferred: the second must be committed after the first
	SO             // the same process issued the first before the second
	RT             // the first was complete before the second was invoked
)

var kindNames = [...]string{"ww", "wr", "rw", "co", "process", "realtime"}

// String returns the kind's short name.
func (k Kind) String() string { return kindNames[k] }

// Mask is a set of kinds.
type Mask uint8

// Of returns the set of the given kinds.
func Of(kinds ...Kind) Mask {
	var m Mask
	for _, k := range kinds {
		m |= 1 << k
	}
	return m
}

// Has reports whether k is in m.
func (m Mask) Has(k Kind) bool { return m>>k&1 != 0 }

// All is the set of all kinds.
const All Mask = 1<<(RT+1) - 1

// Builder collects the edges of a graph.
type Builder struct {
	real, nodes int32
	from, to    []int32
	kind        []Kind
}

// NewBuilder returns a builder of a graph of the given number of
// transactions, with room for that many edges.
func NewBuilder(transactions, edges int) *Builder {
	return &Builder{
		real: int32(transactions), nodes: int32(transactions),
		from: make([]int32, 0, edges), to: make([]int32, 0, edges), kind: make([]Kind, 0, edges),
	}
}

// Node adds an auxiliary node.
func (b *Builder) Node() int32 {
	b.nodes++
	return b.nodes - 1
}

// Edge adds an edge. Edges from a node to itself are left out: a transaction
// does not precede itself.
func (b *Builder) Edge(from, to int32, k Kind) {
	if from != to {
		b.from, b.to, b.kind = append(b.from, from), append(b.to, to), append(b.kind, k)
	}
}

// Len returns the number of edges so far.
func (b *Builder) Len() int { return len(b.from) }

// LinkAll adds an edge of kind k from each source to each other target, both
// in rising order without repetition, by way of auxiliary nodes. Of
// transactions that are both source and target, only neighbours in order are
// linked, in both directions, which suffices to make all of them one
// component.
func (b *Builder) LinkAll(sources, targets []int32, k Kind) {
	if len(sources) == 0 || len(targets) == 0 {
		return
	}
	if len(sources) == 1 || len(targets) == 1 {
		for _, s := range sources {
			for _, t := range targets {
				b.Edge(s, t, k)
			}
		}
		return
	}
	both := intersect(sources, targets)
	if len(both) < len(sources) {
		any := b.Node()
		each(sources, both, func(s int32) { b.Edge(s, any, k) })
		for _, t := range targets {
			b.Edge(any, t, k)
		}
	}
	if len(both) > 0 && len(both) < len(targets) {
		any := b.Node()
		for _, s := range both {
			b.Edge(s, any, k)
		}
		each(targets, both, func(t int32) { b.Edge(any, t, k) })
	}
	for i := 1; i < len(both); i++ {
		b.Edge(both[i-1], both[i], k)
		b.Edge(both[i], both[i-1], k)
	}
}

// each calls f for the members of list that are not in without.
func each(list, without []int32, f func(int32)) {
	for _, x := range list {
		for len(without) > 0 && without[0] < x {
			without = without[1:]
		}
		if len(without) == 0 || without[0] != x {
			f(x)
		}
	}
}

func intersect(a, b []int32) []int32 {
	var both []int32
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			both = append(both, a[0])
			a, b = a[1:], b[1:]
		}
	}
	return both
}

// Build returns the graph. The builder must not be used afterwards.
func (b *Builder) Build() *Graph {
	g := &Graph{Real: b.real, off: make([]int32, b.nodes+1), to: make([]int32, len(b.to)), kind: make([]Kind, len(b.to))}
	for _, f := range b.from {
		g.off[f+1]++
	}
	for i := int32(0); i < b.nodes; i++ {
		g.off[i+1] += g.off[i]
	}
	// off[f] serves as the place of f's next edge, and is moved back below.
	for i, f := range b.from {
		at := g.off[f]
		g.to[at], g.kind[at] = b.to[i], b.kind[i]
		g.off[f]++
	}
	copy(g.off[1:], g.off[:b.nodes])
	g.off[0] = 0
	b.from, b.to, b.kind = nil, nil, nil
	return g
}

// Graph is a directed graph with typed edges in compressed rows.
type Graph struct {
	Real int32 // nodes below are transactions
	off  []int32
	to   []int32
	kind []Kind
}

// Nodes returns the number of nodes, auxiliary ones included.
func (g *Graph) Nodes() int32 { return int32(len(g.off) - 1) }

// Edges returns the number of edges.
func (g *Graph) Edges() int { return len(g.to) }

// Out calls f for each edge that leaves node v.
func (g *Graph) Out(v int32, f func(to int32, k Kind)) {
	for e := g.off[v]; e < g.off[v+1]; e++ {
		f(g.to[e], g.kind[e])
	}
}

// Induce returns the graph of the given components alone, with the edges
// inside of each, and for each of its nodes the node of g that it is.
func (g *Graph) Induce(components [][]int32) (sub *Graph, original []int32) {
	number, group := make([]int32, g.Nodes()), make([]int32, g.Nodes()) // both from 1
	add := func(real bool) {
		for i, c := range components {
			for _, v := range c {
				if (v < g.Real) == real {
					original = append(original, v)
					number[v], group[v] = int32(len(original)), int32(i+1)
				}
			}
		}
	}
	add(true)
	b := NewBuilder(len(original), 0)
	add(false)
	b.nodes = int32(len(original))
	for i, v := range original {
		g.Out(v, func(to int32, k Kind) {
			if group[to] == group[v] {
				b.Edge(int32(i), number[to]-1, k)
			}
		})
	}
	return b.Build(), original
}

// With returns the graph with more edges between its nodes.
func (g *Graph) With(more []Step) *Graph {
	b := NewBuilder(int(g.Real), len(g.to)+len(more))
	b.nodes = g.Nodes()
	for v := int32(0); v < g.Nodes(); v++ {
		g.Out(v, func(to int32, k Kind) { b.Edge(v, to, k) })
	}
	for _, s := range more {
		b.Edge(s.From, s.To, s.Kind)
	}
	return b.Build()
}

// Doubled returns the graph whose cycles are exactly the cycles of g, over
// edges in allow, that have no two consecutive edges of kind RW (in the
// cyclic sense): node v of it is v reached anyhow, v+Nodes is v reached by an
// edge other than RW (checkers of snapshot isolation: Cerone and Gotsman,
// "Analysing Snapshot Isolation", PODC 2016).
func (g *Graph) Doubled(allow Mask) *Graph {
	n := g.Nodes()
	b := NewBuilder(int(2*n), 2*len(g.to))
	for v := int32(0); v < n; v++ {
		for e := g.off[v]; e < g.off[v+1]; e++ {
			to, k := g.to[e], g.kind[e]
			switch {
			case !allow.Has(k):
			case k != RW:
				b.Edge(v, to, k)
				if to < g.Real {
					b.Edge(v, to+n, k)
				}
			case v < g.Real:
				b.Edge(v+n, to, k)
			default:
				b.Edge(v, to, k)
			}
		}
	}
	return b.Build()
}
