package linear

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers/linear/search"
	"github.com/cleancut/cleancut/harness/history"
)

const (
	counterAdd uint8 = iota
	counterRead
)

// counters are the rules of a counter: add adds its argument, an integer, and
// read returns the sum. The exact algorithm needs additions that are all
// equal. Others are searched; where that gives up, each read is compared with
// the least and the greatest sum that it can have found, which proves no
// history valid.
type counters struct{ initial int64 }

func (counters) functions() []string { return []string{Add, Read} }

func (c counters) parse(in *interner, h *history.Operation, a *act) (bool, error) {
	v := &h.Input
	if h.F == Read {
		if a.kind, a.pure = counterRead, true; h.Outcome != history.OK {
			return false, nil
		}
		v = &h.Output
	}
	n, ok := v.AsInt()
	if !ok {
		return false, fmt.Errorf("its value is %s; expected an integer", v)
	}
	if n >= 1<<40 || n <= -(1<<40) {
		return false, fmt.Errorf("its value is %d; expected less than 2⁴⁰, so that sums fit", n)
	}
	a.value = in.id(v)
	return h.F == Read || h.Outcome != history.Fail && n != 0, nil
}

func (counters) open(a act) (act, bool) { return a, true }

func (t *trial) number(a *act) int64 {
	n, _ := t.values[a.value].AsInt()
	return n
}

// numbers returns the number of each act.
func (t *trial) numbers() []int64 {
	numbers := make([]int64, len(t.acts))
	for i := range t.acts {
		numbers[i] = t.number(&t.acts[i])
	}
	return numbers
}

// exact is an instance of scheduling with release times and deadlines. An
// addition must come after all reads that were over when it was called, and
// before all that were called when it was over. So it can only make the
// counter pass from r-1 to r if low < r <= high, where low is the greatest
// value read before it and high the least read after it. The earliest
// deadline first is best because low and high both follow the real-time
// order.
func (c counters) exact(t *trial) (*conflict, bool) {
	var adds, reads []int32
	step := int64(0)
	for i := range t.acts {
		if t.acts[i].kind == counterRead {
			reads = append(reads, int32(i))
			continue
		}
		if a := &t.acts[i]; a.maybe && a.ret != never {
			return nil, false // an addition that need not be, but only until then: no deadline says that
		}
		adds = append(adds, int32(i))
		d := t.number(&t.acts[i])
		if step == 0 {
			step = d
		}
		if d != step {
			return nil, false
		}
	}
	if step == 0 {
		step = 1
	}
	total := func(r int32) (int64, bool) {
		n := t.number(&t.acts[r]) - c.initial
		return n / step, n%step == 0 && n/step >= 0 && n/step <= int64(len(adds))
	}
	for _, r := range reads {
		if _, ok := total(r); !ok {
			return t.counted(WrongSum, r, fmt.Sprintf("%s, which %d additions of %d to %d cannot give", t.the(r), len(adds), step, c.initial)), true
		}
	}
	value := func(r int32) int64 { n, _ := total(r); return n }
	return t.ranks(adds, reads, value), true
}

// rank is an addition with the totals between which it can make the counter
// pass: low < total <= high.
type rank struct {
	act       int32
	low, high int64
}

func (t *trial) ranks(adds, reads []int32, value func(int32) int64) *conflict {
	byReturn := slices.Clone(reads)
	slices.SortFunc(byReturn, func(a, b int32) int { return cmp.Compare(t.acts[a].ret, t.acts[b].ret) })
	ranks := make([]rank, len(adds))
	// greatest is the greatest value read that was over before an act began.
	greatest, at, by := int64(0), 0, int32(-1)
	i := 0
	for n := range t.acts {
		a := &t.acts[n]
		for ; at < len(byReturn) && t.acts[byReturn[at]].ret < a.call; at++ {
			if v := value(byReturn[at]); v > greatest || by < 0 {
				greatest, by = v, byReturn[at]
			}
		}
		if a.kind == counterAdd {
			ranks[i] = rank{int32(n), greatest, never}
			i++
		} else if value(int32(n)) < greatest {
			return &conflict{
				class: StaleRead, acts: []int32{by, int32(n)},
				summary: fmt.Sprintf("%s, although %s", t.the(int32(n)), t.the(by)),
			}
		}
	}
	t.deadlines(ranks, reads, value)
	return t.fill(ranks, reads, value)
}

// deadlines sets the high of each rank: the least value read after it.
func (t *trial) deadlines(ranks []rank, reads []int32, value func(int32) int64) {
	order := make([]int, len(ranks))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(t.acts[ranks[b].act].ret, t.acts[ranks[a].act].ret) })
	least, at := never, len(reads)-1
	for _, i := range order {
		for ; at >= 0 && t.acts[reads[at]].call > t.acts[ranks[i].act].ret; at-- {
			least = min(least, value(reads[at]))
		}
		if !t.acts[ranks[i].act].maybe {
			ranks[i].high = least
		}
	}
}

// deadlineHeap has the rank with the least high on top.
type deadlineHeap []rank

