package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/harness/rundir"
	"github.com/cleancut/cleancut/workloads/jobs"
)

// orphanVerdict is what a checker of recovery says of a sample.
func orphanVerdict(events []record.Event) []checkers.Verdict {
	c := newChronicle(events)
	for _, e := range events {
		if e.Kind != record.Recovery {
			continue
		}
		for _, m := range c.messagesIn(window{from: 0, to: e.T}) {
			if m.orphan && m.send >= 0 {
				w := &checkers.Witness{Class: "orphan", Summary: fmt.Sprintf("%s remembers the message %s, which %s has no record of sending", m.to, m.id, m.from),
					From: events[m.send].T, To: e.T, Lines: []string{"the recovery of epoch 2 went back to round 2"}}
				return []checkers.Verdict{{Checker: "consistent-cut", Verdict: checkers.Invalid, Reason: w.Summary, Witness: w}}
			}
		}
	}
	return nil
}

func rendered(t testing.TB, events []record.Event, verdicts []checkers.Verdict) string {
	t.Helper()
	r := &rundir.Result{Scenario: "checkpointing/sample", Runtime: "sim", Seed: 3, Verdict: rundir.Valid, Checkers: verdicts}
	if len(verdicts) > 0 {
		r.Verdict = rundir.Invalid
		r.Reasons = []string{verdicts[0].Reason}
	}
	var b bytes.Buffer
	ok(t, Render(&b, r, &rundir.Loaded{Evidence: checkers.Evidence{Record: events}}))
	// For looking at: SPACETIME=folder go test -run Spacetime
	if dir := os.Getenv("SPACETIME"); dir != "" {
		ok(t, os.WriteFile(dir+"/"+strings.ReplaceAll(t.Name(), "/", "-")+".html", b.Bytes(), 0o644))
	}
	return b.String()
}

func TestSpacetimeShowsARecovery(t *testing.T) {
	for _, procs := range []int{5, 50} {
		t.Run(fmt.Sprint(procs), func(t *testing.T) {
			page := rendered(t, sampleRecord(t, jobs.Transfer{}, procs, 250), nil)
			for _, want := range []string{"the first recovery", `class="message plain"`, `class="message transit"`, `class="round committed"`, `class="recovery"`, `class="cross crash"`, `class="restore"`, `class="undone"`, "restored (local) at"} {
				if !strings.Contains(page, want) {
					t.Errorf("the page has no %s", want)
				}
			}
			if strings.Contains(page, `class="message orphan`) {
				t.Error("a correct recovery has orphans")
			}
		})
	}
}

func TestSpacetimeShowsOrphansOfAViolation(t *testing.T) {
	for _, procs := range []int{5, 50} {
		t.Run(fmt.Sprint(procs), func(t *testing.T) {
			events := sampleRecord(t, jobs.Transfer{}, procs, 250, 0, 1, 2, 3)
			verdicts := orphanVerdict(events)
			if len(verdicts) == 0 {
				t.Fatal("the sample has no orphan")
			}
			page := rendered(t, events, verdicts)
			for _, want := range []string{"the violation that consistent-cut found", `class="message orphan"`, `class="violation"`, `class="who named"`, ": an orphan", "<title>" + escape(strings.TrimSuffix(strings.Fields(verdicts[0].Witness.Summary)[4], ",")) + " from"} {
				if !strings.Contains(page, want) {
					t.Errorf("the page has no %s", want)
				}
			}
		})
	}
}

