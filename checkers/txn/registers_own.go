package txn

// ownOp is what a micro-operation has to do with others of its transaction on
// the same key.
type ownOp struct {
	before int32 // the one before it, or none
	last   int32 // of the first one: the last write, or none
	wrote  bool  // there is a write before it
}

// ownOpBytes are those of an ownOp.
const ownOpBytes = 12

// ownOps fills in own.
func (r *registers) ownOps() {
	r.own, r.ownOff = make([]ownOp, 0, r.ops), make([]int32, 0, r.txns)
	type last struct{ txn, first, op int32 }
	latest := make([]last, r.keys)
	for i := range latest {
		latest[i].txn = none
	}
	for i := range r.h.Txns {
		start := len(r.own)
		r.ownOff = append(r.ownOff, int32(start))
		for j := range r.h.Txns[i].Ops {
			o := &r.h.Txns[i].Ops[j]
			own := ownOp{before: none, last: none}
			p := &latest[o.Key]
			if p.txn == int32(i) {
				own.before = p.op
				own.wrote = r.own[start+int(p.op)].wrote || r.h.Txns[i].Ops[p.op].Kind == Write
				p.op = int32(j)
			} else {
				*p = last{int32(i), int32(j), int32(j)}
			}
			r.own = append(r.own, own)
			if o.Kind == Write {
				r.own[start+int(p.first)].last = int32(j)
			}
		}
	}
}

// ownOf returns what is known of each micro-operation of a transaction.
func (r *registers) ownOf(t int32) []ownOp {
	return r.own[r.ownOff[t]:][:len(r.h.Txns[t].Ops)]
}
