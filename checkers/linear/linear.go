package linear

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Name is the name of the checker.
const Name = "linearizable"

// Checker returns a checker of linearizability against spec. It panics if the
// options are invalid; ask Options.Validate first where they come from a
// user.
func Checker(spec Spec, o Options) checkers.Checker {
	if err := o.Validate(); err != nil {
		panic(err)
	}
	if o.Steps == 0 {
		o.Steps = DefaultSteps
	}
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	return checker{spec, o}
}

type checker struct {
	spec Spec
	o    Options
}

func (c checker) Name() string { return Name }

// violation is a key that cannot be linearized.
type violation struct {
	problem *problem
	zoned   bool // found by zones, not by search
}

// tally is what the check of all keys found.
type tally struct {
	keys, zoned, searched int
	operations, steps     int
	undecided             []string // "key: reason"
	violations            []violation
}

func (c checker) Check(ctx context.Context, e *checkers.Evidence) checkers.Verdict {
	if c.o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.o.Timeout)
		defer cancel()
	}
	keys, byKey := group(e.Operations)
	if len(keys) == 0 {
		return checkers.Verdict{Verdict: checkers.Unknown, Reason: "the history has no operations"}
	}
	t := tally{keys: len(keys)}
	in := newInterner()
	for i, key := range keys {
		if ctx.Err() != nil {
			t.undecided = append(t.undecided, fmt.Sprintf("time ran out after %d of %d keys", i, len(keys)))
			break
		}
		p, err := compile(in, key, c.spec, e.Operations, byKey[key])
		if err != nil {
			t.undecided = append(t.undecided, name(key)+": "+err.Error())
			continue
		}
		t.operations += len(p.ops)
		c.decide(ctx, p, &t)
	}
	return c.conclude(ctx, e, &t)
}

// group returns the keys in order and the indices of each key's operations.
func group(ops []history.Operation) (keys []string, byKey map[string][]int) {
	byKey = map[string][]int{}
	for i := range ops {
		if byKey[ops[i].Key] == nil {
			keys = append(keys, ops[i].Key)
		}
		byKey[ops[i].Key] = append(byKey[ops[i].Key], i)
	}
	slices.Sort(keys)
	return keys, byKey
}

// decide judges one key.
func (c checker) decide(ctx context.Context, p *problem, t *tally) {
	if !c.o.SearchOnly {
		if a, _, applies := decideByZones(p.ops, p.initial, len(p.values)); applies {
			t.zoned++
			if a == illegal {
				t.violations = append(t.violations, violation{p, true})
			}
			return
		}
	}
	t.searched++
	b := c.budget(ctx)
	switch search(b, p.ops, p.initial, len(p.values)) {
	case illegal:
		t.violations = append(t.violations, violation{p, false})
	case undecided:
		why := fmt.Sprintf("the search of %d operations used up its budget of %d steps and %d MiB", len(p.ops), c.o.Steps, c.o.Memory>>20)
		if ctx.Err() != nil {
			why = "time ran out while it was searched"
		}
		t.undecided = append(t.undecided, name(p.key)+": "+why)
	}
	t.steps += c.o.Steps - max(0, b.steps)
}

func (c checker) budget(ctx context.Context) *budget {
	return &budget{ctx: ctx, steps: c.o.Steps, memory: c.o.Memory}
}

// explainMax bounds how many violations are reduced to find the plainest.
const explainMax = 8

func (c checker) conclude(ctx context.Context, e *checkers.Evidence, t *tally) checkers.Verdict {
	v := checkers.Verdict{
		Verdict:   checkers.Valid,
		Algorithm: algorithm(t),
		Measures: map[string]float64{
			"keys": float64(t.keys), "operations": float64(t.operations), "steps": float64(t.steps),
		},
	}
	var best *explanation
	var names []string
	for i := range t.violations {
		names = append(names, name(t.violations[i].problem.key))
		if i >= explainMax {
			continue
		}
		x, ok := c.explain(ctx, &t.violations[i])
		if !ok {
			t.undecided = append(t.undecided, names[i]+": the zone algorithm and porcupine disagree; this is a defect of the checker, please report it")
			names = names[:len(names)-1]
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(len(x.ops), len(best.ops)), cmp.Compare(x.end, best.end)) < 0 {
			best = x
		}
	}
	switch {
	case best != nil:
		v.Verdict = checkers.Invalid
		v.Reason = fmt.Sprintf("%d of %d keys cannot be linearized: %s", len(names), t.keys, list(names))
		v.Witness = best.witness(e)
	case len(t.undecided) > 0:
		v.Verdict = checkers.Unknown
		v.Reason = fmt.Sprintf("%d of %d keys could not be decided: %s", len(t.undecided), t.keys, list(t.undecided))
	default:
		v.Reason = fmt.Sprintf("all %d keys can be linearized (%d operations)", t.keys, t.operations)
	}
	return v
}

// explain reduces the first violation of a key. It reports false if porcupine
// does not agree that there is one.
func (c checker) explain(ctx context.Context, v *violation) (*explanation, bool) {
	p := v.problem
	b := c.budget(ctx)
	r := &reducer{budget: b, initial: p.initial, values: len(p.values)}
	x := &explanation{problem: p}
	if !v.zoned {
		small := r.reduce(r.firstIllegalPrefix(p.ops))
		x.ops, x.minimal = small.ops, small.minimal
		x.end = lastReturn(x.ops)
		return x, true
	}
	closed := firstConflict(p)
	switch search(b, closed, p.initial, len(p.values)) {
	case legal:
		return nil, false
	case undecided: // the zones decided, and time ran out for making it small
		x.ops = closed
	default:
		small := r.reduce(closed)
		x.ops, x.minimal = small.ops, small.minimal
	}
	x.end = lastReturn(x.ops)
	return x, true
}

func lastReturn(ops []op) int64 {
	var last int64
	for _, o := range ops {
		if o.ret != never {
			last = max(last, o.ret)
		}
	}
	return last
}

func algorithm(t *tally) string {
	switch {
	case t.searched == 0:
		return "zones"
	case t.zoned == 0:
		return "porcupine"
	}
	return fmt.Sprintf("zones (%d keys), porcupine (%d keys)", t.zoned, t.searched)
}

// name names a key in sentences.
func name(key string) string {
	if key == "" {
		return "the only key"
	}
	return "key " + key
}

// list joins the first few of a list of names.
func list(names []string) string {
	const most = 5
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
