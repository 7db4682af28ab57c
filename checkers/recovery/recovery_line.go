package recovery

import (
	"fmt"
	"slices"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/record"
)

// situation is what a recovery found: the pattern of the histories before it,
// with the checkpoints that could be restored.
type situation struct {
	w      *walk // there
	p      *pattern
	failed []bool
	until  int32 // the event by which checkpoints had been found to be usable or not
}

// deadAt tells which processes a recovery found dead: those that it says, or
// those that have crashed and computed nothing since.
func (r *run) deadAt(v *recovery) []bool {
	dead := make([]bool, len(r.procs))
	for _, p := range v.failed {
		dead[p] = true
	}
	if len(v.failed) > 0 {
		return dead
	}
	for p := range r.procs {
		dead[p] = r.down(int32(p), v.decided)
	}
	return dead
}

// down reports whether a process has crashed and computed nothing since, as of
// an event.
func (r *run) down(p, event int32) bool {
	at := r.present(p, event)
	if at.inc == none || at.at == 0 {
		return false
	}
	return r.ev[r.incs[at.inc].events[at.at-1]].Kind == record.Crash || r.restartedBy(p, at.inc, event)
}

// restartedBy reports whether a process started anew, with nothing, after an
// incarnation and before an event.
func (r *run) restartedBy(p, inc, event int32) bool {
	for _, k := range r.lives[p] {
		if k > inc && r.incs[k].bare && r.incs[k].events[0] <= event {
			return true
		}
	}
	return false
}

// restoredBy is the last event of a recovery and its restores.
func (r *run) restoredBy(v *recovery) int32 {
	until := v.decided
	for _, k := range v.restores {
		until = max(until, r.incs[k].events[0])
	}
	return until
}

// situation takes a walk to what a recovery found.
func (w *walk) situation(v *recovery) *situation {
	r, until := w.r, w.r.restoredBy(v)
	// That a part of the line is damaged may show only when it is to be
	// restored: then the decision was right, and the next one has to do better.
	// What could not be read may be there, if the recovery takes it to be.
	keep := func(c int32) bool {
		if took, named := v.line[r.ckpts[c].proc]; named && took == c {
			return r.committedBy(c, v.decided) && !r.abortedBy(c, v.decided) && (r.held(c, v.decided) || r.goneBefore(c, v) == none)
		}
		return r.usable(c, v.decided) && r.usable(c, until)
	}
	return &situation{w: w, p: w.to(r.now(v.decided)).keeping(until, v.decided, keep), failed: r.deadAt(v), until: until}
}

// chosen is the state to which the recovery set a process back, as line counts
// them, and whether there is such a state in the pattern.
func (s *situation) chosen(v *recovery, p int32) (int32, bool) {
	c, named := v.line[p]
	if !named {
		return int32(len(s.p.ckpts[p])) + 1, true
	}
	if c == none {
		return 0, true
	}
	for x, k := range s.p.ckpts[p] {
		if k == c {
			return int32(x) + 1, true
		}
	}
	return 0, false
}

func (s *situation) called(p, x int32) string {
	switch {
	case x == 0:
		return s.p.r.procs[p] + "'s initial state"
	case int(x) > len(s.p.ckpts[p]):
		return s.p.r.procs[p] + " as it was"
	}
	return s.p.r.name(p, s.p.ckpts[p][x-1])
}

// recoveryLine: the recovery line is the latest consistent line of checkpoints
// that could be restored, where processes that did not fail may stay as they
// are (Elnozahy et al. 2002, section 3; computed by rollback propagation on
// the dependency graph of Bhargava and Lian 1988). A recovery that names no
// round must take it exactly: later is inconsistent, earlier loses work without
// need. One that names a round must take the newest round that had been
// committed, except newer ones of which a part could not be loaded from any
// level any more; where rounds are begun at all, one without a round takes the
// initial state for lack of one. One whose processes then replay a log must
// set back only the failed, each to its last checkpoint that could be
// restored.
//
// No recovery takes a checkpoint of which it had been told, by a process and
// before the decision, that every level had lost it: an older round, or the
// initial state, is there. Damage that shows only when the line is restored is
// no fault of the decision, but of the next one if that takes it again. Where
// the faults of a run are known, they may have kept what was told from whoever
// decides: there, it counts after 5 s without any fault. A level
// that was unreadable has lost nothing: what is only there may be taken, and
// may be passed over. Recoveries are in the order of their epochs.
//
// Not checked: consistency (consistent-cut), wholeness (atomic-rounds), and a
// recovery that no event of kind recovery tells of.
func recoveryLine(r *run, _ Options) checkers.Verdict {
	if len(r.recoveries) == 0 {
		return lacks("recovery")
	}
	w := newWalk(r)
	for k := range r.recoveries {
		v := &r.recoveries[k]
		var bad *checkers.Verdict
		switch {
		case r.byRounds(v):
			bad = r.newestRound(v)
		default:
			bad = r.latestLine(w.situation(v), v)
		}
		if bad != nil {
			return *bad
		}
	}
	return valid("%d recoveries took the latest line there was", len(r.recoveries))
}

