package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/wire"
	"github.com/cleancut/cleancut/targets/store"
)

// messageKind says what a Message is.
type messageKind uint8

const (
	// storeMessage carries a message between replicas of the store.
	storeMessage messageKind = iota + 1
	// frameMessage is a frame of a channel between workers: Epoch, Seq, Body
	// (an encoded frame).
	frameMessage
	// frameAck acknowledges all frames up to Seq of a channel: Epoch, Seq.
	frameAck
	// beatMessage is a worker's account of itself: Body (an encoded beat).
	beatMessage
	// orderMessage is what the coordinator wants: Body (an encoded order).
	orderMessage
	// partnerPut asks the partner to keep a part: Epoch, Round, Body.
	// partnerKept answers it: Epoch, Round.
	partnerPut
	partnerKept
	// partnerGet asks for a part: Seq, Round. partnerPart answers it: Seq,
	// Round, Found, Body.
	partnerGet
	partnerPart
	// callMessage asks the coordinator to do something with the store: Seq,
	// Body (an encoded call). callAnswer answers it: Seq, Found, Body.
	callMessage
	callAnswer
)

// Message is what nodes send each other. Fields that a kind does not use are
// zero.
type Message struct {
	kind  messageKind
	epoch int
	round int
	seq   uint64
	found bool
	body  []byte
	inner node.Message // of a storeMessage
}

var _ node.Message = Message{}

// bodyMax bounds the body of a message, and with it the size of a part.
const bodyMax = 4 << 20

// AppendBinary implements node.Message.
func (m Message) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, byte(m.kind))
	if m.kind == storeMessage {
		return m.inner.AppendBinary(b)
	}
	b = binary.AppendUvarint(b, uint64(m.epoch))
	b = binary.AppendUvarint(b, uint64(m.round))
	b = binary.AppendUvarint(b, m.seq)
	b = wire.AppendBool(b, m.found)
	return append(b, m.body...), nil
}

var errMessage = errors.New("checkpoint: message is cut off or malformed")

// decodeMessage is the inverse of AppendBinary. It never panics.
func decodeMessage(b []byte) (Message, error) {
	r := reader{wire.Over(b)}
	m := Message{kind: messageKind(r.Byte())}
	if m.kind == storeMessage {
		inner, err := new(store.Program).Decode(r.Rest())
		if err != nil {
			return Message{}, fmt.Errorf("checkpoint: %w", err)
		}
		m.inner = inner
		return m, nil
	}
	m.epoch, m.round, m.seq, m.found = r.Number(), r.Number(), r.Uvarint(), r.Bool()
	if r.Failed() || m.kind < storeMessage || m.kind > callAnswer || r.Left() > bodyMax {
		return Message{}, errMessage
	}
	if r.Left() > 0 {
		m.body = r.Rest()
	}
	var err error
	switch m.kind {
	case frameMessage:
		_, err = decodeFrame(m.body)
	case beatMessage:
		_, err = decodeBeat(m.body)
	case orderMessage:
		_, err = decodeOrder(m.body)
	case callMessage:
		_, err = decodeCall(m.body)
	}
	if err != nil {
		return Message{}, err
	}
	return m, nil
}

// frame is what travels through a channel: a message of the job, or a marker.
type frame struct {
	marker bool
	round  int    // of a marker
	index  int    // that the protocol piggybacks, 0 if it does not
	msg    uint64 // number of the job's message in this channel, from 1
	data   []byte
}

func (f frame) append(b []byte) []byte {
	b = wire.AppendBool(b, f.marker)
	b = binary.AppendUvarint(b, uint64(f.round))
	b = binary.AppendUvarint(b, uint64(f.index))
	b = binary.AppendUvarint(b, f.msg)
	return wire.AppendBytes(b, f.data)
}

func (r *reader) frame() frame {
	f := frame{marker: r.Bool(), round: r.Number(), index: r.Number(), msg: r.Uvarint(), data: r.Bytes()}
	if f.marker != (f.msg == 0) || f.marker && len(f.data) > 0 || !f.marker && f.round != 0 {
		r.Fail()
	}
	return f
}

func decodeFrame(b []byte) (frame, error) {
	r := reader{wire.Over(b)}
	f := r.frame()
	if !r.Done() {
		return frame{}, errMessage
	}
	return f, nil
}

// workerState is where a worker stands.
type workerState uint8

const (
	// fresh: the process has begun and has no state yet.
	fresh workerState = iota
	// restoring: it loads the checkpoint that the order names.
	restoring
	// unrestorable: no level has the part intact.
	unrestorable
	// restored: its state is set back; it waits for the others.
	restored
	// running: it computes.
	running
	// frozen: it keeps its state and waits for what is decided about it.
	frozen
)

var stateNames = [...]string{"fresh", "restoring", "unrestorable", "restored", "running", "frozen"}

func (s workerState) String() string { return stateNames[s] }

