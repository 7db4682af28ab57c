package linear

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/checkers/linear/search"
	"github.com/cleancut/cleancut/harness/history"
)

// act is an operation on an object other than a register, in a form that is
// quick to judge.
type act struct {
	kind      uint8 // as the object defines
	maybe     bool  // of unknown outcome
	pure      bool  // it changes nothing and only tells
	value     int32 // id of the element, or a number that the object defines
	source    int32 // index of the operation in the history
	call, ret int64 // indices of events; ret is never for maybe, but for limits
	list      []int32
}

// trial is the history of one part of an object.
type trial struct {
	part   part
	acts   []act // in order of call, without failed ones
	values []*history.Value
	failed map[int32]int32 // id of an element → operation that failed to bring it in
	all    []history.Operation
	silent bool // nobody reads what a conflict says
}

// rules are the sequential specification of an object, and what is known of
// deciding it.
type rules interface {
	// functions lists the operations by F.
	functions() []string
	// parse turns an operation into an act. It reports false if the operation
	// neither changes anything nor tells anything.
	parse(in *interner, h *history.Operation, a *act) (keep bool, err error)
	// exact decides the trial if its preconditions hold. The conflict is nil
	// if there is a linearization.
	exact(t *trial) (c *conflict, applies bool)
	// pose turns the trial into a problem for the search.
	pose(t *trial) *search.Problem
	// open returns what an act that changes something says as long as it is
	// not over, and whether that is anything.
	open(a act) (act, bool)
	// project returns copies of the acts that concern the given elements, with
	// lists shortened to them. If the whole is legal, so is that. It returns nil
	// if elements cannot be taken apart.
	project(acts []act, in []bool) []act
}

// conflict is a violation.
type conflict struct {
	class, summary string
	acts           []int32 // those that contradict each other
	values         []int32 // the elements concerned
}

// structure is an object that is judged by rules.
type structure struct {
	name  string
	rules rules
	exact string // name of the exact algorithm
}

// splitter is rules of an object that falls into independent parts beyond
// its keys.
type splitter interface {
	split(all []history.Operation, p part) []part
}

func (s structure) split(all []history.Operation, p part) []part {
	if x, ok := s.rules.(splitter); ok {
		return x.split(all, p)
	}
	return []part{p}
}

// try builds the trial of a part.
func (s structure) try(in *interner, all []history.Operation, p part) (*trial, error) {
	in.reset()
	in.expect(len(p.at))
	functions := s.rules.functions()
	t := &trial{part: p, acts: make([]act, 0, len(p.at)), failed: map[int32]int32{}, all: all}
	touched := 0
	var a act // one for all: it escapes to parse
	for i, at := range p.at {
		if err := in.late(i); err != nil {
			return nil, err
		}
		if i == touched {
			touched = touch(all, p.at, i)
		}
		h := &all[at]
		if !slices.Contains(functions, h.F) {
			return nil, fmt.Errorf("the function %q at event %d is not part of the specification of a %s; expected %s", h.F, h.Call, s.name, strings.Join(functions, ", "))
		}
		a = act{call: h.Call, ret: h.Return, source: at}
		if h.Outcome == history.Info {
			a.maybe, a.ret = true, never
		}
		keep, err := s.rules.parse(in, h, &a)
		if err == nil {
			err = in.crowded()
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("the %s at event %d: %w", h.F, h.Call, err)
		case !keep || a.pure && h.Outcome != history.OK && !h.FoundEmpty():
		case h.Outcome == history.Fail && !a.pure:
			t.failed[a.value] = at
		default:
			t.acts = append(t.acts, a)
		}
	}
	t.values = in.values
	return t, nil
}

// touchMax is how many operations are brought near at once.
const touchMax = 64

// touch reads a little of the next operations of a key. They are far apart
// where keys are many, and the processor fetches several at once if it need
// not finish with one before it sees the next. It returns how far it went.
func touch(all []history.Operation, at []int32, from int) int {
	to := min(from+touchMax, len(at))
	sum := 0
	for _, i := range at[from:to] {
		h := &all[i]
		if ns, ok := h.Output.Ints(); ok {
			sum += int(ns[0])
		}
		if h.Input.IsNil() {
			sum++
		}
		sum += int(h.Outcome) + int(h.Return)
	}
	runtime.KeepAlive(sum) // so that it is computed
	return to
}

func (s structure) judge(b *budget, all []history.Operation, p part, a Algorithm) judgement {
	t, err := s.try(b.interner(len(all)), all, p)
	if err != nil {
		return judgement{err: err}
	}
	b.pay(b.in.strangers(len(p.at)))
	return s.decide(b, t, a)
}

// decide judges a trial.
func (s structure) decide(b *budget, t *trial, a Algorithm) judgement {
	for i := range t.acts {
		t.acts[i].ret = b.limits.of(t.acts[i].source, t.acts[i].ret)
	}
	j := judgement{operations: len(t.acts)}
	var c *conflict
	applies := false
	if a == Automatic {
		c, applies = s.rules.exact(t)
	}
	if c = s.evident(t, c, applies || a == Porcupine); c != nil && !applies {
		j.answer, j.algorithm = illegal, supply
		j.explain = func(b *budget) (explained, bool) { return s.explain(b, t, c, 0) }
		return j
	}
	switch {
	case applies && c == nil:
		j.algorithm, j.answer = s.exact, legal
	case applies:
		j.algorithm, j.answer = s.exact, illegal
	case a == Porcupine:
		j.algorithm, j.answer = "porcupine", b.oracle(s.rules.pose(t))
	default:
		j.algorithm, j.answer = "search", b.spend(s.rules.pose(t))
		if b.defect {
			j.algorithm, j.answer = "porcupine", b.oracle(s.rules.pose(t))
		}
	}
	if x, ok := s.rules.(bounder); ok && j.answer == undecided && b.ctx.Err() == nil && !b.defect {
		j.err = x.unproven()
	}
	if stuck := b.stuck; j.answer == illegal {
		j.explain = func(b *budget) (explained, bool) { return s.explain(b, t, c, stuck) }
	}
	return j
}