// newestRound judges a recovery to a round, or to the beginning for lack of one.
func (r *run) newestRound(v *recovery) *checkers.Verdict {
	took, newest := r.ev[v.event].Round, r.newestWhole(v)
	when := history.At(r.ev[v.event].T)
	if newest != none && r.ev[newest].Round > took {
		e := &r.ev[newest]
		bad := r.violated("older", []int32{newest, v.event}, "the recovery at %s takes %s; round %d had been committed at %s, and all of its parts were there", when, roundOf(took), e.Round, history.At(e.T))
		return &bad
	}
	for _, p := range sorted(v.line) {
		c := v.line[p]
		if c == none {
			continue
		}
		by := r.goneBefore(c, v)
		if by == none {
			continue
		}
		left := "the initial state was left"
		quoted := []int32{r.ckpts[c].begin, by, v.event}
		if newest != none {
			left = fmt.Sprintf("round %d, committed at %s, was whole", r.ev[newest].Round, history.At(r.ev[newest].T))
			quoted = append(quoted, newest)
		}
		bad := r.violated("unusable", quoted, "the recovery at %s takes %s with %s, although it had been told at %s that no level had that any more; %s",
			when, roundOf(took), r.name(p, c), history.At(r.ev[by].T), left)
		return &bad
	}
	return nil
}

func roundOf(round int) string {
	if round == 0 {
		return "the initial state"
	}
	return fmt.Sprintf("round %d", round)
}

// newestWhole is the commit of the newest round that had been committed before
// a recovery, and of which every part was there until all had been restored.
func (r *run) newestWhole(v *recovery) int32 {
	until, newest := r.restoredBy(v), none
	for _, i := range r.rounds {
		e := &r.ev[i]
		if i > v.decided || e.T >= v.time || newest != none && e.Round <= r.ev[newest].Round {
			continue
		}
		whole := true
		for _, c := range r.lineOf(i) {
			whole = whole && r.usable(c, v.decided) && r.usable(c, until)
		}
		if whole {
			newest = i
		}
	}
	return newest
}

// goneBefore is the event, before a recovery was decided, after which no level
// held a checkpoint any more, or none. What happened at the same time may have
// come later.
func (r *run) goneBefore(c int32, v *recovery) int32 {
	k := &r.ckpts[c]
	if r.held(c, v.decided) {
		return none
	}
	by := none
	for _, i := range k.losses {
		switch {
		case i > v.decided || r.ev[i].T >= v.time:
		case r.held(c, i):
			by = none
		case by == none:
			by = i
		}
	}
	if by == none || !r.committedBy(c, by) {
		return none // it never was there: atomic-rounds
	}
	if r.watched && r.ev[by].Kind == record.CheckpointBad && !r.heard(by, v.time) {
		return none
	}
	return by
}

// heardAfter is how long it may take, without faults, until whoever decides
// has heard what a process has told.
const heardAfter = 5 * time.Second

// heard reports whether no fault can have kept what an event tells from whoever
// decides at a time.
func (r *run) heard(event int32, by time.Duration) bool {
	told := r.ev[event].T
	return told+heardAfter <= by && !slices.ContainsFunc(r.faults, func(f checkers.FaultWindow) bool {
		return f.Start <= told+heardAfter && told <= f.End
	})
}

func (r *run) committedBy(c, event int32) bool {
	commits := r.ckpts[c].commits
	return len(commits) > 0 && commits[0] <= event
}

func (r *run) latestLine(s *situation, v *recovery) *checkers.Verdict {
	want := s.p.line(s.failed)
	if v.replayed {
		for p := range want {
			want[p] = int32(len(s.p.ckpts[p])) + 1
			if s.failed[p] {
				want[p]--
			}
		}
	}
	for _, p := range r.concerned(v) {
		got, there := s.chosen(v, p)
		quoted := []int32{v.event}
		if c, ok := v.line[p]; ok && c != none {
			quoted = append(quoted, r.ckpts[c].begin)
		}
		if x := want[p]; x > 0 && int(x) <= len(s.p.ckpts[p]) {
			quoted = append(quoted, r.ckpts[s.p.ckpts[p][x-1]].begin)
		}
		when := history.At(r.ev[v.event].T)
		var bad checkers.Verdict
		switch {
		case !there && r.goneBefore(v.line[p], v) != none:
			by := r.goneBefore(v.line[p], v)
			bad = r.violated("unusable", append(quoted, by), "the recovery at %s takes %s, although it had been told at %s that no level had that any more",
				when, r.name(p, v.line[p]), history.At(r.ev[by].T))
		case !there:
			bad = r.violated("unusable", quoted, "the recovery at %s takes %s, which could not be restored from any level, or is not in the process's history", when, r.name(p, v.line[p]))
		case got > want[p]:
			bad = r.violated("too-late", quoted, "the recovery at %s takes %s; the latest that fits the others is %s", when, s.called(p, got), s.called(p, want[p]))
		case got < want[p]:
			bad = r.violated("older", quoted, "the recovery at %s takes %s; the latest consistent line has %s", when, s.called(p, got), s.called(p, want[p]))
		default:
			continue
		}
		return &bad
	}
	return nil
}