func (h deadlineHeap) Len() int           { return len(h) }
func (h deadlineHeap) Less(i, j int) bool { return h[i].high < h[j].high }
func (h deadlineHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *deadlineHeap) Push(x any)        { *h = append(*h, x.(rank)) }
func (h *deadlineHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// fill gives each total up to the greatest that was read an addition.
func (t *trial) fill(ranks []rank, reads []int32, value func(int32) int64) *conflict {
	top, reader := int64(0), int32(-1)
	for _, r := range reads {
		if v := value(r); v > top {
			top, reader = v, r
		}
	}
	slices.SortStableFunc(ranks, func(a, b rank) int { return cmp.Compare(a.low, b.low) })
	var h deadlineHeap
	lost := func(r rank) *conflict {
		after := int32(-1)
		for _, x := range reads {
			if value(x) == r.high && t.acts[x].call > t.acts[r.act].ret {
				after = x
			}
		}
		return t.counted(LostAdd, after, fmt.Sprintf("%s, which is too low: %s and others before it were acknowledged", t.the(after), t.the(r.act)))
	}
	next := 0
	for total := int64(1); total <= top; total++ {
		for ; next < len(ranks) && ranks[next].low < total; next++ {
			heap.Push(&h, ranks[next])
		}
		if h.Len() == 0 {
			for _, r := range reads { // the first that is too high
				if value(r) >= total && t.acts[r].ret < t.acts[reader].ret {
					reader = r
				}
			}
			return t.counted(WrongSum, reader, t.the(reader)+", which is too high: not so many additions had begun")
		}
		if r := heap.Pop(&h).(rank); r.high < total {
			return lost(r)
		}
	}
	for _, r := range append(h, ranks[next:]...) {
		if r.high <= top {
			return lost(r)
		}
	}
	return nil
}

// counted is a conflict of a read with additions: all that began before it
// was over.
func (t *trial) counted(class string, read int32, summary string) *conflict {
	c := &conflict{class: class, summary: summary}
	for i := range t.acts {
		if t.acts[i].kind == counterAdd && t.acts[i].call < t.acts[read].ret || int32(i) == read {
			c.acts = append(c.acts, int32(i))
		}
	}
	return c
}

func (counters) project([]act, []bool) []act { return nil }

// bounds implements bounder, as Jepsen's counter checker does.
func (c counters) bounds(t *trial) *conflict {
	type change struct {
		at     int64
		lo, hi int64
	}
	var changes []change
	var reads []int32
	for i := range t.acts {
		a := &t.acts[i]
		d := t.number(a)
		switch {
		case a.kind == counterRead:
			reads = append(reads, int32(i))
		case d > 0:
			changes = append(changes, change{a.call, 0, d})
			if !a.maybe {
				changes = append(changes, change{a.ret, d, 0})
			}
		default:
			changes = append(changes, change{a.call, d, 0})
			if !a.maybe {
				changes = append(changes, change{a.ret, 0, d})
			}
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.at, b.at) })
	lows, highs := make([]int64, len(changes)+1), make([]int64, len(changes)+1)
	lows[0], highs[0] = c.initial, c.initial
	for i, x := range changes {
		lows[i+1], highs[i+1] = lows[i]+x.lo, highs[i]+x.hi
	}
	before := func(at int64) int {
		i, _ := slices.BinarySearchFunc(changes, at, func(x change, at int64) int { return cmp.Compare(x.at, at) })
		return i
	}
	for _, r := range reads {
		from, to := before(t.acts[r].call), before(t.acts[r].ret)
		low, high := slices.Min(lows[from:to+1]), slices.Max(highs[from:to+1])
		if n := t.number(&t.acts[r]); n < low || n > high {
			return t.counted(WrongSum, r, fmt.Sprintf("%s; what had been acknowledged and begun allows %d to %d", t.the(r), low, high))
		}
	}
	return c.indivisible(t, reads)
}

// indivisible finds a read that differs from the first value by what is no
// multiple of what all additions are multiples of.
func (c counters) indivisible(t *trial, reads []int32) *conflict {
	divisor := int64(0)
	for i := range t.acts {
		if a := &t.acts[i]; a.kind == counterAdd {
			for n := t.number(a); n != 0; divisor, n = n, divisor%n {
			}
		}
	}
	for _, r := range reads {
		if n := t.number(&t.acts[r]) - c.initial; divisor == 0 && n != 0 || divisor != 0 && n%divisor != 0 {
			return t.counted(WrongSum, r, fmt.Sprintf("%s, which is not %d and a multiple of %d, as all sums are", t.the(r), c.initial, max(divisor, -divisor)))
		}
	}
	return nil
}

func (counters) unproven() error {
	return errors.New("every read is within its bounds, but additions differ, so that this is no proof, and the search for one used up its budget")
}

// counterModel has sums as states.
type counterModel struct {
	table[int64]
	acts    []act
	numbers []int64
}

func (c counters) pose(t *trial) *search.Problem {
	m := &counterModel{acts: t.acts, numbers: t.numbers()}
	return t.posed(m, m.id(c.initial, 0))
}

// Step implements search.Model.
func (m *counterModel) Step(state, at int32) (int32, bool) {
	if m.acts[at].kind == counterRead {
		return state, m.keys[state] == m.numbers[at]
	}
	if to, ok := m.known(state, at); ok {
		return to, true
	}
	return m.leads(state, at, m.keys[state]+m.numbers[at], 0), true
}
