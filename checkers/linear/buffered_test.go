package linear

import (
	"slices"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/history"
)

// legalByCuts tries all cuts: definition by definition, without a thought.
func legalByCuts(e *checkers.Evidence, legal func([]history.Operation) bool) bool {
	era := func(o *history.Operation) (n int) {
		for _, c := range e.Events {
			if c.Index < o.Call {
				n++
			}
		}
		return n
	}
	eras := make([][]history.Operation, len(e.Events)+1)
	for _, o := range e.Operations {
		if o.Outcome != history.Fail {
			eras[era(&o)] = append(eras[era(&o)], o)
		}
	}
	var from func(i int, before []history.Operation) bool
	from = func(i int, before []history.Operation) bool {
		now := append(slices.Clone(before), slices.DeleteFunc(slices.Clone(eras[i]), func(o history.Operation) bool { return o.F == Sync })...)
		if !legal(now) {
			return false
		}
		return i+1 == len(eras) || everyCut(eras[i], func(cut []history.Operation) bool { return from(i+1, append(slices.Clone(before), cut...)) })
	}
	return from(0, nil)
}

// everyCut calls try with each consistent cut of an era that has what was
// synced, until it reports true.
func everyCut(era []history.Operation, try func([]history.Operation) bool) bool {
	shares := make([]share, len(era))
	consistent := func() bool {
		for b := range era {
			synced := era[b].F == Sync && era[b].Outcome == history.OK
			if !synced && shares[b] == left {
				continue
			}
			for a := range era {
				if era[a].Outcome == history.OK && era[a].Return < era[b].Call && era[a].F != Sync && shares[a] != entire {
					return false
				}
			}
		}
		return true
	}
	var choose func(i int) bool
	choose = func(i int) bool {
		if i < len(era) {
			if era[i].F == Sync {
				return choose(i + 1)
			}
			for _, shares[i] = range []share{entire, invoked, left} {
				if (shares[i] != entire || era[i].Outcome == history.OK) && choose(i+1) {
					return true
				}
			}
			return false
		}
		if !consistent() {
			return false
		}
		var cut []history.Operation
		for i, o := range era {
			if shares[i] == invoked {
				o.Outcome, o.Output, o.Return = history.Info, history.Nil, -1
			}
			if shares[i] != left && o.F != Sync {
				cut = append(cut, o)
			}
		}
		return try(cut)
	}
	return choose(0)
}

func TestBufferedDurabilityIsJudgedAsTheDefinitionSays(t *testing.T) {
	objects := map[string]toy{"log": logToy}
	for name, toy := range crashToys {
		objects[name] = toy
	}
	for name, toy := range objects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := trials.Rand(62, uint64(len(name)))
			counts, lost, proofs, partial := map[string]int{}, 0, 0, 0
			n, legal := trials.Rounds(100_000), toy.legalByBruteForce
			if name == "log" {
				legal = legalLog
			}
			for round := range n {
				e := toy.forgetful(r, chaos{0, 1 + r.IntN(3), r.IntN(25), r.IntN(10), r.IntN(40)})
				v := toy.judge(t, BufferedDurableLinearizable, e, Options{Workers: 1}, round%4 > 0)
				counts[string(v.Verdict)]++
				if v.Verdict == checkers.Unknown {
					continue
				}
				if want := want(legalByCuts(e, legal)); v.Verdict != want {
					t.Fatalf("says %s (%s), the definition %s:\n%s%v", v.Verdict, v.Reason, want, show(e.Operations), e.Events)
				}
				if v.Verdict == checkers.Valid && !legal(withoutSync(e).Operations) {
					lost++
				}
				if v.Witness == nil {
					continue
				}
				if slices.ContainsFunc(v.Witness.Lines, func(line string) bool { return strings.HasPrefix(line, "What else") }) {
					partial++
					continue
				}
				alone := *e
				if alone.Operations = v.Witness.Operations; legalByCuts(&alone, legal) {
					t.Fatalf("the witness is legal by itself: %s\n%s\nof\n%s%v", strings.Join(v.Witness.Lines, "\n"), show(alone.Operations), show(e.Operations), e.Events)
				}
				proofs++
			}
			balanced(t, counts, n)
			if proofs < n/100 || partial > proofs/100 {
				t.Errorf("%d witnesses refute the model alone, %d do not", proofs, partial)
			}
			if lost < n/100 || counts["unknown"] > n/2 {
				t.Errorf("%d valid ones lost something, %d unknown: nothing was tested", lost, counts["unknown"])
			}
		})
	}
}

