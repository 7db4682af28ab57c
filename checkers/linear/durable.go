package linear

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Model is a condition on objects that crash and recover. The processes of
// the papers are the nodes here: an operation is one of the node that it was
// sent to. It was open at a crash if its outcome is unknown, it was invoked
// before the crash, and its node crashed or the whole system did; also if its
// client gave up before.
type Model string

// The models. Without crashes all of them are linearizability.
const (
	// StrictLinearizable wants an operation that was open at a crash to take
	// effect before the crash or never (Aguilera and Frølund, "Strict
	// linearizability and the power of aborting", HP Labs HPL-2003-241).
	StrictLinearizable Model = "strict-linearizable"
	// PersistentAtomic wants it to take effect before its node's next
	// invocation after the crash, or never (Guerraoui and Levy, "Robust
	// emulations of shared memory in a crash-recovery model", ICDCS 2004).
	PersistentAtomic Model = "persistent-atomic"
	// RecoverableLinearizable wants it to take effect before its node's next
	// invocation, after the crash, on the same key, or never (Berryhill, Golab
	// and Tripunitara, "Robust shared objects for non-volatile main memory",
	// OPODIS 2015).
	RecoverableLinearizable Model = "recoverable-linearizable"
	// DurableLinearizable allows it to take effect at any time, or never: it
	// is linearizability without the events of crashes (Izraelevitz, Mendes
	// and Scott, DISC 2016).
	DurableLinearizable Model = "durable-linearizable"
	// BufferedDurableLinearizable allows a crash of the whole system to undo
	// what was acknowledged, but for a consistent cut: see cuts.
	BufferedDurableLinearizable Model = "buffered-durable-linearizable"
)

// Models lists the models, the strongest first.
func Models() []Model {
	return []Model{StrictLinearizable, PersistentAtomic, RecoverableLinearizable, DurableLinearizable, BufferedDurableLinearizable}
}

// Sync is an operation without argument and result, under each of the models:
// if it is ok, what had been acknowledged when it was invoked survives all
// crashes, of its key, or of all keys if it has none.
const Sync = "sync"

// WorkloadsOf lists the workloads for which a model can be decided.
func WorkloadsOf(m Model) []string {
	if m == BufferedDurableLinearizable {
		return []string{"register", "cas-register", "kv", "set", "list", "log"}
	}
	return Workloads()
}

// ForModel returns the checker of a model for a workload; errors are as of
// For.
func ForModel(m Model, workload string, what Object, o Options) (checkers.Checker, error) {
	if !slices.Contains(Models(), m) {
		return nil, fmt.Errorf("linear: there is no model %q; expected one of %v", m, Models())
	}
	if !slices.Contains(WorkloadsOf(m), workload) {
		return nil, fmt.Errorf("linear: %s cannot be decided for the workload %q; it can be for %s", m, workload, strings.Join(WorkloadsOf(m), ", "))
	}
	c, err := For(workload, what, o)
	if err != nil {
		return nil, err
	}
	return durable{model: m, inner: c.(checker), initial: what.Initial}, nil
}

// durable judges by a model.
type durable struct {
	model   Model
	inner   checker
	initial history.Value
}

func (d durable) Name() string { return string(d.model) }

func (d durable) Check(ctx context.Context, e *checkers.Evidence) checkers.Verdict {
	if d.inner.o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.inner.o.Timeout)
		defer cancel()
	}
	found := crashes(e)
	e, err := d.inner.prepared(e)
	if err != nil {
		return checkers.Verdict{Verdict: checkers.Unknown, Reason: err.Error()}
	}
	count, what := len(found), "nothing crashed"
	var v checkers.Verdict
	if d.model == BufferedDurableLinearizable {
		v = d.buffered(ctx, e, found)
		count, what = 0, "the whole system never crashed"
		for _, c := range found {
			if c.ends || c.scope == unclear {
				count++
			}
		}
	} else {
		v = d.bounded(ctx, e, found)
	}
	if v.Measures == nil {
		v.Measures = map[string]float64{}
	}
	v.Measures["crashes"] = float64(len(found))
	if count == 0 && v.Verdict == checkers.Valid && d.model != DurableLinearizable {
		v.Verdict = checkers.NotApplicable
		v.Reason = fmt.Sprintf("%s, and without a crash %s is linearizable, which this history is; crashes are faults whose failure model is crash-recovery", what, d.model)
	}
	return v
}

