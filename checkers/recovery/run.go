package recovery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/record"
)

// none stands for "no such thing" among numbers of things.
const none = int32(-1)

// place is a point in the life of a process: so many events of an incarnation,
// after all that the incarnation began from. Incarnation none is the initial
// state.
type place struct{ inc, at int32 }

var initial = place{none, 0}

// incarnation is a stretch of a process's life. What it began from is a place
// in an earlier one, so the lives of a process are a tree, and the history of
// a state is the path from the root to its place.
type incarnation struct {
	proc   int32
	number int
	from   place
	events []int32
	// bare tells that the process had nothing in memory and computed nothing
	// before it was restored: a restart that waits for recovery.
	bare     bool
	recovery int32 // that it is part of, or none
}

type checkpoint struct {
	proc    int32
	name    string
	begin   int32 // event
	at      place
	round   int
	base    int32
	commits []int32 // events
	losses  []int32 // events that delete it or find it bad
	channel []int32 // messages
	abort   int32
}

// recovery is one decision of a coordinator with what came of it.
type recovery struct {
	event    int32
	line     map[int32]int32 // process to checkpoint, or none
	restores []int32         // incarnations
	failed   []int32
	replayed bool
	// done is the last event by which all had been restored (and had replayed
	// and resumed, if they say so), or none.
	done int32
}

// run is a record with numbers for names.
type run struct {
	ev         []record.Event
	proc, inc  []int32 // of each event
	at         []int32 // position within its incarnation
	msg        []int32 // of each event, or none
	procs      []string
	incs       []incarnation
	lives      [][]int32 // incarnations of each process
	msgs       []string
	from, to   []int32
	ckpts      []checkpoint
	ckptOf     []map[string]int32
	recoveries []recovery
	rounds     []int32       // events of kind round_commit, in order
	until      time.Duration // the end of the evidence
	kinds      map[record.Kind]int
	taking     []int32 // see members
	clock      *clock  // of the check that looks at it; nil where none does
}

// newRun indexes a record that is free of contradictions.
func newRun(ctx context.Context, events []record.Event) *run {
	r := &run{ev: inOrder(events), kinds: map[record.Kind]int{}, clock: &clock{ctx: ctx}}
	n := len(r.ev)
	r.proc, r.inc, r.at, r.msg = make([]int32, n), make([]int32, n), make([]int32, n), make([]int32, n)
	procs, msgs := map[string]int32{}, make(map[string]int32, n/2)
	for i := range r.ev {
		r.tick()
		p, ok := procs[r.ev[i].Proc]
		if !ok {
			p = int32(len(r.procs))
			procs[r.ev[i].Proc] = p
			r.procs = append(r.procs, r.ev[i].Proc)
			r.lives = append(r.lives, nil)
			r.ckptOf = append(r.ckptOf, map[string]int32{})
		}
		r.proc[i] = p
		r.kinds[r.ev[i].Kind]++
	}
	for i := range r.ev {
		if e := &r.ev[i]; e.Kind == record.Send {
			if _, ok := msgs[e.Msg]; !ok {
				msgs[e.Msg] = int32(len(r.msgs))
				r.msgs = append(r.msgs, e.Msg)
				r.from, r.to = append(r.from, r.proc[i]), append(r.to, procs[e.Peer])
			}
		}
	}
	for i := range r.ev {
		r.tick()
		r.add(int32(i), procs, msgs)
	}
	for i := range r.incs {
		r.incs[i].bare = r.isBare(&r.incs[i])
	}
	for i := range r.recoveries {
		r.finish(&r.recoveries[i])
	}
	r.taking, r.clock = r.findMembers(), nil
	return r
}