func TestSyncedOperationsSurviveAndThoseOfOtherKeysNeedNot(t *testing.T) {
	for _, c := range []struct {
		name string
		ops  []string
		key  string // of the sync
		want checkers.Validity
	}{
		{"lost without a sync", []string{"1 2 append 1 1 ok n1", "7 8 read null null ok n1"}, "", checkers.Valid},
		{"lost after a sync", []string{"1 2 append 1 1 ok n1", "3 4 sync null null ok n1", "7 8 read null null ok n1"}, "", checkers.Invalid},
		{"kept after a sync", []string{"1 2 append 1 1 ok n1", "3 4 sync null null ok n1", "7 8 read null [1] ok n1"}, "", checkers.Valid},
		{"lost after a sync of unknown outcome", []string{"1 2 append 1 1 ok n1", "3 -1 sync null null info n1", "7 8 read null null ok n1"}, "", checkers.Valid},
		{"open at the sync", []string{"1 4 append 1 1 ok n1", "2 3 sync null null ok n1", "7 8 read null null ok n1"}, "", checkers.Valid},
		{"lost after a sync of its key", []string{"1 2 append 1 1 ok n1", "3 4 sync null null ok n1", "7 8 read null null ok n1"}, "k", checkers.Invalid},
		{"lost after a sync of another key", []string{"1 2 append 1 1 ok n1", "3 4 sync null null ok n1", "7 8 read null null ok n1"}, "other", checkers.Valid},
		{"a suffix is lost", []string{"1 2 append 1 1 ok n1", "3 4 append 2 2 ok n1", "7 8 read null [1] ok n1"}, "", checkers.Valid},
		{"a prefix is lost", []string{"1 2 append 1 1 ok n1", "3 4 append 2 2 ok n1", "7 8 read null [2] ok n1"}, "", checkers.Invalid},
	} {
		e := recounted(t, c.ops, "5 *")
		for i := range e.Operations {
			o := &e.Operations[i]
			if o.Key = "k"; o.F == Sync {
				o.Key = c.key
			}
		}
		ch, err := ForModel(BufferedDurableLinearizable, "list", Object{}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if v := ch.Check(t.Context(), e); v.Verdict != c.want {
			t.Errorf("%s: %s (%s), want %s", c.name, v.Verdict, v.Reason, c.want)
		}
	}
}

func TestWitnessesSayWhyWhatIsMissingMustHaveSurvived(t *testing.T) {
	for _, c := range []struct {
		name      string
		ops       []string
		want      string // a line of the witness
		witnessed int    // operations
	}{
		{"a sync", []string{"1 2 append 1 1 ok n1", "3 4 append 2 2 ok n1", "4 5 sync null null ok n1", "6 7 sync null null ok n1", "9 10 read null [1] ok n1"},
			"The append at event 3 was of an earlier era: it must have survived, because it was acknowledged before the sync at event 6 began.", 3},
		{"what came after it", []string{"1 2 append 1 1 ok n1", "3 4 append 2 2 ok n1", "5 6 append 3 3 ok n1", "9 10 read null [2,3] ok n1"},
			"The append at event 1 was of an earlier era: it must have survived, because the append at event 5 began after it was acknowledged, and survived at least in part.", 3},
		{"found, and lost again", []string{"1 2 append 1 1 ok n1", "9 10 read null [1] ok n1", "11 12 read null [] ok n1"},
			"The append at event 1 was of an earlier era: the read at event 9 found it; when it took effect is open.", 3},
	} {
		ch, err := ForModel(BufferedDurableLinearizable, "list", Object{}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		v := ch.Check(t.Context(), recounted(t, c.ops, "8 *"))
		if v.Verdict != checkers.Invalid || len(v.Witness.Operations) != c.witnessed || !slices.Contains(v.Witness.Lines, c.want) {
			t.Errorf("%s: %s, %d operations, %s\nwant %s", c.name, v.Verdict, len(v.Witness.Operations), strings.Join(v.Witness.Lines, "\n"), c.want)
		}
	}
}

func TestCutsAreOfAllKeysTogether(t *testing.T) {
	e := recounted(t, []string{"1 2 append 1 1 ok n1", "3 4 append 1 1 ok n1", "7 8 read null null ok n1", "9 10 read null [1] ok n1"}, "5 *")
	for i, key := range []string{"x", "y", "x", "y"} {
		e.Operations[i].Key = key
	}
	ch, err := ForModel(BufferedDurableLinearizable, "list", Object{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if v := ch.Check(t.Context(), e); v.Verdict != checkers.Invalid || len(v.Witness.Lines) == 0 {
		t.Errorf("y survived and x, which came before it, did not: %s (%s)", v.Verdict, v.Reason)
	}
	e.Operations[2].Key, e.Operations[3].Key = "y", "x"
	if v := ch.Check(t.Context(), e); v.Verdict != checkers.Valid {
		t.Errorf("x survived and y, which came after it, did not: %s (%s)", v.Verdict, v.Reason)
	}
}

func TestWhatBuffersCannotDecideIsSaidByName(t *testing.T) {
	for _, c := range []struct {
		workload string
		ops      []string
		want     string
	}{
		{"register", []string{"1 2 write 1 1 ok n1", "3 4 write 1 1 ok n1", "7 8 read null 1 ok n1"}, "the value 1 of key x was found and set more than once, or there at first: which of them a crash undid cannot be told"},
		{"set", []string{"1 2 add 1 1 ok n1", "7 8 contains 1 true ok n1"}, "the contains at event 7: of sets, only those that grow and are read whole can be judged by buffered-durable-linearizable"},
		{"register", []string{"1 9 write 1 1 ok n1"}, "the write at event 1 was ok only after kill, a crash of the whole system at which it was open: such an operation belongs to neither era"},
	} {
		ch, err := ForModel(BufferedDurableLinearizable, c.workload, Object{}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if v := ch.Check(t.Context(), recounted(t, c.ops, "5 *")); v.Verdict != checkers.Unknown || v.Reason != c.want {
			t.Errorf("%s (%s), want %s", v.Verdict, v.Reason, c.want)
		}
	}
	_, err := ForModel(BufferedDurableLinearizable, "queue", Object{}, Options{})
	if err == nil || err.Error() != `linear: buffered-durable-linearizable cannot be decided for the workload "queue"; it can be for register, cas-register, kv, set, list, log` {
		t.Error(err)
	}
	if _, err := ForModel("durable", "queue", Object{}, Options{}); err == nil {
		t.Error("an unknown model is accepted")
	}
}
