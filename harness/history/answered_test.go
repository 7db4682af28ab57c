package history

import "testing"

func TestARefusalIsAnAnswerAndWhatReachedNobodyIsNot(t *testing.T) {
	for _, c := range []struct {
		o    Operation
		want bool
	}{
		{Operation{F: "read", Outcome: OK}, true},
		{Operation{F: "cas", Outcome: Fail, Error: Mismatch}, true},
		{Operation{F: "cas", Outcome: Fail}, true},
		{Operation{F: "cas", Outcome: Fail, Error: "found another", Output: Int(3)}, true},
		{Operation{F: "acquire", Outcome: Fail}, true},
		{Operation{F: "cas", Outcome: Fail, Error: "timeout; last: connection refused"}, false},
		{Operation{F: "cas", Outcome: Fail, Error: "timeout; last: cas mismatch"}, false},
		{Operation{F: "cas", Outcome: Info, Error: Mismatch}, false},
		{Operation{F: "read", Outcome: Fail}, false},
		{Operation{F: "write", Outcome: Fail}, false},
	} {
		if got := c.o.Answered(); got != c.want {
			t.Errorf("%+v: answered %v, want %v", c.o, got, c.want)
		}
	}
}
