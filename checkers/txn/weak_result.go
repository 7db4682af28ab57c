package txn

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// weak decides the weak levels that are asked for; the error says why one of
// them could not be.
func (r *run) weak(ctx context.Context, w observer, committed []bool, versions func(b *graph.Builder)) (first error) {
	for _, m := range r.o.Models {
		if rules[m].level >= levelMAV && ctx.Err() == nil {
			first = cmp.Or(first, r.weakModel(ctx, m, w, committed, versions))
		}
	}
	return cmp.Or(first, ctx.Err())
}

func (r *run) weakModel(ctx context.Context, m Model, w observer, committed []bool, versions func(b *graph.Builder)) error {
	r.a.Algorithm += ", inferred order of commits"
	if err := r.memory.take(r.size.weakBytes(), "the weak levels"); err != nil {
		return err
	}
	in := newWeakInput(r.h, r.size, committed, w, rules[m].order == processOrder)
	lvl := &weakLevel{weakInput: in, level: rules[m].level}
	err := lvl.infer(ctx, r.memory)
	if errors.Is(err, errCyclic) {
		return nil // the graph has shown G1c or G1c-process
	}
	if err != nil {
		return err
	}
	f, ok, err := lvl.violation(ctx, w, versions, r.memory)
	if ok {
		r.found.add(FracturedRead, func() Finding { return f })
		r.a.refuted[m] = true
	}
	return err
}

// violation returns a cycle in the order of commits, if there is one.
func (w *weakLevel) violation(ctx context.Context, why observer, versions func(b *graph.Builder), m *memory) (Finding, bool, error) {
	for _, e := range w.edges {
		if e.second == w.initial() {
			return w.initialRead(e, why), true, nil
		}
	}
	edges := len(w.edges) + len(w.readFrom) + 2*len(w.writeKey) + len(w.h.Txns)
	if err := m.take(int64(edges)*(edgeBytes+builtBytes)+2*int64(len(w.h.Txns)+1)*nodeBytes, "the graph of the order of commits, of %d edges", edges); err != nil {
		return Finding{}, false, err
	}
	b := graph.NewBuilder(len(w.h.Txns)+1, edges)
	for t, p := range w.previous {
		if p >= 0 {
			b.Edge(p, int32(t), graph.SO)
		}
		for i := w.readOff[t]; i < w.readOff[t+1]; i++ {
			if from := w.readFrom[i]; from != w.initial() {
				b.Edge(from, int32(t), graph.WR)
			}
		}
	}
	for _, e := range w.edges {
		b.Edge(e.first, e.second, graph.CO)
	}
	versions(b)
	g := b.Build()
	components := g.Components(graph.All)
	if len(components) == 0 {
		return Finding{}, false, ctx.Err()
	}
	nodes := int64(0)
	for _, c := range components {
		nodes += int64(len(c))
	}
	if err := m.take(8*int64(g.Nodes())+nodes*nodeBytes+int64(g.Edges())*(edgeBytes+builtBytes)+maxTried*nodes*(2*5+8)+24*int64(len(w.h.Txns)), "the search for a cycle of commits through %d transactions", nodes); err != nil {
		return Finding{}, false, err
	}
	sub, original := g.Induce(components)
	f := w.describe(ctx, shortestThrough(ctx, sub, original), why)
	return f, true, ctx.Err()
}

// maxTried bounds from how many transactions a shortest cycle is sought.
const maxTried = 64

func shortestThrough(ctx context.Context, g *graph.Graph, original []int32) []graph.Step {
	var best []graph.Step
	for v := int32(0); v < min(g.Real, maxTried) && (best == nil || ctx.Err() == nil); v++ {
		if c := g.Through(v, graph.All); best == nil || c != nil && len(c) < len(best) {
			best = c
		}
	}
	for i := range best {
		best[i].From, best[i].To = original[best[i].From], original[best[i].To]
	}
	return best
}

// describe explains a cycle, unless the context ends.
func (w *weakLevel) describe(ctx context.Context, cycle []graph.Step, why observer) Finding {
	f := Finding{Cycle: cycle}
	reasons := w.reasons(cycle)
	for _, s := range cycle {
		if ctx.Err() != nil {
			return f
		}
		var text string
		var parts []place
		if s.Kind == graph.CO {
			text, parts = w.explainCO(reasons[s], why)
		} else {
			text, parts = explainStep(w.h, why, s)
		}
		f.Lines = append(f.Lines, text+".")
		f.parts = append(f.parts, parts...)
		f.parts = append(f.parts, place{s.From, none}, place{s.To, none})
	}
	f.Summary = fmt.Sprintf("%d transactions each had to be committed before the next in a circle: %s", len(cycle), circle(w.h, cycle))
	return f
}

