package faults

import (
	"slices"
	"testing"
	"time"
)

// A drawing that asks for a crash leaves plans alone that have one, and adds
// one of the group to the others.
func TestEveryPlanCrashesSomebodyIfThatIsAskedFor(t *testing.T) {
	const nodes, length = 7, 15 * time.Second
	plain := Drawing{Swarm: true, Pairs: true, Points: []string{"a", "b"}}
	sure := plain
	sure.Crash = "workers"
	added := 0
	for seed := range uint64(300) {
		was, is := plain.Draw(seed, nodes, length), sure.Draw(seed, nodes, length)
		if err := sure.Validate(); err != nil {
			t.Fatal(err)
		}
		if is.End() > length {
			t.Fatalf("seed %d: a plan of %v in %v", seed, is.End(), length)
		}
		if parsed, err := Parse(is.String()); err != nil || parsed.String() != is.String() {
			t.Fatalf("seed %d: %s: %v", seed, is, err)
		}
		certain := slices.ContainsFunc(is, func(s Step) bool {
			return s.When.Point == "" && !s.When.Then && slices.Contains([]string{"kill", "reboot", "power-loss"}, s.Fault.Name())
		})
		switch {
		case !certain:
			t.Errorf("seed %d: nobody crashes in %s", seed, is)
		case len(is) == len(was)+1:
			added++
		case is.String() != was.String():
			t.Errorf("seed %d: %s became %s", seed, was, is)
		}
	}
	if added == 0 || added == 300 {
		t.Errorf("a crash was added to %d of 300 plans", added)
	}
	sure.Crash = "one:workers"
	if sure.Validate() == nil {
		t.Error("a group that is no name is accepted")
	}
}
