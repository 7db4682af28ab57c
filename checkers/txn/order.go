package txn

import (
	"cmp"
	"slices"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// addOrder adds the edges of the order that a model keeps among the committed
// transactions, and reports whether there is any.
func addOrder(b *graph.Builder, h *History, committed []bool, o order) bool {
	switch o {
	case processOrder:
		before := b.Len()
		for t, p := range sessions(h, committed) {
			if p >= 0 {
				b.Edge(p, int32(t), graph.SO)
			}
		}
		return b.Len() > before
	case realtimeOrder:
		return addRealtime(b, h, committed)
	}
	return false
}

// processSteps returns the order of processes among the nodes of a part of the
// graph. The part must hold whatever lies between two of its nodes.
func processSteps(h *History, committed []bool, orig []int32) []graph.Step {
	number := make([]int32, len(h.Txns)) // from 1
	for i, v := range orig {
		if int(v) < len(h.Txns) {
			number[v] = int32(i + 1)
		}
	}
	var steps []graph.Step
	for t, p := range sessions(h, committed) {
		if p >= 0 && number[p] > 0 && number[t] > 0 {
			steps = append(steps, graph.Step{From: number[p] - 1, To: number[t] - 1, Kind: graph.SO})
		}
	}
	return steps
}

// sessions returns for each committed transaction the last ok transaction of
// its process that was complete before it was invoked, or none. A transaction
// of unknown outcome comes after others of its process, but no other after it.
func sessions(h *History, committed []bool) []int32 {
	byInvoke := make([]int32, 0, len(h.Txns))
	ordered := true
	for i := range h.Txns {
		if committed[i] {
			if n := len(byInvoke); n > 0 && h.Txns[byInvoke[n-1]].Invoke > h.Txns[i].Invoke {
				ordered = false
			}
			byInvoke = append(byInvoke, int32(i))
		}
	}
	if !ordered {
		slices.SortStableFunc(byInvoke, func(a, b int32) int { return cmp.Compare(h.Txns[a].Invoke, h.Txns[b].Invoke) })
	}
	previous := make([]int32, len(h.Txns))
	for i := range previous {
		previous[i] = none
	}
	// A process that issues one transaction at a time has its last ok one
	// here; of one that does not, the one that was complete first, so that no
	// edge claims too much.
	latest := map[int]int32{}
	for _, t := range byInvoke {
		txn := &h.Txns[t]
		p, ok := latest[txn.Process]
		follows := ok && h.Txns[p].Complete < txn.Invoke
		if follows {
			previous[t] = p
		}
		if txn.Status == OK && txn.Complete >= 0 && (!ok || follows) {
			latest[txn.Process] = t
		}
	}
	return previous
}

// addRealtime adds an edge of kind RT from each transaction to all that were
// invoked after it was complete, by way of a chain of auxiliary nodes: one for
// each run of completions that no invocation divides.
func addRealtime(b *graph.Builder, h *History, committed []bool) bool {
	events := eventOrder(h, committed)
	chain, used := int32(none), false
	open := false // the chain's end still takes completions
	for _, e := range events {
		t := e >> 1
		if e&1 == 0 { // invocation
			if chain >= 0 {
				b.Edge(chain, t, graph.RT)
				used = true
			}
			open = false
			continue
		}
		if !open {
			next := b.Node()
			if chain >= 0 {
				b.Edge(chain, next, graph.RT)
			}
			chain, open = next, true
		}
		b.Edge(t, chain, graph.RT)
	}
	return used
}

// eventOrder returns the events of the committed transactions in order:
// 2·transaction for its invocation, and 2·transaction+1 for the completion of
// an ok one.
func eventOrder(h *History, committed []bool) []int32 {
	most, n := int64(-1), 0
	for i := range h.Txns {
		if committed[i] {
			n += 2
			most = max(most, h.Txns[i].Invoke, h.Txns[i].Complete)
		}
	}
	if most < int64(4*n+1024) { // place by index
		at := make([]int32, most+1)
		var events []int32
		unplaced := false
		put := func(index int64, e int32) {
			if at[index] != 0 {
				unplaced = true
			}
			at[index] = e + 1
		}
		for i := range h.Txns {
			t := &h.Txns[i]
			if !committed[i] {
				continue
			}
			if t.Invoke >= 0 {
				put(t.Invoke, int32(2*i))
			}
			if t.Status == OK && t.Complete >= 0 {
				put(t.Complete, int32(2*i+1))
			}
		}
		if !unplaced {
			events = at[:0]
			for _, e := range at {
				if e > 0 {
					events = append(events, e-1)
				}
			}
			return events
		}
	}
	return sortedEvents(h, committed, n)
}

// sortedEvents is eventOrder for indices that are sparse or repeated; of
// events with the same index invocations come first, so that they overlap.
func sortedEvents(h *History, committed []bool, n int) []int32 {
	events := make([]int32, 0, n)
	index := func(e int32) int64 {
		if e&1 == 0 {
			return h.Txns[e>>1].Invoke
		}
		return h.Txns[e>>1].Complete
	}
	for i := range h.Txns {
		if !committed[i] {
			continue
		}
		if h.Txns[i].Invoke >= 0 {
			events = append(events, int32(2*i))
		}
		if h.Txns[i].Status == OK && h.Txns[i].Complete >= 0 {
			events = append(events, int32(2*i+1))
		}
	}
	slices.SortStableFunc(events, func(a, b int32) int {
		return cmp.Or(cmp.Compare(index(a), index(b)), cmp.Compare(a&1, b&1))
	})
	return events
}
