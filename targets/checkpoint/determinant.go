package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cleancut/cleancut/harness/node"
)

// determinant says what the job did not decide itself: which message came
// next, after how many of its own steps. With from none, no message came: it
// only says that it got as far as that before others could see it.
type determinant struct {
	pos   uint64 // in the log, from 1; each is one higher than the one before
	epoch int    // in which it was written
	steps uint64
	from  int // worker
	msg   uint64
}

// none is a determinant's sender where it has no message.
const none = -1

// determinantBytes is the size of a determinant in the log: a CRC-32C and five
// numbers.
const determinantBytes = 4 + 5*8

func (d determinant) append(b []byte) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	for _, n := range [...]uint64{d.pos, uint64(d.epoch), d.steps, uint64(d.from + 1), d.msg} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	binary.LittleEndian.PutUint32(b[at:], crc32.Checksum(b[at+4:], castagnoli))
	return b
}

// decodeDeterminant reports false for what is not whole.
func decodeDeterminant(b []byte) (determinant, bool) {
	if len(b) < determinantBytes || binary.LittleEndian.Uint32(b) != crc32.Checksum(b[4:determinantBytes], castagnoli) {
		return determinant{}, false
	}
	n := func(i int) uint64 { return binary.LittleEndian.Uint64(b[4+8*i:]) }
	return determinant{n(0), int(n(1)), n(2), int(n(3)) - 1, n(4)}, true
}

// id names a determinant, the same when it is met again in a replay.
func (d determinant) id(worker string) string {
	return worker + "@" + strconv.Itoa(d.epoch) + "." + strconv.FormatUint(d.pos, 10)
}

// logPrefix begins the names of the files of a worker's log; their number
// follows. A process never adds to a file of another: its end may be torn.
const logPrefix = "log-"

func logName(n int) string { return fmt.Sprintf("%s%08d", logPrefix, n) }

// logTokens tells the syncs of the log from those of checkpoints.
const logTokens = 1 << 40

// segment is a file of the log.
type segment struct {
	number int
	last   uint64 // highest position in it
}

// determinants is the log on the worker's disk. What was read from it at the
// start is only certain to stay when it has been written and synced again.
type determinants struct {
	env      node.Env
	all      map[uint64]determinant // by position; those that may be needed
	next     uint64        // position of the next one
	stable   uint64        // up to here everything is on stable storage
	segments []segment
	number   int // of the newest segment
	file     node.File
	size     int64
	named    bool // its name is durable
	token    uint64
	syncing  uint64 // token of the sync under way, 0 for none
	covers   uint64 // position up to which that goes
	synced   func() // is called when stable has grown
}

// openLog reads what is on the disk. A segment counts up to its first record
// that is damaged: what was being written when the process or the machine died.
func openLog(env node.Env, synced func()) (*determinants, error) {
	l := &determinants{env: env, all: map[uint64]determinant{}, next: 1, token: logTokens, synced: synced}
	names, err := env.Disk().List()
	if err != nil {
		return nil, fmt.Errorf("checkpoint: the directory cannot be listed: %w", err)
	}
	for _, name := range names {
		digits, ours := strings.CutPrefix(name, logPrefix)
		n, err := strconv.Atoi(digits)
		if !ours || err != nil || logName(n) != name {
			continue
		}
		if err := l.read(n); err != nil {
			return nil, fmt.Errorf("checkpoint: %s cannot be read: %w", name, err)
		}
		l.number = n
	}
	return l, nil
}

func (l *determinants) read(n int) error {
	f, err := l.env.Disk().Open(logName(n))
	if err != nil {
		return err
	}
	defer f.Close() // nothing was written
	size, err := f.Size()
	if err != nil || size > bodyMax {
		return errors.Join(err, fs.ErrInvalid)
	}
	b := make([]byte, size)
	if size > 0 {
		if got, err := f.ReadAt(b, 0); int64(got) < size {
			return err
		}
	}
	s := segment{number: n}
	for ; len(b) > 0; b = b[min(len(b), determinantBytes):] {
		d, ok := decodeDeterminant(b)
		if !ok {
			break
		}
		l.take(d)
		s.last = max(s.last, d.pos)
	}
	l.segments = append(l.segments, s)
	return nil
}

