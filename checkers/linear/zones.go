package linear

import (
	"cmp"
	"math"
	"slices"
)

// The exact algorithm for a register whose values are unique, after Gibbons
// and Korach, "Testing Shared Memories" (SIAM J. Comput. 26(4), 1997), with
// compare-and-set added.
//
// The writer of a value and those that read it form a cluster, which every
// linearization keeps together. A cas from one value to another glues two
// clusters: the second follows immediately. Chains of glued clusters must be
// free of backward edges, and no two chains may each have to precede the
// other. For a chain, let F be the first return and S the last call: chain U
// must precede V if F(U) < S(V). This relation has a cycle only if it has one
// of length two, which sorting finds.

// always is the call and return of the initial value's imagined writer.
const always = int64(math.MinInt64)

// cluster is a value together with those that set and read it.
type cluster struct {
	f, s        int64 // the return of first, the call of last
	writer      int32 // index in ops, or initialWriter
	first, last int32 // indices in ops of the first to return, the last to be called
	reader      int32 // the read that returns first, or noOp
	next, prev  int32 // clusters glued to it by cas, noCluster if none
}

const (
	noCluster     = int32(-1)
	noOp          = int32(-1)
	initialWriter = int32(-2)
)

// zones is the state of the algorithm for one problem.
type zones struct {
	ops      []op
	clusters []cluster
	of       []int32 // value → cluster
}

// decideByZones decides whether ops can be linearized. It does not apply if a
// value that someone found may have been set by more than one. A conflict is
// the indices of operations that are illegal by themselves, and closed:
// whoever set a value that one of them found is among them.
func decideByZones(ops []op, initial int32, values int) (a answer, conflict []int32, applies bool) {
	z := &zones{ops: ops}
	if !z.build(initial, values) {
		return undecided, nil, false
	}
	for _, check := range []func() []int32{z.thinAir, z.chains, z.conflicts} {
		if conflict := check(); conflict != nil {
			return illegal, conflict, true
		}
	}
	return legal, nil, true
}

func (z *zones) build(initial int32, values int) bool {
	found := make([]bool, values)
	writers := 0
	for i := range z.ops {
		o := &z.ops[i]
		if v, ok := o.observes(); ok {
			found[v] = true
		}
		if o.kind != read {
			writers++
		}
	}
	z.of = make([]int32, values)
	for v := range z.of {
		z.of[v] = noCluster
	}
	z.of[initial] = 0
	z.clusters = make([]cluster, 1, writers+1)
	z.clusters[0] = cluster{writer: initialWriter, first: noOp, last: noOp, f: always, s: always, next: noCluster, prev: noCluster, reader: noOp}
	for i := range z.ops {
		o := &z.ops[i]
		if o.kind == read {
			continue
		}
		if z.of[o.value] != noCluster && found[o.value] {
			return false
		}
		z.of[o.value] = int32(len(z.clusters))
		z.clusters = append(z.clusters, cluster{writer: int32(i), first: int32(i), last: int32(i), f: o.ret, s: o.call, next: noCluster, prev: noCluster, reader: noOp})
	}
	for i := range z.ops {
		o := &z.ops[i]
		if o.kind != read || z.of[o.value] == noCluster {
			continue
		}
		c := &z.clusters[z.of[o.value]]
		if o.ret < c.f {
			c.f, c.first = o.ret, int32(i)
		}
		if o.call > c.s {
			c.s, c.last = o.call, int32(i)
		}
		if c.reader == noOp || o.ret < z.ops[c.reader].ret {
			c.reader = int32(i)
		}
	}
	return true
}

// thinAir finds a read of what nobody wrote, or that ended before the write
// of its value began.
func (z *zones) thinAir() []int32 {
	for i := range z.ops {
		o := &z.ops[i]
		v, ok := o.observes()
		if ok && z.of[v] == noCluster && !o.maybe {
			return []int32{int32(i)}
		}
	}
	for c := range z.clusters {
		c := &z.clusters[c]
		if c.writer >= 0 && c.reader != noOp && z.ops[c.reader].ret < z.ops[c.writer].call {
			return []int32{c.writer, c.reader}
		}
	}
	return nil
}

// chains glues clusters, and finds a value that two cas replaced, a cas that
// nobody could have fed, circles, and chains that run against time.
func (z *zones) chains() []int32 {
	for i := range z.clusters {
		w := z.clusters[i].writer
		if w < 0 || z.ops[w].kind != cas {
			continue
		}
		from := z.of[z.ops[w].expect]
		if from == noCluster { // only a maybe; it was kept because its value is needed
			return z.close(w)
		}
		if other := z.clusters[from].next; other != noCluster {
			return z.close(w, z.clusters[other].writer)
		}
		z.clusters[from].next, z.clusters[i].prev = int32(i), from
	}
	visited := make([]bool, len(z.clusters))
	for i := range z.clusters {
		if z.clusters[i].prev != noCluster {
			continue
		}
		latest := noCluster
		for c := int32(i); c != noCluster; c = z.clusters[c].next {
			visited[c] = true
			if latest != noCluster && z.clusters[c].f < z.clusters[latest].s {
				return z.close(z.clusters[c].first, z.clusters[latest].last)
			}
			if latest == noCluster || z.clusters[c].s > z.clusters[latest].s {
				latest = c
			}
		}
	}
	if i := slices.Index(visited, false); i >= 0 {
		return z.close(z.clusters[i].writer)
	}
	return nil
}

