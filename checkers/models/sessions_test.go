package models

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// run judges operations.
func run(c checkers.Checker, ops []history.Operation) checkers.Verdict {
	return c.Check(context.Background(), &checkers.Evidence{Operations: ops})
}

// tiny is a history of registers for the oracles: ops[p] are those of process
// p in order; a value is that of one write, 0 the initial one.
type tiny struct {
	process, key, value int
	write               bool
}

func randomTiny(r *rand.Rand) (list []tiny) {
	processes, keys, n := 2+r.IntN(2), 1+r.IntN(2), 3+r.IntN(4)
	written := [2][]int{{0}, {0}}
	next := 1
	for range n {
		o := tiny{process: r.IntN(processes), key: r.IntN(keys), write: r.IntN(2) == 0}
		if o.write {
			o.value = next
			next++
			written[o.key] = append(written[o.key], o.value)
		}
		list = append(list, o)
	}
	for i := range list {
		if o := &list[i]; !o.write {
			o.value = written[o.key][r.IntN(len(written[o.key]))]
		}
	}
	return list
}

func (o tiny) operation(i int) history.Operation {
	op := history.Operation{
		Process: o.process, F: Read, Key: fmt.Sprint(o.key), Output: history.Int(int64(o.value)), Outcome: history.OK,
		Call: int64(2 * i), Return: int64(2*i + 1),
	}
	if o.write {
		op.F, op.Input = Write, op.Output
	}
	return op
}

// reach is the transitive closure of a relation on the operations of a tiny
// history.
func reach(n int, related func(a, b int) bool) [][]bool {
	m := make([][]bool, n)
	for a := range m {
		m[a] = make([]bool, n)
		for b := range m[a] {
			m[a][b] = related(a, b)
		}
	}
	for k := range m {
		for a := range m {
			for b := range m {
				m[a][b] = m[a][b] || m[a][k] && m[k][b]
			}
		}
	}
	return m
}

// orders calls f with every permutation of list until it returns true.
func orders(list []int, f func([]int) bool) bool {
	var rec func(k int) bool
	rec = func(k int) bool {
		if k == len(list) {
			return f(list)
		}
		for i := k; i < len(list); i++ {
			list[k], list[i] = list[i], list[k]
			if rec(k + 1) {
				return true
			}
			list[k], list[i] = list[i], list[k]
		}
		return false
	}
	return rec(0)
}

// explains replays operations in an order.
func explains(h []tiny, order []int) bool {
	var now [2]int
	for _, i := range order {
		if h[i].write {
			now[h[i].key] = h[i].value
		} else if now[h[i].key] != h[i].value {
			return false
		}
	}
	return true
}

func keepsSessions(h []tiny, order []int) bool {
	for a := range order {
		for b := a + 1; b < len(order); b++ {
			if h[order[a]].process == h[order[b]].process && order[a] > order[b] {
				return false
			}
		}
	}
	return true
}

func sequentialOracle(h []tiny) bool {
	all := make([]int, len(h))
	for i := range all {
		all[i] = i
	}
	return orders(all, func(o []int) bool { return keepsSessions(h, o) && explains(h, o) })
}

func pramOracle(h []tiny) bool {
	for p := range 3 {
		var mine []int
		for i, o := range h {
			if o.write || o.process == p {
				mine = append(mine, i)
			}
		}
		if !orders(mine, func(o []int) bool { return keepsSessions(h, o) && explains(h, o) }) {
			return false
		}
	}
	return true
}

