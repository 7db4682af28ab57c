package txn

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// ordinary turns what readEvents found into a value.
func ordinary(v any) history.Value {
	switch x := v.(type) {
	case nil:
		return history.Nil
	case string:
		return history.String(x)
	case []any:
		list := make([]history.Value, len(x))
		for i := range x {
			list[i] = ordinary(x[i])
		}
		return history.List(list...)
	}
	return history.Int(integer(v))
}

// load reads a history of the test data. A completion belongs to the oldest
// open invocation of its process that has as many micro-operations; one
// without invocation was invoked before everything.
func load(t testing.TB, file string, w Workload) *History {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(file, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if raw, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	events := readEvents(string(raw), strings.HasSuffix(file, ".json"))
	var ops []history.Operation
	open := map[int][]int{}
	for _, e := range events {
		if e["process"] == "nemesis" {
			continue
		}
		process, index, value := int(integer(e["process"])), integer(e["index"]), ordinary(e["value"])
		if e["type"] == "invoke" {
			open[process] = append(open[process], len(ops))
			ops = append(ops, history.Operation{Process: process, F: "txn", Input: value, Outcome: history.Info, Call: index, Return: -1, Completed: history.Never})
			continue
		}
		i := slices.IndexFunc(open[process], func(i int) bool {
			a, _ := ops[i].Input.AsList()
			b, _ := value.AsList()
			return len(a) == len(b) && (len(open[process]) == 1 || same(a, b))
		})
		at := len(ops)
		if i >= 0 {
			at = open[process][i]
			open[process] = slices.Delete(open[process], i, i+1)
		} else {
			ops = append(ops, history.Operation{Process: process, F: "txn", Input: value, Call: -1})
		}
		o := &ops[at]
		o.Return = index
		switch e["type"] {
		case "ok":
			o.Outcome, o.Output = history.OK, value
		case "fail":
			o.Outcome = history.Fail
		default:
			o.Outcome = history.Info
		}
	}
	h, err := FromOperations(w, ops)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// same reports whether two lists of micro-operations differ in nothing but
// the results of reads.
func same(a, b []history.Value) bool {
	return slices.EqualFunc(a, b, func(x, y history.Value) bool {
		p, _ := x.AsList()
		q, _ := y.AsList()
		f, _ := p[0].AsString()
		return p[0].Equal(q[0]) && p[1].Equal(q[1]) && (f == "r" || p[2].Equal(q[2]))
	})
}

// row is what the authors of a history expect.
type row struct {
	file, verdict string
	o             Options
	types, not    []string
}

func (r *row) String() string {
	return fmt.Sprintf("%s models %v anomalies %v wfr %v", r.file, r.o.Models, r.o.Anomalies, r.o.WFRKeys)
}

func rows(t *testing.T) []row {
	f, err := os.Open("testdata/manifest.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []row
	scan := bufio.NewScanner(f)
	for first := true; scan.Scan(); first = false {
		c := strings.Split(scan.Text(), "\t")
		if first || strings.HasPrefix(c[4], "function=") {
			continue // TestUnitHistoriesOfElle has them
		}
		r := row{file: c[0], verdict: c[5], types: strings.Fields(c[6]), not: strings.Fields(c[7])}
		if c[1] == "rw-register" {
			r.o.Workload = RWRegister
		}
		for _, name := range strings.Fields(c[2]) {
			m, err := ParseModel(name)
			if err != nil {
				t.Fatal(err)
			}
			r.o.Models = append(r.o.Models, m)
		}
		for _, a := range strings.Fields(c[3]) {
			r.o.Anomalies = append(r.o.Anomalies, Anomaly(a))
		}
		for _, option := range strings.Fields(c[4]) {
			name, value, _ := strings.Cut(option, "=")
			switch name {
			case "wfr-keys":
				r.o.WFRKeys = true
			case "sequential-keys":
				r.o.SequentialKeys = true
			case "linearizable-keys":
				r.o.LinearizableKeys = true
			case "transaction-order":
				r.o.TransactionOrder = map[int64]int64{}
				for _, p := range strings.Split(value, ",") {
					id, order, _ := strings.Cut(p, ":")
					a, _ := strconv.ParseInt(id, 10, 64)
					b, _ := strconv.ParseInt(order, 10, 64)
					r.o.TransactionOrder[a] = b
				}
			}
		}
		list = append(list, r)
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

func words[T ~string](list []T) []string {
	s := make([]string, len(list))
	for i := range list {
		s[i] = string(list[i])
	}
	slices.Sort(s)
	return s
}

func TestVerdictsAnomaliesAndModelsAreThoseOfElle(t *testing.T) {
	for _, r := range rows(t) {
		t.Run(r.String(), func(t *testing.T) {
			r.o.Unwritten, r.o.Unproven = UnwrittenIsIgnored, true // as Elle does
			start := time.Now()
			a := Analyze(context.Background(), load(t, r.file, r.o.Workload), r.o)
			if string(a.Verdict) != r.verdict {
				t.Errorf("%s (%s), expected %s", a.Verdict, a.Reason, r.verdict)
			}
			slices.Sort(r.types)
			slices.Sort(r.not)
			if len(r.not) > 0 && !slices.Equal(words(a.Not), r.not) {
				t.Errorf("refuted are %v, expected %v", a.Not, r.not)
			}
			if strings.Contains(r.file, "huge-scc") {
				t.Logf("%s: %v", time.Since(start), a.Types)
				return // what Elle finds depends on how long it searches
			}
			if len(r.types) > 0 && !slices.Equal(words(a.Types), r.types) {
				t.Errorf("found %v, expected %v", a.Types, r.types)
			}
		})
	}
}

// differences are the rows where the strict reading of registers, which is
// the default, differs from Elle's, and why.
var differences = map[string]struct {
	verdict checkers.Validity
	types   string
	why     string
}{
	"elle/rw_register_test/garbage-read-not-detected.edn":      {checkers.Invalid, "garbage-read", "2 was read, and nobody wrote it; Elle's own test calls its verdict a bug"},
	"elle-cli/elle/rw-register.edn":                            {checkers.Invalid, "garbage-read", "3 was read, and nobody wrote it: the same gap"},
	"elle-cli/elle/rw-register.json":                           {checkers.Invalid, "garbage-read", "3 was read, and nobody wrote it: the same gap"},
	"elle/rw_register_test/read-own-write-cyclic-versions.edn": {checkers.Invalid, "cyclic-versions garbage-read", "2 was read, and nobody wrote it"},
	"elle/rw_register_test/G2-item.edn":                        {checkers.Invalid, "garbage-read", "x and y were read as 1, which nobody wrote; give 1 as the initial value for Elle's verdict"},
	"elle/rw_register_test/lost-update.edn":                    {checkers.Invalid, "garbage-read lost-update", "x was read as 0, which nobody wrote; give 0 as the initial value"},
	"elle/rw_register_test/scc-sort-bug.edn":                   {checkers.Invalid, "cyclic-versions garbage-read", "x was read as 1, which nobody wrote; that refutes every model, so that no cycle of real time is sought"},
	"elle/rw_register_test/wfr.edn":                            {checkers.Invalid, "garbage-read", "y was read as 1, which nobody wrote, and the second transaction read it after it was overwritten"},
	"elle/rw_register_test/wfr.paired.edn":                     {checkers.Invalid, "garbage-read", "the same"},
	"elle/rw_register_test/internal.edn":                       {checkers.Invalid, "empty-transaction-graph internal", "1 and 2 were read, and nobody wrote them; only internal is asked for"},
}

func TestStrictReadingDiffersFromElleOnlyWhereNobodyWroteWhatWasRead(t *testing.T) {
	for _, r := range rows(t) {
		if strings.Contains(r.file, "huge-scc") {
			continue
		}
		t.Run(r.String(), func(t *testing.T) {
			a := Analyze(context.Background(), load(t, r.file, r.o.Workload), r.o)
			verdict, types := checkers.Validity(r.verdict), r.types
			if d, ok := differences[r.file]; ok {
				verdict, types = d.verdict, strings.Fields(d.types)
				if r.o.WFRKeys && strings.Contains(r.file, "wfr.") {
					types = append(types, "G-single-item")
				}
			}
			slices.Sort(types)
			if a.Verdict != verdict || len(types) > 0 && !slices.Equal(words(a.Types), types) {
				t.Errorf("%s %v (%s), expected %s %v", a.Verdict, a.Types, a.Reason, verdict, types)
			}
		})
	}
}

func TestUnitHistoriesOfElle(t *testing.T) {
	for _, c := range []struct {
		file  string
		kind  Anomaly
		cases int
		apart bool // its transactions are histories of their own
	}{
		{"fn-g1a-cases", G1a, 2, false},
		{"fn-g1b-cases", G1b, 1, false},
		{"fn-g1b-internal-reads-ok", G1b, 0, false},
		{"fn-internal-good", Internal, 0, true},
		{"fn-internal-read-append-read", Internal, 4, true},
		{"fn-internal-append-read", Internal, 2, true},
		{"fn-internal-faunadb", Internal, 1, true},
	} {
		t.Run(c.file, func(t *testing.T) {
			h := load(t, "elle/list_append_test/"+c.file+".edn", ListAppend)
			parts := []*History{h}
			if c.apart {
				parts = nil
				for _, txn := range h.Txns {
					parts = append(parts, &History{Txns: []Txn{txn}, Keys: h.Keys})
				}
			}
			n := 0
			for _, p := range parts {
				n += Analyze(context.Background(), p, Options{Anomalies: []Anomaly{c.kind}}).Count[c.kind]
			}
			if n != c.cases {
				t.Errorf("%d cases, expected %d", n, c.cases)
			}
		})
	}
}
