package sim

import (
	"bytes"
	"context"
	"fmt"
)

// logRing keeps the end of a node's log.
type logRing struct {
	limit int // bytes; nothing is kept if it is negative
	buf   []byte
}

// printf appends a line, with the time in seconds since the run began.
func (l *logRing) printf(now int64, format string, args ...any) {
	if l.limit < 0 {
		return
	}
	l.buf = fmt.Appendf(l.buf, "%d.%09d ", now/1e9, now%1e9)
	l.buf = fmt.Appendf(l.buf, format, args...)
	l.buf = append(l.buf, '\n')
	if len(l.buf) > 2*l.limit {
		l.buf = append(l.buf[:0], l.tail(l.limit)...)
	}
}

// tail returns the last whole lines, at most limit bytes. It is valid until
// the next line is written.
func (l *logRing) tail(limit int) []byte {
	b := l.buf
	if len(b) <= limit {
		return b
	}
	if limit <= 0 {
		return nil
	}
	b = b[len(b)-limit-1:]
	return b[bytes.IndexByte(b, '\n')+1:]
}

// Logs implements cluster.Cluster. Each line begins with the virtual time in
// seconds; "===" marks births and deaths of processes, "!!!" findings.
func (w *world) Logs(_ context.Context, name string, limit int) ([]byte, error) {
	n, err := w.machine(name)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(n.log.tail(limit)), nil
}
