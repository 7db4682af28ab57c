package recovery

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/record"
)

// recoveryMax is the default of Options.RecoveryMax.
const recoveryMax = 30 * time.Second

// terminates: every recovery ends. One that was decided ends when each process
// of its line has been restored and, where processes tell of it, has resumed;
// or with a failure that is told. One that is cut short by the next ends with
// that. A process that takes part in the computation and has crashed is in a
// recovery, starts and computes again, or there is a failure.
//
// What has not ended with the evidence is hung if that goes on for RecoveryMax
// after it, and unknown else; that time counts from when the last fault was
// healed, where faults are known. Recoveries that are each cut short by the
// next are one, which began with the first, if nothing but the service can be
// to blame: faults are known, nobody crashed or started since, or a line was
// taken again of which a part had been lost for good. Else it is unknown.
//
// A failure may be told only where there is no way back: while the service
// recovers, it gives up too soon if the newest committed round is whole, or an
// older one after which there was no output, or, without rounds and logs, if
// the recovery line takes nobody back to the beginning, or behind an output
// (gave-up). Where anything was deleted, only the newest round counts: who
// crashes may not have told of what else was let go. Not judged are failures
// of systems that replay logs, and the initial state as a way back.
//
// Not checked: whether the job gets on after it (progress).
func terminates(r *run, o Options) checkers.Verdict {
	if len(r.recoveries) == 0 && r.kinds[record.Crash] == 0 {
		return lacks("crash and no recovery")
	}
	if r.kinds[record.Failure] > 0 {
		if bad := r.gaveUp(); bad != nil {
			return *bad
		}
		return valid("%d recoveries ended, and a failure was told", len(r.recoveries))
	}
	limit := cmp.Or(o.RecoveryMax, recoveryMax)
	if n := len(r.recoveries); n > 0 {
		if late := r.unresumed(&r.recoveries[n-1]); late != none {
			return r.unended(late, limit)
		}
	}
	for _, p := range r.members() {
		lives := r.lives[p]
		in := &r.incs[lives[len(lives)-1]]
		last := in.events[len(in.events)-1]
		if !in.bare && r.ev[last].Kind != record.Crash || in.bare && in.number == 1 {
			continue
		}
		if down := r.until - max(r.calm, r.ev[last].T); down >= limit {
			return r.violated("hung", []int32{last}, "%s crashed and was never recovered in the %s that the evidence goes on%s", r.procs[p], down, r.afterFaults(r.ev[last].T))
		}
		return unknown("%s had not been recovered when the evidence ended", r.procs[p])
	}
	return valid("%d recoveries ended", len(r.recoveries))
}

// afterFaults says from when a time counts that began before the last fault was
// healed.
func (r *run) afterFaults(began time.Duration) string {
	if r.calm <= began {
		return ""
	}
	return fmt.Sprintf(" after the last fault was healed at %s", history.At(r.calm))
}

// unended judges the recoveries at the end none of which ended; late is a
// process that the last one did not bring back.
func (r *run) unended(late int32, limit time.Duration) checkers.Verdict {
	n := len(r.recoveries)
	last, first := &r.recoveries[n-1], n-1
	if took := r.until - max(r.calm, last.time); took >= limit {
		return r.violated("hung", []int32{last.event}, "the recovery at %s never ended: %s did not resume in the %s that the evidence goes on%s",
			history.At(r.ev[last.event].T), r.procs[late], took, r.afterFaults(last.time))
	}
	for first > 0 && r.unresumed(&r.recoveries[first-1]) != none {
		first--
	}
	chain := r.recoveries[first:]
	took := r.until - max(r.calm, chain[0].time)
	if took < limit {
		return unknown("the evidence ends %s after a recovery began that had not ended", took)
	}
	var quoted []int32
	for k := range chain {
		quoted = append(quoted, chain[k].event)
	}
	again, lost := r.takenAgain(chain)
	if lost != none {
		quoted = append(quoted, lost)
	}
	why := ""
	switch {
	case again != none:
		why = fmt.Sprintf("; the one at %s takes a checkpoint that had been lost before", history.At(r.ev[again].T))
	case !r.watched && r.upset(chain[0].decided):
		return unknown("%d recoveries were each cut short by the next for %s, until the evidence ends; processes crashed meanwhile, and what made them is not known", len(chain), took)
	}
	return r.violated("hung", quoted, "%d recoveries from %s on never ended, each cut short by the next, in the %s that the evidence goes on%s%s",
		len(chain), history.At(r.ev[chain[0].event].T), took, r.afterFaults(chain[0].time), why)
}

// takenAgain is the first of some recoveries that takes a checkpoint which had
// been lost for good before, and the event that told so.
func (r *run) takenAgain(chain []recovery) (again, lost int32) {
	for k := range chain {
		v := &chain[k]
		for _, p := range sorted(v.line) {
			if c := v.line[p]; c != none {
				if by := r.goneBefore(c, v); by != none {
					return v.event, by
				}
			}
		}
	}
	return none, none
}

// upset reports whether a member crashed or started after an event.
func (r *run) upset(after int32) bool {
	for i := after + 1; i < int32(len(r.ev)); i++ {
		k := r.ev[i].Kind
		if (k == record.Crash || k == record.Start) && slices.Contains(r.members(), r.proc[i]) {
			return true
		}
	}
	return false
}

