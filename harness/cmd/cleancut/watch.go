package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/internal/visible"
)

// exact is a writer for what programs read, byte by byte, unless it is a
// terminal that shows it.
func exact(w io.Writer) io.Writer {
	safe, ok := w.(*visible.Writer)
	if !ok {
		return w
	}
	if f, ok := safe.To.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return w
	}
	return safe.To
}

// watcher shows the progress of a run: a live line on a terminal, a plain line
// at each change of phase and every few seconds elsewhere.
type watcher struct {
	w        io.Writer
	progress *harness.Progress
	width    int // of the terminal; 0 if there is none
	done     chan struct{}
	wait     sync.WaitGroup
}

func watch(w io.Writer, p *harness.Progress) *watcher {
	s := &watcher{w: w, progress: p, done: make(chan struct{})}
	if safe, ok := w.(*visible.Writer); ok {
		s.w = safe.To // the live line moves the cursor, and shows what is hidden itself
	}
	if f, ok := s.w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			s.width = max(20, width-1)
		}
	}
	s.wait.Go(s.loop)
	return s
}

func (s *watcher) stop() {
	close(s.done)
	s.wait.Wait()
}

const (
	liveEvery  = 200 * time.Millisecond
	plainEvery = 5 * time.Second
)

func (s *watcher) loop() {
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	var last harness.Snapshot
	printed, rateAt, rateOK, rate := time.Now(), time.Now(), int64(0), 0.0
	for {
		select {
		case <-s.done:
			if s.width > 0 {
				fmt.Fprint(s.w, "\r\x1b[K")
			}
			return
		case <-tick.C:
		}
		now := s.progress.Snapshot()
		if d := time.Since(rateAt); d >= time.Second {
			total := now.OK + now.Fail + now.Info
			rate, rateAt, rateOK = float64(total-rateOK)/d.Seconds(), time.Now(), total
		}
		line := visible.String(describe(now, rate))
		switch {
		case s.width > 0:
			fmt.Fprintf(s.w, "\r\x1b[K%s", clip(line, s.width))
		case now.Phase != last.Phase || time.Since(printed) >= plainEvery:
			fmt.Fprintln(s.w, line)
			printed = time.Now()
		}
		last = now
	}
}

func describe(s harness.Snapshot, rate float64) string {
	if s.Phase == "" {
		return "starting"
	}
	line := s.Phase
	if s.Left > 0 {
		line += fmt.Sprintf(", at most %v left", s.Left.Round(time.Second))
	}
	line += fmt.Sprintf(" | %.0f operations/s, %d ok, %d fail, %d info", rate, s.OK, s.Fail, s.Info)
	if len(s.InForce) > 0 {
		line += " | in force: " + strings.Join(s.InForce, " ")
	}
	return line
}

// clip cuts a line to a number of runes.
func clip(line string, width int) string {
	runes := []rune(line)
	if len(runes) <= width {
		return line
	}
	return string(runes[:width-1]) + "…"
}
