package report

import (
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

// Bounds of the tables.
const (
	checkpointsMax = 300
	recoveriesMax  = 50
)

// spacetime is what the page shows of a record.
type spacetime struct {
	Picture, Overview template.HTML
	Why               string
	From, To          time.Duration
	Remarks           []string
	Figures           []figure
	Recoveries        []recoveryRow
	MoreRecoveries    int
	Checkpoints       []checkpointRow
	MoreCheckpoints   int
}

// recoveryRow is a recovery.
type recoveryRow struct {
	At       time.Duration
	Epoch    int
	Failed   string
	To       string // what it goes back to
	Rolled   int    // processes that were set back
	Farthest time.Duration
	Lost     int64 // units of work that were undone
	Took     string
}

// checkpointRow is what became of a checkpoint.
type checkpointRow struct {
	Proc, ID, Round, Levels, Bytes, Fate string
	Bad                                  bool
	Begun                                string
}

// spacetimeOf arranges a record for the page; nil if there is none.
func spacetimeOf(events []record.Event, verdicts []checkers.Verdict) *spacetime {
	if len(events) == 0 {
		return nil
	}
	c := newChronicle(events)
	w := c.windowOf(verdicts)
	s := &spacetime{Why: w.why, From: w.from, To: w.to}
	s.Picture, s.Remarks = c.spacetimeSVG(w)
	s.Overview = c.overviewSVG(w)
	s.Figures = c.figures()
	s.addRecoveries(c)
	s.addCheckpoints(c, w)
	return s
}

// figures counts what the record tells of checkpoints.
func (c *chronicle) figures() []figure {
	count := map[record.Kind]int{}
	bytes := map[string]int64{}
	var stop time.Duration
	stopped := map[string]time.Duration{}
	for i := range c.events {
		e := &c.events[i]
		count[e.Kind]++
		switch e.Kind {
		case record.CheckpointCommit:
			bytes[e.Level] += e.Bytes
		case record.Stop:
			stopped[e.Proc] = e.T
		case record.Go:
			if from, ok := stopped[e.Proc]; ok {
				stop += e.T - from
				delete(stopped, e.Proc)
			}
		case record.Crash:
			delete(stopped, e.Proc)
		}
	}
	committed := 0
	for _, r := range c.rounds {
		if r.commit >= 0 {
			committed++
		}
	}
	figures := []figure{
		{"processes in the record", fmt.Sprint(len(c.procs))},
		{"messages sent, received", fmt.Sprintf("%d, %d", count[record.Send], count[record.Recv])},
		{"rounds committed, aborted", fmt.Sprintf("%d, %d", committed, count[record.RoundAbort])},
		{"checkpoints begun, aborted", fmt.Sprintf("%d, %d", count[record.CheckpointBegin], count[record.CheckpointAbort])},
		{"checkpoints found bad", fmt.Sprint(count[record.CheckpointBad])},
		{"crashes, recoveries, restores", fmt.Sprintf("%d, %d, %d", count[record.Crash], count[record.Recovery], count[record.Restore])},
		{"time stopped for checkpoints, all processes", fmt.Sprintf("%.3f s", stop.Seconds())},
		{"outputs seen outside", fmt.Sprint(count[record.OutputCommit])},
	}
	for _, level := range slices.Sorted(maps.Keys(bytes)) {
		figures = append(figures, figure{"bytes written to level " + orNone(level), fmt.Sprint(bytes[level])})
	}
	return figures
}

func orNone(s string) string {
	if s == "" {
		return "(unnamed)"
	}
	return s
}

func (s *spacetime) addRecoveries(c *chronicle) {
	for _, l := range c.lines {
		if l.round != nil {
			continue
		}
		if len(s.Recoveries) == recoveriesMax {
			s.MoreRecoveries++
			continue
		}
		s.Recoveries = append(s.Recoveries, c.recoveryRow(l))
	}
}

func (c *chronicle) recoveryRow(l *cutLine) recoveryRow {
	e := &c.events[l.recovery]
	r := recoveryRow{At: e.T, Epoch: e.Epoch, Failed: strings.Join(e.Failed, ", "), Rolled: len(e.Line), To: "a line of checkpoints", Took: "not completed"}
	if e.Round > 0 {
		r.To = fmt.Sprintf("round %d", e.Round)
	}
	crash, _ := c.recoverySpan(l.recovery)
	for p := range e.Line {
		from, _ := c.bounds()
		if i := l.at[p]; i >= 0 {
			from = c.events[i].T
		}
		r.Farthest = max(r.Farthest, e.T-from)
	}
	for i := 0; i < l.recovery; i++ {
		w := &c.events[i]
		if w.Kind != record.Work || !has(e.Line, w.Proc) {
			continue
		}
		lane := c.lane[w.Proc]
		if c.holds(lane, c.beforeCrash(lane, l.recovery), i) && !c.holds(lane, l.at[w.Proc], i) {
			r.Lost += w.Units
		}
	}
	waiting := len(e.Line)
	for i := l.recovery + 1; i < len(c.events) && waiting > 0; i++ {
		n := &c.events[i]
		if n.Kind == record.Recovery {
			break
		}
		if n.Kind == record.Resume && has(e.Line, n.Proc) {
			if waiting--; waiting == 0 {
				r.Took = fmt.Sprintf("%.3f s", (n.T - crash).Seconds())
			}
		}
	}
	return r
}

// beforeCrash returns the last place before an event at which the process had
// not lost its memory by being started again.
func (c *chronicle) beforeCrash(lane, at int) int {
	segments := c.segments[lane]
	for i := len(segments) - 1; i > 0; i-- {
		if s := segments[i]; s.first <= at && c.events[s.first].Kind == record.Start {
			at = s.first - 1
		} else if s.first <= at {
			break
		}
	}
	return at
}

// addCheckpoints lists the checkpoints to which something happened and those
// in the window, then as many others as there is room for, in order of time.
func (s *spacetime) addCheckpoints(c *chronicle, w window) {
	rank := func(k *checkpoint) int {
		begun := time.Duration(-1)
		if k.begin >= 0 {
			begun = c.events[k.begin].T
		}
		switch {
		case len(k.bad) > 0 || len(k.restored) > 0:
			return 0
		case begun >= w.from && begun <= w.to:
			return 1
		case k.aborted >= 0:
			return 2
		}
		return 3
	}
	chosen := make([]int, len(c.checkpoints))
	for i := range chosen {
		chosen[i] = i
	}
	slices.SortStableFunc(chosen, func(a, b int) int { return rank(c.checkpoints[a]) - rank(c.checkpoints[b]) })
	chosen = chosen[:min(len(chosen), checkpointsMax)]
	slices.Sort(chosen)
	for _, i := range chosen {
		s.Checkpoints = append(s.Checkpoints, c.checkpointRow(c.checkpoints[i]))
	}
	s.MoreCheckpoints = len(c.checkpoints) - len(chosen)
}

func (c *chronicle) checkpointRow(k *checkpoint) checkpointRow {
	r := checkpointRow{Proc: k.proc, ID: k.id, Bad: len(k.bad) > 0}
	if k.begin >= 0 {
		r.Begun = clock(c.events[k.begin].T)
	}
	if k.round > 0 {
		r.Round = fmt.Sprint(k.round)
	}
	var levels, sizes, fate []string
	for _, l := range k.levels {
		levels = append(levels, fmt.Sprintf("%s at %s", orNone(l.level), clock(l.at)))
		sizes = append(sizes, fmt.Sprint(l.bytes))
	}
	if k.forced {
		fate = append(fate, "forced by a message")
	}
	if k.aborted >= 0 {
		fate = append(fate, joined("given up", c.events[k.aborted].Reason))
	}
	for _, i := range k.bad {
		e := &c.events[i]
		fate = append(fate, fmt.Sprintf("%s on %s at %s", orNone(e.Reason), orNone(e.Level), clock(e.T)))
	}
	for _, i := range k.restored {
		e := &c.events[i]
		fate = append(fate, joined("restored", e.Level)+" at "+clock(e.T))
	}
	for _, i := range k.deleted {
		e := &c.events[i]
		fate = append(fate, joined("deleted", e.Level)+" at "+clock(e.T))
	}
	if len(k.levels) == 0 && k.aborted < 0 {
		fate = append(fate, "never committed")
	}
	r.Levels, r.Bytes, r.Fate = strings.Join(levels, "; "), strings.Join(sizes, "; "), strings.Join(fate, "; ")
	return r
}

// joined adds a detail, if there is one: "restored (local)".
func joined(what, detail string) string {
	if detail == "" {
		return what
	}
	return what + " (" + detail + ")"
}
