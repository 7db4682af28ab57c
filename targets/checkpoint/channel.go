package checkpoint

import (
	"strconv"
	"time"

	"github.com/cleancut/cleancut/harness/node"
)

// Bounds of channels. A sender that has queueSoft frames waiting for
// acknowledgement computes no further; a receiver takes nothing in while it
// has queueHard waiting, so that memory stays bounded whatever the job does.
const (
	window    = 64   // frames on their way at once
	aheadMax  = 256  // frames kept that arrived before their turn
	queueSoft = 256  // frames
	queueHard = 4096 // frames
)

// outgoing is the sending end of a channel: reliable and first-in first-out
// over a network that loses, delays, duplicates and reorders. Frames are
// numbered from 1 in each epoch; the job's messages are numbered on their own,
// and their count is part of the checkpointed state, so that a message that is
// sent again by a re-execution has the number that it had.
type outgoing struct {
	to   string
	msgs uint64 // messages of the job sent in this channel, ever
	// log has the last of them, up to msgs, where the sender must be able to
	// send them again.
	log []frame

	acked uint64   // frames up to this one have arrived
	next  uint64   // first frame not yet handed to the network
	queue [][]byte // frames from acked+1 on, encoded
	sent  time.Duration
}

func (o *outgoing) last() uint64 { return o.acked + uint64(len(o.queue)) }

// reset begins a new epoch.
func (o *outgoing) reset() { o.acked, o.next, o.queue = 0, 1, nil }

// push hands on what fits into the window.
func (o *outgoing) push(env node.Env, epoch int) {
	for o.next <= o.last() && o.next <= o.acked+window {
		env.Send(o.to, Message{kind: frameMessage, epoch: epoch, seq: o.next, body: o.queue[o.next-o.acked-1]})
		o.next++
		o.sent = env.Now()
	}
}

// add sends a frame.
func (o *outgoing) add(env node.Env, epoch int, f frame) {
	o.queue = append(o.queue, f.append(nil))
	o.push(env, epoch)
}

// ack takes an acknowledgement of all frames up to seq.
func (o *outgoing) ack(env node.Env, epoch int, seq uint64) {
	if seq <= o.acked || seq > o.last() {
		return
	}
	n := seq - o.acked
	clear(o.queue[:n])
	o.queue = o.queue[n:]
	o.acked, o.next = seq, max(o.next, seq+1)
	o.sent = env.Now()
	o.push(env, epoch)
}

// resend sends again what was not acknowledged for a while.
func (o *outgoing) resend(env node.Env, epoch int, after time.Duration) {
	if len(o.queue) > 0 && env.Now()-o.sent >= after {
		o.next = o.acked + 1
		o.push(env, epoch)
	}
}

// incoming is the receiving end of a channel.
type incoming struct {
	from string
	msgs uint64 // number of the last message delivered to the job

	seq     uint64            // frames up to this one were taken in
	ahead   map[uint64][]byte // frames that arrived before their turn
	pending []frame           // taken in, and not looked at yet
	held    []frame           // the job's messages that the protocol holds back
}

func (c *incoming) reset() {
	c.seq, c.ahead, c.pending, c.held = 0, map[uint64][]byte{}, nil, nil
}

// take takes a frame in, and with it those that waited for it.
func (c *incoming) take(seq uint64, body []byte) {
	switch {
	case seq <= c.seq, c.ahead[seq] != nil, len(c.ahead) >= aheadMax, len(c.pending)+len(c.held) >= queueHard:
		return // a duplicate, or too much: it will be sent again
	}
	c.ahead[seq] = body
	for body := c.ahead[c.seq+1]; body != nil; body = c.ahead[c.seq+1] {
		c.seq++
		delete(c.ahead, c.seq)
		if f, err := decodeFrame(body); err == nil {
			c.pending = append(c.pending, f)
		}
	}
}

// messageID names a message of the job, the same in every re-execution.
func messageID(from, to string, number uint64) string {
	return from + ">" + to + "#" + strconv.FormatUint(number, 10)
}
