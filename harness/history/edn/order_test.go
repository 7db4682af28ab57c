package edn

import (
	"strings"
	"testing"

	"github.com/cleancut/cleancut/harness/history"
)

// inOrder reads text in order of time and tells the processes of its events,
// completions with a dot.
func inOrder(t *testing.T, text string) string {
	t.Helper()
	events, sum, err := Read(strings.NewReader(text), Options{Order: ByTime})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Raised > 0 || sum.Backwards != "" {
		t.Errorf("times went backwards: %+v", sum)
	}
	var b strings.Builder
	for i, e := range events {
		if int64(i) != e.Index {
			t.Errorf("event %d has the index %d", i, e.Index)
		}
		b.WriteByte(byte('0' + e.Process))
		if e.Kind != history.Invoke {
			b.WriteByte('.')
		}
	}
	return b.String()
}

func TestOperationsAreOrderedByTime(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{row("0 invoke 0") + row("0 ok 100") + row("1 invoke 10") + row("1 ok 20"), "011.0."},
		// Those that touch overlap, but a process goes on after it has ended.
		{row("0 invoke 0") + row("0 ok 5") + row("1 invoke 5") + row("1 ok 9"), "010.1."},
		{row("0 invoke 0") + row("0 ok 5") + row("0 invoke 5") + row("1 invoke 5") + row("0 ok 6") + row("1 ok 7"), "010.00.1."},
		{row("0 invoke 0") + row("1 invoke 1") + row("1 ok 5") + row("0 ok 5") + row("0 invoke 5") + row("0 ok 6"), "010.01.0."},
	} {
		if got := inOrder(t, c.text); got != c.want {
			t.Errorf("%s: got %s, want %s", c.text, got, c.want)
		}
	}
}

func row(text string) string {
	w := strings.Fields(text)
	return "{:process " + w[0] + " :type :" + w[1] + " :f :read :value nil :time " + w[2] + "}\n"
}

func TestOrderByTimeNeedsATimeInEveryOperation(t *testing.T) {
	_, _, err := Read(strings.NewReader(row("0 invoke 0")+"{:process 0 :type :ok :f :read :value nil}"), Options{Order: ByTime})
	if err == nil || !strings.Contains(err.Error(), "line 2: time: missing") {
		t.Errorf("got %v", err)
	}
}

func TestRowsAndLinesOfHistoryTxtAreRead(t *testing.T) {
	const want = "{:type :invoke :f :write :value 1 :process 0}{:type :ok :f :write :value 1 :process 0}{:type :info :f :start :process :nemesis}"
	expected, _, err := Read(strings.NewReader(want), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"[0 :invoke :write 1]\n[0 :ok :write 1]\n[:nemesis :info :start nil]\n",
		"[[0 :invoke :write 1] [0 :ok :write 1] [:nemesis :info :start nil]]",
		"0\t:invoke\t:write\t1\n0\t:ok\t:write\t1\n:nemesis\t:info\t:start\tnil",
	} {
		events, _, err := Read(strings.NewReader(text), Options{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if len(events) != len(expected) {
			t.Errorf("%s: %d events, want %d", text, len(events), len(expected))
		}
		for i := range events {
			if events[i].F != expected[i].F || events[i].Kind != expected[i].Kind || events[i].Process != expected[i].Process || !events[i].Value.Equal(expected[i].Value) {
				t.Errorf("%s: event %d is %+v, want %+v", text, i, events[i], expected[i])
			}
		}
	}
	for text, want := range map[string]string{
		"[0 :invoke :write]":    "line 1: expected an operation, a map or a row",
		"0 :invoke :write [1":   "line 1: expected a row",
		"0 :invoke\n0 :ok":      "line 1: expected an operation, a map or a row",
		"[0 :invoke :write 1 ]": "",
	} {
		if _, _, err := Read(strings.NewReader(text), Options{}); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
