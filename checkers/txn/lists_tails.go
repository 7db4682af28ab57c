package txn

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// maxOrders bounds the orders of unread appends that are tried.
const maxOrders = 1000

// settle decides snapshot isolation where several appends to a key were read
// by nobody. Unlike at all other levels, a graph without cycle that leaves
// their order open does not suffice, as writers of one key must not overlap;
// there must be an order of them that makes no cycle. Only appenders within
// one component of the whole graph are in question, since all others can be
// ordered as the components are. It tries the orders of completion and of
// invocation, and then all, if they are not too many. It returns why nothing
// is proven, or "".
func (r *run) settle(ctx context.Context, l *lists) string {
	for _, m := range r.o.Models {
		if rule := rules[m]; rule.level == levelSI && !r.a.refuted[m] {
			if doubt := r.settleModel(ctx, l, m, rule.order); doubt != "" {
				return doubt
			}
		}
	}
	return ""
}

func (r *run) settleModel(ctx context.Context, l *lists, m Model, o order) string {
	keys := r.entangled(l.tails())
	if len(keys) == 0 {
		return ""
	}
	orders := 1
	for _, k := range keys {
		for i := 2; i <= len(k) && orders <= maxOrders; i++ {
			orders *= i
		}
	}
	s := &tailSearch{run: r, lists: l, order: o, keys: keys}
	for _, event := range []func(t *Txn) int64{func(t *Txn) int64 { return t.Complete }, func(t *Txn) int64 { return t.Invoke }} {
		for _, k := range keys {
			slices.SortStableFunc(k, func(a, b int32) int { return cmp.Compare(event(&r.h.Txns[a]), event(&r.h.Txns[b])) })
		}
		if s.acyclic() {
			return ""
		}
	}
	if orders > maxOrders || orders*r.a.Edges > r.o.Steps {
		return fmt.Sprintf("several transactions appended to each of %d keys what nobody read, so that their order is open, and none was found that snapshot isolation allows; read each key at the end", len(keys))
	}
	s.parts = nil
	if s.try(ctx, 0, 0) {
		return ""
	}
	if ctx.Err() != nil {
		return ctx.Err().Error()
	}
	s.first.Summary += " (nobody read some of the appends; every order of those makes such a cycle)"
	s.first.parts = s.parts
	r.found.add(s.name, func() Finding { return s.first })
	r.a.refuted[m] = true
	return ""
}

// entangled returns the appenders of each tail that lie in one component.
func (r *run) entangled(tails []tail) [][]int32 {
	if len(r.components) == 0 {
		return nil
	}
	component := map[int32]int{}
	for i, c := range r.components {
		for _, v := range c {
			component[v] = i
		}
	}
	var keys [][]int32
	for _, t := range tails {
		groups := map[int][]int32{}
		var order []int
		for _, a := range t.appenders {
			if c, ok := component[a]; ok {
				if groups[c] == nil {
					order = append(order, c)
				}
				groups[c] = append(groups[c], a)
			}
		}
		for _, c := range order {
			if len(groups[c]) > 1 {
				keys = append(keys, groups[c])
			}
		}
	}
	return keys
}

// tailSearch tries orders of unread appends.
type tailSearch struct {
	*run
	*lists
	order order
	keys  [][]int32 // the appenders to each key, in the order that is tried
	first Finding   // the cycle of the first order
	name  Anomaly
	parts []place // what shows the cycles of all orders
}

// try permutes the appenders of each key from position i of key k on, and
// reports whether some order makes no cycle.
func (s *tailSearch) try(ctx context.Context, k, i int) bool {
	switch {
	case ctx.Err() != nil:
		return false
	case k == len(s.keys):
		return s.acyclic()
	case i == len(s.keys[k]):
		return s.try(ctx, k+1, 0)
	}
	list := s.keys[k]
	for j := i; j < len(list); j++ {
		list[i], list[j] = list[j], list[i]
		if s.try(ctx, k, i+1) {
			return true
		}
		list[i], list[j] = list[j], list[i]
	}
	return false
}

// acyclic reports whether the order at hand makes no cycle that snapshot
// isolation forbids; if it does, the cycle is noted.
func (s *tailSearch) acyclic() bool {
	b := graph.NewBuilder(s.lists.txns, s.a.Edges)
	s.lists.edges(b)
	addOrder(b, s.run.h, s.committed, s.order)
	for _, list := range s.keys {
		for i := 1; i < len(list); i++ {
			b.Edge(list[i-1], list[i], graph.WW)
		}
	}
	g := b.Build()
	components := g.Components(graph.All)
	c := &cycles{h: s.run.h, order: s.order, why: s, budget: s.o.Steps, found: newFindings()}
	c.sub, c.orig = g.Induce(components)
	if len(components) == 0 || !c.exists(levelSI, s.order) {
		return true
	}
	for _, l := range []level{levelPL1, levelPL2, levelSI} {
		if c.exists(l, s.order) {
			c.any(s.order, map[level]bool{l: true})
			break
		}
	}
	f := c.found.list[0]
	if s.parts == nil {
		s.first, s.name = f, f.Anomaly
	}
	s.parts = append(s.parts, f.parts...)
	return false
}

// explain knows the edges between unread appends, too.
func (s *tailSearch) explain(a, b int32, k graph.Kind) (string, []place) {
	text, parts := s.lists.explain(a, b, k)
	if parts != nil || k != graph.WW {
		return text, parts
	}
	for i := range s.run.h.Txns[a].Ops {
		for j := range s.run.h.Txns[b].Ops {
			p, q := place{a, int32(i)}, place{b, int32(j)}
			x, y := s.op(p), s.op(q)
			if x.Kind == Append && y.Kind == Append && x.Key == y.Key && s.pos[s.numberOf(p)] < 0 && s.pos[s.numberOf(q)] < 0 {
				return fmt.Sprintf("%s appended %s and %s appended %s to key %s, and nobody read either; in this order, %s came before %s", s.run.h.name(a), s.run.h.ValueName(x.Value),
					s.run.h.name(b), s.run.h.ValueName(y.Value), s.run.h.KeyName(x.Key), s.run.h.name(a), s.run.h.name(b)), slices.Concat(s.commitOf(p), s.commitOf(q), []place{p, q})
			}
		}
	}
	return text, parts
}
