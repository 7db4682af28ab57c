package graph

// Components returns the strongly connected components of more than one node
// of the graph restricted to the kinds in allow; there is none if and only if
// the restricted graph has no cycle. It is Tarjan's algorithm (SIAM Journal
// on Computing 1(2), 1972) without recursion, in time linear in nodes and
// edges. Nodes within a component are in no particular but in the same order
// every time.
func (g *Graph) Components(allow Mask) [][]int32 {
	n := g.Nodes()
	t := tarjan{g: g, allow: allow, low: make([]int32, n), next: make([]int32, n)}
	for v := int32(0); v < n; v++ {
		if t.low[v] == 0 {
			t.visit(v)
		}
	}
	return t.found
}

// done marks nodes whose component is known; it is above every number.
const done = 1<<31 - 1

type tarjan struct {
	g     *Graph
	allow Mask
	low   []int32 // 0: not seen; done; else the least number reached
	next  []int32 // the next edge to follow, relative to the node's first
	// path holds the nodes between the root and the current one, open those
	// that have no component yet.
	path, open []int32
	number     []int32 // of each node on the path
	count      int32
	found      [][]int32
}

func (t *tarjan) enter(v int32) {
	t.count++
	t.low[v] = t.count
	t.path, t.number = append(t.path, v), append(t.number, t.count)
	t.open = append(t.open, v)
}

func (t *tarjan) visit(root int32) {
	g := t.g
	t.enter(root)
	for len(t.path) > 0 {
		v := t.path[len(t.path)-1]
		e, end := g.off[v]+t.next[v], g.off[v+1]
		entered := false
		for ; e < end; e++ {
			if !t.allow.Has(g.kind[e]) {
				continue
			}
			w := g.to[e]
			if t.low[w] == 0 {
				t.next[v] = e + 1 - g.off[v]
				t.enter(w)
				entered = true
				break
			}
			if t.low[w] < t.low[v] { // never so for done ones
				t.low[v] = t.low[w]
			}
		}
		if entered {
			continue
		}
		t.leave(v)
	}
}

func (t *tarjan) leave(v int32) {
	last := len(t.path) - 1
	number := t.number[last]
	t.path, t.number = t.path[:last], t.number[:last]
	if t.low[v] == number {
		i := len(t.open) - 1
		for t.open[i] != v {
			i--
		}
		if i < len(t.open)-1 {
			t.found = append(t.found, append([]int32(nil), t.open[i:]...))
		}
		for _, w := range t.open[i:] {
			t.low[w] = done
		}
		t.open = t.open[:i]
	}
	if last > 0 {
		parent := t.path[last-1]
		if t.low[v] < t.low[parent] {
			t.low[parent] = t.low[v]
		}
	}
}

// Membership returns for each node the number of its component, or -1.
func Membership(nodes int32, components [][]int32) []int32 {
	m := make([]int32, nodes)
	for i := range m {
		m[i] = -1
	}
	for i, c := range components {
		for _, v := range c {
			m[v] = int32(i)
		}
	}
	return m
}
