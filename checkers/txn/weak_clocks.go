package txn

import "sort"

// clocks are the vector clocks of causal consistency. A column counts the
// transactions of a chain in which each happened before the next: a session,
// or several sessions one after the other. So there need not be a column for
// each session, which would take the square of their number where processes
// are retired after each transaction of unknown outcome. When a session has
// ended, its column goes to the first session that
//
//   - begins with a transaction after which all comes that others have read
//     of the old session; or
//   - begins when all reads are done of the keys that the column's
//     transactions wrote. Nobody asks about those any more; positions go on
//     rising, so that old clocks do not contain the new ones.
//
// What a session wrote after the last transaction that others read from is
// visible to itself alone, and is forgotten with it. There is a clock for each
// session under way and one for each transaction that sessions other than its
// own have yet to read from.
type clocks struct {
	*weakLevel
	session []int32
	left    []int32 // of each session: transactions to come
	column  []int32 // of each session, none before it begins
	shown   []int32 // of each session: the last position that others read from, or that it began after
	tail    [][]int32
	at      []int32 // position of each transaction in its column
	waiting []int32 // of each transaction: reads to come by other sessions
	reads   []int32 // of each key: reads to come
	running map[int32][]int32
	kept    map[int32][]int32
	free    [][]int32
	written [][]written // by key
	columns []column
	ended   []int32 // columns whose session has ended
	dead    []int32 // and of which nobody will ask
}

// written are the transactions of a column that wrote a key, in order.
type written struct {
	column int32
	txns   []int32
}

type column struct {
	last   int32 // position
	listed int32 // how many keys list it
	ended  int32 // its place among those, or none
}

// causalBytes is what causal takes but for clocks and inferred edges.
func causalBytes(txns, writes, keys, sessions int) int64 {
	order := int64(txns) * (4 + 4 + 1 + 1 + 4 + 4 + 3*4)
	return order + int64(sessions)*(4*4+24+3*4+80) + int64(txns)*(2*4+2*4) + int64(keys)*(4+24) + int64(writes)*(3*4+96+2*4)
}