// withoutSync returns the evidence without syncs, which do nothing to an
// object.
func withoutSync(e *checkers.Evidence) *checkers.Evidence {
	kept := *e
	if slices.ContainsFunc(e.Operations, func(o history.Operation) bool { return o.F == Sync }) {
		kept.Operations = slices.DeleteFunc(slices.Clone(e.Operations), func(o history.Operation) bool { return o.F == Sync })
	}
	return &kept
}

// reserve takes memory from that of the judge, or says that there is too little.
func (d *durable) reserve(bytes int64, operations int) *checkers.Verdict {
	if bytes >= d.inner.o.Memory {
		return &checkers.Verdict{Verdict: checkers.Unknown, Reason: tooLarge(fmt.Sprintf("%d operations and crashes", operations), bytes, d.inner.o.Memory).Error()}
	}
	d.inner.o.Memory -= bytes
	return nil
}

// either decides by two readings of a history, of which the true one allows at
// least what tight allows, and at most what loose allows.
func either(tight, loose func() checkers.Verdict, why string) checkers.Verdict {
	v := tight()
	if v.Verdict == checkers.Valid {
		return v
	}
	runtime.GC() // what the first judge left behind counts, too
	if v = loose(); v.Verdict != checkers.Valid {
		return v
	}
	v.Verdict, v.Reason = checkers.Unknown, why
	return v
}

// bounded judges by linearizability with limits for what was open at crashes.
func (d durable) bounded(ctx context.Context, e *checkers.Evidence, found []crash) checkers.Verdict {
	e = withoutSync(e)
	if d.model == DurableLinearizable {
		v := d.inner.Check(ctx, e)
		if v.Verdict == checkers.Valid {
			v.Reason += ", with " + plural(len(found), "crash fault")
		}
		return v
	}
	if v := d.reserve(limitsBytes(e.Operations), len(e.Operations)); v != nil {
		return *v
	}
	b := d.model.limit(e.Operations, found)
	read := func(l limits) func() checkers.Verdict {
		return func() checkers.Verdict { return d.within(ctx, e, l) }
	}
	if b.equal() {
		return read(b.loose)()
	}
	return either(read(b.tight), read(b.loose), fmt.Sprintf("it is linearizable, but %s cannot be decided: of some operations it is not known whether a crash hit them, or when their node went on, because they or the crash name no nodes, or because they began while it was injected", d.model))
}

func byCall(o history.Operation, at int64) int { return cmp.Compare(o.Call, at) }

func (d durable) within(ctx context.Context, e *checkers.Evidence, l limits) checkers.Verdict {
	c := d.inner
	c.limits = l
	v := c.Check(ctx, e)
	if v.Measures != nil {
		v.Measures["limited"] = float64(len(l))
	}
	if v.Witness == nil {
		if v.Verdict == checkers.Valid {
			v.Reason += fmt.Sprintf("; %d of unknown outcome were open at a crash and took effect in time or never", len(l))
		}
		return v
	}
	limitOf := map[int64]int64{}
	for i, at := range l {
		limitOf[e.Operations[i].Call] = at
	}
	for i := range v.Witness.Operations {
		o := &v.Witness.Operations[i]
		if at, ok := limitOf[o.Call]; ok && o.Outcome == history.Info {
			v.Witness.Lines = append(v.Witness.Lines, fmt.Sprintf("The %s of %s by process %d was open at a crash: it took effect by %s (event %d), or never.",
				o.F, o.Input, o.Process, history.At(timeOf(e, at)), at))
		}
	}
	return v
}

// timeOf returns the time of the last event up to an index.
func timeOf(e *checkers.Evidence, index int64) (at time.Duration) {
	i, found := slices.BinarySearchFunc(e.Events, index, func(ev history.Event, index int64) int {
		switch {
		case ev.Index < index:
			return -1
		case ev.Index > index:
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	if i >= 0 && i < len(e.Events) {
		at = e.Events[i].Time
	}
	return at
}
