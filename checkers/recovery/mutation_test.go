package recovery

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

// mutate changes a line of an accepted record, or drops or repeats or moves
// one.
func mutate(rng *rand.Rand, lines []string) []string {
	out := slices.Clone(lines)
	i, j := rng.IntN(len(out)), rng.IntN(len(out))
	switch rng.IntN(4) {
	case 0:
		return slices.Delete(out, i, i+1)
	case 1:
		return slices.Insert(out, j, out[i])
	case 2: // the events of two lines trade places, each with the other's time
		ti, ri, _ := strings.Cut(out[i], ",")
		tj, rj, _ := strings.Cut(out[j], ",")
		out[i], out[j] = ti+","+rj, tj+","+ri
	default: // a field of another line
		parts, others := strings.Split(strings.Trim(out[i], "{}\n"), ","), strings.Split(strings.Trim(out[j], "{}\n"), ",")
		parts[rng.IntN(len(parts))] = others[rng.IntN(len(others))]
		out[i] = "{" + strings.Join(parts, ",") + "}\n"
	}
	return out
}

// A mutated record is an error that names a line, or is judged: no model
// panics, and each invalid has a witness whose lines are events of the record.
func TestMutationsOfAcceptedRecordsAreErrorsOrVerdicts(t *testing.T) {
	n := 20_000
	if testing.Short() {
		n = 2000
	}
	count := map[checkers.Validity]int{}
	refused := 0
	for _, file := range []string{"rounds", "independent"} {
		lines := strings.SplitAfter(strings.TrimSuffix(text(t, file), "\n"), "\n")
		lines[len(lines)-1] += "\n"
		for seed := range uint64(n) {
			rng := rand.New(rand.NewPCG(seed, 9))
			mutant := mutate(rng, lines)
			for range rng.IntN(2) {
				mutant = mutate(rng, mutant)
			}
			events, _, err := record.Read(strings.NewReader(strings.Join(mutant, "")), record.Limits{Line: 4096})
			if err != nil {
				if refused++; !strings.HasPrefix(err.Error(), "line ") {
					t.Fatalf("the error names no line: %v", err)
				}
				continue
			}
			list, _ := Checkers(Options{}, "all")
			for _, c := range list {
				v := c.Check(t.Context(), &checkers.Evidence{Record: events})
				count[v.Verdict]++
				if v.Reason == "" || v.Verdict == checkers.Invalid && (v.Witness == nil || v.Witness.Class == "" || len(v.Witness.Lines) == 0) {
					t.Fatalf("%s: %+v\n%s", c.Name(), v, strings.Join(mutant, ""))
				}
			}
		}
	}
	t.Logf("%d refused, verdicts %v", refused, count)
	if refused == 0 || count[checkers.Valid] == 0 || count[checkers.Invalid] == 0 || count[checkers.Unknown] == 0 {
		t.Error("one of the outcomes never came up")
	}
}

// What is told of a process in another order, relative to other processes at
// the same moments, gives the same verdicts: only times and the order of each
// process count.
func TestTheOrderOfLinesOfDifferentProcessesDoesNotMatter(t *testing.T) {
	events, _, err := record.Read(strings.NewReader(text(t, "rounds")), record.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	byProc := slices.Clone(events)
	slices.SortStableFunc(byProc, func(a, b record.Event) int { return strings.Compare(a.Proc, b.Proc) })
	for _, name := range Names() {
		list, _ := Checkers(Options{}, name)
		a, b := list[0].Check(t.Context(), &checkers.Evidence{Record: events}), list[0].Check(t.Context(), &checkers.Evidence{Record: byProc})
		if a.Verdict != b.Verdict {
			t.Errorf("%s: %s, and by process %s: %s", name, a.Verdict, b.Verdict, b.Reason)
		}
	}
}
