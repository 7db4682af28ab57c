package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// randomValue draws a value of bounded depth that uses every form.
func randomValue(r *rand.Rand, depth int) Value {
	words := []string{"", "x", ":x", "#", "1", "null", "zwölf", "a\"b\\c", "tab\tline\nnul\x00", "\u2028", "broken\xff", "😀"}
	switch r.IntN(8) {
	case 6:
		return Keyword(words[r.IntN(len(words))])
	case 7:
		v, _ := Float([]float64{0, 1, -1.5, 1e300, 1e21, 0.1}[r.IntN(6)])
		return v
	case 0:
		return Nil
	case 1:
		return Bool(r.IntN(2) == 0)
	case 2:
		return Int([]int64{0, -1, math.MaxInt64, math.MinInt64, r.Int64()}[r.IntN(5)])
	case 3, 4:
		return String(words[r.IntN(len(words))])
	}
	if depth == 0 {
		return List()
	}
	vs := make([]Value, r.IntN(4))
	for i := range vs {
		vs[i] = randomValue(r, depth-1)
	}
	switch r.IntN(4) {
	case 0:
		return Set(vs...)
	case 1:
		var pairs []Pair
		for i, v := range vs {
			pairs = append(pairs, Pair{Int(int64(i)), v}, Pair{Set(Int(int64(i)), v), v}, Pair{String("#:{1n"[i:]), v})
		}
		v, ok := Map(pairs...)
		if !ok {
			panic("a key is there twice")
		}
		return v
	}
	return List(vs...)
}

func randomEvents(r *rand.Rand, n int) []Event {
	at := time.Duration(0)
	events := make([]Event, n)
	for i := range events {
		at += time.Duration(r.Int64N(1_000_000))
		e := Event{Index: int64(i), Time: at, Kind: EventKind(r.IntN(len(kindNames))), F: "read", Value: randomValue(r, 3)}
		e.Process = r.IntN(9) - 1
		if r.IntN(2) == 0 {
			e.Key, e.Node, e.Error = "k\t1", "n1", "what \"happened\""
			e.Nodes = []string{"n1", "n2"}
		}
		events[i] = e
	}
	return events
}

func TestEveryHistorySurvivesWritingAndReading(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		events := randomEvents(r, r.IntN(20))
		var b bytes.Buffer
		if err := Write(&b, events); err != nil {
			t.Fatal(err)
		}
		for _, line := range bytes.Split(bytes.TrimSpace(b.Bytes()), []byte("\n")) {
			if len(line) > 0 && !json.Valid(line) {
				t.Fatalf("not JSON: %s", line)
			}
		}
		got, torn, err := Read(&b)
		if err != nil || torn || len(got) != len(events) {
			t.Fatalf("%d events, torn %v, error %v; wrote %d", len(got), torn, err, len(events))
		}
		for i := range got {
			if !got[i].Value.Equal(events[i].Value) {
				t.Fatalf("value %s became %s", events[i].Value, got[i].Value)
			}
			got[i].Value, events[i].Value = Nil, Nil
			if !reflect.DeepEqual(got[i], events[i]) {
				t.Fatalf("%+v became %+v", events[i], got[i])
			}
		}
	}
}

const goodLine = `{"index":0,"time":5,"type":"invoke","process":1,"f":"write","key":"x","value":[1,null,"a"],"node":"n1"}`

