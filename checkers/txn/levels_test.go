package txn

import (
	"context"
	"slices"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/rng"
)

// listed are the levels that an analysis lists as refuted and that can be
// judged.
func listed(a *Analysis) map[Model]bool {
	set := map[Model]bool{}
	for _, m := range slices.Concat(a.Not, a.AlsoNot) {
		if _, ok := rules[m]; ok {
			set[m] = true
		}
	}
	return set
}

// lenient says why the oracle may refuse a level that is not refuted: it
// knows lists as prefixes of one order only, and those that dirty reads see
// are none; read uncommitted allows them.
func lenient(a *Analysis, m Model) bool {
	return rules[m].level == levelPL1 && a.Count[IncompatibleOrder]+a.Count[G1a] > 0
}

func testLevels(t *testing.T, w Workload, n int, asked func(i int) []Model, exact bool) {
	r := rng.Stream(4, t.Name())
	count := map[bool]int{}
	for i := range n {
		h := randomHistory(r, w, 4)
		a := Analyze(context.Background(), h, Options{Workload: w, Models: asked(i)})
		not := listed(a)
		for _, m := range Models() {
			if !exact && !not[m] {
				continue
			}
			holds := judge(h, m)
			count[holds]++
			switch {
			case not[m] && holds:
				t.Fatalf("%s is listed as refuted (%v, %v), but it holds%s", m, a.Not, a.Count, h.text())
			case exact && !not[m] && !holds && !lenient(a, m):
				t.Fatalf("%s is not listed as refuted (%v, %v), but it does not hold%s", m, a.Not, a.Count, h.text())
			}
		}
		for _, m := range a.Not {
			for _, w := range a.Not {
				if m != w && m.implies(w) {
					t.Fatalf("%s is listed among the weakest, though it implies %s", m, w)
				}
			}
		}
	}
	t.Logf("%d levels hold, %d do not", count[true], count[false])
	if count[false] < n/4 {
		t.Errorf("the histories are too much alike: %v", count)
	}
}

func everyModel(int) []Model { return Models() }

func oneModel(i int) []Model { return Models()[i%len(Models()):][:1] }

func TestListedLevelsOfListsAreExactlyThoseThatDoNotHold(t *testing.T) {
	testLevels(t, ListAppend, 4_000, everyModel, true)
}

func TestListedLevelsOfRegistersAreExactlyThoseThatDoNotHold(t *testing.T) {
	testLevels(t, RWRegister, 4_000, everyModel, true)
}

func TestListedLevelsDoNotHoldWhateverIsAskedFor(t *testing.T) {
	for _, w := range []Workload{ListAppend, RWRegister} {
		t.Run(w.String(), func(t *testing.T) { testLevels(t, w, 10_000, oneModel, false) })
	}
}

func TestOrderOfProcessesCountsBesideThatOfRealTime(t *testing.T) {
	lines := []string{`0 ok: [:append :x 1]`, `0 ok: [:r :x nil]`, `1 ok: [:r :x [1]]`}
	both := Options{Models: []Model{StrongSessionSerializable, StrongReadUncommitted}}
	a := Analyze(context.Background(), script(t, ListAppend, lines...), both)
	if !slices.Contains(a.Types, GSingleItem+processSuffix) {
		t.Errorf("%s: %v (%s)", a.Verdict, a.Types, a.Reason)
	}
	lines[1] = `2 ok: [:r :x nil]`
	if a := Analyze(context.Background(), script(t, ListAppend, lines...), both); a.Verdict != checkers.Valid {
		t.Errorf("another process is %s: %s", a.Verdict, a.Reason)
	}
}
