package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/rng"
)

// Drawing says how to draw a plan from a seed.
type Drawing struct {
	// Kinds are the names of faults to choose from; empty means all but those
	// that must be asked for (Definition.Asked).
	Kinds []string `json:"kinds,omitempty"`
	// Every is the mean time between two injections; 0 means a sixth of the
	// plan's length, but 200 ms to 5 s.
	Every time.Duration `json:"every,omitempty"`
	// MTBF, if positive, is the mean time between failures in place of Every:
	// the times between injections are then exponentially distributed, as
	// those of independent failures are (Young 1974, Daly 2006).
	MTBF time.Duration `json:"mtbf,omitempty"`
	// ForMin and ForMax bound how long a fault lasts; 0 means 300 ms and a
	// quarter of the plan's length, at most 4 s.
	ForMin time.Duration `json:"for_min,omitempty"`
	ForMax time.Duration `json:"for_max,omitempty"`
	// Groups restricts victims to groups of the target's nodes (see
	// cluster.Grouped); empty means that all nodes can be hit.
	Groups []string `json:"groups,omitempty"`
	// Files are patterns of the files that rot and truncate damage; empty
	// means all files.
	Files []string `json:"files,omitempty"`
	// Points are points on which faults may be triggered; empty means that
	// all faults are timed.
	Points []string `json:"points,omitempty"`
	// Pairs allows faults that follow others on the same victims.
	Pairs bool `json:"pairs,omitempty"`
	// Swarm switches each kind of fault on or off by the seed, four times out
	// of five (Groce et al., "Swarm testing", ISSTA 2012): what is left out
	// leaves room for the rest.
	Swarm bool `json:"swarm,omitempty"`
	// Crash names a group of the target's nodes one of which is killed in the
	// first half of every plan that may crash nobody of it: in which only one
	// node crashes at a time, or only those who lead or follow. So there is
	// something to recover from. Empty means none.
	Crash string `json:"crash,omitempty"`
}

// Validate returns what is wrong with a drawing.
func (d Drawing) Validate() error {
	for _, k := range d.Kinds {
		if _, err := Lookup(k); err != nil {
			return err
		}
	}
	if err := d.validateAims(); err != nil {
		return err
	}
	if d.MTBF < 0 || d.MTBF > 0 && d.MTBF < time.Millisecond {
		return fmt.Errorf("a drawing needs a mean time between failures of 1ms or more, or none, got %v", d.MTBF)
	}
	if d.Every < 0 || d.ForMin < 0 || d.ForMax < 0 || (d.ForMax > 0 && d.ForMin > d.ForMax) {
		return fmt.Errorf("a drawing needs positive times with ForMin ≤ ForMax, got every %v for %v to %v", d.Every, d.ForMin, d.ForMax)
	}
	return nil
}

// Draw draws a plan that fits into length for a cluster of that many nodes.
// It leaves the last sixth of length, at most two seconds, quiet. It is a
// pure function of its arguments.
func (d Drawing) Draw(seed uint64, nodes int, length time.Duration) Plan {
	r := rng.Stream(seed, "faults")
	kinds := d.kinds(r)
	d.defaults(length)
	end := length - min(length/6, 2*time.Second)
	var plan Plan
	for at := d.first(r); at < end; at += d.gap(r) {
		def := kinds[r.IntN(len(kinds))]
		step := Step{
			When:  Trigger{After: at.Round(time.Millisecond)},
			Fault: d.files(r, d.restrict(r, def.draw(r, nodes))),
			For:   min(d.lasting(r), end-at+d.ForMin).Round(time.Millisecond),
		}
		if chancy(step.Fault) {
			step.When.After = max(0, min(step.When.After, length-chancyMin))
			step.For = max(step.For, chancyMin)
		}
		if len(d.Points) > 0 && r.IntN(3) == 0 {
			step = d.triggered(r, kinds, step)
		}
		step.For = min(step.For, length-step.When.After)
		plan = append(plan, step)
		if damages(step.Fault) {
			plan = append(plan, d.revealing(r, length-step.When.After))
		} else if d.Pairs && r.IntN(4) == 0 {
			if next, ok := d.follower(r, kinds, step.Fault); ok && step.When.After+next.When.After < end {
				next.For = min(next.For, length-step.When.After-next.When.After)
				plan = append(plan, next)
			}
		}
		if len(plan) >= planStepsMax {
			break
		}
	}
	return d.crash(seed, length, plan)
}

// crash adds the crash of one of a group to a plan that has none. It is drawn
// from a stream of its own, so that other plans stay as they were.
func (d Drawing) crash(seed uint64, length time.Duration, plan Plan) Plan {
	crashes := func(s Step) bool {
		certain := s.When.Point == "" && !s.When.Then
		return certain && slices.Contains([]string{"kill", "reboot", "power-loss"}, s.Fault.Name()) &&
			!slices.Contains([]Who{"one", "leader", "follower", "followers"}, s.Fault.Victims())
	}
	if d.Crash == "" || slices.ContainsFunc(plan, crashes) {
		return plan
	}
	r := rng.Stream(seed, "faults/crash")
	step := Step{
		When:  Trigger{After: (length/6 + time.Duration(r.Int64N(int64(length/3)))).Round(time.Millisecond)},
		Fault: Kill{Who("one:" + d.Crash)},
		For:   min(d.lasting(r), length/3).Round(time.Millisecond),
	}
	// Steps that follow others stay behind them.
	at := slices.IndexFunc(plan, func(s Step) bool { return !s.When.Then && s.When.After > step.When.After })
	if at < 0 {
		at = len(plan)
	}
	return slices.Insert(plan, at, step)
}