// take adds a record that was read. The same may be there several times; of
// two different ones the later counts, and what followed the other is void.
// What is missing between records was in a checkpoint, and never became
// stable.
func (l *determinants) take(d determinant) {
	if before, ok := l.all[d.pos]; ok && before != d {
		for pos := d.pos; pos < l.next; pos++ {
			delete(l.all, pos)
		}
		l.next = d.pos
	}
	l.all[d.pos] = d
	l.next = max(l.next, d.pos+1)
}

// after returns what was logged after a position, and begins to write it anew.
func (l *determinants) after(pos uint64) []determinant {
	var rest []determinant
	kept := map[uint64]determinant{}
	for next := pos + 1; ; next++ {
		d, ok := l.all[next]
		if !ok {
			break
		}
		rest, kept[next] = append(rest, d), d
	}
	l.all = kept
	l.next, l.stable = pos+uint64(len(rest))+1, pos
	l.rotate()
	l.write()
	return rest
}

// add logs a determinant, and returns its position.
func (l *determinants) add(epoch int, steps uint64, from int, msg uint64) determinant {
	d := determinant{l.next, epoch, steps, from, msg}
	l.next++
	l.all[d.pos] = d
	l.write()
	return d
}

// rotate has what comes next go to another file.
func (l *determinants) rotate() {
	if l.file != nil {
		_ = l.file.Close() // what was not synced will be written again
	}
	l.file, l.size, l.named, l.syncing = nil, 0, false, 0
}

// unwritten are the determinants that are not in the present file.
func (l *determinants) unwritten() []determinant {
	done := l.stable
	if l.file != nil {
		done = max(done, l.segments[len(l.segments)-1].last)
	}
	var list []determinant
	for pos := done + 1; pos < l.next; pos++ {
		list = append(list, l.all[pos])
	}
	return list
}

// write hands what is new to the disk, and has it synced.
func (l *determinants) write() {
	list := l.unwritten()
	if len(list) > 0 {
		if l.file == nil && !l.create() {
			return // at the next determinant, or the next tick
		}
		var b []byte
		for _, d := range list {
			b = d.append(b)
		}
		if _, err := l.file.WriteAt(b, l.size); err != nil {
			l.env.Logf("%s cannot be written: %v", logName(l.number), err)
			l.rotate()
			return
		}
		l.size += int64(len(b))
		l.segments[len(l.segments)-1].last = list[len(list)-1].pos
	}
	if l.file != nil && l.syncing == 0 && l.stable+1 < l.next {
		l.covers = l.segments[len(l.segments)-1].last
		l.token++
		l.syncing = l.token
		l.env.Point("determinant.before")
		l.file.Sync(l.token)
	}
}

func (l *determinants) create() bool {
	f, err := l.env.Disk().Create(logName(l.number + 1))
	l.number++
	if err != nil {
		l.env.Logf("%s cannot be made: %v", logName(l.number), err)
		return false
	}
	l.file, l.size = f, 0
	l.segments = append(l.segments, segment{number: l.number})
	return true
}

// done goes on when a sync has completed.
func (l *determinants) done(token uint64, err error) {
	if token != l.syncing {
		return // of a file that was given up
	}
	l.syncing = 0
	switch {
	case err != nil:
		// What a failed sync leaves behind is not known: it is written again.
		l.env.Logf("%s cannot be made durable: %v", logName(l.number), err)
		l.rotate()
	case !l.named:
		l.named = true
		l.token++
		l.syncing = l.token
		l.env.Disk().SyncDir(l.token)
		return
	default:
		l.stable = max(l.stable, l.covers)
	}
	l.env.Point("determinant.stable")
	l.synced()
	l.write()
}

// forget lets go of what lies up to a position.
func (l *determinants) forget(pos uint64) {
	for old := range l.all { // the order does not matter
		if old <= pos && old <= l.stable {
			delete(l.all, old)
		}
	}
	keep := l.segments[:0]
	for i, s := range l.segments {
		current := l.file != nil && i == len(l.segments)-1
		if current || s.last > pos || s.last > l.stable {
			keep = append(keep, s)
			continue
		}
		if err := l.env.Disk().Remove(logName(s.number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			keep = append(keep, s)
			continue
		}
		l.env.Point("gc.log")
	}
	l.segments = keep
}
