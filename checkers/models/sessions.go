package models

import (
	"fmt"

	"github.com/cleancut/cleancut/harness/history"
)

// sessions is a history of registers or lists, by process. Each process is a
// session; it ends with an operation of unknown outcome. Written values are
// unique for each key, so that each read tells its writes.
type sessions struct {
	history []history.Operation
	ops     []access
	keys    int
	of      [][]int32 // session → its operations in order
	lists   bool
	watch   *watch
	saw     [][]int32 // of lists: read → the appends it reads, in their order
	doubts  []doubt   // reads of nil that several deletes may explain
	// reader tells of writes of unknown outcome who read them, so that they
	// happened.
	reader map[int32]int32
}

// access is a read, a write, or both at once; neither, if it is a read of
// which nothing is assumed.
type access struct {
	op          int32 // in the history
	session     int32
	index       int32 // in the session
	key         int32
	micro       int32 // of a transaction: the position of the micro-operation
	from        int32 // of a read of a register: the write it reads, -1 the initial value
	read, write bool
}

// operation is the one that an access belongs to.
func (s *sessions) operation(v int32) *history.Operation { return &s.history[s.ops[v].op] }

// begin appends an access to the session of its process.
func (s *sessions) begin(number map[int]int32, a access) int32 {
	process := s.history[a.op].Process
	n, ok := number[process]
	if !ok {
		n = int32(len(s.of))
		number[process] = n
		s.of = append(s.of, nil)
	}
	at := int32(len(s.ops))
	a.session, a.index = n, int32(len(s.of[n]))
	s.keys = max(s.keys, int(a.key)+1)
	s.of[n] = append(s.of[n], at)
	s.ops = append(s.ops, a)
	return at
}

// held lists the operations of a session that concern a key, by index.
type held struct {
	session    int32
	list       []int32
	last, next int // where before and a search for what follows found something
}

// before returns the last of them whose index is less than bound.
func (h *held) before(bound int32) (int32, bool) {
	h.last = near(len(h.list), h.last, func(i int) bool { return h.list[i] >= bound })
	if h.last == 0 {
		return 0, false
	}
	return h.list[h.last-1], true
}

// near returns the first of n numbers that is beyond something, as all after it
// are, n if none is. It looks near a hint, where it found the one before: those
// who ask go forward together.
func near(n, hint int, beyond func(i int) bool) int {
	lo, hi, step := hint, hint, 1
	for lo > 0 && beyond(lo-1) {
		hi, lo = lo-1, max(0, lo-step)
		step *= 2
	}
	for hi < n && !beyond(hi) {
		lo, hi = hi+1, min(n, hi+step)
		step *= 2
	}
	for lo < hi { // none before lo is beyond, all from hi on are
		if mid := (lo + hi) / 2; beyond(mid) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// holding adds an operation to the list of its session; sessions are taken in
// order.
func holding(of []held, a *access) []held {
	if len(of) == 0 || of[len(of)-1].session != a.session {
		of = append(of, held{session: a.session})
	}
	last := &of[len(of)-1]
	last.list = append(last.list, a.index)
	return of
}

func (s *sessions) because(from int32, e edge) string {
	a, b := s.name(from), s.name(e.to)
	switch e.because {
	case becauseSession:
		return fmt.Sprintf("%s came before %s: process %d did both in this order.", a, b, s.operation(from).Process)
	case becauseRead:
		return fmt.Sprintf("%s came before %s, which returned what it wrote.", a, b)
	}
	if e.because == from {
		return fmt.Sprintf("%s came before %s, which replaced what it returned.", a, b)
	}
	if s.lists {
		return fmt.Sprintf("%s came before %s: %s returned them in this order.", a, b, s.name(e.because))
	}
	return fmt.Sprintf("%s came before %s: %s had to see both.", a, b, s.name(e.because))
}

// name names an operation in sentences.
func (s *sessions) name(i int32) string {
	a, o := &s.ops[i], s.operation(i)
	what, key := "", o.Key
	switch {
	case o.F == Txn:
		list, _ := content(o).AsList()
		mop, _ := list[a.micro].AsList()
		verb := "the read of"
		if a.write {
			verb = "the append of"
		}
		what, key = fmt.Sprintf("%s %s", verb, brief(mop[2])), mop[1].String()
	case o.F == Delete:
		what = "the delete"
	case o.F == CAS && o.Outcome == history.Fail:
		what = fmt.Sprintf("the refused cas of %s, which found %s,", brief(o.Input), brief(o.Output))
	case o.F == Read:
		what = fmt.Sprintf("the read of %s", brief(o.Output))
	default:
		what = fmt.Sprintf("the %s of %s", o.F, brief(o.Input))
	}
	if key == "" {
		return fmt.Sprintf("%s by process %d", what, o.Process)
	}
	return fmt.Sprintf("%s (key %s) by process %d", what, key, o.Process)
}
