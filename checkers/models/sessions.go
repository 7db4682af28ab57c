package models

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// sessions is a history of registers or lists, by process. Each process is a
// session; it ends with an operation of unknown outcome. Written values are
// unique for each key, so that each read tells its writes.
type sessions struct {
	ops    []access
	keys   int
	of     [][]int32 // session → its operations in order
	lists  bool
	doubts []doubt // reads of nil that several deletes may explain
	// reader tells of writes of unknown outcome who read them, so that they
	// happened.
	reader map[int32]int32
}

// access is a read, a write, or both at once; neither, if it is a read of
// which nothing is assumed.
type access struct {
	op          *history.Operation
	session     int32
	index       int32 // in the session
	key         int32
	micro       int32   // of a transaction: the position of the micro-operation
	from        int32   // of a read of a register: the write it reads, -1 the initial value
	saw         []int32 // of a read of a list: the appends it reads, in their order
	read, write bool
}

// begin appends an access to the session of its process.
func (s *sessions) begin(number map[int]int32, a access) int32 {
	n, ok := number[a.op.Process]
	if !ok {
		n = int32(len(s.of))
		number[a.op.Process] = n
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
	session int32
	list    []int32
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

// edge leads from an operation to one that must come after it, and says why:
// because is the read that shows it, or one of the reasons below.
type edge struct{ to, because int32 }

const (
	becauseSession = -1 // both are of one session, in this order
	becauseRead    = -2 // the later one reads what the earlier one wrote
)

// before is a graph of operations.
type before struct {
	out   [][]edge
	known map[[2]int32]int // edges that follow from reads → their number
}

func newBefore(s *sessions) *before {
	b := &before{out: make([][]edge, len(s.ops)), known: map[[2]int32]int{}}
	const usual = 2 // edges of an operation
	slab := make([]edge, usual*len(s.ops))
	for i := range b.out {
		b.out[i] = slab[usual*i : usual*i : usual*(i+1)]
	}
	return b
}

// add adds an edge.
func (b *before) add(from, to, because int32) {
	b.out[from] = append(b.out[from], edge{to, because})
}

// conclude adds an edge that follows from a read, and reports whether it was
// concluded for the first time.
func (b *before) conclude(from, to, because int32) bool {
	e := [2]int32{from, to}
	if _, ok := b.known[e]; ok {
		return false
	}
	b.known[e] = len(b.known)
	b.add(from, to, because)
	return true
}

// order returns the operations such that each edge leads onwards, or nil if
// there is a cycle.
func (b *before) order() []int32 {
	degree := make([]int32, len(b.out))
	for _, es := range b.out {
		for _, e := range es {
			degree[e.to]++
		}
	}
	var ready []int32
	order := make([]int32, 0, len(b.out))
	for v := len(b.out) - 1; v >= 0; v-- {
		if degree[v] == 0 {
			ready = append(ready, int32(v))
		}
	}
	for len(ready) > 0 {
		v := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		order = append(order, v)
		for _, e := range b.out[v] {
			if degree[e.to]--; degree[e.to] == 0 {
				ready = append(ready, e.to)
			}
		}
	}
	if len(order) < len(b.out) {
		return nil
	}
	return order
}

// cycle returns a shortest cycle through some operation of a cycle. There must
// be one.
func (b *before) cycle() []edge {
	onCycle := b.remaining()
	var best []edge
	const tries = 32
	for i, v := range onCycle {
		if i == tries {
			break
		}
		if c := b.path(v, v); c != nil && (best == nil || len(c) < len(best)) {
			best = c
		}
	}
	return best
}

// remaining lists operations on cycles, or between two of them: those that
// neither come before all cycles nor after.
func (b *before) remaining() []int32 {
	in := make([]int32, len(b.out))
	back := make([][]int32, len(b.out))
	for v, es := range b.out {
		for _, e := range es {
			in[e.to]++
			back[e.to] = append(back[e.to], int32(v))
		}
	}
	gone := make([]bool, len(b.out))
	peel := func(degree []int32, next func(v int32) []int32) {
		var ready []int32
		for v := range degree {
			if degree[v] == 0 && !gone[v] {
				ready = append(ready, int32(v))
			}
		}
		for len(ready) > 0 {
			v := ready[len(ready)-1]
			ready = ready[:len(ready)-1]
			gone[v] = true
			for _, w := range next(v) {
				if degree[w]--; degree[w] == 0 && !gone[w] {
					ready = append(ready, w)
				}
			}
		}
	}
	peel(in, func(v int32) (list []int32) {
		for _, e := range b.out[v] {
			list = append(list, e.to)
		}
		return list
	})
	outDegree := make([]int32, len(b.out))
	for v := range b.out {
		for _, e := range b.out[v] {
			if !gone[e.to] {
				outDegree[v]++
			}
		}
	}
	peel(outDegree, func(v int32) []int32 { return back[v] })
	var left []int32
	for v := range gone {
		if !gone[v] {
			left = append(left, int32(v))
		}
	}
	return left
}

// path returns the edges of a shortest way from one operation to another, nil
// if there is none; without edges that follow from reads if that is possible.
// The first edge's origin is from.
func (b *before) path(from, to int32) []edge {
	return b.proof(from, to, len(b.known))
}

// proof is path with no other edges that follow from reads than the first ones,
// so many: what was concluded later proves nothing.
func (b *before) proof(from, to int32, first int) []edge {
	if way := b.search(from, to, 0); way != nil {
		return way
	}
	return b.search(from, to, first)
}

func (b *before) search(from, to int32, first int) []edge {
	type step struct {
		prev int32
		e    edge
	}
	came := map[int32]step{}
	queue := []int32{from}
	for len(queue) > 0 {
		v := queue[0]
		queue = queue[1:]
		for _, e := range b.out[v] {
			if _, seen := came[e.to]; seen || e.because >= 0 && b.known[[2]int32{v, e.to}] >= first {
				continue
			}
			came[e.to] = step{v, e}
			if e.to == to {
				var way []edge
				for at := to; ; {
					st := came[at]
					way = append(way, st.e)
					if at = st.prev; at == from {
						slices.Reverse(way)
						return way
					}
				}
			}
			queue = append(queue, e.to)
		}
	}
	return nil
}

// explain turns a way of edges that begins at from into a witness: the
// operations on it, those that prove its edges, and the writes of all reads
// among them.
func (s *sessions) explain(b *before, class, summary string, from int32, way []edge) judged {
	x := explanation{s: s, b: b, in: map[int32]bool{from: true}, proved: map[[2]int32]bool{}}
	var lines []string
	at := from
	for _, e := range way {
		lines = append(lines, s.because(at, e))
		at = e.to
	}
	x.add(from, way)
	x.prove()
	var ops []history.Operation
	for i := range s.ops {
		if x.in[int32(i)] {
			ops = append(ops, *s.ops[i].op)
		}
	}
	v := invalid(class, summary, ops...)
	v.Witness.Lines = lines
	return v
}

// explanation collects operations.
type explanation struct {
	s      *sessions
	b      *before
	in     map[int32]bool
	proved map[[2]int32]bool
}

func (x *explanation) include(v int32) {
	x.in[v] = true
	if a := &x.s.ops[v]; a.read && a.from >= 0 {
		x.in[a.from] = true
	}
}

func (x *explanation) add(from int32, way []edge) {
	x.include(from)
	for _, e := range way {
		x.include(e.to)
		if key := [2]int32{from, e.to}; e.because >= 0 && !x.proved[key] {
			x.proved[key] = true
			x.include(e.because)
			source, to := from, e.because // a visible write came before the one that was read
			if source == to {             // a read came before a later write
				source, to = x.s.ops[from].from, e.to
			}
			if source >= 0 {
				x.add(source, x.b.proof(source, to, x.b.known[key]))
			}
		}
		from = e.to
	}
}

// prove includes a reader of each write of unknown outcome: it happened because
// it was read.
func (x *explanation) prove() {
	for grown := true; grown; {
		grown = false
		for _, v := range sortedKeys(x.in) {
			if !x.s.ops[v].write && x.s.ops[v].op.Outcome == history.Info {
				v++ // the write of a cas follows its read
			}
			if r, ok := x.s.reader[v]; ok && !x.in[r] {
				x.in[r], grown = true, true
			}
		}
	}
}

func (s *sessions) because(from int32, e edge) string {
	a, b := s.name(from), s.name(e.to)
	switch e.because {
	case becauseSession:
		return fmt.Sprintf("%s came before %s: process %d did both in this order.", a, b, s.ops[from].op.Process)
	case becauseRead:
		return fmt.Sprintf("%s came before %s, which returned what it wrote.", a, b)
	}
	if s.lists {
		return fmt.Sprintf("%s came before %s: %s returned them in this order.", a, b, s.name(e.because))
	}
	return fmt.Sprintf("%s came before %s: %s had to see both.", a, b, s.name(e.because))
}

// name names an operation in sentences.
func (s *sessions) name(i int32) string {
	a := &s.ops[i]
	what, key := "", a.op.Key
	switch {
	case a.op.F == Txn:
		list, _ := content(a.op).AsList()
		mop, _ := list[a.micro].AsList()
		verb := "the read of"
		if a.write {
			verb = "the append of"
		}
		what, key = fmt.Sprintf("%s %s", verb, mop[2]), mop[1].String()
	case a.op.F == Delete:
		what = "the delete"
	case a.op.F == CAS && a.op.Outcome == history.Fail:
		what = fmt.Sprintf("the refused cas of %s, which found %s,", a.op.Input, a.op.Output)
	case a.op.F == Read:
		what = fmt.Sprintf("the read of %s", a.op.Output)
	default:
		what = fmt.Sprintf("the %s of %s", a.op.F, a.op.Input)
	}
	if key == "" {
		return fmt.Sprintf("%s by process %d", what, a.op.Process)
	}
	return fmt.Sprintf("%s (key %s) by process %d", what, key, a.op.Process)
}

// lastBefore returns the last element of a sorted list that is less than
// bound.
func lastBefore(list []int32, bound int32) (int32, bool) {
	n, _ := slices.BinarySearchFunc(list, bound, func(x, bound int32) int { return cmp.Compare(x, bound) })
	if n == 0 {
		return 0, false
	}
	return list[n-1], true
}