// small is a record by hand: n2 keeps m2, which n1 sent after its checkpoint,
// and m1 is on its way across the line.
func small(orphan bool) []record.Event {
	at := func(ms int, proc string, inc int, e record.Event) record.Event {
		e.T, e.Proc, e.Inc = time.Duration(ms)*time.Millisecond, proc, inc
		return e
	}
	second, third := 6, 5
	if orphan {
		second, third = 5, 6
	}
	events := []record.Event{
		at(0, "n1", 1, record.Event{Kind: record.Start}),
		at(0, "n2", 1, record.Event{Kind: record.Start}),
		at(1, "n1", 1, record.Event{Kind: record.Send, Msg: "m1", Peer: "n2"}),
		at(2, "n1", 1, record.Event{Kind: record.CheckpointBegin, Ckpt: "a"}),
		at(3, "n1", 1, record.Event{Kind: record.CheckpointCommit, Ckpt: "a", Level: "local", Bytes: 7}),
		at(4, "n1", 1, record.Event{Kind: record.Send, Msg: "m2", Peer: "n2"}),
		at(second, "n2", 1, record.Event{Kind: record.Recv, Msg: "m2", Peer: "n1"}),
		at(third, "n2", 1, record.Event{Kind: record.CheckpointBegin, Ckpt: "b"}),
		at(7, "n2", 1, record.Event{Kind: record.CheckpointCommit, Ckpt: "b", Level: "store", Bytes: 9}),
		at(8, "n2", 1, record.Event{Kind: record.Recv, Msg: "m1", Peer: "n1"}),
		at(9, "n1", 1, record.Event{Kind: record.Crash}),
		at(10, "n1", 2, record.Event{Kind: record.Start}),
		at(11, "n1", 2, record.Event{Kind: record.Recovery, Epoch: 2, Line: map[string]string{"n1": "a", "n2": "b"}, Failed: []string{"n1"}}),
		at(12, "n1", 3, record.Event{Kind: record.Restore, Ckpt: "a", Level: "local"}),
		at(12, "n2", 2, record.Event{Kind: record.Restore, Ckpt: "b", Level: "store"}),
		at(13, "n1", 3, record.Event{Kind: record.Resume}),
		at(13, "n2", 2, record.Event{Kind: record.Resume}),
	}
	return events
}

func TestOrphansAreToldFromMessagesInTransit(t *testing.T) {
	for _, orphan := range []bool{true, false} {
		c := newChronicle(small(orphan))
		got := map[string]message{}
		for _, m := range c.messagesIn(window{from: 0, to: time.Second}) {
			got[m.id] = m
		}
		if !got["m1"].transit || got["m1"].orphan {
			t.Errorf("m1 was sent before the line and received after it: %+v", got["m1"])
		}
		if got["m2"].orphan != orphan || got["m2"].transit {
			t.Errorf("orphan %v: m2 is %+v", orphan, got["m2"])
		}
	}
}

func TestWhatARestoreUndidIsNotHeld(t *testing.T) {
	c := newChronicle(small(false))
	find := func(kind record.Kind, msg string) int {
		for i, e := range c.events {
			if e.Kind == kind && e.Msg == msg {
				return i
			}
		}
		t.Fatalf("there is no %s of %s", kind, msg)
		return 0
	}
	end := len(c.events)
	n1, n2 := c.lane["n1"], c.lane["n2"]
	if !c.holds(n1, end, find(record.Send, "m1")) || c.holds(n1, end, find(record.Send, "m2")) {
		t.Error("n1 went back to a: it has sent m1 and not m2")
	}
	if c.holds(n2, end, find(record.Recv, "m1")) || c.holds(n2, end, find(record.Recv, "m2")) {
		t.Error("n2 went back to b: it has received neither")
	}
}

