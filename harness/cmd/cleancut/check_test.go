package main

import (
	"bufio"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/checkers/recovery"
)

const oneWrite = `{"index":0,"time":5,"type":"invoke","process":1,"f":"write","value":3}
{"index":1,"time":6,"type":"ok","process":1,"f":"write","value":3}
`

func TestWhatCannotBeJudgedIsRefusedByName(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"h.jsonl": oneWrite, "empty.edn": "", "cut.jsonl": oneWrite[:90], "bad.edn": "{:type :ok", "rubbish": "\x00\x01\xff\xfe\x7fELF", "cut.gz": "\x1f\x8b\x08",
		"twice.jsonl": strings.Replace(oneWrite, `"index":1`, `"index":0`, 1), "early.jsonl": strings.Replace(oneWrite, `"time":6`, `"time":-6`, 1),
		"other.edn": "{:type :invoke :process 0 :f :write :value 4}\n{:type :ok :process 0 :f :write :value 5}", "other.jsonl": strings.Replace(oneWrite, `"ok","process":1,"f":"write","value":3`, `"ok","process":1,"f":"write","value":4`, 1),
		"twice.edn": "{:index 0 :type :invoke :process 0 :f :x}{:index 0 :type :ok :process 0 :f :x}", "early.edn": "{:time -1 :type :invoke :process 0 :f :x}",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ args, want string }{
		{"h.jsonl", "--workload is needed to judge a history: register,"},
		{"h.jsonl --workload reg", `--workload "reg": expected one of register`},
		{"h.jsonl --workload set --model strict", `--model "strict": there is no such model`},
		{"h.jsonl --workload list-append --model strict", "transactions cannot be judged by the model"},
		{"h.jsonl --workload set --anomalies G0", "are for the workloads list-append and rw-register"},
		{"h.jsonl --workload list-append --anomalies G17", `there is no anomaly "G17"`},
		{"h.jsonl --workload list-append --anomalies write-skew", `there is no anomaly "write-skew"`},
		{"h.jsonl --workload list-append --assume luck", `--assume "luck": expected one of wfr-keys`},
		{"h.jsonl --workload list-append --transaction-order 1", `"1" is not ID:POSITION`},
		{"h.jsonl --workload register --assume luck", "for registers there is nil-is-unknown"},
		{"h.jsonl --workload set --format xml", `--format "xml": expected jsonl, edn or json`},
		{"h.jsonl --workload set --initial [1", `--initial "[1": unexpected end`},
		{"h.jsonl --workload semaphore", "--initial is needed for the workload semaphore"},
		{"h.jsonl --workload mutex --initial 3", "what the workload mutex is about begins empty"},
		{"h.jsonl --workload log --model kafka --initial 3", "what the workload log is about begins empty"},
		{"h.jsonl --workload register --negative-balances", "--negative-balances is for the workload bank"},
		{"h.jsonl --workload register --max-lag 1s", "for the models bounded-staleness and durable, not for linearizable"},
		{"h.jsonl --workload list-append --max-versions 1", "for the models bounded-staleness and durable, not for strict-serializable"},
		{"h.jsonl --workload register --timeout -1s", "--timeout -1s: expected a positive duration"},
		{"h.jsonl --workload register --overlapping", "--overlapping is for edn and json"},
		{"h.jsonl --workload checkpoint --initial 1 --independent", "--independent, --initial: for histories, not for records of events"},
		{"h.jsonl --workload counter --initial x", "workload counter: the initial value is \"x\"; expected an integer"},
		{"h.jsonl --workload set --memory -1", "expected a size such as 536870912, 512M or 2G"},
		{"h.jsonl --workload set --memory lots", "expected a size such as 536870912, 512M or 2G"},
		{"h.jsonl --workload set --max-lag -1s", "must not be negative"},
		{"h.jsonl --workload set --independent", "--independent is for edn and json"},
		{"empty.edn --workload set", "empty.edn: as edn: the history is empty"},
		{"cut.jsonl --workload set", "cut.jsonl: as jsonl: the last line is incomplete"},
		{"bad.edn --workload set", "bad.edn: as edn: line 1: unexpected end of the text"},
		{"rubbish --workload set", `rubbish: as edn: line 1: unexpected byte '\x00'`},
		{"cut.gz --workload set", "cut.gz: unexpected EOF"},
		{"twice.jsonl --workload set", "line 2: index: found 0, expected 1"},
		{"early.jsonl --workload set", "line 2: time: -6 is negative"},
		{"twice.edn --workload set", "line 1: index: 0 follows 0; indices must rise"},
		{"other.edn --workload register", "line 2: value: process 0 completes write (event 0), but it was invoked with 4 and completed with 5"},
		{"other.jsonl --workload register", "other.jsonl: line 2: process 1 completes write (event 0), but it was invoked with 3 and completed with 4"},
		{"early.edn --workload set", "line 1: time: -1 is negative"},
	} {
		got := cleancut(t, append([]string{"check"}, strings.Split(c.args, " ")...)...)
		if got.code != exitUsage || !strings.Contains(got.err, c.want) || got.out != "" {
			t.Errorf("%s: exit code %d, said %q; want %d and %q", c.args, got.code, got.err, exitUsage, c.want)
		}
	}
}

