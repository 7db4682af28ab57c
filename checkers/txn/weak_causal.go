package txn

import (
	"context"
	"errors"
	"fmt"
	"sort"
)

// causal infers what causal consistency asks: no read sees a version older
// than what a transaction wrote that happened before the reader. It goes
// through the transactions in an order that extends sessions and reads, with
// a vector clock of k numbers for each session, and one for each transaction
// that sessions other than its own have yet to read from. Of each session the
// last visible writer of a key suffices.
func (w *weakLevel) causal(ctx context.Context, memory int64) error {
	order := w.bySession()
	session, at, sessions, err := w.chains(order)
	if err != nil {
		return err
	}
	if need := 4 * int64(sessions) * int64(sessions); need > memory {
		return fmt.Errorf("vector clocks of %d sessions need at least %d MiB, more than the bound of %d MiB", sessions, need>>20, memory>>20)
	}
	c := &clocks{weakLevel: w, session: session, at: at, sessions: sessions, memory: memory,
		running: make([][]int32, sessions), kept: make(map[int32][]int32), waiting: w.crossReads(session), written: make([][]written, w.keys)}
	order, err = w.topological(order)
	if err != nil {
		return err
	}
	for i, t := range order {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := c.visit(t); err != nil {
			return err
		}
	}
	return nil
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

// crossReads counts for each transaction the reads from it by other sessions.
func (w *weakLevel) crossReads(session []int32) []int32 {
	n := make([]int32, len(w.h.Txns))
	for t := range w.h.Txns {
		for i := w.readOff[t]; i < w.readOff[t+1]; i++ {
			if from := w.readFrom[i]; from != w.initial() && session[from] != session[t] {
				n[from]++
			}
		}
	}
	return n
}

// written are the transactions of a session that wrote a key, in order.
type written struct {
	session int32
	txns    []int32
}

type clocks struct {
	*weakLevel
	session, at []int32
	sessions    int
	memory      int64
	running     [][]int32         // of each session, after its last transaction
	kept        map[int32][]int32 // of transactions still to be read from
	free        [][]int32
	waiting     []int32
	written     [][]written // by key
}

func (c *clocks) visit(t int32) error {
	s := c.session[t]
	clock := c.running[s]
	if clock == nil {
		clock = make([]int32, c.sessions)
		c.running[s] = clock
	}
	from, to := c.readOff[t], c.readOff[t+1]
	for i := from; i < to; i++ {
		if u := c.readFrom[i]; u != c.initial() && c.session[u] != s {
			for j, x := range c.kept[u] {
				clock[j] = max(clock[j], x)
			}
		}
	}
	for i := from; i < to; i++ {
		c.infer(t, c.readKey[i], c.readFrom[i], clock)
	}
	for i := from; i < to; i++ {
		if u := c.readFrom[i]; u != c.initial() && c.session[u] != s {
			if c.waiting[u]--; c.waiting[u] == 0 {
				c.free = append(c.free, c.kept[u])
				delete(c.kept, u)
			}
		}
	}
	clock[s] = c.at[t]
	if c.waiting[t] > 0 {
		if err := c.keep(t, clock); err != nil {
			return err
		}
	}
	for _, k := range c.writes(t) {
		c.write(k, s, t)
	}
	return nil
}

// keep copies the clock of a transaction that others will read from.
func (c *clocks) keep(t int32, clock []int32) error {
	var copied []int32
	if n := len(c.free); n > 0 {
		copied, c.free = c.free[n-1], c.free[:n-1]
	} else {
		if need := 4 * int64(c.sessions) * int64(len(c.kept)+c.sessions); need > c.memory {
			return fmt.Errorf("vector clocks of %d sessions need more than the bound of %d MiB", c.sessions, c.memory>>20)
		}
		copied = make([]int32, c.sessions)
	}
	copy(copied, clock)
	c.kept[t] = copied
	return nil
}

func (c *clocks) write(key, session, t int32) {
	list := c.written[key]
	for i := range list {
		if list[i].session == session {
			list[i].txns = append(list[i].txns, t)
			return
		}
	}
	c.written[key] = append(list, written{session, []int32{t}})
}

// infer adds the edges from all visible writers of key to the one that was
// read from.
func (c *clocks) infer(t, key, writer int32, clock []int32) {
	for i := range c.written[key] {
		w := &c.written[key][i]
		seen := clock[w.session]
		if seen == 0 {
			continue
		}
		last := len(w.txns) - 1
		if c.at[w.txns[last]] > seen {
			last = sort.Search(len(w.txns), func(j int) bool { return c.at[w.txns[j]] > seen }) - 1
		}
		if last < 0 {
			continue
		}
		other := w.txns[last]
		if other == writer || writer != c.initial() && c.precedes(other, writer) {
			continue
		}
		c.add(other, writer, t, key)
	}
}

// precedes reports whether a is known to have happened before b; it may miss
// that, at the price of an edge more.
func (c *clocks) precedes(a, b int32) bool {
	if c.session[a] == c.session[b] {
		return c.at[a] < c.at[b]
	}
	clock, ok := c.kept[b]
	return ok && clock[c.session[a]] >= c.at[a]
}