func TestTablesTellWhatBecameOfCheckpoints(t *testing.T) {
	events := append(small(false),
		record.Event{T: 14 * time.Millisecond, Proc: "n1", Inc: 3, Kind: record.CheckpointBegin, Ckpt: "c"},
		record.Event{T: 15 * time.Millisecond, Proc: "n1", Inc: 3, Kind: record.CheckpointAbort, Ckpt: "c", Reason: "too slow"},
		record.Event{T: 16 * time.Millisecond, Proc: "n2", Inc: 2, Kind: record.CheckpointBad, Ckpt: "b", Level: "store", Reason: "corrupt"},
		record.Event{T: 17 * time.Millisecond, Proc: "n2", Inc: 2, Kind: record.CheckpointDelete, Ckpt: "b", Level: "store"})
	s := spacetimeOf(events, nil)
	var fates []string
	for _, r := range s.Checkpoints {
		fates = append(fates, r.ID+": "+r.Levels+" | "+r.Fate)
	}
	want := "a: local at 0.003 s | restored (local) at 0.012 s\nb: store at 0.007 s | corrupt on store at 0.016 s; restored (store) at 0.012 s; deleted (store) at 0.017 s\nc:  | given up (too slow)"
	if got := strings.Join(fates, "\n"); got != want {
		t.Errorf("the fates are\n%s\nexpected\n%s", got, want)
	}
	if len(s.Recoveries) != 1 || s.Recoveries[0].Took != "0.004 s" || s.Recoveries[0].Rolled != 2 || s.Recoveries[0].Farthest != 9*time.Millisecond {
		t.Errorf("the recovery is %+v", s.Recoveries)
	}
}

func TestWorkThatARecoveryUndidIsCounted(t *testing.T) {
	var events []record.Event
	for _, e := range small(false) {
		events = append(events, e)
		if e.Kind == record.Send { // m1 before n1's checkpoint, m2 after it
			e.Kind, e.Msg, e.Peer, e.Units = record.Work, "", "", 5
			events = append(events, e)
		}
	}
	if s := spacetimeOf(events, nil); s.Recoveries[0].Lost != 5 {
		t.Errorf("%d units were undone; expected 5", s.Recoveries[0].Lost)
	}
}

func TestAViolationOfTheRecordIsShownBeforeThatOfAHistory(t *testing.T) {
	at := func(name string, ops ...history.Operation) checkers.Verdict {
		return checkers.Verdict{Checker: name, Verdict: checkers.Invalid, Witness: &checkers.Witness{From: 1, To: 2, Operations: ops}}
	}
	c := newChronicle(small(false))
	for _, verdicts := range [][]checkers.Verdict{
		{at("result", history.Operation{}), at("cut"), at("other")},
		{{Checker: "valid", Verdict: checkers.Valid}, at("cut")},
	} {
		if w := c.windowOf(verdicts); w.why != "the violation that cut found" {
			t.Errorf("shown is %s", w.why)
		}
	}
	if w := c.windowOf([]checkers.Verdict{at("result", history.Operation{})}); w.why != "the violation that result found" {
		t.Errorf("shown is %s", w.why)
	}
}

func TestAWindowBeginsWithWhatTheWitnessNames(t *testing.T) {
	events := sampleRecord(t, jobs.Transfer{}, 5, 250, 0, 1, 2, 3)
	c := newChronicle(events)
	v := orphanVerdict(events)
	_, last := c.bounds()
	v[0].Witness.To = last // it was seen again and again
	w := c.windowOf(v)
	if !strings.HasPrefix(w.why, "the beginning of the violation") || w.from > v[0].Witness.From || w.to > last/4 {
		t.Errorf("shown is %s, %v to %v; the violation is from %v to %v", w.why, w.from, w.to, v[0].Witness.From, last)
	}
	v[0].Witness.Summary, v[0].Witness.Lines = "something is wrong", nil
	if w := c.windowOf(v); strings.HasPrefix(w.why, "the beginning") {
		t.Errorf("shown is %s, although the witness names nothing", w.why)
	}
}

