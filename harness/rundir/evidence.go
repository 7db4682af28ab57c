package rundir

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/internal/files"
	"github.com/cleancut/cleancut/harness/node"
)

// LogMax is how many bytes from the end of each node's log are read back.
const LogMax = 4 << 20

// WriteFinal keeps a node's last word.
func (d *Dir) WriteFinal(f checkers.Final) error {
	if _, err := d.NodeDir(f.Node); err != nil {
		return err
	}
	return d.writeJSON(filepath.Join(nodesFolder, f.Node, finalFile), f)
}

// WriteFindings keeps what was found inside the system under test; nil if
// nothing watched it.
func (d *Dir) WriteFindings(f []node.Finding) error {
	return d.writeJSON(FindingsFile, f)
}

// Loaded is the evidence of a run, read back.
type Loaded struct {
	checkers.Evidence
	// Ledger holds all faults that began.
	Ledger []Fault
	// Notes say what is incomplete: a torn last line, a history without
	// ledger.
	Notes []string
	// RecordHoles says what the record lacks, "" if it is complete.
	RecordHoles string
	// Plan is the text of the plan, "" if there is none or it cannot be read.
	Plan string
}

// Evidence reads back everything that checkers judge. A run that was cut off
// has less of it: missing files are noted, not errors, except for the
// history, without which nothing can be judged.
func (d *Dir) Evidence() (*Loaded, error) {
	l := &Loaded{}
	events, torn, err := history.ReadFile(d.File(HistoryFile))
	if err != nil {
		return nil, fmt.Errorf("rundir: %s: %w", d.Path, err)
	}
	if torn {
		l.Notes = append(l.Notes, HistoryFile+": the last line is incomplete and was left out")
	}
	if why := history.Unended(events); why != "" {
		l.Notes = append(l.Notes, HistoryFile+": "+why)
	}
	l.Events = events
	if l.Operations, err = history.Operations(events); err != nil {
		return nil, fmt.Errorf("rundir: %s: %w", d.File(HistoryFile), err)
	}
	l.Phases = Phases(events)
	var setup struct{ Plan string }
	if d.Scenario(&setup) == nil { // judging needs none
		l.Plan = setup.Plan
	}
	if err := d.loadLedger(l); err != nil {
		return nil, err
	}
	if err := d.readJSON(FindingsFile, &l.Findings); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return l, errors.Join(d.loadTrouble(l), d.loadNodes(l), d.loadRecord(l))
}

func (d *Dir) loadLedger(l *Loaded) error {
	f, err := files.Open(d.File(LedgerFile))
	if errors.Is(err, fs.ErrNotExist) {
		l.Notes = append(l.Notes, "there is no "+LedgerFile+"; faults are taken from the history, without receipts")
		l.Faults = windowsOf(l.Events)
		return nil
	}
	if err != nil {
		return fmt.Errorf("rundir: %w", err)
	}
	defer f.Close()
	entered, _, torn, err := ReadLedger(f)
	if err != nil {
		return fmt.Errorf("rundir: %s: %w", f.Name(), err)
	}
	if torn {
		l.Notes = append(l.Notes, LedgerFile+": the last line is incomplete and was left out")
	}
	l.Ledger = entered
	l.Faults = Windows(entered, End(l.Events))
	return nil
}

