package txn

import (
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// openTails is the order of appends that nobody read, as far as it is open:
// which of two such appenders to a key came first. Snapshot isolation alone
// depends on it: at all other levels a graph without cycle that leaves it open
// suffices, but here writers of one key must not overlap.
type openTails struct {
	*lists
	pairs []tailPair
	keys  int
}

// tailPair are two transactions that appended to a key what nobody read.
type tailPair struct{ first, second, key int32 }

// newOpenTails pairs the appenders of each tail that lie in one component;
// all others are ordered as the components are. It reports false if that
// takes more than so many pairs.
func newOpenTails(l *lists, components [][]int32, most int) (*openTails, bool) {
	t := &openTails{lists: l}
	if len(components) == 0 {
		return t, true
	}
	component := make([]int32, l.txns) // from 1
	for i, c := range components {
		for _, v := range c {
			if int(v) < l.txns {
				component[v] = int32(i + 1)
			}
		}
	}
	for k, tail := range l.tails() {
		before := len(t.pairs)
		for i, a := range tail.appenders {
			if component[a] == 0 {
				continue
			}
			for _, b := range tail.appenders[i+1:] {
				if component[a] == component[b] {
					if len(t.pairs) == most {
						return t, false
					}
					t.pairs = append(t.pairs, tailPair{a, b, int32(k)})
				}
			}
		}
		if len(t.pairs) > before {
			t.keys++
		}
	}
	return t, true
}

func (t *openTails) Choices() int { return len(t.pairs) }

func (t *openTails) Side(choice int32, second bool, f func(graph.Step)) {
	p := t.pairs[choice]
	if second {
		p.first, p.second = p.second, p.first
	}
	f(graph.Step{From: p.first, To: p.second, Kind: graph.WW})
}

func (t *openTails) key(choice int32) int32 { return t.pairs[choice].key }

func (t *openTails) words(choice int32, second bool) string {
	p := t.pairs[choice]
	if second {
		p.first, p.second = p.second, p.first
	}
	return fmt.Sprintf("what %s appended to key %s came before what %s appended, which nobody read either", t.h.name(p.first), t.h.KeyName(p.key), t.h.name(p.second))
}

// assumes reports that each version is by itself, and ordered by nothing.
func (t *openTails) assumes(graph.Refuted) (atomic, timed bool) { return false, false }

func (t *openTails) evidence(choice int32) []place {
	p := t.pairs[choice]
	return append(t.unread(p.first, p.key), t.unread(p.second, p.key)...)
}

// unread returns an append of a transaction to a key that nobody read, and
// what shows that it was committed.
func (t *openTails) unread(txn, key int32) (parts []place) {
	t.eachUnread(txn, func(p place) bool {
		if t.op(p).Key == key {
			parts = append(t.commitOf(p), p)
		}
		return parts == nil
	})
	return parts
}

// explain knows the edges between unread appends, too.
func (t *openTails) explain(a, b int32, k graph.Kind) (string, []place) {
	text, parts := t.lists.explain(a, b, k)
	if parts != nil || k != graph.WW {
		return text, parts
	}
	first := map[int32]place{} // of each key, the first append by a that nobody read
	t.eachUnread(a, func(p place) bool {
		if _, met := first[t.op(p).Key]; !met {
			first[t.op(p).Key] = p
		}
		return true
	})
	t.eachUnread(b, func(q place) bool {
		y := t.op(q)
		p, ok := first[y.Key]
		if ok {
			text = fmt.Sprintf("%s appended %s and %s appended %s to key %s, and nobody read either; in this order, %s came before %s", t.h.name(a), t.h.ValueName(t.op(p).Value),
				t.h.name(b), t.h.ValueName(y.Value), t.h.KeyName(y.Key), t.h.name(a), t.h.name(b))
			parts = slices.Concat(t.commitOf(p), []place{p}, t.commitOf(q), []place{q})
		}
		return !ok
	})
	return text, parts
}

// eachUnread calls f for the appends of a transaction that nobody read, until
// it returns false.
func (t *openTails) eachUnread(txn int32, f func(place) bool) {
	for j := range t.h.Txns[txn].Ops {
		p := place{txn, int32(j)}
		if t.op(p).Kind == Append && t.pos[t.numberOf(p)] < 0 && !f(p) {
			return
		}
	}
}
