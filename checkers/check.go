package checkers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
)

// Options bound Check.
type Options struct {
	// Timeout bounds each checker; 0 means DefaultTimeout. A checker that is
	// cut off says unknown. Checkers bound their own work by steps as well,
	// which is reached first where verdicts must be reproducible.
	Timeout time.Duration
	// Memory says that verdicts tell how far the heap grew. It costs a
	// collection of garbage for each checker.
	Memory bool
}

// DefaultTimeout bounds a checker unless told otherwise.
const DefaultTimeout = 60 * time.Second

// grace is how long a checker may take to notice that its context ended.
const grace = 800 * time.Millisecond

// Check runs the checkers one after the other and returns their verdicts in
// the same order. A checker that panics or ends its goroutine, or that does not
// return within its time and 800 ms of grace, is unknown; in the latter case
// its goroutine is abandoned. An invalid without a witness that says anything
// is unknown, too: it cannot be acted on. So is a not-applicable without a
// reason, and an invalid that is Conditional where the evidence holds trouble of
// the harness. A measure that is no finite number is
// left out, and named in the reason: results are JSON, which has none.
//
// A panic on a goroutine that a checker started ends the process, unless the
// checker recovers it and panics with it, and its stack, where it was called.
func Check(ctx context.Context, e *Evidence, list []Checker, o Options) []Verdict {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	verdicts := make([]Verdict, len(list))
	for i, c := range list {
		if !o.Memory {
			verdicts[i] = judge(ctx, e, c, o.Timeout)
			continue
		}
		grown := HeapGrowth(func() { verdicts[i] = judge(ctx, e, c, o.Timeout) })
		verdicts[i].Memory = &grown
	}
	return verdicts
}

func judge(ctx context.Context, e *Evidence, c Checker, timeout time.Duration) Verdict {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start := time.Now()
	done := make(chan Verdict, 1)
	go func() {
		v := Verdict{Verdict: Unknown, Reason: "the checker ended its goroutine and gave no verdict"}
		defer func() {
			if p := recover(); p != nil {
				v = Verdict{Verdict: Unknown, Reason: fmt.Sprintf("the checker panicked: %v\n%s", p, debug.Stack())}
			}
			done <- v
		}()
		v = c.Check(ctx, e)
	}()
	var v Verdict
	select {
	case v = <-done:
	case <-ctx.Done():
		late := time.NewTimer(grace)
		defer late.Stop()
		select {
		case v = <-done:
		case <-late.C:
			v = Verdict{Verdict: Unknown, Reason: fmt.Sprintf("the checker did not return within %s", timeout)}
			if context.Cause(ctx) != context.DeadlineExceeded {
				v.Reason = fmt.Sprintf("the checker did not return when it was told to: %v", context.Cause(ctx))
			}
		}
	}
	v.Checker, v.Rank = c.Name(), rankOf(c)
	v.Seconds = time.Since(start).Seconds()
	return v.sane().excused(e.Trouble).founded(e.Lacking)
}

// founded takes back a valid of evidence that lacks something.
func (v Verdict) founded(lacking []string) Verdict {
	if v.Verdict == Valid && len(lacking) > 0 {
		v.Verdict = Unknown
		v.Reason = fmt.Sprintf("nothing wrong was seen in the evidence that is there, but %s; %s", lacking[0], v.Reason)
	}
	return v
}

// excused takes back an invalid for which trouble of the harness may be the
// reason.
func (v Verdict) excused(trouble []cluster.Trouble) Verdict {
	if v.Verdict != Invalid || !v.Witness.Conditional || len(trouble) == 0 {
		return v
	}
	class := cmp.Or(v.Witness.Class, "the violation")
	v.Verdict, v.Witness = Unknown, nil
	v.Reason = fmt.Sprintf("%s was seen, but the harness had trouble of its own, which may be why: %s", class, TroubleText(trouble[0]))
	return v
}

// TroubleText says in words what the harness met.
func TroubleText(t cluster.Trouble) string {
	who := "the cluster"
	if len(t.Nodes) > 0 {
		who = strings.Join(t.Nodes, ", ")
	}
	steps := map[cluster.TroubleStep]string{
		cluster.TroubleInject:  "could not be hit",
		cluster.TroubleHeal:    "could not be healed",
		cluster.TroubleClients: "had clients that could not be stopped",
		cluster.TroubleAsk:     "could not be asked",
		cluster.TroubleCollect: "did not give all its evidence",
		cluster.TroubleOutside: "was disturbed from outside",
	}
	how, known := steps[t.Step]
	if !known {
		how = "was in trouble (" + string(t.Step) + ")"
	}
	return fmt.Sprintf("at %s, %s %s: %s", history.At(t.At), who, how, t.Text)
}

// sane turns what a checker must not say into Unknown, and leaves out measures
// that are no numbers.
func (v Verdict) sane() Verdict {
	for _, name := range slices.Sorted(maps.Keys(v.Measures)) {
		if x := v.Measures[name]; math.IsNaN(x) || math.IsInf(x, 0) {
			v.Measures = maps.Clone(v.Measures)
			delete(v.Measures, name)
			v.Reason = strings.TrimPrefix(fmt.Sprintf("%s; the measure %s was %v and is left out", v.Reason, name, x), "; ")
		}
	}
	switch {
	case ranks[v.Verdict] == 0:
		v.Reason = fmt.Sprintf("the checker said %q, which is no verdict; expected valid, invalid, unknown or not-applicable", v.Verdict)
		v.Verdict = Unknown
	case v.Verdict == NotApplicable && v.Reason == "":
		v.Verdict, v.Reason = Unknown, "the checker said that it had nothing to judge, and not what did not occur"
	case v.Verdict == Invalid && (v.Witness == nil || v.Witness.Summary == "" && len(v.Witness.Operations) == 0):
		v.Verdict, v.Reason = Unknown, strings.TrimSpace("the checker said invalid without a witness. "+v.Reason)
	}
	if v.Verdict != Invalid {
		v.Witness = nil
	}
	return v
}

// Merge returns the conclusion of all verdicts together: invalid beats
// unknown beats valid beats not-applicable. Nothing at all is unknown. Of
// checkers of which none had anything to judge it is not-applicable, which
// proves no more than unknown does.
func Merge(verdicts []Verdict) Validity {
	var merged Validity
	for _, v := range verdicts {
		if ranks[v.Verdict] == 0 {
			v.Verdict = Unknown
		}
		if v.Verdict.Beats(merged) {
			merged = v.Verdict
		}
	}
	if merged == "" {
		return Unknown
	}
	return merged
}

// Func makes a checker of a function.
func Func(name string, f func(ctx context.Context, e *Evidence) Verdict) Checker {
	return function{name, f}
}

type function struct {
	name string
	f    func(ctx context.Context, e *Evidence) Verdict
}

func (f function) Name() string { return f.name }

func (f function) Check(ctx context.Context, e *Evidence) Verdict { return f.f(ctx, e) }
