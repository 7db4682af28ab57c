package edn

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

func read(t *testing.T, text string, o Options) ([]history.Event, Summary) {
	t.Helper()
	events, sum, err := Read(strings.NewReader(text), o)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return events, sum
}

// value reads one value, as the value of an operation.
func value(t *testing.T, text string) history.Value {
	t.Helper()
	events, _ := read(t, "{:type :invoke :f :x :process 0 :value "+text+"}", Options{})
	return events[0].Value
}

func TestEveryFormOfEDNIsRead(t *testing.T) {
	i, k, s, l := history.Int, history.Keyword, history.String, history.List
	float := func(x float64) history.Value { v, _ := history.Float(x); return v }
	mapping := func(pairs ...history.Pair) history.Value { v, _ := history.Map(pairs...); return v }
	for text, want := range map[string]history.Value{
		"nil": history.Nil, "true": history.Bool(true), "false": history.Bool(false),
		"12": i(12), "-3": i(-3), "+4": i(4), "7N": i(7), "0x1F": i(31),
		"1.5": float(1.5), "1e3": float(1000), "2M": float(2), "-1/4": float(-0.25),
		":a": k("a"), ":a/b": k("a/b"), ":can't-join": k("can't-join"), "sym": s("sym"), "-": s("-"),
		`"a\n\"\\\u00e9\ud83d\ude00\101"`: s("a\n\"\\é😀A"), `"\ud83d"`: s("\ufffd"),
		`\a`: s("a"), `\newline`: s("\n"), `\u0041`: s("A"), `\(`: s("("),
		"[1 2,3]": l(i(1), i(2), i(3)), "(1 [])": l(i(1), l()), "#{2 1}": history.Set(i(1), i(2)),
		"{:a 1, 2 {}}":               mapping(history.Pair{Key: k("a"), Value: i(1)}, history.Pair{Key: i(2), Value: mapping()}),
		"[1 #_ 2 #_#_ 3 4 5]":        l(i(1), i(5)),
		"[1 ; two ]\n 3]":            l(i(1), i(3)),
		`#inst "2026-01-01"`:         s("2026-01-01"),
		"#:a{:b 1 :c/d 2}":           mapping(history.Pair{Key: k("a/b"), Value: i(1)}, history.Pair{Key: k("c/d"), Value: i(2)}),
		"#object[a.b$c 0x4b {:x 1}]": l(s("a.b$c"), i(0x4b), mapping(history.Pair{Key: k("x"), Value: i(1)})),
		`#"a\d+\""`:                  s(`a\d+\"`),
		"^{:m 1} [2]":                l(i(2)),
		"^:m [2]":                    l(i(2)),
	} {
		if got := value(t, text); !got.Equal(want) {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

const well = `{:index 0, :time 5, :type :invoke, :process 1, :f :write, :value 3}
{:index 1, :time 6, :type :ok, :process 1, :f :write, :value 3}
`

func TestMalformedTextIsRefusedWithLineAndField(t *testing.T) {
	read(t, well, Options{})
	for _, c := range []struct{ old, new, want string }{
		{":time 6", ":time -6", "line 2: time: -6 is negative"},
		{":time 6", ":time 6.5", "line 2: time: expected an integer, found 6.5"},
		{":time 6", ":time 99999999999999999999", "line 2: 99999999999999999999 does not fit into 64 bits"},
		{":index 1", ":index 0", "line 2: index: 0 follows 0; indices must rise"},
		{":index 1,", "", "line 2: index: some operations have one and some have not"},
		{":type :ok", ":type :okay", "line 2: type: :okay is not one of :invoke, :ok, :fail, :info"},
		{":type :ok,", "", "line 2: type: missing"},
		{":type :ok", `:type :ok, "type" :fail`, "line 2: type: given twice"},
		{":type :ok", ":type :ok, :type :fail", "line 2: a map has a key twice"},
		{":process 1, :f :write, :value 3}\n{", ":process 1, :f :write, :value 3}\n[", `line 2: '}' or "]"`},
		{":type :ok, :process 1", ":type :ok, :process 2", "line 2: process: 2 completes write, but has no such operation open"},
		{":type :ok, :process 1", ":type :ok, :process -1", "line 2: process: -1 is negative"},
		{":type :ok, :process 1", ":type :ok, :process 1.5", "line 2: process: expected a number or :nemesis, found 1.5"},
		{":type :ok, :process 1", ":type :ok, :process :p1", "line 2: process: expected a number or :nemesis, found :p1"},
		{":time 6", ":time 9223372036854775807", "line 2: time: 9223372036854775807 stands for never; expected less"},
		{":index 1", ":index 9223372036854775807", "line 2: index: 9223372036854775807 stands for never; expected less"},
		{":value 3}\n", ":value 010}\n", `line 1: "010" is not a number; expected one without a plus or a leading zero`},
		{":type :ok, :process 1, :f :write", ":type :ok, :process 1, :f :read", "line 2: f: process 1 completes read, but what it has open is write"},
		{":type :ok", ":type :invoke", "line 2: process: 1 invokes write while its write is open"},
		{"3}\n{:index 1", "3}\n3 {:index 1", "line 2: expected an operation, a map or a row [process type f value], found [3 {:f :write :index 1 :process 1 :time …"},
		{":f :write, :value 3}\n{:index 1", ":f 3, :value 3}\n{:index 1", "line 1: f: expected a keyword, found 3"},
		{":value 3}\n", ":value}\n", "line 1: the key :value of a map has no value"},
		{":value 3}\n", ":value ##NaN}\n", "line 1: ## begins an infinite or undefined number, which a history cannot hold"},
		{":value 3}\n", ":value 3x}\n", `line 1: "3x" is not a number that a history can hold`},
		{":value 3}\n", ":value #:a[1]}\n", "line 1: #:a before [1]; expected a name space before a map"},
		{":value 3}\n", ":value #::{:a 1}}\n", "line 1: #:: before {:a 1}; expected a name space before a map"},
		{":value 3}\n", ":value #{1 1}}\n", "line 1: a set has an element twice"},
		{":value 3}\n", `:value "\q"}`, `line 1: \q in a string is no escape`},
		{":value 3}\n", ":value \"\xff\"}", `line 1: the string "\xff" is not UTF-8`},
		{":value 3}\n", ":value [(])]}", `line 1: unexpected ']'; expected ')'`},
		{":value 3}\n", ":value [#_]}", `line 1: unexpected ']'; expected a value`},
		{":value 3}\n", ":value " + strings.Repeat("[", 99), "line 1: collections nested deeper than 64"},
		{":value 3}\n", ":value \x00}", `line 1: unexpected byte '\x00'`},
		{":value 3}\n", ":value " + strings.Repeat("9", 500) + "}", "line 1: a number of 500 digits"},
	} {
		text := strings.Replace(well, c.old, c.new, 1)
		_, _, err := Read(strings.NewReader(text), Options{})
		want := c.want
		if c.new == ":process 1, :f :write, :value 3}\n[" {
			want = "line 2: unexpected '}'; expected ']'"
		}
		var located *history.SyntaxError
		if err == nil || err.Error() != want || !errors.As(err, &located) {
			t.Errorf("%s → %.40s\n got %v\nwant %s", c.old, c.new, err, want)
		}
	}
	for text, want := range map[string]string{
		"[" + well:        "unexpected end of the text",
		"[" + well + "]3": `'3' after the end of the history`,
		well + "{:type":   "has no value",
		well[:40]:         "unexpected end of the text",
	} {
		if _, _, err := Read(strings.NewReader(text), Options{}); err == nil {
			t.Errorf("%q was accepted, want %q", text, want)
		}
	}
}

func TestJSONIsReadAsTheSameHistory(t *testing.T) {
	want, _ := read(t, `{:index 0 :time 1 :type :invoke :process 1 :f :txn :value [["append" "x" 1] ["r" "y" nil]]}
{:index 1 :time 2 :type :ok :process 1 :f :txn :value [["append" "x" 1] ["r" "y" [1.5 {"a" true}]]] :error "x\"y"}`, Options{})
	lines := []string{
		`{"index":0,"time":1,"type":"invoke","process":1,"f":"txn","value":[["append","x",1],["r","y",null]]}`,
		`{"index":1,"time":2,"type":"ok","process":1,"f":"txn","value":[["append","x",1],["r","y",[1.5,{"a":true}]]],"error":"x\"y","extra":{}}`,
	}
	for _, text := range []string{lines[0] + "\n" + lines[1], "[" + lines[0] + ",\n" + lines[1] + "]\n"} {
		if got, _ := read(t, text, Options{JSON: true}); !slices.EqualFunc(got, want, sameEvent) {
			t.Errorf("%s\n got %+v\nwant %+v", text, got, want)
		}
	}
	for text, want := range map[string]string{
		`{"a" 1}`: "expected : after the key", `{1:2}`: "expected a string", `{"a":nil}`: `unexpected "nil"`, `[{"type":"invoke","f":"x"} ; no`: "expected , or ], found ';'",
	} {
		if _, _, err := Read(strings.NewReader(text), Options{JSON: true}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestWhatOtherToolsLeaveOpenIsSettled(t *testing.T) {
	type brief struct {
		kind    history.EventKind
		process int
		f, key  string
		value   history.Value
	}
	for name, c := range map[string]struct {
		text string
		o    Options
		want []brief
		sum  Summary
	}{
		"tagged records in a vector, without index, time and completion": {
			"[#jepsen.history.Op{:type :invoke :process 3 :f :read :value nil}]", Options{},
			[]brief{{history.Invoke, 3, "read", "", history.Nil}}, Summary{Untimed: true},
		},
		"a process that goes on after info": {
			"{:type :invoke :process 1 :f :w :time 1} {:type :info :process 1 :f :w :time 2} {:type :invoke :process 1 :f :r :time 3} {:type :ok :process 1 :f :r :value 5 :time 4}",
			Options{}, []brief{{history.Invoke, 1, "w", "", history.Nil}, {history.Info, 1, "w", "", history.Nil}, {history.Invoke, 2, "r", "", history.Nil}, {history.OK, 2, "r", "", history.Int(5)}},
			Summary{Renumbered: 1},
		},
		"times that go backwards": {
			"{:type :invoke :process 1 :f :w :time 5} {:type :ok :process 1 :f :w :time 2}", Options{},
			[]brief{{history.Invoke, 1, "w", "", history.Nil}, {history.OK, 1, "w", "", history.Nil}}, Summary{Raised: 1, Backwards: "line 1 has the time 2, and follows one with 5"},
		},
		"completions only, one of them final": {
			"{:type :ok :f :read :value 5 :final? true} {:type :info :f :add :value 2} {:type :ok :f :add :value 3}", Options{},
			[]brief{
				{history.Invoke, 1, "add", "", history.Int(2)}, {history.Invoke, 2, "add", "", history.Int(3)},
				{history.Info, 1, "add", "", history.Int(2)}, {history.OK, 2, "add", "", history.Int(3)},
				{history.Invoke, 0, "read", "", history.Int(5)}, {history.OK, 0, "read", "", history.Int(5)},
			}, Summary{CompletionsOnly: true, Untimed: true},
		},
		"independent keys": {
			"{:type :invoke :process 0 :f :read :value [:x nil] :time 0} {:type :ok :process 0 :f :read :value [:x 4] :time 0}", Options{Independent: true},
			[]brief{{history.Invoke, 0, "read", "x", history.Nil}, {history.OK, 0, "read", "x", history.Int(4)}}, Summary{},
		},
		"operations of one process that overlap": {
			"{:type :invoke :process 0 :f :txn :value [[:r :x nil]]} {:type :invoke :process 0 :f :txn :value [[:w :x 1]]} {:type :ok :process 0 :f :txn :value [[:w :x 1]]} {:type :ok :process 0 :f :txn :value [[:r :x 1]]}",
			Options{Overlapping: true},
			[]brief{
				{history.Invoke, 0, "txn", "", mop("r", history.Nil)}, {history.Invoke, 1, "txn", "", mop("w", history.Int(1))},
				{history.OK, 1, "txn", "", mop("w", history.Int(1))}, {history.OK, 0, "txn", "", mop("r", history.Int(1))},
			}, Summary{Renumbered: 1, Untimed: true},
		},
		"the nemesis": {
			"{:type :info :process :nemesis :f :start-partition :value nil} {:type :info :process :nemesis :f :start-partition :value [:n1 :n2]} {:type :info :process :nemesis :f :heal} {:type :info :process :nemesis :f :heal :value :ok}",
			Options{}, []brief{{history.FaultStart, -1, "start-partition", "", history.Nil}, {history.FaultEnd, -1, "heal", "", history.Nil}}, Summary{Untimed: true, Begun: map[int64]time.Duration{0: 0, 1: 1}},
		},
		"a nemesis that took its time, and whom it hit": {
			"{:time 1 :type :info :process :nemesis :f :kill :value :all} {:time 2 :type :invoke :process 0 :f :x} {:time 3 :type :info :process :nemesis :f :kill :value {\"n2\" :killed \"n1\" :killed}}",
			Options{}, []brief{{history.Invoke, 0, "x", "", history.Nil}, {history.FaultStart, -1, "kill", "", history.Nil}}, Summary{Begun: map[int64]time.Duration{1: 1}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			events, sum := read(t, c.text, c.o)
			var got []brief
			for _, e := range events {
				got = append(got, brief{e.Kind, e.Process, e.F, e.Key, e.Value})
			}
			same := func(a, b brief) bool {
				equal := a.value.Equal(b.value)
				a.value, b.value = history.Nil, history.Nil
				return equal && reflect.DeepEqual(a, b)
			}
			if !slices.EqualFunc(got, c.want, same) || !reflect.DeepEqual(sum, c.sum) {
				t.Fatalf("\n got %+v %+v\nwant %+v %+v", got, sum, c.want, c.sum)
			}
			if _, err := history.Operations(events); err != nil {
				t.Fatal(err)
			}
		})
	}
	for text, want := range map[string]string{
		"{:type :ok :process 0 :f :x} {:type :invoke :process 0 :f :x}":                                             "line 1: an invocation, although the completion in line 1 has none",
		"{:type :invoke :process 0 :f :read :value 3}":                                                              "expected [key value]",
		`{:type :invoke :process 0 :f :read :value ["" 4]}`:                                                         "is empty, which stands for none",
		"{:type :invoke :process 0 :f :read :value #{3 4}}":                                                         "expected [key value]",
		"{:type :invoke :process 0 :f :read :value [0 nil]} {:type :invoke :process 1 :f :read :value [\"0\" nil]}": `the keys 0 and "0" differ and print alike`,
	} {
		_, _, err := Read(strings.NewReader(text), Options{Independent: strings.Contains(text, "read")})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func mop(f string, v history.Value) history.Value {
	return history.List(history.List(history.Keyword(f), history.Keyword("x"), v))
}

// TestWrittenHistoriesHaveTheFieldsOfJepsen compares with what
// jepsen.store/write-history! prints of an operation.
func TestWrittenHistoriesHaveTheFieldsOfJepsen(t *testing.T) {
	events := []history.Event{
		{Index: 0, Time: 5, Kind: history.Invoke, Process: 1, F: "cas", Key: "7", Value: history.List(history.Int(1), history.Int(2)), Node: "n1"},
		{Index: 1, Time: 6, Kind: history.FaultStart, Process: -1, F: "kill(one)", Nodes: []string{"n1"}, Error: "boot id changed"},
		{Index: 2, Time: 7, Kind: history.Info, Process: 1, F: "cas", Key: "7", Value: history.List(history.Int(1), history.Int(2)), Error: "time \"out\""},
		{Index: 3, Time: 8, Kind: history.Invoke, Process: 2, F: "txn", Value: history.List(history.List(history.String("append"), history.String("x"), history.Int(1)))},
	}
	want := `{:type :invoke, :f :cas, :value [7 [1 2]], :process 1, :time 5, :index 0, :node "n1"}
{:type :info, :f :fault-start, :value {:is "kill(one)", :nodes ["n1"], :note "boot id changed"}, :process :nemesis, :time 6, :index 1}
{:type :info, :f :cas, :value [7 [1 2]], :process 1, :time 7, :index 2, :error "time \"out\""}
{:type :invoke, :f :txn, :value [[:append "x" 1]], :process 2, :time 8, :index 3}
`
	var b bytes.Buffer
	if err := Write(&b, events); err != nil || b.String() != want {
		t.Fatalf("%v\n got %s\nwant %s", err, b.String(), want)
	}
}

// randomHistory is one that the recorder could have made, with values of all
// forms.
func randomHistory(r *rand.Rand) []history.Event {
	var events []history.Event
	open, retired := map[int]string{}, 0
	for i := range r.IntN(30) {
		e := history.Event{Index: int64(i), Time: time.Duration(i * 3), Process: -1}
		switch p := retired + r.IntN(3); {
		case r.IntN(9) == 0:
			e.Kind, e.F = history.FaultStart+history.EventKind(r.IntN(3)), "kill(n1) x"
			if r.IntN(2) == 0 {
				e.Nodes, e.Error = []string{"n1", "n2"}, "it \"bit\""
			}
		case open[p] == "":
			open[p] = []string{"read", "a b"}[r.IntN(2)]
			e.Kind, e.Process, e.F, e.Key, e.Value = history.Invoke, p, open[p], "k1", randomValue(r, 3)
		default:
			e.Kind, e.Process, e.F, e.Key, e.Value = history.OK+history.EventKind(r.IntN(2)), p, open[p], "k1", randomValue(r, 3)
			e.Node, e.Error = "n\t1", "why \x00 \u2028"
			if p == retired && r.IntN(3) == 0 {
				e.Kind, retired = history.Info, retired+1
			}
			delete(open, p)
		}
		events = append(events, e)
	}
	return events
}

func randomValue(r *rand.Rand, depth int) history.Value {
	words := []string{"", "x", ":x", "zwölf", "a\"b\\c", "tab\tline\nnul\x00", "\u2028", "😀", "nil", "\x7f\x85"}
	switch r.IntN(9) {
	case 0:
		return history.Nil
	case 1:
		return history.Bool(r.IntN(2) == 0)
	case 2:
		return history.Int(r.Int64() - r.Int64())
	case 3:
		v, _ := history.Float([]float64{0, 1.5, -1e300, 1e21}[r.IntN(4)])
		return v
	case 4:
		return history.String(words[r.IntN(len(words))])
	case 5:
		return history.Keyword([]string{"a", "a/b", "can't", "final?"}[r.IntN(4)])
	}
	if depth == 0 {
		return history.List()
	}
	vs := make([]history.Value, r.IntN(4))
	for i := range vs {
		vs[i] = randomValue(r, depth-1)
	}
	switch r.IntN(3) {
	case 0:
		return history.Set(vs...)
	case 1:
		var pairs []history.Pair
		for i, v := range vs {
			pairs = append(pairs, history.Pair{Key: history.List(history.Int(int64(i)), v), Value: v})
		}
		v, _ := history.Map(pairs...)
		return v
	}
	return history.List(vs...)
}

func TestEveryHistorySurvivesWritingAndReading(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		events := randomHistory(r)
		if _, err := history.Operations(events); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := Write(&b, events); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		got, sum, err := Read(&b, Options{Independent: true})
		if err != nil || !reflect.DeepEqual(sum, Summary{Untimed: sum.Untimed}) {
			t.Fatalf("%v %+v\n%s", err, sum, text)
		}
		if len(got) != len(events) {
			t.Fatalf("%d events became %d", len(events), len(got))
		}
		for i := range got {
			if !sameEvent(got[i], events[i]) {
				t.Fatalf("%+v became %+v\n%s", events[i], got[i], text)
			}
		}
	}
}

// endless yields a text for ever after a beginning.
type endless struct {
	begin, text string
	n, most     int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.begin != "" {
		n := copy(p, e.begin)
		e.begin = e.begin[n:]
		return n, nil
	}
	if e.n >= e.most {
		return 0, io.EOF
	}
	n := 0
	for n+len(e.text) <= len(p) {
		n += copy(p[n:], e.text)
	}
	e.n += int64(n)
	return n, nil
}

func TestHostileTextIsRefusedInBoundedMemory(t *testing.T) {
	const gigabyte = 1 << 30
	op := "{:type :invoke :process 0 :f :x :value "
	for name, c := range map[string]struct{ begin, text, want string }{
		"a string of a gigabyte":         {op + `"`, "xxxxxxxxxxxxxxxx", "an operation of more than"},
		"a list of a gigabyte":           {op + "[", "1 2 3 4 5 6 7 8 ", "an operation of more than"},
		"a keyword of a gigabyte":        {op + ":", "xxxxxxxxxxxxxxxx", "an operation of more than"},
		"a gigabyte of opening brackets": {op, "[[[[[[[[[[[[[[[[", "nested deeper"},
		"a gigabyte of NUL":              {"", "\x00\x00\x00\x00", `unexpected byte '\x00'`},
		"a gigabyte of blanks":           {"", "                ", "an operation of more than"},
		"ten million operations":         {"", "{:type :invoke :process 0 :f :x :value 1} {:type :ok :process 0 :f :x :value 1}\n", "does not fit into the memory allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Read(&endless{begin: c.begin, text: c.text, most: gigabyte}, Options{Memory: 16 << 20})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
		})
	}
}

func FuzzReaderAcceptsOnlyWhatItCanWriteAgain(f *testing.F) {
	f.Add([]byte(well), false)
	f.Add([]byte("[#op{:type :invoke :f :a/b :value #{1 [2.5 \\a \"\\u0041\"]}}]"), false)
	f.Add([]byte(`[{"type":"ok","f":"x","value":[1,2.5e3,{"a":null}]}]`), true)
	f.Add([]byte("{:type :info :process :nemesis :f :x} ; \n ()"), false)
	f.Fuzz(func(t *testing.T, in []byte, json bool) {
		events, _, err := Read(bytes.NewReader(in), Options{JSON: json, Memory: 1 << 26})
		if err != nil {
			return
		}
		if _, err := history.Operations(events); err != nil {
			t.Fatalf("accepted what contradicts itself: %v", err)
		}
		var b bytes.Buffer
		if err := Write(&b, events); err != nil {
			return // escapes can make an operation longer than allowed
		}
		text := b.String()
		again, _, err := Read(&b, Options{Memory: 1 << 26})
		if err != nil || len(again) != len(events) {
			t.Fatalf("wrote %d events, read %d: %v\n%s", len(events), len(again), err, text)
		}
	})
}

// sameEvent compares events by reflection, but for values, which compare by
// Equal.
func sameEvent(a, b history.Event) bool {
	equal := a.Value.Equal(b.Value)
	a.Value, b.Value = history.Nil, history.Nil
	return equal && reflect.DeepEqual(a, b)
}

func TestJSONHasNoMoreFormsThanJSON(t *testing.T) {
	const op = `{"type":"invoke","f":"x","process":0,"value":%}`
	for value, want := range map[string]string{
		"1": "", "-0.5e3": "", "[]": "", "[1 , 2]": "", `{"a":1 , "b":[{}]}`: "", `"\u0041\/"`: "",
		"[1 2]": "expected , or ], found '2'", "[1,]": "unexpected ']'; expected a value", "[,1]": "unexpected byte ','", "[1,,2]": "unexpected byte ','",
		`{"a":1 "b":2}`: `expected , or }, found '"'`, `{"a":1,}`: "unexpected '}'; expected a value", `{,"a":1}`: "unexpected byte ','",
		"01": "leading zero", "+1": "a plus", "1N": "is not a number", "2M": "is not a number", "0x1f": "is not a number", "1/3": "is not a number", "-": `unexpected "-"`, "1.": "is not a number",
		`"\'"`: "is no escape", `"\101"`: "is no escape", "\"a\tb\"": "control character", "nil": `unexpected "nil"`, ":a": "unexpected", "(1)": "unexpected", "#{}": "unexpected",
	} {
		for _, text := range []string{strings.Replace(op, "%", value, 1), "[" + strings.Replace(op, "%", value, 1) + "]"} {
			_, _, err := Read(strings.NewReader(text), Options{JSON: true})
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: %v, want %q", text, err, want)
			}
		}
	}
	one := strings.Replace(op, "%", "1", 1)
	other := strings.Replace(one, `"process":0`, `"process":1`, 1)
	for text, want := range map[string]string{
		"[" + one + " " + other + "]": "expected , or ]", "[" + one + ",]": "unexpected", "[," + one + "]": "unexpected", "[" + one + "," + other + "]": "", one + "\n" + other: "",
	} {
		_, _, err := Read(strings.NewReader(text), Options{JSON: true})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// A kilobyte of anything but the value counts, too.
func TestTheMemoryOfAHistoryCountsAllThatItHolds(t *testing.T) {
	long := strings.Repeat("x", 1<<10)
	for name, c := range map[string]struct {
		op string
		o  Options
	}{
		"errors":    {"{:type :invoke :f :x :process % :error \"" + long + "%\"}", Options{}},
		"functions": {"{:type :invoke :f :" + long + "% :process %}", Options{}},
		"nodes":     {"{:type :invoke :f :x :process % :node \"" + long + "%\"}", Options{}},
		"keys":      {"{:type :invoke :f :x :process % :value [\"" + long + "%\" nil]}", Options{Independent: true}},
	} {
		var b strings.Builder
		for i := range 1000 {
			b.WriteString(strings.ReplaceAll(c.op, "%", strconv.Itoa(i)) + "\n")
		}
		c.o.Memory = 1 << 19
		if _, _, err := Read(strings.NewReader(b.String()), c.o); !errors.Is(err, ErrTooLarge) {
			t.Errorf("a megabyte of %s into half of one: %v", name, err)
		}
		c.o.Memory = 1 << 23
		if _, _, err := Read(strings.NewReader(b.String()), c.o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
