package txn

import (
	"context"
	"errors"
)

// causal infers what causal consistency asks: no read sees a version older
// than what a transaction wrote that happened before the reader. It goes
// through the transactions in an order that extends sessions and reads, with
// vector clocks (see clocks). Of each column the last visible writer of a key
// suffices, as all earlier ones come before it.
func (w *weakLevel) causal(ctx context.Context) error {
	order := w.bySession()
	session, sessions, err := w.chains(order)
	if err != nil {
		return err
	}
	if err := w.memory.take(causalBytes(len(w.h.Txns), len(w.readFrom), len(w.writeKey), w.keys, sessions), "causal order of %d transactions in %d sessions", len(w.h.Txns), sessions); err != nil {
		return err
	}
	c := newClocks(w, session, sessions)
	order, err = w.topological(order)
	if err != nil {
		return err
	}
	for i, t := range order {
		if err := w.poll(ctx, i); err != nil {
			return err
		}
		c.visit(t)
	}
	return w.err
}

// errCyclic says that sessions and reads alone have a cycle, which is found
// and named elsewhere.
var errCyclic = errors.New("sessions and reads have a cycle")

// topological sorts the transactions so that each comes after its predecessor
// in the session and all that it reads from.
func (w *weakLevel) topological(order []int32) ([]int32, error) {
	n := len(w.h.Txns)
	missing, off := make([]int32, n), make([]int32, n+1)
	before := func(f func(from, to int32)) {
		for _, t := range order {
			if p := w.previous[t]; p >= 0 {
				f(p, t)
			}
			for i := w.readOff[t]; i < w.readOff[t+1]; i++ {
				if from := w.readFrom[i]; from != w.initial() {
					f(from, t)
				}
			}
		}
	}
	before(func(from, to int32) { off[from+1]++; missing[to]++ })
	for i := range n {
		off[i+1] += off[i]
	}
	next := make([]int32, off[n])
	fill := append([]int32(nil), off[:n]...)
	before(func(from, to int32) { next[fill[from]] = to; fill[from]++ })
	sorted := make([]int32, 0, len(order))
	for _, t := range order {
		if missing[t] == 0 {
			sorted = append(sorted, t)
		}
	}
	for i := 0; i < len(sorted); i++ {
		for _, to := range next[off[sorted[i]]:off[sorted[i]+1]] {
			if missing[to]--; missing[to] == 0 {
				sorted = append(sorted, to)
			}
		}
	}
	if len(sorted) < len(order) {
		return nil, errCyclic
	}
	return sorted, nil
}
