package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/node"
)

// The operations of the client, by F.
const (
	fRead   = "read"   // → the value, nil if there is no such key
	fWrite  = "write"  // value
	fCAS    = "cas"    // [expected new]; expected nil for an absent key
	fDelete = "delete" // no value
)

// Times of the client.
const (
	attemptsPerOperation = 3                     // share of the timeout that one attempt gets
	backoffMin           = 20 * time.Millisecond // before the second attempt; doubles
	backoffMax           = 500 * time.Millisecond
)

// roam is how many operations a client sends to a node, on average, before it
// draws a node anew.
const roam = 4

// client talks to one node at a time. It moves on to another when that one
// does not serve, and now and then for no reason: any node must serve, and
// what one client sees on two nodes must fit together. Writes are sent again under the same session and sequence number
// until the timeout, which is safe since the store executes them once.
type client struct {
	net   cluster.Network
	bug   string
	nodes []string
	node  int // position of the node that it talks to

	session uint64 // 0 until the first write
	seq     uint64
}

func newClient(net cluster.Network, bug string) *client {
	nodes := net.Nodes()
	return &client{net: net, bug: bug, nodes: nodes, node: net.Intn(len(nodes))}
}

// Close implements cluster.Client. The session expires by itself.
func (c *client) Close() error { return nil }

// Invoke implements cluster.Client.
func (c *client) Invoke(ctx context.Context, op cluster.Op, timeout time.Duration) cluster.Completion {
	if c.net.Intn(roam) == 0 {
		c.node = c.net.Intn(len(c.nodes))
	}
	t := &try{c: c, ctx: ctx, deadline: c.net.Now() + timeout, each: max(timeout/attemptsPerOperation, time.Millisecond)}
	var done cluster.Completion
	if op.F == fRead {
		done = t.read(op)
	} else {
		done = t.write(op)
	}
	done.Node = t.asked
	return done
}

// try is one operation under way.
type try struct {
	c        *client
	ctx      context.Context
	deadline time.Duration
	each     time.Duration
	attempts int
	backoff  time.Duration
	asked    string // the node asked last
	last     string // what went wrong last
	maybe    bool   // an attempt may have been, or may yet be, executed
}

// next waits before another attempt; it reports false if time is up.
func (t *try) next() bool {
	n := t.c.net
	if t.attempts++; t.attempts > 1 {
		t.c.node = (t.c.node + 1) % len(t.c.nodes)
		t.backoff = min(max(2*t.backoff, backoffMin), backoffMax)
		wait := t.backoff/2 + time.Duration(n.Intn(int(t.backoff/2)))
		if left := t.deadline - n.Now(); left <= wait || n.Sleep(t.ctx, wait) != nil {
			return false
		}
	}
	return t.ctx.Err() == nil && n.Now() < t.deadline
}

// call makes one attempt. It reports false if there was no answer.
func (t *try) call(r node.Request) (node.Response, bool) {
	n := t.c.net
	t.asked = t.c.nodes[t.c.node]
	resp, err := n.Call(t.ctx, t.asked, r, min(t.each, t.deadline-n.Now()))
	if err == nil {
		return resp, true
	}
	t.last = err.Error()
	// Only a CallError can vouch that nothing was sent.
	var ce *cluster.CallError
	if !errors.As(err, &ce) || ce.Sent {
		t.maybe = true
	}
	return resp, false
}

// answer is the body of a response, with the fields of all kinds.
type answer struct {
	Code    string          `json:"code"`
	Error   string          `json:"error"`
	Value   json.RawMessage `json:"value"`
	Session uint64          `json:"session"`
}

// valuePrefix begins the answer to a read.
var valuePrefix = []byte(`{"value":`)

// parse reads a body. A body that is not the store's own (a proxy's, say) has
// no code, and so is taken for a request that may be executed.
func parse(r node.Response) answer {
	// Almost all answers are of this one form.
	if rest, ok := bytes.CutPrefix(r.Body, valuePrefix); ok {
		if n := bytes.IndexByte(rest, ','); n > 0 && rest[0] != '"' {
			return answer{Value: rest[:n]}
		}
	}
	var a answer
	if json.Unmarshal(r.Body, &a) != nil {
		return answer{Error: "answer with status " + strconv.Itoa(r.Status) + " is not understood"}
	}
	return a
}

// read has no effect, so that one without answer has certainly failed.
func (t *try) read(op cluster.Op) cluster.Completion {
	for t.next() {
		resp, ok := t.call(node.Request{Method: "GET", Path: "/kv/" + op.Key})
		if !ok {
			continue
		}
		a := parse(resp)
		switch {
		case resp.Status == 404 && a.Code == codeNoKey:
			return cluster.Completion{Outcome: history.OK, Value: history.Nil}
		case resp.Status == 200:
			if v, ok := decodeValue(a.Value); ok {
				return cluster.Completion{Outcome: history.OK, Value: v}
			}
			t.last = "the value read is not understood"
		case a.Code == codeBadRequest:
			return cluster.Completion{Outcome: history.Fail, Error: a.Error}
		default:
			t.last = a.Error
		}
	}
	return cluster.Completion{Outcome: history.Fail, Error: t.why()}
}