// guaranteeOracle computes the visible writes from the words of each
// guarantee, and tries every arbitration.
func guaranteeOracle(h []tiny, g Guarantee) bool {
	session := func(a, b int) bool { return a < b && h[a].process == h[b].process }
	from := func(a, b int) bool {
		return h[a].write && !h[b].write && h[a].key == h[b].key && h[a].value == h[b].value
	}
	leads := map[Guarantee]func(a, b int) bool{
		ReadYourWrites:    func(a, b int) bool { return from(a, b) },
		MonotonicReads:    func(a, b int) bool { return from(a, b) || session(a, b) && !h[a].write && !h[b].write },
		MonotonicWrites:   func(a, b int) bool { return from(a, b) || session(a, b) && h[a].write == h[b].write },
		WritesFollowReads: func(a, b int) bool { return from(a, b) || session(a, b) && !h[a].write },
		Causal:            func(a, b int) bool { return from(a, b) || session(a, b) },
		CausalConvergent:  func(a, b int) bool { return from(a, b) || session(a, b) },
	}[g]
	m := reach(len(h), leads)
	visible := func(w, r int) bool {
		return m[w][r] || g == ReadYourWrites && session(w, r)
	}
	var writes []int
	for i := range h {
		if m[i][i] {
			return false
		}
		if h[i].write {
			writes = append(writes, i)
		}
	}
	explained := func(r int, arbitration []int) bool {
		last := 0
		for _, w := range arbitration {
			if visible(w, r) && h[w].key == h[r].key {
				last = h[w].value
			}
		}
		return last == h[r].value
	}
	keeps := func(arbitration []int) bool {
		for a := range arbitration {
			for b := a + 1; b < len(arbitration); b++ {
				if m[arbitration[b]][arbitration[a]] {
					return false
				}
			}
		}
		return true
	}
	if g == Causal { // each read may have an arbitration of its own
		for r := range h {
			if !h[r].write && !orders(writes, func(o []int) bool { return keeps(o) && explained(r, o) }) {
				return false
			}
		}
		return true
	}
	return orders(writes, func(o []int) bool {
		if !keeps(o) {
			return false
		}
		for r := range h {
			if !h[r].write && !explained(r, o) {
				return false
			}
		}
		return true
	})
}

func TestSessionsAgreeWithTheirDefinitionsOnSmallHistories(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	n := 100_000
	if testing.Short() {
		n = 5_000
	}
	rejected, undecided := map[string]int{}, 0
	for range n {
		h := randomTiny(r)
		var ops []history.Operation
		for i, o := range h {
			ops = append(ops, o.operation(i))
		}
		compare := func(c checkers.Checker, want bool) {
			got := run(c, ops)
			if got.Verdict == checkers.Unknown && c.Name() == "sequential" {
				undecided++
				return
			}
			if (got.Verdict == checkers.Valid) != want {
				t.Fatalf("%s: we say %s (%s), the definition says %v\n%+v", c.Name(), got.Verdict, got.Reason, want, h)
			}
			if !want {
				rejected[c.Name()]++
				if got.Witness == nil || len(got.Witness.Operations) == 0 {
					t.Fatalf("%s: no witness for %+v", c.Name(), h)
				}
				if again := run(c, got.Witness.Operations); again.Verdict != checkers.Invalid {
					t.Fatalf("%s: the witness alone is %s (%s)\n%v\nof %+v", c.Name(), again.Verdict, again.Reason, got.Witness.Operations, h)
				}
			}
		}
		zero := history.Int(0)
		for _, g := range []Guarantee{ReadYourWrites, MonotonicReads, MonotonicWrites, WritesFollowReads, Causal, CausalConvergent} {
			compare(Session(g, zero), guaranteeOracle(h, g))
		}
		compare(PRAM(zero), pramOracle(h))
		compare(Sequential(zero), sequentialOracle(h))
	}
	t.Logf("%d histories; rejected: %v; sequential undecided: %d", n, rejected, undecided)
	for _, name := range []string{"read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads", "causal", "causal-convergent", "pram", "sequential"} {
		if rejected[name] == 0 {
			t.Errorf("no history was rejected by %s", name)
		}
	}
	if undecided > n/100 {
		t.Errorf("%d of %d histories were left undecided", undecided, n)
	}
}
