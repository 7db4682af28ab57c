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
	if err := w.memory.take(causalBytes(len(w.h.Txns), len(w.writeKey), w.keys, sessions), "causal order of %d transactions in %d sessions", len(w.h.Txns), sessions); err != nil {
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
// in the session and all that it reads from, and else in the given order as
// far as may be: sessions that did not overlap must not seem to.
func (w *weakLevel) topological(order []int32) ([]int32, error) {
	const unseen, open, done = 0, 1, 2
	state := make([]uint8, len(w.h.Txns))
	next := make([]int32, len(w.h.Txns)) // what each waits for: its next read, from 1; 0 is its session
	sorted := make([]int32, 0, len(order))
	var stack []int32
	for _, root := range order {
		if state[root] == unseen {
			stack = append(stack, root)
			state[root] = open
		}
		for len(stack) > 0 {
			t := stack[len(stack)-1]
			from := w.previous[t]
			if i := next[t]; i > w.readOff[t+1]-w.readOff[t] {
				stack = stack[:len(stack)-1]
				state[t] = done
				sorted = append(sorted, t)
				continue
			} else if i > 0 {
				from = w.readFrom[w.readOff[t]+i-1]
			}
			next[t]++
			switch {
			case from < 0 || from == w.initial() || state[from] == done:
			case state[from] == open:
				return nil, errCyclic
			default:
				state[from] = open
				stack = append(stack, from)
			}
		}
	}
	return sorted, nil
}
