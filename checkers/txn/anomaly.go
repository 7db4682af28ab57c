package txn

import (
	"maps"
	"slices"
)

// Anomaly is the name of something that a history must not show, as Elle
// names it. The names of cycles tell which edges they are made of:
//
//	G0                   ww
//	G1c                  ww, wr, at least one wr
//	G-single-item        ww, wr and exactly one rw
//	G-nonadjacent-item   ww, wr and several rw, no two in a row
//	G2-item              ww, wr and several rw
//
// with the suffix -process or -realtime if the order of a process or of real
// time takes part.
type Anomaly string

// Anomalies that are no cycles.
const (
	DuplicateElements Anomaly = "duplicate-elements" // a list holds an element twice
	// GarbageRead is a read of what nobody wrote. Elle has no name for it.
	GarbageRead       Anomaly = "garbage-read"
	CyclicVersions    Anomaly = "cyclic-versions"    // the versions of a register cannot be ordered as the options promise
	G1a               Anomaly = "G1a"                // a read of what a failed transaction wrote
	G1b               Anomaly = "G1b"                // a read of what its writer overwrote itself
	DirtyUpdate       Anomaly = "dirty-update"       // a committed append builds upon a failed one
	IncompatibleOrder Anomaly = "incompatible-order" // two reads of a list, none a prefix of the other
	FutureRead        Anomaly = "future-read"        // a read of what the transaction itself wrote only later
	Internal          Anomaly = "internal"           // a read that contradicts what the transaction itself did before
	LostUpdate        Anomaly = "lost-update"        // two transactions read the same version of a key and both wrote it
	// FracturedRead is a cycle of the order in which transactions must be
	// committed for each read to be explained at the level asked for: the
	// weak levels of AWDIT. Elle has no name for it.
	FracturedRead Anomaly = "fractured-read"
	// EmptyGraph says that no transaction depends on another, so that the
	// history proves nothing: the verdict is unknown.
	EmptyGraph Anomaly = "empty-transaction-graph"
)

// Anomalies that are cycles, without suffixes.
const (
	G0               Anomaly = "G0"
	G1c              Anomaly = "G1c"
	GSingleItem      Anomaly = "G-single-item"
	GNonadjacentItem Anomaly = "G-nonadjacent-item"
	G2Item           Anomaly = "G2-item"
)

// The suffixes of cycles, see Anomaly.
const (
	processSuffix  = "-process"
	realtimeSuffix = "-realtime"
)

// implied lists what each anomaly is a special case of, as Elle relates them
// (after Adya, "Weak Consistency", 1999, and Bailis et al., "Highly Available
// Transactions", VLDB 2013).
var implied = anomalyGraph(map[Anomaly][]Anomaly{
	G0:                {G1c},
	G1a:               {"G1"},
	G1b:               {"G1"},
	G1c:               {"G1"},
	GSingleItem:       {"G-single", GNonadjacentItem},
	"G-single":        {"G-nonadjacent", "G-SIb"},
	GNonadjacentItem:  {"G-nonadjacent", G2Item},
	"G-nonadjacent":   {"G2"},
	G2Item:            {"G2"},
	IncompatibleOrder: {G1a},
	DirtyUpdate:       {G1a},
	FutureRead:        {G1c},
	LostUpdate:        {"write-skew", G2Item},
	"write-skew":      {"G2"},
	"G-SIa":           {"G-SI"},
	"G-SIb":           {"G-SI"},
})

// anomalies relates each anomaly to what it is a special case of.
var anomalies = newRelation(implied, slices.Concat([]Anomaly{EmptyGraph}, plainAnomalies, slices.Concat(slices.Collect(maps.Values(forbids))...))...)

// cyclic are the anomalies that have variants with suffixes.
var cyclic = []Anomaly{G0, G1c, "G1", GSingleItem, "G-single", GNonadjacentItem, "G-nonadjacent", G2Item, "G2"}

// anomalyGraph adds the variants: what holds for G1c and G1 holds for
// G1c-process and G1-process, and G1c implies G1c-process, which implies
// G1c-realtime.
func anomalyGraph(base map[Anomaly][]Anomaly) map[Anomaly][]Anomaly {
	g := map[Anomaly][]Anomaly{}
	for a, list := range base {
		g[a] = append(g[a], list...)
		if !slices.Contains(cyclic, a) {
			continue
		}
		for _, b := range list {
			if slices.Contains(cyclic, b) {
				g[a+processSuffix] = append(g[a+processSuffix], b+processSuffix)
				g[a+realtimeSuffix] = append(g[a+realtimeSuffix], b+realtimeSuffix)
			}
		}
	}
	for _, a := range cyclic {
		g[a] = append(g[a], a+processSuffix)
		g[a+processSuffix] = append(g[a+processSuffix], a+realtimeSuffix)
	}
	return g
}

// severity orders anomalies from the one that fewest systems allow to the
// one that most do; what is not listed comes last.
var severity = func() map[Anomaly]int {
	list := []Anomaly{DuplicateElements, GarbageRead, CyclicVersions, G0, G1a, DirtyUpdate, IncompatibleOrder, G1b, FutureRead, G1c, Internal, LostUpdate, GSingleItem, GNonadjacentItem, FracturedRead, G2Item}
	rank := map[Anomaly]int{}
	for i, a := range list {
		rank[a] = 3 * i
		rank[a+processSuffix] = 3*i + 1
		rank[a+realtimeSuffix] = 3*i + 2
	}
	return rank
}()

// compareSeverity puts the weaker anomaly, which fewer systems allow, first;
// pure data anomalies come before those of a process, and these before those
// of real time.
func compareSeverity(a, b Anomaly) int {
	if d := severity[a]%3 - severity[b]%3; d != 0 {
		return d
	}
	return severity[a] - severity[b]
}
