package report

import (
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
)

func TestThePlanIsToldOnTheRunsClock(t *testing.T) {
	phases := []checkers.Phase{{Name: "provision"}, {Name: "faults", Start: 5250 * time.Millisecond}}
	rows, more := planRows("at 2s kill(one) for 1s; then 100ms pause(same); at 1s on vote.granted kill(self)", phases)
	want := []planRow{
		{"7.250 s", "at 2s kill(one) for 1s"}, {"100ms after the step before", "then 100ms pause(same)"},
		{"when vote.granted is reached, from 6.250 s", "at 1s on vote.granted kill(self)"},
	}
	if len(rows) != len(want) || more != 0 {
		t.Fatalf("%q and %d more", rows, more)
	}
	for i := range want {
		if rows[i] != want[i] {
			t.Errorf("step %d: %q, want %q", i+1, rows[i], want[i])
		}
	}
	if rows, _ := planRows("at 2s kill(one)", phases[:1]); rows != nil {
		t.Errorf("faults that never began have times: %q", rows)
	}
}

func TestPartitionsSayWhoWasCutFromWhom(t *testing.T) {
	for frozen, want := range map[string]string{
		"kill(n2)":                           "",
		"":                                   "",
		"partition(n1>n2+n1>n3+n2>n1+n3>n1)": "n1 cut from n2, n3",
		"partition(n1>n2+n1>n3)":             "n1 could not reach n2, n3",
		"partition(n2>n1+n3>n1)":             "n2 could not reach n1; n3 could not reach n1",
		"partition(client>n1+n1>client)":     "client cut from n1",
		"partition(n1>n2+n2>n1,flap=100ms)":  "n1 cut from n2",
	} {
		if got := whoFromWhom(frozen); got != want {
			t.Errorf("%s: %q, want %q", frozen, got, want)
		}
	}
}

func TestWallClockTimesOfLogsAreToldOnTheRunsClockToo(t *testing.T) {
	began := time.Date(2026, 11, 23, 20, 15, 0, 0, time.UTC)
	logs := map[string][]byte{"n1": []byte("2026-11-23T21:15:09.5+01:00 near\n  goes on\n")}
	if got, want := excerpts(logs, false, began, 0, 0, false)[0].Text, "[9.500 s] 2026-11-23T21:15:09.5+01:00 near\n  goes on"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := excerpts(logs, false, time.Time{}, 0, 0, false)[0].Text; strings.Contains(got, "[") {
		t.Errorf("without the zero of the run's clock: %q", got)
	}
}