// members lists the processes that take checkpoints or exchange messages.
func (r *run) members() []int32 { return r.taking }

func (r *run) findMembers() (list []int32) {
	in := make([]bool, len(r.procs))
	for c := range r.ckpts {
		in[r.ckpts[c].proc] = true
	}
	for m := range r.msgs {
		in[r.from[m]], in[r.to[m]] = true, true
	}
	for p := range in {
		if in[p] {
			list = append(list, int32(p))
		}
	}
	return list
}

// concerned lists the members and those that a recovery sets back.
func (r *run) concerned(v *recovery) []int32 {
	list := append(r.members(), sorted(v.line)...)
	slices.Sort(list)
	return slices.Compact(list)
}

// rollback is how far one recovery set a process back.
type rollback struct {
	proc             int32
	ckpts            int // usable checkpoints that were passed over
	events           int
	seconds          float64
	skipped, useless []int32
}

// rollbacks measures a recovery. If it passed over checkpoints, and only then,
// it is found out which are useless, if that is asked for.
func (s *situation) rollbacks(v *recovery, needUseless bool) (list []rollback) {
	r, skipped := s.p.r, 0
	for _, p := range sorted(v.line) {
		got, there := s.chosen(v, p)
		if !there {
			continue
		}
		b := rollback{proc: p}
		pos := s.p.position(p, got)
		b.events = len(s.p.events[p]) - int(pos)
		if b.events > 0 {
			last := s.p.events[p][len(s.p.events[p])-1]
			b.seconds = (r.ev[last].T - r.ev[s.p.events[p][pos]].T).Seconds()
		}
		b.skipped = s.p.ckpts[p][min(int(got), len(s.p.ckpts[p])):]
		b.ckpts = len(b.skipped)
		skipped += b.ckpts
		list = append(list, b)
	}
	if !needUseless || skipped == 0 {
		return list
	}
	useless := map[int32]bool{}
	// Also what was lost or let go since counts: that a checkpoint became
	// useless by the loss of another is no fault of who took it.
	taken := s.w.pattern(func(c int32) bool {
		return len(r.ckpts[c].commits) > 0 && r.ckpts[c].commits[0] <= v.decided
	})
	bad, _ := taken.useless()
	for _, c := range bad {
		useless[c] = true
	}
	for k := range list {
		for _, c := range list[k].skipped {
			if useless[c] {
				list[k].useless = append(list[k].useless, c)
			}
		}
	}
	return list
}

// domino measures the domino effect (Randell, IEEE TSE 1(2) 1975): for each
// recovery and process how many restorable checkpoints were passed over
// (domino_depth is the most), how many processes besides the failed were set
// back, and how far in events and time. It is never invalid; no-domino is.
func domino(r *run, _ Options) checkers.Verdict {
	if len(r.recoveries) == 0 {
		return lacks("recovery")
	}
	m := map[string]float64{"recoveries": float64(len(r.recoveries)), "domino_depth": 0, "rollback_events_max": 0, "rollback_seconds_max": 0, "dragged_processes_max": 0, "to_initial_state": 0}
	w := newWalk(r)
	for k := range r.recoveries {
		v := &r.recoveries[k]
		s := w.situation(v)
		dead, dragged := s.failed, 0
		for _, b := range s.rollbacks(v, false) {
			m["domino_depth"] = max(m["domino_depth"], float64(b.ckpts))
			m["rollback_events_max"] = max(m["rollback_events_max"], float64(b.events))
			m["rollback_seconds_max"] = max(m["rollback_seconds_max"], b.seconds)
			if !dead[b.proc] {
				dragged++
			}
			if v.line[b.proc] == none && b.ckpts > 0 {
				m["to_initial_state"]++
			}
		}
		m["dragged_processes_max"] = max(m["dragged_processes_max"], float64(dragged))
	}
	v := valid("%d recoveries passed over at most %.0f checkpoints of a process", len(r.recoveries), m["domino_depth"])
	v.Measures = m
	return v
}

