package record

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const accepted = `{"t":1,"proc":"a","inc":1,"kind":"start"}
{"t":1,"proc":"b","inc":1,"kind":"start"}
{"t":2,"proc":"b","inc":1,"kind":"round_begin","round":1}
{"t":3,"proc":"a","inc":1,"kind":"send","msg":"a>b#1","peer":"b","value":-5}
{"t":4,"proc":"a","inc":1,"kind":"ckpt_begin","ckpt":"c1","round":1,"digest":"77","offsets":{"in":3}}
{"t":5,"proc":"b","inc":1,"kind":"ckpt_begin","ckpt":"c1","round":1}
{"t":6,"proc":"b","inc":1,"kind":"recv","msg":"a>b#1","peer":"a"}
{"t":7,"proc":"a","inc":1,"kind":"ckpt_commit","ckpt":"c1","level":"local","bytes":10}
{"t":7,"proc":"b","inc":1,"kind":"ckpt_commit","ckpt":"c1","level":"local","channel":["a>b#1"]}
{"t":8,"proc":"b","inc":1,"kind":"round_commit","round":1,"line":{"a":"c1","b":"c1"}}
{"t":9,"proc":"a","inc":1,"kind":"crash"}
{"t":10,"proc":"a","inc":2,"kind":"start"}
{"t":11,"proc":"b","inc":1,"kind":"recovery","epoch":1,"round":1,"line":{"a":"c1","b":"c1"},"failed":["a"]}
{"t":12,"proc":"a","inc":3,"kind":"restore","epoch":1,"ckpt":"c1","level":"local","digest":"77"}
{"t":12,"proc":"b","inc":2,"kind":"restore","epoch":1,"ckpt":"c1"}
`

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	events, torn, err := Read(strings.NewReader(accepted), Limits{})
	if err != nil || torn {
		t.Fatal(torn, err)
	}
	var out []byte
	for i := range events {
		out = Append(out, &events[i])
	}
	again, _, err := Read(bytes.NewReader(out), Limits{})
	if err != nil || !reflect.DeepEqual(events, again) {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := Validate(events); err != nil {
		t.Fatal(err)
	}
}

func TestATornLastLineIsLeftOut(t *testing.T) {
	for _, end := range []string{`{"t":13,"pr`, "{\x00\x00", `{"t":13,"proc":"a","inc":3,"kind":"resume"`} {
		events, torn, err := Read(strings.NewReader(accepted+end), Limits{})
		if err != nil || !torn || len(events) != 15 {
			t.Errorf("%q: %d events, torn %v, %v", end, len(events), torn, err)
		}
	}
	for _, end := range []string{"", "\x00\x00"} { // it lacks its newline, and no more
		events, torn, err := Read(strings.NewReader(accepted+`{"t":13,"proc":"a","inc":3,"kind":"resume"}`+end), Limits{})
		if err != nil || torn || len(events) != 16 {
			t.Errorf("%q: %d events, torn %v, %v", end, len(events), torn, err)
		}
	}
	if _, torn, err := Read(strings.NewReader(accepted+"\x00\x00\x00"), Limits{}); err != nil || torn {
		t.Error(torn, err)
	}
	if _, _, err := Read(strings.NewReader("{\x00\n"+accepted), Limits{}); err == nil {
		t.Error("NUL bytes at the head pass")
	}
}

