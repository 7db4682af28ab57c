// Package match holds gomega matchers for results of runs, so that a spec
// reads as a sentence and its failure says what the report says: the verdict,
// the reasons, where the report is and how to run the same again.
package match

import (
	"fmt"
	"strings"

	"github.com/onsi/gomega/types"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/report"
	"github.com/cleancut/cleancut/harness/rundir"
)

// BeValid succeeds for a *harness.Finished that was judged valid:
// inconclusive is not enough.
func BeValid() types.GomegaMatcher { return verdict{[]rundir.Outcome{rundir.Valid}} }

// NotBeInvalid succeeds for a *harness.Finished that was judged valid or
// inconclusive.
func NotBeInvalid() types.GomegaMatcher {
	return verdict{[]rundir.Outcome{rundir.Valid, rundir.Inconclusive}}
}

// BeInvalid succeeds for a *harness.Finished that was judged invalid.
func BeInvalid() types.GomegaMatcher { return verdict{[]rundir.Outcome{rundir.Invalid}} }

// HaveFound succeeds for a *harness.Finished in which the checker of that name
// said invalid.
func HaveFound(checker string) types.GomegaMatcher { return found{checker} }

func finished(actual any) (*harness.Finished, error) {
	f, ok := actual.(*harness.Finished)
	if !ok || f == nil {
		return nil, fmt.Errorf("expected a *harness.Finished, got %T", actual)
	}
	return f, nil
}

// account is the whole account of a run for a failure message.
func account(actual any) string {
	f, err := finished(actual)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	if err := report.Text(&b, &f.Result, f.ReportPath()); err != nil {
		return err.Error()
	}
	return b.String()
}

type verdict struct{ wanted []rundir.Outcome }

func (m verdict) Match(actual any) (bool, error) {
	f, err := finished(actual)
	if err != nil {
		return false, err
	}
	for _, w := range m.wanted {
		if f.Result.Verdict == w {
			return true, nil
		}
	}
	return false, nil
}

func (m verdict) FailureMessage(actual any) string {
	return fmt.Sprintf("expected the run to be judged %s\n%s", m, account(actual))
}

func (m verdict) NegatedFailureMessage(actual any) string {
	return fmt.Sprintf("expected the run not to be judged %s\n%s", m, account(actual))
}

func (m verdict) String() string {
	words := make([]string, len(m.wanted))
	for i, w := range m.wanted {
		words[i] = string(w)
	}
	return strings.Join(words, " or ")
}

type found struct{ checker string }

func (m found) Match(actual any) (bool, error) {
	f, err := finished(actual)
	if err != nil {
		return false, err
	}
	for _, v := range f.Result.Checkers {
		if v.Checker == m.checker {
			return v.Verdict == checkers.Invalid, nil
		}
	}
	return false, fmt.Errorf("no checker named %q judged this run", m.checker)
}

func (m found) FailureMessage(actual any) string {
	return fmt.Sprintf("expected the checker %s to find a violation\n%s", m.checker, account(actual))
}

func (m found) NegatedFailureMessage(actual any) string {
	return fmt.Sprintf("expected the checker %s to find nothing\n%s", m.checker, account(actual))
}