// chain is a super-cluster.
type chain struct {
	f, s        int64
	first, last int32 // indices in ops
}

// conflicts finds two chains of which each must precede the other.
func (z *zones) conflicts() []int32 {
	count := 0
	for i := range z.clusters {
		if c := &z.clusters[i]; c.prev == noCluster && (c.f < c.s || c.next != noCluster) {
			count++
		}
	}
	forward := make([]chain, 0, count)
	backward := make([]chain, 0, len(z.clusters)-count)
	for i := range z.clusters {
		if z.clusters[i].prev != noCluster {
			continue
		}
		ch := chain{z.clusters[i].f, z.clusters[i].s, z.clusters[i].first, z.clusters[i].last}
		for c := z.clusters[i].next; c != noCluster; c = z.clusters[c].next {
			if z.clusters[c].f < ch.f {
				ch.f, ch.first = z.clusters[c].f, z.clusters[c].first
			}
			if z.clusters[c].s > ch.s {
				ch.s, ch.last = z.clusters[c].s, z.clusters[c].last
			}
		}
		if ch.f < ch.s {
			forward = append(forward, ch)
		} else {
			backward = append(backward, ch)
		}
	}
	sortByF(forward)
	for i := 1; i < len(forward); i++ {
		if forward[i].f < forward[i-1].s {
			return z.clash(forward[i-1], forward[i])
		}
	}
	// Those that come one after the other are near each other in time.
	at := 0 // so many of forward have f < b.s
	for _, b := range backward {
		steps := 0
		for ; at < len(forward) && forward[at].f < b.s && steps < stepsMax; at++ {
			steps++
		}
		for ; at > 0 && forward[at-1].f >= b.s && steps < stepsMax; at-- {
			steps++
		}
		if steps == stepsMax {
			at, _ = slices.BinarySearchFunc(forward, b.s, func(c chain, s int64) int { return cmp.Compare(c.f, s) })
		}
		if at > 0 && forward[at-1].s > b.f {
			return z.clash(forward[at-1], b)
		}
	}
	return nil
}

// stepsMax is how far a neighbour is sought before the search is binary.
const stepsMax = 32

// sortByF sorts chains, which are almost in order if the operations are: by
// insertion, unless that takes too many steps.
func sortByF(list []chain) {
	left := stepsMax * len(list)
	for i := 1; i < len(list); i++ {
		x, j := list[i], i
		for ; j > 0 && list[j-1].f > x.f; j-- {
			list[j] = list[j-1]
		}
		list[j] = x
		if left -= i - j; left < 0 {
			slices.SortFunc(list, func(a, b chain) int { return cmp.Compare(a.f, b.f) })
			return
		}
	}
}

func (z *zones) clash(u, v chain) []int32 {
	return z.close(u.first, u.last, v.first, v.last)
}

// close adds to the given operations what makes them speak for themselves:
// whoever set the values that they found, back to the beginning of the chain,
// and for an operation of unknown outcome one that proves that it happened.
func (z *zones) close(seed ...int32) []int32 {
	in := map[int32]bool{}
	var todo []int32
	add := func(i int32) {
		if i >= 0 && !in[i] {
			in[i] = true
			todo = append(todo, i)
		}
	}
	for _, i := range seed {
		add(i)
	}
	var takers map[int32][]int32 // value → the cas that expected it
	for len(todo) > 0 {
		o := &z.ops[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		if v, ok := o.observes(); ok && z.of[v] != noCluster {
			add(z.clusters[z.of[v]].writer)
		}
		if !o.maybe {
			continue
		}
		if c := &z.clusters[z.of[o.value]]; c.reader != noOp {
			add(c.reader)
		} else if c.next != noCluster {
			add(z.clusters[c.next].writer)
		} else {
			// The chains are not glued yet: find a cas that expected it.
			if takers == nil {
				takers = z.takers()
			}
			for _, j := range takers[o.value] {
				add(j)
			}
		}
	}
	closed := make([]int32, 0, len(in))
	for i := range in {
		closed = append(closed, i)
	}
	slices.Sort(closed)
	return closed
}

// takers returns the cas that expected each value.
func (z *zones) takers() map[int32][]int32 {
	by := map[int32][]int32{}
	for i := range z.ops {
		if o := &z.ops[i]; o.kind == cas {
			by[o.expect] = append(by[o.expect], int32(i))
		}
	}
	return by
}