func TestEveryWorkloadAndModelIsEitherDecidedOrSaidNotToBe(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	g.Expect(os.WriteFile("h.jsonl", []byte(oneWrite), 0o600)).To(Succeed())
	var all []string
	for _, j := range judgements {
		if !slices.Contains(all, j.model) {
			all = append(all, j.model)
		}
	}
	// The names that the documentation promises.
	for _, w := range strings.Fields(`register cas-register kv mutex semaphore set set-full queue total-queue counter
		unique-ids list-append rw-register bank long-fork causal-reverse log checkpoint`) {
		g.Expect(names()).To(ContainElement(w))
		for _, m := range append(slices.Clone(all), "") {
			if w == checkpointWorkload && (m == "" || slices.Contains(recovery.Names(), m)) {
				continue // judges a record of events, which h.jsonl is not
			}
			args := []string{"check", "h.jsonl", "--workload", w, "--model", m}
			if w == "semaphore" {
				args = append(args, "--initial", "2")
			}
			got := cleancut(t, args...)
			g.Expect(got.code).To(BeElementOf(exitValid, exitInvalid, exitInconclusive), "%s as %s: %s", w, m, got.err)
			_, known := find(m, w)
			if j, _ := find(m, w); j == nil && known {
				g.Expect(got.out).To(ContainSubstring("cannot be decided for the workload "+w), m)
				g.Expect(got.code).To(Equal(exitInconclusive))
			}
		}
	}
	// Models that Elle relates to others, and that are listed where refuted.
	for _, m := range strings.Fields("cursor-stability PL-2+ parallel-snapshot-isolation update-atomic serializable,consistent-view") {
		got := cleancut(t, "check", "h.jsonl", "--workload", "list-append", "--model", m)
		g.Expect(got.code).To(Equal(exitInconclusive), m)
		g.Expect(got.out).To(ContainSubstring("cannot be decided for the workload list-append"), m)
	}
	listed := cleancut(t, "list", "models")
	g.Expect(listed.code).To(Equal(exitValid))
	for _, m := range all {
		g.Expect(listed.out).To(ContainSubstring(m))
	}
}

func TestTheFormatIsGuessedByEndingOrFirstBytes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a.edn", `{"x":1}`, formatEDN}, {"a.jsonl", "{:a 1}", formatJSONL}, {"a.json", "", formatJSON},
		{"a", oneWrite, formatJSONL}, {"a", " [ {\"index\":0}]", formatJSON}, {"a", "[{:index 0}]", formatEDN}, {"a", "; x\n{:index 0}", formatEDN}, {"a", "", formatEDN},
	} {
		if got := guess(bufio.NewReader(strings.NewReader(c.text)), c.name); got != c.want {
			t.Errorf("%s with %q is taken for %s, want %s", c.name, c.text, got, c.want)
		}
	}
}

