package recovery

import (
	"slices"
	"sort"

	"github.com/cleancut/cleancut/harness/record"
)

// pattern is the pattern of messages and checkpoints of one history of each
// process, with positions in it that count from 0.
type pattern struct {
	r      *run
	events [][]int32 // of each process, in order
	ckpts  [][]int32 // of each process, in order
	at     [][]int32 // positions of ckpts
	sent   []int32   // position of each message's sending, or none
	recv   []int32
}

// interval is the number of checkpoints of q up to a position.
func (p *pattern) interval(q, pos int32) int32 {
	return int32(sort.Search(len(p.at[q]), func(i int) bool { return p.at[q][i] > pos }))
}

// line is the latest consistent line: for each process the number of the
// checkpoint it is set back to, counted from 1, 0 for the initial state, and
// one more than there are for where it stands. The failed cannot stay there.
//
// A message that is received and no longer sent takes its receiver back to its
// last checkpoint before the receipt. Such messages there may be from the
// beginning: an earlier recovery that was cut short has undone their sending. The result is the greatest consistent
// cut, for consistent cuts form a lattice. O(events).
func (p *pattern) line(failed []bool) []int32 {
	n := len(p.events)
	cut, end := make([]int32, n), make([]int32, n) // as interval and as position
	var work []int32
	set := func(q, x int32) {
		cut[q] = x
		work = append(work, q)
	}
	for q := range n {
		cut[q], end[q] = int32(len(p.ckpts[q]))+1, int32(len(p.events[q]))
		if failed[q] {
			set(int32(q), cut[q]-1)
		}
	}
	for m, pos := range p.recv {
		if q := p.r.to[m]; pos != none && p.sent[m] == none && pos < p.position(q, cut[q]) {
			set(q, p.interval(q, pos))
		}
	}
	for len(work) > 0 {
		q := work[len(work)-1]
		work = work[:len(work)-1]
		to := p.position(q, cut[q])
		for pos := to; pos < end[q]; pos++ {
			p.r.tick()
			i := p.events[q][pos]
			m := p.r.msg[i]
			if p.r.ev[i].Kind != record.Send || p.sent[m] != pos || p.recv[m] == none {
				continue
			}
			if to := p.r.to[m]; p.recv[m] < p.position(to, cut[to]) {
				set(to, p.interval(to, p.recv[m]))
			}
		}
		end[q] = min(end[q], to)
	}
	return cut
}

// position is where the state with that number lies.
func (p *pattern) position(q, x int32) int32 {
	switch {
	case x == 0:
		return 0
	case int(x) > len(p.at[q]):
		return int32(len(p.events[q]))
	}
	return p.at[q][x-1]
}

// useless lists the checkpoints on a Z-cycle, which belong to no consistent
// cut (Netzer and Xu 1995, theorem 1). In the graph of intervals, with edges
// from each to the next of its process and from that of a sending to that of
// its receipt, checkpoint x of a process lies on a Z-cycle if interval x+1
// reaches interval x, that is, if both lie in one strongly connected
// component. O(checkpoints + messages).
func (p *pattern) useless() (list []int32, g *intervals) {
	return p.uselessAfter(make([]int32, len(p.events)))
}

// uselessAfter is useless for the checkpoints after a consistent cut of
// checkpoints or ends, given by positions: no message leads from after it to
// before it, so that a cycle lies on one side of it. O(what lies after it).
func (p *pattern) uselessAfter(cut []int32) (list []int32, g *intervals) {
	g = p.intervals(cut)
	component := g.components()
	for q := range p.ckpts {
		for x := g.from[q]; int(x) < len(p.ckpts[q]); x++ {
			v := g.node(int32(q), x)
			if component[v] == component[v+1] {
				list = append(list, p.ckpts[q][x])
			}
		}
	}
	return list, g
}

// closed reports whether a cut lies at checkpoints, beginnings and ends, and no
// message leads from after it to before it.
func (p *pattern) closed(cut []int32) bool {
	for q := range p.events {
		x := p.interval(int32(q), cut[q])
		if cut[q] != 0 && int(cut[q]) != len(p.events[q]) && (x == 0 || p.at[q][x-1] != cut[q]) {
			return false
		}
		for pos := cut[q]; int(pos) < len(p.events[q]); pos++ {
			i := p.events[q][pos]
			p.r.tick()
			if m := p.r.msg[i]; p.r.ev[i].Kind == record.Send && p.sent[m] == pos && p.recv[m] != none && p.recv[m] < cut[p.r.to[m]] {
				return false
			}
		}
	}
	return true
}

// intervals is the rollback-dependency graph (Wang 1997), from a cut on.
// Interval 0 of a process begins in its initial state.
type intervals struct {
	from        []int32 // the first interval of each process in the graph
	base        []int32 // its node, and the number of nodes
	first, next []int32 // edges by messages, compressed rows
	msg         []int32
}

