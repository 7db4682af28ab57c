package models

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// DurabilityOptions say what may be lost.
type DurabilityOptions struct {
	// Operations and Time bound what a fault may cost: acknowledged
	// operations, and the age of the oldest of them. Zero allows no loss at
	// all. If either is set, a loss within it must be that of a suffix, as
	// buffered durability has it.
	Operations int
	Time       time.Duration
	// Window, Share and Factor define when service is steady again: see
	// Durability. Zero means a second, 0.95 and 3.
	Window time.Duration
	Share  float64
	Factor float64
	// Initial is the value of a register before anything was written. One that
	// reads nil is empty, whatever its initial value.
	Initial history.Value
}

// Durability measures what faults cost. Each fault whose failure model is known
// can cost data, for the service that it hits may fail over: see
// history.Failure. It is a window: from t_c, its start, to t_r, when it was
// healed, and on to t_s, when service was back: the first answer to an
// operation that was invoked at t_r or later, or t_r if there is none. Indices
// and times are those of the harness. Mutations are add, append and enqueue,
// each of a value that is unique for its key, on collections, and write, cas and
// delete on registers; reads are read, which return the collection of all
// values, or the value.
//
// An acknowledged mutation was *last there* when the last ok read was invoked
// that has its value, and at its completion at least. Of a register a read
// counts only if it was over before another mutation that was invoked later, and
// may have happened, brought in the same value. It belongs to the windows in
// which it was last there: that began before, and t_s was then or later; so what
// a node acknowledges while it is cut off belongs to that partition. If there
// are none, it belongs to those that began first after it; t_r is that of the
// last of them to be healed. It is *charged* to one of them: that hit the node
// that acknowledged it, if any did, and of those that began last the one that
// was healed last. The mutation is *lost* if
//
//   - for collections: reads were invoked after t_r, none of which has it, and
//     all removes of it that may have happened had completed before it was
//     invoked;
//   - for registers: an ok read invoked after t_r, and after it was last there,
//     returned a value that only what had completed before the lost one was
//     invoked can have set: the initial value (or nil) or others. A stale read
//     cannot be told from a loss here, unless the value is read again. A value
//     that nobody can have set tells nothing.
//
// One that is not lost belongs to the windows at its completion, and *survived*
// if reads after their t_r tell of it.
//
// For each window, and as the greatest over all windows:
//
//   - rpo_operations: the number of lost mutations that are charged to it;
//   - rpo_seconds: the age of the oldest of them: t_c less its completion, and
//     t_r less that of one that was acknowledged after t_c, for by then it was
//     lost; 0 if none is lost, or that was acknowledged after t_r;
//   - not_prefix: of the lost ones, those that preceded a mutation of the same
//     key, charged to the same window, that survived. Then what survived is no
//     prefix: worse than any age.
//   - rto_first_seconds: the first answer to an operation on any key that was
//     invoked at t_c or later, less t_c;
//   - rto_steady_seconds: the first t on a grid of a tenth of Window from t_c,
//     less t_c, such that of the operations invoked in [t, t+Window), at least
//     one, a share of at least Share was answered, with a 99 % quantile of latencies
//     of at most Factor times that of the operations answered before the
//     first fault. A window that reaches beyond the last invocation is not
//     looked at.
//
// Besides, resurrected counts failed mutations that a read has which was over
// before anybody else tried the same, and
// availability_gap_seconds is the longest time between two answers that
// follow each other, or from the last one to the last invocation, on whatever
// keys; never_served_again and never_steady_again count the faults after which
// rto_first and rto_steady have no value. The verdict is
// invalid if more is lost than the options allow, or something failed is
// there; not applicable without a window; unknown if no key that was
// written before or in one was read after it, or if there are operations that change an
// object otherwise, or reads of a part of it. O((n + m) log n) for n operations whose reads return
// m elements, and O(k log n) more for each fault where there are k keys.
func Durability(o DurabilityOptions) checkers.Checker {
	o.Window = cmp.Or(o.Window, time.Second)
	o.Share = cmp.Or(o.Share, 0.95)
	o.Factor = cmp.Or(o.Factor, 3)
	return checkers.Func("durability", func(ctx context.Context, e *checkers.Evidence) checkers.Verdict {
		v := durability(newWatch(ctx), e, o)
		v.Algorithm = "reads after recovery"
		if v.Verdict == checkers.Invalid && v.Witness.Class != "resurrected" {
			v.Witness.Conditional = true // a fault of nobody's plan may have cost it
		}
		return v
	})
}

