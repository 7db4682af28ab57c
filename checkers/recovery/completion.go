package recovery

import (
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/record"
)

// measureCompletion says what the computation went through until it was
// complete, for an IntervalStudy. Nothing is measured of a computation that
// did not end.
//
//   - completion_seconds: from the first event to the first by which all
//     processes that compute have told a final state and not gone back since;
//   - completion_checkpoints: checkpoints committed by then, per process that
//     computes;
//   - completion_failures: how often by then recoveries brought the computation
//     to a stand: crashes of several processes, and crashes before a recovery
//     was over, are one failure;
//   - completion_down_seconds: the sum over these of the time from the first
//     crash of a process that computes (or the decision, if there was none) to the
//     last first resume.
func (r *run) measureCompletion(m map[string]float64) {
	members := r.members()
	end := r.complete(members)
	if end == none {
		return
	}
	m["completion_seconds"] = (r.ev[end].T - r.ev[0].T).Seconds()
	computes := map[int32]bool{}
	for _, p := range members {
		computes[p] = true
	}
	committed := 0
	for c := range r.ckpts {
		if k := r.ckpts[c].commits; len(k) > 0 && k[0] < end {
			committed++
		}
	}
	m["completion_checkpoints"] = float64(committed) / float64(len(members))
	down, failures := r.standstills(end, computes)
	m["completion_down_seconds"], m["completion_failures"] = down.Seconds(), float64(failures)
}

// complete is the first event by which all members had ended, or none.
func (r *run) complete(members []int32) int32 {
	ended := map[int32]bool{}
	for i := range r.ev {
		r.tick()
		if r.end(ended, int32(i)) && !slices.ContainsFunc(members, func(p int32) bool { return !ended[p] }) {
			return int32(i)
		}
	}
	return none
}

// end notes what an event says of who has ended, and reports whether that is
// another process.
func (r *run) end(ended map[int32]bool, i int32) bool {
	switch p := r.proc[i]; r.ev[i].Kind {
	case record.Crash, record.Start, record.Restore:
		delete(ended, p)
	case record.Final:
		ended[p] = true
		return true
	}
	return false
}

// standstills is how long, and how often, the computation stood still for recoveries
// that were over by an event.
func (r *run) standstills(end int32, computes map[int32]bool) (sum time.Duration, failures int) {
	over := int32(0) // the event by which the recovery before was over
	for k := range r.recoveries {
		v := &r.recoveries[k]
		if v.done == none || v.done > end || v.done <= over {
			continue
		}
		since := v.decided
		for i := over; i < v.decided; i++ {
			r.tick()
			if r.ev[i].Kind == record.Crash && computes[r.proc[i]] {
				since = i
				break
			}
		}
		sum += r.ev[v.done].T - r.ev[since].T
		failures++
		over = v.done
	}
	return sum, failures
}
