package main

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/rundir"
)

// violation is one broken promise of a run. Its signature is what two runs have
// in common that fail for the same reason: the checker and the class of its
// witness; for a broken invariant its name; "harness" for a run that failed.
type violation struct {
	Signature string `json:"signature"`
	Reason    string `json:"reason"` // the first
}

// invariantsChecker is the checker whose classes are too wide: what it found is
// told apart by the invariants' names.
const invariantsChecker = "invariants"

// violationsOf lists the violations of a run, one for each signature, in the
// order of the checkers.
func violationsOf(r *rundir.Result) (found []violation) {
	add := func(signature, reason string) {
		if !slices.ContainsFunc(found, func(v violation) bool { return v.Signature == signature }) {
			found = append(found, violation{signature, reason})
		}
	}
	for _, c := range r.Checkers {
		if c.Verdict != checkers.Invalid {
			continue
		}
		if c.Checker == invariantsChecker && len(r.Findings) > 0 {
			for _, f := range r.Findings {
				add(c.Checker+"/"+f.Invariant, f.Text)
			}
			continue
		}
		class := ""
		if c.Witness != nil && c.Witness.Class != "" {
			class = "/" + c.Witness.Class
		}
		add(c.Checker+class, c.Reason)
	}
	reason := strings.Join(r.Reasons[:min(1, len(r.Reasons))], "")
	switch {
	case r.Verdict == rundir.Error:
		add("harness", reason)
	case r.Verdict == rundir.Invalid && len(found) == 0:
		add("verdict", reason)
	}
	return found
}

// Bounds of what a sweep keeps of each scenario. Counts stay exact beyond them.
const (
	seedsKept      = 100 // of each signature, and of each reason for nothing proven: the lowest
	signaturesKept = 100
	reasonsKept    = 200
	otherReasons   = "another reason"
)

// sweepFind is all that a sweep found of one signature in one scenario.
type sweepFind struct {
	Scenario  string `json:"scenario"`
	Signature string `json:"signature"`
	Count     int    `json:"count"` // of seeds
	// Seeds are the lowest of them, each with what reproduces it.
	Seeds []foundSeed `json:"seeds"`
	// Run is the run directory of the lowest seed, Report its report; "" if it
	// was not run again.
	Run    string `json:"run,omitempty"`
	Report string `json:"report,omitempty"`
	result *rundir.Result
}

// foundSeed is one violation.
type foundSeed struct {
	Seed      uint64         `json:"seed"`
	Verdict   rundir.Outcome `json:"verdict"`
	Reason    string         `json:"reason"`
	Reproduce string         `json:"reproduce"`
}

func (f *sweepFind) add(s foundSeed) {
	f.Count++
	f.Seeds = keepLowest(f.Seeds, s, func(a, b foundSeed) int { return cmp.Compare(a.Seed, b.Seed) })
}

// keepLowest adds x to a sorted list that keeps its lowest elements only.
func keepLowest[T any](list []T, x T, order func(a, b T) int) []T {
	at, _ := slices.BinarySearchFunc(list, x, order)
	list = slices.Insert(list, at, x)
	return list[:min(len(list), seedsKept)]
}

// whyNot counts the seeds that proved nothing for one reason.
type whyNot struct {
	Reason string   `json:"reason"`
	Count  int      `json:"count"`
	Seeds  []uint64 `json:"seeds"` // the lowest
}

// tally is what a sweep knows of one scenario.
type tally struct {
	Scenario     string                `json:"scenario"`
	Verdict      rundir.Outcome        `json:"verdict"`
	Seeds        int                   `json:"seeds"`
	Valid        int                   `json:"valid"`
	Invalid      int                   `json:"invalid"`
	Inconclusive int                   `json:"inconclusive"`
	Errors       int                   `json:"errors"`
	Simulated    float64               `json:"simulated_seconds"`
	Operations   int                   `json:"operations"`
	Events       float64               `json:"events"`
	Faults       map[string]faultCount `json:"faults"`
	// InconclusiveSeeds are the lowest of those that proved nothing.
	InconclusiveSeeds []uint64     `json:"inconclusive_seeds"`
	Why               []*whyNot    `json:"inconclusive_reasons"`
	Finds             []*sweepFind `json:"finds"`
	// MoreFinds counts violations of signatures beyond the bound.
	MoreFinds int `json:"more_finds,omitempty"`

	reasons map[string]*whyNot
}