func (d *Dir) loadNodes(l *Loaded) error {
	folders, err := os.ReadDir(d.NodesDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rundir: %w", err)
	}
	l.Logs = map[string][]byte{}
	for _, folder := range folders {
		if !folder.IsDir() {
			continue
		}
		var final checkers.Final
		switch err := d.readJSON(filepath.Join(nodesFolder, folder.Name(), finalFile), &final); {
		case err == nil:
			l.Finals = append(l.Finals, final)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		log, err := logOf(filepath.Join(d.NodesDir(), folder.Name()))
		if err != nil {
			return err
		}
		if log != nil {
			l.Logs[folder.Name()] = log
		}
	}
	slices.SortFunc(l.Finals, func(a, b checkers.Final) int { return CompareNames(a.Node, b.Node) })
	return nil
}

// logOf returns the end of all *.log files of a folder, in order of their
// names, numbers by value.
func logOf(folder string) ([]byte, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.log"))
	if err != nil {
		return nil, fmt.Errorf("rundir: %w", err)
	}
	slices.SortFunc(names, CompareNames)
	if len(names) == 0 {
		return nil, nil
	}
	log := []byte{} // there is one, if only an empty one
	for i := len(names) - 1; i >= 0 && len(log) < LogMax; i-- {
		part, err := tail(names[i], LogMax-int64(len(log)))
		if err != nil {
			return nil, fmt.Errorf("rundir: %w", err)
		}
		log = append(part, log...)
	}
	return log, nil
}

// tail returns the last limit bytes of a file, from the start of a line.
func tail(path string, limit int64) ([]byte, error) {
	f, err := files.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	from := max(0, info.Size()-limit)
	b, err := io.ReadAll(io.NewSectionReader(f, from, limit))
	if i := bytes.IndexByte(b, '\n'); from > 0 && i >= 0 {
		b = b[i+1:]
	}
	return b, err
}

// CompareNames orders names as people do: n2 comes before n10.
func CompareNames(a, b string) int {
	for a != "" && b != "" {
		i, j := digits(a), digits(b)
		if i > 0 && j > 0 {
			x, y := strings.TrimLeft(a[:i], "0"), strings.TrimLeft(b[:j], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[i:], b[j:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// End is the time of the last event.
func End(events []history.Event) time.Duration {
	if len(events) == 0 {
		return 0
	}
	return events[len(events)-1].Time
}

// Phases returns the phases that a history marks. Each ends where the next
// one begins, the last one with the history.
func Phases(events []history.Event) []checkers.Phase {
	var phases []checkers.Phase
	for i := range events {
		if events[i].Kind != history.PhaseStart {
			continue
		}
		if len(phases) > 0 {
			phases[len(phases)-1].End = events[i].Time
		}
		if events[i].F == history.EndMark {
			continue
		}
		phases = append(phases, checkers.Phase{Name: events[i].F, Start: events[i].Time, End: End(events)})
	}
	return phases
}

// Windows turns the faults of a ledger into what checkers see: all but those
// that were never tried. Faults that were not healed, or could not be, last until
// end.
func Windows(list []Fault, end time.Duration) []checkers.FaultWindow {
	var windows []checkers.FaultWindow
	for _, f := range list {
		if strings.HasPrefix(f.Error, NotInjected) {
			continue
		}
		w := checkers.FaultWindow{Fault: f.Fault, Kind: f.Kind, Model: cmp.Or(f.Model, faults.ModelOf(f.Kind)), Nodes: f.Nodes, Start: f.At, End: f.HealedAt, Bit: f.Bit}
		if f.HealedAt < 0 || strings.Contains(f.Error, NotHealed) {
			w.End = max(end, f.At)
		}
		windows = append(windows, w)
	}
	return windows
}

// windowsOf pairs the fault events of a history: the end of a fault belongs
// to the earliest one of the same text and victims that is still open.
func windowsOf(events []history.Event) []checkers.FaultWindow {
	var windows []checkers.FaultWindow
	open := map[string][]int{}
	for i := range events {
		e := &events[i]
		id := e.F + "\x00" + strings.Join(e.Nodes, "\x00")
		switch e.Kind {
		case history.FaultStart:
			kind, _, _ := strings.Cut(e.F, "(")
			open[id] = append(open[id], len(windows))
			windows = append(windows, checkers.FaultWindow{Fault: e.F, Kind: kind, Model: faults.ModelOf(kind), Nodes: e.Nodes, Start: e.Time, End: End(events)})
		case history.FaultEnd:
			if len(open[id]) > 0 {
				windows[open[id][0]].End = e.Time
				open[id] = open[id][1:]
			}
		}
	}
	return windows
}
