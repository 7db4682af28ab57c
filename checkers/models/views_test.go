package models

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/history"
)

// lagging draws a history of registers of which each process has a copy: writes
// come to the copies of others later, in their order for each process, and
// take the place of what is there, or only of what was written earlier. A few
// reads return something else.
func lagging(r *rand.Rand) []tiny {
	processes, keys := 2+r.IntN(3), 1+r.IntN(3)
	n := 10 + r.IntN(31)
	latest, odd, lag := r.IntN(2) == 0, r.IntN(3) == 0, 1+r.IntN(6)
	sent := make([][]tiny, processes)   // writes of each process
	arrived := make([][]int, processes) // at a process, of those of each other one
	copies := make([][]int, processes)  // key → value
	written := make([][]int, keys)      // values
	for p := range processes {
		arrived[p], copies[p] = make([]int, processes), make([]int, keys)
	}
	apply := func(p int, w tiny) {
		if !latest || copies[p][w.key] < w.put {
			copies[p][w.key] = w.put
		}
	}
	var h []tiny
	for v := 1; len(h) < n; v++ {
		p := r.IntN(processes)
		for q := range processes {
			for q != p && arrived[p][q] < len(sent[q]) && r.IntN(lag) == 0 {
				apply(p, sent[q][arrived[p][q]])
				arrived[p][q]++
			}
		}
		o := tiny{process: p, key: r.IntN(keys), f: Read, outcome: history.OK}
		if o.returned = copies[p][o.key]; r.IntN(2) == 0 {
			o.f, o.put = Write, v
			if r.IntN(5) == 0 && o.returned != 0 {
				o.f = CAS
			}
			sent[p] = append(sent[p], o)
			written[o.key] = append(written[o.key], v)
			apply(p, o)
		} else if odd && r.IntN(15) == 0 && len(written[o.key]) > 0 {
			o.returned = written[o.key][r.IntN(len(written[o.key]))]
		}
		h = append(h, o)
	}
	return h
}

// circular reports whether a relation has a cycle.
func circular(m [][]bool) bool {
	for i := range m {
		if m[i][i] {
			return true
		}
	}
	return false
}

// closed decides a guarantee, or PRAM, by closing relations until nothing new
// follows: for histories of which not all orders can be tried.
func closed(list []half, g Guarantee) bool {
	from := make([]int, len(list))
	for i := range list {
		from[i] = -1
		for w := range list {
			if !list[i].write && list[w].write && list[w].key == list[i].key && list[w].put == list[i].returned {
				from[i] = w
			}
		}
	}
	reads := func(a, b int) bool { return from[b] == a }
	session := func(a, b int) bool { return a < b && list[a].process == list[b].process }
	m := reach(len(list), leads(list, g, reads))
	visible := func(w, r int) bool { return m[w][r] || g == ReadYourWrites && session(w, r) }
	arbitration := map[[2]int]bool{}
	for r := range list {
		for w := range list {
			switch {
			case list[r].write || !list[w].write || list[w].key != list[r].key || w == from[r] || !visible(w, r):
			case from[r] < 0 || g == Causal && m[from[r]][w]:
				return false
			default:
				arbitration[[2]int{w, from[r]}] = true
			}
		}
	}
	if g == Causal {
		return !circular(m)
	}
	return !circular(reach(len(list), func(a, b int) bool { return m[a][b] || arbitration[[2]int{a, b}] }))
}

// closedPRAM does the same for the reads of each process.
func closedPRAM(h []half) bool {
	for p := range 24 {
		var list []half
		for _, o := range h {
			if o.write || o.process == p {
				list = append(list, o)
			}
		}
		m := reach(len(list), func(a, b int) bool {
			return a < b && list[a].process == list[b].process || list[a].write && !list[b].write && list[a].key == list[b].key && list[a].put == list[b].returned
		})
		for grown := true; grown; {
			grown = false
			for r := range list {
				for w := range list {
					if list[r].write || !list[w].write || list[w].key != list[r].key || list[w].put == list[r].returned || !m[w][r] {
						continue
					}
					if list[r].returned == 0 {
						return false
					}
					for x := range list {
						if list[x].write && list[x].key == list[r].key && list[x].put == list[r].returned && !m[w][x] {
							m[w][x], grown = true, true
						}
					}
				}
			}
			m = reach(len(list), func(a, b int) bool { return m[a][b] })
		}
		if circular(m) {
			return false
		}
	}
	return true
}

// TestLongerHistoriesOfCopiesAgreeWithClosure compares histories of copies that
// lag with the definitions as closures of relations, and what is said of each
// session in PRAM with saturation.
func TestLongerHistoriesOfCopiesAgreeWithClosure(t *testing.T) {
	t.Parallel()
	r := trials.Rand(21, 8)
	n := trials.Rounds(4_000)
	rejected := map[string]int{}
	for range n {
		h := lagging(r)
		var ops []history.Operation
		for i, o := range h {
			ops = append(ops, o.operation(i))
		}
		compare := func(c checkers.Checker, want bool) {
			got := run(c, ops)
			if (got.Verdict == checkers.Valid) != want || got.Verdict == checkers.Unknown {
				t.Fatalf("%s: we say %s (%s), closure says %v\n%+v", c.Name(), got.Verdict, got.Reason, want, h)
			}
			if want {
				return
			}
			rejected[c.Name()]++
			if again := run(c, alone(got.Witness.Operations)); again.Verdict != checkers.Invalid {
				t.Fatalf("%s: the witness alone is %s (%s)\n%v\nof %+v", c.Name(), again.Verdict, again.Reason, got.Witness.Operations, h)
			}
		}
		for _, g := range guarantees {
			compare(Session(g, history.Nil), closed(halves(h), g))
		}
		compare(PRAM(history.Nil), closedPRAM(halves(h)))
		s, _ := readSessions(context.Background(), ops, history.Nil, false)
		w := newViews(s)
		for session := range s.of {
			ok := w.ordered(int32(session))
			if v := newSaturation(s, int32(session)).run(context.Background()); ok != (v.Verdict == "") {
				t.Fatalf("session %d: ordered: %v, saturation: %v\n%+v", session, ok, v, h)
			}
		}
	}
	t.Logf("%d histories; rejected: %v", n, rejected)
	for _, g := range append(guarantees, "pram") {
		if k := rejected[string(g)]; k < n/50 || k > n*49/50 {
			t.Errorf("%s rejects %d of %d", g, k, n)
		}
	}
}
