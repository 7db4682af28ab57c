// Package checkers judges what a run left behind: history and other evidence
// in, verdicts out.
//
// A checker is a pure function of its Evidence, within a stated bound of time
// and memory; past the bound it says unknown, with what it had established so
// far. It never says valid of what it did not check, and its invalid always
// carries a witness: the smallest thing that cannot be, in plain words.
// Checkers know nothing of runtimes and targets.
//
// Check runs several checkers, turns a panic of one into unknown, and merges
// their verdicts: invalid beats unknown beats valid, and valid beats
// not-applicable, which is what a checker says that had nothing to judge.
package checkers

import (
	"context"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/record"
)

// Validity is a checker's conclusion.
type Validity string

// The conclusions. Unknown is never taken for Valid, and nor is NotApplicable.
const (
	Valid   Validity = "valid"
	Invalid Validity = "invalid"
	Unknown Validity = "unknown"
	// NotApplicable means that what the checker judges did not occur, and that
	// the evidence shows so: no node crashed, and it judges what crashes cost.
	// The reason says what did not occur. Where it may have occurred and
	// evidence of it is missing, the conclusion is Unknown.
	NotApplicable Validity = "not-applicable"
)

// ranks order conclusions by which of two decides.
var ranks = map[Validity]int{NotApplicable: 1, Valid: 2, Unknown: 3, Invalid: 4}

// Beats reports whether v decides where v and w are conclusions on parts of one
// whole. What is no conclusion, as the empty one, beats nothing.
func (v Validity) Beats(w Validity) bool { return ranks[v] > ranks[w] }

// Checker judges one property.
type Checker interface {
	// Name identifies the checker in results and on the command line.
	Name() string
	// Check judges. It returns soon after ctx is cancelled, with Unknown.
	Check(ctx context.Context, e *Evidence) Verdict
}

// Verdict is what a checker has to say.
type Verdict struct {
	Checker   string   `json:"name"`
	Rank      Rank     `json:"-"` // of the checker
	Verdict   Validity `json:"verdict"`
	Algorithm string   `json:"algorithm,omitempty"`
	// Reason says in one sentence why the verdict is what it is.
	Reason  string  `json:"reason,omitempty"`
	Seconds float64 `json:"seconds"`
	// Memory is by how many bytes the heap grew meanwhile, nil if that was not
	// to be measured: see HeapGrowth.
	Memory *int64 `json:"memory_bytes,omitempty"`
	// Witness explains an Invalid; it is nil otherwise.
	Witness *Witness `json:"witness,omitempty"`
	// Measures are figures that the checker found on its way, by name with
	// the unit at the end ("longest_gap_seconds").
	Measures map[string]float64 `json:"measures,omitempty"`
}

// Witness is the smallest explanation of a violation.
type Witness struct {
	// Class names the kind of violation, as the checker defines it. A smaller
	// scenario shows the same violation if checker and class are the same.
	Class string `json:"class,omitempty"`
	// Summary says it in one or two sentences.
	Summary string `json:"summary"`
	// Key is the key concerned, "" if there is none.
	Key string `json:"key,omitempty"`
	// Operations are those that cannot be ordered, in order of invocation.
	// The oracle rejects them alone, too.
	Operations []history.Operation `json:"operations,omitempty"`
	// Lines give further evidence in words, one step of the argument each.
	Lines []string `json:"lines,omitempty"`
	// From and To bound the time that the violation concerns.
	From time.Duration `json:"from_ns"`
	To   time.Duration `json:"to_ns"`
	// Conditional says that this is a violation only if the faults of the plan
	// were all that happened to the nodes, and were healed: a node that did not
	// return, operations that did not succeed. Check takes it back where the
	// evidence holds trouble of the harness.
	Conditional bool `json:"conditional,omitempty"`
	// Picture is a self-contained HTML page that shows the violation, if the
	// checker can draw it. It is kept in a file of its own, not in JSON.
	Picture []byte `json:"-"`
}

// Evidence is all that a run left behind.
type Evidence struct {
	// Events is the history, in order.
	Events []history.Event
	// Operations are the client operations of Events, in order of invocation.
	Operations []history.Operation
	Faults     []FaultWindow
	Phases     []Phase
	// Finals are the nodes' accounts of themselves after healing and a time
	// to settle; it is nil where nodes have none.
	Finals []Final
	// Logs are the ends of the nodes' logs, by node.
	Logs map[string][]byte
	// Findings are what white-box invariants found, and panics that no one
	// injected. It is nil where nothing watched for them.
	Findings []node.Finding
	// Record is what the processes of a checkpointed computation recorded of
	// themselves, merged in order of time; the order of each process is kept.
	// It is nil where none recorded anything.
	Record []record.Event
	// Trouble is what went wrong with the harness or around it, and not in the
	// system under test.
	Trouble []cluster.Trouble
	// Nodes are all nodes that the run had, nil where that is not known: each
	// must have left its account.
	Nodes []string
	// Lacking says, a sentence each, what the evidence lacks of what was there
	// once. What is missing is no evidence of absence: Check takes back a valid.
	Lacking []string
}

// Absent returns those of Nodes for which a node has not left something.
func (e *Evidence) Absent(left func(node string) bool) (absent []string) {
	for _, n := range e.Nodes {
		if !left(n) {
			absent = append(absent, n)
		}
	}
	return absent
}

// FaultWindow is when a fault was in force.
type FaultWindow struct {
	Fault string // its text, as in the plan
	Kind  string // its name: "kill", "partition", …
	// Model is its failure model, "" where nobody knows what it does. Checkers
	// tell faults by it, never by their names.
	Model history.Failure
	Nodes []string // whom it hit, in order
	// Start is when its injection began, End when it was healed.
	Start, End time.Duration
	Bit        bool // it left a receipt
}

// Phase is a phase of the run.
type Phase struct {
	Name       string
	Start, End time.Duration
}

// Final is a node's last word.
type Final struct {
	Node   string      `json:"node"`
	Status node.Status `json:"status"`
	Err    string      `json:"error,omitempty"` // why there is no status: the last answer
	// Process is what is known of the node's process where there is no status.
	Process Process `json:"process,omitempty"`
	// Tries is how often the node was asked, from Asked to Until.
	Tries int           `json:"tries,omitempty"`
	Asked time.Duration `json:"asked_ns,omitempty"`
	Until time.Duration `json:"until_ns,omitempty"`
	// Unsettled tells that the run was cut short before the nodes had their
	// time to settle: the status shows nothing final.
	Unsettled bool `json:"unsettled,omitempty"`
}

// Process is what the harness knows of the process of a node that gave no
// status.
type Process string

// What can be known of it.
const (
	// ProcessUnknown: the harness could not tell. Nobody is to blame.
	ProcessUnknown Process = ""
	// ProcessDown: it certainly did not run.
	ProcessDown Process = "down"
	// ProcessSilent: it ran each time that it was asked, and did not answer.
	ProcessSilent Process = "silent"
)
