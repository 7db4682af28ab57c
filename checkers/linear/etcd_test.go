package linear

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// etcdLog is a run of Jepsen against etcd from porcupine's own tests, with
// the verdict that these expect.
type etcdLog struct {
	name  string
	ops   []history.Operation
	valid bool
}

var etcdLine = regexp.MustCompile(`^INFO\s+jepsen\.util - (\d+)\s+:(invoke|ok|fail|info)\s+:(read|write|cas)\s+(.*)$`)

// etcdLogs reads the logs from porcupine's module, where it lies in the
// module cache.
func etcdLogs(tb testing.TB) []etcdLog {
	tb.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/anishathalye/porcupine").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		tb.Skipf("porcupine's module is not in the module cache: %v", err)
	}
	test, err := os.ReadFile(filepath.Join(dir, "porcupine_test.go"))
	if err != nil {
		tb.Skipf("porcupine's module came without its tests: %v", err)
	}
	var logs []etcdLog
	for _, m := range regexp.MustCompile(`checkJepsen\(t, (\d+), (true|false)\)`).FindAllStringSubmatch(string(test), -1) {
		n, _ := strconv.Atoi(m[1])
		name := fmt.Sprintf("etcd_%03d.log", n)
		ops, err := readEtcdLog(filepath.Join(dir, "test_data", "jepsen", name))
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		logs = append(logs, etcdLog{name, ops, m[2] == "true"})
	}
	return logs
}

func readEtcdLog(path string) ([]history.Operation, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var events []history.Event
	for lines := bufio.NewScanner(f); lines.Scan(); {
		m := etcdLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		kind := map[string]history.EventKind{"invoke": history.Invoke, "ok": history.OK, "fail": history.Fail, "info": history.Info}[m[2]]
		process, _ := strconv.Atoi(m[1])
		e := history.Event{Index: int64(len(events)), Time: time.Duration(len(events)), Kind: kind, Process: process, F: m[3]}
		var values []history.Value
		for _, w := range strings.Fields(strings.Trim(m[4], "[]")) {
			if n, err := strconv.ParseInt(w, 10, 64); err == nil {
				values = append(values, history.Int(n))
			}
		}
		if len(values) == 1 {
			e.Value = values[0]
		} else if len(values) == 2 {
			e.Value = history.List(values...)
		}
		if e.Kind == history.Fail && e.F == CAS {
			e.Error = mismatch
		}
		events = append(events, e)
	}
	return history.Operations(events)
}

func TestEtcdLogsAreJudgedAsPorcupinesOwnTestsDo(t *testing.T) {
	logs := etcdLogs(t)
	if len(logs) < 100 {
		t.Fatalf("only %d logs", len(logs))
	}
	for _, a := range []Algorithm{Automatic, Search, Porcupine} {
		c := Checker(Spec{Mismatch: mismatch}, Options{Algorithm: a})
		start := time.Now()
		for _, l := range logs {
			v := c.Check(context.Background(), &checkers.Evidence{Operations: l.ops})
			if v.Verdict != want(l.valid) {
				t.Errorf("%s is %s by %s: %s", l.name, v.Verdict, v.Algorithm, v.Reason)
			}
		}
		t.Logf("%q: %d logs in %s", a, len(logs), time.Since(start))
	}
}

func BenchmarkEtcdLogs(b *testing.B) {
	logs := etcdLogs(b)
	for _, a := range []Algorithm{Search, Porcupine} {
		b.Run(string(a), func(b *testing.B) {
			for b.Loop() {
				for _, l := range logs {
					p, err := compile(newInterner(len(l.ops)), "", Spec{Mismatch: mismatch}, l.ops, all(l.ops))
					if err != nil {
						b.Fatal(err)
					}
					budget := &budget{ctx: b.Context(), configurations: DefaultConfigurations, memory: DefaultMemory}
					_, got := p.searched(budget, a == Porcupine, true)
					if (got == legal) != l.valid {
						b.Fatalf("%s is %s", l.name, got)
					}
				}
			}
		})
	}
}
