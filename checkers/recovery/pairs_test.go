package recovery

import (
	"os"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

func text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func verdicts(t *testing.T, text string, o Options, names ...string) []checkers.Verdict {
	t.Helper()
	events, _, err := record.Read(strings.NewReader(text), record.Limits{})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	list, err := Checkers(o, names...)
	if err != nil {
		t.Fatal(err)
	}
	return checkers.Check(t.Context(), &checkers.Evidence{Record: events}, list, checkers.Options{})
}

func TestEveryModelAcceptsACorrectRun(t *testing.T) {
	for _, v := range verdicts(t, text(t, "rounds"), Options{}, "all") {
		if v.Verdict != checkers.Valid {
			t.Errorf("%s: %s: %s", v.Checker, v.Verdict, v.Reason)
		}
	}
	for _, v := range verdicts(t, text(t, "independent"), Options{}, "consistent-cut", "recovery-line", "domino", "no-domino", "no-useless-checkpoints", "restorable", "terminates", "fencing", "channel-state") {
		if v.Verdict != checkers.Valid {
			t.Errorf("%s: %s: %s", v.Checker, v.Verdict, v.Reason)
		}
	}
}

func TestAnOutputThatIsToldAgainInItsTransactionIsVisibleOnce(t *testing.T) {
	again := `{"t":47,"proc":"c","inc":1,"kind":"output_commit","epoch":1,"sink":"out","id":"o2","txn":"t2"}` + "\n"
	base := strings.Replace(text(t, "rounds"), `"id":"o2","digest":"x2","round":2}`, `"id":"o2","txn":"t2","round":2}`, 1)
	if v := verdicts(t, base+again, Options{}, "exactly-once")[0]; v.Verdict != checkers.Valid {
		t.Error(v.Reason)
	}
	if v := verdicts(t, base+strings.Replace(again, "t2", "t3", 1), Options{}, "exactly-once")[0]; v.Verdict != checkers.Invalid {
		t.Error(v.Reason)
	}
}

func TestEveryModelIsDocumented(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		if !strings.Contains(string(readme), "| `"+name+"` |") {
			t.Errorf("README.md has no row for the model %s", name)
		}
	}
}

func TestWithoutItsEventsNoModelSaysValid(t *testing.T) {
	bare := `{"t":1,"proc":"a","inc":1,"kind":"start"}` + "\n"
	for _, v := range verdicts(t, bare, Options{}, "all") {
		if v.Verdict != checkers.Unknown && v.Verdict != checkers.NotApplicable || v.Reason == "" {
			t.Errorf("%s: %s: %s", v.Checker, v.Verdict, v.Reason)
		}
	}
	list, _ := Checkers(Options{}, "all")
	for _, v := range checkers.Check(t.Context(), &checkers.Evidence{}, list, checkers.Options{}) {
		if v.Verdict != checkers.Unknown {
			t.Errorf("%s of nothing: %s", v.Checker, v.Verdict)
		}
	}
}

