package txn

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/checkers/txn/graph"
	"github.com/cleancut/cleancut/harness/rng"
)

// anyHistory draws one of either kind.
func anyHistory(r *rand.Rand, w Workload) *History {
	if r.IntN(2) == 0 {
		return randomHistory(r, w, 6)
	}
	return drawnHistory(r, w, 6)
}

// elementOf is an element of a list.
type elementOf struct {
	key   int32
	value Value
}

// dependencies derives the edges of a list history anew, by maps and scans, as
// sets of pairs for each kind; the orders are transitive. It supposes that
// all reads of a key are prefixes of one another.
func dependencies(h *History) map[graph.Kind]map[[2]int]bool {
	edges := map[graph.Kind]map[[2]int]bool{}
	add := func(k graph.Kind, a, b int) {
		if edges[k] == nil {
			edges[k] = map[[2]int]bool{}
		}
		if a != b {
			edges[k][[2]int{a, b}] = true
		}
	}
	by, longest, committed := map[elementOf]int{}, map[int32][]Value{}, make([]bool, len(h.Txns))
	for t := range h.Txns {
		committed[t] = h.Txns[t].Status == OK
		for _, o := range h.Txns[t].Ops {
			if o.Kind == Append {
				by[elementOf{o.Key, o.Value}] = t
			} else if committed[t] && len(o.List) > len(longest[o.Key]) {
				longest[o.Key] = o.List
			}
		}
	}
	for key, list := range longest {
		for _, v := range list {
			committed[by[elementOf{key, v}]] = true
		}
	}
	// after are the transactions whose appends come next after so many.
	after := func(key int32, n int) (list []int) {
		if n < len(longest[key]) {
			return []int{by[elementOf{key, longest[key][n]}]}
		}
		for e, t := range by {
			if e.key == key && committed[t] && !slices.Contains(longest[key], e.value) {
				list = append(list, t)
			}
		}
		return list
	}
	for key, list := range longest {
		for i, v := range list {
			for _, t := range after(key, i+1) {
				add(graph.WW, by[elementOf{key, v}], t)
			}
		}
	}
	for t := range h.Txns {
		for _, o := range h.Txns[t].Ops {
			if o.Kind != Read || h.Txns[t].Status != OK {
				continue
			}
			n := len(o.List)
			if n > 0 {
				w := by[elementOf{o.Key, o.List[n-1]}]
				if add(graph.WR, w, t); w == t {
					continue // the edges of its append say more
				}
			}
			for _, u := range after(o.Key, n) {
				add(graph.RW, t, u)
			}
		}
		for u := range h.Txns {
			a, b := &h.Txns[t], &h.Txns[u]
			if committed[t] && committed[u] && a.Status == OK && a.Complete < b.Invoke {
				add(graph.RT, t, u)
				if a.Process == b.Process {
					add(graph.SO, t, u)
				}
			}
		}
	}
	return edges
}

// leastCycles returns the number of steps of a shortest cycle of each kind, of
// those that do not mix the orders.
func leastCycles(n int, edges map[graph.Kind]map[[2]int]bool) map[Anomaly]int {
	least := map[Anomaly]int{}
	out := make([][]graph.Step, n)
	for k, pairs := range edges {
		for p := range pairs {
			out[p[0]] = append(out[p[0]], graph.Step{From: int32(p[0]), To: int32(p[1]), Kind: k})
		}
	}
	on := make([]bool, n)
	var visit func(root, at int32, path []graph.Step)
	visit = func(root, at int32, path []graph.Step) {
		for _, s := range out[at] {
			cycle := append(path[:len(path):len(path)], s)
			is := func(k graph.Kind) bool {
				return slices.ContainsFunc(cycle, func(s graph.Step) bool { return s.Kind == k })
			}
			switch {
			case is(graph.SO) && is(graph.RT):
			case s.To == root:
				name := classify(cycle)
				if known, ok := least[name]; !ok || len(cycle) < known {
					least[name] = len(cycle)
				}
			case s.To > root && !on[s.To]:
				on[s.To] = true
				visit(root, s.To, cycle)
				on[s.To] = false
			}
		}
	}
	for root := range int32(n) {
		visit(root, root, nil)
	}
	return least
}

func TestCyclesOfListsAreShortestAndOfTrueDependencies(t *testing.T) {
	r := rng.Stream(8+trials.Seed(), t.Name())
	judged := map[Anomaly]int{}
	for i := range trials.Rounds(20_000) {
		h := anyHistory(r, ListAppend)
		asked := [][]Model{Models(), {StrongSessionSerializable}, {StrictSerializable}}[i%3]
		a := Analyze(context.Background(), h, Options{Models: asked})
		if a.Count[GarbageRead]+a.Count[IncompatibleOrder]+a.Count[DuplicateElements]+a.Count[G1a]+a.Count[DirtyUpdate] > 0 {
			continue // the order of versions is a matter of choice
		}
		edges := dependencies(h)
		least := leastCycles(len(h.Txns), edges)
		for _, f := range a.Findings {
			if len(f.Cycle) == 0 || f.Anomaly == FracturedRead || strings.Contains(f.Summary, "whichever") {
				continue
			}
			judged[f.Anomaly]++
			for _, s := range f.Cycle {
				if !edges[s.Kind][[2]int{int(s.From), int(s.To)}] {
					t.Fatalf("T%d does not precede T%d by %s: %s%s", s.From, s.To, s.Kind, f.Summary, h.text())
				}
			}
			if name := classify(f.Cycle); name != f.Anomaly || len(f.Cycle) != least[name] {
				t.Fatalf("a cycle that is %s is called %s; it has %d steps, a shortest one has %d: %s%s", name, f.Anomaly, len(f.Cycle), least[name], f.Summary, h.text())
			}
		}
		names := anomalies.below(anomalies.of(a.found()...))
		for name := range least {
			suffixed := strings.HasSuffix(string(name), processSuffix) || strings.HasSuffix(string(name), realtimeSuffix)
			if !suffixed && !anomalies.has(names, name) {
				t.Fatalf("there is a cycle that is %s, but %v was found%s", name, a.Count, h.text())
			}
		}
	}
	t.Log(judged)
}

// found lists all that was counted.
func (a *Analysis) found() (list []Anomaly) {
	for name := range a.Count {
		list = append(list, name)
	}
	return list
}

// A witness, judged alone, shows the anomaly that it is for, one that implies
// that, or a worse one.
func TestWitnessAloneShowsTheSameAnomalyOrAWorseOne(t *testing.T) {
	for _, w := range []Workload{ListAppend, RWRegister} {
		t.Run(w.String(), func(t *testing.T) {
			r := rng.Stream(9+trials.Seed(), t.Name())
			judged := 0
			for i := range trials.Rounds(10_000) {
				h := anyHistory(r, w)
				o := Options{Workload: w, Models: [][]Model{Models(), {StrongSessionSerializable, Causal}, {StrictSerializable}}[i%3]}
				for _, f := range Analyze(context.Background(), h, o).Findings {
					judged++
					alone := Analyze(context.Background(), f.Witness, o).found()
					if anomalies.has(anomalies.below(anomalies.of(alone...)), f.Anomaly) {
						continue
					}
					if !slices.ContainsFunc(alone, func(x Anomaly) bool { return compareSeverity(x, f.Anomaly) < 0 }) {
						t.Fatalf("the witness of %s shows %v: %s%s\nof%s", f.Anomaly, alone, f.Summary, f.Witness.text(), h.text())
					}
				}
			}
			if judged < trials.Rounds(1_000) {
				t.Errorf("only %d witnesses", judged)
			}
		})
	}
}
