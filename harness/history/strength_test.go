package history

import (
	"strings"
	"testing"
	"time"
)

// script builds a history from lines "process type f key value".
func script(t *testing.T, lines ...string) []Event {
	t.Helper()
	var events []Event
	for i, line := range lines {
		w := strings.Fields(line)
		e := Event{Index: int64(i), Time: time.Duration(i), Process: NemesisProcess}
		if err := e.Kind.UnmarshalText([]byte(w[1])); err != nil {
			t.Fatal(err)
		}
		if e.Kind <= Info {
			e.Process = int(w[0][0] - '0')
		}
		e.F, e.Key = w[2], w[3]
		if w[4] != "nil" {
			e.Value = String(w[4])
		}
		events = append(events, e)
	}
	return events
}

func measure(t *testing.T, lines ...string) Strength {
	t.Helper()
	events := script(t, lines...)
	ops, err := Operations(events)
	if err != nil {
		t.Fatal(err)
	}
	return Measure(events, ops)
}

func TestStrengthCountsOverlapReadsAndFaults(t *testing.T) {
	got := measure(t,
		"1 invoke write x a", "2 invoke read x nil", "1 ok write x a", "2 ok read x a",
		"- fault-start kill - nil",
		"1 invoke read x nil", "1 ok read x a",
		"2 invoke write y b", "2 info write y b",
		"- fault-end kill - nil",
		"1 invoke read y nil", "1 ok read y nil",
	)
	want := Strength{Operations: 5, OK: 4, Concurrent: 2, Reads: 3, Distinguishing: 1, DuringFaults: 1, Keys: 2, Faults: 1}
	if got != want {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

func TestSequentialOperationsAreNotConcurrent(t *testing.T) {
	if s := measure(t, "1 invoke write x a", "1 ok write x a", "2 invoke read x nil", "2 ok read x a"); s.Concurrent != 0 {
		t.Fatalf("one after the other: %+v", s)
	}
	if s := measure(t, "1 invoke write x a", "2 invoke read x nil", "1 ok write x a", "2 ok read x a"); s.Concurrent != 2 {
		t.Fatalf("side by side: %+v", s)
	}
	if s := measure(t, "1 invoke write x a", "2 invoke read y nil", "1 ok write x a", "2 ok read y nil"); s.Concurrent != 0 {
		t.Fatalf("side by side on different keys: %+v", s)
	}
}

func TestWeakHistoriesSayWhy(t *testing.T) {
	strong := Strength{Operations: 100, OK: 90, Concurrent: 50, Reads: 40, Distinguishing: 30, DuringFaults: 10, Keys: 3, Faults: 1}
	if why := strong.Weak(DefaultFloor); why != nil {
		t.Fatalf("a strong history is called weak: %q", why)
	}
	for _, c := range []struct {
		weaken func(s *Strength)
		want   string
	}{
		{func(s *Strength) { s.OK = 0 }, "0 operations succeeded, at least 20 are needed"},
		{func(s *Strength) { s.Operations = 10_000 }, "0% of the operations succeeded, at least 5% are needed"},
		{func(s *Strength) { s.Concurrent = 0 }, "0 operations overlapped another one on their key, at least 5 are needed"},
		{func(s *Strength) { s.Distinguishing = 0 }, "0 reads saw a change, at least 5 are needed"},
		{func(s *Strength) { s.DuringFaults = 0 }, "0 operations succeeded while a fault was in force, at least 1 are needed"},
	} {
		s := strong
		c.weaken(&s)
		if why := s.Weak(DefaultFloor); len(why) != 1 || !strings.HasSuffix(why[0], c.want) {
			t.Errorf("got %q, want %q", why, c.want)
		}
	}
	strong.DuringFaults, strong.Faults = 0, 0
	if why := strong.Weak(DefaultFloor); why != nil {
		t.Fatalf("a run without faults needs nothing during faults: %q", why)
	}
}