// Each row breaks an accepted record in one place. The old text occurs once;
// an empty one appends the new lines.
func TestEveryModelRejectsItsViolation(t *testing.T) {
	for _, c := range []struct {
		file, model, class string
		edits              []string
	}{
		{"rounds", "consistent-cut", "orphan", []string{`{"t":14,"proc":"a","inc":1,"kind":"recv","msg":"b>a#1","peer":"b"}` + "\n", ``,
			`{"t":10,"proc":"a","inc":1,"kind":"stop","round":1}`, `{"t":10,"proc":"a","inc":1,"kind":"recv","msg":"b>a#1","peer":"b"}`,
			`{"t":8,"proc":"b","inc":1,"kind":"send","msg":"b>a#1","peer":"a","value":5}` + "\n", ``,
			`"digest":"B1","value":105}`, `"digest":"B1","value":105}` + "\n" + `{"t":13,"proc":"b","inc":1,"kind":"send","msg":"b>a#1","peer":"a","value":5}`}},
		{"independent", "consistent-cut", "orphan", []string{`"line":{"p":"p1","q":"q1"}`, `"line":{"p":"p1","q":"q2"}`, `"inc":2,"kind":"restore","epoch":1,"ckpt":"q1"`, `"inc":2,"kind":"restore","epoch":1,"ckpt":"q2"`,
			`{"t":19,"proc":"q","inc":2,"kind":"recv","epoch":1,"msg":"m2","peer":"p"}` + "\n", ``}},
		{"rounds", "channel-state", "lost", []string{`"level":"local","channel":["b>a#1"]`, `"level":"local"`, `"level":"store","channel":["b>a#1"]`, `"level":"store"`,
			`{"t":17,"proc":"b","inc":1,"kind":"ckpt_commit","ckpt":"b1","level":"local","bytes":10}`, `{"t":17,"proc":"b","inc":1,"kind":"ckpt_commit","ckpt":"b1","level":"local","channel":["a>b#1"]}`,
			`{"t":6,"proc":"b","inc":1,"kind":"recv","msg":"a>b#1","peer":"a"}` + "\n", ``}},
		{"rounds", "channel-state", "duplicate", []string{`"ckpt":"b1","level":"local","bytes":10`, `"ckpt":"b1","level":"local","channel":["a>b#1"]`}},
		{"rounds", "channel-state", "lost", []string{`{"t":30,"proc":"a","inc":3,"kind":"recv","epoch":1,"msg":"b>a#1","peer":"b"}` + "\n", ``,
			`{"t":35,`, `{"t":34,"proc":"b","inc":2,"kind":"send","epoch":1,"msg":"b>a#2","peer":"a","index":1}` + "\n" + `{"t":35,`,
			`{"t":37,`, `{"t":36,"proc":"a","inc":3,"kind":"recv","epoch":1,"msg":"b>a#2","peer":"b"}` + "\n" + `{"t":37,`, `,"index":2,"value":94`, `,"index":2,"value":94`, `,"level":"local","bytes":12}` + "\n" + `{"t":40`, `,"level":"local","bytes":12,"channel":["b>a#1"]}` + "\n" + `{"t":40`}},
		{"independent", "channel-state", "lost", []string{`{"t":18,"proc":"p","inc":2,"kind":"send","epoch":1,"msg":"m2","peer":"q"}`, `{"t":18,"proc":"p","inc":2,"kind":"send","epoch":1,"msg":"m2","peer":"q"}` + "\n" + `{"t":18,"proc":"p","inc":2,"kind":"send","epoch":1,"msg":"m3","peer":"q"}`,
			`"recv","epoch":1,"msg":"m2"`, `"recv","epoch":1,"msg":"m3"`}},
		{"independent", "channel-state", "duplicate", []string{"", `{"t":20,"proc":"q","inc":2,"kind":"recv","epoch":1,"msg":"m2","peer":"p"}` + "\n"}},
		{"rounds", "atomic-rounds", "partial", []string{`{"t":17,"proc":"b","inc":1,"kind":"ckpt_commit","ckpt":"b1","level":"local","bytes":10}` + "\n", ``,
			`{"t":19,`, `{"t":19,"proc":"b","inc":1,"kind":"ckpt_commit","ckpt":"b1","level":"local","bytes":10}` + "\n" + `{"t":19,`}},
		{"rounds", "atomic-rounds", "uncommitted", []string{`{"t":18,"proc":"c","inc":1,"kind":"round_commit","round":1,"line":{"a":"a1","b":"b1"}}` + "\n", ``}},
		{"rounds", "atomic-rounds", "aborted", []string{`{"t":20,"proc":"a"`, `{"t":19,"proc":"c","inc":1,"kind":"round_abort","round":1}` + "\n" + `{"t":20,"proc":"a"`}},
		{"rounds", "atomic-rounds", "mix", []string{`"epoch":1,"round":1,"line":{"a":"a1","b":"b1"}`, `"epoch":1,"round":1,"line":{"a":"a1","b":""}`}},
		{"rounds", "recovery-line", "older", []string{`{"t":43,"proc":"a","inc":3,"kind":"ckpt_delete","epoch":1,"ckpt":"a1"}` + "\n", ``, ``, `{"t":47,"proc":"a","inc":3,"kind":"crash"}` + "\n" + `{"t":48,"proc":"c","inc":1,"kind":"recovery","epoch":2,"round":1,"line":{"a":"a1","b":"b1"},"failed":["a"]}` + "\n"}},
		{"independent", "recovery-line", "too-late", []string{`"line":{"p":"p1","q":"q1"}`, `"line":{"p":"p1","q":"q2"}`, `"inc":2,"kind":"restore","epoch":1,"ckpt":"q1"`, `"inc":2,"kind":"restore","epoch":1,"ckpt":"q2"`}},
		{"independent", "recovery-line", "older", []string{`"line":{"p":"p1","q":"q1"}`, `"line":{"p":"","q":""}`}},
		{"independent", "no-useless-checkpoints", "z-cycle", zCycle},
		{"independent", "no-domino", "domino", zCycle},
		{"rounds", "restorable", "corrupt", []string{`"digest":"A1","value":90,"offsets":{"in":1}}` + "\n" + `{"t":27`, `"digest":"A2","value":90,"offsets":{"in":1}}` + "\n" + `{"t":27`}},
		{"rounds", "restorable", "not-there", []string{`{"t":26,`, `{"t":25,"proc":"a","inc":2,"kind":"ckpt_bad","ckpt":"a1","level":"local","reason":"corrupt"}` + "\n" + `{"t":26,`}},
		{"rounds", "restorable", "level-order", []string{`"ckpt":"a1","round":1,"level":"local"`, `"ckpt":"a1","round":1,"level":"store"`}},
		{"rounds", "restorable", "uncommitted", []string{`{"t":17,"proc":"b","inc":1,"kind":"ckpt_commit","ckpt":"b1","level":"local","bytes":10}` + "\n", ``}},
		{"rounds", "restorable", "offset", []string{`"value":90,"offsets":{"in":1}}` + "\n" + `{"t":27`, `"value":90,"offsets":{"in":2}}` + "\n" + `{"t":27`}},
		{"rounds", "restorable", "vanished", []string{`{"t":28,"proc":"a"`, `{"t":28,"proc":"b","inc":2,"kind":"ckpt_bad","ckpt":"b1","level":"local","reason":"missing"}` + "\n" + `{"t":28,"proc":"a"`}},
		{"rounds", "gc-safety", "nothing-left", []string{`{"t":36,`, `{"t":35,"proc":"a","inc":3,"kind":"ckpt_delete","epoch":1,"ckpt":"a1"}` + "\n" + `{"t":36,`, `{"t":43,"proc":"a","inc":3,"kind":"ckpt_delete","epoch":1,"ckpt":"a1"}` + "\n", ``}},
		{"rounds", "gc-safety", "log", []string{`"msg":"a>b#1"}` + "\n" + `{"t":45`, `"msg":"b>a#1"}` + "\n" + `{"t":45`, `{"t":30,"proc":"a","inc":3,"kind":"recv","epoch":1,"msg":"b>a#1","peer":"b"}` + "\n", ``}},
		{"independent", "gc-safety", "base", []string{`{"t":12,`, `{"t":11,"proc":"q","inc":1,"kind":"ckpt_delete","ckpt":"q1"}` + "\n" + `{"t":12,`}},
		{"independent", "gc-safety", "needed", []string{`,"base":"q1"}`, `}`, `{"t":12,`, `{"t":11,"proc":"q","inc":1,"kind":"ckpt_delete","ckpt":"q1"}` + "\n" + `{"t":12,`}},
		{"rounds", "replay", "diverged", []string{`"digest":"d2","index":1}` + "\n" + `{"t":33`, `"digest":"d3","index":1}` + "\n" + `{"t":33`}},
		{"independent", "replay", "order", []string{`{"t":19,`, `{"t":19,"proc":"p","inc":2,"kind":"send","epoch":1,"msg":"m9","peer":"q"}` + "\n" + `{"t":20,"proc":"p","inc":2,"kind":"replay_end","epoch":1}` + "\n" + `{"t":21,`, `{"t":18,"proc":"p","inc":2,"kind":"send","epoch":1,"msg":"m2","peer":"q"}` + "\n", ``}},
		{"rounds", "no-orphans", "unstable", []string{`{"t":4,"proc":"a","inc":1,"kind":"log_stable","id":"n1"}` + "\n", ``, `{"t":7,`, `{"t":7,"proc":"a","inc":1,"kind":"log_stable","id":"n1"}` + "\n" + `{"t":7,`}},
		{"rounds", "output-commit", "too-early", []string{`{"t":19,"proc":"c","inc":1,"kind":"output_commit","sink":"out","id":"o1","digest":"x1","round":1}` + "\n", ``, `{"t":18,`, `{"t":17,"proc":"c","inc":1,"kind":"output_commit","sink":"out","id":"o1","digest":"x1","round":1}` + "\n" + `{"t":18,`}},
		{"rounds", "output-commit", "phantom", []string{`{"t":24,"proc":"a","inc":2,"kind":"start"}`, `{"t":22,"proc":"b","inc":1,"kind":"output","sink":"out","id":"o9"}` + "\n" + `{"t":24,"proc":"c","inc":1,"kind":"output_commit","sink":"out","id":"o9"}` + "\n" + `{"t":24,"proc":"a","inc":2,"kind":"start"}`}},
		{"rounds", "output-commit", "different", []string{`"id":"o2","digest":"x2"}`, `"id":"o2","digest":"x3"}`}},
		{"rounds", "exactly-once", "duplicate", []string{``, `{"t":47,"proc":"c","inc":1,"kind":"output_commit","epoch":1,"sink":"out","id":"o2","digest":"x2","round":2}` + "\n"}},
		{"rounds", "exactly-once", "missing", []string{`{"t":42,"proc":"c","inc":1,"kind":"output_commit","epoch":1,"sink":"out","id":"o2","digest":"x2","round":2}` + "\n", ``}},
		{"rounds", "at-least-once", "missing", []string{`{"t":42,"proc":"c","inc":1,"kind":"output_commit","epoch":1,"sink":"out","id":"o2","digest":"x2","round":2}` + "\n", ``}},
		{"rounds", "exactly-once", "input-twice", []string{`"epoch":1,"source":"in","offset":1`, `"epoch":1,"source":"in"`}},
		{"rounds", "at-least-once", "input-skipped", []string{`"epoch":1,"source":"in","offset":1`, `"epoch":1,"source":"in","offset":2`}},
		{"rounds", "fencing", "undone-message", []string{`{"t":32,"proc":"a","inc":3,"kind":"send","epoch":1,"msg":"a>b#2","peer":"b","value":1,"digest":"d2","index":1}` + "\n", ``}},
		{"rounds", "fencing", "old-epoch", []string{`{"t":41,`, `{"t":39,"proc":"d","inc":1,"kind":"start"}` + "\n" + `{"t":40,"proc":"d","inc":1,"kind":"recovery","epoch":2,"line":{"a":"a1"}}` + "\n" + `{"t":41,`}},
		{"rounds", "recovery-line", "older", []string{`"epoch":1,"round":1,"line":{"a":"a1","b":"b1"}`, `"epoch":1,"line":{"a":"","b":""}`}},
		{"rounds", "fencing", "epoch-back", []string{`{"t":33,"proc":"a","inc":3,"kind":"work","epoch":1`, `{"t":33,"proc":"a","inc":3,"kind":"work","epoch":2`}},
		{"rounds", "fencing", "zombie", []string{`{"t":42,"proc":"c","inc":1`, `{"t":42,"proc":"b","inc":1`}},
		{"rounds", "conservation", "conservation", []string{`"index":2,"value":106`, `"index":2,"value":107`}},
		{"rounds", "conservation", "conservation", []string{`"final","epoch":1,"value":106`, `"final","epoch":1,"value":105`}},
		{"rounds", "index", "index", []string{`"ckpt":"b1","round":1,"index":1`, `"ckpt":"b1","round":1`}},
		{"rounds", "index", "index-back", []string{`"ckpt":"b2","round":2,"index":2`, `"ckpt":"b2","round":2`}},
		{"rounds", "index", "index-sent", []string{`"digest":"d2","index":1}` + "\n" + `{"t":33`, `"digest":"d2","index":2}` + "\n" + `{"t":33`}},
		{"rounds", "terminates", "hung", []string{`{"t":29,"proc":"b","inc":2,"kind":"resume","epoch":1}` + "\n", ``}},
	} {
		changed := text(t, c.file)
		for i := 0; i < len(c.edits); i += 2 {
			if old := c.edits[i]; old == "" {
				changed += c.edits[i+1]
			} else if strings.Count(changed, old) != 1 {
				t.Fatalf("%s/%s: %q occurs %d times", c.model, c.class, old, strings.Count(changed, old))
			} else {
				changed = strings.Replace(changed, old, c.edits[i+1], 1)
			}
		}
		v := verdicts(t, changed, Options{RecoveryMax: 10}, c.model)[0]
		if v.Verdict != checkers.Invalid || v.Witness.Class != c.class || len(v.Witness.Lines) == 0 || v.Witness.To < v.Witness.From {
			t.Errorf("%s %s: %s: %s %+v; expected invalid, class %s", c.file, c.model, v.Verdict, v.Reason, v.Witness, c.class)
		}
	}
}

// zCycle takes p's checkpoint away, so that q's first lies on a cycle of m9 and
// m1, and the failure of p takes q back behind it.
var zCycle = []string{
	`{"t":10,`, `{"t":9,"proc":"q","inc":1,"kind":"send","msg":"m9","peer":"p"}` + "\n" + `{"t":10,"proc":"p","inc":1,"kind":"recv","msg":"m9","peer":"q"}` + "\n" + `{"t":10,`,
	`{"t":3,"proc":"p","inc":1,"kind":"ckpt_begin","ckpt":"p1","digest":"P1"}` + "\n", ``,
	`{"t":4,"proc":"p","inc":1,"kind":"ckpt_commit","ckpt":"p1","level":"local"}` + "\n", ``,
	`"line":{"p":"p1","q":"q1"}`, `"line":{"p":"","q":""}`,
	`,"ckpt":"p1","level":"local","digest":"P1"}`, `}`,
	`"epoch":1,"ckpt":"q1","level":"local"}`, `"epoch":1}`,
}
