package rundir

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/harness/record"
)

func TestARecordIsReadBackAsItWasWrittenAndItsHolesAreKnown(t *testing.T) {
	value := int64(-3)
	events := []record.Event{
		{T: 1, Proc: "n1", Inc: 1, Kind: record.Start},
		{T: 2, Proc: "n2", Inc: 4, Kind: record.CheckpointBegin, Ckpt: "c", Value: &value, Line: map[string]string{"n1": ""}, Channel: []string{"m"}},
	}
	load := func(d *Dir) *Loaded {
		t.Helper()
		l := &Loaded{}
		if err := d.loadRecord(l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	whole := &Dir{Path: t.TempDir()}
	if err := whole.WriteRecord(events, nil); err != nil {
		t.Fatal(err)
	}
	if l := load(whole); !reflect.DeepEqual(l.Record, events) || l.RecordHoles != "" {
		t.Errorf("read back as %+v, holes %q", l.Record, l.RecordHoles)
	}
	empty := &Dir{Path: t.TempDir()}
	if err := empty.WriteRecord(nil, nil); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(empty.Path); err != nil || len(files) > 0 {
		t.Errorf("nothing was recorded, and left %v (%v)", files, err)
	}
	if l := load(empty); l.Record != nil || l.RecordHoles != "" {
		t.Errorf("nothing was read back as %+v, holes %q", l.Record, l.RecordHoles)
	}
	holed := &Dir{Path: t.TempDir()}
	if err := holed.WriteRecord(events, errors.New("n1 is missing")); err != nil {
		t.Fatal(err)
	}
	if l := load(holed); l.RecordHoles != "n1 is missing" {
		t.Errorf("holes are read back as %q", l.RecordHoles)
	}
}

func TestARecordThatIsCutOffHasAHoleAndOneThatIsDamagedIsAnError(t *testing.T) {
	for text, want := range map[string]struct {
		events int
		hole   bool
		fails  bool
	}{
		`{"t":1,"proc":"n1","inc":1,"kind":"start"}` + "\n":                    {events: 1},
		`{"t":1,"proc":"n1","inc":1,"kind":"start"}` + "\n" + `{"t":2,"pr`:     {events: 1, hole: true},
		`{"t":1,"pr` + "\n" + `{"t":1,"proc":"n1","inc":1,"kind":"go"}` + "\n": {fails: true},
	} {
		d := &Dir{Path: t.TempDir()}
		if err := os.WriteFile(filepath.Join(d.Path, RecordFile), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		l := &Loaded{}
		err := d.loadRecord(l)
		if (err != nil) != want.fails || len(l.Record) != want.events || strings.Contains(l.RecordHoles, "incomplete") != want.hole {
			t.Errorf("%q: %d events, holes %q, error %v", text, len(l.Record), l.RecordHoles, err)
		}
	}
}
