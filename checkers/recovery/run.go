package recovery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/cleancut/cleancut/checkers"
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
	loads   []int32 // events that restore it
	channel []int32 // messages
	abort   int32
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
	ofEpoch    map[int][]int32 // recoveries by epoch
	rounds     []int32         // events of kind round_commit, in order
	until      time.Duration   // the end of the evidence
	calm       time.Duration   // since when no fault has been in force, as far as faults are known
	watched    bool            // faults and phases of a run are known
	faults     []checkers.FaultWindow
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
	r.decisions(procs)
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
			k := &r.ckpts[r.ckptOf[p][e.Ckpt]]
			in.from, k.loads = k.at, append(k.loads, i)
		}
		if e.Kind == record.Restore {
			in.recovery = r.recoveryOf(i, p)
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

// usable reports whether a checkpoint could be restored from some level for
// certain, as far as its process had said by then.
func (r *run) usable(c, event int32) bool {
	sure, _ := r.standing(c, event)
	return sure && !r.abortedBy(c, event)
}

func (r *run) abortedBy(c, event int32) bool {
	abort := r.ckpts[c].abort
	return abort != none && abort <= event
}

// byRounds reports whether the system takes global checkpoints. Then a
// recovery without a round goes back to the beginning: round 0.
func (r *run) byRounds(v *recovery) bool {
	return r.ev[v.event].Round > 0 || r.kinds[record.RoundBegin] > 0
}

// unreadable is the reason of a level that did not answer, or not in time: it
// has neither lost the checkpoint, nor is it known to have it.
const unreadable = "unreadable"

// standing reports whether some level holds a checkpoint after an event for
// certain, and whether some may, which could not be read last.
func (r *run) standing(c, event int32) (sure, doubtful bool) {
	r.tick()
	k := &r.ckpts[c]
	if len(k.losses) == 0 {
		return len(k.commits) > 0 && k.commits[0] <= event, false
	}
	levels := map[string]bool{} // those that may hold it: whether they do for certain
	for _, i := range r.story(c) {
		if i > event {
			break
		}
		e := &r.ev[i]
		_, has := levels[e.Level]
		switch {
		case e.Kind == record.CheckpointCommit || e.Kind == record.Restore && has:
			levels[e.Level] = true
		case e.Kind == record.Restore:
		case e.Reason == unreadable && e.Kind == record.CheckpointBad:
			if has {
				levels[e.Level] = false
			}
		case e.Level == "":
			clear(levels)
		default:
			delete(levels, e.Level)
		}
	}
	for _, is := range levels {
		sure, doubtful = sure || is, doubtful || !is
	}
	return sure, doubtful
}

// story lists what is told of a checkpoint after its begin, in order.
func (r *run) story(c int32) []int32 {
	k := &r.ckpts[c]
	events := slices.Concat(k.commits, k.losses, k.loads)
	slices.Sort(events)
	return events
}

// held reports whether some level may hold a checkpoint after an event.
func (r *run) held(c, event int32) bool {
	sure, doubtful := r.standing(c, event)
	return sure || doubtful
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