func TestMalformedLinesAreRefusedWithLineAndField(t *testing.T) {
	if _, _, err := Read(strings.NewReader(goodLine + "\n")); err != nil {
		t.Fatalf("the line that all others differ from: %v", err)
	}
	long := strings.Repeat("x", MaxLine)
	for _, c := range []struct{ old, new, want string }{
		{`"index":0`, `"index":1`, "line 1: index: found 1, expected 0: events are missing, doubled or out of order"},
		{`"index":0`, `"index":-1`, "line 1: index: -1 is negative"},
		{`"index":0,`, ``, "line 1: index: missing"},
		{`"index":0`, `"index":9223372036854775807`, "line 1: index: 9223372036854775807 stands for never; expected less"},
		{`"time":5`, `"time":9223372036854775807`, "line 1: time: 9223372036854775807 stands for never; expected less"},
		{`"time":5`, `"time":5.5`, "line 1: time: expected an integer, found a fraction or exponent at column 20"},
		{`"time":5`, `"time":99999999999999999999`, "line 1: time: 99999999999999999999 does not fit into 64 bits"},
		{`"time":5`, `"time":05`, "line 1: time: 05 has a leading zero"},
		{`"time":5`, `"time":"5"`, `line 1: time: expected an integer, found "\"5\",\"type\":\"invoke\"," at column 19`},
		{`invoke`, `invoked`, `line 1: type: "invoked" is not one of ["invoke" "ok" "fail" "info" "fault-start" "fault-end" "phase"]`},
		{`"process":1,`, ``, "line 1: process: missing in an event of type invoke"},
		{`"process":1`, `"process":-2`, "line 1: process: -2 is not a process; expected -1 or more"},
		{`"f":"write"`, `"f":"write","f":"read"`, "line 1: f: given twice"},
		{`"key"`, `"kye"`, `line 1: "kye": no such field; known are index, time, type, f, process, key, value, node, nodes, error`},
		{`null,"a"]`, `nul,"a"]`, `line 1: value: expected null, a boolean, a number, a string, a list or an object, found "nul,\"a\"],\"node\":\"n1\"" at column 82`},
		{`[1,null,"a"]`, strings.Repeat("[", 99) + strings.Repeat("]", 99), "line 1: value: lists nested deeper than 64"},
		{`"node":"n1"}`, `"node":"n1"`, "line 1: expected , or } after a field, found the end of the line"},
		{`"node":"n1"}`, `"node":"n1"} x`, `line 1: unexpected "x" at column 105 after the object`},
		{`"node":"n1"`, `"node":"n1`, "line 1: node: a string that has no end"},
		{`"node":"n1"`, "\"node\":\"n\xff\"", `line 1: node: the string "n\xff" is not UTF-8`},
		{`"node":"n1"`, "\"node\":\"n\t1\"", "line 1: node: a control character at column 101 of a string"},
		{`"node":"n1"`, `"nodes":["n1",2]`, "line 1: nodes: expected a list of strings, found 2 in it"},
		{`"n1"`, `"` + long + `"`, "line 1: longer than 1048576 bytes"},
	} {
		_, _, err := Read(strings.NewReader(strings.Replace(goodLine, c.old, c.new, 1) + "\n"))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s → %.40s\n got %v\nwant %s", c.old, c.new, err, c.want)
		}
	}
}

func TestTornLastLineIsReportedAndLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		tail string
		torn bool
	}{
		"complete":                {"", false},
		"half a line":             {goodLine[:30], true},
		"unused tail":             {strings.Repeat("\x00", 3<<20), false},
		"half a line and a tail":  {goodLine[:30] + strings.Repeat("\x00", 3<<20), true},
		"blanks":                  {" \t", false},
		"a hole in the last line": {goodLine[:30] + "\x00\x00\x00" + goodLine[33:], true},
	} {
		t.Run(name, func(t *testing.T) {
			events, torn, err := Read(strings.NewReader(goodLine + "\n" + c.tail))
			if err != nil || torn != c.torn || len(events) != 1 {
				t.Fatalf("%d events, torn %v, error %v", len(events), torn, err)
			}
		})
	}
	damaged := goodLine + "\n" + goodLine[:30] + strings.Repeat("\x00", 2<<20) + goodLine + "\n"
	if _, _, err := Read(strings.NewReader(damaged)); err == nil || !strings.Contains(err.Error(), "line 2: NUL bytes in the midst") {
		t.Fatalf("NUL bytes before the end: %v", err)
	}
}

