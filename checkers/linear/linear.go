package linear

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Name is the name of the checker.
const Name = "linearizable"

// Checker returns a checker of linearizability against a map of registers. It
// panics if the options are invalid; ask Options.Validate first where they
// come from a user.
func Checker(spec Spec, o Options) checkers.Checker {
	if err := o.Validate(); err != nil {
		panic(err)
	}
	return checker{object: registers{spec}, o: o.withDefaults()}
}

// checker judges the parts of an object, each alone.
type checker struct {
	object object
	o      Options
	limits limits
	// jepsen says that operations may have the form of Jepsen's logs.
	jepsen bool
	// bare leaves out explanations: an invalid has no witness then, and nobody
	// confirms it.
	bare bool
	// undrawn leaves out pictures.
	undrawn bool
}

// object is a sequential object, or a family of independent ones by key.
type object interface {
	// split divides the operations of a key into independent parts.
	split(all []history.Operation, p part) []part
	// judge decides one part.
	judge(b *budget, all []history.Operation, p part, a Algorithm) judgement
}

// part is operations that are judged together.
type part struct {
	key, element string  // element is "" if the part is all of the key
	at           []int32 // indices of its operations, in order of invocation
	extra        int64   // bytes that its values take beyond those of integers
}

// judgement is what was found about a part.
type judgement struct {
	answer     answer
	algorithm  string
	operations int
	err        error // why nothing could be decided
	// explain makes an illegal part plain. It reports false if porcupine does
	// not agree.
	explain func(b *budget) (explained, bool)
}

// explained is a violation in its smallest form.
type explained struct {
	operations int
	end        int64 // its last return
	witness    func(e *checkers.Evidence) *checkers.Witness
	picture    func(e *checkers.Evidence, memory int64) []byte // of the witness
	memory     int64                                           // for the picture
}

func (c checker) Name() string { return Name }

func (c checker) Check(ctx context.Context, e *checkers.Evidence) checkers.Verdict {
	if c.o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.o.Timeout)
		defer cancel()
	}
	if need := c.common(len(e.Operations), 1); need > c.o.Memory {
		return checkers.Verdict{Verdict: checkers.Unknown, Reason: tooLarge(fmt.Sprintf("%d operations", len(e.Operations)), need, c.o.Memory).Error()}
	}
	e, err := c.prepared(e)
	if err != nil {
		return checkers.Verdict{Verdict: checkers.Unknown, Reason: err.Error()}
	}
	var parts []part
	groups, glimpses := group(e.Operations, c.glances(len(e.Operations)))
	for _, p := range groups {
		parts = append(parts, c.object.split(e.Operations, p)...)
		if need := c.common(len(e.Operations), len(parts)); need > c.o.Memory {
			return checkers.Verdict{Verdict: checkers.Unknown, Reason: tooLarge(fmt.Sprintf("%d keys and more", len(parts)), need, c.o.Memory).Error()}
		}
	}
	if len(parts) == 0 {
		return checkers.Verdict{Verdict: checkers.Unknown, Reason: "the history has no operations"}
	}
	return c.conclude(ctx, e, c.judgeAll(ctx, e.Operations, glimpses, parts))
}

// prepared makes single sends and polls of operations in the form of Jepsen's
// logs, and takes what that needs from the memory.
func (c *checker) prepared(e *checkers.Evidence) (*checkers.Evidence, error) {
	if !c.jepsen || !slices.ContainsFunc(e.Operations, jepsenForm) {
		return e, nil
	}
	need := operationBytes * int64(singles(e.Operations))
	if need > c.o.Memory {
		return nil, tooLarge(fmt.Sprintf("%d operations in the form of Jepsen's", len(e.Operations)), need, c.o.Memory)
	}
	ops, err := single(e.Operations)
	if err != nil {
		return nil, err
	}
	c.jepsen, c.o.Memory = false, c.o.Memory-need
	single := *e
	single.Operations = ops
	return &single, nil
}

// tally is what the check of all parts found.
type tally struct {
	operations, configurations int
	bytes                      int64
	by                         map[string]int // algorithm → parts
	undecided                  []string       // "key: reason"
	violations                 []verdict
}

// explainMax bounds how many violations are reduced to find the plainest.
const explainMax = 8

