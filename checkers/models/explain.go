package models

import (
	"github.com/cleancut/cleancut/harness/history"
)

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
			ops = append(ops, *s.operation(int32(i)))
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
				x.add(source, x.b.proof(source, to, e.number))
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
			if !x.s.ops[v].write && x.s.operation(v).Outcome == history.Info {
				v++ // the write of a cas follows its read
			}
			if r, ok := x.s.reader[v]; ok && !x.in[r] {
				x.in[r], grown = true, true
			}
		}
	}
}