// chancyMin is how long chancy faults last at least, so that they leave a
// receipt.
const chancyMin = 1500 * time.Millisecond

// chancy tells faults that strike packets with a probability, or only packets
// of clients.
func chancy(f Fault) bool {
	switch f := f.(type) {
	case Loss, Duplicate:
		return true
	case Partition:
		return f.Shape == Clients
	}
	return false
}

func (d *Drawing) defaults(length time.Duration) {
	if d.Every == 0 {
		d.Every = min(max(length/6, 200*time.Millisecond), 5*time.Second)
	}
	if d.ForMin == 0 {
		d.ForMin = 300 * time.Millisecond
	}
	if d.ForMax == 0 {
		d.ForMax = max(d.ForMin, min(length/4, 4*time.Second))
	}
}

// kinds chooses the kinds of faults of this plan, at least one.
func (d Drawing) kinds(r *rand.Rand) []Definition {
	all := slices.DeleteFunc(Catalog(), func(def Definition) bool {
		if len(d.Kinds) == 0 {
			return def.Asked
		}
		return !slices.Contains(d.Kinds, def.Name)
	})
	if !d.Swarm || r.IntN(5) == 0 {
		return all
	}
	on := slices.DeleteFunc(slices.Clone(all), func(Definition) bool { return r.IntN(2) == 0 })
	if len(on) == 0 {
		on = all[r.IntN(len(all)):][:1]
	}
	return on
}

// first draws the time of the first injection.
func (d Drawing) first(r *rand.Rand) time.Duration {
	if d.MTBF > 0 {
		return d.gap(r) // exponential times have no memory
	}
	return d.gap(r) / 2
}

// revealing draws the crash that follows damage to a disk within a tenth of a
// second, so that the node reads what was damaged before it writes it anew.
func (d Drawing) revealing(r *rand.Rand, left time.Duration) Step {
	s := Step{
		When:  Trigger{Then: true, After: time.Duration(1+r.IntN(100)) * time.Millisecond},
		Fault: Kill{"same"},
		For:   d.lasting(r).Round(time.Millisecond),
	}
	s.When.After = min(s.When.After, left/2)
	s.For = max(time.Millisecond, min(s.For, left-s.When.After))
	return s
}

// gap draws the time to the next injection: between a half and three halves
// of the mean.
func (d Drawing) gap(r *rand.Rand) time.Duration {
	if d.MTBF > 0 {
		return max(time.Microsecond, time.Duration(r.ExpFloat64()*float64(d.MTBF)))
	}
	return d.Every/2 + time.Duration(r.Int64N(int64(d.Every)))
}

func (d Drawing) lasting(r *rand.Rand) time.Duration {
	return d.ForMin + time.Duration(r.Int64N(int64(d.ForMax-d.ForMin)+1))
}

// triggered turns a timed step into one on a point that is reached after the
// step's time: the node that reaches it dies there, or suffers another fault
// of the plan's kinds. Where these have none that fits, the step stays timed.
func (d Drawing) triggered(r *rand.Rand, kinds []Definition, step Step) Step {
	fault, ok := chooseFor("self", r, kinds)
	if !ok {
		return step
	}
	step.When.Point, step.When.Nth, step.When.Maybe = d.Points[r.IntN(len(d.Points))], 1+r.IntN(4), true
	if len(d.Groups) > 0 {
		step.When.Of = Who(d.Groups[r.IntN(len(d.Groups))])
	}
	if r.IntN(2) == 0 && fault.Name() != "partition" {
		step.For = time.Duration(5+r.IntN(500)) * time.Millisecond
	}
	step.Fault = fault
	return step
}

// follower draws a step that strikes the victims of the one before again.
// Nodes that are down, paused or cut off already are not cut off as well:
// nobody could tell.
func (d Drawing) follower(r *rand.Rand, kinds []Definition, before Fault) (Step, bool) {
	switch before.(type) {
	case Kill, Reboot, PowerLoss, Pause, Partition:
		kinds = slices.DeleteFunc(slices.Clone(kinds), func(def Definition) bool { return def.Name == "partition" })
	}
	fault, ok := chooseFor("same", r, kinds)
	return Step{
		When:  Trigger{Then: true, After: time.Duration(20+r.IntN(400)) * time.Millisecond},
		Fault: fault,
		For:   d.lasting(r).Round(time.Millisecond),
	}, ok
}

// chooseFor chooses a fault that strikes given victims, most often a crash.
func chooseFor(who Who, r *rand.Rand, kinds []Definition) (Fault, bool) {
	choices := []Fault{Kill{who}, Kill{who}, PowerLoss{who}, Pause{who}, Partition{Shape: Isolate, Who: who}}
	choices = slices.DeleteFunc(choices, func(f Fault) bool {
		return !slices.ContainsFunc(kinds, func(def Definition) bool { return def.Name == f.Name() })
	})
	if len(choices) == 0 {
		return nil, false
	}
	return choices[r.IntN(len(choices))], true
}
