package recovery

import (
	"github.com/cleancut/cleancut/harness/history"
	"maps"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

// levelOrder is the order in which levels are to be tried; others have none.
var levelOrder = []string{"partner", "local", "store"}

// volatileLevel is lost with a process, without anyone noticing.
const volatileLevel = "partner"

// restorable: what a process restores had been committed, to the level that it
// is restored from if the restore names one; that level has not lost it since
// (deleted, or found to be bad); the checkpoints that it
// rests on are there, too; and the digest of the restored state is that of the
// saved one. Levels are tried in order (partner, local, store): one that holds
// the checkpoint is not passed over, unless it is the memory of a partner and
// some process has crashed since. A level that was unreadable has lost nothing:
// it may answer when it is tried again; and the incarnation that could not read
// it may pass it over. And an acknowledged round does
// not vanish: no part of it is found missing at every level that is not
// volatile, unless it had been deleted.
//
// Not checked: a state without digests, and whether what was not loaded could
// have been. A part that is corrupt everywhere is counted (parts_corrupt) and
// not judged: how much corruption storage must bear is for a fault budget.
func restorable(r *run, _ Options) checkers.Verdict {
	restored, compared := 0, 0
	for i := range int32(len(r.ev)) {
		e := &r.ev[i]
		if e.Kind != record.Restore || e.Ckpt == "" {
			continue
		}
		c := r.ckptOf[r.proc[i]][e.Ckpt]
		restored++
		if v := r.loaded(i, c); v != nil {
			return *v
		}
		begin := &r.ev[r.ckpts[c].begin]
		if e.Digest != "" && begin.Digest != "" {
			compared++
			if e.Digest != begin.Digest {
				return r.violated("corrupt", []int32{r.ckpts[c].begin, i}, "%s was restored to %s with digest %s; saved was %s", e.Proc, e.Ckpt, e.Digest, begin.Digest)
			}
		}
		if e.Value != nil && begin.Value != nil && *e.Value != *begin.Value {
			return r.violated("corrupt", []int32{r.ckpts[c].begin, i}, "%s was restored to %s with value %d; saved was %d", e.Proc, e.Ckpt, *e.Value, *begin.Value)
		}
		for _, source := range slices.Sorted(maps.Keys(e.Offsets)) {
			offset := e.Offsets[source]
			if saved, ok := begin.Offsets[source]; ok && saved != offset {
				return r.violated("offset", []int32{r.ckpts[c].begin, i}, "%s was restored to %s with offset %d of %s; saved was %d", e.Proc, e.Ckpt, offset, source, saved)
			}
		}
	}
	if v := r.vanished(); v != nil {
		return *v
	}
	if restored == 0 {
		return lacks("restore of a checkpoint")
	}
	v := valid("%d checkpoints restored were there and whole, %d by digest", restored, compared)
	v.Measures = map[string]float64{"restores": float64(restored), "digests_compared": float64(compared), "parts_corrupt": float64(r.corrupt())}
	return v
}

// holds reports whether a level holds a checkpoint after an event, as far as
// that is known, and the event that last said so.
func (r *run) holds(c int32, level string, event int32) (bool, int32) {
	k, there, by := &r.ckpts[c], false, none
	events := slices.Concat(k.commits, k.losses)
	slices.Sort(events)
	for _, i := range events {
		if i > event {
			break
		}
		switch e := &r.ev[i]; {
		case e.Kind == record.CheckpointCommit && e.Level == level:
			there, by = true, i
		case e.Kind == record.CheckpointCommit || e.Reason == unreadable && e.Kind == record.CheckpointBad:
		case e.Level == level || e.Level == "":
			there, by = false, i
		}
	}
	return there, by
}

// unread reports whether a level did not let a checkpoint be read before an
// event, since the last incarnation of its process began.
func (r *run) unread(c int32, level string, event int32) bool {
	k := &r.ckpts[c]
	return slices.ContainsFunc(k.losses, func(i int32) bool {
		e := &r.ev[i]
		return e.Kind == record.CheckpointBad && e.Reason == unreadable && e.Level == level && i < event && !r.beganBetween(k.proc, i, event)
	})
}

// beganBetween reports whether an incarnation of a process began after one
// event and before another.
func (r *run) beganBetween(p, after, until int32) bool {
	return slices.ContainsFunc(r.lives[p], func(k int32) bool {
		begin := r.incs[k].events[0]
		return after < begin && begin < until
	})
}

// loaded judges where a restore took its state from.
func (r *run) loaded(i, c int32) *checkers.Verdict {
	e, k := &r.ev[i], &r.ckpts[c]
	bad := func(class string, also int32, format string, args ...any) *checkers.Verdict {
		quoted := []int32{k.begin, i}
		if also != none {
			quoted = append(quoted, also)
		}
		v := r.violated(class, quoted, format, args...)
		return &v
	}
	if len(k.commits) == 0 || k.commits[0] > i {
		return bad("uncommitted", none, "%s was restored to %s, which had never been committed", e.Proc, e.Ckpt)
	}
	if e.Level != "" {
		if there, by := r.holds(c, e.Level, i); !there {
			return bad("not-there", by, "%s was restored to %s from level %s, which did not hold it", e.Proc, e.Ckpt, e.Level)
		}
	} else if !r.held(c, i) {
		return bad("not-there", k.losses[len(k.losses)-1], "%s was restored to %s, which no level held any more", e.Proc, e.Ckpt)
	}
	for base, n := k.base, 0; base != none && n <= len(r.ckpts) && r.incrementOn(c, e.Level); base, n = r.ckpts[base].base, n+1 {
		if !r.held(base, i) {
			return bad("base", r.ckpts[base].begin, "%s was restored to %s, which rests on %s, which no level held", e.Proc, e.Ckpt, r.ckpts[base].name)
		}
	}
	for _, level := range levelOrder[:max(0, slices.Index(levelOrder, e.Level))] {
		there, by := r.holds(c, level, i)
		if there && !r.unread(c, level, i) && !(level == volatileLevel && r.crashedBetween(by, i)) {
			return bad("level-order", by, "%s was restored to %s from level %s; level %s held it and comes first", e.Proc, e.Ckpt, e.Level, level)
		}
	}
	return nil
}

func (r *run) crashedBetween(from, to int32) bool {
	for i := from; i < to; i++ {
		if k := r.ev[i].Kind; k == record.Crash || k == record.Start {
			return true
		}
	}
	return false
}

// vanished looks for parts of committed rounds that are missing everywhere.
func (r *run) vanished() *checkers.Verdict {
	for _, i := range r.rounds {
		line := r.lineOf(i)
		for _, p := range sorted(line) {
			k := &r.ckpts[line[p]]
			missing := map[string]int32{}
			for _, l := range k.losses {
				if e := &r.ev[l]; e.Kind == record.CheckpointBad && e.Reason == "missing" {
					if there := r.heldBefore(line[p], e.Level, l); there {
						missing[e.Level] = l
					}
				}
			}
			stable := 0
			for _, l := range k.commits {
				if level := r.ev[l].Level; level != volatileLevel {
					stable++
					if _, lost := missing[level]; lost {
						stable--
					}
				}
			}
			if len(missing) > 0 && stable == 0 && slices.ContainsFunc(k.commits, func(l int32) bool { return r.ev[l].Level != volatileLevel }) {
				quoted := append([]int32{k.begin, i}, k.commits...)
				v := r.violated("vanished", append(quoted, k.losses...), "%s, part of the committed round %d, was acknowledged and is missing from every level", r.name(p, line[p]), r.ev[i].Round)
				return &v
			}
		}
	}
	return nil
}

// heldBefore reports whether a level should have held a checkpoint just before
// an event.
func (r *run) heldBefore(c int32, level string, event int32) bool {
	there, _ := r.holds(c, level, event-1)
	return there
}

// corrupt counts checkpoints that were found corrupt at some level.
func (r *run) corrupt() (n int) {
	for c := range r.ckpts {
		if slices.ContainsFunc(r.ckpts[c].losses, func(l int32) bool { return r.ev[l].Reason == "corrupt" }) {
			n++
		}
	}
	return n
}

// gcSafety: garbage collection never takes what recovery may need (Wang et
// al., IEEE TPDS 6(5) 1995; for increments, the chain below a live checkpoint).
//
//   - A checkpoint is not deleted while an increment that is still there rests
//     on it: from the level of the increment, or if it never was there, from
//     its last level.
//   - From the first committed round on no deletion leaves none with all parts;
//     a part counts as long as no event deletes it or finds it bad.
//   - A message is deleted from a log only after its receiver has committed a
//     checkpoint that includes the receipt. Where there are no rounds, only when
//     no recovery needs it: whichever processes failed then, if any, the line
//     does not have its sending without its receipt.
//   - In a recovery without rounds, the latest consistent line of what was left
//     is not behind that of all that had been committed, but for the
//     checkpoints found bad, and those that were deleted while a later one,
//     found bad since, was there.
//
// Not checked: that anything is ever deleted.
func gcSafety(r *run, _ Options) checkers.Verdict {
	if r.kinds[record.CheckpointDelete]+r.kinds[record.LogDelete] == 0 {
		return lacks("deletion")
	}
	for _, judge := range []func() *checkers.Verdict{r.basesKept, r.roundKept, r.logKept, r.lineKept} {
		if v := judge(); v != nil {
			return *v
		}
	}
	return valid("%d checkpoints and %d logged messages were deleted that nothing needed", r.kinds[record.CheckpointDelete], r.kinds[record.LogDelete])
}

// incrementOn reports whether a level, or any if it is not named, holds a
// checkpoint as an increment. Another may hold it whole.
func (r *run) incrementOn(c int32, level string) bool {
	return slices.ContainsFunc(r.ckpts[c].commits, func(l int32) bool {
		return (level == "" || r.ev[l].Level == level) && r.ev[l].Base != ""
	})
}

// undermines reports whether an event that deletes a base takes it from an
// increment that some level still holds. Another level may hold that whole.
func (r *run) undermines(event, base, c int32) bool {
	return slices.ContainsFunc(r.ckpts[c].commits, func(l int32) bool {
		level := r.ev[l].Level
		if there, _ := r.holds(c, level, event); !there || r.ev[l].Base == "" {
			return false
		}
		if !slices.ContainsFunc(r.ckpts[base].commits, func(k int32) bool { return k < event && r.ev[k].Level == level }) {
			return r.held(base, event-1) && !r.held(base, event)
		}
		was, _ := r.holds(base, level, event-1)
		is, _ := r.holds(base, level, event)
		return was && !is
	})
}

func (r *run) basesKept() *checkers.Verdict {
	rests := map[int32][]int32{}
	for c := range r.ckpts {
		if b := r.ckpts[c].base; b != none {
			rests[b] = append(rests[b], int32(c))
		}
	}
	for b := range int32(len(r.ckpts)) {
		above := rests[b]
		if len(above) == 0 {
			continue
		}
		for _, i := range r.ckpts[b].losses {
			if r.ev[i].Kind != record.CheckpointDelete {
				continue
			}
			for _, c := range above {
				if r.undermines(i, b, c) {
					v := r.violated("base", []int32{r.ckpts[b].begin, r.ckpts[c].begin, i}, "%s was deleted; %s rests on it and is still there", r.name(r.ckpts[b].proc, b), r.ckpts[c].name)
					return &v
				}
			}
		}
	}
	return nil
}

// roundKept keeps count of the committed rounds that are whole.
func (r *run) roundKept() *checkers.Verdict {
	partOf := map[int32][]int{}
	lost, whole := make([]int, len(r.rounds)), 0
	next := 0
	held := map[int32]bool{}
	for i := range int32(len(r.ev)) {
		e := &r.ev[i]
		if next < len(r.rounds) && r.rounds[next] == i {
			for _, c := range r.lineOf(i) {
				partOf[c] = append(partOf[c], next)
				if held[c] = r.held(c, i); !held[c] {
					lost[next]++
				}
			}
			if lost[next] == 0 {
				whole++
			}
			next++
		}
		switch e.Kind {
		case record.CheckpointCommit, record.CheckpointDelete, record.CheckpointBad:
		default:
			continue
		}
		c := r.ckptOf[r.proc[i]][e.Ckpt]
		is := r.held(c, i)
		if len(partOf[c]) == 0 || is == held[c] {
			continue
		}
		held[c] = is
		before := whole
		for _, k := range partOf[c] {
			switch {
			case is:
				if lost[k]--; lost[k] == 0 {
					whole++
				}
			default:
				if lost[k]++; lost[k] == 1 {
					whole--
				}
			}
		}
		if e.Kind == record.CheckpointDelete && before > 0 && whole == 0 {
			v := r.violated("nothing-left", []int32{r.rounds[next-1], i}, "after %s deleted %s no committed round is whole any more", e.Proc, e.Ckpt)
			return &v
		}
	}
	return nil
}

func (r *run) logKept() *checkers.Verdict {
	if r.kinds[record.LogDelete] == 0 {
		return nil
	}
	received := map[int32][]int32{}
	for i := range int32(len(r.ev)) {
		if r.ev[i].Kind == record.Recv {
			received[r.msg[i]] = append(received[r.msg[i]], i)
		}
	}
	l := &logs{r: r, newest: map[int32]int32{}}
	for i := range int32(len(r.ev)) {
		e := &r.ev[i]
		switch e.Kind {
		case record.CheckpointCommit:
			l.newest[r.proc[i]] = r.ckptOf[r.proc[i]][e.Ckpt]
		case record.CheckpointBad, record.CheckpointDelete:
			if p := r.proc[i]; l.safe != nil && l.safe[p] == r.ckptOf[p][e.Ckpt] {
				l.safe = nil
			}
		case record.Restore:
			l.safe = nil
		case record.LogDelete:
			m := r.msg[i]
			includes := func(c int32) bool {
				return c != none && slices.ContainsFunc(received[m], func(j int32) bool { return r.contains(r.ckpts[c].at, j) })
			}
			c, needed := l.needed(m, i, includes)
			if !needed {
				continue
			}
			quoted, which := append(r.about(m), i), r.name(r.to[m], c)
			if c != none {
				quoted = append(quoted, r.ckpts[c].begin)
			}
			v := r.violated("log", quoted, "%s deleted message %s from its log; %s, which a recovery may take, does not include its receipt", e.Proc, e.Msg, which)
			return &v
		}
	}
	return nil
}

// logs knows how far back processes may have to go, and so which messages they
// need again.
type logs struct {
	r      *run
	newest map[int32]int32 // committed checkpoint of each process
	walk   *walk
	safe   []int32 // checkpoint of each process if all failed, or none; nil if it is to be found out
}

// needed reports whether a recovery after an event may need a message again,
// and the state of its receiver for which it does: with rounds, or where
// processes recover each by its own log, the newest.
//
// The line if all failed never goes back as long as none of its checkpoints is
// lost, so that an earlier one which includes the receipt is enough.
func (l *logs) needed(m, event int32, includes func(c int32) bool) (int32, bool) {
	r, to := l.r, l.r.to[m]
	if r.kinds[record.RoundBegin]+len(r.rounds) > 0 || r.replays() {
		c, ok := l.newest[to]
		if !ok {
			c = none
		}
		return c, !includes(c)
	}
	if l.safe != nil && includes(l.safe[to]) {
		return none, false
	}
	for int(event)+1 < len(r.ev) && r.ev[event+1].T == r.ev[event].T {
		event++ // what happened at the same time may have come first
	}
	if l.walk == nil {
		l.walk = newWalk(r)
	}
	found := l.walk.to(r.now(event)).pattern(func(c int32) bool { return r.usable(c, event) })
	if l.safe = found.checkpoints(found.line(slices.Repeat([]bool{true}, len(r.procs)))); includes(l.safe[to]) {
		return none, false
	}
	// What several failures undo is what each of them undoes: so it is enough
	// to look at each alone, and at none.
	failed := make([]bool, len(r.procs))
	for p := -1; p < len(failed); p++ {
		if p >= 0 {
			failed[p] = true
		}
		line := found.line(failed)
		if found.within(line, r.from[m], found.sent[m]) && !found.within(line, to, found.recv[m]) {
			return found.checkpoints(line)[to], true
		}
		if p >= 0 {
			failed[p] = false
		}
	}
	return none, false
}

// checkpoints are those of a line, or none where a process is in its initial
// state, or where it stands.
func (p *pattern) checkpoints(line []int32) []int32 {
	list := make([]int32, len(line))
	for q, x := range line {
		if list[q] = none; x > 0 && int(x) <= len(p.ckpts[q]) {
			list[q] = p.ckpts[q][x-1]
		}
	}
	return list
}

// within reports whether a line has what lies at a position of a process.
func (p *pattern) within(line []int32, q, pos int32) bool {
	return pos != none && pos < p.position(q, line[q])
}

func (r *run) lineKept() *checkers.Verdict {
	w := newWalk(r)
	var damaged []int32
	for c := range int32(len(r.ckpts)) {
		if slices.ContainsFunc(r.ckpts[c].losses, func(l int32) bool { return r.ev[l].Kind == record.CheckpointBad }) {
			damaged = append(damaged, c)
		}
	}
	for k := range r.recoveries {
		v := &r.recoveries[k]
		if r.byRounds(v) || v.replayed {
			continue
		}
		s := w.situation(v)
		left := s.p.line(s.failed)
		all := w.pattern(func(c int32) bool {
			k := &r.ckpts[c]
			bad := slices.ContainsFunc(k.losses, func(l int32) bool { return l <= s.until && r.ev[l].Kind == record.CheckpointBad })
			return k.abort == none && !bad && len(k.commits) > 0 && k.commits[0] <= v.decided && !r.deletedInFaith(c, damaged)
		})
		best := all.line(s.failed)
		// If the line is behind, one of its checkpoints was deleted: processes
		// that could have stayed as they are follow that.
		for p := range best {
			if int(best[p]) <= len(all.ckpts[p]) && all.position(int32(p), best[p]) > s.p.position(int32(p), left[p]) {
				c := all.ckpts[p][best[p]-1]
				bad := r.violated("needed", append([]int32{r.ckpts[c].begin, v.event}, r.ckpts[c].losses...), "the recovery at %s would have taken %s, which had been deleted", history.At(r.ev[v.event].T), r.name(int32(p), c))
				return &bad
			}
		}
	}
	return nil
}

// deletedInFaith reports whether a checkpoint was deleted while a later one of
// its process was there that was found bad only afterwards: one of the damaged.
func (r *run) deletedInFaith(c int32, damaged []int32) bool {
	k := &r.ckpts[c]
	deleted := none
	for _, l := range k.losses {
		if r.ev[l].Kind == record.CheckpointDelete {
			deleted = l
		}
	}
	if deleted == none {
		return false
	}
	for _, o := range damaged {
		later := &r.ckpts[o]
		if later.proc != k.proc || later.begin <= k.begin || len(later.commits) == 0 || later.commits[0] > deleted {
			continue
		}
		if i := slices.IndexFunc(later.losses, func(l int32) bool { return r.ev[l].Kind == record.CheckpointBad }); i >= 0 && later.losses[i] > deleted {
			return true
		}
	}
	return false
}
