package recovery

import (
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/record"
)

// consistentCut: a cut is consistent if every message that was received in it
// was sent in it (Chandy and Lamport 1985); otherwise the message is an
// orphan. Judged are
//
//   - the line of every committed round;
//   - every line to which all its processes were restored, unless they then
//     replayed a log, which sends again what the line lacks;
//   - the states of all processes at the moment at which a recovery was over:
//     the last restore, end of replay or resume of its processes, and the end
//     of those replays of an earlier one that went on, if no other recovery had
//     begun before;
//   - the states at the end, unless a process is dead or waits for recovery.
//
// Processes that a line does not name are taken as they were at that moment,
// and for the line of a recovery as they were when it was decided: by the time
// at which it is over they may have received what was sent after it.
// Not checked: what was in transit (channel-state).
func consistentCut(r *run, _ Options) checkers.Verdict {
	if r.kinds[record.Recv] == 0 {
		return lacks("message that was received")
	}
	s, lines := newSweep(r), 0
	judge := func(places []place, event int32, what string) *checkers.Verdict {
		lines++
		if s.cut(places); s.orphans == 0 {
			return nil
		}
		v := r.orphan(s, event, what)
		return &v
	}
	type moment struct {
		event  int32
		places func() []place
		what   string
	}
	var moments []moment
	for _, i := range r.rounds {
		moments = append(moments, moment{i, func() []place { return r.atLine(r.lineOf(i), i) }, fmt.Sprintf("round %d", r.ev[i].Round)})
	}
	for k := range r.recoveries {
		v := &r.recoveries[k]
		if v.done == none {
			continue
		}
		if !v.replayed {
			moments = append(moments, moment{v.done, func() []place { return r.atLine(v.line, v.decided) }, fmt.Sprintf("the line of the recovery at %s", history.At(r.ev[v.event].T))})
		}
		over := r.replaysOver(v.done)
		if over == none || k+1 < len(r.recoveries) && r.recoveries[k+1].decided < over {
			continue // the next one had begun: there is no state between the two
		}
		moments = append(moments, moment{over, func() []place { return r.now(over) }, fmt.Sprintf("the state after the recovery at %s", history.At(r.ev[v.event].T))})
	}
	if len(moments) == 0 {
		return lacks("committed round and no completed recovery")
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return int(a.event - b.event) })
	for _, m := range moments {
		if v := judge(m.places(), m.event, m.what); v != nil {
			return *v
		}
	}
	if end := int32(len(r.ev) - 1); r.settled() {
		if v := judge(r.now(end), end, "the final state"); v != nil {
			return *v
		}
	}
	return valid("%d cuts have no orphan among %d messages", lines, len(r.msgs))
}

// orphan explains the first orphan of the cut that s holds.
func (r *run) orphan(s *sweep, event int32, what string) checkers.Verdict {
	for m := range int32(len(r.msgs)) {
		if !s.orphan(m) {
			continue
		}
		quoted := []int32{event}
		for i := range r.ev {
			if r.msg[i] == m && r.ev[i].Kind != record.LogDelete {
				quoted = append(quoted, int32(i))
			}
		}
		from, to := r.from[m], r.to[m]
		return r.violated("orphan", quoted, "%s is no consistent cut: %s has received the message %s, and %s has not sent it%s (%d such messages)",
			what, r.state(to, s.at[to]), r.msgs[m], r.state(from, s.at[from]), r.fateOfSending(m, s.at[from]), s.orphans)
	}
	return unknown("an orphan was counted and not found again")
}

// fateOfSending says why a sender has not sent a message at a place, although
// the record has it sending that.
func (r *run) fateOfSending(m int32, at place) string {
	for i := range int32(len(r.ev)) {
		if r.msg[i] != m || r.ev[i].Kind != record.Send || r.contains(at, i) {
			continue
		}
		sent := history.At(r.ev[i].T)
		if r.before(at, place{r.inc[i], r.at[i]}) {
			return fmt.Sprintf(": it does so later, at %s", sent)
		}
		if k := r.undoing(i); k != none {
			return fmt.Sprintf(": %s undid its sending at %s", r.undid(k), sent)
		}
	}
	return ""
}

// state is how a place is called in words.
func (r *run) state(p int32, at place) string {
	for c := range r.ckpts {
		if r.ckpts[c].proc == p && r.ckpts[c].at == at {
			return r.name(p, int32(c))
		}
	}
	if at.inc == none {
		return r.procs[p] + "'s initial state"
	}
	if at.at == 0 {
		return fmt.Sprintf("%s at the beginning of incarnation %d", r.procs[p], r.incs[at.inc].number)
	}
	return fmt.Sprintf("%s at %s", r.procs[p], history.At(r.ev[r.incs[at.inc].events[at.at-1]].T))
}
