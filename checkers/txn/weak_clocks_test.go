package txn

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cleancut/cleancut/checkers/txn/graph"
	"github.com/cleancut/cleancut/harness/rng"
)

// closure decides causal consistency of a history by its definition: with the
// transitive closure of sessions and reads, and an edge from every visible
// writer of a key to the one that was read from. It reports whether sessions
// and reads alone have a cycle, too.
func closure(in *weakInput) (holds, cyclic bool) {
	n := len(in.h.Txns)
	before := make([][]bool, n)
	for t := range before {
		before[t] = make([]bool, n)
	}
	for t := range n {
		if p := in.previous[t]; p >= 0 {
			before[p][t] = true
		}
		for _, from := range in.readFrom[in.readOff[t]:in.readOff[t+1]] {
			if from != in.initial() {
				before[from][t] = true
			}
		}
	}
	if close(before) {
		return false, true
	}
	commits := make([][]bool, n)
	for t := range before {
		commits[t] = slices.Clone(before[t])
	}
	for t := range n {
		for i := in.readOff[t]; i < in.readOff[t+1]; i++ {
			for u := range n {
				writer := in.readFrom[i]
				if int32(u) == writer || !before[u][t] || !slices.Contains(in.writes(int32(u)), in.readKey[i]) {
					continue
				}
				if writer == in.initial() {
					return false, false
				}
				commits[u][writer] = true
			}
		}
	}
	return !close(commits), false
}

// close makes a relation transitive, and reports whether it has a cycle.
func close(r [][]bool) bool {
	for k := range r {
		for i := range r {
			if r[i][k] {
				for j := range r {
					r[i][j] = r[i][j] || r[k][j]
				}
			}
		}
	}
	for i := range r {
		if r[i][i] {
			return true
		}
	}
	return false
}

// serialRegisters executes transactions of processes that are often retired
// on registers of which some are read for a while only, and lets a read now
// and then see what was overwritten a while ago.
func serialRegisters(r *rand.Rand, n int) *History {
	h := &History{Workload: RWRegister}
	values := map[int32][]Value{}
	process := []int{0, 1, 2, 3}
	for i := range n {
		p := r.IntN(len(process))
		t := Txn{ID: int64(i), Process: process[p], Invoke: int64(2 * i), Complete: int64(2*i + 1)}
		for range 1 + r.IntN(3) {
			key := int32(i/12*2) + r.Int32N(3)
			old := values[key]
			switch {
			case r.IntN(2) == 0:
				values[key] = append(old, Value(1000*int(key)+len(old)+1))
				t.Ops = append(t.Ops, Op{Kind: Write, Key: key, Value: values[key][len(old)]})
			case touched(t.Ops, key):
			case len(old) == 0:
				t.Ops = append(t.Ops, Op{Kind: Read, Key: key, Value: Nil})
			case r.IntN(6) == 0:
				t.Ops = append(t.Ops, Op{Kind: Read, Key: key, Value: old[r.IntN(len(old))]})
			default:
				t.Ops = append(t.Ops, Op{Kind: Read, Key: key, Value: old[len(old)-1]})
			}
		}
		if r.IntN(3) == 0 {
			t.Status = Info
			process[p] += 4
		}
		h.Txns = append(h.Txns, t)
	}
	return h
}

func TestColumnsOfEndedSessionsAreReusedAndCausalityStaysThatOfTheDefinition(t *testing.T) {
	r := rng.Stream(1, t.Name())
	var good, bad, circular, fewer int
	for range 6_000 {
		h := serialRegisters(r, 10+r.IntN(50))
		s, err := h.measure()
		if err != nil {
			t.Fatal(err)
		}
		g, err := newRegisters(h, s, &Options{Workload: RWRegister}, newFindings())
		if err != nil {
			t.Fatal(err)
		}
		if err := g.checkReads(context.Background()); err != nil {
			t.Fatal(err)
		}
		in := newWeakInput(h, s, g.committed, g, true)
		holds, cyclic := closure(in)
		w := &weakLevel{weakInput: in, level: levelCausal}
		err = w.infer(context.Background(), newMemory(1<<30))
		if errors.Is(err, errCyclic) != cyclic || err != nil && !cyclic {
			t.Fatalf("%v, cyclic %v%s", err, cyclic, h.text())
		}
		if cyclic {
			circular++
			continue
		}
		_, violated, err := w.violation(context.Background(), g, func(*graph.Builder) {}, newMemory(1<<30))
		if err != nil || violated == holds {
			t.Fatalf("violated %v, by the definition %v (%v)%s", violated, !holds, err, h.text())
		}
		if holds {
			good++
		} else {
			bad++
		}
		session, sessions, err := in.chains(in.bySession())
		if err != nil {
			t.Fatal(err)
		}
		w.memory = newMemory(1 << 30)
		c := newClocks(w, session, sessions)
		order, _ := w.topological(in.bySession())
		for _, txn := range order {
			c.visit(txn)
		}
		if len(c.columns) < sessions {
			fewer++
		}
	}
	t.Logf("%d hold, %d do not, %d are circular; %d with fewer columns than sessions", good, bad, circular, fewer)
	if min(good, bad) < 500 || fewer < 3_000 {
		t.Errorf("the histories are too much alike: %d hold, %d do not; %d with fewer columns than sessions", good, bad, fewer)
	}
}
