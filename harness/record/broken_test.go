package record

import (
	"errors"
	"strings"
	"testing"
)

// told is a record of two processes and a coordinator, without a fault.
const told = `{"t":1,"proc":"a","inc":1,"kind":"start"}
{"t":1,"proc":"b","inc":1,"kind":"start"}
{"t":1,"proc":"c","inc":1,"kind":"start"}
{"t":2,"proc":"a","inc":1,"kind":"send","msg":"m","peer":"b","digest":"x"}
{"t":3,"proc":"b","inc":1,"kind":"recv","msg":"m","peer":"a"}
{"t":4,"proc":"a","inc":1,"kind":"nondet","id":"n"}
{"t":5,"proc":"c","inc":1,"kind":"round_begin","round":1}
{"t":6,"proc":"a","inc":1,"kind":"ckpt_begin","ckpt":"k","round":1}
{"t":7,"proc":"a","inc":1,"kind":"ckpt_commit","ckpt":"k","level":"local"}
{"t":8,"proc":"c","inc":1,"kind":"round_commit","round":1,"line":{"a":"k"}}
{"t":9,"proc":"a","inc":1,"kind":"work","units":1}
{"t":9,"proc":"b","inc":1,"kind":"work","units":1}
`

// Each row adds or changes something: what only the service can have done is
// told by its class; what the recording may have done is an error as before.
func TestWhatNoRecordingCanHaveMadeUpIsTheServices(t *testing.T) {
	const send = `{"t":2,"proc":"a","inc":1,"kind":"send","msg":"m","peer":"b","digest":"x"}` + "\n"
	for _, c := range []struct{ name, old, new, class string }{
		{"another message of that name", "", `{"t":10,"proc":"a","inc":1,"kind":"send","msg":"m","peer":"b","digest":"y"}` + "\n", "message-twice"},
		{"the same message again", "", `{"t":10,"proc":"a","inc":1,"kind":"send","msg":"m","peer":"b","digest":"x"}` + "\n", "none"},
		{"a message of two senders", "", `{"t":10,"proc":"b","inc":1,"kind":"send","msg":"m","peer":"a"}` + "\n", "message-twice"},
		{"a message for another", "", `{"t":10,"proc":"c","inc":1,"kind":"recv","msg":"m","peer":"a"}` + "\n", "misdelivered"},
		{"a message of another", `"recv","msg":"m","peer":"a"`, `"recv","msg":"m","peer":"c"`, "misdelivered"},
		{"a channel with a message for another", `"level":"local"}`, `"level":"local","channel":["m"]}`, "misdelivered"},
		{"a checkpoint of that name", "", `{"t":10,"proc":"a","inc":1,"kind":"ckpt_begin","ckpt":"k"}` + "\n", "checkpoint-twice"},
		{"the line of a checkpoint twice", `"ckpt":"k","round":1}` + "\n", `"ckpt":"k","round":1}` + "\n" + `{"t":6,"proc":"a","inc":1,"kind":"ckpt_begin","ckpt":"k","round":1}` + "\n", ""},
		{"a level written twice", "", `{"t":10,"proc":"a","inc":1,"kind":"ckpt_commit","ckpt":"k","level":"local"}` + "\n", "committed-twice"},
		{"the line of a level twice", `"level":"local"}` + "\n", `"level":"local"}` + "\n" + `{"t":7,"proc":"a","inc":1,"kind":"ckpt_commit","ckpt":"k","level":"local"}` + "\n", ""},
		{"a determinant of that name", "", `{"t":10,"proc":"a","inc":1,"kind":"nondet","id":"n"}` + "\n", "determinant-twice"},
		{"the line of a determinant twice", `"id":"n"}` + "\n", `"id":"n"}` + "\n" + `{"t":4,"proc":"a","inc":1,"kind":"nondet","id":"n"}` + "\n", ""},
		{"a message that its sender, who tells of all, has not sent", send, "", "forged"},
		{"a message that its sender may have sent before it crashed", send, `{"t":2,"proc":"a","inc":1,"kind":"crash"}` + "\n" + `{"t":2,"proc":"a","inc":2,"kind":"start"}` + "\n", ""},
		{"a checkpoint of which a process that tells of all knows nothing", `{"a":"k"}`, `{"a":"k","b":"k"}`, "forged"},
		{"a checkpoint of which a process that tells of nothing later knows nothing", `{"t":9,"proc":"b","inc":1,"kind":"work","units":1}` + "\n", "", "none"},
	} {
		text := told + c.new
		if c.old != "" {
			if strings.Count(told, c.old) != 1 {
				t.Fatalf("%s: %q does not occur once", c.name, c.old)
			}
			text = strings.Replace(told, c.old, c.new, 1)
		}
		if strings.Contains(c.name, "crashed") { // of its first incarnation nothing else is told
			text = strings.ReplaceAll(text, `"proc":"a","inc":1`, `"proc":"a","inc":2`)
			text = strings.Replace(text, `{"t":1,"proc":"a","inc":2,"kind":"start"}`, `{"t":1,"proc":"a","inc":1,"kind":"start"}`, 1)
			text = strings.Replace(text, `{"t":2,"proc":"a","inc":2,"kind":"crash"}`, `{"t":2,"proc":"a","inc":1,"kind":"crash"}`, 1)
		}
		events, _, err := Read(strings.NewReader(text), Limits{})
		var broken *Broken
		class := ""
		switch {
		case err == nil:
			class = "none"
		case errors.As(err, &broken):
			class = broken.List[0].Class
			if len(events) == 0 || broken.List[0].Line == 0 || broken.List[0].At == 0 {
				t.Errorf("%s: %d events, %+v", c.name, len(events), broken.List[0])
			}
		}
		if class != c.class {
			t.Errorf("%s: class %q (%v); expected %q", c.name, class, err, c.class)
		}
	}
	cut := strings.Replace(strings.Replace(told, `{"a":"k"}`, `{"a":"k","b":"k"}`, 1), `{"t":9,"proc":"b","inc":1,"kind":"work","units":1}`+"\n", "", 1)
	var broken *Broken
	if _, _, err := Read(strings.NewReader(cut), Limits{}); err == nil || errors.As(err, &broken) {
		t.Errorf("a checkpoint of a process that may have told of it later: %v", err)
	}
}
