package models

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// sessions is a history of reads and writes of registers, by process. Each
// process is a session; it ends with an operation of unknown outcome. Written
// values are unique for each key, so that each read tells its write.
type sessions struct {
	ops  []access
	keys int
	of   [][]int32 // session → its operations in order
}

// access is a read or a write.
type access struct {
	op      *history.Operation
	session int32
	index   int32 // in the session
	key     int32
	write   bool
	from    int32 // of a read: the write it reads, -1 the initial value
}

// readSessions builds sessions. Failed operations and reads that are not ok
// are left out, and so are writes of unknown outcome that nobody read. What
// no order of operations explains, a value from nowhere or of a failed write,
// is invalid at once; another function, or a value written twice, unknown.
func readSessions(ops []history.Operation, initial history.Value) (*sessions, judged) {
	s := &sessions{}
	places, v := placesOf(ops)
	if v.Verdict != "" {
		return nil, v
	}
	writers, failed := map[place]int{}, map[place]int{}
	for i := range ops {
		o := &ops[i]
		if o.F == Read {
			continue
		}
		if o.Outcome == history.Fail {
			failed[places[i]] = i
			continue
		}
		if _, ok := writers[places[i]]; ok {
			return nil, unknown("%s is written to key %q twice; written values must be unique", o.Input, o.Key)
		}
		if o.Input.Equal(initial) {
			return nil, unknown("the initial value %s is written to key %q; written values must be unique", initial, o.Key)
		}
		writers[places[i]] = i
	}
	from := make([]int, len(ops)) // of a read: index of its write, -1 the initial value
	observed := make([]bool, len(ops))
	for i := range ops {
		o := &ops[i]
		from[i] = -1
		if o.F != Read || o.Outcome != history.OK || o.Output.Equal(initial) {
			continue
		}
		w, ok := writers[places[i]]
		if f, bad := failed[places[i]]; !ok && bad {
			return nil, invalid("aborted read", fmt.Sprintf("a read returned %s, whose write failed", o.Output), *o, ops[f])
		}
		if !ok {
			return nil, invalid("thin-air read", fmt.Sprintf("a read returned %s, which nobody wrote", o.Output), *o)
		}
		from[i], observed[w] = w, true
	}
	number := map[int]int32{} // process → session
	index := make([]int32, len(ops))
	var origin []int // access → index in ops
	for i := range ops {
		o := &ops[i]
		if o.Outcome == history.Fail || o.Outcome == history.Info && !observed[i] || o.F == Read && o.Outcome != history.OK {
			continue
		}
		n, ok := number[o.Process]
		if !ok {
			n = int32(len(s.of))
			number[o.Process] = n
			s.of = append(s.of, nil)
		}
		index[i] = int32(len(s.ops))
		a := access{op: o, session: n, index: int32(len(s.of[n])), key: places[i].key, write: o.F == Write, from: -1}
		s.keys = max(s.keys, int(a.key)+1)
		s.of[n] = append(s.of[n], index[i])
		s.ops, origin = append(s.ops, a), append(origin, i)
	}
	for v, i := range origin {
		if from[i] >= 0 {
			s.ops[v].from = index[from[i]]
		}
	}
	if len(s.ops) == 0 {
		return nil, unknown("the history has no reads or writes")
	}
	return s, judged{}
}

// place is a value of a key, both as numbers.
type place struct{ key, value int32 }

// placesOf numbers what each operation wrote or read.
func placesOf(ops []history.Operation) ([]place, judged) {
	keys, vals := map[string]int32{}, newInterner()
	places := make([]place, len(ops))
	for i := range ops {
		o := &ops[i]
		k, ok := keys[o.Key]
		if !ok {
			k = int32(len(keys))
			keys[o.Key] = k
		}
		v := o.Output
		switch o.F {
		case Read:
		case Write:
			v = o.Input
		default:
			return nil, unknown("the operation %s; only reads and writes of registers can be judged by this model", o.F)
		}
		places[i] = place{k, int32(vals.id(v))}
	}
	return places, judged{}
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
	return &before{out: make([][]edge, len(s.ops)), known: map[[2]int32]int{}}
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
	var ready, order []int32
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
	if a := &x.s.ops[v]; a.from >= 0 {
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

func (s *sessions) because(from int32, e edge) string {
	a, b := s.name(from), s.name(e.to)
	switch e.because {
	case becauseSession:
		return fmt.Sprintf("%s came before %s: process %d did both in this order.", a, b, s.ops[from].op.Process)
	case becauseRead:
		return fmt.Sprintf("%s came before %s, which returned what it wrote.", a, b)
	}
	return fmt.Sprintf("%s came before %s: %s had to see both.", a, b, s.name(e.because))
}

// name names an operation in sentences.
func (s *sessions) name(i int32) string {
	a := &s.ops[i]
	verb, v := "the read of", a.op.Output
	if a.write {
		verb, v = "the write of", a.op.Input
	}
	if a.op.Key == "" {
		return fmt.Sprintf("%s %s by process %d", verb, v, a.op.Process)
	}
	return fmt.Sprintf("%s %s (key %s) by process %d", verb, v, a.op.Key, a.op.Process)
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
