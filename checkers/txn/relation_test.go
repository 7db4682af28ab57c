package txn

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cleancut/cleancut/checkers/internal/trials"
)

func TestRelationsAreTransitiveClosures(t *testing.T) {
	r := trials.Rand(5, 1)
	for range trials.Rounds(2_000) {
		n := 1 + r.IntN(8)
		graph, reached := map[string][]string{}, map[[2]string]bool{}
		var names []string
		for i := range n {
			names = append(names, fmt.Sprint("n", i))
			reached[[2]string{names[i], names[i]}] = true
		}
		for range r.IntN(2 * n) {
			from, to := names[r.IntN(n)], names[r.IntN(n)]
			graph[from] = append(graph[from], to)
			reached[[2]string{from, to}] = true
		}
		for _, k := range names {
			for _, a := range names {
				for _, b := range names {
					reached[[2]string{a, b}] = reached[[2]string{a, b}] || reached[[2]string{a, k}] && reached[[2]string{k, b}]
				}
			}
		}
		of := newRelation(graph, names...)
		if !slices.Equal(of.list(of.of(names...)), names) {
			t.Fatalf("the names are %v", of.nodes)
		}
		for _, a := range names {
			below, above := of.below(of.of(a)), of.above(of.of(a))
			for _, b := range names {
				if of.has(below, b) != reached[[2]string{a, b}] || of.has(above, b) != reached[[2]string{b, a}] {
					t.Fatalf("%v: from %s one reaches %v, to it come %v", graph, a, of.list(below), of.list(above))
				}
			}
		}
	}
}

func TestARelationOfTooManyNamesPanics(t *testing.T) {
	defer func() {
		if p := recover(); p != "txn: a relation of 65 names; expected at most 64" {
			t.Error(p)
		}
	}()
	var names []string
	for i := range 65 {
		names = append(names, fmt.Sprint(i))
	}
	newRelation(nil, names[:64]...)
	newRelation(nil, names...)
}
