package recovery

import (
	"testing"

	"github.com/cleancut/cleancut/checkers"
)

// p's newest checkpoint is found damaged when it is to be restored, before r,
// which failed as well, is restored; the next recovery takes the one before.
const damagedRun = `{"t":1,"proc":"p","inc":1,"kind":"start"}
{"t":1,"proc":"r","inc":1,"kind":"start"}
{"t":2,"proc":"p","inc":1,"kind":"ckpt_begin","ckpt":"p1"}
{"t":3,"proc":"p","inc":1,"kind":"ckpt_commit","ckpt":"p1","level":"local"}
{"t":4,"proc":"p","inc":1,"kind":"work","units":1}
{"t":5,"proc":"p","inc":1,"kind":"ckpt_begin","ckpt":"p2"}
{"t":6,"proc":"p","inc":1,"kind":"ckpt_commit","ckpt":"p2","level":"local"}
{"t":8,"proc":"p","inc":1,"kind":"crash"}
{"t":8,"proc":"r","inc":1,"kind":"crash"}
{"t":9,"proc":"p","inc":2,"kind":"start"}
{"t":9,"proc":"c","inc":1,"kind":"start"}
{"t":10,"proc":"c","inc":1,"kind":"recovery","epoch":1,"line":{"p":"p2","r":""},"failed":["p","r"]}
{"t":11,"proc":"p","inc":2,"kind":"ckpt_bad","ckpt":"p2","level":"local","reason":"corrupt"}
{"t":12,"proc":"r","inc":2,"kind":"restore","epoch":1}
{"t":13,"proc":"c","inc":1,"kind":"recovery","epoch":2,"line":{"p":"p1"},"failed":["p"]}
{"t":14,"proc":"p","inc":3,"kind":"restore","epoch":2,"ckpt":"p1","level":"local"}
`

const found = `{"t":11,"proc":"p","inc":2,"kind":"ckpt_bad","ckpt":"p2","level":"local","reason":"corrupt"}` + "\n"

func TestDamageThatShowsAtARestoreIsNoFaultOfTheDecision(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want checkers.Validity
	}{
		"found after the decision": {damagedRun, checkers.Valid},
		"found before it": {edited(t, damagedRun, found, "",
			`{"t":10,`, `{"t":9,"proc":"p","inc":2,"kind":"ckpt_bad","ckpt":"p2","level":"local","reason":"corrupt"}`+"\n"+`{"t":10,`), checkers.Invalid},
		"taken once more": {edited(t, damagedRun, `"line":{"p":"p1"}`, `"line":{"p":"p2"}`,
			`{"t":14,"proc":"p","inc":3,"kind":"restore","epoch":2,"ckpt":"p1","level":"local"}`, `{"t":14,"proc":"p","inc":3,"kind":"restore","epoch":2,"ckpt":"p2","level":"local"}`), checkers.Invalid},
	} {
		if v := verdicts(t, c.text, Options{}, "recovery-line")[0]; v.Verdict != c.want {
			t.Errorf("%s: %s: %s", name, v.Verdict, v.Reason)
		}
	}
}

func TestWhatWasDeletedBesideAnIntactOneIsNotMissedWhenThatIsDamaged(t *testing.T) {
	const gone = `"proc":"p","inc":%,"kind":"ckpt_delete","ckpt":"p1"}` + "\n"
	again := edited(t, damagedRun, `"line":{"p":"p1"}`, `"line":{"p":""}`,
		`{"t":14,"proc":"p","inc":3,"kind":"restore","epoch":2,"ckpt":"p1","level":"local"}`, `{"t":14,"proc":"p","inc":3,"kind":"restore","epoch":2}`)
	deleted := func(before, inc, at string) string {
		return edited(t, again, before, `{"t":`+at+`,`+edited(t, gone, "%", inc)+before)
	}
	for name, c := range map[string]struct {
		text string
		want checkers.Validity
	}{
		"deleted before the damage was found": {deleted(`{"t":8,"proc":"p"`, "1", "7"), checkers.Valid},
		"deleted when it was known":           {deleted(`{"t":12,`, "2", "11"), checkers.Invalid},
	} {
		if v := verdicts(t, c.text, Options{}, "gc-safety")[0]; v.Verdict != c.want {
			t.Errorf("%s: %s: %s", name, v.Verdict, v.Reason)
		}
	}
}

// With q1, p1 is in a consistent line; q1 is found damaged, and p1 becomes
// useless. Without q1 ever, it was so from the beginning.
const lossMakesUseless = `{"t":1,"proc":"p","inc":1,"kind":"start"}
{"t":1,"proc":"q","inc":1,"kind":"start"}
{"t":2,"proc":"q","inc":1,"kind":"send","msg":"m1","peer":"p"}
{"t":3,"proc":"p","inc":1,"kind":"recv","msg":"m1","peer":"q"}
{"t":4,"proc":"p","inc":1,"kind":"ckpt_begin","ckpt":"p1"}
{"t":5,"proc":"p","inc":1,"kind":"ckpt_commit","ckpt":"p1","level":"local"}
{"t":6,"proc":"q","inc":1,"kind":"ckpt_begin","ckpt":"q1"}
{"t":7,"proc":"q","inc":1,"kind":"ckpt_commit","ckpt":"q1","level":"local"}
{"t":8,"proc":"p","inc":1,"kind":"send","msg":"m2","peer":"q"}
{"t":9,"proc":"q","inc":1,"kind":"recv","msg":"m2","peer":"p"}
{"t":10,"proc":"q","inc":1,"kind":"crash"}
{"t":11,"proc":"q","inc":2,"kind":"start"}
{"t":12,"proc":"q","inc":2,"kind":"ckpt_bad","ckpt":"q1","level":"local","reason":"corrupt"}
{"t":13,"proc":"q","inc":2,"kind":"recovery","epoch":1,"line":{"p":"","q":""},"failed":["q"]}
{"t":14,"proc":"q","inc":3,"kind":"restore","epoch":1}
{"t":15,"proc":"p","inc":2,"kind":"restore","epoch":1}
`

func TestWhatBecameUselessByDamageIsNoDominoEffect(t *testing.T) {
	never := edited(t, lossMakesUseless, `{"t":6,"proc":"q","inc":1,"kind":"ckpt_begin","ckpt":"q1"}`+"\n", "",
		`{"t":7,"proc":"q","inc":1,"kind":"ckpt_commit","ckpt":"q1","level":"local"}`+"\n", "",
		`{"t":12,"proc":"q","inc":2,"kind":"ckpt_bad","ckpt":"q1","level":"local","reason":"corrupt"}`+"\n", "")
	for name, c := range map[string]struct {
		text string
		want checkers.Validity
	}{"damaged": {lossMakesUseless, checkers.Valid}, "never taken": {never, checkers.Invalid}} {
		if v := verdicts(t, c.text, Options{}, "no-domino")[0]; v.Verdict != c.want {
			t.Errorf("%s: %s: %s", name, v.Verdict, v.Reason)
		}
	}
}
