package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestFieldCases checks histories on which tools of this kind were wrong or
// confusing in the field. Each folder of testdata/cases has them beside
// expect.txt, whose lines are
//
//	exit code|arguments of check, of which the first is the file|a part of what it prints
//
// and, behind #, why.
func TestFieldCases(t *testing.T) {
	lists, err := filepath.Glob("testdata/cases/*/expect.txt")
	if err != nil || len(lists) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, list := range lists {
		folder := filepath.Dir(list)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			text, err := os.ReadFile(list)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
				if !strings.HasPrefix(line, "#") {
					fieldCase(t, folder, line)
				}
			}
		})
	}
}

func fieldCase(t *testing.T, folder, line string) {
	t.Helper()
	parts := strings.SplitN(line, "|", 3)
	if len(parts) != 3 {
		t.Fatalf("%q: expected CODE|ARGUMENTS|TEXT", line)
	}
	want, err := strconv.Atoi(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(parts[1])
	args[0] = filepath.Join(folder, args[0])
	got := cleancut(t, append([]string{"check"}, args...)...)
	if got.code != want || !strings.Contains(got.out+got.err, parts[2]) {
		t.Errorf("check %s: exit code %d, want %d and %q\n%s%s", strings.Join(args, " "), got.code, want, parts[2], got.out, got.err)
	}
}
