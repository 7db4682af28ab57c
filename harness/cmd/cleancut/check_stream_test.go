package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/harness/rundir"
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
	// Rounds of operations, the last of them replaced: f, argument and result
	// with # for the number of the round and @ for how many there were of its key.
	objects := func(name string, rounds, keys int, last string, each ...string) {
		t.Helper()
		var b strings.Builder
		index := 0
		for i := range rounds {
			for k, line := range each {
				if i == rounds-1 && k == len(each)-1 {
					line = last
				}
				w := strings.Fields(strings.NewReplacer("#", fmt.Sprint(i), "@", fmt.Sprint(i/keys+1)).Replace(line))
				fmt.Fprintf(&b, `{"index":%d,"time":%d,"type":"invoke","process":0,"f":%q,"key":"k%d","value":%s}`+"\n", index, i, w[0], i%keys, w[1])
				fmt.Fprintf(&b, `{"index":%d,"time":%d,"type":"ok","process":0,"f":%q,"key":"k%d","value":%s}`+"\n", index+1, i, w[0], i%keys, w[2])
				index += 2
			}
		}
		if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	queue := []string{"enqueue # #", "dequeue null #", "dequeue null null"}
	objects("emptied.jsonl", n/3, 3, queue[2], queue...)
	objects("again.jsonl", n/3, 3, "dequeue null #", queue...)
	members := []string{"add # #", "contains # true", "remove # #", "contains # false"}
	objects("members.jsonl", n/4, 3, members[3], members...)
	objects("back.jsonl", n/4, 3, "contains # true", members...)
	counter := []string{"add 1 1", "read null @"}
	objects("counted.jsonl", n/2, 3, counter[1], counter...)
	objects("miscounted.jsonl", n/2, 3, "read null 100", counter...)
	// whole is what is in the last key, and no read has found yet.
	whole := func(rounds int, each string) (elements []string) {
		for i := (rounds - 1) % 3; i < rounds-1; i += 3 {
			elements = append(elements, strings.ReplaceAll(each, "#", fmt.Sprint(i)))
		}
		return elements
	}
	read := func(elements []string) string { return "read null [" + strings.Join(elements, ",") + "]" }
	grown := whole(n, "#")
	objects("grown.jsonl", n, 3, read(grown), "add # #")
	objects("shrunk.jsonl", n, 3, read(grown[1:]), "add # #")
	text := `"` + strings.Repeat("message-", 30) + `#"`
	logged := whole(n/4, text)
	objects("logged.jsonl", n/4, 3, read(logged), "append "+text+" "+text)
	logged[0], logged[1] = logged[1], logged[0]
	objects("turned.jsonl", n/4, 3, read(logged), "append "+text+" "+text)
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
		{"emptied.jsonl --workload queue --memory 2000000", exitValid, "judged while it was read"},
		{"again.jsonl --workload queue --memory 2000000", exitInvalid, "which was enqueued once"},
		{"members.jsonl --workload set --memory 2000000", exitValid, "judged while it was read"},
		{"back.jsonl --workload set --memory 2000000", exitInvalid, "cannot have come and gone so"},
		{"counted.jsonl --workload counter --model linearizable --memory 2000000", exitValid, "judged while it was read"},
		{"miscounted.jsonl --workload counter --model linearizable --memory 2000000", exitInvalid, "before it began,"},
		{"grown.jsonl --workload set --memory 8000000", exitValid, "judged while it was read"},
		{"shrunk.jsonl --workload set --memory 8000000", exitInvalid, "elements that every read must find since before it began"},
		{"logged.jsonl --workload log --memory 8000000", exitValid, "judged while it was read"},
		{"turned.jsonl --workload log --memory 8000000", exitInvalid, "had been acknowledged before the append"},
		{"fresh.jsonl --workload multi-register --memory 2000000", exitUsage, ""},
	} {
		got := cleancut(t, append([]string{"check"}, strings.Split(c.args, " ")...)...)
		if got.code != c.code || !strings.Contains(got.out, c.want) {
			t.Errorf("%s: exit code %d, %s%s; want %d and %q", c.args, got.code, got.out, got.err, c.code, c.want)
		}
	}
}

func TestWhatStreamingCouldNotDecideIsNotStreamedAgain(t *testing.T) {
	t.Chdir(t.TempDir())
	line := `{"index":%d,"time":0,"type":"invoke","process":%d,"f":"write","value":1}` + "\n"
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, line, i, i)
	}
	if err := os.WriteFile("h.jsonl", []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, verdict := range []rundir.Outcome{rundir.Inconclusive, rundir.Invalid} {
		f, times := &checkFlags{workload: "register", memory: 1000}, 0
		got, err := f.judged(t.Context(), "h.jsonl", nil, func() (*rundir.Result, error) {
			times++
			return &rundir.Result{Verdict: verdict}, nil
		})
		if err != nil || got.Verdict != verdict || times != 1 {
			t.Errorf("%s: streamed %d times, then %+v, %v", verdict, times, got, err)
		}
	}
}
