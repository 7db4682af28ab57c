package recovery

import (
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

// working is a computation of a and b of which only b has ended.
const working = `{"t":0,"proc":"a","inc":1,"kind":"start"}
{"t":0,"proc":"b","inc":1,"kind":"start"}
{"t":1000000000,"proc":"a","inc":1,"kind":"send","msg":"a>b#1","peer":"b"}
{"t":1000000000,"proc":"b","inc":1,"kind":"recv","msg":"a>b#1","peer":"a"}
{"t":2000000000,"proc":"a","inc":1,"kind":"work","units":1}
{"t":2000000000,"proc":"b","inc":1,"kind":"work","units":1}
{"t":3000000000,"proc":"b","inc":1,"kind":"final"}
`

func TestAComputationThatIsStalledIsToldFromOneThatHasEndedOrGoesOn(t *testing.T) {
	const (
		late   = `{"t":40000000000,"proc":"c","inc":1,"kind":"start"}` + "\n"
		end    = `{"t":3000000000,"proc":"a","inc":1,"kind":"final"}` + "\n"
		crash  = `{"t":4000000000,"proc":"b","inc":1,"kind":"crash"}` + "\n"
		works  = `{"t":39000000000,"proc":"a","inc":1,"kind":"work","units":1}` + "\n"
		failed = `{"t":39000000000,"proc":"a","inc":1,"kind":"failure","reason":"no disk"}` + "\n"
	)
	for _, c := range []struct {
		name, record string
		o            Options
		want         checkers.Validity
	}{
		{"nothing happens for longer than a recovery may take", working + late, Options{}, checkers.Invalid},
		{"the evidence ends before that", working, Options{}, checkers.Unknown},
		{"less is allowed", working + `{"t":13000000000,"proc":"c","inc":1,"kind":"start"}` + "\n", Options{RecoveryMax: 10 * time.Second}, checkers.Invalid},
		{"all have ended", working + end + late, Options{}, checkers.Valid},
		{"one that had ended has crashed", working + end + crash + late, Options{}, checkers.Invalid},
		{"there was work a moment ago", working + works + late, Options{}, checkers.Unknown},
		{"a failure was told", working + failed + late, Options{}, checkers.Valid},
		{"nobody tells that it has ended", strings.Replace(working, `"kind":"final"`, `"kind":"work","units":1`, 1) + late, Options{}, checkers.Unknown},
		{"nobody has ended, and all would tell", strings.Replace(working, `"kind":"final"`, `"kind":"work","units":1`, 1) + late, Options{TellsEnd: true}, checkers.Invalid},
		{"nobody tells of work", strings.ReplaceAll(working, `"kind":"work","units":1`, `"kind":"nondet","id":"x"`) + late, Options{}, checkers.Unknown},
	} {
		v := verdicts(t, c.record, c.o, "progress")[0]
		if v.Verdict != c.want {
			t.Errorf("%s: %s (%s), want %s", c.name, v.Verdict, v.Reason, c.want)
		}
		if v.Verdict == checkers.Invalid && v.Witness.Class != "stalled" {
			t.Errorf("%s: class %q", c.name, v.Witness.Class)
		}
	}
}

func TestEvidenceGoesOnWhileARunDoes(t *testing.T) {
	events, _, err := record.Read(strings.NewReader(working), record.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	list, err := Checkers(Options{}, "progress")
	if err != nil {
		t.Fatal(err)
	}
	e := &checkers.Evidence{Record: events, Phases: []checkers.Phase{{Name: "final", End: 40 * time.Second}}}
	if v := list[0].Check(t.Context(), e); v.Verdict != checkers.Invalid {
		t.Errorf("a run of 40 s with a record of 3 s: %s (%s)", v.Verdict, v.Reason)
	}
}
