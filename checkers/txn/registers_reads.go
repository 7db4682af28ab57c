package txn

import (
	"context"
	"fmt"
)

// checkReads checks each read by itself, looks for lost updates, and notes
// the readers of each version.
func (r *registers) checkReads(ctx context.Context) error {
	rmw := make([]int32, len(r.readers)) // by version: the first that read it and wrote its key, plus 1
	var t int32
	wrote := func(key, read, written int32) {
		if written == none || read == none {
			return
		}
		if other := rmw[read]; other > 0 {
			lostUpdate(r.h, r.found, other-1, t, key)
		} else {
			rmw[read] = t + 1
		}
	}
	saw := func(op, writer int32) {
		v := r.version(&r.h.Txns[t].Ops[op])
		if k := len(r.readers[v]); k == 0 || r.readers[v][k-1] != t {
			r.readers[v] = append(r.readers[v], t)
		}
	}
	for i := range r.h.Txns {
		t = int32(i)
		if i%pollTxns == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if r.h.Txns[i].Status != OK {
			continue
		}
		contradicted := false
		for j := range r.h.Txns[i].Ops {
			if p := (place{t, int32(j)}); r.op(p).Kind == Read {
				r.read(p, &contradicted)
			}
		}
		r.external(t, wrote)
		r.observe(t, saw)
	}
	return nil
}

// read checks one read of an ok transaction.
func (r *registers) read(p place, contradicted *bool) {
	o := r.op(p)
	said := func() string {
		return fmt.Sprintf("%s read key %s as %s", r.h.name(p.txn), r.h.KeyName(o.Key), r.h.ValueName(o.Value))
	}
	before := r.ownOf(p.txn)[p.op].before
	if before >= 0 && !*contradicted && r.h.Txns[p.txn].Ops[before].Value != o.Value {
		*contradicted = true
		r.found.add(Internal, func() Finding {
			q := &r.h.Txns[p.txn].Ops[before]
			return Finding{
				Summary: fmt.Sprintf("%s, though its micro-operation before that on the key was %q", said(), r.h.OpString(q)),
				Key:     r.h.KeyName(o.Key), parts: []place{{p.txn, before}, p},
			}
		})
	}
	v := r.version(o)
	if r.isUnwritten(v) {
		if r.o.Unwritten == UnwrittenIsGarbage {
			r.found.add(GarbageRead, func() Finding {
				return Finding{Summary: said() + ", which nobody wrote to it", Key: r.h.KeyName(o.Key), parts: []place{p}}
			})
		}
		return
	}
	if r.isInitial(v) {
		return
	}
	w := r.writes[v]
	if w.txn == p.txn && w.op > p.op {
		r.found.add(FutureRead, func() Finding {
			return Finding{Summary: said() + ", which it wrote only afterwards", Key: r.h.KeyName(o.Key), parts: []place{p, w}}
		})
	}
	if w.txn == p.txn {
		return
	}
	if r.h.Txns[w.txn].Status == Fail {
		r.found.add(G1a, func() Finding {
			return Finding{Summary: fmt.Sprintf("%s, but %s, which wrote that, failed", said(), r.h.name(w.txn)), Key: r.h.KeyName(o.Key), parts: []place{w, p}}
		})
	}
	if !r.final[v] {
		r.found.add(G1b, func() Finding {
			f := Finding{Summary: fmt.Sprintf("%s, which %s itself overwrote later on", said(), r.h.name(w.txn)), Key: r.h.KeyName(o.Key), parts: []place{p}}
			for j := range r.h.Txns[w.txn].Ops {
				if own := &r.h.Txns[w.txn].Ops[j]; own.Key == o.Key && own.Kind == Write {
					f.parts = append(f.parts, place{w.txn, int32(j)})
				}
			}
			return f
		})
	}
}

// place of the read of a version by a transaction, none if there is none.
func (r *registers) readOf(t, version int32) place {
	found := place{t, none}
	r.observe(t, func(op, _ int32) {
		if found.op == none && r.version(&r.h.Txns[t].Ops[op]) == version {
			found.op = op
		}
	})
	return found
}

// valueOf prints the value of a version.
func (r *registers) valueOf(version int32) string {
	switch {
	case r.isUnwritten(version):
		return r.h.ValueName(r.unwritten[int(version)-len(r.writes)-r.keys].value)
	case r.isInitial(version):
		return r.h.ValueName(r.initialValue())
	}
	return r.h.ValueName(r.op(r.writes[version]).Value)
}
