package store

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/wire"
)

// Errors of Program.Start, to be tested for with errors.Is.
var (
	// ErrCorrupt means that something that was durable can no longer be read.
	// The node must not take part again with this disk: its votes and
	// acknowledgements may be lost. Replace the node.
	ErrCorrupt = errors.New("data directory is damaged")
	// errIdentity means that the data directory belongs to someone else.
	errIdentity = errors.New("data directory belongs to another node or cluster")
)

// recovered is what a disk holds.
type recovered struct {
	journal journal
	snap    *snapshot // newest, nil if there is none
	// entries are the log, contiguous; the first one is a stand-in for what
	// lies before the log, of which only index and term are known.
	entries []*pb.Entry
	// reset tells that the log does not reach or contradicts the snapshot
	// (the crash came between the installation of a snapshot and the reset of
	// the log): it was discarded, and a reset must be recorded.
	reset bool
	// torn is how many bytes were cut off the end of the log.
	torn int64
	// stale are files that are not needed any more.
	stale []string
}

// recoverDisk reads what is on the disk. It changes nothing but the end of
// the last log file, which it cuts off after the last readable record if
// what follows was never durable. It never panics, whatever the files hold.
//
// What it found may not be durable: a process that was killed leaves its
// writes in the cache. The caller must sync before it promises anything.
func recoverDisk(disk node.Disk, identity uint64, limit int64) (*recovered, error) {
	names, err := disk.List()
	if err != nil {
		return nil, fmt.Errorf("listing the data directory: %w", err)
	}
	r := &recovered{journal: journal{disk: disk, identity: identity, limit: limit}}
	var logs, snaps []uint64
	for _, name := range names {
		switch number, kind := parseName(name); kind {
		case "log":
			logs = append(logs, number)
		case "snap":
			snaps = append(snaps, number)
		case temporarySuffix:
			r.stale = append(r.stale, name)
		}
	}
	if err := r.readSnapshot(snaps); err != nil {
		return nil, err
	}
	p := replay{recovered: r}
	if err := p.readLogs(logs); err != nil {
		return nil, err
	}
	return r, p.join()
}

// parseName tells what a file is by its name; kind is "" for foreign files.
func parseName(name string) (number uint64, kind string) {
	if strings.HasSuffix(name, temporarySuffix) {
		return 0, temporarySuffix
	}
	kind, digits, _ := strings.Cut(name, "-")
	number, err := strconv.ParseUint(digits, 16, 64)
	if err != nil || len(digits) != 16 || kind != "log" && kind != "snap" {
		return 0, ""
	}
	return number, kind
}

// readSnapshot reads the newest snapshot. Snapshots get their names only
// when they are durable, so one that cannot be read was damaged later.
func (r *recovered) readSnapshot(indices []uint64) error {
	for i, index := range indices {
		name := snapshotName(index)
		if i < len(indices)-1 {
			r.stale = append(r.stale, name)
			continue
		}
		b, err := readFile(r.journal.disk, name)
		if err != nil {
			return err
		}
		if r.snap, err = decodeSnapshot(b, r.journal.identity); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrCorrupt, name, err)
		}
		if r.snap.index != index {
			return fmt.Errorf("%w: %s holds the snapshot at index %d", ErrCorrupt, name, r.snap.index)
		}
	}
	return nil
}

// replay rebuilds the log from its records.
type replay struct {
	*recovered
	based bool // entries[0] stands for what lies before the log
}

// readLogs replays the log files: the longest run of consecutive numbers that
// ends with the newest. Older ones were removed, and a power loss took the
// removal back.
func (p *replay) readLogs(numbers []uint64) error {
	first := len(numbers) - 1
	for first > 0 && numbers[first-1]+1 == numbers[first] {
		first--
	}
	for i, number := range numbers {
		if i < first {
			p.stale = append(p.stale, logName(number))
			continue
		}
		if err := p.readLog(number, i == len(numbers)-1); err != nil {
			return err
		}
	}
	switch files := p.journal.files; {
	case len(files) == 0 && (p.snap != nil || len(numbers) > 0 && numbers[0] > 1):
		return fmt.Errorf("%w: the log is gone", ErrCorrupt)
	case len(files) > 0 && files[0].number > 1 && p.snap == nil:
		return fmt.Errorf("%w: the log begins with %s, but there is no snapshot", ErrCorrupt, logName(files[0].number))
	}
	return p.openLast()
}

// readLog replays one file up to the end of its last complete batch.
func (p *replay) readLog(number uint64, newest bool) error {
	name := logName(number)
	b, err := readFile(p.journal.disk, name)
	if err != nil {
		return err
	}
	seed := checksumSeed(number)
	good := completeBatches(b, seed)
	if good > 0 {
		p.journal.files = append(p.journal.files, logFile{number: number})
	}
	for off := 0; off < good; {
		rec, _ := parseRecord(b[off:], seed)
		j := &p.journal
		first := off == 0 && len(j.files) == 1
		if (rec.kind == recordHeader) != (off == 0) || !first && rec.batch != j.batch && rec.batch != j.batch+1 {
			return fmt.Errorf("%w: %s at %d: a record of kind %d and batch %d follows batch %d",
				ErrCorrupt, name, off, rec.kind, rec.batch, j.batch)
		}
		if err := p.apply(rec); err != nil {
			return fmt.Errorf("%s at %d: %w", name, off, err)
		}
		j.batch = rec.batch
		off += rec.size
	}
	if good > 0 {
		p.journal.size = int64(good)
		if good == len(b) {
			return nil
		}
	}
	// What follows may be the next batch, cut off by the crash. It was
	// durable if it is not the newest, or if a batch after it can be read.
	later, found := laterBatch(b[good:], seed)
	if !newest || found && later > p.journal.batch+1 {
		return fmt.Errorf("%w: %s at %d cannot be read, although it was durable once", ErrCorrupt, name, good)
	}
	p.torn = int64(len(b) - good)
	if good == 0 {
		p.stale = append(p.stale, name) // it was being created
	}
	return nil
}

