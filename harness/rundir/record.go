package rundir

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/internal/files"
	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/harness/record/raw"
)

// Names of files that a run has if its nodes recorded something.
const (
	// RecordFile is what the processes recorded, merged in order of time.
	RecordFile = cluster.RecordFile
	// recordHoles says in words what RecordFile lacks; it exists only if
	// something is missing.
	recordHoles = cluster.RecordHolesFile
)

// WriteRecord keeps what the nodes recorded, if they did, and why it is
// incomplete, nil if it is not.
func (d *Dir) WriteRecord(events []record.Event, incomplete error) error {
	if incomplete != nil {
		if err := d.WriteFile(recordHoles, []byte(incomplete.Error()+"\n")); err != nil {
			return err
		}
	}
	if len(events) == 0 {
		return nil
	}
	if err := raw.WriteFile(d.File(RecordFile), events); err != nil {
		return fmt.Errorf("rundir: %w", err)
	}
	return nil
}

// loadRecord reads the record back. Where the harness died before it merged
// the files of the nodes, those that were saved are merged now.
func (d *Dir) loadRecord(l *Loaded) (err error) {
	if err := l.readHoles(d.Path); err != nil {
		return err
	}
	events, torn, err := readRecord(d.File(RecordFile))
	if err == nil {
		l.Record = events
		l.addHole(torn, RecordFile)
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	saved, err := filepath.Glob(filepath.Join(d.NodesDir(), "*", RecordFile))
	if err != nil {
		return fmt.Errorf("rundir: %w", err)
	}
	slices.SortFunc(saved, CompareNames)
	var parts [][]record.Event
	for _, path := range saved {
		events, torn, err := readRecord(path)
		if err != nil {
			return err
		}
		l.addHole(torn, path)
		if err := l.readHoles(filepath.Dir(path)); err != nil {
			return err
		}
		parts = append(parts, events)
	}
	l.Record = raw.Merge(0, parts...)
	return nil
}

// readHoles reads what the record in a folder lacks.
func (l *Loaded) readHoles(folder string) error {
	holes, err := files.Read(filepath.Join(folder, recordHoles), jsonMax)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rundir: %w", err)
	}
	l.RecordHoles = strings.TrimSpace(l.RecordHoles + "\n" + string(holes))
	return nil
}

func (l *Loaded) addHole(torn bool, path string) {
	if torn {
		l.RecordHoles = strings.TrimSpace(l.RecordHoles + "\n" + path + ": the last line is incomplete and was left out")
	}
}

// readRecord reads a file of events. A last line that is cut off is left out.
func readRecord(path string) (events []record.Event, torn bool, err error) {
	f, err := files.Open(path)
	if err != nil {
		return nil, false, fmt.Errorf("rundir: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<16)
	for number := 1; ; number++ {
		line, readErr := readLine(in)
		if len(bytes.TrimSpace(line)) > 0 {
			var e record.Event
			err := json.Unmarshal(line, &e)
			switch {
			case err != nil && readErr != nil:
				return events, true, nil
			case err != nil:
				return nil, false, fmt.Errorf("rundir: %s: line %d: %w", path, number, err)
			}
			events = append(events, e)
		}
		if errors.Is(readErr, io.EOF) {
			return events, false, nil
		}
		if readErr != nil {
			return nil, false, fmt.Errorf("rundir: %w", readErr)
		}
	}
}
