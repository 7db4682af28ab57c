package checkers

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Convergence judges whether all nodes ended up in the same state: after
// everything was healed, no client wrote any more and the nodes had time to
// settle, each must have applied the same entries (Status.Applied) and have
// the same state (Status.StateHash). Nodes that have applied equally much and
// differ in state are invalid without regard to the others.
//
// A node that gave no status although others did is invalid, too: it never
// came back. The verdict is unknown if no node gave a status, if a status has
// no hash, or if the run was cut short before the nodes had their time to
// settle.
//
// It does not check that the common state is the right one: that is for the
// final reads.
func Convergence() Checker {
	return Func("convergence", func(_ context.Context, e *Evidence) Verdict { return convergence(e.Finals) })
}

func convergence(finals []Final) Verdict {
	v := Verdict{Algorithm: "comparison"}
	var lines, absent, hashless []string
	hashes := map[uint64][]string{} // applied → hashes
	for _, f := range finals {
		switch {
		case f.Err != "":
			absent = append(absent, f.Node)
			lines = append(lines, fmt.Sprintf("node %s gave no status: %s", f.Node, f.Err))
			continue
		case f.Status.StateHash == "":
			hashless = append(hashless, f.Node)
		}
		lines = append(lines, fmt.Sprintf("node %s (%s) applied %d entries, state %s", f.Node, f.Status.Role, f.Status.Applied, short(f.Status.StateHash)))
		if h := hashes[f.Status.Applied]; !slices.Contains(h, f.Status.StateHash) {
			hashes[f.Status.Applied] = append(h, f.Status.StateHash)
		}
	}
	invalid := func(class, reason string) Verdict {
		v.Verdict, v.Reason = Invalid, reason
		v.Witness = &Witness{Class: class, Summary: reason, Lines: lines}
		return v
	}
	switch {
	case len(finals) == 0:
		v.Verdict, v.Reason = Unknown, "no node was asked for its final state"
		return v
	case slices.ContainsFunc(finals, func(f Final) bool { return f.Unsettled }):
		v.Verdict, v.Reason = Unknown, "the run was cut short before the nodes had time to settle"
		return v
	case len(absent) == len(finals):
		v.Verdict, v.Reason = Unknown, "no node gave its final state: "+lines[0]
		return v
	case len(hashless) > 0:
		v.Verdict, v.Reason = Unknown, "no state hash from "+strings.Join(hashless, ", ")
		return v
	}
	for applied, h := range sortedHashes(hashes) {
		if len(h) > 1 {
			return invalid("divergence", fmt.Sprintf("nodes that have applied the same %d entries are in %d different states", applied, len(h)))
		}
	}
	switch {
	case len(absent) > 0:
		return invalid("node did not return", fmt.Sprintf("%s gave no status after everything was healed", strings.Join(absent, ", ")))
	case len(hashes) > 1:
		return invalid("lagging node", "not all nodes have applied the same entries, although everything was healed and nothing is written any more")
	}
	v.Verdict = Valid
	v.Reason = fmt.Sprintf("all %d nodes applied %d entries and are in the same state", len(finals), finals[0].Status.Applied)
	return v
}

// sortedHashes yields the groups in order of how much they have applied.
func sortedHashes(hashes map[uint64][]string) func(yield func(uint64, []string) bool) {
	return func(yield func(uint64, []string) bool) {
		var all []uint64
		for applied := range hashes {
			all = append(all, applied)
		}
		slices.Sort(all)
		for _, applied := range all {
			if !yield(applied, hashes[applied]) {
				return
			}
		}
	}
}

func short(hash string) string {
	if len(hash) > 12 {
		return hash[:12]
	}
	return hash
}
