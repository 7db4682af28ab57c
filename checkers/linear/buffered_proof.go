package linear

import (
	"context"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// proofMax bounds the operations of a witness that proves what it says of
// earlier eras.
const proofMax = 64

// proof is a set of operations that may refute the model by itself. Operations
// of a register, and polls, are in it with those that set what they found; of
// other reads only the elements count that an operation of the set brought in,
// or that the era's own witness shows.
type proof struct {
	durable
	f     *cuts
	ends  []crash
	shown map[int32]history.Value // read of the era's own witness → the elements that it shows
	set   []int32                 // sorted
}

// prove completes the witness of an era: it adds the syncs and the operations
// that put those of earlier eras into cuts, as few of them as refute the model
// in that era. If there are more than proofMax, or they do not refute it
// without the rest of the history, the witness says so.
func (d durable) prove(ctx context.Context, f *cuts, ends []crash, w *checkers.Witness, era int) {
	p := proof{durable: d, f: f, ends: ends, shown: map[int32]history.Value{}}
	var own []int32
	for _, o := range w.Operations {
		i, ok := slices.BinarySearchFunc(f.ops, o.Call, byCall)
		if !ok {
			return
		}
		if own = append(own, int32(i)); o.Outcome == history.OK {
			p.shown[int32(i)] = o.Output
		}
	}
	p.set = slices.Clone(own)
	slices.Sort(p.set)
	if !p.close() || !p.refutes(ctx, era) {
		w.Lines = append(w.Lines, f.remarks(own, era)...)
		w.Lines = append(w.Lines, "What else put operations of earlier eras into the cuts is not part of this explanation.")
		return
	}
	p.shrink(ctx, own, era)
	w.Operations = p.operations()
	for i := range w.Operations {
		o := &w.Operations[i]
		w.From, w.To = min(w.From, o.Invoked), max(w.To, o.Invoked)
		if o.Completed != history.Never {
			w.To = max(w.To, o.Completed)
		}
	}
	w.Lines = append(w.Lines, f.remarks(p.set, era)...)
}

// close adds what operations of the set need, and reports whether that is few
// enough.
func (p *proof) close() bool {
	for at := 0; at < len(p.set); at++ {
		i := p.set[at]
		for _, more := range append(p.setters(i), p.f.because[i]) {
			if more >= 0 && !slices.Contains(p.set, more) {
				p.set = append(p.set, more)
			}
		}
		if len(p.set) > proofMax {
			return false
		}
	}
	slices.Sort(p.set)
	return true
}

// setters returns who set what an operation found, unless it can be shown
// without.
func (p *proof) setters(i int32) (found []int32) {
	if o := &p.f.ops[i]; !p.collection(o) {
		for v := range p.f.foundBy(o) {
			if w, known := p.f.setter(o.Key, v); known {
				found = append(found, w)
			}
		}
	}
	return found
}

// collection reports whether an operation read a whole collection.
func (p *proof) collection(o *history.Operation) bool {
	return !p.f.whole && o.F == Read && o.Outcome == history.OK && !hasOffset(o) && o.Output.IsList()
}

// operations returns those of the set in order of their invocations.
func (p *proof) operations() []history.Operation {
	ops := make([]history.Operation, len(p.set))
	for at, i := range p.set {
		o := &ops[at]
		*o = p.f.ops[i]
		if !p.collection(o) {
			continue
		}
		shown, _ := p.shown[i].AsList()
		var kept []history.Value
		for _, v := range o.Output.Elements() {
			w, known := p.f.setter(o.Key, v)
			if known && slices.Contains(p.set, w) || slices.ContainsFunc(shown, v.Equal) {
				kept = append(kept, v)
			}
		}
		o.Output = history.List(kept...)
	}
	return ops
}

// refutes reports whether the set cannot be judged valid in an era.
func (p *proof) refutes(ctx context.Context, era int) bool {
	d := p.durable
	d.inner.bare = true
	e := &checkers.Evidence{Operations: p.operations()}
	f, err := d.newCuts(e.Operations, p.ends)
	if err != nil {
		return false
	}
	f.grow()
	v, bad := d.eras(ctx, e, f)
	return v.Verdict == checkers.Invalid && bad == era
}

// shrink takes away what the set does not need beside the operations of the
// era's own witness.
func (p *proof) shrink(ctx context.Context, own []int32, era int) {
	for before := 0; before != len(p.set); {
		before = len(p.set)
		for at := len(p.set) - 1; at >= 0; at-- {
			i, kept := p.set[at], p.set
			if slices.Contains(own, i) {
				continue
			}
			p.set = slices.Delete(slices.Clone(kept), at, at+1)
			needed := slices.ContainsFunc(p.set, func(o int32) bool { return slices.Contains(p.setters(o), i) })
			if needed || !p.refutes(ctx, era) {
				p.set = kept
			}
		}
	}
}

// remarks says of the operations of a witness what their cut has, and why.
func (f *cuts) remarks(set []int32, era int) (lines []string) {
	for _, i := range set {
		o := &f.ops[i]
		if int(f.eras[i]) == era || o.Outcome == history.Fail || o.F == Sync || f.share[i] == left {
			continue
		}
		what, by := "", &f.ops[f.because[i]]
		switch {
		case f.share[i] != entire:
			what = fmt.Sprintf("the %s at event %d found it; when it took effect is open", by.F, by.Call)
		case by.F == Sync:
			what = fmt.Sprintf("it must have survived, because it was acknowledged before the sync at event %d began", by.Call)
		default:
			what = fmt.Sprintf("it must have survived, because the %s at event %d began after it was acknowledged, and survived at least in part", by.F, by.Call)
		}
		lines = append(lines, fmt.Sprintf("The %s at event %d was of an earlier era: %s.", o.F, o.Call, what))
	}
	return lines
}