func TestALastLineThatLacksOnlyItsNewlineIsComplete(t *testing.T) {
	second := strings.Replace(goodLine, `"index":0`, `"index":1`, 1)
	for _, end := range []string{"", " ", "\r", strings.Repeat("\x00", 3<<20)} {
		if events, torn, err := Read(strings.NewReader(goodLine + "\n" + second + end)); err != nil || torn || len(events) != 2 {
			t.Errorf("%.9q: %d events, torn %v, error %v", end, len(events), torn, err)
		}
	}
	for text, want := range map[string]string{
		goodLine + "\n" + goodLine: "line 2: index: found 0, expected 1",
		"[" + goodLine + "]":       "line 1: expected an object that begins with {",
	} {
		if _, _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func FuzzDecoderAcceptsOnlyWhatItCanWriteAgain(f *testing.F) {
	f.Add([]byte(goodLine + "\n"))
	f.Add([]byte(goodLine + "\n" + strings.Replace(goodLine, `"index":0`, `"index":1`, 1) + "\n\x00\x00"))
	f.Add([]byte(`{"index":0,"time":0,"type":"phase","f":"\ud83d\u00e9\n"}` + "\n"))
	f.Add([]byte("{}\n[]\nnull\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		d := NewDecoder(bytes.NewReader(in))
		var events []Event
		for {
			e, err := d.Next()
			if err != nil {
				var syntax *SyntaxError
				if err != io.EOF && !errors.Is(err, ErrTorn) && !errors.As(err, &syntax) {
					t.Fatalf("an error of no known kind: %v", err)
				}
				break
			}
			events = append(events, e)
		}
		for _, line := range bytes.Split(in, []byte("\n"))[:d.line] {
			if len(events) == d.line && !json.Valid(line) {
				t.Fatalf("accepted what is not JSON: %q", line)
			}
		}
		var b bytes.Buffer
		if err := Write(&b, events); err != nil {
			return // escapes can make a line longer than allowed
		}
		again, torn, err := Read(&b)
		if err != nil || torn || len(again) != len(events) {
			t.Fatalf("wrote %d events, read %d, torn %v, error %v", len(events), len(again), torn, err)
		}
	})
}

// withoutValues is for comparing operations by reflection: values compare by
// Equal.
func withoutValues(o Operation) Operation {
	o.Input, o.Output = Nil, Nil
	return o
}

func TestOperationSurvivesJSON(t *testing.T) {
	for _, o := range []Operation{
		{Process: 3, F: "cas", Key: "x", Input: List(Int(1), Int(2)), Output: Bool(true), Outcome: OK, Invoked: 5, Completed: 7, Call: 1, Return: 2, Node: "n1"},
		{Process: 4, F: "write", Input: String("a"), Outcome: Info, Invoked: 5, Completed: Never, Call: 1, Return: -1, Error: "timeout"},
	} {
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var got Operation
		if err := json.Unmarshal(b, &got); err != nil || !got.Input.Equal(o.Input) || !got.Output.Equal(o.Output) || !reflect.DeepEqual(withoutValues(got), withoutValues(o)) {
			t.Fatalf("%+v became %+v by %s (%v)", o, got, b, err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	var file bytes.Buffer
	if err := Write(&file, randomEvents(rand.New(rand.NewPCG(1, 2)), 10_000)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(file.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Read(bytes.NewReader(file.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
}

func TestFormsThatJSONLacksAreReadAsWhatTheyStandFor(t *testing.T) {
	pair := func(k, v Value) Value {
		m, ok := Map(Pair{k, v})
		if !ok {
			t.Fatal("a map of one pair has a key twice")
		}
		return m
	}
	half, _ := Float(0.5)
	for text, want := range map[string]Value{
		`":x"`:              Keyword("x"),
		`"\u003ax"`:         String(":x"),
		`{"#":[2,1,2]}`:     Set(Int(1), Int(2)),
		`{"\u0023":[1]}`:    pair(String("#"), List(Int(1))),
		`{"#":1}`:           pair(String("#"), Int(1)),
		`{"0":100}`:         pair(Int(0), Int(100)),
		`{"\u0030":100}`:    pair(String("0"), Int(100)),
		`{"00":100}`:        pair(String("00"), Int(100)),
		`{":a":null}`:       pair(Keyword("a"), Nil),
		`{"null":1}`:        pair(Nil, Int(1)),
		`{"[1,\"x\"]":1}`:   pair(List(Int(1), String("x")), Int(1)),
		`0.5`:               half,
		`5e-1`:              half,
		`{"from":{},"b":1}`: mustMap(t, Pair{String("from"), mustMap(t)}, Pair{String("b"), Int(1)}),
	} {
		var got Value
		if err := json.Unmarshal([]byte(text), &got); err != nil || !got.Equal(want) {
			t.Errorf("%s is %s, want %s (%v)", text, got, want, err)
		}
	}
	for text, want := range map[string]string{
		`{"a":1,"a":2}`: "same key twice",
		`{"0":1,"0":2}`: "same key twice",
		`1.`:            "digits after the point",
		`1e`:            "an exponent",
		`01.5`:          "leading zero",
		`1e999`:         "does not fit",
		`{"a" 1}`:       "expected : after the key",
		`{"a":1 "b":2}`: "expected , or }",
	} {
		var got Value
		if err := got.UnmarshalJSON([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func mustMap(t *testing.T, pairs ...Pair) Value {
	t.Helper()
	v, ok := Map(pairs...)
	if !ok {
		t.Fatal("a key is there twice")
	}
	return v
}

func TestTimesOfLessThanAMillisecondKeepTheirDigits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.000 s", 5: "0.000000005 s", -1500: "-0.000002 s", 999 * time.Microsecond: "0.000999 s",
		time.Millisecond: "0.001 s", 3214 * time.Millisecond: "3.214 s",
	} {
		if got := At(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}

func TestTheExampleInTheReadmeIsAHistory(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(b), "```jsonl\n")
	example, _, _ = strings.Cut(example, "```")
	events, torn, err := Read(strings.NewReader(example))
	if err != nil || torn || len(events) != 6 {
		t.Fatalf("%d events, torn %v, %v", len(events), torn, err)
	}
	if _, err := Operations(events); err != nil {
		t.Error(err)
	}
}
