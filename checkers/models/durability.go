package models

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// DurabilityOptions say which faults are crashes and what may be lost.
type DurabilityOptions struct {
	// Kinds are the kinds of faults that count as crashes; empty means those
	// of CrashKinds.
	Kinds []string
	// Operations and Time bound what a crash may lose: acknowledged
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

// CrashKinds are the faults in which a node loses what it holds in memory:
// those of cleancut, and crash, as Jepsen's tests name theirs.
var CrashKinds = []string{"kill", "power-loss", "reboot", "crash"}

// Durability measures what crashes cost. A crash is a window of a fault: from
// t_c, its start, to t_r, when it was healed; indices and times are those of
// the harness. Mutations are add, append and enqueue, each of a value that is
// unique for its key, on collections, and write, cas and delete on registers;
// reads are read, which return the collection of all values, or the value.
//
// An acknowledged mutation belongs to the first crash that began after it had
// completed; of those that began at once, to the one that was healed last. It
// is *lost* if the key was read after t_r, and
//
//   - for collections: no ok read invoked after t_r has it, and all removes of
//     it that may have happened had completed before it was invoked;
//   - for registers: an ok read invoked after t_r returned a value that only
//     what had completed before the lost one was invoked can have set: the
//     initial value (or nil) or others. A stale read cannot be told from a loss
//     here. A value that nobody can have set tells nothing.
//
// For each crash, and as the greatest over all crashes:
//
//   - rpo_operations: the number of lost mutations;
//   - rpo_seconds: t_c less the completion of the first lost one to complete,
//     0 if none is lost: the age of the oldest loss, and of the recovery point,
//     which is the latest time before which no acknowledged mutation is lost;
//   - not_prefix: of the lost ones, those that preceded a mutation of the same
//     key, acknowledged before t_c, that survived. Then what survived is no
//     prefix: worse than any age.
//   - rto_first_seconds: the first completion of an ok operation on any key
//     that was invoked at t_c or later, less t_c;
//   - rto_steady_seconds: the first t on a grid of a tenth of Window from t_c,
//     less t_c, such that of the operations invoked in [t, t+Window), at least
//     one, a share of at least Share was ok, with a 99 % quantile of latencies
//     of at most Factor times that of the ok operations completed before the
//     first crash. A window that reaches beyond the last invocation is not
//     looked at.
//
// Besides, resurrected counts failed mutations that a read has which was over
// before anybody else tried the same, and
// availability_gap_seconds is the longest time between two ok completions that
// follow each other, or from the last one to the last invocation, on whatever
// keys; never_served_again and never_steady_again count the crashes after which
// rto_first and rto_steady have no value. The verdict is
// invalid if more is lost than the options allow, or something failed is
// there; not applicable without a crash; unknown if no key that was written
// before a crash was read after it, or if there are operations that change an
// object otherwise, or reads of a part of it. O((n + m) log n) for n operations whose reads return
// m elements, and O(k log n) more for each crash where there are k keys.
func Durability(o DurabilityOptions) checkers.Checker {
	if len(o.Kinds) == 0 {
		o.Kinds = CrashKinds
	}
	o.Window = cmp.Or(o.Window, time.Second)
	o.Share = cmp.Or(o.Share, 0.95)
	o.Factor = cmp.Or(o.Factor, 3)
	return checkers.Func("durability", func(ctx context.Context, e *checkers.Evidence) checkers.Verdict {
		v := durability(newWatch(ctx), e, o)
		v.Algorithm = "reads after recovery"
		return v
	})
}

func durability(w *watch, e *checkers.Evidence, o DurabilityOptions) judged {
	var crashes []checkers.FaultWindow
	for _, f := range e.Faults {
		if slices.Contains(o.Kinds, f.Kind) {
			crashes = append(crashes, f)
		}
	}
	slices.SortStableFunc(crashes, func(a, b checkers.FaultWindow) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End))
	})
	if len(crashes) == 0 {
		return notApplicable("nothing crashed")
	}
	losses := make([]loss, len(crashes))
	for i := range losses {
		losses[i].crash = crashes[i]
	}
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
			return unknown("time ran out while what was read after crashes was compared with what was acknowledged before")
		}
		s.losses(losses)
		resurrected = append(resurrected, s.risen()...)
	}
	m := map[string]float64{"crashes": float64(len(crashes)), "availability_gap_seconds": gap(e).Seconds()}
	served := newService(e.Operations, crashes[0].Start, o)
	var worst judged
	looked := 0
	for i := range losses {
		l := &losses[i]
		looked += l.looked
		l.measure(m)
		worst = first(worst, l.judge(o))
		served.recovery(l.crash.Start, m)
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
		return with(unknown("no key was acknowledged before a crash and read after it"), m)
	}
	return with(valid("%s lost at most %s each, at most %.3f s old", plural(len(crashes), "crash fault"), plural(int(m["rpo_operations"]), "acknowledged operation"), m["rpo_seconds"]), m)
}

// loss is what one crash cost.
type loss struct {
	crash  checkers.FaultWindow
	lost   []lostMutation
	looked int
}

// lostMutation is a mutation that was lost.
type lostMutation struct {
	w *history.Operation
	// proof are a read that shows it, and who can have set what that returned
	// if it is not the initial value.
	proof []*history.Operation
	// survivor is a later mutation that survived, with a read that has it.
	survivor, held *history.Operation
}

func (l *loss) measure(m map[string]float64) {
	m["rpo_operations"] = max(m["rpo_operations"], float64(len(l.lost)))
	m["rpo_seconds"] = max(m["rpo_seconds"], l.age().Seconds())
	n := 0
	for _, x := range l.lost {
		if x.survivor != nil {
			n++
		}
	}
	m["not_prefix"] = max(m["not_prefix"], float64(n))
}

func (l *loss) age() (age time.Duration) {
	for _, x := range l.lost {
		age = max(age, l.crash.Start-x.w.Completed)
	}
	return age
}

// judge says of a loss that is too large what shows it, with as many of the lost
// as are too many.
func (l *loss) judge(o DurabilityOptions) judged {
	if len(l.lost) == 0 {
		return judged{}
	}
	say := fmt.Sprintf("%s at %s lost %s, the oldest %s old", l.crash.Fault, history.At(l.crash.Start), plural(len(l.lost), "acknowledged operation"), l.age())
	for _, x := range l.lost {
		if x.survivor != nil {
			return invalid("lost, not a suffix", fmt.Sprintf("%s: %s is gone, and %s, which came after it, is not", say, brought(x.w), brought(x.survivor)), operations(x.proof, []*history.Operation{x.w, x.survivor, x.held})...)
		}
	}
	bounded, old := o.Operations > 0 || o.Time > 0, o.Time > 0 && l.age() > o.Time
	if bounded && !old && (o.Operations == 0 || len(l.lost) <= o.Operations) {
		return judged{}
	}
	slices.SortStableFunc(l.lost, func(a, b lostMutation) int { return cmp.Compare(a.w.Completed, b.w.Completed) })
	shown := l.lost[:1]
	if bounded && !old {
		shown = l.lost[:o.Operations+1]
	}
	var evidence []*history.Operation
	for _, x := range shown {
		evidence = append(append(evidence, x.w), x.proof...)
	}
	return invalid("lost", say+": "+brought(l.lost[0].w).String()+" among them", operations(evidence)...)
}

// gap is the longest time without an ok completion.
func gap(e *checkers.Evidence) time.Duration {
	var times []time.Duration
	end := time.Duration(0)
	for _, o := range e.Operations {
		end = max(end, o.Invoked)
		if o.Outcome == history.OK {
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
