package main

import (
	"flag"
	"os"
	"regexp"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the README's generated tables")

const readme = "../../../README.md"

// TestTheReadmesTablesAreWhatTheCatalogsHold compares each table between
// "<!-- list WHAT -->" and "<!-- end -->" with what `cleancut list WHAT
// --markdown` prints. Run it with -update after a catalog has changed.
func TestTheReadmesTablesAreWhatTheCatalogsHold(t *testing.T) {
	b, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	tables := regexp.MustCompile(`(?s)<!-- list (\w+) -->\n.*?<!-- end -->`)
	if n := len(tables.FindAll(b, -1)); n < 4 {
		t.Fatalf("the README has %d generated tables, want 4 or more", n)
	}
	want := tables.ReplaceAllFunc(b, func(old []byte) []byte {
		what := string(tables.FindSubmatch(old)[1])
		return []byte("<!-- list " + what + " -->\n" + lists[what]().markdown() + "<!-- end -->")
	})
	if string(want) == string(b) {
		return
	}
	if *update {
		if err := os.WriteFile(readme, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Error("the README's tables are out of date; run: go test ./harness/cmd/cleancut -run Readme -update")
}
