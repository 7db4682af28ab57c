package linear

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Buffered durable linearizability (Izraelevitz, Mendes and Scott, DISC 2016):
// crashes of the whole system divide a history into eras E0 … En. There are cuts Pi of the events of Ei such that for each i the history
// P0 … Pi-1 Ei is linearizable. A cut has with an event all that happened
// before it: with an invocation every completion that precedes it. Of an
// operation it has nothing, the invocation alone, as of one of unknown
// outcome, or all. Beside that, what was ok when a sync was invoked that was
// ok is in the cut as a whole. The model is not local: the cuts are of the
// operations on all keys.
//
// Where every value that somebody found was written once, there is a least
// cut, and if any cuts will do, the least ones will: an operation must be in
// the cut if its value is found in a later era, or by what is in a cut as a
// whole; operations that precede one in the cut, and those that were synced,
// are in it as a whole; all others can be left out, because nobody needs them,
// and of the former the completion can be. So the history is judged era by
// era, by the checker of linearizability.

// buffered judges by cuts, with the crashes of the whole system.
func (d durable) buffered(ctx context.Context, e *checkers.Evidence, found []crash) checkers.Verdict {
	var certain, possible []crash
	for _, c := range found {
		if c.ends {
			certain = append(certain, c)
		}
		if c.ends || c.scope == unclear {
			possible = append(possible, c)
		}
	}
	read := func(ends []crash) func() checkers.Verdict {
		return func() checkers.Verdict { return d.cut(ctx, e, ends) }
	}
	if len(certain) == len(possible) {
		return read(certain)()
	}
	return either(read(certain), read(possible), "some crashes do not say whom they hit: what was acknowledged is lost, which is allowed only if they hit the whole system")
}

// cut judges the eras between crashes one by one.
func (d durable) cut(ctx context.Context, e *checkers.Evidence, ends []crash) checkers.Verdict {
	if v := d.reserve(cutsBytes(e.Operations), len(e.Operations)); v != nil {
		return *v
	}
	f, err := d.newCuts(e.Operations, ends)
	if err != nil {
		return checkers.Verdict{Verdict: checkers.Unknown, Reason: err.Error()}
	}
	f.grow()
	v, era := d.eras(ctx, e, f)
	if v.Verdict == checkers.Valid {
		return v
	}
	v.Reason = fmt.Sprintf("%s: %s", eraName(ends, era), v.Reason)
	if v.Witness != nil && era > 0 {
		v.Witness.Summary = fmt.Sprintf("%s: %s", eraName(ends, era), v.Witness.Summary)
		d.prove(ctx, f, ends, v.Witness, era)
	}
	return v
}

// eras judges each era after the cuts of those before it, up to the first that
// is not valid, which it returns.
func (d durable) eras(ctx context.Context, e *checkers.Evidence, f *cuts) (last checkers.Verdict, era int) {
	last = checkers.Verdict{Verdict: checkers.Valid}
	part := *e
	part.Operations = make([]history.Operation, 0, len(f.ops))
	judged := 0 // since garbage was collected
	for era = range f.order {
		if part.Operations = f.era(part.Operations[:0], era); len(part.Operations) == 0 {
			continue
		}
		if judged += len(part.Operations); actBytes*int64(judged) > d.inner.o.Memory {
			runtime.GC()
			judged = len(part.Operations)
		}
		v := d.inner.Check(ctx, &part)
		if v.Verdict != checkers.Valid {
			return v, era
		}
		v.Reason = fmt.Sprintf("each of %s can be linearized after cuts of those before it; %s need not have survived", plural(len(f.order), "era"), plural(f.undone(), "acknowledged operation"))
		last = v
	}
	return last, era
}

func eraName(ends []crash, i int) string {
	if i == 0 {
		return "before any crash of the whole system"
	}
	return fmt.Sprintf("after the crash %s at %s, from what must have survived", ends[i-1].fault, history.At(ends[i-1].at))
}

// share is how much of an operation a cut has.
type share uint8

const (
	left    share = iota // nothing
	invoked              // its invocation
	entire               // its completion, too
)

