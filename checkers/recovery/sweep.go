package recovery

import "github.com/cleancut/cleancut/harness/record"

// sweep holds a cut, a place of each process, and what crosses it. Moving it
// costs what lies between the old and the new place, so that looking at many
// cuts one after the other costs little more than looking at the last.
type sweep struct {
	r            *run
	at           []place
	sends, recvs []int32 // how often each message was sent and received in the cut
	sentAt       []int32 // the event that sent it first in the cut
	transit      []int32 // messages on their way to each process
	orphans      int
}

func newSweep(r *run) *sweep {
	s := &sweep{r: r, at: make([]place, len(r.procs)), transit: make([]int32, len(r.procs))}
	s.sends, s.recvs, s.sentAt = make([]int32, len(r.msgs)), make([]int32, len(r.msgs)), make([]int32, len(r.msgs))
	for p := range s.at {
		s.at[p] = initial
	}
	return s
}

func (s *sweep) orphan(m int32) bool    { return s.recvs[m] > 0 && s.sends[m] == 0 }
func (s *sweep) inTransit(m int32) bool { return s.sends[m] > 0 && s.recvs[m] == 0 }

// apply adds an event to the cut (by = 1) or takes it out (by = -1).
func (s *sweep) apply(i, by int32) {
	s.r.tick()
	m := s.r.msg[i]
	if m == none || s.r.ev[i].Kind == record.LogDelete {
		return
	}
	wasOrphan, wasTransit := s.orphan(m), s.inTransit(m)
	if s.r.ev[i].Kind == record.Send {
		if s.sends[m] == 0 {
			s.sentAt[m] = i
		}
		s.sends[m] += by
	} else {
		s.recvs[m] += by
	}
	switch is := s.orphan(m); {
	case is && !wasOrphan:
		s.orphans++
	case !is && wasOrphan:
		s.orphans--
	}
	switch is := s.inTransit(m); {
	case is && !wasTransit:
		s.transit[s.r.to[m]]++
	case !is && wasTransit:
		s.transit[s.r.to[m]]--
	}
}

// move takes process p to another place of its life.
func (s *sweep) move(p int32, to place) {
	a, b := s.at[p], to
	var add []place
	for a.inc != b.inc {
		if a.inc > b.inc {
			s.change(a, 0, -1)
			a = s.r.incs[a.inc].from
		} else {
			add = append(add, b)
			b = s.r.incs[b.inc].from
		}
	}
	if a.inc != none {
		if a.at > b.at {
			s.change(a, b.at, -1)
		} else {
			s.change(b, a.at, 1)
		}
	}
	for i := len(add) - 1; i >= 0; i-- {
		s.change(add[i], 0, 1)
	}
	s.at[p] = to
}

func (s *sweep) change(p place, from, by int32) {
	for _, i := range s.r.incs[p.inc].events[from:p.at] {
		s.apply(i, by)
	}
}

// cut takes every process to its place.
func (s *sweep) cut(places []place) {
	for p, at := range places {
		s.move(int32(p), at)
	}
}

// step takes the process of an event to just after it, if the event belongs
// to its present life, and reports whether it does.
func (s *sweep) step(i int32) bool {
	k, p := s.r.inc[i], s.r.proc[i]
	in := &s.r.incs[k]
	if in.bare || s.at[p].inc > k {
		return false
	}
	if s.at[p].inc == k && s.at[p].at == s.r.at[i] {
		s.apply(i, 1)
		s.at[p].at++
	} else {
		s.move(p, place{k, s.r.at[i] + 1})
	}
	return true
}

// now is where all processes were after an event.
func (r *run) now(event int32) []place {
	places := make([]place, len(r.procs))
	for p := range places {
		places[p] = r.present(int32(p), event)
	}
	return places
}

// atLine is a line of checkpoints; processes that are not in it are where
// they were after the event.
func (r *run) atLine(line map[int32]int32, event int32) []place {
	places := r.now(event)
	for p, c := range line {
		places[p] = initial
		if c != none {
			places[p] = r.ckpts[c].at
		}
	}
	return places
}

// lineOf is the line of a committed round.
func (r *run) lineOf(event int32) map[int32]int32 {
	line := map[int32]int32{}
	for p, name := range r.procs {
		if c, ok := r.ev[event].Line[name]; ok {
			line[int32(p)] = r.ckptOf[p][c]
		}
	}
	return line
}

// replaysOver is the event by which all replays that were under way after an
// event had ended, or none. What a process has not done again yet is missing
// from its history.
func (r *run) replaysOver(event int32) int32 {
	over := event
	for p := range int32(len(r.procs)) {
		k := r.present(p, event).inc
		if r.kinds[record.ReplayEnd] == 0 || k == none || r.ev[r.incs[k].events[0]].Kind != record.Restore {
			continue
		}
		end, ok := r.first(&r.incs[k], record.ReplayEnd)
		if !ok {
			return none
		}
		over = max(over, end)
	}
	return over
}

// settled reports whether at the end no process waits for recovery, or does
// again what a log has.
func (r *run) settled() bool {
	talks := make([]bool, len(r.procs)) // the others have nothing to restore
	for m := range r.msgs {
		talks[r.from[m]], talks[r.to[m]] = true, true
	}
	for p, lives := range r.lives {
		if !talks[p] {
			continue
		}
		in := &r.incs[lives[len(lives)-1]]
		if in.bare || r.ev[in.events[len(in.events)-1]].Kind == record.Crash {
			return false
		}
	}
	if r.replaysOver(int32(len(r.ev)-1)) == none {
		return false
	}
	for i := range r.recoveries {
		if r.recoveries[i].done == none && i == len(r.recoveries)-1 {
			return false
		}
	}
	return true
}
