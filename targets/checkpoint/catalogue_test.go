package checkpoint

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/cleancut/cleancut/workloads/jobs"
)

// randomCandidates are states of processes that send each other messages at
// random; some workers have lost where they stand.
func randomCandidates(rng *rand.Rand, l links) [][]counts {
	n := len(l.tos)
	now, all := make([]counts, n), make([][]counts, n)
	for p := range n {
		now[p] = l.initial(p)
		all[p] = []counts{l.initial(p)}
	}
	keep := func(p int) {
		all[p] = append(all[p], counts{slices.Clone(now[p].sent), slices.Clone(now[p].received)})
	}
	for range rng.IntN(40) {
		p := rng.IntN(n)
		switch i := rng.IntN(len(l.tos[p])); rng.IntN(4) {
		case 0:
			keep(p)
		case 1:
			now[p].sent[i]++
		default:
			q := l.tos[p][i]
			k := slices.Index(l.froms[q], p)
			if now[q].received[k] < now[p].sent[i] {
				now[q].received[k]++
			}
		}
	}
	for p := range n {
		if rng.IntN(2) == 0 {
			keep(p)
		}
		if rng.IntN(8) == 0 {
			all[p] = all[p][1:] // the beginning was let go
		}
	}
	return all
}

// greatest is the recovery line by its definition: the greatest of all lines
// without orphans.
func greatest(l links, all [][]counts) (best []int) {
	line := make([]int, len(all))
	var each func(p int)
	each = func(p int) {
		if p < len(all) {
			for line[p] = range all[p] {
				each(p + 1)
			}
			return
		}
		for p := range all {
			for _, q := range l.tos[p] {
				if l.orphans(p, q, all[p][line[p]], all[q][line[q]]) {
					return
				}
			}
		}
		if best == nil {
			best = slices.Clone(line)
		}
		for p := range best {
			best[p] = max(best[p], line[p])
		}
	}
	each(0)
	return best
}

func TestTheRecoveryLineIsTheGreatestLineWithoutOrphans(t *testing.T) {
	moved, none := 0, 0
	for seed := range uint64(4000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		l := linksOf(jobs.Transfer{}, 2+rng.IntN(2))
		all := randomCandidates(rng, l)
		got, ok := l.recoveryLine(all)
		want := greatest(l, all)
		if ok != (want != nil) || ok && !slices.Equal(got, want) {
			t.Fatalf("seed %d: line %v, %v; the greatest is %v\n%v", seed, got, ok, want, all)
		}
		for p := range want {
			if want[p] < len(all[p])-1 {
				moved++
			}
		}
		if want == nil {
			none++
		}
	}
	if moved < 500 || none < 50 {
		t.Errorf("%d rollbacks and %d times no line: the patterns are too tame", moved, none)
	}
}

func TestTheCatalogueSurvivesItsEncodingAndRefusesWhatIsCutOff(t *testing.T) {
	e := entry{number: 10_002, txns: 3, result: 7, counts: counts{[]uint64{1, 2}, []uint64{3}}}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var got entry
	if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("%s reads as %+v, %v", b, got, err)
	}
	for _, bad := range []string{`[1,2,3]`, `[1,2,3,2,1]`, `{}`, `["1"]`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

// Two workers have two checkpoints each; whether the second ones fit decides
// what may be let go of and shown.
func TestOnlyWhatLiesBehindTheSafeLineIsLetGoAndShown(t *testing.T) {
	workers := []string{"a", "b"}
	for name, c := range map[string]struct {
		received uint64 // by b in its second checkpoint, of one message that a has sent in its second
		sent     uint64
		known    []int
		gone     []int
		shown    []int
	}{
		"they fit":                              {1, 1, []int{2, 2}, []int{1, 1}, []int{5, 5}},
		"an orphan":                             {1, 0, []int{2, 2}, []int{1, 0}, []int{5, 4}},
		"a does not know of its second":         {1, 1, []int{1, 2}, []int{0, 0}, []int{4, 4}},
		"b does not know that any of it counts": {1, 1, []int{2, 0}, []int{1, 0}, []int{5, 0}},
	} {
		l := ledger{Gone: make([]int, 2), Shown: make([]int, 2), Stable: make([][]entry, 2)}
		state := func(number, txns int, sent, received uint64) entry {
			return entry{number: number, txns: txns, counts: counts{[]uint64{sent}, []uint64{received}}}
		}
		l.Stable[0] = []entry{state(1, 4, 0, 0), state(2, 5, c.sent, 0)}
		l.Stable[1] = []entry{state(1, 4, 0, 0), state(2, 5, 0, c.received)}
		l.settle(linksOf(jobs.Transfer{}, 2), false, 1, workers, c.known)
		if !slices.Equal(l.Gone, c.gone) || !slices.Equal(l.Shown, c.shown) {
			t.Errorf("%s: gone %v, shown %v; want %v, %v", name, l.Gone, l.Shown, c.gone, c.shown)
		}
	}
}
