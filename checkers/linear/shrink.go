package linear

import (
	"runtime"
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// reducedMax bounds the acts of which a minimal explanation is sought one by
// one, and witnessMax those that a witness lists.
const (
	reducedMax = 2_000
	witnessMax = 100
)

// with returns the trial with other acts.
func (t *trial) with(acts []act) *trial {
	return &trial{part: t.part, acts: slices.Clone(acts), values: slices.Clone(t.values), failed: t.failed, all: t.all}
}

// renewing is rules of objects that come back to their first state.
type renewing interface {
	// renewed returns the first of acts, in order of call, that began after
	// the object was in its first state again, for certain, for the last time:
	// those before it say nothing about it and those that follow. It is 0 if
	// that is all of them.
	renewed(acts []act) int
}

// describing is rules that know more to say of acts which a search found to be
// illegal.
type describing interface {
	describe(t *trial) *conflict // nil if they do not
}

// naming is rules whose acts hold numbers of values, in value and list, and
// nothing else there.
type naming interface{ namesValues() }

// alone returns the trial of acts with only the values that they name, so that
// attempts to make them fewer cost what they are, not what the history is. It
// is t with other acts where values cannot be told, or lists are long.
func (t *trial) alone(r rules, acts []act) *trial {
	named := 0
	for i := range acts {
		named += 1 + len(acts[i].list)
	}
	if _, ok := r.(naming); !ok || named >= len(t.values) {
		return t.with(acts)
	}
	x := &trial{part: t.part, acts: slices.Clone(acts), values: []*history.Value{t.values[0]}, failed: map[int32]int32{}, all: t.all}
	numbers := map[int32]int32{0: 0}
	number := func(v int32) int32 {
		n, known := numbers[v]
		if !known {
			n = int32(len(x.values))
			numbers[v], x.values = n, append(x.values, t.values[v])
			if source, failed := t.failed[v]; failed {
				x.failed[n] = source
			}
		}
		return n
	}
	for i := range x.acts {
		a := &x.acts[i]
		a.value = number(a.value)
		list := a.list
		if a.list = slices.Clone(list); list != nil && a.list == nil {
			a.list = []int32{}
		}
		for k, v := range list {
			a.list[k] = number(v)
		}
	}
	return x
}

// shrinker makes a violation small. All its steps are sound: whatever they
// leave is legal if the whole is.
type shrinker struct {
	s structure
	b *budget
	t *trial // the whole
	patience
	cut bool // a search gave up, or it took too long
}

// illegal reports whether acts certainly are.
func (r *shrinker) illegal(acts []act) bool {
	if !r.attempt(r.b, len(acts), len(r.t.values)) {
		r.cut = true
		return false
	}
	t := r.t.with(acts)
	t.silent = true
	if c, applies := r.s.rules.exact(t); applies {
		return c != nil
	}
	a := r.b.spend(r.s.rules.pose(t))
	r.cut = r.cut || a == undecided
	return a == illegal
}

// until returns what was known at the event at index end.
func (r *shrinker) until(acts []act, end int64) []act {
	kept := make([]act, 0, len(acts))
	for _, a := range acts {
		if a.call > end || a.pure && a.ret > end {
			continue
		}
		if a.ret > end && !a.maybe {
			known := true
			a.maybe, a.ret = true, never
			if a, known = r.s.rules.open(a); !known {
				continue
			}
		}
		kept = append(kept, a)
	}
	return kept
}

// narrow returns the acts that a conflict is about, nil if that is all of them.
func (r *shrinker) narrow(c *conflict) []act {
	named := make([]int32, 0, len(c.acts))
	end := int64(0)
	for _, i := range c.acts {
		if i >= 0 {
			a := &r.t.acts[i]
			if named, end = append(named, a.source), max(end, a.call); a.ret != never {
				end = max(end, a.ret)
			}
		}
	}
	slices.Sort(named)
	idle := func(a act) bool {
		_, needed := slices.BinarySearch(named, a.source)
		return !needed && r.removable(a)
	}
	outside := func(a act) bool { return idle(a) || a.call > end || a.ret > end && !a.maybe }
	var part []act
	if c.values != nil {
		in := make([]bool, len(r.t.values))
		for _, v := range c.values {
			in[v] = true
		}
		part = r.s.rules.project(r.t.acts, in)
	}
	alike := func(a, b act) bool { return a.source == b.source && len(a.list) == len(b.list) }
	if part == nil || slices.EqualFunc(part, r.t.acts, alike) {
		if !slices.ContainsFunc(r.t.acts, outside) {
			return nil
		}
		part = slices.Clone(r.t.acts)
	}
	if part = slices.DeleteFunc(part, idle); slices.ContainsFunc(part, outside) {
		part = r.until(part, end)
	}
	return part
}

// firstPrefix finds what was known at the first return by which the history
// was beyond repair: where the search got stuck, or else by bisection.
func (r *shrinker) firstPrefix(stuck int64) []act {
	acts := r.t.acts
	if stuck != 0 {
		first := r.until(acts, stuck)
		if short := r.recent(first); len(short) < len(first) || r.illegal(short) {
			return short
		}
	}
	var returns []int64
	for i := range acts {
		if acts[i].ret != never {
			returns = append(returns, acts[i].ret)
		}
	}
	slices.Sort(returns)
	low, high := 0, len(returns)-1
	for low < high && !r.over(r.b) {
		if mid := (low + high) / 2; r.illegal(r.until(acts, returns[mid])) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	if high < 0 || r.over(r.b) {
		r.cut = true
		return acts
	}
	if first := r.until(acts, returns[low]); r.illegal(first) {
		return r.recent(first)
	}
	return acts
}

// recent leaves out what was over before the object was as at the beginning, if
// the rest is illegal without it.
func (r *shrinker) recent(acts []act) []act {
	if x, ok := r.s.rules.(renewing); ok {
		if from := x.renewed(acts); from > 0 && r.illegal(acts[from:]) {
			return acts[from:]
		}
	}
	return acts
}

// dropElements takes away all elements that are not needed, in ever smaller
// groups (Zeller and Hildebrandt, TSE 28(2), 2002).
func (r *shrinker) dropElements(acts []act) []act {
	in := make([]bool, len(r.t.values))
	var elements []int32
	for v := range in {
		in[v] = true
		elements = append(elements, int32(v))
	}
	if r.s.rules.project(acts, in) == nil {
		return acts
	}
	for size := max(1, len(elements)/2); ; size /= 2 {
		for from := 0; from < len(elements) && !r.over(r.b); {
			group := elements[from:min(from+size, len(elements))]
			set(in, group, false)
			smaller := r.s.rules.project(acts, in)
			if len(smaller) > 0 && r.illegal(smaller) {
				acts = smaller
				elements = slices.Delete(elements, from, from+len(group))
				continue
			}
			set(in, group, true)
			from += size
		}
		if size <= 1 {
			return acts
		}
	}
}

// demanding is rules whose acts only demand something of each other: what is
// legal stays so without any of them.
type demanding interface{ demandsOnly() }

// removable reports whether what is legal stays so without an act.
func (r *shrinker) removable(a act) bool {
	_, every := r.s.rules.(demanding)
	return a.pure || every
}

// dropReads takes away acts that nobody relies on and that are not needed.
func (r *shrinker) dropReads(acts []act) []act {
	for size := max(1, len(acts)/2); ; size /= 2 {
		for to := len(acts); to > 0 && !r.over(r.b); to -= size {
			from := max(0, to-size)
			smaller := append(acts[:from:from], slices.DeleteFunc(slices.Clone(acts[from:to]), r.removable)...)
			smaller = append(smaller, acts[to:]...)
			if len(smaller) < len(acts) && r.illegal(smaller) {
				acts = smaller
			}
		}
		if size <= 1 {
			return acts
		}
	}
}

// explain reduces a violation to a small one that porcupine rejects, too. It
// reports false if porcupine does not.
func (s structure) explain(b *budget, t *trial, c *conflict, stuck int64) (explained, bool) {
	r := &shrinker{s: s, b: b, t: t}
	acts, whole := t.acts, false
	if c == nil {
		acts = r.firstPrefix(stuck)
	} else if about := r.narrow(c); about == nil {
		whole = true // and known to be illegal
	} else {
		if acts = about; len(acts) > reducedMax {
			runtime.GC()
		}
		if !r.illegal(acts) && !r.over(b) {
			acts = r.firstPrefix(stuck)
		}
	}
	small := t
	switch {
	case len(acts) <= reducedMax:
		r.t = t.alone(s.rules, acts)
		acts = r.dropReads(r.dropElements(r.dropReads(r.t.acts)))
		small, whole = r.t.with(acts), false
	case whole:
		r.cut = true
	default:
		r.cut = true
		runtime.GC() // what the attempts left behind counts, too
		small = t.with(acts)
	}
	x := &account{t: small, minimal: !r.cut, structure: s}
	confirmed := undecided
	if b.ctx.Err() == nil && int64(len(acts))*actBytes <= b.memory {
		confirmed = b.oracle(s.rules.pose(small.with(acts)))
	}
	if r.cut {
		runtime.GC()
	}
	switch confirmed {
	case legal:
		return explained{}, false
	case undecided:
		x.unconfirmed = true
	}
	var found *conflict
	if b.ctx.Err() == nil && !whole {
		found, _ = s.rules.exact(small)
	}
	if d, ok := s.rules.(describing); ok && found == nil && c == nil && len(acts) <= reducedMax {
		found = d.describe(small)
	}
	if found != nil {
		x.class, x.summary = found.class, found.summary
	} else if c != nil {
		x.class, x.summary = c.class, c.summary
	} else {
		x.class, x.summary = Unordered, contradiction(len(acts), t.part.String())
	}
	end := int64(0)
	for i := range acts {
		if acts[i].ret != never {
			end = max(end, acts[i].ret)
		}
	}
	return explained{len(acts), end, x.witness, x.picture, b.memory}, true
}
