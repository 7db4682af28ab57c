package txn

import (
	"context"
	"fmt"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// registers is what is known of a read-write register history. Versions are
// numbered from 0: that of each write in order of the history, then the
// initial one of each key, then those that were read though nobody wrote them.
type registers struct {
	h *History
	size
	o      *Options
	index  index
	writes []place // of each written version
	final  []bool
	// unwritten are the keys and values of the last kind of versions.
	unwritten []entry
	// committed transactions are those that are ok, and those of unknown
	// outcome of which a write was read.
	committed []bool
	found     *findings
	// own is what each micro-operation has to do with others of its
	// transaction, in order of the history, and ownOff where each
	// transaction's begin.
	own    []ownOp
	ownOff []int32
	// readers of each version: committed transactions that read it from
	// another one, in rising order.
	readers [][]int32
	// next holds the known successors of each version in its key's order, and
	// chained those that are inferred from a transaction that read the one
	// and wrote the other.
	next, chained [][]int32
	promised      []promise // why next is as it is
	byKey         [][]int32 // see versionsOf
}

func newRegisters(h *History, s size, o *Options, found *findings) (*registers, error) {
	r := &registers{
		h: h, size: s, o: o, index: newIndex(s.ops), writes: make([]place, 0, s.writes), final: make([]bool, s.writes),
		committed: make([]bool, s.txns), found: found,
	}
	type last struct{ txn, number int32 }
	latest := make([]last, s.keys)
	for i := range latest {
		latest[i].txn = none
	}
	for i := range h.Txns {
		r.committed[i] = h.Txns[i].Status == OK
		for j := range h.Txns[i].Ops {
			w := &h.Txns[i].Ops[j]
			if w.Kind == Read {
				continue
			}
			if w.Value == r.initialValue() {
				return nil, fmt.Errorf("%s wrote %s to key %s, which is what a register holds at first", h.name(int32(i)), h.ValueName(w.Value), h.KeyName(w.Key))
			}
			n := int32(len(r.writes))
			if other, free := r.index.put(w.Key, w.Value, n); !free {
				return nil, &DuplicateWriteError{h.KeyName(w.Key), h.ValueName(w.Value), h.name(r.writes[other].txn), h.name(int32(i))}
			}
			r.writes = append(r.writes, place{int32(i), int32(j)})
			r.final[n] = true
			if p := &latest[w.Key]; p.txn == int32(i) {
				r.final[p.number] = false
				p.number = n
			} else {
				*p = last{int32(i), n}
			}
		}
	}
	r.ownOps()
	r.commits()
	versions := s.writes + s.keys + len(r.unwritten)
	r.readers, r.next, r.chained = make([][]int32, versions), make([][]int32, versions), make([][]int32, versions)
	return r, nil
}

func (r *registers) initialValue() Value {
	if r.o.Initial != nil {
		return *r.o.Initial
	}
	return Nil
}

func (r *registers) op(p place) *Op { return &r.h.Txns[p.txn].Ops[p.op] }

// initial returns the initial version of a key.
func (r *registers) initial(key int32) int32 { return int32(len(r.writes)) + key }

// isInitial reports whether a version is the initial one of its key.
func (r *registers) isInitial(version int32) bool {
	return int(version) >= len(r.writes) && int(version) < len(r.writes)+r.keys
}

// isUnwritten reports whether a version was read though nobody wrote it.
func (r *registers) isUnwritten(version int32) bool { return int(version) >= len(r.writes)+r.keys }

// version returns the version that a micro-operation wrote, or read in an ok
// transaction; none for other reads of what nobody wrote.
func (r *registers) version(o *Op) int32 {
	if o.Value == r.initialValue() || o.Value == Nil && o.Kind == Read {
		return r.initial(o.Key)
	}
	return r.index.get(o.Key, o.Value)
}

// by returns the committed transaction that wrote a version, or none.
func (r *registers) by(version int32) int32 {
	if int(version) >= len(r.writes) || version < 0 || !r.committed[r.writes[version].txn] {
		return none
	}
	return r.writes[version].txn
}

// keyOf returns the key of a version.
func (r *registers) keyOf(version int32) int32 {
	switch {
	case r.isUnwritten(version):
		return r.unwritten[int(version)-len(r.writes)-r.keys].key
	case r.isInitial(version):
		return version - int32(len(r.writes))
	}
	return r.op(r.writes[version]).Key
}

// commits finds the transactions of unknown outcome of which a write was
// read, and numbers what was read though nobody wrote it.
func (r *registers) commits() {
	for i := range r.h.Txns {
		if r.h.Txns[i].Status != OK {
			continue
		}
		for j := range r.h.Txns[i].Ops {
			if o := &r.h.Txns[i].Ops[j]; o.Kind == Read {
				v := r.version(o)
				if v == none {
					r.index.put(o.Key, o.Value, int32(len(r.writes)+r.keys+len(r.unwritten)))
					r.unwritten = append(r.unwritten, entry{value: o.Value, key: o.Key})
				} else if int(v) < len(r.writes) && r.h.Txns[r.writes[v].txn].Status == Info {
					r.committed[r.writes[v].txn] = true
				}
			}
		}
	}
}

// external calls f for each key that a committed transaction touched, in order of
// its first touch, with the version that it read before it wrote the key and
// the one that it wrote last; none where it did not.
func (r *registers) external(t int32, f func(key, read, written int32)) {
	ops := r.h.Txns[t].Ops
	for j, own := range r.ownOf(t) {
		if own.before >= 0 {
			continue
		}
		read, written := int32(none), int32(none)
		if ops[j].Kind == Read && r.h.Txns[t].Status == OK {
			read = r.version(&ops[j])
		}
		if own.last >= 0 {
			written = r.index.get(ops[j].Key, ops[own.last].Value)
		}
		f(ops[j].Key, read, written)
	}
}

// observe tells of each read of an ok transaction which other one wrote what
// it saw, none if nobody did.
func (r *registers) observe(t int32, f func(op, writer int32)) {
	ops, own := r.h.Txns[t].Ops, r.ownOf(t)
	for j := range ops {
		o := &ops[j]
		if o.Kind != Read {
			continue
		}
		v := r.version(o)
		switch w := r.by(v); {
		case r.isUnwritten(v):
			f(int32(j), none)
		case r.isInitial(v) && !own[j].wrote:
			f(int32(j), int32(len(r.h.Txns)))
		case w >= 0 && w != t && r.final[v]:
			f(int32(j), w)
		}
	}
}

func (r *registers) writer(key int32, v Value) (place, bool) {
	n := r.index.get(key, v)
	if n < 0 || r.isUnwritten(n) {
		return place{}, false
	}
	return r.writes[n], true
}

// registers judges a register history.
func (r *run) registers(ctx context.Context) error {
	if err := r.memory.take(r.size.registerBytes(), "registers of %d micro-operations", r.size.ops); err != nil {
		return err
	}
	g, err := newRegisters(r.h, r.size, &r.o, r.found)
	if err != nil {
		return err
	}
	if err := g.checkReads(ctx); err != nil {
		return err
	}
	if err := g.orderVersions(ctx, r.memory); err != nil {
		return r.conclude(ctx, g, "", err)
	}
	r.a.Algorithm = "register graph"
	if err := r.dependencies(ctx, g.edges, g.committed, g); err != nil {
		return r.conclude(ctx, g, "", err)
	}
	err = r.weak(ctx, g, g.committed, func(*graph.Builder) {})
	return r.conclude(ctx, g, r.settleRegisters(ctx, g), err)
}
