package models

import "slices"

// edge leads from an operation to one that must come after it, and says why:
// because is the read that shows it, or one of the reasons below. Those that
// follow from reads are numbered in the order in which they were drawn.
type edge struct{ to, because, number int32 }

const (
	becauseSession = -1 // both are of one session, in this order
	becauseRead    = -2 // the later one reads what the earlier one wrote
)

// before is a graph of operations and, behind them, of auxiliary nodes that
// stand for sets of edges.
type before struct {
	out       [][]edge
	real      int   // operations; what follows is auxiliary
	concluded int32 // edges that follow from reads
}

func newBefore(n int) *before {
	b := &before{out: make([][]edge, n), real: n}
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

// cycle returns a shortest cycle through some operation of a cycle. There must
// be one.
func (b *before) cycle() []edge {
	var best []edge
	length := 0
	tries := 32
	for _, v := range b.remaining() {
		if int(v) >= b.real || tries == 0 {
			continue
		}
		tries--
		if c := b.path(v, v); c != nil && (best == nil || b.length(c) < length) {
			best, length = c, b.length(c)
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

// remaining lists operations on cycles, or between two of them: those that
// neither come before all cycles nor after.
func (b *before) remaining() []int32 {
	in := make([]int32, len(b.out))
	back := make([][]int32, len(b.out))
	for v, es := range b.out {
		for _, e := range es {
			in[e.to]++
			back[e.to] = append(back[e.to], int32(v))
		}
	}
	gone := make([]bool, len(b.out))
	peel := func(degree []int32, next func(v int32) []int32) {
		var ready []int32
		for v := range degree {
			if degree[v] == 0 && !gone[v] {
				ready = append(ready, int32(v))
			}
		}
		for len(ready) > 0 {
			v := ready[len(ready)-1]
			ready = ready[:len(ready)-1]
			gone[v] = true
			for _, w := range next(v) {
				if degree[w]--; degree[w] == 0 && !gone[w] {
					ready = append(ready, w)
				}
			}
		}
	}
	peel(in, func(v int32) (list []int32) {
		for _, e := range b.out[v] {
			list = append(list, e.to)
		}
		return list
	})
	outDegree := make([]int32, len(b.out))
	for v := range b.out {
		for _, e := range b.out[v] {
			if !gone[e.to] {
				outDegree[v]++
			}
		}
	}
	peel(outDegree, func(v int32) []int32 { return back[v] })
	var left []int32
	for v := range gone {
		if !gone[v] {
			left = append(left, int32(v))
		}
	}
	return left
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
	if way := b.search(from, to, 0); way != nil {
		return way
	}
	return b.search(from, to, first)
}

// search goes breadth first; the way into an auxiliary node costs nothing.
func (b *before) search(from, to, first int32) []edge {
	type step struct {
		prev int32
		e    edge
	}
	came := map[int32]step{}
	queue, free := []int32{from}, []int32(nil)
	for len(queue)+len(free) > 0 {
		var v int32
		if n := len(free); n > 0 {
			v, free = free[n-1], free[:n-1]
		} else {
			v, queue = queue[0], queue[1:]
		}
		for _, e := range b.out[v] {
			if _, seen := came[e.to]; seen || e.because >= 0 && e.number >= first {
				continue
			}
			came[e.to] = step{v, e}
			if e.to == to {
				var way []edge
				for at := to; ; {
					st := came[at]
					way = append(way, st.e)
					if at = st.prev; at == from {
						slices.Reverse(way)
						return way
					}
				}
			}
			if int(e.to) >= b.real {
				free = append(free, e.to)
			} else {
				queue = append(queue, e.to)
			}
		}
	}
	return nil
}
