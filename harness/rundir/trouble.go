package rundir

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/internal/files"
	"github.com/cleancut/cleancut/harness/internal/jsontext"
)

// TroubleFile holds what went wrong with the harness or around it, one
// cluster.Trouble per line, written as it is seen.
const TroubleFile = "trouble.jsonl"

// Bounds of the account of trouble: beyond troubleMax entries none is kept, and
// of each no more than troubleText bytes of words.
const (
	troubleMax  = 1000
	troubleText = 4 << 10
)

// NotHealed begins the error of a fault that could not be healed.
const NotHealed = "healing: "

// TroubleLog keeps the account of the trouble of a run. It is safe for
// concurrent use.
type TroubleLog struct {
	mu    sync.Mutex
	w     io.Writer
	close func() error
	list  []cluster.Trouble
	err   error // the first that writing met
}

// Trouble opens the run's account of trouble for appending.
func (d *Dir) Trouble() (*TroubleLog, error) {
	f, err := os.OpenFile(d.File(TroubleFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("rundir: %w", err)
	}
	return &TroubleLog{w: f, close: f.Close}, nil
}

// NewTroubleLog returns an account that is kept in memory only.
func NewTroubleLog() *TroubleLog {
	return &TroubleLog{close: func() error { return nil }}
}

// Add enters trouble. What it could not write, Close says.
func (l *TroubleLog) Add(t cluster.Trouble) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) >= troubleMax {
		return
	}
	t.Nodes = slices.Clone(t.Nodes)
	t.Text = strings.ToValidUTF8(t.Text[:min(len(t.Text), troubleText)], "\uFFFD")
	l.list = append(l.list, t)
	if l.w == nil {
		return
	}
	b, err := jsontext.Marshal(t)
	if err == nil {
		_, err = l.w.Write(append(b, '\n'))
	}
	if err != nil && l.err == nil {
		l.err = fmt.Errorf("rundir: %s: %w", TroubleFile, err)
	}
}

// List returns what was entered so far, in order.
func (l *TroubleLog) List() []cluster.Trouble {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// Close closes the file and returns what went wrong with it.
func (l *TroubleLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.w = nil
	return errors.Join(l.err, l.close())
}

// loadTrouble reads the account back. Runs that have none tell by their ledger
// what could not be healed.
func (d *Dir) loadTrouble(l *Loaded) error {
	f, err := files.Open(d.File(TroubleFile))
	if errors.Is(err, fs.ErrNotExist) {
		l.Notes = append(l.Notes, "there is no "+TroubleFile+"; what could not be healed is taken from "+LedgerFile)
		l.Trouble = troubleOf(l.Ledger)
		return nil
	}
	if err != nil {
		return fmt.Errorf("rundir: %w", err)
	}
	defer f.Close()
	list, torn, err := ReadTrouble(f)
	if err != nil {
		return fmt.Errorf("rundir: %s: %w", f.Name(), err)
	}
	if torn {
		l.Notes = append(l.Notes, TroubleFile+": the last line is incomplete and was left out")
	}
	l.Trouble = list
	return nil
}

// ReadTrouble reads an account of trouble. Torn tells that the last line was
// incomplete and left out.
func ReadTrouble(r io.Reader) (list []cluster.Trouble, torn bool, err error) {
	b := bufio.NewReader(r)
	for line := 1; ; line++ {
		text, err := readLine(b)
		if err == io.EOF {
			return list, len(text) > 0, nil
		}
		var t cluster.Trouble
		if err == nil {
			err = json.Unmarshal(text, &t)
		}
		if err == nil && len(list) >= troubleMax {
			err = fmt.Errorf("more than %d entries", troubleMax)
		}
		if err != nil {
			return nil, false, fmt.Errorf("trouble: line %d: %w", line, err)
		}
		list = append(list, t)
	}
}

// troubleOf lists the faults that could not be healed.
func troubleOf(faults []Fault) (list []cluster.Trouble) {
	for _, f := range faults {
		if i := strings.Index(f.Error, NotHealed); i >= 0 {
			list = append(list, cluster.Trouble{At: max(f.HealedAt, 0), Step: cluster.TroubleHeal, Nodes: f.Nodes, Text: f.Fault + ": " + f.Error[i:]})
		}
	}
	return list
}
