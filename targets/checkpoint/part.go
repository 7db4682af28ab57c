package checkpoint

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// part is a worker's share of a global checkpoint: the state of the job and of
// the channels there, and the output that the world has not seen yet.
type part struct {
	round int
	state []byte // of the job
	outs  []uint64
	ins   []uint64
	// channel has, for each incoming channel, the messages that were in
	// transit when the cut passed.
	channel [][]frame
	// outputs were produced since the round before; they become visible when
	// this round commits. txns are those of committed rounds, of which it is
	// not known that they are visible. A sink that takes each output at once
	// knows no txns; outputs are then those of which it is not known that it
	// has them.
	outputs []output
	txns    []txn

	// What follows is of the protocols without rounds. closed is how many
	// transactions of output there were, ever; logs has, for each outgoing
	// channel, the messages that may have to be sent again; index is that of
	// cic; steps and logged are where the log of msglog stands.
	closed        int
	logs          [][]frame
	index         int
	steps, logged uint64
}

// output is something for the outside world. Work that is done again produces
// it under the same id: its producer, which may be one of several in a worker,
// and its number among that one's outputs.
type output struct {
	id   string
	data []byte
}

// txn is the output of one worker in one round. It becomes visible in one
// write.
type txn struct {
	round   int
	outputs []output
	asked   bool // the sink has been asked; not part of the state
}

// checkpointID names a worker's checkpoint of a round. Rounds are never
// numbered again, so neither is this.
func checkpointID(worker string, round int) string {
	if round == 0 {
		return ""
	}
	return worker + "." + strconv.Itoa(round)
}

func (p *part) encode() []byte {
	b := binary.AppendUvarint(nil, uint64(p.round))
	b = appendBytes(b, p.state)
	b = appendFrames(appendNumbers(appendNumbers(b, p.outs), p.ins), p.channel)
	b = appendOutputs(b, p.outputs)
	b = binary.AppendUvarint(b, uint64(len(p.txns)))
	for _, t := range p.txns {
		b = binary.AppendUvarint(b, uint64(t.round))
		b = appendOutputs(b, t.outputs)
	}
	b = appendFrames(binary.AppendUvarint(b, uint64(p.closed)), p.logs)
	b = binary.AppendUvarint(b, uint64(p.index))
	return binary.AppendUvarint(binary.AppendUvarint(b, p.steps), p.logged)
}

// appendFrames appends the messages of channels.
func appendFrames(b []byte, channels [][]frame) []byte {
	b = binary.AppendUvarint(b, uint64(len(channels)))
	for _, frames := range channels {
		b = binary.AppendUvarint(b, uint64(len(frames)))
		for _, f := range frames {
			b = f.append(b)
		}
	}
	return b
}

func (r *reader) frames() (channels [][]frame) {
	for range r.count(1) {
		var frames []frame
		for range r.count(5) {
			frames = append(frames, r.frame())
		}
		channels = append(channels, frames)
	}
	return channels
}

func appendOutputs(b []byte, list []output) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, o := range list {
		b = appendString(b, o.id)
		b = appendBytes(b, o.data)
	}
	return b
}

func (r *reader) outputs() []output {
	var list []output
	for range r.count(2) {
		list = append(list, output{id: r.string(), data: r.bytes()})
	}
	return list
}

var errPart = errors.New("checkpoint: this is no part that this version can read")

// decodePart is the inverse of encode. It never panics.
func decodePart(b []byte) (*part, error) {
	r := reader{b: b}
	p := &part{round: r.number(), state: r.bytes(), outs: r.numbers(), ins: r.numbers(), channel: r.frames(), outputs: r.outputs()}
	for range r.count(2) {
		p.txns = append(p.txns, txn{round: r.number(), outputs: r.outputs()})
	}
	p.closed, p.logs, p.index, p.steps, p.logged = r.number(), r.frames(), r.number(), r.uvarint(), r.uvarint()
	if !r.done() {
		return nil, errPart
	}
	return p, nil
}

// A sealed part is what every level keeps:
//
//	magic    4 bytes "ccp1"
//	checksum uint32   CRC-32C of what follows
//	worker   string
//	round    uvarint
//	base     uvarint  round that a delta rests on, 0 if this is whole
//	payload
//
// The worker and the round are in it so that a file under a wrong name, or a
// misdirected write, is not taken for what it is not.
const sealMagic = "ccp1"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func seal(worker string, round, base int, payload []byte) []byte {
	b := append(make([]byte, 0, len(payload)+32), sealMagic...)
	b = append(b, 0, 0, 0, 0)
	b = appendString(b, worker)
	b = binary.AppendUvarint(b, uint64(round))
	b = binary.AppendUvarint(b, uint64(base))
	b = append(b, payload...)
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	return b
}

// errCorrupt means that what a level kept is not what was written to it.
var errCorrupt = errors.New("checkpoint: corrupt part")

// unseal checks a sealed part and returns what is in it. With verify false it
// believes the checksum (a planted bug).
func unseal(b []byte, worker string, round int, verify bool) (base int, payload []byte, err error) {
	if len(b) < 8 || string(b[:4]) != sealMagic {
		return 0, nil, errCorrupt
	}
	if verify && crc32.Checksum(b[8:], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return 0, nil, errCorrupt
	}
	r := reader{b: b[8:]}
	name, n := r.string(), r.number()
	base = r.number()
	if r.failed || verify && (name != worker || n != round) || base >= round {
		return 0, nil, errCorrupt
	}
	return base, r.b, nil
}

func digestOf(b []byte) string { return strconv.FormatUint(xxhash.Sum64(b), 16) }
