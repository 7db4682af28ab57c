package recovery

import (
	"cmp"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

// progress: the computation gets on until it has ended or a failure is told. It
// is stalled if no process has told of work for RecoveryMax when the evidence
// ends, and not all of them are in a final state. That time counts from when
// the last fault was healed, where faults are known. Evidence ends with the
// record or with the run's phases, whichever is later: a computation that is
// stalled may have nothing to record. Without work or final states in the
// record nothing can be said. Not checked: how fast it gets on, and pauses
// before its last work.
func progress(r *run, o Options) checkers.Verdict {
	if r.kinds[record.Work] == 0 {
		return unknown("the record has no work")
	}
	members := r.members()
	var open []int32 // members that have not ended
	last := none
	ended := map[int32]bool{}
	for i := range r.ev {
		r.tick()
		r.end(ended, int32(i))
	}
	for _, p := range members {
		if !ended[p] {
			open = append(open, p)
		}
	}
	latest := map[int32]int32{}
	for i := range r.ev {
		r.tick()
		if r.ev[i].Kind == record.Work {
			last = int32(i)
			latest[r.proc[i]] = last
		}
	}
	idle := (r.until - max(r.calm, r.ev[last].T)).Round(time.Millisecond)
	switch limit := cmp.Or(o.RecoveryMax, recoveryMax); {
	case len(open) == 0 && len(members) > 0:
		return valid("all %d processes have ended", len(members))
	case r.kinds[record.Failure] > 0:
		return valid("%d of %d processes have not ended, and a failure was told", len(open), len(members))
	case r.kinds[record.Final] == 0 && !o.TellsEnd:
		return unknown("the record has no final state: whether the computation had ended cannot be told")
	case idle < limit:
		return unknown("%s and %d more had not ended when the evidence did, %s after the last work", r.procs[open[0]], len(open)-1, idle)
	default:
		var events []int32
		for _, p := range open {
			if i, ok := latest[p]; ok {
				events = append(events, i)
			}
		}
		return r.violated("stalled", append(events, last), "%d of %d processes, %s first, never ended: for %s, until the evidence ends, no process did any work",
			len(open), len(members), r.procs[open[0]], idle)
	}
}
