package recovery

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/record"
)

// recovery is one decision of a coordinator with what came of it.
//
// Decisions are in the order of their epochs, not of their times: a coordinator
// that was deposed, or stood still, may tell of its last decision after its
// successor has told of the next. What was decided for an epoch was decided
// before anybody was restored in that epoch, and before anything was done in a
// later one; so it counts from then on, if it is told of only later.
type recovery struct {
	event int32 // the one that tells of it first
	// decided is the event at which it had been decided at the latest, and
	// time the moment of the decision: that of event, unless it was told late.
	decided  int32
	time     time.Duration
	line     map[int32]int32 // process to checkpoint, or none
	restores []int32         // incarnations
	failed   []int32
	replayed bool
	// done is the last event by which all had been restored (and had replayed
	// and resumed, if they say so), or none.
	done int32
}

// decisions finds all recoveries. What another process, or a later incarnation,
// tells again of an epoch, with the same round and line, is the same decision:
// whoever took over could not know whether it had been told.
func (r *run) decisions(procs map[string]int32) {
	told := map[int][]int32{} // by epoch: recoveries
	for i := range r.ev {
		e := &r.ev[i]
		if e.Kind != record.Recovery {
			continue
		}
		if slices.ContainsFunc(told[e.Epoch], func(k int32) bool { return toldAgain(&r.ev[r.recoveries[k].event], e) }) {
			continue
		}
		told[e.Epoch] = append(told[e.Epoch], int32(len(r.recoveries)))
		v := recovery{event: int32(i), decided: int32(i), time: e.T, line: map[int32]int32{}, done: none}
		for name := range e.Line {
			v.line[procs[name]] = none // until finish
		}
		for _, name := range e.Failed {
			v.failed = append(v.failed, procs[name])
		}
		r.recoveries = append(r.recoveries, v)
	}
	if len(r.recoveries) == 0 {
		return
	}
	slices.SortStableFunc(r.recoveries, func(a, b recovery) int { return cmp.Compare(r.ev[a.event].Epoch, r.ev[b.event].Epoch) })
	r.late()
	r.ofEpoch = map[int][]int32{}
	for k := range r.recoveries {
		epoch := r.ev[r.recoveries[k].event].Epoch
		r.ofEpoch[epoch] = append(r.ofEpoch[epoch], int32(k))
	}
}

// late finds the recoveries that were told of after they had had effect.
func (r *run) late() {
	first, effect := map[int]int32{}, map[int]int32{} // by epoch: its first event, its first restore or resume
	note := func(m map[int]int32, epoch int, i int32) {
		if _, ok := m[epoch]; !ok {
			m[epoch] = i
		}
	}
	for i := range r.ev {
		e := &r.ev[i]
		if e.Epoch == 0 {
			continue
		}
		note(first, e.Epoch, int32(i))
		if e.Kind == record.Restore || e.Kind == record.Resume {
			note(effect, e.Epoch, int32(i))
		}
	}
	epochs := slices.Sorted(maps.Keys(first))
	after := int32(len(r.ev)) // the first event of a later epoch
	x := len(epochs) - 1
	for k := len(r.recoveries) - 1; k >= 0; k-- {
		v := &r.recoveries[k]
		epoch := r.ev[v.event].Epoch
		for ; x >= 0 && epochs[x] > epoch; x-- {
			after = min(after, first[epochs[x]])
		}
		by := after
		if i, ok := effect[epoch]; ok && (k == 0 || r.ev[r.recoveries[k-1].event].Epoch != epoch) {
			by = min(by, i)
		}
		if by <= v.decided {
			v.decided, v.time = max(0, by-1), r.ev[by].T
		}
	}
}

// recoveryOf finds the decision that a restore follows: that of its epoch, or
// else the last one before it that names the process.
func (r *run) recoveryOf(i, p int32) int32 {
	list := r.ofEpoch[r.ev[i].Epoch]
	if r.ev[i].Epoch == 0 {
		for k := len(r.recoveries) - 1; k >= 0; k-- {
			if _, named := r.recoveries[k].line[p]; named && r.recoveries[k].decided < i {
				return int32(k)
			}
		}
		return none
	}
	for _, k := range slices.Backward(list) {
		if _, named := r.recoveries[k].line[p]; named {
			return k
		}
	}
	return none
}

// finish finds the line of a recovery, and out when it was over.
func (r *run) finish(v *recovery) {
	for p := range v.line {
		if c := r.ev[v.event].Line[r.procs[p]]; c != "" {
			v.line[p] = r.ckptOf[p][c]
		}
	}
	// A recovery may be cut short by the next before any replay has ended: how
	// a system recovers is told by the record as a whole.
	v.replayed = r.replays()
	restored := map[int32]bool{}
	for _, k := range v.restores {
		in, last, crashed := &r.incs[k], int32(0), false
		last = in.events[0]
		for _, i := range in.events {
			switch r.ev[i].Kind {
			case record.ReplayEnd:
				last = i
			case record.Crash:
				crashed = crashed || !resumed(r, in, i)
			}
		}
		if i, ok := r.first(in, record.Resume); ok {
			last = max(last, i)
		}
		if !crashed {
			restored[in.proc] = true
			v.done = max(v.done, last)
		}
	}
	if len(restored) < len(v.line) {
		v.done = none
	}
}

// toldAgain reports whether somebody tells of a decision that another one, or an
// earlier incarnation, has told of.
func toldAgain(a, b *record.Event) bool {
	return (a.Proc != b.Proc || a.Inc != b.Inc) && a.Epoch == b.Epoch && a.Round == b.Round && maps.Equal(a.Line, b.Line)
}
