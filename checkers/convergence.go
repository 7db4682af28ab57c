package checkers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/harness/history"
)

// Convergence judges whether all nodes ended up in the same state: after
// everything was healed, no client wrote any more and the nodes had time to
// settle, each must have applied the same entries (Status.Applied) and have
// the same state (Status.StateHash).
//
// It is unknown if the run was cut short before the nodes had their time to
// settle, or if no node gave a status. Else it is invalid, the first of these
// being named, if nodes that have applied equally much differ in state; if the
// process of a node certainly does not run, although others gave a status: it
// never came back; if nodes have not applied equally much. A node that gave no
// status although its process runs, or of which nothing is known, tells nothing
// of the latter, nor does a status without a hash: where nothing is invalid
// without it, the verdict is unknown. (A node that never answers is for
// Liveness to judge.) That a node is down or behind is Conditional: trouble of
// the harness excuses it.
//
// It does not check that the common state is the right one: that is for the
// final reads.
func Convergence() Checker {
	return Func("convergence", func(_ context.Context, e *Evidence) Verdict {
		absent := e.Absent(func(n string) bool {
			return slices.ContainsFunc(e.Finals, func(f Final) bool { return f.Node == n })
		})
		v := convergence(e.Finals)
		if v.Verdict == Valid && len(absent) > 0 {
			return Verdict{Verdict: Unknown, Algorithm: v.Algorithm, Reason: strings.Join(absent, ", ") + " left no account of the final state; of the others, " + v.Reason}
		}
		return v
	})
}

func convergence(finals []Final) Verdict {
	v := Verdict{Algorithm: "comparison"}
	var lines, down, absent, hashless []string
	states := map[uint64]*group{} // by how much was applied
	for i := range finals {
		f := &finals[i]
		if f.Err != "" {
			lines = append(lines, f.silence())
			if f.Process == ProcessDown {
				down = append(down, f.Node)
			} else {
				absent = append(absent, f.silence())
			}
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
		g.add(*f)
	}
	sorted := slices.SortedFunc(maps.Values(states), func(a, b *group) int { return cmp.Compare(a.applied, b.applied) })
	invalid := func(class, reason string) Verdict {
		v.Verdict, v.Reason = Invalid, reason
		v.Witness = &Witness{Class: class, Summary: reason, Lines: lines, Conditional: class != "divergence"}
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
	case len(down)+len(absent) == len(finals):
		return unknown("no node gave its final state: " + lines[0])
	}
	for _, g := range sorted {
		if len(g.hashes) > 1 {
			return invalid("divergence", fmt.Sprintf("nodes that have applied the same %d entries are in %d different states: %s", g.applied, len(g.hashes), strings.Join(g.nodes, ", ")))
		}
	}
	switch {
	case len(down) > 0:
		return invalid("node did not return", fmt.Sprintf("the process of %s does not run, although everything was healed", strings.Join(down, ", ")))
	case len(sorted) > 1:
		var parts []string
		for _, g := range sorted {
			parts = append(parts, fmt.Sprintf("%s applied %d", strings.Join(g.nodes, ", "), g.applied))
		}
		return invalid("lagging node", "not all nodes have applied the same entries, although everything was healed and nothing is written any more: "+strings.Join(parts, "; "))
	case len(absent) > 0:
		return unknown("whether all nodes agree cannot be told: " + strings.Join(absent, "; "))
	case len(hashless) > 0:
		return unknown("no state hash from " + strings.Join(hashless, ", "))
	}
	v.Verdict = Valid
	v.Reason = fmt.Sprintf("all %d nodes applied %d entries and are in the same state", len(finals), sorted[0].applied)
	return v
}

// silence says how often a node was asked in vain, and what came instead.
func (f *Final) silence() string {
	text := "node " + f.Node + " gave no status"
	if f.Tries > 1 {
		text += fmt.Sprintf(" in %d tries from %s to %s", f.Tries, history.At(f.Asked), history.At(f.Until))
	}
	switch f.Process {
	case ProcessDown:
		text += ", its process does not run"
	case ProcessSilent:
		text += ", although its process runs"
	}
	return text + ": " + f.Err
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