// inOrder returns the events in order of time, those of each process in their
// own order, which counts more.
func inOrder(events []record.Event) []record.Event {
	key, last := make([]int64, len(events)), map[string]int64{}
	sorted := true
	for i := range events {
		key[i] = max(int64(events[i].T), last[events[i].Proc])
		last[events[i].Proc] = key[i]
		sorted = sorted && (i == 0 || key[i] >= key[i-1])
	}
	if sorted {
		return events
	}
	order := make([]int, len(events))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(key[a], key[b]) })
	out := make([]record.Event, len(events))
	for i, j := range order {
		out[i] = events[j]
	}
	return out
}

func (r *run) add(i int32, procs, msgs map[string]int32) {
	e, p := &r.ev[i], r.proc[i]
	if e.Kind == record.Start || e.Kind == record.Restore {
		in := incarnation{proc: p, number: e.Inc, from: initial, recovery: none}
		if e.Kind == record.Restore && e.Ckpt != "" {
			in.from = r.ckpts[r.ckptOf[p][e.Ckpt]].at
		}
		if e.Kind == record.Restore {
			in.recovery = r.recoveryOf(e, p)
			if in.recovery != none {
				v := &r.recoveries[in.recovery]
				v.restores = append(v.restores, int32(len(r.incs)))
			}
		}
		r.lives[p] = append(r.lives[p], int32(len(r.incs)))
		r.incs = append(r.incs, in)
	}
	k := r.lives[p][e.Inc-1]
	in := &r.incs[k]
	r.inc[i], r.at[i], r.msg[i] = k, int32(len(in.events)), none
	in.events = append(in.events, i)
	switch e.Kind {
	case record.Send, record.Recv, record.LogDelete:
		r.msg[i] = msgs[e.Msg]
	case record.CheckpointBegin:
		r.ckptOf[p][e.Ckpt] = int32(len(r.ckpts))
		r.ckpts = append(r.ckpts, checkpoint{proc: p, name: e.Ckpt, begin: i, at: place{k, r.at[i]}, round: e.Round, base: none, abort: none})
	case record.CheckpointCommit, record.CheckpointAbort, record.CheckpointDelete, record.CheckpointBad:
		r.checkpoint(i, e, &r.ckpts[r.ckptOf[p][e.Ckpt]], msgs)
	case record.RoundCommit:
		r.rounds = append(r.rounds, i)
	case record.Recovery:
		v := recovery{event: i, line: map[int32]int32{}, done: none}
		for name := range e.Line {
			v.line[procs[name]] = none // until finish
		}
		for _, name := range e.Failed {
			v.failed = append(v.failed, procs[name])
		}
		r.recoveries = append(r.recoveries, v)
	}
}

func (r *run) checkpoint(i int32, e *record.Event, c *checkpoint, msgs map[string]int32) {
	switch e.Kind {
	case record.CheckpointCommit:
		c.commits = append(c.commits, i)
		if e.Base != "" {
			c.base = r.ckptOf[c.proc][e.Base]
		}
		if c.channel == nil {
			for _, m := range e.Channel {
				c.channel = append(c.channel, msgs[m])
			}
		}
	case record.CheckpointAbort:
		c.abort = i
	default:
		c.losses = append(c.losses, i)
	}
}

// recoveryOf finds the decision that a restore follows: that of its epoch, or
// else the last one that names the process.
func (r *run) recoveryOf(e *record.Event, p int32) int32 {
	for i := len(r.recoveries) - 1; i >= 0; i-- {
		v := &r.recoveries[i]
		if _, named := v.line[p]; named && (e.Epoch == 0 || e.Epoch == r.ev[v.event].Epoch) {
			return int32(i)
		}
	}
	return none
}

