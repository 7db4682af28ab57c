package checkers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// tick is the grid of time on which random evidence lies: its oracles look at
// every instant.
const tick = time.Millisecond

// span is how many ticks random evidence lasts, at most.
const span = 16

// drawEvidence draws operations in order of invocation with their events, and
// faults and phases that begin and end anywhere, in any order and at the same
// instants.
func drawEvidence(r *rand.Rand) *Evidence {
	e := &Evidence{}
	from := time.Duration(r.IntN(4)-2) * tick // also before zero
	at := func(n int) time.Duration { return from + time.Duration(r.IntN(n))*tick }
	for i := range r.IntN(8) {
		o := history.Operation{Process: i, F: "write", Key: fmt.Sprint(i % 2), Invoked: at(span), Completed: history.Never, Outcome: history.Info, Return: -1}
		if r.IntN(8) > 0 {
			o.Outcome = []history.Outcome{history.OK, history.OK, history.OK, history.Fail, history.Info}[r.IntN(5)]
			o.Completed = o.Invoked + time.Duration(r.IntN(6))*tick
			o.Return = 0
		}
		if o.F = []string{"write", "cas"}[r.IntN(2)]; o.Outcome == history.Fail {
			o.Error = []string{"", history.Mismatch, "unreachable"}[r.IntN(3)]
		}
		e.Operations = append(e.Operations, o)
	}
	slices.SortStableFunc(e.Operations, func(a, b history.Operation) int { return int(a.Invoked - b.Invoked) })
	withEvents := r.IntN(4) > 0
	for i := range e.Operations {
		o := &e.Operations[i]
		e.Events = append(e.Events, history.Event{Time: o.Invoked, Kind: history.Invoke, Process: o.Process, F: o.F, Key: o.Key})
		if o.Return == 0 {
			e.Events = append(e.Events, history.Event{Time: o.Completed, Kind: o.Outcome, Process: o.Process, F: o.F, Key: o.Key})
		}
		if o.Outcome == history.Info {
			o.Completed, o.Error = history.Never, "timed out"
		}
	}
	for i := range r.IntN(4) {
		w := FaultWindow{Fault: fmt.Sprintf("kill(n%d)", i), Kind: "kill", Start: at(span)}
		w.End = w.Start + time.Duration(r.IntN(8)-1)*tick
		e.Faults = append(e.Faults, w)
	}
	names := []string{"faults", LivenessPhase, "final", "final reads"}[r.IntN(2):]
	start := at(span / 2)
	for _, name := range names[:len(names)-r.IntN(3)] {
		p := Phase{Name: name, Start: start, End: start + time.Duration(r.IntN(span-1)-1)*tick}
		if start = p.End; r.IntN(8) == 0 {
			start = at(span)
		}
		e.Phases = append(e.Phases, p)
	}
	if r.IntN(32) == 0 {
		e.Phases = append(e.Phases, Phase{Name: LivenessPhase, Start: at(span), End: at(span)})
	}
	end := history.Event{Time: at(2 * span), Kind: history.PhaseStart, Process: history.NemesisProcess, F: "final"}
	e.Events = append(e.Events, end)
	slices.SortStableFunc(e.Events, func(a, b history.Event) int { return int(a.Time - b.Time) })
	if !withEvents {
		e.Events = nil
	}
	return e
}

// changed returns a copy of the lists of evidence that can be changed freely.
func (e Evidence) changed() *Evidence {
	e.Events, e.Operations = slices.Clone(e.Events), slices.Clone(e.Operations)
	e.Faults, e.Phases = slices.Clone(e.Faults), slices.Clone(e.Phases)
	e.Finals, e.Findings = slices.Clone(e.Finals), slices.Clone(e.Findings)
	return &e
}

// disguised is the same at another time, by others, and in another order.
func disguised(r *rand.Rand, e *Evidence, later time.Duration) *Evidence {
	d := e.changed()
	for i := range d.Events {
		d.Events[i].Time += later
		d.Events[i].Process += 100
	}
	for i := range d.Operations {
		o := &d.Operations[i]
		o.Process, o.Key, o.Node, o.Invoked = o.Process+100, "key "+o.Key, "n9", o.Invoked+later
		if o.Completed != history.Never {
			o.Completed += later
		}
	}
	for i := range d.Faults {
		d.Faults[i].Start, d.Faults[i].End = d.Faults[i].Start+later, d.Faults[i].End+later
	}
	for i := range d.Phases {
		d.Phases[i].Start, d.Phases[i].End = d.Phases[i].Start+later, d.Phases[i].End+later
	}
	r.Shuffle(len(d.Operations), func(i, j int) { d.Operations[i], d.Operations[j] = d.Operations[j], d.Operations[i] })
	r.Shuffle(len(d.Faults), func(i, j int) { d.Faults[i], d.Faults[j] = d.Faults[j], d.Faults[i] })
	return d
}

// within is what evidence shows of a window of time: operations that were going
// on in it, as if those had begun with it that had begun before, and as if what
// ended later had not ended; and the faults that began in it.
func within(e *Evidence, from, to time.Duration) *Evidence {
	cut := &Evidence{Phases: e.Phases}
	for _, o := range e.Operations {
		if o.Invoked > to || o.Completed < from {
			continue
		}
		if o.Invoked = max(o.Invoked, from); o.Completed > to {
			o.Completed, o.Outcome = history.Never, history.Info
		}
		cut.Operations = append(cut.Operations, o)
	}
	for _, ev := range e.Events {
		if ev.Time >= from && ev.Time <= to {
			cut.Events = append(cut.Events, ev)
		}
	}
	for _, f := range e.Faults {
		if f.Start >= from && f.Start <= to {
			cut.Faults = append(cut.Faults, f)
		}
	}
	return cut
}

// shown prints evidence for the message of a test.
func shown(e *Evidence) (text string) {
	for _, o := range e.Operations {
		text += o.String() + "\n"
	}
	for _, ev := range e.Events {
		text += fmt.Sprintf("event of kind %d at %s\n", ev.Kind, history.At(ev.Time))
	}
	return text + fmt.Sprintf("faults %v\nphases %v", e.Faults, e.Phases)
}
