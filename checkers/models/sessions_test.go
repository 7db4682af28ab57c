package models

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/history"
)

// run judges operations.
func run(c checkers.Checker, ops []history.Operation) checkers.Verdict {
	return c.Check(context.Background(), &checkers.Evidence{Operations: ops})
}

// tiny is one operation of a history for the oracles. Values are those of one
// write each, 0 is nil: the initial value, and what a delete leaves.
type tiny struct {
	process, key  int
	f             string
	returned, put int   // what was read, and what was written
	list          []int // of a read of a list
	outcome       history.Outcome
}

// half is the read or the write of an operation.
type half struct {
	tiny
	write bool
}

// randomTiny draws operations on registers, or on lists.
func randomTiny(r *rand.Rand, lists bool) (h []tiny) {
	processes, keys, n := 2+r.IntN(2), 1+r.IntN(2), 3+r.IntN(4)
	plain := r.IntN(3) == 0
	names := []int{0, 1, 2}
	var values [2][]int
	values[0], values[1] = []int{0}, []int{0}
	for next := 1; next <= n; next++ {
		p := r.IntN(processes)
		o := tiny{process: names[p], key: r.IntN(keys), f: Read, put: next}
		switch c := r.IntN(20); {
		case lists && c < 10:
			o.f = Append
		case lists:
		case c < 8:
			o.f = Write
		case c < 12 && !plain:
			o.f = CAS
		case c < 14 && !plain:
			o.f, o.put = Delete, 0
		}
		o.outcome = history.OK
		if c := r.IntN(12); c < 2 && !plain {
			if o.outcome = history.Fail; c == 0 {
				o.outcome = history.Info
				names[p] += 3
			}
		}
		if o.f != Read {
			values[o.key] = append(values[o.key], o.put)
		}
		h = append(h, o)
	}
	for i := range h {
		o, vs := &h[i], slices.Clone(values[h[i].key])
		if o.f == CAS {
			vs = slices.DeleteFunc(vs, func(v int) bool { return v == o.put })
		}
		o.returned = vs[r.IntN(len(vs))]
		if o.f == Read && lists {
			most := len(vs) - 1
			if o.list = slices.Clone(vs[1:]); r.IntN(4) == 0 {
				r.Shuffle(most, func(a, b int) { o.list[a], o.list[b] = o.list[b], o.list[a] })
			}
			if r.IntN(2) == 0 {
				o.list = o.list[:r.IntN(most+1)]
			}
		}
	}
	return h
}

func number(v int) history.Value {
	if v == 0 {
		return history.Nil
	}
	return history.Int(int64(v))
}

func (o tiny) operation(i int) history.Operation {
	op := history.Operation{
		Process: o.process, F: o.f, Key: fmt.Sprint(o.key), Outcome: o.outcome, Call: int64(2 * i), Return: int64(2*i + 1),
		Invoked: time.Duration(2*i) * time.Millisecond, Completed: time.Duration(2*i+1) * time.Millisecond,
	}
	switch {
	case o.f == CAS:
		op.Input = history.List(number(o.returned), number(o.put))
		if op.Output = op.Input; o.outcome == history.Fail {
			op.Input, op.Output = history.List(history.Int(99), number(o.put)), number(o.returned)
		}
	case o.f == Read && o.list != nil:
		var list []history.Value
		for _, v := range o.list {
			list = append(list, number(v))
		}
		op.Output = history.List(list...)
	case o.f == Read:
		op.Output = number(o.returned)
	default:
		op.Input = number(o.put)
		op.Output = op.Input
	}
	return op
}

// worlds calls f with each choice of what happened of that whose outcome is
// unknown, as operations that all happened, until it returns true.
func worlds(h []tiny, f func(h []tiny) bool) bool {
	for i, o := range h {
		if o.outcome == history.OK {
			continue
		}
		rest := slices.Delete(slices.Clone(h), i, i+1)
		if o.outcome == history.Info && o.f != Read {
			with := slices.Clone(h)
			with[i].outcome = history.OK
			return worlds(rest, f) || worlds(with, f)
		}
		if o.f == CAS && o.outcome == history.Fail && o.returned != 0 {
			found := slices.Clone(h)
			found[i].f, found[i].outcome = Read, history.OK
			return worlds(found, f)
		}
		return worlds(rest, f)
	}
	return f(h)
}

