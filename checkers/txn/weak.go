package txn

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// weakInput is a history as the weak levels see it: which transaction wrote
// what each read saw, in order of the reads, and which keys each transaction
// wrote. The transaction number len(txns) stands for the initial state.
type weakInput struct {
	h         *History
	committed []bool
	keys      int
	readOff   []int32 // of each transaction
	readKey   []int32
	readFrom  []int32
	writeOff  []int32 // of each transaction
	writeKey  []int32 // in rising order, without repetition
	previous  []int32 // in the session, or none
	sessioned bool
}

// observer tells what the reads of a transaction saw: f is called with the key
// and the committed writer, or initial, of each read that saw neither the
// transaction's own writes nor what nobody wrote.
type observer interface {
	observe(t int32, f func(op int32, writer int32))
	explainer
}

func newWeakInput(h *History, s size, committed []bool, w observer, sessioned bool) *weakInput {
	in := &weakInput{h: h, committed: committed, keys: s.keys, readOff: make([]int32, s.txns+1), writeOff: make([]int32, s.txns+1),
		readKey: make([]int32, 0, s.ops-s.writes), readFrom: make([]int32, 0, s.ops-s.writes), writeKey: make([]int32, 0, s.writes)}
	var ops []Op
	saw := func(op, writer int32) {
		if writer != none {
			in.readKey, in.readFrom = append(in.readKey, ops[op].Key), append(in.readFrom, writer)
		}
	}
	for i := range h.Txns {
		ops = h.Txns[i].Ops
		if committed[i] && h.Txns[i].Status == OK {
			w.observe(int32(i), saw)
		}
		in.readOff[i+1] = int32(len(in.readKey))
		from := len(in.writeKey)
		if committed[i] {
			for j := range ops {
				if ops[j].Kind != Read {
					in.writeKey = append(in.writeKey, ops[j].Key)
				}
			}
		}
		slices.Sort(in.writeKey[from:])
		in.writeKey = in.writeKey[:from+len(slices.Compact(in.writeKey[from:]))]
		in.writeOff[i+1] = int32(len(in.writeKey))
	}
	in.sessioned = sessioned
	if sessioned {
		in.previous = sessions(h, committed)
	} else {
		in.previous = make([]int32, s.txns)
		for i := range in.previous {
			in.previous[i] = none
		}
	}
	return in
}

func (in *weakInput) initial() int32 { return int32(len(in.h.Txns)) }

func (in *weakInput) writes(t int32) []int32 {
	if t == in.initial() {
		return nil
	}
	return in.writeKey[in.writeOff[t]:in.writeOff[t+1]]
}

// inferred is an edge of the order of commits: reader saw key as written by
// second although first, which wrote it too, was visible to it, so first was
// committed before second.
type inferred struct{ first, second, reader, key int32 }

// weakLevel decides a weak level by inferring the order of commits: the level
// holds if and only if the sessions, reads and inferred edges together, and
// the order of versions where it is known, have no cycle (Biswas and Enea,
// OOPSLA 2019). The edges are those of AWDIT (Møldrup and Pavlogiannis, PLDI
// 2025), whose number is at most n^1.5 for monotonic atomic view and read
// atomic, and n·k for causal with k sessions.
type weakLevel struct {
	*weakInput
	level level
	edges []inferred
	// at[key] is what the current transaction knows of the key, if its stamp
	// is current.
	stamp []int32
	at    []int32
	at2   []int32
	read  []int32 // stamp by transaction: it was read from
	since []int32 // the first read from it, if the stamp is current
	met   []int32 // keys that the current transaction read
	// memory pays for the edges; err says that it does not suffice.
	memory *memory
	err    error
	// Of the search for chains, for explanations: the step from each
	// transaction that was met, and those that were, in order.
	next  []link
	queue []int32
	round int32
}

func (w *weakLevel) infer(ctx context.Context, m *memory) error {
	w.memory = m
	w.stamp, w.at, w.at2 = make([]int32, w.keys), make([]int32, w.keys), make([]int32, w.keys)
	w.read = make([]int32, len(w.h.Txns)+1)
	switch w.level {
	case levelMAV:
		w.since = make([]int32, len(w.h.Txns)+1)
		for t := range w.h.Txns {
			if err := w.poll(ctx, t); err != nil {
				return err
			}
			w.monotonic(int32(t))
		}
		return w.err
	case levelRA:
		return w.atomic(ctx)
	}
	return w.causal(ctx)
}

// poll says, now and then, why the inference must end.
func (w *weakLevel) poll(ctx context.Context, i int) error {
	if i%pollTxns == 0 && w.err == nil {
		w.err = ctx.Err()
	}
	return w.err
}

const inferredBytes = 16

func (w *weakLevel) add(first, second, reader, key int32) {
	if first == second || w.err != nil {
		return
	}
	if n := len(w.edges); n == cap(w.edges) {
		more := max(1024, n/2)
		if w.err = w.memory.take(int64(n+more)*inferredBytes, "%d inferred edges of the order of commits", n+more); w.err != nil {
			return
		}
		w.edges = append(make([]inferred, 0, n+more), w.edges...)
	}
	w.edges = append(w.edges, inferred{first, second, reader, key})
}

