package checkpoint

import (
	"encoding/binary"
	"time"
)

// callOp is what a worker asks the coordinator to do with the store.
type callOp uint8

const (
	// callPut writes a piece of the worker's part of a round.
	callPut callOp = iota + 1
	// callGet reads one.
	callGet
	// callSink makes the output of a round visible.
	callSink
	// callList puts a checkpoint of the worker into the catalogue.
	callList
	// callEmit makes outputs visible at once, in a sink without rounds.
	callEmit
)

// call is a worker's request to the coordinator. All of them can be repeated.
type call struct {
	op            callOp
	epoch, round  int
	piece, pieces int
	data          []byte // a piece, or the encoded output
}

func (c call) append(b []byte) []byte {
	b = append(b, byte(c.op))
	for _, n := range [...]int{c.epoch, c.round, c.piece, c.pieces} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return append(b, c.data...)
}

func decodeCall(b []byte) (call, error) {
	r := reader{b: b}
	c := call{op: callOp(r.byte()), epoch: r.number(), round: r.number(), piece: r.number(), pieces: r.number()}
	if r.failed || c.op < callPut || c.op > callEmit || len(r.b) > pieceBytes ||
		c.op != callGet && c.op != callList && (c.piece >= c.pieces || c.pieces > bodyMax/pieceBytes+1) {
		return call{}, errMessage
	}
	if len(r.b) > 0 {
		c.data = r.b
	}
	return c, nil
}

// caller makes calls, and repeats them until they are answered.
type caller struct {
	w    *worker
	last uint64
	open map[uint64]*openCall
	// order has the open calls, oldest first, and answered ones.
	order []*openCall
}

type openCall struct {
	seq  uint64
	body []byte
	sent time.Duration
	then func(found bool, body []byte)
}

// callRetry is after how long a call without answer is made again.
const callRetry = 300 * time.Millisecond

// ask makes a call. The answer may be that the coordinator cannot do it; then
// is called once, unless forget comes first.
func (c *caller) ask(q call, then func(found bool, body []byte)) {
	c.last++
	o := &openCall{seq: c.last, body: q.append(nil), then: then}
	c.open[o.seq] = o
	c.order = append(c.order, o)
	c.send(o)
}

func (c *caller) send(o *openCall) {
	o.sent = c.w.env.Now()
	if to := c.w.coordinator; to != "" {
		c.w.env.Send(to, Message{kind: callMessage, seq: o.seq, body: o.body})
	}
}

func (c *caller) answered(m Message) {
	if o := c.open[m.seq]; o != nil {
		delete(c.open, m.seq)
		o.then(m.found, m.body)
	}
}

func (c *caller) tick() {
	keep := c.order[:0]
	for _, o := range c.order {
		if c.open[o.seq] == nil {
			continue
		}
		keep = append(keep, o)
		if c.w.env.Now()-o.sent >= callRetry {
			c.send(o)
		}
	}
	clear(c.order[len(keep):])
	c.order = keep
}

// forget gives up all calls.
func (c *caller) forget() { c.open, c.order = map[uint64]*openCall{}, nil }
