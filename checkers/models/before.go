package models

import (
	"slices"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// edge leads from an operation to one that must come after it, and says why:
// because is the read that shows it, or one of the reasons below. Those that
// follow from reads are numbered in the order in which they were drawn.
type edge struct{ to, because, number int32 }

const (
	becauseSession = -1 // both are of one session, in this order
	becauseRead    = -2 // the later one reads what the earlier one wrote
	becauseKnown   = -3 // for a reason of which nothing is said
)

// before is a graph of operations and, behind them, of auxiliary nodes that
// stand for sets of edges.
type before struct {
	out       [][]edge
	real      int   // operations; what follows is auxiliary
	concluded int32 // edges that follow from reads
	watch     *watch
	// Of the search under way, by its number: how each node was reached.
	came  []step
	round int32
}

// step is how a search reached a node.
type step struct {
	prev, round int32
	e           edge
}

// newBefore makes a graph of n operations without edges. When time has run out,
// order, cycle and path find nothing.
func newBefore(n int, w *watch) *before {
	b := &before{out: make([][]edge, n), real: n, watch: w}
	const usual = 2 // edges of an operation
	slab := make([]edge, usual*n)
	for i := range b.out {
		b.out[i] = slab[usual*i : usual*i : usual*(i+1)]
	}
	return b
}

// auxiliary appends an auxiliary node.
func (b *before) auxiliary() int32 {
	b.out = append(b.out, nil)
	return int32(len(b.out) - 1)
}

// add adds an edge.
func (b *before) add(from, to, because int32) {
	b.out[from] = append(b.out[from], edge{to, because, -1})
}

// conclude adds an edge that follows from a read.
func (b *before) conclude(from, to, because int32) {
	b.out[from] = append(b.out[from], edge{to, because, b.concluded})
	b.concluded++
}

// order returns the operations such that each edge leads onwards, or nil if
// there is a cycle.
func (b *before) order() []int32 {
	degree := make([]int32, len(b.out))
	for _, es := range b.out {
		for _, e := range es {
			degree[e.to]++
		}
	}
	var ready []int32
	order := make([]int32, 0, len(b.out))
	for v := len(b.out) - 1; v >= 0; v-- {
		if degree[v] == 0 {
			ready = append(ready, int32(v))
		}
	}
	for len(ready) > 0 {
		if b.watch.over(0) {
			return nil
		}
		v := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		order = append(order, v)
		for _, e := range b.out[v] {
			if degree[e.to]--; degree[e.to] == 0 {
				ready = append(ready, e.to)
			}
		}
	}
	if len(order) < len(b.out) {
		return nil
	}
	return order
}

// Bounds of the search for a short cycle: operations from which one is sought,
// and edges followed once there is one.
const (
	maxCycles   = 32
	maxFollowed = 1 << 22
)

// cycle returns a shortest cycle through some operation of a cycle. There must
// be one; it is nil only if time has run out.
func (b *before) cycle() []edge {
	var best []edge
	length, followed := 0, 0
	for tries, v := range b.circular() {
		if tries == maxCycles || best != nil && followed > maxFollowed {
			break
		}
		way, n := b.search(v, v, 0)
		if followed += n; way == nil {
			way, n = b.search(v, v, b.concluded)
			followed += n
		}
		if way == nil {
			return nil
		}
		if last := len(way) - 1; last > 0 && way[0].because == becauseSession && way[last].because == becauseSession {
			way = way[:last] // it leads on from the operation before
		}
		if best == nil || b.length(way) < length {
			best, length = way, b.length(way)
		}
	}
	return best
}

// length counts the operations of a way.
func (b *before) length(way []edge) (n int) {
	for _, e := range way {
		if int(e.to) < b.real {
			n++
		}
	}
	return n
}

// circular lists the operations that are on cycles.
func (b *before) circular() (list []int32) {
	g := graph.NewBuilder(b.real, 0)
	for range b.out[b.real:] {
		g.Node()
	}
	for v, es := range b.out {
		for _, e := range es {
			g.Edge(int32(v), e.to, graph.CO)
		}
	}
	for _, component := range g.Build().Components(graph.All) {
		for _, v := range component {
			if int(v) < b.real {
				list = append(list, v)
			}
		}
	}
	slices.Sort(list)
	return list
}

// path returns the edges of a shortest way from one operation to another, nil
// if there is none; without edges that follow from reads if that is possible.
// The first edge's origin is from.
func (b *before) path(from, to int32) []edge {
	return b.proof(from, to, b.concluded)
}

// proof is path with no other edges that follow from reads than the first ones,
// so many: what was concluded later proves nothing.
func (b *before) proof(from, to, first int32) []edge {
	if way, _ := b.search(from, to, 0); way != nil {
		return way
	}
	way, _ := b.search(from, to, first)
	return way
}

// search goes breadth first, and counts the edges that it follows. The way into
// an auxiliary node costs nothing, nor does it to go on within a session: what
// lies between is left out.
func (b *before) search(from, to, first int32) (way []edge, followed int) {
	if len(b.came) < len(b.out) {
		b.came, b.round = make([]step, len(b.out)), 0
	}
	b.round++
	queue, free := []int32{from}, []int32(nil)
	for len(queue)+len(free) > 0 {
		if b.watch.over(0) {
			return nil, followed
		}
		var v int32
		if n := len(free); n > 0 {
			v, free = free[n-1], free[:n-1]
		} else {
			v, queue = queue[0], queue[1:]
		}
		onward := v != from && b.came[v].e.because == becauseSession
		for _, e := range b.out[v] {
			followed++
			if b.came[e.to].round == b.round || e.because >= 0 && e.number >= first {
				continue
			}
			b.came[e.to] = step{v, b.round, e}
			if e.to == to {
				return b.way(from, to), followed
			}
			if int(e.to) >= b.real || onward && e.because == becauseSession {
				free = append(free, e.to)
			} else {
				queue = append(queue, e.to)
			}
		}
	}
	return nil, followed
}

// way is how the search came from one operation to another.
func (b *before) way(from, to int32) (way []edge) {
	for at := to; ; {
		st := b.came[at]
		if n := len(way); n == 0 || st.e.because != becauseSession || way[n-1].because != becauseSession {
			way = append(way, st.e)
		}
		if at = st.prev; at == from {
			slices.Reverse(way)
			return way
		}
	}
}
