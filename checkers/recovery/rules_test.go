package recovery

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers"
)

// lines writes a record: one event a line, "proc inc kind" and further fields
// of JSON; each a moment after the one before.
func lines(events ...string) string {
	var b strings.Builder
	for t, e := range events {
		f := strings.SplitN(e, " ", 4)
		fmt.Fprintf(&b, `{"t":%d,"proc":"%s","inc":%s,"kind":"%s"`, t+1, f[0], f[1], f[2])
		if len(f) > 3 {
			b.WriteString("," + f[3])
		}
		b.WriteString("}\n")
	}
	return b.String()
}

var rules = []struct {
	rule, model, class string
	accepted           []string
	old, new           string // of the lines, joined; the least change that is rejected
}{
	{
		"a level that was unreadable may answer after a restart", "restorable", "not-there",
		[]string{
			`a 1 start`, `a 1 ckpt_begin "ckpt":"k"`, `a 1 ckpt_commit "ckpt":"k","level":"local"`, `a 1 crash`, `a 2 start`,
			`a 2 ckpt_bad "ckpt":"k","level":"local","reason":"unreadable"`, `a 2 crash`, `a 3 start`, `a 4 restore "ckpt":"k","level":"local"`,
		},
		`"unreadable"`, `"corrupt"`,
	},
	{
		"a level that was unreadable may answer when it is tried again", "restorable", "not-there",
		[]string{
			`a 1 start`, `a 1 ckpt_begin "ckpt":"k"`, `a 1 ckpt_commit "ckpt":"k","level":"partner"`, `b 1 start`,
			`a 1 ckpt_bad "ckpt":"k","level":"partner","reason":"unreadable"`, `a 2 restore "ckpt":"k","level":"partner"`,
		},
		`"unreadable"`, `"missing"`,
	},
	{
		"a level that was unreadable may answer, and may be named by nobody", "restorable", "not-there",
		[]string{
			`a 1 start`, `a 1 ckpt_begin "ckpt":"k"`, `a 1 ckpt_commit "ckpt":"k","level":"store"`,
			`a 1 ckpt_bad "ckpt":"k","level":"store","reason":"unreadable"`, `a 2 restore "ckpt":"k"`,
		},
		`"unreadable"`, `"missing"`,
	},
	{
		"only the incarnation that could not read a level may pass it over", "restorable", "level-order",
		[]string{
			`a 1 start`, `a 1 ckpt_begin "ckpt":"k"`, `a 1 ckpt_commit "ckpt":"k","level":"local"`, `a 1 ckpt_commit "ckpt":"k","level":"store"`,
			`a 1 crash`, `a 2 start`, `a 2 ckpt_bad "ckpt":"k","level":"local","reason":"unreadable"`, `a 3 restore "ckpt":"k","level":"store"`,
		},
		"a 3 restore", "a 3 start\na 4 restore",
	},
	{
		"another level is right while the first is unreadable", "restorable", "level-order",
		[]string{
			`a 1 start`, `a 1 ckpt_begin "ckpt":"k"`, `a 1 ckpt_commit "ckpt":"k","level":"local"`, `a 1 ckpt_commit "ckpt":"k","level":"store"`,
			`a 1 crash`, `a 2 start`, `a 2 ckpt_bad "ckpt":"k","level":"local","reason":"unreadable"`, `a 3 restore "ckpt":"k","level":"store"`,
		},
		"a 2 ckpt_bad \"ckpt\":\"k\",\"level\":\"local\",\"reason\":\"unreadable\"\n", "",
	},
	{
		"between a recovery that is superseded and the next one there is no state", "consistent-cut", "orphan",
		[]string{
			`c 1 start`, `p 1 start`, `q 1 start`, `p 1 ckpt_begin "ckpt":"p1"`, `p 1 ckpt_commit "ckpt":"p1"`, `q 1 ckpt_begin "ckpt":"q1"`, `q 1 ckpt_commit "ckpt":"q1"`,
			`q 1 send "msg":"m","peer":"p"`,
			`c 1 recovery "epoch":1,"line":{"p":"p1","q":"q1"}`, `p 2 restore "epoch":1,"ckpt":"p1"`,
			`c 1 recovery "epoch":2,"line":{"p":"p1","q":"q1"}`, `p 3 restore "epoch":2,"ckpt":"p1"`, `p 3 recv "epoch":2,"msg":"m","peer":"q"`,
			`q 2 restore "epoch":1,"ckpt":"q1"`, `q 3 restore "epoch":2,"ckpt":"q1"`, `q 3 send "epoch":2,"msg":"m","peer":"p"`, `q 3 resume "epoch":2`,
		},
		`c 1 recovery "epoch":2,"line":{"p":"p1","q":"q1"}` + "\n" + `p 3 restore "epoch":2,"ckpt":"p1"` + "\n" + `p 3 recv "epoch":2,"msg":"m","peer":"q"` + "\n" + `q 2 restore "epoch":1,"ckpt":"q1"`,
		`p 2 recv "epoch":1,"msg":"m","peer":"q"` + "\n" + `q 2 restore "epoch":1,"ckpt":"q1"` + "\n" + `c 1 recovery "epoch":2,"line":{"p":"p1","q":"q1"}` + "\n" + `p 3 restore "epoch":2,"ckpt":"p1"`,
	},
	{
		"a recovery ends when a later one supersedes it", "terminates", "hung",
		[]string{
			`c 1 start`, `p 1 start`, `q 1 start`, `p 1 send "msg":"m","peer":"q"`, `p 1 crash`, `c 1 recovery "epoch":1,"line":{"p":"","q":""}`, `p 2 restore "epoch":1`,
			`c 1 recovery "epoch":2,"line":{"p":""}`, `p 3 restore "epoch":2`, `q 1 work "units":1`, `q 1 work "units":1`, `q 1 work "units":1`, `q 1 work "units":1`, `q 1 work "units":1`, `q 1 work "units":1`,
		},
		"c 1 recovery \"epoch\":2,\"line\":{\"p\":\"\"}\np 3 restore \"epoch\":2\n", "",
	},
	{
		"two coordinators tell of one visible transaction", "exactly-once", "duplicate",
		[]string{
			`c 1 start`, `d 1 start`, `p 1 start`, `p 1 output "sink":"s","id":"o"`, `c 1 output_commit "sink":"s","id":"o","txn":"t1"`,
			`d 1 output_commit "sink":"s","id":"o","txn":"t1"`, `p 1 final`,
		},
		"d 1 output_commit \"sink\":\"s\",\"id\":\"o\",\"txn\":\"t1\"", "d 1 output_commit \"sink\":\"s\",\"id\":\"o\",\"txn\":\"t2\"",
	},
	{
		"before the first committed round a recovery takes the beginning", "recovery-line", "older",
		[]string{
			`c 1 start`, `p 1 start`, `c 1 round_begin "round":1`, `p 1 ckpt_begin "ckpt":"p1","round":1`, `p 1 ckpt_commit "ckpt":"p1"`, `c 1 work "units":1`,
			`p 1 crash`, `c 1 recovery "epoch":1,"line":{"p":""},"failed":["p"]`, `p 2 restore "epoch":1`,
		},
		`c 1 work "units":1`, `c 1 round_commit "round":1,"line":{"p":"p1"}`,
	},
	{
		"damage of one level leaves a round that another has", "recovery-line", "unusable",
		[]string{
			`c 1 start`, `w 1 start`, `c 1 round_begin "round":1`, `w 1 ckpt_begin "ckpt":"w1","round":1`, `w 1 ckpt_commit "ckpt":"w1","level":"local"`, `w 1 ckpt_commit "ckpt":"w1","level":"store"`,
			`c 1 round_commit "round":1,"line":{"w":"w1"}`, `w 1 crash`, `w 2 start`, `w 2 ckpt_bad "ckpt":"w1","level":"local","reason":"torn"`,
			`c 1 recovery "epoch":1,"round":1,"line":{"w":"w1"}`,
		},
		`w 2 ckpt_bad "ckpt":"w1","level":"local","reason":"torn"`,
		`w 2 ckpt_bad "ckpt":"w1","level":"local","reason":"torn"` + "\n" + `w 2 ckpt_bad "ckpt":"w1","level":"store","reason":"missing"`,
	},
	{
		"damage that is told after a decision is for the next one", "recovery-line", "unusable",
		[]string{
			`c 1 start`, `w 1 start`, `c 1 round_begin "round":1`, `w 1 ckpt_begin "ckpt":"w1","round":1`, `w 1 ckpt_commit "ckpt":"w1","level":"local"`,
			`c 1 round_commit "round":1,"line":{"w":"w1"}`, `w 1 crash`, `w 2 start`, `c 1 recovery "epoch":1,"round":1,"line":{"w":"w1"}`,
			`w 2 ckpt_bad "ckpt":"w1","level":"local","reason":"torn"`, `c 1 recovery "epoch":2,"line":{"w":""}`,
		},
		`c 1 recovery "epoch":2,"line":{"w":""}`, `c 1 recovery "epoch":2,"round":1,"line":{"w":"w1"}`,
	},
	{
		"a round that could not be read may be taken", "recovery-line", "unusable",
		[]string{
			`c 1 start`, `w 1 start`, `c 1 round_begin "round":1`, `w 1 ckpt_begin "ckpt":"w1","round":1`, `w 1 ckpt_commit "ckpt":"w1","level":"store"`,
			`c 1 round_commit "round":1,"line":{"w":"w1"}`, `w 1 crash`, `w 2 start`, `w 2 ckpt_bad "ckpt":"w1","level":"store","reason":"unreadable"`,
			`c 1 recovery "epoch":1,"round":1,"line":{"w":"w1"}`,
		},
		`"unreadable"`, `"corrupt"`,
	},
	{
		"a round that could not be read may be passed over", "recovery-line", "older",
		[]string{
			`c 1 start`, `w 1 start`, `c 1 round_begin "round":1`, `w 1 ckpt_begin "ckpt":"w1","round":1`, `w 1 ckpt_commit "ckpt":"w1","level":"store"`,
			`c 1 round_commit "round":1,"line":{"w":"w1"}`, `w 1 crash`, `w 2 start`, `w 2 ckpt_bad "ckpt":"w1","level":"store","reason":"unreadable"`,
			`c 1 recovery "epoch":1,"line":{"w":""}`,
		},
		"w 2 ckpt_bad \"ckpt\":\"w1\",\"level\":\"store\",\"reason\":\"unreadable\"\n", "",
	},
	{
		"a checkpoint that could not be read may be in a line, or not", "recovery-line", "unusable",
		[]string{
			`c 1 start`, `w 1 start`, `w 1 ckpt_begin "ckpt":"w1"`, `w 1 ckpt_commit "ckpt":"w1","level":"store"`, `w 1 crash`, `w 2 start`,
			`w 2 ckpt_bad "ckpt":"w1","level":"store","reason":"unreadable"`, `c 1 recovery "epoch":1,"line":{"w":"w1"},"failed":["w"]`,
		},
		`"unreadable"`, `"missing"`,
	},
	{
		"a deposed coordinator tells late of what it had decided", "recovery-line", "older",
		[]string{
			`c 1 start`, `d 1 start`, `w 1 start`, `c 1 round_begin "round":1`, `w 1 ckpt_begin "ckpt":"w1","round":1`, `w 1 ckpt_commit "ckpt":"w1","level":"store"`,
			`c 1 round_commit "round":1,"line":{"w":"w1"}`, `w 1 crash`, `w 2 start`,
			`d 1 recovery "epoch":2,"round":1,"line":{"w":"w1"}`, `w 3 restore "epoch":2,"ckpt":"w1"`, `d 1 round_begin "epoch":2,"round":2`,
			`w 3 ckpt_begin "epoch":2,"ckpt":"w2","round":2`, `w 3 ckpt_commit "epoch":2,"ckpt":"w2","level":"store"`, `d 1 round_commit "epoch":2,"round":2,"line":{"w":"w2"}`,
			`c 1 recovery "epoch":1,"round":1,"line":{"w":"w1"}`,
		},
		`c 1 recovery "epoch":1,`, `c 1 recovery "epoch":3,`,
	},
	{
		"a recovery that is told late of had ended when its processes resumed", "terminates", "hung",
		[]string{
			`c 1 start`, `d 1 start`, `w 1 start`, `x 1 start`, `x 1 send "msg":"m","peer":"w"`, `w 1 crash`, `d 1 recovery "epoch":2,"line":{"w":""}`, `w 2 restore "epoch":2`, `w 2 resume "epoch":2`,
			`c 1 recovery "epoch":1,"line":{"w":"","x":""}`, `x 1 work "units":1`, `x 1 work "units":1`, `x 1 work "units":1`, `x 1 work "units":1`, `x 1 work "units":1`, `x 1 work "units":1`,
		},
		`c 1 recovery "epoch":1,`, `c 1 recovery "epoch":3,`,
	},
	{
		"a deposed coordinator tells late of a round that was known to be committed", "fencing", "old-epoch",
		[]string{
			`c 1 start`, `d 1 start`, `w 1 start`, `c 1 round_begin "round":1`, `w 1 ckpt_begin "ckpt":"w1","round":1`, `w 1 ckpt_commit "ckpt":"w1","level":"store"`,
			`d 1 round_commit "round":1,"epoch":1,"line":{"w":"w1"}`, `w 1 crash`, `w 2 start`, `d 1 recovery "epoch":2,"line":{"w":""}`, `w 3 restore "epoch":2`,
			`c 1 round_commit "round":1,"epoch":1,"line":{"w":"w1"}`,
		},
		`d 1 round_commit "round":1,"epoch":1,"line":{"w":"w1"}` + "\n", "",
	},
	{
		"an output of a process that has ended is visible with the round that has it", "exactly-once", "missing",
		[]string{
			`c 1 start`, `w 1 start`, `w 1 output "sink":"s","id":"o"`, `w 1 output "sink":"s","id":"p"`, `w 1 ckpt_begin "ckpt":"w1","round":1`,
			`w 1 ckpt_commit "ckpt":"w1"`, `w 1 final`, `c 1 round_begin "round":1`, `c 1 round_commit "round":1,"line":{"w":"w1"}`, `c 1 output_commit "sink":"s","id":"o"`, `c 1 output_commit "sink":"s","id":"p"`,
		},
		"c 1 output_commit \"sink\":\"s\",\"id\":\"p\"\n", "",
	},
	{
		"one recovery cut short by the next ends, if the next one does", "terminates", "hung",
		[]string{
			`c 1 start`, `w 1 start`, `w 1 ckpt_begin "ckpt":"w1"`, `w 1 ckpt_commit "ckpt":"w1","level":"store"`, `w 1 crash`,
			`c 1 recovery "epoch":1,"line":{"w":"w1"}`, `w 2 start`, `w 2 ckpt_bad "ckpt":"w1","level":"store","reason":"torn"`, `w 2 crash`, `w 3 start`,
			`c 1 recovery "epoch":2,"line":{"w":"w1"}`, `w 3 crash`, `w 4 start`, `c 1 recovery "epoch":3,"line":{"w":""}`, `w 5 restore "epoch":3`, `w 5 resume "epoch":3`,
		},
		"w 5 restore \"epoch\":3\nw 5 resume \"epoch\":3\n", "",
	},
	{
		"a service gives up where no round is whole", "terminates", "gave-up",
		[]string{
			`c 1 start`, `w 1 start`, `c 1 round_begin "round":1`, `w 1 ckpt_begin "ckpt":"w1","round":1`, `w 1 ckpt_commit "ckpt":"w1","level":"store"`,
			`c 1 round_commit "round":1,"line":{"w":"w1"}`, `w 1 crash`, `w 2 start`, `w 2 ckpt_bad "ckpt":"w1","level":"store","reason":"torn"`,
			`c 1 failure "reason":"no round is left"`,
		},
		"w 2 ckpt_bad \"ckpt\":\"w1\",\"level\":\"store\",\"reason\":\"torn\"\n", "",
	},
	{
		"a service gives up rather than put out again what the world has seen", "terminates", "gave-up",
		[]string{
			`c 1 start`, `w 1 start`, `c 1 round_begin "round":1`, `w 1 ckpt_begin "ckpt":"w1","round":1`, `w 1 ckpt_commit "ckpt":"w1","level":"store"`,
			`c 1 round_commit "round":1,"line":{"w":"w1"}`, `w 1 output "sink":"s","id":"o"`, `c 1 round_begin "round":2`, `w 1 ckpt_begin "ckpt":"w2","round":2`, `w 1 ckpt_commit "ckpt":"w2","level":"store"`,
			`c 1 round_commit "round":2,"line":{"w":"w2"}`, `w 1 crash`, `w 2 start`, `w 2 ckpt_bad "ckpt":"w2","level":"store","reason":"torn"`,
			`c 1 failure "reason":"no way back"`,
		},
		"w 1 output \"sink\":\"s\",\"id\":\"o\"\n", "",
	},
	{
		"a failure of a job that is not recovering says nothing of its checkpoints", "terminates", "gave-up",
		[]string{
			`c 1 start`, `w 1 start`, `c 1 round_begin "round":1`, `w 1 ckpt_begin "ckpt":"w1","round":1`, `w 1 ckpt_commit "ckpt":"w1","level":"store"`,
			`c 1 round_commit "round":1,"line":{"w":"w1"}`, `w 1 crash`, `w 2 start`, `c 1 recovery "epoch":1,"round":1,"line":{"w":"w1"}`, `w 3 restore "epoch":1,"ckpt":"w1"`,
			`w 3 failure "reason":"no disk"`,
		},
		"w 3 restore \"epoch\":1,\"ckpt\":\"w1\"\nw 3 failure", "w 2 failure",
	},
	{
		"a service without rounds gives up where a way back leads to the beginning", "terminates", "gave-up",
		[]string{
			`c 1 start`, `w 1 start`, `w 1 ckpt_begin "ckpt":"w1"`, `w 1 ckpt_commit "ckpt":"w1","level":"store"`, `w 1 crash`, `w 2 start`,
			`w 2 ckpt_bad "ckpt":"w1","level":"store","reason":"torn"`, `c 1 failure "reason":"no line"`,
		},
		"w 2 ckpt_bad \"ckpt\":\"w1\",\"level\":\"store\",\"reason\":\"torn\"\n", "",
	},
	{
		"another coordinator tells of a recovery again", "identity", "epoch-twice",
		[]string{
			`c 1 start`, `d 1 start`, `p 1 start`, `p 1 crash`, `c 1 recovery "epoch":1,"line":{"p":""}`, `d 1 recovery "epoch":1,"line":{"p":""}`,
		},
		`d 1 recovery`, `c 1 recovery`,
	},
	{
		"another coordinator tells of another recovery", "identity", "epoch-twice",
		[]string{
			`c 1 start`, `d 1 start`, `p 1 start`, `q 1 start`, `p 1 crash`, `c 1 recovery "epoch":1,"line":{"p":""}`, `d 1 recovery "epoch":2,"line":{"p":"","q":""}`,
		},
		`d 1 recovery "epoch":2`, `d 1 recovery "epoch":1`,
	},
	{
		"rounds have numbers of their own", "identity", "round-twice",
		[]string{`c 1 start`, `c 1 round_begin "round":1`, `c 1 round_abort "round":1`, `c 1 round_begin "round":2`},
		`"round":2`, `"round":1`,
	},
	{
		"an output may be emitted again", "identity", "output-twice",
		[]string{`p 1 start`, `p 1 output "sink":"s","id":"o","digest":"x"`, `p 1 output "sink":"s","id":"o","digest":"x"`, `p 2 start`, `p 2 output "sink":"s","id":"o","digest":"z"`},
		"p 2 start\np 2 output", "p 1 output",
	},
	{
		"a base that was lost where its increment is may be deleted elsewhere", "gc-safety", "base",
		[]string{
			`a 1 start`, `a 1 ckpt_begin "ckpt":"k"`, `a 1 ckpt_commit "ckpt":"k","level":"partner"`, `a 1 ckpt_commit "ckpt":"k","level":"local"`,
			`a 1 ckpt_begin "ckpt":"l"`, `a 1 ckpt_commit "ckpt":"l","level":"local","base":"k"`, `a 1 ckpt_commit "ckpt":"l","level":"store"`,
			`a 1 ckpt_bad "ckpt":"k","level":"local","reason":"torn"`, `a 1 ckpt_delete "ckpt":"k","level":"partner"`,
		},
		"a 1 ckpt_bad \"ckpt\":\"k\",\"level\":\"local\",\"reason\":\"torn\"\na 1 ckpt_delete \"ckpt\":\"k\",\"level\":\"partner\"",
		"a 1 ckpt_delete \"ckpt\":\"k\",\"level\":\"local\"",
	},
	{
		"a log keeps what the line lacks, and not what an older checkpoint lacks", "gc-safety", "log",
		[]string{
			`p 1 start`, `q 1 start`, `q 1 ckpt_begin "ckpt":"q1"`, `q 1 ckpt_commit "ckpt":"q1"`, `p 1 send "msg":"m","peer":"q"`, `q 1 recv "msg":"m","peer":"p"`,
			`p 1 ckpt_begin "ckpt":"p1"`, `p 1 ckpt_commit "ckpt":"p1"`,
			`q 1 ckpt_begin "ckpt":"q2"`, `q 1 ckpt_commit "ckpt":"q2"`, `p 1 log_delete "msg":"m"`,
		},
		"q 1 ckpt_commit \"ckpt\":\"q2\"\n", "",
	},
	{
		"a deletion is not to blame for a round that is corrupt", "gc-safety", "nothing-left",
		[]string{
			`p 1 start`, `q 1 start`, `p 1 round_begin "round":1`, `p 1 ckpt_begin "ckpt":"p1","round":1`, `p 1 ckpt_commit "ckpt":"p1","level":"store"`,
			`q 1 ckpt_begin "ckpt":"q1","round":1`, `q 1 ckpt_commit "ckpt":"q1","level":"store"`, `p 1 round_commit "round":1,"line":{"p":"p1","q":"q1"}`,
			`q 1 ckpt_bad "ckpt":"q1","level":"store","reason":"corrupt"`, `p 1 ckpt_delete "ckpt":"p1"`,
		},
		"q 1 ckpt_bad \"ckpt\":\"q1\",\"level\":\"store\",\"reason\":\"corrupt\"\n", "",
	},
	{
		"what a first time did not tell, later ones are compared by", "replay", "diverged",
		[]string{
			`p 1 start`, `q 1 start`, `p 1 send "msg":"m","peer":"q"`, `p 2 start`, `p 2 send "msg":"m","peer":"q","digest":"x"`, `p 3 start`, `p 3 send "msg":"m","peer":"q","digest":"x"`,
		},
		`p 3 send "msg":"m","peer":"q","digest":"x"`, `p 3 send "msg":"m","peer":"q","digest":"y"`,
	},
}

// TestRulesThatAllowSomethingAllowNoMore has an accepted record for each rule,
// and the least change that is rejected.
func TestRulesThatAllowSomethingAllowNoMore(t *testing.T) {
	for _, c := range rules {
		t.Run(c.rule, func(t *testing.T) {
			whole := strings.Join(c.accepted, "\n") + "\n"
			if n := strings.Count(whole, c.old); n != 1 {
				t.Fatalf("%q occurs %d times", c.old, n)
			}
			o := Options{RecoveryMax: 5}
			if v := verdicts(t, lines(c.accepted...), o, c.model)[0]; v.Verdict != checkers.Valid {
				t.Errorf("%s: %s", v.Verdict, v.Reason)
			}
			changed := strings.Split(strings.TrimSuffix(strings.Replace(whole, c.old, c.new, 1), "\n"), "\n")
			if v := verdicts(t, lines(changed...), o, c.model)[0]; v.Verdict != checkers.Invalid || v.Witness.Class != c.class {
				t.Errorf("changed: %s: %s; expected invalid, class %s", v.Verdict, v.Reason, c.class)
			}
		})
	}
}