func (c checker) conclude(ctx context.Context, e *checkers.Evidence, all []verdict) checkers.Verdict {
	t := tally{by: map[string]int{}}
	for _, v := range all {
		t.operations += v.operations
		t.configurations += v.configurations
		t.bytes = max(t.bytes, v.bytes)
		t.by[v.algorithm]++
		switch {
		case v.answer == illegal:
			t.violations = append(t.violations, v)
		case v.answer == undecided:
			t.undecided = append(t.undecided, v.part.String()+": "+v.err.Error())
		}
	}
	delete(t.by, "")
	var best *explained
	var names []string
	if !c.bare {
		best, names = c.plainest(ctx, &t)
	}
	v := checkers.Verdict{
		Verdict:   checkers.Valid,
		Algorithm: algorithm(t.by),
		Measures: map[string]float64{
			"keys": float64(len(all)), "operations": float64(t.operations),
			"configurations": float64(t.configurations), "search_bytes": float64(t.bytes),
		},
	}
	switch {
	case c.bare && len(t.violations) > 0:
		v.Verdict = checkers.Invalid
	case best != nil:
		v.Verdict = checkers.Invalid
		v.Reason = fmt.Sprintf("%d of %d keys cannot be linearized: %s", len(names), len(all), list(names))
		if len(all) == 1 {
			v.Reason = names[0] + " cannot be linearized"
		}
		if v.Witness = best.witness(e); !c.undrawn {
			v.Witness.Picture = best.picture(e, best.memory)
		}
	case len(t.undecided) > 0:
		v.Verdict = checkers.Unknown
		v.Reason = fmt.Sprintf("%d of %d keys could not be decided: %s", len(t.undecided), len(all), list(t.undecided))
		if len(all) == 1 {
			v.Reason = "could not be decided: " + t.undecided[0]
		}
	default:
		v.Reason = linearized(len(all), t.operations)
	}
	return v
}

// linearized says how much can be linearized.
func linearized(keys, operations int) string {
	what := fmt.Sprintf("all %d keys", keys)
	if keys == 1 {
		what = "the only key"
	}
	return fmt.Sprintf("%s can be linearized (%s)", what, plural(operations, "operation"))
}

// plural is "1 thing" or "3 things".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// plainest explains the first violations and returns the smallest
// explanation, with the names of the keys that are violated.
func (c checker) plainest(ctx context.Context, t *tally) (best *explained, names []string) {
	left := c.o.Memory - c.each()*int64(t.operations)
	if len(t.violations) > 0 && left < c.o.Memory/2 {
		runtime.GC() // what judging left behind counts, too
		left = c.o.Memory
	}
	for i, v := range t.violations {
		if i < explainMax {
			x, ok := v.explain(c.explaining(ctx, &v.part, left))
			if !ok {
				t.undecided = append(t.undecided, v.part.String()+": the algorithm "+v.algorithm+" and porcupine disagree; this is a defect of the checker, please report it")
				continue
			}
			if best == nil || cmp.Or(cmp.Compare(x.operations, best.operations), cmp.Compare(x.end, best.end)) < 0 {
				best = &x
			}
		}
		names = append(names, v.part.String())
	}
	return best, names
}

// explaining is the budget for the explanation of a part, which is still there,
// if so much memory is left: a quarter of it is for what is not counted. It is a
// tenth of all at least, for judging needs far more than what it leaves behind.
func (c checker) explaining(ctx context.Context, p *part, left int64) *budget {
	left = min(left, c.o.Memory-c.bytes(p))
	return c.budget(ctx, max(c.o.Memory/10, left/4*3))
}

func (c checker) budget(ctx context.Context, memory int64) *budget {
	return &budget{ctx: ctx, configurations: c.o.Configurations, memory: memory, limits: c.limits}
}

// algorithm names those who judged.
func algorithm(by map[string]int) string {
	if len(by) == 1 {
		for name := range by {
			return name
		}
	}
	var names []string
	for name, parts := range by {
		names = append(names, fmt.Sprintf("%s (%s)", name, plural(parts, "key")))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (p part) String() string {
	if p.element != "" {
		return "element " + p.element + " of " + name(p.key)
	}
	return name(p.key)
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
