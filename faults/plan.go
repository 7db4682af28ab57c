package faults

import (
	"fmt"
	"strings"
	"time"
)

// Plan is the list of faults of one run. It is data: it prints itself and
// Parse reads it back. Its text is
//
//	plan    = step { ";" step }
//	step    = trigger fault [ "for" duration ]
//	trigger = time | [ time ] event
//	time    = "at" duration       since the faults began
//	        | "then" duration     since the step before was injected
//	event   = ["maybe"] "on" point ["#" n] ["of" who]
//	                              the n-th time from then on that a node reaches the point
//	fault   = name "(" arguments ")"
//
// as in
//
//	at 2s partition(isolate,leader) for 3s; on vote.granted#2 kill(self) for 20ms;
//	at 6s pause(one) for 1s; then 200ms kill(same) for 500ms; at 9s on fsync power-loss(all) for 1s
//
// A fault without "for" lasts until everything is healed. A triggered step
// that fires never makes the run inconclusive, unless it says "maybe".
type Plan []Step

// Step is one fault of a plan and when it is injected.
type Step struct {
	When  Trigger
	Fault Fault
	// For is how long the fault lasts; 0 means until everything is healed.
	For time.Duration
}

// Trigger says when a step is injected: at a time, or on a point that is
// reached after that time.
type Trigger struct {
	// After is the time since the faults began, or if Then is set since the
	// step before was injected.
	After time.Duration
	Then  bool
	// Point, if set, is the point of a node's program that triggers the step.
	Point string
	Nth   int // from 1
	Of    Who // whose points count: "" for any node
	// Maybe tells that it is no defect of a run if the trigger never fires.
	Maybe bool
}

// String implements fmt.Stringer. Parse is its inverse.
func (p Plan) String() string {
	steps := make([]string, len(p))
	for i, s := range p {
		steps[i] = s.String()
	}
	return strings.Join(steps, "; ")
}

// String prints the step as it stands in a plan.
func (s Step) String() string {
	text := s.When.String() + " " + s.Fault.String()
	if s.For > 0 {
		text += " for " + s.For.String()
	}
	return text
}

// String prints the trigger as it stands in a plan.
func (t Trigger) String() string {
	word := "at "
	if t.Then {
		word = "then "
	}
	if t.Point == "" {
		return word + t.After.String()
	}
	text := ""
	if t.Then || t.After > 0 {
		text = word + t.After.String() + " "
	}
	if t.Maybe {
		text += "maybe "
	}
	text += "on " + t.Point
	if t.Nth > 1 {
		text += fmt.Sprintf("#%d", t.Nth)
	}
	if t.Of != "" {
		text += " of " + string(t.Of)
	}
	return text
}

// Chains splits the plan into chains: a step with a trigger of its own and
// the steps that follow it by "then". Chains run side by side.
func (p Plan) Chains() [][]Step {
	var chains [][]Step
	for _, s := range p {
		if s.When.Then && len(chains) > 0 {
			last := len(chains) - 1
			chains[last] = append(chains[last], s)
			continue
		}
		chains = append(chains, []Step{s})
	}
	return chains
}

// End returns the time by which the last step is over, if triggers fire at
// once.
func (p Plan) End() time.Duration {
	var end time.Duration
	for _, chain := range p.Chains() {
		var at time.Duration
		for _, s := range chain {
			at += s.When.After
			end = max(end, at+s.For)
		}
	}
	return end
}
