package linear

import (
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// broken is an object whose judge panics.
type broken struct{ registers }

func (broken) judge(*budget, []history.Operation, part, Algorithm) judgement {
	panic("index out of range")
}

func TestPanicOfAWorkerIsUnknownWithItsOwnStack(t *testing.T) {
	var ops []history.Operation
	for i := range int64(8) {
		ops = append(ops, history.Operation{F: Write, Key: string(rune('a' + i)), Input: history.Int(i), Outcome: history.OK, Call: 2 * i, Return: 2*i + 1})
	}
	c := checker{object: broken{}, o: Options{Workers: 4}.withDefaults()}
	v := checkers.Check(t.Context(), &checkers.Evidence{Operations: ops}, []checkers.Checker{c}, checkers.Options{})[0]
	if v.Verdict != checkers.Unknown || !strings.Contains(v.Reason, "the checker panicked: index out of range\n") || !strings.Contains(v.Reason, "broken.judge") || !strings.Contains(v.Reason, "pool_test.go") {
		t.Errorf("%s: %s", v.Verdict, v.Reason)
	}
}
