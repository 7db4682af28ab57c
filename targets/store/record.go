package store

import (
	"encoding/binary"
	"hash/crc32"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/cleancut/cleancut/harness/wire"
)

// A log file is a sequence of records:
//
//	length   uint32  bytes after the checksum
//	checksum uint32  CRC-32C, of the file's number and what follows
//	kind     byte
//	flags    byte    1 on the last record of a batch
//	batch    uint64
//	body
//
// all little endian. A batch is what one sync makes durable, and the next
// batch is not written before that sync has completed. Therefore a readable
// record of batch b proves that all batches before b were durable, and that
// a record of them that cannot be read was damaged afterwards; while what
// cannot be read in the last batch may just have been cut off by the crash.
// (Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage",
// FAST 2018, on why the two must be told apart.)
type recordKind uint8

const (
	recordHeader recordKind = iota + 1 // first in each file: format, node, hard state
	recordState                        // hard state
	recordEntry                        // log entry; replaces all from its index on
	recordReset                        // the log is empty and goes on after (index, term)
)

const (
	recordPrefix  = 8       // length and checksum
	recordFixed   = 10      // kind, flags, batch
	recordMax     = 1 << 22 // bytes after the checksum
	flagBatchEnds = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksumSeed makes records of one file unreadable in another.
func checksumSeed(file uint64) uint32 {
	return crc32.Checksum(binary.LittleEndian.AppendUint64(nil, file), castagnoli)
}

// hardState is what Raft must not forget, by value.
type hardState struct{ term, vote, commit uint64 }

func (h hardState) append(b []byte) []byte {
	b = binary.AppendUvarint(b, h.term)
	b = binary.AppendUvarint(b, h.vote)
	return binary.AppendUvarint(b, h.commit)
}

// reader reads values of this package.
type reader struct{ wire.Reader }

func (r *reader) hardState() hardState {
	return hardState{term: r.Uvarint(), vote: r.Uvarint(), commit: r.Uvarint()}
}

// openRecord appends the beginning of a record: the caller appends the body,
// and then seals it.
func openRecord(b []byte, batch uint64, kind recordKind) []byte {
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, byte(kind), 0)
	return binary.LittleEndian.AppendUint64(b, batch)
}

// sealRecord fills in length and checksum.
func sealRecord(b []byte, seed uint32) {
	binary.LittleEndian.PutUint32(b, uint32(len(b)-recordPrefix))
	binary.LittleEndian.PutUint32(b[4:], crc32.Update(seed, castagnoli, b[recordPrefix:]))
}

// endBatch marks the record that starts at b[start] as the last of its batch.
func endBatch(b []byte, start int, seed uint32) {
	b[start+recordPrefix+1] |= flagBatchEnds
	sealRecord(b[start:], seed)
}

// record is a record as read.
type record struct {
	kind  recordKind
	ends  bool
	batch uint64
	body  []byte
	size  int // in the file
}

// parseRecord reads the record at the front of b. It never panics.
func parseRecord(b []byte, seed uint32) (record, bool) {
	if len(b) < recordPrefix+recordFixed {
		return record{}, false
	}
	n := binary.LittleEndian.Uint32(b)
	kind, flags := recordKind(b[recordPrefix]), b[recordPrefix+1]
	if n < recordFixed || n > recordMax || int(n) > len(b)-recordPrefix ||
		kind < recordHeader || kind > recordReset || flags > flagBatchEnds {
		return record{}, false
	}
	payload := b[recordPrefix : recordPrefix+n]
	if crc32.Update(seed, castagnoli, payload) != binary.LittleEndian.Uint32(b[4:]) {
		return record{}, false
	}
	return record{
		kind:  kind,
		ends:  flags == flagBatchEnds,
		batch: binary.LittleEndian.Uint64(payload[2:]),
		body:  payload[recordFixed:],
		size:  recordPrefix + int(n),
	}, true
}

func appendEntryBody(b []byte, e *pb.Entry) []byte {
	b = binary.AppendUvarint(b, e.GetIndex())
	b = binary.AppendUvarint(b, e.GetTerm())
	return append(b, e.GetData()...)
}

// newEntry makes an entry with one allocation besides its data.
func newEntry(index, term uint64, data []byte) *pb.Entry {
	e := &struct {
		pb.Entry
		index, term uint64
	}{index: index, term: term}
	e.Index, e.Term = &e.index, &e.term
	if len(data) > 0 {
		e.Data = data
	}
	return &e.Entry
}
