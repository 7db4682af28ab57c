package recovery

import (
	"cmp"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

// measure computes, with times in seconds:
//
//   - rpo_units_max, rpo_seconds_max: over recoveries, the work units that the
//     restored line undoes, of all its processes, and the longest time from the
//     checkpoint of a process in it to the last event that is undone;
//   - rto_resume_seconds_max, rto_work_seconds_max: from the last crash before
//     a recovery (or from its decision, if no crash is recorded) to the last
//     first resume, and last first work, of its processes;
//   - recomputed_units: work units that are in no final history; useful_units:
//     those that are; overhead_stop_share: time stopped for checkpoints as a
//     share of the time of all processes from first to last event;
//   - checkpoints_committed; checkpoints_forced: those that messages induced,
//     committed or not; checkpoint_seconds_mean, _max: from begin to first commit;
//     round_seconds_max: from round_begin to round_commit; stop_seconds_max,
//     stop_seconds_total: from stop to go, or to the end of the incarnation;
//   - bytes_LEVEL: bytes committed to each level;
//   - interval_seconds_mean: between the begins of a process's checkpoints;
//     failures; mtbf_seconds: time of the record per crash;
//     young_seconds, daly_seconds: the best interval for the mean cost of a
//     checkpoint (its stop time if processes tell it, else its duration);
//   - completion_*: see measureCompletion.
//
// Never invalid; not applicable if nothing of it is recorded.
func measure(r *run, _ Options) checkers.Verdict {
	if r.kinds[record.CheckpointBegin]+r.kinds[record.Crash]+len(r.recoveries)+r.kinds[record.Work] == 0 {
		return lacks("checkpoint, crash, recovery and work")
	}
	m := map[string]float64{}
	r.measureRecoveries(m)
	r.measureWork(m)
	r.measureCheckpoints(m)
	r.measureStops(m)
	r.measureInterval(m)
	r.measureCompletion(m)
	v := valid("%d checkpoints, %d crashes, %d recoveries", len(r.ckpts), r.kinds[record.Crash], len(r.recoveries))
	v.Measures = m
	return v
}

func most(m map[string]float64, name string, x float64) { m[name] = max(m[name], x) }

func (r *run) measureRecoveries(m map[string]float64) {
	for k := range r.recoveries {
		v := &r.recoveries[k]
		began := v.time
		for i := v.decided; i >= 0 && (k == 0 || i > r.recoveries[k-1].decided); i-- {
			if r.ev[i].Kind == record.Crash {
				began = r.ev[i].T
				break
			}
		}
		var units int64
		for p, c := range v.line {
			to := initial
			if c != none {
				to = r.ckpts[c].at
			}
			from := r.present(p, v.decided)
			if !r.before(to, from) {
				continue
			}
			lost := r.since(to, from)
			for _, i := range lost {
				units += r.ev[i].Units
			}
			if len(lost) > 0 {
				most(m, "rpo_seconds_max", (r.ev[lost[len(lost)-1]].T - r.ev[lost[0]].T).Seconds())
			}
		}
		most(m, "rpo_units_max", float64(units))
		for _, k := range v.restores {
			if i, ok := r.first(&r.incs[k], record.Resume); ok {
				most(m, "rto_resume_seconds_max", (r.ev[i].T - began).Seconds())
			}
			if i, ok := r.first(&r.incs[k], record.Work); ok {
				most(m, "rto_work_seconds_max", (r.ev[i].T - began).Seconds())
			}
		}
	}
}

func (r *run) measureWork(m map[string]float64) {
	if r.kinds[record.Work] == 0 {
		return
	}
	end := r.now(int32(len(r.ev) - 1))
	for i := range int32(len(r.ev)) {
		if e := &r.ev[i]; e.Kind == record.Work {
			if r.contains(end[r.proc[i]], i) {
				m["useful_units"] += float64(e.Units)
			} else {
				m["recomputed_units"] += float64(e.Units)
			}
		}
	}
}

func (r *run) measureCheckpoints(m map[string]float64) {
	committed := 0
	for c := range r.ckpts {
		k := &r.ckpts[c]
		if r.ev[k.begin].Forced {
			m["checkpoints_forced"]++
		}
		for x, i := range k.commits {
			m["bytes_"+cmp.Or(r.ev[i].Level, "unnamed")] += float64(r.ev[i].Bytes)
			if x == 0 {
				took := (r.ev[i].T - r.ev[k.begin].T).Seconds()
				most(m, "checkpoint_seconds_max", took)
				m["checkpoint_seconds_mean"] += took
				committed++
			}
		}
	}
	if committed > 0 {
		m["checkpoint_seconds_mean"] /= float64(committed)
	}
	m["checkpoints_committed"] = float64(committed)
	began := map[int]time.Duration{}
	for i := range r.ev {
		switch e := &r.ev[i]; e.Kind {
		case record.RoundBegin:
			began[e.Round] = e.T
		case record.RoundCommit:
			if t, ok := began[e.Round]; ok {
				most(m, "round_seconds_max", (e.T - t).Seconds())
				delete(began, e.Round) // it may be told again
			}
		}
	}
}

func (r *run) measureStops(m map[string]float64) {
	if r.kinds[record.Stop] == 0 {
		return
	}
	var all time.Duration
	for k := range r.incs {
		events := r.incs[k].events
		last := r.ev[events[len(events)-1]].T
		all += last - r.ev[events[0]].T
		since := time.Duration(-1)
		stop := func(until time.Duration) {
			if since >= 0 {
				most(m, "stop_seconds_max", (until - since).Seconds())
				m["stop_seconds_total"] += (until - since).Seconds()
			}
			since = -1
		}
		for _, i := range events {
			switch e := &r.ev[i]; {
			case e.Kind == record.Stop && since < 0:
				since = e.T
			case e.Kind == record.Go:
				stop(e.T)
			}
		}
		stop(last)
	}
	if all > 0 {
		m["overhead_stop_share"] = m["stop_seconds_total"] / all.Seconds()
	}
}

func (r *run) measureInterval(m map[string]float64) {
	last, sum, n := map[int32]time.Duration{}, time.Duration(0), 0
	for c := range r.ckpts {
		k := &r.ckpts[c]
		t := r.ev[k.begin].T
		if before, ok := last[k.at.inc]; ok {
			sum += t - before
			n++
		}
		last[k.at.inc] = t
	}
	if n > 0 {
		m["interval_seconds_mean"] = sum.Seconds() / float64(n)
	}
	crashes := r.kinds[record.Crash]
	if m["failures"] = float64(crashes); crashes == 0 || m["checkpoints_committed"] == 0 {
		return
	}
	mtbf := (r.ev[len(r.ev)-1].T - r.ev[0].T) / time.Duration(crashes)
	cost := m["checkpoint_seconds_mean"]
	if total, ok := m["stop_seconds_total"]; ok {
		cost = total / m["checkpoints_committed"]
	}
	m["mtbf_seconds"] = mtbf.Seconds()
	c := time.Duration(cost * float64(time.Second))
	m["young_seconds"], m["daly_seconds"] = Young(c, mtbf).Seconds(), Daly(c, mtbf).Seconds()
}
