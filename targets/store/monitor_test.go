package store

import (
	"strings"
	"testing"
)

// saw is a fact of a node.
type saw struct {
	node string
	f    Fact
}

func started(n string) saw { return saw{n, Fact{Kind: FactStarted}} }
func appended(n string, index, term, prev, data uint64) saw {
	return saw{n, Fact{Kind: FactAppended, Index: index, Term: term, PrevTerm: prev, Data: data}}
}
func leads(n string, term uint64) saw { return saw{n, Fact{Kind: FactElected, Term: term}} }
func applied(n string, index, term, data, state, known uint64) saw {
	return saw{n, Fact{Kind: FactApplied, Index: index, Term: term, Data: data, State: state, Known: known}}
}
func restored(n string, index, term, state, known uint64) saw {
	return saw{n, Fact{Kind: FactRestored, Index: index, Term: term, State: state, Known: known}}
}
func began(n string, read uint64) saw { return saw{n, Fact{Kind: FactReadBegan, Read: read}} }
func served(n string, read, index, applied uint64) saw {
	return saw{n, Fact{Kind: FactReadServed, Read: read, Index: index, Applied: applied}}
}

// Each sequence is accepted up to its last fact. The last fact is accepted or
// found to violate the invariant, with a text that has the given part.
func TestInvariants(t *testing.T) {
	for _, c := range []struct {
		what      string
		invariant string // "" for none
		part      string
		facts     []saw
	}{
		{"two terms, two leaders", "", "", []saw{leads("a", 1), leads("b", 2)}},
		{"one term, two leaders", "election safety", "which a leads already", []saw{leads("a", 1), leads("b", 1)}},
		{"one term, one leader, seen twice", "", "", []saw{leads("a", 1), leads("a", 1)}},

		{"equal logs", "", "", []saw{started("a"), started("b"), appended("a", 1, 1, 0, 7), appended("b", 1, 1, 0, 7)}},
		{"one entry, two contents", "log matching", "digest 8", []saw{started("a"), started("b"), appended("a", 1, 1, 0, 7), appended("b", 1, 1, 0, 8)}},
		{"other term, other content", "", "", []saw{started("a"), started("b"), appended("a", 1, 1, 0, 7), appended("b", 1, 2, 0, 8)}},
		{"equal entries after different ones", "log matching", "after term 2", []saw{started("a"), started("b"), appended("a", 2, 3, 1, 7), appended("b", 2, 3, 2, 7)}},

		{"a leader with all that is committed", "", "", []saw{
			started("a"), started("b"), appended("a", 1, 1, 0, 7), applied("a", 1, 1, 7, 1, 1), appended("b", 1, 1, 0, 7), leads("b", 2)}},
		{"a leader with a short log", "leader completeness", "ends at 0", []saw{
			started("a"), started("b"), appended("a", 1, 1, 0, 7), applied("a", 1, 1, 7, 1, 1), leads("b", 2)}},
		{"a leader of the term of the commitment", "", "", []saw{
			started("a"), started("b"), appended("a", 1, 1, 0, 7), applied("a", 1, 1, 7, 1, 2), leads("b", 2)}},
		{"a leader with another entry", "leader completeness", "entry 1 of term 2", []saw{
			started("a"), started("b"), appended("a", 1, 1, 0, 7), applied("a", 1, 1, 7, 1, 1), appended("b", 1, 2, 0, 7), leads("b", 3)}},
		{"a leader that overwrote its log in time", "", "", []saw{
			started("a"), started("b"), appended("a", 1, 1, 0, 7), applied("a", 1, 1, 7, 1, 1),
			appended("b", 1, 2, 0, 7), appended("b", 1, 1, 0, 7), appended("b", 2, 3, 1, 0), leads("b", 3)}},
		{"a leader that has it in a snapshot", "", "", []saw{
			started("a"), applied("a", 1, 1, 7, 1, 1), {"b", Fact{Kind: FactReset, Index: 1, Term: 1}}, leads("b", 2)}},
		{"a leader that lost it in a crash", "leader completeness", "ends at 0", []saw{
			started("a"), started("b"), appended("b", 1, 1, 0, 7), applied("a", 1, 1, 7, 1, 1), started("b"), leads("b", 2)}},

		{"equal entries applied", "", "", []saw{started("a"), started("b"), applied("a", 1, 1, 7, 5, 1), applied("b", 1, 1, 7, 5, 1)}},
		{"different entries applied", "state machine safety", "digest 8", []saw{started("a"), started("b"), applied("a", 1, 1, 7, 5, 1), applied("b", 1, 1, 8, 5, 1)}},
		{"different states", "state machine safety", "has state 6", []saw{started("a"), started("b"), applied("a", 1, 1, 7, 5, 1), applied("b", 1, 1, 7, 6, 1)}},
		{"a gap", "state machine safety", "after entry 0", []saw{started("a"), applied("a", 2, 1, 7, 5, 1)}},
		{"a snapshot of the state", "", "", []saw{started("a"), applied("a", 1, 1, 7, 5, 1), started("b"), restored("b", 1, 1, 5, 1), started("b")}},
		{"a snapshot of another state", "state machine safety", "has state 6", []saw{started("a"), applied("a", 1, 1, 7, 5, 1), started("b"), restored("b", 1, 1, 6, 1)}},

		{"a fresh read", "", "", []saw{started("a"), applied("a", 1, 1, 7, 5, 1), began("b", 9), served("b", 9, 1, 1)}},
		{"a read that began before", "", "", []saw{began("b", 9), started("a"), applied("a", 1, 1, 7, 5, 1), served("b", 9, 0, 0)}},
		{"a stale read", "read index", "although 1 had been applied", []saw{started("a"), applied("a", 1, 1, 7, 5, 1), began("b", 9), served("b", 9, 0, 1)}},
		{"a read served too early", "read index", "only up to 0", []saw{started("a"), applied("a", 1, 1, 7, 5, 1), began("b", 9), served("b", 9, 1, 0)}},
	} {
		monitors := New().Monitors([]string{"a", "b"})
		for i, s := range c.facts {
			for _, m := range monitors {
				err := m.Observe(0, s.node, &s.f)
				wanted := i == len(c.facts)-1 && m.Name() == c.invariant
				if (err != nil) != wanted || err != nil && !strings.Contains(err.Error(), c.part) {
					t.Errorf("%s: fact %d: %s says %v", c.what, i, m.Name(), err)
				}
			}
		}
	}
}