// monotonic infers what monotonic atomic view asks of a transaction: once it
// has read from another one, later reads see no version older than what that
// one wrote. Going backwards over the reads, it keeps for each key the two
// writers read next that differ from each other.
func (w *weakLevel) monotonic(t int32) {
	from, to := w.readOff[t], w.readOff[t+1]
	if to-from < 2 {
		return
	}
	round := t + 1
	for i := to - 1; i >= from; i-- {
		w.read[w.readFrom[i]], w.since[w.readFrom[i]] = round, i
	}
	keys := w.met[:0] // that were read so far
	for i := to - 1; i >= from; i-- {
		writer, key := w.readFrom[i], w.readKey[i]
		if w.since[writer] == i && writer != w.initial() {
			if own := w.writes(writer); len(own) <= len(keys) {
				for _, k := range own {
					if w.stamp[k] == round {
						w.older(writer, t, k)
					}
				}
			} else {
				for _, k := range keys {
					if _, ok := slices.BinarySearch(own, k); ok {
						w.older(writer, t, k)
					}
				}
			}
		}
		switch {
		case w.stamp[key] != round:
			w.stamp[key], w.at[key], w.at2[key] = round, writer, none
			keys = append(keys, key)
		case w.at[key] != writer:
			w.at[key], w.at2[key] = writer, w.at[key]
		}
	}
	w.met = keys
}

// older adds the edge to the next writer of key other than the one that was
// read from.
func (w *weakLevel) older(writer, t, key int32) {
	next := w.at[key]
	if next == writer {
		next = w.at2[key]
	}
	if next != none {
		w.add(writer, next, t, key)
	}
}

// atomic infers what read atomic asks: no read sees a version older than what
// a transaction wrote that is read from as well, or that comes before in the
// session. Of the session the last writer of each key suffices, as all
// earlier ones come before it anyway.
func (w *weakLevel) atomic(ctx context.Context) error {
	lastWriter := map[int64]int32{} // by session and key
	if w.sessioned {
		if err := w.memory.take(int64(len(w.writeKey))*80, "the last writers of keys in each session"); err != nil {
			return err
		}
	}
	order := w.bySession()
	session, _, err := w.chains(order)
	if err != nil {
		return err
	}
	for i, t := range order {
		if err := w.poll(ctx, i); err != nil {
			return err
		}
		from, to := w.readOff[t], w.readOff[t+1]
		round := t + 1
		keys := w.met[:0]
		for i := from; i < to; i++ {
			writer, key := w.readFrom[i], w.readKey[i]
			if w.previous[t] >= 0 {
				if last, ok := lastWriter[int64(session[t])<<32|int64(key)]; ok {
					w.add(last, writer, t, key)
				}
			}
			if w.stamp[key] != round {
				w.stamp[key], w.at[key] = round, writer
				keys = append(keys, key)
			} else if w.at[key] != writer {
				// Not repeatable: each of the two is read from when the other
				// one is read.
				if writer != w.initial() {
					w.add(writer, w.at[key], t, key)
				}
				if w.at[key] != w.initial() {
					w.add(w.at[key], writer, t, key)
				}
			}
		}
		for i := from; i < to; i++ {
			w.fractured(t, w.readFrom[i], keys, round)
		}
		w.met = keys
		if !w.sessioned {
			continue
		}
		for _, k := range w.writes(t) {
			lastWriter[int64(session[t])<<32|int64(k)] = t
		}
	}
	return w.err
}

// fractured adds an edge for each key that t reads and that writer, from
// which t reads as well, wrote too.
func (w *weakLevel) fractured(t, writer int32, keys []int32, round int32) {
	if writer == w.initial() || w.read[writer] == round {
		return
	}
	w.read[writer] = round
	if own := w.writes(writer); len(own) <= len(keys) {
		for _, k := range own {
			if w.stamp[k] == round {
				w.add(writer, w.at[k], t, k)
			}
		}
	} else {
		for _, k := range keys {
			if _, ok := slices.BinarySearch(own, k); ok {
				w.add(writer, w.at[k], t, k)
			}
		}
	}
}

// bySession returns the committed transactions so that each comes after
// those of its session that precede it.
func (in *weakInput) bySession() []int32 {
	order := make([]int32, 0, len(in.h.Txns))
	sorted := true
	for t := range in.h.Txns {
		if in.committed[t] {
			if n := len(order); n > 0 && in.h.Txns[order[n-1]].Invoke > in.h.Txns[t].Invoke {
				sorted = false
			}
			order = append(order, int32(t))
		}
	}
	if !sorted {
		slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(in.h.Txns[a].Invoke, in.h.Txns[b].Invoke) })
	}
	return order
}

// chains numbers the sessions. A process that goes on after a transaction of
// unknown outcome has no session, which is an error.
func (in *weakInput) chains(order []int32) (session []int32, sessions int, err error) {
	session = make([]int32, len(in.h.Txns))
	followed := make([]bool, len(in.h.Txns))
	for _, t := range order {
		p := in.previous[t]
		if p < 0 {
			session[t] = int32(sessions)
			sessions++
			continue
		}
		if followed[p] {
			return nil, 0, fmt.Errorf("process %d goes on with %s after a transaction of unknown outcome; it must be retired", in.h.Txns[t].Process, in.h.name(t))
		}
		followed[p] = true
		session[t] = session[p]
	}
	return session, sessions, nil
}
