package txn

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Checker returns a checker of transactions against model, whose name is that
// of the model; model may be empty if the options name models or anomalies.
// It judges all operations of the evidence, which must be transactions as
// FromOperations reads them; those of an independent history, whose operations
// have keys of their own, key by key. It panics if the options are invalid; ask
// Options.Validate first where they come from a user.
//
// Its measures are the numbers of transactions, of dependencies ("edges") and
// of each anomaly ("anomaly_G1c").
func Checker(model Model, o Options) checkers.Checker {
	if model != "" && !slices.Contains(o.Models, model) {
		o.Models = append(slices.Clone(o.Models), model)
	}
	if err := o.Validate(); err != nil {
		panic(err)
	}
	name := string(model)
	if name == "" {
		name = "transactions"
	}
	judge := func(ctx context.Context, ops []history.Operation) checkers.Verdict {
		m := newMemory(o.memory())
		h, err := convert(ctx, o.Workload, ops, m)
		if err != nil {
			return checkers.Verdict{Verdict: checkers.Unknown, Reason: err.Error()}
		}
		return analyze(ctx, h, o, m).verdict(h)
	}
	return checkers.Func(name, func(ctx context.Context, e *checkers.Evidence) checkers.Verdict {
		if !slices.ContainsFunc(e.Operations, func(x history.Operation) bool { return x.Key != e.Operations[0].Key }) {
			return judge(ctx, e.Operations)
		}
		return independently(ctx, e.Operations, judge)
	})
}

// independently judges the transactions on each key of an independent history
// alone: an invalid key decides, then an unknown one. Measures add up.
func independently(ctx context.Context, ops []history.Operation, judge func(context.Context, []history.Operation) checkers.Verdict) checkers.Verdict {
	of := map[string][]history.Operation{}
	for _, o := range ops {
		of[o.Key] = append(of[o.Key], o)
	}
	merged := checkers.Verdict{Measures: map[string]float64{}}
	for _, key := range slices.Sorted(maps.Keys(of)) {
		v := judge(ctx, of[key])
		for measure, x := range v.Measures {
			merged.Measures[measure] += x
		}
		if v.Verdict.Beats(merged.Verdict) {
			merged.Verdict, merged.Algorithm, merged.Witness = v.Verdict, v.Algorithm, v.Witness
			merged.Reason = fmt.Sprintf("%d independent histories; that of key %s: %s", len(of), key, v.Reason)
		}
	}
	return merged
}

// verdict puts an analysis into the form of all checkers.
func (a *Analysis) verdict(h *History) checkers.Verdict {
	v := checkers.Verdict{Verdict: a.Verdict, Algorithm: a.Algorithm, Reason: a.Reason, Measures: map[string]float64{
		"transactions": float64(a.Txns), "edges": float64(a.Edges),
	}}
	for t, n := range a.Count {
		v.Measures["anomaly_"+string(t)] = float64(n)
	}
	if a.Verdict == checkers.Invalid {
		v.Witness = a.witness(h)
	}
	return v
}

// witness is the weakest finding, with all other ones as lines.
func (a *Analysis) witness(h *History) *checkers.Witness {
	first := &a.Findings[0]
	w := &checkers.Witness{Class: string(first.Anomaly), Summary: string(first.Anomaly) + ": " + first.Summary + ".", Key: first.Key, Lines: slices.Clone(first.Lines)}
	w.Operations = first.Witness.ToOperations()
	w.From = math.MaxInt64
	for _, o := range w.Operations {
		w.From = min(w.From, o.Invoked)
		if o.Completed != history.Never {
			w.To = max(w.To, o.Completed)
		}
	}
	w.From = min(w.From, w.To)
	if w.To < 0 || w.From == time.Duration(math.MaxInt64) {
		w.From, w.To = 0, 0
	}
	w.Lines = append(w.Lines, fmt.Sprintf("The weakest models that this history refutes: %s.", join(a.Not)))
	seen := map[Anomaly]bool{first.Anomaly: true}
	for _, f := range slices.Concat(a.Findings, a.Others) {
		if !seen[f.Anomaly] {
			seen[f.Anomaly] = true
			w.Lines = append(w.Lines, fmt.Sprintf("Also %s: %s.", f.Anomaly, strings.TrimSuffix(f.Summary, ".")))
		}
	}
	w.Picture = Page(h, a.Findings)
	return w
}