// halves takes operations apart.
func halves(h []tiny) (list []half) {
	for _, o := range h {
		if o.f == Read || o.f == CAS {
			list = append(list, half{o, false})
		}
		if o.f != Read {
			list = append(list, half{o, true})
		}
	}
	return list
}

// reach is the transitive closure of a relation on the operations of a tiny
// history.
func reach(n int, related func(a, b int) bool) [][]bool {
	m := make([][]bool, n)
	for a := range m {
		m[a] = make([]bool, n)
		for b := range m[a] {
			m[a][b] = related(a, b)
		}
	}
	for k := range m {
		for a := range m {
			for b := range m {
				m[a][b] = m[a][b] || m[a][k] && m[k][b]
			}
		}
	}
	return m
}

// orders calls f with every permutation of list until it returns true.
func orders(list []int, f func([]int) bool) bool {
	var rec func(k int) bool
	rec = func(k int) bool {
		if k == len(list) {
			return f(list)
		}
		for i := k; i < len(list); i++ {
			list[k], list[i] = list[i], list[k]
			if rec(k + 1) {
				return true
			}
			list[k], list[i] = list[i], list[k]
		}
		return false
	}
	return rec(0)
}

// ordered tries to put halves into one order that keeps sessions and explains
// all reads; together tells that nothing comes between the halves of a cas.
func ordered(list []half, placed []bool, now [2]int, together bool) bool {
	done := true
	for i := range list {
		o := &list[i]
		if placed[i] {
			continue
		}
		done = false
		first := true
		for j := range list[:i] {
			first = first && (placed[j] || list[j].process != o.process)
		}
		if !first || !o.write && now[o.key] != o.returned {
			continue
		}
		placed[i] = true
		next, both := now, together && !o.write && o.f == CAS
		if o.write {
			next[o.key] = o.put
		}
		if both {
			placed[i+1], next[o.key] = true, o.put
		}
		ok := ordered(list, placed, next, together)
		if placed[i] = false; both {
			placed[i+1] = false
		}
		if ok {
			return true
		}
	}
	return done
}

func sequentialOracle(h []tiny) bool {
	return worlds(h, func(h []tiny) bool {
		list := halves(h)
		return ordered(list, make([]bool, len(list)), [2]int{}, true)
	})
}

func pramOracle(h []tiny) bool {
	return worlds(h, func(h []tiny) bool {
		for p := range 24 {
			mine := slices.DeleteFunc(halves(h), func(o half) bool { return !o.write && o.process != p })
			if !ordered(mine, make([]bool, len(mine)), [2]int{}, false) {
				return false
			}
		}
		return true
	})
}

// readings calls f with each choice of the writes that reads of registers have
// read (-1 none) until it returns true.
func readings(h []half, from []int, f func(from []int) bool) bool {
	i := len(from)
	if i == len(h) {
		return f(from)
	}
	if h[i].write {
		return readings(h, append(from, -1), f)
	}
	for w := -1; w < len(h); w++ {
		if w < 0 && h[i].returned == 0 || w >= 0 && h[w].write && h[w].key == h[i].key && h[w].put == h[i].returned {
			if readings(h, append(slices.Clone(from), w), f) {
				return true
			}
		}
	}
	return false
}

// guaranteeOracle computes the visible writes from the words of each
// guarantee, and tries every arbitration.
func guaranteeOracle(h []tiny, g Guarantee, lists bool) bool {
	return worlds(h, func(whole []tiny) bool {
		h := halves(whole)
		if lists {
			return explained(h, g, lists, func(w, r int) bool { return h[w].key == h[r].key && slices.Contains(h[r].list, h[w].put) })
		}
		return readings(h, nil, func(from []int) bool {
			return explained(h, g, lists, func(w, r int) bool { return from[r] == w })
		})
	})
}

// leads is the relation along which writes become visible.
func leads(h []half, g Guarantee, reads func(w, r int) bool) func(a, b int) bool {
	session := func(a, b int) bool { return a < b && h[a].process == h[b].process }
	from := func(a, b int) bool { return h[a].write && !h[b].write && reads(a, b) }
	return map[Guarantee]func(a, b int) bool{
		ReadYourWrites:    func(a, b int) bool { return from(a, b) },
		MonotonicReads:    func(a, b int) bool { return from(a, b) || session(a, b) && !h[a].write && !h[b].write },
		MonotonicWrites:   func(a, b int) bool { return from(a, b) || session(a, b) && h[a].write == h[b].write },
		WritesFollowReads: func(a, b int) bool { return from(a, b) || session(a, b) && !h[a].write },
		Causal:            func(a, b int) bool { return from(a, b) || session(a, b) },
		CausalConvergent:  func(a, b int) bool { return from(a, b) || session(a, b) },
	}[g]
}

