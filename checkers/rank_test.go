package checkers

import (
	"context"
	"fmt"
	"testing"
)

func TestCausesAreToldBeforeSymptoms(t *testing.T) {
	says := func(name string, v Validity) Checker {
		return Func(name, func(context.Context, *Evidence) Verdict {
			return Verdict{Verdict: v, Reason: "because", Witness: &Witness{Summary: "because"}}
		})
	}
	list := []Checker{
		Ranked(Symptom, says("result", Invalid)), says("other", Invalid), Ranked(Cause, says("fine", Valid)),
		Ranked(Effect, says("state", Invalid)), Ranked(Cause, says("act", Invalid)), says("second", Invalid),
	}
	verdicts := Check(t.Context(), &Evidence{}, list, Options{})
	CausesFirst(verdicts)
	var names []string
	for _, v := range verdicts {
		names = append(names, v.Checker)
	}
	if got := fmt.Sprint(names); got != "[act state fine other second result]" {
		t.Errorf("told in the order %s", got)
	}
}
