package store

import (
	"encoding/binary"
	"errors"

	"github.com/cleancut/cleancut/harness/wire"
)

// operation is what a command does to the state.
type operation uint8

const (
	opRegister operation = iota + 1
	opPut
	opDelete
	opCAS
)

// command is a proposal: what goes through the log. The byte slices of a
// decoded command point into the entry's data, which nobody changes.
type command struct {
	op operation
	// origin and id name the request at the node that proposed it, which
	// answers it when it applies the entry.
	origin, id uint64
	// session and seq name the write for exactly-once execution; session 0
	// is a write without that promise.
	session, seq uint64
	key          []byte
	// value is the new value as canonical JSON, and expected the value that a
	// CAS wants to find; empty for an absent key.
	value, expected []byte
}

var errCommand = errors.New("store: entry is not a command")

// append appends the encoding of c to b.
func (c *command) append(b []byte) []byte {
	b = append(b, byte(c.op))
	b = binary.AppendUvarint(b, c.origin)
	b = binary.LittleEndian.AppendUint64(b, c.id)
	b = binary.AppendUvarint(b, c.session)
	b = binary.AppendUvarint(b, c.seq)
	b = wire.AppendBytes(b, c.key)
	b = wire.AppendBytes(b, c.value)
	return wire.AppendBytes(b, c.expected)
}

// decodeCommand reads what append wrote. It never panics.
func decodeCommand(b []byte) (command, error) {
	r := reader{wire.Over(b)}
	c := command{
		op:     operation(r.Byte()),
		origin: r.Uvarint(),
		id:     r.Uint64(),
	}
	c.session, c.seq = r.Uvarint(), r.Uvarint()
	c.key, c.value, c.expected = r.Bytes(), r.Bytes(), r.Bytes()
	if !r.Done() || c.op < opRegister || c.op > opCAS {
		return command{}, errCommand
	}
	return c, nil
}