func explained(h []half, g Guarantee, lists bool, reads func(w, r int) bool) bool {
	session := func(a, b int) bool { return a < b && h[a].process == h[b].process }
	m := reach(len(h), leads(h, g, reads))
	visible := func(w, r int) bool {
		return m[w][r] || g == ReadYourWrites && session(w, r)
	}
	var writes []int
	for i := range h {
		if m[i][i] {
			return false
		}
		if h[i].write {
			writes = append(writes, i)
		}
	}
	shows := func(r int, arbitration []int) bool {
		last, list := 0, []int{}
		for _, w := range arbitration {
			if visible(w, r) && h[w].key == h[r].key {
				last = h[w].put
				list = append(list, last)
			}
		}
		return lists && slices.Equal(list, h[r].list) || !lists && last == h[r].returned
	}
	keeps := func(arbitration []int) bool {
		for a := range arbitration {
			for b := a + 1; b < len(arbitration); b++ {
				if m[arbitration[b]][arbitration[a]] {
					return false
				}
			}
		}
		return true
	}
	if g == Causal { // each read may have an arbitration of its own
		for r := range h {
			if !h[r].write && !orders(writes, func(o []int) bool { return keeps(o) && shows(r, o) }) {
				return false
			}
		}
		return true
	}
	return orders(writes, func(o []int) bool {
		for r := range h {
			if !h[r].write && !shows(r, o) {
				return false
			}
		}
		return keeps(o)
	})
}

// alone is a witness without what does not count: elements of lists, and
// expectations of cas, whose writes are not in it.
func alone(ops []history.Operation) (kept []history.Operation) {
	there := map[string]bool{"nil": true}
	for i := range ops {
		if ops[i].F != Read {
			there[ops[i].Key+written(&ops[i]).String()] = true
		}
	}
	for _, o := range ops {
		if pair, _ := o.Input.AsList(); o.F == CAS && o.Outcome != history.Fail && !pair[0].IsNil() && !there[o.Key+pair[0].String()] {
			o.F, o.Input = Write, pair[1]
		}
		if o.F == CAS && o.Outcome == history.Fail && !there[o.Key+o.Output.String()] {
			o.Output = history.Nil
		}
		if list, ok := o.Output.AsList(); ok && o.F == Read {
			var vs []history.Value
			for _, v := range list {
				if there[o.Key+v.String()] {
					vs = append(vs, v)
				}
			}
			o.Output = history.List(vs...)
		}
		kept = append(kept, o)
	}
	return kept
}

var guarantees = []Guarantee{ReadYourWrites, MonotonicReads, MonotonicWrites, WritesFollowReads, Causal, CausalConvergent}

// comparison counts what checkers say of random sessions.
type comparison struct {
	t         *testing.T
	rejected  map[string]int
	undecided int
}

func (x *comparison) compare(c checkers.Checker, h []tiny, want bool) {
	var ops []history.Operation
	for i, o := range h {
		ops = append(ops, o.operation(i))
	}
	got := run(c, ops)
	if got.Verdict == checkers.Unknown && (c.Name() == "sequential" || strings.Contains(got.Reason, "no reads or writes") || strings.Contains(got.Reason, "no appends")) {
		x.undecided++
		return
	}
	if (got.Verdict == checkers.Valid) != want {
		x.t.Fatalf("%s: we say %s (%s), the definition says %v\n%+v", c.Name(), got.Verdict, got.Reason, want, h)
	}
	if want {
		return
	}
	x.rejected[c.Name()]++
	if got.Witness == nil || len(got.Witness.Operations) == 0 {
		x.t.Fatalf("%s: no witness for %+v", c.Name(), h)
	}
	if again := run(c, alone(got.Witness.Operations)); again.Verdict != checkers.Invalid || again.Witness.Class == "thin-air read" && got.Witness.Class != "thin-air read" {
		x.t.Fatalf("%s: the witness alone is %s (%s)\n%v\nof %+v", c.Name(), again.Verdict, again.Reason, got.Witness.Operations, h)
	}
}