// repeated yields begin and then line, again and again, n bytes in all.
type repeated struct {
	begin string
	line  func(i int) string
	i     int
	left  int64
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.begin == "" {
		r.begin = r.line(r.i)
		r.i++
	}
	if r.left <= 0 {
		return 0, io.EOF
	}
	n := copy(p, r.begin)
	r.begin = r.begin[n:]
	r.left -= int64(n)
	return n, nil
}

// TestHostileHistoriesAreRefusedInBoundedMemory feeds a gigabyte each; what is
// held must stay within the memory allowed and some room.
func TestHostileHistoriesAreRefusedInBoundedMemory(t *testing.T) {
	const memory = 64 << 20
	long := strings.Repeat("x", 1<<16)
	operation := func(i int) string {
		return `{"index":` + itoa(i) + `,"time":0,"type":"` + []string{"invoke", "ok"}[i%2] + `","process":0,"f":"write","value":1}` + "\n"
	}
	for name, c := range map[string]struct {
		r    repeated
		file string
		want string
	}{
		"a line of a gigabyte in jsonl":  {repeated{begin: `{"index":0,"f":"`, line: func(int) string { return long }}, "a.jsonl", "longer than 1048576 bytes"},
		"a line of a gigabyte in edn":    {repeated{begin: `{:f "`, line: func(int) string { return long }}, "a.edn", "an operation of more than"},
		"a gigabyte of rubbish":          {repeated{line: func(int) string { return "\x93\x00\xff" + long }}, "a", "as edn"},
		"ten million operations, jsonl":  {repeated{line: operation}, "a.jsonl", "does not fit into the memory allowed"},
		"ten million operations, in edn": {repeated{line: func(int) string { return "{:process 0 :type :invoke :f :w}{:process 0 :type :ok :f :w}\n" }}, "a.edn", "does not fit into the memory allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			c.r.left = 1 << 30
			_, err := loadFrom(bufio.NewReader(&c.r), c.file, loadOptions{memory: memory})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if m.HeapAlloc > 3*memory {
				t.Fatalf("%d bytes held", m.HeapAlloc)
			}
		})
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func TestAnExportedHistoryIsJudgedAsTheOriginal(t *testing.T) {
	g := NewWithT(t)
	history := recorded + "/elle/list_append_test/strong-si-violation.edn"
	original := cleancut(t, "check", history, "--workload", "list-append")
	g.Expect(original.code).To(Equal(exitInvalid), original.err)
	for _, to := range []string{"edn", "jsonl"} {
		exported := cleancut(t, "export", history, "--to", to)
		g.Expect(exported.code).To(Equal(exitValid), exported.err)
		path := t.TempDir() + "/h." + to
		g.Expect(os.WriteFile(path, []byte(exported.out), 0o600)).To(Succeed())
		again := cleancut(t, "check", path, "--workload", "list-append")
		g.Expect(again.code).To(Equal(exitInvalid), again.err)
		g.Expect(firstReason(again.out)).To(Equal(firstReason(original.out)))
		back := cleancut(t, "export", path, "--to", "edn")
		g.Expect(back.out).To(Equal(cleancut(t, "export", history).out))
	}
	g.Expect(cleancut(t, "export", history, "--to", "xml").code).To(Equal(exitUsage))
	g.Expect(cleancut(t, "export", "nowhere").code).To(Equal(exitUsage))
}

// firstReason is the line that says why.
func firstReason(out string) string {
	_, rest, _ := strings.Cut(out, "because")
	line, _, _ := strings.Cut(rest, "\n")
	return line
}

// TestSetsAreMeasuredAsJepsenMeasuresThem compares figures that Jepsen's own
// tests expect.
func TestSetsAreMeasuredAsJepsenMeasuresThem(t *testing.T) {
	g := NewWithT(t)
	for name, want := range map[string]map[string]float64{
		"set-full-flutter":               {"lost": 1, "stale": 1, "stable_latency_p100_ms": 2, "lost_latency_p0_ms": 5},
		"set-full-write-present-missing": {"lost": 2, "lost_latency_p0_ms": 3, "lost_latency_p50_ms": 4, "lost_latency_p95_ms": 4, "lost_latency_p100_ms": 4},
		"set-full-present-1":             {"stable": 1, "stable_latency_p100_ms": 0},
		"set-full-absent-after":          {"lost": 1, "lost_latency_p100_ms": 0},
		"set-full-never-read":            {"never_read": 1},
	} {
		said := cleancut(t, "check", recorded+"/jepsen/checker_test/"+name+".edn", "--workload", "set-full", "--json")
		r := only(t, said.out)
		for measure, x := range want {
			g.Expect(r.Checkers[0].Measures).To(HaveKeyWithValue(measure, x), name)
		}
	}
}

func TestHistoriesAsEditorsLeaveThemAreRead(t *testing.T) {
	t.Chdir(t.TempDir())
	const inEDN = "{:type :invoke :process 0 :f :write :value 3}\n{:type :ok :process 0 :f :write :value 3}"
	for name, text := range map[string]string{
		"marked.jsonl": "\ufeff" + oneWrite, "marked.edn": "\ufeff" + inEDN, "marked": "\ufeff" + oneWrite,
		"windows.jsonl": strings.ReplaceAll(oneWrite, "\n", "\r\n"), "windows.edn": strings.ReplaceAll(inEDN, "\n", "\r\n"),
		"open.jsonl": strings.TrimSpace(oneWrite), "blank.jsonl": "\n" + strings.ReplaceAll(oneWrite, "\n", "\n\n"),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := cleancut(t, "check", name, "--workload", "register"); got.code != exitInconclusive || !strings.Contains(got.out, "1 operations: 1 ok") {
			t.Errorf("%s: exit code %d\n%s%s", name, got.code, got.out, got.err)
		}
	}
}

func TestWhatAHistoryMayMeanOtherwiseIsSaid(t *testing.T) {
	t.Chdir(t.TempDir())
	const late = "{:type :invoke :process 0 :f :write :value nil}{:type :ok :process 0 :f :write :value 5}" +
		"{:type :invoke :process 0 :f :read :value nil}{:type :ok :process 0 :f :read :value 5}"
	const tuples = "{:type :invoke :process 0 :f :write :value [1 1]}{:type :ok :process 0 :f :write :value [1 1]}" +
		"{:type :invoke :process 0 :f :read :value [2 nil]}{:type :ok :process 0 :f :read :value [2 nil]}"
	for _, c := range []struct {
		text, flags, says, not string
		code                   int
	}{
		{late, "", "VALID", "another argument", exitValid},
		{tuples, "", "--independent takes them apart", "", exitInvalid},
		{tuples, " --independent", "no answer could have told two states apart", "takes them apart", exitInconclusive},
		{strings.Replace(tuples, "[2 nil]}{", "nil}{", 1), "", "INVALID", "takes them apart", exitInvalid},
	} {
		if err := os.WriteFile("h.edn", []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := cleancut(t, strings.Fields("check h.edn --workload register"+c.flags)...)
		if got.code != c.code || !strings.Contains(got.out, c.says) || c.not != "" && strings.Contains(got.out, c.not) {
			t.Errorf("%s%s: exit code %d, want %d and %q, not %q\n%s%s", c.text, c.flags, got.code, c.code, c.says, c.not, got.out, got.err)
		}
	}
}
