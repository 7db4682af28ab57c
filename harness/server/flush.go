package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// maxJobs bounds the syncs that wait; beyond, Sync blocks the program, as a
// saturated disk does.
const maxJobs = 4096

// job is one Sync (file and extents) or one SyncDir (ops).
type job struct {
	file    *realFile
	extents []extent
	ops     []dirOp
	token   uint64
	report  bool // false for a write-back, which nobody waits for
}

// The kinds of directory operations.
const (
	opLink   = iota // give a nameless file its name
	opRename        // from → to
	opRemove
)

type dirOp struct {
	kind     int
	file     *realFile // the one that gets its name
	removed  *realFile // the one that loses it
	from, to string
}

// realFile is an inode's file on the real disk. Only the flusher uses it once
// it runs.
type realFile struct {
	id   uint64
	path string   // where it is; "" if it was not made yet
	f    *os.File // open if not nil
	gone bool     // removed
	err  error    // the first failure: after it, nothing of the file is sure
}

// flusher applies jobs to the real disk, one after the other.
type flusher struct {
	files, nameless string
	completions     *completions
	counter         *counter
	limit           int64
	dirErr          error // the first failure of a directory operation

	mu       sync.Mutex
	changed  *sync.Cond
	jobs     []job
	bytes    int64
	stopped  bool
	ended    chan struct{}
	quit     chan struct{} // closed by stop
	slowFile string        // see slow.go; guarded by mu
}

func newFlusher(files, nameless string, c *completions, counter *counter, limit int64) *flusher {
	fl := &flusher{files: files, nameless: nameless, completions: c, counter: counter, limit: limit, ended: make(chan struct{}), quit: make(chan struct{})}
	fl.changed = sync.NewCond(&fl.mu)
	return fl
}

func (j job) size() (n int64) {
	for _, e := range j.extents {
		n += int64(len(e.data))
	}
	return n
}

// enqueue adds a job. It blocks while too much waits: completions are
// collected elsewhere, so the flusher always gets on.
func (fl *flusher) enqueue(j job) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	for !fl.stopped && len(fl.jobs) > 0 && (len(fl.jobs) >= maxJobs || fl.bytes > fl.limit) {
		fl.changed.Wait()
	}
	fl.jobs = append(fl.jobs, j)
	fl.bytes += j.size()
	fl.changed.Broadcast()
}

// stop ends the flusher after the job that it is at.
func (fl *flusher) stop() {
	fl.mu.Lock()
	fl.stopped = true
	close(fl.quit)
	fl.changed.Broadcast()
	fl.mu.Unlock()
	<-fl.ended
}

func (fl *flusher) run() {
	defer close(fl.ended)
	for {
		fl.mu.Lock()
		for !fl.stopped && len(fl.jobs) == 0 {
			fl.changed.Wait()
		}
		if fl.stopped {
			fl.mu.Unlock()
			return
		}
		j := fl.jobs[0]
		fl.jobs = fl.jobs[1:]
		fl.bytes -= j.size()
		fl.changed.Broadcast()
		fl.mu.Unlock()

		err := fl.do(j)
		if j.report {
			err = errors.Join(err, fl.linger())
			fl.completions.add(completion{j.token, err})
		}
	}
}

func (fl *flusher) do(j job) error {
	if j.file != nil {
		return fl.syncFile(j.file, j.extents)
	}
	if fl.dirErr == nil {
		fl.dirErr = fl.syncDir(j.ops)
	}
	return fl.dirErr
}

// syncFile writes extents and syncs the file. A file that failed once fails
// for ever: an fsync must not be retried in the hope of better luck.
func (fl *flusher) syncFile(r *realFile, extents []extent) error {
	if r.err != nil || r.gone {
		return r.err
	}
	if r.err = fl.open(r); r.err != nil {
		return r.err
	}
	for _, e := range extents {
		if e.data == nil {
			r.err = r.f.Truncate(e.off)
		} else {
			_, r.err = r.f.WriteAt(e.data, e.off)
		}
		if r.err != nil {
			return r.err
		}
		// From here on the bytes are in the kernel's hands and survive
		// SIGKILL.
		fl.counter.add(-int64(len(e.data)))
	}
	r.err = r.f.Sync()
	return r.err
}

// open opens the real file, and makes it, nameless, if there is none.
func (fl *flusher) open(r *realFile) error {
	if r.f != nil {
		return nil
	}
	flags := os.O_RDWR
	if r.path == "" {
		r.path = filepath.Join(fl.nameless, strconv.FormatUint(r.id, 10))
		flags |= os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(r.path, flags, 0o644)
	r.f = f
	return err
}

// remove lets go of a file whose name is gone. Nil is allowed.
func (r *realFile) remove() {
	if r == nil {
		return
	}
	r.gone = true
	if r.f != nil {
		_ = r.f.Close() // nothing of it counts any more
		r.f = nil
	}
}

// syncDir applies directory operations in order and syncs the directory.
func (fl *flusher) syncDir(ops []dirOp) error {
	for _, op := range ops {
		if err := fl.apply(op); err != nil {
			return fmt.Errorf("directory: %w", err)
		}
	}
	d, err := os.Open(fl.files)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (fl *flusher) apply(op dirOp) error {
	defer op.removed.remove()
	switch op.kind {
	case opLink:
		if err := fl.open(op.file); err != nil {
			return err
		}
		return op.file.move(op.file.path, filepath.Join(fl.files, op.to))
	case opRename:
		return op.file.move(filepath.Join(fl.files, op.from), filepath.Join(fl.files, op.to))
	default:
		return os.Remove(filepath.Join(fl.files, op.from))
	}
}

func (r *realFile) move(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	r.path = to
	return nil
}

// completion is a sync that has ended.
type completion struct {
	token uint64
	err   error
}

// completions carries them to the loop without ever blocking the flusher.
type completions struct {
	mu    sync.Mutex
	list  []completion
	ready chan struct{} // holds a token when list is not empty
}

func newCompletions() *completions { return &completions{ready: make(chan struct{}, 1)} }

func (c *completions) add(done completion) {
	c.mu.Lock()
	c.list = append(c.list, done)
	c.mu.Unlock()
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

func (c *completions) take() []completion {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.list
	c.list = nil
	return list
}