func (r *run) isBare(in *incarnation) bool {
	if in.number == 1 || r.ev[in.events[0]].Kind == record.Restore {
		return false
	}
	for _, i := range in.events {
		switch r.ev[i].Kind {
		case record.Send, record.Recv, record.CheckpointBegin, record.Work, record.Input, record.Output, record.Nondet:
			return false
		}
	}
	return true
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

// replays reports whether processes recover by a log: they say so or, where
// there are no rounds to go back to, that they write one.
func (r *run) replays() bool {
	return r.kinds[record.ReplayEnd] > 0 || r.kinds[record.LogStable] > 0 && r.kinds[record.RoundBegin] == 0
}

// first is the first event of a kind in an incarnation.
func (r *run) first(in *incarnation, k record.Kind) (int32, bool) {
	for _, i := range in.events {
		if r.ev[i].Kind == k {
			return i, true
		}
	}
	return none, false
}

// resumed reports whether an incarnation said that it resumed before an event.
func resumed(r *run, in *incarnation, before int32) bool {
	i, ok := r.first(in, record.Resume)
	return ok && i < before
}

// present is where process p was after the event with that number. A process
// that has restarted and not been restored is still where it crashed.
func (r *run) present(p, event int32) place {
	r.tick()
	lives := r.lives[p]
	n := sort.Search(len(lives), func(i int) bool { return r.incs[lives[i]].events[0] > event })
	for n--; n >= 0; n-- {
		if in := &r.incs[lives[n]]; !in.bare {
			at := sort.Search(len(in.events), func(i int) bool { return in.events[i] > event })
			return place{lives[n], int32(at)}
		}
	}
	return initial
}

// before reports whether a place lies in the history of another one.
func (r *run) before(a, b place) bool {
	for b.inc > a.inc {
		b = r.incs[b.inc].from
	}
	return a.inc == b.inc && a.at <= b.at || a.inc == none
}

// contains reports whether an event lies in the history of a place.
func (r *run) contains(p place, event int32) bool {
	r.tick()
	return r.before(place{r.inc[event], r.at[event] + 1}, p)
}

// usable reports whether a checkpoint could be restored from some level, as
// far as its process had said by then.
func (r *run) usable(c, event int32) bool {
	k := &r.ckpts[c]
	if k.abort != none && k.abort <= event {
		return false
	}
	if len(k.losses) == 0 {
		r.tick()
		return len(k.commits) > 0 && k.commits[0] <= event
	}
	return r.levels(c, event) > 0
}

// byRounds reports whether the system takes global checkpoints. Then a
// recovery without a round goes back to the beginning: round 0.
func (r *run) byRounds(v *recovery) bool {
	return r.ev[v.event].Round > 0 || r.kinds[record.RoundBegin] > 0
}

// levels counts the levels that hold a checkpoint after an event.
func (r *run) levels(c, event int32) int {
	r.tick()
	there := map[string]bool{}
	k := &r.ckpts[c]
	losses := k.losses
	lose := func(until int32) {
		for len(losses) > 0 && losses[0] <= until {
			if level := r.ev[losses[0]].Level; level == "" {
				clear(there)
			} else {
				delete(there, level)
			}
			losses = losses[1:]
		}
	}
	for _, i := range k.commits {
		if i > event {
			break
		}
		lose(i)
		there[r.ev[i].Level] = true
	}
	lose(event)
	return len(there)
}

// say describes an event in words.
func (r *run) say(i int32) string {
	e := &r.ev[i]
	s := fmt.Sprintf("%s: %s (incarnation %d) %s", history.At(e.T), e.Proc, e.Inc, e.Kind)
	for _, f := range [...]struct{ name, value string }{
		{"", e.Msg}, {"peer", e.Peer}, {"checkpoint", e.Ckpt}, {"level", e.Level}, {"source", e.Source}, {"sink", e.Sink}, {"", e.ID}, {"digest", e.Digest}, {"because", e.Reason},
	} {
		if f.value != "" {
			s += " " + f.name
			if f.name != "" {
				s += " "
			}
			s += f.value
		}
	}
	if e.Round > 0 {
		s += fmt.Sprintf(" round %d", e.Round)
	}
	if e.Epoch > 0 {
		s += fmt.Sprintf(" epoch %d", e.Epoch)
	}
	return s
}