// cuts are the least cuts of a history.
type cuts struct {
	ops   []history.Operation
	whole bool    // reads return one value, not the elements of a collection
	eras  []int32 // operation → era
	share []share
	// context of a cas is the last era in whose history its value is found
	// while the cas may take effect as late as that, plus 1; 0 if there is none.
	context []int32
	writer  map[string]int32 // key and value → who set it
	fence   []int64          // era → what was ok before this event is in the cut
	order   [][]int32        // era → its ok operations by return
	taken   []int            // era → how many of order are in the cut for the fence
	todo    []int32          // operations that were added to a cut
	buf     []byte           // of identity
	// because is the operation that put one into its cut, with as much of it
	// as the cut has, or for whose sake a cas must find what it expects; -1 if
	// there is none.
	because []int32
	lanes   map[synced]*queued
}

// synced is a key in an era that has syncs of its own, and queued its ok
// operations by return, without those that are in the cut.
type (
	synced struct {
		era int32
		key string
	}
	queued struct{ order []int32 }
)

// newCuts finds who wrote what, and in which era. It is an error if that is
// not certain.
func (d durable) newCuts(ops []history.Operation, ends []crash) (*cuts, error) {
	f := &cuts{
		ops: ops, eras: make([]int32, len(ops)), share: make([]share, len(ops)), writer: map[string]int32{},
		context: make([]int32, len(ops)), lanes: map[synced]*queued{}, because: slices.Repeat([]int32{-1}, len(ops)),
		fence: make([]int64, len(ends)+1), order: make([][]int32, len(ends)+1), taken: make([]int, len(ends)+1),
	}
	_, f.whole = d.inner.object.(registers)
	twice := map[string]bool{}
	era := 0
	for i := range ops {
		o := &ops[i]
		for era < len(ends) && ends[era].index < o.Call {
			era++
		}
		f.eras[i] = int32(era)
		if o.Outcome == history.OK {
			if era < len(ends) && o.Return > ends[era].index {
				return nil, fmt.Errorf("the %s at event %d was ok only after %s, a crash of the whole system at which it was open: such an operation belongs to neither era", o.F, o.Call, ends[era].fault)
			}
			f.order[era] = append(f.order[era], int32(i))
		}
		if o.F == Sync && o.Key != "" {
			f.lanes[synced{f.eras[i], o.Key}] = &queued{}
		}
		v, writes := written(o)
		if !writes || o.Outcome == history.Fail {
			continue
		}
		id := string(f.identity(o.Key, v))
		if _, known := f.writer[id]; known || v.Equal(d.initial) {
			twice[id] = true
		}
		f.writer[id] = int32(i)
	}
	for i := range ops {
		if ops[i].F == Remove || ops[i].F == Contains {
			return nil, fmt.Errorf("the %s at event %d: of sets, only those that grow and are read whole can be judged by %s", ops[i].F, ops[i].Call, d.model)
		}
		for v := range f.foundBy(&ops[i]) {
			if len(twice) > 0 && twice[string(f.identity(ops[i].Key, v))] {
				return nil, fmt.Errorf("the value %s of %s was found and set more than once, or there at first: which of them a crash undid cannot be told", v, name(ops[i].Key))
			}
		}
	}
	for era, list := range f.order {
		slices.SortFunc(list, func(a, b int32) int { return cmp.Compare(ops[a].Return, ops[b].Return) })
		for _, i := range list {
			if l := f.lanes[synced{int32(era), ops[i].Key}]; l != nil {
				l.order = append(l.order, i)
			}
		}
	}
	return f, nil
}

// identity names a value of a key, until it names another.
func (f *cuts) identity(key string, v history.Value) []byte {
	f.buf = v.AppendJSON(append(append(f.buf[:0], key...), 0))
	return f.buf
}

// setter returns who set a value of a key, if anyone did.
func (f *cuts) setter(key string, v history.Value) (w int32, known bool) {
	w, known = f.writer[string(f.identity(key, v))]
	return w, known
}

// written returns the value that an operation sets or brings in, if any.
func written(o *history.Operation) (history.Value, bool) {
	switch o.F {
	case Write, Append, Add, Send:
		return o.Input, true
	case Delete:
		return history.Nil, true
	case CAS:
		if pair, ok := o.Input.AsList(); ok && len(pair) == 2 {
			return pair[1], true
		}
	}
	return history.Nil, false
}

