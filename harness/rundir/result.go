package rundir

import (
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/node"
)

// Outcome is the verdict on a whole run. Invalid beats inconclusive beats
// valid; an error of the harness beats them all.
type Outcome string

// The outcomes of a run.
const (
	Valid        Outcome = "valid"
	Invalid      Outcome = "invalid"
	Inconclusive Outcome = "inconclusive"
	Error        Outcome = "error"
)

// OutcomeOf is the outcome of a whole on which checkers came to a conclusion.
// One on which none had anything to judge is inconclusive.
func OutcomeOf(v checkers.Validity) Outcome {
	switch v {
	case checkers.Valid:
		return Valid
	case checkers.Invalid:
		return Invalid
	}
	return Inconclusive
}

// Result is what result.json holds and --json prints.
type Result struct {
	Scenario string  `json:"scenario"`
	Runtime  string  `json:"runtime"`
	Seed     uint64  `json:"seed"`
	Verdict  Outcome `json:"verdict"`
	// Reasons say in a sentence each why the verdict is what it is.
	Reasons []string `json:"reasons"`
	// Notes say what a reader must know to make something of the verdict.
	Notes []string `json:"notes,omitempty"`
	// TraceHash digests everything that happened in a simulation.
	TraceHash  string             `json:"trace_hash,omitempty"`
	Operations Operations         `json:"operations"`
	Faults     []Fault            `json:"faults"`
	Checkers   []checkers.Verdict `json:"checkers"`
	// Findings are broken contracts inside the system (white-box).
	Findings []node.Finding `json:"findings,omitempty"`
	// Trouble is what went wrong with the harness or around it.
	Trouble  []cluster.Trouble `json:"trouble,omitempty"`
	Strength history.Strength  `json:"strength"`
	Phases   []Phase           `json:"phases"`
	// Unavailable lists faults that the plan wanted and this runtime, target
	// or machine cannot do, with the reason.
	Unavailable []string `json:"unavailable,omitempty"`
	// Measures are figures by name with the unit at the end.
	Measures map[string]float64 `json:"measures"`
	// Reproduce is the command line that runs it again.
	Reproduce string    `json:"reproduce"`
	Started   time.Time `json:"started"` // wall clock, for people only
	// Began is the wall clock at the zero of the run's clock, by which lines of
	// logs are found; none in the simulator.
	Began time.Time `json:"began,omitzero"`
	// Evidence lists the files that the run left; none if it was kept in memory.
	Evidence []Kept `json:"evidence,omitempty"`
	// Died tells that the harness died before it judged the run, which
	// therefore is never valid, whoever judges it.
	Died bool `json:"died,omitempty"`
	// Version is the version of cleancut.
	Version string `json:"version"`
}

// Operations counts operations by outcome.
type Operations struct {
	Total int `json:"total"`
	OK    int `json:"ok"`
	Fail  int `json:"fail"`
	Info  int `json:"info"`
}

// Fault is one injection. Times are since the run began.
type Fault struct {
	Fault string `json:"fault"` // its text, as in the plan
	// Frozen is the fault with everything that its text left open decided: what
	// was really injected. "" if it was not.
	Frozen   string          `json:"frozen,omitempty"`
	Kind     string          `json:"kind"`
	Model    history.Failure `json:"model,omitempty"`
	Nodes    []string        `json:"nodes"`
	At       time.Duration   `json:"at"`
	HealedAt time.Duration   `json:"healed_at"` // negative if it was not healed
	Receipt  cluster.Receipt `json:"receipt"`
	// Bit tells that the receipt proves an effect.
	Bit bool `json:"bit"`
	// Error is why it could not be injected or healed.
	Error string `json:"error,omitempty"`
}

// NotInjected begins the error of a fault that was planned and never tried.
const NotInjected = "not injected: "

// Phase is a phase of the run.
type Phase struct {
	Name  string        `json:"name"`
	Start time.Duration `json:"start"`
	End   time.Duration `json:"end"`
}
