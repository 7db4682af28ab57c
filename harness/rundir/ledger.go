package rundir

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/internal/jsontext"
)

// Entry is one line of the ledger of faults. A fault has up to three of them:
// begin is written before anything is done and says what would undo it;
// injected tells that it is in force, or why not; healed ends it.
type Entry struct {
	Entry string        `json:"entry"` // "begin", "injected" or "healed"
	ID    int           `json:"id"`    // of the fault, from 1
	At    time.Duration `json:"at"`    // since the run began
	Fault string        `json:"fault,omitempty"`
	Kind  string        `json:"kind,omitempty"`
	// Model is the failure model of the fault's kind.
	Model history.Failure `json:"model,omitempty"`
	Nodes []string        `json:"nodes,omitempty"`
	// Undo is whatever the runtime needs to undo the fault after the harness
	// has died.
	Undo    json.RawMessage  `json:"undo,omitempty"`
	Receipt *cluster.Receipt `json:"receipt,omitempty"`
	Bit     bool             `json:"bit,omitempty"`
	Error   string           `json:"error,omitempty"`
}

// The kinds of entries.
const (
	EntryBegin    = "begin"
	EntryInjected = "injected"
	EntryHealed   = "healed"
)

// Ledger keeps the account of the faults of a run. It is safe for concurrent
// use. Each entry is handed to the kernel in one write before the method
// returns, so that a killed harness leaves it readable. It keeps all faults
// in memory, too.
type Ledger struct {
	mu     sync.Mutex
	w      io.Writer
	close  func() error
	faults []Fault
}

// Ledger opens the run's ledger for appending.
func (d *Dir) Ledger() (*Ledger, error) {
	f, err := os.OpenFile(d.File(LedgerFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("rundir: %w", err)
	}
	return &Ledger{w: f, close: f.Close}, nil
}

// NewLedger returns a ledger that writes to w, or to memory only if w is nil.
func NewLedger(w io.Writer) *Ledger {
	return &Ledger{w: w, close: func() error { return nil }}
}

// Begin enters a fault that is about to be injected: its text, kind and failure
// model, and whom it hits as far as that is known. Undo may be nil or
// anything that JSON can hold. If it fails, the fault must not be injected.
func (l *Ledger) Begin(at time.Duration, fault, kind string, model history.Failure, nodes []string, undo any) (id int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := Entry{Entry: EntryBegin, ID: len(l.faults) + 1, At: at, Fault: fault, Kind: kind, Model: model, Nodes: slices.Clone(nodes)}
	if undo != nil {
		if e.Undo, err = jsontext.Marshal(undo); err != nil {
			return 0, fmt.Errorf("rundir: ledger: what undoes %s: %w", fault, err)
		}
	}
	return e.ID, l.enter(e)
}

// Injected enters that a fault is in force, or with a non-nil failure why it
// is not. Frozen is its text with all that was left open decided, and nodes
// are the victims as they are now known; zero values leave them as they were.
func (l *Ledger) Injected(id int, at time.Duration, frozen string, nodes []string, failure error) error {
	e := Entry{Entry: EntryInjected, ID: id, At: at, Fault: frozen, Nodes: slices.Clone(nodes), Error: text(failure)}
	return l.follow(e)
}

// Healed enters that a fault is over, with its final receipt and whether that
// proves an effect, or with a non-nil failure why it could not be healed.
func (l *Ledger) Healed(id int, at time.Duration, receipt cluster.Receipt, bit bool, failure error) error {
	return l.follow(Entry{Entry: EntryHealed, ID: id, At: at, Receipt: &receipt, Bit: bit, Error: text(failure)})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (l *Ledger) follow(e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.enter(e)
}

func (l *Ledger) enter(e Entry) error {
	faults, err := fold(l.faults, e)
	if err != nil {
		return fmt.Errorf("rundir: ledger: %w", err)
	}
	if l.w != nil {
		b, err := jsontext.Marshal(e)
		if err != nil {
			return fmt.Errorf("rundir: ledger: %w", err)
		}
		if _, err := l.w.Write(append(b, '\n')); err != nil {
			return fmt.Errorf("rundir: ledger: %w", err)
		}
	}
	l.faults = faults
	return nil
}

// fold adds an entry to the faults that earlier ones made.
func fold(faults []Fault, e Entry) ([]Fault, error) {
	if e.Entry == EntryBegin {
		if e.ID != len(faults)+1 {
			return nil, fmt.Errorf("fault %d begins, expected %d", e.ID, len(faults)+1)
		}
		return append(faults, Fault{Fault: e.Fault, Kind: e.Kind, Model: e.Model, Nodes: e.Nodes, At: e.At, HealedAt: -1}), nil
	}
	if e.ID < 1 || e.ID > len(faults) {
		return nil, fmt.Errorf("entry %q of fault %d, which never began", e.Entry, e.ID)
	}
	f := &faults[e.ID-1]
	switch e.Entry {
	case EntryInjected:
		if e.Nodes != nil {
			f.Nodes = e.Nodes
		}
		f.Frozen = e.Fault
	case EntryHealed:
		if f.HealedAt >= 0 {
			return nil, fmt.Errorf("fault %d is healed twice", e.ID)
		}
		f.HealedAt = e.At
		f.Bit = e.Bit
		if e.Receipt != nil {
			f.Receipt = *e.Receipt
		}
	default:
		return nil, fmt.Errorf("entry %q of fault %d; expected begin, injected or healed", e.Entry, e.ID)
	}
	if e.Error != "" && f.Error != "" {
		e.Error = f.Error + "; " + e.Error
	}
	if e.Error != "" {
		f.Error = e.Error
	}
	return faults, nil
}

// Faults returns what was entered so far, in order. HealedAt is negative for
// faults that were not healed.
func (l *Ledger) Faults() []Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.faults)
}

// Close closes the file.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.close()
}

// ledgerLineMax bounds a line of a ledger.
const ledgerLineMax = 4 << 20

// ReadLedger reads a ledger. Faults are those that began, entries all lines;
// torn tells that the last line was incomplete and left out.
func ReadLedger(r io.Reader) (faults []Fault, entries []Entry, torn bool, err error) {
	b := bufio.NewReader(r)
	for line := 1; ; line++ {
		text, err := readLine(b)
		if err == io.EOF {
			return faults, entries, len(bytes.TrimSpace(text)) > 0, nil
		}
		if err != nil {
			return nil, nil, false, fmt.Errorf("ledger: line %d: %w", line, err)
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		var e Entry
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			return nil, nil, false, fmt.Errorf("ledger: line %d: %w", line, err)
		}
		if faults, err = fold(faults, e); err != nil {
			return nil, nil, false, fmt.Errorf("ledger: line %d: %w", line, err)
		}
		entries = append(entries, e)
	}
}

// readLine returns a line without its newline. With io.EOF it returns what
// follows the last newline.
func readLine(b *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := b.ReadSlice('\n')
		if len(line)+len(part) > ledgerLineMax {
			return nil, fmt.Errorf("longer than %d bytes", ledgerLineMax)
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return line, err
		}
		return line[:len(line)-1], nil
	}
}

// Unhealed returns the first entries of the faults that were neither healed
// nor failed to be injected: what a dead harness left in force.
func Unhealed(entries []Entry) []Entry {
	var open []Entry
	for _, e := range entries {
		switch {
		case e.Entry == EntryBegin:
			open = append(open, e)
		case e.Entry == EntryHealed && e.Error == "":
			open = slices.DeleteFunc(open, func(o Entry) bool { return o.ID == e.ID })
		}
	}
	return open
}