func TestMonitorsForgetWhatHasLeftTheirWindow(t *testing.T) {
	monitors := New().Monitors(nil)
	observe := func(s saw) {
		t.Helper()
		for _, m := range monitors {
			if err := m.Observe(0, s.node, &s.f); err != nil {
				t.Fatalf("%s: %v", m.Name(), err)
			}
		}
	}
	observe(started("a"))
	for i := uint64(1); i <= 3*window; i++ {
		observe(appended("a", i, i, i-1, i))
		observe(applied("a", i, i, i, i, i))
		observe(leads("a", i))
	}
	observe(started("b"))
	observe(applied("b", 1, 9, 9, 9, 9)) // too old to be compared
	if l := monitors[0].(*electionSafety); len(l.leaders) > window+1 {
		t.Errorf("%d terms are remembered", len(l.leaders))
	}
	if l := monitors[2].(*leaderCompleteness).logs["a"]; len(l.terms) > 2*window+1 {
		t.Errorf("%d entries are remembered", len(l.terms))
	}
}

func BenchmarkMonitors(b *testing.B) {
	monitors := New().Monitors(nil)
	f := Fact{}
	for i := range b.N {
		n := uint64(i)
		for _, k := range []FactKind{FactAppended, FactApplied} {
			f = Fact{Kind: k, Index: n + 1, Term: 1, PrevTerm: min(n, 1), Data: n, State: n}
			for _, m := range monitors {
				if err := m.Observe(0, "a", &f); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
