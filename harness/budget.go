package harness

import (
	"slices"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/cluster"
)

// exceeded measures how far the faults of a run went beyond what the target
// tolerates: how many nodes were hit at once at most, and for how long in all
// more were hit than the target's budget allows. A node counts as hit while a
// fault has it among its victims, whatever the fault; for a partition of the
// whole cluster that is every node that it cuts off from any other.
//
// Beyond its budget a target need not serve. One whose budget says that it is
// safe must still do nothing wrong, and is judged as ever.
//
// Nodes that are free do not count.
func exceeded(windows []checkers.FaultWindow, down int, free map[string]bool) (most int, beyond time.Duration) {
	type edge struct {
		at   time.Duration
		step int
		node string
	}
	var edges []edge
	for _, w := range windows {
		for _, n := range w.Nodes {
			if free[n] {
				continue
			}
			edges = append(edges, edge{w.Start, 1, n}, edge{max(w.Start, w.End), -1, n})
		}
	}
	slices.SortStableFunc(edges, func(a, b edge) int {
		if a.at != b.at {
			return int(max(-1, min(1, a.at-b.at)))
		}
		return a.step - b.step // healed before hit anew: windows are half open
	})
	hit := map[string]int{}
	var last time.Duration
	for _, e := range edges {
		if len(hit) > down {
			beyond += e.at - last
		}
		last = e.at
		if hit[e.node] += e.step; hit[e.node] == 0 {
			delete(hit, e.node)
		}
		most = max(most, len(hit))
	}
	return most, beyond
}

// free returns the nodes that a budget does not count.
func (s Scenario) free(b cluster.Budget) map[string]bool {
	free := map[string]bool{}
	for _, g := range cluster.GroupsOf(s.Target, s.NodeNames()) {
		if slices.Contains(b.Free, g.Name) {
			for _, n := range g.Nodes {
				free[n] = true
			}
		}
	}
	return free
}
