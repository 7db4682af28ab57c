package agent

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of the logs: each boot keeps its newest logFile to 2·logFile bytes,
// and the oldest boots go when all together exceed logTotal.
const (
	logFile  = 4 << 20
	logTotal = 96 << 20
	tailSize = 8 << 10
)

// logName names the log of a boot. The names sort in the order in which the
// contents were written: the rotated part ("a") before the current ("b").
func logName(boots int, part string) string { return fmt.Sprintf("boot-%06d-%s.log", boots, part) }

// ReadLogs joins the logs in a state directory, oldest first, and returns at
// most limit bytes from the end.
func ReadLogs(dir fs.FS, limit int) ([]byte, error) {
	names, err := fs.Glob(dir, "boot-*.log")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var parts [][]byte
	size := 0
	for i := len(names) - 1; i >= 0 && size < limit; i-- {
		b, err := fs.ReadFile(dir, names[i])
		if err != nil {
			return nil, err
		}
		parts = append(parts, b)
		size += len(b)
	}
	slices.Reverse(parts)
	all := bytes.Join(parts, nil)
	if len(all) > limit {
		all = all[len(all)-limit:]
	}
	return all, nil
}

// logger writes the log of one boot.
type logger struct {
	mu    sync.Mutex
	dir   string
	boots int
	f     *os.File
	size  int
	tail  []byte // newest output, for exits
	// lineEnd tells that the output so far ends with a newline.
	lineEnd bool
}

// newLogger opens the log of a new boot and makes room for it.
func newLogger(dir string, boots int) (*logger, error) {
	if err := pruneLogs(dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, logName(boots, "b")), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return &logger{dir: dir, boots: boots, f: f, lineEnd: true}, nil
}

// pruneLogs removes the oldest logs until another boot fits.
func pruneLogs(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "boot-*.log"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	var total int64
	sizes := make([]int64, len(names))
	for i, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		sizes[i] = info.Size()
		total += info.Size()
	}
	for i := 0; i < len(names) && total > logTotal-2*logFile; i++ {
		if err := os.Remove(names[i]); err != nil {
			return err
		}
		total -= sizes[i]
	}
	return nil
}

// Write appends output. It never fails for the node's sake: output that
// cannot be written is lost, and the node goes on.
func (l *logger) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+len(p) > logFile && l.size > 0 {
		l.rotate()
	}
	l.write(p)
	l.tail = append(l.tail, p...)
	if len(l.tail) > 2*tailSize {
		l.tail = append([]byte(nil), l.tail[len(l.tail)-tailSize:]...)
	}
	return len(p), nil
}

func (l *logger) write(p []byte) {
	if l.f == nil || len(p) == 0 {
		return
	}
	n, _ := l.f.Write(p)
	l.size += n
	l.lineEnd = p[len(p)-1] == '\n'
}

// rotate keeps what was written so far as the older part.
func (l *logger) rotate() {
	_ = l.f.Close()
	current := filepath.Join(l.dir, logName(l.boots, "b"))
	_ = os.Rename(current, filepath.Join(l.dir, logName(l.boots, "a")))
	f, err := os.OpenFile(current, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		f = nil
	}
	l.f, l.size = f, 0
}

// mark writes a line of the agent's own, with the wall clock in UTC.
func (l *logger) mark(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := time.Now().UTC().Format("=== 2006-01-02T15:04:05.000000Z ") + fmt.Sprintf(format, args...) + " ===\n"
	if !l.lineEnd {
		line = "\n" + line
	}
	l.write([]byte(line))
}

// Tail returns the newest output.
func (l *logger) Tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.ToValidUTF8(string(l.tail[max(0, len(l.tail)-tailSize):]), "\uFFFD")
}

func (l *logger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		_ = l.f.Close()
		l.f = nil
	}
}

// looksLikePanic finds the marks that the Go runtime leaves when it gives up.
// Line starts only: programs may log the words.
func looksLikePanic(output string) bool {
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") ||
			strings.HasPrefix(line, "[signal SIG") {
			return true
		}
	}
	return false
}
