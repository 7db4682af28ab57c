package rundir

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// FuzzFilesOfARun reads a run of which one file is anything: it is evidence or
// an error, never a panic, and is missed if the run had left another one.
func FuzzFilesOfARun(f *testing.F) {
	names := []string{ResultFile, ScenarioFile, FindingsFile, LedgerFile, TroubleFile, HistoryFile, RecordFile, "nodes/n1/final.json", "nodes/n1/node.log"}
	for i := range names {
		for _, text := range []string{
			"", "null", "{}", "[]", "{", "\x00", `{"measures":null,"checkers":[{"witness":{"operations":[null]}}]}`, `{"evidence":[{"file":"../x","bytes":-1}]}`,
			`{"node":"n1","status":{"applied":18446744073709551615}}`, `[{"invariant":"panic","at":-1}]`, `{"entry":"begin","id":1,"fault":"kill(n1)","kind":"kill"}`,
			`{"entry":"healed","id":9}`, `{"at":1,"step":"heal","nodes":null,"text":"x"}`, `{"index":0,"time":0,"type":"phase","process":-1,"f":"end"}`,
		} {
			f.Add(uint8(i), []byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, content []byte) {
		d, err := Create(t.TempDir(), "a/b", 1, time.Unix(0, 0), map[string]any{"nodes": 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.WriteFile(HistoryFile, []byte(`{"index":0,"time":0,"type":"invoke","process":1,"f":"read","value":null}`+"\n")); err != nil {
			t.Fatal(err)
		}
		left, err := d.Inventory()
		if err != nil || len(d.Lacking(left)) > 0 {
			t.Fatalf("%v, %q", err, d.Lacking(left))
		}
		path := d.File(filepath.FromSlash(names[int(which)%len(names)]))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if l, err := d.Evidence(); err == nil {
			Windows(l.Ledger, End(l.Events))
			history.Unended(l.Events)
		}
		if r, err := d.Result(); err == nil {
			d.Lacking(r.Evidence)
			r.Measures["x"] = 1
		}
		if names[int(which)%len(names)] == HistoryFile && len(d.Lacking(left)) == 0 && len(content) != int(left[0].Bytes) {
			t.Errorf("another history was not missed: %q", content)
		}
	})
}
