package checkers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Convergence judges whether all nodes ended up in the same state: after
// everything was healed, no client wrote any more and the nodes had time to
// settle, each must have applied the same entries (Status.Applied) and have
// the same state (Status.StateHash).
//
// It is unknown if the run was cut short before the nodes had their time to
// settle, or if no node gave a status. Else it is invalid, the first of these
// being named, if nodes that have applied equally much differ in state; if a
// node gave no status, although others did: it never came back; if nodes have
// not applied equally much. A status without a hash tells nothing of the
// former and the latter: where nothing is invalid without it, the verdict is
// unknown.
//
// It does not check that the common state is the right one: that is for the
// final reads. Evidence does not tell when the nodes were asked, so that a
// witness has no times.
func Convergence() Checker {
	return Func("convergence", func(_ context.Context, e *Evidence) Verdict { return convergence(e.Finals) })
}

func convergence(finals []Final) Verdict {
	v := Verdict{Algorithm: "comparison"}
	var lines, absent, hashless []string
	states := map[uint64]*group{} // by how much was applied
	for _, f := range finals {
		if f.Err != "" {
			absent = append(absent, f.Node)
			lines = append(lines, fmt.Sprintf("node %s gave no status: %s", f.Node, f.Err))
			continue
		}
		lines = append(lines, fmt.Sprintf("node %s (%s) applied %d entries, state %s", f.Node, f.Status.Role, f.Status.Applied, short(f.Status.StateHash)))
		if f.Status.StateHash == "" {
			hashless = append(hashless, f.Node)
			continue
		}
		g := states[f.Status.Applied]
		if g == nil {
			g = &group{applied: f.Status.Applied}
			states[f.Status.Applied] = g
		}
		g.add(f)
	}
	sorted := slices.SortedFunc(maps.Values(states), func(a, b *group) int { return cmp.Compare(a.applied, b.applied) })
	invalid := func(class, reason string) Verdict {
		v.Verdict, v.Reason = Invalid, reason
		v.Witness = &Witness{Class: class, Summary: reason, Lines: lines}
		return v
	}
	unknown := func(reason string) Verdict {
		v.Verdict, v.Reason = Unknown, reason
		return v
	}
	switch {
	case len(finals) == 0:
		return unknown("no node was asked for its final state")
	case slices.ContainsFunc(finals, func(f Final) bool { return f.Unsettled }):
		return unknown("the run was cut short before the nodes had time to settle")
	case len(absent) == len(finals):
		return unknown("no node gave its final state: " + lines[0])
	}
	for _, g := range sorted {
		if len(g.hashes) > 1 {
			return invalid("divergence", fmt.Sprintf("nodes that have applied the same %d entries are in %d different states: %s", g.applied, len(g.hashes), strings.Join(g.nodes, ", ")))
		}
	}
	switch {
	case len(absent) > 0:
		return invalid("node did not return", fmt.Sprintf("%s gave no status after everything was healed", strings.Join(absent, ", ")))
	case len(sorted) > 1:
		var parts []string
		for _, g := range sorted {
			parts = append(parts, fmt.Sprintf("%s applied %d", strings.Join(g.nodes, ", "), g.applied))
		}
		return invalid("lagging node", "not all nodes have applied the same entries, although everything was healed and nothing is written any more: "+strings.Join(parts, "; "))
	case len(hashless) > 0:
		return unknown("no state hash from " + strings.Join(hashless, ", "))
	}
	v.Verdict = Valid
	v.Reason = fmt.Sprintf("all %d nodes applied %d entries and are in the same state", len(finals), sorted[0].applied)
	return v
}

// group are nodes that have applied equally much, and their different states.
type group struct {
	applied       uint64
	nodes, hashes []string
}

func (g *group) add(f Final) {
	g.nodes = append(g.nodes, f.Node)
	if !slices.Contains(g.hashes, f.Status.StateHash) {
		g.hashes = append(g.hashes, f.Status.StateHash)
	}
}

func short(hash string) string {
	if len(hash) > 12 {
		return hash[:12]
	}
	return hash
}
