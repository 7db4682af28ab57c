package agent

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cleancut/cleancut/harness/internal/jsontext"
	"github.com/cleancut/cleancut/harness/record/raw"
)

// bootEnv identifies the incarnation to the node's process. (It is the
// same as server.BootEnv, which foreign systems do not know.)
const bootEnv = "CLEANCUT_BOOT"

// drainTimeout is how long the end of the output is awaited after the process
// ended: a grandchild may keep the pipe open.
const drainTimeout = 300 * time.Millisecond

// supervisor runs the node's process. As the first process of its container
// it also reaps every orphan, so it alone calls wait: a process is only
// signalled under the lock under which it would be reaped, so a reused
// process id is never hit.
type supervisor struct {
	dir    string
	places *places

	mu      sync.Mutex
	current *process // nil if none runs
	boot    string
	boots   int
	exits   []Exit
	changed chan struct{} // closed and replaced at each exit
	pending Resumed       // pauses that no resume has fetched yet
}

// process is one boot.
type process struct {
	pid      int
	start    Start
	began    time.Time
	log      *logger
	drained  chan struct{} // closed at the end of the output
	exited   chan struct{} // closed when the exit is recorded
	stopped  chan struct{} // closed when a SIGSTOP took effect
	paused   time.Time     // since when, zero if it runs
	killed   bool          // the agent sent SIGKILL
	told     bool          // the agent sent SIGTERM: any end is expected
	boot     string
	boots    int
	finished bool // reaped
}

// newSupervisor finds what earlier lives of the container left in dir.
func newSupervisor(dir string, p *places) (*supervisor, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s := &supervisor{dir: dir, places: p, changed: make(chan struct{})}
	names, err := filepath.Glob(filepath.Join(dir, "boot-*.log"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		var n int
		if _, err := fmt.Sscanf(filepath.Base(name), "boot-%06d", &n); err == nil {
			s.boots = max(s.boots, n)
		}
	}
	f, err := os.Open(s.exitsPath())
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e Exit
		if json.Unmarshal(lines.Bytes(), &e) == nil { // a torn last line is skipped
			s.exits = append(s.exits, e)
		}
	}
	return s, nil
}

func (s *supervisor) exitsPath() string { return filepath.Join(s.dir, "exits.jsonl") }

func (s *supervisor) state() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stateLocked()
}

func (s *supervisor) stateLocked() State {
	st := State{Boot: s.boot, Boots: s.boots}
	if p := s.current; p != nil {
		st.Running, st.PID, st.Paused = true, p.pid, !p.paused.IsZero()
	}
	return st
}

