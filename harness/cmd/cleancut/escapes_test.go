package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"

	. "github.com/onsi/gomega"
)

// evil moves the cursor, clears the screen, forges a line, and reverses the
// order of reading.
const evil = "x\x1b[2J\x1b]0;title\a\rVALID\u009b31m\u202ecod.exe\u2066\n  because  all is well"

// shown fails if a terminal would take anything of the text for a command.
func shown(t *testing.T, what, text string) {
	t.Helper()
	for i, r := range text {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) {
			t.Errorf("%s: %U reaches the reader: …%q", what, r, text[max(0, i-40):min(len(text), i+20)])
			return
		}
	}
}

func TestNothingThatAHistoryHoldsReachesTheTerminalRaw(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	quoted, err := json.Marshal(evil)
	g.Expect(err).NotTo(HaveOccurred())
	lines := `{"index":0,"time":1,"type":"invoke","process":0,"f":"write","key":KEY,"value":1}
{"index":1,"time":2,"type":"ok","process":0,"f":"write","key":KEY,"value":1}
{"index":2,"time":3,"type":"invoke","process":1,"f":"read","key":KEY,"value":null,"node":KEY}
{"index":3,"time":4,"type":"ok","process":1,"f":"read","key":KEY,"value":null,"node":KEY}
`
	g.Expect(os.WriteFile("h.jsonl", []byte(strings.ReplaceAll(lines, "KEY", string(quoted))), 0o600)).To(Succeed())
	got := cleancut(t, "check", "h.jsonl", "--workload", "register")
	g.Expect(got.code).To(Equal(exitInvalid), got.err)
	shown(t, "check", got.out+got.err)
	g.Expect(got.out).To(ContainSubstring(`\u001b[2J`))
	g.Expect("\n" + got.out).NotTo(ContainSubstring("\n  because  all is well"))

	asJSON := cleancut(t, "check", "h.jsonl", "--workload", "register", "--json")
	shown(t, "check --json", asJSON.out)
	g.Expect(only(t, asJSON.out).Checkers[0].Witness.Key).To(Equal(evil), "JSON keeps the value")

	edn := "{:type :invoke :process 0 :f :write :value [" + string(quoted) + " 1]}\n{:type :ok :process 0 :f :writ\x1b[31m :value 1}\n"
	g.Expect(os.WriteFile("h.edn", []byte(edn), 0o600)).To(Succeed())
	got = cleancut(t, "check", "h.edn", "--workload", "register", "--independent")
	shown(t, "check of EDN", got.out+got.err)
	shown(t, "an unknown name", cleancut(t, "run", evil).err)
	shown(t, "an unknown flag", cleancut(t, "run", "--"+evil).err)
	shown(t, "a plan", cleancut(t, "run", "--runtime", "sim", "--faults", "at 1s "+evil+"(one)").err)
}

func TestNothingThatANodeSaysReachesAReaderRaw(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	cleancut(t, "run", "replication/raft-quiet", "--runtime", "sim", "--seed", "1", "--time", "2s", "--faults", "none")
	run, err := filepath.EvalSymlinks("runs/latest")
	g.Expect(err).NotTo(HaveOccurred())
	logs, err := filepath.Glob(filepath.Join(run, "nodes", "n1", "*.log"))
	g.Expect(err).NotTo(HaveOccurred())
	if len(logs) == 0 {
		logs = []string{filepath.Join(run, "nodes", "n1", "log")}
	}
	g.Expect(os.WriteFile(logs[0], []byte("0.100 hello "+evil+"\xff\n"), 0o600)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(run, "findings.json"),
		[]byte(`[{"node":"n1","invariant":`+strconv.Quote("inv\tbad")+`,"text":"\u001b[2J\u202e"}]`), 0o600)).To(Succeed())
	for _, args := range [][]string{{"report", run}, {"check", run}, {"check", run, "--json"}} {
		got := cleancut(t, args...)
		shown(t, strings.Join(args, " "), got.out+got.err)
	}
	page, err := os.ReadFile(filepath.Join(run, "report.html"))
	g.Expect(err).NotTo(HaveOccurred())
	shown(t, "report.html", string(page))
	g.Expect(string(page)).To(ContainSubstring(`\u202ecod.exe`))
}