func durability(w *watch, e *checkers.Evidence, o DurabilityOptions) judged {
	if !slices.ContainsFunc(e.Faults, func(f checkers.FaultWindow) bool { return f.Model != "" }) {
		return notApplicable("no fault that can cost data was in force")
	}
	served := newService(e, o)
	faults := newWindows(e, served)
	var resurrected []history.Operation
	odd := ""
	keys := surveys(w, e.Operations, o.Initial)
	if w.late {
		return lateReading(e.Operations)
	}
	for _, key := range sortedKeys(keys) {
		s := keys[key]
		if s.odd != "" {
			odd = cmp.Or(odd, s.odd)
			continue
		}
		if w.over(len(s.mutations)) {
			return unknown("time ran out while what was read after faults was compared with what was acknowledged before")
		}
		s.losses(faults)
		resurrected = append(resurrected, s.risen()...)
	}
	m := map[string]float64{"faults": float64(len(faults.list)), "availability_gap_seconds": gap(e).Seconds()}
	var worst judged
	looked := 0
	for i := range faults.list {
		x := &faults.list[i]
		looked += x.looked
		x.measure(m)
		worst = first(worst, x.judge(o))
		served.recovery(x.Start, m)
	}
	m["resurrected"] = float64(len(resurrected) / 2)
	switch {
	case worst.Verdict != "":
		return with(worst, m)
	case len(resurrected) > 0:
		return with(invalid("resurrected", fmt.Sprintf("%s was read, although the %s that would have brought it in had failed", brought(&resurrected[0]), resurrected[0].F), resurrected[0], resurrected[1]), m)
	case odd != "":
		return with(unknown("%s", odd), m)
	case looked == 0:
		return with(unknown("no key was acknowledged before or during a fault and read after it"), m)
	}
	return with(valid("%s cost at most %s each, at most %.3f s old: reads tell of %d", plural(len(faults.list), "fault"), plural(int(m["rpo_operations"]), "acknowledged operation"), m["rpo_seconds"], looked), m)
}

// loss is what a fault cost.
type loss struct {
	lost   []lostMutation
	looked int // mutations of which reads tell, the lost included
}

// lostMutation is a mutation that was lost.
type lostMutation struct {
	w *history.Operation
	// proof are a read that shows it, who can have set what that returned if it
	// is not the initial value, and what shows when it was last there.
	proof []*history.Operation
	// survivor is a later mutation that survived, with a read that has it.
	survivor, held *history.Operation
}

func (x *window) measure(m map[string]float64) {
	m["rpo_operations"] = max(m["rpo_operations"], float64(len(x.lost)))
	m["rpo_seconds"] = max(m["rpo_seconds"], x.age().Seconds())
	n := 0
	for _, l := range x.lost {
		if l.survivor != nil {
			n++
		}
	}
	m["not_prefix"] = max(m["not_prefix"], float64(n))
}

// age is how old the oldest loss is.
func (x *window) age() (age time.Duration) {
	for _, l := range x.lost {
		by := x.Start
		if l.w.Completed > x.Start {
			by = x.End
		}
		age = max(age, by-l.w.Completed)
	}
	return age
}

// judge says of a loss that is too large what shows it, with as many of the lost
// as are too many.
func (x *window) judge(o DurabilityOptions) judged {
	if len(x.lost) == 0 {
		return judged{}
	}
	slices.SortStableFunc(x.lost, func(a, b lostMutation) int { return cmp.Compare(a.w.Completed, b.w.Completed) })
	say := x.account()
	for _, l := range x.lost {
		if l.survivor != nil {
			return invalid("lost, not a suffix", fmt.Sprintf("%s: %s is gone, and %s, which came after it, is not", say, brought(l.w), brought(l.survivor)), operations(l.proof, []*history.Operation{l.w, l.survivor, l.held})...)
		}
	}
	bounded, old := o.Operations > 0 || o.Time > 0, o.Time > 0 && x.age() > o.Time
	if bounded && !old && (o.Operations == 0 || len(x.lost) <= o.Operations) {
		return judged{}
	}
	shown := x.lost[:1]
	if bounded && !old {
		shown = x.lost[:o.Operations+1]
	}
	var evidence []*history.Operation
	for _, l := range shown {
		evidence = append(append(evidence, l.w), l.proof...)
	}
	return invalid("lost", fmt.Sprintf("%s: %s among them", say, brought(x.lost[0].w)), operations(evidence)...)
}

// account says how much is lost, who acknowledged it and when.
func (x *window) account() string {
	by := map[string]bool{}
	for _, l := range x.lost {
		by[l.w.Node] = true
	}
	delete(by, "")
	nodes := ""
	if len(by) > 0 {
		nodes = " by " + strings.Join(slices.Sorted(maps.Keys(by)), ", ")
	}
	from, to := x.lost[0].w.Completed, x.lost[len(x.lost)-1].w.Completed
	when := fmt.Sprintf("between %s and %s", history.At(from), history.At(to))
	if from == to {
		when = "at " + history.At(from)
	}
	relation := "before and during"
	switch {
	case to <= x.Start:
		relation = "before"
	case from > x.End:
		relation = "just after"
	case from > x.Start && to <= x.End:
		relation = "during"
	case from > x.Start:
		relation = "during and just after"
	}
	return fmt.Sprintf("%d of %s lost, acknowledged%s %s, %s %s (%s to %s)",
		len(x.lost), plural(x.looked, "acknowledged operation"), nodes, when, relation, x.Fault, history.At(x.Start), history.At(x.End))
}

// gap is the longest time without an answer.
func gap(e *checkers.Evidence) time.Duration {
	var times []time.Duration
	end := time.Duration(0)
	for _, o := range e.Operations {
		end = max(end, o.Invoked)
		if o.Answered() {
			times = append(times, o.Completed)
		}
	}
	slices.Sort(times)
	longest := time.Duration(0)
	for i, t := range times {
		next := max(end, t)
		if i+1 < len(times) {
			next = times[i+1]
		}
		longest = max(longest, next-t)
	}
	return longest
}