// reasons finds for each inferred step of a cycle the first edge that says so.
func (w *weakLevel) reasons(cycle []graph.Step) map[graph.Step]inferred {
	reasons, sought := map[graph.Step]inferred{}, map[graph.Step]bool{}
	for _, s := range cycle {
		sought[s] = s.Kind == graph.CO
	}
	for _, e := range w.edges {
		s := graph.Step{From: e.first, To: e.second, Kind: graph.CO}
		if _, known := reasons[s]; sought[s] && !known {
			reasons[s] = e
		}
	}
	return reasons
}

// explainCO says why a transaction must be committed before another.
func (w *weakLevel) explainCO(e inferred, why observer) (string, []place) {
	seen, parts := w.visible(e, why)
	parts = append(parts, w.ops(e.first, e.key, false)...)
	parts = append(parts, w.readOf(e, why)...)
	return fmt.Sprintf("%s read key %s as %s wrote it, although %s, which wrote it too, was visible to it (%s), so %s was committed before %s",
		w.h.name(e.reader), w.h.KeyName(e.key), w.h.name(e.second), w.h.name(e.first), seen, w.h.name(e.first), w.h.name(e.second)), parts
}

func (w *weakLevel) initialRead(e inferred, why observer) Finding {
	seen, parts := w.visible(e, why)
	parts = append(parts, w.ops(e.first, e.key, false)...)
	parts = append(parts, w.readOf(e, why)...)
	key := w.h.KeyName(e.key)
	return Finding{
		Summary: fmt.Sprintf("%s read key %s as it was before anybody wrote it, although %s, which wrote it, was visible to it", w.h.name(e.reader), key, w.h.name(e.first)),
		Lines:   []string{fmt.Sprintf("%s was visible to %s: %s.", w.h.name(e.first), w.h.name(e.reader), seen)},
		Key:     key, parts: parts,
	}
}

// ops returns the micro-operations of a transaction on a key: its reads, or
// its writes.
func (w *weakLevel) ops(t, key int32, reads bool) []place {
	var parts []place
	for j := range w.h.Txns[t].Ops {
		if o := &w.h.Txns[t].Ops[j]; o.Key == key && (o.Kind == Read) == reads {
			parts = append(parts, place{t, int32(j)})
		}
	}
	return parts
}

// readOf returns the read of an inferred edge.
func (w *weakLevel) readOf(e inferred, why observer) []place {
	var parts []place
	why.observe(e.reader, func(op, writer int32) {
		if writer == e.second && w.h.Txns[e.reader].Ops[op].Key == e.key {
			parts = append(parts, place{e.reader, op})
		}
	})
	return parts
}

// visible says how the first transaction of an inferred edge is visible to
// the reader: by a chain of sessions and reads, at the weakest level by a read
// that comes before that of the edge.
func (w *weakLevel) visible(e inferred, why observer) (string, []place) {
	if w.level == levelMAV {
		var parts []place
		why.observe(e.reader, func(op, writer int32) {
			if writer == e.first && len(parts) == 0 {
				parts = append(parts, place{e.reader, op})
			}
		})
		return fmt.Sprintf("%s had read from %s before", w.h.name(e.reader), w.h.name(e.first)), parts
	}
	chain := w.chain(e.first, e.reader)
	var text []string
	var parts []place
	for _, s := range chain {
		step, p := explainStep(w.h, why, s)
		text = append(text, step)
		parts = append(parts, p...)
		parts = append(parts, place{s.From, none}, place{s.To, none})
	}
	return join(text), parts
}

// chain returns a shortest chain of sessions and reads from one transaction
// to another, sought backwards.
func (w *weakLevel) chain(from, to int32) []graph.Step {
	if w.next == nil {
		w.next = make([]link, len(w.h.Txns)+1)
	}
	w.round++
	w.queue = append(w.queue[:0], to)
	reach := func(u, t int32, k graph.Kind) {
		if u >= 0 && u != w.initial() && u != to && w.next[u].round != w.round {
			w.next[u] = link{w.round, t, k}
			w.queue = append(w.queue, u)
		}
	}
	for i := 0; i < len(w.queue) && w.next[from].round != w.round; i++ {
		t := w.queue[i]
		reach(w.previous[t], t, graph.SO)
		for i := w.readOff[t]; i < w.readOff[t+1]; i++ {
			reach(w.readFrom[i], t, graph.WR)
		}
	}
	var steps []graph.Step
	for at := from; at != to; at = w.next[at].to {
		if w.next[at].round != w.round {
			return nil
		}
		s := graph.Step{From: at, To: w.next[at].to, Kind: w.next[at].kind}
		if last := len(steps) - 1; last >= 0 && s.Kind == graph.SO && steps[last].Kind == graph.SO {
			steps[last].To = s.To // what a process did in between explains nothing
		} else {
			steps = append(steps, s)
		}
	}
	return steps
}

// link is a step of a chain that is sought.
type link struct {
	round, to int32
	kind      graph.Kind
}
