package txn

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// levelMask are the data dependencies of which a level allows no cycle.
var levelMask = map[level]graph.Mask{
	levelPL1: graph.Of(graph.WW),
	levelPL2: graph.Of(graph.WW, graph.WR),
	levelSI:  graph.Of(graph.WW, graph.WR, graph.RW),
	levelPL3: graph.Of(graph.WW, graph.WR, graph.RW),
}

// orderMask are the edges of an order.
var orderMask = map[order]graph.Mask{
	noOrder:       0,
	processOrder:  graph.Of(graph.SO),
	realtimeOrder: graph.Of(graph.RT),
}

// orderSuffix is what a cycle's name ends with if the order takes part.
var orderSuffix = map[order]Anomaly{noOrder: "", processOrder: processSuffix, realtimeOrder: realtimeSuffix}

// explainer says why transaction a comes before b, and what shows it.
type explainer interface {
	explain(a, b int32, k graph.Kind) (string, []place)
}

// cycles seeks the cycles of a graph.
type cycles struct {
	h     *History
	sub   *graph.Graph // the components that have cycles
	orig  []int32      // transaction of each node of sub
	order order        // the strongest that the graph has
	// processes asks for cycles of processes by name where the graph has real
	// time, too.
	processes bool
	why       explainer
	budget    *graph.Budget
	found     *findings
	// all asks for kinds with a suffix even if they tell nothing new.
	all bool
	// refuted are the models that cannot hold by the mere existence of
	// cycles, so that the search need not be complete.
	refuted map[Model]bool
	// missed are kinds of which no cycle was found before the budget was used
	// up.
	missed []Anomaly
}

// exists reports whether the level together with an order has a cycle.
func (c *cycles) exists(l level, o order) bool {
	mask := levelMask[l] | orderMask[o]
	if l == levelSI {
		return len(c.sub.Doubled(mask).Components(mask)) > 0
	}
	return len(c.sub.Components(mask)) > 0
}

// kind of cycles that are sought by name, from the weakest on.
var sought = []struct {
	name  Anomaly
	level level // which is violated by it
	spec  graph.Spec
}{
	{G0, levelPL1, graph.Spec{Allow: graph.Of(graph.WW), Anchor: graph.WW}},
	{G1c, levelPL2, graph.Spec{Allow: graph.Of(graph.WW, graph.WR), Anchor: graph.WR}},
	{GSingleItem, levelSI, graph.Spec{Allow: graph.Of(graph.WW, graph.WR), Anchor: graph.RW, RW: graph.OneRW}},
	{GNonadjacentItem, levelSI, graph.Spec{Allow: graph.Of(graph.WW, graph.WR), Anchor: graph.RW, RW: graph.NonadjacentRW}},
	{G2Item, levelPL3, graph.Spec{Allow: graph.Of(graph.WW, graph.WR), Anchor: graph.RW, RW: graph.ManyRW}},
}

// search finds the models that cycles refute, and a shortest cycle of each
// kind that tells something new: one that is no special case of a kind found
// already and, where an order takes part, whose model is not refuted by data
// alone.
func (c *cycles) search(ctx context.Context) {
	c.refuted = map[Model]bool{}
	bare := c.existing(noOrder)
	c.searchOrder(noOrder, bare, bare)
	if c.order == realtimeOrder {
		process := c.existing(processOrder)
		if c.processes && ctx.Err() == nil {
			c.searchSuffixed(processOrder, bare, process)
		}
	}
	if c.order != noOrder && ctx.Err() == nil {
		c.searchSuffixed(c.order, bare, c.existing(c.order))
	}
}

// searchSuffixed seeks cycles in which an order takes part, of those levels
// that have cycles with it.
func (c *cycles) searchSuffixed(o order, bare, with map[level]bool) {
	var data []Anomaly
	for _, a := range c.found.types() {
		if a != CyclicVersions { // it rests on what the options promise
			data = append(data, a)
		}
	}
	impossible := refutedBy(data)
	sought, fresh := map[level]bool{}, map[level]bool{}
	for l, exists := range with {
		fresh[l] = exists && !bare[l] && !strength.has(impossible, modelOf(l, o))
		sought[l] = exists && c.all || fresh[l]
	}
	c.searchOrder(o, sought, fresh)
}

// existing reports for each level whether it has a cycle, and notes the
// models that this refutes.
func (c *cycles) existing(o order) map[level]bool {
	e := map[level]bool{}
	higher := true
	for _, l := range []level{levelPL3, levelSI, levelPL2, levelPL1} {
		higher = higher && c.exists(l, o)
		e[l] = higher
		if higher {
			for m, r := range rules {
				if r == (rule{l, o}) {
					c.refuted[m] = true
				}
			}
		}
	}
	return e
}

// modelOf returns the model that is decided by a level and an order.
func modelOf(l level, o order) Model {
	for _, m := range strength.nodes {
		if rules[m] == (rule{l, o}) && m != RepeatableRead {
			return m
		}
	}
	return ""
}

