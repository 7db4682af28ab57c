package txn

import (
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// Finding is one anomaly that was seen.
type Finding struct {
	Anomaly Anomaly
	// Summary says it in one sentence, Lines how it is known, one step each.
	Summary string
	Lines   []string
	// Cycle are the steps of a cycle, by index of the transactions.
	Cycle []graph.Step
	// Witness is the part of the history that shows it: nothing but the
	// micro-operations that matter, and all that those need to make sense.
	Witness *History
	// Key is the key concerned, "" if there are several.
	Key string
	// parts are the micro-operations that show it.
	parts []place
}

// findings collects anomalies, and counts all but keeps few of a kind.
type findings struct {
	list  []Finding
	count map[Anomaly]int
}

// maxKept bounds the findings of a kind that are kept.
const maxKept = 8

func newFindings() *findings { return &findings{count: map[Anomaly]int{}} }

// add notes an anomaly; describe is called only if it is kept.
func (f *findings) add(a Anomaly, describe func() Finding) {
	f.count[a]++
	if f.count[a] <= maxKept {
		found := describe()
		found.Anomaly = a
		f.list = append(f.list, found)
	}
}

// sort puts the findings in order of severity.
func (f *findings) sort() {
	slices.SortStableFunc(f.list, func(a, b Finding) int { return compareSeverity(a.Anomaly, b.Anomaly) })
}

// types returns the anomalies found, in order of severity.
func (f *findings) types() []Anomaly {
	var list []Anomaly
	for a := range f.count {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b Anomaly) int {
		if d := compareSeverity(a, b); d != 0 {
			return d
		}
		return slices.Compare([]byte(a), []byte(b))
	})
	return list
}

// name returns how a transaction is called in explanations.
func (h *History) name(t int32) string { return fmt.Sprintf("T%d", h.Txns[t].ID) }

// lostUpdate reports two transactions that read the same version of a key and
// then wrote the key.
func lostUpdate(h *History, found *findings, a, b, key int32) {
	found.add(LostUpdate, func() Finding {
		f := Finding{Key: h.KeyName(key)}
		var read *Op
		for _, t := range []int32{a, b} {
			met := false
			for j := range h.Txns[t].Ops {
				o := &h.Txns[t].Ops[j]
				if o.Key != key || o.Kind == Read && met {
					continue
				}
				if o.Kind == Read {
					met, read = true, o
				}
				f.parts = append(f.parts, place{t, int32(j)})
			}
		}
		version, lost := h.ValueName(read.Value), "then wrote it; one of them overwrote the other unseen"
		if h.Workload == ListAppend {
			version, lost = h.ListName(read.List), "then appended to it; one of them did not see the append of the other"
		}
		f.Summary = fmt.Sprintf("%s and %s both read key %s as %s and %s", h.name(a), h.name(b), f.Key, version, lost)
		return f
	})
}