// completeBatches returns where the last complete batch at the front of b
// ends.
func completeBatches(b []byte, seed uint32) (good int) {
	for off := 0; ; {
		rec, ok := parseRecord(b[off:], seed)
		if !ok {
			return good
		}
		off += rec.size
		if rec.ends {
			good = off
		}
	}
}

// laterBatch returns the highest batch of the readable records anywhere in b.
func laterBatch(b []byte, seed uint32) (batch uint64, found bool) {
	for off := 0; off+recordPrefix+recordFixed <= len(b); {
		rec, ok := parseRecord(b[off:], seed)
		if !ok {
			off++
			continue
		}
		batch, found = max(batch, rec.batch), true
		off += rec.size
	}
	return batch, found
}

// apply replays one record.
func (p *replay) apply(rec record) error {
	r := reader{wire.Over(rec.body)}
	switch rec.kind {
	case recordHeader:
		if r.Uint64() != p.journal.identity && !r.Failed() {
			return errIdentity
		}
		p.journal.state = r.hardState()
	case recordState:
		p.journal.state = r.hardState()
	case recordReset:
		index, term := r.Uvarint(), r.Uvarint()
		f := p.journal.current()
		f.max = max(f.max, index)
		p.base(index, term)
	case recordEntry:
		index, term := r.Uvarint(), r.Uvarint()
		if r.Failed() || index == 0 || term == 0 {
			return fmt.Errorf("%w: a log entry cannot be decoded", ErrCorrupt)
		}
		data := slices.Clone(r.Rest())
		return p.entry(index, term, data)
	}
	if !r.Done() {
		return fmt.Errorf("%w: a record of kind %d cannot be decoded", ErrCorrupt, rec.kind)
	}
	return nil
}

func (p *replay) base(index, term uint64) {
	p.entries, p.based = []*pb.Entry{newEntry(index, term, nil)}, true
}

// entry appends an entry; it replaces what the log has from its index on.
func (p *replay) entry(index, term uint64, data []byte) error {
	f := p.journal.current()
	f.max = max(f.max, index)
	if !p.based && f.number == 1 && index == 1 {
		p.base(0, 0)
	}
	if !p.based || index <= p.entries[0].GetIndex() {
		// The entries before were dropped after a snapshot: this one serves
		// as the stand-in.
		p.base(index, term)
		return nil
	}
	next := p.entries[0].GetIndex() + uint64(len(p.entries))
	if index > next {
		return fmt.Errorf("%w: log entry %d is missing before entry %d", ErrCorrupt, next, index)
	}
	p.entries = append(p.entries[:len(p.entries)-int(next-index)], newEntry(index, term, data))
	return nil
}

// openLast cuts off what is torn and opens the last file for appending.
func (p *replay) openLast() error {
	j := &p.journal
	if len(j.files) == 0 {
		return nil
	}
	name := logName(j.current().number)
	j.seed = checksumSeed(j.current().number)
	f, err := j.disk.Open(name)
	if err != nil {
		return fmt.Errorf("opening %s: %w", name, err)
	}
	j.file = f
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("reading the size of %s: %w", name, err)
	}
	if size > j.size {
		if err := f.Truncate(j.size); err != nil {
			return fmt.Errorf("truncating %s to %d: %w", name, j.size, err)
		}
	}
	return nil
}

// join brings snapshot, log and hard state together.
func (p *replay) join() error {
	if !p.based {
		p.entries = []*pb.Entry{newEntry(0, 0, nil)}
	}
	index, term := uint64(0), uint64(0)
	if p.snap != nil {
		index, term = p.snap.index, p.snap.term
	}
	base := p.entries[0].GetIndex()
	last := base + uint64(len(p.entries)) - 1
	switch {
	case base > index:
		return fmt.Errorf("%w: the log begins after index %d, but the newest snapshot is at %d", ErrCorrupt, base, index)
	case index > last || p.entries[index-base].GetTerm() != term:
		p.base(index, term)
		p.reset, last = true, index
	}
	state := &p.journal.state
	if state.term < term {
		*state = hardState{term: term}
	}
	if newest := p.entries[len(p.entries)-1].GetTerm(); state.term < newest {
		return fmt.Errorf("%w: the log has an entry of term %d, but the node knows term %d only", ErrCorrupt, newest, state.term)
	}
	// The commit index is a hint that is not synced on its own.
	state.commit = min(max(state.commit, index), last)
	return nil
}
