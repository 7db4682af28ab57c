package docker

import (
	"fmt"
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/record"
)

// records checks what n2 recorded from here on: messages before and after
// each kind of crash, and the crash itself between.
func records(b bed) {
	told := func() (lines []string) {
		events, err := b.c.Record(b.ctx)
		if err != nil {
			b.Fatal(err)
		}
		var last time.Duration
		for _, e := range events {
			if e.T < last || e.T > b.c.Now() {
				b.Errorf("%+v: at %v, after %v and before %v", e, e.T, last, b.c.Now())
			}
			if last = e.T; e.Proc == "n2" {
				lines = append(lines, fmt.Sprintf("%s %s", e.Kind, e.Msg))
			}
		}
		return lines
	}
	tell := func(msg string) {
		b.boot("n2")
		if _, err := b.call("n2", "POST /record?msg="+msg, "", time.Second); err != nil {
			b.Fatal(err)
		}
	}
	before := told()
	tell("a")
	must[cluster.Receipt](b)(b.c.Kill(b.ctx, "n2"))
	must[cluster.Receipt](b)(b.c.Start(b.ctx, "n2"))
	tell("b")
	must[cluster.Receipt](b)(powered{b.c}.CutPower(b.ctx, []string{"n2"}))
	must[cluster.Receipt](b)(b.c.Start(b.ctx, "n2"))
	tell("c")
	must[cluster.Receipt](b)(b.c.KillMachine(b.ctx, "n2"))
	want := []string{"send a", "crash ", "start ", "send b", "crash ", "start ", "send c", "crash "}
	if got := told()[len(before):]; !slices.Equal(got, want) {
		b.Errorf("with its machine off, n2 has recorded %q, want %q", got, want)
	}
	must[cluster.Receipt](b)(b.c.StartMachine(b.ctx, "n2"))
	tell("d")
	want = append(want, "start ", "send d")
	if got := told()[len(before):]; !slices.Equal(got, want) {
		b.Errorf("n2 has recorded %q, want %q", got, want)
	}
	events, err := b.c.Record(b.ctx)
	if err != nil {
		b.Fatal(err)
	}
	starts := 0
	for _, e := range events {
		if e.Proc != "n2" {
			continue
		}
		if e.Kind == record.Start {
			starts++
		}
		if e.Inc != starts {
			b.Errorf("%+v has incarnation %d, want %d", e, e.Inc, starts)
		}
	}
}
