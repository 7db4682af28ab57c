package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestALongHistoryIsJudgedWhileItIsRead judges histories that do
// not fit into the memory allowed.
func TestALongHistoryIsJudgedWhileItIsRead(t *testing.T) {
	t.Chdir(t.TempDir())
	write := func(name string, n int, last string) {
		t.Helper()
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		w := bufio.NewWriter(f)
		for i := range n {
			f, in, out := "write", fmt.Sprint(i), fmt.Sprint(i)
			if i%2 == 1 {
				f, in, out = "read", "null", fmt.Sprint(i-1)
			}
			if i == n-1 {
				f, in, out = "read", "null", last
			}
			fmt.Fprintf(w, `{"index":%d,"time":%d,"type":"invoke","process":0,"f":%q,"value":%s}`+"\n", 2*i, i, f, in)
			fmt.Fprintf(w, `{"index":%d,"time":%d,"type":"ok","process":0,"f":%q,"value":%s}`+"\n", 2*i+1, i, f, out)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	const n = 20_000
	write("fresh.jsonl", n, fmt.Sprint(n-2))
	write("stale.jsonl", n, "100")
	locks := func(name string, n int, last string) {
		t.Helper()
		var b strings.Builder
		for i := range n {
			f := []string{"acquire", "release"}[i%2]
			if i == n-1 {
				f = last
			}
			fmt.Fprintf(&b, `{"index":%d,"time":%d,"type":"invoke","process":0,"f":%q,"value":null}`+"\n", 2*i, i, f)
			fmt.Fprintf(&b, `{"index":%d,"time":%d,"type":"ok","process":0,"f":%q,"value":null}`+"\n", 2*i+1, i, f)
		}
		if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	locks("locked.jsonl", n, "release")
	locks("twice.jsonl", n, "acquire")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"fresh.jsonl --workload register", exitValid, "again    cleancut check fresh.jsonl --workload=register\n"},
		{"fresh.jsonl --workload register --memory 2000000", exitValid, "judged while it was read"},
		{"stale.jsonl --workload register --memory 2000000", exitInvalid, "had certainly replaced this one"},
		{"fresh.jsonl --workload register --memory 500", exitInconclusive, "are allowed"},
		{"fresh.jsonl --workload register --memory 2000000 --model sequential", exitUsage, ""},
		{"locked.jsonl --workload mutex --memory 2000000", exitValid, "judged while it was read"},
		{"twice.jsonl --workload mutex --memory 2000000", exitInvalid, "both had succeeded"},
		{"twice.jsonl --workload semaphore --initial 2 --memory 2000000", exitValid, "judged while it was read"},
		{"fresh.jsonl --workload queue --memory 2000000", exitUsage, ""},
	} {
		got := cleancut(t, append([]string{"check"}, strings.Split(c.args, " ")...)...)
		if got.code != c.code || !strings.Contains(got.out, c.want) {
			t.Errorf("%s: exit code %d, %s%s; want %d and %q", c.args, got.code, got.out, got.err, c.code, c.want)
		}
	}
}