func (x *comparison) conclude(n int, names ...string) {
	x.t.Logf("%d histories; rejected: %v; undecided: %d", n, x.rejected, x.undecided)
	for _, name := range names {
		if x.rejected[name] < n/200 {
			x.t.Errorf("only %d histories were rejected by %s", x.rejected[name], name)
		}
	}
	if x.undecided > n/20 {
		x.t.Errorf("%d judgements of %d histories were left undecided", x.undecided, n)
	}
}

func TestRegistersOfSessionsAgreeWithTheirDefinitionsOnSmallHistories(t *testing.T) {
	t.Parallel()
	r := trials.Rand(7, 8)
	n := trials.Rounds(100_000)
	x := &comparison{t, map[string]int{}, 0}
	for i := range n {
		h, many := randomTiny(r, false), manySessions
		if i%4 == 0 {
			many = 0
		}
		for _, g := range guarantees {
			x.compare(session(g, history.Nil, many), h, guaranteeOracle(h, g, false))
		}
		x.compare(pram(history.Nil, many), h, pramOracle(h))
		x.compare(Sequential(history.Nil), h, sequentialOracle(h))
	}
	x.conclude(n, "read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads", "causal", "causal-convergent", "pram", "sequential")
}

// TestWhatIsLinearizableFollowsForManySessions takes the short way for histories
// of more sessions than clocks would have room for, and not where the order of a
// session is not that of real time.
func TestWhatIsLinearizableFollowsForManySessions(t *testing.T) {
	ops := []history.Operation{}
	for i := range 60_000 {
		o := history.Operation{Process: i, F: Write, Input: history.Int(int64(i)), Outcome: history.OK, Call: int64(2 * i), Return: int64(2*i + 1)}
		if i%2 == 1 {
			o.F, o.Input, o.Output = Read, history.Nil, history.Int(int64(i-1))
		}
		ops = append(ops, o)
	}
	list := []checkers.Checker{Sequential(history.Nil), PRAM(history.Nil)}
	for _, g := range guarantees {
		list = append(list, Session(g, history.Nil))
	}
	for _, c := range list {
		if v := run(c, ops); v.Verdict != checkers.Valid || !strings.Contains(v.Reason, "60000 operations of 60000 sessions can be linearized") {
			t.Errorf("%s: %s (%s)", c.Name(), v.Verdict, v.Reason)
		}
	}
	overlapping := []history.Operation{ // it reads what it writes later
		{Process: 1, F: Read, Output: history.Int(1), Outcome: history.OK, Call: 0, Return: 3},
		{Process: 1, F: Write, Input: history.Int(1), Outcome: history.OK, Call: 1, Return: 2},
	}
	afterInfo := []history.Operation{ // it takes effect after the read, which is later
		{Process: 1, F: Write, Input: history.Int(1), Outcome: history.Info, Call: 0, Return: -1, Completed: history.Never},
		{Process: 1, F: Read, Outcome: history.OK, Call: 1, Return: 2},
		{Process: 2, F: Read, Output: history.Int(1), Outcome: history.OK, Call: 3, Return: 4},
	}
	refused := []history.Operation{ // the cas found 1 before it was written
		{Process: 1, F: CAS, Input: history.List(history.Int(7), history.Int(8)), Output: history.Int(1), Outcome: history.Fail, Call: 0, Return: 1},
		{Process: 1, F: Read, Outcome: history.OK, Call: 2, Return: 3},
		{Process: 2, F: Write, Input: history.Int(1), Outcome: history.OK, Call: 4, Return: 5},
	}
	for i, ops := range [][]history.Operation{overlapping, afterInfo, refused} {
		for _, c := range []checkers.Checker{Sequential(history.Nil), pram(history.Nil, 0), session(Causal, history.Nil, 0)} {
			if v := run(c, ops); v.Verdict != checkers.Invalid {
				t.Errorf("history %d: %s: %s (%s), want invalid", i, c.Name(), v.Verdict, v.Reason)
			}
		}
	}
}

func TestListsOfSessionsAgreeWithTheirDefinitionsOnSmallHistories(t *testing.T) {
	t.Parallel()
	r := trials.Rand(9, 8)
	n := trials.Rounds(100_000)
	x := &comparison{t, map[string]int{}, 0}
	for range n {
		h := randomTiny(r, true)
		for _, g := range guarantees {
			x.compare(SessionList(g), h, guaranteeOracle(h, g, true))
		}
	}
	x.conclude(n, "read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads", "causal", "causal-convergent")
}
