package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/harness/rundir"
)

// recorded is where the histories of other tools are kept, with their
// verdicts in manifest.tsv.
const recorded = "../../history/edn/testdata"

// row is a line of the manifest.
type row struct{ path, model, expected, notes string }

func manifest(t *testing.T) (rows []row) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(recorded, "manifest.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
		w := strings.Split(line, "\t")
		rows = append(rows, row{w[0], w[1], w[2], w[len(w)-1]})
	}
	return rows
}

// difference is a row on which we say something else than the original.
type difference struct {
	path, model string // model is the beginning of the row's
	verdict     string
	types       string // the anomalies that we find, if it is them that differ
	why         string
}

// differences are all rows on which we differ from the original; README.md in
// the folder of the histories shows the same table.
var differences = []difference{
	{"knossos/cas-register/good/mongodb-v0-ack-rollback-.edn", "linearizable", "inconclusive", "",
		"the history holds acts of the nemesis alone: nothing was done, so nothing is proved"},
	{"knossos/cas-register/good/mongodb-v0-ack-rollback-9.edn", "linearizable", "inconclusive", "",
		"no operation was acknowledged: nothing is proved"},
	{"knossos/cas-register/good/mongodb-v0-ack-rollback-10.edn", "linearizable", "inconclusive", "",
		"no operation was acknowledged: nothing is proved"},
	{"knossos/cas-register/good/mongodb-v0-ack-rollback-11.edn", "linearizable", "inconclusive", "",
		"no operation was acknowledged: nothing is proved"},
	{"knossos/inline/crash.edn", "linearizable", "inconclusive", "",
		"no operation was acknowledged: nothing is proved"},
	{"jepsen/checker_test/queue-enqueue-pending.edn", "checker/queue", "inconclusive", "",
		"no operation was acknowledged: nothing is proved"},
	{"jepsen/checker_test/queue-definite-enqueue-only.edn", "checker/queue", "inconclusive", "",
		"nothing was dequeued: nothing is proved"},
	{"elle-cli/jepsen/bank-neg.edn", "bank", "inconclusive", "", "one snapshot, and no transfer: nothing is proved"},
	{"jepsen/checker_test/counter-initial-read.edn", "checker/counter", "inconclusive", "", "nothing was added: nothing is proved"},
	{"knossos/inline/sequential.edn", "linearizable", "inconclusive", "", "the first value was read, and nothing written: nothing is proved"},
	{"elle-cli/jepsen/counter.edn", "counter", "inconclusive", "", "the counter was never read: nothing is proved"},
	{"elle-cli/jepsen/counter.json", "counter", "inconclusive", "", "the counter was never read: nothing is proved"},
	{"elle/list_append_test/fn-internal-read-append-read.edn", "list-append; function", "inconclusive", "",
		"a test of one function of Elle's; as a history it appends the same value to a key twice, which makes reads ambiguous"},
	{"elle/list_append_test/fn-internal-append-read.edn", "list-append; function", "inconclusive", "",
		"a test of one function of Elle's; as a history it appends the same value to a key twice, which makes reads ambiguous"},
	{"elle/files/huge-scc.edn", "list-append", "invalid", "G-single-item-realtime",
		"Elle's search for cycles ends after a second, and reports what it has by then; ours finds the stronger anomaly. Verdict and weakest models agree"},
}

func differenceFor(r row) *difference {
	for i, d := range differences {
		if d.path == r.path && strings.HasPrefix(r.model, d.model) {
			return &differences[i]
		}
	}
	return nil
}

var (
	initialValue = regexp.MustCompile(`initial (\S+)$`)
	anomalyList  = regexp.MustCompile(`anomalies=\[([^\]]*)\]`)
	modelList    = regexp.MustCompile(`consistency-models=\[([^\]]*)\]`)
	orderMap     = regexp.MustCompile(`transaction-order=\{([^}]*)\}`)
	typeList     = regexp.MustCompile(`anomaly-types=\[([^\]]*)\]`)
	foundList    = regexp.MustCompile(`found ([^;]*);`)
)

// arguments says how a row is judged by `cleancut check`, or why it is not.
func arguments(r row) (args []string, unjudged string) {
	words := strings.TrimPrefix(strings.TrimPrefix(r.model, "checker/"), "linearizable ")
	kind, rest, _ := strings.Cut(words, " ")
	kind = strings.TrimRight(kind, ",;")
	elle := []string{"--overlapping", "--assume"}
	promises := "ignore-unwritten,unproven"
	for _, p := range []string{"wfr-keys", "sequential-keys", "linearizable-keys"} {
		if strings.Contains(rest, p) && !strings.Contains(rest, p+"=false") {
			promises += "," + p
		}
	}
	switch kind {
	case "cas-register", "register":
		initial := initialValue.FindStringSubmatch(r.model)[1]
		return []string{"--workload", kind, "--initial", initial, "--assume", "nil-is-unknown"}, ""
	case "mutex", "multi-register":
		initial := "nil"
		if kind == "multi-register" {
			initial = "0"
		}
		return []string{"--workload", kind, "--initial", initial}, ""
	case "queue":
		return []string{"--workload", "unordered-queue"}, ""
	case "set":
		return []string{"--workload", "set", "--model", "eventual"}, ""
	case "pn-counter":
		return []string{"--workload", "counter", "--model", "eventual"}, ""
	case "closed-predicate", "set-full", "total-queue", "unique-ids", "counter", "bank", "long-fork", "causal-reverse", "stats":
		return []string{"--workload", kind}, ""
	case "list-append", "rw-register":
	default:
		return nil, "there is no workload " + kind
	}
	args = append([]string{"--workload", kind}, elle...)
	if kind == "list-append" {
		promises = "unproven"
	}
	args = append(args, promises)
	if m := orderMap.FindStringSubmatch(rest); m != nil {
		args = append(args, "--transaction-order", transactionOrder(m[1], r.notes))
	}
	switch {
	case strings.Contains(rest, "function "):
		name := strings.TrimSuffix(rest[strings.Index(rest, "function ")+9:], "-cases")
		return append(args, "--anomalies", map[string]string{"internal": "internal", "g1a": "G1a", "g1b": "G1b"}[name]), ""
	case anomalyList.MatchString(rest):
		return append(args, "--anomalies", anomalyList.FindStringSubmatch(rest)[1]), ""
	case modelList.MatchString(rest):
		return append(args, "--model", strings.ReplaceAll(modelList.FindStringSubmatch(rest)[1], " ", ",")), ""
	}
	model := "strict-serializable"
	if strings.Contains(rest, "--consistency-models serializable") {
		model = "serializable"
	}
	return append(args, "--model", model), ""
}

