package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/wire"
)

// snapshotMagic begins a snapshot file: format and version.
const snapshotMagic = "cleancut store snapshot 1\n"

// snapshot is the state after the entry (index, term).
type snapshot struct {
	index, term uint64
	data        []byte // machine.encode
}

// encode returns the contents of the snapshot's file:
//
//	magic, identity, index, term, data with its length, CRC-32C of it all
func (s *snapshot) encode(identity uint64) []byte {
	b := make([]byte, 0, len(snapshotMagic)+len(s.data)+64)
	b = append(b, snapshotMagic...)
	b = binary.LittleEndian.AppendUint64(b, identity)
	b = binary.AppendUvarint(b, s.index)
	b = binary.AppendUvarint(b, s.term)
	b = wire.AppendBytes(b, s.data)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

var errSnapshot = errors.New("the file is damaged, or not a snapshot")

// decodeSnapshot is the inverse of encode. It never panics.
func decodeSnapshot(b []byte, identity uint64) (*snapshot, error) {
	n := len(b) - 4
	if n < len(snapshotMagic) || string(b[:len(snapshotMagic)]) != snapshotMagic ||
		crc32.Checksum(b[:n], castagnoli) != binary.LittleEndian.Uint32(b[n:]) {
		return nil, errSnapshot
	}
	r := reader{wire.Over(b[len(snapshotMagic):n])}
	if r.Uint64() != identity {
		return nil, errIdentity
	}
	s := &snapshot{index: r.Uvarint(), term: r.Uvarint(), data: r.Bytes()}
	if !r.Done() || s.index == 0 || s.term == 0 {
		return nil, errSnapshot
	}
	return s, nil
}

// readFile reads a whole file.
func readFile(disk node.Disk, name string) ([]byte, error) {
	f, err := disk.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("reading the size of %s: %w", name, err)
	}
	b := make([]byte, size)
	if size > 0 {
		if n, err := f.ReadAt(b, 0); n < len(b) {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("closing %s: %w", name, err)
	}
	return b, nil
}