// start starts the process, unless one runs.
func (s *supervisor) start(spec Start) (Started, error) {
	if len(spec.Args) == 0 || !strings.HasPrefix(spec.Args[0], "/") {
		return Started{}, fmt.Errorf("start: the command %q does not begin with an absolute path", spec.Args)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.stateLocked()
	if s.current != nil {
		return Started{before, before}, nil
	}
	if err := s.prepare(spec); err != nil {
		return Started{}, fmt.Errorf("start: %w", err)
	}
	p, err := s.spawn(spec)
	if err != nil {
		return Started{}, err
	}
	s.current, s.boot, s.boots = p, p.boot, p.boots
	return Started{before, s.stateLocked()}, nil
}

// prepare makes the directories of a start. A count that an earlier boot left
// must not be taken for this one's.
func (s *supervisor) prepare(spec Start) error {
	for _, dir := range spec.Make {
		if err := s.places.mkdir(dir); err != nil {
			return err
		}
	}
	if spec.RecordFile != "" {
		if _, _, err := s.places.file(spec.RecordFile); err != nil {
			return err
		}
	}
	if spec.UnsyncedFile == "" {
		return nil
	}
	return s.places.remove(spec.UnsyncedFile)
}

// spawn forks the process with its output going to the log of a new boot.
func (s *supervisor) spawn(spec Start) (*process, error) {
	p := &process{
		start: spec, boots: s.boots + 1,
		drained: make(chan struct{}), exited: make(chan struct{}), stopped: make(chan struct{}),
	}
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails, by its contract
	p.boot = fmt.Sprintf("%d-%s", p.boots, hex.EncodeToString(random[:]))
	var err error
	if p.log, err = newLogger(s.dir, p.boots); err != nil {
		return nil, fmt.Errorf("start: log: %w", err)
	}
	in, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	defer in.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	defer w.Close()
	p.log.mark("boot %d (%s): %s", p.boots, p.boot, strings.Join(spec.Args, " "))
	p.began = time.Now()
	p.pid, err = syscall.ForkExec(spec.Args[0], spec.Args, &syscall.ProcAttr{
		Dir:   spec.Dir,
		Env:   append(slices.Clone(spec.Env), bootEnv+"="+p.boot),
		Files: []uintptr{in.Fd(), w.Fd(), w.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		p.log.mark("boot %d (%s) failed: %v", p.boots, p.boot, err)
		p.log.close()
		_ = r.Close()
		return nil, fmt.Errorf("start %s: %w", spec.Args[0], err)
	}
	go p.drain(r)
	return p, nil
}

// drain copies the output to the log until its end.
func (p *process) drain(r *os.File) {
	defer close(p.drained)
	defer r.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Read(buffer)
		_, _ = p.log.Write(buffer[:n]) // never fails
		if err != nil {
			return
		}
	}
}

// signal sends sig to the process and everything in its group.
func (p *process) signal(sig syscall.Signal) error {
	if p.finished {
		return syscall.ESRCH
	}
	return syscall.Kill(-p.pid, sig)
}

// kill ends the process and returns when its exit is recorded.
func (s *supervisor) kill() (Killed, error) {
	s.mu.Lock()
	p := s.current
	if p == nil {
		boot := s.boot
		s.mu.Unlock()
		return Killed{Boot: boot, Unsynced: -1}, nil
	}
	p.killed = true
	err := p.signal(syscall.SIGKILL)
	s.mu.Unlock()
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return Killed{}, fmt.Errorf("kill: %w", err)
	}
	<-p.exited
	s.mu.Lock()
	defer s.mu.Unlock()
	return Killed{Killed: true, Boot: p.boot, Unsynced: s.places.readUnsynced(p.start.UnsyncedFile)}, nil
}

// readUnsynced reads the count that a dead process left, -1 if there is none,
// or none that can be.
func (p *places) readUnsynced(name string) int64 {
	if name == "" {
		return -1
	}
	root, file, err := p.file(name)
	if err != nil {
		return -1
	}
	f, err := openRegular(root, file)
	if err != nil {
		return -1
	}
	defer f.Close()
	var b [9]byte
	if n, _ := io.ReadFull(f, b[:]); n != 8 {
		return -1
	}
	count := binary.LittleEndian.Uint64(b[:8])
	if count > math.MaxInt64 {
		return -1
	}
	return int64(count)
}

// recordCrash adds the crash to what the process recorded, if it has recorded
// something. The file is opened first, and named by what was opened, so that
// nothing that the process puts in its place is.
func (p *places) recordCrash(name string) error {
	root, file, err := p.file(name)
	if err != nil {
		return err
	}
	f, err := openRegular(root, file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return raw.Crash(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), "")
}

// pause stops the process and returns when the kernel says that it stopped.
func (s *supervisor) pause() (State, error) {
	s.mu.Lock()
	p := s.current
	if p == nil {
		s.mu.Unlock()
		return State{}, ErrDown
	}
	if !p.paused.IsZero() {
		defer s.mu.Unlock()
		return s.stateLocked(), nil
	}
	err := p.signal(syscall.SIGSTOP)
	stopped := p.stopped
	s.mu.Unlock()
	if err != nil {
		return State{}, fmt.Errorf("pause: %w", err)
	}
	limit := time.After(stopTimeout)
	look := time.NewTicker(stopTimeout / 20)
	defer look.Stop()
	for {
		select {
		case <-stopped:
			return s.state(), nil
		case <-p.exited:
			return State{}, ErrDown
		case <-look.C:
			if frozenInFork(p.pid) {
				s.mu.Lock()
				s.markPaused(p)
				s.mu.Unlock()
			}
		case <-limit:
			return State{}, fmt.Errorf("pause: the process did not stop within %v of SIGSTOP", stopTimeout)
		}
	}
}

// stopTimeout is how long a process may take to stop.
const stopTimeout = 5 * time.Second

// frozenInFork tells that a process waits in the kernel for a child that it
// has just made (vfork) and that was stopped with it. Such a process never
// becomes "stopped", but it cannot run either, until both are continued.
func frozenInFork(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	i := strings.LastIndex(string(b), ") ")
	return i >= 0 && i+2 < len(b) && b[i+2] == 'D'
}

// markPaused notes that the process stands still.
func (s *supervisor) markPaused(p *process) {
	if p.paused.IsZero() {
		p.paused = time.Now()
		close(p.stopped)
	}
}

// resume lets the process go on.
func (s *supervisor) resume() (Resumed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.current; p != nil && !p.paused.IsZero() {
		if err := p.signal(syscall.SIGCONT); err != nil {
			return Resumed{}, fmt.Errorf("resume: %w", err)
		}
		s.unpaused(p)
	}
	r := s.pending
	s.pending = Resumed{}
	return r, nil
}

// unpaused accounts for a pause that has ended, by a resume or by death.
func (s *supervisor) unpaused(p *process) {
	if p.paused.IsZero() {
		return
	}
	s.pending.Pauses++
	s.pending.Paused += time.Since(p.paused)
	p.paused = time.Time{}
	p.stopped = make(chan struct{})
}

// reap collects every change of state of every child. It is called at each
// SIGCHLD.
func (s *supervisor) reap() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG|syscall.WUNTRACED, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		p := s.current
		if p == nil || pid != p.pid || p.finished {
			continue // an orphan that fell to us
		}
		if status.Stopped() {
			s.markPaused(p)
			continue
		}
		_ = p.signal(syscall.SIGKILL) // what is left of its group
		p.finished = true
		s.unpaused(p)
		if p.start.RecordFile != "" {
			if err := s.places.recordCrash(p.start.RecordFile); err != nil {
				p.log.mark("the crash could not be recorded: %v", err)
			}
		}
		go s.finish(p, status)
	}
}

