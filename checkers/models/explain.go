package models

import (
	"github.com/cleancut/cleancut/harness/history"
)

// explain turns a way of edges that begins at from into a witness: the
// operations on it, those that prove its edges, and the writes of all reads
// among them.
func (s *sessions) explain(b *before, class, summary string, from int32, way []edge) judged {
	x := explanation{s: s, b: b, in: map[int32]bool{}, proved: map[[2]int32]bool{}}
	var lines []string
	at := from
	for _, e := range way {
		lines = append(lines, s.because(at, e))
		at = e.to
	}
	x.add(from, way)
	x.prove()
	if len(way) == 0 || s.watch.late {
		return outOfTime()
	}
	var ops []history.Operation
	for i := range s.ops {
		if x.in[int32(i)] {
			ops = append(ops, *s.operation(int32(i)))
		}
	}
	v := invalid(class, summary, ops...)
	v.Witness.Lines = lines
	return v
}

// circle explains a cycle of a graph.
func (s *sessions) circle(b *before, class, summary string) judged {
	way := b.cycle()
	if len(way) == 0 {
		return outOfTime()
	}
	return s.explain(b, class, summary, way[len(way)-1].to, way)
}

// explanation collects operations.
type explanation struct {
	s      *sessions
	b      *before
	in     map[int32]bool
	proved map[[2]int32]bool
}

// include takes an operation in and, of a read, the write that it returned.
func (x *explanation) include(v int32) {
	x.in[v] = true
	if a := &x.s.ops[v]; a.read && a.from >= 0 {
		x.in[a.from] = true
	}
}

// prove includes a reader of each write of unknown outcome: it happened because
// it was read.
func (x *explanation) prove() {
	for todo := sortedKeys(x.in); len(todo) > 0 && !x.s.watch.over(0); todo = todo[1:] {
		w := todo[0]
		if !x.s.ops[w].write && x.s.operation(w).Outcome == history.Info {
			w++ // the write of a cas follows its read
		}
		if r, ok := x.s.reader[w]; ok && !x.in[r] {
			x.include(r)
			todo = append(todo, r)
		}
	}
}

// stretch is a piece of a way, with the reads that prove its edges.
type stretch struct {
	from int32
	way  []edge
}

// add takes in the operations on a way, and what proves its edges.
func (x *explanation) add(from int32, way []edge) {
	for todo := []stretch{{from, way}}; len(todo) > 0; {
		st := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		from := st.from
		x.include(from)
		for _, e := range st.way {
			x.include(e.to)
			if key := [2]int32{from, e.to}; e.because >= 0 && !x.proved[key] && !x.s.watch.late {
				x.proved[key] = true
				x.include(e.because)
				source, to := from, e.because // a visible write came before the one that was read
				if source == to {             // a read came before a later write
					source, to = x.s.ops[from].from, e.to
				}
				if source >= 0 {
					todo = append(todo, stretch{source, x.b.proof(source, to, e.number)})
				}
			}
			from = e.to
		}
	}
}