func newTally(scenario string) *tally {
	return &tally{
		Scenario: scenario, Faults: map[string]faultCount{}, InconclusiveSeeds: []uint64{}, Why: []*whyNot{}, Finds: []*sweepFind{}, reasons: map[string]*whyNot{},
	}
}

// add enters what came of a seed.
func (t *tally) add(r swept) {
	t.Seeds++
	t.Simulated += r.Simulated
	t.Operations += r.Ops
	t.Events += r.Events
	for kind, n := range r.Faults {
		sum := t.Faults[kind]
		t.Faults[kind] = faultCount{sum.Injected + n.Injected, sum.Receipts + n.Receipts}
	}
	violations := r.Signatures
	switch {
	case r.Diverged:
		t.Errors++
		violations = append(violations, violation{"harness", r.problem()})
	case r.Verdict == rundir.Valid:
		t.Valid++
	case r.Verdict == rundir.Inconclusive:
		t.Inconclusive++
		t.inconclusive(r)
	case r.Verdict == rundir.Invalid:
		t.Invalid++
	default:
		t.Errors++
		if len(violations) == 0 {
			violations = []violation{{"harness", r.problem()}}
		}
	}
	for _, v := range violations {
		t.found(v, r)
	}
}

func (t *tally) found(v violation, r swept) {
	i := slices.IndexFunc(t.Finds, func(f *sweepFind) bool { return f.Signature == v.Signature })
	if i < 0 {
		if i = len(t.Finds); i >= signaturesKept {
			t.MoreFinds++
			return
		}
		t.Finds = append(t.Finds, &sweepFind{Scenario: t.Scenario, Signature: v.Signature})
	}
	t.Finds[i].add(foundSeed{r.Seed, r.Verdict, v.Reason, r.Again})
}

func (t *tally) inconclusive(r swept) {
	t.InconclusiveSeeds = keepLowest(t.InconclusiveSeeds, r.Seed, cmp.Compare)
	for _, reason := range slices.Compact(slices.Sorted(slices.Values(r.Reasons))) {
		if t.reasons[reason] == nil && len(t.reasons) >= reasonsKept {
			reason = otherReasons
		}
		if t.reasons[reason] == nil {
			t.reasons[reason] = &whyNot{Reason: reason}
		}
		w := t.reasons[reason]
		w.Count++
		w.Seeds = keepLowest(w.Seeds, r.Seed, cmp.Compare)
	}
}

// close decides the verdict: invalid or error by what was found; else
// inconclusive if nothing at all was proven, or if more than that share, in
// percent, of the seeds proved nothing.
func (t *tally) close(inconclusiveMax float64) {
	t.Why = slices.AppendSeq([]*whyNot{}, maps.Values(t.reasons))
	slices.SortFunc(t.Why, func(a, b *whyNot) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	slices.SortFunc(t.Finds, func(a, b *sweepFind) int {
		return cmp.Or(cmp.Compare(a.Seeds[0].Seed, b.Seeds[0].Seed), cmp.Compare(a.Signature, b.Signature))
	})
	switch {
	case t.Errors > 0:
		t.Verdict = rundir.Error
	case t.Invalid > 0:
		t.Verdict = rundir.Invalid
	case t.Valid == 0 || t.inconclusivePercent() > inconclusiveMax:
		t.Verdict = rundir.Inconclusive
	default:
		t.Verdict = rundir.Valid
	}
}

func (t *tally) inconclusivePercent() float64 {
	return 100 * float64(t.Inconclusive) / float64(max(1, t.Seeds))
}
