package harness

import (
	"fmt"

	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/harness/rundir"
)

// jobFloor is the history's floor where the target does the work of its own
// accord: clients who only look on need not compete, and what they see proves
// little. That evidence is in the record, which has a floor of its own.
var jobFloor = history.Floor{OK: 5, OKPercent: 5, DuringFaults: 1}

// weakness returns why the evidence of a run is too weak to prove anything.
func weakness(r *rundir.Result, e *rundir.Loaded, s Scenario) []string {
	var reasons []string
	if e.RecordHoles != "" {
		reasons = append(reasons, "the record is incomplete: "+e.RecordHoles)
	}
	if _, ok := s.Workload.(jobber); !ok {
		return append(reasons, r.Strength.Weak(history.DefaultFloor)...)
	}
	reasons = append(reasons, r.Strength.Weak(jobFloor)...)
	n := measureRecord(e.Record)
	for name, count := range map[string]int{
		"record_events": n.events, "record_messages": n.messages, "record_checkpoints": n.checkpoints,
		"record_restores": n.restores, "record_crashes": n.crashes, "record_work": n.work,
	} {
		r.Measures[name] = float64(count)
	}
	return append(reasons, n.weak(!s.NoFaults)...)
}

// recorded is how much a record can prove.
type recorded struct {
	events, messages, checkpoints, crashes, work int
	// restores counts those that recovery brought about: to a checkpoint, or
	// to the initial state after some process had crashed.
	restores int
}

func measureRecord(events []record.Event) (n recorded) {
	n.events = len(events)
	for i := range events {
		switch e := &events[i]; e.Kind {
		case record.Recv:
			n.messages++
		case record.Work, record.Input:
			n.work++
		case record.CheckpointCommit:
			n.checkpoints++
		case record.Crash:
			n.crashes++
		case record.Restore:
			if e.Ckpt != "" || n.crashes > 0 {
				n.restores++
			}
		}
	}
	return n
}

// weak returns why a record is too weak to prove that recovery is right.
func (n recorded) weak(faultsWanted bool) (reasons []string) {
	switch {
	case n.events == 0:
		return []string{"the record is too weak: no process recorded anything"}
	case n.messages+n.work == 0:
		reasons = append(reasons, "the record is too weak: no message was received and no work was done")
	}
	if n.checkpoints == 0 {
		reasons = append(reasons, "the record is too weak: no checkpoint was committed")
	}
	if faultsWanted && n.restores == 0 {
		reasons = append(reasons, fmt.Sprintf("the record is too weak: no process was restored (%d crashed), so nothing is known about recovery", n.crashes))
	}
	return reasons
}