func newClocks(w *weakLevel, session []int32, sessions int) *clocks {
	c := &clocks{weakLevel: w, session: session, left: make([]int32, sessions), column: make([]int32, sessions), shown: make([]int32, sessions),
		tail: make([][]int32, sessions), at: make([]int32, len(session)), waiting: w.crossReads(session), reads: make([]int32, w.keys),
		running: map[int32][]int32{}, kept: map[int32][]int32{}, written: make([][]written, w.keys)}
	for t := range session {
		if w.committed[t] {
			c.left[session[t]]++
		}
	}
	for s := range c.column {
		c.column[s] = none
	}
	for _, k := range w.readKey {
		c.reads[k]++
	}
	return c
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

func (c *clocks) visit(t int32) {
	s := c.session[t]
	clock := c.running[s]
	from, to := c.readOff[t], c.readOff[t+1]
	for i := from; i < to; i++ {
		if u := c.readFrom[i]; u != c.initial() && c.session[u] != s {
			clock = c.join(clock, c.kept[u])
		}
	}
	if c.column[s] == none {
		c.begin(s, clock)
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
		if k := c.readKey[i]; c.reads[k] == 1 {
			c.forget(k)
		}
		c.reads[c.readKey[i]]--
	}
	col := c.column[s]
	c.columns[col].last++
	c.at[t] = c.columns[col].last
	clock = c.join(clock, nil)
	clock[col] = c.at[t]
	c.running[s] = clock
	if c.waiting[t] > 0 {
		c.kept[t] = c.vector()
		copy(c.kept[t], clock[:len(c.columns)])
		c.shown[s], c.tail[s] = c.at[t], c.tail[s][:0]
	} else if len(c.writes(t)) > 0 {
		c.tail[s] = append(c.tail[s], t)
	}
	for _, k := range c.writes(t) {
		c.write(k, col, t)
	}
	if c.left[s]--; c.left[s] == 0 {
		c.end(s)
	}
}

// join adds to a clock what another one holds, and makes room in it for all
// columns.
func (c *clocks) join(clock, other []int32) []int32 {
	if len(clock) < len(c.columns) {
		wide := c.vector()
		copy(wide, clock)
		if clock != nil {
			c.free = append(c.free, clock)
		}
		clock = wide
	}
	for j, x := range other[:min(len(other), len(c.columns))] {
		if x > clock[j] {
			clock[j] = x
		}
	}
	return clock
}

// vector returns an empty clock with room for all columns and some to come.
func (c *clocks) vector() []int32 {
	for len(c.free) > 0 {
		v := c.free[len(c.free)-1]
		c.free = c.free[:len(c.free)-1]
		if len(v) >= len(c.columns) {
			clear(v)
			return v
		}
	}
	room := len(c.columns) + len(c.columns)/4 + 8
	if c.err == nil {
		c.err = c.memory.take(4*int64(room)+128, "vector clocks of %d columns for %d sessions", len(c.columns), len(c.left))
	}
	return make([]int32, room)
}

// maxReused bounds how many columns of ended sessions are considered when a
// session begins.
const maxReused = 64

// begin gives a session a column; clock is what it knows at its beginning.
func (c *clocks) begin(s int32, clock []int32) {
	col := int32(none)
	if n := len(c.dead); n > 0 {
		col, c.dead = c.dead[n-1], c.dead[:n-1]
	}
	for i := 0; col == none && i < min(len(c.ended), maxReused); i++ {
		if e := c.ended[i]; int(e) < len(clock) && clock[e] >= c.columns[e].last {
			col = e
			c.take(e)
		}
	}
	if col == none {
		col = int32(len(c.columns))
		c.columns = append(c.columns, column{ended: none})
	}
	c.column[s], c.shown[s] = col, c.columns[col].last
}

// take takes a column out of those that ended.
func (c *clocks) take(col int32) {
	at, moved := c.columns[col].ended, c.ended[len(c.ended)-1]
	c.ended[at], c.columns[moved].ended = moved, at
	c.ended, c.columns[col].ended = c.ended[:len(c.ended)-1], none
}

// end ends a session: what others did not read is forgotten, and its column
// is there for another one.
func (c *clocks) end(s int32) {
	col := c.column[s]
	for i := len(c.tail[s]) - 1; i >= 0; i-- {
		for _, k := range c.writes(c.tail[s][i]) {
			c.unlist(k, col)
		}
	}
	c.tail[s] = nil
	c.columns[col].last = c.shown[s]
	c.free = append(c.free, c.running[s])
	delete(c.running, s)
	if c.columns[col].listed == 0 {
		c.dead = append(c.dead, col)
		return
	}
	c.columns[col].ended = int32(len(c.ended))
	c.ended = append(c.ended, col)
}

// write lists a transaction among the writers of a key that will be read.
func (c *clocks) write(key, col, t int32) {
	if c.reads[key] == 0 {
		return
	}
	list := c.written[key]
	for i := range list {
		if list[i].column == col {
			list[i].txns = append(list[i].txns, t)
			return
		}
	}
	c.columns[col].listed++
	c.written[key] = append(list, written{col, []int32{t}})
}

// unlist takes the last writer of a column off the list of a key.
func (c *clocks) unlist(key, col int32) {
	list := c.written[key]
	for i := range list {
		if list[i].column != col {
			continue
		}
		if list[i].txns = list[i].txns[:len(list[i].txns)-1]; len(list[i].txns) == 0 {
			list[i] = list[len(list)-1]
			c.written[key] = list[:len(list)-1]
			c.columns[col].listed--
		}
		return
	}
}

// forget drops the writers of a key that nobody will read any more.
func (c *clocks) forget(key int32) {
	for _, w := range c.written[key] {
		col := &c.columns[w.column]
		if col.listed--; col.listed == 0 && col.ended != none {
			c.take(w.column)
			c.dead = append(c.dead, w.column)
		}
	}
	c.written[key] = nil
}

// infer adds the edges from all visible writers of key to the one that was
// read from.
func (c *clocks) infer(t, key, writer int32, clock []int32) {
	for i := range c.written[key] {
		w := &c.written[key][i]
		if int(w.column) >= len(clock) || clock[w.column] == 0 {
			continue
		}
		seen := clock[w.column]
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
	x, y := c.column[c.session[a]], c.column[c.session[b]]
	if x == y {
		return c.at[a] < c.at[b]
	}
	clock, ok := c.kept[b]
	return ok && int(x) < len(clock) && clock[x] >= c.at[a]
}
