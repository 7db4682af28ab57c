package history_test

import (
	"strings"
	"testing"

	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/history/edn"
)

// TestWhatMayDifferBetweenInvocationAndCompletion has what fits beside the
// least change that does not.
func TestWhatMayDifferBetweenInvocationAndCompletion(t *testing.T) {
	for _, c := range []struct{ f, argument, fits, not string }{
		{"write", "1", "1", "2"},
		{"write", "1", "nil", "[1]"},
		{"write", "nil", "1", ""}, // learned
		{"cas", "[0 1]", "[0 1]", "[0 2]"},
		{"cas", "[0 1]", "true", "[1 1]"},
		{"add", "1", "false", "2"},
		{"write", "1", "true", "false"},
		{"enqueue", "1", "true", "false"},
		{"remove", "1", "nil", "2"},
		{"enqueue", "1", "1", "2"},
		{"append", "1", "[7 1]", "[7 2]"},
		{"append", "1", "1", "2"},
		{"transfer", "{:from 0 :to 1 :amount 5}", "{:from 0 :to 1 :amount 5}", "{:from 0 :to 1 :amount 3}"},
		{"insert", "[1 nil]", "[1 nil]", "[nil 1]"},
		{"write", "true", "true", "false"},
		{"cas", "[true false]", "true", "[false true]"},
		{"send", "5", "7", "[7 6]"},
		{"send", "5", "[7 5]", "[5 7]"},
		{"release", "3", "3", "4"},
		{"release", "nil", "4", ""},
		{"delete", "1", "true", "2"},
		{"txn", "[]", "[]", "[[:w 1 1]]"},
		{"txn", "5", "nil", "[[:w 1 1]]"},
		{"acquire", "1", "33", ""}, // a token
		{"init", "{1 1 2 2}", "{1 1}", "{1 9}"},
		{"read", "nil", "5", ""},
		{"dequeue", "nil", "5", ""},
		{"txn", "[[:w 8 1] [:r 9 nil]]", "[[:w 8 1] [:r 9 4]]", "[[:r 9 4]]"},
		{"txn", "[[:w 8 1] [:r 9 nil]]", "[[:w 8 1] [:r 9]]", "[[:r 9 nil] [:w 8 1]]"},
		{"txn", "[[:w 8 1]]", "[[:w 8 1]]", "[[:w 8 2]]"},
		{"txn", "[[:w 8 1]]", "nil", "[]"},
		{"txn", "[[:w 8 1]]", "[[:w 8 1]]", "[[:w 8 1] [:w 8 1]]"},
		{"txn", "[[:r 8 nil]]", "[[:r 8 [1 2]]]", "[[:r 9 [1 2]]]"},
		{"txn", "[[:append 8 1]]", "[[:append 8 1]]", "[[:r 8 1]]"},
		{"txn", "[[:append 8 1]]", "[[:append 8 1]]", "[[:append \"8\" 1]]"},
		{"txn", "[[:delete 8] [:insert 9 1]]", "[[:delete 8 nil] [:insert 9 1]]", "[[:delete 8 nil] [:insert 9 nil]]"},
		{"txn", "[[:rp :true nil]]", "[[:rp :true {1 2}]]", "[[:rp [:= 1] {1 2}]]"},
		{"txn", "[[:read :x nil] [:write :y 2]]", "[[:read :x 1] [:write :y 2]]", "[[:read :x 1]]"},
		{"send", "[[:send 0 1]]", "[[:send 0 [7 1]]]", "[[:send 0 [7 2]]]"},
		{"send", "[[:send 0 1]]", "[[:send 0 1]]", "[[:send 1 [7 1]]]"},
		{"poll", "[[:poll]]", "[[:poll {0 [[7 1]]}]]", "[[:send 0 1]]"},
	} {
		misfit := func(answer string) string {
			argument := history.Learn(c.f, history.OK, parsed(t, c.argument), parsed(t, answer))
			return history.Misfit(c.f, history.OK, argument, parsed(t, answer))
		}
		if why := misfit(c.fits); why != "" {
			t.Errorf("%s %s → %s: %s", c.f, c.argument, c.fits, why)
		}
		if c.not != "" && misfit(c.not) == "" {
			t.Errorf("%s %s → %s fits", c.f, c.argument, c.not)
		}
	}
}

func TestWhatIsOfUnknownOutcomeSaysWhatWasAttempted(t *testing.T) {
	for _, c := range []struct{ f, argument, answer, wrong string }{
		{"write", "1", "nil", ""},
		{"write", "nil", "1", ""},
		{"write", "nil", "nil", "neither its invocation nor its completion says what was attempted"},
		{"write", "1", "2", "invoked with 1 and completed with 2"},
		{"txn", "nil", "nil", "neither its invocation nor its completion"},
		{"txn", "nil", "[[:w 1 1]]", ""},
		{"txn", "[[:w 1 1] [:w 2 2]]", "[[:w 1 1]]", "expected as many"},
		{"read", "nil", "nil", ""},
	} {
		argument := history.Learn(c.f, history.Info, parsed(t, c.argument), parsed(t, c.answer))
		why := history.Misfit(c.f, history.Info, argument, parsed(t, c.answer))
		if (why == "") != (c.wrong == "") || !strings.Contains(why, c.wrong) {
			t.Errorf("%s %s → %s: %q, want %q", c.f, c.argument, c.answer, why, c.wrong)
		}
	}
}

func TestWhatIsOkAndFalseWasRefused(t *testing.T) {
	event := func(i int64, kind history.EventKind, f string, v history.Value) history.Event {
		return history.Event{Index: i, Time: 0, Kind: kind, F: f, Value: v}
	}
	for _, c := range []struct {
		f        string
		argument string
		want     history.Outcome
	}{{"cas", "[0 1]", history.Fail}, {"acquire", "nil", history.Fail}, {"add", "1", history.OK}, {"read", "nil", history.OK}} {
		ops, err := history.Operations([]history.Event{event(0, history.Invoke, c.f, parsed(t, c.argument)), event(1, history.OK, c.f, history.Bool(false))})
		if err != nil || ops[0].Outcome != c.want {
			t.Errorf("%s that is ok and false is %v, %v; want %v", c.f, ops, err, c.want)
		}
	}
}

func TestWhatWasNeverCompletedSaysWhatWasAttempted(t *testing.T) {
	for f, wrong := range map[string]bool{"write": true, "txn": true, "read": false, "dequeue": false} {
		_, err := history.Operations([]history.Event{{Kind: history.Invoke, F: f}})
		if (err != nil) != wrong {
			t.Errorf("%s without an argument or a completion: %v", f, err)
		}
	}
}

func TestWhatFailedMayTellWhy(t *testing.T) {
	if why := history.Misfit("transfer", history.Fail, parsed(t, "{:from 0}"), parsed(t, "[:negative 2 -1]")); why != "" {
		t.Error(why)
	}
	if history.Misfit("txn", history.Fail, parsed(t, "[[:w 1 1]]"), parsed(t, "[[:w 2 1]]")) == "" {
		t.Error("a transaction failed as another one")
	}
}

func parsed(t *testing.T, text string) history.Value {
	t.Helper()
	v, err := edn.ParseValue(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
