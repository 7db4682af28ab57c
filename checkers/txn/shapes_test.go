package txn

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/rng"
)

// What lies between two transactions of a process is no part of the
// explanation, neither of a circle nor of how one is visible to the other.
func TestWitnessesLeaveOutWhatAProcessDidInBetween(t *testing.T) {
	pad := slices.Repeat([]string{"0 ok: [:append :pad 0]"}, 100)
	for i := range pad {
		pad[i] = fmt.Sprintf("0 ok: [:append :pad %d]", i)
	}
	for _, c := range []struct {
		model Model
		lines []string
	}{
		{StrongSessionSerializable, slices.Concat([]string{"0 ok: [:append :x 1]"}, pad, []string{"0 ok: [:r :x []]", "1 ok: [:r :x [1]]"})},
		{Causal, slices.Concat([]string{"0 ok: [:append :x 1]"}, pad, []string{"0 ok: [:append :y 1]", "1 ok: [:r :y [1]] [:r :x []]", "2 ok: [:r :x [1]]"})},
	} {
		a := Analyze(context.Background(), script(t, ListAppend, c.lines...), Options{Workload: ListAppend, Models: []Model{c.model}})
		if a.Verdict != checkers.Invalid || len(a.Findings[0].Witness.Txns) > 4 {
			t.Errorf("%s: %s (%s), want invalid with a witness of at most four transactions", c.model, a.Verdict, a.Reason)
			continue
		}
		if again := Analyze(context.Background(), a.Findings[0].Witness, Options{Workload: ListAppend, Models: []Model{c.model}}); again.Verdict != checkers.Invalid {
			t.Errorf("%s: the witness alone is %s", c.model, again.Verdict)
		}
	}
}

func TestTheReadThatShowsAnAppendIsTheBestOfAll(t *testing.T) {
	r := rng.Stream(7+trials.Seed(), t.Name())
	shown := 0
	for range trials.Rounds(20_000) {
		h := randomHistory(r, ListAppend, 6)
		s, err := h.measure()
		if err != nil {
			t.Fatal(err)
		}
		l, err := newLists(h, s, newFindings(), newMemory(1<<30))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range l.appends {
			want := place{txn: none}
			for i := range h.Txns {
				for j := range h.Txns[i].Ops {
					q := place{int32(i), int32(j)}
					if o := l.op(q); h.Txns[i].Status != OK || o.Kind != Read || o.Key != l.op(p).Key || !slices.Contains(o.List, l.op(p).Value) {
						continue
					}
					if want.txn == none || l.isPrefix(l.op(q)) && (!l.isPrefix(l.op(want)) || len(l.op(q).List) < len(l.op(want).List)) {
						want = q
					}
				}
			}
			if want.txn != none {
				shown++
			}
			if got := l.shortest(l.op(p).Key, p); got != want {
				t.Fatalf("%s is shown by %v, want %v%s", h.OpString(l.op(p)), got, want, h.text())
			}
		}
	}
	if shown == 0 {
		t.Error("no append was read")
	}
}

// BenchmarkGiantCircle explains circles of as many transactions as there are:
// what an edge costs must not grow with the history.
func BenchmarkGiantCircle(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		h := &History{Workload: ListAppend}
		add := func(ops ...Op) {
			at := int64(2 * len(h.Txns))
			h.Txns = append(h.Txns, Txn{ID: at, Process: int(at), Invoke: at, Complete: at + 1, Ops: ops})
		}
		for i := range int32(n) {
			add(Op{Key: i, Value: 1}, Op{Key: (i + 1) % int32(n), Value: 2})
		}
		for i := range int32(n) {
			add(Op{Key: i, Kind: Read, List: []Value{2, 1}})
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if a := Analyze(context.Background(), h, Options{Models: []Model{ReadCommitted}}); a.Verdict != checkers.Invalid {
					b.Fatal(a.Verdict, a.Reason)
				}
			}
		})
	}
}

func TestPictureOfALongCircleShowsItsEnds(t *testing.T) {
	for _, n := range []int{maxDrawn, maxDrawn + 1, 5_000} {
		h := overlapping(ListAppend, n, func(i int) []Op { return []Op{appendOp(i, 1), listOp((i+1)%n, 1)} })
		a := Analyze(context.Background(), h, Options{Models: []Model{ReadCommitted}})
		if a.Verdict != checkers.Invalid || len(a.Findings[0].Cycle) != n {
			t.Fatalf("%s: %s", a.Verdict, a.Reason)
		}
		picture := SVG(h, &a.Findings[0])
		wellFormed(t, picture)
		boxes, gap := strings.Count(picture, "<rect"), strings.Contains(picture, fmt.Sprintf("%d more transactions", n-2*drawnEnds))
		if n <= maxDrawn && (boxes != n || gap) || n > maxDrawn && (boxes != 2*drawnEnds+1 || !gap) {
			t.Errorf("%d steps: %d boxes, gap %t", n, boxes, gap)
		}
		if !strings.Contains(picture, fmt.Sprintf(">%d wr</text>", n)) {
			t.Errorf("%d steps: the last one is not drawn", n)
		}
		if page := Page(h, a.Findings); len(page) > 1<<19 {
			t.Errorf("%d steps: the page takes %d bytes", n, len(page))
		}
	}
}