// beat is a worker's account of itself. It is whole: the newest replaces all
// that were before it.
type beat struct {
	boot    uint64 // names the process
	number  uint64 // counts the beats of that process
	state   workerState
	version uint64 // of the newest order that it has followed
	epoch   int
	target  int // round that it could not restore, or has restored
	done    int // round whose part is durable at all its levels
	failed  int // round whose part could not be saved
	units   int64
	final   bool   // the job has nothing left to do here
	hidden  bool   // there is output that the outside world cannot see yet
	digest  string // of the job's result here, once it is final
	value   int64  // share of the conserved quantity, once it is final
	counts         // of its state, if the protocol has no rounds
	broken  bool   // it cannot do again what it did
	bad     []int  // checkpoints of its own that it knows to be lost, ascending
	known   int    // its newest checkpoint of which it knows that it counts
}

func (t beat) append(b []byte) []byte {
	b = binary.AppendUvarint(b, t.boot)
	b = binary.AppendUvarint(b, t.number)
	b = append(b, byte(t.state))
	b = binary.AppendUvarint(b, t.version)
	for _, n := range [...]int{t.epoch, t.target, t.done, t.failed} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = binary.AppendVarint(b, t.units)
	b = wire.AppendBool(wire.AppendBool(b, t.final), t.hidden)
	b = wire.AppendString(b, t.digest)
	b = wire.AppendBool(t.counts.append(binary.AppendVarint(b, t.value)), t.broken)
	return binary.AppendUvarint(appendNames(b, t.bad), uint64(t.known))
}

func decodeBeat(b []byte) (beat, error) {
	r := reader{wire.Over(b)}
	t := beat{boot: r.Uvarint(), number: r.Uvarint(), state: workerState(r.Byte()), version: r.Uvarint()}
	t.epoch, t.target, t.done, t.failed = r.Number(), r.Number(), r.Number(), r.Number()
	t.units, t.final, t.hidden = r.Varint(), r.Bool(), r.Bool()
	t.digest, t.value, t.counts, t.broken, t.bad, t.known = r.Text(), r.Varint(), r.counts(), r.Bool(), r.ascending(), r.Number()
	if !r.Done() || t.state > frozen {
		return beat{}, errMessage
	}
	return t, nil
}

// phase is what the workers are to do.
type phase uint8

const (
	// recovering: restore the round Target of the ledger, and wait.
	recovering phase = iota + 1
	// computing: compute.
	computing
	// givenUp: the job failed, loudly.
	givenUp
	// gathering: stop and tell what there is; what to restore is not decided.
	gathering
)

// order is what the coordinator wants of a worker. It is whole: the one with
// the highest version replaces all others.
type order struct {
	version   uint64 // of the ledger
	epoch     int
	phase     phase
	target    int   // round to restore; 0 for the initial state
	pending   int   // round under way, 0 for none
	begun     int   // highest round that was ever begun
	committed []int // rounds that are committed and kept, ascending

	// What follows is of the protocols without rounds, where committed are the
	// worker's own checkpoints.
	ward    []int    // checkpoints whose parts it keeps in its memory
	stay    bool     // nothing is restored: it goes on from where it is
	lost    bool     // it counts as dead, and its state is void
	boot    uint64   // process that may compute in this epoch
	shown   int      // transactions of output that are released
	oldest  int      // what no recovery goes behind: its oldest checkpoint, 0 for where it began
	covered []uint64 // by outgoing channel: messages that need not be kept
	owed    []uint64 // by outgoing channel: messages that a replay must come to
}

func (o order) append(b []byte) []byte {
	b = binary.AppendUvarint(b, o.version)
	b = binary.AppendUvarint(b, uint64(o.epoch))
	b = append(b, byte(o.phase))
	b = binary.AppendUvarint(b, uint64(o.target))
	b = binary.AppendUvarint(b, uint64(o.pending))
	b = binary.AppendUvarint(b, uint64(o.begun))
	b = appendNames(appendNames(b, o.committed), o.ward)
	b = binary.AppendUvarint(wire.AppendBool(wire.AppendBool(b, o.stay), o.lost), o.boot)
	return appendNumbers(appendNumbers(binary.AppendUvarint(binary.AppendUvarint(b, uint64(o.shown)), uint64(o.oldest)), o.covered), o.owed)
}

func decodeOrder(b []byte) (order, error) {
	r := reader{wire.Over(b)}
	o := order{version: r.Uvarint(), epoch: r.Number(), phase: phase(r.Byte()), target: r.Number(), pending: r.Number(), begun: r.Number()}
	o.committed, o.ward = r.ascending(), r.ascending()
	o.stay, o.lost, o.boot, o.shown, o.oldest = r.Bool(), r.Bool(), r.Uvarint(), r.Number(), r.Number()
	o.covered, o.owed = r.numbers(), r.numbers()
	if !r.Done() || o.phase < recovering || o.phase > gathering {
		return order{}, errMessage
	}
	return o, nil
}
