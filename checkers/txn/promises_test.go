package txn

import (
	"context"
	"maps"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/rng"
)

// keepsPromise reports, by brute force, whether some serial order explains all
// reads and lets each key's versions come as those who met them follow each
// other, in real time or in each process.
func keepsPromise(h *History, byProcess bool) bool {
	used := make([]bool, len(h.Txns))
	var try func(order []int, state map[int32]Value) bool
	try = func(order []int, state map[int32]Value) bool {
		missing := false
		for t := range h.Txns {
			missing = missing || !used[t] && h.Txns[t].Status == OK
		}
		if !missing && ordered(h, order, byProcess) {
			return true
		}
		for t := range h.Txns {
			if used[t] || h.Txns[t].Status == Fail {
				continue
			}
			next, fits := maps.Clone(state), true
			for _, o := range h.Txns[t].Ops {
				if now, written := next[o.Key]; o.Kind == Write {
					next[o.Key] = o.Value
				} else if h.Txns[t].Status == OK {
					fits = fits && (written && now == o.Value || !written && o.Value == Nil)
				}
			}
			if used[t] = fits; fits && try(append(order[:len(order):len(order)], t), next) {
				return true
			}
			used[t] = false
		}
		return false
	}
	return try(nil, map[int32]Value{})
}

// ordered reports whether, if transactions are executed in that order, each
// meets no version of a key that is older than one met before it.
func ordered(h *History, order []int, byProcess bool) bool {
	type met struct {
		txn, first, last int // by position among all versions
		read             bool
	}
	position, touches := map[elementOf]int{}, map[int32][]met{}
	for _, t := range order {
		now := map[int32]met{}
		for _, o := range h.Txns[t].Ops {
			e := elementOf{o.Key, o.Value}
			m, before := now[o.Key]
			switch {
			case o.Kind == Write:
				position[e] = len(position) + 1
				// Of several writes the last one is met, but by who read first.
				if m.last = position[e]; !m.read {
					m.first = m.last
				}
			case before || h.Txns[t].Status != OK:
				continue
			default:
				m.first, m.last, m.read = position[e], position[e], true
			}
			m.txn = t
			now[o.Key] = m
		}
		for key, m := range now {
			touches[key] = append(touches[key], m)
		}
	}
	for _, list := range touches {
		for _, x := range list {
			for _, y := range list {
				a, b := &h.Txns[x.txn], &h.Txns[y.txn]
				if a.Status == OK && a.Complete < b.Invoke && (!byProcess || a.Process == b.Process) && x.last > y.first {
					return false
				}
			}
		}
	}
	return true
}

func TestPromisesAboutKeysAgreeWithBruteForce(t *testing.T) {
	r := rng.Stream(12+trials.Seed(), t.Name())
	count := map[checkers.Validity]int{}
	for i := range trials.Rounds(30_000) {
		h := drawnHistory(r, RWRegister, 5)
		if i%2 == 0 {
			h = randomHistory(r, RWRegister, 5)
		}
		o := Options{Workload: RWRegister, Models: []Model{Serializable}, LinearizableKeys: i%3 > 0, SequentialKeys: i%3 == 0, WFRKeys: i%5 == 0}
		a := Analyze(context.Background(), h, o)
		count[a.Verdict]++
		if kept := keepsPromise(h, i%3 == 0); a.Verdict == checkers.Invalid && kept || a.Verdict == checkers.Valid && !kept {
			t.Fatalf("%+v: %s: %s, and by brute force %t%s", o, a.Verdict, a.Reason, kept, h.text())
		}
		for _, f := range a.Findings {
			if again := Analyze(context.Background(), f.Witness, o); again.Verdict != checkers.Invalid {
				t.Fatalf("%+v: the witness of %s is %s: %s %v%s\nof%s", o, f.Anomaly, again.Verdict, f.Summary, f.Lines, f.Witness.text(), h.text())
			}
		}
	}
	if n := trials.Rounds(1_000); count[checkers.Valid] < n || count[checkers.Invalid] < n {
		t.Errorf("the histories are too much alike: %v", count)
	}
	t.Log(count)
}