// supply names what is decided by counting what was brought in: it needs neither
// an exact algorithm nor a search.
const supply = "supply"

// evident returns a conflict that is one whatever the order of operations is,
// or c if the trial is decided.
func (s structure) evident(t *trial, c *conflict, decided bool) *conflict {
	if decided {
		return c
	}
	if r, ok := s.rules.(trader); ok {
		c = unsupplied(t, r)
	}
	if r, ok := s.rules.(bounder); ok && c == nil {
		c = r.bounds(t)
	}
	return c
}

// bounder is rules of which a search may give up, and something can be said
// without.
type bounder interface {
	// bounds returns a conflict whatever the order of operations is, nil if it
	// finds none, which proves nothing.
	bounds(t *trial) *conflict
	// unproven says so.
	unproven() error
}

// posed makes a problem of acts: classes are made of acts of equal kind and
// value, except where these have lists.
func (t *trial) posed(m search.Model, initial int32) *search.Problem {
	p := &search.Problem{Ops: make([]search.Op, len(t.acts)), Initial: initial, Model: m}
	type label struct {
		kind  uint8
		value int32
	}
	count := make(map[label]int32, len(t.acts))
	for i := range t.acts {
		if a := &t.acts[i]; !a.pure {
			count[label{a.kind, a.value}]++
		}
	}
	classes := int32(0)
	for l, n := range count {
		if count[l] = 0; n > 1 {
			count[l] = -1
		}
	}
	for i := range t.acts {
		a := &t.acts[i]
		p.Ops[i] = search.Op{Call: a.call, Return: a.ret, Maybe: a.maybe, Pure: a.pure}
		l := label{a.kind, a.value}
		if a.pure || a.list != nil || count[l] == 0 {
			continue
		}
		if count[l] < 0 {
			classes++
			count[l] = classes
		}
		p.Ops[i].Class = count[l]
	}
	return p
}

// Values that no operation has brought are strangers: elements of lists that
// nobody appended, say. What they take is known only when they are met.

// errStrangers: there is not the memory for all of them.
var errStrangers = errors.New("more than the operations bring")

// valuesEach is how many values an operation may bring that is counted by
// actBytes, and crowd how many integers are read between two looks at how many
// there are.
const (
	valuesEach = 2
	crowd      = 256
)

// expect begins the part of so many operations.
func (in *interner) expect(operations int) {
	in.most = valuesEach*operations + crowd + int(min(in.memory/strangerBytes, math.MaxInt32))
}

// crowded says that there are more values than there is memory for.
func (in *interner) crowded() error {
	if n := len(in.values); n > in.most {
		return fmt.Errorf("there are %d values, %w, and %d MiB are allowed for the others", n, errStrangers, in.memory>>20)
	}
	return nil
}

// strangers is what they take.
func (in *interner) strangers(operations int) int64 {
	return strangerBytes * int64(max(0, len(in.values)-valuesEach*operations))
}

// list returns the ids of a list of values; nil is the empty list. Lists that
// begin alike share their ids, which must not be changed.
func (in *interner) list(v *history.Value) ([]int32, error) {
	if !v.IsList() && !v.IsNil() {
		return nil, fmt.Errorf("it returned %s; expected a list", v)
	}
	if in.longestIDs == nil {
		in.longestIDs = []int32{} // the empty list is a list, too
	}
	length, n := v.Len(), in.alike(v)
	if n == length {
		return in.longestIDs[:n:n], nil
	}
	ids := in.longestIDs[:n:n]
	if n == in.longest.Len() { // what follows is after all that share it
		ids = in.longestIDs
	}
	ids = slices.Grow(ids, length-n)
	if ns, ok := v.Ints(); ok {
		for some := range slices.Chunk(ns[n:], crowd) {
			if err := in.crowded(); err != nil {
				return nil, err
			}
			for _, n := range some {
				ids = append(ids, in.ofInt(n))
			}
		}
	} else {
		list, _ := v.AsList()
		for i := n; i < length; i++ {
			if err := in.crowded(); err != nil {
				return nil, err
			}
			ids = append(ids, in.id(&list[i]))
		}
	}
	if length > in.longest.Len() {
		in.longest, in.longestIDs = *v, ids
	}
	return ids[:length:length], nil
}

// alike returns how many values list has in common with the beginning of the
// longest list so far.
func (in *interner) alike(list *history.Value) int {
	n := min(list.Len(), in.longest.Len())
	a, integers := list.Ints()
	if b, ok := in.longest.Ints(); ok && integers {
		a, b = a[:n], b[:n]
		for i := range a {
			if a[i] != b[i] {
				return i
			}
		}
		return n
	}
	for i := range n {
		if !list.At(i).Equal(in.longest.At(i)) {
			return i
		}
	}
	return n
}