// transactionOrder turns Elle's map into ours. The completions of a history of
// completions only come after as many invocations.
func transactionOrder(clojure, notes string) string {
	var entries []string
	list := strings.Split(clojure, ", ")
	for _, e := range list {
		var id, at int
		if _, err := fmt.Sscanf(e, "%d %d", &id, &at); err != nil {
			panic(err)
		}
		if strings.HasPrefix(notes, "completion-only") {
			id += len(list)
		}
		entries = append(entries, fmt.Sprintf("%d:%d", id, at))
	}
	return strings.Join(entries, ",")
}

// verdictOf is the expected verdict of a row.
func verdictOf(r row) string {
	switch e := r.expected; {
	case strings.HasPrefix(e, "invalid"):
		return "invalid"
	case e == "none":
		return "none"
	case strings.HasPrefix(e, "valid"):
		return "valid"
	case strings.HasPrefix(e, "unknown"):
		return "inconclusive"
	case strings.Contains(e, " case"):
		return "invalid"
	}
	return "?"
}

// typesOf are the expected anomalies, without those that are no anomalies of
// the history but remarks of Elle's.
func typesOf(r row) []string {
	m := typeList.FindStringSubmatch(r.expected)
	if m == nil {
		return nil
	}
	types := slices.DeleteFunc(strings.Fields(m[1]), func(s string) bool {
		return s == "empty-transaction-graph" || s == "cycle-search-timeout" || strings.HasSuffix(s, "-exists")
	})
	slices.Sort(types)
	return types
}

func TestRecordedHistoriesOfOtherToolsAreJudgedAsTheyAreThere(t *testing.T) {
	judged, unjudged, differ := 0, map[string]int{}, 0
	for _, r := range manifest(t) {
		path := filepath.Join(recorded, r.path)
		if _, err := os.Stat(path); err != nil {
			path += ".gz"
		}
		args, why := arguments(r)
		if why != "" {
			unjudged[why]++
			continue
		}
		judged++
		got, types := judgeRow(t, path, args)
		name := fmt.Sprintf("%s, %s: cleancut check %s %s", r.path, r.model, path, strings.Join(args, " "))
		if d := differenceFor(r); d != nil {
			differ++
			if got != d.verdict || d.types != "" && strings.Join(types, " ") != d.types {
				t.Errorf("%s\n  we say %s %v; the table of differences says %s %s", name, got, types, d.verdict, d.types)
			}
			continue
		}
		want, wantTypes := verdictOf(r), typesOf(r)
		switch {
		case want == "none": // of one kind: that the history is fit to judge was not asked
			if got == "invalid" {
				t.Errorf("%s\n  we found %v; the original found none", name, types)
			}
		case got != want:
			t.Errorf("%s\n  we say %s %v; the original says %s", name, got, types, r.expected)
		case strings.HasPrefix(r.model, "closed-predicate"): // anomalies are not named there
		case wantTypes != nil && got == "invalid" && !slices.Equal(types, wantTypes):
			t.Errorf("%s\n  we found %v; the original found %v", name, types, wantTypes)
		}
	}
	t.Logf("%d rows judged, %d of them otherwise than in the original", judged, differ)
	for why, n := range unjudged {
		t.Logf("%d rows not judged: %s", n, why)
	}
}

// judgeRow runs the command and returns its verdict and the anomalies found.
func judgeRow(t *testing.T, path string, args []string) (string, []string) {
	t.Helper()
	said := cleancut(t, append([]string{"check", path, "--json"}, args...)...)
	var all printed
	if err := json.Unmarshal([]byte(said.out), &all); err != nil || len(all.Results) != 1 {
		return fmt.Sprintf("exit %d: %s", said.code, said.err), nil
	}
	result := all.Results[0]
	if want := map[rundir.Outcome]int{rundir.Valid: 0, rundir.Invalid: 1, rundir.Inconclusive: 2}[result.Verdict]; said.code != want {
		t.Errorf("%s %v: exit code %d with the verdict %s", path, args, said.code, result.Verdict)
	}
	var types []string
	if m := foundList.FindStringSubmatch(result.Reasons[0]); m != nil {
		for _, word := range strings.Split(m[1], ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(word), " ")
			types = append(types, name)
		}
	}
	slices.Sort(types)
	return string(result.Verdict), types
}
