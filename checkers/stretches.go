package checkers

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// Stretch is a time in which no fault began or ended.
type Stretch struct {
	From, To time.Duration
	Hit      []string // the nodes that are victims of faults in force, in order
}

// Stretches divides the time from the first fault on at every instant at which
// one begins or ends; the last one has no end. A node counts as hit while a fault
// has it among its victims, whatever the fault; for a partition of the whole
// cluster that is every node that it cuts off from any other. One that is
// damaged for good (history.Byzantine) stays hit. Nodes that are free do not
// count.
func Stretches(faults []FaultWindow, free map[string]bool) (list []Stretch) {
	type edge struct {
		at   time.Duration
		step int
		node string
	}
	var edges []edge
	for _, f := range faults {
		end := max(f.Start, f.End)
		if f.Model == history.Byzantine {
			end = history.Never
		}
		edges = append(edges, edge{at: f.Start}, edge{at: end})
		for _, n := range f.Nodes {
			if !free[n] {
				edges = append(edges, edge{f.Start, 1, n}, edge{end, -1, n})
			}
		}
	}
	slices.SortStableFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.step, b.step)) })
	hit := map[string]int{}
	for i, e := range edges {
		if hit[e.node] += e.step; hit[e.node] == 0 {
			delete(hit, e.node)
		}
		next := history.Never
		if i+1 < len(edges) {
			next = edges[i+1].at
		}
		if e.at < next {
			list = append(list, Stretch{e.at, next, slices.Sorted(maps.Keys(hit))})
		}
	}
	return list
}
