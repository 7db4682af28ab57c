package recovery

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

// judged is the verdict of a model on a record of a run of that length, whose
// last fault was healed at a time.
func judged(t *testing.T, o Options, model string, end, healed time.Duration, events ...string) checkers.Verdict {
	t.Helper()
	list, err := Checkers(o, model)
	if err != nil {
		t.Fatal(err)
	}
	read, _, err := record.Read(strings.NewReader(lines(events...)), record.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	e := &checkers.Evidence{Record: read}
	if end > 0 {
		e.Phases = []checkers.Phase{{Name: "final", End: end}}
		e.Faults = []checkers.FaultWindow{{Kind: "kill", End: healed}}
	}
	return list[0].Check(t.Context(), e)
}

// The round that has an output makes it visible: until it is committed, and a
// while after that, a run that ends has not shown that it is missing.
func TestAnOutputThatMayStillComeIsNotMissing(t *testing.T) {
	ended := []string{`c 1 start`, `w 1 start`, `c 1 round_begin "round":1`, `w 1 output "sink":"s","id":"o"`,
		`w 1 ckpt_begin "ckpt":"w1","round":1`, `w 1 ckpt_commit "ckpt":"w1"`, `w 1 final`,
		`c 1 output_commit "sink":"s","id":"x"`, `v 1 start`, `v 1 output "sink":"s","id":"x"`, `v 1 final`}
	committed := append(append([]string(nil), ended...), `c 1 round_commit "round":1,"line":{"w":"w1"}`)
	const limit = 20
	for _, c := range []struct {
		name        string
		events      []string
		end, healed time.Duration
		want        checkers.Validity
	}{
		{"a file that ends before the round was committed", ended, 0, 0, checkers.Unknown},
		{"a file that ends after it", committed, 0, 0, checkers.Invalid},
		{"a run that ends before the round was committed", ended, 20, 0, checkers.Unknown},
		{"a run that ends soon after it", committed, 20, 0, checkers.Unknown},
		{"a run that goes on without a commit", ended, 40, 0, checkers.Invalid},
		{"a run that goes on after it", committed, 40, 0, checkers.Invalid},
		{"a run that goes on under faults", committed, 40, 30, checkers.Unknown},
	} {
		if v := judged(t, Options{RecoveryMax: limit}, "exactly-once", c.end, c.healed, c.events...); v.Verdict != c.want {
			t.Errorf("%s: %s: %s; expected %s", c.name, v.Verdict, v.Reason, c.want)
		}
	}
}

// Recoveries that are each cut short by the next are a service that hangs, if
// nothing else can have cut them short.
func TestRecoveriesWithoutEndAreToldFromFaultsWithoutEnd(t *testing.T) {
	begun := []string{`c 1 start`, `w 1 start`, `x 1 start`, `w 1 send "msg":"m","peer":"x"`, `w 1 crash`, `c 1 recovery "epoch":1,"line":{"w":""}`}
	crashes := append(append([]string(nil), begun...), `w 2 start`, `w 2 crash`, `c 1 recovery "epoch":2,"line":{"w":""}`,
		`w 3 start`, `w 3 crash`, `c 1 recovery "epoch":3,"line":{"w":""}`)
	alone := append(append([]string(nil), begun...), `c 1 work "units":1`, `c 1 work "units":1`, `c 1 recovery "epoch":2,"line":{"w":""}`,
		`c 1 work "units":1`, `c 1 work "units":1`, `c 1 recovery "epoch":3,"line":{"w":""}`)
	for _, c := range []struct {
		name        string
		events      []string
		limit       time.Duration
		end, healed time.Duration
		want        checkers.Validity
	}{
		{"somebody crashes again and again, and it is not known why", crashes, 5, 0, 0, checkers.Unknown},
		{"nobody crashes in between", alone, 5, 0, 0, checkers.Invalid},
		{"nobody crashes in between, for a shorter time", alone, 20, 0, 0, checkers.Unknown},
		{"all faults have been healed", crashes, 5, 12, 3, checkers.Invalid},
		{"faults were healed a moment ago", crashes, 5, 12, 10, checkers.Unknown},
	} {
		if v := judged(t, Options{RecoveryMax: c.limit}, "terminates", c.end, c.healed, c.events...); v.Verdict != c.want {
			t.Errorf("%s: %s: %s; expected %s", c.name, v.Verdict, v.Reason, c.want)
		}
	}
}

func TestAnOutputOfAJobThatFailedIsNotMissing(t *testing.T) {
	ended := []string{`w 1 start`, `w 1 output "sink":"s","id":"o"`, `w 1 final`, `w 1 output_commit "sink":"s","id":"x"`, `w 1 output "sink":"s","id":"x"`}
	if v := judged(t, Options{}, "exactly-once", 0, 0, ended...); v.Verdict != checkers.Invalid {
		t.Errorf("the job ended: %s: %s", v.Verdict, v.Reason)
	}
	if v := judged(t, Options{}, "exactly-once", 0, 0, append(ended, `w 1 failure "reason":"no disk"`)...); v.Verdict != checkers.Unknown {
		t.Errorf("the job failed: %s: %s", v.Verdict, v.Reason)
	}
}

// Names that stand for two things are the service's fault, which identity says;
// other models cannot judge such a record.
func TestNamesThatAreGivenTwiceAreViolations(t *testing.T) {
	events := []string{`a 1 start`, `b 1 start`, `a 1 ckpt_begin "ckpt":"k"`, `a 1 ckpt_begin "ckpt":"k"`, `a 1 send "msg":"m","peer":"b","digest":"x"`,
		`a 1 send "msg":"m","peer":"b","digest":"y"`}
	read, _, err := record.Read(strings.NewReader(lines(events...)), record.Limits{})
	var broken *record.Broken
	if !errors.As(err, &broken) {
		t.Fatal(err)
	}
	for _, o := range []Options{{}, {Read: true, Broken: broken}} {
		list, err := Checkers(o, "identity", "consistent-cut")
		if err != nil {
			t.Fatal(err)
		}
		e := &checkers.Evidence{Record: read}
		if v := list[0].Check(t.Context(), e); v.Verdict != checkers.Invalid || v.Witness.Class != "checkpoint-twice" || len(v.Witness.Lines) != 2 {
			t.Errorf("identity: %s: %s: %+v", v.Verdict, v.Reason, v.Witness)
		}
		if v := list[1].Check(t.Context(), e); v.Verdict != checkers.Unknown || !strings.Contains(v.Reason, "identity") {
			t.Errorf("consistent-cut: %s: %s", v.Verdict, v.Reason)
		}
	}
}
