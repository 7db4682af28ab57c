package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers/linear"
)

// The register held 1; a write of 2 was open when all nodes were killed; reads
// after that found 1, and then 2.
const lateEDN = `{:type :invoke :process 0 :f :write :value 1}
{:type :ok :process 0 :f :write :value 1}
{:type :invoke :process 1 :f :write :value 2}
{:type :info :process :nemesis :f :kill :value :all}
{:type :info :process :nemesis :f :kill :value :all}
{:type :info :process 1 :f :write :value 2 :error :timeout}
{:type :info :process :nemesis :f :start :value :all}
{:type :info :process :nemesis :f :start :value :all}
{:type :invoke :process 0 :f :read :value nil}
{:type :ok :process 0 :f :read :value 1}
{:type :invoke :process 0 :f :read :value nil}
{:type :ok :process 0 :f :read :value 2}
`

const lateJSONL = `{"index":0,"time":1,"type":"invoke","process":0,"f":"write","value":1,"node":"n1"}
{"index":1,"time":2,"type":"ok","process":0,"f":"write","value":1,"node":"n1"}
{"index":2,"time":3,"type":"invoke","process":1,"f":"write","value":2,"node":"n1"}
{"index":3,"time":4,"type":"fault-start","process":-1,"f":"power-loss(all)","nodes":["n1","n2"]}
{"index":4,"time":5,"type":"info","process":1,"f":"write","value":2,"node":"n1","error":"timeout"}
{"index":5,"time":6,"type":"fault-end","process":-1,"f":"power-loss(all)","nodes":["n1","n2"]}
{"index":6,"time":7,"type":"invoke","process":0,"f":"read","value":null,"node":"n2"}
{"index":7,"time":8,"type":"ok","process":0,"f":"read","value":1,"node":"n2"}
{"index":8,"time":9,"type":"invoke","process":0,"f":"read","value":null,"node":"n2"}
{"index":9,"time":10,"type":"ok","process":0,"f":"read","value":2,"node":"n2"}
`

func TestModelsOfCrashesAndLogsAreJudgedFromBothFormats(t *testing.T) {
	t.Chdir(t.TempDir())
	files := map[string]string{
		"late.edn": lateEDN, "late.jsonl": lateJSONL,
		"calm.edn":   strings.ReplaceAll(lateEDN, ":kill", ":partition"),
		"calm.jsonl": strings.ReplaceAll(lateJSONL, "power-loss", "partition"),
		"lost.edn":   strings.NewReplacer(":f :read :value 1", ":f :read :value nil", ":f :read :value 2", ":f :read :value nil").Replace(lateEDN),
		"lost.jsonl": strings.NewReplacer(`"f":"read","value":1`, `"f":"read","value":null`, `"f":"read","value":2`, `"f":"read","value":null`).Replace(lateJSONL),
		"half.edn":   strings.ReplaceAll(lateEDN, ":f :read :value 1", ":f :read :value nil"),
		"half.jsonl": strings.ReplaceAll(lateJSONL, `"f":"read","value":1`, `"f":"read","value":null`),
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		file, model string
		code        int
		says        string
	}{
		{"late", "linearizable", exitValid, "the only key can be linearized (4 operations)"},
		{"late", "strict-linearizable", exitInvalid, "was open at a crash: it took effect by"},
		{"late", "durable-linearizable", exitValid, "with 1 crash fault"},
		{"late", "buffered-durable-linearizable", exitValid, "each of 2 eras"},
		{"calm", "strict-linearizable", exitInconclusive, "nothing crashed, and without a crash strict-linearizable is linearizable"},
		{"calm", "persistent-atomic", exitInconclusive, "nothing crashed"},
		{"calm", "recoverable-linearizable", exitInconclusive, "nothing crashed"},
		{"calm", "durable-linearizable", exitValid, "with 0 crash faults"},
		{"calm", "buffered-durable-linearizable", exitInconclusive, "the whole system never crashed"},
		{"lost", "durable-linearizable", exitInvalid, "cannot be linearized"},
		{"lost", "durable", exitInvalid, "1 of 1 acknowledged operation lost"},
		{"late", "durable", exitValid, "1 fault cost at most 0 acknowledged operations each"},
		{"lost", "buffered-durable-linearizable", exitValid, "1 acknowledged operation need not have survived"},
		{"half", "buffered-durable-linearizable", exitInvalid, "from what must have survived"}, // 2 was written after 1, and survived
	} {
		for _, format := range []string{"edn", "jsonl"} {
			got := cleancut(t, "check", c.file+"."+format, "--workload", "register", "--model", c.model)
			if got.code != c.code || !strings.Contains(got.out, c.says) {
				t.Errorf("%s.%s as %s: exit code %d, want %d and %q\n%s%s", c.file, format, c.model, got.code, c.code, c.says, got.out, got.err)
			}
		}
	}
	// Nodes are known in one of them only: persistent and recoverable need them.
	for _, model := range []string{"persistent-atomic", "recoverable-linearizable"} {
		if got := cleancut(t, "check", "late.jsonl", "--workload", "register", "--model", model); got.code != exitValid {
			t.Errorf("%s: n1 invoked nothing after the crash: %s", model, got.out)
		}
		if got := cleancut(t, "check", "late.edn", "--workload", "register", "--model", model); got.code != exitInconclusive || !strings.Contains(got.out, "name no nodes") {
			t.Errorf("%s: nodes are unknown: %s", model, got.out)
		}
	}
	const offsets = `{"index":0,"time":1,"type":"invoke","process":0,"f":"send","value":7}
{"index":1,"time":2,"type":"ok","process":0,"f":"send","value":[0,7]}
{"index":2,"time":3,"type":"invoke","process":0,"f":"poll","value":0}
{"index":3,"time":4,"type":"ok","process":0,"f":"poll","value":[[0,7]]}
`
	const kafka = `{:type :invoke :process 0 :f :send :value [[:send 1 7]]}
{:type :ok :process 0 :f :send :value [[:send 1 [0 7]]]}
{:type :invoke :process 0 :f :poll :value [[:poll]]}
{:type :ok :process 0 :f :poll :value [[:poll {1 [[0 7]]}]]}
`
	for name, text := range map[string]string{
		"log.jsonl": offsets, "log.edn": kafka,
		"moved.jsonl": strings.Replace(offsets, "[[0,7]]", "[[1,7]]", 1), "moved.edn": strings.Replace(kafka, "[[0 7]]", "[[1 7]]", 1),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want, says := exitValid, "ordered groups"
		if strings.HasPrefix(name, "moved") {
			want, says = exitInvalid, "it was sent once"
		}
		if got := cleancut(t, "check", name, "--workload", "log", "--json"); got.code != want || !strings.Contains(got.out, says) {
			t.Errorf("%s: %d, want %d and %q: %s%s", name, got.code, want, says, got.out, got.err)
		}
	}
	if got := cleancut(t, "check", "late.edn", "--workload", "queue", "--model", "buffered-durable-linearizable"); got.code != exitInconclusive || !strings.Contains(got.out, "cannot be decided for the workload queue") {
		t.Errorf("buffered queue: %d %s %s", got.code, got.out, got.err)
	}
	listed := cleancut(t, "list", "models").out
	for _, m := range linear.Models() {
		if !strings.Contains(listed, fmt.Sprintf("%s ", m)) {
			t.Errorf("list models does not name %s", m)
		}
	}
}
