package docker

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/docker/internal/testnode"
)

func (b bed) trip(nth int, kill bool, nodes ...string) cluster.Wire {
	b.Helper()
	return must[cluster.Wire](b)(b.c.Trip(b.ctx, cluster.Tripwire{Point: testnode.Point, Nth: nth, Nodes: nodes, Kill: kill}))
}

func (b bed) point(node, text string) {
	b.Helper()
	if _, err := b.call(node, "POST /point", text, 2*time.Second); err != nil {
		b.Errorf("%s at the point: %v", node, err)
	}
}

func trips(b bed) {
	b.boot("n1")
	b.boot("n2")
	b.point("n1", "") // nothing is armed
	counts := b.trip(3, false)
	other := b.trip(2, false, "n2")
	b.point("n1", "")
	b.point("n2", "")
	b.point("n1", "")
	if node, err := counts.Await(b.ctx); node != "n1" || err != nil {
		b.Errorf("the third of both nodes at the point is %q (%v), want n1", node, err)
	}
	soon, cancel := context.WithTimeout(b.ctx, 50*time.Millisecond)
	defer cancel()
	if node, err := other.Await(soon); !errors.Is(err, context.DeadlineExceeded) {
		b.Errorf("n2 was there once, and a wire for its second time gives %q (%v)", node, err)
	}
	// A node that starts again is still watched.
	must[cluster.Receipt](b)(b.c.Kill(b.ctx, "n2"))
	must[cluster.Receipt](b)(b.c.Start(b.ctx, "n2"))
	b.boot("n2")
	b.eventually("n2 trips the wire after a restart", func() bool {
		b.point("n2", "")
		soon, cancel := context.WithTimeout(b.ctx, 50*time.Millisecond)
		defer cancel()
		node, err := other.Await(soon)
		return node == "n2" && err == nil
	})
	counts.Disarm()
	other.Disarm()
	diesAtThePoint(b)
	refusedWires(b)
}

func diesAtThePoint(b bed) {
	before := must[string](b)(b.call("n1", "GET /file", "", time.Second))
	boot := b.boot("n1")
	kill := b.trip(1, true, "n1")
	b.point("n2", "x") // not its wire
	if _, err := b.call("n1", "POST /point", "never", 2*time.Second); err == nil {
		b.Error("a node that dies at the point has answered")
	}
	if node, err := kill.Await(b.ctx); node != "n1" || err != nil {
		b.Errorf("killed at the point: %q (%v), want n1", node, err)
	}
	kill.Disarm()
	if _, err := b.c.Status(b.ctx, "n1"); !errors.Is(err, cluster.ErrDown) {
		b.Errorf("the status of a node that was killed at a point is %v, want ErrDown", err)
	}
	must[cluster.Receipt](b)(b.c.Start(b.ctx, "n1"))
	if after := b.boot("n1"); after == boot {
		b.Errorf("the boot id is still %q", after)
	}
	if after := must[string](b)(b.call("n1", "GET /file", "", time.Second)); strings.Contains(after, "never") || len(after) > len(before) {
		b.Errorf("what the program would have done after the point was done: %q, before %q", after, before)
	}
	b.point("n1", "on")
}

func refusedWires(b bed) {
	for want, t := range map[string]cluster.Tripwire{
		`no point "elsewhere"`:   {Point: "elsewhere", Nth: 1},
		"want at least 1":        {Point: testnode.Point},
		"an empty list of nodes": {Point: testnode.Point, Nth: 1, Nodes: []string{}},
		`"n9" is none of`:        {Point: testnode.Point, Nth: 1, Nodes: []string{"n9"}},
	} {
		if _, err := b.c.Trip(b.ctx, t); err == nil || !strings.Contains(err.Error(), want) {
			b.Errorf("a wire %+v: %v, want %q", t, err, want)
		}
	}
}
