package main

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/history/edn"
	"github.com/cleancut/cleancut/harness/internal/files"
	"github.com/cleancut/cleancut/harness/rundir"
)

// Formats of histories.
const (
	formatJSONL = "jsonl" // cleancut's own: strict
	formatEDN   = "edn"   // Jepsen's
	formatJSON  = "json"  // Jepsen's operations as JSON
)

// loadOptions say how a history is to be read.
type loadOptions struct {
	format                   string // "" to guess
	independent, overlapping bool
	order                    string // byTime, byLines, or "" for lines
	memory                   int64  // 0 for edn.DefaultMemory
}

// What --order takes.
const (
	byTime  = "time"
	byLines = "lines"
)

// validOrder says what is wrong with --order.
func validOrder(order string) error {
	if order != "" && order != byTime && order != byLines {
		return fmt.Errorf("--order %q: expected %s or %s", order, byTime, byLines)
	}
	return nil
}

// loaded is a history that was read.
type loaded struct {
	evidence *checkers.Evidence
	format   string
	summary  edn.Summary
}

// jepsenFiles are where a history is in a folder of Jepsen's, store/NAME/TIME.
var jepsenFiles = []string{"history.edn", "history.edn.gz", "history.txt"}

// jepsenHistory returns the history in a folder of Jepsen's, "" if it is none.
func jepsenHistory(folder string) (string, error) {
	for _, name := range jepsenFiles {
		if info, err := os.Stat(filepath.Join(folder, name)); err == nil && info.Mode().IsRegular() {
			return filepath.Join(folder, name), nil
		}
	}
	for _, name := range []string{"test.jepsen", "test.fressian", "history"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
			return "", fmt.Errorf("%s looks like a folder of Jepsen's, whose %s is binary and not read; expected %s in it",
				folder, name, strings.Join(jepsenFiles, " or "))
		}
	}
	return "", nil
}

