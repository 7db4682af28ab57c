package report

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/cleancut/cleancut/harness/record"
)

// chronicle is a record arranged for drawing: who was there, which
// checkpoints and rounds there were, and what of a process's past a checkpoint
// holds. Events are known by their place in the record.
type chronicle struct {
	events      []record.Event // in order of time
	procs       []string       // n2 before n10
	lane        map[string]int // place in procs
	segments    [][]segment    // by lane
	checkpoints []*checkpoint  // in order of their beginning
	byID        map[[2]string]*checkpoint
	rounds      []*round
	lines       []*cutLine // of committed rounds and of recoveries, in order of time
}

// segment is a time in which a process's state grew without being set back.
type segment struct {
	first int // event with which it begins: a start or a restore
	base  int // event that captured the state with which it begins, -1 for none
}

// checkpoint is a local checkpoint and what became of it.
type checkpoint struct {
	proc, id string
	begin    int // -1 if the record does not show it
	round    int
	forced   bool
	levels   []levelCopy
	restored []int // events
	deleted  []int
	bad      []int
	aborted  int // event, or -1
}

// levelCopy is a checkpoint on a level of stable storage.
type levelCopy struct {
	level string
	bytes int64
	at    time.Duration
}

// round is a global checkpoint.
type round struct {
	number             int
	begin, commit      int // events, -1 if there was none
	abort              int
	parts              map[string]int // where the cut passes, by process
	firstPart, endPart time.Duration
}

// cutLine is a line through the picture: an event of each process.
type cutLine struct {
	round    *round // else it is a recovery line
	recovery int    // event that decided it
	at       map[string]int
}

func newChronicle(events []record.Event) *chronicle {
	byTime := func(a, b record.Event) int { return cmp.Compare(a.T, b.T) }
	if !slices.IsSortedFunc(events, byTime) {
		events = slices.Clone(events)
		slices.SortStableFunc(events, byTime)
	}
	c := &chronicle{events: events, lane: map[string]int{}, byID: map[[2]string]*checkpoint{}}
	for i := range events {
		if p := events[i].Proc; !has(c.lane, p) {
			c.lane[p] = -1
			c.procs = append(c.procs, p)
		}
	}
	slices.SortFunc(c.procs, natural)
	for i, p := range c.procs {
		c.lane[p] = i
	}
	c.segments = make([][]segment, len(c.procs))
	rounds := map[int]*round{}
	for i := range events {
		c.note(i, rounds)
	}
	for _, r := range c.rounds {
		if r.commit >= 0 {
			c.lines = append(c.lines, &cutLine{round: r, at: r.parts})
		}
	}
	return c
}

func has[K comparable, V any](m map[K]V, k K) bool { _, ok := m[k]; return ok }

// natural orders names by their first number, then as texts.
func natural(a, b string) int {
	return cmp.Or(cmp.Compare(numberIn(a), numberIn(b)), cmp.Compare(a, b))
}

func numberIn(s string) int {
	i := 0
	for i < len(s) && (s[i] < '0' || s[i] > '9') {
		i++
	}
	j := i
	for j < len(s) && s[j] >= '0' && s[j] <= '9' {
		j++
	}
	n, _ := strconv.Atoi(s[i:j]) // names without a number come first
	return n
}

// note files an event where it belongs.
func (c *chronicle) note(i int, rounds map[int]*round) {
	e := &c.events[i]
	lane := c.lane[e.Proc]
	switch e.Kind {
	case record.Start:
		c.segments[lane] = append(c.segments[lane], segment{i, -1})
	case record.Restore:
		base := -1
		if k := c.byID[[2]string{e.Proc, e.Ckpt}]; k != nil {
			k.restored = append(k.restored, i)
			base = k.begin
		}
		c.segments[lane] = append(c.segments[lane], segment{i, base})
	case record.CheckpointBegin:
		k := c.checkpoint(e)
		k.begin, k.round, k.forced = i, e.Round, e.Forced
		if e.Round > 0 {
			c.roundOf(e.Round, rounds).part(e.Proc, i, e.T)
		}
	case record.CheckpointCommit:
		k := c.checkpoint(e)
		k.levels = append(k.levels, levelCopy{e.Level, e.Bytes, e.T})
		k.round = cmp.Or(k.round, e.Round)
	case record.CheckpointAbort:
		c.checkpoint(e).aborted = i
	case record.CheckpointDelete:
		k := c.checkpoint(e)
		k.deleted = append(k.deleted, i)
	case record.CheckpointBad:
		k := c.checkpoint(e)
		k.bad = append(k.bad, i)
	case record.RoundBegin:
		c.roundOf(e.Round, rounds).begin = i
	case record.RoundCommit:
		r := c.roundOf(e.Round, rounds)
		if r.commit < 0 {
			r.commit = i
		}
	case record.RoundAbort:
		c.roundOf(e.Round, rounds).abort = i
	case record.Recovery:
		c.lines = append(c.lines, c.recoveryLine(i))
	}
}

// checkpoint returns the checkpoint that an event is about.
func (c *chronicle) checkpoint(e *record.Event) *checkpoint {
	key := [2]string{e.Proc, e.Ckpt}
	k := c.byID[key]
	if k == nil {
		k = &checkpoint{proc: e.Proc, id: e.Ckpt, begin: -1, aborted: -1}
		c.byID[key] = k
		c.checkpoints = append(c.checkpoints, k)
	}
	return k
}

func (c *chronicle) roundOf(number int, rounds map[int]*round) *round {
	r := rounds[number]
	if r == nil {
		r = &round{number: number, begin: -1, commit: -1, abort: -1, parts: map[string]int{}}
		rounds[number] = r
		c.rounds = append(c.rounds, r)
	}
	return r
}

func (r *round) part(proc string, i int, t time.Duration) {
	if len(r.parts) == 0 {
		r.firstPart = t
	}
	r.parts[proc], r.endPart = i, t
}

// recoveryLine is the line that a recovery was decided on. A process that
// does not roll back keeps all that it did until then.
func (c *chronicle) recoveryLine(i int) *cutLine {
	l := &cutLine{recovery: i, at: map[string]int{}}
	for p := range c.lane {
		l.at[p] = i
	}
	for p, id := range c.events[i].Line {
		l.at[p] = -1 // the initial state
		if k := c.byID[[2]string{p, id}]; k != nil {
			l.at[p] = k.begin
		}
	}
	return l
}

// holds tells whether the state of a process at one of its events includes
// what it did at an earlier one: whether no restore between undid it.
func (c *chronicle) holds(lane, at, event int) bool {
	for at >= 0 {
		segments := c.segments[lane]
		i, found := slices.BinarySearchFunc(segments, at, func(s segment, at int) int { return cmp.Compare(s.first, at) })
		if !found {
			i--
		}
		if i < 0 {
			return event < at // the record does not begin with a start
		}
		if event >= segments[i].first {
			return event < at
		}
		if segments[i].base >= segments[i].first {
			return false
		}
		at = segments[i].base
	}
	return false
}

// span returns the places of the events between two times, both included.
func (c *chronicle) span(from, to time.Duration) (first, end int) {
	at := func(t time.Duration) int {
		i, _ := slices.BinarySearchFunc(c.events, t, func(e record.Event, t time.Duration) int { return cmp.Compare(e.T, t) })
		return i
	}
	return at(from), at(to + 1)
}

// bounds returns the time of the first and of the last event.
func (c *chronicle) bounds() (from, to time.Duration) {
	return c.events[0].T, c.events[len(c.events)-1].T
}
