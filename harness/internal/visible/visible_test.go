package visible

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestWhatIsHiddenBecomesANumberAndNothingElseChanges(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext\n":            "plain\ttext\n",
		"größer, 中, 👍, ≤":          "größer, 中, 👍, ≤",
		"a\x1b[2Jb":                `a\u001b[2Jb`,
		"VALID\rx":                 `VALID\u000dx`,
		"\u009b31m":                `\u009b31m`,
		"\u202egnp.exe":            `\u202egnp.exe`,
		"a\u2066b\u2069\u200b\x7f": `a\u2066b\u2069\u200b\u007f`,
		"\x9b31m":                  `\x9b31m`,
		"\u2028\U000e0041":         `\u2028\udb40\udc41`,
		"\ufffd":                   "\ufffd",
		"":                         "",
	} {
		if got := String(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
		var b bytes.Buffer
		w := &Writer{To: &b}
		for i := range len(in) { // a byte at a time
			if n, err := w.Write([]byte{in[i]}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := w.Flush(); err != nil || b.String() != want {
			t.Errorf("%q was written as %q, want %q (%v)", in, b.String(), want, err)
		}
	}
}

func TestACharacterThatNeverEndsIsShownAtTheEnd(t *testing.T) {
	var b bytes.Buffer
	w := &Writer{To: &b}
	_, _ = w.Write([]byte("a\xe2\x80"))
	if err := w.Flush(); err != nil || b.String() != `a\xe2\x80` {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestJSONKeepsItsValue(t *testing.T) {
	in := "\x1b[31m\u202e\u009b\U000e0041\r"
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out string
	if err := json.Unmarshal(Bytes(text), &out); err != nil || out != in {
		t.Errorf("%q became %q: %v", in, out, err)
	}
}