func TestRecordsOfAnyShapeAreDrawn(t *testing.T) {
	whole := sampleRecord(t, jobs.Transfer{}, 5, 250, 0, 1)
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var events []record.Event
		for _, e := range whole {
			if r.IntN(4) > 0 {
				continue
			}
			switch r.IntN(20) {
			case 0:
				e.Proc = "nobody"
			case 1:
				e.Peer = "nobody"
			case 2:
				e.T = time.Duration(r.Int64N(int64(time.Second)))
			case 3:
				e.Ckpt = "c9"
			}
			events = append(events, e)
		}
		s := spacetimeOf(events, orphanVerdict(events))
		if strings.Contains(string(s.Picture), "NaN") || strings.Contains(string(s.Picture), "Inf") {
			t.Fatal("something is drawn nowhere")
		}
	}
}

func TestSpacetimeIsWellFormedAndEscapesNames(t *testing.T) {
	events := small(true)
	for i := range events {
		e := &events[i]
		e.Proc += evil
		e.Reason = evil
		if e.Peer != "" {
			e.Peer += evil
		}
		if e.Msg != "" {
			e.Msg += evil
		}
		if e.Ckpt != "" {
			e.Ckpt += evil
		}
		if e.Line != nil {
			e.Line = map[string]string{"n1" + evil: "a" + evil, "n2" + evil: "b" + evil}
			e.Failed = []string{evil}
		}
	}
	s := spacetimeOf(events, nil)
	for _, svg := range []string{string(s.Picture), string(s.Overview)} {
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			tok, err := d.Token()
			if err == io.EOF {
				break
			}
			ok(t, err)
			if e, is := tok.(xml.StartElement); is && e.Name.Local == "script" {
				t.Error("the system put a script into the picture")
			}
		}
	}
	if page := rendered(t, events, nil); strings.Contains(page, "<script>document") {
		t.Error("the system put a script into the page")
	}
}

func TestSpacetimeOfALargeRecordIsBounded(t *testing.T) {
	events := sampleRecord(t, jobs.Transfer{}, 200, 60)
	s := spacetimeOf(events, nil)
	if n := strings.Count(string(s.Picture), `class="message`); n == 0 || n > drawnMessagesMax {
		t.Errorf("%d messages are drawn; expected 1 to %d", n, drawnMessagesMax)
	}
	if n := strings.Count(string(s.Picture), `class="lane"`); n > drawnLanesMax {
		t.Errorf("%d lanes are drawn; expected at most %d", n, drawnLanesMax)
	}
	if remarks := strings.Join(s.Remarks, "\n"); !strings.Contains(remarks, "60 of 201 processes are drawn") {
		t.Errorf("the remarks do not say what was left out: %q", remarks)
	}
	few := spacetimeOf(sampleRecord(t, jobs.Transfer{}, 50, 250, 0, 1, 2, 3), nil)
	if remarks := strings.Join(few.Remarks, "\n"); !strings.Contains(remarks, fmt.Sprintf("%d of ", drawnMessagesMax)) || !strings.Contains(remarks, "messages between these processes are drawn") {
		t.Errorf("the remarks do not say how many messages were left out: %q", remarks)
	}
	if size := len(s.Picture) + len(s.Overview); size > 1<<20 {
		t.Errorf("the pictures have %d bytes", size)
	}
}

func TestWithoutARecordThereIsNoDiagram(t *testing.T) {
	if page := rendered(t, nil, nil); strings.Contains(page, `id="spacetime"`) {
		t.Error("there is a diagram of nothing")
	}
	// A record of one event, and one in which nothing but messages is.
	one := []record.Event{{Proc: "p", Inc: 1, Kind: record.Start}}
	if page := rendered(t, one, nil); !strings.Contains(page, `id="spacetime"`) {
		t.Error("there is no diagram of one event")
	}
}

func BenchmarkSpacetimeOfAMillionEvents(b *testing.B) {
	var events []record.Event
	block := sampleRecord(b, jobs.Transfer{}, 200, 60)
	_, last := newChronicle(block).bounds()
	for i := time.Duration(0); len(events) < 1_000_000; i++ {
		for _, e := range block {
			e.T += i * (last + 1)
			events = append(events, e)
		}
	}
	for b.Loop() {
		spacetimeOf(events, nil)
	}
}
