package jobs

import (
	"fmt"
	"strconv"
	"strings"
)

// Answer is what a failure-free execution of a job comes to.
type Answer struct {
	// Results is what App.Result says of each process in the end; without the
	// share, if the job conserves a quantity.
	Results []string
	// Shared tells that every result ends with a share of a quantity whose
	// sum is Total. How it is spread depends on the order of messages.
	Shared bool
	Total  int64
	// Outputs are what each process put out, in any order across keys and in
	// order of numbers within a key.
	Outputs [][]Output
}

// Output is what the outside world got to see.
type Output struct {
	ID      string
	Payload string
}

// shareField separates what is exact in a result from the share.
const shareField = " share="

// Deviation is where an execution differs from the right answer.
type Deviation struct {
	// Class is "wrong result", "lost value", "gained value", "lost output",
	// "duplicate output", "wrong output" or "invented output".
	Class string
	// Proc is the process, -1 if it concerns the whole.
	Proc int
	Text string
}

// Check compares the results of all processes, in order, with the answer. An
// empty one is not known: it is not judged, and neither is then the total.
func (a *Answer) Check(results []string) (found []Deviation) {
	if len(results) != len(a.Results) {
		return []Deviation{{"wrong result", -1, fmt.Sprintf("%d processes have a result; expected %d", len(results), len(a.Results))}}
	}
	var sum int64
	complete := true
	for p, got := range results {
		if got == "" {
			complete = false
			continue
		}
		exact := got
		if a.Shared {
			var share string
			exact, share, _ = strings.Cut(got, shareField)
			n, err := strconv.ParseInt(share, 10, 64)
			if err != nil {
				complete = false
				found = append(found, Deviation{"wrong result", p, fmt.Sprintf("process %d ended with %q, which states no share; expected %q and a share", p, got, a.Results[p])})
				continue
			}
			sum += n
		}
		if exact != a.Results[p] {
			found = append(found, Deviation{"wrong result", p, fmt.Sprintf("process %d ended with %q; without failures it ends with %q", p, exact, a.Results[p])})
		}
	}
	if !a.Shared || !complete || sum == a.Total {
		return found
	}
	class, verb := "lost value", "were lost"
	if sum > a.Total {
		class, verb = "gained value", "came from nowhere"
	}
	return append(found, Deviation{class, -1, fmt.Sprintf("the shares of all %d processes add up to %d; expected %d: %d %s", len(results), sum, a.Total, max(sum-a.Total, a.Total-sum), verb)})
}

// CheckOutputs compares what a process's sink holds with the answer. With
// repeats, an output may be there more than once, as a sink that promises
// delivery at least once may have it.
func (a *Answer) CheckOutputs(proc int, got []Output, repeats bool) (found []Deviation) {
	want := map[string]string{}
	for _, o := range a.Outputs[proc] {
		want[o.ID] = o.Payload
	}
	seen := map[string]bool{}
	for _, o := range got {
		payload, ok := want[o.ID]
		switch {
		case !ok:
			found = append(found, Deviation{"invented output", proc, fmt.Sprintf("the sink holds %s = %q of process %d, which no failure-free run puts out", o.ID, o.Payload, proc)})
		case payload != o.Payload:
			found = append(found, Deviation{"wrong output", proc, fmt.Sprintf("the sink holds %s = %q of process %d; expected %q", o.ID, o.Payload, proc, payload)})
		case seen[o.ID] && !repeats:
			found = append(found, Deviation{"duplicate output", proc, fmt.Sprintf("the sink holds %s = %q of process %d more than once", o.ID, o.Payload, proc)})
		}
		seen[o.ID] = true
	}
	for _, o := range a.Outputs[proc] {
		if !seen[o.ID] {
			found = append(found, Deviation{"lost output", proc, fmt.Sprintf("the sink does not hold %s = %q of process %d", o.ID, o.Payload, proc)})
		}
	}
	return found
}
