package sim

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/record"
)

// recording is a target whose nodes record their starts and every request.
func recording() *counterTarget {
	return &counterTarget{
		quiet: true,
		start: func(p *counter) error {
			p.env.Record(record.Event{Kind: record.Start})
			return nil
		},
		request: func(p *counter, id node.RequestID, r node.Request) bool {
			if r.Path != "/record" {
				return false
			}
			p.env.Record(record.Event{Kind: record.Kind(r.Query), Msg: string(r.Body)})
			p.env.Reply(id, node.Response{Status: 200})
			return true
		},
	}
}

func report(t testing.TB, ctx context.Context, w *world, n string, kind record.Kind, msg string) {
	t.Helper()
	r := node.Request{Method: "POST", Path: "/record", Query: string(kind), Body: []byte(msg)}
	if _, err := w.Network("client/0").Call(ctx, n, r, time.Second); err != nil {
		t.Fatal(err)
	}
}

// told prints the events of a node, and fails if their times go back.
func told(t testing.TB, events []record.Event, n string) (lines []string) {
	t.Helper()
	var last time.Duration
	for _, e := range events {
		if e.T < last {
			t.Errorf("time goes back: %+v after %v", e, last)
		}
		last = e.T
		if e.Proc == n {
			lines = append(lines, fmt.Sprintf("%d %s %s", e.Inc, e.Kind, e.Msg))
		}
	}
	return lines
}

func TestARecordSurvivesKillPowerLossAndRestartWithCrashesAndIncarnations(t *testing.T) {
	must(t, recording(), Options{}, func(ctx context.Context, w *world) {
		report(t, ctx, w, "n1", record.Send, "a")
		if _, err := w.Kill(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Start(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		report(t, ctx, w, "n1", record.Restore, "")
		report(t, ctx, w, "n1", record.Send, "b")
		if err := w.Pause(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Resume(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.CutPower(ctx, []string{"n1"}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.CutPower(ctx, []string{"n1"}); err != nil { // dead already: no second crash
			t.Fatal(err)
		}
		events, err := w.Record(ctx)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"1 start ", "1 send a", "1 crash ", "2 start ", "3 restore ", "3 send b", "3 crash "}
		if got := told(t, events, "n1"); !slices.Equal(got, want) {
			t.Errorf("n1 recorded %q, want %q", got, want)
		}
		if got := told(t, events, "n2"); !slices.Equal(got, []string{"1 start "}) {
			t.Errorf("n2 recorded %q", got)
		}
	})
}

func TestATargetThatRecordsNothingHasNoRecord(t *testing.T) {
	must(t, &counterTarget{quiet: true}, Options{}, func(ctx context.Context, w *world) {
		if _, err := w.Kill(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		if events, err := w.Record(ctx); err != nil || len(events) > 0 {
			t.Errorf("%v, %v", events, err)
		}
	})
}

func TestTheRecordIsPartOfTheTrace(t *testing.T) {
	run := func(msg string) (hash string, events []record.Event) {
		must(t, recording(), Options{}, func(ctx context.Context, w *world) {
			report(t, ctx, w, "n1", record.Send, msg)
			events, _ = w.Record(ctx)
			hash = w.TraceHash()
		})
		return hash, events
	}
	hash, events := run("a")
	again, same := run("a")
	other, _ := run("b")
	if hash != again || !reflect.DeepEqual(events, same) {
		t.Error("the same run gave another record or trace")
	}
	if hash == other {
		t.Error("another message gave the same trace")
	}
}

func TestEveryFieldOfAnEventIsDigested(t *testing.T) {
	empty := string(appendEvent(nil, &record.Event{}))
	seen := map[string]string{}
	typ := reflect.TypeFor[record.Event]()
	for i := range typ.NumField() {
		name := typ.Field(i).Name
		if name == "T" || name == "Proc" { // the trace has them by itself
			continue
		}
		var e record.Event
		switch f := reflect.ValueOf(&e).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int, reflect.Int64:
			f.SetInt(7)
		case reflect.Pointer:
			f.Set(reflect.ValueOf(new(int64)))
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{"x"}))
		case reflect.Map:
			f.Set(reflect.MakeMap(f.Type()))
			f.SetMapIndex(reflect.ValueOf("x"), reflect.Zero(f.Type().Elem()))
		default:
			t.Fatalf("field %s has kind %s, which this test cannot fill", name, f.Kind())
		}
		b := string(appendEvent(nil, &e))
		if b == empty || seen[b] != "" {
			t.Errorf("field %s is encoded as %q, like %q", name, b, seen[b])
		}
		seen[b] = name
	}
}

func TestARecordBeyondItsBoundSaysThatItIsIncomplete(t *testing.T) {
	for bound, complete := range map[int]bool{3: true, 2: false} {
		must(t, recording(), Options{Record: bound}, func(ctx context.Context, w *world) {
			events, err := w.Record(ctx)
			if len(events) != bound || (err == nil) != complete {
				t.Errorf("of 3 events with a bound of %d: %d, %v", bound, len(events), err)
			}
		})
	}
}
