package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// goodRun makes the folder of a valid run.
func goodRun(t *testing.T) string {
	t.Helper()
	out := t.TempDir()
	got := cleancut(t, "run", "replication/raft-quiet", "--runtime", "sim", "--seed", "3", "--time", "5s", "--out", out)
	if got.code != exitValid {
		t.Fatalf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
	path, err := filepath.EvalSymlinks(filepath.Join(out, "latest"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// copied is a copy of a run in which something is done.
func copied(t *testing.T, run string, do func(path string)) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(run)); err != nil {
		t.Fatal(err)
	}
	do(to)
	return to
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEvidenceThatIsMissingOrChangedIsNoEvidenceOfAbsence(t *testing.T) {
	run := goodRun(t)
	edit := func(file string, change func([]byte) []byte) func(string) {
		return func(path string) {
			b, err := os.ReadFile(filepath.Join(path, file))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(path, file), change(b), 0o644))
		}
	}
	remove := func(files ...string) func(string) {
		return func(path string) {
			for _, f := range files {
				must(t, os.RemoveAll(filepath.Join(path, f)))
			}
		}
	}
	halved := func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)/2], '\n')+1] }
	for _, c := range []struct {
		name   string
		damage func(path string)
		says   string
	}{
		{"no findings", remove("findings.json"), "findings.json, which the run left, is gone"},
		{"one node of five", remove("nodes/n1", "nodes/n2", "nodes/n3", "nodes/n4"), "nodes/n1/final.json, which the run left, is gone"},
		{"no logs", remove("nodes/n1/node.log", "nodes/n2/node.log", "nodes/n3/node.log", "nodes/n4/node.log", "nodes/n5/node.log"), "node.log, which the run left, is gone"},
		{"no ledger", remove("faults.jsonl"), "faults.jsonl, which the run left, is gone"},
		{"no trouble", remove("trouble.jsonl"), "trouble.jsonl, which the run left, is gone"},
		{"half a history", edit("history.jsonl", halved), "history.jsonl had"},
		{"a padded history", edit("history.jsonl", func(b []byte) []byte { return append(halved(b), make([]byte, len(b)-len(halved(b)))...) }), "history.jsonl has been changed"},
		{"a log that was added", func(path string) {
			must(t, os.WriteFile(filepath.Join(path, "nodes", "n1", "z.log"), []byte("panic: x\n"), 0o644))
		}, "the run had not left nodes/n1/z.log"},
		{"another final state", edit("nodes/n1/final.json", func(b []byte) []byte { return append(b, '\n') }), "nodes/n1/final.json had"},
		{"a result without a list", edit("result.json", func(b []byte) []byte { return bytes.Replace(b, []byte(`"evidence"`), []byte(`"nothing"`), 1) }), "does not say what evidence the run left"},
		{"a dead harness", remove("result.json"), "the harness died before it judged the run"},
		{"a harness that died before it recorded", remove("history.jsonl", "faults.jsonl", "trouble.jsonl", "findings.json", "nodes", "result.json"),
			"there is no history.jsonl: nothing was recorded"},
		{"no history", remove("history.jsonl"), "history.jsonl, which the run left, is gone"},
	} {
		path := copied(t, run, c.damage)
		for range 2 { // a report that is written in between makes nothing green
			if got := cleancut(t, "check", path); got.code != exitInconclusive || !strings.Contains(got.out, c.says) {
				t.Errorf("%s: exit code %d, want %d and %q\n%s%s", c.name, got.code, exitInconclusive, c.says, got.out, got.err)
			}
			if got := cleancut(t, "report", path); got.code != exitValid {
				t.Errorf("%s: report ends with %d: %s", c.name, got.code, got.err)
			}
		}
	}
	elsewhere := copied(t, run, edit("result.json", func(b []byte) []byte {
		return bytes.Replace(b, []byte(`"runtime": "sim"`), []byte(`"runtime": "x"`), 1)
	}))
	if got := cleancut(t, "check", elsewhere); !strings.Contains(got.out, "invariants") {
		t.Errorf("where the run was, its scenario says: invariants are not judged\n%s%s", got.out, got.err)
	}
	unlisted := copied(t, run, func(path string) {
		edit("result.json", func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"file": "findings.json"`), []byte(`"file": "junit.xml"`), 1)
		})(path)
		must(t, os.Remove(filepath.Join(path, "findings.json")))
	})
	if got := cleancut(t, "check", unlisted); got.code != exitInconclusive {
		t.Errorf("a list without findings.json: exit code %d\n%s%s", got.code, got.out, got.err)
	}
	if got := cleancut(t, "check", copied(t, run, func(string) {})); got.code != exitValid {
		t.Errorf("unchanged: exit code %d\n%s%s", got.code, got.out, got.err)
	}
}

func TestAHistoryThatWasCutOffSaysSoAlsoAsAFile(t *testing.T) {
	run := goodRun(t)
	b, err := os.ReadFile(filepath.Join(run, "history.jsonl"))
	must(t, err)
	path := filepath.Join(t.TempDir(), "h.jsonl")
	for _, c := range []struct {
		text []byte
		code int
		says string
	}{
		{b, exitValid, "VALID"},
		{b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1], exitInconclusive, "it was cut off after event"},
		{slices.Concat(b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1], make([]byte, 4096)), exitInconclusive, "it was cut off after event"},
	} {
		must(t, os.WriteFile(path, c.text, 0o644))
		got := cleancut(t, "check", path, "--workload", "kv")
		if got.code != c.code || !strings.Contains(got.out, c.says) {
			t.Errorf("%d bytes: exit code %d, want %d and %q\n%s%s", len(c.text), got.code, c.code, c.says, got.out, got.err)
		}
	}
}

func TestSpecialFilesAreNeitherWaitedForNorWrittenThrough(t *testing.T) {
	run := goodRun(t)
	for _, file := range []string{"history.jsonl", "faults.jsonl", "findings.json", "result.json", "scenario.json", "nodes/n1/final.json", "nodes/n1/node.log", "trouble.jsonl"} {
		for name, put := range map[string]func(string) error{
			"a pipe":   func(p string) error { return syscall.Mkfifo(p, 0o600) },
			"a device": func(p string) error { return os.Symlink("/dev/zero", p) },
			"a folder": func(p string) error { return os.Mkdir(p, 0o755) },
			"a sparse file": func(p string) error {
				f, err := os.Create(p)
				if err == nil {
					err = f.Truncate(20 << 30)
				}
				return err
			},
		} {
			path := copied(t, run, func(path string) {
				must(t, os.Remove(filepath.Join(path, file)))
				must(t, put(filepath.Join(path, file)))
			})
			if got := cleancut(t, "check", path); got.code == exitValid || got.code == exitInvalid {
				t.Errorf("%s for %s: exit code %d\n%s%s", name, file, got.code, got.out, got.err)
			}
		}
	}
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.WriteFile(outside, []byte("mine"), 0o644))
	path := copied(t, run, func(path string) {
		for _, f := range []string{"junit.xml", "report.html"} {
			must(t, os.Remove(filepath.Join(path, f)))
			must(t, os.Symlink(outside, filepath.Join(path, f)))
		}
	})
	cleancut(t, "report", path)
	if b, err := os.ReadFile(outside); err != nil || string(b) != "mine" {
		t.Errorf("a file outside was written through a link: %q, %v", b, err)
	}
}

// onWrite is an output that does something once, at the first that is written.
type onWrite struct {
	bytes.Buffer
	do func()
}

func (w *onWrite) Write(b []byte) (int, error) {
	if w.do != nil {
		w.do()
		w.do = nil
	}
	return w.Buffer.Write(b)
}

func TestAResultThatCannotBeKeptIsNoVerdict(t *testing.T) {
	junit := filepath.Join(t.TempDir(), "junit")
	args := []string{"run", "replication/raft-quiet", "--runtime", "sim", "--seed", "3", "--time", "5s", "--out", t.TempDir(), "--junit", junit}
	blocked := func() {
		must(t, os.RemoveAll(junit))
		must(t, os.MkdirAll(filepath.Join(junit, "x"), 0o755))
	}
	// The first that is said follows the look at whether the file can be written.
	said := &onWrite{do: blocked}
	if code := execute(t.Context(), args, &bytes.Buffer{}, said); code != exitHarness || !strings.Contains(said.String(), junit) {
		t.Errorf("blocked during the run: exit code %d, want %d and the name of %s\n%s", code, exitHarness, junit, said)
	}
	if got := cleancut(t, args...); got.code != exitUsage || !strings.Contains(got.err, junit) || got.out != "" {
		t.Errorf("blocked before: exit code %d, want %d and the name of %s\n%s%s", got.code, exitUsage, junit, got.out, got.err)
	}
}

// TestNoMutationOfARunMakesTheCommandPanic changes values of its JSON files.
func TestNoMutationOfARunMakesTheCommandPanic(t *testing.T) {
	run := goodRun(t)
	r := rand.New(rand.NewPCG(1, 2))
	files := []string{"result.json", "scenario.json", "findings.json", "nodes/n1/final.json"}
	for round := range 60 {
		file := files[round%len(files)]
		path := copied(t, run, func(path string) {
			b, err := os.ReadFile(filepath.Join(path, file))
			must(t, err)
			var v any
			must(t, json.Unmarshal(b, &v))
			mutated, err := json.Marshal(mutate(r, v))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(path, file), mutated, 0o644))
		})
		for _, command := range []string{"check", "report"} {
			got := cleancut(t, command, path)
			if strings.Contains(got.err, "defect of cleancut") {
				t.Errorf("round %d, %s of a changed %s: %s", round, command, file, got.err)
			}
			if command == "check" && file != "result.json" && file != "scenario.json" && got.code == exitValid {
				t.Errorf("round %d: valid with a changed %s", round, file)
			}
		}
	}
}

// mutate replaces one value somewhere in v.
func mutate(r *rand.Rand, v any) any {
	odd := []any{nil, -1, 1e300, "x", []any{}, map[string]any{}, true, []any{nil}, strings.Repeat("y", 1000), time.Duration(1 << 62)}
	switch x := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(x))
		for k := range x {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		if len(keys) > 0 && r.IntN(8) > 0 {
			k := keys[r.IntN(len(keys))]
			x[k] = mutate(r, x[k])
			return x
		}
	case []any:
		if len(x) > 0 && r.IntN(8) > 0 {
			i := r.IntN(len(x))
			x[i] = mutate(r, x[i])
			return x
		}
	}
	picked := odd[r.IntN(len(odd))]
	if fmt.Sprint(picked) == fmt.Sprint(v) {
		return "z"
	}
	return picked
}
