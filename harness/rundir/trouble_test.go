package rundir

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
)

func TestTroubleIsWrittenAsItIsSeenAndReadBack(t *testing.T) {
	d := create(t, t.TempDir())
	l, err := d.Trouble()
	if err != nil {
		t.Fatal(err)
	}
	first := cluster.Trouble{At: time.Second, Step: cluster.TroubleOutside, Nodes: []string{"n1"}, Text: "its container was removed"}
	l.Add(first)
	l.Add(cluster.Trouble{Step: cluster.TroubleAsk, Text: strings.Repeat("x", 2*troubleText)})
	// It is there before it is closed: a harness may be killed.
	f, err := history.CreateFile(d.File(HistoryFile), history.FileOptions{})
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	e, err := d.Evidence()
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Trouble) != 2 || !reflect.DeepEqual(e.Trouble[0], first) || len(e.Trouble[1].Text) != troubleText {
		t.Errorf("read back is %+v", e.Trouble)
	}
	for range 2 * troubleMax {
		l.Add(first)
	}
	if n := len(l.List()); n != troubleMax {
		t.Errorf("%d entries are kept, the bound is %d", n, troubleMax)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestAnAccountOfTroubleThatIsDamagedIsRefusedAndATornOneIsRead(t *testing.T) {
	line := `{"at":1,"step":"outside","text":"x"}`
	for text, want := range map[string]struct {
		n    int
		torn bool
		bad  bool
	}{
		"":                                      {0, false, false},
		line + "\n":                             {1, false, false},
		line + "\n" + line:                      {1, true, false},
		line + "\nnull garbage\n":               {0, false, true},
		`{"at":"soon"}` + "\n":                  {0, false, true},
		strings.Repeat(line+"\n", troubleMax+1): {0, false, true},
	} {
		list, torn, err := ReadTrouble(strings.NewReader(text))
		if len(list) != want.n || torn != want.torn || (err != nil) != want.bad {
			t.Errorf("%.60q: %d entries, torn %v (%v)", text, len(list), torn, err)
		}
	}
}

func TestWithoutAnAccountTheLedgerTellsWhatWasNotHealed(t *testing.T) {
	l := NewLedger(nil)
	for _, failure := range []error{nil, errors.New(NotHealed + "i/o timeout")} {
		id, err := l.Begin(time.Second, "delay(1ms,1ms,n1)", "delay", "", []string{"n1"}, nil)
		err = errors.Join(err, l.Injected(id, time.Second, "", nil, nil), l.Healed(id, 2*time.Second, cluster.Receipt{}, false, failure))
		if err != nil {
			t.Fatal(err)
		}
	}
	list := troubleOf(l.Faults())
	if len(list) != 1 || list[0].Step != cluster.TroubleHeal || list[0].At != 2*time.Second || !strings.Contains(list[0].Text, "i/o timeout") {
		t.Errorf("the trouble is %+v", list)
	}
}