func (g *intervals) node(q, x int32) int32 { return g.base[q] + x - g.from[q] }

func (p *pattern) intervals(cut []int32) *intervals {
	n := len(p.ckpts)
	g := &intervals{from: make([]int32, n), base: make([]int32, n+1)}
	for q := range p.ckpts {
		if cut[q] > 0 {
			g.from[q] = p.interval(int32(q), cut[q])
		}
		g.base[q+1] = g.base[q] + int32(len(p.ckpts[q])) + 1 - g.from[q]
	}
	g.first = make([]int32, g.base[n]+1)
	var from, msgs []int32
	for q := range p.events {
		for pos := cut[q]; int(pos) < len(p.events[q]); pos++ {
			i := p.events[q][pos]
			p.r.tick()
			if m := p.r.msg[i]; p.r.ev[i].Kind == record.Send && p.sent[m] == pos && p.recv[m] != none {
				v := g.node(int32(q), p.interval(int32(q), pos))
				from, msgs = append(from, v), append(msgs, m)
				g.first[v+1]++
			}
		}
	}
	for v := range g.base[n] {
		g.first[v+1] += g.first[v]
	}
	fill := slices.Clone(g.first)
	g.next, g.msg = make([]int32, len(msgs)), make([]int32, len(msgs))
	for k, v := range from {
		m := msgs[k]
		q := p.r.to[m]
		g.next[fill[v]], g.msg[fill[v]] = g.node(q, p.interval(q, p.recv[m])), m
		fill[v]++
	}
	return g
}

// successor is the k-th interval after v: the messages', then the next of the
// process; none if there are no more.
func (g *intervals) successor(v, k int32, last []bool) int32 {
	switch n := g.first[v+1] - g.first[v]; {
	case k < n:
		return g.next[g.first[v]+k]
	case k == n && !last[v]:
		return v + 1
	}
	return none
}

func (g *intervals) lasts() []bool {
	last := make([]bool, g.base[len(g.base)-1])
	for _, b := range g.base[1:] {
		last[b-1] = true
	}
	return last
}

// components numbers the strongly connected components (Tarjan 1972), without
// recursion.
func (g *intervals) components() []int32 {
	n := int(g.base[len(g.base)-1])
	t := tarjan{component: slices.Repeat([]int32{none}, n), index: slices.Repeat([]int32{none}, n), low: make([]int32, n)}
	edge, last := make([]int32, n), g.lasts()
	for root := range int32(n) {
		if t.index[root] != none {
			continue
		}
		t.open(root)
		for len(t.call) > 0 {
			v := t.call[len(t.call)-1]
			w := g.successor(v, edge[v], last)
			edge[v]++
			switch {
			case w == none:
				t.close(v)
			case t.index[w] == none:
				t.open(w)
			case t.component[w] == none:
				t.low[v] = min(t.low[v], t.index[w])
			}
		}
	}
	return t.component
}

type tarjan struct {
	component, index, low []int32
	stack, call           []int32
	count, found          int32
}

func (t *tarjan) open(v int32) {
	t.index[v], t.low[v] = t.count, t.count
	t.count++
	t.stack, t.call = append(t.stack, v), append(t.call, v)
}

func (t *tarjan) close(v int32) {
	t.call = t.call[:len(t.call)-1]
	if len(t.call) > 0 {
		above := t.call[len(t.call)-1]
		t.low[above] = min(t.low[above], t.low[v])
	}
	if t.low[v] != t.index[v] {
		return
	}
	for {
		w := t.stack[len(t.stack)-1]
		t.stack = t.stack[:len(t.stack)-1]
		t.component[w] = t.found
		if w == v {
			break
		}
	}
	t.found++
}

// path is a shortest way from one interval to another: the messages of it.
func (g *intervals) path(from, to int32) (msgs []int32) {
	last := g.lasts()
	type step struct{ node, msg int32 }
	came := map[int32]step{from: {none, none}}
	for queue := []int32{from}; len(queue) > 0; queue = queue[1:] {
		v := queue[0]
		if v == to {
			break
		}
		for k := int32(0); ; k++ {
			w := g.successor(v, k, last)
			if w == none {
				break
			}
			if _, seen := came[w]; !seen {
				by := none
				if k < g.first[v+1]-g.first[v] {
					by = g.msg[g.first[v]+k]
				}
				came[w] = step{v, by}
				queue = append(queue, w)
			}
		}
	}
	for v := to; v != none && v != from; v = came[v].node {
		if m := came[v].msg; m != none {
			msgs = append(msgs, m)
		}
	}
	slices.Reverse(msgs)
	return msgs
}
