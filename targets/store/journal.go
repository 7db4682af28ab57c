package store

import (
	"encoding/binary"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/cleancut/cleancut/harness/node"
)

// logName and snapshotName are the names of the files of a node. Both sort
// by number.
func logName(file uint64) string       { return fmt.Sprintf("log-%016x", file) }
func snapshotName(index uint64) string { return fmt.Sprintf("snap-%016x", index) }

const temporarySuffix = ".tmp"

// journal is the write-ahead log on disk. It only appends; what a batch
// contains is durable when the syncs that commit asks for have completed, and
// the caller must not begin the next batch before.
type journal struct {
	disk     node.Disk
	identity uint64 // of the node and its cluster: see identityOf
	limit    int64  // size at which the next batch goes to a new file

	files []logFile // ascending, the last one is open
	file  node.File
	size  int64
	seed  uint32 // of the file's checksums
	batch uint64 // number of the last batch
	dirty bool   // the last batch is not durable yet
	buf   []byte
	last  int // where in buf the last record begins
	state hardState
}

// logFile is a file of the log.
type logFile struct {
	number uint64
	// max is the highest index that an entry or a reset in the file has: when
	// a snapshot lies beyond it, the file can go.
	max uint64
}

// begin starts a batch, in a new file if the present one is full and durable.
// What is added while the last batch is not durable belongs to it.
func (j *journal) begin() (rotated bool, err error) {
	if !j.dirty {
		j.batch++
	}
	j.buf = j.buf[:0]
	if j.file != nil && (j.size < j.limit || j.dirty) {
		return false, nil
	}
	next := uint64(1)
	if n := len(j.files); n > 0 {
		next = j.files[n-1].number + 1
	}
	file, err := j.disk.Create(logName(next))
	if err != nil {
		return false, fmt.Errorf("creating %s: %w", logName(next), err)
	}
	if j.file != nil {
		if err := j.file.Close(); err != nil {
			return false, fmt.Errorf("closing %s: %w", logName(next-1), err)
		}
	}
	j.file, j.size = file, 0
	j.files = append(j.files, logFile{number: next})
	j.seed = checksumSeed(next)
	j.open(recordHeader)
	j.buf = binary.LittleEndian.AppendUint64(j.buf, j.identity)
	j.buf = j.state.append(j.buf)
	j.seal()
	return true, nil
}

// open begins a record in the batch, which its body and seal complete.
func (j *journal) open(kind recordKind) {
	j.last = len(j.buf)
	j.buf = openRecord(j.buf, j.batch, kind)
}

func (j *journal) seal() { sealRecord(j.buf[j.last:], j.seed) }

func (j *journal) current() *logFile { return &j.files[len(j.files)-1] }

// addState records the hard state. It goes before entries of a new term, so
// that the log never has entries of a term that the node does not know.
func (j *journal) addState(h hardState) {
	j.state = h
	j.open(recordState)
	j.buf = h.append(j.buf)
	j.seal()
}

func (j *journal) addEntry(e *pb.Entry) {
	f := j.current()
	f.max = max(f.max, e.GetIndex())
	j.open(recordEntry)
	j.buf = appendEntryBody(j.buf, e)
	j.seal()
}

// addReset records that the log was replaced by a snapshot.
func (j *journal) addReset(index, term uint64) {
	f := j.current()
	f.max = max(f.max, index)
	j.open(recordReset)
	j.buf = binary.AppendUvarint(binary.AppendUvarint(j.buf, index), term)
	j.seal()
}

// commit writes the batch. The caller then calls file.Sync, and SyncDir if
// the batch began a new file.
func (j *journal) commit() error {
	if len(j.buf) == 0 {
		return nil
	}
	endBatch(j.buf, j.last, j.seed)
	if _, err := j.file.WriteAt(j.buf, j.size); err != nil {
		return fmt.Errorf("writing %s at %d: %w", logName(j.current().number), j.size, err)
	}
	j.size += int64(len(j.buf))
	j.dirty = true
	return nil
}

// drop removes the files whose entries all have indices up to index. A
// removal that a power loss takes back does no harm: recovery ignores files
// before a gap, and entries before the snapshot.
func (j *journal) drop(index uint64) error {
	for len(j.files) > 1 && j.files[0].max <= index {
		if err := j.disk.Remove(logName(j.files[0].number)); err != nil {
			return fmt.Errorf("removing %s: %w", logName(j.files[0].number), err)
		}
		j.files = j.files[1:]
	}
	return nil
}