// searchOrder seeks cycles in which an order takes part, of those levels that
// have some; of those that it must refute it finds one, whatever the steps.
func (c *cycles) searchOrder(o order, exists, must map[level]bool) {
	var known set
	lowest := noLevel // of which a cycle was found
	for _, s := range sought {
		name := s.name + orderSuffix[o]
		if !exists[s.level] || anomalies.has(known, name) {
			continue
		}
		spec := s.spec
		spec.Allow |= orderMask[o]
		spec.Order = orderMask[o]
		cycle, complete := c.sub.Shortest(spec, c.budget)
		if cycle == nil {
			if !complete {
				c.missed = append(c.missed, name)
			}
			continue
		}
		if lowest == noLevel {
			lowest = s.level
		}
		c.add(name, cycle)
		known |= anomalies.below(anomalies.of(name))
	}
	c.any(o, must, lowest)
}

// any adds some cycle of the lowest level that has one, which is one of the
// higher levels, too, for when the search by kinds found none of that level
// within its budget.
func (c *cycles) any(o order, exists map[level]bool, found level) {
	for _, l := range []level{levelPL1, levelPL2, levelSI, levelPL3} {
		if !exists[l] {
			continue
		}
		if found != noLevel && found <= l {
			return
		}
		mask := levelMask[l] | orderMask[o]
		g, n := c.sub, c.sub.Nodes()
		if l == levelSI {
			g = c.sub.Doubled(mask)
		}
		components := g.Components(mask)
		slices.SortFunc(components, func(a, b []int32) int { return cmp.Compare(len(a), len(b)) })
		if len(components) == 0 {
			return
		}
		v := slices.Min(components[0])
		cycle := g.Through(v, mask)
		for i := range cycle {
			cycle[i].From, cycle[i].To = cycle[i].From%n, cycle[i].To%n
		}
		cycle = graph.Contract(cycle, c.sub.Real)
		c.add(classify(cycle), cycle)
		return
	}
}

// classify names a cycle by its edges.
func classify(cycle []graph.Step) Anomaly {
	count := map[graph.Kind]int{}
	adjacent := false
	for i, s := range cycle {
		count[s.Kind]++
		adjacent = adjacent || s.Kind == graph.RW && cycle[(i+1)%len(cycle)].Kind == graph.RW
	}
	name := G0
	switch {
	case count[graph.RW] == 1:
		name = GSingleItem
	case count[graph.RW] > 1 && !adjacent:
		name = GNonadjacentItem
	case count[graph.RW] > 1:
		name = G2Item
	case count[graph.WR] > 0:
		name = G1c
	}
	switch {
	case count[graph.RT] > 0:
		return name + realtimeSuffix
	case count[graph.SO] > 0:
		return name + processSuffix
	}
	return name
}

// add adds the finding of a cycle of sub.
func (c *cycles) add(a Anomaly, cycle []graph.Step) {
	steps := make([]graph.Step, len(cycle))
	for i, s := range cycle {
		steps[i] = graph.Step{From: c.orig[s.From], To: c.orig[s.To], Kind: s.Kind}
	}
	c.found.add(a, func() Finding { return describeCycle(c.h, c.why, steps) })
}

// describeCycle explains a cycle, one line for each edge.
func describeCycle(h *History, why explainer, cycle []graph.Step) Finding {
	f := Finding{Cycle: cycle}
	for _, s := range cycle {
		text, parts := explainStep(h, why, s)
		f.Lines = append(f.Lines, text+".")
		f.parts = append(f.parts, parts...)
		f.parts = append(f.parts, place{s.From, none}, place{s.To, none})
	}
	f.Summary = fmt.Sprintf("%d transactions each had to come before the next in a circle: %s", len(cycle), circle(h, cycle))
	return f
}

// circle prints the transactions of a cycle, those in the middle left out if
// it is long.
func circle(h *History, cycle []graph.Step) string {
	const most, ends = 24, 8
	var b strings.Builder
	b.WriteString(h.name(cycle[0].From))
	for i, s := range cycle {
		switch {
		case len(cycle) <= most || i < ends || i >= len(cycle)-ends:
			fmt.Fprintf(&b, " -%s→ %s", s.Kind, h.name(s.To))
		case i == ends:
			fmt.Fprintf(&b, " → (%d more) →", len(cycle)-2*ends)
		}
	}
	return b.String()
}

func explainStep(h *History, why explainer, s graph.Step) (string, []place) {
	a, b := &h.Txns[s.From], &h.Txns[s.To]
	switch s.Kind {
	case graph.SO:
		return fmt.Sprintf("process %d executed %s before %s", a.Process, h.name(s.From), h.name(s.To)), nil
	case graph.RT:
		at := ""
		if b.Start > a.End && b.Start > 0 {
			at = fmt.Sprintf(", %s before", b.Start-a.End)
		}
		return fmt.Sprintf("%s was complete (event %d) before %s was invoked (event %d)%s", h.name(s.From), a.Complete, h.name(s.To), b.Invoke, at), nil
	}
	return why.explain(s.From, s.To, s.Kind)
}
