package recovery

import (
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers"
)

// Two processes; p crashes, q survives it and is in no line. What q received
// of p before is in p's checkpoint, or in p's log and is sent again.
const survivor = `{"t":1,"proc":"p","inc":1,"kind":"start"}
{"t":1,"proc":"q","inc":1,"kind":"start"}
{"t":2,"proc":"p","inc":1,"kind":"send","msg":"m1","peer":"q"}
{"t":3,"proc":"q","inc":1,"kind":"recv","msg":"m1","peer":"p"}
{"t":4,"proc":"p","inc":1,"kind":"ckpt_begin","ckpt":"p1"}
{"t":5,"proc":"p","inc":1,"kind":"ckpt_commit","ckpt":"p1","level":"local"}
{"t":12,"proc":"p","inc":1,"kind":"crash"}
{"t":13,"proc":"c","inc":1,"kind":"start"}
{"t":14,"proc":"c","inc":1,"kind":"recovery","epoch":1,"line":{"p":"p1"},"failed":["p"]}
{"t":15,"proc":"p","inc":2,"kind":"restore","epoch":1,"ckpt":"p1","level":"local"}
{"t":16,"proc":"p","inc":2,"kind":"resume","epoch":1}
{"t":17,"proc":"p","inc":2,"kind":"send","epoch":1,"msg":"m2","peer":"q"}
{"t":18,"proc":"q","inc":1,"kind":"recv","epoch":1,"msg":"m2","peer":"p"}
{"t":19,"proc":"q","inc":1,"kind":"resume","epoch":1}
`

func edited(t *testing.T, text string, edits ...string) string {
	t.Helper()
	for i := 0; i < len(edits); i += 2 {
		if strings.Count(text, edits[i]) != 1 {
			t.Fatalf("%q does not occur once", edits[i])
		}
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	return text
}

func TestSurvivorsAreJudgedAsTheyWereWhenARecoveryWasDecided(t *testing.T) {
	// A second failure, whose recovery is over after q has received m2.
	late := edited(t, survivor, `"line":{"p":"p1"},"failed":["p"]`, `"line":{"p":"p1","r":""},"failed":["p","r"]`,
		`{"t":2,`, `{"t":1,"proc":"r","inc":1,"kind":"start"}`+"\n"+`{"t":2,`,
		`{"t":12,`, `{"t":12,"proc":"r","inc":1,"kind":"crash"}`+"\n"+`{"t":12,`) +
		`{"t":15,"proc":"r","inc":2,"kind":"restore","epoch":1}` + "\n" + `{"t":20,"proc":"r","inc":2,"kind":"resume","epoch":1}` + "\n"
	orphan := edited(t, late, `{"t":2,"proc":"p","inc":1,"kind":"send","msg":"m1","peer":"q"}`+"\n", "",
		`{"t":12,"proc":"p"`, `{"t":5,"proc":"p","inc":1,"kind":"send","msg":"m1","peer":"q"}`+"\n"+`{"t":12,"proc":"p"`,
		`{"t":3,"proc":"q","inc":1,"kind":"recv","msg":"m1","peer":"p"}`+"\n", "",
		`{"t":13,`, `{"t":6,"proc":"q","inc":1,"kind":"recv","msg":"m1","peer":"p"}`+"\n"+`{"t":13,`)
	for name, c := range map[string]struct {
		text string
		want checkers.Validity
	}{"received after the decision": {late, checkers.Valid}, "received before it": {orphan, checkers.Invalid}} {
		if v := verdicts(t, c.text, Options{}, "consistent-cut")[0]; v.Verdict != c.want {
			t.Errorf("%s: %s: %s", name, v.Verdict, v.Reason)
		}
	}
}

// p's replay goes on while another recovery, that of r, is over already.
func TestAStateIsJudgedWhenTheReplaysUnderWayAreOver(t *testing.T) {
	replayed := edited(t, survivor, `{"t":2,`, `{"t":1,"proc":"r","inc":1,"kind":"start"}`+"\n"+`{"t":2,`,
		`{"t":12,`, `{"t":6,"proc":"p","inc":1,"kind":"send","msg":"m2","peer":"q"}`+"\n"+`{"t":7,"proc":"q","inc":1,"kind":"recv","msg":"m2","peer":"p"}`+"\n"+`{"t":12,`,
		`{"t":16,"proc":"p","inc":2,"kind":"resume","epoch":1}`+"\n", "",
		`{"t":17,"proc":"p","inc":2,"kind":"send","epoch":1,"msg":"m2","peer":"q"}`+"\n", `{"t":16,"proc":"r","inc":1,"kind":"crash"}
{"t":17,"proc":"c","inc":1,"kind":"recovery","epoch":2,"line":{"r":""},"failed":["r"]}
{"t":18,"proc":"r","inc":2,"kind":"restore","epoch":2}
{"t":19,"proc":"r","inc":2,"kind":"replay_end","epoch":2}
{"t":20,"proc":"p","inc":2,"kind":"send","epoch":2,"msg":"m2","peer":"q"}
{"t":21,"proc":"p","inc":2,"kind":"replay_end","epoch":2}
`, `{"t":18,"proc":"q","inc":1,"kind":"recv","epoch":1,"msg":"m2","peer":"p"}`+"\n", "",
		`{"t":19,"proc":"q","inc":1,"kind":"resume","epoch":1}`+"\n", `{"t":22,"proc":"q","inc":1,"kind":"work","epoch":2,"units":1}`+"\n")
	forgotten := edited(t, replayed, `{"t":20,"proc":"p","inc":2,"kind":"send","epoch":2,"msg":"m2","peer":"q"}`+"\n", "")
	for name, c := range map[string]struct {
		text string
		want checkers.Validity
	}{"sent again": {replayed, checkers.Valid}, "not sent again": {forgotten, checkers.Invalid}} {
		if v := verdicts(t, c.text, Options{}, "consistent-cut")[0]; v.Verdict != c.want {
			t.Errorf("%s: %s: %s", name, v.Verdict, v.Reason)
		}
	}
	// The recovery of p was cut short before a replay of its own had ended; it
	// had to set back p alone all the same.
	if v := verdicts(t, replayed, Options{}, "recovery-line")[0]; v.Verdict != checkers.Valid {
		t.Errorf("recovery-line: %s", v.Reason)
	}
	dragged := edited(t, replayed, `"line":{"p":"p1"},"failed":["p"]`, `"line":{"p":"p1","q":""},"failed":["p"]`)
	if v := verdicts(t, dragged, Options{}, "recovery-line")[0]; v.Verdict != checkers.Invalid {
		t.Errorf("a survivor was set back: %s: %s", v.Verdict, v.Reason)
	}
}