// finish records an exit once the output has come to its end.
func (s *supervisor) finish(p *process, status syscall.WaitStatus) {
	select {
	case <-p.drained:
	case <-time.After(drainTimeout):
	}
	e := Exit{Boot: p.boot, Boots: p.boots, Code: status.ExitStatus(), After: time.Since(p.began)}
	how := fmt.Sprintf("exited with code %d", e.Code)
	if status.Signaled() {
		e.Signal = unix.SignalName(status.Signal())
		how = "was ended by " + e.Signal
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// A process that ended in another way had died before the kill reached
	// it: that death is its own.
	e.Expected = p.told || p.killed && status.Signaled() && status.Signal() == syscall.SIGKILL
	if e.Expected {
		how += " from the harness"
	} else {
		e.Tail = p.log.Tail()
		e.Panic = looksLikePanic(e.Tail)
	}
	p.log.mark("boot %d (%s) %s", p.boots, p.boot, how)
	p.log.close()
	s.record(e)
	s.current = nil
	close(p.exited)
}

// record keeps an exit, in memory and on disk.
func (s *supervisor) record(e Exit) {
	e.Number = len(s.exits) + 1
	if e.Number > maxExits {
		return
	}
	s.exits = append(s.exits, e)
	if b, err := jsontext.Marshal(e); err == nil {
		if f, err := os.OpenFile(s.exitsPath(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644); err == nil {
			_, _ = f.Write(append(b, '\n'))
			_ = f.Close()
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// exitsAfter returns the exits after number n, and a channel that is closed
// when there is another.
func (s *supervisor) exitsAfter(n int) ([]Exit, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = min(max(n, 0), len(s.exits))
	return slices.Clone(s.exits[n:]), s.changed
}

// terminate tells the process to stop, and kills it if it does not within
// patience.
func (s *supervisor) terminate(patience time.Duration) {
	s.mu.Lock()
	p := s.current
	if p == nil {
		s.mu.Unlock()
		return
	}
	p.told = true
	_ = p.signal(syscall.SIGCONT)
	_ = p.signal(syscall.SIGTERM)
	s.mu.Unlock()
	select {
	case <-p.exited:
	case <-time.After(patience):
		_, _ = s.kill()
	}
}