// Each row is the minimal change of an accepted record, with the line and the
// words of the error.
func TestWhatCannotBeIsNamedByLineAndField(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(accepted, "\n"), "\n")
	for _, c := range []struct {
		line     int
		old, new string
		want     string
	}{
		{4, `"msg":`, `"massage":`, `line 4: massage: there is no such field`},
		{4, `"send"`, `"sent"`, `line 4: kind: "sent" is no kind`},
		{4, `,"peer":"b"`, ``, `line 4: peer: is missing or empty; an event of kind send needs msg, peer`},
		{4, `"t":3`, `"t":3.5`, `line 4: t: expected an integer, found a fraction`},
		{4, `"t":3`, `"t":"3"`, `line 4: t: expected an integer`},
		{4, `"t":3`, `"t":-3`, `line 4: t: is -3; expected no negative number`},
		{4, `"t":3,`, ``, `line 4: t: is missing`},
		{4, `"t":3`, `"t":3,"t":3`, `line 4: t: is given twice`},
		{4, `"a>b#1"`, `17`, `line 4: msg: expected a string`},
		{4, `"inc":1`, `"inc":0`, `line 4: inc: is 0; incarnations are counted from 1`},
		{4, `"inc":1`, `"inc":2`, `line 4: inc: is 2; process a has 1 so far`},
		{4, `-5}`, `-5,"sink":"x"}`, `line 4: sink: does not belong to an event of kind send`},
		{4, `-5}`, `-5} x`, `line 4: unexpected "x" at column`},
		{4, `{"t"`, `["t"`, `line 4: expected an object that begins with {`},
		{4, `"peer":"b"`, `"peer":"c"`, `line 4: peer: there is no process c`},
		{5, `"t":4`, `"t":2`, `line 5: t: 2 is before 3`},
		{5, `{"in":3}`, `{"in":-3}`, `line 5: offsets: of in is -3`},
		{5, `{"in":3}`, `{"in":3,"in":4}`, `line 5: offsets: "in" is given twice`},
		{7, `a>b#1`, `a>b#2`, `line 7: msg: message a>b#2 is received and no one ever sent it; expected a send by a`},
		{7, `"peer":"a"`, `"peer":"b"`, `line 7: peer: message a>b#1 was sent by a (line 4), not by b`},
		{8, `"c1"`, `"c2"`, `line 8: ckpt: process a never began a checkpoint c2`},
		{8, `"bytes":10`, `"base":"c0"`, `line 8: base: process a began no checkpoint c0 before`},
		{9, `["a>b#1"]`, `["x"]`, `line 9: channel: no one ever sent the message x`},
		{9, `["a>b#1"]`, `"x"`, `line 9: channel: expected a list of strings`},
		{10, `"b":"c1"`, `"c":"c1"`, `line 10: line: there is no process c`},
		{10, `"b":"c1"`, `"b":"c7"`, `line 10: line: process b never began the checkpoint c7`},
		{10, `"b":"c1"`, `"b":""`, `line 10: line: of process b is empty`},
		{10, `"round":1`, `"round":2`, `line 10: round: round 2 is committed and never began`},
		{12, `"inc":2`, `"inc":4`, `line 12: inc: is 4; a start of process a begins its next incarnation, 2`},
		{12, `"inc":2,"kind":"start"`, `"inc":1,"kind":"resume"`, `line 12: inc: incarnation 1 of process a crashed in line 11`},
		{13, `["a"]`, `["z"]`, `line 13: failed: there is no process z`},
		{13, `"epoch":1,`, ``, `line 13: epoch: is missing`},
		{14, `"c1"`, `"c9"`, `line 14: ckpt: process a never began a checkpoint c9; expected its ckpt_begin before this restore`},
		{1, `start`, `resume`, `line 1: proc: the first event of process a is of kind resume; expected start`},
	} {
		changed := append([]string(nil), lines...)
		changed[c.line-1] = strings.Replace(changed[c.line-1], c.old, c.new, 1)
		_, _, err := Read(strings.NewReader(strings.Join(changed, "\n")+"\n"), Limits{})
		var at *LineError
		if err == nil || !errors.As(err, &at) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s → %s in line %d:\n got %v\nwant %s", c.old, c.new, c.line, err, c.want)
		}
	}
}

func TestWhatStandsTwiceIsNamed(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(accepted, "\n"), "\n")
	for line, want := range map[int]string{5: "ids are not used twice", 8: "was committed to level", 1: "begins its next incarnation, 2"} {
		doubled := append(append(append([]string(nil), lines[:line]...), lines[line-1]), lines[line:]...)
		if _, _, err := Read(strings.NewReader(strings.Join(doubled, "\n")+"\n"), Limits{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("line %d twice: %v", line, err)
		}
	}
}

func TestTheDocumentedTableIsThatOfTheParser(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	quoted := func(s fields) string {
		if s == 0 {
			return ""
		}
		return "`" + strings.ReplaceAll(s.String(), ", ", "`, `") + "`"
	}
	for _, g := range grammars {
		row := "| `" + string(g.kind) + "` | "
		_, rest, ok := strings.Cut(string(readme), row)
		row, _, _ = strings.Cut(rest, "\n")
		need, may, _ := strings.Cut(strings.TrimSuffix(row, " |"), " | ")
		if !ok || !same(need, quoted(g.need)) || !same(may, quoted(g.may)) {
			t.Errorf("kind %s: documented are %q and %q; expected %s and %s", g.kind, need, may, quoted(g.need), quoted(g.may))
		}
	}
}

// same compares two lists of names in any order.
func same(a, b string) bool {
	x, y := strings.Split(a, ", "), strings.Split(b, ", ")
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

func TestLimitsHold(t *testing.T) {
	if _, _, err := Read(strings.NewReader(accepted), Limits{Events: 14}); err == nil || !strings.Contains(err.Error(), "line 15: the record has more than 14 events") {
		t.Error(err)
	}
	if _, _, err := Read(strings.NewReader(accepted), Limits{Line: 60}); err == nil || !strings.Contains(err.Error(), "is longer than 60 bytes") {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(accepted))
	f.Add([]byte(`{"t":1,"proc":"\u00e9","inc":1,"kind":"start","forced":true}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, _, err := Read(bytes.NewReader(data), Limits{Events: 1000, Line: 4096})
		if err != nil {
			return
		}
		var out []byte
		for i := range events {
			out = Append(out, &events[i])
		}
		again, torn, err := Read(bytes.NewReader(out), Limits{Line: 1 << 16})
		if err != nil || torn || len(again) != len(events) {
			t.Fatalf("what was read cannot be read again: %v\n%s", err, out)
		}
		if second := appendAll(again); !bytes.Equal(out, second) {
			t.Fatalf("written twice:\n%s\n%s", out, second)
		}
	})
}

func appendAll(events []Event) (out []byte) {
	for i := range events {
		out = Append(out, &events[i])
	}
	return out
}
