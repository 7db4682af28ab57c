package checkers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers/internal/trials"
)

// convergenceOracle follows the comment of Convergence word by word, over all
// pairs of nodes.
func convergenceOracle(finals []Final) (v Validity, class string) {
	some := func(holds func(a, b Final) bool) bool {
		for _, a := range finals {
			for _, b := range finals {
				if holds(a, b) {
					return true
				}
			}
		}
		return false
	}
	told := func(f Final) bool { return f.Err == "" && f.Status.StateHash != "" }
	switch {
	case some(func(a, _ Final) bool { return a.Unsettled }):
		return Unknown, ""
	case !some(func(a, _ Final) bool { return a.Err == "" }):
		return Unknown, ""
	case some(func(a, b Final) bool {
		return told(a) && told(b) && a.Status.Applied == b.Status.Applied && a.Status.StateHash != b.Status.StateHash
	}):
		return Invalid, "divergence"
	case some(func(a, _ Final) bool { return a.Err != "" && a.Process == ProcessDown }):
		return Invalid, "node did not return"
	case some(func(a, b Final) bool { return told(a) && told(b) && a.Status.Applied != b.Status.Applied }):
		return Invalid, "lagging node"
	case some(func(a, _ Final) bool { return !told(a) }):
		return Unknown, ""
	}
	return Valid, ""
}

func drawFinals(r *rand.Rand) (finals []Final) {
	odd := 1 + r.IntN(6) // how seldom something is odd
	for i := range r.IntN(6) {
		f := final(fmt.Sprintf("n%d", i), 9, "aa")
		if r.IntN(odd) == 0 {
			f.Status.Applied -= uint64(r.IntN(3))
		}
		if r.IntN(odd) == 0 {
			f.Status.StateHash = []string{"", "aa", "bb"}[r.IntN(3)]
		}
		if r.IntN(3*odd) == 0 {
			f = Final{Node: f.Node, Err: "connection refused", Process: []Process{ProcessDown, ProcessSilent, ProcessUnknown}[r.IntN(3)]}
		}
		f.Unsettled = r.IntN(8*odd) == 0
		finals = append(finals, f)
	}
	return finals
}

func TestConvergenceAgreesWithItsDefinitionOnRandomStates(t *testing.T) {
	t.Parallel()
	r := trials.Rand(13, 1)
	counts := map[Validity]int{}
	judge := func(finals []Final) Verdict {
		return Convergence().Check(context.Background(), &Evidence{Finals: finals})
	}
	for range trials.Rounds(100_000) {
		finals := drawFinals(r)
		got := judge(finals)
		want, class := convergenceOracle(finals)
		counts[want]++
		if got.Verdict != want || got.Witness != nil && got.Witness.Class != class || len(got.Measures) > 0 {
			t.Fatalf("%s (%s), by the definition %s (%s)\n%+v", got.Verdict, got.Reason, want, class, finals)
		}
		d := slices.Clone(finals)
		for i := range d {
			d[i].Node, d[i].Status.Role, d[i].Status.Node = d[i].Node+"x", "leader", d[i].Node+"x"
			if d[i].Status.StateHash != "" {
				d[i].Status.StateHash = "the state " + d[i].Status.StateHash
			}
		}
		if len(d) > 0 {
			twin := d[r.IntN(len(d))]
			twin.Node = "twin"
			d = append(d, twin)
		}
		r.Shuffle(len(d), func(i, j int) { d[i], d[j] = d[j], d[i] })
		if again := judge(d); again.Verdict != want || again.Witness != nil && again.Witness.Class != class {
			t.Fatalf("renamed, in another order and with a twin: %s (%s), before %s (%s)\n%+v", again.Verdict, again.Reason, want, class, finals)
		}
		switch want {
		case Valid:
			brokenConvergence(t, r, finals)
		case Invalid:
			namesEveryNode(t, got, finals)
		}
	}
	if t.Logf("%v", counts); len(counts) < 3 {
		t.Errorf("one-sided: %v", counts)
	}
}

// brokenConvergence changes one node of several that converged.
func brokenConvergence(t *testing.T, r *rand.Rand, finals []Final) {
	if len(finals) < 2 {
		return
	}
	for class, change := range map[string]func(f *Final){
		"divergence":          func(f *Final) { f.Status.StateHash += "0" },
		"lagging node":        func(f *Final) { f.Status.Applied++ },
		"node did not return": func(f *Final) { f.Err, f.Process = "no process", ProcessDown },
		"":                    func(f *Final) { f.Status.StateHash = "" },
		"silent":              func(f *Final) { f.Err, f.Process = "no answer", ProcessSilent },
		"unreachable":         func(f *Final) { f.Err = "no route to host" },
	} {
		d := slices.Clone(finals)
		change(&d[r.IntN(len(d))])
		v := Convergence().Check(context.Background(), &Evidence{Finals: d})
		undecided := class == "" || class == "silent" || class == "unreachable"
		if undecided && v.Verdict != Unknown || !undecided && (v.Verdict != Invalid || v.Witness.Class != class) {
			t.Fatalf("changed to %q: %s (%s)\n%+v", class, v.Verdict, v.Reason, d)
		}
	}
}

// namesEveryNode wants every node in the witness, and in its summary those that
// are out of step.
func namesEveryNode(t *testing.T, v Verdict, finals []Final) {
	for i, f := range finals {
		named := strings.Contains(v.Witness.Lines[i], "node "+f.Node+" ")
		if f.Process == ProcessDown && v.Witness.Class == "node did not return" {
			named = named && strings.Contains(v.Witness.Summary, f.Node)
		}
		if f.Err == "" && f.Status.StateHash != "" && v.Witness.Class == "lagging node" {
			named = named && strings.Contains(v.Witness.Summary, f.Node)
		}
		if !named {
			t.Fatalf("%s is not named: %+v", f.Node, v.Witness)
		}
	}
}