// unresumed is a process that a recovery has not brought back, or none.
func (r *run) unresumed(v *recovery) int32 {
	back := map[int32]bool{}
	for _, k := range v.restores {
		in := &r.incs[k]
		_, ok := r.first(in, record.Resume)
		if !ok && r.kinds[record.Resume] > 0 {
			_, ok = r.first(in, record.Work)
		}
		back[in.proc] = ok || r.kinds[record.Resume] == 0
	}
	for _, p := range sorted(v.line) {
		if !back[p] {
			return p
		}
	}
	return none
}

// gaveUp judges the first failure that was told, if a way back was open.
func (r *run) gaveUp() *checkers.Verdict {
	i := int32(slices.IndexFunc(r.ev, func(e record.Event) bool { return e.Kind == record.Failure }))
	switch {
	case !r.recovering(i) || r.replays():
		return nil
	case len(r.rounds) > 0:
		return r.gaveUpRounds(i)
	case r.kinds[record.RoundBegin]+r.kinds[record.CheckpointDelete] > 0:
		return nil
	}
	dead := make([]bool, len(r.procs))
	for p := range r.procs {
		dead[p] = r.down(int32(p), i)
	}
	if n := len(r.recoveries); n > 0 && r.recoveries[n-1].decided < i {
		for _, p := range r.recoveries[n-1].failed {
			dead[p] = true
		}
	}
	found := newWalk(r).to(r.now(i)).pattern(func(c int32) bool { return r.lasting(c, i) })
	places, quoted := found.line(dead), []int32{i}
	line := map[int32]int32{}
	for _, p := range r.members() {
		switch x := places[p]; {
		case x == 0:
			return nil
		case int(x) <= len(found.ckpts[p]):
			line[p] = found.ckpts[p][x-1]
			quoted = append(quoted, r.ckpts[line[p]].begin)
		}
	}
	if len(line) == 0 || r.emittedAfter(line, i) {
		return nil
	}
	v := r.violated("gave-up", quoted, "%s gave up at %s (%s), although a consistent line of checkpoints could be restored, with %s",
		r.ev[i].Proc, history.At(r.ev[i].T), r.ev[i].Reason, r.name(sorted(line)[0], line[sorted(line)[0]]))
	return &v
}

func (r *run) gaveUpRounds(i int32) *checkers.Verdict {
	best, newest := none, none
	for _, c := range r.rounds {
		e := &r.ev[c]
		if c > i || e.T >= r.ev[i].T {
			continue
		}
		if newest == none || e.Round > r.ev[newest].Round {
			newest = c
		}
		if r.wholeAt(c, i) && (best == none || e.Round > r.ev[best].Round) {
			best = c
		}
	}
	if best == none || r.ev[best].Round < r.ev[newest].Round && (r.kinds[record.CheckpointDelete] > 0 || r.emittedAfter(r.lineOf(best), i)) {
		return nil
	}
	v := r.violated("gave-up", []int32{best, i}, "%s gave up at %s (%s), although round %d, committed at %s, was whole",
		r.ev[i].Proc, history.At(r.ev[i].T), r.ev[i].Reason, r.ev[best].Round, history.At(r.ev[best].T))
	return &v
}

// recovering reports whether at an event a recovery had been decided that had
// not ended, or a member was down.
func (r *run) recovering(i int32) bool {
	for k := len(r.recoveries) - 1; k >= 0; k-- {
		if v := &r.recoveries[k]; v.decided < i {
			if v.done == none || v.done > i {
				return true
			}
			break
		}
	}
	return slices.ContainsFunc(r.members(), func(p int32) bool { return r.down(p, i) })
}

// wholeAt reports whether every part of a committed round was there for certain.
func (r *run) wholeAt(round, event int32) bool {
	for _, c := range r.lineOf(round) {
		if !r.lasting(c, event) {
			return false
		}
	}
	return true
}

// lasting reports whether a checkpoint could be restored from some level that
// cannot have lost it unnoticed: a partner's memory only if nobody crashed.
func (r *run) lasting(c, event int32) bool {
	if !r.usable(c, event) {
		return false
	}
	return slices.ContainsFunc(r.ckpts[c].commits, func(i int32) bool {
		level := r.ev[i].Level
		there, by := r.holds(c, level, event)
		return there && !r.unreadSince(c, level, by, event) && !(level == volatileLevel && r.crashedBetween(by, event))
	})
}

// unreadSince reports whether a level could not be read between two events.
func (r *run) unreadSince(c int32, level string, from, to int32) bool {
	return slices.ContainsFunc(r.ckpts[c].losses, func(i int32) bool {
		e := &r.ev[i]
		return from < i && i < to && e.Kind == record.CheckpointBad && e.Reason == unreadable && e.Level == level
	})
}

// emittedAfter reports whether processes had emitted output, by an event, that
// the checkpoints of a line lack: the outside world may have seen it.
func (r *run) emittedAfter(line map[int32]int32, event int32) bool {
	for i := range event {
		if r.ev[i].Kind != record.Output {
			continue
		}
		if c, in := line[r.proc[i]]; in && !r.contains(r.ckpts[c].at, i) {
			return true
		}
	}
	return false
}
