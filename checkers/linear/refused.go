package linear

import (
	"cmp"
	"fmt"
	"slices"
)

// A cas that was refused found that the register held something else than
// what it expected. Where values are unique, many of them are decided by the
// clusters of values: let F be the first return and S the last call of a
// cluster. After F(e), e is there until it is overwritten, and a cluster V
// with F(e) < S(V) comes after e and is there by F(V) at the latest. What is
// left is for the search.

// refusals removes those of p.refused that every linearization allows. It
// returns a proof that one of the others is impossible, nil if there is none.
// The zones must apply to p.ops, and call them legal.
func (p *problem) refusals() []op {
	whole := slices.Clone(p.whole)
	for i := range whole {
		if whole[i].maybe { // without its limit: it need not have overwritten anything
			whole[i].ret = never
		}
	}
	z := &zones{ops: whole}
	if !z.build(p.initial, len(p.values)) {
		return nil
	}
	writers := make([]int, len(p.values))
	writers[p.initial]++
	for i := range whole {
		if whole[i].kind != read {
			writers[whole[i].value]++
		}
	}
	gone := z.overwritten()
	var rest []op
	for _, x := range p.refused {
		if writers[x.expect] > 1 {
			rest = append(rest, x)
			continue
		}
		c := z.of[x.expect]
		if c == noCluster { // nobody wrote it, and the register did not begin with it
			continue
		}
		e := &z.clusters[c]
		if e.writer >= 0 && x.call < whole[e.writer].call || gone(c) < x.ret {
			continue
		}
		if proof := z.stuckOn(x, e); proof != nil {
			return proof
		}
		rest = append(rest, x)
	}
	p.refused = rest
	return nil
}

// overwritten returns a function that says when a cluster certainly is
// overwritten: the least F(V) of the others with F < S(V).
func (z *zones) overwritten() func(c int32) int64 {
	order := make([]int32, 0, len(z.clusters))
	for i := range z.clusters {
		if z.clusters[i].f != never {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(z.clusters[a].s, z.clusters[b].s) })
	// The two clusters with the least F from here on: one of them is not c.
	least := make([][2]int32, len(order)+1)
	least[len(order)] = [2]int32{noCluster, noCluster}
	f := func(c int32) int64 {
		if c == noCluster {
			return never
		}
		return z.clusters[c].f
	}
	for i := len(order) - 1; i >= 0; i-- {
		switch two := least[i+1]; {
		case f(order[i]) < f(two[0]):
			least[i] = [2]int32{order[i], two[0]}
		case f(order[i]) < f(two[1]):
			least[i] = [2]int32{two[0], order[i]}
		default:
			least[i] = two
		}
	}
	return func(c int32) int64 {
		i, _ := slices.BinarySearchFunc(order, z.clusters[c].f, func(v int32, f int64) int {
			if z.clusters[v].s <= f {
				return -1
			}
			return 1
		})
		if least[i][0] == c {
			return f(least[i][1])
		}
		return f(least[i][0])
	}
}

// stuckOn proves that the register held e during all of x: it did before x
// began, and whatever began before x was over comes before e. The proof is x
// with what shows that.
func (z *zones) stuckOn(x op, e *cluster) []op {
	if e.f >= x.call {
		return nil
	}
	in := map[int32]bool{}
	add := func(i int32) {
		if i >= 0 {
			in[i] = true
		}
	}
	begun := int64(always)
	if e.writer >= 0 {
		begun = z.ops[e.writer].call
	}
	add(e.writer)
	add(e.first)
	add(e.last)
	for i := range z.clusters {
		c := &z.clusters[i]
		if c == e || c.writer < 0 || z.ops[c.writer].call > x.ret || z.ops[c.writer].ret < begun {
			continue
		}
		if c.f >= e.s {
			return nil
		}
		add(c.writer)
		add(c.first)
	}
	proof := []op{x}
	for i := range in {
		o := z.ops[i]
		if o.kind == cas { // what it expected does not matter here
			o.kind, o.expect = write, 0
		}
		proof = append(proof, o)
	}
	slices.SortFunc(proof, func(a, b op) int { return cmp.Compare(a.call, b.call) })
	return proof
}

// complete is the whole problem, refused cas included.
func (p *problem) complete() []op {
	all := append(slices.Clone(p.whole), p.refused...)
	slices.SortStableFunc(all, func(a, b op) int { return cmp.Compare(a.call, b.call) })
	return all
}

// explainRefusal makes small what cannot be because of refused cas: it takes
// away what changes nothing and is not needed.
func (p *problem) explainRefusal(b *budget, ops []op) (explained, bool) {
	x := &explanation{problem: p, refusal: true, minimal: true}
	few := renumber(ops, p.initial)
	ops = few.ops
	var patient patience
	for size := max(1, len(ops)/2); ; size /= 2 {
		for to := len(ops); to > 0 && b.configurations > 0 && !patient.over(b); to -= size {
			from := max(0, to-size)
			smaller := slices.Clone(ops[:from])
			for i := from; i < to; i++ {
				if ops[i].kind != read && ops[i].kind != differs {
					smaller = append(smaller, ops[i])
				}
			}
			smaller = append(smaller, ops[to:]...)
			if len(smaller) == len(ops) {
				continue
			}
			if !patient.attempt(b, len(smaller), len(few.old)) {
				break
			}
			switch decideBySearch(b, smaller, few.initial, len(few.old)) {
			case illegal:
				ops = smaller
			case undecided:
				x.minimal = false
			}
		}
		if size <= 1 {
			break
		}
	}
	if b.configurations <= 0 || patient.over(b) {
		x.minimal = false
	}
	switch decideByOracle(b, ops, few.initial, len(few.old)) {
	case legal:
		return explained{}, false
	case undecided:
		x.unconfirmed = true
	}
	x.ops = few.back(ops)
	x.end = lastReturn(ops)
	return explained{len(ops), x.end, x.witness, x.picture, b.memory}, true
}

// refused says that a cas was refused although the register held what it
// expected.
func (s *speaker) refused() (class, summary string) {
	for i := range s.x.ops {
		o := &s.x.ops[i]
		if o.kind != differs {
			continue
		}
		return WrongRefusal, fmt.Sprintf("the cas%s at %s (%s) was refused because the register did not hold %s, but nothing can have overwritten that before",
			s.key(), s.time(s.history(o).Completed), s.who(o), s.value(o.expect))
	}
	return "", ""
}
