package cluster

import (
	"errors"
	"time"
)

// ErrUnreachable means that the harness cannot reach the machine that a node
// lives on: it cannot tell how the node is, nor do anything to it. That says
// nothing about the system under test.
var ErrUnreachable = errors.New("cannot be reached by the harness")

// Trouble is something that went wrong with the harness or around it, and not
// in the system under test: a node that could not be healed, hit or asked, or
// that somebody else stopped, cut off or removed. What a node fails to do
// afterwards may be its consequence, so nobody can be blamed for that.
type Trouble struct {
	At    time.Duration `json:"at"` // since the run began
	Step  TroubleStep   `json:"step"`
	Nodes []string      `json:"nodes,omitempty"` // those concerned; none if it may be all
	Text  string        `json:"text"`            // what was seen, with the last error
}

// TroubleStep is what the harness was at when it met trouble.
type TroubleStep string

// The steps.
const (
	TroubleInject  TroubleStep = "inject"  // a fault could not be brought about
	TroubleHeal    TroubleStep = "heal"    // a fault could not be undone
	TroubleClients TroubleStep = "clients" // clients could not be stopped
	TroubleAsk     TroubleStep = "ask"     // a node could not be asked
	TroubleCollect TroubleStep = "collect" // evidence could not be collected
	TroubleOutside TroubleStep = "outside" // something was done that is in no plan
)