// load reads a history from a file, which may be compressed by gzip.
func load(path string, o loadOptions) (*loaded, error) {
	f, err := files.OpenGiven(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := plain(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	h, err := loadFrom(r, strings.TrimSuffix(path, ".gz"), o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

// plain returns the text of a file: unpacked if it is compressed by gzip, and
// without the byte order mark that some editors put before UTF-8.
func plain(f io.Reader) (*bufio.Reader, error) {
	r := bufio.NewReader(f)
	if magic, _ := r.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = bufio.NewReader(z)
	}
	if mark, _ := r.Peek(3); string(mark) == "\ufeff" {
		if _, err := r.Discard(len(mark)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// loadFrom reads a history from r; its name helps to guess the format.
func loadFrom(r *bufio.Reader, name string, o loadOptions) (*loaded, error) {
	if o.memory == 0 {
		o.memory = edn.DefaultMemory
	}
	h := &loaded{format: o.format}
	if h.format == "" {
		h.format = guess(r, name)
	}
	var events []history.Event
	var err error
	switch h.format {
	case formatEDN, formatJSON:
		options := edn.Options{
			JSON: h.format == formatJSON, Independent: o.independent, Overlapping: o.overlapping, Memory: eventShare(o.memory),
		}
		if o.order == byTime {
			options.Order = edn.ByTime
		}
		events, h.summary, err = edn.Read(r, options)
	default:
		events, err = readJSONL(r, eventShare(o.memory))
	}
	if err != nil {
		return nil, fmt.Errorf("as %s: %w", h.format, err)
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("as %s: the history is empty", h.format)
	}
	switch {
	case h.format == formatJSONL && o.independent:
		return nil, errors.New("--independent is for edn and json: an event in jsonl has its key apart")
	case h.format == formatJSONL && o.order != "":
		return nil, errors.New("--order is for edn and json: in jsonl lines and times agree")
	case h.format == formatJSONL && o.overlapping:
		return nil, errors.New("--overlapping is for edn and json: in jsonl each process does one thing at a time")
	}
	ops, err := history.Operations(events)
	var wrong *history.ContradictionError
	if errors.As(err, &wrong) && h.format == formatJSONL { // an event a line
		return nil, fmt.Errorf("line %d: %s", wrong.Index+1, wrong.Text)
	}
	if err != nil {
		return nil, err
	}
	h.evidence = &checkers.Evidence{Events: events, Operations: ops, Phases: rundir.Phases(events), Faults: faultWindows(events, h.summary.Begun)}
	return h, nil
}

// eventShare is how much of a memory the events of a history may take: while
// their array grows by a quarter both are there, afterwards the operations that
// are made of them.
func eventShare(memory int64) int64 { return memory / 9 * 4 }

// faultWindows pairs the beginnings and ends of faults of the same text, and
// those that Jepsen names differently. One that has no end lasts to the end of
// the history. Begun says when the faults of some events, by their indices,
// began to be brought about.
func faultWindows(events []history.Event, begun map[int64]time.Duration) (windows []checkers.FaultWindow) {
	open := map[string][]int{}
	for _, e := range events {
		switch e.Kind {
		case history.FaultStart:
			kind, _, _ := strings.Cut(e.F, "(")
			open[e.F] = append(open[e.F], len(windows))
			start, known := begun[e.Index]
			if !known {
				start = e.Time
			}
			windows = append(windows, checkers.FaultWindow{Fault: e.F, Kind: kind, Model: faults.ModelOf(kind), Nodes: e.Nodes, Start: start, End: events[len(events)-1].Time})
		case history.FaultEnd:
			if n := len(open[e.F]); n > 0 {
				windows[open[e.F][n-1]].End = e.Time
				open[e.F] = open[e.F][:n-1]
				continue
			}
			for f, list := range open {
				if !ends(e.F, f) {
					continue
				}
				for _, i := range list {
					windows[i].End = e.Time
				}
				delete(open, f)
			}
		}
	}
	return windows
}

// ends reports whether the nemeses of Jepsen end what is named fault by what is
// named end: start-x by stop-x, what was killed by start, all partitions by
// heal.
func ends(end, fault string) bool {
	switch end {
	case "start":
		return strings.HasPrefix(fault, "kill") || strings.HasPrefix(fault, "crash")
	case "resume":
		return fault == "pause"
	case "heal":
		return strings.Contains(fault, "partition") || fault == "start"
	case "reset-clock":
		return strings.HasSuffix(fault, "-clock")
	}
	rest, stops := strings.CutPrefix(end, "stop")
	return stops && fault == "start"+rest
}

// guess tells the format by the ending of the name, or else by the first
// bytes: an object whose first key is a string is a line of JSONL.
func guess(r *bufio.Reader, name string) string {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".edn":
		return formatEDN
	case ".jsonl":
		return formatJSONL
	case ".json":
		return formatJSON
	}
	begin, _ := r.Peek(512)
	text := strings.TrimLeft(string(begin), " \t\r\n")
	switch {
	case strings.HasPrefix(text, "{") && strings.HasPrefix(strings.TrimLeft(text[1:], " \t"), `"`):
		return formatJSONL
	case strings.HasPrefix(text, "[") && strings.HasPrefix(strings.TrimLeft(text[1:], " \t\r\n{"), `"`):
		return formatJSON
	}
	return formatEDN
}

// readJSONL reads cleancut's own format in bounded memory.
func readJSONL(r io.Reader, memory int64) ([]history.Event, error) {
	d := history.NewDecoder(r)
	var events []history.Event
	for left := memory; ; {
		e, err := d.Next()
		switch {
		case err == io.EOF:
			return events, nil
		case errors.Is(err, history.ErrTorn):
			return nil, errors.New("the last line is incomplete; remove it if its loss is known")
		case err != nil:
			return nil, err
		}
		if left -= edn.EventSize(&e); left < 0 {
			return nil, fmt.Errorf("%w: %d bytes after %d events; allow more by --memory or cut the history", edn.ErrTooLarge, memory, len(events))
		}
		events = append(events, e)
	}
}
