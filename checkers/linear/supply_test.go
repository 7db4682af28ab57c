package linear

import (
	"context"
	"fmt"
	"testing"

	"github.com/cleancut/cleancut/checkers"
)

// TestWhatNobodyBroughtInIsInvalidBeforeAnySearch puts an answer that nothing
// explains beside one that something may, among operations of unknown outcome
// of which a search would try all orders.
func TestWhatNobodyBroughtInIsInvalidBeforeAnySearch(t *testing.T) {
	var noise, dequeues []string
	for i := range 42 {
		noise = append(noise, fmt.Sprintf("%d 0 cas [%d,%d] null info", 10+i, i%7, (i/7+i+1)%7))
		dequeues = append(dequeues, fmt.Sprintf("%d 0 dequeue null null info", 10+i))
	}
	twice := []string{"1 2 write 0 null ok", "3 4 read null 0 ok", "5 6 write 0 null ok"}
	full := []string{"1 2 enqueue 1 null ok", "3 4 enqueue 1 null ok"}
	for _, c := range []struct {
		workload  string
		before    []string
		good, bad string
		besides   []string
	}{
		{"cas-register", append(twice, noise...), "100 101 read null 6 ok", "100 101 read null 9 ok", nil},
		{"cas-register", append(twice, noise...), "100 101 read null 6 ok", "100 101 read null 9 ok", []string{"102 103 write 9 null ok"}},
		{"cas-register", append(twice, noise...), "100 101 read null 6 ok", "100 101 read null 9 ok", []string{"50 99 write 9 null fail"}},
		{"queue", append(full, dequeues...), "100 101 dequeue null 1 ok", "100 101 dequeue null 2 ok", nil},
		{"list", []string{"1 2 append 1 null ok", "3 4 append 1 null ok"}, "5 6 read null [1,1] ok", "5 6 read null [1,2] ok", nil},
		{"set", []string{"1 2 add 1 null ok", "3 4 add 1 null ok"}, "5 6 read null [1] ok", "5 6 read null [1,1] ok", nil},
	} {
		judge := func(last string) checkers.Verdict {
			checker, err := For(c.workload, Object{}, Options{Configurations: 200_000})
			if err != nil {
				t.Fatal(err)
			}
			lines := append(append([]string{}, c.before...), last)
			return checker.Check(context.Background(), &checkers.Evidence{Operations: seq(t, append(lines, c.besides...)...)})
		}
		if v := judge(c.good); v.Verdict == checkers.Invalid {
			t.Errorf("%s, %s: %s", c.workload, c.good, v.Reason)
		}
		by := supply
		if c.workload == "set" { // what is in it twice needs no counting
			by = orderedGroups
		}
		if v := judge(c.bad); v.Verdict != checkers.Invalid || v.Witness == nil || v.Algorithm != by {
			t.Errorf("%s, %s: %s by %s: %s", c.workload, c.bad, v.Verdict, v.Algorithm, v.Reason)
		}
	}
}