// noDomino: no recovery passes over a restorable checkpoint that is useless,
// for that is how one rollback makes the next (Netzer and Xu 1995: checkpoints
// on Z-cycles belong to no consistent line). That a checkpoint
// is passed over because it does not fit those of others that failed with it is
// no domino effect, nor is one of a round that was not committed.
func noDomino(r *run, _ Options) checkers.Verdict {
	if len(r.recoveries) == 0 {
		return lacks("recovery")
	}
	w := newWalk(r)
	for k := range r.recoveries {
		v := &r.recoveries[k]
		for _, b := range w.situation(v).rollbacks(v, true) {
			if len(b.useless) == 0 {
				continue
			}
			quoted := []int32{v.event}
			for _, c := range b.useless {
				quoted = append(quoted, r.ckpts[c].begin)
			}
			return r.violated("domino", quoted, "the recovery at %s set %s back behind %d checkpoints, %d of which belong to no consistent line", history.At(r.ev[v.event].T), r.procs[b.proc], b.ckpts, len(b.useless))
		}
	}
	return valid("%d recoveries passed over no useless checkpoint", len(r.recoveries))
}

// noUseless: a checkpoint is useless if it belongs to no consistent line, which
// is so if and only if it lies on a Z-cycle: messages m1…mn, m1 sent after it,
// each next one sent in the interval in which the one before was received, or
// later, mn received before it (Netzer and Xu, IEEE TPDS 6(2) 1995, corollary
// 1). Judged are the histories before each recovery and at the end, with the
// checkpoints that were committed. The share of useless ones is measured.
func noUseless(r *run, _ Options) checkers.Verdict {
	if r.kinds[record.CheckpointCommit] == 0 {
		return lacks("committed checkpoint")
	}
	if r.kinds[record.Recv] == 0 {
		return lacks("message that was received")
	}
	moments := []int32{}
	for k := range r.recoveries {
		moments = append(moments, r.recoveries[k].decided)
	}
	moments = append(moments, int32(len(r.ev)-1))
	useless, total := map[int32]bool{}, make([]bool, len(r.ckpts))
	count := 0
	var first *checkers.Verdict
	w := newWalk(r)
	for k, i := range moments {
		p := w.to(r.now(i)).keeping(i, i, func(c int32) bool {
			is := len(r.ckpts[c].commits) > 0 && r.ckpts[c].commits[0] <= i
			if is && !total[c] {
				total[c] = true
				count++
			}
			return is
		})
		cut := make([]int32, len(p.events))
		if k+1 < len(moments) {
			cut = w.undone(p, i, moments[k+1])
		}
		list, g := p.uselessAfter(cut)
		for _, c := range list {
			useless[c] = true
		}
		if len(list) > 0 && first == nil {
			v := r.cycle(p, g, list[0])
			first = &v
		}
	}
	measures := map[string]float64{"checkpoints": float64(count), "useless_checkpoints": float64(len(useless))}
	if first != nil {
		first.Measures = measures
		return *first
	}
	v := valid("none of %d checkpoints lies on a Z-cycle", count)
	v.Measures = measures
	return v
}

// undone is where what follows a moment and is undone before the next one
// begins; what comes before is in the next pattern, too, and judged with that.
// It is the beginning if a message leads back over it, or if a checkpoint
// before it is committed in between, which splits an interval.
func (w *walk) undone(p *pattern, moment, next int32) []int32 {
	r, cut := w.r, make([]int32, len(p.events))
	for q, at := range r.now(next) {
		cut[q] = r.distance(initial, r.meet(w.at[q], at))
	}
	late := false
	for i := moment + 1; i <= next; i++ {
		if e := &r.ev[i]; e.Kind == record.CheckpointCommit {
			c := r.ckptOf[r.proc[i]][e.Ckpt]
			late = late || r.ckpts[c].commits[0] == i && w.posOf[c] != none && w.posOf[c] < cut[r.proc[i]]
		}
	}
	if late || !p.closed(cut) {
		clear(cut)
	}
	return cut
}

// cycle explains why a checkpoint is useless.
func (r *run) cycle(p *pattern, g *intervals, c int32) checkers.Verdict {
	k := &r.ckpts[c]
	var x int32
	for i, o := range p.ckpts[k.proc] {
		if o == c {
			x = int32(i)
		}
	}
	quoted, path := []int32{k.begin}, ""
	for _, m := range g.path(g.node(k.proc, x+1), g.node(k.proc, x)) {
		quoted = append(quoted, p.events[r.from[m]][p.sent[m]], p.events[r.to[m]][p.recv[m]])
		path += " " + r.msgs[m]
	}
	return r.violated("z-cycle", quoted, "%s belongs to no consistent line: messages lead from after it to before it:%s", r.name(k.proc, c), fmt.Sprint(path))
}