func (t *try) why() string {
	switch {
	case t.ctx.Err() != nil:
		return t.ctx.Err().Error()
	case t.last == "":
		return "timeout"
	}
	return "timeout; last: " + t.last
}

// write executes everything but reads.
func (t *try) write(op cluster.Op) cluster.Completion {
	r, err := request(op)
	if err != nil {
		return cluster.Completion{Outcome: history.Fail, Value: op.Value, Error: err.Error()}
	}
	c := t.c
	c.seq++
	for t.next() {
		if c.session == 0 && !t.register() {
			continue
		}
		r.Query = "session=" + strconv.FormatUint(c.session, 10) + "&seq=" + strconv.FormatUint(c.seq, 10)
		resp, ok := t.call(r)
		if !ok {
			if c.bug == retryNonIdempotent {
				c.seq++
			}
			continue
		}
		if outcome, done := t.judge(resp); done {
			return t.completed(op, outcome)
		}
	}
	if t.maybe && c.bug != timeoutAsFail {
		return cluster.Completion{Outcome: history.Info, Value: op.Value, Error: t.why()}
	}
	return cluster.Completion{Outcome: history.Fail, Value: op.Value, Error: t.why()}
}

// completed returns a completion with an error text if it is none of success.
func (t *try) completed(op cluster.Op, outcome history.Outcome) cluster.Completion {
	done := cluster.Completion{Outcome: outcome, Value: op.Value}
	if outcome != history.OK {
		done.Error = t.last
	}
	return done
}

// judge says what a response to a write means; done tells that the operation
// is over.
func (t *try) judge(resp node.Response) (outcome history.Outcome, done bool) {
	if resp.Status == 200 {
		return history.OK, true
	}
	a := parse(resp)
	t.last = a.Error
	failed := history.Fail
	if t.maybe {
		failed = history.Info
	}
	switch a.Code {
	case codeMismatch:
		// The first execution's result, however often it was sent.
		t.last = history.Mismatch
		return history.Fail, true
	case codeBadRequest:
		return failed, true
	case codeExpired:
		// This attempt was not executed, but an earlier one may be.
		t.c.session = 0
		return failed, t.maybe
	case codeUnavailable:
		return 0, false
	case codeStale:
		return history.Info, true
	}
	t.maybe = true
	if t.c.bug == retryNonIdempotent {
		t.c.seq++
	}
	return 0, false
}

// register registers a session. It is no harm if it is executed twice: the
// session without user expires.
func (t *try) register() bool {
	maybe := t.maybe
	resp, ok := t.call(node.Request{Method: "POST", Path: "/sessions"})
	t.maybe = maybe
	if !ok {
		return false
	}
	a := parse(resp)
	if resp.Status != 200 || a.Session == 0 {
		t.last = a.Error
		return false
	}
	t.c.session = a.Session
	return t.c.net.Now() < t.deadline
}

// request is what an operation looks like on the wire.
func request(op cluster.Op) (node.Request, error) {
	r := node.Request{Path: "/kv/" + op.Key}
	var ok bool
	switch op.F {
	case fWrite:
		r.Method = "PUT"
		r.Body, ok = encodeValue(nil, op.Value)
	case fDelete:
		r.Method, ok = "DELETE", true
	case fCAS:
		list, _ := op.Value.AsList()
		if len(list) != 2 {
			return r, errors.New("the value of a cas must be the list [expected new], not " + op.Value.String())
		}
		r.Method, r.Path = "POST", r.Path+"/cas"
		b := []byte(`{"expected":`)
		if list[0].IsNil() {
			b, ok = append(b, "null"...), true
		} else {
			b, ok = encodeValue(b, list[0])
		}
		if ok {
			b, ok = encodeValue(append(b, `,"value":`...), list[1])
		}
		r.Body = append(b, '}')
	default:
		return r, errors.New("the store knows no operation " + strconv.Quote(op.F))
	}
	if !ok {
		return r, errors.New("the store keeps integers and strings, not " + op.Value.String())
	}
	return r, nil
}

// encodeValue appends an integer or string as JSON.
func encodeValue(b []byte, v history.Value) ([]byte, bool) {
	if n, ok := v.AsInt(); ok {
		return strconv.AppendInt(b, n, 10), true
	}
	s, ok := v.AsString()
	if !ok {
		return b, false
	}
	quoted, err := json.Marshal(s)
	return append(b, quoted...), err == nil
}

// decodeValue is the inverse of encodeValue.
func decodeValue(b []byte) (history.Value, bool) {
	if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		return history.Int(n), true
	}
	var s string
	if len(b) == 0 || b[0] != '"' || json.Unmarshal(b, &s) != nil {
		return history.Nil, false
	}
	return history.String(s), true
}