// foundBy goes through the values that an operation found, or must find if it
// takes effect.
func (f *cuts) foundBy(o *history.Operation) iter.Seq[history.Value] {
	return func(yield func(history.Value) bool) {
		switch {
		case o.F == CAS && o.Outcome != history.Fail:
			if o.Input.Len() == 2 {
				yield(o.Input.At(0))
			}
		case !f.whole && o.Outcome == history.OK && (o.F == Poll || o.F == Read && hasOffset(o)):
			_, _, list, _ := polled(o)
			for i := range list {
				if !yield(list[i].value) {
					return
				}
			}
		case o.F == Read && o.Outcome == history.OK && !f.whole && o.Output.IsList():
			for _, v := range o.Output.Elements() {
				if !yield(v) {
					return
				}
			}
		case o.F == Read && o.Outcome == history.OK:
			yield(o.Output)
		}
	}
}

// grow finds the least cuts.
func (f *cuts) grow() {
	for i := range f.ops {
		o := &f.ops[i]
		switch {
		case o.F == Sync && o.Outcome == history.OK:
			f.synced(i)
		case f.eras[i] > 0 && o.Outcome == history.OK:
			f.need(int32(i), f.eras[i])
		}
		f.close()
	}
}

// synced takes into the cut what was ok before a sync.
func (f *cuts) synced(at int) {
	s := &f.ops[at]
	if s.Key == "" {
		f.raise(f.eras[at], s.Call, int32(at))
		return
	}
	l := f.lanes[synced{f.eras[at], s.Key}]
	for len(l.order) > 0 && f.ops[l.order[0]].Return < s.Call {
		f.take(l.order[0], entire, int32(at))
		l.order = l.order[1:]
	}
}

// raise takes into the cut of an era what was ok before an event, because of
// an operation that began then.
func (f *cuts) raise(era int32, to int64, by int32) {
	f.fence[era] = max(f.fence[era], to)
	for list := f.order[era]; f.taken[era] < len(list) && f.ops[list[f.taken[era]]].Return < f.fence[era]; f.taken[era]++ {
		f.take(list[f.taken[era]], entire, by)
	}
}

// need takes into cuts who set what an operation found in the history of an
// era, if that was in an era before. A cas whose completion is not in the cut
// can take effect as late as in that era, and needs what it expected just as
// late; one of unknown outcome in the era itself, too, although it is in no
// cut.
func (f *cuts) need(at, era int32) {
	for finders := []int32{at}; len(finders) > 0; {
		by := finders[len(finders)-1]
		finders = finders[:len(finders)-1]
		for v := range f.foundBy(&f.ops[by]) {
			w, known := f.setter(f.ops[by].Key, v)
			if !known || f.eras[w] > era || f.eras[w] == era && f.ops[w].Outcome == history.OK {
				continue
			}
			if f.eras[w] < era {
				f.take(w, invoked, by)
			}
			if f.ops[w].F == CAS && f.context[w] <= era {
				f.context[w] = era + 1
				finders = append(finders, w)
				if f.because[w] < 0 {
					f.because[w] = by
				}
			}
		}
	}
}

// take puts an operation into the cut of its era, because of another.
func (f *cuts) take(i int32, s share, by int32) {
	if f.share[i] < s {
		f.share[i], f.because[i] = s, by
		f.todo = append(f.todo, i)
	}
}

// close takes what follows from what was taken.
func (f *cuts) close() {
	for len(f.todo) > 0 {
		i := f.todo[len(f.todo)-1]
		f.todo = f.todo[:len(f.todo)-1]
		o, era := &f.ops[i], f.eras[i]
		if f.share[i] == entire {
			f.need(i, era+1)
		}
		f.raise(era, o.Call, i)
	}
}

// era appends the history of an era after the cuts of those before it to kept.
func (f *cuts) era(kept []history.Operation, i int) []history.Operation {
	for at := range f.ops {
		o := f.ops[at]
		switch {
		case int(f.eras[at]) > i || o.F == Sync:
			continue
		case int(f.eras[at]) == i || f.share[at] == entire || o.Outcome == history.Fail:
		case f.share[at] == left:
			continue
		case o.Outcome == history.OK:
			o.Outcome, o.Output, o.Completed, o.Return = history.Info, history.Nil, history.Never, -1
		}
		kept = append(kept, o)
	}
	return kept
}

// undone counts the acknowledged operations that changed something and are
// not wholly in a cut.
func (f *cuts) undone() (n int) {
	for i := range f.ops {
		if _, writes := written(&f.ops[i]); writes && f.ops[i].Outcome == history.OK && f.share[i] != entire && int(f.eras[i]) < len(f.order)-1 {
			n++
		}
	}
	return n
}
